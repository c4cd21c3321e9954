//! What is wrong with bad objects: told at its place, for one object without harm to the others.

use super::*;
use crate::config::tree::Position;

#[test]
fn a_struct_without_content_cannot_stand_alone() {
    for (kind, content, path) in [
        (
            Kind::HttpRouter,
            "observability: {}",
            "http.routers.x.observability",
        ),
        (
            Kind::HttpService,
            "loadBalancer: {}",
            "http.services.x.loadBalancer",
        ),
        (
            Kind::HttpService,
            "loadBalancer: true",
            "http.services.x.loadBalancer",
        ),
        (
            Kind::HttpService,
            "loadBalancer: {servers: [{url: u}], healthCheck: {}}",
            "http.services.x.loadBalancer.healthCheck",
        ),
        (
            Kind::HttpMiddleware,
            "headers: {}",
            "http.middlewares.x.headers",
        ),
        (
            Kind::HttpMiddleware,
            "inFlightReq: {amount: 1, sourceCriterion: {ipStrategy: {}}}",
            "http.middlewares.x.inFlightReq.sourceCriterion.ipStrategy",
        ),
        (
            Kind::HttpMiddleware,
            "headers: {customRequestHeaders: {}}",
            "http.middlewares.x.headers.customRequestHeaders",
        ),
    ] {
        let found = errors(kind, content);
        assert_eq!(found.len(), 1, "{content}: {found:?}");
        assert_eq!(found[0].0, path);
        assert!(
            found[0].1.starts_with("cannot be a standalone element"),
            "{found:?}"
        );
    }
}

#[test]
fn every_problem_of_an_object_is_told_at_its_path() {
    let decoded = yaml(
        "http:\n  routers:\n    api:\n      rul: x\n      priority: high\n      entryPoints: {a: b}\n      tls:\n        domains:\n        - {main: [m]}\n",
    );
    let declared = decoded.get(Kind::HttpRouter, "api").unwrap();
    let errors = declared.result.as_ref().unwrap_err();
    let told: Vec<_> = errors
        .iter()
        .map(|error| (error.path.as_str(), error.position))
        .collect();
    assert_eq!(
        told,
        [
            ("http.routers.api.rul", Position::new(4, 7)),
            ("http.routers.api.priority", Position::new(5, 17)),
            ("http.routers.api.entryPoints", Position::new(6, 20)),
            ("http.routers.api.tls.domains[0].main", Position::new(9, 18)),
        ]
    );
    assert_eq!(errors[0].suggestion.as_deref(), Some("rule"));
    assert_eq!(
        errors[1].message,
        "is \"high\" where an integer from -9223372036854775808 to 9223372036854775807 is expected"
    );
}

#[test]
fn unknown_fields_come_with_the_name_that_was_meant() {
    for (kind, content, name) in [
        (Kind::HttpRouter, "rul: x", "rule"),
        (Kind::HttpRouter, "entryPoint: [web]", "entryPoints"),
        (Kind::HttpRouter, "middleware: [web]", "middlewares"),
        (Kind::HttpService, "loadbalancers: {}", "loadBalancer"),
        (
            Kind::HttpService,
            "loadBalancer: {server: [{url: u}]}",
            "servers",
        ),
        (Kind::HttpMiddleware, "ratelimits: {}", "rateLimit"),
        (Kind::HttpMiddleware, "stripPrefx: {}", "stripPrefix"),
    ] {
        let errors = object(kind, content).unwrap_err();
        assert_eq!(errors[0].suggestion.as_deref(), Some(name), "{content}");
    }
    // What resembles nothing gets no wild guess.
    assert_eq!(
        object(Kind::HttpRouter, "foo: 1").unwrap_err()[0].suggestion,
        None
    );
    // Fields that only the program sets are not part of the vocabulary.
    assert!(object(Kind::HttpRouter, "defaultRule: true").is_err());
}

#[test]
fn a_field_in_two_spellings_is_an_error() {
    let found = errors(Kind::HttpRouter, "{rule: a, Rule: b}");
    assert_eq!(found[0].0, "http.routers.x.Rule");
}

#[test]
fn middlewares_and_services_have_exactly_one_type() {
    let found = errors(
        Kind::HttpMiddleware,
        "{addPrefix: {prefix: /a}, stripPrefix: {prefixes: /b}}",
    );
    assert!(
        found[0]
            .1
            .contains("both \"addPrefix\" and \"stripPrefix\""),
        "{found:?}"
    );
    let found = errors(Kind::HttpService, "{middlewares: [a]}");
    assert!(found[0].1.contains("has no type"), "{found:?}");
    let found = errors(
        Kind::TcpService,
        "{loadBalancer: {servers: [{address: a}]}, weighted: {services: [{name: a}]}}",
    );
    assert!(found[0].1.contains("both"), "{found:?}");
    assert!(errors(Kind::UdpService, "{}")[0].1.contains("has no type"));
}

#[test]
fn bad_objects_do_not_hide_good_ones() {
    let decoded = yaml(
        "http:\n  routers:\n    bad: {foo: 1}\n    good: {rule: r}\n    worse: text\n    none:\n",
    );
    let is_ok = |name| {
        decoded
            .get(Kind::HttpRouter, name)
            .map(|declared| declared.result.is_ok())
    };
    assert_eq!(
        (is_ok("bad"), is_ok("good"), is_ok("worse"), is_ok("none")),
        (Some(false), Some(true), Some(false), None)
    );
    assert_eq!(decoded.all_errors().len(), 2);
}

#[test]
fn names_must_not_name_a_provider() {
    let decoded = yaml("http: {routers: {a@file: {rule: r}, '': {rule: r}}}");
    for name in ["a@file", ""] {
        assert!(
            decoded.get(Kind::HttpRouter, name).unwrap().result.is_err(),
            "{name:?}"
        );
    }
}

#[test]
fn an_object_declared_twice_is_an_error_of_that_object() {
    let decoded = yaml("http: {routers: {a: {rule: r}, b: {rule: r}}, Routers: {a: {rule: s}}}");
    assert!(decoded.get(Kind::HttpRouter, "a").unwrap().result.is_err());
    assert!(decoded.get(Kind::HttpRouter, "b").unwrap().result.is_ok());
}

#[test]
fn unknown_top_level_keys_are_warnings_and_keys_below_errors_of_the_source() {
    let decoded =
        yaml("x-templates: {a: b}\nhttps: {}\nhttp:\n  routerz: {}\n  routers: {a: {rule: r}}\n");
    let paths = |problems: &[ObjectError]| {
        problems
            .iter()
            .map(|error| error.path.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(paths(&decoded.warnings), ["x-templates", "https"]);
    assert_eq!(decoded.warnings[1].suggestion.as_deref(), Some("http"));
    assert_eq!(paths(&decoded.errors), ["http.routerz"]);
    assert_eq!(decoded.errors[0].suggestion.as_deref(), Some("routers"));
    assert!(decoded.get(Kind::HttpRouter, "a").is_some());
}

#[test]
fn empty_and_misplaced_sections_are_clear_errors_of_the_source() {
    for (text, path, message) in [
        ("http: {}", "http", "cannot be a standalone element"),
        ("http: 3", "http", "is \"3\" where a map is expected"),
        (
            "http: {routers: {}}",
            "http.routers",
            "cannot be a standalone element",
        ),
        (
            "http: {routers: [a]}",
            "http.routers",
            "is a list where a map is expected",
        ),
        (
            "tls: {certificates: {}}",
            "tls.certificates",
            "is a map where a list is expected",
        ),
        ("[http]", "(top)", "is a list where a map"),
    ] {
        let decoded = yaml(text);
        assert_eq!(decoded.errors.len(), 1, "{text}: {:?}", decoded.errors);
        assert_eq!(decoded.errors[0].path, path, "{text}");
        assert!(
            decoded.errors[0].message.starts_with(message),
            "{text}: {}",
            decoded.errors[0]
        );
    }
    for text in ["", "http:", "http: {routers: }", "{}"] {
        let decoded = yaml(text);
        assert!(decoded.objects.is_empty(), "{text}");
    }
}

#[test]
fn numbers_below_their_bound_are_errors() {
    for content in [
        "retry: {attempts: 1, initialInterval: -1s}",
        "rateLimit: {average: -1}",
        "circuitBreaker: {expression: x, checkPeriod: -1}",
    ] {
        let found = errors(Kind::HttpMiddleware, content);
        assert!(found[0].1.contains("must not be negative"), "{found:?}");
    }
    // Negative means "at once" here.
    assert!(
        object(
            Kind::HttpService,
            "loadBalancer: {responseForwarding: {flushInterval: -1}, servers: [{url: u}]}"
        )
        .is_ok()
    );
}

#[test]
fn problems_name_their_file_when_it_is_known() {
    let mut decoded = yaml("x: 1\nhttp: {routerz: {}, routers: {a: {rul: r}}}\n");
    decoded.in_file(&"a.yml".into());
    let told: Vec<_> = decoded
        .all_errors()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        told[0],
        "a.yml:2:35: http.routers.a.rul: no such field, did you mean \"rule\"?"
    );
    assert!(
        told[1].starts_with("a.yml:2:8: http.routerz"),
        "{}",
        told[1]
    );
    assert!(
        decoded.warnings[0]
            .to_string()
            .starts_with("a.yml:1:1: x: unknown key")
    );
}
