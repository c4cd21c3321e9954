//! What is wrong with an object, in Traefik's words where Traefik has some.

use super::*;

const SETUP: &str = r"
http:
  routers:
    r: {rule: 'Host(`ap.test`) && PathPrefix(`/a`)', service: s, middlewares: [m, c], priority: 7}
    d: {rule: 'Host(`d.ap.test`)', service: s}
    bad: {rule: 'Nope(`x`)', service: s}
    nosvc: {rule: 'Host(`n.ap.test`)', service: nope}
    nomw: {rule: 'Host(`m.ap.test`)', service: s, middlewares: [nope]}
    noep: {rule: 'Host(`e.ap.test`)', service: s, entryPoints: [nope]}
    tls: {rule: 'Host(`t.ap.test`)', service: s, tls: {}}
  middlewares:
    m: {addPrefix: {prefix: /x}}
    c: {chain: {middlewares: [h]}}
    h: {headers: {frameDeny: true, customRequestHeaders: {X-A: b}}}
    unused: {stripPrefix: {prefixes: [/p, /q]}}
    rl: {rateLimit: {average: 10}}
    ba: {basicAuth: {users: ['u:secret']}}
    badre: {replacePathRegex: {regex: '(', replacement: x}}
    fa: {forwardAuth: {address: 'http://127.0.0.1:2'}}
    buf: {buffering: {maxRequestBodyBytes: 5}}
    cp: {compress: true}
    rt: {retry: {attempts: 3}}
    cb: {circuitBreaker: {expression: NetworkErrorRatio() > 0.5}}
  services:
    s: {loadBalancer: {servers: [{url: 'http://127.0.0.1:1'}, {url: 'http://127.0.0.1:2', weight: 3}]}}
    w: {weighted: {services: [{name: s, weight: 2}]}}
    mi: {mirroring: {service: s, mirrors: [{name: w, percent: 10}]}}
    fo: {failover: {service: hc, fallback: s}}
    st: {loadBalancer: {sticky: {cookie: {name: x}}, servers: [{url: 'http://127.0.0.1:3'}]}}
    hc: {loadBalancer: {healthCheck: {path: /h, interval: 10s}, servers: [{url: 'http://127.0.0.1:1'}]}}
    unused: {loadBalancer: {servers: [{url: 'http://127.0.0.1:1'}]}}
";

fn count(planner: &Planner, kind: Kind, status: Status) -> usize {
    let published = planner.published();
    let objects = published.objects_of(kind);
    objects.filter(|object| object.status == status).count()
}

#[test]
fn each_dangling_or_bad_router_is_disabled_for_its_own_reason() {
    let mut planner = planner();
    apply(&mut planner, SETUP);
    assert_eq!(router(&planner, "r@file"), enabled());
    assert_eq!(router(&planner, "d@file"), enabled());
    assert_eq!(router(&planner, "tls@file"), enabled());
    let missing = "the service \"nope@file\" does not exist";
    assert_eq!(router(&planner, "nosvc@file"), disabled(missing));
    let missing = "middleware \"nope@file\" does not exist";
    assert_eq!(router(&planner, "nomw@file"), disabled(missing));
    let (status, errors) = router(&planner, "noep@file");
    let texts = [
        "entryPoint \"nope\" doesn't exist",
        "no valid entryPoint for this router",
    ];
    assert_eq!(
        (status, &errors[..]),
        (Status::Disabled, &texts.map(String::from)[..])
    );
    let (status, errors) = router(&planner, "bad@file");
    assert_eq!(status, Status::Disabled);
    assert!(errors[0].contains("Nope"), "{errors:?}");
    assert_eq!(route_names(&planner, 0), ["d@file", "r@file"]);
    let snapshot = planner.published().snapshot.clone();
    assert_eq!(snapshot.entry_points[0].https.len(), 1);
}

#[test]
fn only_what_routers_reach_counts_as_broken() {
    let mut planner = planner();
    apply(&mut planner, SETUP);
    let counts = |kind| {
        [Status::Enabled, Status::Warning, Status::Disabled]
            .map(|status| count(&planner, kind, status))
    };
    assert_eq!(counts(Kind::HttpRouter), [3, 0, 4]);
    // The two that the program offers are services, too.
    assert_eq!(counts(Kind::HttpService), [7 + 2, 0, 0]);
    assert_eq!(counts(Kind::HttpMiddleware), [12, 0, 0]);
    let bad = status_of(&planner, Kind::HttpMiddleware, "badre@file");
    assert!(!bad.errors.is_empty(), "the reason is told nevertheless");
}

#[test]
fn an_effective_router_shows_what_it_inherits() {
    let mut planner = planner();
    apply(&mut planner, SETUP);
    let status = status_of(&planner, Kind::HttpRouter, "r@file");
    let json = serde_json::to_value(status.effective().as_deref()).unwrap();
    let expected = serde_json::json!({
        "entryPoints": ["web"],
        "middlewares": ["m@file", "c@file"],
        "service": "s",
        "rule": "Host(`ap.test`) && PathPrefix(`/a`)",
        "priority": 7,
        "observability": {"accessLogs": true, "metrics": true, "tracing": true, "traceVerbosity": "minimal"},
    });
    assert_eq!(json, expected);
    let detail = status.router().unwrap();
    assert_eq!(&*detail.entry_points.using, [Arc::from("web")]);
    let status = status_of(&planner, Kind::HttpRouter, "d@file");
    let rule_length = i64::try_from("Host(`d.ap.test`)".len()).unwrap();
    assert_eq!(status.priority(), rule_length);
}

#[test]
fn objects_tell_which_routers_name_them() {
    let mut planner = planner();
    apply(&mut planner, SETUP);
    let used_by = |planner: &Planner, kind, name| {
        let status = status_of(planner, kind, name);
        let names = status.used_by().iter().map(|name| name.to_string());
        names.collect::<Vec<_>>().join(" ")
    };
    let all = "bad@file d@file noep@file nomw@file r@file tls@file";
    assert_eq!(used_by(&planner, Kind::HttpService, "s@file"), all);
    assert_eq!(used_by(&planner, Kind::HttpMiddleware, "c@file"), "r@file");
    assert_eq!(
        used_by(&planner, Kind::HttpMiddleware, "h@file"),
        "",
        "only its chain names it"
    );
    remove(
        &mut planner,
        &[
            (Kind::HttpRouter, "bad@file"),
            (Kind::HttpRouter, "tls@file"),
        ],
    );
    let rest = "d@file noep@file nomw@file r@file";
    assert_eq!(used_by(&planner, Kind::HttpService, "s@file"), rest);
}

#[test]
fn a_router_whose_service_is_missing_leaves_requests_to_the_next_one() {
    let mut planner = planner();
    let yaml = r"
http:
  routers:
    a: {rule: 'Host(`x.test`) && PathPrefix(`/`)', service: nope}
    b: {rule: 'Host(`x.test`)', service: o2, priority: 1}
  services:
    o2: {loadBalancer: {servers: [{url: 'http://127.0.0.1:2'}]}}
";
    apply(&mut planner, yaml);
    assert_eq!(route_names(&planner, 0), ["b@file"]);
    let service = "http: {services: {nope: {loadBalancer: {servers: []}}}}";
    apply(&mut planner, service);
    assert_eq!(route_names(&planner, 0), ["a@file", "b@file"]);
    remove(&mut planner, &[(Kind::HttpService, "nope@file")]);
    assert_eq!(route_names(&planner, 0), ["b@file"]);
}

#[test]
fn a_router_without_service_or_with_too_high_a_priority_is_disabled() {
    let mut planner = planner();
    let yaml = r"
http:
  routers:
    none: {rule: 'Host(`x`)'}
    high: {rule: 'Host(`x`)', service: noop@internal, priority: 9223372036854774808}
    edge: {rule: 'Host(`x`)', service: noop@internal, priority: 9223372036854774807}
    child: {rule: 'Host(`x`)', service: noop@internal, parentRefs: [edge]}
    off: {rule: 'Host(`x`)', service: api@internal}
";
    apply(&mut planner, yaml);
    let missing = "the service is missing on the router";
    assert_eq!(router(&planner, "none@file"), disabled(missing));
    let text = "the router priority 9223372036854774808 exceeds the max user-defined priority 9223372036854774807";
    assert_eq!(router(&planner, "high@file"), disabled(text));
    assert_eq!(router(&planner, "edge@file"), enabled());
    assert_eq!(
        router(&planner, "child@file"),
        disabled("not supported yet: parentRefs")
    );
    assert_eq!(router(&planner, "off@file"), disabled("api is not enabled"));
    let yaml =
        "http: {routers: {top: {rule: 'Host(`x`)', service: ping, priority: 9223372036854775807}}}";
    apply_as(&mut planner, "internal", yaml);
    assert_eq!(router(&planner, "top@internal"), enabled());
    assert_eq!(route_names(&planner, 0), ["top@internal", "edge@file"]);
}

#[test]
fn a_known_entry_point_beside_an_unknown_one_is_a_warning() {
    let mut planner = planner();
    let yaml = "http: {routers: {r: {rule: 'Host(`x`)', service: noop@internal, entryPoints: [nope, admin]}}}";
    apply(&mut planner, yaml);
    let (status, errors) = router(&planner, "r@file");
    assert_eq!(status, Status::Warning);
    assert_eq!(errors, ["entryPoint \"nope\" doesn't exist"]);
    assert_eq!(route_names(&planner, 2), ["r@file"]);
}

#[test]
fn chains_are_flattened_and_their_cycles_reported() {
    let mut planner = planner();
    let yaml = r"
http:
  routers:
    ok: {rule: 'Host(`ok`)', service: noop@internal, middlewares: [outer, p]}
    bad: {rule: 'Host(`bad`)', service: noop@internal, middlewares: [a]}
  middlewares:
    p: {addPrefix: {prefix: /p}}
    q: {retry: {attempts: 2}}
    inner: {chain: {middlewares: [p, q]}}
    outer: {chain: {middlewares: [inner, p]}}
    a: {chain: {middlewares: [p, b]}}
    b: {chain: {middlewares: [a]}}
";
    apply(&mut planner, yaml);
    let route = &routes(&planner, 0)[0];
    assert_eq!(
        middleware_names(&planner, route),
        ["p@file", "q@file", "p@file", "p@file"]
    );
    assert!(route.value.has_around);
    let cycle =
        "could not instantiate middleware a@file: recursion detected in a@file->b@file->a@file";
    assert_eq!(router(&planner, "bad@file"), disabled(cycle));
    // Breaking the cycle deep below is seen above.
    apply(
        &mut planner,
        "http: {middlewares: {b: {chain: {middlewares: [p]}}}}",
    );
    assert_eq!(router(&planner, "bad@file"), enabled());
    remove(&mut planner, &[(Kind::HttpMiddleware, "q@file")]);
    let missing = "middleware \"q@file\" does not exist";
    assert_eq!(router(&planner, "ok@file"), disabled(missing));
}

#[test]
fn chains_that_double_themselves_end_at_the_limit() {
    let mut planner = planner();
    let mut yaml = String::from("http:\n  middlewares:\n    c0: {addPrefix: {prefix: /p}}\n");
    for n in 1..40 {
        let below = n - 1;
        yaml += &format!("    c{n}: {{chain: {{middlewares: [c{below}, c{below}]}}}}\n");
    }
    yaml += "  routers:\n    r: {rule: 'Host(`x`)', service: noop@internal, middlewares: [c39]}\n";
    apply(&mut planner, &yaml);
    let (status, errors) = router(&planner, "r@file");
    assert_eq!(status, Status::Disabled);
    assert!(errors[0].contains("more than 1024"), "{errors:?}");
}

#[test]
fn what_is_not_supported_yet_is_named() {
    let mut planner = planner();
    let yaml = r"
http:
  routers:
    w: {rule: 'Host(`w`)', service: w}
    s: {rule: 'Host(`s`)', service: s}
    t: {rule: 'Host(`t`)', service: t}
    m: {rule: 'Host(`m`)', service: m}
    x: {rule: 'Host(`x`)', service: x}
  services:
    w: {weighted: {services: [{name: s, weight: 2}]}}
    s: {loadBalancer: {strategy: hrw, sticky: {cookie: {}}, healthCheck: {path: /}, passiveHealthCheck: {maxFailedAttempts: 2}, servers: []}}
    t: {loadBalancer: {servers: [{url: 'https://a'}, {url: 'a'}]}}
    m: {middlewares: [a], loadBalancer: {servers: []}}
    x: {loadBalancer: {serversTransport: x, servers: []}}
tcp:
  services:
    t: {loadBalancer: {servers: []}}
";
    apply(&mut planner, yaml);
    assert_eq!(
        router(&planner, "w@file"),
        disabled("not supported yet: weighted")
    );
    assert_eq!(
        router(&planner, "m@file"),
        disabled("not supported yet: middlewares of a service")
    );
    assert_eq!(
        router(&planner, "x@file"),
        disabled("servers transport not found x@file")
    );
    let (_, errors) = router(&planner, "t@file");
    assert!(
        errors[0].contains("https is not supported yet"),
        "{errors:?}"
    );
    assert!(errors[0].contains("http://a"), "{errors:?}");
    assert_eq!(router(&planner, "s@file"), enabled());
    let status = status_of(&planner, Kind::HttpService, "s@file");
    assert_eq!(status.status, Status::Warning);
    assert!(status.errors[0].contains("hrw"), "{status:?}");
    assert!(
        status.errors[1].contains("sticky, healthCheck, passiveHealthCheck"),
        "{status:?}"
    );
    let status = status_of(&planner, Kind::TcpService, "t@file");
    assert_eq!(status.status, Status::Warning);
}

#[test]
fn an_errors_middleware_needs_its_service() {
    let mut planner = planner();
    let yaml = r"
http:
  routers:
    r: {rule: 'Host(`w`)', service: noop@internal, middlewares: [e]}
  middlewares:
    e: {errors: {status: ['500-599'], service: pages, query: '/{status}'}}
";
    apply(&mut planner, yaml);
    let missing = "the service \"pages@file\" does not exist";
    assert_eq!(router(&planner, "r@file"), disabled(missing));
    apply(
        &mut planner,
        "http: {services: {pages: {loadBalancer: {servers: []}}}}",
    );
    assert_eq!(router(&planner, "r@file"), enabled());
    let snapshot = planner.published().snapshot.clone();
    let named = snapshot
        .middleware(routes(&planner, 0)[0].value.middlewares[0])
        .unwrap();
    let slot = named
        .service
        .expect("an errors middleware knows its service");
    assert_eq!(&*snapshot.service(slot).unwrap().name, "pages@file");
}

#[test]
fn equal_priorities_go_by_provider_precedence_then_by_name() {
    let mut planner = planner();
    let yaml = |names: [&str; 2]| {
        let router = |name| format!("{name}: {{rule: 'Host(`x.test`)', service: noop@internal}}");
        format!(
            "http: {{routers: {{{}, {}}}}}",
            router(names[0]),
            router(names[1])
        )
    };
    apply_as(&mut planner, "zookeeper", &yaml(["a", "b"]));
    apply_as(&mut planner, "etcd", &yaml(["c", "b"]));
    apply_as(&mut planner, "file", &yaml(["z", "d"]));
    let order = [
        "d@file",
        "z@file",
        "b@etcd",
        "c@etcd",
        "a@zookeeper",
        "b@zookeeper",
    ];
    assert_eq!(route_names(&planner, 0), order);
}

#[test]
fn messages_are_logged_once_and_their_end_too() {
    let mut planner = planner();
    let bad = "http: {routers: {r: {rule: 'Host(`x`)', service: s}}}";
    let planned = apply(&mut planner, bad);
    let texts: Vec<_> = planned.log.iter().map(|message| &*message.text).collect();
    assert_eq!(texts, ["the service \"s@file\" does not exist"]);
    let planned = apply(
        &mut planner,
        "http: {routers: {r: {rule: 'Host(`y`)', service: s}}}",
    );
    assert_eq!(planned.log, [], "nothing new is wrong");
    let planned = apply(
        &mut planner,
        "http: {services: {s: {loadBalancer: {servers: []}}}}",
    );
    let texts: Vec<_> = planned.log.iter().map(|message| &*message.text).collect();
    assert_eq!(texts, ["in force again as configured"]);
}
