//! Reading a Traefik 1 tree field by field: names without regard to case, lists in every form that they had, and what
//! was not asked for is told in the end.

use super::remark::Problems;
use crate::config::decode::FromText;
use crate::config::tree::{Entry, Node, Position, Value};

/// A map whose fields are taken one by one.
pub(super) struct Fields<'n, 'a> {
    entries: Vec<&'n Entry<'a>>,
    /// Which of the entries were asked for.
    taken: Vec<bool>,
    /// Where the map is, for problems: `frontends.web.redirect`.
    pub path: String,
    /// Where the map begins in its text.
    pub at: Position,
}

impl<'n, 'a> Fields<'n, 'a> {
    /// The fields of a map. A text or list has none, and is a problem unless it only says that the map is there.
    pub fn of(node: &'n Node<'a>, path: String, problems: &mut Problems) -> Self {
        Self::of_all(&[node], path, problems)
    }

    /// The fields of maps that are one: TOML lets a key be written in several cases.
    fn of_all(nodes: &[&'n Node<'a>], path: String, problems: &mut Problems) -> Self {
        let mut entries: Vec<&'n Entry<'a>> = Vec::new();
        for node in nodes {
            match &node.value {
                Value::Map(below) => entries.extend(below),
                Value::Null => {}
                Value::Scalar(text) if text.is_empty() || text.eq_ignore_ascii_case("true") => {}
                _ => {
                    let message = format!("is {} where a map is expected", node.describe());
                    problems.error(&path, node.at, message);
                }
            }
        }
        Self {
            taken: vec![false; entries.len()],
            entries,
            path,
            at: nodes.first().map_or(Position::NONE, |node| node.at),
        }
    }

    /// The path of a field.
    pub fn path_of(&self, name: &str) -> String {
        join(&self.path, name)
    }

    /// A field's value, unless it is null.
    pub fn get(&mut self, name: &str) -> Option<&'n Node<'a>> {
        self.all(name).first().copied()
    }

    /// The values of a field, whatever the case of its name.
    fn all(&mut self, name: &str) -> Vec<&'n Node<'a>> {
        let mut found = Vec::new();
        for (entry, taken) in self.entries.iter().zip(&mut self.taken) {
            if entry.key.eq_ignore_ascii_case(name) {
                *taken = true;
                found.extend(Some(&entry.node).filter(|node| !node.is_null()));
            }
        }
        found
    }

    /// A text; `None` if it is absent or empty.
    pub fn text(&mut self, name: &str, problems: &mut Problems) -> Option<String> {
        let node = self.get(name)?;
        match &node.value {
            Value::Scalar(text) if text.is_empty() => None,
            Value::Scalar(text) => Some(text.to_string()),
            _ => {
                let message = format!("is {} where a text is expected", node.describe());
                problems.error(self.path_of(name), node.at, message);
                None
            }
        }
    }

    /// A value that is written as one text; `None` if it is absent, empty or wrong.
    pub fn value<T: FromText>(&mut self, name: &str, problems: &mut Problems) -> Option<T> {
        let text = self.text(name, problems)?;
        match T::from_text(text.trim()) {
            Ok(value) => Some(value),
            Err(message) => {
                let at = self.get(name).map_or(self.at, |node| node.at);
                problems.error(self.path_of(name), at, message);
                None
            }
        }
    }

    /// Whether a switch is on; absent means off.
    pub fn is_on(&mut self, name: &str, problems: &mut Problems) -> bool {
        self.value(name, problems).unwrap_or(false)
    }

    /// A list of texts: a list, one text with commas, or keys `0`, `1`, ….
    pub fn list(&mut self, name: &str, problems: &mut Problems) -> Vec<String> {
        let Some(node) = self.get(name) else {
            return Vec::new();
        };
        list_of(node, &self.path_of(name), problems)
    }

    /// A map below; `None` if it is absent or switched off (`false`).
    pub fn below(&mut self, name: &str, problems: &mut Problems) -> Option<Fields<'n, 'a>> {
        let nodes = self.all(name);
        let first = nodes.first()?;
        if matches!(first.as_scalar(), Some(text) if text.eq_ignore_ascii_case("false")) {
            return None;
        }
        Some(Fields::of_all(&nodes, self.path_of(name), problems))
    }

    /// The entries of a map with free keys, in the order of their keys, as Traefik 1's stores gave them.
    pub fn entries_below(&mut self, name: &str, problems: &mut Problems) -> Vec<&'n Entry<'a>> {
        let path = self.path_of(name);
        let below = Fields::of_all(&self.all(name), path, problems);
        let mut entries = below.entries;
        entries.retain(|entry| !entry.node.is_null());
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        entries
    }

    /// A map of texts, in the order of its keys.
    pub fn texts_below(&mut self, name: &str, problems: &mut Problems) -> Vec<(String, String)> {
        let path = self.path_of(name);
        let entries = self.entries_below(name, problems);
        let texts = entries.into_iter().filter_map(|entry| {
            let Some(text) = entry.node.as_scalar() else {
                let message = format!("is {} where a text is expected", entry.node.describe());
                problems.error(join(&path, &entry.key), entry.node.at, message);
                return None;
            };
            Some((entry.key.to_string(), text.to_owned()))
        });
        texts.collect()
    }

    /// The fields that nobody asked for.
    pub fn rest(&self) -> impl Iterator<Item = &'n Entry<'a>> {
        let entries = self.entries.iter().zip(&self.taken);
        entries
            .filter(|(entry, taken)| !**taken && !entry.node.is_null())
            .map(|(entry, _)| *entry)
    }

    /// Tells the fields that nobody asked for: Traefik 1 ignored them too.
    pub fn finish(self, problems: &mut Problems) {
        for entry in self.rest() {
            let path = self.path_of(&entry.key);
            problems.note(path, entry.at, "is no key of Traefik 1 and is ignored");
        }
    }
}

/// A list of texts in any of its forms.
pub(super) fn list_of(node: &Node<'_>, path: &str, problems: &mut Problems) -> Vec<String> {
    let mut texts = Vec::new();
    let mut take = |item: &Node<'_>| match item.as_scalar() {
        Some(text) if text.trim().is_empty() => {}
        Some(text) => texts.push(text.trim().to_owned()),
        None => {
            let message = format!("has {} where a text is expected", item.describe());
            problems.error(path, item.at, message);
        }
    };
    match &node.value {
        Value::Null => {}
        Value::Scalar(text) => {
            for item in text.split(',') {
                take(&Node::scalar(item));
            }
        }
        Value::List(items) => items.iter().for_each(take),
        Value::Map(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by(|a, b| a.key.cmp(&b.key));
            entries.into_iter().for_each(|entry| take(&entry.node));
        }
        // A tree of a store says what it means before it comes here; this is none.
        Value::Branch(_) => take(node),
    }
    texts
}

/// A path one key longer.
pub(super) fn join(path: &str, key: &str) -> String {
    let quoted = key.is_empty() || key.contains(['.', '[', ' ']);
    let key = if quoted {
        format!("{key:?}")
    } else {
        key.to_owned()
    };
    if path.is_empty() {
        key
    } else {
        format!("{path}.{key}")
    }
}
