use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::*;
use crate::config::dynamic::decode_text;
use crate::config::format::Format;
use crate::plan::{Entry as Input, MergedChange, ObjectChange, PlanSettings, Planner};

const CONFIG: &str = "
http:
  routers:
    api: {rule: 'Host(`a.test`) && PathPrefix(`/api`)', service: s, middlewares: [chain]}
    all: {rule: 'Host(`a.test`)', service: t}
    twin: {rule: 'Host(`a.test`)', service: t}
    beta: {rule: 'Host(`a.test`) && Header(`X-Beta`, `yes`)', service: t, priority: 100}
    broken: {rule: 'PathPrefix(`/api`)', service: nope}
    safe: {rule: 'Host(`a.test`)', service: t, tls: {}}
    admin: {rule: 'Host(`a.test`)', service: t, entryPoints: [admin]}
  middlewares:
    chain: {chain: {middlewares: [strip, add]}}
    strip: {stripPrefix: {prefixes: [/api]}}
    add: {addPrefix: {prefix: /v1}}
  services:
    s: {loadBalancer: {servers: [{url: 'http://10.0.0.1:80'}, {url: 'http://10.0.0.2:80', weight: 3}]}}
    t: {loadBalancer: {servers: [{url: 'http://10.0.0.3:80'}]}}
";

fn published() -> Arc<Published> {
    let mut planner = Planner::new(PlanSettings {
        entry_points: vec!["admin".into(), "web".into()],
        default_entry_points: vec!["web".into()],
        ..PlanSettings::default()
    });
    let decoded = decode_text(Format::Yaml, CONFIG, None).unwrap();
    let objects = decoded
        .objects
        .into_iter()
        .map(|(key, declared)| ObjectChange {
            kind: key.kind,
            name: format!("{}@file", key.name).into(),
            entry: Input::Present(declared.result.unwrap()),
            last_good: None,
        });
    let change = MergedChange {
        objects: objects.collect(),
        ..MergedChange::default()
    };
    planner.apply(change).published
}

fn points() -> [EntryPointFacts; 2] {
    let point = |name: &str, port, is_default| EntryPointFacts {
        name: name.into(),
        port,
        is_default,
        sanitize_path: true,
        semicolons: Semicolons::Separate,
    };
    [point("admin", 8081, false), point("web", 8080, true)]
}

fn question(url: &str) -> Question<'_> {
    Question {
        method: "GET",
        url,
        headers: &[],
        entry_point: None,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

fn ask(question: &Question<'_>) -> Explained {
    explain(&published(), &points(), question).unwrap()
}

fn others(explained: &Explained) -> Vec<(&str, Reason)> {
    let others = explained.others.iter();
    others.map(|other| (&*other.name, other.reason)).collect()
}

#[test]
fn the_way_of_a_request_is_told_to_its_servers() {
    let explained = ask(&question("http://A.Test:8080/x/../api/y"));
    assert_eq!(&*explained.entry_point, "web");
    assert_eq!(explained.request.host, "a.test");
    assert_eq!(explained.request.path, "/api/y");
    let router = explained.router.as_ref().unwrap();
    assert_eq!(&*router.name, "api@file");
    let middlewares: Vec<_> = router
        .middlewares
        .iter()
        .map(|middleware| (&*middleware.name, middleware.type_name))
        .collect();
    assert_eq!(
        middlewares,
        [("strip@file", "stripPrefix"), ("add@file", "addPrefix")]
    );
    assert_eq!(&*router.service.name, "s@file");
    assert_eq!(router.service.strategy, Some("wrr"));
    let servers: Vec<_> = router
        .service
        .servers
        .iter()
        .map(|server| (&*server.url, server.weight))
        .collect();
    assert_eq!(
        servers,
        [("http://10.0.0.1:80", 1), ("http://10.0.0.2:80", 3)]
    );
}

#[test]
fn the_others_are_told_with_their_reasons_nearest_first() {
    let explained = ask(&question("http://a.test:8080/api"));
    assert_eq!(
        others(&explained),
        [
            ("all@file", Reason::Later),
            ("twin@file", Reason::Later),
            ("broken@file", Reason::Disabled),
            ("safe@file", Reason::OtherTransport),
            ("beta@file", Reason::NoMatch),
        ]
    );
    let texts: Vec<_> = explained.others.iter().map(|other| &*other.text).collect();
    assert_eq!(
        texts[0],
        "matches too, but its priority 14 is lower than 37"
    );
    assert!(texts[2].contains("the service \"nope@file\" does not exist"));
    assert_eq!(texts[4], "does not match: Header(`X-Beta`, `yes`)");
    let twins = ask(&question("http://a.test:8080/"));
    assert_eq!(&*twins.router.as_ref().unwrap().name, "all@file");
    assert_eq!(
        twins.others[0].text,
        "matches too, but its priority is equal and its name comes later"
    );
}

#[test]
fn headers_method_and_tls_count() {
    let asked = Question {
        method: "PURGE",
        headers: &[("x-beta", "yes"), ("host", "a.test")],
        ..question("http://ignored:8080/api")
    };
    let explained = ask(&asked);
    assert_eq!(explained.request.method, "PURGE");
    assert_eq!(&*explained.router.unwrap().name, "beta@file");
    let safe = Question {
        entry_point: Some("web"),
        ..question("https://a.test/api")
    };
    assert_eq!(&*ask(&safe).router.unwrap().name, "safe@file");
}

#[test]
fn the_entry_point_is_asked_for_or_that_of_the_port_or_a_default_one() {
    let at = |question: &Question<'_>| {
        let explained = ask(question);
        (
            explained.entry_point.to_string(),
            explained.entry_point_reason,
        )
    };
    assert_eq!(
        at(&question("http://a.test:8081/")),
        ("admin".into(), "the URL has its port")
    );
    assert_eq!(at(&question("http://a.test/")).0, "web");
    let asked = Question {
        entry_point: Some("admin"),
        ..question("http://a.test/")
    };
    assert_eq!(at(&asked), ("admin".into(), "as asked"));
}

#[test]
fn no_router_is_404_and_what_cannot_be_meant_is_an_error() {
    let explained = ask(&question("http://[::1]:8080?q"));
    assert_eq!(explained.router, None);
    assert_eq!(explained.request.host, "::1");
    assert_eq!(explained.request.path, "/");
    assert_eq!(explained.request.query.as_deref(), Some("q"));
    for url in [
        "a.test/x",
        "ftp://a.test/",
        "http://a.test:x/",
        "http://a.test/%zz",
    ] {
        let result = explain(&published(), &points(), &question(url));
        assert!(result.is_err(), "{url}: {result:?}");
    }
    assert!(explain(&published(), &[], &question("http://a.test/")).is_err());
}

#[test]
fn it_prints_for_terminals() {
    let text = ask(&question("http://a.test:8080/api")).to_string();
    assert!(text.starts_with("request      GET http://a.test/api  from 127.0.0.1\nentry point  web  (the URL has its port)\nrouter       api@file  (priority 37)\n"), "{text}");
    assert!(
        text.contains("yes  PathPrefix(`/api`)  ◄ decides"),
        "{text}"
    );
    assert!(
        text.contains("\nserver       http://10.0.0.2:80  (weight 3)\n"),
        "{text}"
    );
    assert!(
        text.contains("\n  broken@file  (priority 18): matches, but is disabled: "),
        "{text}"
    );
    let none = ask(&question("http://b.test:8080/")).to_string();
    assert!(
        none.contains("router       none: the answer is 404"),
        "{none}"
    );
}
