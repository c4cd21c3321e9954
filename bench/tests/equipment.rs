//! The equipment measured against itself: load generator → forwarder → origin, with every byte compared.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A started program, killed when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

fn start(binary: &str, arguments: &[&str], port: u16) -> Running {
    let child = Command::new(binary).args(arguments).spawn();
    let running = Running(child.expect("starts"));
    let deadline = Instant::now() + Duration::from_secs(5);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "{binary} does not listen");
        std::thread::yield_now();
    }
    running
}

/// An origin behind a forwarder with `buffers` buffers of `size` bytes; gives the forwarder's address.
fn chain(buffers: &str, size: &str) -> (Running, Running, String) {
    let (origin, front) = (free_port(), free_port());
    let (upstream, listen) = (format!("127.0.0.1:{origin}"), format!("127.0.0.1:{front}"));
    let port = origin.to_string();
    let origin = start(env!("CARGO_BIN_EXE_origin"), &["--port", &port], origin);
    let arguments = [
        "--listen",
        &listen,
        "--upstream",
        &upstream,
        "--buffers",
        buffers,
        "--buffer-size",
        size,
    ];
    let forwarder = start(env!("CARGO_BIN_EXE_forwarder"), &arguments, front);
    (origin, forwarder, listen)
}

fn load(target: &str, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_load"))
        .args(["--target", target, "--verify", "true"])
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .expect("runs");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text")
}

#[track_caller]
fn assert_all_answered(report: &str, requests: usize) {
    assert!(
        report.contains(&format!("\"requests\": {requests},")) && report.contains("\"failed\": 0,"),
        "{report}"
    );
}

#[test]
fn bodies_in_every_framing_and_direction_arrive_intact() {
    let (_origin, _forwarder, target) = chain("64", "4096");
    for arguments in [
        ["--path", "/64"],
        ["--path", "/1000003"],
        ["--path", "/chunked"],
        ["--path", "/chunked/1000003"],
        ["--mode", "connect"],
    ] {
        let common = ["--connections", "8", "--requests", "200"];
        assert_all_answered(&load(&target, &[&common[..], &arguments].concat()), 200);
    }
    let upload = [
        "--method",
        "POST",
        "--body",
        "300000",
        "--connections",
        "8",
        "--requests",
        "100",
    ];
    assert_all_answered(&load(&target, &upload), 100);
}

#[test]
fn a_forwarder_with_fewer_buffers_than_connections_starves_and_recovers() {
    let (_origin, _forwarder, target) = chain("2", "512");
    let arguments = [
        "--path",
        "/10000",
        "--connections",
        "32",
        "--requests",
        "500",
    ];
    assert_all_answered(&load(&target, &arguments), 500);
}

#[test]
fn failures_are_counted_and_not_retried() {
    let (_origin, _forwarder, target) = chain("64", "4096");
    let report = load(&target, &["--path", "/nothing", "--requests", "10"]);
    assert!(report.contains("\"unexpected_status\": 10,"), "{report}");
    let refused = load("127.0.0.1:1", &["--requests", "10", "--connections", "2"]);
    assert!(refused.contains("\"requests\": 0,"), "{refused}");
    assert!(!refused.contains("\"connect_errors\": 0,"), "{refused}");
}

#[test]
fn idle_connections_are_held_until_standard_input_ends() {
    let (_origin, _forwarder, target) = chain("64", "4096");
    let child = Command::new(env!("CARGO_BIN_EXE_load"))
        .args([
            "--target",
            &target,
            "--mode",
            "idle",
            "--connections",
            "300",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut running = Running(child.expect("starts"));
    let mut lines = BufReader::new(running.0.stdout.take().expect("piped")).lines();
    let ready = lines.next().expect("a line").expect("text");
    assert_eq!(ready, "{\"idle\": 300, \"failed\": 0}");
    drop(running.0.stdin.take());
    let report = lines.next().expect("a line").expect("text");
    assert!(report.contains("\"idle_lost\": 0,"), "{report}");
}
