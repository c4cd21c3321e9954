//! The binary as a user runs it: exit codes, signals, and a configuration that changes while it serves.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

fn ringway(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringway"))
        .args(args)
        .output()
        .unwrap()
}

/// A running proxy with the addresses that its log told.
struct Proxy {
    child: Child,
    web: SocketAddr,
    ping: SocketAddr,
}

impl Proxy {
    fn start(directory: &Path, dynamic: &str) -> Self {
        let file = directory.join("dynamic.yml");
        std::fs::write(&file, dynamic).unwrap();
        let config = directory.join("ringway.yml");
        let text = format!(
            "entryPoints:\n  web:\n    address: 127.0.0.1:0\n  traefik:\n    address: 127.0.0.1:0\n\
             ping: {{}}\nlog:\n  level: INFO\nringway:\n  shards: 2\n\
             providers:\n  file:\n    filename: {}\n",
            file.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_ringway"))
            .arg(format!("--configFile={}", config.display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines
            .find_map(|line| line.ok().filter(|line| line.contains("Ready:")))
            .expect("the proxy ends before it is ready");
        // The pipe must stay open and drained.
        std::thread::spawn(move || lines.for_each(drop));
        let address = |name: &str| {
            let word = ready
                .split_whitespace()
                .find_map(|word| word.strip_prefix(name));
            word.unwrap_or_else(|| panic!("no {name} in {ready:?}"))
                .parse()
                .unwrap()
        };
        Self {
            web: address("web="),
            ping: address("traefik="),
            child,
        }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    fn end(mut self) -> std::process::ExitStatus {
        self.signal("-TERM");
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers every request on a free port with `name`.
fn origin(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}",
                        name.len()
                    );
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn get(to: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    let body = text
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned())
        .unwrap_or_default();
    (status, body)
}

#[track_caller]
fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "no {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn route(host: &str, origin: SocketAddr) -> String {
    format!(
        "http:\n  routers:\n    r:\n      rule: Host(`{host}`)\n      service: s\n  services:\n    s:\n      \
         loadBalancer:\n        servers:\n          - url: http://{origin}\n"
    )
}

#[test]
fn convert_tells_by_its_exit_code_whether_something_was_lost() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rules.toml");
    let rules = "[backends.b]\n[frontends.f]\nbackend = 'b'\n[frontends.f.routes.r]\nrule = 'Host:a.test'\n";
    for (text, code, part) in [
        (rules.to_owned(), 0, "rule: 'Host(`a.test`)'"),
        (
            format!("{rules}[frontends.g]\nbackend = 'x'\n"),
            1,
            "# - 6:1: frontends.g.backend",
        ),
        ("[http.routers.r]\n".to_owned(), 2, ""),
    ] {
        std::fs::write(&file, text).unwrap();
        let output = ringway(&["convert", file.to_str().unwrap()]);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{printed}");
        assert!(printed.contains(part), "{printed}");
    }
}

#[test]
fn an_edited_file_changes_routing_and_a_broken_one_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (origin("one"), origin("two"));
    let proxy = Proxy::start(directory.path(), &route("a.test", one));
    assert_eq!(get(proxy.web, "/"), (200, "one".to_owned()));
    let file = directory.path().join("dynamic.yml");
    std::fs::write(&file, route("a.test", two)).unwrap();
    wait_for("change", || get(proxy.web, "/").1 == "two");
    std::fs::write(&file, "http: [").unwrap();
    proxy.signal("-HUP");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(get(proxy.web, "/"), (200, "two".to_owned()));
    std::fs::write(&file, route("other.test", two)).unwrap();
    wait_for("removal", || get(proxy.web, "/").0 == 404);
    assert!(proxy.end().success());
}

#[test]
fn ping_answers_until_the_process_is_told_to_end() {
    let directory = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(directory.path(), &route("a.test", origin("one")));
    assert_eq!(get(proxy.ping, "/ping"), (200, "OK".to_owned()));
    assert!(proxy.end().success());
}

#[test]
fn a_second_instance_on_the_same_port_fails_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(directory.path(), &route("a.test", origin("one")));
    let output = ringway(&[&format!("--entryPoints.web.address={}", proxy.web)]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        error.contains("in use") && error.contains("reusePort"),
        "{error}"
    );
}

#[test]
fn check_has_exit_codes_that_scripts_can_use() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.yml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, route("a.test", "127.0.0.1:1".parse().unwrap())).unwrap();
    assert_eq!(ringway(&["check", path]).status.code(), Some(0));
    std::fs::write(
        &file,
        "http:\n  routers:\n    r:\n      rule: Hst(`a`)\n      service: s\n",
    )
    .unwrap();
    let output = ringway(&["check", path]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains(":4:13: error: ") && text.contains('^'),
        "{text}"
    );
    assert_eq!(ringway(&["check"]).status.code(), Some(2));
}

#[test]
fn a_reader_that_has_gone_does_not_change_the_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("dynamic.yml");
    std::fs::write(&file, "http: {routers: {r: {rule: \"Hst(`a`)\"}}}").unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = Command::new(env!("CARGO_BIN_EXE_ringway"))
        .arg("check")
        .arg(&file)
        .stdout(writer)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn a_key_without_effect_is_named_at_the_default_log_level() {
    // The address is taken, so that the process ends by itself.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let output = ringway(&[
        &format!("--entryPoints.web.address={address}"),
        "--providers.docker=true",
    ]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("warning: flags: providers.docker: "),
        "{text}"
    );
}

#[test]
fn wrong_flags_and_keys_end_with_a_reason() {
    let output = ringway(&["--entryPoints.web.adress=:80"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        error.contains("adress") && error.contains("address"),
        "{error}"
    );
    assert_eq!(
        ringway(&["wait", "--generation", "1", "--api", "127.0.0.1:1"])
            .status
            .code(),
        Some(2)
    );
}

#[test]
fn the_demo_runs_for_as_long_as_it_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let output = ringway(&[
        "demo",
        "--for",
        "0.5",
        "--directory",
        directory.path().to_str().unwrap(),
    ]);
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("curl http://127.0.0.1:"), "{text}");
}
