//! What keys come to. The first table is what Traefik 3.7.15 made of them (its `/api/rawdata`, fed from etcd, without what
//! it adds itself).

use std::collections::BTreeMap;

use serde_json::{Value, json};

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

/// Name, keys, objects.
const OTHERWISE: &[(&str, &str, &str)] = &[
    (
        "a text where a list of structures is expected (Traefik: an empty list)",
        "http/services/s/loadbalancer/servers = x",
        r#"{"http.services.s": "http.services.s.loadbalancer.servers: is \"x\" where a list"}"#,
    ),
    (
        "an empty folder where a list is expected",
        "http/services/s/loadbalancer/servers/ =",
        r#"{"http.services.s": {"loadBalancer": {}}}"#,
    ),
    (
        "a text in place of an object (Traefik: an empty router)",
        "http/routers/r = x",
        r#"{"http.routers.r": "http.routers.r: is \"x\" where a map"}"#,
    ),
    (
        "a name below a list of texts (Traefik: ignored)",
        "http/routers/r/middlewares/a = x",
        r#"{"http.routers.r": "http.routers.r.middlewares.a: is below a list of texts"}"#,
    ),
    (
        "a middleware that is switched off (Traefik: one without a type)",
        "http/middlewares/m/compress = false",
        r#"{"http.middlewares.m": "http.middlewares.m"}"#,
    ),
    (
        "a name with a provider's",
        "http/routers/a@b/rule = x",
        r#"{"http.routers.a@b": "http.routers.a@b: a declared name must not contain"}"#,
    ),
    (
        "an unknown field (Traefik: nothing of the tree)",
        "http/routers/r/rul = x
         http/routers/q/rule = x",
        r#"{"http.routers.r": "http.routers.r.rul: no such field", "http.routers.q": {}}"#,
    ),
    (
        "a bad number (Traefik: nothing of the tree)",
        "http/routers/r/Priority = x
         http/services/s/loadbalancer/servers/7/weight = y",
        r#"{"http.routers.r": "http.routers.r.Priority: is \"x\"",
            "http.services.s": "http.services.s.loadbalancer.servers[7].weight: is \"y\""}"#,
    ),
    (
        "keys below a text",
        "http/routers/r/rule = x
         http/routers/r/rule/x = y",
        r#"{"http.routers.r": "http.routers.r.rule: is a key with others below it"}"#,
    ),
    (
        "a numeric name at the end of a map (Traefik: nothing of the tree)",
        "http/middlewares/h/headers/customrequestheaders/1 = a",
        r#"{"http.middlewares.h": "http.middlewares.h.headers.customrequestheaders: is \"a\""}"#,
    ),
    (
        "a folder's marker beside what is in the folder (Traefik: it empties the list)",
        "http/routers/r/middlewares/ =
         http/routers/r/middlewares/0 = a
         http/routers/r/middlewares/1 = b",
        r#"{"http.routers.r": {"middlewares": ["a", "b"]}}"#,
    ),
    (
        "certificates are named by their files",
        "tls/certificates/0/certfile = a.pem
         tls/certificates/7/CertFile = b.pem
         tls/certificates/7/stores/0 = default",
        r#"{"tls.certificates.a.pem": {"certFile": "a.pem"},
            "tls.certificates.b.pem": {"certFile": "b.pem", "stores": ["default"]}}"#,
    ),
];

/// Name, keys, objects.
const AS_TRAEFIK: &[(&str, &str, &str)] = &[
    (
        "indexed under a smaller spelling's comma form",
        "http/routers/r/Middlewares = x,y
         http/routers/r/middlewares/5 = a",
        r#"{"http.routers.r": {"middlewares": ["a"]}}"#,
    ),
    (
        "an empty fragment in an item's key makes another list, and the later counts",
        "http/routers/r/middlewares//0 = x
         http/routers/r/middlewares/1 = y",
        r#"{"http.routers.r": {"middlewares": ["x"]}}"#,
    ),
    (
        "an empty fragment",
        "http/routers/r//rule = x
         http/routers/r/rule = y",
        r#"{"http.routers.r": {"rule": "y"}}"#,
    ),
    (
        "a name that is written as a number and as its index",
        "http/routers/7/rule = x
         http/routers/[7]/service = s",
        r#"{"http.routers.[7]": {"rule": "x", "service": "s"}}"#,
    ),
    (
        "index order",
        "
            http/routers/r/middlewares/0 = m0
            http/routers/r/middlewares/1 = m1
            http/routers/r/middlewares/2 = m2
            http/routers/r/middlewares/10 = m10
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
        ",
        r#"{"http.routers.r": {"middlewares": ["m0", "m1", "m10", "m2"], "service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "gap",
        "
            http/services/s/loadbalancer/servers/3/url = http://h3
            http/services/s/loadbalancer/servers/10/url = http://h10
            http/services/s/loadbalancer/servers/7/url = http://h7
        ",
        r#"{"http.services.s": {"loadBalancer": {"servers": [{"url": "http://h10"}, {"url": "http://h3"}, {"url": "http://h7"}]}}}"#,
    ),
    (
        "commas in an item",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/middlewares/0 = a, b
            http/routers/r/middlewares/1 =  c 
        ",
        r#"{"http.routers.r": {"middlewares": ["a", "b", "c"], "service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "comma form",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/middlewares =  a , b,,c
        ",
        r#"{"http.routers.r": {"middlewares": ["a", "b", "", "c"], "service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "indexed wins",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/middlewares = x,y
            http/routers/r/middlewares/5 = a
        ",
        r#"{"http.routers.r": {"middlewares": ["a"], "service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "indexed other spelling: last",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/middlewares = x,y
            http/routers/r/Middlewares/5 = a
        ",
        r#"{"http.routers.r": {"middlewares": ["x", "y"], "service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "two spellings of an indexed list",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/Middlewares/0 = x
            http/routers/r/middlewares/1 = a
        ",
        r#"{"http.routers.r": {"middlewares": ["a"], "service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "tls 'true'",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/tls = true
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)", "tls": {}}}"#,
    ),
    (
        "tls 'true' with children",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/tls = true
            http/routers/r/tls/options = o
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)", "tls": {"options": "o"}}}"#,
    ),
    (
        "tls ''",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/tls =
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)", "tls": {}}}"#,
    ),
    (
        "tls '' with children",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/tls =
            http/routers/r/tls/options = o
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)", "tls": {"options": "o"}}}"#,
    ),
    (
        "tls 'false'",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/tls = false
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "tls 'false' with children",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/tls = false
            http/routers/r/tls/options = o
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "tls 'TRUE'",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/tls = TRUE
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)", "tls": {}}}"#,
    ),
    (
        "tls 'TRUE' with children",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/tls = TRUE
            http/routers/r/tls/options = o
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)", "tls": {"options": "o"}}}"#,
    ),
    (
        "tls '0'",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/tls = 0
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "tls '0' with children",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/tls = 0
            http/routers/r/tls/options = o
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "tls folder",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/tls/ =
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)", "tls": {}}}"#,
    ),
    (
        "map name case",
        "
            http/routers/Foo/rule = Host(`a`)
            http/routers/foo/service = s
        ",
        r#"{"http.routers.Foo": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "section case decides name",
        "
            http/Routers/foo/rule = Host(`a`)
            http/routers/FOO/service = s
        ",
        r#"{"http.routers.foo": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "two sections spelled",
        "
            HTTP/routers/b/rule = Host(`b`)
            http/routers/a/rule = Host(`a`)
        ",
        r#"{"http.routers.a": {"rule": "Host(`a`)"}, "http.routers.b": {"rule": "Host(`b`)"}}"#,
    ),
    (
        "numeric name",
        "
            http/routers/123/rule = Host(`a`)
            http/routers/123/service = s
        ",
        r#"{"http.routers.[123]": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "numeric leaf map beside named",
        "
            http/middlewares/h/headers/customrequestheaders/1 = a
            http/middlewares/h/headers/customrequestheaders/X-A = b
        ",
        r#"{"http.middlewares.h": {"headers": {"customRequestHeaders": {"X-A": "b"}}}}"#,
    ),
    (
        "text on struct with children",
        "
            http/services/s/loadbalancer = x
            http/services/s/loadbalancer/servers/0/url = http://a
        ",
        r#"{"http.services.s": {"loadBalancer": {"servers": [{"url": "http://a"}]}}}"#,
    ),
    (
        "false on a struct that is no presence key",
        "
            http/services/s/loadbalancer/servers/0/url = http://a
            http/services/s/loadbalancer/healthcheck = false
            http/services/s/loadbalancer/healthcheck/path = /x
        ",
        r#"{"http.services.s": {"loadBalancer": {"servers": [{"url": "http://a"}], "healthCheck": {"mode": "http", "path": "/x", "interval": "30s", "timeout": "5s", "followRedirects": true}}}}"#,
    ),
    (
        "text on object",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r = x
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "digit leaf on object",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/5 = x
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "text on collection",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers = x
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "digit leaf on collection",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/5 = x
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "folders",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/ =
            http/routers/ =
            http/routers/r/ =
            http/services/s/loadbalancer/servers/0/url = http://a
            http/services/s/loadbalancer/servers/ =
            http/services/s/loadbalancer/servers/0/ =
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)"}, "http.services.s": {"loadBalancer": {"servers": [{"url": "http://a"}]}}}"#,
    ),
    (
        "list item folder alone",
        "
            http/services/s/loadbalancer/servers/0/url = http://a
            http/services/s/loadbalancer/servers/1/ =
        ",
        r#"{"http.services.s": {"loadBalancer": {"servers": [{"url": "http://a"}, {}]}}}"#,
    ),
    (
        "named list items",
        "
            http/services/s/loadbalancer/servers/b/url = http://b
            http/services/s/loadbalancer/servers/a/url = http://a
        ",
        r#"{"http.services.s": {"loadBalancer": {"servers": [{"url": "http://a"}, {"url": "http://b"}]}}}"#,
    ),
    (
        "list items of two spellings",
        "
            http/services/s/loadbalancer/Servers/1/url = http://b
            http/services/s/loadbalancer/servers/0/url = http://a
            http/services/s/loadbalancer/servers/1/weight = 3
        ",
        r#"{"http.services.s": {"loadBalancer": {"servers": [{"url": "http://b", "weight": 3}, {"url": "http://a"}]}}}"#,
    ),
    (
        "list text and children",
        "
            http/services/s/loadbalancer/servers/0/url = http://a
            http/services/s/loadbalancer/servers = x
        ",
        r#"{"http.services.s": {"loadBalancer": {"servers": [{"url": "http://a"}]}}}"#,
    ),
    (
        "unknown top",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            frontends/f/backend = x
            foo = y
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "empty fragment at end",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/rule/ = Host(`z`)
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`z`)"}}"#,
    ),
    (
        "leading slash",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            /http/routers/q/rule = x
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "plugin",
        "
            http/middlewares/p/plugin/foo/list/0 = a
            http/middlewares/p/plugin/foo/list/1 = b
            http/middlewares/p/plugin/foo/items/0/k = v
            http/middlewares/p/plugin/foo/items/3/k = w
            http/middlewares/p/plugin/foo/map/x = y
            http/middlewares/p/plugin/foo/mixed/0/a = 1
            http/middlewares/p/plugin/foo/mixed/z = 2
        ",
        r#"{"http.middlewares.p": {"plugin": {"foo": {"items": [{"k": "v"}, {"k": "w"}], "list": "a,b", "map": {"x": "y"}, "mixed": [{"a": "1"}, "2"]}}}}"#,
    ),
    (
        "unicode fold",
        "
            http/routers/É/rule = Host(`a`)
            http/routers/é/service = s
        ",
        r#"{"http.routers.É": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "weird sort",
        "
            http/services/s/loadbalancer/servers/1/url = http://1
            http/services/s/loadbalancer/servers/1-a/url = http://1-a
            http/services/s/loadbalancer/servers/10/url = http://10
            http/services/s/loadbalancer/servers/2/url = http://2
        ",
        r#"{"http.services.s": {"loadBalancer": {"servers": [{"url": "http://1-a"}, {"url": "http://1"}, {"url": "http://10"}, {"url": "http://2"}]}}}"#,
    ),
    (
        "names tie",
        "
            http/routers/r-x/rule = Host(`a`)
            http/Routers/r/rule = Host(`b`)
            http/routers/R/service = s
        ",
        r#"{"http.routers.r-x": {"rule": "Host(`a`)"}, "http.routers.r": {"service": "s", "rule": "Host(`b`)"}}"#,
    ),
    (
        "statusrewrites",
        "
            http/middlewares/e/errors/status = 500-599
            http/middlewares/e/errors/service = s
            http/middlewares/e/errors/query = /
            http/middlewares/e/errors/statusrewrites/404 = 200
            http/middlewares/e/errors/statusrewrites/418-420 = 201
        ",
        r#"{"http.middlewares.e": {"errors": {"statusRewrites": {"418-420": 201}, "service": "s", "query": "/"}}}"#,
    ),
    (
        "weighted presence",
        "
            http/services/w/weighted/services/0/name = s
            http/services/w/weighted/healthcheck = true
        ",
        r#"{"http.services.w": {"weighted": {"services": [{"name": "s", "weight": 1}], "healthCheck": {}}}}"#,
    ),
    (
        "tcp tls domains",
        "
            tcp/routers/t/rule = HostSNI(`a`)
            tcp/routers/t/service = s
            tcp/routers/t/tls/domains/0/main = a
            tcp/routers/t/tls/domains/0/sans/0 = b
            tcp/routers/t/tls/domains/0/sans/1 = c,d
            tcp/routers/t/tls/passthrough = true
        ",
        r#"{"tcp.routers.t": {"service": "s", "rule": "HostSNI(`a`)", "tls": {"passthrough": true, "domains": [{"main": "a", "sans": ["b", "c", "d"]}]}}}"#,
    ),
];
