//! Traefik 1's static files become today's, read by today's reader.

use std::path::Path;

use super::*;
use crate::config::format::{Format, parse};
use crate::config::statics::{Files, Loaded, load};
use crate::config::v1::{Origin, Weight, convert, convert_tree};

struct OneFile(&'static str);

impl Files for OneFile {
    fn read(&self, _: &Path) -> std::io::Result<String> {
        Ok(self.0.to_owned())
    }
}

fn loaded(text: &'static str) -> Loaded {
    let flag = "--configFile=/etc/traefik/traefik.toml".to_owned();
    load(&[flag], &[], &OneFile(text)).unwrap_or_else(|error| panic!("{error}"))
}

fn converted(text: &str, is_written: bool) -> ConvertedStatic {
    let dynamic = DynamicPart {
        file: "dynamic.yml",
        is_written,
    };
    convert_static(&parse(Format::Toml, text).unwrap().tree, dynamic)
}

fn lost(converted: &ConvertedStatic) -> Vec<&str> {
    let remarks = converted.remarks.iter();
    remarks
        .filter(|remark| remark.weight == Weight::Lost)
        .map(|remark| remark.what.path.as_str())
        .collect()
}

/// The text at a path of keys.
fn at<'t>(tree: &'t Node<'_>, path: &str) -> Option<&'t str> {
    let mut node = tree;
    for key in path.split('.') {
        node = match key.parse::<usize>() {
            Ok(index) => node.as_list()?.get(index)?,
            Err(_) => node.field(key)?,
        };
    }
    node.as_scalar()
}

const INLINE: &str = r#"
defaultEntryPoints = ["http", "https"]
logLevel = "WARN"
graceTimeOut = "3s"
maxIdleConnsPerHost = 7

[entryPoints]
  [entryPoints.http]
  address = ":8000"
    [entryPoints.http.redirect]
    entryPoint = "https"
    permanent = true
  [entryPoints.https]
  address = ":8443"
    [entryPoints.https.tls]
      [[entryPoints.https.tls.certificates]]
      certFile = "a.crt"
      keyFile = "a.key"
    [entryPoints.https.auth.basic]
    users = ["a:$apr1$x$y"]
  [entryPoints.other]
  address = ":9000"

[web]
address = ":8081"

[accessLog]
format = "json"

[respondingTimeouts]
idleTimeout = "10s"

[forwardingTimeouts]
dialTimeout = "5s"

[retry]
attempts = 3

[file]
watch = false

[backends.b.servers.s]
url = "http://10.0.0.1"
[frontends.f]
backend = "b"
entryPoints = ["http"]
  [frontends.f.redirect]
  entryPoint = "https"
  [frontends.f.routes.r]
  rule = "Host:a.test"
"#;

#[test]
fn a_whole_file_is_static_and_dynamic_at_once() {
    let loaded = loaded(INLINE);
    let config = &loaded.config;
    let told: Vec<_> = loaded
        .warnings
        .iter()
        .map(|warning| &*warning.message)
        .collect();
    assert!(told[0].contains("Traefik 1 file"), "{told:?}");
    assert_eq!(config.log.level.as_str(), "WARN");
    let file = config.providers.file.as_ref().unwrap();
    assert_eq!(&*file.filename, "/etc/traefik/traefik.toml");
    assert!(!file.watch);
    let points = &config.entry_points;
    assert!(points["http"].as_default && points["https"].as_default);
    assert!(!points["other"].as_default);
    assert_eq!(points["traefik"].address.port(), 8081);
    assert!(config.api.as_ref().unwrap().insecure && config.ping.is_some());
    assert!(points["http"].forwarded_headers.insecure);
    let transport = &points["http"].transport;
    assert_eq!(
        transport.life_cycle.grace_time_out,
        GoDuration::from_secs(3)
    );
    let timeouts = &transport.responding_timeouts;
    assert_eq!(timeouts.read_timeout, GoDuration::from_secs(0));
    assert_eq!(timeouts.idle_timeout, GoDuration::from_secs(10));
    let redirect = points["http"].http.redirections.as_ref().unwrap();
    let redirect = &redirect.entry_point.as_ref().unwrap();
    assert_eq!((&*redirect.to, &*redirect.scheme), ("https", "https"));
    assert!(redirect.permanent && points["https"].http.tls.is_some());
    assert_eq!(
        &*points["https"].http.middlewares[0],
        "entrypoint-https-auth@file"
    );
    assert_eq!(config.servers_transport.max_idle_conns_per_host, 7);

    let decoded = convert_tree(
        &parse(Format::Toml, INLINE).unwrap().tree,
        Origin::Store,
        &Context::default(),
    );
    assert!(
        decoded.all_errors().is_empty(),
        "{:?}",
        decoded.all_errors()
    );
    let mut names: Vec<_> = decoded.objects.keys().map(ToString::to_string).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "http.middlewares.entrypoint-https-auth",
            "http.middlewares.f-redirect",
            "http.middlewares.f-retry",
            "http.routers.f",
            "http.services.b",
            "tls.certificates.a.crt",
            "tls.stores.default",
        ]
    );
    assert!(decoded.warnings.is_empty(), "{:?}", decoded.warnings);
}

#[test]
fn a_redirect_leads_to_the_port_of_its_entry_point() {
    let tree = parse(Format::Toml, INLINE).unwrap().tree;
    let converted = convert(&tree, Origin::Store, &Context::default()).tree;
    let redirect = "http.middlewares.f-redirect.redirectScheme";
    assert_eq!(at(&converted, &format!("{redirect}.scheme")), Some("https"));
    assert_eq!(at(&converted, &format!("{redirect}.port")), Some("8443"));
}

/// A tree of a store whose frontends need to know what runs them.
fn frontend_of_a_store() -> Node<'static> {
    let text = "[backends.b.servers.s]\nurl = 'http://10.0.0.1'\n[backends.b.healthCheck]\npath = '/h'\n\
                [frontends.f]\nbackend = 'b'\npassTLSCert = true\nentryPoints = ['https']\n\
                [frontends.f.redirect]\nentryPoint = 'https'\n[frontends.f.routes.r]\nrule = 'Path:/x'\n";
    parse(Format::Toml, text).unwrap().tree.into_owned()
}

#[test]
fn frontends_of_stores_know_the_static_file_that_they_run_with() {
    let text = "[entryPoints.https]\naddress = ':8443'\n[entryPoints.https.tls]\n\
                [[entryPoints.https.tls.certificates]]\ncertFile = 'a.crt'\nkeyFile = 'a.key'\n\
                [retry]\nattempts = 3\n[healthcheck]\ninterval = '7s'\n";
    let loaded = loaded(&*Box::leak(
        format!("keepTrailingSlash = true\n{text}").into_boxed_str(),
    ));
    let told: Vec<_> = loaded.warnings.iter().map(|told| &*told.path).collect();
    assert!(!told.contains(&"retry"), "{told:?}");
    let made = convert(&frontend_of_a_store(), Origin::Store, &loaded.config.former);
    assert_eq!(made.rejected, []);
    let text = |path: &str| at(&made.tree, path);
    let redirect = "http.middlewares.f-redirect.redirectScheme";
    assert_eq!(text(&format!("{redirect}.port")), Some("8443"));
    assert_eq!(text("http.middlewares.f-retry.retry.attempts"), Some("3"));
    let transport = "http.serversTransports.f-pass-tls-cert.certificates.0.certFile";
    assert_eq!(text(transport), Some("a.crt"));
    let interval = "http.services.b-f.loadBalancer.healthCheck.interval";
    assert_eq!(text(interval), Some("7s"));
    assert_eq!(text("http.routers.f-slash.rule"), None);
    // What a tree says itself comes first.
    let tree = parse(Format::Toml, INLINE).unwrap().tree;
    let known = Context::of_entry_points([("https", 1, false)].into_iter());
    let made = convert(&tree, Origin::Store, &known);
    assert_eq!(at(&made.tree, &format!("{redirect}.port")), Some("8443"));
}

#[test]
fn frontends_of_stores_know_todays_entry_points() {
    let loaded = loaded(
        "[entryPoints.edge]\naddress = ':444'\n[entryPoints.edge.http.tls]\n[entryPoints.web]\naddress = ':80'\n",
    );
    for (name, scheme, port) in [
        ("edge", Some("https"), Some("444")),
        ("web", Some("http"), None),
    ] {
        let mut tree = frontend_of_a_store();
        let frontend = tree.field_mut("frontends").field_mut("f");
        let redirect = frontend.field_mut("redirect");
        *redirect.field_mut("entryPoint") = Node::scalar(name);
        let made = convert(&tree, Origin::Store, &loaded.config.former);
        let redirect = "http.middlewares.f-redirect.redirectScheme";
        assert_eq!(at(&made.tree, &format!("{redirect}.scheme")), scheme);
        assert_eq!(at(&made.tree, &format!("{redirect}.port")), port);
    }
    // Today's may have other names: the usual ones are still understood.
    let made = convert(&frontend_of_a_store(), Origin::Store, &loaded.config.former);
    let redirect = "http.middlewares.f-redirect.redirectScheme";
    assert_eq!(at(&made.tree, &format!("{redirect}.scheme")), Some("https"));
    assert_eq!(made.rejected, []);
}

#[test]
fn stores_have_todays_names() {
    let made = converted(
        "[etcd]\nendpoint = '10.0.0.1:2379,10.0.0.2:2379'\nprefix = '/traefik/eu'\nwatch = true\nuseAPIV3 = true\n\
         username = 'u'\npassword = 'p'\naliasKey = '/traefik/eu/alias'\n\
         [etcd.tls]\nca = 'ca.pem'\n[zookeeper]\n[docker]\n",
        false,
    );
    assert!(made.errors.is_empty());
    for (path, text) in [
        ("providers.etcd.endpoints.1", "10.0.0.2:2379"),
        ("providers.etcd.rootKey", "traefik/eu"),
        ("providers.etcd.username", "u"),
        ("providers.etcd.tls.ca", "ca.pem"),
        ("providers.etcd.aliasKey", "/traefik/eu/alias"),
        ("providers.zooKeeper.rootKey", "traefik"),
        ("entryPoints.http.address", ":80"),
    ] {
        assert_eq!(at(&made.tree, path), Some(text), "{path}");
    }
    assert_eq!(lost(&made), ["docker"]);
    let refused = converted("[etcd]\nuseAPIV3 = false\n", false);
    assert!(refused.errors[0].message.contains("v2 API"));
    let told = converted("[etcd]\n", false);
    let is_told = |remark: &Remark| remark.what.message.contains("useAPIV3 = true");
    assert!(told.remarks.iter().any(is_told));
}

#[test]
fn what_needs_a_dynamic_part_is_lost_without_one() {
    let text = "[entryPoints.http]\naddress = ':80'\ncompress = true\n[web]\n[web.auth.basic]\nusers = ['a:b']\n\
                [retry]\n[acme]\nemail = 'x'\n";
    let without = converted(text, false);
    assert_eq!(
        lost(&without),
        ["entryPoints.http.compress", "web.auth", "acme"]
    );
    // Nothing that was guarded is served openly.
    assert!(without.tree.field("api").is_none());
    let with = converted(text, true);
    assert_eq!(lost(&with), ["acme"]);
    assert_eq!(at(&with.tree, "api.insecure"), None);
    assert_eq!(
        at(&with.tree, "providers.file.filename"),
        Some("dynamic.yml")
    );
    let tree = parse(Format::Toml, text).unwrap().tree;
    let objects = convert(&tree, Origin::Store, &Context::default()).tree;
    assert_eq!(
        at(&objects, "http.routers.traefik-api.middlewares.0"),
        Some("web-auth")
    );
    let middleware = "http.middlewares.entrypoint-http-compress";
    assert!(at(&objects, middleware).is_none() && objects.field("http").is_some());
}

#[test]
fn sections_of_both_are_refused() {
    let flag = "--configFile=traefik.toml".to_owned();
    let text = "logLevel = 'INFO'\n[providers.file]\nfilename = 'x.yml'\n";
    let error = load(&[flag], &[], &OneFile(text)).unwrap_err().to_string();
    assert!(
        error.contains("logLevel") && error.contains("providers"),
        "{error}"
    );
}
