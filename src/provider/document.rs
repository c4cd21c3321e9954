//! One text that is a provider's whole dynamic configuration, each time anew.
//!
//! ```text
//! bytes ──► same as before? ──► tree ──► objects ──► what differs ──► Payload
//! ```
//!
//! The text is YAML or JSON, of today's form or of Traefik 1's (`frontends` and `backends`). What is good in it takes effect; a text that is no configuration at all changes nothing.
//! Not here: where texts come from ([`super::http`], [`super::rest`]).

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::sync::Arc;

use rustc_hash::{FxHashSet, FxHasher};
use serde_json::{Map, Value as Json};

use crate::config::dynamic::{self, Declared, Decoded, Kind, ObjectKey, Reading};
use crate::config::format::{Format, parse, parse_json};
use crate::config::tree::{Node, Value};
use crate::config::v1;
use crate::io::memory;
use crate::watcher::{Entry, Objects, Payload, Position, Update};

/// Largest text unless configured otherwise; 100,000 routers are about 30 MiB.
pub const MAX_BYTES: u64 = 1 << 30;

/// The text that was read last, and what of it is in force.
#[derive(Debug, Default)]
pub struct Document {
    /// What a text of Traefik 1's form needs to know of the static configuration.
    former: Arc<v1::Context>,
    good: Decoded,
    /// Of the text that was read last.
    hash: Option<u64>,
    /// What is wrong with parts of it that belong to no object.
    error: Option<String>,
    /// Whether `good` is the reading of some text.
    is_read: bool,
}

impl Document {
    /// No text yet. `former` is what one of Traefik 1's form needs to know of the static configuration.
    pub fn new(former: Arc<v1::Context>) -> Self {
        Self {
            former,
            ..Self::default()
        }
    }

    /// Takes in a text. Returns what it changes; nothing if that is nothing.
    ///
    /// # Errors
    /// The text is no configuration; the last one stays, as if this had not come.
    pub fn take(&mut self, text: &[u8]) -> Result<Option<Payload>, String> {
        let hash = hash_of(text);
        if self.hash == Some(hash) {
            return Ok(None);
        }
        let decoded = read(text, &self.good, &self.former)?;
        self.hash = Some(hash);
        for warning in &decoded.warnings {
            tracing::warn!("{warning}");
        }
        let errors: Vec<String> = decoded.errors.iter().map(ToString::to_string).collect();
        self.error = (!errors.is_empty()).then(|| errors.join("; "));
        if !std::mem::replace(&mut self.is_read, true) {
            self.good = decoded;
            return Ok(Some(Payload::Snapshot(self.all())));
        }
        let mut changed = FxHashSet::default();
        self.good.apply(Reading::from(decoded), Some(&mut changed));
        let patch: Objects = changed
            .into_iter()
            .map(|key| {
                let entry = self.good.objects.get(&key).map(entry).unwrap_or_default();
                (key, entry)
            })
            .collect();
        Ok((!patch.is_empty()).then_some(Payload::Patch(patch)))
    }

    /// What is wrong with parts of the last text that belong to no object, such as a section that does not exist.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Hash of the last text in hexadecimal.
    pub fn hash(&self) -> String {
        format!("{:016x}", self.hash.unwrap_or_default())
    }

    /// Objects of the last text that are rejected, by key.
    pub fn rejected(&self) -> BTreeMap<&ObjectKey, Vec<String>> {
        let bad = self.good.objects.iter().filter_map(|(key, declared)| {
            let errors = declared.result.as_ref().err()?;
            Some((key, errors.iter().map(ToString::to_string).collect()))
        });
        bad.collect()
    }

    /// The good objects in the form in which a dynamic configuration is written.
    pub fn to_json(&self) -> Json {
        let good = self.good.objects.iter();
        let good = good.filter_map(|(key, declared)| Some((key, declared.result.as_ref().ok()?)));
        let mut sections = Map::new();
        for (key, object) in good {
            let object = serde_json::to_value(object).unwrap_or_default();
            let (section, collection) = key.kind.place();
            let section = sections.entry(section).or_insert_with(|| Map::new().into());
            let Json::Object(section) = section else {
                continue;
            };
            if key.kind == Kind::TlsCertificate {
                let list = section
                    .entry(collection)
                    .or_insert_with(|| Json::Array(Vec::new()));
                if let Json::Array(list) = list {
                    list.push(object);
                }
                continue;
            }
            let map = section
                .entry(collection)
                .or_insert_with(|| Map::new().into());
            if let Json::Object(map) = map {
                map.insert(key.name.to_string(), object);
            }
        }
        sections.into()
    }

    fn all(&self) -> Objects {
        let objects = self.good.objects.iter();
        objects
            .map(|(key, declared)| (key.clone(), entry(declared)))
            .collect()
    }
}

fn entry(declared: &Declared) -> Entry {
    match &declared.result {
        Ok(object) => Entry::Present(object.clone()),
        Err(errors) => Entry::Rejected(Arc::clone(errors)),
    }
}

fn hash_of(text: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(text);
    hasher.write_usize(text.len());
    hasher.finish()
}

/// The objects of a text, or why it is no configuration.
fn read(text: &[u8], previous: &Decoded, former: &v1::Context) -> Result<Decoded, String> {
    let text = std::str::from_utf8(text)
        .map_err(|error| format!("it is not UTF-8 from byte {} on", error.valid_up_to()))?;
    let is_json = text.trim_start().starts_with(['{', '[']);
    let json = is_json.then(|| parse_json(text).ok()).flatten();
    let mut tree = match json {
        Some(tree) => tree,
        None => {
            let document = parse(Format::Yaml, text).map_err(|error| error.to_string())?;
            document.tree
        }
    };
    if tree.is_null() {
        return Err("it is empty; to remove everything, give an empty map: {}".to_owned());
    }
    if tree.as_map().is_none() {
        return Err(format!(
            "it is {} where a map with http, tcp, udp or tls is expected",
            tree.describe()
        ));
    }
    remove_empty(&mut tree);
    let is_former = v1::is_v1(&tree).map_err(|error| error.to_string())?;
    if is_former {
        // Programs that write JSON of its own types mean what its files mean.
        return Ok(v1::convert_tree(&tree, v1::Origin::File, former));
    }
    Ok(dynamic::decode(&tree, Some(previous)))
}

/// Programs write empty maps where people write nothing: `{"http": {"routers": {}}}`.
fn remove_empty(tree: &mut Node<'_>) {
    let is_empty = |node: &Node<'_>| node.as_map().is_some_and(<[_]>::is_empty);
    let Value::Map(sections) = &mut tree.value else {
        return;
    };
    for section in &mut *sections {
        if let Value::Map(collections) = &mut section.node.value {
            collections.retain(|collection| !is_empty(&collection.node));
        }
    }
    sections.retain(|section| !is_empty(&section.node));
}

/// Tells the watcher what a document and the way to it came to.
pub struct Reporter<S> {
    provider: Arc<str>,
    number: u64,
    /// The error that was told last.
    error: Option<String>,
    sink: S,
}

impl<S: Fn(Update)> Reporter<S> {
    /// A reporter that has told nothing.
    pub fn new(provider: &str, sink: S) -> Self {
        Self {
            provider: provider.into(),
            number: 0,
            error: None,
            sink,
        }
    }

    /// Tells of new content, if there is any, and of a changed error or its end. Nothing new is told of nothing.
    pub fn report(&mut self, content: Option<Payload>, error: Option<&str>, position: &str) {
        let is_bulk = match &content {
            Some(Payload::Snapshot(objects) | Payload::Patch(objects)) => {
                objects.len() >= memory::BULK_OBJECTS
            }
            _ => false,
        };
        let is_other = self.error.as_deref() != error;
        if is_other {
            match error {
                Some(error) => tracing::error!(
                    providerName = &*self.provider,
                    "{error}; what was good before stays in force"
                ),
                None => {
                    tracing::info!(providerName = &*self.provider, "The source is good again");
                }
            }
        }
        let is_new = content.is_some();
        // Only content ends an error.
        let end = (is_other && error.is_none()).then(|| Payload::Patch(Objects::new()));
        // The error comes last: it says that what came before it is not all of the source.
        let failed = error.filter(|_| is_other || is_new);
        let failed = failed.map(|error| Payload::Failed(error.to_owned()));
        for payload in content.or(end).into_iter().chain(failed) {
            self.number += 1;
            (self.sink)(Update {
                provider: Arc::clone(&self.provider),
                position: Position {
                    number: self.number,
                    text: position.into(),
                },
                payload,
            });
        }
        self.error = error.map(str::to_owned);
        if is_bulk {
            memory::return_freed();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde_json::json;

    use super::*;

    const GOOD: &str = r#"{"http": {"routers": {"r": {"rule": "Host(`a`)", "service": "s"}},
        "services": {"s": {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:1"}]}}},
        "middlewares": {}}, "tcp": {"routers": {}}}"#;

    fn keys(payload: &Payload) -> Vec<String> {
        let (Payload::Snapshot(objects) | Payload::Patch(objects)) = payload else {
            panic!("{payload:?}")
        };
        let text = |(key, entry): (&ObjectKey, &Entry)| {
            let sign = match entry {
                Entry::Absent => "-",
                Entry::Present(_) => "+",
                Entry::Rejected(_) => "!",
            };
            format!("{sign}{key}")
        };
        objects.iter().map(text).collect()
    }

    #[test]
    fn the_first_text_is_a_snapshot_and_further_ones_are_patches() {
        let mut document = Document::default();
        let first = document.take(GOOD.as_bytes()).unwrap().unwrap();
        assert!(matches!(first, Payload::Snapshot(_)));
        assert_eq!(keys(&first), ["+http.routers.r", "+http.services.s"]);
        assert!(document.take(GOOD.as_bytes()).unwrap().is_none());
        // Equal but for blanks.
        let again = document.take(format!("{GOOD}\n").as_bytes());
        assert!(again.unwrap().is_none());
        let other = GOOD.replace("Host(`a`)", "Host(`b`)");
        let second = document.take(other.as_bytes()).unwrap().unwrap();
        assert!(matches!(second, Payload::Patch(_)));
        assert_eq!(keys(&second), ["+http.routers.r"]);
        let cleared = document.take(b"{}").unwrap().unwrap();
        assert_eq!(keys(&cleared), ["-http.routers.r", "-http.services.s"]);
    }

    #[test]
    fn a_bad_object_hides_no_good_one() {
        let mut document = Document::default();
        let text = GOOD.replace("\"service\"", "\"servis\"");
        let payload = document.take(text.as_bytes()).unwrap().unwrap();
        assert_eq!(keys(&payload), ["!http.routers.r", "+http.services.s"]);
        let rejected = document.rejected();
        let (key, errors) = rejected.first_key_value().unwrap();
        assert_eq!(key.to_string(), "http.routers.r");
        assert!(errors[0].contains("servis"), "{errors:?}");
    }

    #[test]
    fn what_is_no_configuration_changes_nothing() {
        let mut document = Document::default();
        document.take(GOOD.as_bytes()).unwrap().unwrap();
        for (text, reason) in [
            (&b""[..], "it is empty"),
            (b" \n", "it is empty"),
            (b"a: b: c", "1:"),
            (b"{\"a\": ", "1:"),
            (b"\xff", "UTF-8"),
            (b"<html><body>busy</body></html>", "a map"),
            (b"[]", "a map"),
        ] {
            let error = document.take(text).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        let again = document.take(GOOD.as_bytes());
        assert!(again.unwrap().is_none(), "it was in force all the time");
    }

    #[test]
    fn json_escapes_mean_what_they_mean_in_json() {
        let mut document = Document::default();
        let text =
            r#"{"http":{"routers":{"r":{"rule":"Path(`\/\u00e9\ud83d\ude00\t`)","service":"s"}}}}"#;
        document.take(text.as_bytes()).unwrap();
        assert_eq!(
            document.to_json()["http"]["routers"]["r"]["rule"],
            "Path(`/é😀\t`)"
        );
    }

    #[test]
    fn traefik_1s_form_is_converted() {
        let mut document = Document::default();
        let text = r#"{"frontends": {"f": {"backend": "b", "routes": {"r": {"rule": "Host:a.test"}}}},
            "backends": {"b": {"servers": {"s": {"url": "http://127.0.0.1:1", "weight": 1}}}}}"#;
        let first = document.take(text.as_bytes()).unwrap().unwrap();
        let objects = keys(&first);
        assert!(
            objects.iter().any(|key| key.starts_with("+http.routers.f")),
            "{objects:?}"
        );
        assert!(
            objects
                .iter()
                .any(|key| key.starts_with("+http.services.b")),
            "{objects:?}"
        );
        let other = text.replace("a.test", "b.test");
        let second = document.take(other.as_bytes()).unwrap().unwrap();
        assert!(matches!(second, Payload::Patch(_)));
        assert_eq!(keys(&second).len(), 1, "{second:?}");
        let mixed = text.replacen('{', "{\"http\": {\"routers\": {\"x\": {}}}, ", 1);
        let error = document.take(mixed.as_bytes()).unwrap_err();
        assert!(error.contains("Traefik 1"), "{error}");
        let cleared = document.take(br#"{"frontends": {}, "backends": {}}"#);
        assert!(!keys(&cleared.unwrap().unwrap()).is_empty());
    }

    #[test]
    fn the_json_is_a_dynamic_configuration_again() {
        let mut document = Document::default();
        document.take(GOOD.as_bytes()).unwrap();
        assert_eq!(
            document.to_json(),
            json!({"http": {
                "routers": {"r": {"rule": "Host(`a`)", "service": "s"}},
                "services": {"s": {"loadBalancer": {
                    "servers": [{"url": "http://127.0.0.1:1"}],
                    "strategy": "wrr",
                    "passHostHeader": true,
                    "responseForwarding": {"flushInterval": "100ms"},
                }}},
            }})
        );
    }

    #[test]
    fn an_error_is_told_once_and_its_end_too() {
        let told = RefCell::new(Vec::new());
        let sink = |update: Update| {
            let text = match update.payload {
                Payload::Snapshot(objects) => format!("snapshot of {}", objects.len()),
                Payload::Patch(objects) => format!("patch of {}", objects.len()),
                Payload::Failed(reason) => reason,
            };
            told.borrow_mut()
                .push(format!("{} {text}", update.position.number));
        };
        let mut reporter = Reporter::new("test", sink);
        reporter.report(None, Some("down"), "");
        reporter.report(None, Some("down"), "");
        reporter.report(Some(Payload::Snapshot(Objects::new())), None, "");
        reporter.report(None, None, "");
        reporter.report(None, Some("down"), "");
        reporter.report(None, None, "");
        reporter.report(Some(Payload::Patch(Objects::new())), Some("half"), "");
        assert_eq!(
            *told.borrow(),
            [
                "1 down",
                "2 snapshot of 0",
                "3 down",
                "4 patch of 0",
                "5 patch of 0",
                "6 half"
            ]
        );
    }
}
