//! What is wrong with a rule, and where.
//!
//! NOT for: deciding what happens to the router (that is `plan`'s).

use std::fmt;
use std::ops::Range;

/// Characters of a rule's line shown around the error; longer lines are cut at both sides.
const SHOWN_COLUMNS: usize = 100;

/// Why a rule was refused.
///
/// `Display` prints the line concerned, a caret line that points into it, and a hint if there is one:
///
/// ```text
/// Host(`a.test`) && Pth(`/x`)
///                   ^^^ expected a matcher, found `Pth`
/// hint: did you mean `Path`?
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    rule: Box<str>,
    start: usize,
    end: usize,
    message: Box<str>,
    hint: Option<Box<str>>,
}

impl RuleError {
    /// `span` is in bytes and is clamped to the rule and widened to whole characters.
    pub(crate) fn new(rule: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let mut start = span.start.min(rule.len());
        while !rule.is_char_boundary(start) {
            start -= 1;
        }
        let mut end = span.end.clamp(start, rule.len());
        while !rule.is_char_boundary(end) {
            end += 1;
        }
        RuleError {
            rule: rule.into(),
            start,
            end,
            message: message.into().into_boxed_str(),
            hint: None,
        }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into().into_boxed_str());
        self
    }

    /// The whole rule, as configured.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// Where in [`rule`](Self::rule), in bytes. Empty if something is missing at that place.
    pub fn span(&self) -> Range<usize> {
        self.start..self.end
    }

    /// What was expected and what was found, without the rule.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What the author of the rule probably wants to do.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The line of the error, counted from 1, and its column in characters, counted from 1.
    pub fn line_and_column(&self) -> (usize, usize) {
        let before = &self.rule[..self.start];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = &*self.rule;
        let line_start = rule[..self.start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = rule[self.start..]
            .find('\n')
            .map_or(rule.len(), |i| self.start + i);
        let end = self.end.min(line_end);

        let before: Vec<char> = rule[line_start..self.start].chars().collect();
        let marked: Vec<char> = rule[self.start..end].chars().collect();
        let after: Vec<char> = rule[end..line_end].chars().collect();
        let cut_before = before.len().saturating_sub(SHOWN_COLUMNS / 2);
        let keep_marked = marked.len().min(SHOWN_COLUMNS / 2);
        let keep_after = if keep_marked < marked.len() {
            0
        } else {
            after.len().min(SHOWN_COLUMNS / 2)
        };

        let (line, _) = self.line_and_column();
        if rule.contains('\n') {
            writeln!(f, "line {line}:")?;
        }
        let mut padding = String::new();
        if cut_before > 0 {
            f.write_str("…")?;
            padding.push(' ');
        }
        for &c in &before[cut_before..] {
            write!(f, "{}", shown(c))?;
            // A tab stays a tab, so that the caret stands under its character in any terminal.
            padding.push(if c == '\t' { '\t' } else { ' ' });
        }
        for &c in marked[..keep_marked].iter().chain(&after[..keep_after]) {
            write!(f, "{}", shown(c))?;
        }
        if keep_marked < marked.len() || keep_after < after.len() {
            f.write_str("…")?;
        }
        writeln!(f)?;
        write!(
            f,
            "{padding}{} {}",
            "^".repeat(keep_marked.max(1)),
            self.message
        )?;
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for RuleError {}

/// Control characters would move the cursor and misplace the caret.
fn shown(c: char) -> char {
    if c.is_control() && c != '\t' {
        '\u{FFFD}'
    } else {
        c
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_error() {
        let e = RuleError::new("Host(`é`) && Pth(`/x`)", 14..17, "expected a matcher")
            .with_hint("did you mean `Path`?");
        assert_eq!(
            e.to_string(),
            "Host(`é`) && Pth(`/x`)\n             ^^^ expected a matcher\nhint: did you mean `Path`?"
        );
        assert_eq!(e.line_and_column(), (1, 14));
    }

    #[test]
    fn a_rule_of_several_lines_shows_the_line_concerned() {
        let e = RuleError::new("A(`x`) ||\n\tB(`y`)\n", 11..12, "expected a matcher");
        assert_eq!(e.to_string(), "line 2:\n\tB(`y`)\n\t^ expected a matcher");
    }

    #[test]
    fn a_long_line_is_cut_around_the_error() {
        let rule = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let shown = RuleError::new(&rule, 500..501, "here").to_string();
        let mut lines = shown.lines();
        let (line, caret) = (lines.next().unwrap(), lines.next().unwrap());
        assert!(line.chars().count() < 110 && line.starts_with('…') && line.ends_with('…'));
        let at = caret.find('^').unwrap();
        assert_eq!(line.chars().nth(at), Some('X'));
    }

    #[test]
    fn a_span_outside_the_rule_is_clamped() {
        let e = RuleError::new("é", 1..99, "m");
        assert_eq!(e.span(), 0..2);
        assert!(RuleError::new("", 5..7, "m").to_string().contains('^'));
    }
}
