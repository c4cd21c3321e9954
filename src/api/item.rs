//! One object as Traefik's API shows it: its configuration with what it inherits, and what became of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::reach::{Reached, qualified};
use crate::config::dynamic::{HttpMiddleware, HttpServiceKind, Kind, Object, TcpService};
use crate::plan::{ObjectStatus, Status};

/// Where an item appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In `/api/rawdata`, under its name.
    RawData,
    /// In a list, or by itself.
    List,
}

/// An object's JSON, its fields in Traefik's order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item<'a> {
    #[serde(flatten)]
    config: Option<Cow<'a, Object>>,
    #[serde(rename = "error", skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Box<str>],
    status: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    using: &'a [Arc<str>],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    used_by: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    type_name: Option<String>,
    /// The priority as text: JavaScript's numbers have 53 bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    priority_str: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_status: Option<BTreeMap<&'a str, &'static str>>,
}

impl<'a> Item<'a> {
    /// The item of an object.
    pub(super) fn new(status: &'a ObjectStatus, reached: &Reached, place: Place) -> Self {
        let is_listed = place == Place::List;
        let is_router = matches!(status.kind, Kind::HttpRouter | Kind::TcpRouter);
        let is_reached = !is_router && reached.contains(status);
        let router = status.router();
        Self {
            config: config(status, is_reached, place),
            errors: &status.errors,
            status: status.status.as_str(),
            using: router.map_or(&[], |router| &router.entry_points.using),
            used_by: status.used_by().iter().map(|name| &**name).collect(),
            name: is_listed.then_some(&*status.name),
            provider: is_listed.then(|| status.provider()),
            type_name: type_name(status)
                .filter(|_| is_listed)
                .map(str::to_ascii_lowercase),
            priority_str: (is_listed && is_router).then(|| priority(status).to_string()),
            server_status: server_status(status, is_reached),
        }
    }
}

/// The name of the object's type as the configuration writes it, for kinds that have types.
pub(super) fn type_name(status: &ObjectStatus) -> Option<&'static str> {
    Some(match status.object.as_ref()? {
        Object::HttpService(config) => config.kind.type_name(),
        Object::HttpMiddleware(config) => config.type_name(),
        Object::TcpService(config) => config.type_name(),
        Object::TcpMiddleware(config) => config.type_name(),
        Object::UdpService(config) => config.type_name(),
        _ => return None,
    })
}

/// The priority that is shown: effective, but as declared if the router is on no entry point (Traefik, which
/// never looks at such a router's rule: same).
pub(super) fn priority(status: &ObjectStatus) -> i64 {
    match (&status.object, status.router()) {
        (Some(Object::HttpRouter(config)), Some(router))
            if router.entry_points.using.is_empty() =>
        {
            config.priority
        }
        (_, Some(_)) => status.priority(),
        (Some(Object::TcpRouter(config)), None) => config.priority,
        _ => 0,
    }
}

/// How many servers an object has.
pub(super) fn server_count(status: &ObjectStatus) -> usize {
    match &status.object {
        Some(Object::HttpService(config)) => match &config.kind {
            HttpServiceKind::LoadBalancer(balancer) => balancer.servers.len(),
            _ => 0,
        },
        Some(Object::TcpService(config)) => match &**config {
            TcpService::LoadBalancer(balancer) => balancer.servers.len(),
            TcpService::Weighted(_) => 0,
        },
        _ => 0,
    }
}

fn config(status: &ObjectStatus, is_reached: bool, place: Place) -> Option<Cow<'_, Object>> {
    let mut config = status.effective()?;
    let provider = status.provider();
    match &*config {
        Object::HttpRouter(_) => {
            let shown_priority = priority(status);
            if let Object::HttpRouter(router) = config.to_mut() {
                let router = Arc::make_mut(router);
                router.priority = shown_priority;
                if place == Place::List
                    && let Some(tls) = &mut router.tls
                    && tls.options.is_empty()
                {
                    tls.options = "default".into();
                }
            }
        }
        Object::HttpMiddleware(own) if is_reached => {
            if let HttpMiddleware::Chain(chain) = &**own {
                let mut chain = chain.clone();
                for name in &mut chain.middlewares {
                    *name = Box::from(&*qualified(name, provider));
                }
                config = Cow::Owned(HttpMiddleware::Chain(chain).into());
            }
        }
        Object::HttpService(own) if is_reached => {
            if let HttpServiceKind::LoadBalancer(balancer) = &own.kind
                && !balancer.servers_transport.is_empty()
            {
                let mut service = (**own).clone();
                if let HttpServiceKind::LoadBalancer(balancer) = &mut service.kind {
                    balancer.servers_transport =
                        Box::from(&*qualified(&balancer.servers_transport, provider));
                }
                config = Cow::Owned(service.into());
            }
        }
        _ => {}
    }
    Some(config)
}

/// The state of each server of a load balancer in force. No server is ever found to be down yet: there are no
/// health checks.
fn server_status(status: &ObjectStatus, is_reached: bool) -> Option<BTreeMap<&str, &'static str>> {
    let Some(Object::HttpService(config)) = &status.object else {
        return None;
    };
    let HttpServiceKind::LoadBalancer(balancer) = &config.kind else {
        return None;
    };
    let is_in_force = is_reached && status.status != Status::Disabled;
    let servers = balancer.servers.iter().map(|server| (&*server.url, "UP"));
    let servers: BTreeMap<_, _> = servers.collect();
    (is_in_force && !servers.is_empty()).then_some(servers)
}
