//! Cost: of a first load, and of one change among many.

use std::time::Instant;

use super::*;

/// Routers with a host and a path each, `per_service` of them to a service.
fn many(count: usize, per_service: usize) -> Vec<ObjectChange> {
    let mut yaml = String::from("http:\n  routers:\n");
    for n in 0..count {
        let service = n / per_service;
        yaml += &format!(
            "    r{n}: {{rule: 'Host(`h{n}.example.com`) && PathPrefix(`/api`)', service: s{service}}}\n"
        );
    }
    yaml += "  services:\n";
    for n in 0..count.div_ceil(per_service) {
        let address = format!("10.{}.{}.{}:8080", n >> 16, (n >> 8) & 255, n & 255);
        yaml +=
            &format!("    s{n}: {{loadBalancer: {{servers: [{{url: 'http://{address}'}}]}}}}\n");
    }
    changes("file", &yaml)
}

fn load(count: usize, per_service: usize) -> Planner {
    let mut planner = planner();
    let objects = many(count, per_service);
    let (start, before) = (Instant::now(), resident_kib());
    let planned = planner.apply(MergedChange {
        objects,
        ..MergedChange::default()
    });
    println!(
        "{count} routers planned in {:?}, {} KiB more resident: {:?}",
        start.elapsed(),
        resident_kib().saturating_sub(before),
        planned.work
    );
    planner
}

/// Resident memory of this process, for the record only: other tests run beside this one.
fn resident_kib() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0_usize) * 4
}

#[test]
fn a_first_load_compiles_each_object_once() {
    let count = if cfg!(debug_assertions) {
        5_000
    } else {
        100_000
    };
    for per_service in [1, 100, count] {
        let planner = load(count, per_service);
        assert_eq!(routes(&planner, 0).len(), count);
    }
    let mut planner = planner();
    let planned = planner.apply(MergedChange {
        objects: many(2_000, 10),
        ..MergedChange::default()
    });
    let expected = crate::plan::Work {
        compiled: 2_200,
        resolved: 2_000,
        routes: 2_000,
        slots: 200,
        statuses: 2_200,
    };
    assert_eq!(planned.work, expected);
}

#[test]
fn one_change_among_many_touches_one_object() {
    let count = if cfg!(debug_assertions) {
        5_000
    } else {
        100_000
    };
    let mut planner = load(count, 10);
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
    let mut planner = load(2_000, 10);
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
    let mut planner = load(2_000, 10);
    let planned = remove(&mut planner, &[(Kind::HttpService, "s3@file")]);
    assert_eq!((planned.work.resolved, planned.work.routes), (10, 10));
    let yaml = "http: {services: {s3: {loadBalancer: {servers: []}}}}";
    let planned = apply(&mut planner, yaml);
    assert_eq!((planned.work.resolved, planned.work.routes), (10, 10));
}
