//! What holds for any text: it is decoded, or refused with a reason.

use proptest::prelude::*;

use super::*;
use crate::config::statics::{Disk, load};

/// Words of the vocabulary in any combination.
fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "http",
        "routers",
        "services",
        "middlewares",
        "tls",
        "certificates",
        "options",
        "tcp",
        "rule",
        "service",
        "loadBalancer",
        "servers",
        "url",
        "weight",
        "healthCheck",
        "interval",
        "weighted",
        "headers",
        "compress",
        "plugin",
        "certFile",
        "-1s",
        "true",
        "3",
        "a@b",
        ".",
        "~",
        "''",
        "priority",
        "sticky",
        "cookie",
    ]);
    let glue = prop::sample::select(vec![
        ": ", ":\n  ", ":\n    ", "\n", "\n  ", "\n    ", "\n      ", ": {", "}", "[", "]", ", ",
        "- ", " = ", "[[", "]]\n", ".", "\"",
    ]);
    prop::collection::vec((word, glue), 0..30).prop_map(|parts| {
        parts
            .into_iter()
            .flat_map(|(word, glue)| [word, glue])
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_text_is_decoded_or_refused_with_a_reason(text in words()) {
        for format in [Format::Yaml, Format::Toml] {
            match decode_text(format, &text, None) {
                Ok(decoded) => {
                    for declared in decoded.objects.values() {
                        prop_assert!(declared.result.as_ref().err().is_none_or(|errors| !errors.is_empty()));
                    }
                    let again = decode_text(format, &text, Some(&decoded)).unwrap();
                    prop_assert_eq!(&again.objects, &decoded.objects);
                }
                Err(error) => prop_assert!(!error.report("f").is_empty()),
            }
        }
        let flag = format!("--{}", text.replace('\n', ""));
        if let Err(error) = load(&[flag, "--configFile=/nonexistent".to_owned()], &[], &Disk) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
