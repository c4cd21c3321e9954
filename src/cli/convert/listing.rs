//! Listings of a store's keys, as its own programs print them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::tree::Node;

/// The tree below `prefix`, or below the prefix that its key `alias` names if the listing has keys there.
///
/// # Errors
/// The text is no listing, or has no key below the prefix.
pub(super) fn tree(text: &str, prefix: &str) -> Result<Node<'static>, String> {
    let pairs = pairs(text)?;
    let prefix = prefix.trim_matches('/');
    let alias = pairs
        .iter()
        .find(|(key, _)| key.trim_start_matches('/') == format!("{prefix}/alias"));
    let target = alias.map(|(_, value)| value.trim().trim_matches('/').to_owned());
    let target = target.filter(|target| below(&pairs, target).next().is_some());
    let prefix = target.as_deref().unwrap_or(prefix);
    let mut root = Node::map();
    let mut keys: Vec<_> = below(&pairs, prefix).collect();
    if keys.is_empty() {
        return Err(format!("has no key below {prefix:?}"));
    }
    // Component by component, so that what lies below one key is together.
    keys.sort_by(|a, b| a.0.split('/').cmp(b.0.split('/')));
    for (key, value) in keys {
        let mut node = &mut root;
        for part in key.split('/').filter(|part| !part.is_empty()) {
            // A value beside keys below it only says that they are there.
            if node.as_scalar().is_some() {
                *node = Node::map();
            }
            node = entry(node, part);
        }
        if node.is_null() {
            *node = Node::scalar(value.to_owned());
        }
    }
    Ok(root)
}

/// The value for a key byte for byte, inserted as null if it is missing.
fn entry<'t>(node: &'t mut Node<'static>, key: &str) -> &'t mut Node<'static> {
    use crate::config::tree::{Entry, Position, Value};
    if node.as_map().is_none() {
        *node = Node::map();
    }
    let Value::Map(entries) = &mut node.value else {
        unreachable!("made a map above");
    };
    // Keys come in order, so an equal one is the last.
    if entries.last().is_none_or(|last| last.key != key) {
        entries.push(Entry {
            key: key.to_owned().into(),
            at: Position::NONE,
            node: Node::new(Value::Null),
        });
    }
    let last = entries.len() - 1;
    &mut entries[last].node
}

fn below<'p>(
    pairs: &'p [(String, String)],
    prefix: &'p str,
) -> impl Iterator<Item = (&'p str, &'p str)> {
    pairs.iter().filter_map(move |(key, value)| {
        let key = key.trim_start_matches('/').strip_prefix(prefix)?;
        let key = if prefix.is_empty() {
            key
        } else {
            key.strip_prefix('/')?
        };
        (!key.is_empty() && key != "alias").then_some((key, value.as_str()))
    })
}

/// The pairs of a listing in any of the forms.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let trimmed = text.trim_start();
    if !trimmed.starts_with(['{', '[']) {
        return Ok(lines(text));
    }
    let json: serde_json::Value = serde_json::from_str(trimmed)
        .map_err(|error| format!("is neither lines of keys and values nor JSON: {error}"))?;
    let (items, has_coded_keys) = match &json {
        serde_json::Value::Array(items) => (items.as_slice(), false),
        serde_json::Value::Object(map) => match map.get("kvs") {
            Some(serde_json::Value::Array(items)) => (items.as_slice(), true),
            _ => return Err("is JSON without \"kvs\"".to_owned()),
        },
        _ => return Err("is JSON without pairs".to_owned()),
    };
    let decode = |text: &str| {
        let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
        String::from_utf8(bytes).map_err(|error| error.to_string())
    };
    let pair = |item: &serde_json::Value| {
        let text = |name: &str| item.get(name).and_then(serde_json::Value::as_str);
        let key = text("key").ok_or("a pair has no key")?;
        let key = if has_coded_keys {
            decode(key)?
        } else {
            key.to_owned()
        };
        Ok((key, decode(text("value").unwrap_or_default())?))
    };
    let pairs: Result<Vec<_>, String> = items.iter().map(pair).collect();
    pairs.map_err(|message| format!("cannot be read: {message}"))
}

/// A key, then its value, which may have several lines: a line that begins like the first key is the next key.
fn lines(text: &str) -> Vec<(String, String)> {
    let mut lines = text.lines().peekable();
    let first = lines.peek().copied().unwrap_or_default();
    let slash = if first.starts_with('/') { "/" } else { "" };
    let root = first.trim_start_matches('/').split('/').next();
    let begin = format!("{slash}{}/", root.unwrap_or_default());
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut is_new = true;
    for line in lines {
        let is_key = line.starts_with(&begin) && !is_new_value(&pairs, is_new);
        if is_key {
            pairs.push((line.to_owned(), String::new()));
            is_new = true;
        } else if let Some((_, value)) = pairs.last_mut() {
            if !is_new {
                value.push('\n');
            }
            value.push_str(line);
            is_new = false;
        }
    }
    for (_, value) in &mut pairs {
        value.truncate(value.trim_end_matches('\n').len());
    }
    pairs
}

/// Whether the next line is the first of a value, whatever it looks like: an alias names a key.
fn is_new_value(pairs: &[(String, String)], is_new: bool) -> bool {
    is_new && !pairs.is_empty()
}
