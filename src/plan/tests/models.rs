//! Entry points' models: splitting, names, inheritance.

use super::*;

const MODELS: &str = r"
http:
  models:
    web: {middlewares: [ep@file], observability: {accessLogs: false}}
    websecure: {tls: {}}
";

const ROUTERS: &str = r"
http:
  routers:
    one: {rule: 'Host(`one`)', service: noop@internal, middlewares: [own]}
    two: {rule: 'Host(`two`)', service: noop@internal, entryPoints: [web, websecure, admin]}
  middlewares:
    ep: {addPrefix: {prefix: /ep}}
    own: {addPrefix: {prefix: /own}}
";

fn https_names(planner: &Planner, entry_point: usize) -> Vec<String> {
    let snapshot = planner.published().snapshot.clone();
    let entries = snapshot.entry_points[entry_point].https.iter();
    entries.map(|entry| entry.order.name.to_string()).collect()
}

#[test]
fn models_split_routers_by_entry_point() {
    for models_first in [true, false] {
        let mut planner = planner();
        let order = if models_first {
            [MODELS, ROUTERS]
        } else {
            [ROUTERS, MODELS]
        };
        for yaml in order {
            apply(&mut planner, yaml);
        }
        assert_eq!(route_names(&planner, 0), ["one@file", "web-two@file"]);
        assert_eq!(route_names(&planner, 1), [""; 0]);
        assert_eq!(https_names(&planner, 1), ["websecure-two@file"]);
        assert_eq!(route_names(&planner, 2), ["two@file"]);
        let route = &routes(&planner, 0)[0];
        assert_eq!(middleware_names(&planner, route), ["ep@file", "own@file"]);
        assert!(
            !routes(&planner, 2)[0].value.access_log,
            "internal services are not logged"
        );
        let status = status_of(&planner, Kind::HttpRouter, "web-two@file");
        let json = serde_json::to_value(status.effective().as_deref()).unwrap();
        assert_eq!(json["entryPoints"], serde_json::json!(["web"]));
        assert_eq!(json["middlewares"], serde_json::json!(["ep@file"]));
        assert_eq!(
            json["observability"]["accessLogs"],
            serde_json::json!(false)
        );
    }
}

#[test]
fn removing_models_joins_what_they_split() {
    let mut planner = planner();
    apply(&mut planner, ROUTERS);
    apply(&mut planner, MODELS);
    remove(
        &mut planner,
        &[
            (Kind::HttpModel, "web@internal"),
            (Kind::HttpModel, "websecure@internal"),
        ],
    );
    for entry_point in [0, 1, 2] {
        assert!(route_names(&planner, entry_point).contains(&"two@file".to_owned()));
    }
    let published = planner.published();
    assert_eq!(published.objects_of(Kind::HttpRouter).count(), 2);
}

#[test]
fn a_declared_name_wins_over_a_generated_one() {
    let mut planner = planner();
    apply(&mut planner, MODELS);
    apply(&mut planner, ROUTERS);
    let rival = "http: {routers: {web-two: {rule: 'Host(`rival`)', service: noop@internal, entryPoints: [admin]}}}";
    apply(&mut planner, rival);
    assert_eq!(route_names(&planner, 0), ["one@file"]);
    assert_eq!(route_names(&planner, 2), ["web-two@file", "two@file"]);
    let published = planner.published();
    let conflict = &published.conflicts[0];
    assert_eq!(
        (&*conflict.name, &*conflict.losers[0]),
        ("web-two@file", "two@file")
    );
    remove(&mut planner, &[(Kind::HttpRouter, "web-two@file")]);
    assert_eq!(route_names(&planner, 0), ["one@file", "web-two@file"]);
    assert!(planner.published().conflicts.is_empty());
}

#[test]
fn of_two_generated_names_the_first_router_by_name_gets_it() {
    let texts = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect();
    let mut planner = Planner::new(PlanSettings {
        entry_points: texts(&["a", "a-b"]),
        default_entry_points: texts(&["a", "a-b"]),
        ..PlanSettings::default()
    });
    apply(
        &mut planner,
        "http: {models: {a: {middlewares: []}, a-b: {middlewares: []}}}",
    );
    let router = |name: &str| {
        format!("http: {{routers: {{{name}: {{rule: 'Host(`{name}`)', service: noop@internal}}}}}}")
    };
    // Both generate a-b-c@file: c on a-b and b-c on a.
    apply(&mut planner, &router("c"));
    assert_eq!(route_names(&planner, 1), ["a-b-c@file"]);
    apply(&mut planner, &router("b-c"));
    assert_eq!(route_names(&planner, 0), ["a-b-c@file", "a-c@file"]);
    assert_eq!(route_names(&planner, 1), ["a-b-b-c@file"]);
    remove(&mut planner, &[(Kind::HttpRouter, "b-c@file")]);
    assert_eq!(route_names(&planner, 1), ["a-b-c@file"]);
}

#[test]
fn the_syntax_of_rules_is_the_routers_the_models_or_the_default() {
    let mut planner = planner();
    let v2 =
        "http: {routers: {r: {rule: 'Host(`a`, `b`)', ruleSyntax: v2, service: noop@internal}}}";
    apply(&mut planner, v2);
    assert_eq!(router(&planner, "r@file"), enabled());
    let default = "http: {routers: {q: {rule: 'Host(`a`, `b`)', service: noop@internal}}}";
    apply(&mut planner, default);
    assert_eq!(router(&planner, "q@file").0, Status::Disabled);
    let model = crate::config::dynamic::HttpModel {
        default_rule_syntax: "v2".into(),
        ..Default::default()
    };
    let change = ObjectChange {
        kind: Kind::HttpModel,
        name: "web@internal".into(),
        entry: Entry::Present(model.into()),
        last_good: None,
    };
    checked(&mut planner, vec![change]);
    assert_eq!(router(&planner, "q@file"), enabled());
}
