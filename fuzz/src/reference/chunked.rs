//! The chunked coding by RFC 9112 §7.1, on a whole body.
//!
//! Looser than the grammar in what an extension says, which every recipient ignores: it is text without control
//! characters whose quotes are closed. Where a chunk ends is strict.

use super::head::{Field, is_text, take_fields, take_line, trimmed};

/// A body.
#[derive(Debug, PartialEq, Eq)]
pub struct Body {
    /// The data of its chunks.
    pub data: Vec<u8>,
    /// All lines of the trailer section.
    pub trailers: Vec<Field>,
    /// Length of the body in bytes, trailers included.
    pub length: usize,
}

/// Reads a whole body.
pub fn body(input: &[u8]) -> Result<Body, &'static str> {
    let mut rest = input;
    let mut data = Vec::new();
    loop {
        let size = size(take_line(&mut rest)?)?;
        if size == 0 {
            break;
        }
        let size = usize::try_from(size).map_err(|_| "incomplete")?;
        data.extend_from_slice(rest.get(..size).ok_or("incomplete")?);
        rest = &rest[size..];
        rest = rest.strip_prefix(b"\r\n").ok_or("a chunk ends with CRLF")?;
    }
    let trailers = take_fields(&mut rest)?;
    Ok(Body {
        data,
        trailers,
        length: input.len() - rest.len(),
    })
}

fn size(line: &[u8]) -> Result<u64, &'static str> {
    let end = line
        .iter()
        .position(|&byte| byte == b';')
        .unwrap_or(line.len());
    let (digits, extensions) = line.split_at(end);
    // Blanks may stand before an extension only.
    let digits = if extensions.is_empty() {
        digits
    } else if digits.first().is_some_and(u8::is_ascii_hexdigit) {
        trimmed(digits)
    } else {
        return Err("a chunk begins with its size");
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err("a size is hexadecimal digits");
    }
    let mut is_quoted = false;
    let mut bytes = extensions.iter();
    while let Some(&byte) = bytes.next() {
        if !is_text(byte) {
            return Err("an extension has no control characters");
        }
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\\' if is_quoted && !bytes.next().is_some_and(|&byte| is_text(byte)) => {
                return Err("a backslash quotes a character");
            }
            _ => {}
        }
    }
    if is_quoted {
        return Err("a quoted text is closed");
    }
    let digits = std::str::from_utf8(digits).map_err(|_| "a size is hexadecimal digits")?;
    u64::from_str_radix(digits, 16).map_err(|_| "a size fits a number")
}
