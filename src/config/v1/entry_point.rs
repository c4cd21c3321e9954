//! Entry points of a Traefik 1 file: what stays with them, and what became objects of the dynamic configuration.
//!
//! TLS certificates and options, authentication, address lists and compression were properties of an entry point; today
//! they are dynamic objects that entry points name. They exist only if the same file, or one that is written beside,
//! is read by the file provider.

use super::access::{auth, white_list};
use super::build::{Map, Objects};
use super::context::EntryPointFacts;
use super::read::{Fields, join};
use super::remark::Problems;
use super::tls::certificate;
use crate::config::tree::{Node, Position, Value};

/// What all entry points of a file have.
#[derive(Default)]
pub(super) struct Shared {
    /// `transport`.
    pub transport: Map,
    /// Names of default entry points.
    pub defaults: Vec<String>,
}

/// The result for one entry point.
pub(super) struct EntryPoint {
    pub tree: Node<'static>,
    pub facts: EntryPointFacts,
    /// What needs a dynamic configuration.
    pub objects: Objects,
    /// The paths of the options that need one, with their places.
    pub needs_objects: Vec<(String, Position)>,
}

/// Converts one entry point. With `names_objects` its tree names the objects of the dynamic part.
pub(super) fn convert(
    name: &str,
    node: &Node<'_>,
    shared: &Shared,
    names_objects: bool,
    problems: &mut Problems,
) -> EntryPoint {
    let mut fields = Fields::of(node, join("entryPoints", name), problems);
    let mut made = EntryPoint {
        tree: Node::map(),
        facts: EntryPointFacts::default(),
        objects: Objects::default(),
        needs_objects: Vec::new(),
    };
    let address = fields.text("address", problems);
    made.facts.port = address
        .as_deref()
        .and_then(|address| address.rsplit_once(':')?.1.parse().ok());
    let is_default = shared.defaults.iter().any(|default| default == name);
    let mut map = Map::new()
        .some("address", address)
        .flag("asDefault", is_default)
        .filled("transport", shared.transport.clone());
    for key in ["proxyProtocol", "forwardedHeaders"] {
        let trusted = fields.below(key, problems).map(|mut fields| {
            let trusted = Map::new()
                .flag("insecure", fields.is_on("insecure", problems))
                .list("trustedIPs", fields.list("trustedIPs", problems));
            fields.finish(problems);
            trusted
        });
        // Without the section Traefik 1 believed everybody's forwarded headers.
        let trusted = match trusted {
            None if key == "forwardedHeaders" => Map::new().text("insecure", true),
            trusted => trusted.unwrap_or_default(),
        };
        map = map.filled(key, trusted);
    }
    let mut middlewares = Vec::new();
    let mut http = redirect(name, &mut fields, &mut made, &mut middlewares, problems);
    if let Some(node) = auth(&mut fields, problems) {
        made.need(name, "auth", &fields, "auth", Some(node), &mut middlewares);
    }
    if fields.is_on("compress", problems) {
        let node = Map::only("compress", Map::new());
        made.need(
            name,
            "compress",
            &fields,
            "compress",
            Some(node),
            &mut middlewares,
        );
    }
    if let Some(node) = white_list(&mut fields, problems) {
        made.need(
            name,
            "whitelist",
            &fields,
            "whiteList",
            Some(node),
            &mut middlewares,
        );
    }
    if let Some(tls) = fields.below("tls", problems) {
        made.facts.has_tls = true;
        let options = made.tls(name, tls, problems);
        let tls = match options.filter(|_| names_objects) {
            Some(options) => Map::new().text("options", format!("{options}@file")),
            None => Map::new(),
        };
        http = http.node("tls", tls.done());
    }
    fields.finish(problems);
    if names_objects {
        http = http.list("middlewares", middlewares);
    }
    made.tree = map.filled("http", http).done().at(node.at);
    made
}

/// `redirect`: to another entry point, or by regular expression.
fn redirect(
    name: &str,
    fields: &mut Fields<'_, '_>,
    made: &mut EntryPoint,
    middlewares: &mut Vec<String>,
    problems: &mut Problems,
) -> Map {
    let Some(mut redirect) = fields.below("redirect", problems) else {
        return Map::new();
    };
    let target = redirect.text("entryPoint", problems);
    let regex = redirect.text("regex", problems);
    let replacement = redirect.text("replacement", problems);
    let is_permanent = redirect.is_on("permanent", problems);
    redirect.finish(problems);
    if let Some(target) = target {
        if target == name {
            return Map::new();
        }
        // The scheme is filled in when all entry points are known.
        let target = Map::new()
            .text("to", target)
            .text("permanent", is_permanent);
        return Map::new().node("redirections", Map::only("entryPoint", target));
    }
    if regex.is_some() && replacement.is_some() {
        let map = Map::new()
            .some("regex", regex)
            .some("replacement", replacement)
            .flag("permanent", is_permanent);
        let node = Map::only("redirectRegex", map);
        made.need(
            name,
            "redirect",
            fields,
            "redirect.regex",
            Some(node),
            middlewares,
        );
    }
    Map::new()
}

impl EntryPoint {
    /// Adds an object that the entry point names, and notes which option needs it.
    fn need(
        &mut self,
        name: &str,
        what: &str,
        fields: &Fields<'_, '_>,
        option: &str,
        node: Option<Node<'static>>,
        middlewares: &mut Vec<String>,
    ) {
        let path = format!("{}.{option}", fields.path);
        self.needs_objects.push((path, fields.at));
        if let Some(node) = node {
            let name = format!("entrypoint-{name}-{what}");
            let name = self.objects.middleware(name, fields.at, node);
            middlewares.push(format!("{name}@file"));
        }
    }

    /// Takes the TLS options; returns the name of an options object if one is needed.
    fn tls(
        &mut self,
        name: &str,
        mut tls: Fields<'_, '_>,
        problems: &mut Problems,
    ) -> Option<String> {
        let path = tls.path_of("certificates");
        let items = tls.get("certificates").map(|node| match &node.value {
            Value::List(items) => items.iter().collect(),
            _ => vec![node],
        });
        for item in items.unwrap_or_default() {
            let fields = Fields::of(item, path.clone(), problems);
            self.certificate(fields, problems);
        }
        if let Some(fields) = tls.below("defaultCertificate", problems) {
            self.certificate(fields, problems);
        }
        let mut authorities = tls.list("clientCAFiles", problems);
        let mut is_optional = false;
        if let Some(mut client) = tls.below("clientCA", problems) {
            authorities.extend(client.list("files", problems));
            is_optional = client.is_on("optional", problems);
            client.finish(problems);
        }
        let mut options = Map::new()
            .some("minVersion", tls.text("minVersion", problems))
            .list("cipherSuites", tls.list("cipherSuites", problems))
            .flag("sniStrict", tls.is_on("sniStrict", problems));
        if !authorities.is_empty() {
            let kind = if is_optional {
                "VerifyClientCertIfGiven"
            } else {
                "RequireAndVerifyClientCert"
            };
            let auth = Map::new()
                .list("caFiles", authorities)
                .text("clientAuthType", kind);
            options = options.node("clientAuth", auth.done());
        }
        let (path, at) = (tls.path.clone(), tls.at);
        tls.finish(problems);
        if options.is_empty() {
            return None;
        }
        self.needs_objects.push((path, at));
        let name = format!("entrypoint-{name}");
        let all = Map::only(&name, options);
        self.objects.tls.push("options", all);
        Some(name)
    }

    fn certificate(&mut self, fields: Fields<'_, '_>, problems: &mut Problems) {
        let (path, at) = (fields.path.clone(), fields.at);
        let Some(certificate) = certificate(fields, problems) else {
            return;
        };
        let node = certificate.done().at(at);
        let text = |key: &str| {
            let text = node.get(key).and_then(Node::as_scalar);
            text.unwrap_or_default().to_owned()
        };
        let pair = (text("certFile"), text("keyFile"));
        if !self.facts.certificates.contains(&pair) {
            self.facts.certificates.push(pair);
            self.needs_objects.push((path, at));
            self.objects.certificates.push(node);
        }
    }
}
