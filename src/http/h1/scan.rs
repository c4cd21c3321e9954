//! Finding the end of a head that arrives in pieces, each byte looked at once.

/// A line that ends with LF alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BareLf;

/// Remembers how far a head was searched, so that a peer that sends byte by byte costs linear work.
///
/// Parse first: most heads arrive whole. Only when the parser answers `Ok(None)` ask the scanner
/// after each read, and parse again once it has found the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadScanner {
    scanned: usize,
    line_start: usize,
    /// Whether a line with content was seen; empty lines before it are not the end (RFC 9112 §2.2).
    content: bool,
}

impl HeadScanner {
    /// A scanner for the head at the start of the input.
    pub const fn new() -> Self {
        HeadScanner {
            scanned: 0,
            line_start: 0,
            content: false,
        }
    }

    /// Searches the part of `input` that earlier calls have not seen. `input` begins with the same
    /// bytes at every call. `Ok(Some(n))`: the head is the first `n` bytes.
    pub fn find_end(&mut self, input: &[u8]) -> Result<Option<usize>, BareLf> {
        let fresh = input.get(self.scanned..).unwrap_or_default();
        let base = self.scanned;
        self.scanned = input.len();
        for offset in memchr::memchr_iter(b'\n', fresh) {
            let lf = base + offset;
            let line = &input[self.line_start..lf];
            let Some((b'\r', line)) = line.split_last() else {
                return Err(BareLf);
            };
            self.line_start = lf + 1;
            if !line.is_empty() {
                self.content = true;
            } else if self.content {
                self.scanned = self.line_start;
                return Ok(Some(self.line_start));
            }
        }
        Ok(None)
    }
}

/// Whether every LF of `head` follows a CR.
pub(super) fn lines_end_with_crlf(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head).all(|lf| lf > 0 && head.get(lf - 1) == Some(&b'\r'))
}

/// Whether what precedes the first field line is one line that ends with CRLF: the start line holds
/// no other LF, unless empty lines precede it.
#[inline]
pub(super) fn start_is_tidy(start: &[u8]) -> bool {
    !matches!(start.first(), Some(b'\r' | b'\n')) && start.ends_with(b"\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_end_at_every_split() {
        let head = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET";
        for cut in 0..head.len() {
            let mut scanner = HeadScanner::new();
            let first = scanner.find_end(&head[..cut]).unwrap();
            if let Some(end) = first {
                assert_eq!(end, head.len() - 3);
            } else {
                assert_eq!(scanner.find_end(head).unwrap(), Some(head.len() - 3));
            }
        }
    }

    #[test]
    fn byte_by_byte_is_found_once() {
        let head = b"GET / HTTP/1.1\r\n\r\n";
        let mut scanner = HeadScanner::new();
        for end in 0..head.len() {
            assert_eq!(scanner.find_end(&head[..end]).unwrap(), None);
        }
        assert_eq!(scanner.find_end(head).unwrap(), Some(head.len()));
    }

    #[test]
    fn a_bare_lf_is_refused_at_once() {
        for head in [
            &b"\n"[..],
            b"GET / HTTP/1.1\n",
            b"GET / HTTP/1.1\r\n\n",
            b"a\r\nb\n",
        ] {
            assert_eq!(HeadScanner::new().find_end(head), Err(BareLf));
            assert!(!lines_end_with_crlf(head));
        }
    }
}
