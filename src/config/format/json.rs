//! JSON to a tree, for texts that programs write: faster than as YAML, and with JSON's escapes (`\ud83d\ude00`).
//!
//! Places are not known. Files are read as YAML, also those of JSON, so that errors name lines.

use std::borrow::Cow;
use std::fmt;

use rustc_hash::FxHashMap;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use crate::config::tree::{Entry, Node, Position, Value};

/// Reads a JSON text as a tree. Of equal keys of one object the last one counts, as for Go.
///
/// # Errors
/// The text is not JSON, or more follows it.
pub fn parse_json(text: &str) -> Result<Node<'static>, serde_json::Error> {
    serde_json::from_str::<Tree>(text).map(|tree| tree.0)
}

struct Tree(Node<'static>);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor).map(Self)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Node<'static>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node<'static>, E> {
        Ok(Node::new(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node<'static>, E> {
        Ok(Node::scalar(if value { "true" } else { "false" }))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node<'static>, E> {
        Ok(Node::scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node<'static>, E> {
        Ok(Node::scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node<'static>, E> {
        // As Go prints it, and with it YAML's numbers here.
        Ok(Node::scalar(format!("{value:.6}")))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node<'static>, E> {
        Ok(Node::scalar(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node<'static>, E> {
        Ok(Node::scalar(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node<'static>, A::Error> {
        let mut list = Vec::new();
        while let Some(Tree(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::list(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Node<'static>, A::Error> {
        let mut entries: Vec<Entry<'static>> = Vec::new();
        // Few objects have so many fields that a walk over them is dearer than a table.
        let mut places: Option<FxHashMap<String, usize>> = None;
        while let Some((key, Tree(node))) = fields.next_entry::<String, Tree>()? {
            if entries.len() == MANY {
                let known = entries.iter().enumerate();
                places = Some(known.map(|(at, e)| (e.key.to_string(), at)).collect());
            }
            let known = match &mut places {
                Some(places) => {
                    let next = entries.len();
                    let place = *places.entry(key.clone()).or_insert(next);
                    (place < next).then_some(place)
                }
                None => entries.iter().position(|entry| entry.key == key),
            };
            match known {
                Some(place) => entries[place].node = node,
                None => entries.push(Entry {
                    key: Cow::Owned(key),
                    at: Position::NONE,
                    node,
                }),
            }
        }
        Ok(Node::new(Value::Map(entries)))
    }
}

/// From this number of fields on, a table finds equal keys.
const MANY: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::format::{Format, parse};

    fn without_places(node: &Node<'_>) -> String {
        match &node.value {
            Value::Null => "null".to_owned(),
            Value::Scalar(text) => format!("{text:?}"),
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(without_places).collect();
                format!("[{}]", items.join(","))
            }
            Value::Map(entries) => {
                let entries = entries.iter();
                let entries: Vec<_> = entries
                    .map(|entry| format!("{:?}:{}", entry.key, without_places(&entry.node)))
                    .collect();
                format!("{{{}}}", entries.join(","))
            }
            Value::Branch(_) => unreachable!("texts have no branches"),
        }
    }

    #[test]
    fn a_json_text_is_the_same_tree_as_that_text_as_yaml() {
        let many: Vec<String> = (0..40).map(|n| format!("\"k{n}\": {n}")).collect();
        for text in [
            r#"{"a": {"b": [1, -2, true, false, null, "x"]}, "c": {}, "d": []}"#,
            r#"{"http": {"routers": {"r": {"rule": "Path(`\/\u00e9\t`)", "priority": 9223372036854775807}}}}"#,
            r#"{"x": 1.5, "y": "01", "z": "~"}"#,
            &format!("{{{}}}", many.join(", ")),
            "null",
        ] {
            let as_yaml = parse(Format::Yaml, text).unwrap();
            let as_json = parse_json(text).unwrap();
            assert_eq!(without_places(&as_json), without_places(&as_yaml.tree));
        }
    }

    #[test]
    fn pairs_of_escapes_are_one_character_and_the_last_of_equal_keys_counts() {
        let tree = parse_json(r#"{"a": "\ud83d\ude00", "b": 1, "b": 2}"#).unwrap();
        assert_eq!(without_places(&tree), r#"{"a":"😀","b":"2"}"#);
        let many: Vec<String> = (0..40).map(|n| format!("\"k{}\": {n}", n % 20)).collect();
        let tree = parse_json(&format!("{{{}}}", many.join(","))).unwrap();
        let entries = tree.as_map().unwrap();
        assert_eq!(entries.len(), 20);
        assert_eq!(entries[19].node.as_scalar(), Some("39"));
        assert!(parse_json("{} {}").is_err());
    }

    #[test]
    fn what_is_too_deep_is_an_error() {
        assert!(parse_json(&"[".repeat(100_000)).is_err());
    }
}
