//! Incremental equals full, whatever happens in whatever order.

use proptest::prelude::*;

use super::*;

/// One change of one object, small names so that references meet.
#[derive(Clone, Debug)]
enum Step {
    Router(u8, String),
    Middleware(u8, String),
    Service(u8, String),
    Transport(u8, String),
    Model(u8, String),
    Remove(Kind, u8),
    /// Text that decodes to errors.
    Spoil(Kind, u8),
}

const ENTRY_POINTS: [&str; 3] = ["web", "websecure", "admin"];

fn name(kind: Kind, number: u8) -> String {
    match kind {
        // Some declared names look like generated ones.
        Kind::HttpRouter => ["r0", "r1", "r2", "web-r0", "admin-r1", "web-web-r0"]
            [usize::from(number) % 6]
            .to_owned(),
        Kind::HttpModel => ENTRY_POINTS[usize::from(number) % 3].to_owned(),
        Kind::HttpMiddleware => format!("m{}", number % 6),
        Kind::HttpService => format!("s{}", number % 4),
        _ => format!("t{}", number % 2),
    }
}

fn middlewares() -> impl Strategy<Value = String> {
    let one = (0..7u8).prop_map(|n| format!("m{n}"));
    proptest::collection::vec(one, 0..3).prop_map(|names| names.join(", "))
}

fn router_text() -> impl Strategy<Value = String> {
    let rule = prop_oneof![
        6 => (0..3u8).prop_map(|n| format!("Host(`h{n}`)")),
        1 => Just("Host(`a`, `b`)".to_owned()),
        1 => Just("Nope(".to_owned()),
    ];
    let entry_points = prop_oneof![
        Just(""),
        Just("web"),
        Just("web, websecure"),
        Just("admin, web"),
        Just("nope"),
        Just("nope, web, admin")
    ];
    let rest = (
        0..6u8,
        0..3i64,
        any::<bool>(),
        prop_oneof![4 => Just(""), 1 => Just("v2")],
    );
    (rule, entry_points, middlewares(), rest).prop_map(|(rule, entry_points, middlewares, (service, priority, tls, syntax))| {
        let service = match service {
            5 => "noop@internal".to_owned(),
            n => format!("s{n}"),
        };
        let tls = if tls { ", tls: {}" } else { "" };
        format!("{{rule: '{rule}', entryPoints: [{entry_points}], middlewares: [{middlewares}], service: {service}, priority: {priority}, ruleSyntax: '{syntax}'{tls}}}")
    })
}

fn middleware_text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (0..3u8).prop_map(|n| format!("{{addPrefix: {{prefix: /{n}}}}}")),
        1 => Just("{addPrefix: {prefix: ''}}".to_owned()),
        1 => Just("{retry: {attempts: 2}}".to_owned()),
        1 => (0..5u8).prop_map(|n| format!("{{errors: {{status: ['500'], query: /, service: s{n}}}}}")),
        4 => middlewares().prop_map(|names| format!("{{chain: {{middlewares: [{names}]}}}}")),
    ]
}

fn service_text() -> impl Strategy<Value = String> {
    let url = prop_oneof![
        8 => (0..4u8).prop_map(|n| format!("http://h{n}")),
        2 => (0..2u8).prop_map(|n| format!("http://10.0.0.{n}:80/p")),
        1 => Just("https://x".to_owned()),
    ];
    let server =
        (url, 0..3i64).prop_map(|(url, weight)| format!("{{url: '{url}', weight: {weight}}}"));
    let servers = proptest::collection::vec(server, 0..4).prop_map(|servers| servers.join(", "));
    let transport = prop_oneof![Just(""), Just("t0"), Just("t1"), Just("t2")];
    let strategy = prop_oneof![Just("wrr"), Just("p2c"), Just("hrw")];
    prop_oneof![
        9 => (servers, transport, strategy).prop_map(|(servers, transport, strategy)| format!("{{loadBalancer: {{servers: [{servers}], serversTransport: '{transport}', strategy: {strategy}}}}}")),
        1 => Just("{weighted: {services: []}}".to_owned()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        Just(Kind::HttpRouter),
        Just(Kind::HttpMiddleware),
        Just(Kind::HttpService),
        Just(Kind::HttpServersTransport),
        Just(Kind::HttpModel),
    ];
    let transport = prop_oneof![
        Just("{maxIdleConnsPerHost: 3}"),
        Just("{maxIdleConnsPerHost: 4}"),
        Just("{maxIdleConnsPerHost: 99999999999}")
    ];
    let model = (middlewares(), any::<bool>()).prop_map(|(names, tls)| {
        format!(
            "{{middlewares: [{names}]{}}}",
            if tls { ", tls: {}" } else { "" }
        )
    });
    prop_oneof![
        6 => (any::<u8>(), router_text()).prop_map(|(n, text)| Step::Router(n, text)),
        4 => (any::<u8>(), middleware_text()).prop_map(|(n, text)| Step::Middleware(n, text)),
        4 => (any::<u8>(), service_text()).prop_map(|(n, text)| Step::Service(n, text)),
        1 => (any::<u8>(), transport).prop_map(|(n, text)| Step::Transport(n, text.to_owned())),
        2 => (any::<u8>(), model).prop_map(|(n, text)| Step::Model(n, text)),
        3 => (kind.clone(), any::<u8>()).prop_map(|(kind, n)| Step::Remove(kind, n)),
        1 => (kind, any::<u8>()).prop_map(|(kind, n)| Step::Spoil(kind, n)),
    ]
}

fn to_changes(steps: &[Step]) -> Vec<ObjectChange> {
    let mut objects = std::collections::BTreeMap::new();
    for step in steps {
        let (kind, number, text) = match step {
            Step::Router(n, text) => (Kind::HttpRouter, *n, text.as_str()),
            Step::Middleware(n, text) => (Kind::HttpMiddleware, *n, text.as_str()),
            Step::Service(n, text) => (Kind::HttpService, *n, text.as_str()),
            Step::Transport(n, text) => (Kind::HttpServersTransport, *n, text.as_str()),
            Step::Model(n, text) => (Kind::HttpModel, *n, text.as_str()),
            Step::Remove(kind, n) => (*kind, *n, ""),
            Step::Spoil(kind, n) => (*kind, *n, "{unknown: 1}"),
        };
        let name = name(kind, number);
        let change = if text.is_empty() {
            let provider = if kind == Kind::HttpModel {
                "internal"
            } else {
                "file"
            };
            ObjectChange {
                kind,
                name: format!("{name}@{provider}").into(),
                entry: Entry::Absent,
                last_good: None,
            }
        } else {
            let (section, collection) = kind.place();
            let yaml = format!("{section}: {{{collection}: {{{name}: {text}}}}}");
            changes("file", &yaml).remove(0)
        };
        objects.insert((kind, name), change);
    }
    objects.into_values().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// Each batch is one change; after each, everything equals a compilation from scratch.
    #[test]
    fn incremental_equals_full(batches in proptest::collection::vec(proptest::collection::vec(step(), 1..6), 1..14)) {
        let mut planner = planner();
        let mut applied = Vec::new();
        for batch in &batches {
            let change = to_changes(batch);
            applied.push(format!("{batch:?}"));
            planner.apply(MergedChange { objects: change, ..MergedChange::default() });
            let difference = difference(&planner, &planner.rebuild_from_scratch());
            prop_assert_eq!(difference, None, "after {}", applied.join("\n"));
        }
        // What is removed leaves nothing behind.
        let all = planner.inputs().into_iter().map(|input| ObjectChange { entry: Entry::Absent, last_good: None, ..input });
        let objects = all.collect();
        planner.apply(MergedChange { objects, ..MergedChange::default() });
        let empty = super::planner();
        prop_assert_eq!(difference(&planner, &empty), None);
        prop_assert_eq!(planner.graph.len(), empty.graph.len());
        prop_assert_eq!(planner.identities.live(), empty.identities.live());
        prop_assert!(planner.lost_names.is_empty());
    }
}

#[test]
fn a_verified_planner_finds_nothing_to_report() {
    let mut planner = Planner::new(PlanSettings {
        verify_incremental: true,
        entry_points: vec!["web".into()],
        default_entry_points: vec!["web".into()],
        ..PlanSettings::default()
    });
    let yaml = "http: {routers: {r: {rule: 'Host(`x`)', service: noop@internal}}}";
    assert_eq!(apply(&mut planner, yaml).log, []);
    // A planner that lies about its state is found out.
    planner.snapshot.entry_points[0] = Default::default();
    let yaml = "http: {routers: {q: {rule: 'Host(`y`)', service: noop@internal}}}";
    let planned = planner.apply(MergedChange {
        objects: changes("file", yaml),
        ..MergedChange::default()
    });
    assert!(
        planned.log[0].text.contains("differs from a full one"),
        "{:?}",
        planned.log
    );
}

#[test]
fn equal_content_changes_nothing() {
    let mut planner = planner();
    let yaml = "http: {routers: {r: {rule: 'Host(`x`)', service: noop@internal}}}";
    let first = apply(&mut planner, yaml);
    let again = apply(&mut planner, yaml);
    assert!(first.change.is_some() && again.change.is_none());
    assert_eq!(again.published.generation, first.published.generation);
    assert_eq!(again.work, Default::default());
}
