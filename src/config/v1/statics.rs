//! Traefik 1's static sections as today's static tree.

use std::collections::BTreeMap;

use super::build::{Map, Objects};
use super::context::{Context, EntryPointFacts};
use super::entry_point::{self, EntryPoint, Shared};
use super::read::Fields;
use super::remark::{Problems, Remark};
use super::{detect, stores};
use crate::config::decode::ObjectError;
use crate::config::duration::GoDuration;
use crate::config::tree::{Node, Position};

mod interface;
mod logs;
#[cfg(test)]
mod tests;

/// Where the dynamic part of a static file is read from.
#[derive(Clone, Copy, Debug)]
pub struct DynamicPart<'f> {
    /// The file that has it.
    pub file: &'f str,
    /// Whether it is written there whether or not the static file asks for it (`[file]` without a name).
    pub is_written: bool,
}

/// A static configuration in today's form, and what was not converted.
#[derive(Debug)]
pub struct ConvertedStatic {
    /// Today's tree.
    pub tree: Node<'static>,
    /// What is wrong; without it there is no configuration.
    pub errors: Vec<ObjectError>,
    /// What is lost or otherwise.
    pub remarks: Vec<Remark>,
}

/// The entry point of the API and ping.
const INTERNAL: &str = "traefik";

/// Providers that Ringway does not have.
const OTHER_PROVIDERS: [&str; 12] = [
    "boltdb",
    "consulCatalog",
    "docker",
    "dynamodb",
    "ecs",
    "eureka",
    "kubernetes",
    "marathon",
    "mesos",
    "rancher",
    "serviceFabric",
    "cluster",
];

/// Converts the static part of a Traefik 1 file.
pub fn convert_static(tree: &Node<'_>, dynamic: DynamicPart<'_>) -> ConvertedStatic {
    let mut problems = Problems::default();
    let mut top = Fields::of(tree, String::new(), &mut problems);
    let has_objects = dynamic.is_written || is_inline(tree);
    let (entry_points, mut objects) = entry_points(&mut top, has_objects, &mut problems);
    // Told where it is converted.
    interface::objects(&mut top, &mut objects, &mut Problems::default());
    if top.get("file").is_none() {
        for name in ["frontends", "backends"] {
            if let Some(node) = top.get(name) {
                let message =
                    "has no effect in a static file without a section [file], as in Traefik 1";
                problems.note(name, node.at, message);
            }
        }
    }
    let mut made = Static {
        top,
        entry_points,
        map: Map::new(),
        providers: Map::new(),
        has_objects,
        is_written: dynamic.is_written,
        problems: &mut problems,
    };
    made.interface();
    made.logs();
    made.transport();
    made.providers(dynamic, &objects);
    made.rest();
    let Static {
        mut top,
        entry_points,
        mut map,
        providers,
        ..
    } = made;
    let entry_points = with_schemes(entry_points);
    map.push("entryPoints", entry_points.done());
    let map = map.filled("providers", providers);
    let map = match top.get("ringway") {
        Some(own) => map.node("ringway", own.clone().into_owned()),
        None => map,
    };
    for entry in top.rest().filter(|entry| !detect::is_known(&entry.key)) {
        problems.note(
            &entry.key,
            entry.at,
            "is no key of Traefik 1 and is ignored",
        );
    }
    ConvertedStatic {
        tree: map.done(),
        errors: problems.errors,
        remarks: problems.remarks,
    }
}

/// What frontends and backends need to know: what the static keys beside them say, else `known`. The objects that entry
/// points need go to `out`. Problems are told where the static part is converted.
pub(super) fn dynamic_part(tree: &Node<'_>, known: &Context, out: &mut Objects) -> Context {
    let mut problems = Problems::default();
    let mut top = Fields::of(tree, String::new(), &mut problems);
    let mut context = known.clone();
    if top.get("entryPoints").is_some() {
        let (made, objects) = entry_points(&mut top, true, &mut problems);
        out.append(objects);
        let facts = made.into_iter().map(|(name, made)| (name, made.facts));
        context.set_entry_points(facts.collect());
        context.default_entry_points = default_entry_points(&mut top, &mut problems);
    }
    context.others(&mut top, &mut problems);
    interface::objects(&mut top, out, &mut problems);
    context
}

impl Context {
    fn others(&mut self, top: &mut Fields<'_, '_>, problems: &mut Problems) {
        if let Some(mut retry) = top.below("retry", problems) {
            self.retry_attempts = Some(retry.value("attempts", problems).unwrap_or(0));
        }
        self.keeps_trailing_slash |= top.is_on("keepTrailingSlash", problems);
        if let Some(mut check) = top.below("healthcheck", problems) {
            self.health_interval = check.value("interval", problems);
        }
    }
}

/// Whether the file that has this tree declares its dynamic part itself.
fn is_inline(tree: &Node<'_>) -> bool {
    let mut ignored = Problems::default();
    let mut top = Fields::of(tree, String::new(), &mut ignored);
    top.below("file", &mut ignored).is_some_and(|mut file| {
        let mut names = |key| file.text(key, &mut ignored);
        names("filename").is_none() && names("directory").is_none()
    })
}

/// Every entry point, and the objects that they need.
fn entry_points(
    top: &mut Fields<'_, '_>,
    has_objects: bool,
    problems: &mut Problems,
) -> (Vec<(String, EntryPoint)>, Objects) {
    let shared = Shared {
        transport: transport(top, problems),
        defaults: default_entry_points(top, problems),
    };
    let mut entries: Vec<(String, Node<'_>)> = top
        .entries_below("entryPoints", problems)
        .into_iter()
        .map(|entry| (entry.key.to_string(), entry.node.clone()))
        .collect();
    if entries.is_empty() {
        let mut http = Node::map();
        http.insert("address", Node::scalar(":80"));
        entries.push(("http".to_owned(), http));
    }
    let mut objects = Objects::default();
    let mut made = Vec::new();
    for (name, node) in entries {
        let mut entry_point = entry_point::convert(&name, &node, &shared, has_objects, problems);
        objects.append(std::mem::take(&mut entry_point.objects));
        if !has_objects {
            for (path, at) in &entry_point.needs_objects {
                let message = "needs an object of the dynamic configuration, and this file has none: `ringway convert` \
                               writes it";
                problems.lost(path, *at, message);
            }
        }
        made.push((name, entry_point));
    }
    if let Some(default) = made
        .iter()
        .find_map(|(_, made)| made.facts.certificates.first())
    {
        let (certificate, key) = default;
        let certificate = Map::new()
            .text("certFile", certificate)
            .text("keyFile", key);
        let store = Map::new().node("defaultCertificate", certificate.done());
        objects.tls.push("stores", Map::only("default", store));
    }
    merge_options(&mut objects);
    (made, objects)
}

/// One `options` map instead of one per entry point.
fn merge_options(objects: &mut Objects) {
    objects.tls.merge("options");
}

fn default_entry_points(top: &mut Fields<'_, '_>, problems: &mut Problems) -> Vec<String> {
    let names = top.list("defaultEntryPoints", problems);
    if names.is_empty() {
        vec!["http".to_owned()]
    } else {
        names
    }
}

/// `transport` of every entry point.
fn transport(top: &mut Fields<'_, '_>, problems: &mut Problems) -> Map {
    let mut life = Map::new();
    let grace: Option<GoDuration> = top.value("graceTimeOut", problems);
    if let Some(mut cycle) = top.below("lifeCycle", problems) {
        let accept: Option<GoDuration> = cycle.value("requestAcceptGraceTimeout", problems);
        let own: Option<GoDuration> = cycle.value("graceTimeOut", problems);
        cycle.finish(problems);
        life = life.some("requestAcceptGraceTimeout", accept);
        life = life.some("graceTimeOut", grace.or(own));
    } else {
        life = life.some("graceTimeOut", grace);
    }
    let idle: Option<GoDuration> = top.value("idleTimeout", problems);
    // Traefik 1 waited for ever for a request; today's default is a minute.
    let mut read = Some(GoDuration::from_secs(0));
    let (mut write, mut own_idle) = (None, None);
    if let Some(mut timeouts) = top.below("respondingTimeouts", problems) {
        read = timeouts.value("readTimeout", problems).or(read);
        write = timeouts.value::<GoDuration>("writeTimeout", problems);
        own_idle = timeouts.value::<GoDuration>("idleTimeout", problems);
        timeouts.finish(problems);
    }
    let timeouts = Map::new()
        .some("readTimeout", read)
        .some("writeTimeout", write)
        .some("idleTimeout", own_idle.or(idle));
    Map::new()
        .filled("lifeCycle", life)
        .filled("respondingTimeouts", timeouts)
}

/// The entry points' trees, with the schemes of their redirects.
fn with_schemes(entry_points: Vec<(String, EntryPoint)>) -> Map {
    let facts: BTreeMap<String, EntryPointFacts> = entry_points
        .iter()
        .map(|(name, made)| (name.clone(), made.facts.clone()))
        .collect();
    let mut all = Map::new();
    for (name, mut made) in entry_points {
        let redirect = made
            .tree
            .field("http")
            .and_then(|http| http.field("redirections"));
        let target = redirect
            .and_then(|redirect| redirect.field("entryPoint")?.field("to")?.as_scalar())
            .and_then(|target| facts.get(target));
        if let Some(target) = target {
            let scheme = if target.has_tls { "https" } else { "http" };
            let redirect = made.tree.field_mut("http").field_mut("redirections");
            let redirect = redirect.field_mut("entryPoint");
            redirect.insert("scheme", Node::scalar(scheme));
        }
        all.push(name, made.tree);
    }
    all
}

/// A static configuration that is being written.
struct Static<'p, 'n, 'a> {
    top: Fields<'n, 'a>,
    entry_points: Vec<(String, EntryPoint)>,
    map: Map,
    providers: Map,
    /// Whether objects that static options need are in a dynamic configuration.
    has_objects: bool,
    /// Whether today's form is written, instead of run.
    is_written: bool,
    problems: &'p mut Problems,
}

impl Static<'_, '_, '_> {
    /// Adds a section of today's, unless it is empty.
    fn add(&mut self, key: &str, map: Map) {
        if !map.is_empty() {
            self.map.push(key, map.done());
        }
    }

    /// How servers are connected to.
    fn transport(&mut self) {
        let problems = &mut *self.problems;
        let idle: Option<i64> = self.top.value("maxIdleConnsPerHost", problems);
        let mut transport = Map::new()
            .flag(
                "insecureSkipVerify",
                self.top.is_on("insecureSkipVerify", problems),
            )
            .list("rootCAs", self.top.list("rootCAs", problems))
            .some("maxIdleConnsPerHost", idle);
        if let Some(mut timeouts) = self.top.below("forwardingTimeouts", problems) {
            let dial: Option<GoDuration> = timeouts.value("dialTimeout", problems);
            let head: Option<GoDuration> = timeouts.value("responseHeaderTimeout", problems);
            timeouts.finish(problems);
            let timeouts = Map::new()
                .some("dialTimeout", dial)
                .some("responseHeaderTimeout", head);
            transport = transport.filled("forwardingTimeouts", timeouts);
        }
        self.add("serversTransport", transport);
        let problems = &mut *self.problems;
        let throttle: Option<GoDuration> = self.top.value("providersThrottleDuration", problems);
        self.providers =
            std::mem::take(&mut self.providers).some("providersThrottleDuration", throttle);
        let global = Map::new()
            .some(
                "checkNewVersion",
                self.top.value::<bool>("checkNewVersion", problems),
            )
            .some(
                "sendAnonymousUsage",
                self.top.value::<bool>("sendAnonymousUsage", problems),
            );
        self.add("global", global);
    }

    fn providers(&mut self, dynamic: DynamicPart<'_>, objects: &Objects) {
        let problems = &mut *self.problems;
        let mut providers = std::mem::take(&mut self.providers);
        if let Some(mut file) = self.top.below("file", problems) {
            let directory = file.text("directory", problems);
            let name = file.text("filename", problems);
            let is_elsewhere = directory.is_some() || name.is_some();
            if is_elsewhere && dynamic.is_written && !objects.is_empty() {
                let message = "the dynamic part of this static file belongs where this file or directory is read from";
                problems.note(&file.path, file.at, message);
            }
            let name = name.or((!is_elsewhere).then(|| dynamic.file.to_owned()));
            let watches: Option<bool> = file.value("watch", problems);
            let map = Map::new()
                .some("directory", directory)
                .some("filename", name)
                .some("watch", watches);
            file.get("debugLogGeneratedTemplate");
            file.finish(problems);
            providers = providers.filled("file", map);
        } else if dynamic.is_written && !objects.is_empty() {
            let map = Map::new().text("filename", dynamic.file);
            providers = providers.filled("file", map);
        }
        for (section, today) in stores::STORES {
            if let Some(fields) = self.top.below(section, problems) {
                let map = stores::convert(section, fields, problems);
                providers = providers.filled(today, map);
            }
        }
        if let Some(mut rest) = self.top.below("rest", problems) {
            let entry_point = rest.text("entryPoint", problems);
            let (path, at) = (rest.path_of("entryPoint"), rest.at);
            rest.finish(problems);
            let is_internal = entry_point.is_none_or(|name| name == INTERNAL);
            if !is_internal {
                let message =
                    "rest is served on another entry point through a router to rest@internal only";
                problems.lost(path, at, message);
            }
            providers = providers.node("rest", Map::new().text("insecure", is_internal).done());
        }
        for name in OTHER_PROVIDERS {
            if let Some(node) = self.top.get(name) {
                problems.lost(name, node.at, "Ringway has no such provider");
            }
        }
        self.providers = providers;
    }

    /// What has no counterpart, or one elsewhere.
    fn rest(&mut self) {
        let has_store = stores::STORES
            .iter()
            .any(|(section, _)| self.top.get(section).is_some());
        for (name, what) in [
            (
                "retry",
                "requests are sent again by the middleware retry: name it in the routers, or in \
                 entryPoints.<name>.http.middlewares",
            ),
            (
                "healthcheck",
                "the interval of health checks is an option of every service",
            ),
            (
                "keepTrailingSlash",
                "a path with a slash too many or too few is no longer redirected by frontends of stores only",
            ),
        ] {
            let node = self.top.get(name);
            // While this very file is run, whoever converts frontends is told.
            let matters = self.is_written && has_store;
            if let Some(node) = node.filter(|_| matters) {
                self.problems.lost(name, node.at, what);
            }
        }
        for (name, what) in [
            (
                "acme",
                "certificates are not obtained automatically yet; the place is certificatesResolvers",
            ),
            ("constraints", "servers cannot be chosen by tags"),
            (
                "hostResolver",
                "hosts are not resolved before they are compared",
            ),
            ("tracing", "tracing is configured otherwise: tracing.otlp"),
        ] {
            if let Some(node) = self.top.get(name) {
                let is_empty = matches!(node.as_list(), Some([])) || node.as_scalar() == Some("");
                if !is_empty {
                    self.problems.lost(name, node.at, what);
                }
            }
        }
        let zero = "a server's weight 0 keeps counting as 1: leave the server out instead";
        let at = self
            .top
            .get("allowMinWeightZero")
            .map_or(Position::NONE, |node| node.at);
        if self.top.is_on("allowMinWeightZero", self.problems) {
            self.problems.lost("allowMinWeightZero", at, zero);
        }
    }
}
