//! The kinds of state that must survive, each with how to bring it about and how to see that it is there.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use crate::support::client::Client;
use crate::support::origin::{Origin, answering, origin};
use crate::support::proxy::wait_until;
use crate::{Configuration, Item, Moment, ROUNDS, Start};

/// Everything that must survive.
pub const ITEMS: &[Item] = &[
    Item {
        name: "pool connections",
        prepare: pool_connections,
    },
    Item {
        name: "balancer position",
        prepare: balancer_position,
    },
    Item {
        name: "weights",
        prepare: weights,
    },
    Item {
        name: "requests in flight",
        prepare: requests_in_flight,
    },
    Item {
        name: "open WebSocket",
        prepare: open_websocket,
    },
    Item {
        name: "running download",
        prepare: running_download,
    },
    Item {
        name: "running upload",
        prepare: running_upload,
    },
    Item {
        name: "client connection",
        prepare: client_connection,
    },
    Item {
        name: "counters",
        prepare: counters,
    },
    Item {
        name: "verified password",
        prepare: verified_password,
    },
    Item {
        name: "retry in progress",
        prepare: retry_in_progress,
    },
    Item {
        name: "buffering in progress",
        prepare: buffering_in_progress,
    },
];

/// What moves of a body per change.
const PART: usize = 8 * 1024;

/// An origin that answers everything with its name.
pub fn named(name: &str) -> Origin {
    let text = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}",
        name.len()
    );
    answering(Box::leak(text.into_boxed_str()))
}

fn connections(origin: &Origin) -> usize {
    let seen = origin.seen();
    seen.iter()
        .map(|seen| seen.connection + 1)
        .max()
        .unwrap_or(0)
}

/// Sends requests until an own server has answered, whose name it returns: siblings have their turns, too.
fn ask(client: &mut Client, host: &str) -> String {
    for _ in 0..20 {
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let response = client.response();
        assert_eq!(response.status, 200, "{}", response.head);
        if response.text() != "sibling" {
            return response.text();
        }
    }
    panic!("20 requests in a row went to the sibling");
}

/// Bytes that depend on where they are in a body, so that none can be lost, repeated or moved.
fn part(n: usize) -> Vec<u8> {
    (0..PART)
        .map(|at| (((n * PART + at) * 31) >> 5) as u8)
        .collect()
}

fn body() -> Vec<u8> {
    (0..ROUNDS).flat_map(part).collect()
}

fn pool_connections(config: &mut Configuration) -> Start {
    let (one, two) = (named("one"), named("two"));
    config.route("pool", "", &[(&one, 1), (&two, 1)]);
    Box::new(move |proxy| {
        let mut client = Client::connect(proxy.addr);
        Box::new(move |_| {
            ask(&mut client, "pool");
            for origin in [&one, &two] {
                let dialled = connections(origin);
                assert!(dialled <= 1, "{dialled} connections instead of one");
            }
        })
    })
}

fn balancer_position(config: &mut Configuration) -> Start {
    let origins = ["a", "b", "c"].map(named);
    config.route(
        "turn",
        "",
        &[(&origins[0], 1), (&origins[1], 1), (&origins[2], 1)],
    );
    Box::new(move |proxy| {
        let mut client = Client::connect(proxy.addr);
        let mut counts = BTreeMap::from(["a", "b", "c"].map(|name| (name.to_owned(), 0)));
        Box::new(move |_| {
            *counts
                .get_mut(&ask(&mut client, "turn"))
                .expect("one of the three") += 1;
            // A balancer that began anew would give the first server every turn.
            let (least, most) = (counts.values().min(), counts.values().max());
            assert!(
                most <= least.map(|least| least + 1).as_ref(),
                "out of turn: {counts:?}"
            );
        })
    })
}

fn weights(config: &mut Configuration) -> Start {
    let (heavy, light) = (named("heavy"), named("light"));
    config.route("weights", "", &[(&heavy, 3), (&light, 1)]);
    Box::new(move |proxy| {
        let mut client = Client::connect(proxy.addr);
        let (mut heavy, mut light) = (0i32, 0i32);
        Box::new(move |_| {
            match ask(&mut client, "weights").as_str() {
                "heavy" => heavy += 1,
                _ => light += 1,
            }
            assert!(
                (heavy - 3 * light).abs() <= 3,
                "{heavy} : {light} instead of 3 : 1"
            );
        })
    })
}

/// An origin that holds requests for `/hold` until it is told to answer.
fn holding(name: &'static str) -> (Origin, Sender<()>) {
    let (release, released) = channel();
    let released: Arc<Mutex<Receiver<()>>> = Arc::new(Mutex::new(released));
    let origin = origin(move |peer| {
        while let Some(request) = peer.request() {
            if request.head.starts_with("GET /hold") {
                // Also released when the test is over.
                let _ = released.lock().expect("no panic holds it").recv();
            }
            peer.answer(name);
        }
    });
    (origin, release)
}

fn requests_in_flight(config: &mut Configuration) -> Start {
    let servers = [holding("a"), holding("b")];
    let service = config.route("light", "", &[(&servers[0].0, 1), (&servers[1].0, 1)]);
    service.options.insert("strategy".into(), "p2c".into());
    Box::new(move |proxy| {
        let mut held = Client::connect(proxy.addr);
        held.send("GET /hold HTTP/1.1\r\nHost: light\r\n\r\n");
        let busy = |origin: &Origin| !origin.seen().is_empty();
        wait_until("one server is busy", || {
            servers.iter().any(|(origin, _)| busy(origin))
        });
        let (name, other) = if busy(&servers[0].0) {
            ("a", "b")
        } else {
            ("b", "a")
        };
        let mut client = Client::connect(proxy.addr);
        Box::new(move |moment| {
            // With two choices of two or three servers, the busy one never is the lighter.
            assert_eq!(ask(&mut client, "light"), other, "the server that is busy");
            if moment == Moment::AtEnd {
                servers
                    .iter()
                    .for_each(|(_, release)| release.send(()).expect("the origin lives"));
                assert_eq!(held.response().text(), name);
            }
        })
    })
}

fn open_websocket(config: &mut Configuration) -> Start {
    let echo = origin(|peer| {
        use std::io::Read;
        peer.head();
        peer.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        let mut byte = [0];
        while peer.stream.read_exact(&mut byte).is_ok() {
            peer.send(byte);
        }
    });
    config.route("socket", "", &[(&echo, 1)]);
    Box::new(move |proxy| {
        let mut client = Client::connect(proxy.addr);
        client.send("GET / HTTP/1.1\r\nHost: socket\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
        assert!(client.head().starts_with("HTTP/1.1 101"));
        let mut sent = 0u8;
        Box::new(move |_| {
            sent = sent.wrapping_add(1);
            client.send([sent]);
            assert_eq!(client.read_exact(1), [sent]);
        })
    })
}

fn running_download(config: &mut Configuration) -> Start {
    let (next, parts) = channel::<Vec<u8>>();
    let parts = Mutex::new(parts);
    let origin = origin(move |peer| {
        peer.head();
        peer.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            ROUNDS * PART
        ));
        for part in parts.lock().expect("no panic holds it").iter() {
            peer.send(part);
        }
    });
    config.route("download", "", &[(&origin, 1)]);
    Box::new(move |proxy| {
        let mut client = Client::connect(proxy.addr);
        client.send("GET / HTTP/1.1\r\nHost: download\r\n\r\n");
        assert!(client.head().starts_with("HTTP/1.1 200"));
        let mut received = Vec::new();
        let mut sent = 0..ROUNDS;
        Box::new(move |_| {
            if let Some(n) = sent.next() {
                next.send(part(n)).expect("the origin still sends");
                received.extend(client.read_exact(PART));
            } else {
                assert!(received == body(), "the download is not what was sent");
                // And its connection goes on.
                client.send("GET / HTTP/1.1\r\nHost: nowhere\r\n\r\n");
                assert_eq!(client.response().status, 404);
            }
        })
    })
}

/// An upload that gets one part further with each change.
fn upload(config: &Configuration, host: &'static str, origin: Origin) -> Start {
    let sibling = config.sibling.clone();
    Box::new(move |proxy| {
        let mut client = Client::connect(proxy.addr);
        let length = ROUNDS * PART;
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n"
        ));
        let mut sent = 0..ROUNDS;
        Box::new(move |_| {
            if let Some(n) = sent.next() {
                client.send(part(n));
            } else {
                assert_eq!(client.response().status, 200);
                // What is buffered is sent at the end, when a sibling may be there.
                let field = format!("X-Forwarded-Host: {host}\r\n");
                let mut seen = origin.seen();
                seen.extend(sibling.seen());
                seen.retain(|seen| seen.head.contains(&field));
                assert_eq!(seen.len(), 1);
                assert!(seen[0].body == body(), "the upload is not what was sent");
            }
        })
    })
}

fn running_upload(config: &mut Configuration) -> Start {
    let origin = named("done");
    config.route("upload", "", &[(&origin, 1)]);
    upload(config, "upload", origin)
}

fn buffering_in_progress(config: &mut Configuration) -> Start {
    let origin = named("done");
    config.route("buffered", "buffering", &[(&origin, 1)]);
    let text = format!("{{buffering: {{maxRequestBodyBytes: {}}}}}", ROUNDS * PART);
    config.middlewares.insert("buffering".into(), text);
    upload(config, "buffered", origin)
}

fn client_connection(config: &mut Configuration) -> Start {
    let origin = named("here");
    config.route("client", "", &[(&origin, 1)]);
    Box::new(move |proxy| {
        let mut idle = Client::connect(proxy.addr);
        ask(&mut idle, "client");
        let mut used = Client::connect(proxy.addr);
        Box::new(move |moment| {
            ask(&mut used, "client");
            if moment == Moment::AtEnd {
                ask(&mut idle, "client");
            }
        })
    })
}

fn counters(config: &mut Configuration) -> Start {
    let origin = named("here");
    config.route("counted", "", &[(&origin, 1)]);
    Box::new(move |proxy| {
        let mut client = Client::connect(proxy.addr);
        let counters = proxy.counters();
        let requests = move || counters.count("requests");
        let mut known = 0;
        let mut sent = 0;
        Box::new(move |moment| {
            ask(&mut client, "counted");
            sent += 1;
            let now = requests();
            assert!(now >= known, "{known} requests were counted, then {now}");
            known = now;
            if moment == Moment::AtEnd {
                wait_until("every request is counted", || requests() >= sent);
            }
        })
    })
}

fn verified_password(config: &mut Configuration) -> Start {
    let origin = named("secret");
    config.route("auth", "auth", &[(&origin, 1)]);
    // ann:secret
    let text = "{basicAuth: {users: ['ann:$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/']}}";
    config.middlewares.insert("auth".into(), text.into());
    Box::new(move |proxy| {
        let mut client = Client::connect(proxy.addr);
        let counters = proxy.counters();
        let checks = move || counters.count("password_checks");
        Box::new(move |moment| {
            // ann:secret
            client.send(
                "GET / HTTP/1.1\r\nHost: auth\r\nAuthorization: Basic YW5uOnNlY3JldA==\r\n\r\n",
            );
            assert_eq!(client.response().status, 200);
            if moment == Moment::AtEnd {
                wait_until("the check is counted", || checks() > 0);
            }
            assert!(checks() <= 1, "the password was checked {} times", checks());
        })
    })
}

fn retry_in_progress(config: &mut Configuration) -> Start {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let flaky = origin(move |peer| {
        let request = peer.request();
        if request.is_some_and(|seen| seen.connection == 0) {
            // The first attempt ends without an answer when the test says so.
            let _ = released.lock().expect("no panic holds it").recv();
            return;
        }
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain");
    });
    config.route("retry", "retry", &[(&flaky, 1)]);
    let text = "{retry: {attempts: 3, status: ['502']}}";
    config.middlewares.insert("retry".into(), text.into());
    Box::new(move |proxy| {
        let mut client = Client::connect(proxy.addr);
        client.send("GET / HTTP/1.1\r\nHost: retry\r\n\r\n");
        wait_until("the first attempt", || flaky.seen().len() == 1);
        Box::new(move |moment| {
            if moment == Moment::AtEnd {
                release.send(()).expect("the first attempt is still held");
                let response = client.response();
                assert_eq!(response.status, 200, "{}", response.head);
            }
        })
    })
}
