//! Why a request goes where it goes: the router that gets it, clause by clause, and the runners-up with
//! why they lost. For people, on the API thread or offline; it looks at every router and allocates.
//!
//! The request passes the same code as on a shard (normal form of the path, rules, order of routers), so
//! that the answer is what a shard would do with the same snapshot. Not here: what middlewares and servers
//! would answer.

mod answer;
mod question;
mod runners_up;

use std::sync::Arc;

pub use self::answer::{
    Explained, ExplainedMiddleware, ExplainedRouter, ExplainedServer, ExplainedService, RunnerUp,
};
pub use self::question::Question;
use self::question::{Target, build_head, choose_entry_point};
pub use self::runners_up::MAX_RUNNERS_UP;
use self::runners_up::Runners;
use super::Published;
use crate::exchange::{EntryPointSettings, RouteRequest};
use crate::router::snapshot::{Route, Snapshot};
use crate::rules::RegexCaches;
use crate::service::{Internal, ServiceKind, Strategy};

/// Explains what becomes of a request. `entry_points` are in the snapshot's order, `defaults` the names of
/// the default ones.
///
/// # Errors
/// The question itself is wrong: no URL, no such entry point, a path that is refused. The text says so.
pub fn explain(
    published: &Published,
    entry_points: &[EntryPointSettings],
    defaults: &[Arc<str>],
    question: &Question,
) -> Result<Explained, String> {
    let target = Target::parse(&question.url)?;
    let (index, settings) = choose_entry_point(entry_points, defaults, question, &target)?;
    let head = build_head(question, &target, settings)?;
    let request = RouteRequest::new(&head, question.client);
    let routes = published
        .snapshot
        .entry_points
        .get(index)
        .ok_or_else(|| format!("entry point {:?} has no routes", settings.name))?;
    let (asked, other) = if target.tls {
        (&routes.https, &routes.http)
    } else {
        (&routes.http, &routes.https)
    };
    let mut caches = RegexCaches::new();
    let chosen = asked.find(&request, &mut caches).cloned();
    let mut explained = Explained {
        generation: published.generation,
        entry_point: settings.name.to_string(),
        tls: target.tls,
        method: question.method.clone(),
        host: text(head.host()),
        path: text(head.route_path()),
        forwarded_path: (head.path() != head.route_path()).then(|| text(head.path())),
        router: chosen
            .as_ref()
            .map(|route| explain_router(&published.snapshot, route, &request, &mut caches)),
        runners_up: Vec::new(),
        routers: asked.len(),
    };
    let mut runners = Runners::new(&request, chosen.as_deref(), caches);
    runners.ask(asked);
    runners.ask_other(other, target.tls);
    runners.ask_disabled(published, &settings.name);
    explained.runners_up = runners.best();
    Ok(explained)
}

fn explain_router(
    snapshot: &Snapshot,
    route: &Route,
    request: &RouteRequest<'_>,
    caches: &mut RegexCaches,
) -> ExplainedRouter {
    let middlewares = route
        .value
        .middlewares
        .iter()
        .filter_map(|slot| snapshot.middleware(*slot));
    let middlewares = middlewares.map(|middleware| ExplainedMiddleware {
        name: middleware.name.to_string(),
        r#type: middleware.middleware.type_name(),
    });
    let service = snapshot.service(route.value.service);
    let (kind, servers) = match service.map(|service| &service.kind) {
        Some(ServiceKind::LoadBalancer(balancer)) => {
            let servers = balancer.servers.iter().map(|server| ExplainedServer {
                url: server.url.to_string(),
                weight: server.weight,
            });
            let strategy = match balancer.strategy {
                Strategy::Wrr => "wrr",
                Strategy::P2c => "p2c",
            };
            (strategy, servers.collect())
        }
        Some(ServiceKind::Internal(Internal::Ping)) => ("answers 200 OK while ready", Vec::new()),
        Some(ServiceKind::Internal(Internal::Noop)) => {
            ("answers 418; a redirection comes before it", Vec::new())
        }
        Some(ServiceKind::Internal(Internal::Api)) => ("the API", Vec::new()),
        Some(ServiceKind::Internal(Internal::Rest)) => (
            "takes in the configuration of the rest provider",
            Vec::new(),
        ),
        Some(ServiceKind::Internal(Internal::Dashboard)) => ("the dashboard", Vec::new()),
        None => ("nothing", Vec::new()),
    };
    ExplainedRouter {
        name: route.order.name.to_string(),
        rule: route.rule.source().to_owned(),
        priority: route.order.priority,
        decision: route.rule.explain(request, caches).to_string(),
        middlewares: middlewares.collect(),
        service: ExplainedService {
            name: service.map_or_else(String::new, |service| service.name.to_string()),
            kind,
            servers,
        },
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
