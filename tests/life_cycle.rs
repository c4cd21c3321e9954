//! The process from its start to its end: signals, draining, log files, and starts that must fail.

mod support;

use std::io::Read;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use support::client::Client;
use support::origin::{answering, origin};
use support::process::{answer, bare, hosts, one_file, ringway, setup, text, wait_for};

/// An origin that answers after as long as the test says.
fn slow(delay: Duration) -> support::origin::Origin {
    origin(move |peer| {
        while peer.request().is_some() {
            std::thread::sleep(delay);
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
        }
    })
}

fn drained(life_cycle: &str) -> support::process::Setup {
    setup(&format!(
        "entryPoints:\n  web: {{address: \"127.0.0.1:0\", transport: {{lifeCycle: {{{life_cycle}}}}}}}\n  \
         traefik: {{address: \"127.0.0.1:0\", transport: {{lifeCycle: {{{life_cycle}}}}}}}\n\
         providers: {{file: {{filename: \"{{dir}}/dynamic.yml\"}}}}\nping: {{}}\n"
    ))
}

#[test]
fn sigterm_lets_a_running_request_finish_and_ends_with_success() {
    let origin = slow(Duration::from_millis(700));
    let mut proxy = drained("graceTimeOut: 10s")
        .dynamic(&hosts(&[("a.test", &origin.url())]))
        .start();
    let mut busy = Client::connect(proxy.web());
    busy.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    wait_for("the origin has it", || !origin.seen().is_empty());
    let mut idle = Client::connect(proxy.web());
    assert_eq!(idle.get("/").status, 200);
    busy.response();
    busy.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    wait_for("the origin has the third", || origin.seen().len() == 3);
    let start = Instant::now();
    proxy.signal("-TERM");
    assert!(idle.is_closed(), "an idle connection is closed");
    assert!(
        start.elapsed() < Duration::from_millis(650),
        "at once: {:?}",
        start.elapsed()
    );
    let response = busy.response();
    assert_eq!((response.status, response.text()), (200, "slow".to_owned()));
    assert!(busy.is_closed(), "no further request on it");
    assert_eq!(proxy.wait().code(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "it does not wait the grace time out"
    );
}

#[test]
fn sigterm_cuts_what_is_not_finished_within_the_grace_time() {
    let origin = slow(Duration::from_secs(60));
    let mut proxy = drained("graceTimeOut: 500ms")
        .dynamic(&hosts(&[("a.test", &origin.url())]))
        .start();
    let mut busy = Client::connect(proxy.web());
    busy.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    wait_for("the origin has it", || !origin.seen().is_empty());
    let start = Instant::now();
    proxy.signal("-TERM");
    assert_eq!(proxy.wait().code(), Some(0));
    let elapsed = start.elapsed();
    assert!(
        elapsed >= Duration::from_millis(450) && elapsed < Duration::from_secs(5),
        "{elapsed:?}"
    );
    assert!(busy.is_closed());
}

#[test]
fn new_requests_are_served_and_ping_says_503_until_the_accept_grace_time_is_over() {
    let one = answering(answer("one"));
    let mut proxy = drained("requestAcceptGraceTimeout: 1s, graceTimeOut: 5s")
        .dynamic(&hosts(&[("a.test", &one.url())]))
        .start();
    assert_eq!(proxy.get_from("traefik", "x", "/ping").status, 200);
    let start = Instant::now();
    proxy.signal("-TERM");
    wait_for("ping answers 503", || {
        proxy.get_from("traefik", "x", "/ping").status == 503
    });
    assert_eq!(
        proxy.get("a.test", "/").text(),
        "one",
        "new connections are still served"
    );
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "the machine is too slow for this test"
    );
    let web = proxy.web();
    wait_for("new connections are refused", || {
        TcpStream::connect(web).is_err()
    });
    assert!(
        start.elapsed() >= Duration::from_millis(900),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn sigint_ends_it_too() {
    let mut proxy = one_file("").dynamic("").start();
    proxy.signal("-INT");
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn sighup_re_reads_a_file_that_is_not_watched() {
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    let proxy = setup(
        "entryPoints: {web: {address: \"127.0.0.1:0\"}}\n\
         providers: {file: {filename: \"{dir}/dynamic.yml\", watch: false}}\n",
    )
    .dynamic(&hosts(&[("a.test", &one.url())]))
    .start();
    proxy.write("dynamic.yml", &hosts(&[("a.test", &two.url())]));
    let end = Instant::now() + Duration::from_millis(400);
    while Instant::now() < end {
        assert_eq!(proxy.get("a.test", "/").text(), "one", "nothing watches it");
    }
    proxy.signal("-HUP");
    wait_for("the edit", || proxy.get("a.test", "/").text() == "two");
}

#[test]
fn sigusr1_reopens_the_access_log_and_the_log_after_a_rotation() {
    let one = answering(answer("one"));
    let proxy = one_file("accessLog: {filePath: \"{dir}/access.log\"}\n")
        .dynamic(&hosts(&[("a.test", &one.url())]))
        .start();
    let read = |name: &str| std::fs::read_to_string(proxy.path(name)).unwrap_or_default();
    proxy.get("a.test", "/before");
    wait_for("the first line", || read("access.log").contains("/before"));
    std::fs::rename(proxy.path("access.log"), proxy.path("access.log.1")).unwrap();
    proxy.signal("-USR1");
    wait_for("a new file", || proxy.path("access.log").exists());
    proxy.get("a.test", "/after");
    wait_for("the line in the new file", || {
        read("access.log").contains("/after")
    });
    assert!(!read("access.log.1").contains("/after"));
}

#[test]
fn sigusr1_reopens_the_log_file() {
    let setup = setup(
        "entryPoints: {web: {address: \"127.0.0.1:0\"}}\n\
         providers: {file: {filename: \"{dir}/dynamic.yml\"}}\n\
         log: {level: INFO, filePath: \"{dir}/ringway.log\"}\n",
    )
    .dynamic("");
    let directory = setup.path().to_owned();
    let log = directory.join("ringway.log");
    let mut child = {
        let config = directory.join("static.yml");
        std::fs::write(
            &config,
            format!(
                "entryPoints: {{web: {{address: \"127.0.0.1:0\"}}}}\nlog: {{level: INFO, filePath: {:?}}}\n",
                log.display().to_string()
            ),
        )
        .unwrap();
        Command::new(env!("CARGO_BIN_EXE_ringway"))
            .arg(format!("--configFile={}", config.display()))
            .spawn()
            .unwrap()
    };
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    wait_for("it is ready", || read().contains("Ready:"));
    std::fs::rename(&log, directory.join("ringway.log.1")).unwrap();
    let kill = |name: &str| {
        Command::new("kill")
            .args([name, &child.id().to_string()])
            .status()
            .unwrap();
    };
    kill("-USR1");
    wait_for("the new log", || read().contains("SIGUSR1"));
    kill("-TERM");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_second_instance_on_the_same_port_is_refused_and_the_first_goes_on() {
    let one = answering(answer("one"));
    let proxy = one_file("")
        .dynamic(&hosts(&[("a.test", &one.url())]))
        .start();
    let output = ringway(&[&format!("--entryPoints.web.address={}", proxy.web())]);
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output);
    assert!(
        message.contains("in use") && message.contains("web"),
        "{message}"
    );
    assert_eq!(proxy.get("a.test", "/").text(), "one");
}

#[test]
fn instances_with_reuse_port_share_a_port() {
    let one = answering(answer("one"));
    let first = setup(
        "entryPoints: {web: {address: \"127.0.0.1:0\", reusePort: true}}\n\
         providers: {file: {filename: \"{dir}/dynamic.yml\"}}\n",
    )
    .dynamic(&hosts(&[("a.test", &one.url())]))
    .start();
    let second = setup(&format!(
        "entryPoints: {{web: {{address: \"{}\", reusePort: true}}}}\n\
         providers: {{file: {{filename: \"{{dir}}/dynamic.yml\"}}}}\n",
        first.web()
    ))
    .dynamic(&hosts(&[("a.test", &one.url())]))
    .start();
    assert_eq!(first.web(), second.web());
    for _ in 0..20 {
        assert_eq!(first.get("a.test", "/").text(), "one");
    }
}

#[test]
fn without_any_provider_it_serves_404() {
    let proxy = bare()
        .argument("--entryPoints.web.address=127.0.0.1:0")
        .argument("--log.level=INFO")
        .start();
    let response = proxy.get("a.test", "/");
    assert_eq!(
        (response.status, response.text()),
        (404, "404 page not found\n".to_owned())
    );
}

#[test]
fn traffic_waits_for_a_provider_at_most_for_the_start_up_timeout() {
    let start = Instant::now();
    let proxy = setup(
        "entryPoints: {web: {address: \"127.0.0.1:0\"}}\n\
         providers: {file: {filename: \"{dir}/missing.yml\"}}\n\
         ringway: {shards: 1, startupTimeout: 500ms}\n",
    )
    .start();
    assert!(start.elapsed() < Duration::from_secs(8));
    assert_eq!(proxy.get("a.test", "/").status, 404);
    assert!(
        proxy.log().contains("missing.yml"),
        "the log names what is missing:\n{}",
        proxy.log()
    );
    let one = answering(answer("one"));
    proxy.write("missing.yml", &hosts(&[("a.test", &one.url())]));
    wait_for("the file is read when it comes", || {
        proxy.get("a.test", "/").text() == "one"
    });
}

#[test]
fn a_client_that_only_connects_does_not_hold_up_the_end() {
    let mut proxy = drained("graceTimeOut: 10s").dynamic("").start();
    let mut silent = TcpStream::connect(proxy.web()).unwrap();
    assert_eq!(proxy.get("a.test", "/").status, 404);
    let start = Instant::now();
    proxy.signal("-TERM");
    assert_eq!(proxy.wait().code(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    let mut byte = [0];
    assert!(matches!(silent.read(&mut byte), Ok(0) | Err(_)));
}
