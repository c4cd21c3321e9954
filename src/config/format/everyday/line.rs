//! Values that end on their line: plain and quoted scalars, and flow lists and maps.

use std::borrow::Cow;

use super::super::scalar::{Plain, plain};
use super::super::yaml::UniqueEntries;
use super::{Line, MAX_DEPTH};
use crate::config::tree::{Entry, Node, Position, Value};

/// A key and its colon, followed by a space or the line's end; with the number of bytes before that.
pub(super) fn key(text: &str) -> Option<(Cow<'_, str>, usize)> {
    let (key, after) = match text.as_bytes().first()? {
        b'"' | b'\'' => quoted(text)?,
        first if first.is_ascii_alphanumeric() || *first == b'_' => {
            let is_key =
                |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/' | b'@');
            let len = text.bytes().take_while(is_key).count();
            (Cow::Borrowed(&text[..len]), len)
        }
        _ => return None,
    };
    let rest = text[after..].strip_prefix(':')?;
    // Longer keys are an error of the full parser.
    ((rest.is_empty() || rest.starts_with(' ')) && after < 1000).then_some((key, after + 1))
}

/// A quoted scalar without escapes, and the number of its bytes.
fn quoted(text: &str) -> Option<(Cow<'_, str>, usize)> {
    let bytes = text.as_bytes();
    let quote = *bytes.first()?;
    let mut end = 1;
    let mut is_doubled = false;
    loop {
        match *bytes.get(end)? {
            b if b == quote && quote == b'\'' && bytes.get(end + 1) == Some(&quote) => {
                is_doubled = true;
                end += 2;
            }
            b if b == quote => break,
            b'\\' if quote == b'"' => return None,
            b' '..=b'~' => end += 1,
            _ => return None,
        }
    }
    let inner = &text[1..end];
    let inner = if is_doubled {
        Cow::Owned(inner.replace("''", "'"))
    } else {
        Cow::Borrowed(inner)
    };
    Some((inner, end + 1))
}

/// A value that ends with its line, at an offset in it.
pub(super) fn inline<'a>(
    text: &'a str,
    line: Line<'a>,
    offset: usize,
    depth: usize,
) -> Option<Node<'a>> {
    let at = line.position(offset);
    let (value, rest) = match text.as_bytes().first()? {
        b'"' | b'\'' => {
            let (inner, len) = quoted(text)?;
            (Value::Scalar(inner), &text[len..])
        }
        b'[' | b'{' => {
            let mut flow = Flow {
                text,
                at: 0,
                line,
                offset,
            };
            let value = flow.value(depth + 1)?.value;
            (value, &text[flow.at..])
        }
        _ => {
            return Some(Node {
                at,
                value: plain_value(block_plain(text)?),
            });
        }
    };
    let is_closed = rest.bytes().all(|b| b == b' ')
        || rest.trim_start_matches(' ').starts_with('#') && rest.starts_with(' ');
    is_closed.then_some(Node { at, value })
}

/// Whether a plain scalar may begin so; what else may is left to the full parser.
fn begins_plain(text: &str) -> bool {
    let mut bytes = text.bytes();
    match bytes.next() {
        Some(b'-') => bytes.next().is_some_and(|b| b.is_ascii_alphanumeric()),
        Some(b) => {
            b.is_ascii_alphanumeric()
                || matches!(
                    b,
                    b'/' | b'.' | b'_' | b'(' | b'^' | b'$' | b'+' | b'~' | b'\\'
                )
        }
        None => false,
    }
}

/// A plain scalar up to the line's end or a comment.
fn block_plain(text: &str) -> Option<&str> {
    if !begins_plain(text) {
        return None;
    }
    let bytes = text.as_bytes();
    let mut end = bytes.len();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b':' if bytes.get(at + 1).is_none_or(|next| *next == b' ') => return None,
            b'#' if bytes[at - 1] == b' ' => {
                end = at;
                break;
            }
            b' '..=b'~' => {}
            _ => return None,
        }
    }
    let text = text[..end].trim_end_matches(' ');
    (text != "---" && text != "...").then_some(text)
}

fn plain_value(text: &str) -> Value<'_> {
    match plain(Cow::Borrowed(text)) {
        Plain::Null => Value::Null,
        Plain::Text(text) => Value::Scalar(text),
    }
}

/// A flow value on one line.
struct Flow<'a> {
    text: &'a str,
    at: usize,
    line: Line<'a>,
    offset: usize,
}

impl<'a> Flow<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_spaces(&mut self) {
        self.at += self.rest().bytes().take_while(|b| *b == b' ').count();
    }

    fn eat(&mut self, byte: u8) -> bool {
        let is_there = self.rest().as_bytes().first() == Some(&byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn position(&self) -> Position {
        self.line.position(self.offset + self.at)
    }

    fn value(&mut self, depth: usize) -> Option<Node<'a>> {
        if depth > MAX_DEPTH {
            return None;
        }
        let at = self.position();
        let value = match self.rest().as_bytes().first()? {
            b'[' => self.list(depth)?,
            b'{' => self.map(depth)?,
            b'"' | b'\'' => {
                let (inner, len) = quoted(self.rest())?;
                self.at += len;
                Value::Scalar(inner)
            }
            _ => plain_value(self.plain()?),
        };
        self.skip_spaces();
        Some(Node { at, value })
    }

    fn list(&mut self, depth: usize) -> Option<Value<'a>> {
        self.at += 1;
        self.skip_spaces();
        let mut items = Vec::new();
        if self.eat(b']') {
            return Some(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.eat(b']') {
                return Some(Value::List(items));
            }
            if !self.eat(b',') {
                return None;
            }
            self.skip_spaces();
        }
    }

    fn map(&mut self, depth: usize) -> Option<Value<'a>> {
        self.at += 1;
        self.skip_spaces();
        let mut entries = UniqueEntries::default();
        if self.eat(b'}') {
            return Some(Value::Map(Vec::new()));
        }
        loop {
            let at = self.position();
            let (key, len) = key(self.rest())?;
            self.at += len;
            self.skip_spaces();
            let node = self.value(depth + 1)?;
            entries.push(Entry { key, at, node }).ok()?;
            if self.eat(b'}') {
                return Some(Value::Map(entries.into_vec()));
            }
            if !self.eat(b',') {
                return None;
            }
            self.skip_spaces();
        }
    }

    /// A plain scalar up to a flow indicator.
    fn plain(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        if !begins_plain(rest) {
            return None;
        }
        let bytes = rest.as_bytes();
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b',' | b']' | b'}' => {
                    self.at += at;
                    return Some(rest[..at].trim_end_matches(' '));
                }
                b'[' | b'{' | b'#' | b'"' | b'\'' | b'?' | b'&' | b'*' => return None,
                b':' if !bytes
                    .get(at + 1)
                    .is_some_and(|next| next.is_ascii_alphanumeric() || *next == b'/') =>
                {
                    return None;
                }
                b' '..=b'~' => {}
                _ => return None,
            }
        }
        None
    }
}
