//! What comes before the final answer, or instead of it: hints, the word to continue, and the switch to another protocol.

use std::io::Read;
use std::time::{Duration, Instant};

use super::support::client::Client;
use super::support::origin::{OK, answering, origin};
use super::support::proxy::proxy;

#[test]
fn interim_responses_are_passed_on() {
    let origin = origin(|peer| {
        peer.request();
        peer.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
        peer.send(OK);
    });
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let hints = client.head();
    assert!(
        hints.starts_with("HTTP/1.1 103 ") && hints.contains("Link: </a.css>"),
        "{hints}"
    );
    let response = client.response();
    assert_eq!((response.status, response.field("link")), (200, None));
}

#[test]
fn a_client_that_expects_continue_gets_the_origins_word() {
    let origin = origin(|peer| {
        let head = peer.head().unwrap();
        assert!(head.contains("Expect: 100-continue"), "{head}");
        peer.send("HTTP/1.1 100 Continue\r\n\r\n");
        let mut body = [0; 5];
        peer.stream.read_exact(&mut body).unwrap();
        peer.send(OK);
    });
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    client.send(
        "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    assert!(client.head().starts_with("HTTP/1.1 100 "));
    client.send("hello");
    assert_eq!(client.response().status, 200);
}

#[test]
fn an_origin_that_ignores_the_expectation_causes_no_long_wait() {
    let origin = answering(OK);
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    let start = Instant::now();
    client.send(
        "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    assert!(client.head().starts_with("HTTP/1.1 100 "));
    client.send("hello");
    assert_eq!(client.response().status, 200);
    assert!(
        start.elapsed() < Duration::from_millis(900),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(origin.seen()[0].body, b"hello");
}

#[test]
fn an_origin_that_refuses_the_expectation_is_heard_and_the_connection_closes() {
    let origin = origin(|peer| {
        peer.head();
        peer.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
    });
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    client.send(
        "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    let response = client.response();
    assert_eq!(
        (response.status, response.field("connection")),
        (417, Some("close"))
    );
    assert!(client.is_closed());
}

#[test]
fn a_websocket_is_a_tunnel_both_ways() {
    let origin = origin(|peer| {
        peer.head();
        peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly");
        let mut bytes = [0; 1024];
        while let Ok(n @ 1..) = peer.stream.read(&mut bytes) {
            peer.send(&bytes[..n]);
        }
        peer.send("bye");
    });
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    client.send(
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    let head = client.head();
    assert!(
        head.starts_with("HTTP/1.1 101 ") && head.contains("Upgrade: websocket"),
        "{head}"
    );
    assert_eq!(client.read_exact(5), b"early");
    client.send("ping");
    assert_eq!(client.read_exact(4), b"ping");
    client.shutdown_write();
    assert_eq!(client.read_to_end(), b"bye", "the other direction goes on");
}

#[test]
fn a_101_to_a_protocol_that_nobody_asked_for_is_502() {
    let origin = origin(|peer| {
        peer.head();
        peer.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n",
        );
    });
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    client
        .send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: foo, bar\r\n\r\n");
    assert_eq!(client.response().status, 502);
}

#[test]
fn payload_before_the_101_waits_for_it() {
    let origin = origin(|peer| {
        let head = peer.head().unwrap();
        assert!(head.ends_with("\r\n\r\n"));
        peer.stream
            .get_ref()
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let mut byte = [0];
        assert!(
            peer.stream.read(&mut byte).is_err(),
            "nothing before the 101"
        );
        peer.stream.get_ref().set_read_timeout(None).unwrap();
        peer.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n",
        );
        let mut bytes = [0; 5];
        peer.stream.read_exact(&mut bytes).unwrap();
        peer.send(bytes);
    });
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    client
        .send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nearly");
    assert!(client.head().starts_with("HTTP/1.1 101 "));
    assert_eq!(client.read_exact(5), b"early");
}
