//! What must hold between the options of a static configuration, and what Traefik fills in by itself.

use std::net::IpAddr;

use ipnet::IpNet;

use super::kv_stores::{validate_consul, validate_redis, validate_zookeeper};
use super::{EntryPoint, EntryPointAddress, HttpAlias, HttpProvider, Protocol, StaticConfig};
use crate::config::decode::{FromText, List, ObjectError, Path, Text, nearest};
use crate::config::tree::Position;

/// Most fields of a head that the HTTP codec ever takes (its `MOST_FIELDS`; this layer does not see it).
const MOST_HEADER_FIELDS: u16 = 1000;

/// The entry point that serves the program's own endpoints.
pub(super) const INTERNAL_ENTRY_POINT: &str = "traefik";

const PRECEDENCE: &[&str] = &[
    "kubernetesgateway",
    "kubernetescrd",
    "kubernetes",
    "kubernetesingressnginx",
    "swarm",
    "docker",
    "file",
    "redis",
    "knative",
    "consul",
    "consulcatalog",
    "nomad",
    "etcd",
    "ecs",
    "http",
    "zookeeper",
    "rest",
];

/// Providers whose store can have the key of `providers.http.alias`.
const ALIAS_PROVIDERS: &[&str] = &["etcd", "consul", "redis", "zooKeeper"];

/// Traefik's order of providers, which decides between routers of equal priority.
pub fn default_precedence() -> List<Text> {
    PRECEDENCE.iter().map(|name| (*name).into()).collect()
}

/// A network, or a single address as the network that holds only it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IpRange(pub IpNet);

impl FromText for IpRange {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map(Self)
            .map_err(|_| {
                format!(
                    "is {text:?} where an IP address or a network such as 10.0.0.0/8 is expected"
                )
            })
    }
}

/// Fills in what Traefik fills in: an entry point if there is none, and `traefik` if something needs it.
pub(super) fn complete(config: &mut StaticConfig) {
    let entry_point = |address: &str| EntryPoint {
        address: EntryPointAddress::from_text(address).unwrap_or_default(),
        ..EntryPoint::default()
    };
    if config.entry_points.is_empty() {
        config
            .entry_points
            .insert("http".into(), entry_point(":80"));
    }
    let is_needed = config.api.as_ref().is_some_and(|api| api.insecure)
        || config
            .ping
            .as_ref()
            .is_some_and(|ping| !ping.manual_routing && &*ping.entry_point == INTERNAL_ENTRY_POINT);
    let is_needed = is_needed
        || config
            .providers
            .rest
            .as_ref()
            .is_some_and(|rest| rest.insecure);
    if is_needed && !config.entry_points.contains_key(INTERNAL_ENTRY_POINT) {
        config
            .entry_points
            .insert(INTERNAL_ENTRY_POINT.into(), entry_point(":8080"));
    }
    for name in &mut config.providers.precedence {
        *name = name.to_lowercase().into();
    }
}

/// Checks a completed configuration.
pub(super) fn validate(config: &StaticConfig, errors: &mut Vec<ObjectError>) {
    let root = Path::ROOT;
    let entry_points = root.key("entryPoints");
    for (name, entry_point) in &config.entry_points {
        validate_entry_point(config, name, entry_point, &entry_points.key(name), errors);
    }
    let providers = root.key("providers");
    for (index, name) in config.providers.precedence.iter().enumerate() {
        if !PRECEDENCE.contains(&&**name) {
            let path = providers.key("precedence");
            let mut error = problem(&path.index(index), format!("{name:?} is no provider"));
            error.suggestion = nearest(PRECEDENCE.iter().copied(), name);
            errors.push(error);
        }
    }
    if let Some(file) = &config.providers.file
        && file.directory.is_empty()
        && file.filename.is_empty()
    {
        errors.push(problem(
            &providers.key("file"),
            "needs a filename or a directory",
        ));
    }
    super::kv_stores::validate(config, errors);
    if let Some(http) = &config.providers.http {
        validate_http(http, &providers.key("http"), errors);
    }
    if let Some(api) = &config.api
        && !is_base_path(&api.base_path)
    {
        let message = format!(
            "is {:?} where an absolute path such as /traefik is expected",
            api.base_path
        );
        errors.push(problem(&root.key("api").key("basePath"), message));
    }
    let fields = config.ringway.limits.max_header_count;
    if !(1..=MOST_HEADER_FIELDS).contains(&fields) {
        let ringway = root.key("ringway");
        let path = ringway.key("limits");
        let message = format!("is {fields} where 1 to {MOST_HEADER_FIELDS} is expected");
        errors.push(problem(&path.key("maxHeaderCount"), message));
    }
    if let Some(ping) = &config.ping {
        let path = root.key("ping");
        if !(100..=999).contains(&ping.terminating_status_code) {
            let message = format!(
                "is {} where an HTTP status is expected",
                ping.terminating_status_code
            );
            errors.push(problem(&path.key("terminatingStatusCode"), message));
        }
        if !ping.manual_routing {
            check_entry_point(config, &ping.entry_point, &path.key("entryPoint"), errors);
        }
    }
}

fn validate_http(http: &HttpProvider, path: &Path<'_>, errors: &mut Vec<ObjectError>) {
    let is_url = ["http://", "https://"].iter().any(|scheme| {
        let begin = http.endpoint.get(..scheme.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    });
    if http.endpoint.is_empty() {
        errors.push(problem(path, "needs an endpoint: the URL to ask"));
    } else if !is_url {
        errors.push(problem(
            &path.key("endpoint"),
            "is no URL that begins with http:// or https://",
        ));
    }
    let Some(alias) = &http.alias else {
        return;
    };
    validate_alias(alias, &path.key("alias"), errors);
}

/// Checks that exactly one store is named, and that its options fit together.
fn validate_alias(alias: &HttpAlias, path: &Path<'_>, errors: &mut Vec<ObjectError>) {
    let named = [
        (!alias.provider.is_empty()).then_some("provider"),
        alias.etcd.as_ref().map(|_| "etcd"),
        alias.redis.as_ref().map(|_| "redis"),
        alias.consul.as_ref().map(|_| "consul"),
        alias.zookeeper.as_ref().map(|_| "zooKeeper"),
    ];
    let named: Vec<&str> = named.into_iter().flatten().collect();
    match &named[..] {
        [] => {
            let message = format!(
                "needs the store that has the key: provider (one of {}), or the options of a store that is no \
                 provider, such as etcd.endpoints",
                ALIAS_PROVIDERS.join(", ")
            );
            errors.push(problem(path, message));
        }
        [_] => {}
        [one, another, ..] => errors.push(problem(
            path,
            format!("has both {one} and {another}: the key is in one store"),
        )),
    }
    if !alias.provider.is_empty() && !ALIAS_PROVIDERS.contains(&&*alias.provider) {
        let message = format!(
            "is {:?} where one of {} is expected",
            alias.provider,
            ALIAS_PROVIDERS.join(", ")
        );
        let mut error = problem(&path.key("provider"), message);
        error.suggestion = nearest(ALIAS_PROVIDERS.iter().copied(), &alias.provider);
        errors.push(error);
    }
    if let Some(redis) = &alias.redis {
        validate_redis(redis, &path.key("redis"), errors);
    }
    if let Some(consul) = &alias.consul {
        let path = path.key("consul");
        validate_consul(consul, &path, errors);
        if consul.namespaces.len() > 1 {
            let message = "there are several: the key is in one namespace";
            errors.push(problem(&path.key("namespaces"), message));
        }
    }
    if let Some(zookeeper) = &alias.zookeeper {
        validate_zookeeper(zookeeper, &path.key("zooKeeper"), errors);
    }
    if alias.key.is_empty() {
        errors.push(problem(
            &path.key("key"),
            "is missing: the key whose value names the configuration",
        ));
    }
}

fn validate_entry_point(
    config: &StaticConfig,
    name: &str,
    entry_point: &EntryPoint,
    path: &Path<'_>,
    errors: &mut Vec<ObjectError>,
) {
    if name.is_empty() || name.contains(['@', ',']) {
        errors.push(problem(
            path,
            "a name must not be empty and has no \"@\" or \",\"",
        ));
    }
    if entry_point.address.is_unset() {
        errors.push(problem(
            path,
            "has no address: give it one, such as address: \":80\"",
        ));
    }
    let ranges = |ips: &[Text], path: &Path<'_>, errors: &mut Vec<ObjectError>| {
        for (index, ip) in ips.iter().enumerate() {
            if let Err(message) = IpRange::from_text(ip) {
                errors.push(problem(&path.index(index), message));
            }
        }
    };
    let forwarded = path.key("forwardedHeaders");
    ranges(
        &entry_point.forwarded_headers.trusted_ips,
        &forwarded.key("trustedIPs"),
        errors,
    );
    if let Some(proxy_protocol) = &entry_point.proxy_protocol {
        let path = path.key("proxyProtocol");
        ranges(&proxy_protocol.trusted_ips, &path.key("trustedIPs"), errors);
    }
    if let Some(redirections) = &entry_point.http.redirections {
        let path = path.key("http");
        let path = path.key("redirections");
        let path = path.key("entryPoint");
        match redirections.entry_point.as_deref() {
            None => errors.push(problem(&path, "is missing: say where to redirect")),
            Some(redirect) => {
                check_redirect(config, &redirect.to, &path.key("to"), errors);
                if redirect.scheme.is_empty() {
                    errors.push(problem(&path.key("scheme"), "must not be empty"));
                }
            }
        }
    }
}

/// `to` is an entry point's name or `:port`.
fn check_redirect(config: &StaticConfig, to: &str, path: &Path<'_>, errors: &mut Vec<ObjectError>) {
    match to.strip_prefix(':') {
        Some(port) if port.parse::<u16>().is_ok_and(|port| port > 0) => {}
        Some(_) => errors.push(problem(
            path,
            format!("is {to:?} where a port such as \":443\" is expected"),
        )),
        None => check_entry_point(config, to, path, errors),
    }
}

/// A reference to an entry point that can carry HTTP.
fn check_entry_point(
    config: &StaticConfig,
    name: &str,
    path: &Path<'_>,
    errors: &mut Vec<ObjectError>,
) {
    match config.entry_points.get(name) {
        Some(entry_point) if entry_point.address.protocol() == Protocol::Udp => {
            errors.push(problem(
                path,
                format!("the entry point {name:?} is a UDP one"),
            ));
        }
        Some(_) => {}
        None => {
            let mut error = problem(path, format!("there is no entry point {name:?}"));
            error.suggestion = nearest(config.entry_points.keys().map(|name| &**name), name);
            errors.push(error);
        }
    }
}

/// Traefik: `^/[a-zA-Z0-9/_.:~-]*$`.
fn is_base_path(path: &str) -> bool {
    path.starts_with('/')
        && path.bytes().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'.' | b':' | b'~' | b'-')
        })
}

fn problem(path: &Path<'_>, message: impl Into<String>) -> ObjectError {
    ObjectError::new(path, Position::NONE, message)
}
