//! The chunked transfer coding (RFC 9112 §7.1), incremental and strict.
//!
//! Lines end with CRLF and nothing else; sizes are hexadecimal digits; extensions are checked and
//! dropped; trailers are collected, bounded, and cleansed of fields that must not come that late.

use std::ops::Range;

use super::body::Step;
use super::framing::offset_in;
use super::scan::lines_end_with_crlf;
use crate::http::error::ChunkError;
use crate::http::fields::{Fields, MAX_NAME_BYTES};
use crate::http::hop;
use crate::http::limits::Limits;
use crate::http::path::hex_digit;
use crate::http::sink::Sink;

/// The end of a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Longest chunk line, size and extensions together, in bytes.
const MAX_CHUNK_LINE_BYTES: u32 = 4096;
/// Framing bytes that the data does not pay for: a line costs its length, and earns 16 bytes plus
/// twice its chunk's size (Go's measure against tiny chunks and endless extensions).
const MAX_EXCESS_BYTES: i64 = 16 << 10;
/// Most field lines of a trailer section.
const MAX_TRAILERS: usize = 128;

/// Decodes one chunked body; give it the received bytes in order, in pieces of any size.
#[derive(Debug)]
pub struct ChunkedDecoder {
    state: State,
    /// Data bytes of the current chunk still to come; while its size is read, the size so far.
    remaining: u64,
    /// Bytes of the current chunk line.
    line: u32,
    excess: i64,
    max_trailer_bytes: usize,
    trailers: Option<Box<Trailers>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the first digit of a size.
    SizeStart,
    Size,
    /// Blanks after the size, which only a `;` may follow.
    Blank,
    Extension,
    /// In a quoted string of an extension; after its backslash.
    Quoted,
    QuotedPair,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a line of the trailer section.
    TrailerStart,
    Trailer,
    /// At the LF of the final CRLF.
    EndLf,
    Done,
}

#[derive(Debug, Default)]
struct Trailers {
    text: Vec<u8>,
    fields: Fields,
}

impl ChunkedDecoder {
    /// A decoder at the start of a body.
    pub fn new(limits: &Limits) -> Self {
        ChunkedDecoder {
            state: State::SizeStart,
            remaining: 0,
            line: 0,
            excess: 0,
            max_trailer_bytes: limits.max_trailer_bytes,
            trailers: None,
        }
    }

    /// Whether the body, trailers included, is complete.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The trailers that may be forwarded, once the body is done; `None` if there are none.
    pub fn trailers(&self) -> Option<&Fields> {
        let trailers = self.trailers.as_ref().filter(|_| self.is_done())?;
        Some(&trailers.fields).filter(|fields| !fields.is_empty())
    }

    /// Decodes until the body ends, or the input does, or a second range of data would begin.
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, ChunkError> {
        let mut at = 0;
        let mut data: Option<Range<usize>> = None;
        while self.state != State::Done {
            if self.state == State::Data {
                if data.is_some() {
                    break;
                }
                let left = input.len() - at;
                let here = usize::try_from(self.remaining)
                    .unwrap_or(usize::MAX)
                    .min(left);
                if here == 0 {
                    break;
                }
                data = Some(at..at + here);
                at += here;
                self.remaining -= here as u64;
                if self.remaining == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            let Some(&byte) = input.get(at) else { break };
            at += 1;
            self.framing_byte(byte)?;
        }
        Ok(Step {
            consumed: at,
            data: data.unwrap_or(at..at),
            done: self.is_done(),
        })
    }

    #[inline]
    fn framing_byte(&mut self, byte: u8) -> Result<(), ChunkError> {
        self.state = match self.state {
            State::SizeStart => {
                self.remaining = u64::from(hex_digit(byte).ok_or(ChunkError::Size)?);
                self.line = 1;
                State::Size
            }
            State::Size => match byte {
                b'\r' => State::SizeLf,
                b';' => State::Extension,
                b' ' | b'\t' => State::Blank,
                _ => {
                    let digit = u64::from(hex_digit(byte).ok_or(ChunkError::Size)?);
                    // Sixteen digits at most, and below 2^63.
                    self.line_byte()?;
                    if self.line > 16 || self.remaining >> 59 != 0 {
                        return Err(ChunkError::Size);
                    }
                    self.remaining = self.remaining << 4 | digit;
                    State::Size
                }
            },
            State::Blank => match byte {
                b' ' | b'\t' => self.line_byte().map(|()| State::Blank)?,
                b';' => self.line_byte().map(|()| State::Extension)?,
                _ => return Err(ChunkError::Extension),
            },
            State::Extension => match byte {
                b'\r' => State::SizeLf,
                b'"' => self.line_byte().map(|()| State::Quoted)?,
                _ => self.extension_byte(byte).map(|()| State::Extension)?,
            },
            State::Quoted => match byte {
                b'"' => self.line_byte().map(|()| State::Extension)?,
                b'\\' => self.line_byte().map(|()| State::QuotedPair)?,
                _ => self.extension_byte(byte).map(|()| State::Quoted)?,
            },
            State::QuotedPair => self.extension_byte(byte).map(|()| State::Quoted)?,
            State::SizeLf => {
                expect(byte, b'\n')?;
                self.account()?;
                if self.remaining == 0 {
                    State::TrailerStart
                } else {
                    State::Data
                }
            }
            State::DataCr => expect(byte, b'\r').map(|()| State::DataLf)?,
            State::DataLf => expect(byte, b'\n').map(|()| State::SizeStart)?,
            State::TrailerStart => match byte {
                b'\r' => State::EndLf,
                _ => self.trailer_byte(byte)?,
            },
            State::Trailer => self.trailer_byte(byte)?,
            State::EndLf => {
                expect(byte, b'\n')?;
                self.parse_trailers()?;
                State::Done
            }
            // `decode` handles these two.
            State::Data | State::Done => self.state,
        };
        Ok(())
    }

    fn line_byte(&mut self) -> Result<(), ChunkError> {
        self.line += 1;
        if self.line > MAX_CHUNK_LINE_BYTES {
            Err(ChunkError::Overhead)
        } else {
            Ok(())
        }
    }

    fn extension_byte(&mut self, byte: u8) -> Result<(), ChunkError> {
        match byte {
            b'\t' | b' '..=b'~' | 0x80.. => self.line_byte(),
            b'\n' => Err(ChunkError::LineEnd),
            _ => Err(ChunkError::Extension),
        }
    }

    /// Weighs the line just read against its chunk.
    fn account(&mut self) -> Result<(), ChunkError> {
        let earned = self.remaining.saturating_mul(2).saturating_add(16);
        self.excess += i64::from(self.line) + 2;
        self.excess = self.excess.saturating_sub_unsigned(earned).max(0);
        if self.excess > MAX_EXCESS_BYTES {
            Err(ChunkError::Overhead)
        } else {
            Ok(())
        }
    }

    #[cold]
    fn trailer_byte(&mut self, byte: u8) -> Result<State, ChunkError> {
        let text = &mut self.trailers.get_or_insert_default().text;
        if text.len() >= self.max_trailer_bytes {
            return Err(ChunkError::TrailerTooLarge);
        }
        text.push(byte);
        if byte != b'\n' {
            return Ok(State::Trailer);
        }
        if text.ends_with(b"\r\n") {
            Ok(State::TrailerStart)
        } else {
            Err(ChunkError::LineEnd)
        }
    }

    fn parse_trailers(&mut self) -> Result<(), ChunkError> {
        let Some(trailers) = self.trailers.as_deref_mut() else {
            return Ok(());
        };
        trailers.text.extend_from_slice(b"\r\n");
        trailers.parse()
    }
}

impl Trailers {
    fn parse(&mut self) -> Result<(), ChunkError> {
        if !lines_end_with_crlf(&self.text) {
            return Err(ChunkError::LineEnd);
        }
        let mut headers = [httparse::EMPTY_HEADER; MAX_TRAILERS];
        let parsed = httparse::parse_headers(&self.text, &mut headers);
        let headers = match parsed {
            Ok(httparse::Status::Complete((length, headers))) if length == self.text.len() => {
                headers
            }
            Err(httparse::Error::TooManyHeaders) => return Err(ChunkError::TrailerTooLarge),
            _ => return Err(ChunkError::Trailer),
        };
        self.fields.receive(&self.text);
        for header in headers {
            let name = header.name.as_bytes();
            let start = offset_in(&self.text, name).ok_or(ChunkError::Trailer)?;
            if name.len() > MAX_NAME_BYTES {
                return Err(ChunkError::Trailer);
            }
            let value = offset_in(&self.text, header.value).unwrap_or(0);
            self.fields
                .push_received(start, name.len(), value..value + header.value.len());
        }
        self.fields
            .retain(|token, name, _| hop::may_be_trailer(token, name));
        Ok(())
    }
}

/// The line that begins a chunk, on the stack.
#[derive(Clone, Copy, Debug)]
pub struct ChunkHeader {
    text: [u8; 18],
    start: u8,
}

/// The line that begins a chunk of `length` bytes, which must not be 0: that would end the body
/// ([`LAST_CHUNK`]). The chunk's data and a CRLF follow.
pub fn chunk_header(length: usize) -> ChunkHeader {
    debug_assert_ne!(length, 0, "a chunk of no bytes ends the body");
    let mut header = ChunkHeader {
        text: [0; 18],
        start: 16,
    };
    header.text[16] = b'\r';
    header.text[17] = b'\n';
    let mut rest = length;
    loop {
        header.start -= 1;
        header.text[usize::from(header.start)] = b"0123456789abcdef"[rest & 15];
        rest >>= 4;
        if rest == 0 {
            return header;
        }
    }
}

impl AsRef<[u8]> for ChunkHeader {
    fn as_ref(&self) -> &[u8] {
        &self.text[usize::from(self.start)..]
    }
}

/// Ends a chunked body with `trailers`; without any, this is [`LAST_CHUNK`].
pub fn write_trailers(trailers: &Fields, out: &mut impl Sink) {
    out.put(b"0\r\n");
    trailers.write(|_| true, out);
    out.put(b"\r\n");
}

fn expect(byte: u8, expected: u8) -> Result<(), ChunkError> {
    if byte == expected {
        Ok(())
    } else {
        Err(ChunkError::LineEnd)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Decoded {
        data: Vec<u8>,
        trailers: Vec<(String, String)>,
        /// Bytes after the body.
        surplus: Vec<u8>,
    }

    /// Decodes `input` given in pieces that end at `cuts`; `Ok(None)` if the body is not complete.
    fn decode(input: &[u8], cuts: &[usize]) -> Result<Option<Decoded>, ChunkError> {
        let mut decoder = ChunkedDecoder::new(&Limits::default());
        let mut data = Vec::new();
        let mut start = 0;
        for &end in cuts.iter().chain([&input.len()]) {
            let mut piece = &input[start..end.max(start)];
            start = end.max(start);
            loop {
                let step = decoder.decode(piece)?;
                assert!(step.consumed <= piece.len());
                assert!(step.data.start <= step.data.end && step.data.end <= step.consumed);
                assert_eq!(step.done, decoder.is_done());
                data.extend_from_slice(&piece[step.data]);
                piece = &piece[step.consumed..];
                if step.done {
                    let trailers = decoder.trailers().map_or(Vec::new(), |fields| {
                        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                        fields
                            .iter()
                            .map(|(name, value)| (text(name), text(value)))
                            .collect()
                    });
                    let mut surplus = piece.to_vec();
                    surplus.extend_from_slice(&input[start..]);
                    return Ok(Some(Decoded {
                        data,
                        trailers,
                        surplus,
                    }));
                }
                if piece.is_empty() {
                    break;
                }
                assert!(step.consumed > 0, "no progress");
            }
        }
        Ok(None)
    }

    fn whole(input: &str) -> Result<Option<Decoded>, ChunkError> {
        decode(input.as_bytes(), &[])
    }

    fn data(input: &str) -> String {
        String::from_utf8(whole(input).unwrap().unwrap().data).unwrap()
    }

    #[test]
    fn bodies_are_decoded() {
        assert_eq!(data("0\r\n\r\n"), "");
        assert_eq!(data("5\r\nhello\r\n0\r\n\r\n"), "hello");
        assert_eq!(data("05\r\nhello\r\n00\r\n\r\n"), "hello");
        assert_eq!(
            data("a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n").len(),
            21
        );
        assert_eq!(
            data("1;a\r\nx\r\n1;a=b;c=\"d;\\\"e\"\r\ny\r\n1 ;q\r\nz\r\n0;last\r\n\r\n"),
            "xyz"
        );
    }

    #[test]
    fn what_follows_the_body_is_left() {
        let decoded = whole("1\r\nx\r\n0\r\n\r\nGET /").unwrap().unwrap();
        assert_eq!(decoded.surplus, b"GET /");
    }

    #[test]
    fn malformed_chunks_are_refused() {
        let cases = [
            ("x\r\n", ChunkError::Size),
            ("\r\n", ChunkError::Size),
            (" 5\r\n", ChunkError::Size),
            ("+5\r\n", ChunkError::Size),
            ("-1\r\n", ChunkError::Size),
            ("0x5\r\n", ChunkError::Size),
            ("5_0\r\n", ChunkError::Size),
            ("8000000000000000\r\n", ChunkError::Size),
            ("10000000000000000\r\n", ChunkError::Size),
            ("00000000000000000\r\n", ChunkError::Size),
            ("5\nhello", ChunkError::Size),
            ("5 \r\nhello", ChunkError::Extension),
            ("5;a\nhello", ChunkError::LineEnd),
            ("5;a\rhello", ChunkError::LineEnd),
            ("5\rhello", ChunkError::LineEnd),
            ("5;a\0\r\nhello", ChunkError::Extension),
            ("5;\"a\r\nhello", ChunkError::Extension),
            ("5;\"a\nb\"\r\n", ChunkError::LineEnd),
            ("5;\"a\\\r\nhello", ChunkError::Extension),
            ("5\r\nhello\n", ChunkError::LineEnd),
            ("5\r\nhello!", ChunkError::LineEnd),
            ("5\r\nhello\r0", ChunkError::LineEnd),
            ("5\r\nhello\r\n\r\n", ChunkError::Size),
            ("0\r\n\n", ChunkError::LineEnd),
            ("0\r\n\rX", ChunkError::LineEnd),
            ("0\r\nA: b\n\r\n", ChunkError::LineEnd),
            ("0\r\nNo colon\r\n\r\n", ChunkError::Trailer),
            ("0\r\nA : b\r\n\r\n", ChunkError::Trailer),
            ("0\r\nA: b\r\n c\r\n\r\n", ChunkError::Trailer),
            ("0\r\nA: b\rc\r\n\r\n", ChunkError::Trailer),
            ("0\r\nA: b\0c\r\n\r\n", ChunkError::Trailer),
        ];
        for (input, error) in cases {
            assert_eq!(whole(input), Err(error), "{input:?}");
        }
        let largest = whole("7fffffffffffffff\r\n");
        assert_eq!(largest, Ok(None));
    }

    #[test]
    fn framing_out_of_proportion_is_refused() {
        let long = format!("1;{}\r\n", "x".repeat(5000));
        assert_eq!(whole(&long), Err(ChunkError::Overhead));
        let extension = "x".repeat(4000);
        let flood = format!("1;{extension}\r\nx\r\n").repeat(6);
        assert_eq!(whole(&flood), Err(ChunkError::Overhead));
        let tiny = "1\r\nx\r\n".repeat(100_000);
        assert_eq!(
            whole(&tiny),
            Ok(None),
            "a line pays for itself up to 16 bytes"
        );
    }

    #[test]
    fn trailers_are_collected_and_cleansed() {
        let body = "0\r\nx-checksum: 1\r\nContent-Length: 5\r\nHOST: b\r\nTransfer-Encoding: x\r\n\
                    Authorization: a\r\nX-Forwarded-For: 1\r\nX_Forwarded_For: 1\r\nContent_Length: 1\r\n\
                    If-Anything: 1\r\ngrpc-status:0\r\n\r\n";
        let decoded = whole(body).unwrap().unwrap();
        let expected = [("X-Checksum", "1"), ("Grpc-Status", "0")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(decoded.trailers, expected);
    }

    #[test]
    fn large_trailers_are_refused() {
        let long = format!("0\r\nX: {}\r\n\r\n", "x".repeat(64 << 10));
        assert_eq!(whole(&long), Err(ChunkError::TrailerTooLarge));
        let many = format!("0\r\n{}\r\n", "X: 1\r\n".repeat(MAX_TRAILERS + 1));
        assert_eq!(whole(&many), Err(ChunkError::TrailerTooLarge));
    }

    #[test]
    fn headers_of_chunks_are_lower_case_hexadecimal() {
        for length in [1, 9, 10, 255, 4096, 0xdead_beef, usize::MAX] {
            let text = format!("{length:x}\r\n");
            assert_eq!(chunk_header(length).as_ref(), text.as_bytes());
        }
        let mut out = Vec::new();
        write_trailers(&Fields::new(), &mut out);
        assert_eq!(out, LAST_CHUNK);
    }

    /// The decoder written the obvious way, on a whole body without extensions: `None` if it is not
    /// exactly well-formed.
    fn decoded_simply(mut input: &[u8]) -> Option<(Vec<u8>, usize)> {
        let before = input.len();
        let mut data = Vec::new();
        loop {
            let end = input.windows(2).position(|pair| pair == b"\r\n")?;
            let line = std::str::from_utf8(&input[..end]).ok()?;
            if line.is_empty() || line.len() > 16 || !line.bytes().all(|b| b.is_ascii_hexdigit()) {
                return None;
            }
            let size = usize::from_str_radix(line, 16).ok()?;
            input = &input[end + 2..];
            let ending = if size == 0 { input } else { input.get(size..)? };
            data.extend_from_slice(&input[..if size == 0 { 0 } else { size }]);
            input = ending.strip_prefix(b"\r\n")?;
            if size == 0 {
                return Some((data, before - input.len()));
            }
        }
    }

    fn encode(chunks: &[Vec<u8>]) -> Vec<u8> {
        let mut body = Vec::new();
        for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
            body.extend_from_slice(chunk_header(chunk.len()).as_ref());
            body.extend_from_slice(chunk);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(LAST_CHUNK);
        body
    }

    #[test]
    fn every_split_into_three_decodes_alike() {
        let body = b"3;x=\"y\"\r\nabc\r\n1\r\nd\r\n0\r\nA: b\r\n\r\nrest";
        let expected = decode(body, &[]).unwrap();
        for first in 0..=body.len() {
            for second in first..=body.len() {
                assert_eq!(
                    decode(body, &[first, second]).unwrap(),
                    expected,
                    "{first} {second}"
                );
            }
        }
        let every: Vec<usize> = (0..body.len()).collect();
        assert_eq!(decode(body, &every).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn encoded_bodies_decode_under_any_split(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6),
            mut cuts in proptest::collection::vec(0_usize..300, 0..8),
        ) {
            let body = encode(&chunks);
            cuts.iter_mut().for_each(|cut| *cut = (*cut).min(body.len()));
            cuts.sort_unstable();
            let decoded = decode(&body, &cuts).unwrap().unwrap();
            prop_assert_eq!(decoded.data, chunks.concat());
            prop_assert_eq!(decoded.surplus.len(), 0);
        }

        #[test]
        fn near_bodies_are_judged_like_the_simple_decoder(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..5), 0..4),
            at in any::<proptest::sample::Index>(),
            byte in prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'0'), Just(b'2'), Just(b'f'), any::<u8>()],
            cut in any::<proptest::sample::Index>(),
        ) {
            let mut body = encode(&chunks);
            let place = at.index(body.len());
            body[place] = byte;
            if body.iter().any(|byte| matches!(byte, b';' | b' ' | b'\t')) {
                return Ok(()); // the simple one knows no extensions
            }
            let decoded = decode(&body, &[cut.index(body.len())]);
            match (decoded, decoded_simply(&body)) {
                (Ok(Some(decoded)), Some((data, length))) => {
                    prop_assert_eq!(&decoded.data, &data);
                    prop_assert_eq!(decoded.surplus, body[length..].to_vec());
                }
                // The simple one knows no trailers.
                (Ok(Some(decoded)), None) => prop_assert!(!decoded.trailers.is_empty()),
                (Ok(None) | Err(_), simple) => prop_assert_eq!(simple, None),
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(
            input in proptest::collection::vec(any::<u8>(), 0..200),
            cut in 0_usize..200,
        ) {
            let _ = decode(&input, &[cut.min(input.len())]);
        }
    }
}
