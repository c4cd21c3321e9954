//! Frontends: a router each, with its middlewares in the order in which Traefik 1 applied them.
//!
//! ```text
//! errors → whiteList → redirect → path edits → headers → basicAuth → passTLSClientCert → auth
//!        → circuit breaker → buffering → retry → maxConn → ratelimit → servers
//! ```
//!
//! Traefik 1 edited the path before all of these, but its redirects then led to the path as it was asked for, so edits
//! come after the redirect. A frontend depends on itself and its backend alone: a change of one converts no other.

use rustc_hash::FxHashMap;

use super::access::{auth, white_list};
use super::backend::Backend;
use super::build::{Map, Objects};
use super::context::{Context, Origin};
use super::criterion::source_criterion;
use super::headers::headers;
use super::read::{Fields, join};
use super::remark::Problems;
use super::rule::{self, PathEdits, Slash};
use crate::config::decode::ObjectError;
use crate::config::duration::GoDuration;
use crate::config::tree::{Node, Position};

/// Converts one frontend; its objects go to `out`. A frontend whose backend does not exist is left out, and told.
///
/// # Errors
/// What makes it unusable; nothing of it is in `out` then.
pub(super) fn convert(
    name: &str,
    node: &Node<'_>,
    path: &str,
    backends: &FxHashMap<&str, Option<Backend>>,
    (origin, context): (Origin, &Context),
    out: &mut Objects,
    problems: &mut Problems,
) -> Result<(), Vec<ObjectError>> {
    let mut fields = Fields::of(node, path.to_owned(), problems);
    let backend_name = fields.text("backend", problems).unwrap_or_default();
    let Some(backend) = backends.get(backend_name.as_str()) else {
        let message = if backend_name.is_empty() {
            "names no backend: the frontend is left out".to_owned()
        } else {
            format!(
                "names the backend {backend_name:?}, which does not exist: the frontend is left out"
            )
        };
        problems.lost(fields.path_of("backend"), node.at, message);
        problems.errors.clear();
        return Ok(());
    };
    let mut frontend = Frontend {
        name,
        at: node.at,
        own: Objects::default(),
        middlewares: Vec::new(),
    };
    let converted = routes(&mut fields, problems);
    let entry_points = fields.list("entryPoints", problems);
    let priority: Option<i64> = fields.value("priority", problems);
    let passes_host = fields.value("passHostHeader", problems);
    let passes_host = passes_host.unwrap_or(origin == Origin::Store);

    frontend.errors(&mut fields, &backend_name, backends, problems);
    if let Some(list) = white_list(&mut fields, problems) {
        frontend.add("whitelist", list);
    }
    let has_regex_redirect = frontend.redirect(&mut fields, context, problems);
    if has_regex_redirect && converted.edits != PathEdits::default() {
        let message = "sees the URL before the rule's modifiers change its path; Traefik 1 compared the changed one";
        problems.note(fields.path_of("redirect.regex"), node.at, message);
    }
    frontend.edits(converted.edits);
    if let Some(headers) = headers(&mut fields, problems) {
        frontend.add("headers", headers);
    }
    let users = fields.list("basicAuth", problems);
    if !users.is_empty() {
        frontend.add(
            "basic-auth",
            Map::only("basicAuth", Map::new().list("users", users)),
        );
    }
    if let Some(certificate) = client_certificate(&mut fields, problems) {
        frontend.add("client-cert", certificate);
    }
    if let Some(auth) = auth(&mut fields, problems) {
        frontend.add("auth", auth);
    }
    if let Some(backend) = backend {
        frontend.middlewares.extend(backend.outer.iter().cloned());
        frontend.retry(backend, context);
        frontend.middlewares.extend(backend.inner.iter().cloned());
    }
    frontend.rates(&mut fields, problems);
    let transport = frontend.pass_tls_cert(&mut fields, &entry_points, context, problems);
    fields.get("tags");
    fields.finish(problems);
    if !problems.errors.is_empty() {
        return Err(std::mem::take(&mut problems.errors));
    }

    let service = frontend.service(
        &super::today_name(&backend_name),
        backend.as_ref(),
        passes_host,
        transport,
    );
    // An explicit 0 would be the length of today's rule; frontends that match everything go last.
    let length = i64::try_from(converted.length).unwrap_or(i64::MAX);
    let priority = priority
        .filter(|priority| *priority > 0)
        .unwrap_or(length.max(1));
    let router = |rule: String, middlewares: Vec<String>| {
        Map::new()
            .list("entryPoints", entry_points.clone())
            .text("rule", rule)
            .text("priority", priority)
            .list("middlewares", middlewares)
            .text("service", &service)
            .done()
            .at(node.at)
    };
    let Frontend {
        mut own,
        middlewares,
        ..
    } = frontend;
    own.routers.push(name, router(converted.rule, middlewares));
    if let Some(slash) = converted.slash.filter(|_| !context.keeps_trailing_slash) {
        let names = slash_redirects(name, node.at, &slash, &mut own);
        own.routers
            .push(format!("{name}-slash"), router(slash.rule, names));
    }
    out.append(own);
    Ok(())
}

fn routes(fields: &mut Fields<'_, '_>, problems: &mut Problems) -> rule::Converted {
    let path = fields.path_of("routes");
    let mut rules = Vec::new();
    for entry in fields.entries_below("routes", problems) {
        let mut route = Fields::of(&entry.node, join(&path, &entry.key), problems);
        // Traefik 1 skipped empty rules of stores, and refused a frontend of a file for them.
        if let Some(rule) = route.text("rule", problems) {
            rules.push((rule, route.path_of("rule"), entry.node.at));
        } else {
            problems.error(route.path_of("rule"), entry.node.at, "is missing");
        }
        route.finish(problems);
    }
    let texts: Vec<&str> = rules.iter().map(|(rule, ..)| rule.as_str()).collect();
    match rule::convert(&texts) {
        Ok(converted) => {
            let (path, at) = rules
                .first()
                .map_or((path, fields.at), |(_, path, at)| (path.clone(), *at));
            for note in &converted.notes {
                problems.note(&path, at, note);
            }
            converted
        }
        Err((index, message)) => {
            let (_, path, at) = &rules[index];
            problems.error(path, *at, message);
            rule::Converted::default()
        }
    }
}

/// Redirects to the path with, or without, a slash at its end.
fn slash_redirects(name: &str, at: Position, slash: &Slash, own: &mut Objects) -> Vec<String> {
    let kinds = [
        (slash.removes, "remove", "^([^?]+)/(\\?.*)?$", "${1}${2}"),
        (slash.adds, "add", "^([^?]*[^?/])(\\?.*)?$", "${1}/${2}"),
    ];
    let kinds = kinds.into_iter().filter(|(is_wanted, ..)| *is_wanted);
    kinds
        .map(|(_, what, regex, replacement)| {
            let redirect = Map::new()
                .text("regex", regex)
                .text("replacement", replacement)
                .text("permanent", true);
            let redirect = Map::only("redirectRegex", redirect);
            own.middleware(format!("{name}-slash-{what}"), at, redirect)
        })
        .collect()
}

/// A frontend that is being converted.
struct Frontend<'f> {
    name: &'f str,
    at: Position,
    own: Objects,
    /// Names of its middlewares so far.
    middlewares: Vec<String>,
}

impl Frontend<'_> {
    fn add(&mut self, what: &str, node: Node<'static>) {
        let name = format!("{}-{what}", self.name);
        let name = self.own.middleware(name, self.at, node);
        self.middlewares.push(name);
    }

    fn errors(
        &mut self,
        fields: &mut Fields<'_, '_>,
        backend_name: &str,
        backends: &FxHashMap<&str, Option<Backend>>,
        problems: &mut Problems,
    ) {
        let path = fields.path_of("errors");
        for entry in fields.entries_below("errors", problems) {
            let mut page = Fields::of(&entry.node, join(&path, &entry.key), problems);
            let service = page.text("backend", problems).unwrap_or_default();
            let map = Map::new()
                .list("status", page.list("status", problems))
                .text("service", super::today_name(&service))
                .some("query", page.text("query", problems));
            let (path, at) = (page.path_of("backend"), entry.node.at);
            page.finish(problems);
            if service == backend_name {
                problems.note(
                    path,
                    at,
                    "is the frontend's own backend: the page had no effect and has none",
                );
            } else if !backends.contains_key(service.as_str()) {
                let message = format!(
                    "names the backend {service:?}, which does not exist: the page is left out"
                );
                problems.lost(path, at, message);
            } else {
                self.add(&format!("errors-{}", entry.key), Map::only("errors", map));
            }
        }
    }

    /// Returns whether there is one by regular expression.
    fn redirect(
        &mut self,
        fields: &mut Fields<'_, '_>,
        context: &Context,
        problems: &mut Problems,
    ) -> bool {
        let Some(mut redirect) = fields.below("redirect", problems) else {
            return false;
        };
        let target = redirect.text("entryPoint", problems);
        let regex = redirect.text("regex", problems);
        let replacement = redirect.text("replacement", problems);
        let is_permanent = redirect.is_on("permanent", problems);
        let (path, at) = (redirect.path_of("entryPoint"), redirect.at);
        redirect.finish(problems);
        let Some(name) = target else {
            let is_whole = regex.is_some() && replacement.is_some();
            if is_whole {
                let map = Map::new()
                    .some("regex", regex)
                    .some("replacement", replacement)
                    .flag("permanent", is_permanent);
                self.add("redirect", Map::only("redirectRegex", map));
            }
            return is_whole;
        };
        let Some(target) = context.target(&name) else {
            let message = format!(
                "names the entry point {name:?}, whose port and TLS are not known here: write regex and replacement, or \
                 a redirectScheme middleware in today's form"
            );
            problems.error(path, at, message);
            return false;
        };
        if target.is_guess {
            let message = format!(
                "becomes a redirect to {}:// at its usual port, told from the entry point's name {name:?}",
                target.scheme
            );
            problems.note(path, at, message);
        }
        let map = Map::new()
            .text("scheme", target.scheme)
            .some("port", target.port)
            .flag("permanent", is_permanent);
        self.add("redirect", Map::only("redirectScheme", map));
        false
    }

    fn edits(&mut self, edits: PathEdits) {
        // Traefik 1 left a slash where a prefix was the whole path, which matters to what comes after.
        let needs_slash = edits.add_prefix.is_some() || edits.replace_regex.is_some();
        if !edits.strip_regex.is_empty() {
            let map = Map::new().list("regex", edits.strip_regex);
            self.add("strip-regex", Map::only("stripPrefixRegex", map));
        }
        if !edits.strip.is_empty() {
            let map = Map::new().list("prefixes", edits.strip);
            let map = map.flag("forceSlash", needs_slash);
            self.add("strip", Map::only("stripPrefix", map));
        }
        if let Some(prefix) = edits.add_prefix {
            self.add(
                "add-prefix",
                Map::only("addPrefix", Map::new().text("prefix", prefix)),
            );
        }
        if let Some((regex, replacement)) = edits.replace_regex {
            let map = Map::new()
                .text("regex", regex)
                .text("replacement", replacement);
            self.add("replace-path-regex", Map::only("replacePathRegex", map));
        }
        if let Some(path) = edits.replace {
            self.add(
                "replace-path",
                Map::only("replacePath", Map::new().text("path", path)),
            );
        }
    }

    fn retry(&mut self, backend: &Backend, context: &Context) {
        let Some(attempts) = context.retry_attempts else {
            return;
        };
        let servers = i64::try_from(backend.server_count).unwrap_or(i64::MAX);
        let attempts = if attempts > 0 { attempts } else { servers };
        if attempts > 1 {
            self.add(
                "retry",
                Map::only("retry", Map::new().text("attempts", attempts)),
            );
        }
    }

    fn rates(&mut self, fields: &mut Fields<'_, '_>, problems: &mut Problems) {
        let Some(mut limit) = fields.below("rateLimit", problems) else {
            return;
        };
        let extractor = limit.text("extractorFunc", problems);
        let path = limit.path_of("rateSet");
        let rates = limit.entries_below("rateSet", problems);
        let (extractor_path, at) = (limit.path_of("extractorFunc"), limit.at);
        limit.finish(problems);
        if rates.is_empty() {
            return;
        }
        let extractor = extractor.unwrap_or_default();
        let Some(criterion) = source_criterion(&extractor, &extractor_path, at, problems) else {
            return;
        };
        for entry in rates {
            let mut rate = Fields::of(&entry.node, join(&path, &entry.key), problems);
            let period: Option<GoDuration> = rate.value("period", problems);
            let mut count = |name: &str, problems: &mut Problems| {
                let number: Option<i64> = rate.value(name, problems);
                if number.is_none_or(|number| number <= 0) {
                    problems.error(rate.path_of(name), entry.node.at, "must be greater than 0");
                }
                number
            };
            let average = count("average", problems);
            let burst = count("burst", problems);
            if period.is_none_or(|period| period.as_nanos() <= 0) {
                problems.error(
                    rate.path_of("period"),
                    entry.node.at,
                    "must be greater than 0",
                );
            }
            let map = Map::new()
                .some("average", average)
                .some("period", period)
                .some("burst", burst)
                .node("sourceCriterion", criterion.clone());
            rate.finish(problems);
            self.add(&format!("rate-{}", entry.key), Map::only("rateLimit", map));
        }
    }

    /// `passTLSCert`: servers are shown the entry point's certificates. Returns the servers transport's name.
    fn pass_tls_cert(
        &mut self,
        fields: &mut Fields<'_, '_>,
        entry_points: &[String],
        context: &Context,
        problems: &mut Problems,
    ) -> Option<String> {
        if !fields.is_on("passTLSCert", problems) {
            return None;
        }
        let names = if entry_points.is_empty() {
            &context.default_entry_points
        } else {
            entry_points
        };
        let known = context.entry_points.iter().flatten();
        let mut certificates: Vec<_> = known
            .filter(|(name, _)| names.contains(name))
            .flat_map(|(_, facts)| &facts.certificates)
            .collect();
        certificates.dedup();
        if certificates.is_empty() {
            let message = "showed servers the entry point's certificates, which are not known here: name them in a \
                           serversTransport";
            problems.lost(fields.path_of("passTLSCert"), fields.at, message);
            return None;
        }
        let certificates = certificates.into_iter().map(|(certificate, key)| {
            Map::new()
                .text("certFile", certificate)
                .text("keyFile", key)
                .done()
        });
        let transport = Map::new().node("certificates", Node::list(certificates.collect()));
        let name = format!("{}-pass-tls-cert", self.name);
        self.own
            .transports
            .push(name.clone(), transport.done().at(self.at));
        Some(name)
    }

    /// The service for this frontend: the backend's own, or a variant of it.
    fn service(
        &mut self,
        backend_name: &str,
        backend: Option<&Backend>,
        passes_host: bool,
        transport: Option<String>,
    ) -> String {
        let Some(backend) = backend.filter(|_| !passes_host || transport.is_some()) else {
            return backend_name.to_owned();
        };
        // Equal for every frontend that does not pass the host; with a transport it is the frontend's own.
        let name = match &transport {
            None => format!("{backend_name}-own-host"),
            Some(_) => format!("{backend_name}-{}", self.name),
        };
        let service = backend.service(passes_host, transport.as_deref());
        self.own.variants.insert(name.clone(), service);
        name
    }
}

/// `passTLSClientCert`: the same, but for the name of one header.
fn client_certificate(
    fields: &mut Fields<'_, '_>,
    problems: &mut Problems,
) -> Option<Node<'static>> {
    let mut pass = fields.below("passTLSClientCert", problems)?;
    let mut map = Map::new().flag("pem", pass.is_on("pem", problems));
    if let Some(mut infos) = pass.below("infos", problems) {
        let mut info = Map::new();
        for name in ["notAfter", "notBefore", "sans"] {
            info = info.flag(name, infos.is_on(name, problems));
        }
        for whose in ["subject", "issuer"] {
            let Some(mut parts) = infos.below(whose, problems) else {
                continue;
            };
            let mut map = Map::new();
            for name in [
                "country",
                "province",
                "locality",
                "organization",
                "commonName",
                "serialNumber",
                "domainComponent",
            ] {
                map = map.flag(name, parts.is_on(name, problems));
            }
            parts.finish(problems);
            info = info.filled(whose, map);
        }
        let message =
            "X-Forwarded-Tls-Client-Cert-Infos is called X-Forwarded-Tls-Client-Cert-Info today";
        problems.note(&infos.path, infos.at, message);
        infos.finish(problems);
        map = map.filled("info", info);
    }
    pass.finish(problems);
    (!map.is_empty()).then(|| Map::only("passTLSClientCert", map))
}
