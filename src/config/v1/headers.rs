//! `headers`: the same options today, under the same names.

use super::build::Map;
use super::read::Fields;
use super::remark::Problems;
use crate::config::tree::Node;

const MAPS: [&str; 3] = [
    "customRequestHeaders",
    "customResponseHeaders",
    "sslProxyHeaders",
];
const LISTS: [&str; 2] = ["allowedHosts", "hostsProxyHeaders"];
const SWITCHES: [&str; 10] = [
    "sslRedirect",
    "sslTemporaryRedirect",
    "sslForceHost",
    "stsIncludeSubdomains",
    "stsPreload",
    "forceSTSHeader",
    "frameDeny",
    "contentTypeNosniff",
    "browserXssFilter",
    "isDevelopment",
];
const TEXTS: [&str; 6] = [
    "sslHost",
    "customFrameOptionsValue",
    "customBrowserXSSValue",
    "contentSecurityPolicy",
    "publicKey",
    "referrerPolicy",
];

/// The middleware; `None` if nothing is set.
pub(super) fn headers(
    fields: &mut Fields<'_, '_>,
    problems: &mut Problems,
) -> Option<Node<'static>> {
    let mut headers = fields.below("headers", problems)?;
    let mut map = Map::new();
    for name in MAPS {
        map = map.texts(name, headers.texts_below(name, problems));
    }
    for name in LISTS {
        map = map.list(name, headers.list(name, problems));
    }
    for name in SWITCHES {
        map = map.flag(name, headers.is_on(name, problems));
    }
    for name in TEXTS {
        map = map.some(name, headers.text(name, problems));
    }
    let seconds: Option<i64> = headers.value("stsSeconds", problems);
    map = map.some("stsSeconds", seconds.filter(|seconds| *seconds != 0));
    headers.finish(problems);
    (!map.is_empty()).then(|| Map::only("headers", map))
}
