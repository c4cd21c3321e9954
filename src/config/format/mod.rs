//! Texts to trees: YAML and TOML, with places and readable syntax errors.
//!
//! Templates in a text are the file provider's business; here they are text like any other.

mod everyday;
mod json;
mod scalar;
mod toml;
mod yaml;

use std::fmt;
use std::path::Path;

pub use json::parse_json;

use super::tree::{Entry, Node, Position};

/// The language of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2 as Traefik reads it; JSON is a subset of it.
    Yaml,
    /// TOML 1.0.
    Toml,
}

impl Format {
    /// The language of a file by its name: `.yaml`, `.yml` and `.json` are YAML, `.toml` is TOML.
    pub fn of_file(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?;
        let is = |name: &str| extension.eq_ignore_ascii_case(name);
        if is("yaml") || is("yml") || is("json") {
            Some(Self::Yaml)
        } else if is("toml") {
            Some(Self::Toml)
        } else {
            None
        }
    }
}

/// A text that is not of its language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where reading stopped.
    pub position: Position,
    /// What is wrong there.
    pub message: String,
    /// The line of the text, for [`SyntaxError::report`].
    pub line: String,
}

impl SyntaxError {
    /// Longest part of a line that an error shows, in characters.
    const MAX_SHOWN: usize = 120;

    pub(super) fn new(text: &str, position: Position, message: impl Into<String>) -> Self {
        let line = match position.line.checked_sub(1) {
            Some(index) => text.lines().nth(index as usize).unwrap_or_default(),
            None => "",
        };
        Self {
            position,
            message: message.into(),
            line: line.to_owned(),
        }
    }

    /// The error with its file's name, its line and a caret below the place.
    pub fn report(&self, file: &str) -> String {
        use fmt::Write as _;
        let Some((line, column)) = self.position.get() else {
            return format!("{file}: {}", self.message);
        };
        let mut report = format!("{file}:{line}:{column}: {}", self.message);
        if self.line.trim().is_empty() || may_hold_a_secret(&self.line) {
            return report;
        }
        // A long line is shown around the place only.
        let caret = (column as usize).saturating_sub(1);
        let skipped = caret.saturating_sub(Self::MAX_SHOWN / 2);
        let shown: String = self
            .line
            .chars()
            .skip(skipped)
            .take(Self::MAX_SHOWN)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let indent = caret - skipped;
        let _ = write!(report, "\n  {shown}\n  {:indent$}^", "");
        report
    }
}

/// Whether a line looks as if it had a key, a password or a password's hash, which no log should show.
fn may_hold_a_secret(line: &str) -> bool {
    const WORDS: [&str; 7] = ["password", "token", "secret", "users", "key", "-----", "$"];
    let line = line.to_ascii_lowercase();
    // PEM and hashes have long runs of letters and digits.
    let is_dense = line
        .split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '='))
        .any(|run| run.len() > 40);
    is_dense || WORDS.iter().any(|word| line.contains(word))
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position.get() {
            Some((line, column)) => write!(f, "{line}:{column}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for SyntaxError {}

/// A text as a tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Document<'a> {
    /// The content; null if the text is empty.
    pub tree: Node<'a>,
    /// Where further documents of a YAML text begin; they are ignored, as Traefik does.
    pub ignored_from: Option<Position>,
}

/// Takes the entries of the third level (`http.routers.<name>`) while a text is read.
///
/// Where the text is such that an entry's lines alone say what it is, they come with it: equal lines below the same two
/// keys are an equal entry, up to its place. A sink that remembers them need not have them read again.
pub trait Sink<'a> {
    /// Whether [`Sink::knows`] may ever say yes.
    fn remembers(&self) -> bool {
        false
    }

    /// Whether the entry with these lines, which it took before from some text, is of no use: then nothing of it is
    /// read and it does not come.
    fn knows(&mut self, _above: [&str; 2], _lines: &str) -> bool {
        false
    }

    /// One entry, as soon as it is complete, with the two keys above it and, if they alone say what it is, its lines.
    /// What it returns stays in the tree; what it keeps is gone from it, so that a large text never exists as a whole
    /// tree.
    fn take(
        &mut self,
        above: [&str; 2],
        entry: Entry<'a>,
        lines: Option<&str>,
    ) -> Option<Entry<'a>>;

    /// Reading begins again: whatever was taken so far will come again.
    fn restart(&mut self);
}

/// Leaves every entry in the tree.
struct Keep;

impl<'a> Sink<'a> for Keep {
    fn take(
        &mut self,
        _above: [&str; 2],
        entry: Entry<'a>,
        _lines: Option<&str>,
    ) -> Option<Entry<'a>> {
        Some(entry)
    }

    fn restart(&mut self) {}
}

/// Reads a text whole.
pub fn parse(format: Format, text: &str) -> Result<Document<'_>, SyntaxError> {
    parse_with(format, text, &mut Keep)
}

/// Reads a text, handing entries to `sink` as they come.
///
/// Texts that merge maps, and TOML, which may add to any table at any place, stay in the tree.
pub fn parse_with<'a>(
    format: Format,
    text: &'a str,
    sink: &mut impl Sink<'a>,
) -> Result<Document<'a>, SyntaxError> {
    // A byte order mark is no content.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let whole = |tree| Document {
        tree,
        ignored_from: None,
    };
    match format {
        Format::Toml => toml::parse(text).map(whole),
        Format::Yaml => match everyday::parse(text, sink) {
            Some(tree) => Ok(whole(tree)),
            None => {
                sink.restart();
                yaml::parse(text, sink)
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_shows_the_place_but_no_secret() {
        let report = |line: &str| {
            let text = format!("a: 1\n{line}\n");
            SyntaxError::new(&text, Position::new(2, 3), "is wrong").report("f.yml")
        };
        assert_eq!(report("b: }"), "f.yml:2:3: is wrong\n  b: }\n    ^");
        for secret in [
            "password: \"x",
            "- 'u:$apr1$x",
            "keyFile: [",
            "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7",
        ] {
            assert_eq!(report(secret), "f.yml:2:3: is wrong", "{secret}");
        }
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let text = format!("{}!{}", " x".repeat(500), "y ".repeat(500));
        let report = SyntaxError::new(&text, Position::new(1, 1001), "is wrong").report("f.yml");
        let lines: Vec<_> = report.lines().collect();
        assert!(lines[1].len() < 200);
        assert_eq!(lines[1].as_bytes()[lines[2].len() - 1], b'!');
    }

    #[test]
    fn the_language_is_known_by_the_file_name() {
        for (name, format) in [
            ("a.yml", Some(Format::Yaml)),
            ("a.YAML", Some(Format::Yaml)),
            ("a.json", Some(Format::Yaml)),
            ("a.toml", Some(Format::Toml)),
            ("a.yml~", None),
            ("yml", None),
        ] {
            assert_eq!(Format::of_file(Path::new(name)), format, "{name}");
        }
    }
}
