//! What Go matches and refuses, matched and refused here.

use super::super::regex::{Pattern, RegexCaches};
use super::*;

fn found(pattern: &str, text: &[u8]) -> bool {
    let translated = translate(pattern).unwrap_or_else(|e| panic!("{pattern}: {e:?}"));
    let compiled = Pattern::compile(&translated.text).unwrap_or_else(|e| panic!("{pattern}: {e}"));
    RegexCaches::default().is_match(&compiled, text)
}

#[test]
fn what_go_matches_matches() {
    for (pattern, text, expected) in [
        ("b+", "abbc", true),
        ("^a$", "ba", false),
        (r"^\d+$", "12", true),
        (r"^\d$", "\u{0663}", false),
        (r"^\D$", "\u{0663}", true),
        (r"^[\d]$", "\u{0663}", false),
        (r"^[^\d]$", "\u{0663}", true),
        (r"^\w+$", "az_09", true),
        (r"^\w$", "\u{e9}", false),
        (r"\ba", "\u{e9}a", true),
        (r"^\s\S$", " x", true),
        ("{x:a+}", "{x:aa}", true),
        ("a{,2}", "a{,2}", true),
        ("a{01}", "a{01}", true),
        ("^a{2}$", "aa", true),
        ("^a{1,}$", "aaa", true),
        ("x{}", "x{}", true),
        (r"^[[a]$", "[", true),
        (r"^[a&&b]+$", "a&b", true),
        (r"^[+--]+$", "+,-", true),
        (r"^[a-c-e]+$", "b-e", true),
        (r"^[]a]+$", "]a", true),
        (r"^[^]a]$", "]", false),
        (r"^[a~~b-]+$", "a~-", true),
        (r"^[[:alpha:]_]+$", "ab_", true),
        (r"^[[:^alpha:]]$", "1", true),
        (r"^[[:]$", ":", true),
        (r"^[\x41-\x{5A}\n]+$", "AZ\n", true),
        (r"^\Qa.b*\E+$", "a.b**", true),
        (r"^\Qa.b", "a.b", true),
        (r"^\101\x41\x{1F9AD}$", "AA\u{1F9AD}", true),
        (r"^\<\_\-\/\#$", "<_-/#", true),
        (r"^\p{Greek}\pL\P{^Lu}$", "\u{3b1}aA", true),
        (r"^(?P<a>x)(?<b>y)(z)$", "xyz", true),
        (r"(?i)^ABC$", "abc", true),
        (r"^(?i:a)b$", "Ab", true),
        (r"^(?i-s:a)$", "A", true),
        (r"(?ii)A", "a", true),
        (r"(?m)^b$", "a\nb\nc", true),
        (r"(?s)^.$", "\n", true),
        (r"^.$", "\n", false),
        (r"^a|b$", "ax", true),
        (r"^[^a]$", "\n", true),
        (r"a||b", "", true),
        (r"()", "", true),
        (r"^*a", "a", true),
        (r"a\z", "a\n", false),
        ("^x y$", "x y", true),
        ("^a # b$", "a # b", true),
        ("(?)a", "a", true),
        (r"\A\Aa", "a", true),
        ("^a.??b$", "ab", true),
    ] {
        assert_eq!(
            found(pattern, text.as_bytes()),
            expected,
            "{pattern} on {text:?}"
        );
    }
}

#[test]
fn a_byte_that_is_not_utf8_is_one_character() {
    assert!(found("^/.$", b"/\xff"));
    assert!(found("^/..$", b"/\xe2\x82"));
    assert!(found("^/[^a]b$", b"/\xffb"));
    assert!(!found(r"^/\w$", b"/\xff"));
}

#[test]
fn what_go_refuses_is_refused_at_its_place() {
    for (pattern, at) in [
        ("(a", 0),
        ("a)", 1),
        ("a**", 2),
        ("a*+", 2),
        ("*a", 0),
        ("a|*", 2),
        ("(*)", 1),
        ("[a", 0),
        ("[b-a]", 1),
        ("[a-\\d]", 3),
        ("[[:foo:]]", 1),
        ("[[:^^alpha:]]", 1),
        ("[[:]+x:]", 1),
        (r"a\", 1),
        (r"\1", 0),
        (r"\8", 0),
        (r"\Z", 0),
        (r"\C", 0),
        (r"\y", 0),
        (r"\xg1", 0),
        (r"\x{110000}", 0),
        (r"\x{", 0),
        (r"\p{", 0),
        (r"(?=a)", 0),
        (r"(?<!a)", 0),
        (r"(?x)a", 0),
        (r"(?u:a)", 0),
        (r"(?-)", 0),
        (r"(?P<a>x)(?P<a>y)", 8),
        (r"(?P<>x)", 0),
        ("a{1001}", 1),
        ("a{2,1}", 1),
    ] {
        match translate(pattern) {
            Err(e) => assert_eq!(e.at, at, "{pattern}: {}", e.message),
            Ok(t) => panic!("{pattern} became {}", t.text),
        }
    }
}

#[test]
fn the_prefix_that_a_match_must_have_is_found() {
    let prefix = |p: &str| {
        translate(p)
            .unwrap()
            .prefix
            .map(|p| String::from_utf8(p).unwrap())
    };
    for (pattern, expected) in [
        ("^/api/", Some("/api/")),
        (r"\A/api/v[0-9]", Some("/api/v")),
        ("^/api/?$", Some("/api")),
        ("^/api+", Some("/ap")),
        ("^/(css|js)", Some("/")),
        (r"^/a\.b\Q.c\E", Some("/a.b.c")),
        ("^/a|/b", None),
        ("/a", None),
        ("(?i)^/a", None),
        ("(?m)^/a", None),
        ("(^/a)", None),
        ("^*/a", None),
        ("^(?i)a", Some("")),
        ("^/a^b", Some("/a")),
        ("^/\u{FFFD}", Some("/")),
    ] {
        assert_eq!(prefix(pattern).as_deref(), expected, "{pattern}");
    }
}
