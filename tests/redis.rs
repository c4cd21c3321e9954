//! The Redis store against real servers and sentinels: what is listed, what is watched, and what happens when
//! servers go, change or forbid.

mod support;

use std::time::Duration;

use ringway::config::dynamic::middleware::ClientTls;
use ringway::provider::kv::store::{Event, Failure, Scope, Store, Watch};
use ringway::provider::redis::{Redis, RedisSettings, SentinelSettings, Strategy};

use support::certificates;
use support::process::wait_for;
use support::redis::{RedisServer, Talk};
use support::stores::{are_never_torn, changes, list, next, reconnect, run, watched};

const ROOT: Scope<'_> = Scope::Prefix("traefik/");

fn settings(server: &RedisServer) -> RedisSettings {
    RedisSettings {
        endpoints: vec![server.endpoint().as_str().into()],
        username: "".into(),
        password: Default::default(),
        db: 0,
        tls: None,
        sentinel: None,
        relist_interval: Duration::from_secs(600),
        silence: Duration::from_secs(1),
    }
}

async fn connected(settings: RedisSettings) -> Redis {
    let mut store = Redis::new(settings);
    store.connect().await.expect("connected");
    store
}

/// A user who may read, and one thing more.
fn user(server: &RedisServer, rules: &[&str]) -> RedisSettings {
    let mut command = vec![
        "ACL",
        "SETUSER",
        "proxy",
        "on",
        ">secret",
        "~*",
        "resetchannels",
    ];
    command.extend(["-@all", "+@read", "+@connection"]);
    command.extend(rules);
    assert_eq!(server.run(&command), "+OK");
    RedisSettings {
        username: "proxy".into(),
        password: ringway::config::secret::Secret::new("secret".into()),
        ..settings(server)
    }
}

#[test]
fn a_listing_has_what_is_below_the_root_in_pages() {
    let server = RedisServer::start(&[]);
    let mut talk = Talk::to(&server);
    for n in 0..2500 {
        talk.send(&[
            "SET",
            &format!("traefik/http/routers/r{n}/rule"),
            "Path(`/`)",
        ]);
    }
    (0..2500).for_each(|_| drop(talk.reply()));
    talk.run(&["SET", "traefik2/http/routers/r/rule", "x"]);
    talk.run(&["SET", "traefik/http/routers/empty/tls", ""]);
    talk.run(&["LPUSH", "traefik/list", "no text"]);
    run(async {
        let mut store = connected(settings(&server)).await;
        let (pairs, listing, pages) = list(&mut store, ROOT).await.expect("listed");
        assert_eq!(pairs.len(), 2501);
        assert_eq!(pages, [1000, 1000, 501]);
        assert_eq!(pairs["traefik/http/routers/r77/rule"], "Path(`/`)");
        assert_eq!(pairs["traefik/http/routers/empty/tls"], "");
        assert_eq!(listing.store_id, None);
        let (one, later, _) = list(&mut store, Scope::Key("traefik/http/routers/r1/rule"))
            .await
            .expect("listed");
        assert_eq!(one.len(), 1);
        assert!(later.revision > listing.revision);
    });
}

async fn tells_of_changes(server: &RedisServer, settings: RedisSettings) {
    let mut store = connected(settings).await;
    server.run(&["SET", "traefik/a", "1"]);
    server.run(&["SET", "traefik/gone", "1"]);
    let mut watch = watched(&mut store, ROOT).await;
    server.run(&["SET", "elsewhere/a", "1"]);
    server.run(&["SET", "traefik/a", "2"]);
    assert_eq!(changes(&mut watch).await, ["traefik/a=2"]);
    server.run(&["SET", "traefik/a", ""]);
    assert_eq!(changes(&mut watch).await, ["traefik/a="]);
    server.run(&["DEL", "traefik/gone"]);
    assert_eq!(changes(&mut watch).await, ["traefik/gone"]);
    server.run(&["SET", "traefik/short", "1", "PX", "30"]);
    assert_eq!(changes(&mut watch).await, ["traefik/short=1"]);
    assert_eq!(changes(&mut watch).await, ["traefik/short"]);
    let mut talk = Talk::to(server);
    talk.run(&["MULTI"]);
    for n in 0..300 {
        talk.send(&["SET", &format!("traefik/many/{n:03}"), &n.to_string()]);
    }
    talk.send(&["RENAME", "traefik/a", "traefik/b"]);
    (0..301).for_each(|_| assert_eq!(talk.reply(), "+QUEUED"));
    talk.run(&["EXEC"]);
    let all = changes(&mut watch).await;
    assert_eq!(all.len(), 302, "{all:?}");
    assert_eq!(all[..3], ["traefik/a", "traefik/b=", "traefik/many/000=0"]);
    server.run(&["FLUSHALL"]);
    assert_eq!(next(&mut watch).await.expect("an event"), Event::Unknown);
}

#[test]
fn changes_are_told_by_tracking() {
    let server = RedisServer::start(&[]);
    run(async {
        tells_of_changes(&server, settings(&server)).await;
        let flags = server.run(&["CONFIG", "GET", "notify-keyspace-events"]);
        assert_eq!(flags, "notify-keyspace-events\n", "the server was changed");
    });
}

#[test]
fn changes_are_told_by_notifications_that_the_provider_turns_on() {
    let server = RedisServer::start(&["--notify-keyspace-events", "El"]);
    let rules = [
        "-client|tracking",
        "+config",
        "+psubscribe",
        "+dbsize",
        "allchannels",
    ];
    let settings = user(&server, &rules);
    run(async {
        tells_of_changes(&server, settings.clone()).await;
        let flags = server.run(&["CONFIG", "GET", "notify-keyspace-events"]);
        let mut flags: Vec<char> = flags
            .trim_start_matches("notify-keyspace-events\n")
            .chars()
            .collect();
        flags.sort_unstable();
        assert_eq!(String::from_iter(flags), "$EKeglx");
    });
}

#[test]
fn notifications_that_somebody_turned_off_are_turned_on_again() {
    let server = RedisServer::start(&[]);
    let rules = [
        "-client|tracking",
        "+config",
        "+psubscribe",
        "+dbsize",
        "allchannels",
    ];
    let settings = user(&server, &rules);
    run(async {
        let mut store = connected(settings).await;
        let mut watch = watched(&mut store, ROOT).await;
        server.run(&["CONFIG", "SET", "notify-keyspace-events", ""]);
        server.run(&["SET", "traefik/a", "1"]);
        assert_eq!(next(&mut watch).await.expect("an event"), Event::Unknown);
        server.run(&["SET", "traefik/a", "2"]);
        assert_eq!(changes(&mut watch).await, ["traefik/a=2"]);
    });
}

#[test]
fn a_user_without_config_needs_nothing_but_tracking() {
    let server = RedisServer::start(&[]);
    let settings = user(&server, &[]);
    run(tells_of_changes(&server, settings));
}

#[test]
fn a_user_who_may_not_be_told_lists_again_and_again() {
    let server = RedisServer::start(&[]);
    let settings = RedisSettings {
        relist_interval: Duration::from_millis(50),
        ..user(&server, &["-client|tracking"])
    };
    run(async {
        let mut store = connected(settings).await;
        let mut watch = watched(&mut store, ROOT).await;
        server.run(&["SET", "traefik/a", "1"]);
        assert_eq!(next(&mut watch).await.expect("an event"), Event::Unknown);
        assert_eq!(next(&mut watch).await.expect("an event"), Event::Unknown);
        let (pairs, ..) = list(&mut store, ROOT).await.expect("listed");
        assert_eq!(pairs["traefik/a"], "1");
    });
}

#[test]
fn transactions_are_seen_whole_in_listings_and_events() {
    let server = RedisServer::start(&[]);
    run(async {
        let mut store = connected(settings(&server)).await;
        let mut talk = Talk::to(&server);
        talk.run(&["MSET", "traefik/a", "0", "traefik/b", "0"]);
        let writer = std::thread::spawn(move || {
            for n in 1..=2000 {
                let n = n.to_string();
                talk.send(&["MULTI"]);
                talk.send(&["SET", "traefik/a", &n]);
                talk.send(&["SET", "traefik/b", &n]);
                talk.send(&["EXEC"]);
                (0..4).for_each(|_| drop(talk.reply()));
            }
        });
        are_never_torn(&mut store, 2000).await;
        writer.join().expect("written");
    });
}

#[test]
fn two_scopes_are_watched_beside_each_other() {
    let server = RedisServer::start(&[]);
    run(async {
        let mut store = connected(settings(&server)).await;
        let mut alias = watched(&mut store, Scope::Key("traefik/alias")).await;
        let mut tree = watched(&mut store, Scope::Prefix("t1/")).await;
        server.run(&["SET", "traefik/alias2", "x"]);
        server.run(&["SET", "t1/a", "1"]);
        server.run(&["SET", "traefik/alias", "t1"]);
        assert_eq!(changes(&mut tree).await, ["t1/a=1"]);
        assert_eq!(changes(&mut alias).await, ["traefik/alias=t1"]);
        // Wider than what is tracked already: the server is asked anew, and nobody knows what happened meanwhile.
        let _root = watched(&mut store, ROOT).await;
        assert_eq!(next(&mut alias).await.expect("an event"), Event::Unknown);
        server.run(&["SET", "traefik/alias", "t2"]);
        assert_eq!(changes(&mut alias).await, ["traefik/alias=t2"]);
        // Many trees one after the other: those without use are forgotten.
        for n in 0..40 {
            let prefix = format!("tree{n}/");
            list(&mut store, Scope::Prefix(&prefix))
                .await
                .expect("listed");
        }
        let mut last = watched(&mut store, Scope::Prefix("tree99/")).await;
        server.run(&["SET", "tree99/a", "1"]);
        assert_eq!(changes(&mut last).await, ["tree99/a=1"]);
    });
}

#[test]
fn a_restart_loses_no_change() {
    let mut server = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    server.run(&["SET", "traefik/a", "1"]);
    run(async {
        let mut store = connected(settings(&server)).await;
        let (_, listing, _) = list(&mut store, ROOT).await.expect("listed");
        let mut watch = store.watch(ROOT, listing.revision).await.expect("watched");
        server.restart();
        let error = next(&mut watch).await.expect_err("it broke off");
        assert_eq!(error.failure, Failure::Unavailable, "{error}");
        server.run(&["SET", "traefik/a", "2"]);
        reconnect(&mut store).await;
        let mut watch = store.watch(ROOT, listing.revision).await.expect("watched");
        assert_eq!(next(&mut watch).await.expect("an event"), Event::Unknown);
        let (pairs, ..) = list(&mut store, ROOT).await.expect("listed");
        assert_eq!(pairs["traefik/a"], "2");
    });
}

#[test]
fn a_server_that_no_longer_answers_is_noticed() {
    let server = RedisServer::start(&[]);
    run(async {
        let mut store = connected(settings(&server)).await;
        let mut watch = watched(&mut store, ROOT).await;
        server.run(&["CLIENT", "PAUSE", "30000", "ALL"]);
        let error = next(&mut watch).await.expect_err("no sign of life");
        assert_eq!(error.failure, Failure::Unavailable, "{error}");
    });
}

#[test]
fn refusals_say_what_to_do() {
    let server = RedisServer::start(&["--requirepass", "right"]);
    run(async {
        let wrong = RedisSettings {
            password: ringway::config::secret::Secret::new("wr0ng".into()),
            ..settings(&server)
        };
        for (settings, word) in [(wrong, "WRONGPASS"), (settings(&server), "NOAUTH")] {
            let mut store = Redis::new(settings);
            let error = match store.connect().await {
                Err(error) => error,
                Ok(()) => list(&mut store, ROOT).await.map(drop).expect_err("refused"),
            };
            assert_eq!(error.failure, Failure::Refused, "{error}");
            let text = error.to_string();
            assert!(text.contains("providers.redis.password"), "{text}");
            assert!(
                text.contains(&server.endpoint()) && !text.contains("wr0ng"),
                "{text}"
            );
            assert!(text.contains(word), "{text}");
        }
        let mut forbidden = user(&server, &["-mget"]);
        forbidden.db = 0;
        let mut store = connected(forbidden).await;
        server.run(&["SET", "traefik/a", "1"]);
        let error = list(&mut store, ROOT).await.map(drop).expect_err("refused");
        assert_eq!(error.failure, Failure::Refused, "{error}");
        assert!(error.to_string().contains("MGET"), "{error}");
    });
    let two = RedisSettings {
        endpoints: vec!["a:1".into(), "b:2".into()],
        ..settings(&server)
    };
    let error = run(async { Redis::new(two).connect().await.expect_err("refused") });
    assert!(error.to_string().contains("sentinel"), "{error}");
}

#[test]
fn the_database_is_the_one_that_is_set() {
    let server = RedisServer::start(&[]);
    let rules = [
        "-client|tracking",
        "+config",
        "+psubscribe",
        "+dbsize",
        "+select",
        "allchannels",
    ];
    let notified = user(&server, &rules);
    for settings in [settings(&server), notified] {
        run(async {
            let mut store = connected(RedisSettings { db: 3, ..settings }).await;
            let mut talk = Talk::to(&server);
            talk.run(&["SET", "traefik/other", "0"]);
            talk.run(&["SELECT", "3"]);
            talk.run(&["SET", "traefik/a", "1"]);
            let (pairs, listing, _) = list(&mut store, ROOT).await.expect("listed");
            assert_eq!(pairs.into_keys().collect::<Vec<_>>(), ["traefik/a"]);
            let mut watch = store.watch(ROOT, listing.revision).await.expect("watched");
            talk.run(&["SET", "traefik/a", "2"]);
            assert_eq!(changes(&mut watch).await, ["traefik/a=2"]);
        });
    }
}

fn sentinel_settings(sentinel: &RedisServer, strategy: Strategy) -> RedisSettings {
    RedisSettings {
        sentinel: Some(SentinelSettings {
            master_name: "main".into(),
            username: "".into(),
            password: Default::default(),
            strategy,
            use_disconnected_replicas: false,
        }),
        ..settings(sentinel)
    }
}

/// A master, its replica and a sentinel that knows both.
fn replicated() -> (RedisServer, RedisServer, RedisServer) {
    let master = RedisServer::start(&[]);
    let replica = RedisServer::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    let sentinel = RedisServer::start_sentinel(master.port);
    wait_for("the sentinel knows the replica", || {
        let known = sentinel.run(&["SENTINEL", "REPLICAS", "main"]);
        known.contains("master-link-status\nok")
    });
    (master, replica, sentinel)
}

/// The same with a key by which the servers can be told apart.
fn distinguished() -> (RedisServer, RedisServer, RedisServer) {
    let (master, replica, sentinel) = replicated();
    master.run(&["SET", "traefik/who", "master"]);
    wait_for("the replica has it", || {
        replica.run(&["GET", "traefik/who"]) == "master"
    });
    replica.run(&["CONFIG", "SET", "replica-read-only", "no"]);
    assert_eq!(replica.run(&["SET", "traefik/who", "replica"]), "+OK");
    (master, replica, sentinel)
}

/// Which server is read by who connects now.
async fn who(settings: RedisSettings) -> String {
    let mut store = connected(settings).await;
    let (mut pairs, ..) = list(&mut store, ROOT).await.expect("listed");
    pairs.remove("traefik/who").expect("it is there")
}

#[test]
fn master_and_replica_are_read_as_their_strategies_say_and_any_at_random() {
    let (_master, _replica, sentinel) = distinguished();
    run(async {
        for _ in 0..5 {
            for (strategy, expected) in
                [(Strategy::Master, "master"), (Strategy::Replica, "replica")]
            {
                assert_eq!(who(sentinel_settings(&sentinel, strategy)).await, expected);
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        // Whoever draws 64 times sees both, but for once in 2^63.
        for _ in 0..64 {
            seen.insert(who(sentinel_settings(&sentinel, Strategy::Random)).await);
            if seen.len() == 2 {
                return;
            }
        }
        panic!("always {seen:?}");
    });
}

#[test]
fn the_server_that_answers_first_is_read() {
    let (master, replica, sentinel) = distinguished();
    run(async {
        let mut as_expected = 0;
        for _ in 0..5 {
            for (slow, fast) in [(&master, "replica"), (&replica, "master")] {
                // Shorter than what the sentinel takes for dead.
                assert_eq!(slow.run(&["CLIENT", "PAUSE", "300", "ALL"]), "+OK");
                let read = who(sentinel_settings(&sentinel, Strategy::Latency)).await;
                as_expected += usize::from(read == fast);
                wait_for("it goes on", || slow.run(&["PING"]) == "+PONG");
            }
        }
        // The machine may sleep through one pause; guessing gets this far once in a hundred.
        assert!(as_expected >= 9, "{as_expected} of 10");
    });
}

#[test]
fn a_failover_is_followed() {
    let (mut master, replica, sentinel) = replicated();
    run(async {
        let mut reader = connected(sentinel_settings(&sentinel, Strategy::Replica)).await;
        let mut replicated = watched(&mut reader, ROOT).await;
        let mut store = connected(sentinel_settings(&sentinel, Strategy::Master)).await;
        let (_, listing, _) = list(&mut store, ROOT).await.expect("listed");
        let mut watch = store.watch(ROOT, listing.revision).await.expect("watched");
        master.run(&["SET", "traefik/a", "1"]);
        assert_eq!(changes(&mut watch).await, ["traefik/a=1"]);
        assert_eq!(changes(&mut replicated).await, ["traefik/a=1"]);
        master.kill();
        assert_eq!(
            next(&mut watch).await.expect_err("gone").failure,
            Failure::Unavailable
        );
        wait_for("the replica is the master", || {
            // A server that changes its role ends its connections.
            let role = Talk::to(&replica).attempt(&["ROLE"]);
            role.is_ok_and(|role| role.starts_with("master"))
        });
        replica.run(&["SET", "traefik/a", "2"]);
        reconnect(&mut store).await;
        let mut watch = store.watch(ROOT, listing.revision).await.expect("watched");
        assert_eq!(next(&mut watch).await.expect("an event"), Event::Unknown);
        let (pairs, ..) = list(&mut store, ROOT).await.expect("listed");
        assert_eq!(pairs["traefik/a"], "2");
        replica.run(&["SET", "traefik/a", "3"]);
        let mut watch = watched(&mut store, ROOT).await;
        replica.run(&["SET", "traefik/a", "4"]);
        let _ = watch.next().await.expect("an event");
        let error = Redis::new(RedisSettings {
            sentinel: Some(SentinelSettings {
                master_name: "nobody".into(),
                ..sentinel_settings(&sentinel, Strategy::Master)
                    .sentinel
                    .expect("set")
            }),
            ..sentinel_settings(&sentinel, Strategy::Master)
        })
        .connect()
        .await
        .expect_err("unknown");
        assert!(error.to_string().contains("masterName"), "{error}");
    });
}

#[test]
fn tls_is_verified_against_the_authority() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| {
        directory
            .path()
            .join(name)
            .to_str()
            .expect("UTF-8")
            .to_owned()
    };
    certificates::make(directory.path());
    let (authority, cert, key) = (path("ca.pem"), path("server.pem"), path("server.key"));
    let server = RedisServer::start(&[
        "--port",
        "0",
        "--tls-port",
        "{port}",
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &authority,
        "--tls-auth-clients",
        "no",
    ]);
    let with = |tls: ClientTls| RedisSettings {
        tls: Some(Box::new(tls)),
        ..settings(&server)
    };
    run(async {
        let trusting = ClientTls {
            ca: authority.as_str().into(),
            ..ClientTls::default()
        };
        let mut store = connected(with(trusting)).await;
        assert!(list(&mut store, ROOT).await.expect("listed").0.is_empty());
        let careless = ClientTls {
            insecure_skip_verify: true,
            ..ClientTls::default()
        };
        let mut store = connected(with(careless)).await;
        assert!(list(&mut store, ROOT).await.expect("listed").0.is_empty());
        let mut store = Redis::new(with(ClientTls::default()));
        let error = store.connect().await.expect_err("not trusted");
        assert!(error.to_string().contains("certificate"), "{error}");
        let missing = ClientTls {
            ca: "/nowhere/ca.pem".into(),
            ..ClientTls::default()
        };
        let mut store = Redis::new(with(missing));
        let error = store.connect().await.expect_err("no file");
        assert!(error.to_string().contains("tls.ca"), "{error}");
    });
}
