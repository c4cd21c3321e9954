//! Incremental equals full, whatever happens in whatever order.

use proptest::prelude::*;

use super::*;

/// One change of one object, small names so that references meet.
#[derive(Clone, Debug)]
struct Step {
    kind: Kind,
    number: u8,
    /// `file` and `etcd` are in the configured order of precedence, `late` is not.
    provider: &'static str,
    edit: Edit,
}

#[derive(Clone, Debug)]
enum Edit {
    Write(String),
    Remove,
    /// Text that decodes to errors.
    Spoil,
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
        Kind::TlsOptions | Kind::TlsStore => ["default", "o"][usize::from(number) % 2].to_owned(),
        _ => format!("t{}", number % 2),
    }
}

/// What stands behind the name of a reference: mostly the own provider.
fn whose() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(""), 1 => Just("@file"), 1 => Just("@etcd"), 1 => Just("@late")]
}

fn middlewares() -> impl Strategy<Value = String> {
    let one = (0..7u8, whose()).prop_map(|(n, whose)| format!("m{n}{whose}"));
    proptest::collection::vec(one, 0..3).prop_map(|names| names.join(", "))
}

fn service_name() -> impl Strategy<Value = String> {
    (0..6u8, whose()).prop_map(|(n, whose)| match n {
        5 => "noop@internal".to_owned(),
        n => format!("s{n}{whose}"),
    })
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
        service_name(),
        prop_oneof![9 => 0..3i64, 1 => Just(i64::MAX)],
        prop_oneof![4 => Just(""), 1 => Just("v2")],
        prop_oneof![
            6 => Just(""),
            1 => Just(", tls: {}"),
            1 => Just(", tls: {options: o}"),
            1 => Just(", observability: {accessLogs: false}"),
            1 => Just(", parentRefs: [r1]"),
        ],
    );
    (rule, entry_points, middlewares(), rest).prop_map(|(rule, entry_points, middlewares, (service, priority, syntax, more))| {
        format!("{{rule: '{rule}', entryPoints: [{entry_points}], middlewares: [{middlewares}], service: {service}, priority: {priority}, ruleSyntax: '{syntax}'{more}}}")
    })
}

fn middleware_text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (0..3u8).prop_map(|n| format!("{{addPrefix: {{prefix: /{n}}}}}")),
        1 => Just("{addPrefix: {prefix: ''}}".to_owned()),
        1 => Just("{retry: {attempts: 2}}".to_owned()),
        1 => Just("{redirectRegex: {regex: '(', replacement: x}}".to_owned()),
        1 => Just("{basicAuth: {users: ['a:b']}}".to_owned()),
        1 => Just("{buffering: {maxRequestBodyBytes: 5}}".to_owned()),
        2 => service_name().prop_map(|name| format!("{{errors: {{status: ['500'], query: /, service: {name}}}}}")),
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
    let transport = prop_oneof![
        Just(""),
        Just("t0"),
        Just("t1"),
        Just("t2"),
        Just("t0@etcd"),
        Just("default@internal")
    ];
    let strategy = prop_oneof![Just("wrr"), Just("p2c"), Just("hrw")];
    prop_oneof![
        9 => (servers, transport, strategy, any::<bool>()).prop_map(|(servers, transport, strategy, host)| format!("{{loadBalancer: {{servers: [{servers}], serversTransport: '{transport}', strategy: {strategy}, passHostHeader: {host}}}}}")),
        1 => Just("{weighted: {services: [{name: s0}]}}".to_owned()),
        1 => Just("{middlewares: [m0], loadBalancer: {servers: []}}".to_owned()),
    ]
}

/// What an object of the kind may have as its text.
fn text(kind: Kind) -> BoxedStrategy<String> {
    let constant = |text: &str| Just(text.to_owned()).boxed();
    match kind {
        Kind::HttpRouter => router_text().boxed(),
        Kind::HttpMiddleware => middleware_text().boxed(),
        Kind::HttpService => service_text().boxed(),
        Kind::HttpServersTransport => prop_oneof![
            Just("{maxIdleConnsPerHost: 3}".to_owned()),
            Just("{maxIdleConnsPerHost: 4}".to_owned()),
            Just("{maxIdleConnsPerHost: 99999999999}".to_owned())
        ]
        .boxed(),
        Kind::HttpModel => {
            let more = prop_oneof![
                3 => Just(""),
                1 => Just(", tls: {}"),
                1 => Just(", observability: {accessLogs: false}"),
                1 => Just(", deniedEncodedPathCharacters: {allowEncodedSlash: true}"),
            ];
            let model = (middlewares(), more);
            model
                .prop_map(|(names, more)| format!("{{middlewares: [{names}]{more}}}"))
                .boxed()
        }
        Kind::TcpRouter => constant("{rule: 'HostSNI(`*`)', service: t0}"),
        Kind::UdpRouter => constant("{service: t0}"),
        Kind::TcpMiddleware => constant("{inFlightConn: {amount: 3}}"),
        Kind::TcpServersTransport => constant("{dialTimeout: 3s}"),
        Kind::TcpService | Kind::UdpService => constant("{loadBalancer: {servers: []}}"),
        Kind::TlsOptions => constant("{sniStrict: true}"),
        Kind::TlsStore => constant("{defaultCertificate: {certFile: a, keyFile: b}}"),
        kind => unreachable!("{kind} is not generated"),
    }
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        6 => Just(Kind::HttpRouter),
        4 => Just(Kind::HttpMiddleware),
        4 => Just(Kind::HttpService),
        1 => Just(Kind::HttpServersTransport),
        2 => Just(Kind::HttpModel),
        1 => proptest::sample::select(vec![
            Kind::TcpRouter, Kind::TcpService, Kind::TcpMiddleware, Kind::TcpServersTransport,
            Kind::UdpRouter, Kind::UdpService, Kind::TlsOptions, Kind::TlsStore,
        ]),
    ];
    let provider = prop_oneof![4 => Just("file"), 2 => Just("etcd"), 1 => Just("late")];
    (kind, any::<u8>(), provider).prop_flat_map(|(kind, number, provider)| {
        let edit = prop_oneof![
            5 => text(kind).prop_map(Edit::Write),
            1 => Just(Edit::Remove),
            1 => Just(Edit::Spoil),
        ];
        let provider = if kind == Kind::HttpModel {
            "internal"
        } else {
            provider
        };
        edit.prop_map(move |edit| Step {
            kind,
            number,
            provider,
            edit,
        })
    })
}

fn to_changes(steps: &[Step]) -> Vec<ObjectChange> {
    let mut objects = std::collections::BTreeMap::new();
    for step in steps {
        let kind = step.kind;
        let name = name(kind, step.number);
        let is_shared = matches!(kind, Kind::TlsOptions | Kind::TlsStore) && name == "default";
        let qualified: Arc<str> = match is_shared {
            true => name.as_str().into(),
            false => format!("{name}@{}", step.provider).into(),
        };
        let text = match &step.edit {
            Edit::Write(text) => text,
            Edit::Spoil => "{unknown: 1}",
            Edit::Remove => "",
        };
        let entry = if text.is_empty() {
            Entry::Absent
        } else {
            let (section, collection) = kind.place();
            let yaml = format!("{section}: {{{collection}: {{{name}: {text}}}}}");
            changes(step.provider, &yaml).remove(0).entry
        };
        let change = ObjectChange {
            kind,
            name: Arc::clone(&qualified),
            entry,
            last_good: None,
        };
        objects.insert((kind, qualified), change);
    }
    objects.into_values().collect()
}

/// Which states and edges the generator brings about: what it never makes, the property test says nothing about.
#[test]
fn the_generator_reaches_every_edge() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut missing: Vec<&str> = vec![
        "middleware in a chain",
        "chain in a chain",
        "service of an errors middleware",
        "transport of a service",
        "model of a router",
        "split router",
        "lost generated name",
        "last good version in force",
        "reference to another provider",
        "routers of equal priority from two providers",
        "rule in v2",
    ];
    let mut runner = TestRunner::deterministic();
    let history = proptest::collection::vec(proptest::collection::vec(step(), 1..6), 1..14);
    for _ in 0..3000 {
        if missing.is_empty() {
            break;
        }
        let mut planner = planner();
        for batch in history.new_tree(&mut runner).unwrap().current() {
            planner.apply(MergedChange {
                objects: to_changes(&batch),
                ..MergedChange::default()
            });
            let seen = seen(&planner);
            missing.retain(|edge| !seen.contains(edge));
        }
    }
    assert_eq!(missing, [""; 0], "never generated in force");
}

/// What of the list above is the case now.
fn seen(planner: &Planner) -> Vec<&'static str> {
    use crate::config::dynamic::{HttpMiddleware, Object};
    let published = planner.published();
    let mut seen = Vec::new();
    let mut note = |edge, is_so: bool| {
        if is_so {
            seen.push(edge);
        }
    };
    let good = |status: &&Arc<ObjectStatus>| status.status == Status::Enabled;
    for status in published.objects_of(Kind::HttpMiddleware).filter(good) {
        let Some(Object::HttpMiddleware(config)) = &status.object else {
            continue;
        };
        match &**config {
            HttpMiddleware::Errors(_) => note("service of an errors middleware", true),
            HttpMiddleware::Chain(chain) => {
                let provider = status.provider();
                for member in &chain.middlewares {
                    let name = crate::plan::names::qualify(member, provider);
                    let other = published.object(Kind::HttpMiddleware, &name);
                    let object = other.and_then(|other| other.object.as_ref());
                    if let Some(Object::HttpMiddleware(member)) = object {
                        let is_chain = matches!(**member, HttpMiddleware::Chain(_));
                        note("chain in a chain", is_chain);
                        note("middleware in a chain", !is_chain);
                    }
                }
            }
            _ => {}
        }
    }
    for service in published.snapshot.services.iter().flatten() {
        if let ServiceKind::LoadBalancer(balancer) = &service.kind {
            let own = &*balancer.transport.name != "default@internal";
            note("transport of a service", own);
        }
    }
    for status in published.objects_of(Kind::HttpRouter) {
        let Some(Object::HttpRouter(config)) = &status.object else {
            continue;
        };
        let router = status.router().expect("a router's status");
        note("model of a router", router.model.is_some());
        note(
            "split router",
            router.model.is_some() && config.entry_points.len() > 1,
        );
        let is_good = status.status == Status::Enabled;
        note(
            "reference to another provider",
            is_good && config.service.contains("@late"),
        );
        note("rule in v2", is_good && &*config.rule_syntax == "v2");
    }
    note("lost generated name", !planner.lost_names.is_empty());
    let fallback = |object: &ObjectChange| object.last_good.is_some();
    note(
        "last good version in force",
        planner.inputs().iter().any(fallback),
    );
    for place in 0..ENTRY_POINTS.len() {
        let routes = routes(planner, place);
        note(
            "routers of equal priority from two providers",
            routes.windows(2).any(|pair| {
                let provider = |n: usize| pair[n].order.name.rsplit('@').next().map(str::to_owned);
                pair[0].order.priority == pair[1].order.priority && provider(0) != provider(1)
            }),
        );
    }
    seen
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
            // What providers contest comes and goes, too.
            let conflicts = [batch.len() % 2 == 0].into_iter().filter(|contested| *contested);
            let conflicts = conflicts.map(|_| crate::plan::NameConflict {
                kind: Kind::TlsStore,
                name: "default".into(),
                losers: vec!["etcd".into(), "file".into()],
            });
            let conflicts = conflicts.collect();
            planner.apply(MergedChange { objects: change, conflicts, ..MergedChange::default() });
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
