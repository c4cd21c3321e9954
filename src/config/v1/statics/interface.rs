//! The API, the dashboard and ping: `[api]`, `[ping]` and the older `[web]`.

use super::super::access::auth;
use super::super::build::{Map, Objects};
use super::super::context::EntryPointFacts;
use super::super::entry_point::EntryPoint;
use super::super::read::Fields;
use super::super::remark::Problems;
use super::super::tls::certificate;
use super::{INTERNAL, Static};
use crate::config::tree::{Node, Position};

/// What Traefik 1 put before all routers; the highest that leaves room for Traefik's own.
const FIRST: i64 = 1 << 31;

/// The rule of API and dashboard on an entry point that others use too.
const RULE: &str = "PathPrefix(`/api`) || PathPrefix(`/dashboard`)";

impl Static<'_, '_, '_> {
    pub(super) fn interface(&mut self) {
        let has_newer = ["api", "ping", "metrics", "rest"]
            .iter()
            .any(|name| self.top.get(name).is_some());
        if let Some(web) = self.top.below("web", self.problems) {
            if has_newer {
                let message = "is ignored beside api, ping, metrics or rest, as in Traefik 1";
                self.problems.note(&web.path, web.at, message);
            } else {
                self.web(web);
                return;
            }
        }
        if let Some(api) = self.top.below("api", self.problems) {
            self.api(api);
        }
        let problems = &mut *self.problems;
        if let Some(mut ping) = self.top.below("ping", problems) {
            let entry_point = ping.text("entryPoint", problems);
            ping.finish(problems);
            let map = Map::new().some("entryPoint", entry_point);
            self.map.push("ping", map.done());
        }
    }

    /// `[web]`: API, dashboard and ping on an address of their own.
    fn web(&mut self, mut web: Fields<'_, '_>) {
        let problems = &mut *self.problems;
        let address = web.text("address", problems);
        let mut path = web.text("path", problems).unwrap_or_default();
        path.truncate(path.trim_end_matches('/').len());
        let is_debugging = web.is_on("debug", problems);
        let mut entry_point =
            Map::new().text("address", address.unwrap_or_else(|| ":8080".to_owned()));
        let is_guarded = auth(&mut web, problems).is_some();
        if is_guarded && !self.has_objects {
            let message = "guarded API and dashboard, which are not served: a guard is a middleware, and this file has \
                           no dynamic part. `ringway convert` writes it";
            problems.lost(web.path_of("auth"), web.at, message);
        }
        let file = web.text("certFile", problems);
        web.get("keyFile");
        if file.is_some() {
            entry_point = entry_point.node("http", Map::only("tls", Map::new()));
            if !self.has_objects {
                let message =
                    "needs tls.certificates in the dynamic configuration, and this file has none";
                problems.lost(web.path_of("certFile"), web.at, message);
            }
        }
        for name in ["statistics", "readOnly"] {
            if let Some(node) = web.get(name) {
                let message = "has no counterpart: the API only reads, and has no statistics";
                problems.note(web.path_of(name), node.at, message);
            }
        }
        // Read with the other metrics.
        web.get("metrics");
        let at = web.at;
        web.finish(problems);
        let made = EntryPoint {
            tree: entry_point.done().at(at),
            facts: EntryPointFacts::default(),
            objects: Objects::default(),
            needs_objects: Vec::new(),
        };
        self.entry_points.retain(|(name, _)| name != INTERNAL);
        self.entry_points.push((INTERNAL.to_owned(), made));
        let map = Map::new()
            .text("dashboard", true)
            .flag("insecure", !is_guarded)
            .flag("debug", is_debugging)
            .some("basePath", Some(path).filter(|path| !path.is_empty()));
        if !is_guarded || self.has_objects {
            self.map.push("api", map.done());
        }
        let ping = Map::new().text("entryPoint", INTERNAL);
        self.map.push("ping", ping.done());
    }

    /// `[api]`: on its entry point.
    fn api(&mut self, mut api: Fields<'_, '_>) {
        let problems = &mut *self.problems;
        let entry_point = api.text("entryPoint", problems);
        let dashboard: Option<bool> = api.value("dashboard", problems);
        let is_debugging = api.is_on("debug", problems);
        if let Some(node) = api.get("statistics") {
            problems.note(api.path_of("statistics"), node.at, "has no counterpart");
        }
        let is_internal = entry_point.as_deref().is_none_or(|name| name == INTERNAL);
        if !is_internal && !self.has_objects {
            let message = "API and dashboard are served on another entry point through a router to api@internal only, \
                           and this file has no dynamic part. `ringway convert` writes it";
            problems.lost(api.path_of("entryPoint"), api.at, message);
        }
        api.finish(problems);
        let map = Map::new()
            .text("dashboard", dashboard.unwrap_or(true))
            .flag("insecure", is_internal)
            .flag("debug", is_debugging);
        self.map.push("api", map.done());
    }
}

/// The dynamic objects of API and dashboard where they are not served openly on their own entry point.
pub(super) fn objects(top: &mut Fields<'_, '_>, out: &mut Objects, problems: &mut Problems) {
    let has_newer = ["api", "ping", "metrics", "rest"]
        .iter()
        .any(|name| top.get(name).is_some());
    if let Some(mut api) = top.below("api", problems)
        && let Some(name) = api.text("entryPoint", problems)
        && name != INTERNAL
    {
        router(&name, RULE.to_owned(), Vec::new(), api.at, out);
    }
    let Some(mut web) = top.below("web", problems).filter(|_| !has_newer) else {
        return;
    };
    if let Some(node) = auth(&mut web, problems) {
        let name = out.middleware("web-auth".to_owned(), web.at, node);
        // All of this entry point, so that its root leads to the dashboard as in Traefik 1.
        let path = web.text("path", problems).unwrap_or_default();
        let rule = format!("PathPrefix(`{}/`)", path.trim_end_matches('/'));
        router(INTERNAL, rule, vec![name], web.at, out);
    }
    if web.text("certFile", problems).is_some() {
        let at = web.at;
        if let Some(certificate) = certificate(web, problems) {
            out.certificates.push(certificate.done().at(at));
        }
    }
}

fn router(
    entry_point: &str,
    rule: String,
    middlewares: Vec<String>,
    at: Position,
    out: &mut Objects,
) {
    let router: Node<'static> = Map::new()
        .list("entryPoints", vec![entry_point.to_owned()])
        .text("rule", rule)
        .text("priority", FIRST)
        .list("middlewares", middlewares)
        .text("service", "api@internal")
        .done();
    out.routers.push("traefik-api", router.at(at));
}
