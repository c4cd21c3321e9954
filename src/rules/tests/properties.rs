//! What holds for any text: neither the parser nor the translation of expressions panics.

use super::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn no_text_makes_the_parser_panic(rule in "\\PC{0,60}") {
        for syntax in [Syntax::V3, Syntax::V2] {
            if let Err(e) = parse(&rule, syntax) {
                let _ = e.to_string();
            }
        }
    }

    #[test]
    fn no_text_of_the_grammars_alphabet_makes_the_parser_panic(
        pieces in prop::collection::vec(
            prop::sample::select(&["Host", "Path", "(", ")", "`/a`", "`a`", "\"a\\x", "\"", "`", "'", "!", "&&", "||",
                ",", "\n", "//", "/*", "*/", "1.5", "Query", "é", "{", "}", "\\u12", "PathRegexp(`"][..]),
            0..25,
        )
    ) {
        let rule = pieces.concat();
        if let Err(e) = parse(&rule, Syntax::V3) {
            prop_assert!(rule.get(e.span()).is_some());
            let _ = e.to_string();
        }
    }

    #[test]
    fn no_expression_makes_the_translation_panic_or_yield_nonsense(
        pieces in prop::collection::vec(
            prop::sample::select(&["a", "\\", "[", "]", "^", "$", "(", ")", "?", "*", "+", "{", "}", "1", ",", "-",
                ":", "|", ".", "P<x>", "é", "\\d", "\\x", "\\Q", "\\E", "\\p", "i", "&&", "[:alpha:]", "\u{FFFD}"][..]),
            0..16,
        ),
        text in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let pattern = pieces.concat();
        if let Ok(translated) = re2::translate(&pattern) {
            // Whatever the translation accepts must compile, but for class names and sizes.
            match regex::Pattern::compile(&translated.text) {
                Ok(compiled) => {
                    let found = RegexCaches::new().is_match(&compiled, &text);
                    if let (true, Some(prefix)) = (found, translated.prefix) {
                        prop_assert!(text.starts_with(&prefix), "{} {:?}", pattern, text);
                    }
                }
                Err(e) => prop_assert!(
                    e.contains("Unicode property") || e.contains("compiled") || e.contains("empty"),
                    "{} became {}: {}", pattern, translated.text, e
                ),
            }
        }
    }
}
