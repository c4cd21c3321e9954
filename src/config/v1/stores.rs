//! Sections of key-value stores in a Traefik 1 file: etcd, consul and zookeeper.

use super::access::client_tls;
use super::build::Map;
use super::read::Fields;
use super::remark::Problems;

/// A store: its section, today's name, and whether it had users.
pub(super) const STORES: [(&str, &str); 3] = [
    ("etcd", "etcd"),
    ("consul", "consul"),
    ("zookeeper", "zooKeeper"),
];

/// Ringway's own options, which are accepted in Traefik 1's section too.
const OWN: [&str; 5] = [
    "aliasKey",
    "aliasInRoot",
    "aliasWatch",
    "allowRestore",
    "throttleDuration",
];

/// Converts the section of a store to today's.
pub(super) fn convert(section: &str, mut fields: Fields<'_, '_>, problems: &mut Problems) -> Map {
    let endpoints = fields.list("endpoint", problems);
    let prefix = fields.text("prefix", problems);
    let prefix = prefix.as_deref().unwrap_or("traefik");
    // Stores of Traefik 1 took the slash off, except zookeeper, which today puts it back.
    let root = prefix.trim_matches('/');
    let mut map = Map::new()
        .list("endpoints", endpoints)
        .text("rootKey", root)
        .some("username", fields.text("username", problems))
        .some("password", fields.text("password", problems));
    if let Some(tls) = fields.below("tls", problems) {
        map = map.filled("tls", client_tls(tls, problems));
    }
    let mut has_alias = false;
    for name in OWN {
        let value = fields.text(name, problems);
        has_alias |= matches!(name, "aliasKey" | "aliasInRoot") && value.is_some();
        map = map.some(name, value);
    }
    // Traefik 1 followed the key `alias` below its prefix without being asked to.
    map = map.flag("aliasInRoot", !has_alias);
    if fields.value("watch", problems) == Some(false) {
        problems.note(
            fields.path_of("watch"),
            fields.at,
            "changes are always followed",
        );
    }
    if section == "etcd" {
        let uses_v3: Option<bool> = fields.value("useAPIV3", problems);
        match uses_v3 {
            Some(true) => {}
            Some(false) => {
                let message = "asks for etcd's v2 API, which Ringway does not speak: keep the configuration as v3 keys \
                               (etcdctl put) and write useAPIV3 = true";
                problems.error(fields.path_of("useAPIV3"), fields.at, message);
            }
            None => {
                let message = "spoke etcd's v2 API, as useAPIV3 is not set; Ringway speaks v3 only and does not see keys \
                               of v2. Write useAPIV3 = true once the configuration is kept as v3 keys";
                problems.note(&fields.path, fields.at, message);
            }
        }
    }
    for name in ["filename", "constraints"] {
        if let Some(node) = fields.get(name).filter(|node| {
            // Empty means none.
            !matches!(node.as_scalar(), Some("")) && !matches!(node.as_list(), Some([]))
        }) {
            let message = match name {
                "filename" => "templates of a store's tree have no counterpart",
                _ => "servers cannot be chosen by tags: all of them are used",
            };
            problems.lost(fields.path_of(name), node.at, message);
        }
    }
    for name in ["debugLogGeneratedTemplate", "templateVersion"] {
        fields.get(name);
    }
    fields.finish(problems);
    map
}
