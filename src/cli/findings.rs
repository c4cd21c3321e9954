//! Problems of configuration files, printed so that their author finds the place and the remedy.
//!
//! ```text
//! dynamic.yml:12:13: error: http.routers.api.rule: expected a matcher, found `Pth`
//!     Host(`a.test`) && Pth(`/x`)
//!                       ^^^ expected a matcher, found `Pth`
//!     hint: did you mean `Path`?
//! ```

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::config::decode::ObjectError;
use crate::config::tree::Position;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something does not work; the command's exit code is 1.
    Error,
    /// Something works, but perhaps not as meant.
    Warning,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// Counted from 1; 0 when unknown.
    pub line: u32,
    /// Counted from 1; 0 when unknown.
    pub column: u32,
    /// How bad it is.
    pub severity: Severity,
    /// Path of the object or field; empty for the file as a whole.
    pub path: String,
    /// What was found and what was expected.
    pub message: String,
    /// What was probably meant, or what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// Lines that show the place, with a caret below it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub excerpt: Vec<String>,
}

impl Finding {
    /// A problem of a place in a file.
    pub fn new(
        file: &Path,
        severity: Severity,
        position: Position,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        let (line, column) = position.get().unwrap_or((0, 0));
        Self {
            file: file.display().to_string(),
            line,
            column,
            severity,
            path: path.into(),
            message: message.into(),
            suggestion: None,
            excerpt: Vec::new(),
        }
    }

    /// A problem that the decoder found.
    pub fn of_object(file: &Path, severity: Severity, error: &ObjectError) -> Self {
        let mut finding = Self::new(
            file,
            severity,
            error.position,
            &*error.path,
            &*error.message,
        );
        finding.suggestion = error
            .suggestion
            .as_ref()
            .map(|name| format!("did you mean {name:?}?"));
        finding
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, ": {severity}: ")?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        for line in &self.excerpt {
            write!(f, "\n    {line}")?;
        }
        match &self.suggestion {
            Some(suggestion) if self.excerpt.is_empty() => write!(f, "; {suggestion}"),
            Some(suggestion) => write!(f, "\n    {suggestion}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_clickable_and_says_what_to_do() {
        let error = ObjectError {
            suggestion: Some("service".to_owned()),
            ..ObjectError::new(
                "http.routers.a.servce",
                Position::new(3, 7),
                "no such field",
            )
        };
        let finding = Finding::of_object(Path::new("a.yml"), Severity::Error, &error);
        assert_eq!(
            finding.to_string(),
            "a.yml:3:7: error: http.routers.a.servce: no such field; did you mean \"service\"?"
        );
        let whole = Finding::new(
            Path::new("a.yml"),
            Severity::Warning,
            Position::NONE,
            "",
            "is empty",
        );
        assert_eq!(whole.to_string(), "a.yml: warning: is empty");
    }
}
