//! A bad version of an object never takes its good one down.

use super::*;

const GOOD: &str = r"
http:
  routers:
    r: {rule: 'Host(`good.test`)', service: s, middlewares: [m]}
  middlewares:
    m: {addPrefix: {prefix: /good}}
  services:
    s: {loadBalancer: {servers: [{url: 'http://10.0.0.1'}]}}
";

#[test]
fn objects_that_no_longer_decode_or_compile_keep_their_last_good_version() {
    let mut planner = planner();
    apply(&mut planner, GOOD);
    let bad = [
        "http: {routers: {r: {rule: 'Host(`bad.test`)', service: s, foo: 1}}}",
        "http: {routers: {r: {rule: 'Nope(`bad.test`)', service: s}}}",
        "http: {routers: {r: {rule: 'Host(`bad.test`)'}}}",
        "http: {middlewares: {m: {addPrefix: {prefix: ''}}}}",
        "http: {middlewares: {m: {addPrefix: {}, stripPrefix: {}}}}",
        "http: {services: {s: {loadBalancer: {servers: [{url: 'ftp://x'}]}}}}",
        "http: {services: {s: {weighted: {services: []}}}}",
    ];
    for yaml in bad {
        let planned = apply(&mut planner, yaml);
        assert!(planned.change.is_none(), "{yaml}: shards need not know");
        assert!(!planned.log.is_empty(), "{yaml}: somebody must know");
    }
    let routes = routes(&planner, 0);
    assert_eq!(routes[0].rule.source(), "Host(`good.test`)");
    assert_eq!(middleware_names(&planner, &routes[0]), ["m@file"]);
    for (kind, name) in [
        (Kind::HttpRouter, "r@file"),
        (Kind::HttpMiddleware, "m@file"),
        (Kind::HttpService, "s@file"),
    ] {
        let status = status_of(&planner, kind, name);
        assert_eq!(status.status, Status::Warning, "{name}");
        assert!(!status.errors.is_empty(), "{name}");
    }
    apply(&mut planner, GOOD);
    assert_eq!(router(&planner, "r@file"), enabled());
}

#[test]
fn a_deleted_object_has_no_good_version_any_more() {
    let mut planner = planner();
    apply(&mut planner, GOOD);
    remove(&mut planner, &[(Kind::HttpRouter, "r@file")]);
    assert_eq!(route_names(&planner, 0), [""; 0]);
    apply(
        &mut planner,
        "http: {routers: {r: {rule: 'Host(', service: s}}}",
    );
    assert_eq!(router(&planner, "r@file").0, Status::Disabled);
    assert_eq!(route_names(&planner, 0), [""; 0]);
}

#[test]
fn the_good_version_resolves_against_the_current_objects() {
    let mut planner = planner();
    apply(&mut planner, GOOD);
    apply(
        &mut planner,
        "http: {routers: {r: {rule: 'Host(', service: s}}}",
    );
    assert_eq!(route_names(&planner, 0), ["r@file"]);
    remove(&mut planner, &[(Kind::HttpService, "s@file")]);
    let (status, errors) = router(&planner, "r@file");
    assert_eq!(status, Status::Disabled);
    assert_eq!(errors[0], "the service \"s@file\" does not exist");
}

#[test]
fn a_bad_object_beside_good_ones_harms_none_of_them() {
    let mut planner = planner();
    let yaml = r"
http:
  routers:
    good: {rule: 'Host(`x`)', service: s}
    b: {rule: 'Host(`b.x`)', service: s, foo: 1}
  services:
    s: {loadBalancer: {servers: [{url: 'http://10.0.0.1'}]}}
";
    apply(&mut planner, yaml);
    assert_eq!(router(&planner, "good@file"), enabled());
    let (status, errors) = router(&planner, "b@file");
    assert_eq!(status, Status::Disabled);
    assert!(errors[0].contains("foo"), "{errors:?}");
}

#[test]
fn a_second_bad_version_still_falls_back_to_the_good_one() {
    let mut planner = planner();
    apply(&mut planner, GOOD);
    for rule in ["Host(", "Path(`x`)", "Nope(`x`)"] {
        apply(
            &mut planner,
            &format!("http: {{routers: {{r: {{rule: '{rule}', service: s}}}}}}"),
        );
        assert_eq!(routes(&planner, 0)[0].rule.source(), "Host(`good.test`)");
    }
    let inputs = planner.inputs();
    let mut restarted = super::planner();
    checked(&mut restarted, inputs);
    assert_eq!(routes(&restarted, 0)[0].rule.source(), "Host(`good.test`)");
}

#[test]
fn a_panic_while_compiling_disables_only_that_object() {
    let mut planner = Planner::new(PlanSettings {
        read_file: |_| panic!("disk on fire"),
        entry_points: vec!["web".into()],
        default_entry_points: vec!["web".into()],
        ..PlanSettings::default()
    });
    let yaml = r"
http:
  routers:
    a: {rule: 'Host(`a`)', service: noop@internal, middlewares: [b]}
    c: {rule: 'Host(`c`)', service: noop@internal}
  middlewares:
    b: {basicAuth: {usersFile: /etc/users}}
";
    apply(&mut planner, yaml);
    let (status, errors) = router(&planner, "a@file");
    assert_eq!(status, Status::Disabled);
    assert!(errors[0].contains("disk on fire"), "{errors:?}");
    assert_eq!(router(&planner, "c@file"), enabled());
}
