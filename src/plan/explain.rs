//! Why a request goes where it goes: the router that gets it, clause by clause, and the runners-up with
//! why they lost. For people, on the API thread or offline; it looks at every router and allocates.
//!
//! The request passes the same code as on a shard (normal form of the path, rules, order of routers), so
//! that the answer is what a shard would do with the same snapshot.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde::Serialize;

use super::{Published, Status};
use crate::config::dynamic::{Kind, Object};
use crate::exchange::EntryPointSettings;
use crate::http::query::apply_semicolons;
use crate::http::{FieldName, Method, RequestHead};
use crate::router::RouteTable;
use crate::router::snapshot::{Destination, Route, Snapshot};
use crate::rules::{self, Clause, RegexCaches, Syntax};
use crate::service::{Internal, ServiceKind, Strategy};

/// Most runners-up in an explanation.
pub const MAX_RUNNERS_UP: usize = 10;

/// Most routers that are asked why they do not match.
const MAX_EXPLAINED: usize = 20_000;

/// The request to explain.
#[derive(Clone, Debug)]
pub struct Question {
    /// The method.
    pub method: String,
    /// `http://host[:port]/path[?query]`; `https` asks the routers with TLS.
    pub url: String,
    /// Fields beside `Host`; a `Host` here replaces the URL's.
    pub headers: Vec<(String, String)>,
    /// The entry point; without one, that of the URL's port (80 or 443 if it has none), else `web` or `websecure`,
    /// else the first default one.
    pub entry_point: Option<String>,
    /// The client's address; `127.0.0.1` if it does not matter.
    pub client: IpAddr,
}

impl Question {
    /// A GET without further fields, from this machine.
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: "GET".to_owned(),
            url: url.into(),
            headers: Vec::new(),
            entry_point: None,
            client: Ipv4Addr::LOCALHOST.into(),
        }
    }
}

/// The answer. `Display` is for people; the JSON form has the same content.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// The generation that was asked.
    pub generation: u64,
    /// The entry point.
    pub entry_point: String,
    /// Whether routers with TLS were asked.
    pub tls: bool,
    /// The method.
    pub method: String,
    /// The host that rules see.
    pub host: String,
    /// The path that rules see.
    pub path: String,
    /// The path that would be forwarded before middlewares, if it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded_path: Option<String>,
    /// The router that gets the request; none: 404.
    pub router: Option<ExplainedRouter>,
    /// Others that match, in order; then those that come nearest to matching.
    pub runners_up: Vec<RunnerUp>,
    /// How many routers the entry point has.
    pub routers: usize,
}

/// The router that gets the request.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedRouter {
    /// Qualified name.
    pub name: String,
    /// The rule as configured.
    pub rule: String,
    /// Effective priority.
    pub priority: i64,
    /// The rule's clauses and which of them decided, as a tree of lines.
    pub decision: String,
    /// Middlewares in order.
    pub middlewares: Vec<ExplainedMiddleware>,
    /// The service.
    pub service: ExplainedService,
}

/// A middleware on the way.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedMiddleware {
    /// Qualified name.
    pub name: String,
    /// Its type, such as `stripPrefix`.
    pub r#type: &'static str,
}

/// Where the request goes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedService {
    /// Qualified name.
    pub name: String,
    /// What it does: a strategy, or what the program itself answers.
    pub kind: &'static str,
    /// Its servers.
    pub servers: Vec<ExplainedServer>,
}

/// A server that may get the request.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedServer {
    /// Its URL.
    pub url: String,
    /// Its share.
    pub weight: u32,
}

/// A router that does not get the request.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunnerUp {
    /// Qualified name.
    pub name: String,
    /// The rule as configured.
    pub rule: String,
    /// Effective priority.
    pub priority: i64,
    /// Whether its rule matches.
    pub matches: bool,
    /// Why it does not get the request.
    pub reason: String,
}

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
    let request = Request {
        head: &head,
        client: question.client,
    };
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
    let mut runners = Runners {
        request: &request,
        caches,
        chosen: chosen.as_deref(),
        found: Vec::new(),
    };
    runners.ask(asked);
    runners.ask_other(other, target.tls);
    runners.ask_disabled(published, &settings.name);
    explained.runners_up = runners.best();
    Ok(explained)
}

/// The parts of the question's URL.
struct Target<'q> {
    tls: bool,
    authority: &'q str,
    /// Path and query.
    path: &'q str,
}

impl<'q> Target<'q> {
    fn parse(url: &'q str) -> Result<Self, String> {
        let wrong = || format!("{url:?} is no URL such as http://host/path");
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let tls = match scheme {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => {
                return Err(format!(
                    "{url:?}: the scheme is {scheme:?}; expected http or https"
                ));
            }
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            tls,
            authority,
            path,
        })
    }

    fn port(&self) -> Option<u16> {
        let port = crate::http::request_head::split_host_port(self.authority.as_bytes()).1?;
        std::str::from_utf8(port).ok()?.parse().ok()
    }
}

fn choose_entry_point<'e>(
    entry_points: &'e [EntryPointSettings],
    defaults: &[Arc<str>],
    question: &Question,
    target: &Target<'_>,
) -> Result<(usize, &'e EntryPointSettings), String> {
    let find = |wanted: &dyn Fn(&EntryPointSettings) -> bool| {
        entry_points
            .iter()
            .enumerate()
            .find(|(_, settings)| wanted(settings))
    };
    if let Some(name) = &question.entry_point {
        return find(&|settings| *settings.name == **name).ok_or_else(|| {
            let names: Vec<&str> = entry_points
                .iter()
                .map(|settings| &*settings.name)
                .collect();
            format!(
                "there is no entry point {name:?}; there are {}",
                names.join(", ")
            )
        });
    }
    let (port, usual) = if target.tls {
        (443, "websecure")
    } else {
        (80, "web")
    };
    let port = target.port().unwrap_or(port);
    find(&|settings| settings.port == port)
        .or_else(|| find(&|settings| *settings.name == *usual))
        .or_else(|| find(&|settings| defaults.contains(&settings.name)))
        .or_else(|| find(&|_| true))
        .ok_or_else(|| "there is no entry point for HTTP".to_owned())
}

fn build_head(
    question: &Question,
    target: &Target<'_>,
    settings: &EntryPointSettings,
) -> Result<RequestHead, String> {
    let path = match target.path {
        "" => "/".to_owned(),
        query if query.starts_with('?') => format!("/{query}"),
        path => path.split('#').next().unwrap_or_default().to_owned(),
    };
    let mut head = RequestHead::build(Method::Get, path.as_bytes(), target.authority.as_bytes())
        .map_err(|error| format!("{path:?}: {error}; such a request gets 400"))?;
    head.set_method(question.method.as_bytes());
    if head.method_bytes() != question.method.as_bytes() {
        return Err(format!("{:?} is no method", question.method));
    }
    for (name, value) in &question.headers {
        if name.eq_ignore_ascii_case("host") {
            head.set_authority(value.as_bytes());
            continue;
        }
        let name = FieldName::parse(name).map_err(|error| error.to_string())?;
        head.fields.append(&name, value.as_bytes());
    }
    if settings.sanitize_path {
        head.sanitize_path();
    }
    apply_semicolons(&mut head, settings.semicolons);
    Ok(head)
}

/// A request as rules see it.
struct Request<'h> {
    head: &'h RequestHead,
    client: IpAddr,
}

impl rules::Request for Request<'_> {
    fn host(&self) -> &str {
        std::str::from_utf8(self.head.host()).unwrap_or_default()
    }

    fn path(&self) -> &[u8] {
        self.head.route_path()
    }

    fn query(&self) -> Option<&[u8]> {
        self.head.query()
    }

    fn method(&self) -> &[u8] {
        self.head.method_bytes()
    }

    fn any_header<F: FnMut(&[u8]) -> bool>(&self, name: &str, mut accept: F) -> bool {
        let mut fields = self.head.fields.iter();
        fields.any(|(field, value)| field.eq_ignore_ascii_case(name.as_bytes()) && accept(value))
    }

    fn client_ip(&self) -> IpAddr {
        self.client
    }
}

fn explain_router(
    snapshot: &Snapshot,
    route: &Route,
    request: &Request<'_>,
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

/// Collects the routers that do not get the request.
struct Runners<'a> {
    request: &'a Request<'a>,
    caches: RegexCaches,
    chosen: Option<&'a Route>,
    /// With how near they come: smaller is nearer.
    found: Vec<(usize, RunnerUp)>,
}

/// Ranks of runners-up before those whose rule does not match.
const OUTRANKED: usize = 0;
const OTHER_TABLE: usize = 1;
const DISABLED: usize = 2;
const MISS: usize = 3;

impl Runners<'_> {
    /// The routers of the table that was asked.
    fn ask(&mut self, table: &RouteTable<Destination>) {
        for route in table.iter().take(MAX_EXPLAINED) {
            if self
                .chosen
                .is_some_and(|chosen| chosen.order.name == route.order.name)
            {
                continue;
            }
            let root = route.rule.explain(self.request, &mut self.caches).root;
            if root.matched {
                let reason = self.why_outranked(route);
                self.push(OUTRANKED, route, true, reason);
            } else if let Some(reason) = near_miss(&root) {
                self.push(MISS + failed(&root), route, false, reason);
            }
        }
    }

    /// The routers of the same entry point that take the other kind of connections.
    fn ask_other(&mut self, table: &RouteTable<Destination>, tls: bool) {
        let Some(route) = table.find(self.request, &mut self.caches).cloned() else {
            return;
        };
        let reason = if tls {
            "matches, but has no tls: it takes plain connections only (http://)"
        } else {
            "matches, but has tls: it takes TLS connections only (https://)"
        };
        self.push(OTHER_TABLE, &route, true, reason.to_owned());
    }

    /// Routers that would match if they were not disabled.
    fn ask_disabled(&mut self, published: &Published, entry_point: &str) {
        let routers = published.objects_of(Kind::HttpRouter);
        for status in routers.take(MAX_EXPLAINED) {
            let (Status::Disabled, Some(Object::HttpRouter(config))) =
                (status.status, &status.object)
            else {
                continue;
            };
            let here = status.router().is_some_and(|router| {
                router
                    .entry_points
                    .names
                    .iter()
                    .any(|name| **name == *entry_point)
            });
            let syntax = if &*config.rule_syntax == "v2" {
                Syntax::V2
            } else {
                Syntax::V3
            };
            let matches = rules::parse(&config.rule, syntax)
                .is_ok_and(|rule| rule.matches(self.request, &mut self.caches));
            if here && matches {
                let runner = RunnerUp {
                    name: status.name.to_string(),
                    rule: config.rule.to_string(),
                    priority: status.priority(),
                    matches: true,
                    reason: format!("would match, but is disabled: {}", status.errors.join("; ")),
                };
                self.found.push((DISABLED, runner));
            }
        }
    }

    fn why_outranked(&self, route: &Route) -> String {
        let Some(chosen) = self.chosen else {
            return "matches".to_owned();
        };
        if route.order.priority != chosen.order.priority {
            return format!(
                "matches too, but its priority {} is below {}",
                route.order.priority, chosen.order.priority
            );
        }
        format!(
            "matches too with the same priority {}; the provider's precedence, then the name decides",
            route.order.priority
        )
    }

    fn push(&mut self, nearness: usize, route: &Route, matches: bool, reason: String) {
        let runner = RunnerUp {
            name: route.order.name.to_string(),
            rule: route.rule.source().to_owned(),
            priority: route.order.priority,
            matches,
            reason,
        };
        self.found.push((nearness, runner));
        // Only the nearest are of interest; 20,000 misses need not be kept.
        if self.found.len() > 8 * MAX_RUNNERS_UP {
            self.trim();
        }
    }

    fn trim(&mut self) {
        // Stable: among equals the routers' own order stays.
        self.found.sort_by_key(|(nearness, _)| *nearness);
        self.found.truncate(MAX_RUNNERS_UP);
    }

    fn best(mut self) -> Vec<RunnerUp> {
        self.trim();
        self.found.into_iter().map(|(_, runner)| runner).collect()
    }
}

/// Why a rule that matches in part does not match; `None` if nothing of it does.
fn near_miss(root: &Clause) -> Option<String> {
    if !any(root, &|clause| clause.members.is_empty() && clause.matched) {
        return None;
    }
    let mut failing = Vec::new();
    collect_deciding(root, &mut failing);
    let clauses: Vec<String> = failing
        .iter()
        .map(|clause| clause.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    Some(format!(
        "does not match: {} is not fulfilled",
        clauses.join(" and ")
    ))
}

fn any(clause: &Clause, wanted: &dyn Fn(&Clause) -> bool) -> bool {
    wanted(clause) || clause.members.iter().any(|member| any(member, wanted))
}

fn collect_deciding<'c>(clause: &'c Clause, into: &mut Vec<&'c str>) {
    if clause.decides {
        into.push(&clause.text);
    }
    clause
        .members
        .iter()
        .for_each(|member| collect_deciding(member, into));
}

/// How many clauses without members are not fulfilled.
fn failed(clause: &Clause) -> usize {
    if clause.members.is_empty() {
        return usize::from(!clause.matched);
    }
    clause.members.iter().map(failed).sum()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.tls { "TLS" } else { "plain" };
        writeln!(
            f,
            "entry point  {} ({kind} connections, {} routers)",
            self.entry_point, self.routers
        )?;
        writeln!(f, "request      {} {}{}", self.method, self.host, self.path)?;
        if let Some(path) = &self.forwarded_path {
            writeln!(f, "forwarded    {path}")?;
        }
        match &self.router {
            Some(router) => write!(f, "{router}")?,
            None => writeln!(f, "router       none: the answer is 404")?,
        }
        if !self.runners_up.is_empty() {
            writeln!(f, "runners-up")?;
        }
        for runner in &self.runners_up {
            writeln!(f, "  {} (priority {})", runner.name, runner.priority)?;
            writeln!(
                f,
                "      {}",
                runner.rule.split_whitespace().collect::<Vec<_>>().join(" ")
            )?;
            writeln!(f, "      {}", runner.reason)?;
        }
        Ok(())
    }
}

impl fmt::Display for ExplainedRouter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "router       {} (priority {})", self.name, self.priority)?;
        for line in self.decision.lines() {
            writeln!(f, "             {line}")?;
        }
        for (index, middleware) in self.middlewares.iter().enumerate() {
            let title = if index == 0 { "middlewares" } else { "" };
            writeln!(f, "{title:<12} {} ({})", middleware.name, middleware.r#type)?;
        }
        writeln!(
            f,
            "service      {} ({})",
            self.service.name, self.service.kind
        )?;
        for (index, server) in self.service.servers.iter().enumerate() {
            let title = if index == 0 { "servers" } else { "" };
            writeln!(f, "{title:<12} {} (weight {})", server.url, server.weight)?;
        }
        if self.service.servers.is_empty() && matches!(self.service.kind, "wrr" | "p2c") {
            writeln!(f, "servers      none: the answer is 503")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
