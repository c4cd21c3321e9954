//! The ring where the kernel gives it little: a start under a tiny limit of locked memory, and what such a process serves.
//!
//! The classes of the ring itself are held where it is: `src/io/slab.rs` (stale completions), `src/io/tests` (dropped
//! futures, cancels before closes, full queues, missing buffers), `tests/drivers.rs` (kernels that forbid it or lie).

use super::support::client::Client;
use super::support::origin::answering;
use super::support::process::{answer, hosts, one_file};

#[test]
fn tiny_memlock_degrades_and_serves() {
    for memlock in ["0", "4096", "65536", "8388608"] {
        let origin = answering(answer("one"));
        let limit = format!("--memlock={memlock}:{memlock}");
        let mut launcher = vec!["prlimit", &limit];
        if is_root() {
            // The limit binds only who lacks this capability.
            launcher.splice(0..0, ["setpriv", "--bounding-set", "-ipc_lock"]);
        }
        let process = one_file("")
            .through(&launcher)
            .dynamic(&hosts(&[("a.test", &origin.url())]))
            .start();
        let mut client = Client::connect(process.web());
        for _ in 0..100 {
            client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
            assert_eq!(client.response().text(), "one", "memlock {memlock}");
        }
        let large = "x".repeat(500_000);
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n{large}",
            large.len()
        ));
        assert_eq!(client.response().status, 200, "memlock {memlock}");
    }
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("alive");
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}
