//! The `rest` provider: whoever may put in a whole dynamic configuration, as JSON, each time in place of the last.
//!
//! ```text
//! PUT /api/providers/rest ──► api (own thread) ──► RestProvider::put ──► Update
//! ```
//!
//! What was put in is not kept over a restart (Traefik: same). Not here: HTTP, which is the API's.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::IgnoredAny;

use super::document::{Document, Reporter};
use crate::config::v1::Context;
use crate::watcher::Update;

/// The provider's name, as objects' names carry it.
pub const NAME: &str = "rest";

/// Takes configurations in.
pub struct RestProvider {
    document: Document,
    reporter: Reporter<Box<dyn Fn(Update) + Send>>,
}

/// A text that is no configuration; what was put in before stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotTaken(pub String);

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotTaken {}

/// An object that was not taken in; its last good version stays in force, if it had one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RejectedObject {
    /// Such as `http.routers.r`.
    pub object: String,
    /// Every reason.
    pub errors: Vec<String>,
}

/// What was taken in.
#[derive(Clone, Debug, Serialize)]
pub struct Taken {
    /// The good objects, as a dynamic configuration.
    #[serde(flatten)]
    pub configuration: serde_json::Value,
    /// The others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<RejectedObject>,
    /// What is wrong beside objects, such as a section that does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl RestProvider {
    /// A provider in which nothing was put in yet. `former` is what a text of Traefik 1's form needs to know of the static
    /// configuration.
    pub fn new(former: Arc<Context>, sink: impl Fn(Update) + Send + 'static) -> Self {
        Self {
            document: Document::new(former),
            reporter: Reporter::new(NAME, Box::new(sink)),
        }
    }

    /// Replaces all that was put in before. It is on its way to the shards when this returns.
    ///
    /// # Errors
    /// The text is not JSON, or not that of a map.
    pub fn put(&mut self, json: &[u8]) -> Result<Taken, NotTaken> {
        // As Go's decoder: what follows the first value does not count.
        let mut values = serde_json::Deserializer::from_slice(json).into_iter::<IgnoredAny>();
        match values.next() {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(NotTaken(format!("the body is not JSON: {error}"))),
            None => return Err(NotTaken("the body is empty".to_owned())),
        }
        let json = &json[..values.byte_offset()];
        let content = self.document.take(json).map_err(NotTaken)?;
        let hash = self.document.hash();
        let error = self.document.error();
        self.reporter.report(content, error, &hash);
        let rejected = self.document.rejected().into_iter();
        Ok(Taken {
            configuration: self.document.to_json(),
            rejected: rejected
                .map(|(key, errors)| RejectedObject {
                    object: key.to_string(),
                    errors,
                })
                .collect(),
            error: self.document.error().map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use serde_json::json;

    use super::*;
    use crate::watcher::Payload;

    #[test]
    fn what_is_put_in_replaces_what_was_there_and_the_answer_names_what_was_rejected() {
        let (sender, updates) = mpsc::channel();
        let mut rest = RestProvider::new(Arc::default(), move |update| drop(sender.send(update)));
        let taken = rest
            .put(br#"{"http": {"routers": {"r": {"rule": "Host(`a`)", "service": "s"}, "t": {"rule": 7, "x": 1}}}} more"#)
            .unwrap();
        let json = serde_json::to_value(&taken).unwrap();
        assert_eq!(
            json["http"],
            json!({"routers": {"r": {"rule": "Host(`a`)", "service": "s"}}})
        );
        assert_eq!(json["rejected"][0]["object"], "http.routers.t");
        let error = json["rejected"][0]["errors"][0].as_str().unwrap();
        assert!(error.contains("no such field"), "{error}");
        let update = updates.try_recv().unwrap();
        assert_eq!(&*update.provider, "rest");
        assert!(matches!(update.payload, Payload::Snapshot(objects) if objects.len() == 2));
        let taken = rest.put(b"{}").unwrap();
        assert_eq!(serde_json::to_string(&taken).unwrap(), "{}");
        let update = updates.try_recv().unwrap();
        assert!(matches!(update.payload, Payload::Patch(objects) if objects.len() == 2));
    }

    #[test]
    fn what_is_not_json_is_refused_and_changes_nothing() {
        let (sender, updates) = mpsc::channel();
        let mut rest = RestProvider::new(Arc::default(), move |update| drop(sender.send(update)));
        for (text, reason) in [
            ("", "empty"),
            ("{bad", "not JSON: key must be a string at line 1 column 2"),
            ("http:\n  routers: {}", "not JSON"),
            ("[]", "a map"),
            ("\"text\"", "a map"),
        ] {
            let refused = rest.put(text.as_bytes()).unwrap_err();
            assert!(refused.to_string().contains(reason), "{refused}");
        }
        assert!(updates.try_recv().is_err());
    }
}
