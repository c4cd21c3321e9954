//! Promise P4: a plain route on keep-alive HTTP/1 makes no heap allocation per request after warm-up.
//!
//! The allocator counts for the whole process; client and origin are loops over fixed buffers, so
//! whatever is counted between two marks was done by the shard.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use support::origin::config;
use support::proxy::proxy;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on to the system's allocator as it is; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The tests count for the whole process, so only one may run at a time.
static ALONE: Mutex<()> = Mutex::new(());

const WARM_UP: usize = 2_000;
const MEASURED: usize = 5_000;

/// Answers every 4 bytes of `\r\n\r\n` with the same response, from fixed buffers.
fn origin(response: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 16 * 1024];
                let mut filled = 0;
                loop {
                    match stream.read(&mut buffer[filled..]) {
                        Ok(0) | Err(_) => return,
                        Ok(n) => filled += n,
                    }
                    if buffer[..filled].ends_with(b"\r\n\r\n") || buffer[..filled].ends_with(b"body!") {
                        filled = 0;
                        stream.write_all(response).unwrap();
                    }
                }
            });
        }
    });
    addr
}

/// Sends `request` so many times on each of four connections and reads responses of `len` bytes.
fn drive(clients: &mut [TcpStream; 4], request: &[u8], len: usize, times: usize) {
    let mut buffer = [0; 64 * 1024];
    for _ in 0..times {
        for client in clients.iter_mut() {
            client.write_all(request).unwrap();
        }
        for client in clients.iter_mut() {
            client.read_exact(&mut buffer[..len]).unwrap();
        }
    }
}

fn response_len(addr: SocketAddr, request: &[u8]) -> usize {
    let mut client = support::client::Client::connect(addr);
    client.send(request);
    let response = client.response();
    assert_eq!(response.status, 200);
    response.head.len() + response.body.len()
}

fn allocations_per_run(request: &'static str, response: &'static str) -> u64 {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let origin = origin(response.as_bytes());
    let proxy = proxy(&config(&[("Host(`a.test`) && PathPrefix(`/`)", &format!("http://{origin}"))]));
    let request = request.as_bytes();
    let len = response_len(proxy.addr, request);
    let mut clients = std::array::from_fn(|_| TcpStream::connect(proxy.addr).unwrap());
    drive(&mut clients, request, len, WARM_UP);
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    drive(&mut clients, request, len, MEASURED);
    ALLOCATIONS.load(Ordering::SeqCst) - before
}

#[test]
fn a_get_allocates_nothing() {
    let allocations = allocations_per_run(
        "GET /x?y=1 HTTP/1.1\r\nHost: a.test\r\nUser-Agent: t\r\nAccept: */*\r\nX-Own: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 64\r\nContent-Type: text/plain\r\nX-Own: 1\r\n\r\n\
         0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    );
    assert_eq!(allocations, 0, "in {} requests", 4 * MEASURED);
}

#[test]
fn a_post_with_a_body_allocates_nothing() {
    let allocations = allocations_per_run(
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nbody!",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    assert_eq!(allocations, 0, "in {} requests", 4 * MEASURED);
}

#[test]
fn a_chunked_response_allocates_nothing() {
    let allocations = allocations_per_run_chunked();
    assert_eq!(allocations, 0, "in {} requests", 4 * MEASURED);
}

fn allocations_per_run_chunked() -> u64 {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let origin = origin(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    let proxy = proxy(&config(&[("PathPrefix(`/`)", &format!("http://{origin}"))]));
    let request = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let mut probe = support::client::Client::connect(proxy.addr);
    probe.send(request);
    let head = probe.head();
    let len = head.len() + "2\r\nok\r\n0\r\n\r\n".len();
    let mut clients = std::array::from_fn(|_| TcpStream::connect(proxy.addr).unwrap());
    drive(&mut clients, request, len, WARM_UP);
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    drive(&mut clients, request, len, MEASURED);
    ALLOCATIONS.load(Ordering::SeqCst) - before
}
