//! Field names: from configuration, and the canonical spelling of any.

use std::fmt;

use super::token::Token;

/// Longest field name, in bytes.
pub const MAX_NAME_BYTES: usize = u16::MAX as usize;

/// A field name from configuration: valid, in canonical spelling, with its token if it has one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FieldName(Name);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Name {
    Known(Token),
    Other(Box<[u8]>),
}

/// A text that is no field name (RFC 9110 §5.1: a `token`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidFieldName {
    text: String,
}

/// What names a field in the methods of [`super::Fields`]: a [`Token`] or a [`FieldName`].
pub trait Named {
    /// The token, if the name has one.
    fn token(&self) -> Option<Token>;
    /// The canonical spelling.
    fn text(&self) -> &[u8];
}

impl FieldName {
    /// Checks a name from configuration and brings it to Go's canonical form
    /// (`foo-bar` → `Foo-Bar`, `foo_bar` → `Foo_bar`).
    pub fn parse(text: &str) -> Result<FieldName, InvalidFieldName> {
        let valid =
            !text.is_empty() && text.len() <= MAX_NAME_BYTES && text.bytes().all(is_token_byte);
        if !valid {
            return Err(InvalidFieldName {
                text: text.to_owned(),
            });
        }
        Ok(FieldName::from_valid(text.as_bytes()))
    }

    /// The canonical spelling.
    pub fn as_bytes(&self) -> &[u8] {
        self.text()
    }

    /// The canonical spelling as text (field names are ASCII).
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Name::Known(token) => token.name(),
            Name::Other(name) => std::str::from_utf8(name).unwrap_or_default(),
        }
    }

    fn from_valid(name: &[u8]) -> FieldName {
        match Token::lookup(name) {
            Some(token) => FieldName(Name::Known(token)),
            None => {
                let mut name: Box<[u8]> = name.into();
                canonicalize(&mut name);
                FieldName(Name::Other(name))
            }
        }
    }
}

impl From<Token> for FieldName {
    fn from(token: Token) -> Self {
        FieldName(Name::Known(token))
    }
}

impl std::str::FromStr for FieldName {
    type Err = InvalidFieldName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        FieldName::parse(text)
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FieldName({})", self.as_str())
    }
}

impl fmt::Display for InvalidFieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a header name: use letters, digits and any of !#$%&'*+-.^_`|~",
            self.text
        )
    }
}

impl std::error::Error for InvalidFieldName {}

impl Named for Token {
    #[inline]
    fn token(&self) -> Option<Token> {
        Some(*self)
    }

    #[inline]
    fn text(&self) -> &[u8] {
        self.name().as_bytes()
    }
}

impl Named for FieldName {
    #[inline]
    fn token(&self) -> Option<Token> {
        match self.0 {
            Name::Known(token) => Some(token),
            Name::Other(_) => None,
        }
    }

    #[inline]
    fn text(&self) -> &[u8] {
        match &self.0 {
            Name::Known(token) => token.name().as_bytes(),
            Name::Other(name) => name,
        }
    }
}

/// Brings a field name to Go's canonical form in place: upper case at the start and after `-`,
/// lower case elsewhere. Names that are not all token characters stay as they are.
pub(crate) fn canonicalize(name: &mut [u8]) {
    if name.iter().copied().all(is_token_byte) {
        canonicalize_valid(name);
    }
}

/// [`canonicalize`] for a name that is known to be all token characters.
#[inline]
pub(super) fn canonicalize_valid(name: &mut [u8]) {
    let mut upper = true;
    for byte in name {
        *byte = if upper {
            byte.to_ascii_uppercase()
        } else {
            byte.to_ascii_lowercase()
        };
        upper = *byte == b'-';
    }
}

/// `tchar` of RFC 9110 §5.6.2.
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`'
        | b'|' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
}

/// The comma-separated members of a list-valued field, trimmed, empty ones left out
/// (RFC 9110 §5.6.1). Quoted strings are not understood: use it for token lists.
pub fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    value
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> FieldName {
        FieldName::parse(text).unwrap()
    }

    #[test]
    fn names_from_configuration_are_checked() {
        for text in ["", "a b", "a:", "\u{e9}", "a\n", "(a)"] {
            assert!(FieldName::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(name("foo-bar").as_str(), "Foo-Bar");
        assert_eq!(name("FOO_BAR").as_str(), "Foo_bar");
        assert_eq!(
            name("www-authenticate"),
            FieldName::from(Token::WwwAuthenticate)
        );
        let error = FieldName::parse("a b").unwrap_err().to_string();
        assert!(
            error.contains("a b") && error.contains("header name"),
            "{error}"
        );
    }

    #[test]
    fn list_members_are_trimmed_and_empty_ones_left_out() {
        let members: Vec<_> = list_members(b" a ,, b c,\t,d").collect();
        assert_eq!(members, [&b"a"[..], b"b c", b"d"]);
        assert_eq!(list_members(b"").next(), None);
    }
}
