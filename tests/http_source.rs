//! The HTTP provider against real servers: what it asks for, what it takes in, and that nothing bad takes anything away.

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ringway::config::decode::FromText;
use ringway::config::dynamic::Kind;
use ringway::config::statics::EtcdEndpoint;
use ringway::provider::etcd::{EtcdSettings, EtcdStore};
use ringway::provider::http::{
    Alias, AliasSource, HttpProvider, HttpSettings, Tls, Trigger, in_store,
};
use ringway::watcher::{Entry, Payload, Update};
use support::etcd;
use support::nginx::Nginx;
use support::origin::{Origin, Peer, origin};
use support::process::{PATIENCE, wait_for};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Between two polls; short, so that tests are.
const INTERVAL: Duration = Duration::from_millis(20);

/// One router with this rule and one service.
fn rules(host: &str) -> String {
    format!(
        "{{\"http\":{{\"routers\":{{\"r\":{{\"rule\":\"Host(`{host}`)\",\"service\":\"s\"}}}},\
         \"services\":{{\"s\":{{\"loadBalancer\":{{\"servers\":[{{\"url\":\"http://127.0.0.1:1\"}}]}}}}}}}}}}"
    )
}

fn ok(body: &str) -> String {
    with("", body)
}

/// An answer with further fields.
fn with(fields: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{fields}\r\n{body}",
        body.len()
    )
}

/// A server that answers as the text in it says, which may change.
fn changing(answer: &Arc<Mutex<String>>) -> Origin {
    let answer = Arc::clone(answer);
    origin(move |peer| {
        while peer.request().is_some() {
            let answer = answer.lock().unwrap().clone();
            peer.send(answer);
        }
    })
}

fn settings(endpoint: &str) -> HttpSettings {
    HttpSettings {
        endpoint: endpoint.to_owned(),
        timeout: Some(PATIENCE),
        headers: Vec::new(),
        tls: Tls::default(),
        max_bytes: 1 << 20,
        former: Arc::default(),
    }
}

/// A running provider and what it says.
struct Source {
    updates: Receiver<Update>,
    _provider: HttpProvider,
}

impl Source {
    fn start(settings: HttpSettings, trigger: Trigger) -> Self {
        let (sender, updates) = channel();
        let sink = move |update| drop(sender.send(update));
        Self {
            _provider: HttpProvider::start(settings, trigger, sink).expect("started"),
            updates,
        }
    }

    fn polling(settings: HttpSettings) -> Self {
        Self::start(settings, Trigger::Interval(INTERVAL))
    }

    /// A provider that follows the aliases that are sent.
    fn following(settings: HttpSettings) -> (Self, UnboundedSender<Alias>) {
        let (aliases, mut sent) = unbounded_channel();
        let source: AliasSource = Box::new(move |sender| {
            Box::pin(async move {
                while let Some(alias) = sent.recv().await {
                    sender.send_replace(alias);
                }
            })
        });
        (Self::start(settings, Trigger::Alias(source)), aliases)
    }

    /// The next update in short: `rule`, `-` for an empty patch, `!reason`.
    #[track_caller]
    fn next(&self) -> String {
        let update = self.updates.recv_timeout(PATIENCE).expect("an update");
        assert_eq!(&*update.provider, "http");
        match update.payload {
            Payload::Failed(reason) => format!("!{reason}"),
            Payload::Snapshot(objects) | Payload::Patch(objects) => {
                let router = objects.iter().find(|(key, _)| key.kind == Kind::HttpRouter);
                match router {
                    Some((_, Entry::Present(object))) => {
                        serde_json::to_value(object).unwrap()["rule"]
                            .as_str()
                            .unwrap()
                            .to_owned()
                    }
                    Some((_, Entry::Absent)) => "removed".to_owned(),
                    Some((_, Entry::Rejected(_))) => "rejected".to_owned(),
                    None => "-".to_owned(),
                }
            }
        }
    }

    /// The next update is a failure with this in it.
    #[track_caller]
    fn fails(&self, reason: &str) {
        let said = self.next();
        assert!(said.starts_with('!') && said.contains(reason), "{said}");
    }

    fn says_nothing(&self) -> bool {
        self.updates.try_recv().is_err()
    }
}

/// A server's answer, which may change, the server, and who polls it and has read the rule `a` there.
fn polled(answer: String) -> (Arc<Mutex<String>>, Origin, Source) {
    let answer = Arc::new(Mutex::new(answer));
    let server = changing(&answer);
    let source = Source::polling(settings(&server.url()));
    assert_eq!(source.next(), "Host(`a`)");
    (answer, server, source)
}

fn alias(value: &str) -> Alias {
    Alias::Value(value.into())
}

#[test]
fn it_polls_and_tells_only_of_what_differs() {
    let (answer, server, source) = polled(ok(&rules("a")));
    let polled = server.seen().len();
    wait_for("three more polls", || server.seen().len() > polled + 3);
    assert!(source.says_nothing(), "equal bodies publish nothing");
    *answer.lock().unwrap() = ok(&rules("b"));
    assert_eq!(source.next(), "Host(`b`)");
}

#[test]
fn an_etag_spares_the_body() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let server = origin(move |peer| {
        while let Some(request) = peer.request() {
            if request
                .head
                .to_ascii_lowercase()
                .contains("if-none-match: \"v1\"")
            {
                peer.send("HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n");
            } else {
                count.fetch_add(1, Ordering::SeqCst);
                peer.send(with("ETag: \"v1\"\r\n", &rules("a")));
            }
        }
    });
    let source = Source::polling(settings(&server.url()));
    assert_eq!(source.next(), "Host(`a`)");
    wait_for("five polls", || server.seen().len() >= 5);
    assert_eq!(sent.load(Ordering::SeqCst), 1);
    assert!(source.says_nothing());
}

#[test]
fn the_request_has_the_configured_fields_and_path() {
    let server = changing(&Arc::new(Mutex::new(ok(&rules("a")))));
    let source = Source::polling(HttpSettings {
        headers: vec![("X-Token".to_owned(), Box::<str>::from("t0k3n").into())],
        ..settings(&format!("{}/conf?x=1", server.url()))
    });
    source.next();
    let head = server.seen()[0].head.clone();
    assert!(head.starts_with("GET /conf?x=1 HTTP/1.1\r\n"), "{head}");
    assert!(
        head.to_ascii_lowercase().contains("x-token: t0k3n\r\n"),
        "{head}"
    );
}

#[test]
fn what_fails_is_told_once_and_takes_nothing_away() {
    let (answer, server, source) = polled(ok(&rules("a")));
    *answer.lock().unwrap() = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_owned();
    source.fails("503");
    let polled = server.seen().len();
    wait_for("three more tries", || server.seen().len() > polled + 3);
    assert!(source.says_nothing(), "the same failure again is no news");
    // The same body as before: nothing to tell but that the error is over.
    *answer.lock().unwrap() = ok(&rules("a"));
    assert_eq!(source.next(), "-");
}

#[test]
fn a_broken_body_keeps_the_state_and_is_tried_again() {
    let (answer, server, source) = polled(with("ETag: \"1\"\r\n", &rules("a")));
    for (body, reason) in [
        ("{\"http\": {", "is no configuration"),
        ("<html>502</html>", "a map"),
        ("", "it is empty"),
    ] {
        *answer.lock().unwrap() = with("ETag: \"2\"\r\n", body);
        source.fails(reason);
        let head = server.last().head.to_ascii_lowercase();
        assert!(!head.contains("if-none-match: \"2\""), "{head}");
    }
    // One bad object among good ones rejects itself alone.
    let bad = rules("b").replace("\"service\"", "\"servise\"");
    *answer.lock().unwrap() = ok(&bad);
    assert_eq!(source.next(), "rejected");
    *answer.lock().unwrap() = ok(&rules("b"));
    loop {
        match source.next().as_str() {
            "-" => {}
            rule => break assert_eq!(rule, "Host(`b`)"),
        }
    }
    *answer.lock().unwrap() = ok("{}");
    assert_eq!(source.next(), "removed");
}

#[test]
fn a_body_over_the_limit_is_refused_whether_announced_or_not() {
    let chunked = Arc::new(AtomicBool::new(false));
    let in_chunks = Arc::clone(&chunked);
    let server = origin(move |peer| {
        while peer.request().is_some() {
            let body = format!("# {}\n{}", "x".repeat(2000), rules("a"));
            if in_chunks.load(Ordering::SeqCst) {
                peer.send(format!(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                    body.len()
                ));
            } else {
                peer.send(ok(&body));
            }
        }
    });
    for is_chunked in [false, true] {
        chunked.store(is_chunked, Ordering::SeqCst);
        let limited = HttpSettings {
            max_bytes: 1000,
            ..settings(&server.url())
        };
        Source::polling(limited)
            .fails("more than 1000 bytes: raise providers.http.maxResponseBodySize");
    }
    assert_eq!(Source::polling(settings(&server.url())).next(), "Host(`a`)");
}

#[test]
fn a_slow_server_is_given_up_and_asked_again() {
    let is_slow = Arc::new(AtomicBool::new(true));
    let slow = Arc::clone(&is_slow);
    let server = origin(move |peer| {
        while peer.request().is_some() {
            if slow.load(Ordering::SeqCst) {
                // A head and half a body; then nothing, until the client gives up.
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{");
                peer.line();
                return;
            }
            peer.send(ok(&rules("a")));
        }
    });
    let source = Source::polling(HttpSettings {
        timeout: Some(Duration::from_millis(200)),
        ..settings(&server.url())
    });
    source.fails("no whole answer within providers.http.pollTimeout");
    is_slow.store(false, Ordering::SeqCst);
    assert_eq!(source.next(), "Host(`a`)");
}

#[test]
fn a_server_that_is_not_there_yet_is_waited_for() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let source = Source::polling(settings(&format!(
        "http://user:hunter2@{address}/x?token=hunter2"
    )));
    let said = source.next();
    assert!(
        said.contains("refused") && said.contains(&address.to_string()),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
    let listener = std::net::TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            use std::io::{Read, Write};
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(ok(&rules("a")).as_bytes());
        }
    });
    assert_eq!(source.next(), "Host(`a`)");
}

#[test]
fn redirections_are_followed_up_to_a_limit() {
    let server = origin(|peer| {
        while let Some(request) = peer.request() {
            match request.target() {
                "/there" => peer.send(ok(&rules("a"))),
                "/old" => {
                    peer.send("HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n")
                }
                _ => {
                    peer.send("HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n")
                }
            }
        }
    });
    let source = Source::polling(settings(&format!("{}/old", server.url())));
    assert_eq!(source.next(), "Host(`a`)");
    let source = Source::polling(settings(&format!("{}/loop", server.url())));
    source.fails("too many redirects");
}

#[test]
fn settings_that_make_no_request_are_refused_at_the_start() {
    let refused = |settings| {
        let trigger = Trigger::Interval(INTERVAL);
        let error = HttpProvider::start(settings, trigger, drop).unwrap_err();
        error.to_string()
    };
    assert!(refused(settings("http://")).contains("providers.http.endpoint"));
    assert!(refused(settings("ftp://a")).contains("neither http:// nor https://"));
    let headers = vec![("a b".to_owned(), Box::<str>::from("x").into())];
    let error = refused(HttpSettings {
        headers,
        ..settings("http://a")
    });
    assert!(error.contains("providers.http.headers.a b"), "{error}");
}

/// The alias's path of each request so far.
fn paths(server: &Origin) -> Vec<String> {
    let seen = server.seen().into_iter();
    seen.map(|seen| seen.target().to_owned()).collect()
}

/// Answers with a rule named after the path.
fn by_path(peer: &mut Peer) {
    while let Some(request) = peer.request() {
        let path = request
            .head
            .split(' ')
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        peer.send(ok(&rules(path.trim_matches('/'))));
    }
}

#[test]
fn each_write_of_the_alias_has_its_configuration_fetched_once() {
    let server = origin(by_path);
    let (source, aliases) = Source::following(settings(&server.url()));
    aliases.send(alias("one")).unwrap();
    assert_eq!(source.next(), "Host(`one`)");
    aliases.send(alias("two")).unwrap();
    assert_eq!(source.next(), "Host(`two`)");
    // The same value written again counts; its configuration has not changed.
    aliases.send(alias("two")).unwrap();
    wait_for("a third fetch", || server.seen().len() == 3);
    aliases.send(alias("/deep/er")).unwrap();
    assert_eq!(source.next(), "Host(`deep/er`)");
    assert_eq!(paths(&server), ["/one", "/two", "/two", "/deep/er"]);
    // A key that is gone keeps the state, and says so.
    aliases
        .send(Alias::Missing("the key is empty".into()))
        .unwrap();
    source.fails("the key is empty");
    aliases.send(alias("a/../b")).unwrap();
    source.fails("\"a/../b\"");
    aliases.send(alias("one")).unwrap();
    assert_eq!(source.next(), "Host(`one`)");
    assert_eq!(server.seen().len(), 5);
}

#[test]
fn a_newer_alias_ends_a_fetch_that_still_runs() {
    let (closed, was_closed) = channel();
    let closed = Mutex::new(closed);
    let server = origin(move |peer| {
        let Some(request) = peer.request() else {
            return;
        };
        if request.head.starts_with("GET /slow ") {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{");
            // Until the client has gone.
            assert!(peer.line().is_none());
            closed.lock().unwrap().send(Instant::now()).unwrap();
        } else {
            peer.send(ok(&rules("quick")));
        }
    });
    let (source, aliases) = Source::following(settings(&server.url()));
    aliases.send(alias("slow")).unwrap();
    wait_for("the slow fetch runs", || server.seen().len() == 1);
    aliases.send(alias("quick")).unwrap();
    assert_eq!(source.next(), "Host(`quick`)");
    was_closed
        .recv_timeout(PATIENCE)
        .expect("the slow fetch has ended");
    assert!(
        source.says_nothing(),
        "nothing is told of what was given up"
    );
}

#[test]
fn a_failed_fetch_of_an_alias_keeps_the_state_and_is_tried_again() {
    let is_broken = Arc::new(AtomicBool::new(false));
    let broken = Arc::clone(&is_broken);
    let server = origin(move |peer| {
        while let Some(request) = peer.request() {
            if broken.load(Ordering::SeqCst) {
                peer.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
                continue;
            }
            let path = request
                .head
                .split(' ')
                .nth(1)
                .unwrap_or_default()
                .to_owned();
            peer.send(ok(&rules(path.trim_matches('/'))));
        }
    });
    let (source, aliases) = Source::following(settings(&server.url()));
    aliases.send(alias("one")).unwrap();
    assert_eq!(source.next(), "Host(`one`)");
    is_broken.store(true, Ordering::SeqCst);
    aliases.send(alias("two")).unwrap();
    source.fails("404");
    wait_for("a second try", || server.seen().len() == 3);
    is_broken.store(false, Ordering::SeqCst);
    assert_eq!(source.next(), "Host(`two`)");
}

#[test]
fn an_alias_key_in_etcd_says_what_is_fetched() {
    let etcd = etcd::etcd();
    let server = origin(by_path);
    let (sender, updates) = channel();
    let settings_of_etcd = EtcdSettings {
        endpoints: vec![EtcdEndpoint::from_text(&etcd.endpoint()).unwrap()],
        ..EtcdSettings::default()
    };
    let trigger = Trigger::Alias(in_store(
        move || EtcdStore::new(settings_of_etcd),
        "/clusters/a/alias",
    ));
    let sink = move |update| drop(sender.send(update));
    let source = Source {
        _provider: HttpProvider::start(settings(&server.url()), trigger, sink).unwrap(),
        updates,
    };
    source.fails("the key \"/clusters/a/alias\" is missing or empty");
    etcd.put("/clusters/a/alias", "one");
    assert_eq!(source.next(), "Host(`one`)");
    // Neighbours are not it.
    etcd.put("/clusters/a/alias2", "three");
    etcd.put("/clusters/a/alias", "two");
    assert_eq!(source.next(), "Host(`two`)");
    etcd.put("/clusters/a/alias", "two");
    wait_for("the same value counts", || server.seen().len() == 3);
    etcd.ctl(&["del", "/clusters/a/alias"]);
    source.fails("is missing or empty");
    assert_eq!(paths(&server), ["/one", "/two", "/two"]);
}

/// nginx that serves the rules `tls`; `client` is its `ssl_verify_client`.
fn nginx(client: &str) -> Nginx {
    let nginx = Nginx::start(client, "");
    std::fs::write(nginx.file("rules"), rules("tls")).unwrap();
    nginx
}

fn asked_of(nginx: &Nginx, host: &str, tls: Tls) -> HttpSettings {
    HttpSettings {
        tls,
        ..settings(&format!("https://{host}:{}/rules", nginx.port))
    }
}

#[test]
fn a_server_is_verified_by_the_configured_authority() {
    let nginx = nginx("off");
    let good = Tls {
        ca: nginx.file("ca.pem"),
        ..Tls::default()
    };
    let source = Source::polling(asked_of(&nginx, "127.0.0.1", good.clone()));
    assert_eq!(source.next(), "Host(`tls`)");
    let as_text = Tls {
        ca: nginx.text("ca.pem"),
        ..Tls::default()
    };
    let source = Source::polling(asked_of(&nginx, "127.0.0.1", as_text));
    assert_eq!(source.next(), "Host(`tls`)");
    // Another name than the certificate's.
    Source::polling(asked_of(&nginx, "localhost", good)).fails("certificate");
    // The system's authorities do not know this one.
    Source::polling(asked_of(&nginx, "127.0.0.1", Tls::default())).fails("certificate");
    let any = Tls {
        insecure_skip_verify: true,
        ..Tls::default()
    };
    let source = Source::polling(asked_of(&nginx, "localhost", any));
    assert_eq!(source.next(), "Host(`tls`)");
    let missing = Tls {
        ca: nginx.file("none.pem"),
        ..Tls::default()
    };
    Source::polling(asked_of(&nginx, "127.0.0.1", missing)).fails("providers.http.tls.ca");
}

#[test]
fn an_authority_that_is_put_right_is_read_again() {
    let nginx = nginx("off");
    let file = nginx.file("later.pem");
    let tls = Tls {
        ca: file.clone(),
        ..Tls::default()
    };
    let source = Source::polling(asked_of(&nginx, "127.0.0.1", tls));
    source.fails("later.pem cannot be read");
    std::fs::write(file, nginx.text("ca.pem")).unwrap();
    assert_eq!(source.next(), "Host(`tls`)");
}

#[test]
fn a_certificate_of_its_own_is_shown_to_the_server() {
    let nginx = nginx("on");
    let without = Tls {
        ca: nginx.file("ca.pem"),
        ..Tls::default()
    };
    Source::polling(asked_of(&nginx, "127.0.0.1", without.clone())).fails("400");
    let with = Tls {
        cert: nginx.file("client.pem"),
        key: Box::<str>::from(nginx.text("client.key")).into(),
        ..without.clone()
    };
    let source = Source::polling(asked_of(&nginx, "127.0.0.1", with));
    assert_eq!(source.next(), "Host(`tls`)");
    let keyless = Tls {
        cert: nginx.file("client.pem"),
        ..without
    };
    Source::polling(asked_of(&nginx, "127.0.0.1", keyless)).fails("providers.http.tls.key");
}
