//! Redis, Consul and ZooKeeper as providers, through the binary: keys become routes, change, and go; an alias switches.

mod support;

use support::origin::{Origin, answering};
use support::process::{Process, Setup, answer, setup, wait_for};
use support::routes::{self, is_gone, serves};
use support::{consul, redis, zookeeper};

/// The keys of a route by host below a root.
fn route(root: &str, host: &str, url: &str) -> Vec<(String, String)> {
    routes::route(root, "r", host, url)
}

fn with(providers: &str) -> Setup {
    setup(&format!(
        "entryPoints: {{web: {{address: \"127.0.0.1:0\"}}}}\nproviders: {{{providers}}}\n\
         ringway: {{startupTimeout: 1s}}\n"
    ))
}

/// Puts keys, changes one, deletes all.
fn follows(proxy: &Process, origin: &Origin, set: impl Fn(&[(String, String)]), clear: impl Fn()) {
    set(&route("traefik", "a.test", &origin.url()));
    serves(proxy, "a.test", "here");
    set(&[(
        "traefik/http/routers/r/rule".into(),
        "Host(`b.test`)".into(),
    )]);
    serves(proxy, "b.test", "here");
    is_gone(proxy, "a.test");
    // One bad key rejects its object, which keeps what was good.
    set(&[("traefik/http/routers/r/priority".into(), "much".into())]);
    set(&[(
        "traefik/http/routers/q/rule".into(),
        "Host(`q.test`)".into(),
    )]);
    set(&[("traefik/http/routers/q/service".into(), "r".into())]);
    serves(proxy, "q.test", "here");
    serves(proxy, "b.test", "here");
    clear();
    is_gone(proxy, "b.test");
    is_gone(proxy, "q.test");
}

fn put(server: &redis::RedisServer, pairs: &[(String, String)]) {
    let mut command = vec!["MSET"];
    for (key, value) in pairs {
        command.extend([&**key, &**value]);
    }
    assert_eq!(server.run(&command), "+OK");
}

#[test]
fn redis_is_followed_also_over_a_restart() {
    let mut server = redis::RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let origin = answering(answer("here"));
    let proxy = with(&format!(
        "redis: {{endpoints: [\"{}\"]}}",
        server.endpoint()
    ))
    .start();
    let clear = || drop(server.run(&["FLUSHALL"]));
    follows(&proxy, &origin, |pairs| put(&server, pairs), clear);
    put(&server, &route("traefik", "a.test", &origin.url()));
    serves(&proxy, "a.test", "here");
    server.restart();
    serves(&proxy, "a.test", "here");
    put(&server, &route("traefik", "c.test", &origin.url()));
    serves(&proxy, "c.test", "here");
}

#[test]
fn a_password_that_is_wrong_is_told_and_not_shown() {
    let server = redis::RedisServer::start(&["--requirepass", "right"]);
    let proxy = with(&format!(
        "redis: {{endpoints: [\"{}\"], password: \"wr0ng\"}}",
        server.endpoint()
    ))
    .start();
    wait_for("the log says why", || {
        proxy.log().contains("providers.redis.password")
    });
    assert!(!proxy.log().contains("wr0ng"), "{}", proxy.log());
}

#[test]
fn an_alias_in_redis_switches_trees() {
    let server = redis::RedisServer::start(&[]);
    let origin = answering(answer("here"));
    put(&server, &route("one", "one.test", &origin.url()));
    server.run(&["SET", "alias", "one"]);
    let proxy = with(&format!(
        "redis: {{endpoints: [\"{}\"], aliasKey: alias}}",
        server.endpoint()
    ))
    .start();
    serves(&proxy, "one.test", "here");
    for n in 0..20 {
        let (root, host) = (format!("tree{n}"), format!("host{n}.test"));
        put(&server, &route(&root, &host, &origin.url()));
        server.run(&["SET", "alias", &root]);
        serves(&proxy, &host, "here");
    }
    is_gone(&proxy, "one.test");
}

#[test]
fn consul_is_followed() {
    let server = consul::Consul::start();
    let origin = answering(answer("here"));
    let proxy = with(&format!("consul: {{endpoints: [\"{}\"]}}", server.address)).start();
    let set = |pairs: &[(String, String)]| {
        server.change(|state| pairs.iter().for_each(|(key, value)| state.set(key, value)));
    };
    let clear = || {
        server.change(|state| {
            let keys: Vec<String> = state.pairs.keys().cloned().collect();
            keys.iter().for_each(|key| state.delete(key));
        });
    };
    follows(&proxy, &origin, set, clear);
}

#[test]
fn zookeeper_is_followed_also_over_a_restart() {
    let mut server = zookeeper::ZooKeeperServer::start();
    let origin = answering(answer("here"));
    let proxy = with(&format!(
        "zooKeeper: {{endpoints: [\"{}\"]}}",
        server.endpoint()
    ))
    .start();
    let set = |pairs: &[(String, String)]| server.writer().put(pairs);
    let clear = || server.writer().delete_all("/traefik");
    follows(&proxy, &origin, set, clear);
    set(&route("traefik", "a.test", &origin.url()));
    serves(&proxy, "a.test", "here");
    server.kill();
    wait_for("the log says that it is gone", || {
        proxy.log().contains("zookeeper at")
    });
    serves(&proxy, "a.test", "here");
    server.restart();
    server
        .writer()
        .put(&route("traefik", "c.test", &origin.url()));
    serves(&proxy, "c.test", "here");
}

#[test]
fn an_alias_in_zookeeper_switches_trees() {
    let server = zookeeper::ZooKeeperServer::start();
    let origin = answering(answer("here"));
    let mut writer = server.writer();
    writer.put(&route("one", "one.test", &origin.url()));
    writer.put(&[("alias", "one")]);
    let proxy = with(&format!(
        "zooKeeper: {{endpoints: [\"{}\"], aliasKey: alias, aliasWatch: true}}",
        server.endpoint()
    ))
    .start();
    serves(&proxy, "one.test", "here");
    for n in 0..10 {
        let (root, host) = (format!("tree{n}"), format!("host{n}.test"));
        writer.put(&route(&root, &host, &origin.url()));
        writer.put(&[("alias", &root)]);
        serves(&proxy, &host, "here");
        let later = format!("later{n}.test");
        writer.put(&[(
            format!("{root}/http/routers/r/rule"),
            format!("Host(`{later}`)"),
        )]);
        serves(&proxy, &later, "here");
    }
    is_gone(&proxy, "one.test");
}

#[test]
fn a_zookeeper_that_was_wiped_is_not_believed_unless_that_is_allowed() {
    let mut server = zookeeper::ZooKeeperServer::start();
    let origin = answering(answer("here"));
    // The new store is told from the old one by its smaller numbers.
    let mut writer = server.writer();
    (0..200).for_each(|n| writer.put(&[("elsewhere", n.to_string())]));
    writer.put(&route("traefik", "a.test", &origin.url()));
    let start = |options: &str| {
        let endpoint = server.endpoint();
        with(&format!(
            "zooKeeper: {{endpoints: [\"{endpoint}\"]{options}}}"
        ))
        .start()
    };
    let (cautious, trusting) = (start(""), start(", allowRestore: true"));
    for proxy in [&cautious, &trusting] {
        serves(proxy, "a.test", "here");
    }
    server.kill();
    server.wipe();
    server.restart();
    server
        .writer()
        .put(&route("traefik", "b.test", &origin.url()));
    serves(&trusting, "b.test", "here");
    wait_for("the log says why", || {
        cautious.log().contains("wiped or restored")
    });
    serves(&cautious, "a.test", "here");
    assert_eq!(cautious.get("b.test", "/").status, 404);
}

#[test]
fn a_zookeeper_that_is_absent_at_start_is_waited_for() {
    let mut server = zookeeper::ZooKeeperServer::start();
    server.kill();
    let origin = answering(answer("here"));
    let proxy = with(&format!(
        "zooKeeper: {{endpoints: [\"{}\"]}}",
        server.endpoint()
    ))
    .start();
    is_gone(&proxy, "a.test");
    server.restart();
    server
        .writer()
        .put(&route("traefik", "a.test", &origin.url()));
    serves(&proxy, "a.test", "here");
}
