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
