//! Which object a key belongs to, by its first three fragments.

use std::borrow::Cow;

use crate::config::decode::{ObjectError, Path};
use crate::config::decode::{nearest, unknown_field};
use crate::config::dynamic::Kind;
use crate::config::tree::Position;

const SECTIONS: &[&str] = &["http", "tcp", "udp", "tls"];

/// Where a key belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'k> {
    /// To an object; the name as the key writes it.
    Object(Kind, &'k str),
    /// To a part of a Traefik 1 tree; the name as the key writes it.
    Former(Former, &'k str),
    /// To no object.
    Nowhere(Nowhere),
}

/// The parts of a Traefik 1 tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Former {
    /// `frontends/…`
    Frontend,
    /// `backends/…`
    Backend,
    /// `tls/…`, unless today's layout has that key.
    Tls,
}

impl Former {
    /// Its key at the top.
    pub const fn section(self) -> &'static str {
        match self {
            Self::Frontend => "frontends",
            Self::Backend => "backends",
            Self::Tls => "tls",
        }
    }
}

/// Why a key belongs to no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nowhere {
    /// It is above the objects. With a value it is wrong, without one a folder's marker.
    AboveObjects,
    /// `alias`, by which Traefik 1 switches trees, is somebody else's.
    Alias,
    /// A section that there is not.
    UnknownSection,
    /// A collection that there is not.
    UnknownCollection,
    /// The name of its object is not UTF-8.
    NotText,
    /// It is longer than a key may be.
    TooLong,
}

impl<'k> Place<'k> {
    /// Where a key belongs that is relative to the root, such as `http/routers/r1/rule`.
    pub fn of(key: &'k [u8]) -> Self {
        let mut fragments = fragments(key);
        let [Some(section), collection, name] = [(); 3].map(|()| fragments.next()) else {
            return Self::Nowhere(Nowhere::AboveObjects);
        };
        if key.first() == Some(&b'/') {
            return Self::Nowhere(Nowhere::UnknownSection);
        }
        let former = [Former::Frontend, Former::Backend]
            .into_iter()
            .find(|former| former.section().as_bytes() == section);
        if let Some(former) = former {
            return match collection.map(str::from_utf8) {
                Some(Ok(name)) => Self::Former(former, name),
                Some(Err(_)) => Self::Nowhere(Nowhere::NotText),
                None => Self::Nowhere(Nowhere::AboveObjects),
            };
        }
        let known = SECTIONS
            .iter()
            .find(|known| section.eq_ignore_ascii_case(known.as_bytes()));
        let Some(known) = known else {
            let is_alias = section == b"alias" && collection.is_none();
            let why = if is_alias {
                Nowhere::Alias
            } else {
                Nowhere::UnknownSection
            };
            return Self::Nowhere(why);
        };
        let Some(collection) = collection else {
            return Self::Nowhere(Nowhere::AboveObjects);
        };
        let Ok(collection) = str::from_utf8(collection) else {
            return Self::Nowhere(Nowhere::NotText);
        };
        let Some(kind) = Kind::of_place(known, collection) else {
            let is_index = name.is_none() && is_digits(collection.as_bytes());
            return match *known {
                // The value of `tls/0` would count for `tls`.
                _ if is_index => Self::Nowhere(Nowhere::AboveObjects),
                "tls" if section == b"tls" => Self::Former(Former::Tls, collection),
                _ => Self::Nowhere(Nowhere::UnknownCollection),
            };
        };
        // The value of `http/routers/0` counts for `http/routers`.
        let is_item = fragments.next().is_none() && !key.ends_with(b"/");
        match name {
            None => Self::Nowhere(Nowhere::AboveObjects),
            Some(name) if is_item && is_digits(name) => Self::Nowhere(Nowhere::AboveObjects),
            Some(name) => match str::from_utf8(name) {
                Ok(name) => Self::Object(kind, name),
                Err(_) => Self::Nowhere(Nowhere::NotText),
            },
        }
    }
}

impl Nowhere {
    /// Whether such a key is worth telling.
    pub const fn is_problem(self, has_value: bool) -> bool {
        match self {
            Self::Alias => false,
            Self::AboveObjects => has_value,
            _ => true,
        }
    }

    /// What to tell about such a key; nothing if it is harmless.
    pub fn problem(self, key: &[u8], has_value: bool) -> Option<ObjectError> {
        let text = String::from_utf8_lossy(key);
        let mut fragments = text.split('/').filter(|fragment| !fragment.is_empty());
        let section = fragments.next().unwrap_or_default();
        let collection = fragments.next().unwrap_or_default();
        let wrong = |message: &str| ObjectError::new(&text, Position::NONE, message);
        match self {
            Self::Alias => None,
            Self::AboveObjects => has_value
                .then(|| wrong("is above the objects and must not have a value; it is ignored")),
            Self::TooLong => Some(wrong("is longer than a key may be; the key is ignored")),
            Self::NotText => Some(wrong(
                "is not UTF-8 in the name of its object; the key is ignored",
            )),
            Self::UnknownSection => {
                let mut error = wrong("unknown key, ignored");
                error.suggestion = nearest(SECTIONS.iter().copied(), section);
                Some(error)
            }
            Self::UnknownCollection => {
                let names = Kind::ALL.iter().map(|kind| kind.place());
                let names = names.filter(|place| {
                    section.eq_ignore_ascii_case(place.0) && !place.1.starts_with('(')
                });
                let names: Vec<_> = names.map(|place| place.1).collect();
                let mut error = unknown_field(&names, collection, Position::NONE, &Path::ROOT);
                error.path = text.into_owned();
                Some(error)
            }
        }
    }
}

/// How the keys begin that belong to the same object as this one and spell it in the same way: up to the slash after its
/// name. `None` for the object's very key.
pub fn prefix_of_object(key: &[u8]) -> Option<&[u8]> {
    let is_end = |at: &usize| key[*at] == b'/' && *at > 0 && key[*at - 1] != b'/';
    let end = (0..key.len()).filter(is_end).nth(2)?;
    Some(&key[..=end])
}

/// A fragment as it counts: of digits it is an index, also where a name stands.
pub fn object_name(fragment: &str) -> Cow<'_, str> {
    if is_digits(fragment.as_bytes()) {
        Cow::Owned(format!("[{fragment}]"))
    } else {
        Cow::Borrowed(fragment)
    }
}

/// A key's fragments; empty ones do not count.
pub(super) fn fragments(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    key.split(|byte| *byte == b'/')
        .filter(|fragment| !fragment.is_empty())
}

pub(super) fn is_digits(fragment: &[u8]) -> bool {
    !fragment.is_empty() && fragment.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_with_an_objects_prefix_belong_to_it(
            top in "/?(http|HTTP|tls|frontends)/{1,2}(routers|certificates|x|5)/{1,2}(a|0|é|[^/]{1,3})",
            rest in proptest::collection::vec(any::<u8>(), 0..5),
            other in "[/a0]{0,4}",
        ) {
            let key = [top.as_bytes(), &rest].concat();
            let place = Place::of(&key);
            if let (Place::Object(..), Some(prefix)) = (place, prefix_of_object(&key)) {
                prop_assert!(key.starts_with(prefix));
                let other = [prefix, other.as_bytes()].concat();
                prop_assert_eq!(Place::of(&other), place);
            }
        }
    }
}
