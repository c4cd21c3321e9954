//! Chunked bodies: against a reader of RFC 9112 §7.1, in any pieces, and written again.

use ringway::http::h1::{ChunkedDecoder, chunk_header, write_trailers};
use ringway::http::{ChunkError, Fields, Limits};

use super::Numbers;
use crate::allocation::within;
use crate::reference::chunked::body;
use crate::reference::head::{Field, canonical};

/// What a decoder made of a body.
#[derive(Debug, PartialEq)]
struct Decoded {
    data: Vec<u8>,
    trailers: Vec<Field>,
    length: usize,
}

/// Reads `data` as what follows a head with `Transfer-Encoding: chunked`.
pub fn run(data: &[u8]) {
    let small = Limits {
        max_trailer_bytes: 64,
        ..Limits::default()
    };
    for limits in [Limits::default(), small] {
        let whole = decode(data, &limits, &[]);
        let mut numbers = Numbers::of(data);
        let mut cuts: Vec<usize> = (0..6).map(|_| numbers.below(data.len() + 1)).collect();
        cuts.sort_unstable();
        assert_eq!(whole, decode(data, &limits, &cuts), "cut at {cuts:?}");
        let all: Vec<usize> = (0..data.len()).collect();
        assert_eq!(whole, decode(data, &limits, &all), "byte by byte");
        if let Ok(Some(decoded)) = &whole {
            compare(decoded, data);
            again(decoded, &limits, &mut numbers);
        }
    }
}

/// Decodes `input` in pieces that end at `cuts`; `None` if it is not complete.
fn decode(input: &[u8], limits: &Limits, cuts: &[usize]) -> Result<Option<Decoded>, ChunkError> {
    // Nothing but trailers is kept: their text and their fields, each in a vector that may have doubled.
    let most = 8 * limits.max_trailer_bytes.min(input.len()) + 16 * 1024;
    let mut data = Vec::with_capacity(input.len());
    within(most, || {
        let mut decoder = ChunkedDecoder::new(limits);
        let mut at = 0;
        for &end in cuts.iter().chain([&input.len()]) {
            loop {
                let piece = &input[at..end];
                let step = decoder.decode(piece)?;
                assert!(step.data.start <= step.data.end && step.data.end <= step.consumed);
                assert!(step.consumed <= piece.len());
                assert_eq!(step.done, decoder.is_done());
                data.extend_from_slice(&piece[step.data]);
                at += step.consumed;
                if step.done {
                    return Ok(Some((decoder.trailers().map_or(Vec::new(), fields), at)));
                }
                if at == end {
                    break;
                }
                assert_ne!(step.consumed, 0, "no progress");
            }
        }
        Ok(None)
    })
    .map(|done| {
        done.map(|(trailers, length)| Decoded {
            data,
            trailers,
            length,
        })
    })
}

fn fields(fields: &Fields) -> Vec<Field> {
    let fields = fields.iter();
    fields
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect()
}

fn compare(decoded: &Decoded, input: &[u8]) {
    let expected = body(input).unwrap_or_else(|error| panic!("RFC 9112 refuses it: {error}"));
    assert_eq!(decoded.length, expected.length);
    assert!(decoded.data == expected.data, "other data");
    // Trailers that must not come that late are gone; the others are there, in order.
    let mut left = expected.trailers.iter();
    for (name, value) in &decoded.trailers {
        let is_it = |(n, v): &Field| canonical(n) == *name && v == value;
        assert!(left.any(is_it), "{name:?} is no trailer that came");
    }
    let forbidden = [
        "content-length",
        "transfer-encoding",
        "host",
        "connection",
        "cookie",
        "set-cookie",
        "authorization",
        "trailer",
        "te",
        "x-forwarded-for",
        "x_forwarded_for",
        "content_length",
    ];
    for (name, _) in &decoded.trailers {
        let name = name.to_ascii_lowercase();
        assert!(
            !forbidden.iter().any(|f| f.as_bytes() == name),
            "{name:?} as a trailer"
        );
    }
}

/// Writes what was decoded in other chunks, and reads it.
fn again(decoded: &Decoded, limits: &Limits, numbers: &mut Numbers) {
    let mut written = Vec::new();
    let mut rest = &decoded.data[..];
    while !rest.is_empty() {
        let (chunk, left) = rest.split_at(1 + numbers.below(rest.len()));
        written.extend_from_slice(chunk_header(chunk.len()).as_ref());
        written.extend_from_slice(chunk);
        written.extend_from_slice(b"\r\n");
        rest = left;
    }
    let mut fields = Fields::new();
    for (name, value) in &decoded.trailers {
        let name = std::str::from_utf8(name).expect("a name is ASCII");
        let name = ringway::http::FieldName::parse(name).expect("a name is a token");
        fields.append(&name, value);
    }
    write_trailers(&fields, &mut written);
    // Blanks that the sender left out may be more than what its limit allows.
    let limits = Limits {
        max_trailer_bytes: 2 * limits.max_trailer_bytes,
        ..*limits
    };
    let length = written.len();
    let again = decode(&written, &limits, &[]).expect("what was written is well-formed");
    let again = again.expect("what was written is complete");
    assert!(again.data == decoded.data);
    assert_eq!((&again.trailers, again.length), (&decoded.trailers, length));
}
