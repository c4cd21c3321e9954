//! The internal provider: the objects that the static configuration stands for.
//!
//! | static configuration | objects of `@internal` |
//! |---|---|
//! | `entryPoints.<ep>.http.{middlewares,tls,encodedCharacters}`, `observability` | model `<ep>` |
//! | `entryPoints.<ep>.http.redirections` | router `<ep>-to-<to>`, middleware `redirect-<ep>-to-<to>` |
//! | `ping` | router `ping` |
//! | `providers.rest.insecure` | router `rest` |
//! | `api.insecure` | routers `api`, `dashboard`, `debug`; middlewares `dashboard_redirect`, `dashboard_stripprefix` |
//!
//! Names, rules and priorities are Traefik's. The services that these routers name (`api@internal`,
//! `ping@internal`, `noop@internal` …) are no objects: the program itself offers them
//! ([`services`]). The update never changes while the process runs.

use std::sync::Arc;

use crate::config::dynamic::http::{EncodedCharacters, HttpModel, HttpRouter, RouterObservability};
use crate::config::dynamic::middleware::{
    HttpMiddleware, RedirectRegex, RedirectScheme, StripPrefix,
};
use crate::config::dynamic::{Kind, Object, ObjectKey};
use crate::config::statics::{Api, EntryPoint, RedirectToEntryPoint, StaticConfig};
use crate::service::Internal;
use crate::watcher::{Entry, Objects, Payload, Position, Update};

/// The provider's name, as objects' names carry it.
pub const NAME: &str = "internal";

/// The entry point of `api.insecure` and `providers.rest.insecure`.
const API_ENTRY_POINT: &str = "traefik";

/// Reserved priorities, above every user's (Traefik: same).
const PING_PRIORITY: i64 = i64::MAX;
const REST_PRIORITY: i64 = i64::MAX;
const API_PRIORITY: i64 = i64::MAX - 1;
const DASHBOARD_PRIORITY: i64 = i64::MAX - 2;

/// Everything that the static configuration declares, as the provider's only update.
pub fn update(config: &StaticConfig) -> Update {
    update_bound(config, &|_| None)
}

/// The same where entry points are bound already: `port` tells on which port one listens, which matters to
/// redirections to one whose port the kernel chose.
pub fn update_bound(config: &StaticConfig, port: &dyn Fn(&str) -> Option<u16>) -> Update {
    let mut objects = Objects::new();
    for (name, entry_point) in &config.entry_points {
        if let Some(model) = model(entry_point) {
            insert(&mut objects, Kind::HttpModel, name, model);
        }
        let redirections = entry_point.http.redirections.as_ref();
        if let Some(redirect) =
            redirections.and_then(|redirections| redirections.entry_point.as_deref())
        {
            insert_redirection(&mut objects, config, name, redirect, port);
        }
    }
    if let Some(ping) = &config.ping
        && !ping.manual_routing
    {
        let router = router(
            &ping.entry_point,
            "PathPrefix(`/ping`)",
            "ping@internal",
            PING_PRIORITY,
        );
        insert(&mut objects, Kind::HttpRouter, "ping", router);
    }
    if let Some(rest) = &config.providers.rest
        && rest.insecure
    {
        let router = router(
            API_ENTRY_POINT,
            "PathPrefix(`/api/providers`)",
            "rest@internal",
            REST_PRIORITY,
        );
        insert(&mut objects, Kind::HttpRouter, "rest", router);
    }
    if let Some(api) = &config.api
        && api.insecure
    {
        insert_api(&mut objects, api);
    }
    Update {
        provider: NAME.into(),
        position: Position {
            number: 1,
            text: "static configuration".into(),
        },
        payload: Payload::Snapshot(objects),
    }
}

/// The services that the program itself offers, by name without `@internal`, for the plan.
pub fn services(config: &StaticConfig) -> Vec<(Arc<str>, Internal)> {
    let mut services: Vec<(Arc<str>, Internal)> = vec![("noop".into(), Internal::Noop)];
    if config.ping.is_some() {
        services.push(("ping".into(), Internal::Ping));
    }
    if config.providers.rest.is_some() {
        services.push(("rest".into(), Internal::Rest));
    }
    if let Some(api) = &config.api {
        services.push(("api".into(), Internal::Api));
        if api.dashboard {
            services.push(("dashboard".into(), Internal::Dashboard));
        }
    }
    services
}

fn insert(objects: &mut Objects, kind: Kind, name: &str, object: impl Into<Object>) {
    objects.insert(ObjectKey::new(kind, name), Entry::Present(object.into()));
}

fn router(
    entry_point: &str,
    rule: impl Into<Box<str>>,
    service: &str,
    priority: i64,
) -> HttpRouter {
    HttpRouter {
        entry_points: [entry_point.into()].into(),
        rule: rule.into(),
        // These rules are v3 whatever the configured default.
        rule_syntax: "default".into(),
        service: service.into(),
        priority,
        ..HttpRouter::default()
    }
}

/// What an entry point adds to its routers, if anything (Traefik: no model where there is nothing to add,
/// and then no router is split by entry points).
fn model(entry_point: &EntryPoint) -> Option<HttpModel> {
    let http = &entry_point.http;
    let observability = entry_point.observability.as_deref();
    if http.middlewares.is_empty()
        && http.tls.is_none()
        && http.encoded_characters.is_none()
        && observability.is_none()
    {
        return None;
    }
    let denied = http.encoded_characters.as_deref().map(|allowed| {
        Box::new(EncodedCharacters {
            allow_encoded_slash: allowed.allow_encoded_slash,
            allow_encoded_back_slash: allowed.allow_encoded_back_slash,
            allow_encoded_null_character: allowed.allow_encoded_null_character,
            allow_encoded_semicolon: allowed.allow_encoded_semicolon,
            allow_encoded_percent: allowed.allow_encoded_percent,
            allow_encoded_question_mark: allowed.allow_encoded_question_mark,
            allow_encoded_hash: allowed.allow_encoded_hash,
        })
    });
    let observability =
        observability.map_or_else(RouterObservability::default, |own| RouterObservability {
            access_logs: Some(own.access_logs),
            metrics: Some(own.metrics),
            tracing: Some(own.tracing),
            trace_verbosity: own.trace_verbosity,
        });
    Some(HttpModel {
        middlewares: http.middlewares.clone(),
        tls: http.tls.clone(),
        observability,
        denied_encoded_path_characters: denied,
        ..HttpModel::default()
    })
}

fn insert_redirection(
    objects: &mut Objects,
    config: &StaticConfig,
    entry_point: &str,
    redirect: &RedirectToEntryPoint,
    port: &dyn Fn(&str) -> Option<u16>,
) {
    // The static configuration was checked: `to` is an entry point or a port.
    let port = match redirect.to.strip_prefix(':') {
        Some(port) => port.to_owned(),
        None => match config.entry_points.get(&redirect.to) {
            Some(target) => port(&redirect.to)
                .unwrap_or_else(|| target.address.port())
                .to_string(),
            None => return,
        },
    };
    let name = normalize(&format!("{entry_point}-to-{}", redirect.to));
    let middleware = format!("redirect-{name}");
    let mut router = router(
        entry_point,
        "HostRegexp(`^.+$`)",
        "noop@internal",
        redirect.priority,
    );
    router.middlewares = [middleware.as_str().into()].into();
    insert(objects, Kind::HttpRouter, &name, router);
    let redirect = RedirectScheme {
        scheme: redirect.scheme.clone(),
        port: port.into(),
        permanent: redirect.permanent,
    };
    insert(
        objects,
        Kind::HttpMiddleware,
        &middleware,
        HttpMiddleware::RedirectScheme(Box::new(redirect)),
    );
}

fn insert_api(objects: &mut Objects, api: &Api) {
    let base = api.base_path.trim_end_matches('/');
    let rule = |path: &str| format!("PathPrefix(`{base}{path}`)");
    let route = |path: &str, service: &str, priority| {
        router(API_ENTRY_POINT, rule(path), service, priority)
    };
    insert(
        objects,
        Kind::HttpRouter,
        "api",
        route("/api", "api@internal", API_PRIORITY),
    );
    if api.debug {
        insert(
            objects,
            Kind::HttpRouter,
            "debug",
            route("/debug", "api@internal", API_PRIORITY),
        );
    }
    if !api.dashboard {
        return;
    }
    let mut dashboard = route("/", "dashboard@internal", DASHBOARD_PRIORITY);
    dashboard.middlewares = [
        "dashboard_redirect@internal".into(),
        "dashboard_stripprefix@internal".into(),
    ]
    .into();
    insert(objects, Kind::HttpRouter, "dashboard", dashboard);
    let escaped = base.replace('.', r"\.");
    let redirect = RedirectRegex {
        regex: format!(r"^(http:\/\/(\[[\w:.]+\]|[\w\._-]+)(:\d+)?){escaped}\/$").into(),
        replacement: format!("${{1}}{base}/dashboard/").into(),
        permanent: true,
    };
    insert(
        objects,
        Kind::HttpMiddleware,
        "dashboard_redirect",
        HttpMiddleware::RedirectRegex(Box::new(redirect)),
    );
    let strip = StripPrefix {
        prefixes: [
            format!("{base}/dashboard/").into(),
            format!("{base}/dashboard").into(),
        ]
        .into(),
        ..StripPrefix::default()
    };
    insert(
        objects,
        Kind::HttpMiddleware,
        "dashboard_stripprefix",
        HttpMiddleware::StripPrefix(Box::new(strip)),
    );
}

/// Runs of what is neither letter nor digit become one dash (Traefik: `provider.Normalize`).
fn normalize(name: &str) -> String {
    let words: Vec<&str> = name
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    words.join("-")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::statics::{Disk, load};

    fn config(flags: &[&str]) -> StaticConfig {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        load(&flags, &[], &Disk).unwrap().config
    }

    fn objects(flags: &[&str]) -> Value {
        let Payload::Snapshot(objects) = update(&config(flags)).payload else {
            panic!("no snapshot")
        };
        let object = |(key, entry): (ObjectKey, Entry)| match entry {
            Entry::Present(object) => (key.to_string(), serde_json::to_value(object).unwrap()),
            _ => panic!("{key} is not present"),
        };
        Value::Object(objects.into_iter().map(object).collect())
    }

    #[test]
    fn a_plain_entry_point_stands_for_nothing() {
        assert_eq!(objects(&["--entryPoints.web.address=:80"]), json!({}));
    }

    #[test]
    fn a_redirection_is_a_router_to_noop_behind_a_redirect() {
        let objects = objects(&[
            "--entryPoints.web.address=:80",
            "--entryPoints.web.http.redirections.entryPoint.to=websecure",
            "--entryPoints.websecure.address=:8443",
            "--entryPoints.other.address=:81",
            "--entryPoints.other.http.redirections.entryPoint.to=:443",
            "--entryPoints.other.http.redirections.entryPoint.permanent=false",
            "--entryPoints.other.http.redirections.entryPoint.priority=7",
        ]);
        assert_eq!(
            objects["http.routers.web-to-websecure"],
            json!({
                "entryPoints": ["web"],
                "middlewares": ["redirect-web-to-websecure"],
                "service": "noop@internal",
                "rule": "HostRegexp(`^.+$`)",
                "ruleSyntax": "default",
                "priority": i64::MAX - 1,
            })
        );
        assert_eq!(
            objects["http.middlewares.redirect-web-to-websecure"],
            json!({"redirectScheme": {"scheme": "https", "port": "8443", "permanent": true}})
        );
        assert_eq!(objects["http.routers.other-to-443"]["priority"], 7);
        assert_eq!(
            objects["http.middlewares.redirect-other-to-443"],
            json!({"redirectScheme": {"scheme": "https", "port": "443"}})
        );
    }

    #[test]
    fn an_entry_point_that_adds_something_has_a_model() {
        let objects = objects(&[
            "--entryPoints.web.address=:80",
            "--entryPoints.web.http.middlewares=auth@file,gzip@file",
            "--entryPoints.quiet.address=:81",
            "--entryPoints.quiet.observability.accessLogs=false",
            "--entryPoints.strict.address=:82",
            "--entryPoints.strict.http.encodedCharacters.allowEncodedSlash=false",
        ]);
        assert_eq!(
            objects["http.models.web"]["middlewares"],
            json!(["auth@file", "gzip@file"])
        );
        assert_eq!(
            objects["http.models.quiet"]["observability"]["accessLogs"],
            false
        );
        assert_eq!(
            objects["http.models.quiet"]["observability"]["metrics"],
            true
        );
        let config = config(&[
            "--entryPoints.strict.address=:82",
            "--entryPoints.strict.http.encodedCharacters.allowEncodedSlash=false",
        ]);
        let denied = model(&config.entry_points["strict"])
            .unwrap()
            .denied_encoded_path_characters
            .unwrap();
        assert!(!denied.allow_encoded_slash && denied.allow_encoded_hash);
    }

    #[test]
    fn ping_is_a_router_unless_it_is_routed_by_hand() {
        let objects = objects(&["--ping=true"]);
        assert_eq!(objects["http.routers.ping"]["rule"], "PathPrefix(`/ping`)");
        assert_eq!(
            objects["http.routers.ping"]["entryPoints"],
            json!(["traefik"])
        );
        assert_eq!(objects["http.routers.ping"]["priority"], i64::MAX);
        let manual = config(&["--ping=true", "--ping.manualRouting=true"]);
        assert!(
            matches!(update(&manual).payload, Payload::Snapshot(objects) if objects.is_empty())
        );
        assert!(services(&manual).contains(&("ping".into(), Internal::Ping)));
    }

    #[test]
    fn the_insecure_api_has_its_routers_below_its_base_path() {
        let plain = objects(&["--api.insecure=true"]);
        assert_eq!(plain["http.routers.api"]["rule"], "PathPrefix(`/api`)");
        assert_eq!(plain["http.routers.api"]["priority"], i64::MAX - 1);
        assert_eq!(plain["http.routers.dashboard"]["rule"], "PathPrefix(`/`)");
        assert_eq!(plain["http.routers.dashboard"]["priority"], i64::MAX - 2);
        assert!(plain.get("http.routers.debug").is_none());
        let based = objects(&[
            "--api.insecure=true",
            "--api.basePath=/base/",
            "--api.debug=true",
        ]);
        assert_eq!(based["http.routers.api"]["rule"], "PathPrefix(`/base/api`)");
        assert_eq!(
            based["http.routers.debug"]["rule"],
            "PathPrefix(`/base/debug`)"
        );
        assert_eq!(
            based["http.middlewares.dashboard_stripprefix"]["stripPrefix"]["prefixes"],
            json!(["/base/dashboard/", "/base/dashboard"])
        );
        let without = objects(&["--api.insecure=true", "--api.dashboard=false"]);
        assert!(without.get("http.routers.dashboard").is_none());
    }

    #[test]
    fn an_insecure_rest_has_its_router_above_the_apis() {
        let objects = objects(&["--providers.rest.insecure=true", "--api.insecure=true"]);
        let router = &objects["http.routers.rest"];
        assert_eq!(router["rule"], "PathPrefix(`/api/providers`)");
        assert_eq!(router["service"], "rest@internal");
        assert_eq!(router["priority"], i64::MAX);
        assert_eq!(router["entryPoints"], json!(["traefik"]));
    }

    #[test]
    fn services_follow_what_is_enabled() {
        let names = |flags: &[&str]| {
            services(&config(flags))
                .into_iter()
                .map(|(name, _)| name.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), ["noop"]);
        assert_eq!(
            names(&["--api=true", "--ping=true"]),
            ["noop", "ping", "api", "dashboard"]
        );
        assert_eq!(names(&["--api.dashboard=false"]), ["noop", "api"]);
        assert_eq!(names(&["--providers.rest=true"]), ["noop", "rest"]);
    }
}
