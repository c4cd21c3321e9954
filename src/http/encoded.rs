//! `encodedCharacters`: which percent-encoded reserved characters a path may hold.

/// Which encoded characters are allowed (`allowEncoded*`). A path that holds another one is answered
/// with 400 and an empty body, before the middlewares of its router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodedCharacters {
    /// `%2F`
    pub slash: bool,
    /// `%5C`
    pub back_slash: bool,
    /// `%00`
    pub null_character: bool,
    /// `%3B`
    pub semicolon: bool,
    /// `%25`
    pub percent: bool,
    /// `%3F`
    pub question_mark: bool,
    /// `%23`
    pub hash: bool,
}

impl EncodedCharacters {
    /// Everything allowed: an entry point's default.
    pub const ALL: EncodedCharacters = EncodedCharacters::every(true);
    /// Nothing allowed: the default of the middleware of that name.
    pub const NONE: EncodedCharacters = EncodedCharacters::every(false);

    const fn every(allowed: bool) -> Self {
        EncodedCharacters {
            slash: allowed,
            back_slash: allowed,
            null_character: allowed,
            semicolon: allowed,
            percent: allowed,
            question_mark: allowed,
            hash: allowed,
        }
    }

    /// Whether an escaped path in normal form (upper-case escapes) holds only allowed ones.
    pub fn allows(&self, path: &[u8]) -> bool {
        if *self == EncodedCharacters::ALL {
            return true;
        }
        memchr::memchr_iter(b'%', path).all(|percent| match path.get(percent + 1..percent + 3) {
            Some(b"2F" | b"2f") => self.slash,
            Some(b"5C" | b"5c") => self.back_slash,
            Some(b"00") => self.null_character,
            Some(b"3B" | b"3b") => self.semicolon,
            Some(b"25") => self.percent,
            Some(b"3F" | b"3f") => self.question_mark,
            Some(b"23") => self.hash,
            _ => true,
        })
    }
}

impl Default for EncodedCharacters {
    fn default() -> Self {
        EncodedCharacters::ALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_denied_characters_are_denied() {
        for encoded in ["%2F", "%2f", "%5C", "%00", "%3B", "%25", "%3F", "%23"] {
            let path = format!("/a{encoded}b");
            assert!(
                !EncodedCharacters::NONE.allows(path.as_bytes()),
                "{encoded}"
            );
            assert!(EncodedCharacters::ALL.allows(path.as_bytes()), "{encoded}");
        }
        assert!(EncodedCharacters::NONE.allows(b"/a%20b%C3%A9%5B/;?"));
        let no_slash = EncodedCharacters {
            slash: false,
            ..EncodedCharacters::ALL
        };
        assert!(!no_slash.allows(b"/%5C%2Fa") && no_slash.allows(b"/%5C%25a"));
        assert!(EncodedCharacters::NONE.allows(b"/%2"));
    }
}
