//! Exchanges that panic on a real shard, at the places that [`Exchange::fault_point`] marks.

use std::io::Read;

#[path = "../../tests/support/client.rs"]
#[allow(dead_code)] // A part of it is for other suites.
mod client;
#[path = "../../tests/support/origin.rs"]
#[allow(dead_code)] // As above.
mod origin;
#[path = "../../tests/support/proxy.rs"]
#[allow(dead_code)] // As above.
mod proxy;

use client::Client;
use origin::{OK, answering, origin};
use proxy::{proxy, wait_until};

fn asking_for(place: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-Test-Panic: {place}\r\n\r\n")
}

#[test]
fn a_panic_before_the_answer_is_500_and_the_shard_goes_on() {
    let origin = answering(OK);
    let proxy = proxy(&origin.config());
    let mut other = Client::connect(proxy.addr);
    assert_eq!(other.get("/").status, 200);
    for (n, place) in ["route", "forwarded"].iter().cycle().take(20).enumerate() {
        let mut client = Client::connect(proxy.addr);
        client.send(asking_for(place));
        let response = client.response();
        assert_eq!(
            (
                response.status,
                response.field("connection"),
                &*response.text()
            ),
            (500, Some("close"), "Internal Server Error\n"),
            "{n}: {place}"
        );
        assert!(client.is_closed());
        assert_eq!(other.get("/").text(), "ok", "{n}: {place}");
    }
    wait_until("the panics are counted", || {
        proxy.count("panicked_requests") == 20 && proxy.count("task_panics") == 20
    });
}

#[test]
fn a_panic_leaves_no_count_no_permit_and_no_connection_behind() {
    let origin = answering(OK);
    let proxy = proxy(&origin.config());
    for place in ["route", "forwarded", "answering"].repeat(10) {
        let mut client = Client::connect(proxy.addr);
        client.send(asking_for(place));
        client.read_to_end();
    }
    assert_eq!(Client::connect(proxy.addr).get("/").status, 200);
    // What remains is the last request's connection in the pool.
    wait_until("everything is as before", || {
        proxy.count("panicked_requests") == 30
            && proxy.count("active_requests") == 0
            && proxy.count("downstream_connections") == 0
            && proxy.count("connections") == 1
            && proxy.count("parked_upstream") == 1
            && proxy.count("streams") == 0
    });
}

#[test]
fn a_connection_of_a_panicked_exchange_is_not_used_again() {
    let origin = answering(OK);
    let proxy = proxy(&origin.config());
    assert_eq!(Client::connect(proxy.addr).get("/").status, 200);
    for place in ["forwarded", "answering"] {
        let mut client = Client::connect(proxy.addr);
        client.send(asking_for(place));
        client.read_to_end();
        assert_eq!(Client::connect(proxy.addr).get("/").text(), "ok");
    }
    let connections: Vec<usize> = origin.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 0, 1, 1, 2]);
}

#[test]
fn a_panic_behind_the_head_of_the_answer_cuts_the_connection() {
    let origin = origin(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nbegin");
        // Stays open, as an origin that has more to send.
        let _ = peer.stream.read(&mut [0]);
    });
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    client.send(asking_for("answering"));
    let all = String::from_utf8(client.read_to_end()).unwrap();
    assert!(!all.contains("500"), "two answers to one request: {all}");
    wait_until("the panic is counted", || {
        proxy.count("panicked_requests") == 1
    });
}

#[test]
fn a_panic_in_a_tunnel_ends_both_sides() {
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let origin = origin(move |peer| {
        peer.head();
        peer.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n",
        );
        let ended = matches!(peer.stream.read(&mut [0]), Ok(0) | Err(_));
        tell.lock().unwrap().send(ended).unwrap();
    });
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    client.send(
        "GET / HTTP/1.1\r\nHost: a.test\r\nX-Test-Panic: tunnel\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n",
    );
    client.read_to_end();
    assert!(
        told.recv_timeout(std::time::Duration::from_secs(10))
            .unwrap()
    );
}

#[test]
fn answers_to_earlier_requests_of_the_connection_arrive_before_the_500() {
    let origin = answering(OK);
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    let plain = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    client.send(format!("{plain}{plain}{}{plain}", asking_for("route")));
    let statuses = [(); 3].map(|()| client.response().status);
    assert_eq!(statuses, [200, 200, 500]);
    assert!(client.is_closed());
}

#[test]
fn a_panic_does_not_disturb_what_others_are_being_sent() {
    let body = vec![b'x'; 3_000_000];
    let expected = body.clone();
    let origin = origin(move |peer| {
        while peer.request().is_some() {
            peer.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                body.len()
            ));
            peer.send(&body);
        }
    });
    let proxy = proxy(&origin.config());
    let mut slow = Client::connect(proxy.addr);
    slow.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert!(slow.head().starts_with("HTTP/1.1 200 "));
    for place in ["route", "answering"].repeat(5) {
        let mut client = Client::connect(proxy.addr);
        client.send(asking_for(place));
        client.read_to_end();
    }
    assert!(slow.read_exact(3_000_000) == expected);
    assert!(slow.get("/").body == expected);
}
