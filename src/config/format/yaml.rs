//! YAML to a tree, from the events of `saphyr-parser`.
//!
//! Anchors, aliases and merge keys (`<<`) are resolved here, under limits: a few lines of nested aliases could
//! otherwise ask for gigabytes.

use std::borrow::Cow;

use rustc_hash::{FxHashMap, FxHashSet};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput};

use super::scalar::{Plain, plain};
use super::{Document, Sink, SyntaxError};
use crate::config::tree::{Entry, Node, Position, Value};

/// Deepest nesting of maps and lists.
const MAX_DEPTH: usize = 128;
/// Most nodes that all aliases of a text may add.
const MAX_ALIASED_NODES: usize = 1_000_000;
/// Maps up to this size look for a repeated key one by one, larger ones by a set.
const SMALL_MAP: usize = 16;

/// Reads the first document of a text; see [`super::parse_with`].
pub(super) fn parse<'a>(
    text: &'a str,
    sink: &mut impl Sink<'a>,
) -> Result<Document<'a>, SyntaxError> {
    let mut loader = Loader {
        text,
        parser: Parser::new_from_str(text),
        anchors: FxHashMap::default(),
        aliased: 0,
        // A merge needs to see the whole map, and what it merges may stand anywhere.
        streams: !text.contains("<<"),
        sink,
    };
    loader.document()
}

struct Loader<'a, 's, S> {
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    /// Nodes with an anchor, complete.
    anchors: FxHashMap<usize, Node<'a>>,
    /// Nodes that aliases added so far.
    aliased: usize,
    streams: bool,
    sink: &'s mut S,
}

/// Entries of a map with different keys.
#[derive(Default)]
pub(super) struct UniqueEntries<'a> {
    entries: Vec<Entry<'a>>,
    /// The keys, once there are many.
    keys: FxHashSet<Cow<'a, str>>,
}

impl<'a> UniqueEntries<'a> {
    /// Adds an entry, or gives it back if its key is there already.
    pub(super) fn push(&mut self, entry: Entry<'a>) -> Result<(), Entry<'a>> {
        let is_new = if self.entries.len() < SMALL_MAP {
            self.entries.iter().all(|other| other.key != entry.key)
        } else {
            if self.keys.is_empty() {
                self.keys
                    .extend(self.entries.iter().map(|entry| entry.key.clone()));
            }
            self.keys.insert(entry.key.clone())
        };
        if !is_new {
            return Err(entry);
        }
        self.entries.push(entry);
        Ok(())
    }

    pub(super) fn into_vec(self) -> Vec<Entry<'a>> {
        self.entries
    }
}

/// Where in the document a map stands, as far as streaming cares.
#[derive(Clone, Copy)]
pub(super) enum Level<'k> {
    Top,
    Section(&'k str),
    Collection(&'k str, &'k str),
    Deep,
}

impl<'k> Level<'k> {
    /// The level of the value of `key`.
    pub(super) fn below(self, key: &'k str) -> Self {
        match self {
            Self::Top => Self::Section(key),
            Self::Section(section) => Self::Collection(section, key),
            Self::Collection(..) | Self::Deep => Self::Deep,
        }
    }
}

impl<'a, S: Sink<'a>> Loader<'a, '_, S> {
    fn document(&mut self) -> Result<Document<'a>, SyntaxError> {
        let mut tree = Node::new(Value::Null);
        loop {
            match self.next()?.0 {
                Event::DocumentStart(_) => {
                    let (event, span) = self.next()?;
                    tree = self.node(event, span, Level::Top, 0)?;
                    break;
                }
                Event::StreamEnd => break,
                _ => {}
            }
        }
        // What follows the first document is not read, not even for its syntax, as in Traefik.
        let mut ignored_from = None;
        while let Some(Ok((event, span))) = self.parser.next_event() {
            match event {
                Event::DocumentStart(_) => {
                    ignored_from = Some(position(span.start));
                    break;
                }
                Event::StreamEnd => break,
                _ => {}
            }
        }
        Ok(Document { tree, ignored_from })
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), SyntaxError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.error(*error.marker(), error.info())),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn error(&self, marker: Marker, message: impl Into<String>) -> SyntaxError {
        SyntaxError::new(self.text, position(marker), message)
    }

    /// The node that begins with `event`.
    fn node(
        &mut self,
        event: Event<'a>,
        span: Span,
        level: Level<'_>,
        depth: usize,
    ) -> Result<Node<'a>, SyntaxError> {
        if depth > MAX_DEPTH {
            let message = format!("is nested deeper than {MAX_DEPTH} levels");
            return Err(self.error(span.start, message));
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = style != ScalarStyle::Plain
                    || tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
                let value = if is_text {
                    Value::Scalar(text)
                } else {
                    match plain(text) {
                        Plain::Null => Value::Null,
                        Plain::Text(text) => Value::Scalar(text),
                    }
                };
                (value, anchor)
            }
            Event::SequenceStart(anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.map(level, depth)?, anchor),
            Event::Alias(anchor) => return self.alias(anchor, span),
            _ => (Value::Null, 0),
        };
        let node = Node {
            at: position(span.start),
            value,
        };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<Node<'a>, SyntaxError> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(self.error(span.start, "this alias stands inside what it refers to"));
        };
        let node = node.clone();
        self.aliased += size(&node);
        if self.aliased > MAX_ALIASED_NODES {
            let message =
                format!("the aliases of this file stand for more than {MAX_ALIASED_NODES} values");
            return Err(self.error(span.start, message));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Value<'a>, SyntaxError> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd | Event::StreamEnd) {
                return Ok(Value::List(items));
            }
            items.push(self.node(event, span, Level::Deep, depth + 1)?);
        }
    }

    fn map(&mut self, level: Level<'_>, depth: usize) -> Result<Value<'a>, SyntaxError> {
        let mut entries = UniqueEntries::default();
        let mut merged: Vec<Node<'a>> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let at = position(span.start);
            let (key, is_plain) = match event {
                Event::MappingEnd | Event::StreamEnd => break,
                Event::Scalar(key, style, anchor, _) => {
                    if anchor > 0 {
                        self.anchors
                            .insert(anchor, Node::scalar(key.clone()).at(at));
                    }
                    (key, style == ScalarStyle::Plain)
                }
                Event::Alias(anchor) => match self.alias(anchor, span)?.value {
                    Value::Scalar(key) => (key, false),
                    _ => return Err(self.error(span.start, "a key must be a text")),
                },
                _ => return Err(self.error(span.start, "a key must be a text, not a map or list")),
            };
            let (event, value_span) = self.next()?;
            let node = self.node(event, value_span, level.below(&key), depth + 1)?;
            if is_plain && key == "<<" {
                merged.push(node);
                continue;
            }
            let entry = Entry { key, at, node };
            let entry = match level {
                Level::Collection(section, collection) if self.streams => {
                    match self.sink.take([section, collection], entry, None) {
                        Some(entry) => entry,
                        None => continue,
                    }
                }
                _ => entry,
            };
            if let Err(entry) = entries.push(entry) {
                let message = format!("the key {:?} stands twice in this map", entry.key);
                return Err(self.error(span.start, message));
            }
        }
        let mut entries = entries.into_vec();
        for node in merged {
            self.merge(&mut entries, node)?;
        }
        Ok(Value::Map(entries))
    }

    /// Adds the entries of a merge key's value that are not there yet.
    fn merge(&self, entries: &mut Vec<Entry<'a>>, node: Node<'a>) -> Result<(), SyntaxError> {
        match node.value {
            Value::Map(more) => {
                for entry in more {
                    if !entries.iter().any(|other| other.key == entry.key) {
                        entries.push(entry);
                    }
                }
                Ok(())
            }
            Value::List(nodes) if nodes.iter().all(|node| matches!(node.value, Value::Map(_))) => {
                nodes
                    .into_iter()
                    .try_for_each(|node| self.merge(entries, node))
            }
            _ => Err(SyntaxError::new(
                self.text,
                node.at,
                "`<<` needs a map, or a list of maps, to merge",
            )),
        }
    }
}

fn size(node: &Node<'_>) -> usize {
    match &node.value {
        Value::Null | Value::Scalar(_) => 1,
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|entry| size(&entry.node)).sum::<usize>(),
        Value::Branch(_) => unreachable!("no document has one"),
    }
}

fn position(marker: Marker) -> Position {
    Position::new(
        u32::try_from(marker.line()).unwrap_or(u32::MAX),
        u32::try_from(marker.col() + 1).unwrap_or(u32::MAX),
    )
}

#[cfg(test)]
mod tests {
    use super::super::{Format, parse};
    use super::*;

    fn tree(text: &str) -> Node<'_> {
        parse(Format::Yaml, text).unwrap().tree
    }

    fn error(text: &str) -> SyntaxError {
        parse(Format::Yaml, text).unwrap_err()
    }

    #[test]
    fn values_have_their_places() {
        let tree = tree("http:\n  routers:\n    api: {rule: \"Host(`a`)\", priority: 0x10}\n");
        let api = tree
            .get("http")
            .unwrap()
            .get("routers")
            .unwrap()
            .get("api")
            .unwrap();
        assert_eq!(api.at, Position::new(3, 10));
        let entries = api.as_map().unwrap();
        assert_eq!(entries[0].at, Position::new(3, 11));
        assert_eq!(entries[0].node.as_scalar(), Some("Host(`a`)"));
        assert_eq!(entries[1].node.as_scalar(), Some("16"));
    }

    #[test]
    fn quoted_and_tagged_scalars_are_texts() {
        let tree = tree("a: \"010\"\nb: '~'\nc: !!str 0x10\nd:\ne: \"\"\nf: |\n  x\n  y\n");
        let text = |key| tree.get(key).unwrap().as_scalar();
        assert_eq!(text("a"), Some("010"));
        assert_eq!(text("b"), Some("~"));
        assert_eq!(text("c"), Some("0x10"));
        assert!(tree.get("d").unwrap().is_null());
        assert_eq!(text("e"), Some(""));
        assert_eq!(text("f"), Some("x\ny\n"));
    }

    #[test]
    fn anchors_aliases_and_merges_are_resolved() {
        let text = "x: &base\n  a: 1\n  b: 2\ny:\n  <<: *base\n  b: 3\nz:\n  <<: [*base, {c: 4}]\nw: *base\n";
        let tree = tree(text);
        let at = |map: &str, key: &str| {
            let node = tree.get(map).unwrap().get(key).unwrap();
            node.as_scalar().unwrap().to_owned()
        };
        assert_eq!((at("y", "a"), at("y", "b")), ("1".into(), "3".into()));
        assert_eq!((at("z", "a"), at("z", "c")), ("1".into(), "4".into()));
        assert_eq!(at("w", "b"), "2");
    }

    #[test]
    fn aliases_cannot_multiply_without_limit() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let below = i - 1;
            let list = vec![format!("*a{below}"); 10].join(", ");
            text += &format!("a{i}: &a{i} [{list}]\n");
        }
        assert!(error(&text).message.contains("aliases of this file"));
    }

    #[test]
    fn an_alias_inside_its_own_anchor_is_an_error() {
        assert!(error("a: &a [*a]\n").message.contains("alias"));
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(error(&nested(200)).message.contains("nested"));
        assert!(parse(Format::Yaml, &nested(10_000)).is_err());
        assert!(parse(Format::Yaml, &nested(100)).is_ok());
    }

    #[test]
    fn a_repeated_key_is_an_error_at_its_place() {
        let small = error("a: 1\nb: 2\na: 3\n");
        assert_eq!(small.position, Position::new(3, 1));
        assert!(small.message.contains("\"a\" stands twice"));
        let mut text: String = (0..100).map(|i| format!("k{i}: 1\n")).collect();
        text += "k5: 2\n";
        assert_eq!(error(&text).position, Position::new(101, 1));
    }

    #[test]
    fn syntax_errors_show_file_line_and_caret() {
        let report = error("http:\n  routers: [a, b\n  x: }\n").report("dyn.yml");
        assert!(report.starts_with("dyn.yml:3:"), "{report}");
        assert!(report.contains('^'), "{report}");
    }

    #[test]
    fn further_documents_are_ignored_and_told() {
        let document = parse(Format::Yaml, "a: 1\n---\nb: 2\n").unwrap();
        assert!(document.tree.get("b").is_none());
        assert_eq!(document.ignored_from.map(|at| at.line), Some(2));
    }

    #[test]
    fn empty_texts_are_null() {
        for text in ["", "\n# nothing\n", "---\n"] {
            assert!(tree(text).is_null(), "{text:?}");
        }
    }

    #[test]
    fn json_is_read() {
        let tree = tree(
            "{\"http\": {\"routers\": {\"a\": {\"rule\": \"Host(`a`)\",\n\t\"priority\": 3}}}}",
        );
        let router = tree
            .get("http")
            .unwrap()
            .get("routers")
            .unwrap()
            .get("a")
            .unwrap();
        assert_eq!(router.get("priority").unwrap().as_scalar(), Some("3"));
    }

    #[test]
    fn entries_of_the_third_level_are_handed_over_as_they_come() {
        struct Names(Vec<String>);
        impl<'a> Sink<'a> for Names {
            fn take(
                &mut self,
                above: [&str; 2],
                entry: Entry<'a>,
                _lines: Option<&str>,
            ) -> Option<Entry<'a>> {
                self.0
                    .push(format!("{}.{}.{}", above[0], above[1], entry.key));
                None
            }
            fn restart(&mut self) {
                self.0.clear();
            }
        }
        let mut taken = Names(Vec::new());
        let text = "http:\n  routers:\n    a: {rule: x}\n    b: {rule: y}\ntls:\n  certificates: [{certFile: c}]\n";
        let document = super::parse(text, &mut taken).unwrap();
        assert_eq!(taken.0, ["http.routers.a", "http.routers.b"]);
        let routers = document.tree.get("http").unwrap().get("routers").unwrap();
        assert_eq!(routers.as_map().map(<[_]>::len), Some(0));
        assert!(
            document
                .tree
                .get("tls")
                .unwrap()
                .get("certificates")
                .is_some()
        );
    }
}
