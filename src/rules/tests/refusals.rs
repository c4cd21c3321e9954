//! Rules that are refused: with which words, at which place, and with which hint.

use super::*;

#[test]
fn wrong_arguments_are_refused_with_their_place() {
    for (rule, syntax, span, message) in [
        (
            "ClientIP(`1`)",
            Syntax::V3,
            9..12,
            "expected an IP address or a CIDR range",
        ),
        (
            "ClientIP(`10.0.0.0/33`)",
            Syntax::V3,
            9..22,
            "expected an IP address or a CIDR range",
        ),
        (
            "Host()",
            Syntax::V3,
            0..6,
            "expected exactly 1 argument for Host, found 0",
        ),
        (
            "Host(``)",
            Syntax::V3,
            5..7,
            "expected a value for Host, found an empty string",
        ),
        (
            "Host(`a`, `b`)",
            Syntax::V3,
            0..14,
            "expected exactly 1 argument for Host, found 2",
        ),
        (
            "Host(`é.test`)",
            Syntax::V3,
            5..14,
            "expected ASCII in Host, found other characters",
        ),
        (
            "HostRegexp(`é`)",
            Syntax::V2,
            11..15,
            "expected ASCII in HostRegexp, found other characters",
        ),
        (
            "Path(`css`)",
            Syntax::V3,
            5..10,
            "expected a leading `/` in Path",
        ),
        (
            "PathPrefix(`css`)",
            Syntax::V2,
            11..16,
            "expected a leading `/` in PathPrefix",
        ),
        (
            "Method(`GET`, `POST`)",
            Syntax::V3,
            0..21,
            "expected exactly 1 argument for Method, found 2",
        ),
        (
            "Header(`X-A`)",
            Syntax::V3,
            0..13,
            "expected exactly 2 arguments for Header, found 1",
        ),
        (
            "Header(`X-A`, ``)",
            Syntax::V3,
            14..16,
            "expected a value for Header, found an empty string",
        ),
        (
            "Query(`a`, `b`, `c`)",
            Syntax::V3,
            0..20,
            "expected 1 or 2 arguments for Query, found 3",
        ),
        (
            "Query(`a`, ``)",
            Syntax::V3,
            11..13,
            "expected a value for Query, found an empty string",
        ),
        (
            "HostRegexp(`(a`)",
            Syntax::V3,
            12..13,
            "invalid regular expression: missing `)` for this group",
        ),
        (
            "Path(`/`) && PathRegexp(`/ab[`)",
            Syntax::V3,
            28..29,
            "invalid regular expression: missing `]` for this class",
        ),
        (
            "PathRegexp(\"/\\x61[\")",
            Syntax::V3,
            11..19,
            "invalid regular expression: missing `]` for this class",
        ),
        (
            "QueryRegexp(`q`, `a**`)",
            Syntax::V3,
            20..21,
            "invalid regular expression: invalid nested repetition operator `*`",
        ),
        (
            "HeaderRegexp(`a`, `(?=b)`)",
            Syntax::V3,
            19..20,
            "invalid regular expression: Go's regular expressions (RE2) have no look-ahead and look-behind",
        ),
        (
            "PathRegexp(`\\p{Nonsense}`)",
            Syntax::V3,
            11..25,
            "invalid regular expression: Unicode property not found",
        ),
        (
            "Headers(`a`)",
            Syntax::V2,
            0..12,
            "expected pairs of a name and a value for Headers, found 1",
        ),
        (
            "Headers(`a`, `b`, `c`)",
            Syntax::V2,
            0..22,
            "expected pairs of a name and a value for Headers, found 3",
        ),
        (
            "Query(`titi`)",
            Syntax::V2,
            0..13,
            "expected `key=value` in Query, found a key without value",
        ),
        (
            "Query(`titi={test`)",
            Syntax::V2,
            12..13,
            "invalid regular expression: unbalanced `{` in the template",
        ),
        (
            "HostRegexp(`{test`)",
            Syntax::V2,
            12..13,
            "invalid regular expression: unbalanced `{` in the template",
        ),
        (
            "Path(`/{id:[}`)",
            Syntax::V2,
            11..12,
            "invalid regular expression: missing `]` for this class",
        ),
        (
            "Path(``, `/x`)",
            Syntax::V2,
            5..7,
            "expected a value for Path, found an empty string",
        ),
        (
            "Host(tchouk)",
            Syntax::V2,
            5..11,
            "expected a string, found `tchouk`",
        ),
        (
            "Host(`h`",
            Syntax::V3,
            8..8,
            "expected `,` or `)`, found the end of the rule",
        ),
    ] {
        let error = refused(rule, syntax);
        assert_eq!(error.message(), message, "{rule}");
        assert_eq!(error.span(), span, "{rule}\n{error}");
    }
}

#[test]
fn misspelt_and_foreign_matchers_get_a_hint() {
    for (rule, syntax, hint) in [
        ("Hots(`a`)", Syntax::V3, "did you mean `Host`?"),
        ("PathPrefx(`/`)", Syntax::V3, "did you mean `PathPrefix`?"),
        (
            "Headers(`a`, `b`)",
            Syntax::V3,
            "this is a matcher of v2: write `Header`, or set ruleSyntax: v2",
        ),
        (
            "PathRegexp(`/`)",
            Syntax::V2,
            "this is a matcher of v3: write Path(`/{name:regexp}`), or set ruleSyntax: v3",
        ),
        (
            "HostSNI(`a`)",
            Syntax::V3,
            "this is a matcher for TCP routers",
        ),
        (
            "Frobnicate(`a`)",
            Syntax::V3,
            "the matchers are ClientIP, Method, Host, HostRegexp, Path, PathPrefix, PathRegexp, Header, HeaderRegexp, Query, QueryRegexp",
        ),
        (
            "Host(`a`, `b`)",
            Syntax::V3,
            "write Host(`a`) || Host(`b`), or set ruleSyntax: v2 for lists",
        ),
        ("Host('a')", Syntax::V3, "write `a`"),
        (
            "Host(`a`)\n&& Path(`/`)",
            Syntax::V3,
            "a rule may go on in the next line only after an operator: end the line with `&&` or `||`",
        ),
    ] {
        assert_eq!(refused(rule, syntax).hint(), Some(hint), "{rule}");
    }
}

#[test]
fn an_error_shows_the_rule_with_a_caret() {
    let error = refused("Host(`a.test`) &&\n  Pth(`/x`)", Syntax::V3);
    assert_eq!(
        error.to_string(),
        "line 2:\n  Pth(`/x`)\n  ^^^ expected a matcher, found `Pth`\nhint: did you mean `Path`?"
    );
}
