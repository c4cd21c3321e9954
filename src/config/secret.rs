//! Values that must not appear in logs, error texts or API answers.
//!
//! The wrapper keeps an honest mistake (`{:?}` in a log line, a struct serialised whole) from leaking a key
//! or a password. It does not wipe memory.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use super::decode::{Map, Text};

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

/// A URL as it may be shown: the password of its user, if it has one, is redacted (as Go's `URL.Redacted`).
/// A text without scheme counts as one that forgot it.
pub fn without_password(url: &str) -> Cow<'_, str> {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..]
        .find(['/', '?', '#'])
        .map_or(url.len(), |at| start + at);
    let authority = &url[start..end];
    let Some((user, host)) = authority.rsplit_once('@') else {
        return Cow::Borrowed(url);
    };
    let Some((name, _)) = user.split_once(':') else {
        return Cow::Borrowed(url);
    };
    let (before, after) = (&url[..start], &url[end..]);
    Cow::Owned(format!("{before}{name}:{REDACTED}@{host}{after}"))
}

/// Header fields as they may be shown: values of fields that carry credentials are redacted.
pub fn without_credentials(fields: &Map<Text>) -> BTreeMap<&str, &str> {
    let mut shown: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, value) in fields {
        let hidden = !value.is_empty() && names_a_secret(name);
        shown.insert(name, if hidden { REDACTED } else { value });
    }
    shown
}

/// Whether a field or key of this name usually holds a secret: `Authorization`, `Cookie`, `X-Api-Key`, `authToken`.
fn names_a_secret(name: &str) -> bool {
    const WORDS: [&str; 10] = [
        "authorization",
        "cookie",
        "token",
        "key",
        "apikey",
        "secret",
        "password",
        "passwd",
        "credential",
        "credentials",
    ];
    // The last word of a name says what it is: `X-Api-Key`, but not `Public-Key-Pins`.
    let last = name.rsplit(|c: char| !c.is_ascii_alphanumeric()).next();
    let last = last.unwrap_or_default();
    let camel = last
        .rfind(|c: char| c.is_ascii_uppercase())
        .map_or(last, |at| &last[at..]);
    WORDS
        .iter()
        .any(|word| last.eq_ignore_ascii_case(word) || camel.eq_ignore_ascii_case(word))
}

/// Free content, such as a plugin's, as it may be shown.
pub fn without_secrets(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(entries) => entries
            .iter()
            .map(|(key, value)| match value {
                Value::String(text) if !text.is_empty() && names_a_secret(key) => {
                    (key.clone(), REDACTED.into())
                }
                _ => (key.clone(), without_secrets(value)),
            })
            .collect(),
        Value::Array(items) => items.iter().map(without_secrets).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_of_a_url_is_hidden() {
        for (url, shown) in [
            ("http://ann:hunter2@h:1/p?q", "http://ann:xxxx@h:1/p?q"),
            ("http://ann:a@b@h", "http://ann:xxxx@h"),
            ("ann:hunter2@h", "ann:xxxx@h"),
            ("http://ann@h/", "http://ann@h/"),
            ("http://h/a:b@c", "http://h/a:b@c"),
            ("http://h", "http://h"),
            ("", ""),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn fields_with_credentials_are_hidden_and_others_are_not() {
        let fields: Map<Text> = [
            ("Authorization", "Basic hunter2"),
            ("X-Api-Key", "hunter2"),
            ("X-AuthToken", "hunter2"),
            ("Set-Cookie", "a=hunter2"),
            ("Cookie", ""),
            ("X-Frame", "deny"),
            ("Public-Key-Pins", "pin"),
            ("X-Monkey", "yes"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
        let shown = without_credentials(&fields);
        let hidden: Vec<_> = shown
            .iter()
            .filter(|(_, value)| **value == REDACTED)
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(
            hidden,
            ["Authorization", "Set-Cookie", "X-Api-Key", "X-AuthToken"]
        );
        assert_eq!(
            shown["Cookie"], "",
            "that the field is removed is no secret"
        );
    }

    #[test]
    fn free_content_keeps_its_shape() {
        let value = serde_json::json!({"apiKey": "x", "url": "u", "list": [{"password": "x"}], "key": {"a": "b"}});
        let shown = serde_json::json!({"apiKey": "xxxx", "url": "u", "list": [{"password": "xxxx"}], "key": {"a": "b"}});
        assert_eq!(without_secrets(&value), shown);
    }

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
