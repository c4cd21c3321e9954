//! Origins that misframe their answers: nobody gets another one's answer, and no part of one passes for the whole.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};

use super::support::client::{Client, Response};
use super::support::origin::{Origin, Peer, origin};
use super::support::proxy::{proxy, wait_until};

/// An origin that answers `/bad` with `answer`, and everything else properly, on connections that stay open: with the
/// target, so that everybody can tell their own.
fn misframing(answer: impl Fn(&mut Peer) + Send + Sync + 'static) -> Origin {
    origin(move |peer| {
        while let Some(seen) = peer.request() {
            match seen.target() {
                "/bad" => answer(peer),
                target => peer.answer(target),
            }
        }
    })
}

/// Asks for `/bad` with `method`, and then on other connections for what must be answered properly.
fn poisoned(origin: &Origin, method: &str) -> (String, Vec<Response>) {
    let proxy = proxy(&origin.config());
    // The pool is warm, so that the bad answer comes on a connection that was used before.
    assert_eq!(Client::connect(proxy.addr).get("/warm").text(), "/warm");
    let mut attacker = Client::connect(proxy.addr);
    attacker.send(format!(
        "{method} /bad HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
    ));
    let answer = String::from_utf8_lossy(&attacker.read_to_end()).into_owned();
    let victims = (0..5).map(|n| Client::connect(proxy.addr).get(&format!("/victim{n}")));
    let victims: Vec<Response> = victims.collect();
    for (n, victim) in victims.iter().enumerate() {
        assert_eq!(victim.text(), format!("/victim{n}"), "after {answer:?}");
    }
    (answer, victims)
}

const INNER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned";

#[test]
fn a_body_with_204_or_304_poisons_no_pool() {
    for status in ["204 No Content", "304 Not Modified"] {
        for field in [
            "Content-Length: 46\r\n",
            "Transfer-Encoding: chunked\r\n",
            "",
        ] {
            let answer = format!("HTTP/1.1 {status}\r\n{field}\r\n{INNER}");
            let (got, _) = poisoned(&misframing(move |peer| peer.send(&answer)), "GET");
            assert!(
                got.starts_with(&format!("HTTP/1.1 {status}\r\n")) && got.ends_with("\r\n\r\n"),
                "{got}"
            );
            assert!(!got.contains("poisoned"), "{got}");
        }
    }
}

#[test]
fn a_body_with_the_answer_to_head_poisons_no_pool() {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{INNER}",
        INNER.len()
    );
    let (got, _) = poisoned(&misframing(move |peer| peer.send(&answer)), "HEAD");
    assert!(!got.contains("poisoned"), "{got}");
}

#[test]
fn surplus_behind_an_answer_poisons_no_pool() {
    for framing in [
        "Content-Length: 2\r\n\r\nok",
        "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{framing}{INNER}");
        let (got, _) = poisoned(&misframing(move |peer| peer.send(&answer)), "GET");
        assert!(got.contains("ok") && !got.contains("poisoned"), "{got}");
    }
}

#[test]
fn surplus_on_an_idle_connection_ends_it() {
    let (tell, told) = mpsc::channel();
    let told = Mutex::new(told);
    let origin = misframing(move |peer| {
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        let told = told.lock().expect("no panic holds it");
        told.recv().expect("the test goes on");
        peer.send(INNER);
    });
    let proxy = proxy(&origin.config());
    assert_eq!(Client::connect(proxy.addr).get("/bad").text(), "ok");
    wait_until("the connection lies in the pool", || {
        proxy.count("parked_upstream") == 1
    });
    tell.send(()).expect("the origin waits");
    wait_until("the connection is dropped", || {
        proxy.count("parked_upstream_lost") == 1
    });
    for n in 0..5 {
        let target = format!("/victim{n}");
        assert_eq!(Client::connect(proxy.addr).get(&target).text(), target);
    }
}

#[test]
fn lengths_that_contradict_each_other_poison_no_pool() {
    for (fields, is_502) in [
        ("Content-Length: 2\r\nContent-Length: 48", true),
        ("Content-Length: 2, 48", true),
        ("Content-Length: +2", true),
        ("Content-Length: 2\r\nContent-Length: 2", false),
        ("Transfer-Encoding: chunked, chunked", true),
        ("Transfer-Encoding: gzip, chunked", true),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nok{INNER}");
        let (got, _) = poisoned(&misframing(move |peer| peer.send(&answer)), "GET");
        assert_eq!(
            got.starts_with("HTTP/1.1 502 "),
            is_502,
            "{fields:?}: {got}"
        );
        assert!(!got.contains("poisoned"), "{got}");
    }
}

#[test]
fn an_answer_with_length_and_chunks_is_chunked_and_its_connection_not_used_again() {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{INNER}\r\n0\r\n\r\n",
        INNER.len()
    );
    let (got, _) = poisoned(&misframing(move |peer| peer.send(&answer)), "GET");
    assert!(
        !got.to_ascii_lowercase().contains("content-length: 2\r\n"),
        "{got}"
    );
    assert!(got.contains("poisoned"), "its own body, whole: {got}");
}

#[test]
fn malformed_answers_are_502_and_poison_no_pool() {
    for answer in [
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\n: y\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 99 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "ICY 200 OK\r\n\r\nok",
    ] {
        let (got, _) = poisoned(&misframing(move |peer| peer.send(answer)), "GET");
        assert!(got.starts_with("HTTP/1.1 502 "), "{answer:?}: {got}");
    }
}

#[test]
fn a_flood_of_interim_answers_ends_in_502() {
    let flood = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(10_000);
    let (got, _) = poisoned(&misframing(move |peer| peer.send(&flood)), "GET");
    assert!(got.contains("HTTP/1.1 502 "), "{} bytes", got.len());
    assert!(
        got.matches("HTTP/1.1 103 ").count() <= 32,
        "{} bytes",
        got.len()
    );
}

#[test]
fn a_late_100_continue_is_no_answer() {
    let origin = misframing(|peer| {
        peer.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let (got, _) = poisoned(&origin, "GET");
    assert!(got.ends_with("\r\n\r\nok"), "{got}");
}

#[test]
fn an_unasked_101_is_502_and_no_tunnel() {
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n{INNER}"
    );
    let (got, _) = poisoned(&misframing(move |peer| peer.send(&answer)), "GET");
    assert!(
        got.starts_with("HTTP/1.1 502 ") && !got.contains("poisoned"),
        "{got}"
    );
}

#[test]
fn a_body_cut_short_never_passes_for_whole() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npartXX",
    ] {
        let origin = origin(move |peer| {
            peer.request();
            peer.send(answer);
        });
        let proxy = proxy(&origin.config());
        let mut client = Client::connect(proxy.addr);
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        let got = String::from_utf8_lossy(&client.read_to_end()).into_owned();
        let whole =
            got.ends_with("0\r\n\r\n") || !got.contains("100\r\n") && !got.contains("chunked");
        assert!(got.starts_with("HTTP/1.1 200 ") && !whole, "{got}");
    }
}

#[test]
fn a_body_cut_short_resets_a_client_that_reads_until_the_end_of_the_connection() {
    let origin = origin(move |peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n");
    });
    let proxy = proxy(&origin.config());
    let mut client = TcpStream::connect(proxy.addr).expect("connected");
    client
        .write_all(b"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n")
        .expect("sent");
    let end = client.read_to_end(&mut Vec::new());
    let kind = end
        .expect_err("an orderly end would make the part the whole")
        .kind();
    assert_eq!(kind, ErrorKind::ConnectionReset);
}

#[test]
fn an_early_answer_to_an_unread_body_poisons_no_pool() {
    let origin = origin(|peer| {
        while let Some(head) = peer.head() {
            let target = head.split(' ').nth(1).expect("a target");
            peer.answer(target);
        }
    });
    let proxy = proxy(&origin.config());
    let inner = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";
    for _ in 0..20 {
        let mut attacker = Client::connect(proxy.addr);
        attacker.send(format!(
            "POST /early HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n{inner}",
            inner.len() + 50_000
        ));
        assert_eq!(attacker.response().text(), "/early");
        for n in 0..3 {
            let target = format!("/victim{n}");
            assert_eq!(Client::connect(proxy.addr).get(&target).text(), target);
        }
    }
}
