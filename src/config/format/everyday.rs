//! A fast reader for the everyday part of YAML: block maps and lists, one-line scalars and one-line flow values.
//!
//! Large files are written by programs and need nothing else; this reads them several times faster than a full
//! parser. It must never read a text differently: whatever is not plainly everyday (anchors, tags, block scalars,
//! scalars over several lines, escapes, tabs, anything but ASCII outside of comments, and every error) makes it give
//! up, and the full parser reads the text from its start. A property test holds the two equal.

use std::borrow::Cow;

use super::Sink;
use super::scalar::{Plain, plain};
use super::yaml::{Level, UniqueEntries};
use crate::config::tree::{Entry, Node, Position, Value};

/// Deeper texts are left to the full parser, which reports them.
const MAX_DEPTH: usize = 64;

/// Reads a text, or gives up with `None` after having handed over any number of entries.
pub(super) fn parse<'a>(text: &'a str, sink: &mut impl Sink<'a>) -> Option<Node<'a>> {
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

/// A key and its colon, followed by a space or the line's end; with the number of bytes before that.
fn key(text: &str) -> Option<(Cow<'_, str>, usize)> {
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
fn inline<'a>(text: &'a str, line: Line<'a>, offset: usize, depth: usize) -> Option<Node<'a>> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::yaml;
    use super::super::{Keep, Sink};
    use super::*;

    fn everyday(text: &str) -> Option<Node<'_>> {
        parse(text, &mut Keep)
    }

    fn full(text: &str) -> Option<Node<'_>> {
        yaml::parse(text, &mut Keep)
            .ok()
            .map(|document| document.tree)
    }

    /// The same tree without the places of nulls, which no error shows, and of lists, where the full parser points
    /// at the first item if the list is not indented.
    fn comparable(mut node: Node<'_>) -> Node<'_> {
        match &mut node.value {
            Value::Null => node.at = Position::NONE,
            Value::Scalar(_) => {}
            Value::List(items) => {
                node.at = Position::NONE;
                *items = std::mem::take(items).into_iter().map(comparable).collect();
            }
            Value::Map(entries) => {
                for entry in entries {
                    entry.node = comparable(entry.node.clone());
                }
            }
            Value::Branch(_) => unreachable!("no document has one"),
        }
        node
    }

    fn check(text: &str) -> bool {
        let Some(tree) = everyday(text) else {
            return false;
        };
        let full = full(text)
            .unwrap_or_else(|| panic!("the full parser refuses {text:?}, read as {tree:?}"));
        assert_eq!(comparable(tree), comparable(full), "{text:?}");
        true
    }

    #[test]
    fn everyday_texts_are_read_as_the_full_parser_reads_them() {
        for text in [
            "",
            "# only a comment\n",
            "---\na: 1\n",
            "a: 1\nb: 'x''y' # c\nc: \"z: #\"\nd:\ne: ~\nf: 0x10\n",
            "http:\n  routers:\n    a:\n      rule: Host(`a`) && PathPrefix(`/b`)\n      entryPoints:\n      - web\n      - websecure\n      service: s\n",
            "l:\n  - a: 1\n    b: 2\n  -   c: 3\n      d: [x, 'y', {z: 1}]\n  - plain text\n  -\n",
            "s: {loadBalancer: {servers: [{url: \"http://127.0.0.1:80\"}, {url: http://b:81}], healthCheck: {}}}\n",
            "a:\n\n  # comment\n  b: 1\n\n\nc: []\n",
            "\"quoted key\": 1\n'other': [ ]\n",
            "a:\n- 1\n- b: 2\n  c:\n  - 3\nd: -5\n",
            "a: x y  # z\nb: x#y\nc: a:b\n",
        ] {
            assert!(check(text), "gave up on {text:?}");
        }
    }

    #[test]
    fn what_is_not_everyday_is_left_to_the_full_parser() {
        for text in [
            "a: &x 1\n",
            "a: *x\n",
            "a: !!str 1\n",
            "a: |\n  x\n",
            "a: >\n  x\n",
            "a: b\n  c\n",
            "a: \"x\\n\"\n",
            "a: 'x\n  y'\n",
            "a: [x,\n  y]\n",
            "a:\tb\n",
            "a: é\n",
            "a: 1\na: 2\n",
            "<<: {a: 1}\n",
            "a: 1\n---\nb: 2\n",
            "a: 1\n b: 2\n",
            "  a: 1\n b: 2\n",
            "a: b: c\n",
            "- a\nb: 1\n",
            "a: {b: c\n",
            "a: [x] y\n",
            "? a\n: b\n",
            "scalar\n",
            "a: @x\n",
            "a: 1\r\n",
        ] {
            assert!(everyday(text).is_none(), "read {text:?}");
        }
    }

    #[test]
    fn entries_of_the_third_level_are_handed_over() {
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
        let text = "http:\n  routers:\n    a: {rule: x}\n    b:\n      rule: y\n";
        let mut names = Names(Vec::new());
        assert!(parse(text, &mut names).is_some());
        assert_eq!(names.0, ["http.routers.a", "http.routers.b"]);
        // A text that is given up half-way is read again from its start.
        let text = format!("{text}    c: &x {{rule: z}}\n");
        let mut names = Names(Vec::new());
        super::super::parse_with(super::super::Format::Yaml, &text, &mut names).unwrap();
        assert_eq!(
            names.0,
            ["http.routers.a", "http.routers.b", "http.routers.c"]
        );
    }

    /// Pieces of YAML that meet each other in every way.
    fn text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => prop::sample::select(vec!["\n", "\n  ", "\n    ", "\n- ", "\n  - ", "a: ", "b: ", "c:", "\nd:\n  ", "\ne: "]),
            3 => prop::sample::select(vec!["x", "1", "~", "true", "x y", "http://h:1", "-", "- ", "/p", "a.b", "`r`", "(x)"]),
            2 => prop::sample::select(vec!["{", "}", "[", "]", ", ", ",", ": ", ":", " ", "''", "'", "\"", "{a: 1}", "[x]", "'q'", "\"q\""]),
            1 => prop::sample::select(vec!["#", " # c", "&a", "*a", "|", ">", "\\", "é", "\t", "---", "\n---\n", "!", "?", "%", "@", "<<: ", "...", "=", "+", "."]),
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    /// Lines that often fit together.
    fn lines() -> impl Strategy<Value = String> {
        let indent = prop::sample::select(vec!["", "  ", "    ", "      ", "   "]);
        let line = prop::sample::select(vec![
            "a:",
            "b:",
            "c: x",
            "d: 'q' # c",
            "e: {a: 1, b: [x, \"y\"]}",
            "f: [ ]",
            "g: http://h:1/p",
            "- x",
            "- a: 1",
            "- b:",
            "-",
            "-  c: y",
            "# c",
            "",
            "\"k\": 1",
            "h: ~",
            "i: x y",
            "- {a: b}",
            "- 'k': v",
        ]);
        prop::collection::vec((indent, line), 0..9).prop_map(|lines| {
            let lines: Vec<_> = lines
                .into_iter()
                .map(|(indent, line)| format!("{indent}{line}\n"))
                .collect();
            lines.concat()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn no_text_is_read_differently(text in prop_oneof![text(), lines()]) {
            check(&text);
        }
    }
}
