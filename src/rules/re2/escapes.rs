//! What a backslash or a bracket begins: escaped characters, classes by name, classes in brackets.
//!
//! Not here: everything else of an expression (`super`).

use super::{BadPattern, Last, Prefix, Translator, push_char};

impl Translator<'_> {
    pub(super) fn escape(&mut self) -> Result<(), BadPattern> {
        let at = self.pos;
        let rest = self.rest();
        let kind = rest[1..].chars().next();
        match kind {
            None => return self.fail(at, "trailing backslash"),
            Some('A') => {
                if let (Prefix::Start, true) = (&self.prefix, self.open.is_empty()) {
                    self.prefix = Prefix::Collecting(String::new());
                } else {
                    self.end_prefix();
                }
                self.push(2, "\\A");
            }
            Some('z') => {
                self.end_prefix();
                self.push(2, "\\z");
            }
            Some('b') => {
                self.end_prefix();
                self.push(2, "(?-u:\\b)");
            }
            Some('B') => {
                self.end_prefix();
                self.push(2, "(?-u:\\B)");
            }
            Some('C') => return self.fail(at, "`\\C` (any byte) is not supported by Go either"),
            Some('Z') => {
                return self.fail(at, "invalid escape `\\Z`; the end of the text is `\\z`");
            }
            Some('Q') => {
                let body = &rest[2..];
                let len = body.find("\\E").unwrap_or(body.len());
                self.pos += 2;
                for c in body[..len].chars() {
                    self.literal(c, c.len_utf8());
                }
                self.pos = (self.pos + 2).min(self.pattern.len());
                return Ok(());
            }
            _ => {
                if let Some(class) = self.shared_class()? {
                    self.end_prefix();
                    self.out.push_str(&class);
                } else {
                    let c = self.escaped_char()?;
                    let pos = self.pos;
                    self.literal(c, 0);
                    self.pos = pos;
                    return Ok(());
                }
            }
        }
        self.last = Last::Atom;
        Ok(())
    }

    /// `\d` and its like and `\p{…}`, which are legal inside and outside of classes. Advances if there is one.
    fn shared_class(&mut self) -> Result<Option<String>, BadPattern> {
        let at = self.pos;
        let rest = self.rest();
        let class = match rest[1..].chars().next() {
            Some('d') => "[0-9]",
            Some('D') => "[^0-9]",
            Some('w') => "[0-9A-Za-z_]",
            Some('W') => "[^0-9A-Za-z_]",
            Some('s') => "[\\t\\n\\x0C\\r\\x20]",
            Some('S') => "[^\\t\\n\\x0C\\r\\x20]",
            Some(p @ ('p' | 'P')) => return self.unicode_class(at, p == 'P').map(Some),
            _ => return Ok(None),
        };
        self.pos += 2;
        Ok(Some(class.into()))
    }

    fn unicode_class(&mut self, at: usize, mut negated: bool) -> Result<String, BadPattern> {
        let body = &self.rest()[2..];
        let (mut name, len) = if let Some(braced) = body.strip_prefix('{') {
            match braced.find('}') {
                Some(len) => (&braced[..len], len + 2),
                None => return self.fail(at, "expected `}` after a Unicode class name"),
            }
        } else {
            let len = body.chars().next().map_or(0, char::len_utf8);
            (&body[..len], len)
        };
        if let Some(plain) = name.strip_prefix('^') {
            negated = !negated;
            name = plain;
        }
        if name.is_empty() || !name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) {
            return self.fail(at, "invalid Unicode class name");
        }
        self.pos += 2 + len;
        Ok(format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' }))
    }

    /// An escape that stands for one character.
    fn escaped_char(&mut self) -> Result<char, BadPattern> {
        let at = self.pos;
        let rest = self.rest();
        let Some(kind) = rest[1..].chars().next() else {
            return self.fail(at, "trailing backslash");
        };
        let bytes = rest.as_bytes();
        let octal = |i: usize| {
            bytes
                .get(i)
                .filter(|b| (b'0'..=b'7').contains(b))
                .map(|b| u32::from(b - b'0'))
        };
        let (code, len) = match kind {
            'a' => (0x07, 2),
            'f' => (0x0c, 2),
            'n' => (0x0a, 2),
            'r' => (0x0d, 2),
            't' => (0x09, 2),
            'v' => (0x0b, 2),
            '1'..='7' if octal(2).is_none() => {
                return self.fail(at, "Go's regular expressions (RE2) have no backreferences");
            }
            '0'..='7' => {
                let (mut code, mut len) = (u32::from(kind) - u32::from('0'), 2);
                while let (Some(digit), true) = (octal(len), len < 4) {
                    code = code * 8 + digit;
                    len += 1;
                }
                (code, len)
            }
            'x' => match rest[2..].strip_prefix('{') {
                Some(braced) => {
                    let digits = braced.find('}').map_or("", |end| &braced[..end]);
                    match u32::from_str_radix(digits, 16) {
                        Ok(code) if digits.len() <= 8 && !digits.starts_with('+') => {
                            (code, digits.len() + 4)
                        }
                        _ => return self.fail(at, "invalid escape `\\x{…}`"),
                    }
                }
                None => {
                    let digits = rest
                        .get(2..4)
                        .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
                    match digits.and_then(|d| u32::from_str_radix(d, 16).ok()) {
                        Some(code) => (code, 4),
                        None => {
                            return self.fail(at, "expected two hexadecimal digits after `\\x`");
                        }
                    }
                }
            },
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => (u32::from(c), 2),
            c => return self.fail(at, format!("invalid escape `\\{c}`")),
        };
        let Some(c) = char::from_u32(code) else {
            return self.fail(at, "this escape is not a Unicode code point");
        };
        self.pos += len;
        Ok(c)
    }

    pub(super) fn class(&mut self) -> Result<(), BadPattern> {
        let at = self.pos;
        self.push(1, "[");
        if self.rest().starts_with('^') {
            self.push(1, "^");
        }
        let mut first = true;
        loop {
            let rest = self.rest();
            if rest.is_empty() {
                return self.fail(at, "missing `]` for this class");
            }
            if rest.starts_with(']') && !first {
                self.push(1, "]");
                return Ok(());
            }
            first = false;
            if let Some(named) = rest.strip_prefix("[:")
                && let Some(len) = named.find(":]")
            {
                let name = &named[..len];
                let name = name.strip_prefix('^').unwrap_or(name);
                const NAMES: [&str; 14] = [
                    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower",
                    "print", "punct", "space", "upper", "word", "xdigit",
                ];
                if !NAMES.contains(&name) {
                    return self.fail(self.pos, "unknown class name");
                }
                self.push(len + 4, &rest[..len + 4]);
                continue;
            }
            if rest.starts_with('\\')
                && let Some(class) = self.shared_class()?
            {
                self.out.push_str(&class);
                continue;
            }
            let item = self.pos;
            let low = self.class_char(at)?;
            push_char(&mut self.out, low);
            let rest = self.rest();
            if rest.starts_with('-') && !rest.starts_with("-]") && rest.len() > 1 {
                self.pos += 1;
                let high = self.class_char(at)?;
                if high < low {
                    return self.fail(item, "invalid character class range");
                }
                self.out.push('-');
                push_char(&mut self.out, high);
            }
        }
    }

    fn class_char(&mut self, class_at: usize) -> Result<char, BadPattern> {
        match self.rest().chars().next() {
            None => self.fail(class_at, "missing `]` for this class"),
            Some('\\') => self.escaped_char(),
            Some(c) => {
                self.pos += c.len_utf8();
                Ok(c)
            }
        }
    }
}
