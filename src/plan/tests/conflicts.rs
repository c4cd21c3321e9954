//! Conflicts are told when they begin, change or end, and at no other time.

use super::*;
use crate::plan::{Level, NameConflict};

fn conflict(losers: &[&str]) -> NameConflict {
    NameConflict {
        kind: Kind::TlsStore,
        name: "default".into(),
        losers: losers.iter().map(|name| Arc::from(*name)).collect(),
    }
}

fn with(planner: &mut Planner, conflicts: Vec<NameConflict>) -> Planned {
    planner.apply(MergedChange {
        conflicts,
        ..MergedChange::default()
    })
}

#[test]
fn a_conflict_of_providers_is_told_once_per_change_of_it() {
    let mut planner = planner();
    let two = with(&mut planner, vec![conflict(&["etcd", "file"])]);
    assert_eq!(two.log.len(), 1);
    assert_eq!(two.log[0].level, Level::Error);
    assert!(two.log[0].text.contains("etcd, file"), "{:?}", two.log);
    assert_eq!(two.published.conflict_changes, 1);
    let same = with(&mut planner, vec![conflict(&["etcd", "file"])]);
    assert_eq!((same.log.len(), same.published.conflict_changes), (0, 1));
    let three = with(&mut planner, vec![conflict(&["consul", "etcd", "file"])]);
    assert_eq!(three.log.len(), 1, "one line, not an end and a beginning");
    assert_eq!(three.published.conflict_changes, 2);
    let none = with(&mut planner, Vec::new());
    assert_eq!((none.log.len(), none.log[0].level), (1, Level::Info));
    assert_eq!(none.published.conflict_changes, 3);
    assert!(none.published.conflicts.is_empty());
}

#[test]
fn a_generated_name_that_is_lost_is_told_with_the_router_that_loses_it() {
    let mut planner = planner();
    apply(&mut planner, "http: {models: {web: {tls: {}}}}");
    let routers = "http: {routers: {r: {rule: 'Host(`x`)', service: noop@internal, entryPoints: [web, admin]}, \
                   web-r: {rule: 'Host(`y`)', service: noop@internal, entryPoints: [admin]}}}";
    let lost = apply(&mut planner, routers);
    let told: Vec<_> = lost
        .log
        .iter()
        .filter(|m| &*m.name == "web-r@file")
        .collect();
    assert_eq!(told.len(), 1, "{:?}", lost.log);
    assert!(told[0].text.contains("r@file"), "{told:?}");
    assert_eq!(apply(&mut planner, routers).log, []);
    let found = remove(&mut planner, &[(Kind::HttpRouter, "web-r@file")]);
    assert!(
        found.log.iter().any(|m| m.level == Level::Info),
        "{:?}",
        found.log
    );
    assert_eq!(found.published.conflict_changes, 2);
}
