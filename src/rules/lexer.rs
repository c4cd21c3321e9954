//! Tokens of a rule: the lexical grammar of Go expressions, because Traefik parses a rule with Go's parser.
//!
//! That includes raw and interpreted strings, comments, and Go's automatic semicolon: a newline directly after a
//! name, a literal or a closing parenthesis ends the expression (<https://go.dev/ref/spec#Semicolons>).
//!
//! NOT for: knowing which matchers exist.

use std::borrow::Cow;
use std::ops::Range;

use super::error::RuleError;

/// One token with its place in the rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token<'r> {
    pub kind: TokenKind<'r>,
    pub span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind<'r> {
    Name(&'r str),
    /// A string's value. `at` is where the value stands in the rule as it is, if it does (no escapes).
    Text {
        value: Cow<'r, [u8]>,
        at: Option<usize>,
    },
    Number(&'r str),
    AndAnd,
    OrOr,
    Not,
    Open,
    Close,
    Comma,
    /// A newline that ends the expression.
    Newline,
    /// Any other token that Go has and rules do not.
    Other(&'r str),
    End,
}

impl TokenKind<'_> {
    /// How an error names this token.
    pub fn describe(&self) -> String {
        match self {
            TokenKind::Name(name) => format!("`{name}`"),
            TokenKind::Text { .. } => "a string".into(),
            TokenKind::Number(n) => format!("the number {n}"),
            TokenKind::AndAnd => "`&&`".into(),
            TokenKind::OrOr => "`||`".into(),
            TokenKind::Not => "`!`".into(),
            TokenKind::Open => "`(`".into(),
            TokenKind::Close => "`)`".into(),
            TokenKind::Comma => "`,`".into(),
            TokenKind::Newline => "a newline".into(),
            TokenKind::Other(op) => format!("`{op}`"),
            TokenKind::End => "the end of the rule".into(),
        }
    }
}

/// Yields the tokens of one rule; after the last one [`TokenKind::End`] for ever.
pub(super) struct Lexer<'r> {
    rule: &'r str,
    pos: usize,
    /// The last token may end an expression, so a newline now is a token.
    newline_ends: bool,
}

impl<'r> Lexer<'r> {
    pub fn new(rule: &'r str) -> Self {
        // Go ignores a byte order mark at the start.
        let pos = if rule.starts_with('\u{FEFF}') { 3 } else { 0 };
        Lexer {
            rule,
            pos,
            newline_ends: false,
        }
    }

    /// The next token, or what is wrong with the text at this place.
    pub fn next(&mut self) -> Result<Token<'r>, RuleError> {
        if let Some(newline) = self.skip_blank()? {
            self.newline_ends = false;
            return Ok(Token {
                kind: TokenKind::Newline,
                span: newline..newline + 1,
            });
        }
        let start = self.pos;
        let rest = &self.rule[start..];
        let Some(first) = rest.chars().next() else {
            return Ok(Token {
                kind: TokenKind::End,
                span: start..start,
            });
        };
        let kind = match first {
            '`' => self.raw_string()?,
            '"' => self.interpreted_string()?,
            '\'' => return Err(self.single_quotes()),
            '0'..='9' => self.number(),
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number(),
            c if c == '_' || c.is_alphabetic() => {
                let len = rest
                    .find(|c: char| c != '_' && !c.is_alphanumeric())
                    .unwrap_or(rest.len());
                self.pos += len;
                TokenKind::Name(&rest[..len])
            }
            _ => self.operator(rest, first)?,
        };
        self.newline_ends = matches!(
            kind,
            TokenKind::Name(_)
                | TokenKind::Text { .. }
                | TokenKind::Number(_)
                | TokenKind::Close
                | TokenKind::Other("]" | "}" | "++" | "--")
        );
        Ok(Token {
            kind,
            span: start..self.pos,
        })
    }

    fn error(&self, span: Range<usize>, message: impl Into<String>) -> RuleError {
        RuleError::new(self.rule, span, message)
    }

    /// Skips blanks and comments; returns the place of a newline that ends the expression.
    fn skip_blank(&mut self) -> Result<Option<usize>, RuleError> {
        loop {
            let rest = &self.rule.as_bytes()[self.pos..];
            match rest {
                [b'\n', ..] => {
                    self.pos += 1;
                    if self.newline_ends {
                        return Ok(Some(self.pos - 1));
                    }
                }
                [b' ' | b'\t' | b'\r', ..] => self.pos += 1,
                [b'/', b'/', ..] => {
                    // The newline that ends the comment is looked at in the next round.
                    let len = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                    self.pos += len;
                }
                [b'/', b'*', ..] => {
                    let Some(len) = memchr::memmem::find(&rest[2..], b"*/") else {
                        let at = self.pos;
                        return Err(self.error(at..at + 2, "expected `*/` to end this comment"));
                    };
                    let newline = memchr::memchr(b'\n', &rest[..len + 2]);
                    let start = self.pos;
                    self.pos += len + 4;
                    // A comment that spans lines acts like a newline (Go specification, "Comments").
                    if let (Some(i), true) = (newline, self.newline_ends) {
                        return Ok(Some(start + i));
                    }
                }
                _ => return Ok(None),
            }
        }
    }

    fn raw_string(&mut self) -> Result<TokenKind<'r>, RuleError> {
        let start = self.pos;
        let body = &self.rule[start + 1..];
        let Some(len) = body.find('`') else {
            return Err(self.error(
                start..self.rule.len(),
                "expected a closing backquote, found the end of the rule",
            ));
        };
        self.pos = start + len + 2;
        let body = &body.as_bytes()[..len];
        // Go drops carriage returns from raw strings.
        if body.contains(&b'\r') {
            let value = body.iter().copied().filter(|&b| b != b'\r').collect();
            return Ok(TokenKind::Text {
                value: Cow::Owned(value),
                at: None,
            });
        }
        Ok(TokenKind::Text {
            value: Cow::Borrowed(body),
            at: Some(start + 1),
        })
    }

    fn interpreted_string(&mut self) -> Result<TokenKind<'r>, RuleError> {
        let start = self.pos;
        let bytes = self.rule.as_bytes();
        let body = start + 1;
        let mut owned: Option<Vec<u8>> = None;
        let mut at = body;
        loop {
            match bytes.get(at) {
                None | Some(b'\n') => {
                    let found = if at < bytes.len() {
                        "a newline"
                    } else {
                        "the end of the rule"
                    };
                    return Err(
                        self.error(start..at, format!("expected a closing `\"`, found {found}"))
                    );
                }
                Some(b'"') => break,
                Some(b'\\') => {
                    let value = owned.get_or_insert_with(|| bytes[body..at].to_vec());
                    at = self.escape(at, value)?;
                }
                Some(&b) => {
                    if let Some(value) = &mut owned {
                        value.push(b);
                    }
                    at += 1;
                }
            }
        }
        self.pos = at + 1;
        Ok(match owned {
            Some(value) => TokenKind::Text {
                value: Cow::Owned(value),
                at: None,
            },
            None => TokenKind::Text {
                value: Cow::Borrowed(&bytes[body..at]),
                at: Some(body),
            },
        })
    }

    /// Decodes the escape at `at` (a backslash) into `value`; returns the place after it.
    fn escape(&self, at: usize, value: &mut Vec<u8>) -> Result<usize, RuleError> {
        let bytes = self.rule.as_bytes();
        let Some(&kind) = bytes.get(at + 1) else {
            return Err(self.error(at..at + 1, "expected an escape, found the end of the rule"));
        };
        let simple = match kind {
            b'a' => Some(0x07),
            b'b' => Some(0x08),
            b'f' => Some(0x0c),
            b'n' => Some(b'\n'),
            b'r' => Some(b'\r'),
            b't' => Some(b'\t'),
            b'v' => Some(0x0b),
            b'\\' | b'"' => Some(kind),
            _ => None,
        };
        if let Some(byte) = simple {
            value.push(byte);
            return Ok(at + 2);
        }
        let (digits_at, count, radix) = match kind {
            b'0'..=b'7' => (at + 1, 3, 8),
            b'x' => (at + 2, 2, 16),
            b'u' => (at + 2, 4, 16),
            b'U' => (at + 2, 8, 16),
            _ => {
                let end = at + 1 + self.rule[at + 1..].chars().next().map_or(0, char::len_utf8);
                return Err(self
                    .error(at..end, "unknown escape in a \"…\" string")
                    .with_hint(
                        "write `\\\\` for a backslash, or use a `…` string, which has no escapes",
                    ));
            }
        };
        let mut code = 0u32;
        for i in 0..count {
            let digit = bytes
                .get(digits_at + i)
                .and_then(|&b| char::from(b).to_digit(radix));
            let Some(digit) = digit else {
                let end = (digits_at + i).min(bytes.len());
                return Err(self.error(
                    at..end,
                    format!("expected {count} digits of base {radix} in this escape"),
                ));
            };
            // At most eight hexadecimal digits: it fits.
            code = code.wrapping_mul(radix).wrapping_add(digit);
        }
        let end = digits_at + count;
        if matches!(kind, b'u' | b'U') {
            let Some(c) = char::from_u32(code) else {
                return Err(self.error(at..end, "this escape is not a Unicode code point"));
            };
            value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            let Ok(byte) = u8::try_from(code) else {
                return Err(self.error(at..end, "an octal escape is at most \\377"));
            };
            value.push(byte);
        }
        Ok(end)
    }

    fn single_quotes(&self) -> RuleError {
        let start = self.pos;
        let end = self.rule[start + 1..]
            .find(['\'', '\n'])
            .map_or(self.rule.len(), |i| start + 1 + i + 1);
        let text = self.rule[start..end].trim_matches('\'');
        self.error(
            start..end,
            "expected a string in backquotes or double quotes, found single quotes",
        )
        .with_hint(format!("write `{text}`"))
    }

    fn number(&mut self) -> TokenKind<'r> {
        let rest = &self.rule[self.pos..];
        let len = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_')
            .unwrap_or(rest.len());
        self.pos += len;
        TokenKind::Number(&rest[..len])
    }

    fn operator(&mut self, rest: &'r str, first: char) -> Result<TokenKind<'r>, RuleError> {
        // The operators that rules have come first: nearly all text is theirs.
        let known = match rest.as_bytes() {
            [b'(', ..] => Some((TokenKind::Open, 1)),
            [b')', ..] => Some((TokenKind::Close, 1)),
            [b',', ..] => Some((TokenKind::Comma, 1)),
            [b'&', b'&', ..] => Some((TokenKind::AndAnd, 2)),
            [b'|', b'|', ..] => Some((TokenKind::OrOr, 2)),
            [b'!', next, ..] if *next != b'=' => Some((TokenKind::Not, 1)),
            [b'!'] => Some((TokenKind::Not, 1)),
            _ => None,
        };
        if let Some((kind, len)) = known {
            self.pos += len;
            return Ok(kind);
        }
        // Longest first: all of Go's operators of two and more characters.
        const LONG: [&str; 26] = [
            "<<=", ">>=", "&^=", "...", "&^", "<<", ">>", "==", "!=", "<=", ">=", ":=", "+=", "-=",
            "*=", "/=", "%=", "&=", "|=", "^=", "++", "--", "<-", "~=", "=>", "=~",
        ];
        let long = LONG.iter().find(|op| rest.starts_with(**op));
        let len = long.map_or(first.len_utf8(), |op| op.len());
        let text = &rest[..len];
        let kind = match text {
            _ if long.is_some() || "+-*/%&|^<>=:;.[]{}~".contains(first) => TokenKind::Other(text),
            _ => {
                let at = self.pos;
                let error = self.error(
                    at..at + len,
                    format!("unexpected character {first:?} outside a string"),
                );
                return Err(match first {
                    '‘' | '’' | '“' | '”' | '´' => {
                        error.with_hint("typographic quotes: write `…` or \"…\"")
                    }
                    '\u{A0}' => error.with_hint("this is a no-break space"),
                    _ => error,
                });
            }
        };
        self.pos += len;
        Ok(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(rule: &str) -> Vec<String> {
        let mut lexer = Lexer::new(rule);
        let mut out = Vec::new();
        loop {
            let token = lexer.next().unwrap();
            if token.kind == TokenKind::End {
                return out;
            }
            out.push(token.kind.describe());
        }
    }

    fn text(rule: &str) -> Vec<u8> {
        match Lexer::new(rule).next().unwrap().kind {
            TokenKind::Text { value, .. } => value.into_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_go_escapes_are_decoded() {
        assert_eq!(
            text(r#""\a\b\f\n\r\t\v\\\"""#),
            b"\x07\x08\x0c\n\r\t\x0b\\\""
        );
        assert_eq!(
            text(r#""\101\x41\u00e9\U0001F9AD\377""#),
            "AA\u{e9}\u{1F9AD}"
                .bytes()
                .chain([0xff])
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn raw_strings_have_no_escapes_and_lose_carriage_returns() {
        assert_eq!(text(r"`\n`"), b"\\n");
        assert_eq!(text("`a\r\nb`"), b"a\nb");
    }

    #[test]
    fn wrong_escapes_are_pointed_at() {
        for (rule, span) in [
            (r#""ab\q""#, 3..5),
            (r#""\x4""#, 1..4),
            (r#""\400""#, 1..5),
            (r#""\ud800""#, 1..7),
            (r#""\U00110000""#, 1..11),
            (r#""\'""#, 1..3),
            ("\"a\nb\"", 0..2),
            ("\"a", 0..2),
            ("`a", 0..2),
            ("/* a", 0..2),
            ("\"\\", 1..2),
        ] {
            let mut lexer = Lexer::new(rule);
            let error = lexer.next().unwrap_err();
            assert_eq!(error.span(), span, "{rule}: {error}");
        }
    }

    #[test]
    fn a_newline_counts_only_where_go_would_insert_a_semicolon() {
        assert_eq!(
            kinds("(\n`a`\n)\n&&"),
            ["`(`", "a string", "a newline", "`)`", "a newline", "`&&`"]
        );
        assert_eq!(kinds("a // x\n"), ["`a`", "a newline"]);
        assert_eq!(kinds("a /* \n */ b"), ["`a`", "a newline", "`b`"]);
        assert_eq!(kinds("a /* x */ b"), ["`a`", "`b`"]);
        assert_eq!(kinds("&& // x\n b"), ["`&&`", "`b`"]);
    }

    #[test]
    fn single_quotes_are_explained() {
        let error = Lexer::new("'a.test')").next().unwrap_err();
        assert_eq!(error.span(), 0..8);
        assert_eq!(error.hint(), Some("write `a.test`"));
    }
}
