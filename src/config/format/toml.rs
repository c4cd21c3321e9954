//! TOML to a tree, with the places that the `toml` crate knows.

use std::borrow::Cow;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::SyntaxError;
use super::scalar::float_text;
use crate::config::tree::{Entry, Node, Position, Value};

/// Reads a text; see [`super::parse`].
pub(super) fn parse(text: &str) -> Result<Node<'_>, SyntaxError> {
    let lines = Lines::new(text);
    match DeTable::parse(text) {
        Ok(table) => {
            let at = lines.position(table.span());
            Ok(lines.table(table.into_inner(), at))
        }
        Err(error) => {
            let at = error
                .span()
                .map_or(Position::NONE, |span| lines.position(span));
            Err(SyntaxError::new(text, at, error.message()))
        }
    }
}

/// Byte offsets to lines and columns.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        let starts = memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(starts).collect(),
        }
    }

    fn position(&self, span: Range<usize>) -> Position {
        let line = self.starts.partition_point(|start| *start <= span.start);
        let start = line
            .checked_sub(1)
            .and_then(|line| self.starts.get(line))
            .copied();
        let before = self
            .text
            .get(start.unwrap_or(0)..span.start)
            .unwrap_or_default();
        Position::new(
            u32::try_from(line).unwrap_or(u32::MAX),
            u32::try_from(before.chars().count() + 1).unwrap_or(u32::MAX),
        )
    }

    fn table(&self, table: DeTable<'t>, at: Position) -> Node<'t> {
        let mut entries: Vec<(usize, Entry<'t>)> = table
            .into_iter()
            .map(|(key, value)| {
                let begin = key.span().start;
                let at = self.position(key.span());
                let value_at = self.position(value.span());
                let entry = Entry {
                    key: key.into_inner(),
                    at,
                    node: self.node(value.into_inner(), value_at),
                };
                (begin, entry)
            })
            .collect();
        // The crate sorts by name; the tree keeps the order of the text.
        entries.sort_by_key(|(begin, _)| *begin);
        let entries = entries.into_iter().map(|(_, entry)| entry).collect();
        Node {
            at,
            value: Value::Map(entries),
        }
    }

    fn node(&self, value: DeValue<'t>, at: Position) -> Node<'t> {
        let text = match value {
            DeValue::String(text) => text,
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(value) => Cow::Owned(value.to_string()),
                    Err(_) => Cow::Owned(number.to_string()),
                }
            }
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(value) => Cow::Owned(float_text(value)),
                Err(_) => Cow::Owned(number.to_string()),
            },
            DeValue::Boolean(value) => Cow::Borrowed(if value { "true" } else { "false" }),
            DeValue::Datetime(value) => Cow::Owned(value.to_string()),
            DeValue::Table(table) => return self.table(table, at),
            DeValue::Array(items) => {
                let items = items
                    .into_iter()
                    .map(|item| {
                        let at = self.position(item.span());
                        self.node(item.into_inner(), at)
                    })
                    .collect();
                return Node {
                    at,
                    value: Value::List(items),
                };
            }
        };
        Node::scalar(text).at(at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Format, parse};
    use super::*;

    #[test]
    fn tables_arrays_and_scalars_become_the_same_tree_as_yaml() {
        let toml = "[http.routers.a]\nrule = 'Host(`a`)'\npriority = 0x10\n\n\
                    [[http.services.s.loadBalancer.servers]]\nurl = \"http://x\"\npreservePath = true\n";
        let yaml = "http:\n  routers:\n    a: {rule: 'Host(`a`)', priority: 16}\n  \
                    services: {s: {loadBalancer: {servers: [{url: 'http://x', preservePath: true}]}}}\n";
        let from_toml = parse(Format::Toml, toml).unwrap().tree;
        let from_yaml = parse(Format::Yaml, yaml).unwrap().tree;
        assert_eq!(from_toml.content_hash(), from_yaml.content_hash());
        let router = from_toml
            .get("http")
            .unwrap()
            .get("routers")
            .unwrap()
            .get("a")
            .unwrap();
        assert_eq!(router.as_map().unwrap()[0].at, Position::new(2, 1));
        assert_eq!(router.get("rule").unwrap().at, Position::new(2, 8));
    }

    #[test]
    fn syntax_errors_have_line_column_and_caret() {
        let error = parse(Format::Toml, "[http]\nx = = 3\n").unwrap_err();
        assert_eq!(error.position.line, 2);
        assert!(
            error.report("a.toml").contains("a.toml:2:"),
            "{}",
            error.report("a.toml")
        );
        assert!(parse(Format::Toml, "a = 1\na = 2\n").is_err());
    }
}
