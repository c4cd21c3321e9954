//! Promise P4: a plain route on keep-alive HTTP/1 makes no heap allocation per request after warm-up.
//!
//! The allocator counts for the whole process; client and origin are loops over fixed buffers, so
//! whatever is counted between two marks was done by the shard.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
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
                    if buffer[..filled].ends_with(b"\r\n\r\n")
                        || buffer[..filled].ends_with(b"body!")
                    {
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

/// One test, not three: the harness allocates when it reports a test that ended beside another.
#[test]
fn requests_allocate_nothing() {
    let get =
        "GET /x?y=1 HTTP/1.1\r\nHost: a.test\r\nUser-Agent: t\r\nAccept: */*\r\nX-Own: 1\r\n\r\n";
    let plain = "HTTP/1.1 200 OK\r\nContent-Length: 64\r\nContent-Type: text/plain\r\nX-Own: 1\r\n\r\n\
                 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let post = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nbody!";
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    for (what, request, response) in [
        ("a GET", get, plain),
        ("a POST with a body", post, short),
        ("a chunked response", get, chunked),
    ] {
        let allocations = allocations_of(request, response);
        assert_eq!(allocations, 0, "{what}: in {} requests", 4 * MEASURED);
    }
}

fn allocations_of(request: &'static str, response: &'static str) -> u64 {
    let origin = origin(response.as_bytes());
    let proxy = proxy(&config(&[(
        "Host(`a.test`) && PathPrefix(`/`)",
        &format!("http://{origin}"),
    )]));
    let request = request.as_bytes();
    let mut probe = support::client::Client::connect(proxy.addr);
    probe.send(request);
    let head = probe.head();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let body = response.split_once("\r\n\r\n").expect("a head").1;
    let len = head.len() + body.len();
    let mut clients = std::array::from_fn(|_| TcpStream::connect(proxy.addr).unwrap());
    drive(&mut clients, request, len, WARM_UP);
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    drive(&mut clients, request, len, MEASURED);
    ALLOCATIONS.load(Ordering::SeqCst) - before
}
