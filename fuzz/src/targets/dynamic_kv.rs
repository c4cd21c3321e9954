//! Dynamic configurations in key-value stores: an image that follows changes against one that lists everything; and the
//! same objects from YAML, TOML and keys.
//!
//! An input is a list of choices.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringway::cli::convert::{Form, write::Writer};
use ringway::config::dynamic::{Object, ObjectKey, decode_text};
use ringway::config::format::Format;
use ringway::config::tree::Node;
use ringway::config::v1::Context;
use ringway::provider::kv::image::{Image, Limits};
use ringway::watcher::{Entry, Objects};

use super::choices::Choices;
use super::configuration::good;

type Store = BTreeMap<Vec<u8>, Vec<u8>>;

const SECTIONS: [&str; 12] = [
    "http/routers",
    "http/routers",
    "http/services",
    "http/middlewares",
    "HTTP/Routers",
    "tcp/routers",
    "udp/services",
    "tls/certificates",
    "tls/options",
    "frontends",
    "backends",
    "http/nothing",
];
const NAMES: [&str; 10] = ["r", "R", "s", "7", "10", "a-b", "a@b", "É", "é", ""];
const FIELDS: [&str; 32] = [
    "rule",
    "Rule",
    "service",
    "middlewares",
    "middlewares/0",
    "middlewares/1",
    "middlewares/10",
    "middlewares/",
    "tls",
    "tls/",
    "tls/options",
    "TLS/domains/0/main",
    "tls/domains/0/sans/1",
    "priority",
    "entrypoints",
    "",
    "/",
    "rul",
    "5",
    "loadbalancer/servers/0/url",
    "loadbalancer/servers/1/url",
    "loadBalancer/Servers/0/weight",
    "loadbalancer/sticky/cookie",
    "loadbalancer/healthcheck/path",
    "weighted/services/0/name",
    "stripprefix/prefixes/0",
    "addprefix/prefix",
    "certfile",
    "keyFile",
    "backend",
    "routes/r/rule",
    "servers/s/url",
];
const VALUES: [&[u8]; 14] = [
    b"",
    b"true",
    b"false",
    b"a,b",
    b" x ",
    b"1",
    b"Host(`a`)",
    b"Host:a",
    b"http://127.0.0.1:80",
    b"s",
    b"\xff",
    b"a.pem",
    b"-----BEGIN\nX",
    b"web",
];

/// Plays `data`.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    if choices.below(4) == 0 {
        everywhere(&mut choices);
    } else {
        follow(&mut choices);
    }
}

fn follow(choices: &mut Choices<'_>) {
    let mut store = Store::new();
    let mut image = image();
    let mut state = Objects::new();
    while !choices.is_empty() {
        let mut changes = BTreeMap::new();
        for _ in 0..=choices.below(5) {
            let (key, value) = change(choices, &store);
            changes.insert(key, value);
        }
        for (key, value) in &changes {
            match value {
                Some(value) => store.insert(key.clone(), value.clone()),
                None => store.remove(key),
            };
        }
        let changed = if choices.below(8) == 0 {
            list(&mut image, &store)
        } else {
            image
                .apply(changes.into_iter())
                .expect("far from the limits")
        };
        for (key, entry) in changed {
            match entry {
                Entry::Absent => assert!(state.remove(&key).is_some(), "{key} was not there"),
                entry => drop(state.insert(key, entry)),
            }
        }
        let mut whole = self::image();
        let expected = list(&mut whole, &store);
        assert_eq!(shown(&state), shown(&expected), "{}", described(&store));
        assert_eq!((image.len(), image.layout()), (whole.len(), whole.layout()));
        assert_eq!(image.problems_total(), whole.problems_total());
        assert_eq!(image.problems().count(), image.problems_total());
        let problems = |image: &Image| {
            image
                .problems()
                .map(|problem| problem.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(problems(&image), problems(&whole));
    }
}

fn image() -> Image {
    Image::new(Limits::default(), Arc::new(Context::default()))
}

fn list(image: &mut Image, store: &Store) -> Objects {
    let mut listing = image.begin();
    listing.page(store);
    listing.finish().expect("far from the limits")
}

fn change(choices: &mut Choices<'_>, store: &Store) -> (Vec<u8>, Option<Vec<u8>>) {
    if choices.below(4) == 0 && !store.is_empty() {
        let at = choices.below(store.len());
        let key = store.keys().nth(at).expect("it is below their number");
        return (key.clone(), None);
    }
    let parts = [
        choices.one(&SECTIONS),
        choices.one(&NAMES),
        choices.one(&FIELDS),
    ];
    let key = match choices.below(16) {
        0 => parts[..2].join("/"),
        1 => parts[0].to_owned(),
        2 => format!("/{}", parts.join("/")),
        _ => parts.join("/"),
    };
    (key.into_bytes(), Some(choices.one(&VALUES).to_vec()))
}

fn shown(objects: &Objects) -> BTreeMap<ObjectKey, String> {
    let shown = objects
        .iter()
        .map(|(key, entry)| (key.clone(), format!("{entry:?}")));
    shown.collect()
}

fn described(store: &Store) -> String {
    let pairs = store.iter();
    let pairs =
        pairs.map(|(key, value)| format!("{} = {}", key.escape_ascii(), value.escape_ascii()));
    pairs.collect::<Vec<_>>().join("\n")
}

/// Writes a configuration of good objects in every language; all say the same.
fn everywhere(choices: &mut Choices<'_>) {
    let tree = configuration(choices);
    if tree.as_map().is_none_or(<[_]>::is_empty) {
        return;
    }
    let written = |form| {
        let mut text = String::new();
        Writer::new(form, "traefik").write(&tree, &mut text);
        text
    };
    let (yaml, toml) = (written(Form::Yaml), written(Form::Toml));
    let decoded = |format, text: &str| {
        let decoded =
            decode_text(format, text, None).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert!(decoded.errors.is_empty(), "{:?}\n{text}", decoded.errors);
        good(&decoded)
    };
    let expected = decoded(Format::Yaml, &yaml);
    assert_eq!(decoded(Format::Toml, &toml), expected, "{yaml}\n{toml}");
    let keys = written(Form::Kv);
    let pairs = keys.lines().map(|line| {
        let (key, value) = line.split_once(" = ").expect("a key and a value");
        let key = key.strip_prefix("traefik/").expect("the root");
        (key.as_bytes().to_vec(), value.as_bytes().to_vec())
    });
    let mut image = image();
    let objects = list(&mut image, &pairs.collect());
    let of_store: BTreeMap<ObjectKey, Object> = objects
        .into_iter()
        .filter_map(|(key, entry)| match entry {
            Entry::Present(object) => Some((key, object)),
            _ => None,
        })
        .collect();
    assert_eq!(of_store, expected, "{yaml}\n{keys}");
}

/// Routers, services and middlewares that are good.
fn configuration(choices: &mut Choices<'_>) -> Node<'static> {
    const TEXTS: [&str; 8] = [
        "a",
        "b.test",
        "/x",
        "Host(`a`) && Path(`/b`)",
        "it's",
        "x: y # z",
        "10",
        "é \"q\" \\",
    ];
    let mut tree = Node::map();
    let text = |choices: &mut Choices<'_>| Node::scalar(choices.one(&TEXTS));
    let words = |choices: &mut Choices<'_>| {
        let words =
            (0..=choices.below(3)).map(|_| Node::scalar(choices.one(&["web", "a@file", "n-1"])));
        Node::list(words.collect())
    };
    for at in 0..choices.below(12) {
        let name = format!("{}{at}", choices.one(&["r", "my-", "X_", "a.b"]));
        let mut object = Node::map();
        let place = match choices.below(6) {
            0 | 1 => {
                object.insert("rule", text(choices));
                object.insert("service", text(choices));
                if choices.below(2) == 0 {
                    object.insert("entryPoints", words(choices));
                    object.insert("middlewares", words(choices));
                }
                if choices.below(2) == 0 {
                    object.insert("priority", Node::scalar(choices.below(100).to_string()));
                }
                match choices.below(4) {
                    0 => drop(object.insert("tls", Node::map())),
                    1 => drop(object.field_mut("tls").insert("options", text(choices))),
                    _ => {}
                }
                ("http", "routers")
            }
            2 => {
                let balancer = object.field_mut("loadBalancer");
                let server = |choices: &mut Choices<'_>| {
                    let mut server = Node::map();
                    server.insert(
                        "url",
                        Node::scalar(format!("http://10.0.0.{}", choices.below(9))),
                    );
                    if choices.below(2) == 0 {
                        server.insert("weight", Node::scalar(choices.below(9).to_string()));
                    }
                    server
                };
                balancer.insert(
                    "servers",
                    Node::list((0..=choices.below(12)).map(|_| server(choices)).collect()),
                );
                match choices.below(4) {
                    0 => drop(balancer.field_mut("sticky").insert("cookie", Node::map())),
                    1 => drop(
                        balancer
                            .field_mut("sticky")
                            .field_mut("cookie")
                            .insert("name", text(choices)),
                    ),
                    2 => drop(
                        balancer
                            .field_mut("healthCheck")
                            .insert("path", Node::scalar("/h")),
                    ),
                    _ => drop(balancer.insert("passHostHeader", Node::scalar("false"))),
                }
                ("http", "services")
            }
            3 => {
                let name = choices.one(&["prefixes", "regex"]);
                let kind = if name == "regex" {
                    "stripPrefixRegex"
                } else {
                    "stripPrefix"
                };
                object.field_mut(kind).insert(name, words(choices));
                ("http", "middlewares")
            }
            4 => {
                let headers = object
                    .field_mut("headers")
                    .field_mut("customRequestHeaders");
                for name in ["X-A", "X-B"].iter().take(1 + choices.below(2)) {
                    headers.insert(*name, text(choices));
                }
                ("http", "middlewares")
            }
            _ => {
                object.insert("rule", Node::scalar("HostSNI(`*`)"));
                object.insert("service", text(choices));
                ("tcp", "routers")
            }
        };
        tree.field_mut(place.0)
            .field_mut(place.1)
            .insert(name, object);
    }
    tree
}
