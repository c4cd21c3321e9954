//! HTTP/1.1 message framing for the origin and the load generator (RFC 9112 §6 and §7.1).
//!
//! It finds where messages end and hands out their parts; it trusts its peer otherwise.

/// The largest head that is accepted.
const MAX_HEAD: usize = 64 * 1024;

/// Which side's messages are read: they differ in what a missing length means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// No length: no body.
    Request,
    /// No length: the body ends with the connection.
    Response,
}

/// What a head says about its message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The status code; 0 for a request.
    pub status: u16,
    /// `Connection: close` was given.
    pub close: bool,
    body: Body,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Body {
    Length(u64),
    Chunked,
    UntilClose,
}

/// A part of a message, in order.
pub enum Part<'a> {
    /// The head's bytes, and what they say.
    Head(&'a [u8], Head),
    /// Some bytes of the body, without chunk framing.
    Body(&'a [u8]),
    /// The message is complete.
    End,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Head,
    Length(u64),
    UntilClose,
    ChunkSize,
    ChunkData(u64),
    /// The line end after a chunk's data.
    ChunkEnd,
    Trailers,
}

/// Reads one connection's messages from whatever pieces they arrive in.
pub struct Reader {
    kind: Kind,
    phase: Phase,
    /// A head or line that has arrived in part.
    partial: Vec<u8>,
}

impl Reader {
    /// A reader at the start of a message.
    pub fn new(kind: Kind) -> Reader {
        Reader {
            kind,
            phase: Phase::Head,
            partial: Vec::new(),
        }
    }

    /// Whether no byte of a further message has arrived.
    pub fn is_between_messages(&self) -> bool {
        self.phase == Phase::Head && self.partial.is_empty()
    }

    /// Whether the message ends validly if the connection closes now.
    pub fn ends_at_close(&self) -> bool {
        self.phase == Phase::UntilClose
    }

    /// Takes `input`, giving each part to `sink`. An interim (1xx) response is skipped.
    pub fn feed(
        &mut self,
        mut input: &[u8],
        sink: &mut impl FnMut(Part<'_>),
    ) -> Result<(), String> {
        while !input.is_empty() {
            match self.phase {
                Phase::Head => {
                    let Some(rest) = self.head(input, sink)? else {
                        return Ok(());
                    };
                    input = rest;
                }
                Phase::Length(left) => {
                    let (body, rest) = take(input, left);
                    input = rest;
                    sink(Part::Body(body));
                    self.phase = Phase::Length(left - body.len() as u64);
                    if self.phase == Phase::Length(0) {
                        self.end(sink);
                    }
                }
                Phase::UntilClose => {
                    sink(Part::Body(input));
                    return Ok(());
                }
                Phase::ChunkData(left) => {
                    let (body, rest) = take(input, left);
                    input = rest;
                    sink(Part::Body(body));
                    let left = left - body.len() as u64;
                    self.phase = match left {
                        0 => Phase::ChunkEnd,
                        _ => Phase::ChunkData(left),
                    };
                }
                Phase::ChunkSize | Phase::ChunkEnd | Phase::Trailers => {
                    let Some(rest) = self.line(input, sink)? else {
                        return Ok(());
                    };
                    input = rest;
                }
            }
        }
        Ok(())
    }

    /// Completes the head with `input` and announces it; gives what follows it, or nothing if more is needed.
    fn head<'a>(
        &mut self,
        input: &'a [u8],
        sink: &mut impl FnMut(Part<'_>),
    ) -> Result<Option<&'a [u8]>, String> {
        if self.partial.is_empty()
            && let Some(end) = head_end(input)
        {
            // The common case: the head arrived whole and is read where it lies.
            let (bytes, rest) = input.split_at(end);
            self.announce(bytes, sink)?;
            return Ok(Some(rest));
        }
        let before = self.partial.len();
        self.partial.extend_from_slice(input);
        let Some(end) = head_end(&self.partial) else {
            if self.partial.len() > MAX_HEAD {
                return Err(format!("head over {MAX_HEAD} bytes"));
            }
            return Ok(None);
        };
        let mut bytes = std::mem::take(&mut self.partial);
        bytes.truncate(end);
        self.announce(&bytes, sink)?;
        Ok(Some(&input[end - before..]))
    }

    fn announce(&mut self, bytes: &[u8], sink: &mut impl FnMut(Part<'_>)) -> Result<(), String> {
        let head = parse(self.kind, bytes)?;
        if head.status / 100 == 1 {
            return Ok(());
        }
        sink(Part::Head(bytes, head));
        match head.body {
            Body::Length(0) => self.end(sink),
            Body::Length(length) => self.phase = Phase::Length(length),
            Body::Chunked => self.phase = Phase::ChunkSize,
            Body::UntilClose => self.phase = Phase::UntilClose,
        }
        Ok(())
    }

    /// Completes a line of chunk framing with `input`; gives what follows it, or nothing if more is needed.
    fn line<'a>(
        &mut self,
        input: &'a [u8],
        sink: &mut impl FnMut(Part<'_>),
    ) -> Result<Option<&'a [u8]>, String> {
        let Some(end) = input.iter().position(|&byte| byte == b'\n') else {
            self.partial.extend_from_slice(input);
            if self.partial.len() > MAX_HEAD {
                return Err(format!("chunk line over {MAX_HEAD} bytes"));
            }
            return Ok(None);
        };
        let mut line = std::mem::take(&mut self.partial);
        line.extend_from_slice(&input[..end]);
        let line = line.trim_ascii_end();
        match self.phase {
            Phase::ChunkSize => {
                let digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
                let size = std::str::from_utf8(digits)
                    .ok()
                    .and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok())
                    .ok_or_else(|| format!("bad chunk size {:?}", String::from_utf8_lossy(line)))?;
                self.phase = match size {
                    0 => Phase::Trailers,
                    _ => Phase::ChunkData(size),
                };
            }
            Phase::ChunkEnd if line.is_empty() => self.phase = Phase::ChunkSize,
            Phase::Trailers if line.is_empty() => self.end(sink),
            Phase::Trailers => {}
            _ => return Err("bytes after a chunk's data".to_owned()),
        }
        Ok(Some(&input[end + 1..]))
    }

    fn end(&mut self, sink: &mut impl FnMut(Part<'_>)) {
        self.phase = Phase::Head;
        sink(Part::End);
    }
}

fn take(input: &[u8], left: u64) -> (&[u8], &[u8]) {
    let length = usize::try_from(left).unwrap_or(usize::MAX);
    input.split_at(length.min(input.len()))
}

/// Where the head ends, after its empty line.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|&byte| byte == b'\n') {
        let next = from + at + 1;
        match bytes[next..] {
            [b'\r', b'\n', ..] => return Some(next + 2),
            _ => from = next,
        }
    }
    None
}

fn parse(kind: Kind, bytes: &[u8]) -> Result<Head, String> {
    let unreadable = || format!("bad head {:?}", String::from_utf8_lossy(bytes));
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let (status, default_body) = match kind {
        Kind::Request => (0, Body::Length(0)),
        Kind::Response => (status(first).ok_or_else(unreadable)?, Body::UntilClose),
    };
    let mut head = Head {
        status,
        close: false,
        body: default_body,
    };
    for line in lines {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        // The lengths are compared first, so that other headers cost next to nothing.
        match name.len() {
            10 if name.eq_ignore_ascii_case(b"connection") => {
                head.close |= value.eq_ignore_ascii_case(b"close");
            }
            14 if name.eq_ignore_ascii_case(b"content-length") && head.body != Body::Chunked => {
                let text = std::str::from_utf8(value).ok();
                let length = text.and_then(|text| text.parse().ok());
                head.body = Body::Length(length.ok_or_else(unreadable)?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                head.body = Body::Chunked;
            }
            _ => {}
        }
    }
    if matches!(status, 204 | 304) {
        head.body = Body::Length(0);
    }
    Ok(head)
}

fn status(line: &[u8]) -> Option<u16> {
    let code = line.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    std::str::from_utf8(code).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `wire` in pieces of `step` bytes and notes the parts.
    fn read(kind: Kind, wire: &[u8], step: usize) -> (Vec<(Head, Vec<u8>)>, Reader) {
        let mut reader = Reader::new(kind);
        let mut complete = Vec::new();
        let mut current = None;
        for piece in wire.chunks(step) {
            reader
                .feed(piece, &mut |part| match part {
                    Part::Head(_, head) => current = Some((head, Vec::new())),
                    Part::Body(bytes) => {
                        let message = current.as_mut().expect("a head came first");
                        message.1.extend_from_slice(bytes);
                    }
                    Part::End => complete.extend(current.take()),
                })
                .expect("valid");
        }
        (complete, reader)
    }

    #[test]
    fn messages_are_the_same_however_they_are_split() {
        let wire = b"HTTP/1.1 100 Continue\r\n\r\n\
            HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\
            HTTP/1.1 503 Busy\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n10;x=y\r\n0123456789abcdef\r\n0\r\nT: v\r\n\r\n\
            HTTP/1.1 204 None\r\nConnection: close\r\n\r\n";
        for step in 1..wire.len() {
            let (messages, reader) = read(Kind::Response, wire, step);
            let seen: Vec<_> = messages
                .iter()
                .map(|(head, body)| (head.status, head.close, body.as_slice()))
                .collect();
            let expected: [(u16, bool, &[u8]); 3] = [
                (200, false, b"hello"),
                (503, false, b"abc0123456789abcdef"),
                (204, true, b""),
            ];
            assert_eq!(seen, expected, "in pieces of {step}");
            assert!(reader.is_between_messages());
        }
    }

    #[test]
    fn a_missing_length_means_no_body_for_a_request_and_until_close_for_a_response() {
        let (requests, _) = read(Kind::Request, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 64);
        assert_eq!(requests.len(), 1);
        let (responses, reader) = read(Kind::Response, b"HTTP/1.1 200 OK\r\n\r\nabc", 64);
        assert!(responses.is_empty() && reader.ends_at_close());
    }

    #[test]
    fn what_is_not_http_is_an_error() {
        let mut reader = Reader::new(Kind::Response);
        assert!(reader.feed(b"nonsense\r\n\r\n", &mut |_| {}).is_err());
    }
}
