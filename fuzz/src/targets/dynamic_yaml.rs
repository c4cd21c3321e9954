//! Dynamic configurations in YAML: any text, by the fast reader and the full one, whole and as an edit, and in TOML.

use ringway::config::format::{Format, parse};

use super::configuration::{read_every_way, write_every_way};
use crate::allocation::within;

/// A million nodes that aliases may add, which is the most that a text may ask for beyond its own size.
const MOST_BYTES: usize = 512 << 20;

/// Reads `data` as a file.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let parsed = within(MOST_BYTES, || parse(Format::Yaml, text));
    readers(text);
    // Aliases make large trees of small texts, which would take all the time.
    if text.contains('*') && text.matches(['&', '*']).count() > 8 {
        return;
    }
    read_every_way(Format::Yaml, text);
    if let Ok(document) = parsed {
        write_every_way(&document.tree);
    }
}

/// The fast reader of everyday texts gives up on the end of a document, and the full one reads the text then: as if that
/// end were not there.
fn readers(text: &str) {
    if text.contains(['|', '>', '\r']) {
        // The added line end could be part of a block scalar.
        return;
    }
    let is_ended = text.is_empty() || text.ends_with('\n');
    let text = if is_ended {
        text.to_owned()
    } else {
        format!("{text}\n")
    };
    let marked = format!("{text}...\n");
    match (parse(Format::Yaml, &text), parse(Format::Yaml, &marked)) {
        (Ok(one), Ok(other)) => {
            assert_eq!(
                one.tree.content_hash(),
                other.tree.content_hash(),
                "{:?} {:?}",
                one.tree,
                other.tree
            );
        }
        (Err(_), Err(_)) => {}
        (one, other) => panic!("one reader takes it, the other does not: {one:?} {other:?}"),
    }
}
