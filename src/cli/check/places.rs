//! What a message of the plan speaks of: the file, the object and the field, and their place in the text.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::DynamicFile;
use crate::cli::findings::{Finding, Severity};
use crate::config::decode::nearest;
use crate::config::dynamic::{HttpMiddleware, Kind, Object};
use crate::config::format::{self, Format};
use crate::config::tree::{Node, Position, Value};
use crate::control::planning::Outcome;
use crate::plan::{Level, Message};
use crate::provider::{file, internal};

/// The file that declares an object; a router that models split has its entry point before its name.
pub(super) fn find_owner<'n>(
    owners: &BTreeMap<(Kind, Arc<str>), usize>,
    kind: Kind,
    name: &'n str,
) -> Option<(&'n str, usize)> {
    let mut name = name;
    loop {
        if let Some(&index) = owners.get(&(kind, Arc::from(name))) {
            return Some((name, index));
        }
        (_, name) = name.split_once('-')?;
    }
}

pub(super) fn severity(message: &Message) -> Severity {
    if message.level == Level::Error {
        Severity::Error
    } else {
        Severity::Warning
    }
}

/// A router repeats what is wrong with its service or middleware, and a chain what is wrong with a
/// member; the place of that is there.
pub(super) fn without_repetition(message: &Message, outcome: &Outcome) -> Message {
    let mut message = message.clone();
    let names = referred(message.kind, &message.name, outcome);
    let mut causes = outcome.planned.log.iter().filter(|other| {
        let (name, _) = other.name.rsplit_once('@').unwrap_or((&other.name, ""));
        matches!(other.kind, Kind::HttpService | Kind::HttpMiddleware)
            && (other.kind, &other.name) != (message.kind, &message.name)
            && message.text.contains(&*other.text)
            && names
                .iter()
                .any(|known| **known == *other.name || **known == *name)
    });
    if let Some(cause) = causes.next() {
        let word = if cause.kind == Kind::HttpService {
            "service"
        } else {
            "middleware"
        };
        let referrer = if message.kind == Kind::HttpRouter {
            "router"
        } else {
            "chain"
        };
        message.text = format!(
            "the {word} \"{}\" is disabled by its own errors, and this {referrer} with it",
            cause.name
        )
        .into();
    }
    message
}

/// The services and middlewares that a router, or the middlewares that a chain, names.
fn referred<'o>(kind: Kind, name: &Arc<str>, outcome: &'o Outcome) -> Vec<&'o str> {
    let objects = &outcome.planned.published.objects;
    let status = objects.get(kind, name);
    match status.and_then(|status| status.object.as_ref()) {
        Some(Object::HttpRouter(router)) => {
            let middlewares = router.middlewares.iter().map(|name| &**name);
            middlewares.chain([&*router.service]).collect()
        }
        Some(Object::HttpMiddleware(middleware)) => match &**middleware {
            HttpMiddleware::Chain(chain) => chain.middlewares.iter().map(|name| &**name).collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// A message of the plan with the place that it speaks of.
pub(super) fn located(
    file: &DynamicFile,
    places: &Places<'_>,
    message: &Message,
    name: &str,
    outcome: &Outcome,
) -> Option<Finding> {
    let object = format!("{}.{name}", message.kind);
    let (field, text) = split_field(&message.text);
    let field = field.or_else(|| guess_field(message.kind, text));
    let (position, path) =
        match field.and_then(|field| Some((field, places.field(message.kind, name, field)?))) {
            Some((field, position)) => (position, format!("{object}.{field}")),
            None => (places.object(message.kind, name), object),
        };
    let mut finding = Finding::new(&file.path, severity(message), position, path, text);
    if let Some((first, rest)) = text.split_once('\n') {
        // A rule with a caret below it: the caret's line has the reason.
        finding.excerpt = std::iter::once(first)
            .chain(rest.lines())
            .map(str::to_owned)
            .collect();
        let reason = rest
            .lines()
            .find_map(|line| line.trim_start().strip_prefix('^'));
        finding.message = reason
            .map_or(first, |reason| reason.trim_start_matches(['^', ' ']))
            .to_owned();
    }
    if let Some(missing) = quoted(text).filter(|_| text.contains("does not exist")) {
        let (wanted, provider) = missing.rsplit_once('@').unwrap_or((missing, file::NAME));
        if provider != file::NAME && provider != internal::NAME {
            finding.severity = Severity::Warning;
            finding.suggestion = Some(format!("objects of {provider} cannot be seen offline"));
        } else {
            let kind = if text.contains("middleware") {
                Kind::HttpMiddleware
            } else {
                Kind::HttpService
            };
            let objects = outcome.planned.published.objects_of(kind);
            let names = objects.filter_map(|object| object.name.rsplit_once('@'));
            finding.suggestion = nearest(names.map(|(name, _)| name), wanted)
                .filter(|near| near != wanted)
                .map(|near| format!("did you mean {near:?}?"));
        }
    }
    Some(finding)
}

/// `rule: text` and `stripPrefix.prefixes[0]: text` name a field of the object.
fn split_field(text: &str) -> (Option<&str>, &str) {
    match text.split_once(": ") {
        Some((field, rest))
            if !field.is_empty()
                && field
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '[' | ']')) =>
        {
            (Some(field), rest)
        }
        _ => (None, text),
    }
}

fn guess_field(kind: Kind, text: &str) -> Option<&'static str> {
    if kind != Kind::HttpRouter {
        return None;
    }
    let fields = [
        ("middleware", "middlewares"),
        ("service", "service"),
        ("entryPoint", "entryPoints"),
        ("priority", "priority"),
        ("tls", "tls"),
    ];
    fields
        .iter()
        .find(|(word, _)| text.contains(word))
        .map(|(_, field)| *field)
}

fn quoted(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('"')?;
    rest.split_once('"').map(|(name, _)| name)
}

/// Where a file's objects and their fields are.
pub(super) struct Places<'f> {
    tree: Node<'f>,
}

impl<'f> Places<'f> {
    pub(super) fn of(file: &'f DynamicFile) -> Self {
        let format = Format::of_file(&file.path).unwrap_or(Format::Yaml);
        // It was decoded, so it can be parsed.
        let tree = format::parse(format, &file.text)
            .map_or_else(|_| Node::map(), |document| document.tree);
        Self { tree }
    }

    pub(super) fn object(&self, kind: Kind, name: &str) -> Position {
        self.collection(kind)
            .and_then(Node::as_map)
            .and_then(|entries| entries.iter().find(|entry| entry.key == name))
            .map_or(Position::NONE, |entry| entry.at)
    }

    /// The place of the value at a path such as `stripPrefix.prefixes[0]` below an object.
    pub(super) fn field(&self, kind: Kind, name: &str, path: &str) -> Option<Position> {
        let mut node = self.collection(kind)?.get(name)?;
        for part in path.split('.') {
            let (field, indices) = part
                .split_once('[')
                .map_or((part, ""), |(field, rest)| (field, rest));
            node = node.field(field)?;
            for index in indices
                .split(['[', ']'])
                .filter_map(|text| text.parse::<usize>().ok())
            {
                node = match &node.value {
                    Value::List(items) => items.get(index)?,
                    _ => return Some(node.at),
                };
            }
        }
        Some(node.at)
    }

    fn collection(&self, kind: Kind) -> Option<&Node<'f>> {
        let (section, collection) = kind.place();
        self.tree.field(section)?.field(collection)
    }
}
