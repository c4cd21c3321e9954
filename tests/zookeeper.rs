//! The ZooKeeper store against a real server: what is listed, what is watched, and what happens when the server goes,
//! hangs or forbids.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use ringway::config::secret::Secret;
use ringway::provider::kv::store::{Event, Failure, Revision, Scope, Store, Watch};
use ringway::provider::zookeeper::{SESSION_TIMEOUT, ZooKeeper, ZooKeeperSettings};

use support::stores::{PATIENCE, are_never_torn, changes, list, next, reconnect, run, watched};
use support::zookeeper::{Op, ZooKeeperServer, digest};

const ROOT: Scope<'_> = Scope::Prefix("traefik/");

fn settings(server: &ZooKeeperServer) -> ZooKeeperSettings {
    ZooKeeperSettings {
        endpoints: vec![server.endpoint().as_str().into()],
        username: "".into(),
        password: Default::default(),
        session_timeout: SESSION_TIMEOUT,
    }
}

fn user(server: &ZooKeeperServer, username: &str, password: &str) -> ZooKeeperSettings {
    ZooKeeperSettings {
        username: username.into(),
        password: Secret::new(password.into()),
        ..settings(server)
    }
}

async fn connected(settings: ZooKeeperSettings) -> ZooKeeper {
    let mut store = ZooKeeper::new(settings);
    store.connect().await.expect("connected");
    store
}

#[test]
fn a_listing_has_what_is_below_the_root_in_pages() {
    let server = ZooKeeperServer::start();
    let mut writer = server.writer();
    let rules: Vec<String> = (0..1500)
        .map(|n| format!("traefik/http/routers/r{n}/rule"))
        .collect();
    let pairs: Vec<(&str, &str)> = rules.iter().map(|key| (&**key, "Path(`/`)")).collect();
    writer.put(&pairs);
    writer.put(&[
        ("traefik2/http/routers/r/rule", "x"),
        ("traefik/http/routers/empty/tls", ""),
        ("traefik/http/routers/both", "a value of its own"),
        ("traefik/http/routers/both/rule", "Path(`/`)"),
    ]);
    run(async {
        let mut store = connected(settings(&server)).await;
        let (pairs, listing, pages) = list(&mut store, ROOT).await.expect("listed");
        assert_eq!(pages, [1000, 503]);
        assert_eq!(pairs["traefik/http/routers/r77/rule"], "Path(`/`)");
        assert_eq!(pairs["traefik/http/routers/empty/tls"], "");
        assert_eq!(
            pairs["traefik/http/routers/both"], "a value of its own",
            "a node with a value is a key, children or not"
        );
        assert!(!pairs.contains_key("traefik/http/routers/r77"), "a folder");
        assert_eq!(listing.store_id, None);
        let (slashed, _, _) = list(&mut store, Scope::Prefix("/traefik/"))
            .await
            .expect("listed");
        assert_eq!(slashed.len(), 1503);
        assert_eq!(slashed["/traefik/http/routers/r77/rule"], "Path(`/`)");
        for (scope, count) in [
            (Scope::Key("traefik/http/routers/r1/rule"), 1),
            (Scope::Key("/traefik/http/routers/r1/rule"), 1),
            (Scope::Key("traefik/http/routers/r1"), 0),
            (Scope::Key("nowhere/at/all"), 0),
            (Scope::Prefix("nowhere/"), 0),
        ] {
            let (found, later, _) = list(&mut store, scope).await.expect("listed");
            assert_eq!(found.len(), count, "{scope:?}");
            assert!(later.revision >= listing.revision);
        }
        let zxid = writer.commit(&[Op::Set("/traefik2", "elsewhere")]);
        let (_, listing, _) = list(&mut store, ROOT).await.expect("listed");
        assert_eq!(listing.revision, Revision(zxid), "the ensemble's number");
    });
}

/// ZooKeeper's own clients give up at `jute.maxbuffer`, 1 MiB.
#[test]
fn names_of_children_beyond_a_mebibyte_are_listed() {
    let server = ZooKeeperServer::start();
    let mut writer = server.writer();
    writer.put(&[("traefik/http/routers", "")]);
    let names: Vec<String> = (0..30_000)
        .map(|n| format!("/traefik/http/routers/a-router-with-a-rather-long-name-{n:06}"))
        .collect();
    for names in names.chunks(1000) {
        let ops: Vec<Op<'_>> = names.iter().map(|name| Op::Create(name, "x")).collect();
        writer.commit(&ops);
    }
    run(async {
        let mut store = connected(settings(&server)).await;
        let (pairs, ..) = list(&mut store, ROOT).await.expect("listed");
        assert_eq!(pairs.len(), names.len());
    });
}

#[test]
fn a_transaction_is_told_whole_with_its_number() {
    let server = ZooKeeperServer::start();
    let mut writer = server.writer();
    writer.put(&[("traefik/a", "1"), ("traefik/gone", "1"), ("other", "1")]);
    run(async {
        let mut store = connected(settings(&server)).await;
        let mut watch = watched(&mut store, ROOT).await;
        writer.commit(&[Op::Set("/other", "2")]);
        let zxid = writer.commit(&[Op::Set("/traefik/a", "2")]);
        loop {
            match next(&mut watch).await.expect("an event") {
                Event::Progress(revision) => assert!(revision < Revision(zxid)),
                Event::Transaction { revision, changes } => {
                    assert_eq!(revision, Revision(zxid));
                    assert_eq!(changes.len(), 1);
                    assert_eq!(changes[0].value.as_deref(), Some(&b"2"[..]));
                    break;
                }
                Event::Unknown => panic!("it is known"),
            }
        }
        writer.commit(&[Op::Set("/traefik/a", "2")]);
        assert_eq!(
            changes(&mut watch).await,
            ["traefik/a=2"],
            "the same value counts"
        );
        writer.commit(&[Op::Delete("/traefik/gone")]);
        assert_eq!(changes(&mut watch).await, ["traefik/gone"]);
        writer.commit(&[Op::Create("/traefik/r", "")]);
        assert_eq!(changes(&mut watch).await, ["traefik/r="]);
        writer.commit(&[Op::Create("/traefik/r/rule", "x")]);
        assert_eq!(
            changes(&mut watch).await,
            ["traefik/r", "traefik/r/rule=x"],
            "with a child it is a folder"
        );
        writer.commit(&[Op::Delete("/traefik/r/rule")]);
        assert_eq!(changes(&mut watch).await, ["traefik/r/rule", "traefik/r="]);
        let many: Vec<String> = (0..300).map(|n| format!("/traefik/many{n:03}")).collect();
        let mut ops: Vec<Op<'_>> = many.iter().map(|path| Op::Create(path, "x")).collect();
        ops.push(Op::Delete("/traefik/a"));
        writer.commit(&ops);
        let all = changes(&mut watch).await;
        assert_eq!(all.len(), 301, "{all:?}");
        assert_eq!(all[..2], ["traefik/a", "traefik/many000=x"]);
        writer.delete_all("/traefik");
        writer.put(&[("traefik/again", "1")]);
        let mut told = BTreeMap::new();
        while told.get("traefik/again") != Some(&Some("1".to_owned())) {
            take_in(&mut told, changes(&mut watch).await);
        }
        let (pairs, ..) = list(&mut store, ROOT).await.expect("listed");
        assert_eq!(pairs.into_keys().collect::<Vec<_>>(), ["traefik/again"]);
    });
}

fn take_in(told: &mut BTreeMap<String, Option<String>>, changes: Vec<String>) {
    told.extend(
        changes
            .into_iter()
            .map(|change| match change.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (change, None),
            }),
    );
}

#[test]
fn what_is_told_adds_up_to_what_is_listed() {
    let server = ZooKeeperServer::start();
    let mut writer = server.writer();
    writer.put(&[("traefik/n0", "start")]);
    run(async {
        let mut store = connected(settings(&server)).await;
        let (pairs, listing, _) = list(&mut store, ROOT).await.expect("listed");
        let mut watch = store.watch(ROOT, listing.revision).await.expect("watched");
        let mut told: BTreeMap<String, Option<String>> = pairs
            .into_iter()
            .map(|(key, value)| (key, Some(value)))
            .collect();
        let writes = std::thread::spawn(move || {
            // Multiplicative steps through the numbers below a prime visit them in no order that matters.
            let mut step = 1_u64;
            for n in 0..600 {
                step = step * 48_271 % 2_147_483_647;
                let (a, b) = (step % 7, step / 7 % 5);
                match step / 35 % 4 {
                    0 => writer.delete_all(&format!("/traefik/n{a}")),
                    1 => writer.put(&[(format!("traefik/n{a}"), n.to_string())]),
                    2 => writer.put(&[(format!("traefik/n{a}/m{b}"), n.to_string())]),
                    _ => writer.put(&[(format!("traefik/n{a}/m{b}/l"), "")]),
                }
            }
            writer.put(&[("traefik/end", "1")]);
        });
        while !told.contains_key("traefik/end") {
            take_in(&mut told, changes(&mut watch).await);
        }
        writes.join().expect("written");
        let (pairs, ..) = list(&mut store, ROOT).await.expect("listed");
        let told = told.into_iter().filter_map(|(k, v)| Some((k, v?)));
        assert_eq!(told.collect::<BTreeMap<_, _>>(), pairs);
    });
}

#[test]
fn transactions_are_seen_whole_in_listings_and_events() {
    let server = ZooKeeperServer::start();
    let mut writer = server.writer();
    writer.put(&[("traefik/a", "0"), ("traefik/b", "0")]);
    run(async {
        let mut store = connected(settings(&server)).await;
        let writes = std::thread::spawn(move || {
            for n in 1..=1000 {
                let n = n.to_string();
                writer.commit(&[Op::Set("/traefik/a", &n), Op::Set("/traefik/b", &n)]);
            }
        });
        are_never_torn(&mut store, 1000).await;
        writes.join().expect("written");
    });
}

#[test]
fn two_scopes_are_watched_beside_each_other() {
    let server = ZooKeeperServer::start();
    let mut writer = server.writer();
    writer.put(&[("traefik/alias", "t1"), ("traefik/t1/a", "1")]);
    run(async {
        let mut store = connected(settings(&server)).await;
        let mut alias = watched(&mut store, Scope::Key("traefik/alias")).await;
        let mut tree = watched(&mut store, Scope::Prefix("traefik/t1/")).await;
        writer.put(&[("traefik/alias2", "x"), ("traefik/t1/a", "2")]);
        writer.put(&[("traefik/alias", "t2")]);
        assert_eq!(changes(&mut tree).await, ["traefik/t1/a=2"]);
        assert_eq!(changes(&mut alias).await, ["traefik/alias=t2"]);
        writer.commit(&[Op::Delete("/traefik/alias")]);
        assert_eq!(changes(&mut alias).await, ["traefik/alias"]);
        writer.put(&[("traefik/alias", "t3")]);
        assert_eq!(changes(&mut alias).await, ["traefik/alias=t3"]);
    });
}

#[test]
fn another_state_of_the_store_is_told_even_if_nothing_in_scope_changed() {
    let server = ZooKeeperServer::start();
    let mut writer = server.writer();
    run(async {
        let mut store = connected(ZooKeeperSettings {
            session_timeout: Duration::from_millis(300),
            ..settings(&server)
        })
        .await;
        let mut watch = watched(&mut store, ROOT).await;
        let zxid = writer.commit(&[Op::Create("/elsewhere", "")]);
        loop {
            let Event::Progress(revision) = next(&mut watch).await.expect("an event") else {
                panic!("nothing in scope changed");
            };
            if revision >= Revision(zxid) {
                break;
            }
        }
    });
}

#[test]
fn who_may_not_read_is_refused_and_a_digest_lets_in() {
    let server = ZooKeeperServer::start();
    let mut writer = server.writer();
    writer.put(&[("traefik/open", "1")]);
    let own = digest("ann", "s3cret");
    writer.create_for(&own, "/traefik/closed", "2");
    run(async {
        for (username, password) in [("", ""), ("ann", "wr0ng"), ("bob", "s3cret")] {
            let mut store = connected(user(&server, username, password)).await;
            let error = list(&mut store, ROOT).await.expect_err("not allowed");
            assert_eq!(error.failure, Failure::Refused, "{error}");
            let told = error.to_string();
            assert!(
                told.contains("/traefik/closed") && told.contains("providers.zooKeeper.username"),
                "{told}"
            );
            assert!(password.is_empty() || !told.contains(password), "{told}");
        }
        let mut store = connected(user(&server, "ann", "s3cret")).await;
        let (pairs, ..) = list(&mut store, ROOT).await.expect("listed");
        assert_eq!(pairs.len(), 2);
    });
}

#[test]
fn a_restart_of_the_server_means_list_again() {
    let mut server = ZooKeeperServer::start();
    server.writer().put(&[("traefik/a", "1")]);
    run(async {
        let mut store = connected(settings(&server)).await;
        let (_, before, _) = list(&mut store, ROOT).await.expect("listed");
        let mut watch = store.watch(ROOT, before.revision).await.expect("watched");
        server.kill();
        let error = loop {
            match next(&mut watch).await {
                Ok(event) => assert!(matches!(event, Event::Progress(_)), "{event:?}"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.failure, Failure::Unavailable, "{error}");
        let error = store.connect().await.expect_err("it is gone");
        assert_eq!(error.failure, Failure::Unavailable, "{error}");
        server.restart();
        server.writer().commit(&[Op::Set("/traefik/a", "2")]);
        reconnect(&mut store).await;
        let mut watch = store.watch(ROOT, before.revision).await.expect("watched");
        assert_eq!(next(&mut watch).await.expect("an event"), Event::Unknown);
        let (pairs, after, _) = list(&mut store, ROOT).await.expect("listed");
        assert_eq!(pairs["traefik/a"], "2");
        assert!(after.revision > before.revision, "the numbers go on");
    });
}

#[test]
fn a_server_that_hangs_is_found_out() {
    let server = ZooKeeperServer::start();
    run(async {
        let mut store = connected(ZooKeeperSettings {
            session_timeout: Duration::from_millis(600),
            ..settings(&server)
        })
        .await;
        let mut watch = watched(&mut store, ROOT).await;
        server.signal("-STOP");
        let ended = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Err(error) = watch.next().await {
                    break error;
                }
            }
        });
        let error = ended.await.expect("it is noticed");
        server.signal("-CONT");
        assert_eq!(error.failure, Failure::Unavailable);
        assert!(error.text.contains("nothing was heard"), "{error}");
    });
}

#[test]
fn only_what_somebody_has_use_for_is_watched() {
    let server = ZooKeeperServer::start();
    let mut writer = server.writer();
    run(async {
        let mut store = connected(settings(&server)).await;
        for n in 0..20 {
            let (root, key) = (format!("tree{n}/"), format!("tree{n}/a"));
            drop(watched(&mut store, Scope::Prefix(&root)).await);
            let mut watch = watched(&mut store, Scope::Prefix(&root)).await;
            writer.put(&[(&*key, "1")]);
            loop {
                if changes(&mut watch).await.contains(&format!("{key}=1")) {
                    break;
                }
            }
        }
        assert!(server.watches() <= 8, "{} nodes", server.watches());
    });
}

#[test]
fn endpoints_are_tried_in_turn_and_other_servers_are_told_from_zookeeper() {
    let server = ZooKeeperServer::start();
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        use std::io::Write;
        for stream in other.incoming() {
            let _ = stream
                .expect("a client")
                .write_all(b"HTTP/1.1 400 Bad\r\n\r\n");
        }
    });
    run(async {
        let mut store = ZooKeeper::new(ZooKeeperSettings {
            endpoints: vec![address.as_str().into(), server.endpoint().as_str().into()],
            ..settings(&server)
        });
        let error = store.connect().await.expect_err("that is no ZooKeeper");
        assert!(error.text.contains("not ZooKeeper's"), "{error}");
        store.connect().await.expect("the next one is");
        list(&mut store, ROOT).await.expect("listed");
        let mut wrong = ZooKeeper::new(ZooKeeperSettings {
            endpoints: vec!["http://a:2181".into()],
            ..settings(&server)
        });
        let error = wrong.connect().await.expect_err("no address");
        assert_eq!(error.failure, Failure::Refused);
        assert!(
            error.text.contains("providers.zooKeeper.endpoints"),
            "{error}"
        );
    });
}
