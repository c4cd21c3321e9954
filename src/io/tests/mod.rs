//! Behaviour of the whole reactor. Bodies that take a [`Handle`] run on the ring, on epoll and, with many
//! seeds, in the simulator; what concerns the kernel or threads runs on the first two.

mod audit;
mod everywhere;
mod kernel;
mod speed;
mod torture;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use super::*;

const ANY_PORT: ([u8; 4], u16) = ([127, 0, 0, 1], 0);
/// Virtual or real time after which a test that waits has failed.
const PATIENCE: Duration = Duration::from_secs(20);

fn on_ring<Fut: Future<Output = ()>>(config: &ReactorConfig, body: impl FnOnce(Handle) -> Fut) {
    on_driver(DriverChoice::Uring, config, body);
}

fn on_epoll<Fut: Future<Output = ()>>(config: &ReactorConfig, body: impl FnOnce(Handle) -> Fut) {
    on_driver(DriverChoice::Epoll, config, body);
}

/// Runs a body on both of the kernel's drivers, one after the other.
fn on_kernel<Fut: Future<Output = ()>>(config: &ReactorConfig, body: impl Fn(Handle) -> Fut) {
    on_ring(config, &body);
    on_epoll(config, &body);
}

fn on_driver<Fut: Future<Output = ()>>(
    driver: DriverChoice,
    config: &ReactorConfig,
    body: impl FnOnce(Handle) -> Fut,
) {
    let config = ReactorConfig {
        driver,
        ..config.clone()
    };
    let mut reactor = Reactor::new(&config).expect("the driver starts");
    run(&mut reactor, body);
}

fn in_simulation<Fut: Future<Output = ()>>(
    config: &ReactorConfig,
    seed: u64,
    body: impl FnOnce(Handle) -> Fut,
) {
    let _seed = Seed(seed);
    let mut reactor = Reactor::simulated(config, SimNet::new(seed));
    run(&mut reactor, body);
}

/// Says which seed failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("with seed {}", self.0);
        }
    }
}

/// Runs a body, then checks that every connection and buffer was given back.
fn run<Fut: Future<Output = ()>>(reactor: &mut Reactor, body: impl FnOnce(Handle) -> Fut) {
    let handle = reactor.handle();
    let body = body(handle.clone());
    let main = async {
        let end = handle.now() + PATIENCE * 3;
        handle
            .timeout(end, body)
            .await
            .expect("the test ends in time");
        until(&handle, || handle.stats().connections.get() == 0).await;
        assert_eq!(handle.stats().streams.get(), 0);
        assert_eq!(
            handle.stats().buffers_in_use.get(),
            0,
            "every buffer came back"
        );
    };
    reactor.run_watched(main, |handle| {
        if let Err(rule) = handle.audit() {
            panic!("{rule}");
        }
    });
}

/// Waits for a condition.
async fn until(handle: &Handle, condition: impl Fn() -> bool) {
    let end = handle.now() + PATIENCE;
    while !condition() {
        assert!(handle.now() < end, "the condition holds in time");
        handle.sleep(Duration::from_millis(10)).await;
    }
}

/// A listener on a free port of the loopback address.
fn listen(handle: &Handle) -> (ListenerId, SocketAddr) {
    let id = handle.listen_at(ANY_PORT.into(), 7).expect("a port");
    (id, handle.listener_addr(id).expect("an open listener"))
}

/// Both ends of a new connection: connected, accepted.
async fn pair(handle: &Handle, addr: SocketAddr) -> (Stream, Stream) {
    let client = handle.connect(&addr.into()).await.expect("connects");
    let server = handle.adopt(handle.accept().await);
    (client, server)
}

/// Takes exactly `n` bytes; panics at an early end.
async fn read_exactly(stream: &Stream, n: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(n);
    while bytes.len() < n {
        assert!(stream.readable().await.expect("no error"), "no early end");
        while let Some(mut chunk) = stream.take() {
            let part = chunk.split_to(n - bytes.len());
            bytes.extend_from_slice(&part);
            if !chunk.is_empty() {
                stream.unread(chunk);
                break;
            }
        }
    }
    bytes
}

/// Everything up to the peer's end.
async fn read_to_end(stream: &Stream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while stream.readable().await.expect("no error") {
        while let Some(chunk) = stream.take() {
            bytes.extend_from_slice(&chunk);
        }
    }
    bytes
}

/// `n` bytes that differ from place to place.
fn pattern(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i * 31 + i / 251) as u8).collect()
}
