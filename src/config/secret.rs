//! Values that must not appear in logs, error texts or API answers.
//!
//! The wrapper keeps an honest mistake (`{:?}` in a log line, a struct serialised whole) from leaking a key
//! or a password. It does not wipe memory.

use std::fmt;

use serde::{Serialize, Serializer};

/// What stands in place of a secret wherever it is printed, as Traefik prints it.
pub const REDACTED: &str = "xxxx";

/// A value whose `Debug`, `Display` and JSON forms are `xxxx`; [`Secret::reveal`] gives the value itself.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for the one place that needs it. Do not log what this returns.
    pub const fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// How a redacted value keeps its shape in JSON, so that a list of users stays a list.
pub trait Redact {
    /// Writes the value's shape with every text replaced by [`REDACTED`].
    fn redact<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

impl Redact for Box<str> {
    fn redact<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl Redact for Box<[Box<str>]> {
    fn redact<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(|_| REDACTED))
    }
}

impl<T: Redact> Serialize for Secret<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.redact(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_redacted_wherever_it_is_printed() {
        let secret: Secret<Box<str>> = Secret::new("hunter2".into());
        assert_eq!(format!("{secret} {secret:?}"), "xxxx xxxx");
        assert_eq!(serde_json::to_string(&secret).unwrap(), r#""xxxx""#);
        assert_eq!(&**secret.reveal(), "hunter2");
    }

    #[test]
    fn a_secret_list_keeps_its_length_in_json() {
        let users: Secret<Box<[Box<str>]>> = Secret::new(["a:b".into(), "c:d".into()].into());
        assert_eq!(serde_json::to_string(&users).unwrap(), r#"["xxxx","xxxx"]"#);
    }
}
