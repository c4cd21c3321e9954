//! What a client is told, and what is used again, when a server fails: refused, slow, silent, broken off, too early.

mod support;

use std::io::{Read, Write};
use std::time::Duration;

use support::client::Client;
use support::origin::{OK, config, origin};
use support::proxy::{builder, proxy};

#[test]
fn a_server_without_an_answer_is_502_and_a_malformed_answer_too() {
    let origin = origin(|peer| {
        let Some(seen) = peer.request() else { return };
        if seen.head.starts_with("GET /malformed") {
            peer.send("HTTP/1.1 abc\r\n\r\n");
        }
    });
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    assert_eq!(client.get("/").status, 502);
    assert_eq!(client.get("/malformed").status, 502);
}

#[test]
fn a_body_that_breaks_off_cuts_the_clients_connection() {
    let origin = origin(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    });
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let all = client.read_to_end();
    assert!(
        all.ends_with(b"\r\n\r\nhalf"),
        "{}",
        String::from_utf8_lossy(&all)
    );
}

/// Where the connection's end is the end of the body, an end in order would make a part look whole.
#[test]
fn a_body_that_breaks_off_resets_the_connection_of_an_http_1_0_client() {
    let cut = [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense\r\n",
    ];
    for response in cut {
        let origin = origin(move |peer| {
            peer.request();
            peer.send(response);
        });
        let proxy = proxy(&origin.config());
        let mut client = Client::connect(proxy.addr);
        client.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
        assert!(client.is_reset(), "{response:?} ended in order");
    }
}

/// The same where the client's own time ends while the server is silent: it sends the rest of its body never.
#[test]
fn a_body_that_ends_by_a_time_limit_resets_the_connection_of_an_http_1_0_client() {
    let origin = origin(|peer| {
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        let _ = std::io::copy(&mut peer.stream, &mut std::io::sink());
    });
    let proxy = builder()
        .entry_point(|entry_point| {
            let timeouts = &mut entry_point.transport.responding_timeouts;
            timeouts.read_timeout = ringway::config::duration::GoDuration::from_millis(200);
        })
        .start(&origin.config());
    let mut client = Client::connect(proxy.addr);
    client.send("PUT / HTTP/1.0\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nhalf");
    assert!(client.is_reset(), "it ended in order");
}

#[test]
fn a_pooled_connection_with_surplus_bytes_is_not_reused() {
    let origin = origin(|peer| {
        while peer.request().is_some() {
            peer.send(format!("{OK}surplus"));
        }
    });
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "ok");
    }
    let connections: Vec<_> = origin.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 1, 2]);
}

#[test]
fn an_idle_upstream_connection_that_closed_is_not_used() {
    let origin = origin(|peer| {
        peer.request();
        peer.send(OK);
    });
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    for n in 0..20 {
        assert_eq!(client.get("/").status, 200, "request {n}");
        if n % 2 == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A server that began to answer has seen the request: it is not sent again, on whatever connection.
#[test]
fn a_request_is_not_sent_again_once_an_answer_has_begun() {
    let origin = origin(|peer| {
        let mut first = true;
        while peer.request().is_some() {
            if !std::mem::take(&mut first) {
                peer.send("HTTP/1.1 200 OK\r\nContent-");
                return;
            }
            peer.send(OK);
        }
    });
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    assert_eq!(client.get("/").status, 200);
    assert_eq!(client.get("/").status, 502);
    let connections: Vec<_> = origin.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 0], "asked twice, on one connection");
}

#[test]
fn an_early_answer_to_an_unread_body_closes_the_connection() {
    let origin = origin(|peer| {
        peer.head();
        peer.send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        // Keep reading, so that the answer is not lost to a reset.
        let _ = std::io::copy(&mut peer.stream, &mut std::io::sink());
    });
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\nbegin");
    let response = client.response();
    assert_eq!(
        (response.status, response.field("connection")),
        (413, Some("close"))
    );
    assert!(client.is_closed());
}

/// The client's time for sending does not run while the proxy connects.
#[test]
fn a_slow_connect_is_not_the_clients_fault() {
    // With one connection in its backlog of none the listener drops every SYN, which comes again a second later.
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener
        .bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    listener.listen(0).unwrap();
    let listener = std::net::TcpListener::from(listener);
    let addr = listener.local_addr().unwrap();
    let filler = std::net::TcpStream::connect(addr).unwrap();
    let proxy = builder()
        .entry_point(|entry_point| {
            let timeouts = &mut entry_point.transport.responding_timeouts;
            timeouts.read_timeout = ringway::config::duration::GoDuration::from_millis(300);
        })
        .start(&config(&[("PathPrefix(`/`)", &format!("http://{addr}"))]));
    let mut client = Client::connect(proxy.addr);
    let sent = std::time::Instant::now();
    client.send(
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n",
    );
    std::thread::sleep(Duration::from_millis(400));
    let (_filled, _) = listener.accept().unwrap();
    let (mut server, _) = listener.accept().unwrap();
    assert!(
        sent.elapsed() > Duration::from_millis(400),
        "connecting took long"
    );
    let mut head = [0; 4096];
    assert!(server.read(&mut head).unwrap() > 0);
    server.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    assert!(client.head().starts_with("HTTP/1.1 100 "));
    client.send("body");
    let mut body = [0; 4];
    server.read_exact(&mut body).unwrap();
    server.write_all(OK.as_bytes()).unwrap();
    assert_eq!(client.response().status, 200);
    drop(filler);
}

#[test]
fn refused_connections_are_502_and_a_missing_server_503() {
    let dead = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let none = "http:\n  routers: {r: {rule: \"PathPrefix(`/`)\", service: s}}\n  services: {s: {loadBalancer: {servers: []}}}\n";
    let mut proxy = proxy(&config(&[("PathPrefix(`/`)", &dead)]));
    let mut client = Client::connect(proxy.addr);
    let response = client.get("/");
    assert_eq!(
        (response.status, response.text().as_str()),
        (502, "Bad Gateway")
    );
    proxy.apply(none);
    let response = client.get("/");
    assert_eq!(
        (response.status, response.text().as_str()),
        (503, "no available server\n")
    );
}
