//! The Consul store. Debian has no package of Consul: these tests speak to a double of its HTTP API
//! (`support/consul.rs`), which does what Consul's documentation says and cannot show what that leaves out.

mod support;

use std::time::Duration;

use ringway::config::dynamic::middleware::ClientTls;
use ringway::config::secret::Secret;
use ringway::provider::consul::{Consul, ConsulSettings};
use ringway::provider::kv::store::{Event, Failure, Scope, Store, Watch};

use support::consul as server;
use support::nginx::Nginx;
use support::stores::{changes, list, next, reconnect, run, watched};

const ROOT: Scope<'_> = Scope::Prefix("traefik/");

fn settings(server: &server::Consul) -> ConsulSettings {
    ConsulSettings {
        endpoints: vec![server.address.to_string().as_str().into()],
        token: Default::default(),
        namespace: "".into(),
        tls: None,
        wait: Duration::from_secs(2),
    }
}

async fn connected(settings: ConsulSettings) -> Consul {
    let mut store = Consul::new(settings);
    store.connect().await.expect("connected");
    store
}

#[test]
fn a_listing_has_what_is_below_the_root_in_pages() {
    let server = server::Consul::start();
    server.change(|state| {
        for n in 0..1500 {
            state.set(&format!("traefik/http/routers/r{n}/rule"), "Path(`/ä`)");
        }
        state.set("traefik/", "");
        state.set("traefik2/a", "x");
    });
    run(async {
        let mut store = connected(settings(&server)).await;
        let (pairs, listing, pages) = list(&mut store, ROOT).await.expect("listed");
        assert_eq!((pairs.len(), pages), (1501, vec![1000, 501]));
        assert_eq!(pairs["traefik/http/routers/r7/rule"], "Path(`/ä`)");
        assert_eq!(pairs["traefik/"], "");
        let key = Scope::Key("traefik/http/routers/r7/rule");
        assert_eq!(list(&mut store, key).await.expect("listed").0.len(), 1);
        let (none, empty, _) = list(&mut store, Scope::Prefix("no such/?#"))
            .await
            .expect("listed");
        assert!(none.is_empty() && empty.revision >= listing.revision);
    });
}

#[test]
fn what_one_answer_changes_is_one_transaction() {
    let server = server::Consul::start();
    server.set("traefik/a", "1");
    run(async {
        let mut store = connected(settings(&server)).await;
        let mut watch = watched(&mut store, ROOT).await;
        server.set("elsewhere", "1");
        server.set("traefik/a", "2");
        assert_eq!(changes(&mut watch).await, ["traefik/a=2"]);
        server.change(|state| {
            state.set("traefik/b", "");
            state.set("traefik/c", "3");
            state.delete("traefik/a");
        });
        let all = changes(&mut watch).await;
        assert_eq!(all, ["traefik/a", "traefik/b=", "traefik/c=3"]);
        server.change(|state| {
            state.delete("traefik/b");
            state.delete("traefik/c");
        });
        assert_eq!(changes(&mut watch).await, ["traefik/b", "traefik/c"]);
        server.set("traefik/d", "4");
        assert_eq!(changes(&mut watch).await, ["traefik/d=4"]);
    });
}

#[test]
fn silence_is_a_sign_of_life() {
    let server = server::Consul::start();
    server.set("traefik/a", "1");
    run(async {
        let quick = ConsulSettings {
            wait: Duration::from_millis(50),
            ..settings(&server)
        };
        let mut store = connected(quick).await;
        let mut watch = watched(&mut store, ROOT).await;
        let event = next(&mut watch).await.expect("an event");
        assert!(matches!(event, Event::Progress(_)), "{event:?}");
        // Dropped in the middle of a question: the next one begins where this one did.
        let dropped = tokio::time::timeout(Duration::from_millis(5), watch.next()).await;
        assert!(dropped.is_err());
        server.set("traefik/a", "2");
        assert_eq!(changes(&mut watch).await, ["traefik/a=2"]);
    });
}

#[test]
fn a_watch_goes_on_over_a_broken_connection() {
    let server = server::Consul::start();
    server.set("traefik/a", "1");
    run(async {
        let mut store = connected(settings(&server)).await;
        let (_, listing, _) = list(&mut store, ROOT).await.expect("listed");
        let mut watch = store.watch(ROOT, listing.revision).await.expect("watched");
        server.change(|state| state.is_down = true);
        let error = next(&mut watch).await.expect_err("down");
        assert_eq!(error.failure, Failure::Unavailable, "{error}");
        assert_eq!(
            store.connect().await.expect_err("down").failure,
            Failure::Unavailable
        );
        server.change(|state| {
            state.is_down = false;
            state.set("traefik/a", "2");
        });
        reconnect(&mut store).await;
        let mut watch = store.watch(ROOT, listing.revision).await.expect("watched");
        assert_eq!(changes(&mut watch).await, ["traefik/a=2"]);
        // From a state that nothing is known of.
        let mut other = store
            .watch(Scope::Prefix("other/"), listing.revision)
            .await
            .expect("watched");
        assert_eq!(next(&mut other).await.expect("an event"), Event::Unknown);
    });
}

#[test]
fn an_index_that_falls_means_little_and_an_older_store_means_list_again() {
    let server = server::Consul::start();
    server.change(|state| {
        state.set("traefik/a", "1");
        state.set("traefik/b", "1");
    });
    let old = server.change(|state| state.clone());
    run(async {
        let mut store = connected(settings(&server)).await;
        server.set("traefik/c", "1");
        server.set("traefik/a", "2");
        server.change(|state| state.delete("traefik/c"));
        let (_, listing, _) = list(&mut store, ROOT).await.expect("listed");
        let mut watch = store.watch(ROOT, listing.revision).await.expect("watched");
        server.change(server::State::forget_deletions);
        let event = next(&mut watch).await.expect("an event");
        assert_eq!(event, Event::Progress(listing.revision));
        let (_, again, _) = list(&mut store, ROOT).await.expect("listed");
        assert_eq!(again.revision, listing.revision);
        server.set("traefik/b", "2");
        assert_eq!(changes(&mut watch).await, ["traefik/b=2"]);
        server.change(|state| {
            *state = old;
            state.forget_deletions();
        });
        assert_eq!(next(&mut watch).await.expect("an event"), Event::Unknown);
        let (pairs, restored, _) = list(&mut store, ROOT).await.expect("listed");
        assert!(restored.revision < again.revision);
        assert_eq!(pairs["traefik/a"], "1");
    });
}

#[test]
fn refusals_say_what_to_do() {
    let server = server::Consul::start();
    server.change(|state| {
        state.token = "right".into();
        state.namespace = "team".into();
        state.set("traefik/a", "1");
    });
    run(async {
        let with = |token: &str| ConsulSettings {
            token: Secret::new(token.into()),
            namespace: "team".into(),
            ..settings(&server)
        };
        let mut store = connected(with("right")).await;
        assert_eq!(list(&mut store, ROOT).await.expect("listed").0.len(), 1);
        let mut store = connected(with("wr0ng")).await;
        let error = list(&mut store, ROOT).await.map(drop).expect_err("refused");
        assert_eq!(error.failure, Failure::Refused, "{error}");
        let text = error.to_string();
        assert!(text.contains("providers.consul.token"), "{text}");
        assert!(
            text.contains("Permission denied") && !text.contains("wr0ng"),
            "{text}"
        );
        server.change(|state| state.has_no_leader = true);
        let error = store.connect().await.expect_err("no leader");
        assert_eq!(error.failure, Failure::Unavailable, "{error}");
        let mut nowhere = Consul::new(ConsulSettings {
            endpoints: vec!["unix:///x".into()],
            ..settings(&server)
        });
        let error = nowhere.connect().await.expect_err("no address");
        assert_eq!(error.failure, Failure::Refused, "{error}");
    });
}

#[test]
fn the_next_endpoint_is_tried_when_one_fails() {
    let server = server::Consul::start();
    server.set("traefik/a", "1");
    run(async {
        let both = ConsulSettings {
            endpoints: vec![
                "127.0.0.1:1".into(),
                server.address.to_string().as_str().into(),
            ],
            ..settings(&server)
        };
        let mut store = Consul::new(both);
        assert_eq!(
            store.connect().await.expect_err("nobody").failure,
            Failure::Unavailable
        );
        store.connect().await.expect("the other one");
        assert_eq!(list(&mut store, ROOT).await.expect("listed").0.len(), 1);
    });
}

#[test]
fn tls_is_verified_and_a_certificate_of_our_own_is_shown() {
    let server = server::Consul::start();
    server.set("traefik/a", "1");
    let forward = format!("location / {{ proxy_pass http://{}; }}", server.address);
    let nginx = Nginx::start("on", &forward);
    let with = |scheme: &str, host: &str, tls: Option<ClientTls>| ConsulSettings {
        endpoints: vec![format!("{scheme}{host}:{}", nginx.port).as_str().into()],
        tls: tls.map(Box::new),
        ..settings(&server)
    };
    let own = ClientTls {
        ca: nginx.file("ca.pem").as_str().into(),
        cert: nginx.file("client.pem").as_str().into(),
        // A file or its content.
        key: Secret::new(nginx.text("client.key").as_str().into()),
        ..ClientTls::default()
    };
    run(async {
        // With TLS configured, an endpoint without scheme means it.
        for scheme in ["https://", ""] {
            let mut store = connected(with(scheme, "127.0.0.1", Some(own.clone()))).await;
            let mut watch = watched(&mut store, ROOT).await;
            server.set("traefik/a", scheme);
            let told = [format!("traefik/a={scheme}")];
            assert_eq!(changes(&mut watch).await, told);
        }
        let careless = ClientTls {
            ca: "".into(),
            insecure_skip_verify: true,
            ..own.clone()
        };
        let mut store = connected(with("", "localhost", Some(careless))).await;
        assert_eq!(list(&mut store, ROOT).await.expect("listed").0.len(), 1);
        let stranger = ClientTls {
            ca: nginx.file("client.pem").as_str().into(),
            ..own.clone()
        };
        let keyless = ClientTls {
            key: Default::default(),
            ..own.clone()
        };
        let nobody = ClientTls {
            ca: own.ca.clone(),
            ..ClientTls::default()
        };
        let absent = ClientTls {
            ca: "/no/such/ca.pem".into(),
            ..own.clone()
        };
        for (settings, words) in [
            (with("", "127.0.0.1", Some(stranger)), "certificate"),
            // The name is another than the certificate's.
            (with("", "localhost", Some(own.clone())), "certificate"),
            (with("https://", "127.0.0.1", None), "certificate"),
            (with("", "127.0.0.1", Some(nobody)), "400"),
            (with("", "127.0.0.1", Some(keyless)), "cert and key"),
            (with("", "127.0.0.1", Some(absent)), "/no/such/ca.pem"),
        ] {
            let error = Consul::new(settings).connect().await.expect_err(words);
            assert!(error.text.contains(words), "{error}");
        }
    });
}
