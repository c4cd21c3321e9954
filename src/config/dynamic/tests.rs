//! Decoding the dynamic configuration: the forms in which the same thing may be written.

mod any_input;
mod printed;
mod problems;

use std::sync::Arc;

use super::*;
use crate::config::decode::{ObjectError, Text};
use crate::config::format::{Format, parse};

fn yaml(text: &str) -> Decoded {
    let streamed = decode_text(Format::Yaml, text, None).unwrap();
    // Reading at once and object by object must not differ.
    let whole = decode(&parse(Format::Yaml, text).unwrap().tree, None);
    assert_eq!(streamed.objects, whole.objects, "{text}");
    assert_eq!(
        (&streamed.errors, &streamed.warnings),
        (&whole.errors, &whole.warnings),
        "{text}"
    );
    streamed
}

/// Decodes one object from the YAML of its content.
fn object(kind: Kind, content: &str) -> Result<Object, Vec<ObjectError>> {
    let tree = parse(Format::Yaml, content).unwrap().tree;
    decode_object(kind, "x", &tree)
}

fn errors(kind: Kind, content: &str) -> Vec<(String, String)> {
    let errors = object(kind, content).expect_err(content);
    errors
        .into_iter()
        .map(|error| (error.path, error.message))
        .collect()
}

fn router(content: &str) -> Arc<HttpRouter> {
    match object(Kind::HttpRouter, content) {
        Ok(Object::HttpRouter(router)) => router,
        other => panic!("{content}: {other:?}"),
    }
}

#[test]
fn field_names_have_any_case() {
    let router = router("{RULE: r, entrypoints: [web], PassHost: }");
    assert_eq!(
        (&*router.rule, &*router.entry_points),
        ("r", &["web".into()][..])
    );
}

#[test]
fn scalars_have_many_forms() {
    let router = router(
        "{rule: r, entryPoints: 'a, b ,c', middlewares: [' x '], priority: '0012', tls: 'TRUE'}",
    );
    assert_eq!(&*router.entry_points, ["a", "b", "c"].map(Text::from));
    assert_eq!(&*router.middlewares, ["x"].map(Text::from));
    assert_eq!(router.priority, 12);
    assert!(router.tls.is_some());
    for (text, value) in [
        ("t", true),
        ("1", true),
        ("T", true),
        ("0", false),
        ("False", false),
    ] {
        let content = format!("redirectScheme: {{permanent: '{text}'}}");
        let Ok(Object::HttpMiddleware(middleware)) = object(Kind::HttpMiddleware, &content) else {
            panic!("{text}");
        };
        let HttpMiddleware::RedirectScheme(redirect) = &*middleware else {
            panic!("{text}");
        };
        assert_eq!(redirect.permanent, value, "{text}");
    }
}

#[test]
fn presence_keys_may_be_empty_true_or_switched_off() {
    for (tls, is_present) in [
        ("{}", true),
        ("true", true),
        ("''", true),
        ("{options: x}", true),
        ("false", false),
        ("no", false),
        ("", false),
        ("~", false),
    ] {
        assert_eq!(
            router(&format!("{{rule: r, tls: {tls}}}")).tls.is_some(),
            is_present,
            "{tls:?}"
        );
    }
    assert_eq!(errors(Kind::HttpMiddleware, "compress: false").len(), 1);
}

#[test]
fn certificates_are_named_by_file_or_content() {
    let pem = "-----BEGIN CERTIFICATE-----\\nabc";
    let text = format!(
        "tls:\n  certificates:\n  - {{certFile: a.crt, keyFile: a.key}}\n  - {{certFile: \"{pem}\", keyFile: k}}\n  - {{certFile: a.crt, keyFile: a.key}}\n  - {{certFil: x}}\n"
    );
    let decoded = yaml(&text);
    assert_eq!(decoded.objects.len(), 3);
    assert!(
        decoded
            .get(Kind::TlsCertificate, "a.crt")
            .unwrap()
            .result
            .is_ok()
    );
    let errors = decoded.all_errors();
    assert_eq!(errors[0].path, "tls.certificates[3].certFil");
}

#[test]
fn a_second_reading_takes_unchanged_objects_from_the_first() {
    let text = "http:\n  routers:\n    a: {rule: r}\n    b: {rule: r}\n    c: {rul: r}\n";
    let first = yaml(text);
    let edited = text
        .replace("b: {rule: r}", "b: {rule: s}")
        .replace("  routers", "\n  routers");
    let second = decode_text(Format::Yaml, &edited, Some(&first)).unwrap();
    let same = |name| {
        let get = |decoded: &Decoded| match &decoded.get(Kind::HttpRouter, name).unwrap().result {
            Ok(Object::HttpRouter(router)) => Some(Arc::clone(router)),
            _ => None,
        };
        Some(Arc::ptr_eq(&get(&first)?, &get(&second)?))
    };
    assert_eq!((same("a"), same("b")), (Some(true), Some(false)));
    let moved = second
        .get(Kind::HttpRouter, "c")
        .unwrap()
        .result
        .as_ref()
        .unwrap_err();
    assert_eq!(moved[0].position.line, 6);
    let key = |decoded: &Decoded| {
        let (key, _) = decoded
            .objects
            .get_key_value(&ObjectKey::new(Kind::HttpRouter, "a"))
            .unwrap();
        Arc::clone(&key.name)
    };
    assert!(Arc::ptr_eq(&key(&first), &key(&second)));
}

#[test]
fn toml_and_merged_yaml_decode_to_the_same_objects() {
    let plain =
        yaml("http:\n  routers:\n    a: {rule: r, service: s}\n    b: {rule: q, service: s}\n");
    let merged = yaml(
        "x: &x {service: s}\nhttp:\n  routers:\n    a: {<<: *x, rule: r}\n    b: {<<: *x, rule: q}\n",
    );
    let toml = "[http.routers.a]\nrule = 'r'\nservice = 's'\n[http.routers.b]\nrule = 'q'\nservice = 's'\n";
    let toml = decode_text(Format::Toml, toml, None).unwrap();
    for (key, declared) in &plain.objects {
        assert_eq!(declared.result, toml.objects[key].result);
        assert_eq!(declared.result, merged.objects[key].result);
    }
}

#[test]
fn objects_compare_by_configuration() {
    let text = "{rule: r, tls: {domains: [{main: m}]}}";
    assert_eq!(
        object(Kind::HttpRouter, text),
        object(Kind::HttpRouter, text)
    );
    assert_ne!(
        object(Kind::HttpRouter, text),
        object(Kind::HttpRouter, "{rule: r}")
    );
}
