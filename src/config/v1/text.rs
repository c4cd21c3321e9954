//! Texts that may be Traefik 1 files.

use super::{Context, Origin, convert_tree, is_v1, may_be_v1};
use crate::config::decode::ObjectError;
use crate::config::dynamic::Decoded;
use crate::config::format::{Format, SyntaxError, parse};
use crate::config::tree::Position;

/// Decodes the dynamic part of a Traefik 1 file; `None` if the text is none. Traefik 1 read TOML only.
///
/// # Errors
/// The text mixes Traefik 1's sections with today's.
pub fn decode_text(
    format: Format,
    text: &str,
    context: &Context,
) -> Option<Result<Decoded, SyntaxError>> {
    if format != Format::Toml || !may_be_v1(text) {
        return None;
    }
    // What is no TOML is told by who reads it as today's.
    let document = parse(format, text).ok()?;
    match is_v1(&document.tree) {
        Ok(false) => None,
        Ok(true) => {
            let mut decoded = convert_tree(&document.tree, Origin::File, context);
            decoded.warnings.insert(0, notice());
            Some(Ok(decoded))
        }
        Err(error) => {
            let message = format!("{} {}", error.path, error.message);
            Some(Err(SyntaxError::new(text, error.position, message)))
        }
    }
}

/// What is told about every Traefik 1 file.
pub fn notice() -> ObjectError {
    let message = "is a Traefik 1 file and is converted whenever it is read; `ringway convert` writes it in today's form";
    ObjectError::new("(top)", Position::NONE, message)
}
