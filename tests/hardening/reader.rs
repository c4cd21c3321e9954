//! A second reader of HTTP/1 requests, written without regard to the proxy's own, simple and slow. Strict, it says what
//! a client framed; with a [`Quirk`], what a sloppy origin would make of the same bytes.

/// A request with its body decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// In origin form, bytes outside ASCII percent-encoded.
    pub target: String,
    pub body: Vec<u8>,
}

/// How a stream of requests ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Between two requests.
    Clean,
    /// Behind a request after which the connection closes; what follows means nothing.
    Closed,
    /// In a request that is fine as far as it goes: in its head, or in the body of this one.
    Incomplete(Option<Request>),
    /// In a request that must be refused: in its head, or in the body of this one.
    Malformed(&'static str, Option<Request>),
}

/// A stream of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pub requests: Vec<Request>,
    pub end: End,
    /// Bytes that the requests took.
    pub consumed: usize,
}

/// What sloppy readers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// A bare LF ends a line.
    BareLf,
    /// A bare CR ends a line.
    BareCr,
    /// CR and whatever follows it end a line.
    CrAnything,
    /// A line that begins with a blank continues the one before.
    Fold,
    /// Everything that is no visible ASCII is trimmed from names and values.
    WideTrim,
    /// A value ends at its first NUL.
    NulEnds,
    /// A blank separates a name from its value as a colon does.
    BlankSeparates,
    /// With both fields, the length counts.
    LengthWins,
    /// With both fields, the coding counts.
    CodingWins,
    /// Of several lengths the first counts, of a list the first member.
    FirstLength,
    /// Of several lengths the last counts, of a list the last member.
    LastLength,
    /// Numbers are read as far as they are numbers, with sign and `0x`.
    NumberPrefix,
    /// A coding that contains `chunk` is chunked.
    LazyCoding,
    /// Any coding at all is chunked.
    AnyCoding,
    /// Lines without a colon end the head.
    JunkEndsHead,
}

pub const QUIRKS: [Quirk; 15] = [
    Quirk::BareLf,
    Quirk::BareCr,
    Quirk::CrAnything,
    Quirk::Fold,
    Quirk::WideTrim,
    Quirk::NulEnds,
    Quirk::BlankSeparates,
    Quirk::LengthWins,
    Quirk::CodingWins,
    Quirk::FirstLength,
    Quirk::LastLength,
    Quirk::NumberPrefix,
    Quirk::LazyCoding,
    Quirk::AnyCoding,
    Quirk::JunkEndsHead,
];

enum Stop {
    Incomplete,
    Malformed(&'static str),
}

use Stop::{Incomplete, Malformed};

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    quirks: &'a [Quirk],
}

/// What a stream of bytes says, read with `quirks`; with none, strictly.
pub fn read(input: &[u8], quirks: &[Quirk]) -> Reading {
    let mut reader = Reader {
        input,
        at: 0,
        quirks,
    };
    let mut requests = Vec::new();
    loop {
        let start = reader.at;
        let mut head = None;
        let end = match reader.request(&mut head) {
            Ok((request, false)) => {
                requests.push(request);
                continue;
            }
            Ok((request, true)) => {
                requests.push(request);
                End::Closed
            }
            Err(Incomplete) if input[start..].iter().all(|b| b"\r\n".contains(b)) => End::Clean,
            Err(Incomplete) => End::Incomplete(head),
            Err(Malformed(why)) => End::Malformed(why, head),
        };
        let consumed = if end == End::Closed { reader.at } else { start };
        return Reading {
            requests,
            end,
            consumed,
        };
    }
}

type Fields = Vec<(String, Vec<u8>)>;

impl Reader<'_> {
    fn is(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }

    /// The next line without its end.
    fn line(&mut self) -> Result<Vec<u8>, Stop> {
        let rest = &self.input[self.at..];
        for (n, &byte) in rest.iter().enumerate() {
            let taken = match (byte, rest.get(n + 1)) {
                (b'\r', Some(b'\n')) => n + 2,
                (b'\r', Some(_)) if self.is(Quirk::BareCr) => n + 1,
                (b'\r', Some(_)) if self.is(Quirk::CrAnything) => n + 2,
                (b'\n', _) if self.is(Quirk::BareLf) => n + 1,
                (b'\n', _) => return Err(Malformed("a bare LF")),
                (b'\r', Some(_)) if self.quirks.is_empty() => return Err(Malformed("a bare CR")),
                _ => continue,
            };
            self.at += taken;
            return Ok(rest[..n].to_vec());
        }
        Err(Incomplete)
    }

    /// A request, and whether it is the connection's last one.
    fn request(&mut self, head: &mut Option<Request>) -> Result<(Request, bool), Stop> {
        let mut line = self.line()?;
        for _ in 0..2 {
            if line.is_empty() {
                line = self.line()?;
            }
        }
        let text = String::from_utf8_lossy(&line).into_owned();
        let parts: Vec<&str> = text.split(' ').collect();
        let [method, target, version] = parts[..] else {
            return Err(Malformed("not three parts"));
        };
        let minor = version
            .strip_prefix("HTTP/1.")
            .filter(|minor| minor.len() == 1 && minor.bytes().all(|b| b.is_ascii_digit()))
            .ok_or(Malformed("the version"))?;
        if !is_token(method) || method == "CONNECT" {
            return Err(Malformed("the method"));
        }
        let raw = &line[method.len() + 1..line.len() - version.len() - 1];
        let target = origin_form(target, raw)?;
        let fields = self.fields()?;
        let is_1_1 = minor != "0";
        let hosts = fields.iter().filter(|(name, _)| name == "host").count();
        if self.quirks.is_empty() && (hosts > 1 || is_1_1 && hosts == 0) {
            return Err(Malformed("not one Host"));
        }
        let expects = |value: &[u8]| {
            let text = String::from_utf8_lossy(value).to_ascii_lowercase();
            text.split(',')
                .all(|one| matches!(one.trim(), "" | "100-continue"))
        };
        if fields
            .iter()
            .any(|(name, value)| name == "expect" && !expects(value))
        {
            return Err(Malformed("an unknown expectation"));
        }
        let mut request = Request {
            method: method.to_owned(),
            target,
            body: Vec::new(),
        };
        let (length, chunked) = self.framing(&fields, is_1_1)?;
        *head = Some(request.clone());
        if chunked {
            request.body = self.chunks()?;
        } else if let Some(length) = length {
            let left = &self.input[self.at..];
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            request.body = left.get(..length).ok_or(Incomplete)?.to_vec();
            self.at += length;
        }
        let says = |option: &str| {
            let lines = fields.iter().filter(|(name, _)| name == "connection");
            lines
                .flat_map(|(_, value)| value.split(|&b| b == b','))
                .any(|one| one.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
        };
        Ok((request, says("close") || !is_1_1 && !says("keep-alive")))
    }

    fn fields(&mut self) -> Result<Fields, Stop> {
        let mut fields = Fields::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            if self.is(Quirk::Fold)
                && let (b' ' | b'\t', Some((_, value))) = (line[0], fields.last_mut())
            {
                value.extend_from_slice(&line);
                continue;
            }
            let separator = line
                .iter()
                .position(|&b| b == b':' || b == b' ' && self.is(Quirk::BlankSeparates));
            let Some(separator) = separator else {
                if self.is(Quirk::JunkEndsHead) {
                    return Ok(fields);
                }
                return Err(Malformed("a line without a colon"));
            };
            let (mut name, mut value) = (&line[..separator], &line[separator + 1..]);
            if self.is(Quirk::WideTrim) {
                name = trim(name, |b| !b.is_ascii_graphic());
                value = trim(value, |b| !b.is_ascii_graphic());
            }
            if self.is(Quirk::NulEnds) {
                value = value.split(|&b| b == 0).next().unwrap_or_default();
            }
            value = trim(value, |b| b == b' ' || b == b'\t');
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            if self.quirks.is_empty() {
                if !is_token(&name) {
                    return Err(Malformed("a field's name"));
                }
                if value.iter().any(|&b| b < b' ' && b != b'\t' || b == 0x7f) {
                    return Err(Malformed("a field's value"));
                }
            }
            fields.push((name, value.to_vec()));
        }
    }

    /// The length, and whether the body is chunked.
    fn framing(&self, fields: &Fields, is_1_1: bool) -> Result<(Option<u64>, bool), Stop> {
        let all = |name: &str| -> Vec<&[u8]> {
            let lines = fields.iter().filter(|(field, _)| field == name);
            lines.map(|(_, value)| &value[..]).collect()
        };
        let (lengths, codings) = (all("content-length"), all("transfer-encoding"));
        if self.quirks.is_empty() {
            return match (&lengths[..], &codings[..]) {
                ([], []) => Ok((None, false)),
                ([one], []) => Ok((Some(number(one)?), false)),
                ([], [one]) if one.eq_ignore_ascii_case(b"chunked") && is_1_1 => Ok((None, true)),
                _ => Err(Malformed("ambiguous framing")),
            };
        }
        let members: Vec<&[u8]> = lengths
            .iter()
            .flat_map(|v| v.split(|&b| b == b','))
            .collect();
        let chosen = match self.is(Quirk::LastLength) {
            true => members.last(),
            false => members.first(),
        };
        let length = match chosen {
            Some(text) if self.is(Quirk::NumberPrefix) => Some(number_prefix(text, 10)),
            Some(text) => Some(number(text.trim_ascii())?),
            None => None,
        };
        let chunked = codings.iter().any(|value| {
            let text = String::from_utf8_lossy(value).to_ascii_lowercase();
            text.split(',')
                .next_back()
                .is_some_and(|last| last.trim() == "chunked")
                || self.is(Quirk::LazyCoding) && text.contains("chunk")
                || self.is(Quirk::AnyCoding)
        });
        Ok((
            length,
            chunked && (length.is_none() || !self.is(Quirk::LengthWins)),
        ))
    }

    fn chunks(&mut self) -> Result<Vec<u8>, Stop> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = line.split(|&b| b == b';').next().unwrap_or_default();
            let size = match self.is(Quirk::NumberPrefix) {
                true => number_prefix(size, 16),
                false => {
                    let has_extension = size.len() < line.len();
                    let digits = if has_extension {
                        trim(size, |b| b == b' ' || b == b'\t')
                    } else {
                        size
                    };
                    let leads =
                        has_extension && size.first().is_some_and(|b| !b.is_ascii_hexdigit());
                    if digits.is_empty()
                        || digits.len() > 16
                        || leads
                        || !digits.iter().all(u8::is_ascii_hexdigit)
                    {
                        return Err(Malformed("a chunk's size"));
                    }
                    let text = String::from_utf8_lossy(digits);
                    u64::from_str_radix(&text, 16).map_err(|_| Malformed("a chunk's size"))?
                }
            };
            let controls = |b: &u8| *b < b' ' && *b != b'\t' || *b == 0x7f;
            if self.quirks.is_empty() && (line.iter().any(controls) || size > u64::MAX >> 1) {
                return Err(Malformed("a chunk's extension or size"));
            }
            if size == 0 {
                self.fields()?;
                return Ok(body);
            }
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            let left = &self.input[self.at..];
            body.extend_from_slice(left.get(..size).ok_or(Incomplete)?);
            self.at += size;
            if !self.line()?.is_empty() {
                return Err(Malformed("bytes behind a chunk"));
            }
        }
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn trim(mut text: &[u8], unwanted: impl Fn(u8) -> bool) -> &[u8] {
    while let [first, rest @ ..] = text
        && unwanted(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && unwanted(*last)
    {
        text = rest;
    }
    text
}

fn number(digits: &[u8]) -> Result<u64, Stop> {
    let text = String::from_utf8_lossy(digits);
    let is_plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let value = text.parse::<i64>().ok().filter(|_| is_plain);
    value.map(i64::unsigned_abs).ok_or(Malformed("a length"))
}

/// As C's `strtoll` reads it.
fn number_prefix(text: &[u8], base: u32) -> u64 {
    let text = String::from_utf8_lossy(text);
    let text = text.trim().trim_start_matches(['+', '-']);
    let (text, base) = match text.strip_prefix("0x") {
        Some(rest) => (rest, 16),
        None => (text, base),
    };
    let digits: String = text.chars().take_while(|c| c.is_digit(base)).collect();
    u64::from_str_radix(&digits, base).unwrap_or_default()
}

/// The target without scheme and authority.
fn origin_form(text: &str, raw: &[u8]) -> Result<String, Stop> {
    if raw.is_empty() || raw.iter().any(|&b| b <= b' ' || b == 0x7f) {
        return Err(Malformed("the target"));
    }
    let lower = text.to_ascii_lowercase();
    let absolute = ["http://", "https://"]
        .iter()
        .find(|scheme| lower.starts_with(**scheme));
    let raw = match absolute {
        Some(scheme) => {
            let rest = &raw[scheme.len()..];
            let path = rest.iter().position(|&b| b == b'/').unwrap_or(rest.len());
            &rest[path..]
        }
        None if raw[0] == b'/' || raw == b"*" => raw,
        None => return Err(Malformed("the target's form")),
    };
    let encoded = raw.iter().map(|&byte| match byte.is_ascii() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    Ok(encoded.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strict_reader_frames_what_is_framed() {
        let stream = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi\
            PUT /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nho\r\n0\r\nT: 1\r\n\r\n\
            GET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /d";
        let reading = read(stream, &[]);
        let targets: Vec<&str> = reading.requests.iter().map(|r| &*r.target).collect();
        assert_eq!(
            (targets, reading.end),
            (vec!["/a", "/b", "/c"], End::Closed)
        );
        assert_eq!(reading.requests[1].body, b"ho");
    }

    #[test]
    fn each_quirk_reads_its_own_smuggled_request() {
        let inner = "GET /in HTTP/1.1\r\nHost: x\r\n\r\n";
        let with = |field: &str, body: &str| {
            format!("POST / HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n{body}{inner}")
        };
        let length = inner.len();
        for (quirk, field) in [
            (
                Quirk::BareLf,
                format!("Content-Length: {length}\nTransfer-Encoding: chunked"),
            ),
            (
                Quirk::BareCr,
                format!("Content-Length: {length}\r\nX: y\rTransfer-Encoding: chunked"),
            ),
            (
                Quirk::WideTrim,
                "Transfer-Encoding: \u{b}chunked".to_owned(),
            ),
            (Quirk::NulEnds, "Transfer-Encoding: chunked\0x".to_owned()),
            (
                Quirk::BlankSeparates,
                "Transfer-Encoding chunked: x, chunked".to_owned(),
            ),
            (Quirk::LazyCoding, "Transfer-Encoding: xchunked".to_owned()),
            (Quirk::AnyCoding, "Transfer-Encoding: cow".to_owned()),
            (Quirk::Fold, "Transfer-Encoding:\r\n chunked".to_owned()),
        ] {
            let stream = with(&field, "0\r\n\r\n");
            let found = |quirks: &[Quirk]| {
                let reading = read(stream.as_bytes(), quirks);
                reading
                    .requests
                    .iter()
                    .any(|request| request.target == "/in")
            };
            assert!(found(&[quirk]) && !found(&[]), "{quirk:?}");
        }
    }
}
