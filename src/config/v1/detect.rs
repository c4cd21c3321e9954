//! Telling Traefik 1's files from today's by their top-level keys.

use super::read::join;
use crate::config::decode::ObjectError;
use crate::config::tree::{Entry, Node, Value};

/// Top-level keys that only Traefik 1 had.
const ONLY_V1: &[&str] = &[
    "accessLogsFile",
    "acme",
    "allowMinWeightZero",
    "backends",
    "boltdb",
    "checkNewVersion",
    "cluster",
    "constraints",
    "consul",
    "consulCatalog",
    "debug",
    "defaultEntryPoints",
    "docker",
    "dynamodb",
    "ecs",
    "etcd",
    "eureka",
    "file",
    "forwardingTimeouts",
    "frontends",
    "graceTimeOut",
    "healthcheck",
    "idleTimeout",
    "insecureSkipVerify",
    "keepTrailingSlash",
    "kubernetes",
    "lifeCycle",
    "logLevel",
    "marathon",
    "maxIdleConnsPerHost",
    "mesos",
    "providersThrottleDuration",
    "rancher",
    "respondingTimeouts",
    "rest",
    "retry",
    "rootCAs",
    "sendAnonymousUsage",
    "serviceFabric",
    "traefikLog",
    "traefikLogsFile",
    "web",
    "zookeeper",
];

/// Top-level keys that both have, or may have: Ringway's own section.
pub(super) const SHARED: &[&str] = &[
    "accessLog",
    "api",
    "entryPoints",
    "hostResolver",
    "metrics",
    "ping",
    "ringway",
    "tls",
    "tracing",
];

/// Top-level keys that only today's files have.
const ONLY_TODAY: &[&str] = &[
    "certificatesResolvers",
    "core",
    "experimental",
    "global",
    "http",
    "log",
    "ocsp",
    "providers",
    "serversTransport",
    "spiffe",
    "tcp",
    "tcpServersTransport",
    "udp",
];

/// Keys of an entry point that only Traefik 1 had, and only today's files have.
const ENTRY_POINT_ONLY_V1: &[&str] = &[
    "auth",
    "compress",
    "redirect",
    "tls",
    "whiteList",
    "whitelistSourceRange",
];
const ENTRY_POINT_ONLY_TODAY: &[&str] = &[
    "asDefault",
    "http",
    "http2",
    "http3",
    "observability",
    "reusePort",
    "transport",
    "udp",
];

fn is_one_of(names: &[&str], key: &str) -> bool {
    names.iter().any(|name| name.eq_ignore_ascii_case(key))
}

/// Whether a key may stand at the top of a Traefik 1 file, in any case.
pub(super) fn is_known(key: &str) -> bool {
    is_one_of(ONLY_V1, key) || is_one_of(SHARED, key)
}

/// Whether a tree is a Traefik 1 configuration, static or dynamic: it has a key that only Traefik 1 had.
///
/// # Errors
/// It also has one that only today's configurations have. The error names both.
pub fn is_v1(tree: &Node<'_>) -> Result<bool, ObjectError> {
    let Some(entries) = tree.as_map() else {
        return Ok(false);
    };
    let (mut former, mut today) = (None, None);
    for entry in entries {
        let key: &str = &entry.key;
        let is_list = matches!(entry.node.value, Value::List(_));
        if is_one_of(ONLY_V1, key) || key.eq_ignore_ascii_case("tls") && is_list {
            former = former.or(Some((key.to_owned(), entry.at)));
        } else if is_one_of(ONLY_TODAY, key) || key.eq_ignore_ascii_case("tls") {
            today = today.or(Some((key.to_owned(), entry.at)));
        } else if key.eq_ignore_ascii_case("entryPoints") {
            let below = entry.node.as_map().unwrap_or_default();
            former = former.or_else(|| in_entry_points(key, below, ENTRY_POINT_ONLY_V1));
            today = today.or_else(|| in_entry_points(key, below, ENTRY_POINT_ONLY_TODAY));
        }
    }
    match (former, today) {
        (None, _) => Ok(false),
        (Some(_), None) => Ok(true),
        (Some((former, at)), Some((today, other))) => {
            let place = match other.get() {
                Some((line, _)) => format!(" (line {line})"),
                None => String::new(),
            };
            let message = format!(
                "is a key of Traefik 1, and {today:?}{place} one of today's: a file is either of the one or of the \
                 other. `ringway convert` writes a Traefik 1 file in today's form"
            );
            Err(ObjectError::new(former, at, message))
        }
    }
}

/// Whether a Traefik 1 tree has nothing static.
pub fn is_dynamic_only(tree: &Node<'_>) -> bool {
    let entries = tree.as_map().unwrap_or_default();
    let is_dynamic = |key: &str| is_one_of(&["backends", "frontends", "tls"], key);
    entries.iter().all(|entry| is_dynamic(&entry.key))
}

fn in_entry_points(
    key: &str,
    entry_points: &[Entry<'_>],
    names: &[&str],
) -> Option<(String, crate::config::tree::Position)> {
    entry_points.iter().find_map(|entry_point| {
        let fields = entry_point.node.as_map()?;
        let field = fields.iter().find(|field| is_one_of(names, &field.key))?;
        let path = join(&join(key, &entry_point.key), &field.key);
        Some((path, field.at))
    })
}

/// Whether a TOML text may be a Traefik 1 file that declares something dynamic. A text that is none may look like one;
/// the other way round does not happen.
pub fn may_be_v1(toml: &str) -> bool {
    const MARKS: [&str; 5] = ["backends", "frontends", "[tls]", "file", "entrypoints"];
    toml.lines().any(|line| {
        let line = line.trim_start_matches(['[', ' ', '\t', '"', '\'']);
        let begins = |mark: &str| {
            let mark = mark.trim_start_matches('[');
            line.get(..mark.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(mark))
        };
        MARKS.iter().any(|mark| begins(mark))
    })
}
