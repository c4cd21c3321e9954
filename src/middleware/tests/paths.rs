//! addPrefix, stripPrefix, stripPrefixRegex, replacePath, replacePathRegex, encodedCharacters.

use proptest::prelude::*;

use super::*;
use crate::http::path::is_sanitized;

/// Runs filters on a GET; the target and the managed fields that come out, or the status of an answer.
fn run(filters: &[&str], target: &str) -> (String, Vec<String>) {
    run_with(filters, target, &[])
}

fn run_with(filters: &[&str], target: &str, fields: &[&str]) -> (String, Vec<String>) {
    let filters: Vec<_> = filters.iter().map(|yaml| middleware(yaml)).collect();
    let mut exchange = Exchange::new(&format!("GET {target}"), fields);
    match Shard::new().request(&filters, &mut exchange) {
        Some(answer) => (answer.status.to_string(), Vec::new()),
        None => (exchange.target(), lines(&exchange.rq.fields)),
    }
}

#[track_caller]
fn check(filter: &str, target: &str, expected: &str, fields: &[&str]) {
    let (out, lines) = run(&[filter], target);
    assert_eq!(
        (out.as_str(), lines),
        (expected, fields.iter().map(|&f| f.to_owned()).collect()),
        "{filter} {target}"
    );
}

#[test]
fn add_prefix_puts_literal_text_before_the_path() {
    for (prefix, target, expected) in [
        ("/foo", "/bar", "/foo/bar"),
        ("foo", "/bar", "/foo/bar"),
        ("/foo", "/bar?x=1", "/foo/bar?x=1"),
        ("/foo", "/bar%2Fx", "/foo/bar%2Fx"),
        ("/foo/", "/bar", "/foo//bar"),
        ("/a%2fb", "/bar", "/a%252fb/bar"),
        ("/a b", "/bar", "/a%20b/bar"),
        ("/a?b", "/bar", "/a%3Fb/bar"),
        // Traefik decodes `%2F` here, which would turn it into a separator.
        ("/a b", "/bar%2Fb", "/a%20b/bar%2Fb"),
        ("/foo", "/a//b/../c", "/foo/a//b/../c"),
    ] {
        check(
            &format!("{{addPrefix: {{prefix: '{prefix}'}}}}"),
            target,
            expected,
            &[],
        );
    }
}

#[test]
fn strip_prefix_removes_the_first_prefix_that_fits() {
    for (prefixes, target, expected, prefix) in [
        ("/foo", "/foo/bar", "/bar", Some("/foo")),
        ("/foo, /foo/bar", "/foo/bar/x", "/bar/x", Some("/foo")),
        ("/foo", "/foo", "/", Some("/foo")),
        ("/foo", "/foo?x=1", "/?x=1", Some("/foo")),
        ("/foo", "/foobar", "/bar", Some("/foo")),
        ("/foo", "/foo/", "/", Some("/foo")),
        ("/foo/", "/foo/", "/", Some("/foo/")),
        ("/foo/", "/foo/x", "/x", Some("/foo/")),
        ("/", "/x/y", "/x/y", Some("/")),
        ("''", "/x/y", "/x/y", Some("")),
        ("' /foo '", "/foo/x", "/x", Some("/foo")),
        ("/bar", "/foo", "/foo", None),
        ("/foo", "/foo/a%2Fb", "/a%2Fb", Some("/foo")),
        ("/foo", "/foo/x%2F..%2Fy", "/x%2F..%2Fy", Some("/foo")),
        ("/a/b", "/a%2Fb/x", "/x", Some("/a/b")),
        ("/a b", "/a%20b/x", "/x", Some("/a b")),
        ("/a%2Fb", "/a%2Fb/x", "/a%2Fb/x", None),
        ("/foo", "/foo%2541/x", "/%2541/x", Some("/foo")),
        ("/é", "/%C3%A9/x", "/x", Some("/é")),
        // An encoded slash behind the prefix begins the path.
        ("/foo", "/foo%2Fbar", "/bar", Some("/foo")),
        // Traefik decodes the others too, which would turn them into separators.
        ("/foo", "/foo%2Fa%2Fb", "/a%2Fb", Some("/foo")),
    ] {
        let fields: Vec<_> = prefix
            .iter()
            .map(|p| format!("x-forwarded-prefix: {p}"))
            .collect();
        let fields: Vec<_> = fields.iter().map(String::as_str).collect();
        check(
            &format!("{{stripPrefix: {{prefixes: [{prefixes}]}}}}"),
            target,
            expected,
            &fields,
        );
    }
}

#[test]
fn a_path_that_is_not_normal_without_its_prefix_is_refused() {
    for filter in [
        "{stripPrefix: {prefixes: [/foo]}}",
        "{stripPrefixRegex: {regex: [^/foo]}}",
    ] {
        for target in [
            "/foo../bar",
            "/foo./bar",
            "/foo%2F..%2Fbar",
            "/foo%2F%2Fbar",
            "/foo%2F%2e%2e",
            "/foo//a",
            "/foo/a//b",
            "/foo/../x",
            "/foo/.",
            "/foo%2F.",
        ] {
            check(filter, target, "400", &[]);
        }
    }
    let filter = middleware("{stripPrefix: {prefixes: [/foo]}}");
    let mut exchange = Exchange::new("GET /foo../bar", &[]);
    let answer = Shard::new().request(&[filter], &mut exchange).unwrap();
    assert_eq!(&*answer.body, b"Bad Request\n");
    assert_eq!(
        lines(&answer.fields),
        [
            "content-type: text/plain; charset=utf-8",
            "x-content-type-options: nosniff"
        ]
    );
}

#[test]
fn strip_prefix_regex_removes_what_the_first_fitting_expression_matches() {
    for (regexes, target, expected, prefix) in [
        ("'/[a-z]+/[0-9]+'", "/abc/12/x", "/x", Some("/abc/12")),
        ("/b", "/a/b/c", "/a/b/c", None),
        ("'^/[a-z]+'", "/abc/d", "/d", Some("/abc")),
        ("'^/z', '^/a', '^/ab'", "/abc/d", "/bc/d", Some("/a")),
        (
            "'^/[a-z]+/[a-z]+'",
            "/abc%2Fd/e%2Ff",
            "/e%2Ff",
            Some("/abc/d"),
        ),
        ("^/foo", "/foo%2Fbar", "/bar", Some("/foo")),
        ("x*", "/abc", "/abc", None),
        ("^/a", "/a/a/b", "/a/b", Some("/a")),
        // The match is elsewhere, but its text is a prefix too.
        ("/a$", "/a/a", "/a", Some("/a")),
        ("'^/a/[^x]+'", "/a/y%2F../xx", "/xx", Some("/a/y/../")),
        ("'^/[^/]+'", "/%C3%A9/x", "/x", Some("/é")),
        // A line break in a path does not get into a field.
        ("'^/[^/]+'", "/a%0Ab/x", "/x", Some("/a%0Ab")),
        // Bytes that are no text cannot hide from the expression.
        ("'^/[^/]+'", "/%FF/x", "/x", Some("/\u{FFFD}")),
        (
            "'^/[^/]+/b'",
            "/%E9a%FF%FE/b/%E9",
            "/%E9",
            Some("/\u{FFFD}a\u{FFFD}\u{FFFD}/b"),
        ),
        ("'^/a'", "/a/caf%E9", "/caf%E9", Some("/a")),
        ("'^/a'", "/%E9", "/%E9", None),
    ] {
        let fields: Vec<_> = prefix
            .iter()
            .map(|p| format!("x-forwarded-prefix: {p}"))
            .collect();
        let fields: Vec<_> = fields.iter().map(String::as_str).collect();
        check(
            &format!("{{stripPrefixRegex: {{regex: [{regexes}]}}}}"),
            target,
            expected,
            &fields,
        );
    }
}

#[test]
fn replace_path_sends_everything_to_one_path() {
    for (path, target, expected, old) in [
        ("/x", "/a/b?q=1", "/x?q=1", "/a/b"),
        ("/x?y=1", "/a?q=1", "/x%3Fy=1?q=1", "/a"),
        ("/x%2fy", "/a%2Fb", "/x%2Fy", "/a%2Fb"),
        ("/x//y", "/a", "/x//y", "/a"),
        ("", "/a", "/", "/a"),
        ("/x y", "/a", "/x%20y", "/a"),
        ("/é", "/a", "/%C3%A9", "/a"),
    ] {
        let filter = format!("{{replacePath: {{path: '{path}'}}}}");
        check(
            &filter,
            target,
            expected,
            &[&format!("x-replaced-path: {old}")],
        );
    }
}

#[test]
fn replace_path_regex_works_on_the_escaped_path() {
    for (regex, replacement, target, expected) in [
        ("^/foo/(.*)", "/bar/$1", "/foo/x/y", "/bar/x/y"),
        ("a", "b", "/a/a/a", "/b/b/b"),
        ("^/(.*)", "/$1x", "/a", "/"),
        ("^/(.*)", "/${1}x", "/a", "/ax"),
        ("^/(?P<n>.*)", "/$n-z", "/a", "/a-z"),
        ("^/(.*)", "/$$1", "/a", "/$1"),
        ("^/(.*)", "/x$", "/a", "/x$"),
        ("^/(.*)", "/x${", "/a", "/x$%7B"),
        ("^/foo/(.*)", "/bar/$1", "/foo/a%2Fb", "/bar/a%2Fb"),
        ("^/foo(.*)", "/bar$1", "/foo%2Fb", "/bar%2Fb"),
        ("^/foo/(.*)", "/bar?x=$1", "/foo/b?c=d", "/bar%3Fx=b?c=d"),
        ("^/foo.*", "", "/foo/b", "/"),
        (" ^/foo/(.*) ", " /bar/$1 ", "/foo/b", "/bar/b"),
        ("^/foo/(.*)", "/b%20c/$1", "/foo/b", "/b%20c/b"),
    ] {
        let filter =
            format!("{{replacePathRegex: {{regex: '{regex}', replacement: '{replacement}'}}}}");
        let old = target.split('?').next().unwrap();
        check(
            &filter,
            target,
            expected,
            &[&format!("x-replaced-path: {old}")],
        );
    }
    let filter = "{replacePathRegex: {regex: '^/z', replacement: '/y'}}";
    check(filter, "/a", "/a", &[]);
}

#[test]
fn a_replaced_path_that_is_not_normal_is_refused() {
    for (regex, replacement, status) in [
        ("^/foo/(.*)", "/bar/../$1", "400"),
        ("^/foo(.*)", "/bar/..$1", "400"),
        ("^/foo(.*)", "/bar/%2e%2e$1", "400"),
        ("^/foo/(.*)", "/bar//$1", "400"),
        ("^/foo(.*)", "/bar/$1", "400"),
        // Traefik sends a malformed request line.
        ("^/foo/(.*)", "$1", "400"),
        ("x*", "-", "400"),
        ("^/foo/(.*)", "/b%zz/$1", "500"),
        ("^/foo/(.*)", "/b%", "500"),
    ] {
        let filter =
            format!("{{replacePathRegex: {{regex: '{regex}', replacement: '{replacement}'}}}}");
        check(&filter, "/foo/b", status, &[]);
    }
    let filter = middleware("{replacePathRegex: {regex: '^/foo/(.*)', replacement: '/b%zz/$1'}}");
    let mut exchange = Exchange::new("GET /foo/b", &[]);
    let answer = Shard::new().request(&[filter], &mut exchange).unwrap();
    assert_eq!(text(&answer.body), "invalid URL escape \"%zz\"\n");
}

#[test]
fn filters_in_a_row_see_what_the_ones_before_left() {
    const STRIP: &str = "{stripPrefix: {prefixes: [/foo]}}";
    for (filters, target, expected, fields) in [
        (
            &["{addPrefix: {prefix: /a}}", "{addPrefix: {prefix: /b}}"][..],
            "/x",
            "/b/a/x",
            &[][..],
        ),
        // An emptied path gets no slash from the next prefix.
        (
            &[STRIP, "{addPrefix: {prefix: /bar}}"],
            "/foo",
            "/bar",
            &["x-forwarded-prefix: /foo"],
        ),
        (
            &[STRIP, "{addPrefix: {prefix: /bar}}"],
            "/foo/",
            "/bar/",
            &["x-forwarded-prefix: /foo"],
        ),
        (
            &[STRIP, "{replacePath: {path: /bar}}"],
            "/foo",
            "/bar",
            &["x-forwarded-prefix: /foo", "x-replaced-path: "],
        ),
        (
            &[STRIP, "{replacePathRegex: {regex: '^$', replacement: /z}}"],
            "/foo",
            "/z",
            &["x-forwarded-prefix: /foo", "x-replaced-path: "],
        ),
        (
            &[STRIP, "{stripPrefix: {prefixes: [/, '']}}"],
            "/foo",
            "/",
            &["x-forwarded-prefix: ", "x-forwarded-prefix: /foo"],
        ),
        (
            &[
                "{stripPrefix: {prefixes: [/a]}}",
                "{stripPrefix: {prefixes: [/b]}}",
            ],
            "/a/b/c",
            "/c",
            &["x-forwarded-prefix: /a", "x-forwarded-prefix: /b"],
        ),
        (
            &["{replacePath: {path: /x}}", "{replacePath: {path: /y}}"],
            "/a",
            "/y",
            &["x-replaced-path: /a", "x-replaced-path: /x"],
        ),
        (
            &[
                "{stripPrefix: {prefixes: [/foo], forceSlash: true}}",
                "{addPrefix: {prefix: /bar}}",
            ],
            "/foo",
            "/bar/",
            &["x-forwarded-prefix: /foo"],
        ),
    ] {
        let (out, lines) = run(filters, target);
        assert_eq!(out, expected, "{filters:?} {target}");
        assert_eq!(lines, fields, "{filters:?} {target}");
    }
}

#[test]
fn a_client_cannot_forge_the_replaced_path() {
    // Traefik keeps what the client sent beside its own.
    let forged = [
        "X-Replaced-Path: /evil",
        "X_Replaced_Path: /evil",
        "x-replaced.path: /evil",
    ];
    for filter in [
        "{replacePath: {path: /x}}",
        "{replacePathRegex: {regex: '.*', replacement: /x}}",
    ] {
        let (_, lines) = run_with(&[filter], "/a", &forged);
        assert_eq!(lines, ["x-replaced-path: /a"]);
        let (_, lines) = run_with(&[filter, filter], "/a", &forged);
        assert_eq!(lines, ["x-replaced-path: /a", "x-replaced-path: /x"]);
    }
}

#[test]
fn a_trusted_proxys_prefix_is_kept_before_the_own() {
    let (_, lines) = run_with(
        &["{stripPrefix: {prefixes: [/foo]}}"],
        "/foo/bar",
        &["X-Forwarded-Prefix: /outer"],
    );
    assert_eq!(
        lines,
        ["x-forwarded-prefix: /foo", "x-forwarded-prefix: /outer"]
    );
}

#[test]
fn a_request_without_a_path_passes() {
    for filter in [
        "{addPrefix: {prefix: /a}}",
        "{stripPrefix: {prefixes: ['']}}",
        "{stripPrefixRegex: {regex: [.]}}",
        "{replacePath: {path: /x}}",
        "{replacePathRegex: {regex: '.*', replacement: /x}}",
    ] {
        let mut exchange = Exchange::new("OPTIONS *", &[]);
        let before = exchange.target();
        assert!(
            Shard::new()
                .request(&[middleware(filter)], &mut exchange)
                .is_none()
        );
        assert_eq!(exchange.target(), before, "{filter}");
    }
}

#[test]
fn encoded_characters_are_refused_unless_allowed() {
    for (filter, target, expected) in [
        ("allowEncodedSlash: false", "/a%2Fb", "400"),
        ("allowEncodedSlash: true", "/a%2Fb", "/a%2Fb"),
        ("allowEncodedSlash: true", "/a%5Cb", "400"),
        ("allowEncodedSlash: true", "/a%20b%7C", "/a%20b%7C"),
        ("allowEncodedSlash: true", "/a?%2F%25", "/a?%2F%25"),
        ("allowEncodedSlash: true", "/a%25b", "400"),
        ("allowEncodedSlash: true", "/a%3Bb", "400"),
        ("allowEncodedSlash: true", "/a%3Fb", "400"),
        ("allowEncodedSlash: true", "/a%23b", "400"),
        ("allowEncodedSlash: true", "/a%00b", "400"),
        ("allowEncodedPercent: true", "/a%25b", "/a%25b"),
    ] {
        check(
            &format!("{{encodedCharacters: {{{filter}}}}}"),
            target,
            expected,
            &[],
        );
    }
    let filter = middleware("{encodedCharacters: {allowEncodedSlash: false}}");
    let answer = Shard::new()
        .request(&[filter], &mut Exchange::new("GET /a%2Fb", &[]))
        .unwrap();
    assert!(answer.body.is_empty() && answer.fields.is_empty());
}

/// Pieces of paths that have fooled path filters.
fn piece() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "/", "a", "b", "foo", ".", "..", "%2F", "%2f", "%2E", "%25", "%5C", "%00", "%FF", "%C3%A9",
        "//", ";", "x y",
    ])
}

proptest! {
    #[test]
    fn a_filter_forwards_a_normal_path_or_refuses(
        path in proptest::collection::vec(piece(), 0..12),
        prefix in proptest::collection::vec(piece(), 0..4),
        kind in 0..5usize,
    ) {
        let literal = prefix.concat().replace('\'', "");
        let yaml = match kind {
            0 => format!("{{stripPrefix: {{prefixes: ['{literal}']}}}}"),
            1 => "{stripPrefixRegex: {regex: ['^/[^/]*', '^.', 'foo']}}".to_owned(),
            2 => "{replacePathRegex: {regex: '^(/[^/]*)(.*)', replacement: '$2$1'}}".to_owned(),
            3 => "{replacePathRegex: {regex: 'foo|a', replacement: '.'}}".to_owned(),
            _ => "{replacePathRegex: {regex: '%2[Ff]', replacement: '/'}}".to_owned(),
        };
        let mut exchange = Exchange::new(&format!("GET /{}", path.concat()), &[]);
        exchange.rq.sanitize_path();
        let before = exchange.rq.path().to_vec();
        match Shard::new().request(&[middleware(&yaml)], &mut exchange) {
            Some(answer) => prop_assert!(matches!(answer.status, 400 | 500)),
            None => {
                let after = exchange.rq.path().to_vec();
                prop_assert!(is_sanitized(&after) || after == before, "{} from {}", text(&after), text(&before));
                let mut normal = Vec::new();
                prop_assert!(crate::http::path::normalize(&after, &mut normal).is_ok());
                prop_assert_eq!(normal, after);
            }
        }
    }

    #[test]
    fn urls_and_expressions_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), ascii in "[ -~]{0,60}") {
        let mut out = Vec::new();
        if location::write(&bytes, &mut out).is_ok() {
            prop_assert!(!out.iter().any(u8::is_ascii_control));
        }
        let _ = location::write(ascii.as_bytes(), &mut out);
        let _ = predicate::Predicate::parse(&ascii);
        let _ = status_ranges::StatusRanges::parse([&ascii]);
        let _ = client_ip::IpSet::parse([&ascii]);
        let mut fields = Fields::new();
        fields.append(&Token::XForwardedFor, &bytes);
        let strategy = client_ip::IpStrategy::compile(1, &[], Some(64)).unwrap();
        let _ = strategy.client(IpAddr::from([1, 2, 3, 4]), &fields);
    }
}
