//! Fields from the wire and to it: a received block becomes the arena as it is, and lines that are neighbours in the arena
//! leave it together. Not here: finding the lines of a block and judging them, which the parser of heads has done.

use std::ops::Range;

use super::{Fields, Line, UNKNOWN};
use crate::http::name::canonicalize_valid;
use crate::http::sink::Sink;
use crate::http::token::Token;

impl Fields {
    /// Copies a received header section (lines ended by CRLF) into the empty arena, to be followed by
    /// [`Fields::push_received`] for each line.
    #[inline]
    pub(crate) fn receive(&mut self, block: &[u8]) {
        self.clear();
        self.arena.extend_from_slice(block);
    }

    /// Adds the line whose name starts at `start` of the received block and whose value is at
    /// `value`; returns its token, and whether the line is `Name: value` and CRLF without further
    /// white space. The caller has validated both.
    #[inline]
    pub(crate) fn push_received(
        &mut self,
        start: usize,
        name_len: usize,
        value: Range<usize>,
    ) -> (Option<Token>, bool) {
        let name_end = start + name_len;
        let name = &mut self.arena[start..name_end];
        let token = match Token::lookup_spelled(name) {
            Some((token, canonical)) => {
                if !canonical {
                    name.copy_from_slice(token.name().as_bytes());
                }
                Some(token)
            }
            None => {
                canonicalize_valid(name);
                None
            }
        };
        let tidy = self.arena.get(name_end..value.start) == Some(b": ")
            && self.arena.get(value.end..value.end + 2) == Some(b"\r\n");
        let line = if tidy {
            self.line(start, token, name_len, value.end - value.start)
        } else {
            self.tidied(start..name_end, value, token)
        };
        self.lines.push(line);
        (token, tidy)
    }

    /// Takes back the line pushed last: its meaning went elsewhere in the head.
    #[inline]
    pub(crate) fn drop_last(&mut self) {
        self.lines.pop();
    }

    /// Rewrites a line with unusual white space at the end of the arena.
    #[cold]
    fn tidied(&mut self, name: Range<usize>, value: Range<usize>, token: Option<Token>) -> Line {
        let start = self.arena.len();
        let name_len = name.len();
        self.arena.extend_from_within(name);
        self.arena.extend_from_slice(b": ");
        self.arena.extend_from_within(value);
        self.end_line(start, token, name_len)
    }

    /// Writes the lines for which `keep(token)` holds as `Name: value\r\n`.
    #[inline]
    pub(crate) fn write(&self, keep: impl Fn(Option<Token>) -> bool, out: &mut impl Sink) {
        let mut run = 0..0;
        for line in &self.lines {
            if line.token != UNKNOWN && !keep(Token::from_number(line.token)) {
                continue;
            }
            let range = line.range();
            if range.start == run.end {
                run.end = range.end;
            } else {
                out.put(&self.arena[run]);
                run = range;
            }
        }
        out.put(&self.arena[run]);
    }

    /// Like [`Fields::write`], with another spelling for the names for which `rename(token)` gives one.
    pub(crate) fn write_renamed(
        &self,
        keep: impl Fn(Option<Token>) -> bool,
        rename: impl Fn(Token) -> Option<&'static str>,
        out: &mut impl Sink,
    ) {
        for line in &self.lines {
            let token = Token::from_number(line.token);
            if !keep(token) {
                continue;
            }
            match token.and_then(&rename) {
                Some(name) => out.put(name.as_bytes()),
                None => out.put(line.name(&self.arena)),
            }
            out.put(b": ");
            out.put(line.value(&self.arena));
            out.put(b"\r\n");
        }
    }
}
