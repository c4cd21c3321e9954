//! headers: custom fields, CORS, security fields.

use super::*;

/// Runs a filter on a request; the request's lines (with `host`), or the answer.
fn request(options: &str, line: &str, fields: &[&str]) -> Result<Vec<String>, LocalResponse> {
    let mut exchange = Exchange::new(line, fields);
    let filter = [middleware(&format!("{{headers: {{{options}}}}}"))];
    match Shard::new().request(&filter, &mut exchange) {
        Some(answer) => Err(answer),
        None => {
            let host = format!("host: {}", text(exchange.rq.authority().unwrap()));
            Ok(lines(&exchange.rq.fields)
                .into_iter()
                .chain([host])
                .collect())
        }
    }
}

/// Runs a filter on a request that passes, and on the origin's response; the response's lines.
fn response(shard: &mut Shard, options: &str, fields: &[&str], origin: &[&str]) -> Vec<String> {
    let filter = [middleware(&format!("{{headers: {{{options}}}}}"))];
    let mut exchange = Exchange::new("GET /", fields);
    assert!(shard.request(&filter, &mut exchange).is_none(), "{options}");
    let mut rs = ResponseHead::new();
    rs.status = 200;
    for field in origin {
        let (name, value) = field.split_once(": ").unwrap();
        rs.fields
            .append(&FieldName::parse(name).unwrap(), value.as_bytes());
    }
    shard.response(&filter, &mut exchange, &mut rs);
    lines(&rs.fields)
}

#[test]
fn custom_request_fields_are_set_and_removed() {
    for (custom, fields, expected) in [
        ("X-New: v", &[][..], &["x-new: v", "host: h.test"][..]),
        (
            "x-a: '9'",
            &["X-A: 1", "X-A: 2"],
            &["x-a: 9", "host: h.test"],
        ),
        (
            "X-A: ''",
            &["X-A: 1", "X-A: 2", "X-B: 1"],
            &["x-b: 1", "host: h.test"],
        ),
        ("Host: other.test", &[], &["host: other.test"]),
        ("host: 'other.test:81'", &[], &["host: other.test:81"]),
        ("Host: ''", &[], &["host: h.test"]),
        ("X-A: '  a '", &[], &["x-a: a", "host: h.test"]),
        ("Content-Length: '7'", &[], &["host: h.test"]),
        ("Transfer-Encoding: chunked", &[], &["host: h.test"]),
        (
            "X-Forwarded-For: 9.9.9.9",
            &["X-Forwarded-For: 1.1.1.1"],
            &["x-forwarded-for: 9.9.9.9", "host: h.test"],
        ),
    ] {
        let lines = request(
            &format!("customRequestHeaders: {{{custom}}}"),
            "GET /",
            fields,
        )
        .unwrap();
        assert_eq!(lines, expected, "{custom}");
    }
}

#[test]
fn an_emptied_forwarded_for_keeps_the_proxy_from_adding_one() {
    // Traefik: in this spelling only.
    for (name, omitted) in [("X-Forwarded-For", true), ("x-forwarded-for", false)] {
        let filter = [middleware(&format!(
            "{{headers: {{customRequestHeaders: {{{name}: ''}}}}}}"
        ))];
        let mut exchange = Exchange::new("GET /", &["X-Forwarded-For: 1.1.1.1"]);
        assert!(Shard::new().request(&filter, &mut exchange).is_none());
        assert_eq!(exchange.rq.omit_forwarded_for, omitted);
        assert!(exchange.rq.fields.is_empty());
    }
}

#[test]
fn custom_response_fields_override_the_origins() {
    for (custom, origin, expected) in [
        (
            "X-New: v, X-Origin: '', Content-Type: text/x",
            &["X-Origin: o1", "Content-Type: a/b"][..],
            &["content-type: text/x", "x-new: v"][..],
        ),
        ("X-A: n", &["X-A: 1", "X-A: 2"], &["x-a: n"]),
        ("Server: ''", &["Server: x"], &[]),
        (
            "Set-Cookie: a=b",
            &["Set-Cookie: x", "Set-Cookie: y"],
            &["set-cookie: a=b"],
        ),
        // Go writes line breaks of a response's value as spaces.
        ("X-A: \"a\\r\\nb: c\"", &[], &["x-a: a  b: c"]),
        (
            "Content-Length: ''",
            &["Content-Length: 3"],
            &["content-length: 3"],
        ),
    ] {
        let lines = response(
            &mut Shard::new(),
            &format!("customResponseHeaders: {{{custom}}}"),
            &[],
            origin,
        );
        assert_eq!(lines, expected, "{custom}");
    }
}

const CORS: &str = "accessControlAllowMethods: [GET, PUT], accessControlAllowHeaders: [X-A, X-B], \
    accessControlAllowOriginList: ['https://a.test'], accessControlMaxAge: 100";
const STARS: &str = "accessControlAllowMethods: ['*'], accessControlAllowHeaders: ['*'], \
    accessControlAllowOriginList: ['*'], accessControlExposeHeaders: ['*']";
const ORIGIN: &str = "Origin: https://a.test";
const EVIL: &str = "Origin: https://evil.test";
const METHOD: &str = "Access-Control-Request-Method: PUT";
const ASKED: &str = "Access-Control-Request-Headers: X-Z";

#[test]
fn a_preflight_is_answered_here() {
    let with_credentials =
        |options: &str| format!("{options}, accessControlAllowCredentials: true");
    for (options, fields, expected) in [
        (
            CORS.to_owned(),
            &[ORIGIN, METHOD, ASKED][..],
            &[
                "access-control-allow-headers: X-A,X-B",
                "access-control-allow-methods: GET,PUT",
                "access-control-allow-origin: https://a.test",
                "access-control-max-age: 100",
            ][..],
        ),
        (
            CORS.to_owned(),
            &[EVIL, METHOD, ASKED],
            &[
                "access-control-allow-headers: X-A,X-B",
                "access-control-allow-methods: GET,PUT",
                "access-control-max-age: 100",
            ],
        ),
        (
            with_credentials(CORS),
            &[ORIGIN, METHOD, ASKED],
            &[
                "access-control-allow-credentials: true",
                "access-control-allow-headers: X-A,X-B",
                "access-control-allow-methods: GET,PUT",
                "access-control-allow-origin: https://a.test",
                "access-control-max-age: 100",
            ],
        ),
        (
            STARS.to_owned(),
            &[ORIGIN, METHOD, ASKED],
            &[
                "access-control-allow-headers: *",
                "access-control-allow-methods: *",
                "access-control-allow-origin: *",
                "access-control-expose-headers: *",
            ],
        ),
        (
            with_credentials(STARS),
            &[ORIGIN, METHOD, ASKED],
            &[
                "access-control-allow-credentials: true",
                "access-control-allow-headers: X-Z",
                "access-control-allow-methods: PUT",
                "access-control-allow-origin: https://a.test",
            ],
        ),
        (
            with_credentials(STARS),
            &[ORIGIN, METHOD],
            &[
                "access-control-allow-credentials: true",
                "access-control-allow-methods: PUT",
                "access-control-allow-origin: https://a.test",
            ],
        ),
        (
            "accessControlMaxAge: 0".to_owned(),
            &[ORIGIN, METHOD],
            &["access-control-max-age: 0"],
        ),
        // Neither the security fields nor the check of the host come before it.
        (
            format!("{CORS}, frameDeny: true, allowedHosts: [x.test]"),
            &[ORIGIN, METHOD],
            &[
                "access-control-allow-headers: X-A,X-B",
                "access-control-allow-methods: GET,PUT",
                "access-control-allow-origin: https://a.test",
                "access-control-max-age: 100",
            ],
        ),
    ] {
        let answer = request(&options, "OPTIONS /", fields).expect_err(&options);
        assert_eq!((answer.status, &*answer.body), (200, &b""[..]));
        assert_eq!(lines(&answer.fields), expected, "{options} {fields:?}");
    }
}

#[test]
fn what_is_no_preflight_goes_on() {
    for (options, line, fields) in [
        (CORS, "GET /", &[ORIGIN, METHOD][..]),
        (CORS, "OPTIONS /", &[ORIGIN]),
        (CORS, "OPTIONS /", &[METHOD]),
        (
            "customRequestHeaders: {X-A: b}",
            "OPTIONS /",
            &[ORIGIN, METHOD],
        ),
        ("frameDeny: true", "OPTIONS /", &[ORIGIN, METHOD]),
    ] {
        assert!(
            request(options, line, fields).is_ok(),
            "{options} {line} {fields:?}"
        );
    }
}

#[test]
fn responses_get_the_cors_fields() {
    let list = "accessControlAllowOriginList: ['*']";
    for (options, fields, origin, expected) in [
        (
            CORS.to_owned(),
            &[ORIGIN][..],
            &[][..],
            &["access-control-allow-origin: https://a.test"][..],
        ),
        (CORS.to_owned(), &[EVIL], &[], &[]),
        (CORS.to_owned(), &[], &[], &[]),
        (
            CORS.to_owned(),
            &[ORIGIN],
            &["Access-Control-Allow-Origin: zz"],
            &["access-control-allow-origin: https://a.test"],
        ),
        (
            CORS.to_owned(),
            &[EVIL],
            &["Access-Control-Allow-Origin: zz"],
            &["access-control-allow-origin: zz"],
        ),
        (
            format!("{list}, accessControlExposeHeaders: [X-E, X-F]"),
            &[],
            &[],
            &[
                "access-control-allow-origin: *",
                "access-control-expose-headers: X-E,X-F",
            ],
        ),
        (
            format!(
                "{list}, accessControlExposeHeaders: ['*'], accessControlAllowCredentials: true"
            ),
            &[ORIGIN],
            &[],
            &[
                "access-control-allow-credentials: true",
                "access-control-allow-origin: https://a.test",
            ],
        ),
        (
            format!("{list}, accessControlAllowCredentials: true"),
            &[],
            &[],
            &[
                "access-control-allow-credentials: true",
                "access-control-allow-origin: ",
            ],
        ),
        (
            "accessControlAllowOriginListRegex: ['a\\.test']".to_owned(),
            &[ORIGIN],
            &[],
            &["access-control-allow-origin: https://a.test"],
        ),
        (
            "accessControlAllowOriginListRegex: ['b\\.test']".to_owned(),
            &[ORIGIN],
            &[],
            &[],
        ),
        (
            "addVaryHeader: true".to_owned(),
            &[],
            &[],
            &["vary: Origin"],
        ),
        (
            "addVaryHeader: true".to_owned(),
            &[],
            &["Vary: Accept"],
            &["vary: Accept,Origin"],
        ),
        (
            "addVaryHeader: true".to_owned(),
            &[],
            &["Vary: Origin"],
            &["vary: Origin"],
        ),
        (
            "addVaryHeader: true".to_owned(),
            &[],
            &["Vary: Accept", "Vary: X"],
            &["vary: Accept,Origin"],
        ),
        (
            "addVaryHeader: true".to_owned(),
            &[],
            &["Vary: Accept,Origin"],
            &["vary: Accept,Origin,Origin"],
        ),
        // CORS goes last.
        (
            format!("{list}, customResponseHeaders: {{Access-Control-Allow-Origin: zz}}"),
            &[],
            &[],
            &["access-control-allow-origin: *"],
        ),
    ] {
        assert_eq!(
            response(&mut Shard::new(), &options, fields, origin),
            expected,
            "{options} {fields:?}"
        );
    }
}

#[test]
fn responses_get_the_security_fields() {
    const ALL: &str = "frameDeny: true, contentTypeNosniff: true, browserXssFilter: true, contentSecurityPolicy: csp, \
        contentSecurityPolicyReportOnly: ro, publicKey: pk, referrerPolicy: rp, permissionsPolicy: pp, stsSeconds: 10";
    const SET: [&str; 7] = [
        "content-security-policy-report-only: ro",
        "content-security-policy: csp",
        "permissions-policy: pp",
        "referrer-policy: rp",
        "x-content-type-options: nosniff",
        "x-frame-options: DENY",
        "x-xss-protection: 1; mode=block",
    ];
    assert_eq!(response(&mut Shard::new(), ALL, &[], &[]), SET);
    let mut secure: Vec<String> = SET.iter().map(|&line| line.to_owned()).collect();
    secure.extend([
        "public-key-pins: pk".to_owned(),
        "strict-transport-security: max-age=10".to_owned(),
    ]);
    secure.sort();
    assert_eq!(response(&mut Shard::secure(), ALL, &[], &[]), secure);
    for (options, origin, expected) in [
        (
            "customFrameOptionsValue: SAMEORIGIN, frameDeny: true, customBrowserXSSValue: x=1, browserXssFilter: true",
            &[][..],
            &["x-frame-options: SAMEORIGIN", "x-xss-protection: x=1"][..],
        ),
        (
            "frameDeny: true",
            &["X-Frame-Options: SAMEORIGIN"],
            &["x-frame-options: DENY"],
        ),
        (
            "frameDeny: true, customResponseHeaders: {X-Frame-Options: Z}",
            &[],
            &["x-frame-options: Z"],
        ),
        (
            "frameDeny: true, customResponseHeaders: {X-Frame-Options: ''}",
            &[],
            &[],
        ),
        (
            "isDevelopment: true, frameDeny: true, stsSeconds: 10, forceSTSHeader: true, allowedHosts: [zz]",
            &[],
            &["x-frame-options: DENY"],
        ),
    ] {
        assert_eq!(
            response(&mut Shard::new(), options, &[], origin),
            expected,
            "{options}"
        );
    }
}

#[test]
fn strict_transport_security_is_for_tls_unless_forced() {
    for (options, fields, expected) in [
        ("stsSeconds: 10", &[][..], None),
        (
            "stsSeconds: 10, stsIncludeSubdomains: true, stsPreload: true, forceSTSHeader: true",
            &[],
            Some("max-age=10; includeSubDomains; preload"),
        ),
        (
            "stsSeconds: 10, stsPreload: true, forceSTSHeader: true",
            &[],
            Some("max-age=10; preload"),
        ),
        ("stsSeconds: 0, forceSTSHeader: true", &[], None),
        (
            "stsSeconds: -5, forceSTSHeader: true",
            &[],
            Some("max-age=-5"),
        ),
        (
            "stsSeconds: 10, sslProxyHeaders: {X-My: on}",
            &["X-My: on"],
            Some("max-age=10"),
        ),
        (
            "stsSeconds: 10, sslProxyHeaders: {x-my: on}",
            &["X-My: ON"],
            None,
        ),
        (
            "stsSeconds: 10, sslProxyHeaders: {x-my: ''}",
            &[],
            Some("max-age=10"),
        ),
    ] {
        let lines = response(&mut Shard::new(), options, fields, &[]);
        let expected: Vec<_> = expected
            .iter()
            .map(|value| format!("strict-transport-security: {value}"))
            .collect();
        assert_eq!(lines, expected, "{options} {fields:?}");
    }
}

#[test]
fn other_hosts_than_the_allowed_are_refused() {
    for (options, fields, allowed) in [
        ("allowedHosts: [H.TEST]", &[][..], true),
        ("allowedHosts: [x.test]", &[], false),
        ("allowedHosts: [h.test]", &["Host: h.test:80"], false),
        (
            "allowedHosts: [ok.test], hostsProxyHeaders: [X-My-Host]",
            &["X-My-Host: ok.test"],
            true,
        ),
        (
            "allowedHosts: [ok.test], hostsProxyHeaders: [X-My-Host, X-O]",
            &["X-O: ok.test"],
            true,
        ),
        (
            "allowedHosts: [h.test], hostsProxyHeaders: [X-My-Host]",
            &["X-My-Host: no.test"],
            false,
        ),
        // The custom fields come first.
        (
            "allowedHosts: [ok.test], customRequestHeaders: {Host: ok.test}",
            &[],
            true,
        ),
    ] {
        assert_eq!(
            request(options, "GET /", fields).is_ok(),
            allowed,
            "{options} {fields:?}"
        );
    }
    let options = "allowedHosts: [x.test], frameDeny: true, customResponseHeaders: {X-A: '1'}";
    let answer = request(options, "GET /", &[]).unwrap_err();
    assert_eq!((answer.status, &*answer.body), (500, &b"Bad Host\n"[..]));
    let expected = [
        "content-type: text/plain; charset=utf-8",
        "x-a: 1",
        "x-content-type-options: nosniff",
    ];
    assert_eq!(lines(&answer.fields), expected);
}

#[test]
fn each_response_has_its_own_nonce() {
    let options = "contentSecurityPolicy: 'script-src $NONCE; style-src $NONCE'";
    let mut shard = Shard::new();
    let policies: Vec<_> = (0..2)
        .map(|_| response(&mut shard, options, &[], &[]).remove(0))
        .collect();
    for policy in &policies {
        let parts: Vec<_> = policy.split('\'').collect();
        assert_eq!(parts.len(), 5, "{policy}");
        assert_eq!(parts[1], parts[3]);
        assert_eq!(parts[1].strip_prefix("nonce-").map(str::len), Some(22));
    }
    assert_ne!(policies[0], policies[1]);
}

#[test]
fn options_without_effect_are_warnings() {
    let filter = middleware("{headers: {sslRedirect: true, sslHost: x.test, featurePolicy: fp}}");
    let warnings = filter.warnings();
    assert_eq!(warnings.len(), 3);
    assert!(
        warnings[0].starts_with("headers.sslRedirect: is deprecated"),
        "{warnings:?}"
    );
}
