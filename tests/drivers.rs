//! Which driver the program runs on, where, and what it says about it. What both drivers must do alike
//! is in `src/io/tests` and in every other suite here: `RINGWAY_DRIVER=epoll ./test.sh` runs them all on epoll.

mod support;

use std::process::Output;

use support::client::Client;
use support::origin::{answering, behind};
use support::process::{Process, Setup, answer, hosts, one_file, text, wait_for};

const SECCOMP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/drivers/seccomp.py");

/// The proxy's start under a filter that makes some system calls fail.
fn forbidding(setup: Setup, calls: &[&str]) -> Setup {
    let mut launcher = vec!["python3", SECCOMP, "forbid"];
    launcher.extend(calls);
    launcher.push("--");
    setup.through(&launcher)
}

/// Whatever driver the test's own environment names is not meant here.
fn automatic(setup: Setup) -> Setup {
    setup.variable("RINGWAY_DRIVER", "")
}

fn serves(setup: Setup) -> Process {
    let origin = answering(answer("one"));
    let proxy = setup.dynamic(&hosts(&[("a.test", &origin.url())])).start();
    for _ in 0..5 {
        assert_eq!(proxy.get("a.test", "/").text(), "one");
    }
    proxy
}

/// Lines of the log that speak of drivers.
fn said(proxy: &Process) -> Vec<String> {
    let log = proxy.log();
    let lines = log.lines().filter(|line| line.contains("shards run on"));
    lines.map(str::to_owned).collect()
}

fn assert_fails(output: &Output, words: &[&str]) {
    let message = text(output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    for word in words {
        assert!(message.contains(word), "{word}: {message}");
    }
}

#[test]
fn io_uring_is_preferred() {
    let proxy = serves(automatic(one_file("")));
    let said = said(&proxy);
    assert!(
        said.len() == 1 && said[0].contains("2 shards run on io_uring"),
        "{said:?}"
    );
}

/// Docker's and containerd's default profiles answer EPERM; old ones, and kernels without it, ENOSYS;
/// a limit on locked memory ENOMEM.
#[test]
fn where_io_uring_does_not_start_epoll_serves_and_one_line_says_why() {
    for (call, reason) in [
        ("io_uring_setup=EPERM", "seccomp"),
        ("io_uring_setup=ENOSYS", "no io_uring"),
        ("io_uring_setup=ENOMEM", "MEMLOCK"),
        ("io_uring_setup=EINVAL", "too old"),
        ("io_uring_register=EINVAL", "buffer ring"),
    ] {
        let proxy = serves(forbidding(automatic(one_file("")), &[call]));
        let said = said(&proxy);
        assert!(
            said.len() == 1
                && said[0].contains("2 of 2 shards run on epoll")
                && said[0].contains(reason),
            "{call}: {said:?}"
        );
    }
}

/// A ring that can be made but does not work: only trying it shows that.
#[test]
fn where_io_uring_misbehaves_the_self_test_finds_it() {
    let proxy = serves(forbidding(automatic(one_file("")), &["io_uring_enter=EIO"]));
    let said = said(&proxy);
    assert!(
        said.len() == 1 && said[0].contains("epoll") && said[0].contains("self-test"),
        "{said:?}"
    );
}

/// epoll makes the transfers of a turn with one call where it may, and one by one where it may not.
#[test]
fn epoll_does_without_any_of_the_calls_that_make_batches() {
    const CONNECTIONS: usize = 40;
    let forbidden: [&[&str]; 4] = [
        &[],
        &["io_setup=ENOSYS"],
        &["io_submit=EPERM"],
        &["io_getevents=EPERM"],
    ];
    for calls in forbidden {
        let origin = answering(answer("one"));
        let setup = one_file("").variable("RINGWAY_DRIVER", "epoll");
        let proxy = forbidding(setup, calls)
            .dynamic(&hosts(&[("a.test", &origin.url())]))
            .start();
        let mut clients: Vec<Client> = (0..CONNECTIONS)
            .map(|_| Client::connect(proxy.web()))
            .collect();
        for _ in 0..20 {
            for client in &mut clients {
                client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
            }
            for client in &mut clients {
                assert_eq!(client.response().text(), "one", "{calls:?}");
            }
        }
    }
}

#[test]
fn a_driver_that_is_asked_for_is_used_or_the_start_fails() {
    let uring = "ringway: {shards: 2, driver: uring}";
    let setup = automatic(one_file("")).dynamic("").option(uring);
    let output = forbidding(setup, &["io_uring_setup=EPERM"]).output();
    assert_fails(&output, &["io_uring", "seccomp"]);

    let epoll = "ringway: {shards: 2, driver: epoll}";
    let proxy = serves(automatic(one_file("")).option(epoll));
    assert!(
        said(&proxy)[0].contains("2 shards run on epoll"),
        "{}",
        proxy.log()
    );
}

#[test]
fn the_environment_names_a_driver_before_the_configuration() {
    let uring = "ringway: {shards: 2, driver: uring}";
    let proxy = serves(
        one_file("")
            .option(uring)
            .variable("RINGWAY_DRIVER", "epoll"),
    );
    assert!(
        said(&proxy)[0].contains("2 shards run on epoll"),
        "{}",
        proxy.log()
    );

    let setup = one_file("").dynamic("").variable("RINGWAY_DRIVER", "iocp");
    assert_fails(
        &setup.output(),
        &["RINGWAY_DRIVER=iocp", "auto, uring and epoll"],
    );
}

/// What tuning/ ships for containers allows all that the proxy does, on either driver: threads, files and
/// their changes, names, hashing, logs, draining.
#[test]
fn the_seccomp_profile_allows_what_the_proxy_does() {
    const PROFILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tuning/seccomp.json");
    // "password"
    const HASH: &str = "$apr1$salt1234$k3J5yKYW6TlGmTytnkXbQ0";
    for driver in ["uring", "epoll"] {
        let origin = answering(answer("one"));
        let url = format!("http://localhost:{}", origin.addr.port());
        let auth = format!("{{basicAuth: {{users: [\"user:{HASH}\"]}}}}");
        let dynamic = hosts(&[("a.test", &url)]);
        let mut proxy =
            one_file("accessLog: {filePath: \"{dir}/access.log\"}\napi: {insecure: true}\n")
                .variable("RINGWAY_DRIVER", driver)
                .dynamic(&dynamic)
                .through(&["python3", SECCOMP, "profile", PROFILE, "--"])
                .start();
        wait_for("a name is looked up", || {
            proxy.get("a.test", "/").text() == "one"
        });
        proxy.write("dynamic.yml", &behind(&[("who", &auth)], &dynamic));
        wait_for("the change is effective", || {
            proxy.get("a.test", "/").status == 401
        });
        let mut client = Client::connect(proxy.web());
        client.send(
            "GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Basic dXNlcjpwYXNzd29yZA==\r\n\r\n",
        );
        assert_eq!(client.response().status, 200, "{driver}: hashed elsewhere");
        proxy.signal("-TERM");
        assert_eq!(proxy.wait().code(), Some(0), "{driver}");
        let lines = std::fs::read_to_string(proxy.path("access.log")).expect("written");
        assert!(lines.lines().count() >= 3, "{driver}: {lines}");
    }
}
