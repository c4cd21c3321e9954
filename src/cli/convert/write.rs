//! Writing a tree as YAML, TOML or keys of a store.

use std::fmt::Write as _;

use super::Form;
use crate::config::tree::{Entry, Node, Value};

/// Writes trees in one form.
pub struct Writer<'w> {
    form: Form,
    root_key: &'w str,
}

impl<'w> Writer<'w> {
    /// A writer of this form; keys of a store begin with `root_key`.
    pub fn new(form: Form, root_key: &'w str) -> Self {
        Self { form, root_key }
    }

    /// Appends a tree whose top is a map.
    pub fn write(&self, tree: &Node<'_>, out: &mut String) {
        match self.form {
            Form::Yaml => yaml_map(tree.as_map().unwrap_or_default(), 0, out),
            Form::Toml => toml_table(tree.as_map().unwrap_or_default(), "", out),
            Form::Kv => keys(tree, self.root_key.trim_end_matches('/'), out),
        }
    }
}

fn yaml_map(entries: &[Entry<'_>], depth: usize, out: &mut String) {
    for entry in entries {
        let _ = write!(out, "{:1$}", "", depth * 2);
        let _ = write!(out, "{}:", yaml_text(&entry.key));
        yaml_value(&entry.node, depth, out);
    }
}

/// A value after its key.
fn yaml_value(node: &Node<'_>, depth: usize, out: &mut String) {
    match &node.value {
        Value::Null => out.push('\n'),
        Value::Scalar(text) => {
            let _ = writeln!(out, " {}", yaml_text(text));
        }
        Value::Map(entries) if entries.is_empty() => out.push_str(" {}\n"),
        Value::List(items) if items.is_empty() => out.push_str(" []\n"),
        Value::Map(entries) => {
            out.push('\n');
            yaml_map(entries, depth + 1, out);
        }
        Value::Branch(_) => no_branch(),
        Value::List(items) => {
            out.push('\n');
            for item in items {
                yaml_item(item, depth + 1, out);
            }
        }
    }
}

fn yaml_item(item: &Node<'_>, depth: usize, out: &mut String) {
    let _ = write!(out, "{:1$}-", "", depth * 2);
    match &item.value {
        Value::Map(entries) if !entries.is_empty() => {
            let mut below = String::new();
            yaml_map(entries, depth + 1, &mut below);
            // The first key stands behind the dash.
            out.push(' ');
            out.push_str(below.trim_start());
        }
        _ => yaml_value(item, depth, out),
    }
}

/// A text plain where nobody can take it for something else, else quoted.
fn yaml_text(text: &str) -> String {
    let is_number = text
        .parse::<i64>()
        .is_ok_and(|number| number.to_string() == text);
    if is_number || matches!(text, "true" | "false") {
        return text.to_owned();
    }
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/' | b'@'));
    let keywords = ["null", "yes", "no", "on", "off", "y", "n", "true", "false"];
    let is_keyword = keywords.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is_word && !is_keyword {
        return text.to_owned();
    }
    if text.chars().any(|c| c.is_control() || c == '\u{feff}') {
        return json_text(text);
    }
    format!("'{}'", text.replace('\'', "''"))
}

/// JSON's form of a text, which YAML and TOML read as well.
fn json_text(text: &str) -> String {
    serde_json::Value::from(text)
        .to_string()
        .replace('\u{7f}', "\\u007f")
}

fn toml_table(entries: &[Entry<'_>], path: &str, out: &mut String) {
    // What belongs to a table must come before the tables below it.
    for entry in entries {
        match &entry.node.value {
            Value::Scalar(text) => {
                let _ = writeln!(out, "{} = {}", toml_key(&entry.key), toml_text(text));
            }
            Value::List(items) if !is_tables(items) => {
                let items: Vec<String> = items.iter().map(toml_inline).collect();
                let _ = writeln!(out, "{} = [{}]", toml_key(&entry.key), items.join(", "));
            }
            _ => {}
        }
    }
    for entry in entries {
        let key = toml_key(&entry.key);
        let path = if path.is_empty() {
            key
        } else {
            format!("{path}.{key}")
        };
        match &entry.node.value {
            Value::Map(below) => {
                let has_own = below.is_empty()
                    || below.iter().any(|entry| match &entry.node.value {
                        Value::Scalar(_) => true,
                        Value::List(items) => !is_tables(items),
                        _ => false,
                    });
                if has_own {
                    let _ = writeln!(out, "\n[{path}]");
                }
                toml_table(below, &path, out);
            }
            Value::List(items) if is_tables(items) => {
                for item in items {
                    let _ = writeln!(out, "\n[[{path}]]");
                    toml_table(item.as_map().unwrap_or_default(), &path, out);
                }
            }
            _ => {}
        }
    }
}

fn is_tables(items: &[Node<'_>]) -> bool {
    !items.is_empty() && items.iter().all(|item| item.as_map().is_some())
}

fn toml_inline(node: &Node<'_>) -> String {
    match &node.value {
        Value::Scalar(text) => toml_text(text),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(toml_inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|entry| format!("{} = {}", toml_key(&entry.key), toml_inline(&entry.node)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Null => "\"\"".to_owned(),
        Value::Branch(_) => no_branch(),
    }
}

fn toml_key(key: &str) -> String {
    let is_bare = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if !key.is_empty() && key.bytes().all(is_bare) {
        key.to_owned()
    } else {
        json_text(key)
    }
}

fn toml_text(text: &str) -> String {
    let is_number = text
        .parse::<i64>()
        .is_ok_and(|number| number.to_string() == text);
    if is_number || matches!(text, "true" | "false") {
        return text.to_owned();
    }
    if text.contains(['\'', '\\', '"', '`'])
        && !text.contains(['\''])
        && !text.chars().any(char::is_control)
    {
        return format!("'{text}'");
    }
    json_text(text)
}

fn keys(node: &Node<'_>, path: &str, out: &mut String) {
    match &node.value {
        Value::Null => {}
        Value::Scalar(text) if text.contains(['\n', '\r']) => {
            let _ = writeln!(out, "{path} = {}", json_text(text));
        }
        Value::Scalar(text) => {
            let _ = writeln!(out, "{path} = {text}");
        }
        Value::List(items) => {
            // Keys count in the order of their bytes, where `10` comes before `2`.
            let width = items.len().saturating_sub(1).to_string().len();
            for (index, item) in items.iter().enumerate() {
                keys(item, &format!("{path}/{index:0width$}"), out);
            }
        }
        // A section that is only there.
        Value::Map(entries) if entries.is_empty() => {
            let _ = writeln!(out, "{path} = true");
        }
        Value::Map(entries) => {
            for entry in entries {
                keys(&entry.node, &format!("{path}/{}", entry.key), out);
            }
        }
        Value::Branch(_) => no_branch(),
    }
}

fn no_branch() -> ! {
    unreachable!("a converted tree is made of maps, lists and texts")
}
