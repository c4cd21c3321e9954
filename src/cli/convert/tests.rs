//! What is printed is read back and means the same.

use super::*;
use crate::config::dynamic::{self, Kind};
use crate::config::statics;

const FILE: &str = r#"
logLevel = "INFO"
defaultEntryPoints = ["http", "https"]

[entryPoints.http]
address = ":80"
  [entryPoints.http.redirect]
  entryPoint = "https"
[entryPoints.https]
address = ":443"
compress = true
  [entryPoints.https.tls]
  minVersion = "VersionTLS12"
    [[entryPoints.https.tls.certificates]]
    certFile = "a.crt"
    keyFile = "a.key"

[file]

[backends.b.servers.s]
url = "http://10.0.0.1"
[frontends."f.1"]
backend = "b"
  [frontends."f.1".headers.customResponseHeaders]
  X-Note = "it's: \"quoted\" # here"
  [frontends."f.1".routes.r]
  rule = "HostRegexp:{x:[a-z]+}.test;PathPrefixStrip:/a"
[frontends.gone]
backend = "none"
"#;

/// One file that may be read as the static configuration.
struct OneFile(String);

impl statics::Files for OneFile {
    fn read(&self, _: &Path) -> std::io::Result<String> {
        Ok(self.0.clone())
    }
}

fn args(form: &str, part: &str) -> ConvertArgs {
    ConvertArgs {
        files: Vec::new(),
        kv: None,
        format: Form::from_str(form, true).unwrap(),
        part: Some(Part::from_str(part, true).unwrap()),
        dynamic_file: "dynamic.yml".to_owned(),
        root_key: "traefik".to_owned(),
    }
}

fn printed(text: &str, form: &str, part: &str) -> (String, Parts) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("traefik.toml");
    std::fs::write(&file, text).unwrap();
    let args = args(form, part);
    let parts = convert(&file, &args).unwrap();
    (print(Path::new("traefik.toml"), &parts, &args), parts)
}

#[test]
fn yaml_and_toml_decode_to_the_converted_objects() {
    for (form, format) in [("yaml", Format::Yaml), ("toml", Format::Toml)] {
        let (text, parts) = printed(FILE, form, "dynamic");
        let read = dynamic::decode_text(format, &text, None)
            .unwrap_or_else(|error| panic!("{}\n{text}", error.report(form)));
        assert!(
            read.all_errors().is_empty(),
            "{text}\n{:?}",
            read.all_errors()
        );
        let meant = dynamic::decode(parts.dynamic.as_ref().unwrap(), None);
        assert_eq!(read.objects.len(), meant.objects.len(), "{text}");
        for (key, declared) in &meant.objects {
            assert_eq!(read.objects[key].result, declared.result, "{key} in {text}");
        }
        assert!(read.get(Kind::HttpRouter, "f.1").is_some());
        assert!(text.contains("frontends.gone.backend"), "{text}");
    }
}

#[test]
fn the_static_part_is_a_static_configuration_of_today() {
    for (form, name) in [("yaml", "ringway.yml"), ("toml", "ringway.toml")] {
        let (text, _) = printed(FILE, form, "static");
        let flag = format!("--configFile={name}");
        let loaded = statics::load(&[flag], &[], &OneFile(text.clone()))
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        let file = loaded.config.providers.file.as_ref().unwrap();
        assert_eq!(&*file.filename, "dynamic.yml");
        assert_eq!(loaded.config.entry_points.len(), 2, "{text}");
        let https = &loaded.config.entry_points["https"];
        assert!(https.http.tls.is_some() && https.as_default, "{text}");
        let names: Vec<_> = https.http.middlewares.iter().map(|name| &**name).collect();
        assert_eq!(names, ["entrypoint-https-compress@file"]);
    }
}

#[test]
fn keys_stand_below_the_root_key() {
    let (text, _) = printed(FILE, "kv", "dynamic");
    for line in [
        "traefik/http/routers/f.1/priority = 45",
        "traefik/http/routers/f.1/middlewares/0 = f.1-strip",
        "traefik/http/services/b/loadBalancer/servers/0/url = http://10.0.0.1",
        "traefik/http/middlewares/entrypoint-https-compress/compress = true",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
}

#[test]
fn long_lists_keep_their_order_as_keys() {
    let names = (0..11).map(|number| Node::scalar(format!("m{number}")));
    let mut tree = Node::map();
    let router = tree.field_mut("http").field_mut("routers").field_mut("r");
    router.insert("middlewares", Node::list(names.collect()));
    let mut text = String::new();
    Writer::new(Form::Kv, "t").write(&tree, &mut text);
    let written: Vec<_> = text.lines().collect();
    let mut sorted = written.clone();
    sorted.sort_unstable();
    assert_eq!(written, sorted);
    assert_eq!(written[2], "t/http/routers/r/middlewares/02 = m2");
}

#[test]
fn what_is_lost_is_told_and_what_is_wrong_is_refused() {
    let (_, parts) = printed("[docker]\n[frontends.f]\nbackend = 'b'\n", "yaml", "static");
    let lost: Vec<_> = parts.lost.iter().map(|lost| lost.path.as_str()).collect();
    assert_eq!(lost, ["docker", "frontends.f.backend"]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("traefik.toml");
    for (text, why) in [
        ("[http.routers.r]\n", "no Traefik 1 file"),
        ("[frontends.f]\n[http.routers.r]\n", "frontends"),
        ("a = = b", "traefik.toml:1"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = convert(&file, &args("yaml", "static")).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn listings_of_stores_are_read_in_every_form() {
    let lines = "/other/2/backends/b/servers/s/url\nhttp://h\n\
                 /other/2/backends/b/loadbalancer/stickiness\ntrue\n\
                 /other/2/backends/b/loadbalancer/stickiness/cookiename\nc\n";
    let tree = listing::tree(lines, "/other/2").unwrap();
    let expected = |tree: &Node<'_>| {
        let backend = tree.field("backends").unwrap().field("b").unwrap().clone();
        let url = backend.field("servers").unwrap().field("s").unwrap();
        assert_eq!(url.field("url").unwrap().as_scalar(), Some("http://h"));
    };
    expected(&tree);
    let json = r#"{"kvs":[{"key":"dC9hbGlhcw==","value":"L3UvMQ=="},{"key":"dS8xL2JhY2tlbmRzL2Ivc2VydmVycy9zL3VybA==","value":"aHR0cDovL2g="}]}"#;
    expected(&listing::tree(json, "/t").unwrap());
    let consul = r#"[{"key":"t/backends/b/servers/s/url","flags":0,"value":"aHR0cDovL2g="}]"#;
    expected(&listing::tree(consul, "t").unwrap());
    assert!(listing::tree(consul, "x").unwrap_err().contains("no key"));
    let certificate = "t/tls/0/certificate/certfile\n-----BEGIN\nx\n-----END\nt/backends/b/servers/s/url\nhttp://h\n";
    let tree = listing::tree(certificate, "t").unwrap();
    expected(&tree);
    let file = tree
        .field("tls")
        .and_then(|tls| tls.field("0")?.field("certificate")?.field("certfile"));
    assert_eq!(file.unwrap().as_scalar(), Some("-----BEGIN\nx\n-----END"));
}
