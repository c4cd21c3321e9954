//! The header section of a message: a byte arena and a small table of lines in it.
//!
//! ```text
//! arena   … Host: a\r\nAccept: */*\r\n …        every entry is one canonical line
//! lines   [token, start, name length, value length] in message order
//! ```
//!
//! The invariant that makes writing cheap: the bytes `start .. start + name + 2 + value + 2` of an
//! entry are exactly `Name: value\r\n`, the name in canonical spelling, the value trimmed and free of
//! CR, LF and NUL. Neighbouring entries that are also neighbours in the arena are written with one
//! copy. Removed lines leave their bytes behind until [`Fields::clear`].
//!
//! What comes from the wire and goes to it is in `wire`. Not here: which fields mean what (hop-by-hop, forwarded,
//! framing), and where in a received head a line begins and ends.

mod wire;

use std::fmt;

pub use super::name::{FieldName, InvalidFieldName, MAX_NAME_BYTES, Named, list_members};
use super::token::Token;

/// Longest field value and largest arena, in bytes. Wire limits are far below; this one keeps the
/// `u32` offsets valid whatever a configuration sets.
pub const MAX_ARENA_BYTES: usize = 1 << 30;

const UNKNOWN: u8 = u8::MAX;
/// In [`Fields::seen`]: there may be an unknown name with an underscore or a dot, which some servers take for dashes.
const ALIAS: u128 = 1 << 127;

/// An ordered multimap of field names and values, reused between messages without allocating.
#[derive(Clone, Default)]
pub struct Fields {
    arena: Vec<u8>,
    lines: Vec<Line>,
    /// The tokens that may be among the lines (a superset), so that asking for what is not there, the
    /// usual case, costs one test.
    seen: u128,
}

#[derive(Clone, Copy)]
struct Line {
    start: u32,
    value_len: u32,
    name_len: u16,
    /// The number of the name's [`Token`], or [`UNKNOWN`].
    token: u8,
}

impl Fields {
    /// No fields, no memory.
    pub const fn new() -> Self {
        Fields {
            arena: Vec::new(),
            lines: Vec::new(),
            seen: 0,
        }
    }

    /// Removes all fields and keeps the memory for the next message.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.lines.clear();
        self.seen = 0;
    }

    /// Gives back memory beyond `bytes` that an unusually large message left behind. Only useful
    /// after [`Fields::clear`].
    pub fn trim(&mut self, bytes: usize) {
        self.arena.shrink_to(bytes);
        self.lines.shrink_to(bytes / 16);
    }

    /// Number of field lines.
    #[inline]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is no field line.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// All lines in order, as (canonical name, value).
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> + Clone {
        self.lines
            .iter()
            .map(|line| (line.name(&self.arena), line.value(&self.arena)))
    }

    /// All lines in order with the name's token.
    pub fn iter_with_token(&self) -> impl Iterator<Item = (Option<Token>, &[u8], &[u8])> + Clone {
        self.lines.iter().map(|line| {
            (
                Token::from_number(line.token),
                line.name(&self.arena),
                line.value(&self.arena),
            )
        })
    }

    /// The first value of `token`.
    #[inline]
    pub fn get(&self, token: Token) -> Option<&[u8]> {
        if !self.may_have(token.bit()) {
            return None;
        }
        let line = self.lines.iter().find(|line| line.token == token as u8)?;
        Some(line.value(&self.arena))
    }

    /// Every value of `token`, in order.
    pub fn get_all(&self, token: Token) -> impl Iterator<Item = &[u8]> + Clone {
        let lines = self
            .lines
            .iter()
            .filter(move |line| line.token == token as u8);
        lines.map(|line| line.value(&self.arena))
    }

    /// The first value of `name`.
    pub fn get_name(&self, name: &FieldName) -> Option<&[u8]> {
        self.all_by_name(name).next()
    }

    /// Every value of `name`, in order.
    pub fn all_by_name(&self, name: &FieldName) -> impl Iterator<Item = &[u8]> + Clone {
        let lines = self
            .lines
            .iter()
            .filter(move |line| line.is(name, &self.arena));
        lines.map(|line| line.value(&self.arena))
    }

    /// Whether there is a line of this name.
    pub fn contains(&self, name: &impl Named) -> bool {
        self.position(name).is_some()
    }

    /// Number of lines of this name.
    pub fn count(&self, name: &impl Named) -> usize {
        self.lines
            .iter()
            .filter(|line| line.is(name, &self.arena))
            .count()
    }

    /// Adds a line at the end. Surrounding white space of the value is dropped; CR, LF and NUL become
    /// spaces, so that no value from a template or a capture can start a new line.
    pub fn append(&mut self, name: &impl Named, value: &[u8]) {
        self.append_parts(name, &[value]);
    }

    /// Like [`Fields::append`], the value given in pieces that are written one after the other.
    pub fn append_parts(&mut self, name: &impl Named, parts: &[&[u8]]) {
        let line = self.put_line(name.token(), name.text(), parts);
        self.lines.push(line);
    }

    /// Like [`Fields::append`], for a value known to need no trimming and no cleansing.
    #[inline]
    pub(crate) fn append_clean(&mut self, token: Token, value: &[u8]) {
        let name = token.line_start().as_bytes();
        let start = self.arena.len();
        self.arena.extend_from_slice(name);
        self.arena.extend_from_slice(value);
        self.arena.extend_from_slice(b"\r\n");
        let line = self.line(start, Some(token), name.len() - 2, value.len());
        self.lines.push(line);
    }

    /// Replaces all lines of this name by one, at the place of the first; appends if there is none.
    pub fn set(&mut self, name: &impl Named, value: &[u8]) {
        self.set_parts(name, &[value]);
    }

    /// Like [`Fields::set`], the value given in pieces that are written one after the other.
    pub fn set_parts(&mut self, name: &impl Named, parts: &[&[u8]]) {
        let Some(first) = self.position(name) else {
            return self.append_parts(name, parts);
        };
        let line = self.put_line(name.token(), name.text(), parts);
        self.replace_all(name, first, line);
    }

    /// Joins all lines of `name` with `", "`, adds `value` at the end, and leaves one line.
    pub fn append_to_list(&mut self, name: &impl Named, value: &[u8]) {
        self.join_with(name, Some(value));
    }

    /// Joins all lines of `name` with `", "` into one.
    pub fn join(&mut self, name: &impl Named) {
        self.join_with(name, None);
    }

    fn join_with(&mut self, name: &impl Named, value: Option<&[u8]>) {
        let Some(first) = self.position(name) else {
            return value.map_or((), |value| self.append(name, value));
        };
        let start = self.begin_line(name.text());
        for index in first..self.lines.len() {
            let line = self.lines[index];
            if line.is(name, &self.arena) {
                if index > first {
                    self.arena.extend_from_slice(b", ");
                }
                self.arena.extend_from_within(line.value_range());
            }
        }
        if let Some(value) = value {
            if self.arena.len() > start + name.text().len() + 2 {
                self.arena.extend_from_slice(b", ");
            }
            push_clean(&mut self.arena, value);
        }
        let joined = self.end_line(start, name.token(), name.text().len());
        self.replace_all(name, first, joined);
    }

    /// Puts `line` at the place of the first line of `name` and removes the others.
    fn replace_all(&mut self, name: &impl Named, first: usize, line: Line) {
        self.lines[first] = line;
        let arena = &self.arena;
        let mut index = 0;
        self.lines.retain(|line| {
            index += 1;
            index - 1 <= first || !line.is(name, arena)
        });
    }

    /// Removes all lines of this name; whether there was one.
    pub fn remove(&mut self, name: &impl Named) -> bool {
        if self.position(name).is_none() {
            return false;
        }
        let arena = &self.arena;
        self.lines.retain(|line| !line.is(name, arena));
        if let Some(token) = name.token() {
            self.seen &= !token.bit();
        }
        true
    }

    /// Whether there may be a line of one of these tokens.
    #[inline]
    pub(crate) fn may_have(&self, tokens: u128) -> bool {
        self.seen & tokens != 0
    }

    /// Whether there may be a line whose name some server takes for another one: it holds an underscore or a dot.
    #[inline]
    pub(crate) fn may_have_alias(&self) -> bool {
        self.may_have(ALIAS)
    }

    #[inline]
    fn position(&self, name: &impl Named) -> Option<usize> {
        if name
            .token()
            .is_some_and(|token| !self.may_have(token.bit()))
        {
            return None;
        }
        self.lines
            .iter()
            .position(|line| line.is(name, &self.arena))
    }

    /// Keeps the lines for which `keep(token, name, value)` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(Option<Token>, &[u8], &[u8]) -> bool) {
        let arena = &self.arena;
        self.lines.retain(|line| {
            keep(
                Token::from_number(line.token),
                line.name(arena),
                line.value(arena),
            )
        });
    }

    /// Removes the lines whose names the `Connection` lines list (RFC 9110 §7.6.1), except those that
    /// `spare(token, name)` protects. The `Connection` lines stay.
    pub(crate) fn remove_nominated(&mut self, spare: impl Fn(Option<Token>, &[u8]) -> bool) {
        let arena = &self.arena;
        let mut write = 0;
        for read in 0..self.lines.len() {
            let line = self.lines[read];
            let (token, name) = (Token::from_number(line.token), line.name(arena));
            let nominated = token != Some(Token::Connection) && !spare(token, name) && {
                // The lines between are those removed or moved; no `Connection` line is lost.
                let mut lines = self.lines[..write].iter().chain(&self.lines[read..]);
                lines.any(|line| {
                    line.token == Token::Connection as u8
                        && list_members(line.value(arena)).any(|m| m.eq_ignore_ascii_case(name))
                })
            };
            if !nominated {
                self.lines[write] = line;
                write += 1;
            }
        }
        self.lines.truncate(write);
    }

    fn put_line(&mut self, token: Option<Token>, name: &[u8], parts: &[&[u8]]) -> Line {
        let start = self.begin_line(name);
        for part in parts {
            push_clean(&mut self.arena, part);
        }
        self.end_line(start, token, name.len())
    }

    fn begin_line(&mut self, name: &[u8]) -> usize {
        let start = self.arena.len();
        self.arena.extend_from_slice(name);
        self.arena.extend_from_slice(b": ");
        start
    }

    /// Ends the line begun at `start`: trims the value, adds CRLF, measures.
    fn end_line(&mut self, start: usize, token: Option<Token>, name_len: usize) -> Line {
        let value_start = start + name_len + 2;
        while self.arena.len() > value_start && matches!(self.arena.last(), Some(b' ' | b'\t')) {
            self.arena.pop();
        }
        let blanks = self.arena[value_start..]
            .iter()
            .take_while(|b| matches!(b, b' ' | b'\t'));
        let blanks = blanks.count();
        if blanks > 0 {
            self.arena.copy_within(value_start + blanks.., value_start);
            self.arena.truncate(self.arena.len() - blanks);
        }
        let value_len = self.arena.len() - value_start;
        self.arena.extend_from_slice(b"\r\n");
        self.line(start, token, name_len, value_len)
    }

    /// The entry of a line that stands in the arena.
    #[inline]
    fn line(&mut self, start: usize, token: Option<Token>, name: usize, value: usize) -> Line {
        assert!(
            self.arena.len() <= MAX_ARENA_BYTES,
            "a message head outgrew {MAX_ARENA_BYTES} bytes"
        );
        self.seen |= match token {
            Some(token) => token.bit(),
            None if memchr::memchr2(b'_', b'.', &self.arena[start..start + name]).is_some() => {
                ALIAS
            }
            None => 0,
        };
        Line {
            start: start as u32,
            value_len: value as u32,
            name_len: name as u16,
            token: token.map_or(UNKNOWN, |token| token as u8),
        }
    }
}

impl Line {
    fn range(&self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start + usize::from(self.name_len) + self.value_len as usize + 4
    }

    fn value_range(&self) -> std::ops::Range<usize> {
        let start = self.start as usize + usize::from(self.name_len) + 2;
        start..start + self.value_len as usize
    }

    #[inline]
    fn name<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize;
        &arena[start..start + usize::from(self.name_len)]
    }

    #[inline]
    fn value<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        &arena[self.value_range()]
    }

    #[inline]
    fn is(&self, name: &impl Named, arena: &[u8]) -> bool {
        match name.token() {
            Some(token) => self.token == token as u8,
            None => self.token == UNKNOWN && self.name(arena) == name.text(),
        }
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.iter().map(|(name, value)| {
            (
                String::from_utf8_lossy(name).into_owned(),
                String::from_utf8_lossy(value).into_owned(),
            )
        });
        f.debug_list().entries(lines).finish()
    }
}

fn push_clean(arena: &mut Vec<u8>, value: &[u8]) {
    let start = arena.len();
    arena.extend_from_slice(value);
    if memchr::memchr3(b'\r', b'\n', 0, value).is_some() {
        for byte in &mut arena[start..] {
            if matches!(byte, b'\r' | b'\n' | 0) {
                *byte = b' ';
            }
        }
    }
}

#[cfg(test)]
mod tests;
