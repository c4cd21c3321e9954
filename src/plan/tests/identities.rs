//! What keeps its identity, and so its state on the shards, through which change.

use super::*;
use crate::service::{PoolId, ServerAddress, ServerId};

fn ids(planner: &Planner) -> Vec<(String, ServerId, PoolId)> {
    let service = service(planner, "s@file");
    let servers = balancer(&service).servers.iter();
    servers
        .map(|server| (server.url.to_string(), server.id, server.pool))
        .collect()
}

fn servers(planner: &mut Planner, urls: &[&str]) -> Planned {
    let list: Vec<_> = urls.iter().map(|url| format!("{{url: '{url}'}}")).collect();
    apply(
        planner,
        &format!(
            "http: {{services: {{s: {{loadBalancer: {{servers: [{}]}}}}}}}}",
            list.join(", ")
        ),
    )
}

#[test]
fn servers_keep_their_identity_when_their_siblings_change() {
    let mut planner = planner();
    servers(&mut planner, &["http://a", "http://b", "http://a"]);
    let before = ids(&planner);
    let state = service(&planner, "s@file").state;
    servers(&mut planner, &["http://c", "http://a", "http://b"]);
    let after = ids(&planner);
    assert_eq!(service(&planner, "s@file").state, state);
    assert_eq!(after[1], before[0]);
    assert_eq!(after[2], before[1]);
    assert!(before.iter().all(|known| known.1 != after[0].1));
    assert_eq!(
        before[0].2, before[2].2,
        "the same authority is the same pool"
    );
}

#[test]
fn a_thousand_reordered_servers_keep_their_identities() {
    let mut planner = planner();
    let urls: Vec<_> = (0..1000)
        .map(|n| format!("http://10.0.{}.{}", n / 250, n % 250))
        .collect();
    let mut urls: Vec<_> = urls.iter().map(String::as_str).collect();
    servers(&mut planner, &urls);
    let mut before = ids(&planner);
    urls.reverse();
    servers(&mut planner, &urls);
    before.reverse();
    assert_eq!(ids(&planner), before);
}

#[test]
fn names_are_reported_as_they_come_and_go_and_never_share_an_identity() {
    let mut planner = planner();
    let planned = servers(
        &mut planner,
        &["http://a:1", "http://A:2", "http://10.0.0.1"],
    );
    let added: Vec<_> = planned
        .names_added
        .iter()
        .map(|(_, host)| &**host)
        .collect();
    assert_eq!(added, ["a"], "names are resolved once, in lower case");
    let first = planned.names_added[0].0;
    let service = service(&planner, "s@file");
    let ServerAddress::Name { id, port, .. } = &balancer(&service).servers[1].address else {
        panic!("a name is an address by name");
    };
    assert_eq!((*id, *port), (first, 2));
    let planned = servers(&mut planner, &["http://a:3"]);
    assert!(planned.names_added.is_empty() && planned.names_removed.is_empty());
    let planned = servers(&mut planner, &["http://b"]);
    assert_eq!(planned.names_removed, [(first, "a".into())]);
    let planned = servers(&mut planner, &["http://a"]);
    assert_ne!(planned.names_added[0].0, first);
}

#[test]
fn pools_are_removed_with_their_last_server_only() {
    let mut planner = planner();
    servers(&mut planner, &["http://a", "http://b"]);
    let pools: Vec<_> = ids(&planner).into_iter().map(|(_, _, pool)| pool).collect();
    let other = "http: {services: {t: {loadBalancer: {servers: [{url: 'http://a'}]}}}}";
    apply(&mut planner, other);
    let change = servers(&mut planner, &["http://c"])
        .change
        .expect("servers changed");
    assert_eq!(
        change.removed_pools,
        [pools[1]],
        "another service still uses the other"
    );
    let planned = remove(&mut planner, &[(Kind::HttpService, "t@file")]);
    let change = planned.change.expect("a service went");
    assert_eq!(change.removed_pools, [pools[0]]);
    assert_eq!(change.removed_states.len(), 1);
}

#[test]
fn a_transport_makes_another_pool_only_if_its_content_differs() {
    let mut planner = planner();
    let yaml = |timeout: &str| {
        format!(
            r"
http:
  services:
    s: {{loadBalancer: {{serversTransport: t, servers: [{{url: 'http://a'}}]}}}}
    u: {{loadBalancer: {{serversTransport: u, servers: [{{url: 'http://a'}}]}}}}
  serversTransports:
    t: {{maxIdleConnsPerHost: 7, forwardingTimeouts: {{dialTimeout: {timeout}}}}}
    u: {{maxIdleConnsPerHost: 7, forwardingTimeouts: {{dialTimeout: 5s}}}}
"
        )
    };
    apply(&mut planner, &yaml("5s"));
    let pool = |planner: &Planner, name: &str| balancer(&service(planner, name)).servers[0].pool;
    let shared = pool(&planner, "s@file");
    assert_eq!(shared, pool(&planner, "u@file"));
    let revision = service(&planner, "u@file").revision;
    apply(&mut planner, &yaml("6s"));
    assert_ne!(pool(&planner, "s@file"), shared);
    assert_eq!(pool(&planner, "u@file"), shared);
    assert_eq!(
        service(&planner, "u@file").revision,
        revision,
        "its description is the same"
    );
}

#[test]
fn a_services_change_touches_no_route_and_no_other_service() {
    let mut planner = planner();
    let yaml = r"
http:
  routers:
    r: {rule: 'Host(`r`)', service: s}
  services:
    s: {loadBalancer: {servers: [{url: 'http://a'}]}}
    t: {loadBalancer: {servers: [{url: 'http://a'}]}}
";
    apply(&mut planner, yaml);
    let route = Arc::clone(&routes(&planner, 0)[0]);
    let (s, t) = (service(&planner, "s@file"), service(&planner, "t@file"));
    let planned = servers(&mut planner, &["http://a", "http://b"]);
    assert_eq!((planned.work.routes, planned.work.slots), (0, 1));
    assert!(Arc::ptr_eq(&routes(&planner, 0)[0], &route));
    assert!(Arc::ptr_eq(&service(&planner, "t@file"), &t));
    assert!(service(&planner, "s@file").revision > s.revision);
}

#[test]
fn a_middleware_keeps_its_state_while_its_type_stays() {
    let mut planner = planner();
    let state = |planner: &Planner| {
        let snapshot = planner.published().snapshot.clone();
        let named = snapshot.middlewares.iter().flatten().next().unwrap();
        named.state
    };
    apply(
        &mut planner,
        "http: {middlewares: {m: {addPrefix: {prefix: /a}}}}",
    );
    let first = state(&planner);
    apply(
        &mut planner,
        "http: {middlewares: {m: {addPrefix: {prefix: /b}}}}",
    );
    assert_eq!(state(&planner), first);
    let planned = apply(
        &mut planner,
        "http: {middlewares: {m: {stripPrefix: {prefixes: [/b]}}}}",
    );
    assert_ne!(state(&planner), first);
    assert_eq!(planned.change.unwrap().removed_states, [first]);
}

#[test]
fn server_details_come_from_the_url_and_its_options() {
    let mut planner = planner();
    let yaml = r"
http:
  services:
    s:
      loadBalancer:
        strategy: p2c
        passHostHeader: false
        servers:
        - {url: 'http://a.test:8080/base', weight: 3, preservePath: true}
        - {url: 'http://b.test/ignored'}
        - {url: 'http://c.test', weight: 0}
        - {url: 'http://d.test', weight: -1}
";
    apply(&mut planner, yaml);
    let service = service(&planner, "s@file");
    let balancer = balancer(&service);
    assert_eq!(balancer.strategy, crate::service::Strategy::P2c);
    assert!(!balancer.pass_host_header);
    let [a, b] = &*balancer.servers else {
        panic!("weights of zero and less drop servers: {balancer:?}");
    };
    assert_eq!(
        (&*a.authority, a.weight, a.path_prefix.as_deref()),
        ("a.test:8080", 3, Some("/base"))
    );
    assert_eq!(
        (&*b.authority, b.weight, b.path_prefix.as_deref()),
        ("b.test", 1, None)
    );
}
