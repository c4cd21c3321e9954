//! Behaviour of the matchers, as tables: rule, request, match or not.

use super::*;

/// Rule, host, target, whether it matches.
type Row = (&'static str, &'static str, &'static str, bool);

fn check(syntax: Syntax, rows: &[Row]) {
    for &(rule, host, target, expected) in rows {
        assert_eq!(
            matches(rule, syntax, &Get::new(host, target)),
            expected,
            "{rule} on {host}{target}"
        );
    }
}

#[test]
fn host_is_compared_without_case_and_with_one_trailing_dot() {
    check(
        Syntax::V3,
        &[
            ("Host(`example.com`)", "example.com", "/", true),
            ("Host(`example.com`)", "EXAMPLE.com", "/x", true),
            ("Host(`EXAMPLE.COM`)", "example.com", "/", true),
            ("Host(`example.com`)", "example.org", "/", false),
            ("Host(`example.com`)", "a.example.com", "/", false),
            ("Host(`example.com`)", "example.com.", "/", true),
            ("Host(`example.com`)", "example.com..", "/", false),
            ("Host(`example.com.`)", "example.com", "/", true),
            ("Host(`example.com.`)", "example.com.", "/", true),
            ("Host(`example.com.`)", "example.org.", "/", false),
            ("Host(`example.com`)", "", "/", false),
            ("Host(`127.0.0.1`)", "127.0.0.1", "/", true),
            ("Host(`10::10`)", "10::10", "/", true),
            ("Host(`xn--9t9h.com`)", "xn--9t9h.com", "/", true),
            ("Host(\"ex\\x61mple.com\")", "example.com", "/", true),
        ],
    );
}

#[test]
fn a_host_wildcard_is_one_label_and_a_star_is_everything() {
    check(
        Syntax::V3,
        &[
            ("Host(`*.example.com`)", "test.example.com", "/", true),
            ("Host(`*.Example.com`)", "test.example.com.", "/", true),
            ("Host(`*.example.com`)", "example.com", "/", false),
            ("Host(`*.example.com`)", "a.b.example.com", "/", false),
            ("Host(`*.example.com`)", "test.otherexample.com", "/", false),
            ("Host(`*`)", "any.test", "/", true),
            ("Host(`*`)", "", "/", true),
            ("!Host(`*`)", "any.test", "/", false),
            ("Host(`*foo.com`)", "barfoo.com", "/", false),
            ("Host(`*foo.com`)", "*foo.com", "/", false),
            ("!Host(`*foo.com`)", "barfoo.com", "/", true),
        ],
    );
}

#[test]
fn host_regexp_is_unanchored_and_matches_all_if_it_matches_nothing() {
    check(
        Syntax::V3,
        &[
            (
                "HostRegexp(`stregexp-unanch`)",
                "a.hostregexp-unanchored.test",
                "/",
                true,
            ),
            ("HostRegexp(`^[a-zA-Z-]+\\.com$`)", "example.com", "/", true),
            (
                "HostRegexp(`^[a-zA-Z-]+\\.com$`)",
                "example.org",
                "/",
                false,
            ),
            ("HostRegexp(`^[A-Z]+\\.com$`)", "EXAMPLE.com", "/", false),
            (
                "HostRegexp(`{domain:[a-zA-Z-]+\\.com}`)",
                "example.com",
                "/",
                false,
            ),
            ("HostRegexp(`x*`)", "example.com", "/", true),
            ("HostRegexp(`^(a\\.test)?$`)", "b.test", "/", true),
            ("!HostRegexp(`x*`)", "example.com", "/", false),
        ],
    );
}

#[test]
fn paths_are_compared_byte_by_byte() {
    check(
        Syntax::V3,
        &[
            ("Path(`/css`)", "h", "/css", true),
            ("Path(`/css`)", "h", "/css/", false),
            ("Path(`/css`)", "h", "/CSS", false),
            ("Path(`/a%2Fb`)", "h", "/a%2Fb", true),
            ("Path(`/foo bar`)", "h", "/foo bar", true),
            ("PathPrefix(`/api`)", "h", "/apiv2", true),
            ("PathPrefix(`/api`)", "h", "/ap", false),
            ("PathPrefix(\"/css\")", "h", "/css/main.css", true),
            ("PathPrefix(`/`)", "h", "*", false),
            ("PathRegexp(`oo/[0-9]+`)", "h", "/foo/12/x", true),
            ("PathRegexp(`^/(css|js)`)", "h", "/js/main.js", true),
            ("PathRegexp(`^/(css|js)`)", "h", "/CSS", false),
            (
                "PathRegexp(\"/{path:(css|js)}\")",
                "h",
                "/{path:css}/",
                true,
            ),
            ("PathRegexp(\"/{path:(css|js)}\")", "h", "/css", false),
        ],
    );
}

#[test]
fn the_method_of_a_rule_is_upper_cased_and_that_of_a_request_is_not() {
    for (rule, method, expected) in [
        ("Method(`GET`)", "GET", true),
        ("Method(`get`)", "GET", true),
        ("Method(`GET`)", "get", false),
        ("Method(`GET`)", "POST", false),
    ] {
        for syntax in [Syntax::V3, Syntax::V2] {
            let request = Get::new("h", "/").method(method);
            assert_eq!(matches(rule, syntax, &request), expected, "{rule} {method}");
        }
    }
    assert!(matches(
        "Method(`GET`, `post`)",
        Syntax::V2,
        &Get::new("h", "/").method("POST")
    ));
}

#[test]
fn a_header_matches_if_any_of_its_lines_does() {
    let request = || {
        Get::new("h", "/")
            .header("X-A", "v1")
            .header("x-a", "v2")
            .header("Host", "h")
            .header("Connection", "close")
    };
    for (rule, expected) in [
        ("Header(`X-A`, `v1`)", true),
        ("Header(`x-a`, `v2`)", true),
        ("Header(`X-A`, `v`)", false),
        ("Header(`X-A`, `v1, v2`)", false),
        ("Header(`X-A`, `V1`)", false),
        ("Header(`X-B`, `v1`)", false),
        ("HeaderRegexp(`X-A`, `2`)", true),
        ("HeaderRegexp(`x-A`, `^v$`)", false),
        ("HeaderRegexp(`X-A`, `http{secure:s?}`)", false),
        ("HeaderRegexp(`X-B`, ` *`)", false),
        ("Header(`Host`, `h`)", false),
        ("Header(`Connection`, `close`)", false),
        ("HeaderRegexp(`connection`, `.`)", false),
    ] {
        assert_eq!(matches(rule, Syntax::V3, &request()), expected, "{rule}");
    }
    for (rule, expected) in [
        ("Headers(`X-A`, `v2`)", true),
        ("HeadersRegexp(`X-A`, `v[0-9]`)", true),
        ("HeadersRegexp(`X-A`, `^v$`)", false),
        ("Headers(`X-A`, `v1`, `X-B`, `x`)", false),
        ("Headers(`X-A`, `v1`, `x-a`, `v2`)", true),
        ("!Headers(`X-A`, `v1`, `X-B`, `x`)", true),
    ] {
        assert_eq!(matches(rule, Syntax::V2, &request()), expected, "{rule}");
    }
}

#[test]
fn a_query_key_without_value_means_an_empty_value() {
    check(
        Syntax::V3,
        &[
            ("Query(`q`, `traefik`)", "h", "/?q=traefik", true),
            ("Query(`q`, `traefik`)", "h", "/?rel=ddg&q=traefik", true),
            ("Query(`q`, `traefik`)", "h", "/?q=awesome&q=traefik", true),
            ("Query(`q`, `traefik`)", "h", "/?q=TRAEFIK", false),
            ("Query(`q`, `traefik`)", "h", "/?Q=traefik", false),
            ("Query(`q`, `traefik`)", "h", "/", false),
            ("Query(`mobile`)", "h", "/?mobile", true),
            ("Query(`mobile`)", "h", "/?mobile=", true),
            ("Query(`mobile`)", "h", "/?mobile=true", false),
            ("Query(`mobile`)", "h", "/?mobile=true&mobile", true),
            ("Query(`a b`, `c&d`)", "h", "/?a+b=c%26d", true),
            ("Query(`a`, `1`)", "h", "/?b=2;a=1", true),
            ("Query(`a`, `1`)", "h", "/?a=%zz&b=1", false),
            ("QueryRegexp(`a`, `b+`)", "h", "/?a=xbbx", true),
            ("QueryRegexp(`a`, `^b c$`)", "h", "/?a=b+c", true),
            ("QueryRegexp(`a`, `^b c$`)", "h", "/?a=b%20c", true),
            ("QueryRegexp(`q`, `^.*$`)", "h", "/?rel=x", false),
            ("QueryRegexp(`q`, `^.*$`)", "h", "/?q", true),
            ("QueryRegexp(`mobile`)", "h", "/?mobile", true),
            ("QueryRegexp(`mobile`)", "h", "/?mobile=x", false),
            (
                "QueryRegexp(`q`, `{value:(a|b)}`)",
                "h",
                "/?q={value:a}",
                true,
            ),
        ],
    );
}

#[test]
fn client_ip_is_an_address_or_a_range_of_either_family() {
    for (rule, ip, expected) in [
        ("ClientIP(`127.0.0.1`)", "127.0.0.1", true),
        ("ClientIP(`127.0.0.1`)", "::ffff:127.0.0.1", true),
        ("ClientIP(`127.0.0.1`)", "192.168.1.1", false),
        ("ClientIP(`192.168.1.0/24`)", "192.168.1.100", true),
        ("ClientIP(`192.168.1.77/24`)", "192.168.1.100", true),
        ("ClientIP(`192.168.1.0/24`)", "192.168.2.1", false),
        ("ClientIP(`::ffff:10.0.0.0/104`)", "10.1.2.3", true),
        ("ClientIP(`::ffff:10.0.0.1`)", "10.0.0.1", true),
        ("ClientIP(`10::10`)", "10::10", true),
        ("ClientIP(`10::/16`)", "10::10", true),
        ("ClientIP(`11::/16`)", "10::10", false),
        ("ClientIP(`::/0`)", "10.0.0.1", false),
        ("ClientIP(`0.0.0.0/0`)", "10::1", false),
        ("!ClientIP(`10.0.0.0/8`)", "10.0.0.1", false),
    ] {
        assert_eq!(
            matches(rule, Syntax::V3, &Get::new("h", "/").from(ip)),
            expected,
            "{rule} {ip}"
        );
    }
    let listed = "ClientIP(`11.0.0.0/16`, `10.0.0.0`)";
    assert!(matches(
        listed,
        Syntax::V2,
        &Get::new("h", "/").from("10.0.0.0")
    ));
    assert!(!matches(
        listed,
        Syntax::V2,
        &Get::new("h", "/").from("10.0.0.1")
    ));
}

#[test]
fn operators_combine_as_in_go() {
    let rows = |rule: &'static str, expected: [bool; 4]| {
        let requests = [("a", "/x"), ("a", "/y"), ("b", "/x"), ("c", "/y")];
        for ((host, path), expected) in requests.into_iter().zip(expected) {
            check(Syntax::V3, &[(rule, host, path, expected)]);
        }
    };
    rows("Host(`a`) || Host(`b`)", [true, true, true, false]);
    rows(
        "Host(`a`) || Host(`b`) && Path(`/y`)",
        [true, true, false, false],
    );
    rows(
        "(Host(`a`) || Host(`b`)) && Path(`/x`)",
        [true, false, true, false],
    );
    rows("!Host(`a`)", [false, false, true, true]);
    rows("!(Host(`a`) || Host(`b`))", [false, false, false, true]);
    rows("!(Host(`a`) && Path(`/x`))", [false, true, true, true]);
    rows("!(Host(`a`) && !Path(`/x`))", [true, false, true, true]);
    rows("!(!(Host(`a`) && Path(`/x`)))", [true, false, false, false]);
    rows("!Host(`a`) && Path(`/x`)", [false, false, true, false]);
    rows("!!!Host(`a`)", [false, false, true, true]);
    rows(
        "Host(`a`) && (Path(`/y`) || !Method(`GET`))",
        [false, true, false, false],
    );
}

#[test]
fn names_have_four_spellings() {
    for name in ["PathPrefix", "pathprefix", "PATHPREFIX", "Pathprefix"] {
        assert!(parse(&format!("{name}(`/`)"), Syntax::V3).is_ok(), "{name}");
    }
    for name in ["pathPrefix", "PATHprefix", "PathPREFIX", "pathpreFix"] {
        let error = refused(&format!("{name}(`/`)"), Syntax::V3);
        assert_eq!(error.hint(), Some("did you mean `PathPrefix`?"), "{name}");
    }
    assert!(parse("Clientip(`::1`) || CLIENTIP(`::1`)", Syntax::V3).is_ok());
}

#[test]
fn the_lists_and_templates_of_v2_match_as_gorilla_does() {
    check(
        Syntax::V2,
        &[
            ("Host(`x.test`, `h.test`)", "h.test", "/", true),
            ("HostHeader(`H.test`)", "h.test.", "/", true),
            ("Host(`h.test.`)", "h.test", "/", true),
            ("Host(`*.test`)", "h.test", "/", false),
            ("Host(`a,h.test`)", "h.test", "/", false),
            ("HostRegexp(`h.test`)", "h.test", "/", true),
            ("HostRegexp(`h.test`)", "h.test.", "/", false),
            ("HostRegexp(`H.Test`)", "h.test", "/", true),
            ("HostRegexp(`h.test`, `i.test`)", "i.test", "/", true),
            ("HostRegexp(`(example.com`)", "example.com", "/", false),
            ("HostRegexp(`^[A-Z]+\\.com$`)", "example.com", "/", false),
            (
                "HostRegexp(`{sub:(foo\\.)?bar\\.com}`)",
                "foo.bar.com",
                "/",
                true,
            ),
            (
                "HostRegexp(`{sub:(?:foo\\.)?bar\\.com}`)",
                "bar.com",
                "/",
                true,
            ),
            (
                "HostRegexp(`{sub:(foo\\.)?bar\\.com}`)",
                "fooubar.com",
                "/",
                false,
            ),
            (
                "HostRegexp(`{d:[A-Z-]+\\.bar\\.com}`)",
                "foo.bar.com",
                "/",
                true,
            ),
            ("HostRegexp(`{d}.bar.com`)", "a.b.bar.com", "/", false),
            ("HostRegexp(`{d:(foo)?}`)", "bar", "/", false),
            ("HostRegexp(`{d:(foo)?}`)", "", "/", true),
            ("HostRegexp(`{d}.bar.com`)", "a.bar.com", "/", true),
            ("Path(`/css`, `/js`)", "h", "/js", true),
            ("Path(`/css`, `/js`)", "h", "/js/main.js", false),
            ("Path(`/css{path:(/.*)?}`)", "h", "/css/main.css", true),
            ("Path(`/css{path:(/.*)?}`)", "h", "/css.css", false),
            ("Path(`/p/{id}`)", "h", "/p/7", true),
            ("Path(`/p/{id}`)", "h", "/p/7/x", false),
            ("PathPrefix(`/p/{id}`)", "h", "/p/7/x", true),
            ("PathPrefix(`/css`, `/js`)", "h", "/js/main.js", true),
            (
                "PathPrefix(`/css-{name:[0-9]?}`)",
                "h",
                "/css-333/c.css",
                true,
            ),
            ("PathPrefix(`/css-{name:[0-9]?}`)", "h", "/css.css", false),
            (
                "Query(`foo=bar`, `bar=baz`)",
                "h",
                "/?foo=bar&bar=baz",
                true,
            ),
            ("Query(`foo=bar`, `bar=baz`)", "h", "/?bar=baz", false),
            ("Query(`foo=b=ar`)", "h", "/?foo=b=ar", true),
            ("Query(`foo=b=ar`)", "h", "/?foo=bar", false),
            ("Query(`foo=`)", "h", "/?foo=anything", true),
            ("Query(`foo=`)", "h", "/?bar=anything", false),
            ("Query(`foo`, `bar`)", "h", "/?foo=bar", true),
            ("Query(`id={id:[0-9]+}`)", "h", "/?id=12", true),
            ("Query(`id={id:[0-9]+}`)", "h", "/?id=1x", false),
            ("Query(`a=1`)", "h", "/?a=2&a=1", false),
            ("!Query(`foo=bar`, `bar=baz`)", "h", "/?bar=baz", true),
            ("!Query(`foo=bar`)", "h", "/?foo=bar", false),
            ("!(Host(`a`,`b`) && Path(`/x`, `/y`))", "b", "/y", false),
            ("!(Host(`a`,`b`) && Path(`/x`, `/y`))", "b", "/z", true),
            ("!Host(`a`,`b`)", "b", "/", false),
        ],
    );
}
