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

mod escapes;

/// An expression in the syntax of `regex-automata`.
#[derive(Debug)]
pub(in crate::rules) struct Translated {
    pub text: String,
    /// What every match must start with, if the expression is anchored at the start. May be empty.
    pub prefix: Option<Vec<u8>>,
}

/// Why an expression is refused; `at` is the byte place inside it.
#[derive(Debug)]
pub(in crate::rules) struct BadPattern {
    pub at: usize,
    pub message: String,
}

/// Go's limit of a repetition count.
const MAX_REPEAT: u32 = 1000;

/// How deep groups may nest.
const MAX_GROUPS: usize = 200;

pub(in crate::rules) fn translate(pattern: &str) -> Result<Translated, BadPattern> {
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
pub(in crate::rules) fn translate_with_groups(
    pattern: &str,
) -> Result<(String, Vec<Option<&str>>), BadPattern> {
    let mut translator = Translator::new(pattern, true);
    translator.run()?;
    Ok((translator.out, translator.groups))
}

/// Appends `text` so that it matches itself.
pub(in crate::rules) fn push_literal(out: &mut String, text: &str) {
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
mod tests;
