//! What keys come to, by `table` and one by one.

mod table;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::table::{AS_TRAEFIK, OTHERWISE};
use super::*;
use crate::config::decode::ObjectError;
use crate::config::dynamic::{Kind, Object, ObjectKey};
use crate::config::tree::Node;

type Results = BTreeMap<String, Result<Object, Vec<ObjectError>>>;

/// Every object that keys declare.
fn decode_all(pairs: &[(&[u8], &[u8])]) -> Results {
    let mut pairs = pairs.to_vec();
    pairs.sort();
    let mut units: BTreeMap<(Kind, String), Vec<Pair<'_>>> = BTreeMap::new();
    for (key, value) in pairs {
        if let Place::Object(kind, name) = Place::of(key) {
            let name = folded(&object_name(name)).collect();
            let value = Content::Bytes(value);
            let unit = units.entry((kind, name)).or_default();
            unit.push(Pair { key, value });
        }
    }
    let results = units.iter().map(|((kind, _), pairs)| {
        let (name, result) = decode(pairs);
        (ObjectKey::new(*kind, name).to_string(), result)
    });
    results.collect()
}

/// Keys as the table writes them: one `key = value` on each line.
fn lines(text: &str) -> Results {
    let pairs = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let pairs = pairs.map(|line| {
        let (key, value) = line.split_once(" =").expect("key = value");
        let value = value.strip_prefix(' ').unwrap_or(value);
        (key.as_bytes(), value.as_bytes())
    });
    decode_all(&pairs.collect::<Vec<_>>())
}

/// Whether everything expected is there, with lists and texts as they are.
fn holds(actual: &Value, expected: &Value) -> bool {
    match (actual, expected) {
        (Value::Object(actual), Value::Object(expected)) => expected
            .iter()
            .all(|(key, value)| actual.get(key).is_some_and(|actual| holds(actual, value))),
        (Value::Array(actual), Value::Array(expected)) => {
            let is_same = |(actual, expected)| holds(actual, expected);
            actual.len() == expected.len() && actual.iter().zip(expected).all(is_same)
        }
        _ => actual == expected,
    }
}

fn assert_table(table: &[(&str, &str, &str)]) {
    for (name, keys, expected) in table {
        let results = lines(keys);
        let expected: BTreeMap<String, Value> = serde_json::from_str(expected).expect(name);
        assert!(results.keys().eq(expected.keys()), "{name}: {results:?}");
        for (key, expected) in expected {
            match (&results[&key], &expected) {
                // A text is how the error begins.
                (Err(errors), Value::String(error)) => {
                    let first = errors[0].to_string();
                    assert!(first.starts_with(error), "{name}: {first}");
                }
                (Ok(object), expected) => {
                    let actual = serde_json::to_value(object).unwrap();
                    assert!(holds(&actual, expected), "{name}: {actual}");
                    let has = |json: &Value, field| json.get(field).is_some();
                    assert_eq!(
                        has(&actual, "tls"),
                        has(expected, "tls"),
                        "{name}: {actual}"
                    );
                }
                (result, _) => panic!("{name}: {key} is {result:?}"),
            }
        }
    }
}

#[test]
fn keys_come_to_what_traefik_makes_of_them() {
    assert_table(AS_TRAEFIK);
}

#[test]
fn what_traefik_takes_silently_or_refuses_as_a_whole_rejects_its_object_alone() {
    assert_table(OTHERWISE);
}

#[test]
fn what_is_not_text_or_too_much_is_named() {
    let deep = [&b"http/routers/deep"[..], &b"/x".repeat(MAX_DEPTH)].concat();
    let results = decode_all(&[
        (b"http/routers/good/rule", b"Host(`a`)"),
        (b"http/routers/key/r\xffle", b"Host(`a`)"),
        (b"http/routers/value/rule", b"Host(`\xff`)"),
        (&deep, b"x"),
    ]);
    let errors: Vec<_> = results
        .values()
        .filter_map(|result| Some(result.as_ref().err()?[0].to_string()))
        .collect();
    let expected = [
        format!(
            "http.routers.deep{}: a key must not have more than 32 fragments",
            ".x".repeat(MAX_DEPTH)
        ),
        "http.routers.key.r\u{fffd}le: the key \"http/routers/key/r\\xffle\" is not UTF-8".into(),
        "http.routers.value.rule: the value is not UTF-8".into(),
    ];
    assert_eq!(errors, expected);
    assert!(results["http.routers.good"].is_ok());
    let pair = Pair {
        key: b"http/routers/r/rule",
        value: Content::TooLong(5_000_000),
    };
    let error = decode(&[pair]).1.unwrap_err()[0].to_string();
    let expected = "http.routers.r.rule: the value has 5000000 bytes, which is more than the limit";
    assert_eq!(error, expected);
}

#[test]
fn a_key_says_where_it_belongs() {
    let of = |key: &'static str| Place::of(key.as_bytes());
    assert_eq!(
        of("HTTP//Routers/R/rule"),
        Place::Object(Kind::HttpRouter, "R")
    );
    assert_eq!(
        of("tls/certificates/7/certfile"),
        Place::Object(Kind::TlsCertificate, "7")
    );
    assert_eq!(of("http/routers/7/"), Place::Object(Kind::HttpRouter, "7"));
    assert_eq!(
        of("frontends/f/backend"),
        Place::Former(Former::Frontend, "f")
    );
    assert_eq!(of("tls/n/entrypoints"), Place::Former(Former::Tls, "n"));
    for (key, why) in [
        ("", Nowhere::AboveObjects),
        ("http", Nowhere::AboveObjects),
        ("http/", Nowhere::AboveObjects),
        ("http/5", Nowhere::AboveObjects),
        ("http/routers", Nowhere::AboveObjects),
        ("http/routers/7", Nowhere::AboveObjects),
        ("/http/routers/r/rule", Nowhere::UnknownSection),
        ("httpx/routers/r/rule", Nowhere::UnknownSection),
        ("Frontends/f/backend", Nowhere::UnknownSection),
        ("http/routerz/r/rule", Nowhere::UnknownCollection),
        ("alias", Nowhere::Alias),
    ] {
        assert_eq!(of(key), Place::Nowhere(why), "{key}");
    }
    let problem = |key: &'static str| {
        let Place::Nowhere(why) = of(key) else {
            panic!("{key}");
        };
        why.problem(key.as_bytes(), true)
            .map(|error| error.to_string())
    };
    assert_eq!(problem("alias"), None);
    let expected = "http/routerz/r/rule: no such field, did you mean \"routers\"?";
    assert_eq!(problem("http/routerz/r/rule").unwrap(), expected);
    let expected = "htpp/routers/r/rule: unknown key, ignored, did you mean \"http\"?";
    assert_eq!(problem("htpp/routers/r/rule").unwrap(), expected);
    assert!(
        Nowhere::AboveObjects
            .problem(b"http/routers/", false)
            .is_none()
    );
}

#[test]
fn a_traefik_1_tree_has_its_keys_as_they_are_written() {
    let pair = |key: &'static str, value: &'static str| Pair {
        key: key.as_bytes(),
        value: Content::Bytes(value.as_bytes()),
    };
    let pairs = [
        pair("backends/B/servers/1/url", "http://a"),
        pair("backends/b/loadbalancer/stickiness", "true"),
        pair("backends/b/loadbalancer/stickiness/cookiename", "c"),
        pair("backends/b/maxconn", "false"),
        pair("backends/b/maxconn/amount", "7"),
        pair("frontends/", ""),
        pair("frontends/f/entrypoints/0", "http"),
    ];
    let (tree, errors) = former_tree(&pairs);
    assert!(errors.is_empty());
    let at = |path: &str| path.split('/').try_fold(&tree, |node, key| node.get(key));
    let text = |path| at(path).and_then(Node::as_scalar);
    assert_eq!(text("backends/B/servers/1/url"), Some("http://a"));
    assert_eq!(text("backends/b/maxconn"), Some("false"));
    assert_eq!(
        text("backends/b/loadbalancer/stickiness/cookiename"),
        Some("c")
    );
    assert_eq!(text("frontends/f/entrypoints/0"), Some("http"));
    assert!(at("backends/b/servers").is_none());
}

#[test]
fn a_list_of_ten_thousand_servers_is_no_matter() {
    let keys: Vec<_> = (0..10_000)
        .map(|n| format!("http/services/s/loadbalancer/servers/{n}/url"))
        .collect();
    let pairs: Vec<_> = keys
        .iter()
        .map(|key| (key.as_bytes(), &b"http://a"[..]))
        .collect();
    let results = decode_all(&pairs);
    let json = serde_json::to_value(results["http.services.s"].as_ref().unwrap()).unwrap();
    assert_eq!(
        json["loadBalancer"]["servers"].as_array().unwrap().len(),
        10_000
    );
    assert_eq!(
        json["loadBalancer"]["servers"][9_999],
        json!({"url": "http://a"})
    );
}
