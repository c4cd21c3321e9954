//! Configuration as a line of the log: Traefik's JSON, secrets redacted, never longer than a limit.
//!
//! ```json
//! {"http":{"routers":{"api":{"rule":"Host(`a`)","service":"s"},"gone":null,"bad":{"error":["…"]}}},"leftOut":17}
//! ```

use std::fmt::Write;

use super::{Entry, MergedChange, Payload};
use crate::config::dynamic::Kind;

/// Most bytes of configuration in a line of the log; what does not fit is counted as `leftOut`.
pub const MAX_LOGGED_BYTES: usize = 64 * 1024;

/// What a provider said: everything, or of a patch only its objects. `null` is an object that is gone.
pub fn received(payload: &Payload) -> String {
    match payload {
        Payload::Snapshot(objects) | Payload::Patch(objects) => {
            let objects = objects.iter();
            listed(objects.map(|(key, entry)| (key.kind, &*key.name, entry)))
        }
        Payload::Failed(reason) => serde_json::json!({ "error": reason }).to_string(),
    }
}

/// What a change really changed, under qualified names.
pub fn effective(change: &MergedChange) -> String {
    let objects = change.objects.iter();
    let mut objects: Vec<_> = objects
        .map(|object| (object.kind, &*object.name, &object.entry))
        .collect();
    objects.sort_unstable_by_key(|(kind, name, _)| (*kind, *name));
    listed(objects.into_iter())
}

/// Objects in the order of their kinds, those of one section one after the other.
fn listed<'o>(objects: impl Iterator<Item = (Kind, &'o str, &'o Entry)>) -> String {
    let mut text = String::from("{");
    let mut open: Option<(&str, &str)> = None;
    let mut left_out = 0usize;
    for (kind, name, entry) in objects {
        // Once full, the rest is only counted.
        let object = (text.len() < MAX_LOGGED_BYTES).then(|| object(name, entry));
        let object = object.filter(|object| text.len() + object.len() <= MAX_LOGGED_BYTES);
        let Some(object) = object else {
            left_out += 1;
            continue;
        };
        let (section, collection) = kind.place();
        let before = match open {
            Some(last) if last == (section, collection) => ",".to_owned(),
            Some((last, _)) if last == section => format!("}},\"{collection}\":{{"),
            Some(_) => format!("}}}},\"{section}\":{{\"{collection}\":{{"),
            None => format!("\"{section}\":{{\"{collection}\":{{"),
        };
        open = Some((section, collection));
        text += &before;
        text += &object;
    }
    if open.is_some() {
        text += "}}";
    }
    if left_out > 0 {
        let comma = if open.is_some() { "," } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}\"leftOut\":{left_out}");
    }
    text + "}"
}

/// `"name":{…}`
fn object(name: &str, entry: &Entry) -> String {
    let value = match entry {
        Entry::Absent => serde_json::Value::Null,
        Entry::Present(object) => serde_json::to_value(object).unwrap_or_default(),
        Entry::Rejected(errors) => {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            serde_json::json!({ "error": errors })
        }
    };
    format!("{}:{value}", serde_json::Value::from(name))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::dynamic::{ObjectKey, decode_text};
    use crate::config::format::Format;
    use crate::watcher::Objects;

    fn objects(yaml: &str) -> Objects {
        let decoded = decode_text(Format::Yaml, yaml, None).unwrap();
        let entry = |result: Result<_, _>| result.map_or_else(Entry::Rejected, Entry::Present);
        decoded
            .objects
            .into_iter()
            .map(|(key, declared)| (key, entry(declared.result)))
            .collect()
    }

    const CONFIG: &str = "
http:
  routers:
    r: {rule: 'Host(`x`)', service: s}
    bad: {rulez: x}
  middlewares:
    auth: {basicAuth: {users: ['ann:$2y$05$hunter2']}}
tcp:
  routers:
    t: {rule: 'HostSNI(`*`)', service: s}
tls:
  certificates:
    - {certFile: /c.pem, keyFile: hunter2}
";

    #[test]
    fn it_is_traefiks_json_without_secrets() {
        let mut objects = objects(CONFIG);
        objects.insert(ObjectKey::new(Kind::HttpRouter, "gone"), Entry::Absent);
        let text = received(&Payload::Patch(objects));
        assert!(!text.contains("hunter2"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["http"]["routers"]["r"]["rule"], "Host(`x`)");
        assert!(json["http"]["routers"]["gone"].is_null());
        assert!(json["http"]["routers"].get("gone").is_some());
        assert!(
            json["http"]["routers"]["bad"]["error"][0]
                .as_str()
                .is_some_and(|text| text.contains("rulez"))
        );
        let users = &json["http"]["middlewares"]["auth"]["basicAuth"]["users"];
        assert_eq!(users, &serde_json::json!(["xxxx"]));
        assert_eq!(json["tcp"]["routers"]["t"]["service"], "s");
        assert_eq!(json["tls"]["certificates"]["/c.pem"]["keyFile"], "xxxx");
    }

    #[test]
    fn nothing_and_a_failure_are_json_too() {
        assert_eq!(received(&Payload::Snapshot(Objects::new())), "{}");
        let failed = received(&Payload::Failed("no \"such\" file".into()));
        assert_eq!(failed, r#"{"error":"no \"such\" file"}"#);
    }

    #[test]
    fn a_line_is_never_longer_than_the_limit() {
        let objects = objects("http: {routers: {r: {rule: 'Host(`x`)', service: s}}}");
        let entry = objects.values().next().unwrap();
        let many: Objects = (0..10_000)
            .map(|n| {
                let name: Arc<str> = format!("r{n}").into();
                (ObjectKey::new(Kind::HttpRouter, name), entry.clone())
            })
            .collect();
        let text = received(&Payload::Snapshot(many));
        assert!(text.len() < MAX_LOGGED_BYTES + 100, "{}", text.len());
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let shown = json["http"]["routers"].as_object().unwrap().len();
        assert_eq!(json["leftOut"], 10_000 - shown);
        assert!(shown > 500);
    }
}
