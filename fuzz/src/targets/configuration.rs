//! What the targets of configurations share: when two readings are the same, and a tree in every language.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringway::cli::convert::{Form, write::Writer};
use ringway::config::decode::ObjectError;
use ringway::config::dynamic::{Decoded, Object, ObjectKey, decode, decode_text};
use ringway::config::format::{Format, parse};
use ringway::config::tree::{Entry, Node, Value};

use super::Numbers;

/// The objects of a reading, or why there are none.
pub type Results = BTreeMap<ObjectKey, Result<Object, Arc<Vec<ObjectError>>>>;

/// YAML ends a key on one line after 1,024 characters, of which an escaped one takes six; what is written has no other keys.
const LONGEST_KEY: usize = 1024 / 6 - 2;
/// TOML's parser refuses deeper trees.
const DEEPEST_TOML: usize = 40;

/// The objects of a reading.
pub fn results(decoded: &Decoded) -> Results {
    let objects = decoded.objects.iter();
    objects
        .map(|(key, declared)| (key.clone(), declared.result.clone()))
        .collect()
}

/// The good objects of a reading: places, which errors tell, differ between languages.
pub fn good(decoded: &Decoded) -> BTreeMap<ObjectKey, Object> {
    let objects = decoded.objects.iter();
    objects
        .filter_map(|(key, declared)| Some((key.clone(), declared.result.clone().ok()?)))
        .collect()
}

/// Reading a text entry by entry comes to what its tree comes to, and reading it after another to what reading it alone
/// comes to.
pub fn read_every_way(format: Format, text: &str) {
    let Ok(document) = parse(format, text) else {
        // Read entry by entry, a text may say something twice that makes no tree: then that alone is wrong, or one of the
        // two is null and counts as not there.
        let _ = decode_text(format, text, None);
        return;
    };
    let whole = decode(&document.tree, None);
    let streamed = decode_text(format, text, None).expect("it was parsed");
    assert_eq!(
        results(&streamed),
        results(&whole),
        "entry by entry is otherwise"
    );
    assert_eq!(streamed.errors, whole.errors);
    let before = edited(text);
    for before in [text, &before] {
        let Ok(mut current) = decode_text(format, before, None) else {
            continue;
        };
        let reading = current.read_again(format, text).expect("it was parsed");
        current.apply(reading, None);
        assert_eq!(results(&current), results(&streamed), "after {before:?}");
        assert_eq!(
            (&current.errors, &current.warnings),
            (&streamed.errors, &streamed.warnings)
        );
    }
}

/// The text with a line or two less, or one of them twice.
fn edited(text: &str) -> String {
    let mut numbers = Numbers::of(text.as_bytes());
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    if !lines.is_empty() {
        let at = numbers.below(lines.len());
        let count = numbers.below(3);
        if count == 0 {
            lines.insert(at, lines[at]);
        } else {
            lines.drain(at..lines.len().min(at + count));
        }
    }
    lines.concat()
}

/// A tree in YAML and in TOML is the same tree, and the same objects.
pub fn write_every_way(tree: &Node<'_>) {
    let Some(tree) = plain(tree, 0) else { return };
    if tree.as_map().is_none_or(<[_]>::is_empty) {
        return;
    }
    let expected = good(&decode(&tree, None));
    for (form, format) in [(Form::Yaml, Format::Yaml), (Form::Toml, Format::Toml)] {
        let mut text = String::new();
        Writer::new(form, "").write(&tree, &mut text);
        let read = parse(format, &text).unwrap_or_else(|error| panic!("{form:?}: {error}\n{text}"));
        assert_eq!(sorted(&read.tree), sorted(&tree), "{form:?}:\n{text}");
        assert_eq!(
            good(&decode(&read.tree, None)),
            expected,
            "{form:?}:\n{text}"
        );
    }
}

/// The tree without what TOML cannot say; `None` if it is too deep for it or has keys too long for YAML.
fn plain(node: &Node<'_>, depth: usize) -> Option<Node<'static>> {
    let value = match &node.value {
        _ if depth > DEEPEST_TOML => return None,
        Value::Scalar(text) => Value::Scalar(text.clone().into_owned().into()),
        Value::List(items) => {
            let items = items.iter().filter(|item| !item.is_null());
            Value::List(
                items
                    .map(|item| plain(item, depth + 1))
                    .collect::<Option<_>>()?,
            )
        }
        Value::Map(entries) => {
            if entries.iter().any(|entry| entry.key.len() > LONGEST_KEY) {
                return None;
            }
            let entries = entries.iter().filter(|entry| !entry.node.is_null());
            let entry = |entry: &Entry<'_>| {
                Some(Entry {
                    key: entry.key.clone().into_owned().into(),
                    at: Default::default(),
                    node: plain(&entry.node, depth + 1)?,
                })
            };
            Value::Map(entries.map(entry).collect::<Option<_>>()?)
        }
        Value::Null | Value::Branch(_) => return None,
    };
    Some(Node::new(value))
}

/// The content, with keys in order and without places.
fn sorted(node: &Node<'_>) -> String {
    match &node.value {
        Value::Null => "null".into(),
        Value::Scalar(text) => format!("{text:?}"),
        Value::List(items) => format!(
            "[{}]",
            items.iter().map(sorted).collect::<Vec<_>>().join(", ")
        ),
        Value::Map(entries) => {
            let mut entries: Vec<_> = entries
                .iter()
                .map(|entry| format!("{:?}: {}", entry.key, sorted(&entry.node)))
                .collect();
            entries.sort_unstable();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Branch(_) => unreachable!("no document has one"),
    }
}
