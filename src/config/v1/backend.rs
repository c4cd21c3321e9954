//! Backends: services, and the middlewares that stood between a frontend and its servers.

use super::build::{Map, Objects};
use super::context::Context;
use super::criterion::source_criterion;
use super::read::{Fields, join};
use super::remark::Problems;
use crate::config::decode::{ObjectError, Text};
use crate::config::duration::GoDuration;
use crate::config::tree::{Node, Position};

/// What frontends need to know of a converted backend.
pub(super) struct Backend {
    /// The load balancer, without `passHostHeader` and `serversTransport`.
    balancer: Map,
    at: Position,
    /// Number of its servers.
    pub server_count: usize,
    /// Names of the middlewares that came before retries: circuit breaker and buffering.
    pub outer: Vec<String>,
    /// Names of those that came after them: the limit of connections.
    pub inner: Vec<String>,
}

impl Backend {
    /// The service for frontends of one kind.
    pub fn service(&self, passes_host: bool, transport: Option<&str>) -> Node<'static> {
        let balancer = Map::new()
            .text("passHostHeader", passes_host)
            .some("serversTransport", transport);
        let balancer = balancer.and(self.balancer.clone());
        Map::only("loadBalancer", balancer).at(self.at)
    }
}

/// Converts one backend; its service and middlewares go to `out`.
///
/// # Errors
/// What makes it unusable; nothing of it is in `out` then.
pub(super) fn convert(
    name: &str,
    node: &Node<'_>,
    path: &str,
    context: &Context,
    out: &mut Objects,
    problems: &mut Problems,
) -> Result<Backend, Vec<ObjectError>> {
    let mut own = Objects::default();
    let mut fields = Fields::of(node, path.to_owned(), problems);
    let servers = servers(&mut fields, problems);
    let server_count = servers.len();
    let mut balancer = Map::new();
    if !servers.is_empty() {
        balancer = balancer.node("servers", Node::list(servers));
    }
    balancer = load_balancer(balancer, &mut fields, problems);
    if let Some(check) = health_check(&mut fields, context, problems) {
        balancer = balancer.filled("healthCheck", check);
    }
    // Its own answer in JSON calls it forwardingResponse.
    for key in ["responseForwarding", "forwardingResponse"] {
        if let Some(mut forwarding) = fields.below(key, problems) {
            let interval: Option<GoDuration> = forwarding.value("flushInterval", problems);
            forwarding.finish(problems);
            let forwarding = Map::new().some("flushInterval", interval);
            balancer = balancer.filled("responseForwarding", forwarding);
        }
    }
    let (mut outer, mut inner) = (Vec::new(), Vec::new());
    if let Some(mut breaker) = fields.below("circuitBreaker", problems) {
        let expression = breaker.text("expression", problems);
        breaker.finish(problems);
        if let Some(expression) = expression {
            let breaker = Map::new().text("expression", expression);
            let breaker = Map::only("circuitBreaker", breaker);
            outer.push(own.middleware(format!("{name}-circuit-breaker"), node.at, breaker));
        }
    }
    if let Some(buffering) = buffering(&mut fields, problems) {
        let buffering = Map::only("buffering", buffering);
        outer.push(own.middleware(format!("{name}-buffering"), node.at, buffering));
    }
    if let Some(limit) = max_conn(&mut fields, problems) {
        let limit = Map::only("inFlightReq", limit);
        inner.push(own.middleware(format!("{name}-max-conn"), node.at, limit));
    }
    fields.get("tags");
    fields.finish(problems);
    if !problems.errors.is_empty() {
        return Err(std::mem::take(&mut problems.errors));
    }
    let backend = Backend {
        balancer,
        at: node.at,
        server_count,
        outer,
        inner,
    };
    own.services.push(name, backend.service(true, None));
    out.append(own);
    Ok(backend)
}

fn servers(fields: &mut Fields<'_, '_>, problems: &mut Problems) -> Vec<Node<'static>> {
    let path = fields.path_of("servers");
    let mut urls: Vec<String> = Vec::new();
    let mut servers = Vec::new();
    for entry in fields.entries_below("servers", problems) {
        let mut server = Fields::of(&entry.node, join(&path, &entry.key), problems);
        let url = server.text("url", problems);
        let weight: Option<i64> = server.value("weight", problems);
        server.get("tags");
        if weight.is_some_and(|weight| weight < 0) {
            let path = server.path_of("weight");
            problems.error(path, entry.node.at, "must not be negative");
        }
        let Some(url) = url else {
            problems.note(
                server.path_of("url"),
                entry.node.at,
                "is missing: the server is left out",
            );
            continue;
        };
        server.finish(problems);
        if urls.contains(&url) {
            let message =
                format!("{url} is a server of this backend already: this one is left out");
            problems.note(join(&path, &entry.key), entry.node.at, message);
            continue;
        }
        // A weight of 0 counted as 1.
        let weight = weight.filter(|weight| *weight > 1);
        servers.push(Map::new().text("url", &url).some("weight", weight).done());
        urls.push(url);
    }
    servers
}

fn load_balancer(map: Map, fields: &mut Fields<'_, '_>, problems: &mut Problems) -> Map {
    let Some(mut balancer) = fields.below("loadBalancer", problems) else {
        return map;
    };
    let method = balancer.text("method", problems).unwrap_or_default();
    let is_dynamic = method.eq_ignore_ascii_case("drr");
    let (path, at) = (balancer.path_of("method"), balancer.at);
    if is_dynamic {
        let message = "drr, which moved weights away from failing servers, becomes p2c: the less loaded of two servers";
        problems.note(path, at, message);
    } else if !method.is_empty() && !method.eq_ignore_ascii_case("wrr") {
        let message = format!("{method:?} is no method of Traefik 1, which used wrr then");
        problems.note(path, at, message);
    }
    let is_sticky = balancer.is_on("sticky", problems);
    let cookie = match balancer.below("stickiness", problems) {
        Some(mut sticky) => {
            let name = sticky.text("cookieName", problems);
            let same_site = sticky.text("sameSite", problems);
            let same_site = same_site.filter(|word| ["none", "lax", "strict"].contains(&&**word));
            let cookie = Map::new()
                .some("name", name.as_deref().map(cookie_name))
                .flag("secure", sticky.is_on("secure", problems))
                .flag("httpOnly", sticky.is_on("httpOnly", problems))
                .some("sameSite", same_site);
            sticky.finish(problems);
            Some(cookie)
        }
        None => is_sticky.then(|| Map::new().text("name", "_TRAEFIK_BACKEND")),
    };
    balancer.finish(problems);
    let map = if is_dynamic {
        map.text("strategy", "p2c")
    } else {
        map
    };
    match cookie {
        Some(cookie) => map.node("sticky", Map::only("cookie", cookie)),
        None => map,
    }
}

/// A cookie's name as Traefik 1 repaired it.
fn cookie_name(name: &str) -> String {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^`|~".contains(c);
    let repaired = name.chars().map(|c| if is_fine(c) { c } else { '_' });
    repaired.collect()
}

/// Without a path there is no check.
fn health_check(
    fields: &mut Fields<'_, '_>,
    context: &Context,
    problems: &mut Problems,
) -> Option<Map> {
    let mut check = fields.below("healthCheck", problems)?;
    let path = check.text("path", problems);
    let interval = check.text("interval", problems);
    let interval = interval.and_then(|text| {
        // A number alone was no interval there, and is one in seconds here.
        let parsed = GoDuration::parse(&text)
            .ok()
            .filter(|_| text.parse::<i64>().is_err());
        if parsed.is_none_or(|interval| interval.as_nanos() <= 0) {
            let message = format!(
                "{text:?} is no interval, such as \"10s\"; the default holds, as in Traefik 1"
            );
            problems.note(check.path_of("interval"), check.at, message);
            return None;
        }
        parsed
    });
    let map = Map::new()
        .some("path", path.as_deref())
        .some("scheme", check.text("scheme", problems))
        .some("hostname", check.text("hostname", problems))
        .some(
            "port",
            check
                .value::<i64>("port", problems)
                .filter(|port| *port != 0),
        )
        .some("interval", interval.or(context.health_interval))
        .texts("headers", check.texts_below("headers", problems));
    check.finish(problems);
    path.map(|_| map)
}

fn buffering(fields: &mut Fields<'_, '_>, problems: &mut Problems) -> Option<Map> {
    let mut buffering = fields.below("buffering", problems)?;
    let mut map = Map::new();
    for name in [
        "maxRequestBodyBytes",
        "memRequestBodyBytes",
        "maxResponseBodyBytes",
        "memResponseBodyBytes",
    ] {
        let bytes: Option<i64> = buffering.value(name, problems);
        map = map.some(name, bytes.filter(|bytes| *bytes != 0));
    }
    map = map.some(
        "retryExpression",
        buffering.text("retryExpression", problems),
    );
    buffering.finish(problems);
    if map.is_empty() {
        // An empty map would be no middleware.
        map = map.text("maxRequestBodyBytes", 0);
    }
    Some(map)
}

fn max_conn(fields: &mut Fields<'_, '_>, problems: &mut Problems) -> Option<Map> {
    let mut limit = fields.below("maxConn", problems)?;
    let amount: Option<i64> = limit.value("amount", problems);
    let extractor: Option<Text> = limit.value("extractorFunc", problems);
    let criterion = source_criterion(
        extractor.as_deref().unwrap_or("request.host"),
        &limit.path_of("extractorFunc"),
        limit.at,
        problems,
    );
    limit.finish(problems);
    let amount = amount.filter(|amount| *amount != 0)?;
    let map = Map::new().text("amount", amount);
    Some(map.node("sourceCriterion", criterion?))
}
