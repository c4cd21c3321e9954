//! Dynamic configurations in TOML, of today and of Traefik 1: any text, whole and as an edit, and in YAML.

use ringway::cli::convert::{Form, write::Writer};
use ringway::config::dynamic::{ObjectKey, decode, decode_text};
use ringway::config::format::{Format, parse};
use ringway::config::v1::{self, Context, DynamicPart, Origin};

use super::configuration::{good, read_every_way, write_every_way};
use crate::allocation::within;

/// A text's tree and objects; a dotted key of one byte a level is what takes most for its size.
const MOST_BYTES: usize = 64 << 20;

/// Reads `data` as a file.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let parsed = within(MOST_BYTES, || parse(Format::Toml, text));
    read_every_way(Format::Toml, text);
    let Ok(document) = parsed else { return };
    write_every_way(&document.tree);
    let context = Context::of_static(&document.tree);
    let dynamic = DynamicPart {
        file: "dynamic.yml",
        is_written: true,
    };
    let _ = v1::convert_static(&document.tree, dynamic);
    let Some(Ok(decoded)) = v1::decode_text(Format::Toml, text, &context) else {
        return;
    };
    // What is converted is today's form: written and read it is the same.
    let converted = v1::convert(&document.tree, Origin::File, &context);
    let expected = good(&decode(&converted.tree, None));
    let is_rejected = |key: &ObjectKey| converted.rejected.iter().any(|(other, _)| other == key);
    let of_text = good(&decoded);
    assert!(
        expected
            .iter()
            .filter(|(key, _)| !is_rejected(key))
            .eq(&of_text),
        "decoded otherwise"
    );
    let mut yaml = String::new();
    Writer::new(Form::Yaml, "").write(&converted.tree, &mut yaml);
    let read =
        decode_text(Format::Yaml, &yaml, None).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    assert_eq!(good(&read), expected, "{yaml}");
}
