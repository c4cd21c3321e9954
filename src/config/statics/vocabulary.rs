//! Which keys the static configuration may have, and which of them have an effect.
//!
//! The keys are in `vocabulary.txt`, so that all of Traefik's are known by name, also those whose types Ringway
//! does not have yet.

use std::sync::OnceLock;

use super::former;
use crate::config::decode::{ObjectError, Path, find_field, unknown_field};
use crate::config::tree::{Node, Value};

/// What stands at a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    Bool,
    List,
    Map,
    Structs,
    Struct,
    /// A struct that may be empty.
    Presence,
    Free,
}

/// Whether a key has an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Support {
    Full,
    /// Decoded, without effect yet.
    Decoded,
    /// Dropped.
    None,
}

/// One key.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    support: Support,
    pub(super) below: Vec<Word>,
}

/// The keys of the top level.
pub(super) fn words() -> &'static [Word] {
    static WORDS: OnceLock<Vec<Word>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let mut lines = include_str!("vocabulary.txt")
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .peekable();
        read(&mut lines, 0)
    })
}

fn read(
    lines: &mut std::iter::Peekable<impl Iterator<Item = &'static str>>,
    depth: usize,
) -> Vec<Word> {
    let mut words = Vec::new();
    while let Some(line) = lines.next_if(|line| indent(line) == depth) {
        let mut parts = line.split_whitespace();
        let name = parts.next().unwrap_or_default();
        let kind = parts.next().unwrap_or_default();
        let support = match parts.next() {
            Some("-") => Support::None,
            Some("~") => Support::Decoded,
            _ => Support::Full,
        };
        let mut below = read(lines, depth + 1);
        let shape = match kind {
            "bool" => Shape::Bool,
            "list" => Shape::List,
            "map" => Shape::Map,
            "structs" => Shape::Structs,
            "struct" => Shape::Struct,
            "presence" => Shape::Presence,
            "clientTLS" => {
                below = client_tls();
                Shape::Struct
            }
            "free" => Shape::Free,
            _ => Shape::Text,
        };
        words.push(Word {
            name,
            shape,
            support,
            below,
        });
    }
    words
}

fn indent(line: &str) -> usize {
    line.bytes().take_while(|b| *b == b' ').count() / 2
}

fn client_tls() -> Vec<Word> {
    [
        ("ca", Shape::Text),
        ("cert", Shape::Text),
        ("key", Shape::Text),
        ("insecureSkipVerify", Shape::Bool),
    ]
    .map(|(name, shape)| Word {
        name,
        shape,
        support: Support::Full,
        below: Vec::new(),
    })
    .into()
}

/// Whether a key may stand at the top of a static configuration, in any case.
pub fn is_top_level(key: &str) -> bool {
    words()
        .iter()
        .any(|word| word.name.eq_ignore_ascii_case(key))
}

/// The word at a path of keys; names in maps and indices in lists count as one key each.
pub(super) fn find<'k>(path: impl IntoIterator<Item = &'k str>) -> Option<&'static Word> {
    let mut words = words();
    let mut found: Option<&'static Word> = None;
    for key in path {
        match found {
            // The name of a map's entry, or the index of a list's item: what is below describes its value.
            Some(word)
                if matches!(word.shape, Shape::Map | Shape::Structs) && !word.below.is_empty() =>
            {
                words = &word.below;
                found = None;
                continue;
            }
            Some(word) => words = &word.below,
            None => {}
        }
        found = words
            .iter()
            .find(|word| word.name.eq_ignore_ascii_case(key));
        found?;
    }
    found
}

/// What a configuration says besides what is used.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Keys without effect.
    pub(super) warnings: Vec<ObjectError>,
    /// Keys that nobody knows.
    pub(super) errors: Vec<ObjectError>,
}

/// Removes from a tree what is unknown or unsupported, and says so.
pub(super) fn sift(node: &mut Node<'_>, findings: &mut Findings) {
    sift_map(node, words(), &Path::ROOT, false, findings);
}

fn sift_map(
    node: &mut Node<'_>,
    words: &[Word],
    path: &Path<'_>,
    is_told: bool,
    findings: &mut Findings,
) {
    let Value::Map(entries) = &mut node.value else {
        return;
    };
    entries.retain_mut(|entry| {
        let names: Vec<_> = words.iter().map(|word| word.name).collect();
        let Some(index) = find_field(&names, &entry.key) else {
            let mut error = unknown_field(&names, &entry.key, entry.at, path);
            if let Some(told) = former::explain(&path.key(&entry.key)) {
                error.message = told;
                error.suggestion = None;
            }
            findings.errors.push(error);
            return false;
        };
        let word = &words[index];
        let path = path.key(word.name);
        let is_new = word.support != Support::Full && !is_told && !entry.node.is_null();
        if is_new {
            let message = match word.support {
                Support::Decoded => "is known but has no effect yet",
                _ => "is known but not supported yet, ignored",
            };
            findings
                .warnings
                .push(ObjectError::new(path, entry.at, message));
        }
        sift_value(&mut entry.node, word, &path, is_told || is_new, findings);
        word.support != Support::None
    });
}

fn sift_value(
    node: &mut Node<'_>,
    word: &Word,
    path: &Path<'_>,
    is_told: bool,
    findings: &mut Findings,
) {
    match (word.shape, &mut node.value) {
        (Shape::Presence, _) => sift_map(node, &word.below, path, is_told, findings),
        (Shape::Struct, _) => {
            let is_empty = |node: &Node<'_>| node.as_map().is_some_and(<[_]>::is_empty);
            let was_empty = is_empty(node);
            sift_map(node, &word.below, path, is_told, findings);
            // A struct must not be empty in itself, but may be once what it had is not supported.
            if is_empty(node) && !was_empty {
                node.value = Value::Null;
            }
        }
        (Shape::Map, Value::Map(entries)) if !word.below.is_empty() => {
            for entry in entries {
                sift_map(
                    &mut entry.node,
                    &word.below,
                    &path.key(&entry.key),
                    is_told,
                    findings,
                );
            }
        }
        (Shape::Structs, Value::List(items)) => {
            for (index, item) in items.iter_mut().enumerate() {
                sift_map(item, &word.below, &path.index(index), is_told, findings);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::format::{Format, parse};

    #[test]
    fn every_key_of_the_vocabulary_is_read() {
        let lines = include_str!("vocabulary.txt")
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .count();
        fn count(words: &[Word]) -> usize {
            words
                .iter()
                .map(|word| {
                    let is_tls =
                        word.name == "tls" && word.below.len() == 4 && word.below[0].name == "ca";
                    1 + if is_tls { 0 } else { count(&word.below) }
                })
                .sum()
        }
        assert_eq!(count(words()), lines);
    }

    #[test]
    fn words_are_found_through_map_names_and_indices() {
        let shape = |path: &str| find(path.split('.')).map(|word| word.shape);
        assert_eq!(shape("entrypoints.web.ADDRESS"), Some(Shape::Text));
        assert_eq!(
            shape("entryPoints.web.http.tls.domains.0.sans"),
            Some(Shape::List)
        );
        assert_eq!(shape("api.insecure"), Some(Shape::Bool));
        assert_eq!(shape("providers.docker.tls.ca"), Some(Shape::Text));
        assert_eq!(shape("entryPoints.web.adress"), None);
    }

    #[test]
    fn unsupported_keys_are_told_once_and_unknown_ones_with_a_suggestion() {
        let text = "providers: {docker: {exposedByDefault: false, watsh: true}, file: {filename: a.yml}}\n\
                    entryPoints: {web: {address: ':80', adress: x, http2: {maxConcurrentStreams: 3}}}\nmetric: {}\n";
        let mut tree = parse(Format::Yaml, text).unwrap().tree;
        let mut findings = Findings::default();
        sift(&mut tree, &mut findings);
        let paths: Vec<_> = findings
            .warnings
            .iter()
            .map(|warning| warning.path.as_str())
            .collect();
        assert_eq!(paths, ["providers.docker", "entryPoints.web.http2"]);
        let errors: Vec<_> = findings
            .errors
            .iter()
            .map(|error| (error.path.as_str(), error.suggestion.as_deref()))
            .collect();
        assert_eq!(
            errors,
            [
                ("providers.docker.watsh", Some("watch")),
                ("entryPoints.web.adress", Some("address")),
                ("metric", Some("metrics")),
            ]
        );
        assert!(tree.field("providers").unwrap().field("docker").is_none());
        assert!(
            tree.field("entryPoints")
                .unwrap()
                .field("web")
                .unwrap()
                .field("http2")
                .is_some()
        );
    }
}
