//! The etcd store against a real etcd: listings, watches, and everything that can go wrong with either.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use ringway::config::decode::FromText;
use ringway::config::dynamic::middleware::ClientTls;
use ringway::config::statics::EtcdEndpoint;
use ringway::provider::etcd::{EtcdSettings, EtcdStore, EtcdWatch, Patience};
use ringway::provider::kv::store::{
    Change, Event, Failure, Listing, Pair, Revision, Scope, Store, StoreError, Watch,
};
use support::etcd::{self, Etcd, etcd};
use support::stores::run;

const ROOT: Scope<'_> = Scope::Prefix("traefik/");

fn settings(endpoints: &[&str]) -> EtcdSettings {
    let endpoint = |text: &&str| EtcdEndpoint::from_text(text).expect("an endpoint");
    EtcdSettings {
        endpoints: endpoints.iter().map(endpoint).collect(),
        // Short, so that tests of silence are.
        patience: Patience {
            connect: Duration::from_secs(2),
            answer: Duration::from_secs(5),
            silence: Duration::from_millis(300),
            sign_of_life: Duration::from_millis(700),
        },
        ..EtcdSettings::default()
    }
}

async fn connected(etcd: &Etcd) -> EtcdStore {
    let mut store = EtcdStore::new(settings(&[&etcd.endpoint()]));
    store.connect().await.expect("connected");
    store
}

async fn list(store: &mut EtcdStore) -> Result<(Listing, Vec<Pair>), StoreError> {
    let mut pairs = Vec::new();
    let listing = store.list(ROOT, None, |page| pairs.extend(page)).await?;
    Ok((listing, pairs))
}

/// The next event that tells of a change.
async fn next(watch: &mut EtcdWatch) -> Result<(u64, Vec<Change>), StoreError> {
    loop {
        match watch.next().await? {
            Event::Transaction { revision, changes } => return Ok((revision.0, changes)),
            Event::Progress(_) => {}
            Event::Unknown => panic!("unknown"),
        }
    }
}

fn change(key: &str, value: Option<&str>) -> Change {
    Change {
        key: key.into(),
        value: value.map(Into::into),
    }
}

#[test]
fn a_listing_shows_the_prefix_and_not_its_neighbours() {
    let etcd = etcd();
    etcd.transaction(&[
        ("traefik/a", Some("1")),
        ("traefik/b", Some("")),
        ("traefik", Some("x")),
        ("traefik2/a", Some("x")),
        ("traefi/a", Some("x")),
    ]);
    run(async {
        let mut store = connected(&etcd).await;
        let (listing, pairs) = list(&mut store).await.unwrap();
        let texts: Vec<_> = pairs
            .iter()
            .map(|pair| (&pair.key[..], &pair.value[..]))
            .collect();
        assert_eq!(texts, [(&b"traefik/a"[..], &b"1"[..]), (b"traefik/b", b"")]);
        assert_eq!(listing.revision, Revision(2));
        assert!(listing.store_id.is_some());
        let mut pairs = Vec::new();
        let one = store
            .list(Scope::Key("traefik"), None, |page| pairs.extend(page))
            .await;
        assert_eq!((one.unwrap().revision, pairs.len()), (Revision(2), 1));
    });
}

#[test]
fn all_pages_show_one_state_while_the_store_changes() {
    let etcd = etcd();
    let pairs: Vec<_> = (0..20_000)
        .map(|n| (format!("traefik/{n:05}"), format!("value {n}")))
        .collect();
    etcd.fill(&pairs);
    run(async {
        let mut store = connected(&etcd).await;
        let mut found = Vec::new();
        let mut pages = 0;
        let listing = store.list(ROOT, None, |page| {
            // Between two pages, keys that were told and keys that are still to come change.
            if pages < 2 {
                etcd.transaction(&[
                    ("traefik/00000", None),
                    ("traefik/19999", Some("new")),
                    ("traefik/zzz", Some("new")),
                ]);
            }
            pages += 1;
            found.extend(page.into_iter().map(|pair| {
                (
                    String::from_utf8(pair.key).unwrap(),
                    String::from_utf8(pair.value).unwrap(),
                )
            }));
        });
        let listing = listing.await.unwrap();
        assert!(pages > 2, "{pages} pages");
        assert!(
            found == pairs,
            "{} pairs, the last {:?}",
            found.len(),
            found.last()
        );
        // The next change after what was listed is the first of those.
        let mut watch = store.watch(ROOT, listing.revision).await.unwrap();
        let (revision, changes) = next(&mut watch).await.unwrap();
        assert_eq!(revision, listing.revision.0 + 1);
        assert_eq!(changes.len(), 3);
        // A listing at a revision shows that revision.
        let mut count = 0;
        let old = store
            .list(ROOT, Some(listing.revision), |page| count += page.len())
            .await;
        assert_eq!((old.unwrap(), count), (listing, 20_000));
    });
}

#[test]
fn large_values_make_small_pages() {
    // More than one answer may have: the first page is asked for again, smaller.
    const COUNT: usize = 120;
    let etcd = etcd();
    let large = "x".repeat(600_000);
    for n in 0..COUNT {
        etcd.put(&format!("traefik/{n:03}"), &large);
    }
    run(async {
        let mut store = connected(&etcd).await;
        let mut pages = Vec::new();
        for is_first in [true, false] {
            pages.clear();
            let listing = store.list(ROOT, None, |page| pages.push(page.len()));
            listing.await.unwrap();
            assert_eq!(pages.iter().sum::<usize>(), COUNT);
            // What was learned of the values' sizes holds for the next listing: below 4 MiB each.
            assert!(is_first || pages.iter().all(|page| *page <= 6), "{pages:?}");
        }
    });
}

#[test]
fn a_transaction_is_one_event_however_large() {
    let etcd = etcd();
    run(async {
        let mut store = connected(&etcd).await;
        let (listing, _) = list(&mut store).await.unwrap();
        let mut watch = store.watch(ROOT, listing.revision).await.unwrap();
        etcd.transaction(&[
            ("traefik/a", Some("1")),
            ("other/b", Some("2")),
            ("traefik/c", Some("3")),
        ]);
        let (revision, changes) = next(&mut watch).await.unwrap();
        assert_eq!(revision, listing.revision.0 + 1);
        assert_eq!(
            changes,
            [
                change("traefik/a", Some("1")),
                change("traefik/c", Some("3"))
            ]
        );
        let value = "x".repeat(300);
        let names: Vec<_> = (0..4000).map(|n| format!("traefik/{n}")).collect();
        let pairs: Vec<_> = names.iter().map(|name| (&**name, Some(&*value))).collect();
        etcd.transaction(&pairs);
        let (revision, changes) = next(&mut watch).await.unwrap();
        assert_eq!((revision, changes.len()), (listing.revision.0 + 2, 4000));
    });
}

#[test]
fn a_transaction_in_fragments_is_one_event() {
    // etcd cuts answers that are 512 KiB longer than its longest request.
    let etcd = etcd::setup()
        .argument("--max-request-bytes")
        .argument("100000")
        .start();
    let long = "x".repeat(200);
    let pairs: Vec<_> = (0..6000)
        .map(|n| (format!("traefik/{long}/{n}"), String::new()))
        .collect();
    etcd.fill(&pairs);
    run(async {
        let mut store = connected(&etcd).await;
        let (listing, found) = list(&mut store).await.unwrap();
        assert_eq!(found.len(), 6000);
        let mut watch = store.watch(ROOT, listing.revision).await.unwrap();
        etcd.ctl(&["del", "--prefix", "traefik/"]);
        etcd.ctl(&["put", "traefik/last", "1"]);
        let (revision, changes) = next(&mut watch).await.unwrap();
        assert_eq!((revision, changes.len()), (listing.revision.0 + 1, 6000));
        assert!(changes.iter().all(|change| change.value.is_none()));
        let last = next(&mut watch).await.unwrap();
        assert_eq!(
            last,
            (revision + 1, vec![change("traefik/last", Some("1"))])
        );
    });
}

#[test]
fn a_watch_catches_up_revision_by_revision_through_fragments() {
    // Fragments as etcd makes them when a client was away: many revisions in one answer, cut by size.
    let etcd = etcd::setup()
        .argument("--max-request-bytes")
        .argument("65536")
        .start();
    let value = "x".repeat(5000);
    let mut pairs = Vec::new();
    for n in 0..60 {
        let names: Vec<_> = (0..10).map(|m| format!("traefik/{n:02}/{m}")).collect();
        let part: Vec<_> = names.iter().map(|name| (&**name, Some(&*value))).collect();
        etcd.transaction(&part);
        pairs.push(names);
    }
    run(async {
        let mut store = connected(&etcd).await;
        let mut watch = store.watch(ROOT, Revision(1)).await.unwrap();
        for (n, names) in pairs.iter().enumerate() {
            let (revision, changes) = next(&mut watch).await.unwrap();
            assert_eq!(revision, n as u64 + 2);
            let keys: Vec<_> = changes.iter().map(|change| &change.key[..]).collect();
            assert_eq!(keys, names.iter().map(String::as_bytes).collect::<Vec<_>>());
        }
    });
}

#[test]
fn a_watch_from_a_compacted_revision_says_so() {
    let etcd = etcd();
    for n in 0..5 {
        etcd.ctl(&["put", "traefik/a", &n.to_string()]);
    }
    etcd.ctl(&["compaction", "5"]);
    run(async {
        let mut store = connected(&etcd).await;
        let error = match store.watch(ROOT, Revision(2)).await {
            Ok(mut watch) => watch.next().await.expect_err("compacted"),
            Err(error) => error,
        };
        assert_eq!(error.failure, Failure::Compacted, "{error}");
        let error = store
            .list(ROOT, Some(Revision(2)), |_| {})
            .await
            .expect_err("compacted");
        assert_eq!(error.failure, Failure::Compacted, "{error}");
        assert!(
            error.text.contains("traefik/") && error.text.contains(&etcd.endpoint()),
            "{error}"
        );
    });
}

#[test]
fn a_silent_server_is_noticed_and_a_quiet_one_is_not() {
    let etcd = etcd();
    run(async {
        let mut store = connected(&etcd).await;
        let mut watch = store.watch(ROOT, Revision(1)).await.unwrap();
        // Quiet for several limits of silence: questions are answered, and nothing is told that may not be so.
        let quiet = tokio::time::timeout(Duration::from_secs(3), watch.next()).await;
        assert!(quiet.is_err(), "{quiet:?}");
        etcd.ctl(&["put", "traefik/a", "1"]);
        assert_eq!(
            next(&mut watch).await.unwrap().1,
            [change("traefik/a", Some("1"))]
        );
        etcd.pause();
        let error = watch.next().await.expect_err("silent");
        assert_eq!(error.failure, Failure::Unavailable, "{error}");
        let error = store.connect().await.expect_err("silent");
        assert_eq!(error.failure, Failure::Unavailable, "{error}");
        etcd.resume();
        store.connect().await.unwrap();
        let mut watch = store.watch(ROOT, Revision(1)).await.unwrap();
        assert_eq!(next(&mut watch).await.unwrap().0, 2);
    });
}

#[test]
fn another_endpoint_takes_over() {
    let (mut one, mut two) = (etcd(), etcd());
    let key = |etcd: &Etcd, value| etcd.ctl(&["put", "traefik/who", value]);
    key(&one, "one");
    key(&two, "two");
    run(async {
        let endpoints = [one.endpoint(), two.endpoint()];
        let mut store = EtcdStore::new(settings(&[&endpoints[0], &endpoints[1]]));
        store.connect().await.unwrap();
        let (listing, pairs) = list(&mut store).await.unwrap();
        assert_eq!(pairs[0].value, b"one");
        let mut watch = store.watch(ROOT, listing.revision).await.unwrap();
        one.stop();
        let error = watch.next().await.expect_err("stopped");
        assert_eq!(error.failure, Failure::Unavailable, "{error}");
        store.connect().await.unwrap();
        // These two are different clusters, which a watch must not pass over.
        let error = store
            .watch(ROOT, listing.revision)
            .await
            .err()
            .expect("another cluster");
        assert_eq!(error.failure, Failure::Compacted, "{error}");
        let (other, pairs) = list(&mut store).await.unwrap();
        assert_eq!(pairs[0].value, b"two");
        assert_ne!(other.store_id, listing.store_id);
        // Neither: both are named. The last good one is asked first.
        two.stop();
        let error = store.connect().await.expect_err("both stopped");
        assert_eq!(error.failure, Failure::Unavailable);
        assert!(
            endpoints
                .iter()
                .all(|endpoint| error.text.contains(endpoint)),
            "{error}"
        );
        one.start();
        store.connect().await.unwrap();
    });
}

#[test]
fn a_paused_member_is_passed_over() {
    let (one, two) = (etcd(), etcd());
    run(async {
        let mut store = EtcdStore::new(settings(&[&one.endpoint(), &two.endpoint()]));
        store.connect().await.unwrap();
        let (first, _) = list(&mut store).await.unwrap();
        one.pause();
        let error = list(&mut store).await.expect_err("paused");
        assert_eq!(error.failure, Failure::Unavailable, "{error}");
        let before = std::time::Instant::now();
        store.connect().await.unwrap();
        assert!(
            before.elapsed() < Duration::from_secs(1),
            "the one in trouble was tried first"
        );
        assert_ne!(list(&mut store).await.unwrap().0.store_id, first.store_id);
        one.resume();
    });
}

#[test]
fn a_member_without_leader_ends_its_watch() {
    let mut members = etcd::cluster();
    members[0].ctl(&["put", "traefik/a", "1"]);
    run(async {
        let endpoints = members.each_ref().map(Etcd::endpoint);
        let mut store = EtcdStore::new(settings(&[&endpoints[0], &endpoints[1]]));
        store.connect().await.unwrap();
        let (listing, _) = list(&mut store).await.unwrap();
        let mut watch = store.watch(ROOT, listing.revision).await.unwrap();
        members[1].stop();
        members[2].stop();
        // It still answers; only it cannot know any more what was written elsewhere.
        let error = next(&mut watch).await.expect_err("no leader");
        assert_eq!(error.failure, Failure::Unavailable, "{error}");
        let error = store.connect().await.expect_err("no leader");
        assert_eq!(error.failure, Failure::Unavailable, "{error}");
        assert!(error.text.contains("leader"), "{error}");
        // The same cluster through another member: the watch goes on from where it was.
        members[1].start();
        members[0].stop();
        members[2].start();
        members[2].ctl(&["put", "traefik/a", "2"]);
        store.connect().await.unwrap();
        let mut watch = store.watch(ROOT, listing.revision).await.unwrap();
        assert_eq!(
            next(&mut watch).await.unwrap().1,
            [change("traefik/a", Some("2"))]
        );
    });
}

#[test]
fn an_emptied_store_is_another_one() {
    let mut etcd = etcd();
    etcd.ctl(&["put", "traefik/a", "1"]);
    etcd.ctl(&["put", "traefik/a", "2"]);
    run(async {
        let mut store = connected(&etcd).await;
        let (before, _) = list(&mut store).await.unwrap();
        etcd.wipe();
        store.connect().await.unwrap();
        // A watch would wait for ever for a revision that this store reaches in years.
        let error = store
            .watch(ROOT, before.revision)
            .await
            .err()
            .expect("older");
        assert_eq!(error.failure, Failure::Compacted, "{error}");
        let (after, pairs) = list(&mut store).await.unwrap();
        assert_ne!(after.store_id, before.store_id);
        assert!(after.revision < before.revision && pairs.is_empty());
    });
}

#[test]
fn a_user_reads_and_gets_a_new_token_when_the_old_one_is_gone() {
    let mut etcd = etcd();
    etcd.ctl(&["put", "traefik/a", "1"]);
    etcd.guard("traefik/");
    let with = |user: &str, password: &str| EtcdSettings {
        username: user.into(),
        password: Box::<str>::from(password).into(),
        ..settings(&[&etcd.endpoint()])
    };
    run(async {
        let mut store = EtcdStore::new(with("reader", "hunter2"));
        store.connect().await.unwrap();
        let (listing, _) = list(&mut store).await.unwrap();
        // What is not granted is refused, with the key's name and what to do.
        let other = store
            .list(Scope::Prefix("other/"), None, |_| {})
            .await
            .expect_err("denied");
        assert_eq!(other.failure, Failure::Refused, "{other}");
        assert!(
            [
                "\"other/\"",
                "the user \"reader\" may not",
                "grant-permission"
            ]
            .iter()
            .all(|words| other.text.contains(words)),
            "{other}"
        );
        let other = store
            .watch(Scope::Prefix("other/"), listing.revision)
            .await
            .err();
        assert_eq!(other.expect("denied").failure, Failure::Refused);
        let mut watch = store.watch(ROOT, listing.revision).await.unwrap();
        // Off and on again: every token is gone.
        etcd.ctl(&["auth", "disable"]);
        etcd.ctl(&["auth", "enable"]);
        // A listing and a watch that begin with such a token help themselves, one that runs goes on.
        list(&mut store).await.unwrap();
        etcd.ctl(&["auth", "disable"]);
        etcd.ctl(&["auth", "enable"]);
        let mut second = store.watch(ROOT, listing.revision).await.unwrap();
        etcd.ctl(&["put", "traefik/a", "2"]);
        for watch in [&mut watch, &mut second] {
            assert_eq!(
                next(watch).await.unwrap().1,
                [change("traefik/a", Some("2"))]
            );
        }
        store.connect().await.unwrap();
        list(&mut store).await.unwrap();

        let mut store = EtcdStore::new(with("reader", "wrong"));
        let error = store.connect().await.expect_err("wrong password");
        assert_eq!(error.failure, Failure::Refused, "{error}");
        assert!(
            error.text.contains("providers.etcd.password") || error.text.contains(".password"),
            "{error}"
        );
        assert!(!error.text.contains("wrong"), "{error}");
        let mut store = EtcdStore::new(settings(&[&etcd.endpoint()]));
        store.connect().await.unwrap();
        let error = list(&mut store).await.expect_err("no user");
        assert_eq!(error.failure, Failure::Refused, "{error}");
        assert!(error.text.contains("providers.etcd.username"), "{error}");
    });
}

#[test]
fn a_user_is_not_needed_where_there_is_no_authentication() {
    let etcd = etcd();
    run(async {
        let mut store = EtcdStore::new(EtcdSettings {
            username: "reader".into(),
            ..settings(&[&etcd.endpoint()])
        });
        store.connect().await.unwrap();
        list(&mut store).await.unwrap();
    });
}

#[test]
fn tls_with_an_authority_and_a_certificate_of_our_own() {
    let etcd = etcd::setup().tls().start();
    etcd.ctl(&["put", "traefik/a", "1"]);
    let own = ClientTls {
        ca: etcd.path("ca.pem").into(),
        cert: etcd.path("client.pem").into(),
        // A file or its content.
        key: Box::<str>::from(std::fs::read_to_string(etcd.path("client.key")).unwrap()).into(),
        ..ClientTls::default()
    };
    let with = |tls: Option<ClientTls>, endpoint: String| EtcdSettings {
        tls,
        ..settings(&[&endpoint])
    };
    let explicit = format!("https://{}", etcd.endpoint());
    run(async {
        for endpoint in [etcd.endpoint(), explicit.clone()] {
            let mut store = EtcdStore::new(with(Some(own.clone()), endpoint));
            store.connect().await.unwrap();
            assert_eq!(list(&mut store).await.unwrap().1.len(), 1);
        }
        let insecure = ClientTls {
            ca: "".into(),
            insecure_skip_verify: true,
            ..own.clone()
        };
        let mut store = EtcdStore::new(with(Some(insecure), etcd.endpoint()));
        store.connect().await.unwrap();
        assert_eq!(list(&mut store).await.unwrap().1.len(), 1);
        // The system's authorities do not know it.
        let unknown = ClientTls {
            ca: "".into(),
            ..own.clone()
        };
        let other_authority = ClientTls {
            ca: etcd.path("client.pem").into(),
            ..own.clone()
        };
        for tls in [unknown, other_authority] {
            let mut store = EtcdStore::new(with(Some(tls), explicit.clone()));
            let error = store.connect().await.expect_err("unknown");
            assert_eq!(error.failure, Failure::Refused, "{error}");
            assert!(error.text.contains("providers.etcd.tls"), "{error}");
        }
        let absent = ClientTls {
            ca: "/no/such/ca.pem".into(),
            ..own.clone()
        };
        let mut store = EtcdStore::new(with(Some(absent), etcd.endpoint()));
        let error = store.connect().await.expect_err("no file");
        assert!(
            error.text.contains("providers.etcd.tls.ca") && error.text.contains("/no/such/ca.pem"),
            "{error}"
        );
        // Without TLS nothing comes back.
        let mut store = EtcdStore::new(with(None, etcd.endpoint()));
        let error = store.connect().await.expect_err("no TLS");
        assert!(error.text.contains(&etcd.endpoint()), "{error}");
    });
}

#[test]
fn a_server_without_the_v3_api_is_refused_with_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut buffer = [0; 1024];
            let _ = connection.read(&mut buffer);
            let answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = connection.write_all(answer.as_bytes());
            // Closing with input unread would reset the connection, and the answer might be lost.
            let _ = connection.shutdown(std::net::Shutdown::Write);
            let _ = std::io::copy(&mut connection, &mut std::io::sink());
        }
    });
    run(async {
        let mut store = EtcdStore::new(settings(&[&endpoint]));
        let error = store.connect().await.expect_err("no etcd");
        assert_eq!(error.failure, Failure::Refused, "{error}");
        assert!(
            error.text.contains("v3 API") && error.text.contains(&endpoint),
            "{error}"
        );
    });
}

#[test]
fn an_event_arrives_at_once() {
    let etcd = etcd();
    run(async {
        let mut store = connected(&etcd).await;
        let mut watch = store.watch(ROOT, Revision(1)).await.unwrap();
        // The slowest of twenty, with all of etcdctl's own time: nothing on the path waits for a clock.
        for n in 0..20 {
            let before = std::time::Instant::now();
            etcd.ctl(&["put", "traefik/a", &n.to_string()]);
            let written = before.elapsed();
            next(&mut watch).await.unwrap();
            let waited = before.elapsed().checked_sub(written).unwrap();
            assert!(waited < Duration::from_millis(100), "{waited:?}");
        }
    });
}
