//! Where a client wants to go, in every form that some reader takes for another: what rules match is what is forwarded,
//! and it is normal.

use super::support::client::Client;
use super::support::origin::{Origin, answering, behind, config};
use super::support::proxy::{Proxy, proxy};

const OPEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nopen";
const SECRET: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret";

/// The origin of what a rule protects, that of everything else, and the proxy in front of both.
fn scene(protecting: &str) -> (Origin, Origin, Proxy) {
    let (secret, open) = (answering(SECRET), answering(OPEN));
    let yaml = config(&[
        (protecting, &secret.url()),
        ("PathPrefix(`/`)", &open.url()),
    ]);
    let proxy = proxy(&yaml);
    (secret, open, proxy)
}

/// The status and body of the answer to a target, which may hold any bytes.
fn ask(proxy: &Proxy, target: impl AsRef<[u8]>) -> (u16, String) {
    let mut client = Client::connect(proxy.addr);
    let parts = [
        b"GET ",
        target.as_ref(),
        b" HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n",
    ];
    client.send(parts.concat());
    let all = String::from_utf8_lossy(&client.read_to_end()).into_owned();
    let (head, body) = all.split_once("\r\n\r\n").unwrap_or_default();
    (
        head.get(9..12).unwrap_or_default().parse().unwrap_or(0),
        body.to_owned(),
    )
}

/// A path in normal form, made in the simplest way: escapes of what needs none are decoded, empty and dot segments
/// removed.
fn normal(path: &str) -> String {
    let mut decoded = String::new();
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        decoded += &rest[..at];
        let escape = rest.get(at + 1..at + 3);
        let byte = escape.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let plain = byte.filter(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(byte));
        match plain {
            Some(byte) => decoded.push(char::from(byte)),
            None => decoded += &rest[at..(at + 3).min(rest.len())].to_ascii_uppercase(),
        }
        rest = rest.get(at + 3..).unwrap_or_default();
    }
    decoded += rest;
    let mut kept: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let is_folder = decoded.ends_with('/') || decoded.ends_with("/.") || decoded.ends_with("/..");
    let end = if is_folder && !kept.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", kept.join("/"))
}

#[test]
fn every_form_of_a_protected_path_is_protected() {
    let (secret, open, proxy) = scene("PathPrefix(`/admin`)");
    for target in [
        "/admin",
        "/admin/",
        "//admin",
        "///admin",
        "/./admin",
        "/x/../admin",
        "/x/y/../../admin",
        "/../admin",
        "/../../admin",
        "/%61dmin",
        "/%61%64%6D%69%6E",
        "/%61%64%6d%69%6e",
        "/%2e/admin",
        "/x/%2e%2e/admin",
        "/x/%2E%2e/admin",
        "/x/.%2e/admin",
        "/admin/.",
        "/admin/./x",
        "/admin//x",
        "/x/../y/../admin",
        "/.//admin",
        "/x//../admin",
        "/admin?x=/../y",
        "/admin/../admin",
        "http://a.test/admin",
        "http://a.test//admin",
        "http://a.test/x/../admin",
        "http://a.test/%61dmin",
    ] {
        let (status, body) = ask(&proxy, target);
        assert_eq!((status, &*body), (200, "secret"), "{target}");
        let forwarded = secret.last();
        let path = forwarded.target().split('?').next().unwrap_or_default();
        assert_eq!(path, normal(path), "{target}");
        assert!(path.starts_with("/admin"), "{target}: {path}");
    }
    assert_eq!(open.seen().len(), 0);
}

#[test]
fn what_is_no_form_of_a_protected_path_is_forwarded_as_it_was_matched() {
    let (secret, open, proxy) = scene("PathPrefix(`/admin`)");
    for target in [
        "/ADMIN",
        "/admi",
        "/x/admin",
        "/admin/../x",
        "/%2561dmin",
        "/x/..;/admin",
        "/;/admin",
        "/x;y/../z",
        "/%2Fadmin",
        "/x%2F..%2Fadmin",
        "/x%5C..%5Cadmin",
        "/x/%2e%2e%2e/admin",
        "/x/...",
        "/%C3%A9/admin",
        "/a%3Bb/admin",
    ] {
        let (status, body) = ask(&proxy, target);
        assert_eq!((status, &*body), (200, "open"), "{target}");
        let forwarded = open.last();
        let forwarded = forwarded.target();
        assert_eq!(forwarded, normal(forwarded), "{target}");
        assert!(!forwarded.starts_with("/admin"), "{target}: {forwarded}");
    }
    assert_eq!(secret.seen().len(), 0);
}

#[test]
fn fragments_backslashes_and_broken_escapes_are_refused_or_stay_encoded() {
    let (secret, open, proxy) = scene("PathPrefix(`/admin`)");
    for target in ["/x#/../admin", "/admin#x", "/x%zz/admin", "/x%2", "/x%"] {
        let (status, _) = ask(&proxy, target);
        assert_eq!(status, 400, "{target}");
    }
    let (status, _) = ask(&proxy, "/x\\..\\admin");
    assert_eq!((status, open.last().target()), (200, "/x%5C..%5Cadmin"));
    for bytes in [&b"/\xff/admin"[..], b"/x|\xc3\xa9"] {
        assert_eq!(ask(&proxy, bytes).0, 200);
        assert!(open.last().target().is_ascii());
    }
    assert_eq!(secret.seen().len(), 0);
}

#[test]
fn encoded_reserved_characters_are_refused_where_that_is_configured() {
    let origin = answering(OPEN);
    // What an entry point says becomes such a middleware of its routers.
    let denying = "{encodedCharacters: {allowEncodedSlash: false, allowEncodedBackSlash: false, allowEncodedNullCharacter: false, allowEncodedSemicolon: false}}";
    let proxy = proxy(&behind(&[("e", denying)], &origin.config()));
    for target in ["/x%2Fy", "/x%2f..%2fadmin", "/x%5Cy", "/x%00y", "/x%3By"] {
        assert_eq!(ask(&proxy, target).0, 400, "{target}");
    }
    assert_eq!(ask(&proxy, "/x%20y").0, 200);
}

#[test]
fn bytes_that_are_no_text_cannot_hide_from_a_path_expression() {
    let (_secret, open, proxy) = scene("PathRegexp(`^/.*/admin`)");
    for target in [
        &b"/x/admin"[..],
        b"/\xff/admin",
        b"/%FF/admin",
        b"/\xc3(/admin",
        b"/%C3%28/admin",
    ] {
        let (status, body) = ask(&proxy, target);
        assert_eq!(
            (status, &*body),
            (200, "secret"),
            "{}",
            target.escape_ascii()
        );
    }
    assert_eq!(open.seen().len(), 0);
}

#[test]
fn a_path_that_a_middleware_edits_is_normal_again_or_refused() {
    let edits = [
        "{stripPrefix: {prefixes: [/api]}}",
        "{stripPrefixRegex: {regex: ['/a[a-z]+']}}",
        "{replacePathRegex: {regex: '^/api/?(.*)', replacement: '/$1'}}",
        "{replacePathRegex: {regex: '/api', replacement: '/x/../y'}}",
        "{addPrefix: {prefix: /pre}}",
    ];
    for edit in edits {
        let origin = answering(OPEN);
        let yaml = config(&[("PathPrefix(`/api`)", &origin.url())]);
        let proxy = proxy(&behind(&[("e", edit)], &yaml));
        for target in [
            "/api",
            "/api/",
            "/api/x",
            "/api//x",
            "/api/../admin",
            "/api/%2e%2e/admin",
            "/api..%2fadmin",
            "/api../admin",
            "/api%2F..%2Fadmin",
            "/api/..%2fadmin",
            "/api.",
            "/api./x",
            "/api..",
            "/apiapi/x",
            "/api/api/../admin",
            "/api%2e%2e/admin",
            "/api//evil.test/x",
            "/api%2F%2Fevil.test",
        ] {
            let before = origin.seen().len();
            let (status, _) = ask(&proxy, target);
            if status == 200 {
                let forwarded = origin.last();
                let forwarded = forwarded.target();
                assert_eq!(forwarded, normal(forwarded), "{edit}: {target}");
            } else {
                assert!(status == 400 || status == 404, "{edit}: {target}: {status}");
                assert_eq!(origin.seen().len(), before, "{edit}: {target}");
            }
        }
    }
}
