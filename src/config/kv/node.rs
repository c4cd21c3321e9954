//! From an object's pairs to its tree, and to the object.

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::place::{fragments, is_digits, object_name};
use super::{Place, eq_fold, folded};
use crate::config::decode::ObjectError;
use crate::config::dynamic::{Kind, Object, certificate_name, decode_certificate, decode_object};
use crate::config::tree::{Branch, Entry, Node, Position, Value};

/// Most fragments of a key; a key with more rejects its object.
pub const MAX_DEPTH: usize = 32;

/// Keys with more others below them find them by a map.
const FEW: usize = 16;

/// One key, relative to the root, with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The key from the section on.
    pub key: &'a [u8],
    /// The value, or why there is none.
    pub value: Content<'a>,
}

/// The value of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// As the store has it.
    Bytes(&'a [u8]),
    /// It was not kept, because it has so many bytes.
    TooLong(usize),
}

/// Decodes an object from all of its pairs, in the order of their keys, at least one. Returns its name too.
///
/// # Panics
/// There is no pair, or the first belongs to no object.
pub fn decode(pairs: &[Pair<'_>]) -> (Arc<str>, Result<Object, Vec<ObjectError>>) {
    let Place::Object(kind, name) = Place::of(pairs[0].key) else {
        panic!("{:?} belongs to no object", pairs[0].key.escape_ascii());
    };
    let name = object_name(name);
    match texts(pairs) {
        Err(errors) => (name.into(), Err(errors)),
        Ok(pairs) => {
            let node = node(&pairs, 3);
            if kind == Kind::TlsCertificate {
                return (
                    certificate_name(&node).into(),
                    decode_certificate(&name, &node),
                );
            }
            let object = decode_object(kind, &name, &node);
            (name.into(), object)
        }
    }
}

/// The tree of a Traefik 1 configuration: `{frontends: {…}, backends: {…}, tls: {…}}`, of maps and texts only. Keys count
/// as written; `K/N` is an entry `N` of `K`. A key with others below it is a map whatever its own text says, unless that is
/// `false`. Returns what is wrong with keys, too.
pub fn former_tree<'a>(pairs: &'a [Pair<'a>]) -> (Node<'a>, Vec<ObjectError>) {
    let mut top = Growing::new(Cow::Borrowed(""));
    let mut errors = Vec::new();
    for pair in pairs {
        match text(pair) {
            Err(error) => errors.push(error),
            Ok(pair) => {
                let path = pair.key.split('/').filter(|fragment| !fragment.is_empty());
                let place = path.fold(&mut top, |place, fragment| {
                    place.child(Cow::Borrowed(fragment), |left, right| left == right)
                });
                if !pair.is_folder() {
                    place.text = Some(Cow::Borrowed(pair.value));
                }
            }
        }
    }
    (top.into_former(), errors)
}

/// A pair whose key and value are text.
#[derive(Clone, Copy)]
struct Text<'a> {
    key: &'a str,
    value: &'a str,
}

impl<'a> Text<'a> {
    fn is_folder(&self) -> bool {
        self.value.is_empty() && self.key.ends_with('/')
    }

    /// The key whose list this is an item of.
    fn list(&self) -> Option<&'a str> {
        let (list, index) = self.key.rsplit_once('/')?;
        (is_digits(index.as_bytes()) && !list.is_empty()).then_some(list)
    }
}

fn texts<'a>(pairs: &[Pair<'a>]) -> Result<Vec<Text<'a>>, Vec<ObjectError>> {
    let mut texts = Vec::with_capacity(pairs.len());
    let mut errors = Vec::new();
    for pair in pairs {
        match text(pair) {
            Ok(text) => texts.push(text),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(texts)
    } else {
        Err(errors)
    }
}

fn text<'a>(pair: &Pair<'a>) -> Result<Text<'a>, ObjectError> {
    let error = |message: String| {
        let path: Vec<_> = fragments(pair.key).map(String::from_utf8_lossy).collect();
        ObjectError::new(path.join("."), Position::NONE, message)
    };
    let Ok(key) = str::from_utf8(pair.key) else {
        let message = format!("the key \"{}\" is not UTF-8", pair.key.escape_ascii());
        return Err(error(message));
    };
    if fragments(pair.key).count() > MAX_DEPTH {
        let message = format!("a key must not have more than {MAX_DEPTH} fragments");
        return Err(error(message));
    }
    match pair.value {
        Content::TooLong(bytes) => {
            let message = format!("the value has {bytes} bytes, which is more than the limit");
            Err(error(message))
        }
        Content::Bytes(value) => match str::from_utf8(value) {
            Ok(value) => Ok(Text { key, value }),
            Err(_) => Err(error("the value is not UTF-8".into())),
        },
    }
}

/// The tree of pairs in the order of their keys, from the fragment at `depth` on.
fn node<'a>(pairs: &[Text<'a>], depth: usize) -> Node<'a> {
    let mut top = Growing::new(Cow::Borrowed(""));
    // The sort keeps the order of a list's items, which is that of their keys.
    let mut keyed: Vec<_> = pairs.iter().map(|pair| (pair.list(), pair)).collect();
    keyed.sort_by_key(|(list, pair)| list.unwrap_or(pair.key));
    for same in
        keyed.chunk_by(|left, right| left.0.unwrap_or(left.1.key) == right.0.unwrap_or(right.1.key))
    {
        let items: Vec<_> = same.iter().filter(|(list, _)| list.is_some()).collect();
        let (text, is_folder) = match items[..] {
            [] => (Cow::Borrowed(same[0].1.value), same[0].1.is_folder()),
            [(_, item)] => (Cow::Borrowed(item.value), false),
            _ => {
                let values: Vec<_> = items.iter().map(|(_, item)| item.value).collect();
                (Cow::Owned(values.join(",")), false)
            }
        };
        let key = same[0].0.unwrap_or(same[0].1.key);
        let path = key.split('/').filter(|fragment| !fragment.is_empty());
        let place = path.skip(depth).fold(&mut top, |place, fragment| {
            place.child(object_name(fragment), eq_fold)
        });
        if !is_folder {
            place.text = Some(text);
        }
    }
    top.into_node()
}

/// A node while pairs come in.
struct Growing<'a> {
    name: Cow<'a, str>,
    text: Option<Cow<'a, str>>,
    below: Vec<Growing<'a>>,
    /// Where in `below` the folded names are, once there are more than a few.
    places: FxHashMap<String, Vec<usize>>,
}

impl<'a> Growing<'a> {
    fn new(name: Cow<'a, str>) -> Self {
        Self {
            name,
            text: None,
            below: Vec::new(),
            places: FxHashMap::default(),
        }
    }

    fn child(&mut self, name: Cow<'a, str>, is_same: fn(&str, &str) -> bool) -> &mut Self {
        let place = self.find(&name, is_same).unwrap_or_else(|| {
            self.below.push(Self::new(name));
            let last = self.below.len() - 1;
            match last {
                ..FEW => {}
                FEW => (0..=last).for_each(|place| self.note(place)),
                _ => self.note(last),
            }
            last
        });
        &mut self.below[place]
    }

    fn note(&mut self, place: usize) {
        let name = folded(&self.below[place].name).collect();
        self.places.entry(name).or_default().push(place);
    }

    fn find(&self, name: &str, is_same: fn(&str, &str) -> bool) -> Option<usize> {
        let last = self.below.len().checked_sub(1)?;
        // Keys in their order mostly go on where the one before was.
        if is_same(&self.below[last].name, name) {
            return Some(last);
        }
        let is_it = |place: &usize| is_same(&self.below[*place].name, name);
        if self.below.len() <= FEW {
            return (0..last).find(is_it);
        }
        let places = self.places.get(&folded(name).collect::<String>())?;
        places.iter().copied().find(is_it)
    }

    fn into_node(self) -> Node<'a> {
        Node::new(match (self.text, self.below) {
            (Some(text), below) if below.is_empty() => Value::Scalar(text),
            (text, below) => {
                let below = below
                    .into_iter()
                    .map(|child| child.into_entry(Self::into_node));
                Value::Branch(Box::new(Branch {
                    text,
                    below: below.collect(),
                }))
            }
        })
    }

    fn into_former(self) -> Node<'a> {
        let below = self.below.into_iter();
        let below: Vec<_> = below
            .map(|child| child.into_entry(Self::into_former))
            .collect();
        Node::new(match self.text {
            Some(text) if below.is_empty() || text.eq_ignore_ascii_case("false") => {
                Value::Scalar(text)
            }
            _ => Value::Map(below),
        })
    }

    fn into_entry(mut self, node: fn(Self) -> Node<'a>) -> Entry<'a> {
        Entry {
            key: std::mem::take(&mut self.name),
            at: Position::NONE,
            node: node(self),
        }
    }
}
