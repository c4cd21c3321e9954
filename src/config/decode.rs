//! From a [`Node`] to a typed value, with every problem of the value reported at its path.
//!
//! ```text
//! Node ──► T::decode(node, how, path, errors) ──► Some(T) | None + errors
//! ```
//!
//! The types themselves are declared with the macros of [`super::schema`]. This module has the rules they
//! share: field names compare without regard to case, an unknown field is an error with a suggestion, a null is
//! an absent key, a presence key may be empty, lists of texts may be written with commas. It does not know
//! files or providers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::duration::GoDuration;
use super::secret::Secret;
use super::tree::{Node, Position, Value};

/// A text of the configuration, in the smallest form: 100,000 routers hold many of them.
pub type Text = Box<str>;
/// A list of the configuration, in the smallest form.
pub type List<T> = Box<[T]>;
/// A map from names to values, ordered by name as in Traefik's JSON.
pub type Map<T> = BTreeMap<Text, T>;

/// One problem of one object (or of a source), at a path such as `http.routers.api.rule`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectError {
    /// The path from the top of the source, in the words of the source.
    pub path: String,
    /// What was found and what was expected.
    pub message: String,
    /// Where in the source's text; [`Position::NONE`] for sources without text.
    pub position: Position,
    /// The text's file, once [`ObjectError::in_file`] has named it; the decoder does not know files.
    pub file: Option<Arc<str>>,
    /// The name that was probably meant.
    pub suggestion: Option<String>,
}

impl ObjectError {
    /// A problem without a suggestion.
    pub fn new(path: impl fmt::Display, position: Position, message: impl Into<String>) -> Self {
        Self {
            path: path.to_string(),
            message: message.into(),
            position,
            file: None,
            suggestion: None,
        }
    }

    /// The same problem with its file's name.
    pub fn in_file(mut self, file: &Arc<str>) -> Self {
        self.file = Some(Arc::clone(file));
        self
    }
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.position.get()) {
            (Some(file), Some((line, column))) => write!(f, "{file}:{line}:{column}: ")?,
            (Some(file), None) => write!(f, "{file}: ")?,
            (None, Some((line, column))) => write!(f, "{line}:{column}: ")?,
            (None, None) => {}
        }
        write!(f, "{}: {}", self.path, self.message)?;
        match &self.suggestion {
            Some(name) => write!(f, ", did you mean {name:?}?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ObjectError {}

/// Where the decoder is, as a chain on the stack: it costs nothing until an error prints it.
#[derive(Clone, Copy)]
pub struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    segment: Segment<'p>,
}

#[derive(Clone, Copy)]
enum Segment<'p> {
    Root,
    Key(&'p str),
    Index(usize),
}

impl<'p> Path<'p> {
    /// The top of a source; it prints as nothing.
    pub const ROOT: Self = Self {
        parent: None,
        segment: Segment::Root,
    };

    /// The path of a key below this one.
    pub const fn key<'q>(&'q self, key: &'q str) -> Path<'q>
    where
        'p: 'q,
    {
        Path {
            parent: Some(self),
            segment: Segment::Key(key),
        }
    }

    /// The path of a list's item, counted from 0.
    pub const fn index<'q>(&'q self, index: usize) -> Path<'q>
    where
        'p: 'q,
    {
        Path {
            parent: Some(self),
            segment: Segment::Index(index),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
            let is_first = matches!(parent.segment, Segment::Root);
            if !is_first && matches!(self.segment, Segment::Key(key) if !is_index(key)) {
                f.write_str(".")?;
            }
        }
        match self.segment {
            Segment::Root => Ok(()),
            // The index of a key-value store, which need not be the place in the list.
            Segment::Key(key) if is_index(key) => f.write_str(key),
            // A name with a dot in it would read as two levels.
            Segment::Key(key) if key.is_empty() || key.contains(['.', '[', ' ']) => {
                write!(f, "{key:?}")
            }
            Segment::Key(key) => f.write_str(key),
            Segment::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// Whether a key is an index as key-value stores' trees have it: `[12]`.
fn is_index(key: &str) -> bool {
    let digits = key.strip_prefix('[').and_then(|key| key.strip_suffix(']'));
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// In what place a value stands, which decides what an empty value means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A plain field: a struct or map must have content ("cannot be a standalone element").
    Field,
    /// A presence key (`tls: {}`, `compress: true`): empty or `true` means "present with defaults", any other text
    /// "absent".
    Presence,
    /// An item of a list or the value of a map: may be an empty map, must not be a text if it is a struct.
    Element,
}

/// A type that a [`Node`] can become.
pub trait Decode: Sized {
    /// Whether the type is written as one text, so that a list of it may be written with commas.
    const SCALAR: bool = false;

    /// The value, or `None` after at least one error was pushed.
    fn decode(
        node: &Node<'_>,
        how: How,
        path: &Path<'_>,
        errors: &mut Vec<ObjectError>,
    ) -> Option<Self>;
}

/// A type written as one text.
pub trait FromText: Sized {
    /// The value, or what is wrong with the text, as the end of a sentence that begins with the text.
    fn from_text(text: &str) -> Result<Self, String>;
}

/// Whether Go's `omitempty` leaves a value out of JSON.
pub trait Omit {
    /// True for false, zero, empty texts, lists and maps, and absent values; never for structs.
    fn is_omitted(&self) -> bool;
}

fn decode_text<T: FromText>(
    node: &Node<'_>,
    path: &Path<'_>,
    errors: &mut Vec<ObjectError>,
) -> Option<T> {
    let Value::Scalar(text) = &node.value else {
        errors.push(ObjectError::new(
            path,
            node.at,
            format!("is {} where a single value is expected", node.describe()),
        ));
        return None;
    };
    match T::from_text(text) {
        Ok(value) => Some(value),
        Err(message) => {
            errors.push(ObjectError::new(path, node.at, message));
            None
        }
    }
}

/// Decodes a type that is written as one text.
pub fn decode_scalar<T: FromText>(
    node: &Node<'_>,
    path: &Path<'_>,
    errors: &mut Vec<ObjectError>,
) -> Option<T> {
    decode_text(node, path, errors)
}

decode_from_text!(
    Text,
    Arc<str>,
    bool,
    i64,
    u64,
    u32,
    u16,
    u8,
    f64,
    GoDuration
);

impl FromText for Text {
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.into())
    }
}

/// For texts that compiled objects share.
impl FromText for Arc<str> {
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.into())
    }
}

impl FromText for bool {
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(format!("is {text:?} where true or false is expected")),
        }
    }
}

macro_rules! integers {
    ($($type:ty),*) => { $(
        impl FromText for $type {
            fn from_text(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| {
                    format!("is {text:?} where an integer from {} to {} is expected", Self::MIN, Self::MAX)
                })
            }
        }
    )* };
}
integers!(i64, u64, u32, u16, u8);

impl FromText for f64 {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| format!("is {text:?} where a number is expected"))
    }
}

impl FromText for GoDuration {
    fn from_text(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| format!("{text:?} {error}"))
    }
}

impl<T: Decode> Decode for Box<T> {
    const SCALAR: bool = T::SCALAR;

    fn decode(
        node: &Node<'_>,
        how: How,
        path: &Path<'_>,
        errors: &mut Vec<ObjectError>,
    ) -> Option<Self> {
        T::decode(node, how, path, errors).map(Box::new)
    }
}

impl<T: Decode> Decode for Secret<T> {
    const SCALAR: bool = T::SCALAR;

    fn decode(
        node: &Node<'_>,
        how: How,
        path: &Path<'_>,
        errors: &mut Vec<ObjectError>,
    ) -> Option<Self> {
        T::decode(node, how, path, errors).map(Secret::new)
    }
}

impl<T: Decode> Decode for Option<T> {
    const SCALAR: bool = T::SCALAR;

    fn decode(
        node: &Node<'_>,
        how: How,
        path: &Path<'_>,
        errors: &mut Vec<ObjectError>,
    ) -> Option<Self> {
        if how == How::Presence
            && let Some(text) = node.text()
            && !text.is_empty()
            && !text.eq_ignore_ascii_case("true")
        {
            return Some(None);
        }
        T::decode(node, how, path, errors).map(Some)
    }
}

impl<T: Decode> Decode for List<T> {
    fn decode(
        node: &Node<'_>,
        _how: How,
        path: &Path<'_>,
        errors: &mut Vec<ObjectError>,
    ) -> Option<Self> {
        let before = errors.len();
        let items: Vec<T> = match &node.value {
            Value::List(items) => items
                .iter()
                .enumerate()
                .filter_map(|(index, item)| decode_item(item, &path.index(index), errors))
                .collect(),
            Value::Scalar(text) if T::SCALAR => split_items(text, node.at, path, errors),
            // Its items stand in its text already.
            Value::Branch(branch) if T::SCALAR => {
                for entry in &branch.below {
                    let message = "is below a list of texts, whose items are named by numbers";
                    errors.push(ObjectError::new(path.key(&entry.key), entry.at, message));
                }
                Vec::new()
            }
            // What the items are named does not matter (Traefik: the same).
            Value::Branch(branch) => branch
                .below
                .iter()
                .filter_map(|entry| decode_item(&entry.node, &path.key(&entry.key), errors))
                .collect(),
            _ => {
                let message = format!("is {} where a list is expected", node.describe());
                errors.push(ObjectError::new(path, node.at, message));
                Vec::new()
            }
        };
        (errors.len() == before).then(|| items.into_boxed_slice())
    }
}

/// A list written as one text with commas.
fn split_items<T: Decode>(
    text: &str,
    at: Position,
    path: &Path<'_>,
    errors: &mut Vec<ObjectError>,
) -> Vec<T> {
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',')
        .enumerate()
        .filter_map(|(index, item)| {
            let item = Node::scalar(item.trim()).at(at);
            T::decode(&item, How::Element, &path.index(index), errors)
        })
        .collect()
}

/// Decodes one item of a list; texts are trimmed, as Traefik does.
fn decode_item<T: Decode>(
    item: &Node<'_>,
    path: &Path<'_>,
    errors: &mut Vec<ObjectError>,
) -> Option<T> {
    match &item.value {
        Value::Null => {
            errors.push(ObjectError::new(
                path,
                item.at,
                "is an empty item of a list",
            ));
            None
        }
        Value::Scalar(text) if T::SCALAR && text.trim().len() != text.len() => T::decode(
            &Node::scalar(text.trim()).at(item.at),
            How::Element,
            path,
            errors,
        ),
        _ => T::decode(item, How::Element, path, errors),
    }
}

impl<T: Decode> Decode for Map<T> {
    fn decode(
        node: &Node<'_>,
        how: How,
        path: &Path<'_>,
        errors: &mut Vec<ObjectError>,
    ) -> Option<Self> {
        let before = errors.len();
        let entries = entries(node, how, path, errors)?;
        let mut map = Self::new();
        for entry in entries.iter().filter(|entry| !entry.node.is_null()) {
            if let Some(value) = T::decode(&entry.node, How::Element, &path.key(&entry.key), errors)
            {
                map.insert(entry.key.as_ref().into(), value);
            }
        }
        (errors.len() == before).then_some(map)
    }
}

/// A plugin's or an extension's free content, kept as JSON; every scalar in it is a text, as in Traefik.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Free(pub serde_json::Map<String, serde_json::Value>);

impl Decode for Free {
    fn decode(
        node: &Node<'_>,
        _how: How,
        path: &Path<'_>,
        errors: &mut Vec<ObjectError>,
    ) -> Option<Self> {
        match free_value(node) {
            serde_json::Value::Object(map) => Some(Self(map)),
            serde_json::Value::Null => Some(Self::default()),
            _ => {
                let message = format!("is {} where a map is expected", node.describe());
                errors.push(ObjectError::new(path, node.at, message));
                None
            }
        }
    }
}

impl serde::Serialize for Free {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Omit for Free {
    fn is_omitted(&self) -> bool {
        self.0.is_empty()
    }
}

fn free_value(node: &Node<'_>) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Scalar(text) => serde_json::Value::String(text.to_string()),
        Value::List(items) => items.iter().map(free_value).collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.to_string(), free_value(&entry.node)))
            .collect(),
        Value::Branch(branch)
            if branch
                .below
                .first()
                .is_some_and(|entry| is_index(&entry.key)) =>
        {
            let items = branch.below.iter().map(|entry| free_value(&entry.node));
            items.collect()
        }
        Value::Branch(branch) => {
            let entries = branch.below.iter();
            entries
                .map(|entry| (entry.key.to_string(), free_value(&entry.node)))
                .collect()
        }
    }
}

/// The entries of a struct or map value under the rules of [`How`]; `None` after an error.
/// A presence key without content yields no entries.
pub fn entries<'n, 'a>(
    node: &'n Node<'a>,
    how: How,
    path: &Path<'_>,
    errors: &mut Vec<ObjectError>,
) -> Option<&'n [super::tree::Entry<'a>]> {
    let message = match (&node.value, how) {
        (Value::Map(entries), How::Field) if entries.iter().all(|entry| entry.node.is_null()) => {
            "cannot be a standalone element: give it fields or remove it".to_owned()
        }
        (Value::Map(entries), _) => return Some(entries),
        // A structure's own text says nothing, except that a presence key is off.
        (Value::Branch(branch), _) => return Some(&branch.below),
        (Value::Scalar(_), How::Presence) => return Some(&[]),
        (Value::Scalar(text), How::Field)
            if text.is_empty() || text.eq_ignore_ascii_case("true") =>
        {
            "cannot be a standalone element: give it fields or remove it".to_owned()
        }
        _ => format!("is {} where a map is expected", node.describe()),
    };
    errors.push(ObjectError::new(path, node.at, message));
    None
}

/// Which of `names` a key is, compared without regard to case.
pub fn find_field(names: &[&str], key: &str) -> Option<usize> {
    names
        .iter()
        .position(|name| name.len() == key.len() && name.eq_ignore_ascii_case(key))
}

/// The error for a key that is none of `names`, with the nearest name as suggestion.
pub fn unknown_field(names: &[&str], key: &str, at: Position, path: &Path<'_>) -> ObjectError {
    let mut error = ObjectError::new(path.key(key), at, "no such field");
    error.suggestion = nearest(names.iter().copied(), key);
    if error.suggestion.is_none() && !names.is_empty() && names.len() <= 12 {
        error.message = format!("no such field; there are {}", names.join(", "));
    }
    error
}

/// The error for a key that appears twice in different case.
pub fn repeated_field(name: &str, at: Position, path: &Path<'_>) -> ObjectError {
    ObjectError::new(
        path.key(name),
        at,
        "is given twice in different case; keep one",
    )
}

/// The candidate most like a misspelt name, if any is like it.
pub fn nearest<'c>(candidates: impl Iterator<Item = &'c str>, name: &str) -> Option<String> {
    const LIKENESS: f64 = 0.8;
    let name = name.to_ascii_lowercase();
    candidates
        .map(|candidate| {
            let lower = candidate.to_ascii_lowercase();
            // A forgotten or doubled ending ("rul", "services") reads as near whatever its length.
            let near = strsim::jaro_winkler(&lower, &name);
            (near, candidate)
        })
        .filter(|(near, _)| *near >= LIKENESS)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}

macro_rules! omit_when {
    ($($type:ty: |$value:ident| $omitted:expr;)*) => { $(
        impl Omit for $type {
            fn is_omitted(&self) -> bool {
                let $value = self;
                $omitted
            }
        }
    )* };
}
omit_when! {
    Text: |value| value.is_empty();
    Arc<str>: |value| value.is_empty();
    bool: |value| !*value;
    i64: |value| *value == 0;
    u64: |value| *value == 0;
    u32: |value| *value == 0;
    u16: |value| *value == 0;
    u8: |value| *value == 0;
    f64: |value| *value == 0.0;
    GoDuration: |value| value.is_zero();
}

impl<T> Omit for Option<T> {
    fn is_omitted(&self) -> bool {
        self.is_none()
    }
}

impl<T> Omit for List<T> {
    fn is_omitted(&self) -> bool {
        self.is_empty()
    }
}

impl<T> Omit for Map<T> {
    fn is_omitted(&self) -> bool {
        self.is_empty()
    }
}

impl<T: Omit> Omit for Secret<T> {
    fn is_omitted(&self) -> bool {
        self.reveal().is_omitted()
    }
}

impl<T: Omit> Omit for Box<T> {
    fn is_omitted(&self) -> bool {
        (**self).is_omitted()
    }
}
