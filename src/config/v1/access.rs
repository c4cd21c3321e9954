//! Who may pass: authentication and lists of addresses, of frontends and of entry points.

use super::build::Map;
use super::read::Fields;
use super::remark::Problems;
use crate::config::tree::Node;

/// `auth`: basic, else digest, else forward, as Traefik 1 chose.
pub(super) fn auth(fields: &mut Fields<'_, '_>, problems: &mut Problems) -> Option<Node<'static>> {
    let mut auth = fields.below("auth", problems)?;
    let header_field = auth.text("headerField", problems);
    let basic = auth.below("basic", problems);
    let digest = auth.below("digest", problems);
    let forward = auth.below("forward", problems);
    if basic.is_some() && (digest.is_some() || forward.is_some())
        || digest.is_some() && forward.is_some()
    {
        let message = "has several kinds: as in Traefik 1, the first of basic, digest and forward is the only one in force";
        problems.note(&auth.path, auth.at, message);
    }
    let (path, at) = (auth.path.clone(), auth.at);
    auth.finish(problems);
    let node = if let Some(basic) = basic {
        Map::only("basicAuth", users(basic, header_field, problems))
    } else if let Some(digest) = digest {
        Map::only("digestAuth", users(digest, header_field, problems))
    } else if let Some(forward) = forward {
        Map::only("forwardAuth", forwarded(forward, problems))
    } else {
        // Traefik 1 could not build such a frontend.
        problems.error(path, at, "has none of basic, digest and forward");
        return None;
    };
    Some(node)
}

/// Users in a list or a file.
fn users(mut fields: Fields<'_, '_>, header_field: Option<String>, problems: &mut Problems) -> Map {
    let map = Map::new()
        .list("users", fields.list("users", problems))
        .some("usersFile", fields.text("usersFile", problems))
        .flag("removeHeader", fields.is_on("removeHeader", problems))
        .some("headerField", header_field);
    fields.finish(problems);
    map
}

fn forwarded(mut fields: Fields<'_, '_>, problems: &mut Problems) -> Map {
    let mut headers = fields.list("authResponseHeaders", problems);
    // Traefik 1 read this list in stores under a misspelt key.
    headers.extend(fields.list(".authresponseheaders", problems));
    let mut map = Map::new()
        .some("address", fields.text("address", problems))
        .flag(
            "trustForwardHeader",
            fields.is_on("trustForwardHeader", problems),
        )
        .list("authResponseHeaders", headers);
    if let Some(tls) = fields.below("tls", problems) {
        map = map.filled("tls", client_tls(tls, problems));
    }
    fields.finish(problems);
    map
}

/// TLS as a client: the same names as today.
pub(super) fn client_tls(mut fields: Fields<'_, '_>, problems: &mut Problems) -> Map {
    let map = Map::new()
        .some("ca", fields.text("ca", problems))
        .some("cert", fields.text("cert", problems))
        .some("key", fields.text("key", problems))
        .flag(
            "insecureSkipVerify",
            fields.is_on("insecureSkipVerify", problems),
        );
    if fields.is_on("caOptional", problems) {
        let message = "has no effect: it asked for nothing that a client does";
        problems.note(fields.path_of("caOptional"), fields.at, message);
    }
    fields.finish(problems);
    map
}

/// `whiteList`, or the older `whitelistSourceRange`.
pub(super) fn white_list(
    fields: &mut Fields<'_, '_>,
    problems: &mut Problems,
) -> Option<Node<'static>> {
    let former = fields.list("whitelistSourceRange", problems);
    let mut map = Map::new();
    let mut ranges = Vec::new();
    if let Some(mut list) = fields.below("whiteList", problems) {
        ranges = list.list("sourceRange", problems);
        if list.is_on("useXForwardedFor", problems) && !ranges.is_empty() {
            let message = "becomes ipStrategy.depth 1: the last address of X-Forwarded-For decides. Traefik 1 let pass \
                           whoever had any allowed address there, or connected from one";
            problems.note(list.path_of("useXForwardedFor"), list.at, message);
            map = map.node("ipStrategy", Map::new().text("depth", 1).done());
        }
        list.finish(problems);
    }
    if ranges.is_empty() {
        ranges = former;
    }
    if ranges.is_empty() {
        return None;
    }
    Some(Map::only("ipAllowList", map.list("sourceRange", ranges)))
}
