//! Go's regular expressions (RE2 syntax) in the syntax of `regex-automata`.
//!
//! The two agree in most things. This translation removes the differences:
//!
//! | Go | here it becomes |
//! |---|---|
//! | `\d \w \s \b` and their opposites are ASCII | explicit ASCII classes, `(?-u:\b)` |
//! | `{` and `}` are literals unless they form a repetition | escaped |
//! | `[`, `&&`, `--`, `~~` inside a class are literals | escaped |
//! | `\Q…\E`, octal escapes, `\<`, `\_` and other escaped punctuation | the literal characters |
//! | `\p{^Greek}` | `\P{Greek}` |
//! | `(?P<n>…)`, `(?<n>…)`, `(…)` | `(?:…)`, as nothing reads a rule's groups; `(…)` for [`super::GroupRegex`] |
//! | `a**`, `\Z`, `\C`, `\1`, `(?x)`, `(?=…)` are errors | errors here too, at their place |
//!
//! Two differences stay: Unicode class names are looked up more tolerantly than Go's (`\p{greek}` is accepted), and the
//! size of a compiled expression is limited by bytes instead of Go's product of repetition counts.
//!
//! Go reads a byte that is not UTF-8 as U+FFFD; the matching side sees to that (see `regex`).

/// An expression in the syntax of `regex-automata`.
#[derive(Debug)]
pub(super) struct Translated {
    pub text: String,
    /// What every match must start with, if the expression is anchored at the start. May be empty.
    pub prefix: Option<Vec<u8>>,
}

/// Why an expression is refused; `at` is the byte place inside it.
#[derive(Debug)]
pub(super) struct BadPattern {
    pub at: usize,
    pub message: String,
}

/// Go's limit of a repetition count.
const MAX_REPEAT: u32 = 1000;

/// How deep groups may nest.
const MAX_GROUPS: usize = 200;

pub(super) fn translate(pattern: &str) -> Result<Translated, BadPattern> {
    let mut translator = Translator::new(pattern, false);
    translator.run()?;
    let prefix = match translator.prefix {
        Prefix::Collecting(text) | Prefix::Done(text) => Some(text.into_bytes()),
        Prefix::Start | Prefix::None => None,
    };
    Ok(Translated {
        text: translator.out,
        prefix,
    })
}

/// As [`translate`], the groups kept: the expression, and the names of its groups, in order from group 1.
pub(super) fn translate_with_groups(
    pattern: &str,
) -> Result<(String, Vec<Option<&str>>), BadPattern> {
    let mut translator = Translator::new(pattern, true);
    translator.run()?;
    Ok((translator.out, translator.groups))
}

/// Appends `text` so that it matches itself.
pub(super) fn push_literal(out: &mut String, text: &str) {
    for c in text.chars() {
        push_char(out, c);
    }
}

fn push_char(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() || !c.is_ascii() || matches!(c, '/' | '_' | ' ') {
        out.push(c);
    } else {
        out.push_str(&format!("\\x{:02X}", u32::from(c)));
    }
}

/// What a repetition operator would apply to.
#[derive(PartialEq)]
enum Last {
    Nothing,
    Atom,
    Repeated,
}

enum Prefix {
    Start,
    Collecting(String),
    Done(String),
    None,
}

struct Translator<'p> {
    pattern: &'p str,
    pos: usize,
    out: String,
    /// Places of the groups that are open.
    open: Vec<usize>,
    names: Vec<&'p str>,
    /// Whether groups stay groups.
    keep_groups: bool,
    /// The names of all groups so far.
    groups: Vec<Option<&'p str>>,
    last: Last,
    prefix: Prefix,
}

impl<'p> Translator<'p> {
    fn new(pattern: &'p str, keep_groups: bool) -> Self {
        Translator {
            pattern,
            pos: 0,
            out: String::with_capacity(pattern.len() + 8),
            open: Vec::new(),
            names: Vec::new(),
            keep_groups,
            groups: Vec::new(),
            last: Last::Nothing,
            prefix: Prefix::Start,
        }
    }

    fn rest(&self) -> &'p str {
        &self.pattern[self.pos..]
    }

    fn fail<T>(&self, at: usize, message: impl Into<String>) -> Result<T, BadPattern> {
        Err(BadPattern {
            at,
            message: message.into(),
        })
    }

    fn run(&mut self) -> Result<(), BadPattern> {
        while let Some(c) = self.rest().chars().next() {
            let at = self.pos;
            match c {
                '\\' => self.escape()?,
                '[' => {
                    self.end_prefix();
                    self.class()?;
                    self.last = Last::Atom;
                }
                '(' => {
                    self.end_prefix();
                    self.group()?;
                }
                ')' => {
                    if self.open.pop().is_none() {
                        return self.fail(at, "unexpected `)`");
                    }
                    self.end_prefix();
                    self.push(1, ")");
                    self.last = Last::Atom;
                }
                '|' => {
                    if self.open.is_empty() {
                        self.prefix = Prefix::None;
                    }
                    self.push(1, "|");
                    self.last = Last::Nothing;
                }
                '*' | '+' | '?' => self.repeat(1)?,
                '{' => {
                    match repeat_len(self.rest()) {
                        Some((len, low, high)) => {
                            if low > MAX_REPEAT
                                || high.is_some_and(|high| high > MAX_REPEAT || high < low)
                            {
                                return self.fail(at, format!("invalid repeat count (at most {MAX_REPEAT}, lower bound first)"));
                            }
                            self.repeat(len)?;
                        }
                        None => self.literal(c, 1),
                    }
                }
                '^' => {
                    if let (Prefix::Start, true) = (&self.prefix, self.open.is_empty()) {
                        self.prefix = Prefix::Collecting(String::new());
                    } else {
                        self.end_prefix();
                    }
                    self.push(1, "^");
                    self.last = Last::Atom;
                }
                '$' | '.' => {
                    self.end_prefix();
                    self.push(1, if c == '$' { "$" } else { "." });
                    self.last = Last::Atom;
                }
                c => self.literal(c, c.len_utf8()),
            }
        }
        match self.open.last() {
            Some(&at) => self.fail(at, "missing `)` for this group"),
            None => Ok(()),
        }
    }

    fn push(&mut self, len: usize, text: &str) {
        self.pos += len;
        self.out.push_str(text);
    }

    fn literal(&mut self, c: char, len: usize) {
        push_char(&mut self.out, c);
        self.pos += len;
        self.last = Last::Atom;
        match &mut self.prefix {
            // U+FFFD may stand for a byte that is not UTF-8.
            Prefix::Collecting(text) if c != '\u{FFFD}' => text.push(c),
            _ => self.end_prefix(),
        }
    }

    fn end_prefix(&mut self) {
        self.prefix = match std::mem::replace(&mut self.prefix, Prefix::None) {
            Prefix::Collecting(text) | Prefix::Done(text) => Prefix::Done(text),
            Prefix::Start | Prefix::None => Prefix::None,
        };
    }

    fn repeat(&mut self, len: usize) -> Result<(), BadPattern> {
        let at = self.pos;
        let operator = &self.rest()[..len];
        match self.last {
            Last::Nothing => {
                return self.fail(
                    at,
                    format!("missing argument to repetition operator `{operator}`"),
                );
            }
            Last::Repeated => {
                return self.fail(
                    at,
                    format!("invalid nested repetition operator `{operator}`"),
                );
            }
            Last::Atom => {}
        }
        // The repeated character may be absent. (An anchor before it stays one only if it is not optional itself.)
        self.prefix = match std::mem::replace(&mut self.prefix, Prefix::None) {
            Prefix::Collecting(mut text) => match text.pop() {
                Some(_) => Prefix::Done(text),
                None => Prefix::None,
            },
            other => other,
        };
        self.push(len, operator);
        if self.rest().starts_with('?') {
            self.push(1, "?");
        }
        self.last = Last::Repeated;
        Ok(())
    }

    fn group(&mut self) -> Result<(), BadPattern> {
        let at = self.pos;
        if self.open.len() >= MAX_GROUPS {
            return self.fail(at, format!("more than {MAX_GROUPS} nested groups"));
        }
        let rest = self.rest();
        self.last = Last::Nothing;
        if !rest.starts_with("(?") {
            self.open.push(at);
            self.begin_group(1, None);
            return Ok(());
        }
        let name_at = if rest.starts_with("(?P<") {
            Some(4)
        } else if rest.starts_with("(?<") && !rest.starts_with("(?<=") && !rest.starts_with("(?<!")
        {
            Some(3)
        } else {
            None
        };
        if let Some(name_at) = name_at {
            let Some(len) = rest[name_at..].find('>') else {
                return self.fail(at, "expected `>` after the group's name");
            };
            let name = &rest[name_at..name_at + len];
            let is_word = |c: char| c == '_' || c.is_ascii_alphanumeric();
            if name.is_empty() || !name.chars().all(is_word) {
                return self.fail(
                    at,
                    "a group's name consists of ASCII letters, digits and `_`",
                );
            }
            if self.names.contains(&name) {
                return self.fail(at, format!("duplicate group name `{name}`"));
            }
            self.names.push(name);
            self.open.push(at);
            self.begin_group(name_at + len + 1, Some(name));
            return Ok(());
        }
        self.flags(at)
    }

    fn begin_group(&mut self, len: usize, name: Option<&'p str>) {
        self.groups.push(name);
        self.push(len, if self.keep_groups { "(" } else { "(?:" });
    }

    /// `(?flags)` or `(?flags:`
    fn flags(&mut self, at: usize) -> Result<(), BadPattern> {
        let rest = self.rest();
        let body = &rest[2..];
        let Some(len) = body.find([')', ':']) else {
            return self.fail(at, "missing `)` for this group");
        };
        let flags = &body[..len];
        let (on, off) = match flags.split_once('-') {
            Some((on, off)) => (on, Some(off)),
            None => (flags, None),
        };
        let known = |text: &str| text.chars().all(|c| "imsU".contains(c));
        if flags.starts_with(['=', '!']) || flags.starts_with("<=") || flags.starts_with("<!") {
            return self.fail(
                at,
                "Go's regular expressions (RE2) have no look-ahead and look-behind",
            );
        }
        if !known(on) || off.is_some_and(|off| off.is_empty() || !known(off)) {
            return self.fail(
                at,
                "expected a group `(…)`, `(?:…)`, `(?P<name>…)` or flags out of `imsU`",
            );
        }
        let opens = body[len..].starts_with(':');
        let mut text = String::from("(?");
        // Repeated flags are legal in Go only.
        for c in ['i', 'm', 's', 'U'] {
            if on.contains(c) && !off.is_some_and(|off| off.contains(c)) {
                text.push(c);
            }
        }
        if let Some(off) = off {
            text.push('-');
            text.extend(['i', 'm', 's', 'U'].iter().filter(|c| off.contains(**c)));
        }
        if opens {
            self.open.push(at);
            text.push(':');
        } else {
            text.push(')');
        }
        self.push(2 + len + 1, if text == "(?)" { "" } else { &text });
        Ok(())
    }

    fn escape(&mut self) -> Result<(), BadPattern> {
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

    fn class(&mut self) -> Result<(), BadPattern> {
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
            if rest.starts_with("[:")
                && let Some(len) = rest.find(":]")
            {
                let name = rest[2..len].trim_start_matches('^');
                const NAMES: [&str; 14] = [
                    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower",
                    "print", "punct", "space", "upper", "word", "xdigit",
                ];
                if !NAMES.contains(&name) {
                    return self.fail(self.pos, "unknown class name");
                }
                self.push(len + 2, &rest[..len + 2]);
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

/// The length and bounds of a `{n}`, `{n,}` or `{n,m}` at the start of `text`.
fn repeat_len(text: &str) -> Option<(usize, u32, Option<u32>)> {
    let body = text.strip_prefix('{')?;
    let end = body.find('}')?;
    let number = |digits: &str| -> Option<u32> {
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let canonical = digits.len() == 1 || !digits.starts_with('0');
        // A number too large for u32 is above the limit in any case.
        (plain && canonical).then(|| digits.parse().unwrap_or(u32::MAX))
    };
    let (low, high) = match body[..end].split_once(',') {
        None => (number(&body[..end])?, None),
        Some((low, "")) => (number(low)?, None),
        Some((low, high)) => (number(low)?, Some(number(high)?)),
    };
    Some((end + 2, low, high))
}

#[cfg(test)]
mod tests {
    use super::super::regex::{Pattern, RegexCaches};
    use super::*;

    fn found(pattern: &str, text: &[u8]) -> bool {
        let translated = translate(pattern).unwrap_or_else(|e| panic!("{pattern}: {e:?}"));
        let compiled =
            Pattern::compile(&translated.text).unwrap_or_else(|e| panic!("{pattern}: {e}"));
        RegexCaches::default().is_match(&compiled, text)
    }

    #[test]
    fn what_go_matches_matches() {
        for (pattern, text, expected) in [
            ("b+", "abbc", true),
            ("^a$", "ba", false),
            (r"^\d+$", "12", true),
            (r"^\d$", "\u{0663}", false),
            (r"^\D$", "\u{0663}", true),
            (r"^[\d]$", "\u{0663}", false),
            (r"^[^\d]$", "\u{0663}", true),
            (r"^\w+$", "az_09", true),
            (r"^\w$", "\u{e9}", false),
            (r"\ba", "\u{e9}a", true),
            (r"^\s\S$", " x", true),
            ("{x:a+}", "{x:aa}", true),
            ("a{,2}", "a{,2}", true),
            ("a{01}", "a{01}", true),
            ("^a{2}$", "aa", true),
            ("^a{1,}$", "aaa", true),
            ("x{}", "x{}", true),
            (r"^[[a]$", "[", true),
            (r"^[a&&b]+$", "a&b", true),
            (r"^[+--]+$", "+,-", true),
            (r"^[a-c-e]+$", "b-e", true),
            (r"^[]a]+$", "]a", true),
            (r"^[^]a]$", "]", false),
            (r"^[a~~b-]+$", "a~-", true),
            (r"^[[:alpha:]_]+$", "ab_", true),
            (r"^[[:^alpha:]]$", "1", true),
            (r"^[\x41-\x{5A}\n]+$", "AZ\n", true),
            (r"^\Qa.b*\E+$", "a.b**", true),
            (r"^\Qa.b", "a.b", true),
            (r"^\101\x41\x{1F9AD}$", "AA\u{1F9AD}", true),
            (r"^\<\_\-\/\#$", "<_-/#", true),
            (r"^\p{Greek}\pL\P{^Lu}$", "\u{3b1}aA", true),
            (r"^(?P<a>x)(?<b>y)(z)$", "xyz", true),
            (r"(?i)^ABC$", "abc", true),
            (r"^(?i:a)b$", "Ab", true),
            (r"^(?i-s:a)$", "A", true),
            (r"(?ii)A", "a", true),
            (r"(?m)^b$", "a\nb\nc", true),
            (r"(?s)^.$", "\n", true),
            (r"^.$", "\n", false),
            (r"^a|b$", "ax", true),
            (r"^[^a]$", "\n", true),
            (r"a||b", "", true),
            (r"()", "", true),
            (r"^*a", "a", true),
            (r"a\z", "a\n", false),
            ("^x y$", "x y", true),
            ("^a # b$", "a # b", true),
            ("(?)a", "a", true),
            (r"\A\Aa", "a", true),
            ("^a.??b$", "ab", true),
        ] {
            assert_eq!(
                found(pattern, text.as_bytes()),
                expected,
                "{pattern} on {text:?}"
            );
        }
    }

    #[test]
    fn a_byte_that_is_not_utf8_is_one_character() {
        assert!(found("^/.$", b"/\xff"));
        assert!(found("^/..$", b"/\xe2\x82"));
        assert!(found("^/[^a]b$", b"/\xffb"));
        assert!(!found(r"^/\w$", b"/\xff"));
    }

    #[test]
    fn what_go_refuses_is_refused_at_its_place() {
        for (pattern, at) in [
            ("(a", 0),
            ("a)", 1),
            ("a**", 2),
            ("a*+", 2),
            ("*a", 0),
            ("a|*", 2),
            ("(*)", 1),
            ("[a", 0),
            ("[b-a]", 1),
            ("[a-\\d]", 3),
            ("[[:foo:]]", 1),
            (r"a\", 1),
            (r"\1", 0),
            (r"\8", 0),
            (r"\Z", 0),
            (r"\C", 0),
            (r"\y", 0),
            (r"\xg1", 0),
            (r"\x{110000}", 0),
            (r"\x{", 0),
            (r"\p{", 0),
            (r"(?=a)", 0),
            (r"(?<!a)", 0),
            (r"(?x)a", 0),
            (r"(?u:a)", 0),
            (r"(?-)", 0),
            (r"(?P<a>x)(?P<a>y)", 8),
            (r"(?P<>x)", 0),
            ("a{1001}", 1),
            ("a{2,1}", 1),
        ] {
            match translate(pattern) {
                Err(e) => assert_eq!(e.at, at, "{pattern}: {}", e.message),
                Ok(t) => panic!("{pattern} became {}", t.text),
            }
        }
    }

    #[test]
    fn the_prefix_that_a_match_must_have_is_found() {
        let prefix = |p: &str| {
            translate(p)
                .unwrap()
                .prefix
                .map(|p| String::from_utf8(p).unwrap())
        };
        for (pattern, expected) in [
            ("^/api/", Some("/api/")),
            (r"\A/api/v[0-9]", Some("/api/v")),
            ("^/api/?$", Some("/api")),
            ("^/api+", Some("/ap")),
            ("^/(css|js)", Some("/")),
            (r"^/a\.b\Q.c\E", Some("/a.b.c")),
            ("^/a|/b", None),
            ("/a", None),
            ("(?i)^/a", None),
            ("(?m)^/a", None),
            ("(^/a)", None),
            ("^*/a", None),
            ("^(?i)a", Some("")),
            ("^/a^b", Some("/a")),
            ("^/\u{FFFD}", Some("/")),
        ] {
            assert_eq!(prefix(pattern).as_deref(), expected, "{pattern}");
        }
    }
}
