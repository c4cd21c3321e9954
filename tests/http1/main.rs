//! HTTP/1.1 through a real shard: framing, keep-alive, pooling, and what is refused. Attacks are in `hardening`, servers
//! that fail in `server_failures`.

#[path = "../support/mod.rs"]
mod support;

mod interim;

use std::io::{Read, Write};
use std::time::Duration;

use support::client::Client;
use support::origin::{OK, answering, answering_bytes, origin};
use support::proxy::{builder, proxy};

#[test]
fn a_request_reaches_the_origin_and_the_answer_comes_back() {
    let origin = answering(OK);
    let proxy = proxy(&origin.config());
    let response = Client::connect(proxy.addr).get("/x?y=1");
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    assert!(response.field("date").is_some());
    let seen = &origin.seen()[0];
    assert!(
        seen.head
            .starts_with("GET /x?y=1 HTTP/1.1\r\nHost: a.test\r\n"),
        "{}",
        seen.head
    );
    assert!(
        seen.head.contains("X-Forwarded-For: 127.0.0.1\r\n"),
        "{}",
        seen.head
    );
    assert!(
        seen.head.contains("X-Forwarded-Server: test-host\r\n"),
        "{}",
        seen.head
    );
    assert!(
        !seen.head.to_lowercase().contains("accept-encoding"),
        "none is invented"
    );
}

#[test]
fn connections_are_kept_on_both_sides() {
    let origin = answering(OK);
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    for _ in 0..100 {
        assert_eq!(client.get("/").status, 200);
    }
    assert!(origin.seen().iter().all(|seen| seen.connection == 0));
    assert_eq!(origin.seen().len(), 100);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = origin(|peer| {
        while let Some(seen) = peer.request() {
            peer.answer(seen.target());
        }
    });
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    let burst: String = (0..50)
        .map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a.test\r\n\r\n"))
        .collect();
    client.send(burst);
    for n in 0..50 {
        assert_eq!(client.response().text(), format!("/{n}"));
    }
}

#[test]
fn no_router_is_404_and_the_connection_stays() {
    let proxy = proxy("http: {routers: {}}\n");
    let mut client = Client::connect(proxy.addr);
    for _ in 0..2 {
        let response = client.get("/");
        assert_eq!(
            (response.status, response.text().as_str()),
            (404, "404 page not found\n")
        );
    }
}

#[test]
fn a_change_reaches_a_connection_that_is_already_open() {
    let (a, b) = (
        answering("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"),
        answering(OK),
    );
    let mut proxy = proxy(&a.config());
    let mut client = Client::connect(proxy.addr);
    assert_eq!(client.get("/").text(), "a");
    proxy.apply(&b.config());
    assert_eq!(client.get("/").text(), "ok");
}

#[test]
fn bodies_stream_both_ways_in_either_framing() {
    let origin = origin(|peer| {
        while let Some(seen) = peer.request() {
            let mut answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                seen.body.len()
            );
            if seen.head.starts_with("POST /chunked") {
                answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".into();
                peer.send(answer);
                for part in seen.body.chunks(70_000) {
                    peer.send(format!("{:x};ext=1\r\n", part.len()));
                    peer.send(part);
                    peer.send("\r\n");
                }
                peer.send("0\r\nX-Sum: 1\r\n\r\n");
            } else {
                peer.send(answer);
                peer.send(&seen.body);
            }
        }
    });
    let proxy = proxy(&origin.config());
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut client = Client::connect(proxy.addr);
    for path in ["/plain", "/chunked"] {
        for chunked in [false, true] {
            for size in [0, 1, 1000, 5000, 65_536, 3_000_000] {
                let body = &body[..size];
                let framing = if chunked {
                    "Transfer-Encoding: chunked".to_owned()
                } else {
                    format!("Content-Length: {size}")
                };
                client.send(format!(
                    "POST {path} HTTP/1.1\r\nHost: a.test\r\n{framing}\r\n\r\n"
                ));
                if chunked {
                    for part in body.chunks(40_000) {
                        client
                            .send(format!("{:x}\r\n", part.len()))
                            .send(part)
                            .send("\r\n");
                    }
                    client.send("0\r\n\r\n");
                } else {
                    client.send(body);
                }
                let response = client.response();
                assert_eq!(response.status, 200);
                assert!(
                    response.body == body,
                    "{path} {chunked} {size}: {}",
                    response.body.len()
                );
            }
        }
    }
}

#[test]
fn trailers_pass_both_ways() {
    let origin = origin(|peer| {
        peer.request();
        peer.send(
            "HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nok\r\n0\r\nX-T: down\r\n\r\n",
        );
    });
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    client.send(
        "POST / HTTP/1.1\r\nHost: a.test\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nhi\r\n0\r\nX-T: up\r\n\r\n",
    );
    let response = client.response();
    assert_eq!(response.trailers, ["X-T: down"]);
    assert_eq!(origin.seen()[0].trailers, ["X-T: up"]);
}

#[test]
fn a_response_until_close_is_chunked_for_1_1_and_ends_the_connection_for_1_0() {
    let origin = origin(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\n\r\nuntil close");
    });
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    for _ in 0..2 {
        let response = client.get("/");
        assert_eq!(response.field("transfer-encoding"), Some("chunked"));
        assert_eq!(response.text(), "until close");
    }
    let mut old = Client::connect(proxy.addr);
    old.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
    let response = old.response();
    assert_eq!(response.field("transfer-encoding"), None);
    assert_eq!(response.text(), "until close");
}

#[test]
fn a_head_response_has_no_body() {
    let origin = origin(|peer| {
        while peer.request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
        }
    });
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    for _ in 0..3 {
        client.send("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        assert!(client.head().contains("Content-Length: 5000\r\n"));
    }
}

#[test]
fn an_empty_host_field_becomes_the_servers_address() {
    let origin = answering(OK);
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    client.send("GET / HTTP/1.1\r\nHost:\r\n\r\n");
    assert_eq!(client.response().status, 200);
    let head = &origin.seen()[0].head;
    assert!(head.contains("Host: 127.0.0.1:"), "{head}");
}

#[test]
fn a_client_that_leaves_ends_the_upstream_request() {
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let origin = origin(move |peer| {
        peer.head();
        let mut byte = [0];
        let ended = matches!(peer.stream.read(&mut byte), Ok(0) | Err(_));
        tell.lock().unwrap().send(ended).unwrap();
    });
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    std::thread::sleep(Duration::from_millis(50));
    drop(client);
    assert!(
        told.recv_timeout(Duration::from_secs(5))
            .expect("the origin is told")
    );
}

#[test]
fn malformed_requests_are_refused_and_the_connection_closes() {
    let origin = answering(OK);
    let proxy = proxy(&origin.config());
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\nHost: a\n\n", "400"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "400",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "400",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
            "400",
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n", "400"),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "501"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
            "501",
        ),
        ("\u{0}\u{1}\u{2}\r\n\r\n", "400"),
    ] {
        let mut client = Client::connect(proxy.addr);
        client.send(request);
        let answer = String::from_utf8(client.read_to_end()).unwrap();
        assert_eq!(answer.get(9..12), Some(status), "{request:?}: {answer:?}");
    }
    assert!(origin.seen().is_empty(), "nothing of that was forwarded");
}

#[test]
fn a_malformed_chunked_body_is_400_and_never_a_second_request() {
    let origin = answering(OK);
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    client.send(
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n\
         zz\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n",
    );
    assert_eq!(client.response().status, 400);
    assert!(client.is_closed());
    assert!(origin.seen().is_empty());
}

#[test]
fn options_asterisk_is_answered_here() {
    let proxy = proxy("http: {routers: {}}\n");
    let mut client = Client::connect(proxy.addr);
    client.send("OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(client.response().status, 200);
}

#[test]
fn a_slow_head_is_ended_by_the_read_timeout() {
    let proxy = builder()
        .entry_point(|entry_point| {
            let timeouts = &mut entry_point.transport.responding_timeouts;
            timeouts.read_timeout = ringway::config::duration::GoDuration::from_millis(100);
        })
        .start("http: {routers: {}}\n");
    let mut client = Client::connect(proxy.addr);
    client.send("GET / HTTP/1.1\r\nHo");
    assert!(client.is_closed());
    let mut silent = Client::connect(proxy.addr);
    assert!(silent.is_closed());
}

#[test]
fn a_head_that_arrives_byte_by_byte_is_served() {
    let origin = answering(OK);
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    for byte in b"GET /drip HTTP/1.1\r\nHost: a.test\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.response().status, 200);
    client.send("GET /a HTTP/1.1\r\nHost: a.test\r\n\r\nGET /b HTTP/1.1\r\nHo");
    assert_eq!(client.response().status, 200);
    client.send("st: a.test\r\n\r\n");
    assert_eq!(client.response().status, 200);
}

#[test]
fn round_robin_over_two_servers_and_shards_share_the_port() {
    let (a, b) = (answering(OK), answering(OK));
    let yaml = format!(
        "http:\n  routers: {{r: {{rule: \"PathPrefix(`/`)\", service: s}}}}\n  services: {{s: {{loadBalancer: {{servers: [{{url: \"{}\"}}, {{url: \"{}\", weight: 3}}]}}}}}}\n",
        a.url(),
        b.url()
    );
    let proxy = builder().shards(2).start(&yaml);
    let mut clients: Vec<_> = (0..8).map(|_| Client::connect(proxy.addr)).collect();
    for _ in 0..10 {
        for client in &mut clients {
            assert_eq!(client.get("/").status, 200);
        }
    }
    let (a, b) = (a.seen().len(), b.seen().len());
    assert_eq!(a + b, 80);
    assert!((18..=22).contains(&a), "{a} of 80");
}

#[test]
fn many_clients_with_slow_readers_all_get_their_bytes() {
    let origin = answering_bytes(2_000_000);
    let proxy = proxy(&origin.config());
    let addr = proxy.addr;
    let readers: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(move || {
                let mut stream = std::net::TcpStream::connect(addr).unwrap();
                stream
                    .write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
                    .unwrap();
                std::thread::sleep(Duration::from_millis(50));
                let mut all = Vec::new();
                stream.read_to_end(&mut all).unwrap();
                all.len()
            })
        })
        .collect();
    for reader in readers {
        assert!(reader.join().unwrap() > 2_000_000);
    }
}

#[test]
fn an_error_page_for_a_refused_request_leaves_its_body_framed() {
    let (pages, origin) = (answering(OK), answering(OK));
    let yaml = format!(
        "http:\n  routers: {{r: {{rule: \"PathPrefix(`/`)\", service: s, middlewares: [e, a]}}}}\n  \
         middlewares:\n    e: {{errors: {{status: ['401'], service: p, query: /page}}}}\n    \
         a: {{basicAuth: {{users: ['u:$apr1$abcdefgh$5VEbMkemELfbhC5ck.U.z1']}}}}\n  \
         services:\n    s: {{loadBalancer: {{servers: [{{url: \"{}\"}}]}}}}\n    \
         p: {{loadBalancer: {{servers: [{{url: \"{}\"}}]}}}}\n",
        origin.url(),
        pages.url()
    );
    let proxy = proxy(&yaml);
    let mut client = Client::connect(proxy.addr);
    let body = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";
    for _ in 0..2 {
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let response = client.response();
        assert_eq!((response.status, response.text().as_str()), (401, "ok"));
    }
    assert!(origin.seen().is_empty(), "{:?}", origin.seen());
    assert!(
        pages
            .seen()
            .iter()
            .all(|seen| seen.head.starts_with("GET /page "))
    );
    assert_eq!(pages.seen().len(), 2);
}

#[test]
fn a_small_unwanted_body_is_drained_and_a_large_one_closes_the_connection() {
    let proxy = proxy("http: {routers: {}}\n");
    let mut client = Client::connect(proxy.addr);
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.response().status, 404);
    assert_eq!(client.get("/").status, 404);
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 300000\r\n\r\nhello");
    let response = client.response();
    assert_eq!(
        (response.status, response.field("connection")),
        (404, Some("close"))
    );
    assert!(client.is_closed());
}

#[test]
fn a_client_that_pipelines_and_never_reads_is_held_back() {
    let proxy = proxy("http: {routers: {}}\n");
    let mut stream = std::net::TcpStream::connect(proxy.addr).unwrap();
    stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let burst = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n".repeat(2000);
    // Both kernels' buffers and the proxy's limits hold a few MiB; after that writing must block.
    let mut sent = 0;
    while sent < 256 << 20 {
        match stream.write(burst.as_bytes()) {
            Ok(n) => sent += n,
            Err(_) => break,
        }
    }
    assert!(
        sent < 64 << 20,
        "{sent} bytes were taken without an answer being read"
    );
    assert_eq!(
        Client::connect(proxy.addr).get("/").status,
        404,
        "others are served"
    );
}
