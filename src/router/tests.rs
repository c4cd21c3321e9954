//! The index against a linear scan, and what lookups and changes cost.

use proptest::prelude::*;

use super::*;
use crate::rules::tests::Get;
use crate::rules::{Syntax, parse};

fn rule(source: &str) -> Rule {
    parse(source, Syntax::V3).unwrap_or_else(|e| panic!("{e}"))
}

fn order(priority: i64, provider_rank: u16, name: &str) -> RouteOrder {
    RouteOrder {
        priority,
        provider_rank,
        name: name.into(),
    }
}

/// A table of rules in Traefik's default priority; the value is the index.
fn table(rules: &[&str]) -> RouteTable<usize> {
    let mut table = RouteTable::new();
    for (i, source) in rules.iter().enumerate() {
        let rule = rule(source);
        table.insert(
            order(rule.default_priority(), 0, &format!("r{i}@file")),
            rule,
            i,
        );
    }
    table
}

fn found(table: &RouteTable<usize>, request: &Get) -> Option<usize> {
    table.lookup(request, &mut RegexCaches::new()).copied()
}

#[test]
fn the_longer_rule_wins() {
    let table = table(&[
        "Host(`h`) && PathPrefix(`/`)",
        "Host(`h`) && PathPrefix(`/x`)",
        "Host(`h`)",
    ]);
    assert_eq!(found(&table, &Get::new("h", "/x")), Some(1));
    assert_eq!(found(&table, &Get::new("h", "/y")), Some(0));
    assert_eq!(found(&table, &Get::new("h", "*")), Some(2));
    assert_eq!(found(&table, &Get::new("i", "/")), None);
}

#[test]
fn priority_wins_over_a_more_specific_host() {
    let mut table = RouteTable::new();
    table.insert(order(1, 0, "exact"), rule("Host(`a.test`)"), 1);
    table.insert(order(2, 0, "wild"), rule("Host(`*.test`)"), 2);
    assert_eq!(found(&table, &Get::new("a.test", "/")), Some(2));
    table.insert(order(3, 0, "any"), rule("PathPrefix(`/`)"), 3);
    assert_eq!(found(&table, &Get::new("a.test", "/")), Some(3));
    table.remove(&order(3, 0, "any")).unwrap();
    table.remove(&order(2, 0, "wild")).unwrap();
    assert_eq!(found(&table, &Get::new("a.test", "/")), Some(1));
}

#[test]
fn equal_priorities_go_by_provider_then_by_name() {
    let mut table = RouteTable::new();
    table.insert(order(1, 2, "a"), rule("Host(`h`)"), 1);
    table.insert(order(1, 1, "z"), rule("Host(`h`)"), 2);
    table.insert(order(1, 1, "y"), rule("Host(`h`)"), 3);
    assert_eq!(found(&table, &Get::new("h", "/")), Some(3));
    let request = Get::new("h", "/");
    let all: Vec<usize> = table.candidates(&request).map(|r| r.value).collect();
    assert_eq!(all, [3, 2, 1]);
}

#[test]
fn dots_and_case_of_hosts_come_out_right_through_the_index() {
    let table = table(&["Host(`A.Test`)", "Host(`b.test.`)", "Host(`*.C.test`)"]);
    for (host, expected) in [
        ("a.test", Some(0)),
        ("A.TEST.", Some(0)),
        ("a.test..", None),
        ("b.test", Some(1)),
        ("b.test.", Some(1)),
        ("b.test..", Some(1)),
        ("x.c.test.", Some(2)),
        ("x.y.c.test", None),
        ("c.test", None),
    ] {
        assert_eq!(found(&table, &Get::new(host, "/")), expected, "{host}");
    }
}

#[test]
fn hosts_of_equal_hash_are_told_apart() {
    let mut seen = FxHashMap::default();
    let mut pairs = (0..).filter_map(|i: u32| {
        let host = format!("h{i}.test");
        let other = seen.insert(hash(host.as_bytes()), host.clone())?;
        Some((other, host))
    });
    let (a, b) = pairs.next().unwrap();
    let rules = [&a, &b].map(|host| rule(&format!("Host(`{host}`)")));
    let order = ["a", "b"].map(|name| order(0, 0, name));
    let mut one_by_one = RouteTable::new();
    for i in 0..2 {
        one_by_one.insert(order[i].clone(), rules[i].clone(), i);
    }
    let at_once = (0..2).map(|i| (order[i].clone(), rules[i].clone(), i));
    for mut table in [one_by_one, at_once.collect()] {
        assert_eq!(table.hosts.len(), 1, "{a} and {b} share a group");
        assert_eq!(found(&table, &Get::new(&a, "/")), Some(0));
        assert_eq!(found(&table, &Get::new(&b, "/")), Some(1));
        table.remove(&order[0]).unwrap();
        assert_eq!(found(&table, &Get::new(&a, "/")), None);
        assert_eq!(found(&table, &Get::new(&b, "/")), Some(1));
    }
}

#[test]
fn a_route_of_several_guards_is_one_candidate() {
    let table = table(&[
        "Host(`a`) || PathPrefix(`/x`) || PathPrefix(`/xy`) || Host(`*.b`)",
        "PathPrefix(`/`)",
    ]);
    let request = Get::new("a", "/xyz");
    let all: Vec<usize> = table.candidates(&request).map(|r| r.value).collect();
    assert_eq!(all, [0, 1]);
}

#[test]
fn more_nested_prefixes_than_are_merged_at_once_come_in_order() {
    let mut table = RouteTable::new();
    for i in 0..60usize {
        let rule = rule(&format!("PathPrefix(`/{}`)", "a".repeat(i)));
        // Priorities that do not follow the length.
        table.insert(order((i * 37 % 60) as i64, 0, &format!("r{i}")), rule, i);
    }
    // Beside them the few routes of a host, which are not in a list.
    for (i, host) in ["h.test", "*.test"].iter().cycle().take(6).enumerate() {
        let rule = rule(&format!("Host(`{host}`) && Method(`PUT`)"));
        table.insert(order(i as i64 * 9, 1, &format!("h{i}")), rule, 100 + i);
    }
    for depth in [0, 5, 11, 12, 13, 14, 15, 16, 40, 70] {
        let request = Get::new("h.test", &format!("/{}", "a".repeat(depth)));
        let candidates: Vec<_> = table.candidates(&request).collect();
        assert_eq!(candidates.len(), 60.min(depth + 1) + 6);
        assert!(candidates.is_sorted_by(|a, b| a.order < b.order));
    }
}

#[test]
fn an_inserted_route_replaces_the_one_of_equal_order() {
    let mut table = RouteTable::new();
    assert!(
        table
            .insert(order(1, 0, "r"), rule("Host(`a`)"), 1)
            .is_none()
    );
    let old = table
        .insert(order(1, 0, "r"), rule("Host(`b`)"), 2)
        .unwrap();
    assert_eq!((old.value, table.len()), (1, 1));
    assert_eq!(found(&table, &Get::new("a", "/")), None);
    assert_eq!(found(&table, &Get::new("b", "/")), Some(2));
    assert!(table.remove(&order(1, 1, "r")).is_none());
    assert!(table.remove(&order(1, 0, "r")).is_some());
    assert!(table.is_empty());
    assert_eq!(table.hosts.len(), 0);
}

#[test]
fn bulk_loading_keeps_the_last_of_equal_orders() {
    let load = [
        ("r", "Host(`a`)", 1),
        ("q", "Host(`a`)", 2),
        ("r", "Host(`b`)", 3),
    ];
    let table: RouteTable<usize> = load
        .map(|(name, source, value)| (order(1, 0, name), rule(source), value))
        .into_iter()
        .collect();
    assert_eq!(table.len(), 2);
    assert_eq!(found(&table, &Get::new("a", "/")), Some(2));
    assert_eq!(found(&table, &Get::new("b", "/")), Some(3));
}

#[test]
fn a_rule_that_never_matches_is_kept_but_never_a_candidate() {
    let table = table(&["Host(`a`) && Host(`b`)"]);
    assert_eq!(table.iter().count(), 1);
    assert_eq!(table.candidates(&Get::new("a", "/")).count(), 0);
}

#[test]
fn the_table_is_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<RouteTable<Arc<str>>>();
}

// ---- cost ----

/// The three shapes that must stay flat: rule number `i`, and a request for it.
type Shape = (&'static str, fn(usize) -> String, fn(usize) -> Get);

const SHAPES: [Shape; 3] = [
    (
        "many hosts",
        |i| format!("Host(`host-{i}.example.com`) && PathPrefix(`/`)"),
        |i| Get::new(&format!("host-{i}.example.com"), "/index.html"),
    ),
    (
        "one host, many prefixes",
        |i| format!("Host(`example.com`) && PathPrefix(`/service-{i}/`)"),
        |i| Get::new("example.com", &format!("/service-{i}/index.html")),
    ),
    (
        "many hosts, few paths",
        |i| {
            format!(
                "Host(`host-{}.example.com`) && PathPrefix(`/p{}/`)",
                i / 4,
                i % 4
            )
        },
        |i| {
            Get::new(
                &format!("host-{}.example.com", i / 4),
                &format!("/p{}/x", i % 4),
            )
        },
    ),
];

fn shaped(n: usize, rule_of: fn(usize) -> String) -> RouteTable<usize> {
    (0..n)
        .map(|i| {
            let rule = rule(&rule_of(i));
            (
                order(rule.default_priority(), 0, &format!("router-{i}@file")),
                rule,
                i,
            )
        })
        .collect()
}

#[test]
fn candidates_do_not_grow_with_the_number_of_routers() {
    for (name, rule_of, request_of) in SHAPES {
        for n in [1, 100, 20_000] {
            let table = shaped(n, rule_of);
            assert_eq!(table.len(), n);
            for i in [0, n / 3, n - 1] {
                let request = request_of(i);
                let count = table.candidates(&request).count();
                assert!(
                    (1..=4).contains(&count),
                    "{name}, {n} routers: {count} candidates"
                );
                assert_eq!(found(&table, &request), Some(i), "{name}, {n} routers");
            }
        }
    }
}

#[test]
fn a_change_of_a_shared_table_copies_a_path_of_nodes() {
    let copied = || work::COPIED.with(|c| c.replace(0));
    for (name, rule_of, _) in SHAPES {
        for n in [1_000, 32_000] {
            let published = shaped(n, rule_of);
            let mut next = published.clone();
            copied();
            let rule = rule(&rule_of(n + 7));
            let order = order(rule.default_priority(), 0, "new@file");
            next.insert(order.clone(), rule, n);
            let inserting = copied();
            let again = next.clone();
            copied();
            next.remove(&order).unwrap();
            let removing = copied();
            // Three to four levels of at most 32, 64 and 12 pointers.
            for (what, work) in [("insert", inserting), ("remove", removing)] {
                assert!(
                    (1..=400).contains(&work),
                    "{name}, {n} routers: {what} copied {work}"
                );
            }
            assert_eq!((published.len(), again.len(), next.len()), (n, n + 1, n));
        }
    }
}

#[test]
fn changing_a_table_of_equal_guards_stays_cheap() {
    let rules = |i: usize| format!("Host(`h`) && PathPrefix(`/`) && Header(`X-Tenant`, `t{i}`)");
    let mut table: RouteTable<usize> = RouteTable::new();
    for i in 0..3000 {
        table.insert(order(0, 0, &format!("{i:05}")), rule(&rules(i)), i);
    }
    assert_eq!(
        found(&table, &Get::new("h", "/").header("x-tenant", "t2999")),
        Some(2999)
    );
    let old = table.clone();
    work::COPIED.with(|c| c.set(0));
    table.remove(&order(0, 0, "01500")).unwrap();
    assert!(work::COPIED.with(|c| c.get()) < 300);
    assert_eq!(old.candidates(&Get::new("h", "/")).count(), 3000);
    assert_eq!(table.candidates(&Get::new("h", "/")).count(), 2999);
}

// ---- the index equals a linear scan ----

fn leaf() -> impl Strategy<Value = String> {
    let pick = |list: &'static [&'static str]| prop::sample::select(list);
    prop_oneof![
        6 => pick(&["a.test", "A.Test.", "b.test", "x.a.test", "*.a.test", "*.test", "*", "*.", "*x", "h", "."])
            .prop_map(|h| format!("Host(`{h}`)")),
        5 => pick(&["/", "/a", "/ab", "/a/b", "/a/b/c", "/b", "/b/"]).prop_map(|p| format!("PathPrefix(`{p}`)")),
        3 => pick(&["/", "/a", "/ab", "/a/b", "/b"]).prop_map(|p| format!("Path(`{p}`)")),
        1 => pick(&["^/a/?", "/b", "^/a|b", "^/ab+"]).prop_map(|p| format!("PathRegexp(`{p}`)")),
        1 => pick(&["^a", "test$", "x*"]).prop_map(|p| format!("HostRegexp(`{p}`)")),
        1 => Just("Method(`POST`)".to_string()),
        1 => Just("Header(`X-A`, `1`)".to_string()),
        1 => Just("Query(`q`)".to_string()),
    ]
}

fn any_rule() -> impl Strategy<Value = String> {
    leaf().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            5 => prop::collection::vec(inner.clone(), 2..4).prop_map(|v| format!("({})", v.join(" && "))),
            3 => prop::collection::vec(inner.clone(), 2..4).prop_map(|v| format!("({})", v.join(" || "))),
            1 => inner.prop_map(|r| format!("!({r})")),
        ]
    })
}

fn any_request() -> impl Strategy<Value = Get> {
    (
        prop::sample::select(
            &[
                "a.test",
                "a.test.",
                "a.test..",
                "b.test",
                "x.a.test",
                "y.x.a.test",
                "x.a.test.",
                "h",
                "h.",
                "",
                ".",
                "..",
                "a..",
                ".test",
            ][..],
        ),
        prop::sample::select(
            &[
                "/", "/a", "/ab", "/abb", "/a/b", "/a/b/c/d", "/b", "/b/x", "*", "", "/c?q",
                "/a?q=1",
            ][..],
        ),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(host, target, post, header)| {
            let request = Get::new(host, target).method(if post { "POST" } else { "GET" });
            if header {
                request.header("x-a", "1")
            } else {
                request
            }
        })
}

#[derive(Debug, Clone)]
enum Change {
    Insert {
        priority: i64,
        rank: u16,
        name: u8,
        rule: String,
    },
    Remove {
        place: usize,
    },
    Snapshot,
}

fn changes(most: usize) -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        6 => (-2..3i64, 0..2u16, any::<u8>(), any_rule())
            .prop_map(|(priority, rank, name, rule)| Change::Insert { priority, rank, name, rule }),
        2 => any::<usize>().prop_map(|place| Change::Remove { place }),
        1 => Just(Change::Snapshot),
    ];
    prop::collection::vec(change, 1..most)
}

type Model = Vec<(RouteOrder, Rule, usize)>;

fn agree(table: &RouteTable<usize>, model: &Model, requests: &[Get]) -> Result<(), TestCaseError> {
    let mut caches = RegexCaches::new();
    prop_assert_eq!(table.len(), model.len());
    let listed: Vec<usize> = table.iter().map(|r| r.value).collect();
    prop_assert_eq!(listed, model.iter().map(|m| m.2).collect::<Vec<_>>());
    for request in requests {
        let mut matching = model
            .iter()
            .filter(|m| m.1.matches(request, &mut caches))
            .map(|m| m.2);
        let all: Vec<usize> = matching.by_ref().collect();
        let mut caches = RegexCaches::new();
        prop_assert_eq!(table.lookup(request, &mut caches), all.first());
        // Candidates are in order, each once, and all that match are among them.
        let candidates: Vec<&Arc<Route<usize>>> = table.candidates(request).collect();
        prop_assert!(candidates.is_sorted_by(|a, b| a.order < b.order));
        let among: Vec<usize> = (candidates.iter())
            .filter(|r| r.rule.matches(request, &mut caches))
            .map(|r| r.value)
            .collect();
        prop_assert_eq!(among, all);
    }
    Ok(())
}

fn run(changes: Vec<Change>, requests: &[Get]) -> Result<(), TestCaseError> {
    let mut table = RouteTable::new();
    let mut model: Model = Vec::new();
    let mut snapshots = Vec::new();
    for (value, change) in changes.into_iter().enumerate() {
        match change {
            Change::Insert {
                priority,
                rank,
                name,
                rule: source,
            } => {
                let order = order(priority, rank, &name.to_string());
                let rule = rule(&source);
                let replaced = table.insert(order.clone(), rule.clone(), value);
                let place = model.binary_search_by(|m| m.0.cmp(&order));
                prop_assert_eq!(replaced.map(|r| r.value), place.ok().map(|i| model[i].2));
                match place {
                    Ok(i) => model[i] = (order, rule, value),
                    Err(i) => model.insert(i, (order, rule, value)),
                }
            }
            Change::Remove { place } if !model.is_empty() => {
                let (order, _, value) = model.remove(place % model.len());
                prop_assert_eq!(table.remove(&order).map(|r| r.value), Some(value));
                prop_assert!(table.remove(&order).is_none());
            }
            Change::Remove { .. } => {}
            Change::Snapshot => snapshots.push((table.clone(), model.clone())),
        }
    }
    agree(&table, &model, requests)?;
    agree(&model.iter().cloned().collect(), &model, requests)?;
    for (table, model) in &snapshots {
        agree(table, model, requests)?;
    }
    for (order, _, _) in model {
        table.remove(&order);
    }
    prop_assert!(table.hosts.is_empty() && table.wildcards.is_empty() && table.any_host.is_empty());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn the_index_equals_a_linear_scan(
        changes in changes(60),
        requests in prop::collection::vec(any_request(), 1..12),
    ) {
        run(changes, &requests)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(16) })]

    #[test]
    fn a_large_index_equals_a_linear_scan(
        changes in changes(700),
        requests in prop::collection::vec(any_request(), 1..12),
    ) {
        run(changes, &requests)?;
    }
}
