//! A fast reader for the everyday part of YAML: block maps and lists, one-line scalars and one-line flow values.
//!
//! Large files are written by programs and need nothing else; this reads them several times faster than a full
//! parser. It must never read a text differently: whatever is not plainly everyday (anchors, tags, block scalars,
//! scalars over several lines, escapes, tabs, anything but ASCII outside of comments, and every error) makes it give
//! up, and the full parser reads the text from its start. A property test holds the two equal.

mod line;

use self::line::{inline, key};
use super::Sink;
use super::yaml::{Level, UniqueEntries};
use crate::config::tree::{Entry, Node, Position, Value};

/// Deeper texts are left to the full parser, which reports them.
const MAX_DEPTH: usize = 64;

/// Reads a text, or gives up with `None` after having handed over any number of entries.
pub(super) fn parse<'a>(text: &'a str, sink: &mut impl Sink<'a>) -> Option<Node<'a>> {
    if !is_printable(text) {
        return None;
    }
    let mut reader = Reader {
        text,
        at: 0,
        number: 0,
        line: None,
        sink,
    };
    reader.advance()?;
    if reader
        .line
        .is_some_and(|line| line.indent == 0 && line.text == "---")
    {
        reader.advance()?;
    }
    if reader.line.is_none() {
        return Some(Node::new(Value::Null));
    }
    let tree = reader.block(Level::Top, 0)?;
    reader.line.is_none().then_some(tree)
}

/// Whether every character may stand in a YAML text, comments included (YAML 1.2 §5.1). What is doubtful may not.
fn is_printable(text: &str) -> bool {
    let is_plain = |byte: u8| matches!(byte, b'\n' | b'\t' | b'\r' | b' '..=b'~');
    text.bytes().all(is_plain)
        || text.chars().all(|c| match u8::try_from(c) {
            Ok(byte) if byte.is_ascii() => is_plain(byte),
            _ => !matches!(
                c,
                '\u{80}'
                    ..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
            ),
        })
}

/// A line that is neither empty nor a comment.
#[derive(Clone, Copy)]
struct Line<'a> {
    /// Spaces before the text.
    indent: usize,
    /// The rest of the line.
    text: &'a str,
    /// Where the whole line begins.
    start: usize,
    number: u32,
}

impl Line<'_> {
    fn position(&self, offset: usize) -> Position {
        let column = u32::try_from(self.indent + offset + 1).unwrap_or(u32::MAX);
        Position::new(self.number, column)
    }
}

struct Reader<'a, 's, S> {
    text: &'a str,
    /// Where the line after the current one begins.
    at: usize,
    number: u32,
    /// The current line; `None` at the end.
    line: Option<Line<'a>>,
    sink: &'s mut S,
}

impl<'a, S: Sink<'a>> Reader<'a, '_, S> {
    /// Goes to the next line that counts.
    fn advance(&mut self) -> Option<()> {
        loop {
            let rest = &self.text[self.at..];
            if rest.is_empty() {
                self.line = None;
                return Some(());
            }
            let end = memchr::memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
            let whole = &rest[..end];
            let start = self.at;
            self.at = (self.at + end + 1).min(self.text.len());
            self.number = self.number.checked_add(1)?;
            let indent = whole.bytes().take_while(|b| *b == b' ').count();
            let text = &whole[indent..];
            if is_end(text) {
                continue;
            }
            self.line = Some(Line {
                indent,
                text,
                start,
                number: self.number,
            });
            return Some(());
        }
    }

    /// Goes on after a value that ended with its line: what follows must not be deeper.
    fn advance_after_value(&mut self, indent: usize) -> Option<()> {
        self.advance()?;
        self.line
            .is_none_or(|line| line.indent <= indent)
            .then_some(())
    }

    fn block(&mut self, level: Level<'_>, depth: usize) -> Option<Node<'a>> {
        let line = self.line?;
        if is_item(line.text) {
            self.list(line.indent, depth)
        } else {
            self.map(line.indent, level, depth)
        }
    }

    /// The value below a key or dash whose line has nothing more.
    fn below(
        &mut self,
        indent: usize,
        is_key: bool,
        level: Level<'_>,
        depth: usize,
    ) -> Option<Node<'a>> {
        self.advance()?;
        match self.line {
            Some(line) if line.indent > indent => self.block(level, depth + 1),
            // A list may stand at the indentation of its key.
            Some(line) if is_key && line.indent == indent && is_item(line.text) => {
                self.list(indent, depth + 1)
            }
            _ => Some(Node::new(Value::Null)),
        }
    }

    fn list(&mut self, indent: usize, depth: usize) -> Option<Node<'a>> {
        if depth > MAX_DEPTH {
            return None;
        }
        let at = self.line?.position(0);
        let mut items = Vec::new();
        while let Some(line) = self.line.filter(|line| line.indent >= indent) {
            if line.indent > indent {
                return None;
            }
            if !is_item(line.text) {
                break;
            }
            let text = line.text[1..].trim_start_matches(' ');
            let offset = line.text.len() - text.len();
            if is_end(text) {
                items.push(self.below(indent, false, Level::Deep, depth)?);
            } else if is_item(text) {
                return None;
            } else if key(text).is_some() {
                let indent = indent + offset;
                self.line = Some(Line {
                    indent,
                    text,
                    ..line
                });
                items.push(self.map(indent, Level::Deep, depth + 1)?);
            } else {
                items.push(inline(text, line, offset, depth)?);
                self.advance_after_value(indent)?;
            }
        }
        Some(Node {
            at,
            value: Value::List(items),
        })
    }

    /// Goes past an entry whose lines the sink knows. They end before the next line that is not deeper, as those of
    /// every entry that is read do; no line after them has a say in what they mean.
    fn pass_known(&mut self, above: [&str; 2], first: Line<'a>) -> Option<bool> {
        let before = (self.at, self.number);
        loop {
            self.advance()?;
            let goes_on = self.line.is_some_and(|line| {
                line.indent > first.indent || line.indent == first.indent && is_item(line.text)
            });
            if !goes_on {
                break;
            }
        }
        let is_known = self
            .sink
            .knows(above, &self.text[first.start..self.next_start()]);
        if !is_known {
            (self.at, self.number) = before;
            self.line = Some(first);
        }
        Some(is_known)
    }

    /// Where the current line begins, or the text ends.
    fn next_start(&self) -> usize {
        self.line.map_or(self.text.len(), |line| line.start)
    }

    fn map(&mut self, indent: usize, level: Level<'_>, depth: usize) -> Option<Node<'a>> {
        if depth > MAX_DEPTH {
            return None;
        }
        let at = self.line?.position(0);
        let mut entries = UniqueEntries::default();
        while let Some(line) = self.line.filter(|line| line.indent >= indent) {
            if line.indent > indent {
                return None;
            }
            if let Level::Collection(section, collection) = level
                && self.sink.remembers()
                && self.pass_known([section, collection], line)?
            {
                continue;
            }
            let (key, after) = key(line.text)?;
            let text = line.text[after..].trim_start_matches(' ');
            let node = if is_end(text) {
                self.below(indent, true, level.below(&key), depth)?
            } else {
                let node = inline(text, line, line.text.len() - text.len(), depth)?;
                self.advance_after_value(indent)?;
                node
            };
            let entry = Entry {
                key,
                at: line.position(0),
                node,
            };
            let entry = match level {
                Level::Collection(section, collection) => {
                    let lines = &self.text[line.start..self.next_start()];
                    self.sink.take([section, collection], entry, Some(lines))
                }
                _ => Some(entry),
            };
            if let Some(entry) = entry {
                entries.push(entry).ok()?;
            }
        }
        Some(Node {
            at,
            value: Value::Map(entries.into_vec()),
        })
    }
}

/// A dash, and then a space or the line's end.
fn is_item(text: &str) -> bool {
    matches!(text.as_bytes(), [b'-'] | [b'-', b' ', ..])
}

/// Nothing, or a comment (the caller knows that a space precedes).
fn is_end(text: &str) -> bool {
    matches!(text.as_bytes(), [] | [b'#', ..])
}

#[cfg(test)]
mod tests;
