//! The checker: a description of a configuration that does not depend on how it came about.
//!
//! Slots, identities and revisions are given out in the order of changes; a description replaces them by
//! names, so that a planner that made 1,000 changes and one that compiled the result at once describe
//! themselves equally.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::router::RouteTable;
use crate::router::snapshot::{Destination, Snapshot};
use crate::service::{LoadBalancer, PoolId, Server, ServerAddress, Service, ServiceKind};

use super::Planner;
use super::status::{ObjectStatus, Published};

/// Describes everything that requests and the API can see: each entry point's routes in their order with
/// their middlewares and service, the services with their servers, every status, and the conflicts.
pub fn describe(published: &Published) -> String {
    let mut text = String::new();
    let snapshot = &published.snapshot;
    for (place, entry_point) in snapshot.entry_points.iter().enumerate() {
        describe_table(
            &mut text,
            snapshot,
            &format!("entry point {place} http"),
            &entry_point.http,
        );
        describe_table(
            &mut text,
            snapshot,
            &format!("entry point {place} https"),
            &entry_point.https,
        );
    }
    let services = snapshot.services.iter().flatten();
    let services: BTreeMap<_, _> = services.map(|service| (&service.name, service)).collect();
    let mut pools = BTreeMap::new();
    for service in services.values() {
        describe_service(&mut text, service, &mut pools);
    }
    let middlewares = snapshot.middlewares.iter().flatten();
    let middlewares: BTreeMap<_, _> = middlewares.map(|named| (&named.name, named)).collect();
    for (name, named) in middlewares {
        let service = named.service.map(|slot| service_name(snapshot, slot));
        line(
            &mut text,
            format_args!(
                "middleware {name}: {:?}, service {service:?}",
                named.middleware
            ),
        );
    }
    for object in published.objects.iter() {
        describe_status(&mut text, object);
    }
    for conflict in published.conflicts.iter() {
        line(
            &mut text,
            format_args!(
                "conflict {} {}: {:?}",
                conflict.kind, conflict.name, conflict.losers
            ),
        );
    }
    text
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}

fn describe_table(
    text: &mut String,
    snapshot: &Snapshot,
    table_name: &str,
    table: &RouteTable<Destination>,
) {
    for route in table.iter() {
        let names = route
            .value
            .middlewares
            .iter()
            .map(|slot| match snapshot.middleware(*slot) {
                Some(named) => &*named.name,
                None => "(free slot)",
            });
        let names: Vec<_> = names.collect();
        let service = service_name(snapshot, route.value.service);
        line(
            text,
            format_args!(
                "{table_name}: {} {} rule {:?} middlewares {names:?} around {} service {service} refuses {:?} logged {}",
                route.order.priority,
                route.order.name,
                route.rule.source(),
                route.value.has_around,
                route.value.encoded_characters,
                route.value.access_log,
            ),
        );
    }
}

fn service_name(snapshot: &Snapshot, slot: crate::router::snapshot::ServiceSlot) -> &str {
    snapshot
        .service(slot)
        .map_or("(free slot)", |service| &service.name)
}

fn describe_service(text: &mut String, service: &Service, pools: &mut BTreeMap<PoolId, usize>) {
    match &service.kind {
        ServiceKind::Internal(internal) => {
            line(text, format_args!("service {}: {internal:?}", service.name))
        }
        ServiceKind::LoadBalancer(balancer) => {
            let LoadBalancer {
                servers,
                strategy,
                pass_host_header,
                transport,
            } = balancer;
            line(
                text,
                format_args!(
                    "service {}: {strategy:?}, pass host {pass_host_header}, {transport:?}",
                    service.name
                ),
            );
            for server in servers {
                describe_server(text, server, pools);
            }
        }
    }
}

fn describe_server(text: &mut String, server: &Server, pools: &mut BTreeMap<PoolId, usize>) {
    // Which servers share a pool matters, not its number.
    let next = pools.len();
    let pool = *pools.entry(server.pool).or_insert(next);
    let address = match &server.address {
        ServerAddress::Fixed(address) => address.to_string(),
        ServerAddress::Name { host, port, .. } => format!("{host} port {port}"),
        ServerAddress::Abstract(name) => format!("abstract {name:?}"),
    };
    line(
        text,
        format_args!(
            "  server {} {:?} {} at {address} weight {} prefix {:?} pool {pool}",
            server.url, server.scheme, server.authority, server.weight, server.path_prefix
        ),
    );
}

fn describe_status(text: &mut String, object: &ObjectStatus) {
    let ObjectStatus {
        kind,
        name,
        object: config,
        status,
        errors,
        detail: _,
    } = object;
    let used_by: Vec<_> = object.used_by().iter().collect();
    let router = object.router();
    line(
        text,
        format_args!(
            "{kind} {name}: {} errors {errors:?} used by {used_by:?} router {router:?} config {config:?}",
            status.as_str()
        ),
    );
}

/// The first difference between two planners, if there is one.
pub(super) fn difference(incremental: &Planner, scratch: &Planner) -> Option<String> {
    let (incremental, scratch) = (
        describe(&incremental.published),
        describe(&scratch.published),
    );
    let mut lines = incremental.lines().zip(scratch.lines());
    match lines.find(|(incremental, scratch)| incremental != scratch) {
        Some((incremental, scratch)) => Some(format!(
            "{:?} instead of {:?}",
            shown(incremental),
            shown(scratch)
        )),
        None if incremental.len() != scratch.len() => Some(format!(
            "{} bytes of description instead of {}",
            incremental.len(),
            scratch.len()
        )),
        None => None,
    }
}

/// A line as it may be logged: without configuration, in which header fields may carry credentials.
fn shown(line: &str) -> &str {
    match line.split_once(": ") {
        Some((middleware, _)) if middleware.starts_with("middleware ") => middleware,
        _ => line.split(" config ").next().unwrap_or(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_of_a_line_has_no_configuration() {
        assert_eq!(
            shown("middleware m@file: Headers(hunter2)"),
            "middleware m@file"
        );
        let line = "http.middlewares m@file: enabled errors [] used by [] config Some(hunter2)";
        assert!(!shown(line).contains("hunter2"));
        assert_eq!(
            shown("  server http://a weight 1"),
            "  server http://a weight 1"
        );
    }
}
