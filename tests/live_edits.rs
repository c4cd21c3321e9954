//! Configuration that changes while the binary serves: what is edited takes effect, what is not edited
//! goes on undisturbed.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::client::Client;
use support::origin::{answering, origin};
use support::process::{Process, answer, hosts, one_file, setup, wait_for};

const API: &str = "api: {insecure: true}\n";

/// The static configuration of most tests here, with the API on an entry point of its own.
fn with_api() -> support::process::Setup {
    setup(&format!(
        "entryPoints: {{web: {{address: \"127.0.0.1:0\"}}, traefik: {{address: \"127.0.0.1:0\"}}}}\n\
         providers: {{file: {{filename: \"{{dir}}/dynamic.yml\"}}}}\n{API}"
    ))
}

fn with_directory() -> support::process::Setup {
    setup(&format!(
        "entryPoints: {{web: {{address: \"127.0.0.1:0\"}}, traefik: {{address: \"127.0.0.1:0\"}}}}\n\
         providers: {{file: {{directory: \"{{dir}}/conf\"}}}}\n{API}"
    ))
}

fn serves(proxy: &Process, host: &str, body: &str) {
    wait_for(&format!("{host} serves {body:?}"), || {
        proxy.get(host, "/").text() == body
    });
}

fn is_gone(proxy: &Process, host: &str) {
    wait_for(&format!("{host} is gone"), || {
        proxy.get(host, "/").status == 404
    });
}

/// Applied configuration: waits until what was written before is effective, by a marker route.
fn marked(routes: &str, marker: &str, url: &str) -> String {
    let text = routes.replace(
        "  services:\n",
        &format!("    marker: {{rule: \"Host(`{marker}`)\", service: marker}}\n  services:\n"),
    );
    text + &format!("    marker: {{loadBalancer: {{servers: [{{url: \"{url}\"}}]}}}}\n")
}

#[test]
fn a_rename_over_the_file_is_an_edit() {
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    let proxy = one_file("")
        .dynamic(&hosts(&[("a.test", &one.url())]))
        .start();
    assert_eq!(proxy.get("a.test", "/").text(), "one");
    for _ in 0..5 {
        proxy.write("dynamic.yml", &hosts(&[("a.test", &two.url())]));
        serves(&proxy, "a.test", "two");
        proxy.write("dynamic.yml", &hosts(&[("a.test", &one.url())]));
        serves(&proxy, "a.test", "one");
    }
}

#[test]
fn an_edit_in_place_takes_effect_within_a_second() {
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    let proxy = one_file("")
        .dynamic(&hosts(&[("a.test", &one.url())]))
        .start();
    let start = Instant::now();
    std::fs::write(proxy.path("dynamic.yml"), hosts(&[("a.test", &two.url())])).unwrap();
    serves(&proxy, "a.test", "two");
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_keep_alive_connection_sees_the_new_route_and_stays() {
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    let proxy = one_file("")
        .dynamic(&hosts(&[("a.test", &one.url())]))
        .start();
    let mut client = Client::connect(proxy.web());
    assert_eq!(client.get("/").text(), "one");
    proxy.write("dynamic.yml", &hosts(&[("a.test", &two.url())]));
    wait_for("the same connection gets two", || {
        client.get("/").text() == "two"
    });
}

#[test]
fn temporary_files_of_editors_are_not_configuration() {
    let one = answering(answer("one"));
    let proxy = with_directory()
        .file("conf/a.yml", &hosts(&[("a.test", &one.url())]))
        .start();
    assert_eq!(proxy.get("a.test", "/").text(), "one");
    let stray = hosts(&[("stray.test", &one.url())]);
    for name in [".a.yml.swp", "a.yml~", "4913", "#a.yml#", "a.yml.bak"] {
        std::fs::write(proxy.path("conf").join(name), &stray).unwrap();
    }
    // Emacs locks a file with a link that leads nowhere.
    symlink("user@host.1234", proxy.path("conf/.#a.yml")).unwrap();
    // What comes after them is applied, they are not.
    let text = marked(&hosts(&[("a.test", &one.url())]), "marker.test", &one.url());
    std::fs::write(proxy.path("conf/b.yml.tmp"), "http: [").unwrap();
    proxy.write("conf/a.yml", &text);
    serves(&proxy, "marker.test", "one");
    assert_eq!(proxy.get("stray.test", "/").status, 404);
    assert_eq!(proxy.get("a.test", "/").text(), "one");
}

#[test]
fn a_directory_mounted_by_kubernetes_is_followed_through_its_symlinks() {
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    let setup = with_directory();
    let conf = setup.path().join("conf");
    let version = |n: u32, url: &str| {
        let directory = conf.join(format!("..2026_11_21_{n}"));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("routes.yml"), hosts(&[("a.test", url)])).unwrap();
        let new = conf.join("..data_tmp");
        symlink(format!("..2026_11_21_{n}"), &new).unwrap();
        std::fs::rename(new, conf.join("..data")).unwrap();
        directory
    };
    let old = version(1, &one.url());
    symlink("..data/routes.yml", conf.join("routes.yml")).unwrap();
    let proxy = setup.start();
    assert_eq!(proxy.get("a.test", "/").text(), "one");
    let mut last = old;
    for n in 2..6 {
        let (origin, body) = if n % 2 == 0 {
            (&two, "two")
        } else {
            (&one, "one")
        };
        let new = version(n, &origin.url());
        std::fs::remove_dir_all(last).unwrap();
        last = new;
        serves(&proxy, "a.test", body);
    }
}

#[test]
fn a_file_behind_a_swapped_symlink_is_followed() {
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    let setup = one_file("");
    let path = setup.path().to_owned();
    std::fs::create_dir(path.join("v1")).unwrap();
    std::fs::create_dir(path.join("v2")).unwrap();
    std::fs::write(
        path.join("v1/dynamic.yml"),
        hosts(&[("a.test", &one.url())]),
    )
    .unwrap();
    std::fs::write(
        path.join("v2/dynamic.yml"),
        hosts(&[("a.test", &two.url())]),
    )
    .unwrap();
    symlink("v1", path.join("..data")).unwrap();
    symlink("..data/dynamic.yml", path.join("dynamic.yml")).unwrap();
    let proxy = setup.start();
    assert_eq!(proxy.get("a.test", "/").text(), "one");
    symlink("v2", path.join("..data_tmp")).unwrap();
    std::fs::rename(path.join("..data_tmp"), path.join("..data")).unwrap();
    serves(&proxy, "a.test", "two");
}

#[test]
fn a_half_written_file_never_takes_a_route_away() {
    let one = answering(answer("one"));
    let routes = hosts(&[("a.test", &one.url()), ("b.test", &one.url())]);
    let proxy = one_file("").dynamic(&routes).start();
    let stop = Arc::new(AtomicBool::new(false));
    let web = proxy.web();
    let watcher = {
        let stop = stop.clone();
        std::thread::spawn(move || {
            let mut client = Client::connect(web);
            let mut requests = 0u64;
            while !stop.load(Ordering::Relaxed) {
                let response = client.get("/");
                assert_eq!((response.status, response.text()), (200, "one".to_owned()));
                requests += 1;
            }
            requests
        })
    };
    for round in 0..5 {
        // Truncated, then written in pieces that each end within a token.
        let marker = format!("m{round}.test");
        let routes = marked(&routes, &marker, &one.url());
        let mut file = std::fs::File::create(proxy.path("dynamic.yml")).unwrap();
        for piece in routes.as_bytes().chunks(routes.len() / 3) {
            file.write_all(piece).unwrap();
            file.sync_all().unwrap();
            std::thread::sleep(Duration::from_millis(150));
        }
        drop(file);
        serves(&proxy, &marker, "one");
    }
    stop.store(true, Ordering::Relaxed);
    assert!(watcher.join().expect("no request failed") > 0);
}

#[test]
fn files_of_a_directory_come_change_and_go_one_by_one() {
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    let named = |name: &str, url: &str| {
        hosts(&[(&format!("{name}.test"), url)])
            .replace("r0", name)
            .replace("s0", name)
    };
    let proxy = with_directory()
        .file("conf/a.yml", &named("a", &one.url()))
        .file("conf/sub/b.yml", &named("b", &one.url()))
        .file("conf/notes.txt", "not: configuration")
        .start();
    serves(&proxy, "a.test", "one");
    serves(&proxy, "b.test", "one");
    let toml = format!(
        "[http.routers.c]\nrule = \"Host(`c.test`)\"\nservice = \"c\"\n\
         [[http.services.c.loadBalancer.servers]]\nurl = \"{}\"\n",
        two.url()
    );
    proxy.write("conf/c.toml", &toml);
    serves(&proxy, "c.test", "two");
    proxy.write("conf/sub/b.yml", &named("b", &two.url()));
    serves(&proxy, "b.test", "two");
    std::fs::remove_file(proxy.path("conf/a.yml")).unwrap();
    is_gone(&proxy, "a.test");
    assert_eq!(proxy.get("b.test", "/").text(), "two");
    assert_eq!(proxy.get("c.test", "/").text(), "two");
}

#[test]
fn a_bad_object_is_named_and_its_last_good_version_serves_beside_the_good_ones() {
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    let proxy = with_api()
        .dynamic(&hosts(&[("a.test", &one.url()), ("b.test", &one.url())]))
        .start();
    let broken = hosts(&[("a.test", &one.url()), ("b.test", &two.url())])
        .replace("Host(`a.test`)", "Hots(`a.test`)");
    proxy.write("dynamic.yml", &broken);
    serves(&proxy, "b.test", "two");
    assert_eq!(
        proxy.get("a.test", "/").text(),
        "one",
        "the last good version serves"
    );
    wait_for("the log names the router and the reason", || {
        let log = proxy.log();
        log.contains("r0") && log.contains("Hots")
    });
    let raw = proxy.get_from("traefik", "x", "/api/rawdata").text();
    let raw: serde_json::Value = serde_json::from_str(&raw).expect("JSON");
    let router = &raw["routers"]["r0@file"];
    assert!(
        router["error"][0]
            .as_str()
            .is_some_and(|error| error.contains("Hots")),
        "{router:#}"
    );
    // Mended: the error is gone.
    proxy.write(
        "dynamic.yml",
        &hosts(&[("a.test", &two.url()), ("b.test", &two.url())]),
    );
    serves(&proxy, "a.test", "two");
    let raw = proxy.get_from("traefik", "x", "/api/rawdata").text();
    let raw: serde_json::Value = serde_json::from_str(&raw).expect("JSON");
    assert!(raw["routers"]["r0@file"].get("error").is_none(), "{raw:#}");
    // Deletion ends it, whatever its last good version was.
    proxy.write("dynamic.yml", &broken);
    serves(&proxy, "a.test", "one");
    proxy.write(
        "dynamic.yml",
        &marked("http:\n  routers:\n  services:\n", "m.test", &one.url()),
    );
    serves(&proxy, "m.test", "one");
    assert_eq!(proxy.get("a.test", "/").status, 404);
}

#[test]
fn an_object_that_was_never_good_is_disabled_alone() {
    let one = answering(answer("one"));
    let text = hosts(&[("a.test", &one.url()), ("b.test", &one.url())]).replace(
        "rule: \"Host(`a.test`)\"",
        "rule: \"Host(`a.test`)\", colour: red",
    );
    let proxy = with_api().dynamic(&text).start();
    assert_eq!(proxy.get("a.test", "/").status, 404);
    assert_eq!(proxy.get("b.test", "/").text(), "one");
    let response = proxy.get_from("traefik", "x", "/api/http/routers/r0@file");
    let router: serde_json::Value = serde_json::from_str(&response.text()).expect("JSON");
    assert_eq!(router["status"], "disabled", "{router:#}");
    assert!(
        router["error"][0]
            .as_str()
            .is_some_and(|error| error.contains("colour")),
        "{router:#}"
    );
}

#[test]
fn a_file_that_vanishes_and_returns_is_followed() {
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    let proxy = one_file("")
        .dynamic(&hosts(&[("a.test", &one.url())]))
        .start();
    assert_eq!(proxy.get("a.test", "/").text(), "one");
    std::fs::remove_file(proxy.path("dynamic.yml")).unwrap();
    proxy.write("dynamic.yml", &hosts(&[("a.test", &two.url())]));
    serves(&proxy, "a.test", "two");
}

#[test]
fn an_emptied_file_takes_all_its_routes_away() {
    let one = answering(answer("one"));
    let proxy = one_file("")
        .dynamic(&hosts(&[("a.test", &one.url())]))
        .start();
    proxy.write("dynamic.yml", "");
    is_gone(&proxy, "a.test");
}

#[test]
fn pooled_connections_survive_a_change_that_does_not_concern_them() {
    let one = answering(answer("one"));
    // One shard: every request finds the same pool.
    let proxy = one_file("ringway: {shards: 1}\n")
        .dynamic(&hosts(&[("a.test", &one.url())]))
        .start();
    assert_eq!(proxy.get("a.test", "/").text(), "one");
    for n in 0..5 {
        let marker = format!("m{n}.test");
        proxy.write(
            "dynamic.yml",
            &marked(
                &hosts(&[("a.test", &one.url())]),
                &marker,
                "http://127.0.0.1:1",
            ),
        );
        wait_for("the change", || proxy.get(&marker, "/").status == 502);
        assert_eq!(proxy.get("a.test", "/").text(), "one");
    }
    let connections: std::collections::BTreeSet<usize> = one
        .seen()
        .iter()
        .map(|request| request.connection)
        .collect();
    assert_eq!(connections.len(), 1, "one upstream connection served all");
}

#[test]
fn the_balancers_position_survives_a_change_that_does_not_concern_it() {
    let origins = [
        answering(answer("0")),
        answering(answer("1")),
        answering(answer("2")),
    ];
    let servers: Vec<String> = origins
        .iter()
        .map(|origin| format!("{{url: \"{}\"}}", origin.url()))
        .collect();
    let text = |marker: &str| {
        format!(
            "http:\n  routers:\n    r: {{rule: \"Host(`a.test`)\", service: s}}\n    \
             m: {{rule: \"Host(`{marker}`)\", service: m}}\n  services:\n    \
             s: {{loadBalancer: {{servers: [{}]}}}}\n    m: {{loadBalancer: {{servers: []}}}}\n",
            servers.join(", ")
        )
    };
    let proxy = one_file("ringway: {shards: 1}\n")
        .dynamic(&text("m.test"))
        .start();
    let mut picked = Vec::new();
    for n in 0..30 {
        picked.push(proxy.get("a.test", "/").text());
        if n % 2 == 0 {
            let marker = format!("m{n}.test");
            proxy.write("dynamic.yml", &text(&marker));
            wait_for("the change", || proxy.get(&marker, "/").status == 503);
        }
    }
    for round in picked.chunks(3) {
        let mut round = round.to_vec();
        round.sort();
        assert_eq!(round, ["0", "1", "2"], "{picked:?}");
    }
}

/// Keep-alive clients that POST and never retry; any answer but the expected ends them with a panic.
struct Load {
    stop: Arc<AtomicBool>,
    requests: Arc<AtomicU64>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn start(clients: usize, proxy: &Process) -> Self {
        let (stop, requests) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let web = proxy.web();
        let threads = (0..clients)
            .map(|_| {
                let (stop, requests) = (stop.clone(), requests.clone());
                std::thread::spawn(move || {
                    let mut client = Client::connect(web);
                    while !stop.load(Ordering::Relaxed) {
                        client.send(
                            "POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello",
                        );
                        let response = client.response();
                        assert_eq!((response.status, response.text()), (200, "one".to_owned()));
                        requests.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        Self {
            stop,
            requests,
            threads,
        }
    }

    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("no request failed");
        }
        self.requests.load(Ordering::Relaxed)
    }
}

#[test]
fn a_thousand_edits_under_load_disturb_nothing_and_leak_nothing() {
    const WARM_UP: u32 = 200;
    const EDITS: u32 = 1000;
    const PART: usize = 64 * 1024;
    let one = answering(answer("one"));
    let echo = origin(|peer| {
        if peer.request().is_some() {
            peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
            let mut byte = [0];
            while peer.stream.read_exact(&mut byte).is_ok() {
                peer.send(byte);
            }
        }
    });
    let download = origin(|peer| {
        if peer.request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            loop {
                // Sends a part whenever the test says so, through the same file system as all else.
                let chunk = vec![b'x'; PART];
                peer.send(format!("{PART:x}\r\n"));
                peer.send(&chunk);
                peer.send("\r\n");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    });
    let routes = |n: u32| {
        let edited = format!("edited{}.test", n % 7);
        let mut list = vec![
            ("a.test".to_owned(), one.url()),
            ("ws.test".to_owned(), echo.url()),
            ("long.test".to_owned(), download.url()),
            (edited, format!("http://127.0.0.1:{}", 1 + n % 5)),
        ];
        for other in 0..20 {
            list.push((format!("o{other}.test"), one.url()));
        }
        list.push((format!("edit{n}.test"), one.url()));
        let list: Vec<(&str, &str)> = list.iter().map(|(host, url)| (&**host, &**url)).collect();
        hosts(&list)
    };
    let proxy = with_api().dynamic(&routes(0)).start();
    let mut socket = Client::connect(proxy.web());
    socket.send("GET / HTTP/1.1\r\nHost: ws.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
    assert!(socket.head().starts_with("HTTP/1.1 101"));
    let mut long = TcpStream::connect(proxy.web()).unwrap();
    long.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    long.write_all(b"GET / HTTP/1.1\r\nHost: long.test\r\n\r\n")
        .unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let taken = Arc::new(AtomicU64::new(0));
    let reader = {
        let (ended, taken) = (ended.clone(), taken.clone());
        std::thread::spawn(move || {
            let mut buffer = vec![0; PART];
            while !ended.load(Ordering::Relaxed) {
                let read = long.read(&mut buffer).expect("the download goes on");
                assert!(read > 0, "the download was cut");
                taken.fetch_add(read as u64, Ordering::Relaxed);
            }
        })
    };
    let load = Load::start(4, &proxy);
    // Each edit is applied before the next is written: a route that only it has is reachable.
    let mut probe = Client::connect(proxy.web());
    let mut edit = |n: u32| {
        proxy.write("dynamic.yml", &routes(n));
        wait_for("the edit", || {
            probe.send(format!("GET / HTTP/1.1\r\nHost: edit{n}.test\r\n\r\n"));
            probe.response().status == 200
        });
        if n.is_multiple_of(50) {
            socket.send("!");
            assert_eq!(socket.read_exact(1), b"!");
        }
    };
    (1..=WARM_UP).for_each(&mut edit);
    let (memory, files, bytes) = (
        proxy.resident_kib(),
        proxy.open_files(),
        taken.load(Ordering::Relaxed),
    );
    (WARM_UP + 1..=WARM_UP + EDITS).for_each(&mut edit);
    let (memory_after, files_after) = (proxy.resident_kib(), proxy.open_files());
    assert!(
        taken.load(Ordering::Relaxed) > bytes,
        "the download stands still"
    );
    ended.store(true, Ordering::Relaxed);
    reader.join().expect("the download survived");
    let requests = load.end();
    assert!(
        requests > u64::from(EDITS),
        "too little load to tell anything: {requests}"
    );
    println!(
        "{requests} requests; RSS {memory} -> {memory_after} KiB; files {files} -> {files_after}"
    );
    assert!(
        memory_after <= memory + 2048,
        "memory: {memory} KiB, then {memory_after} KiB"
    );
    // The origin may keep a few more connections in pools; watches and files must not pile up.
    assert!(
        files_after <= files + 8,
        "files: {files}, then {files_after}"
    );
}
