//! The binary with a real etcd that wants users, loses its data, shows an older state, or is not there: what is in
//! force stays, and who looks is told why.

mod support;

use std::time::Duration;

use support::etcd::{self, Etcd, etcd};
use support::following::{
    complains, follower, generation, is_well, provider, proxy, put, route, tree,
};
use support::origin::answering;
use support::process::{Process, answer, wait_for};
use support::routes::{is_gone, serves};

/// Options of the provider that make it the user `reader`.
const READER: &str = ", username: reader, password: hunter2";

/// The log tells each step.
const DEBUG: &str = "log: {level: DEBUG}";

/// The start waits for no provider.
const AT_ONCE: &str = "ringway: {shards: 2, startupTimeout: 1ms}";

/// Waits until a token of a second's life has ended; etcd looks once a second. Nothing tells of it, and asking with the
/// token would make it live on.
fn outlive_token() {
    std::thread::sleep(Duration::from_secs(3));
}

/// Nothing was wrong that anybody should look at.
fn told_nothing(proxy: &Process) {
    let log = proxy.log();
    let is_wrong = |line: &&str| line.contains(" WRN ") || line.contains(" ERR ");
    assert_eq!(log.lines().find(is_wrong), None, "{log}");
    assert!(provider(proxy)["lastError"].is_null());
}

#[test]
fn a_session_outlives_its_token() {
    for is_signed in [false, true] {
        let mut etcd = etcd::setup().tokens(is_signed, 1).start();
        let (one, two) = (answering(answer("one")), answering(answer("two")));
        put(&etcd, &tree("traefik/1", "a", &one.url()));
        put(&etcd, &tree("traefik/2", "a", &two.url()));
        put(&etcd, &tree("traefik/3", "a", &one.url()));
        etcd.put("traefik/alias", "traefik/1");
        etcd.guard("traefik/");
        let more = format!("{READER}, aliasKey: traefik/alias, aliasWatch: true");
        let proxy = proxy(&etcd, &more).option(DEBUG).start();
        serves(&proxy, "a.test", "one");
        // The watches go on.
        outlive_token();
        put(&etcd, &tree("traefik/1", "b", &two.url()));
        serves(&proxy, "b.test", "two");
        // A listing is refused, and a new token is asked for.
        etcd.put("traefik/alias", "traefik/2");
        serves(&proxy, "a.test", "two");
        assert!(
            proxy.log().contains("invalid auth token"),
            "{}",
            proxy.log()
        );
        told_nothing(&proxy);
        // A new connection begins with a token of its own, however old the last one.
        outlive_token();
        etcd.stop();
        complains(&proxy, &["etcd at "]);
        etcd.start();
        etcd.put("traefik/alias", "traefik/3");
        serves(&proxy, "a.test", "one");
        is_well(&proxy);
        outlive_token();
        put(&etcd, &tree("traefik/3", "c", &two.url()));
        serves(&proxy, "c.test", "two");
    }
}

#[test]
fn a_wrong_password_is_told_with_the_user_and_not_shown() {
    let mut etcd = etcd();
    etcd.guard("traefik/");
    let proxy = proxy(&etcd, ", username: reader, password: hunter3")
        .option(AT_ONCE)
        .option(DEBUG)
        .start();
    let error = complains(
        &proxy,
        &["etcd at ", "\"reader\"", "providers.etcd.username"],
    );
    assert!(error.contains(&etcd.endpoint()), "{error}");
    assert!(proxy.log().contains(&error), "{}", proxy.log());
    assert!(!proxy.log().contains("hunter3"), "{}", proxy.log());
}

#[test]
fn a_root_that_may_not_be_read_is_told_with_user_and_range() {
    let mut etcd = etcd();
    let one = answering(answer("one"));
    put(&etcd, &route("a", &one.url()));
    etcd.guard("elsewhere/");
    let proxy = proxy(&etcd, READER).option(AT_ONCE).start();
    let error = complains(&proxy, &["etcd at ", "\"traefik/\"", "\"reader\""]);
    assert!(error.contains("role grant-permission"), "{error}");
    etcd.ctl(&[
        "role",
        "grant-permission",
        "--prefix",
        "reading",
        "read",
        "traefik/",
    ]);
    serves(&proxy, "a.test", "one");
    is_well(&proxy);
    // What is in force stays when the right is taken away again.
    etcd.ctl(&[
        "role",
        "revoke-permission",
        "--prefix",
        "reading",
        "traefik/",
    ]);
    etcd.stop();
    complains(&proxy, &["etcd at "]);
    etcd.start();
    complains(&proxy, &["\"traefik", "\"reader\""]);
    assert_eq!(proxy.get("a.test", "/").text(), "one");
}

#[test]
fn a_user_needs_the_right_to_read_below_the_root_and_no_other() {
    let mut etcd = etcd();
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    etcd.guard("traefik/");
    // The other spelling of the root, where something might lie instead, may not be read.
    let proxy = proxy(&etcd, READER).start();
    told_nothing(&proxy);
    put(&etcd, &route("a", &one.url()));
    serves(&proxy, "a.test", "one");
    told_nothing(&proxy);
    etcd.stop();
    complains(&proxy, &["etcd at "]);
    etcd.start();
    put(&etcd, &route("b", &two.url()));
    serves(&proxy, "b.test", "two");
    is_well(&proxy);
}

/// What a store is after it lost its data.
#[derive(Clone, Copy, Debug)]
enum Loss {
    /// Another cluster, empty.
    Replaced,
    /// The same cluster by its identity, empty.
    Emptied,
    /// The same cluster with an older state.
    Restored,
}

#[test]
fn a_store_that_lost_its_data_is_told_and_not_believed() {
    for loss in [Loss::Replaced, Loss::Emptied, Loss::Restored] {
        let mut etcd = etcd();
        let (one, two) = (answering(answer("one")), answering(answer("two")));
        put(&etcd, &route("old", &one.url()));
        etcd.save();
        etcd.ctl(&["del", "--prefix", "traefik/"]);
        put(&etcd, &route("a", &one.url()));
        let wary = proxy(&etcd, "").start();
        let trusting = proxy(&etcd, ", allowRestore: true").start();
        let before = generation(&wary);
        match loss {
            Loss::Replaced => etcd.wipe(),
            Loss::Emptied => etcd.empty(),
            Loss::Restored => etcd.restore(),
        }
        let (words, keys) = match loss {
            Loss::Replaced => ("this is another store", 0),
            Loss::Emptied => ("wiped or restored to an older revision", 0),
            Loss::Restored => ("wiped or restored to an older revision", 3),
        };
        complains(&wary, &[words, "allowRestore", &format!("its {keys} keys")]);
        wait_for("an error in the log", || {
            let log = wary.log();
            log.lines()
                .any(|line| line.contains(" ERR ") && line.contains(words))
        });
        assert_eq!(provider(&wary)["stale"], true);
        is_gone(&trusting, "a.test");
        is_well(&trusting);
        assert!(
            trusting.log().contains("allowRestore accepts it"),
            "{loss:?}"
        );
        // However much is written there, also beyond the revision that was seen.
        for n in 0..5 {
            put(&etcd, &route("b", &format!("{}/{n}", two.url())));
        }
        put(&etcd, &route("b", &two.url()));
        serves(&trusting, "b.test", "two");
        complains(&wary, &[words, &format!("its {} keys", keys + 3)]);
        assert_eq!(wary.get("b.test", "/").status, 404, "{loss:?}");
        assert_eq!(wary.get("old.test", "/").status, 404, "{loss:?}");
        assert_eq!(wary.get("a.test", "/").text(), "one", "{loss:?}");
        assert_eq!(generation(&wary), before, "{loss:?}");
        // The content that is in force makes it the known store.
        etcd.ctl(&["del", "--prefix", "traefik/"]);
        put(&etcd, &route("a", &one.url()));
        is_well(&wary);
        put(&etcd, &route("b", &two.url()));
        serves(&wary, "b.test", "two");
    }
}

/// Has etcd forget its history and the connection break while the proxy sees nothing of it: only a listing tells then.
fn out_of_sight(etcd: &mut Etcd, proxy: &Process, change: impl FnOnce(&Etcd)) {
    let listings = || proxy.log().matches("to listing").count();
    let before = listings();
    proxy.signal("-STOP");
    change(etcd);
    // The next revision alone could still be watched from.
    etcd.put("elsewhere", "1");
    etcd.put("elsewhere", "2");
    etcd.ctl(&["compaction", &etcd.revision().to_string()]);
    etcd.stop();
    etcd.start();
    proxy.signal("-CONT");
    wait_for("the tree is listed", || listings() > before);
    is_well(proxy);
}

#[test]
fn what_was_changed_out_of_sight_is_listed_and_equal_content_publishes_nothing() {
    let mut etcd = etcd();
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    put(&etcd, &route("a", &one.url()));
    let proxy = proxy(&etcd, "").option(DEBUG).start();
    assert_eq!(proxy.get("a.test", "/").text(), "one");
    let before = generation(&proxy);
    // It may hear of this before the connection breaks.
    out_of_sight(&mut etcd, &proxy, |etcd| put(etcd, &route("a", &one.url())));
    put(&etcd, &route("b", &two.url()));
    serves(&proxy, "b.test", "two");
    assert_eq!(generation(&proxy), before + 1);
    // A deletion of everything is one, also if nobody looked.
    out_of_sight(&mut etcd, &proxy, |etcd| {
        etcd.ctl(&["del", "--prefix", "traefik/"]);
    });
    is_gone(&proxy, "a.test");
    assert!(!proxy.log().contains(" ERR "), "{}", proxy.log());
}

/// What a proxy has saved that served `a.test` from `url` and has ended: a directory, and the option that names it.
fn saved(etcd: &Etcd, url: &str) -> (tempfile::TempDir, String) {
    let state = tempfile::tempdir().expect("a directory");
    let directory = format!("ringway: {{shards: 2, stateDir: {:?}}}", state.path());
    put(etcd, &route("a", url));
    let first = proxy(etcd, "").option(&directory).start();
    serves(&first, "a.test", "one");
    wait_for("the state is saved", || {
        state.path().join("etcd.kv").exists()
    });
    (state, directory)
}

#[test]
fn a_start_without_etcd_serves_what_was_saved() {
    let mut etcd = etcd();
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    let (_state, directory) = saved(&etcd, &one.url());
    etcd.stop();
    let proxy = proxy(&etcd, "").option(&directory).start();
    assert_eq!(proxy.get("a.test", "/").text(), "one", "before it listens");
    let error = complains(&proxy, &[&etcd.endpoint(), "etcd.kv", "saved at revision"]);
    assert_eq!(provider(&proxy)["stale"], true, "{error}");
    etcd.start();
    is_well(&proxy);
    put(&etcd, &route("a", &two.url()));
    serves(&proxy, "a.test", "two");
}

#[test]
fn another_start_does_not_make_a_wiped_store_believed_nor_a_deletion_doubted() {
    for is_wiped in [true, false] {
        let mut etcd = etcd();
        let one = answering(answer("one"));
        let (_state, directory) = saved(&etcd, &one.url());
        if is_wiped {
            etcd.empty();
        } else {
            etcd.ctl(&["del", "--prefix", "traefik/"]);
        }
        let proxy = proxy(&etcd, "").option(&directory).start();
        if is_wiped {
            complains(&proxy, &["wiped or restored", "allowRestore"]);
            assert_eq!(proxy.get("a.test", "/").text(), "one");
        } else {
            assert_eq!(proxy.get("a.test", "/").status, 404);
            is_well(&proxy);
        }
    }
}

/// Waits until a member knows a leader and serves.
fn has_leader(member: &Etcd) {
    wait_for("there is a leader", || member.tries(&["get", "ready"]));
}

#[test]
fn the_members_that_are_left_are_followed() {
    let mut members = etcd::cluster();
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    put(&members[0], &route("a", &one.url()));
    let endpoints: Vec<_> = members.iter().map(Etcd::endpoint).collect();
    let proxy = follower(&endpoints, "").start();
    assert_eq!(proxy.get("a.test", "/").text(), "one");
    // The one that is in use is killed; it may be the leader.
    members[0].stop();
    has_leader(&members[1]);
    put(&members[1], &route("b", &two.url()));
    serves(&proxy, "b.test", "two");
    members[0].start();
    // The one that is in use now no longer says anything; its connection stays.
    members[1].pause();
    has_leader(&members[2]);
    let rule = "traefik/http/routers/b/rule";
    members[2].ctl(&["put", rule, "Host(`c.test`)"]);
    serves(&proxy, "c.test", "two");
    is_gone(&proxy, "b.test");
    is_well(&proxy);
    members[1].resume();
    // Without a leader nothing is known, and what is in force stays.
    members[1].stop();
    members[2].stop();
    complains(&proxy, &["etcd at "]);
    assert_eq!(proxy.get("a.test", "/").text(), "one");
    members[1].start();
    put(&members[1], &route("d", &one.url()));
    serves(&proxy, "d.test", "one");
    is_well(&proxy);
}
