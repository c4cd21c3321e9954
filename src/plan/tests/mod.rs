//! What planning must hold, over configurations written as users write them.

mod bulk;
mod conflicts;
mod errors;
mod identities;
mod incremental;
mod last_good;
mod models;

use std::sync::Arc;

use crate::config::dynamic::{Kind, ObjectKey, decode};
use crate::config::format::{Format, parse};
use crate::plan::verify::difference;
use crate::plan::{
    Entry, MergedChange, ObjectChange, ObjectStatus, PlanSettings, Planned, Planner, Status,
};
use crate::router::snapshot::Route;
use crate::service::{Internal, LoadBalancer, Service, ServiceKind};

/// A planner with the entry points `web` and `websecure` (both default) and `admin`.
fn planner() -> Planner {
    let texts = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect();
    Planner::new(PlanSettings {
        entry_points: texts(&["web", "websecure", "admin"]),
        default_entry_points: texts(&["web"]),
        precedence: texts(&["file", "etcd"]),
        internal_services: vec![
            ("noop".into(), Internal::Noop),
            ("ping".into(), Internal::Ping),
        ],
        ..PlanSettings::default()
    })
}

/// Applies every object of a YAML text, as provider `file` or, for models, `internal`.
fn apply(planner: &mut Planner, yaml: &str) -> Planned {
    apply_as(planner, "file", yaml)
}

fn apply_as(planner: &mut Planner, provider: &str, yaml: &str) -> Planned {
    checked(planner, changes(provider, yaml))
}

/// Removes objects.
fn remove(planner: &mut Planner, objects: &[(Kind, &str)]) -> Planned {
    let objects = objects.iter().map(|(kind, name)| ObjectChange {
        kind: *kind,
        name: (*name).into(),
        entry: Entry::Absent,
        last_good: None,
    });
    checked(planner, objects.collect())
}

/// Applies a change and compares the result with a compilation from scratch.
fn checked(planner: &mut Planner, objects: Vec<ObjectChange>) -> Planned {
    let planned = planner.apply(MergedChange {
        objects,
        ..MergedChange::default()
    });
    let difference = difference(planner, &planner.rebuild_from_scratch());
    assert_eq!(difference, None, "incremental differs from scratch");
    planned
}

fn changes(provider: &str, yaml: &str) -> Vec<ObjectChange> {
    let document = parse(Format::Yaml, yaml).expect("the test's YAML is well formed");
    let decoded = decode(&document.tree, None);
    assert!(decoded.errors.is_empty(), "{:?}", decoded.errors);
    let change = |(key, declared): (ObjectKey, crate::config::dynamic::Declared)| {
        let provider = if key.kind == Kind::HttpModel {
            "internal"
        } else {
            provider
        };
        ObjectChange {
            kind: key.kind,
            name: format!("{}@{provider}", key.name).into(),
            entry: match declared.result {
                Ok(object) => Entry::Present(object),
                Err(errors) => Entry::Rejected(errors),
            },
            last_good: None,
        }
    };
    decoded.objects.into_iter().map(change).collect()
}

fn status_of(planner: &Planner, kind: Kind, name: &str) -> Arc<ObjectStatus> {
    let published = planner.published();
    let object = published.object(kind, name);
    Arc::clone(object.unwrap_or_else(|| panic!("no {kind} {name}")))
}

fn router(planner: &Planner, name: &str) -> (Status, Vec<String>) {
    let status = status_of(planner, Kind::HttpRouter, name);
    let errors = status.errors.iter().map(|text| text.to_string());
    (status.status, errors.collect())
}

fn enabled() -> (Status, Vec<String>) {
    (Status::Enabled, Vec::new())
}

fn disabled(error: &str) -> (Status, Vec<String>) {
    (Status::Disabled, vec![error.to_owned()])
}

/// The plain routes of an entry point, in order.
fn routes(planner: &Planner, entry_point: usize) -> Vec<Arc<Route>> {
    let snapshot = planner.published().snapshot.clone();
    let table = &snapshot.entry_points[entry_point].http;
    table.iter().cloned().collect()
}

fn route_names(planner: &Planner, entry_point: usize) -> Vec<String> {
    let routes = routes(planner, entry_point);
    routes
        .iter()
        .map(|route| route.order.name.to_string())
        .collect()
}

fn service(planner: &Planner, name: &str) -> Arc<Service> {
    let snapshot = planner.published().snapshot.clone();
    let mut services = snapshot.services.iter().flatten();
    let found = services.find(|service| &*service.name == name);
    Arc::clone(found.unwrap_or_else(|| panic!("no service {name}")))
}

fn balancer(service: &Service) -> &LoadBalancer {
    match &service.kind {
        ServiceKind::LoadBalancer(balancer) => balancer,
        ServiceKind::Internal(internal) => panic!("{internal:?} is no load balancer"),
    }
}

/// The names of the middlewares that a route runs.
fn middleware_names(planner: &Planner, route: &Route) -> Vec<String> {
    let snapshot = planner.published().snapshot.clone();
    let slots = route.value.middlewares.iter();
    let names = slots.map(|slot| snapshot.middleware(*slot).expect("a used slot is filled"));
    names.map(|named| named.name.to_string()).collect()
}
