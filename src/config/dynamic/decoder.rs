//! From a source's tree to one result per object.

use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;

use super::again::Walk;
use super::objects::decode_kind;
use super::{Declared, Decoded, Kind, Object, ObjectKey};
use crate::config::decode::{How, ObjectError, Path, nearest, unknown_field};
use crate::config::format::{Document, Format, Sink, SyntaxError, parse_with};
use crate::config::tree::{ContentHash, Entry, Node, Position, Value};

const SECTIONS: &[&str] = &["http", "tcp", "udp", "tls"];

/// Decodes a source's whole tree. Objects whose content equals that of `previous` are taken from there.
pub fn decode(tree: &Node<'_>, previous: Option<&Decoded>) -> Decoded {
    let mut decoder = Decoder::new(previous);
    decoder.top(tree);
    decoder.decoded()
}

/// Reads a source's text and decodes it object by object, so that its whole tree never exists at once.
/// A text that is not of its language yields no objects at all.
pub fn decode_text(
    format: Format,
    text: &str,
    previous: Option<&Decoded>,
) -> Result<Decoded, SyntaxError> {
    let mut decoder = Decoder::new(previous);
    let document = parse_with(format, text, &mut decoder)?;
    Ok(decoder.finish(&document).0)
}

/// Decodes one object, as providers do that receive objects one by one.
pub fn decode_object(kind: Kind, name: &str, node: &Node<'_>) -> Result<Object, Vec<ObjectError>> {
    let (section, collection) = kind.place();
    let path = Path::ROOT;
    let path = path.key(section);
    let path = path.key(collection);
    let mut errors = Vec::new();
    check_name(name, node, &path.key(name), &mut errors);
    decode_kind(kind, node, &path.key(name), &mut errors)
        .filter(|_| errors.is_empty())
        .ok_or(errors)
}

/// Decodes one item of `tls.certificates`, which has no name of its own; `key` names its place in errors.
pub fn decode_certificate(key: &str, item: &Node<'_>) -> Result<Object, Vec<ObjectError>> {
    let (section, collection) = Kind::TlsCertificate.place();
    let path = Path::ROOT;
    let path = path.key(section);
    let path = path.key(collection);
    let mut errors = Vec::new();
    decode_kind(Kind::TlsCertificate, item, &path.key(key), &mut errors)
        .filter(|_| errors.is_empty())
        .ok_or(errors)
}

/// The name of an item of `tls.certificates`: its file, or its content's hash if it has none or is PEM text.
pub fn certificate_name(item: &Node<'_>) -> String {
    match item.field("certFile").and_then(Node::as_scalar) {
        Some(file) if !file.is_empty() && !file.contains('\n') => file.to_owned(),
        _ => item.content_hash().to_string(),
    }
}

fn check_name(name: &str, node: &Node<'_>, path: &Path<'_>, errors: &mut Vec<ObjectError>) {
    if name.contains('@') {
        let message = "a declared name must not contain \"@\": what follows it names a provider in references";
        errors.push(ObjectError::new(path, node.at, message));
    } else if name.is_empty() {
        errors.push(ObjectError::new(
            path,
            node.at,
            "a declared name must not be empty",
        ));
    }
}

/// Collects objects section by section.
pub(super) struct Decoder<'p> {
    /// What was decoded; with a walk, all of it that was not recognised.
    decoded: Decoded,
    previous: Option<&'p Decoded>,
    walk: Option<Walk<'p>>,
    /// Whether an object was declared twice.
    has_repeated: bool,
    /// The keys above the entries that are being taken, and what they declare.
    place: ([String; 2], Option<Kind>),
    /// Kinds whose objects came while the text was read: their map may look empty afterwards.
    taken: Vec<Kind>,
}

impl<'p> Decoder<'p> {
    fn new(previous: Option<&'p Decoded>) -> Self {
        let mut decoded = Decoded::default();
        if let Some(previous) = previous {
            decoded.objects.reserve(previous.objects.len());
        }
        Self {
            decoded,
            previous,
            walk: None,
            has_repeated: false,
            place: Default::default(),
            taken: Vec::new(),
        }
    }

    /// A decoder that leaves out what it recognises of `previous`.
    pub(super) fn again(previous: &'p Decoded) -> Self {
        let mut decoder = Self::new(None);
        decoder.previous = Some(previous);
        decoder.walk = Some(Walk::new(&previous.order));
        decoder.decoded.order.reserve(previous.order.len());
        decoder
    }

    /// What the text came to that was read with this, and what the walk did not find.
    pub(super) fn finish(mut self, document: &Document<'_>) -> (Decoded, Option<Walk<'p>>) {
        self.top(&document.tree);
        if let Some(at) = document.ignored_from {
            let message = "further documents of this file are ignored: only the first counts";
            self.decoded
                .warnings
                .push(ObjectError::new("(top)", at, message));
        }
        let walk = self.walk.take().filter(|_| !self.has_repeated);
        (self.decoded(), walk)
    }

    fn decoded(mut self) -> Decoded {
        if self.has_repeated {
            self.decoded.order = Vec::new();
        }
        self.decoded
    }

    /// The kind of the entries below two keys, if they come one by one.
    fn kind_below(&mut self, above: [&str; 2]) -> Option<Kind> {
        if self.place.0 != above {
            let kind = Kind::of_place(above[0], above[1]);
            let kind = kind.filter(|kind| *kind != Kind::TlsCertificate);
            self.place = (above.map(str::to_owned), kind);
        }
        self.place.1
    }

    fn note_taken(&mut self, kind: Kind) {
        if !self.taken.contains(&kind) {
            self.taken.push(kind);
        }
    }

    /// What remains of a tree after [`Self::take`].
    fn top(&mut self, tree: &Node<'_>) {
        match &tree.value {
            Value::Null => {}
            Value::Map(entries) => entries.iter().for_each(|entry| self.section(entry)),
            _ => self.decoded.errors.push(ObjectError::new(
                "(top)",
                tree.at,
                format!(
                    "is {} where a map with http, tcp, udp or tls is expected",
                    tree.describe()
                ),
            )),
        }
    }

    /// One top-level key.
    fn section(&mut self, entry: &Entry<'_>) {
        let path = Path::ROOT;
        let Some(section) = SECTIONS
            .iter()
            .find(|name| entry.key.eq_ignore_ascii_case(name))
        else {
            let mut warning =
                ObjectError::new(path.key(&entry.key), entry.at, "unknown key, ignored");
            warning.suggestion = nearest(SECTIONS.iter().copied(), &entry.key);
            self.decoded.warnings.push(warning);
            return;
        };
        if entry.node.is_null() {
            return;
        }
        let path = path.key(&entry.key);
        let Some(collections) = self.filled_map(&entry.node, &path) else {
            return;
        };
        for collection in collections {
            self.collection(section, collection, &path);
        }
    }

    /// One key of a section, such as `routers`.
    fn collection(&mut self, section: &str, entry: &Entry<'_>, path: &Path<'_>) {
        if entry.node.is_null() {
            return;
        }
        let Some(kind) = Kind::of_place(section, &entry.key) else {
            let names: Vec<_> = Kind::ALL
                .iter()
                .map(|kind| kind.place())
                .filter(|place| place.0 == section && !place.1.starts_with('('))
                .map(|place| place.1)
                .collect();
            let error = unknown_field(&names, &entry.key, entry.at, path);
            self.decoded.errors.push(error);
            return;
        };
        let path = path.key(&entry.key);
        if kind == Kind::TlsCertificate {
            return self.certificates(&entry.node, &path);
        }
        let taken_from = self.taken.contains(&kind);
        let objects = match &entry.node.value {
            Value::Map(objects) if taken_from => Some(objects.as_slice()),
            _ => self.filled_map(&entry.node, &path),
        };
        let Some(objects) = objects else {
            return;
        };
        self.decoded.objects.reserve(objects.len());
        for object in objects.iter().filter(|object| !object.node.is_null()) {
            let content = ContentHash::of_entry(kind as u8, &object.key, &object.node);
            let path = path.key(&object.key);
            if !self.recognises(content) {
                self.object(kind, &object.key, content, object.at, &object.node, &path);
            }
        }
    }

    /// The entries of a map that must not be empty, or an error of the source.
    fn filled_map<'n, 'a>(
        &mut self,
        node: &'n Node<'a>,
        path: &Path<'_>,
    ) -> Option<&'n [Entry<'a>]> {
        crate::config::decode::entries(node, How::Field, path, &mut self.decoded.errors)
    }

    /// `tls.certificates`: a list whose items have no names of their own.
    fn certificates(&mut self, node: &Node<'_>, path: &Path<'_>) {
        if let Value::Branch(branch) = &node.value {
            for entry in &branch.below {
                self.certificate(&entry.node, &path.key(&entry.key));
            }
            return;
        }
        let Some(items) = node.as_list() else {
            let message = format!("is {} where a list is expected", node.describe());
            self.decoded
                .errors
                .push(ObjectError::new(path, node.at, message));
            return;
        };
        for (index, item) in items.iter().enumerate() {
            self.certificate(item, &path.index(index));
        }
    }

    fn certificate(&mut self, item: &Node<'_>, path: &Path<'_>) {
        let name = certificate_name(item);
        let kind = Kind::TlsCertificate;
        let content = ContentHash::of_entry(kind as u8, &name, item);
        if !self.recognises(content) {
            self.object(kind, &name, content, item.at, item, path);
        }
    }

    /// Whether a declaration stands in the previous reading already and need not be decoded.
    fn recognises(&mut self, content: ContentHash) -> bool {
        let is_known = self.walk.as_mut().is_some_and(|walk| walk.knows(content));
        if is_known {
            self.decoded.order.push(content);
        }
        is_known
    }

    fn object(
        &mut self,
        kind: Kind,
        name: &str,
        content: ContentHash,
        at: Position,
        node: &Node<'_>,
        path: &Path<'_>,
    ) {
        let key = ObjectKey::new(kind, name);
        let known = self
            .previous
            .and_then(|previous| previous.objects.get_key_value(&key));
        // Only good objects are reused: the places in errors may have moved.
        let (key, result) = match known {
            Some((key, declared)) if declared.content == content && declared.result.is_ok() => {
                (key.clone(), declared.result.clone())
            }
            known => {
                let mut errors = Vec::new();
                if kind != Kind::TlsCertificate {
                    check_name(name, node, path, &mut errors);
                }
                let object = decode_kind(kind, node, path, &mut errors);
                let key = known.map_or(key, |(key, _)| key.clone());
                let object = object.filter(|_| errors.is_empty());
                (key, object.ok_or_else(|| Arc::new(errors)))
            }
        };
        // The places in errors may move: what is wrong is decoded every time.
        let content = match result {
            Ok(_) => content,
            Err(_) => content.inverted(),
        };
        if let Some(walk) = &mut self.walk {
            walk.step_over(content);
        }
        self.decoded.order.push(content);
        let declared = Declared { content, result };
        match self.decoded.objects.entry(key) {
            Slot::Vacant(slot) => {
                slot.insert(declared);
            }
            // The same certificate twice is harmless.
            Slot::Occupied(_) if kind == Kind::TlsCertificate => self.has_repeated = true,
            Slot::Occupied(mut slot) => {
                self.has_repeated = true;
                let error = ObjectError::new(path, at, "is declared twice; keep one");
                slot.get_mut().result = Err(Arc::new(vec![error]));
            }
        }
    }
}

impl<'a> Sink<'a> for Decoder<'_> {
    fn remembers(&self) -> bool {
        self.walk.is_some()
    }

    fn knows(&mut self, above: [&str; 2], lines: &str) -> bool {
        let Some(kind) = self.kind_below(above) else {
            return false;
        };
        let is_known = self.recognises(ContentHash::of_text(kind as u8, lines));
        if is_known {
            self.note_taken(kind);
        }
        is_known
    }

    /// Decodes an object; returns what is none.
    fn take(
        &mut self,
        above: [&str; 2],
        entry: Entry<'a>,
        lines: Option<&str>,
    ) -> Option<Entry<'a>> {
        let kind = self.kind_below(above).filter(|_| !entry.node.is_null());
        let Some(kind) = kind else {
            return Some(entry);
        };
        self.note_taken(kind);
        let content = match lines {
            Some(lines) => ContentHash::of_text(kind as u8, lines),
            None => ContentHash::of_entry(kind as u8, &entry.key, &entry.node),
        };
        // With their lines, entries that are known do not come.
        if lines.is_none() && self.recognises(content) {
            return None;
        }
        let path = Path::ROOT;
        let path = path.key(above[0]);
        let path = path.key(above[1]);
        let path = path.key(&entry.key);
        self.object(kind, &entry.key, content, entry.at, &entry.node, &path);
        None
    }

    fn restart(&mut self) {
        *self = match self.previous {
            Some(previous) if self.walk.is_some() => Self::again(previous),
            previous => Self::new(previous),
        };
    }
}
