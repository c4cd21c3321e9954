//! Too much, too slow, too many: whoever takes his time or asks for too much is ended or refused, memory and CPU stay
//! bounded, others are served meanwhile, and everything is as before once he has gone.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use ringway::config::duration::GoDuration;

use super::support::client::Client;
use super::support::origin::{OK, Origin, answering, answering_bytes, behind, origin};
use super::support::process::{Process, hosts, one_file, wait_for};
use super::support::proxy::{Proxy, builder, proxy, wait_until};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// A proxy whose entry point has these time limits, in milliseconds; 0 is none.
fn with_timeouts(origin: &Origin, read: i32, write: i32, idle: i32) -> Proxy {
    builder()
        .entry_point(|entry_point| {
            let timeouts = &mut entry_point.transport.responding_timeouts;
            timeouts.read_timeout = GoDuration::from_millis(read);
            timeouts.write_timeout = GoDuration::from_millis(write);
            timeouts.idle_timeout = GoDuration::from_millis(idle);
        })
        .start(&origin.config())
}

#[track_caller]
fn nothing_is_left(proxy: &Proxy) {
    wait_until("every client's connection has ended", || {
        proxy.count("downstream_connections") == 0 && proxy.count("active_requests") == 0
    });
}

/// Sends a byte of `bytes` every few milliseconds until that fails; what came back, and when it ended.
fn drip(addr: SocketAddr, start: &[u8], rest: u8) -> (String, Duration) {
    let began = Instant::now();
    let mut stream = TcpStream::connect(addr).expect("connected");
    stream.write_all(start).expect("sent");
    stream
        .set_read_timeout(Some(Duration::from_millis(10)))
        .expect("set");
    let mut got = Vec::new();
    let mut piece = [0; 4096];
    while began.elapsed() < Duration::from_secs(15) {
        let _ = stream.write_all(&[rest]);
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => got.extend_from_slice(&piece[..n]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    (String::from_utf8_lossy(&got).into_owned(), began.elapsed())
}

#[test]
fn slow_heads_end_at_the_read_timeout() {
    let origin = answering(OK);
    let proxy = with_timeouts(&origin, 300, 0, 0);
    let addr = proxy.addr;
    let drips: Vec<_> = (0..20)
        .map(|_| {
            std::thread::spawn(move || drip(addr, b"GET / HTTP/1.1\r\nHost: a.test\r\nX: ", b'a'))
        })
        .collect();
    // Others are served meanwhile.
    let mut client = Client::connect(addr);
    assert_eq!(client.get("/").status, 200);
    for drip in drips {
        let (_, took) = drip.join().expect("no panic");
        assert!((250..10_000).contains(&took.as_millis()), "{took:?}");
    }
    assert_eq!(origin.seen().len(), 1);
    drop(client);
    nothing_is_left(&proxy);
}

#[test]
fn slow_bodies_end_with_408_and_free_the_origin() {
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let origin = origin(move |peer| {
        peer.head();
        let _ = std::io::copy(&mut peer.stream, &mut std::io::sink());
        tell.lock()
            .expect("no panic holds it")
            .send(())
            .expect("heard");
    });
    let proxy = with_timeouts(&origin, 300, 0, 0);
    for framing in [
        "Content-Length: 100000\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n10000\r\n",
    ] {
        let head = format!("POST / HTTP/1.1\r\nHost: a.test\r\n{framing}");
        let (got, took) = drip(proxy.addr, head.as_bytes(), b'a');
        assert!(got.starts_with("HTTP/1.1 408 "), "{got}");
        assert!((250..10_000).contains(&took.as_millis()), "{took:?}");
        told.recv_timeout(Duration::from_secs(10))
            .expect("the origin's connection ends");
    }
    nothing_is_left(&proxy);
}

/// CVE-2024-28869: methods that seldom have a body wait for one no longer than others.
#[test]
fn a_body_that_is_announced_and_never_sent_ends_with_408_whatever_the_method() {
    let origin = origin(|peer| while peer.request().is_some() {});
    let proxy = with_timeouts(&origin, 300, 0, 0);
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        let mut client = Client::connect(proxy.addr);
        client.send(format!(
            "{method} / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\n"
        ));
        let got = client.read_to_end();
        assert!(got.starts_with(b"HTTP/1.1 408 "), "{method}: {got:?}");
    }
    nothing_is_left(&proxy);
}

#[test]
fn slow_readers_end_at_the_write_timeout() {
    let origin = answering_bytes(30 << 20);
    let proxy = with_timeouts(&origin, 0, 300, 0);
    let readers: Vec<Client> = (0..5)
        .map(|_| {
            let mut client = Client::connect(proxy.addr);
            client.send(GET);
            client
        })
        .collect();
    wait_until("all have begun", || proxy.count("requests") == 5);
    nothing_is_left(&proxy);
    for mut reader in readers {
        assert!(reader.read_to_end().len() < 30 << 20, "cut off");
    }
}

#[test]
fn idle_connections_end_at_the_idle_timeout() {
    let origin = answering(OK);
    let proxy = with_timeouts(&origin, 0, 0, 300);
    let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(proxy.addr)).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
    assert!(clients.iter_mut().all(Client::is_closed));
    nothing_is_left(&proxy);
}

#[test]
fn readers_that_never_read_hold_little_memory() {
    let origin = origin(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        let piece = [b'x'; 64 << 10];
        while peer.stream.get_mut().write_all(&piece).is_ok() {}
    });
    let process = one_file("")
        .dynamic(&hosts(&[("a.test", &origin.url())]))
        .start();
    let before = process.resident_kib();
    let mut readers: Vec<TcpStream> = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(process.web()).expect("connected");
        stream.write_all(GET.as_bytes()).expect("sent");
        // The answer has begun: from here on nobody reads.
        stream.read_exact(&mut [0; 1000]).expect("a beginning");
        readers.push(stream);
    }
    // 64 KiB in the inbox, as much on its way out, and a buffer being filled, each.
    wait_for("nothing more is read", || {
        let first = process.resident_kib();
        std::thread::sleep(Duration::from_millis(200));
        process.resident_kib() == first
    });
    let grown = process.resident_kib().saturating_sub(before);
    assert!(grown < 50 * 512, "{grown} KiB for 50 readers");
}

#[test]
fn header_bombs_are_431_by_count_by_size_and_by_nominations() {
    let origin = answering(OK);
    let process = one_file("")
        .dynamic(&hosts(&[("a.test", &origin.url())]))
        .start();
    let many = |count: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a.test\r\n{}\r\n",
            "X: y\r\n".repeat(count)
        )
    };
    let large = |size: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a.test\r\nX: {}\r\n\r\n",
            "y".repeat(size)
        )
    };
    let names = |size: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: {}\r\n\r\n",
            "a,".repeat(size / 2)
        )
    };
    for (request, status) in [
        (many(200), 200),
        (many(256), 431),
        (many(2000), 431),
        (many(100_000), 431),
        (large(60_000), 200),
        (large(2 << 20), 431),
        (names(4000), 200),
        (names(5000), 431),
        (
            format!(
                "GET /{} HTTP/1.1\r\nHost: a.test\r\n\r\n",
                "a".repeat(2 << 20)
            ),
            431,
        ),
    ] {
        let mut client = TcpStream::connect(process.web()).expect("connected");
        // Refused before all was sent: a reset may come while writing.
        let _ = client.write_all(request.as_bytes());
        let mut start = [0; 12];
        client
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("set");
        client.read_exact(&mut start).expect("an answer");
        let text = String::from_utf8_lossy(&start).into_owned();
        assert_eq!(
            text,
            format!("HTTP/1.1 {status}"),
            "{} bytes",
            request.len()
        );
    }
}

#[test]
fn header_bombs_of_an_origin_are_502() {
    for bomb in [
        "X: y\r\n".repeat(2000),
        format!("X: {}\r\n", "y".repeat(11 << 20)),
        "\0".repeat(100),
    ] {
        let origin = origin(move |peer| {
            peer.request();
            peer.send(format!(
                "HTTP/1.1 200 OK\r\n{bomb}Content-Length: 2\r\n\r\nok"
            ));
        });
        let proxy = proxy(&origin.config());
        assert_eq!(Client::connect(proxy.addr).get("/").status, 502);
    }
}

#[test]
fn an_accept_flood_is_served_and_leaves_nothing_behind() {
    let origin = answering(OK);
    let proxy = proxy(&origin.config());
    // Half come and go, half stay.
    let idle: Vec<TcpStream> = (0..2000)
        .filter_map(|n| {
            let stream = TcpStream::connect(proxy.addr).expect("connected");
            (n % 2 == 0).then_some(stream)
        })
        .collect();
    assert_eq!(Client::connect(proxy.addr).get("/").status, 200);
    wait_until("the idle ones are there", || {
        proxy.count("downstream_connections") >= 1000
    });
    drop(idle);
    nothing_is_left(&proxy);
    assert_eq!(Client::connect(proxy.addr).get("/").status, 200);
}

/// However few may wait to be looked at, accepting goes on when they have been.
#[test]
fn an_accept_queue_of_one_is_slow_and_serves_everybody() {
    let origin = answering(OK);
    let process = one_file("")
        .option("ringway: {limits: {maxAcceptQueue: 1}}")
        .dynamic(&hosts(&[("a.test", &origin.url())]))
        .start();
    let clients = (0..400).map(|_| Client::connect(process.web()));
    for client in &mut clients.collect::<Vec<_>>() {
        assert_eq!(client.get("/").status, 200);
    }
}

/// Processor time of a process so far.
fn processor_time(process: &Process) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).expect("alive");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

#[test]
fn without_file_descriptors_accepting_does_not_spin_and_recovers() {
    let origin = answering(OK);
    let process = one_file("")
        .through(&["prlimit", "--nofile=128:128"])
        .dynamic(&hosts(&[("a.test", &origin.url())]))
        .start();
    assert_eq!(process.get("a.test", "/").status, 200);
    let clients: Vec<TcpStream> = (0..300)
        .map(|_| TcpStream::connect(process.web()).expect("the kernel accepts"))
        .collect();
    wait_for("no descriptor is left", || process.open_files() >= 127);
    let before = processor_time(&process);
    std::thread::sleep(Duration::from_secs(1));
    let spent = processor_time(&process) - before;
    assert!(
        spent < Duration::from_millis(200),
        "{spent:?} in a second of waiting"
    );
    drop(clients);
    let mut client = Client::connect(process.web());
    assert_eq!(client.get("/").status, 200, "it recovers");
    wait_for("the descriptors are back", || process.open_files() < 100);
}

#[test]
fn without_file_descriptors_for_an_upstream_connection_it_recovers() {
    let origin = answering(OK);
    let process = one_file("")
        .through(&["prlimit", "--nofile=128:128"])
        .dynamic(&hosts(&[("a.test", &origin.url())]))
        .start();
    // Connected before the descriptors are gone; no connection to the origin exists yet.
    let mut early = Client::connect(process.web());
    let clients: Vec<TcpStream> = (0..300)
        .map(|_| TcpStream::connect(process.web()).expect("the kernel accepts"))
        .collect();
    wait_for("no descriptor is left", || process.open_files() >= 127);
    early.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(early.response().status, 502);
    drop(clients);
    wait_for("it recovers", || process.get("a.test", "/").status == 200);
}

#[test]
fn more_than_the_configured_connections_are_closed_at_once() {
    let origin = answering(OK);
    let process = one_file("")
        .option("ringway: {shards: 1, limits: {maxConnections: 10}}")
        .dynamic(&hosts(&[("a.test", &origin.url())]))
        .start();
    let mut clients: Vec<Client> = (0..10).map(|_| Client::connect(process.web())).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        assert_eq!(client.response().status, 200);
    }
    assert!(Client::connect(process.web()).is_closed());
    drop(clients);
    wait_for("there is room again", || {
        let mut stream = TcpStream::connect(process.web()).expect("connected");
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        text.starts_with("HTTP/1.1 200 ")
    });
}

/// A process whose one route holds bodies in memory, of which 4 MiB are allowed in all.
fn holding(origin: &Origin, middleware: &str) -> Process {
    one_file("")
        .option("ringway: {shards: 1, limits: {maxHeldMemoryBytes: 4194304}}")
        .dynamic(&behind(&[("m", middleware)], &origin.config()))
        .start()
}

/// Begins an upload of 3 MiB and sends all of it but the last byte.
fn begin_upload(addr: SocketAddr) -> Client {
    let mut client = Client::connect(addr);
    let length = 3 << 20;
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n"
    ));
    client.send(vec![b'x'; length - 1]);
    client
}

#[test]
fn bodies_held_for_buffering_have_a_common_limit_and_give_it_back() {
    let origin = answering(OK);
    let process = holding(&origin, "{buffering: {maxRequestBodyBytes: 10000000}}");
    // Together they are too much: the one that is held when there is no more room is refused, whichever that is.
    let length = 3 << 20;
    let upload = |sent: usize| {
        let mut client = TcpStream::connect(process.web()).expect("connected");
        let head = format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n");
        client.write_all(head.as_bytes()).expect("sent");
        client.write_all(&vec![b'x'; sent]).expect("sent");
        client.set_nonblocking(true).expect("set");
        (client, sent)
    };
    let mut uploads = [upload(length - 1), upload(length / 2)];
    let is_answered = |(client, _): &(TcpStream, usize)| client.peek(&mut [0]).is_ok_and(|n| n > 0);
    wait_for("one is refused", || uploads.iter().any(is_answered));
    if is_answered(&uploads[0]) {
        uploads.swap(0, 1);
    }
    let [(mut held, sent), (mut refused, _)] = uploads;
    let status = |client: &mut TcpStream| {
        let mut start = [0; 12];
        client.set_nonblocking(false).expect("set");
        client.read_exact(&mut start).expect("an answer");
        String::from_utf8_lossy(&start).into_owned()
    };
    assert_eq!(status(&mut refused), "HTTP/1.1 503");
    assert!(!is_answered(&(held.try_clone().expect("cloned"), 0)));
    held.set_nonblocking(false).expect("set");
    held.write_all(&vec![b'x'; length - sent]).expect("sent");
    assert_eq!(status(&mut held), "HTTP/1.1 200");
    for _ in 0..5 {
        let mut again = begin_upload(process.web());
        again.send("x");
        assert_eq!(again.response().status, 200, "what was held is given back");
    }
    assert!(origin.seen().iter().all(|seen| seen.body.len() == 3 << 20));
}

#[test]
fn a_body_that_retry_may_not_hold_is_streamed() {
    let origin = answering(OK);
    let process = holding(
        &origin,
        "{retry: {attempts: 3, status: ['503'], maxRequestBodyBytes: 10000000, retryNonIdempotentMethod: true}}",
    );
    let mut first = begin_upload(process.web());
    let mut second = begin_upload(process.web());
    for client in [&mut second, &mut first] {
        client.send("x");
        assert_eq!(client.response().status, 200);
    }
    assert!(origin.seen().iter().all(|seen| seen.body.len() == 3 << 20));
}

#[test]
fn answers_held_for_buffering_have_the_same_limit_and_slow_readers_keep_their_share() {
    let origin = answering_bytes(3 << 20);
    let process = holding(&origin, "{buffering: {maxResponseBodyBytes: 10000000}}");
    // Its receive buffer is too small for the answer, so that the rest stays held until it reads.
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("set");
    socket.connect(&process.web().into()).expect("connected");
    let mut slow = TcpStream::from(socket);
    slow.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
        .expect("sent");
    slow.read_exact(&mut [0; 100]).expect("it is being sent");
    assert_eq!(process.get("a.test", "/").status, 503);
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).expect("the rest");
    assert!(rest.len() > (3 << 20) - 100);
    wait_for("its share is given back", || {
        process.get("a.test", "/").status == 200
    });
}

#[test]
fn an_access_log_that_nobody_reads_blocks_no_request() {
    let origin = answering(OK);
    let setup =
        one_file("").option("accessLog: {filePath: \"{dir}/access.log\", bufferingSize: 0}");
    let fifo = setup.path().join("access.log");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.expect("mkfifo runs").success());
    // Open at both ends, and never read: the log's thread blocks once the pipe is full.
    let held = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&fifo);
    let _held = held.expect("opened");
    let process = setup.dynamic(&hosts(&[("a.test", &origin.url())])).start();
    let before = process.resident_kib();
    let burst = GET.repeat(100);
    let mut client = Client::connect(process.web());
    for _ in 0..200 {
        client.send(&burst);
        for _ in 0..100 {
            assert_eq!(client.response().status, 200);
        }
    }
    let grown = process.resident_kib().saturating_sub(before);
    assert!(grown < 48 << 10, "{grown} KiB of lines wait");
}
