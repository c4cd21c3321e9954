//! Cost: of a first load, and of one change among many.

use std::time::Instant;

use super::*;

/// Routers with a host and a path each, every tenth service shared by ten of them.
fn many(count: usize) -> Vec<ObjectChange> {
    let mut yaml = String::from("http:\n  routers:\n");
    for n in 0..count {
        let service = n / 10;
        yaml += &format!(
            "    r{n}: {{rule: 'Host(`h{n}.example.com`) && PathPrefix(`/api`)', service: s{service}}}\n"
        );
    }
    yaml += "  services:\n";
    for n in 0..count.div_ceil(10) {
        yaml += &format!(
            "    s{n}: {{loadBalancer: {{servers: [{{url: 'http://10.{}.{}.{}:8080'}}]}}}}\n",
            n >> 16,
            (n >> 8) & 255,
            n & 255
        );
    }
    changes("file", &yaml)
}

fn load(count: usize) -> Planner {
    let mut planner = planner();
    let objects = many(count);
    let start = Instant::now();
    let planned = planner.apply(MergedChange {
        objects,
        ..MergedChange::default()
    });
    println!(
        "{count} routers planned in {:?}: {:?}",
        start.elapsed(),
        planned.work
    );
    planner
}

#[test]
fn one_change_among_many_touches_one_object() {
    let mut planner = load(5_000);
    let yaml = "http: {routers: {r77: {rule: 'Host(`other.test`)', service: s7}}}";
    let start = Instant::now();
    let planned = planner.apply(MergedChange {
        objects: changes("file", yaml),
        ..MergedChange::default()
    });
    println!(
        "one router changed in {:?}: {:?}",
        start.elapsed(),
        planned.work
    );
    let expected = crate::plan::Work {
        compiled: 1,
        resolved: 1,
        routes: 2,
        slots: 0,
        statuses: 1,
    };
    assert_eq!(planned.work, expected);
}

#[test]
fn a_shared_services_change_touches_one_slot() {
    let mut planner = load(2_000);
    let yaml = "http: {services: {s3: {loadBalancer: {servers: [{url: 'http://10.9.9.9'}]}}}}";
    let planned = apply(&mut planner, yaml);
    let expected = crate::plan::Work {
        compiled: 1,
        resolved: 0,
        routes: 0,
        slots: 1,
        statuses: 1,
    };
    assert_eq!(planned.work, expected);
}

#[test]
fn a_missing_service_wakes_its_routers_only() {
    let mut planner = load(2_000);
    let planned = remove(&mut planner, &[(Kind::HttpService, "s3@file")]);
    assert_eq!((planned.work.resolved, planned.work.routes), (10, 10));
    let yaml = "http: {services: {s3: {loadBalancer: {servers: []}}}}";
    let planned = apply(&mut planner, yaml);
    assert_eq!((planned.work.resolved, planned.work.routes), (10, 10));
}
