//! The macros that declare the configuration's types: fields, defaults, decoding and Traefik's JSON from one text.
//!
//! ```text
//! schema! {
//!     /// A session cookie.
//!     pub struct Cookie {
//!         /// Its name; empty means one derived from the service.
//!         pub name: Text = "name";
//!         pub path: Text = "path" [default "/".into()] [always];
//!     }
//! }
//! ```
//!
//! | option | effect |
//! |---|---|
//! | `[default EXPR]` | the value when the key is absent; otherwise the type's default |
//! | `[presence]` | an empty value or `true` means "present with defaults" (Traefik: allowEmpty) |
//! | `[always]` | JSON has the field even if it is empty (Traefik: no omitempty, or a pointer with a default) |
//! | `[hidden]` | not in the source's vocabulary and not in JSON: set by the program only |
//! | `[min N]` | a smaller number or duration is an error |
//! | `[shown F]` | JSON has what the function `F` makes of the value: for secrets that are only a part of it |
//!
//! Every struct gets `Default`, [`Decode`](super::decode::Decode), `serde::Serialize` and
//! [`Omit`](super::decode::Omit). The macros know nothing of what the fields mean.

use super::decode::{How, ObjectError, Path, find_field, unknown_field};
use super::duration::GoDuration;
use super::tree::{Entry, Node, Position};

/// Implements [`Decode`] for types that implement [`FromText`].
macro_rules! decode_from_text {
    ($($type:ty),* $(,)?) => { $(
        impl $crate::config::decode::Decode for $type {
            const SCALAR: bool = true;

            fn decode(
                node: &$crate::config::tree::Node<'_>,
                _how: $crate::config::decode::How,
                path: &$crate::config::decode::Path<'_>,
                errors: &mut Vec<$crate::config::decode::ObjectError>,
            ) -> Option<Self> {
                $crate::config::decode::decode_scalar(node, path, errors)
            }
        }
    )* };
}

/// Declares structs of the configuration; see the module's documentation.
macro_rules! schema {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident {
            $(
                $(#[$field_meta:meta])*
                pub $field:ident: $type:ty = $wire:literal $([$($option:tt)*])*;
            )*
        }
    )*) => { $(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $(
                #[doc = concat!("`", $wire, "`")]
                #[doc = ""]
                $(#[$field_meta])*
                pub $field: $type,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: __schema_default!($type; $([$($option)*])*),)* }
            }
        }

        impl $name {
            /// The names of the fields as the configuration writes them.
            pub const FIELDS: &'static [&'static str] = &[$($wire),*];
        }

        impl $crate::config::decode::Decode for $name {
            #[allow(unused_variables, unused_mut, unused_assignments, non_camel_case_types, clippy::items_after_statements)]
            fn decode(
                node: &$crate::config::tree::Node<'_>,
                how: $crate::config::decode::How,
                path: &$crate::config::decode::Path<'_>,
                errors: &mut Vec<$crate::config::decode::ObjectError>,
            ) -> Option<Self> {
                enum Place { $($field,)* __End }
                const PLACES: &[Place] = &[$(Place::$field,)* Place::__End];
                let before = errors.len();
                let entries = $crate::config::decode::entries(node, how, path, errors)?;
                let mut value = Self::default();
                let mut seen: u64 = 0;
                for entry in entries {
                    if entry.node.is_null() {
                        continue;
                    }
                    let key: &str = &entry.key;
                    let Some(index) = $crate::config::decode::find_field(Self::FIELDS, key) else {
                        errors.push($crate::config::decode::unknown_field(Self::FIELDS, key, entry.at, path));
                        continue;
                    };
                    if seen & (1 << index) != 0 {
                        errors.push($crate::config::decode::repeated_field(key, entry.at, path));
                        continue;
                    }
                    seen |= 1 << index;
                    match PLACES[index] {
                        $(Place::$field => {
                            __schema_decode!(value.$field, $wire, entry, path, errors; $([$($option)*])*);
                        })*
                        Place::__End => {}
                    }
                }
                (errors.len() == before).then_some(value)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                #[allow(unused_imports)]
                use serde::ser::SerializeMap;
                #[allow(unused_mut)]
                let mut map = serializer.serialize_map(None)?;
                $(__schema_serialize!(map, self.$field, $wire; $([$($option)*])*);)*
                map.end()
            }
        }

        impl $crate::config::decode::Omit for $name {
            fn is_omitted(&self) -> bool {
                false
            }
        }
    )* };
}

macro_rules! __schema_default {
    ($type:ty;) => { <$type as Default>::default() };
    ($type:ty; [default $($value:tt)*] $($rest:tt)*) => { $($value)* };
    ($type:ty; [$($other:tt)*] $($rest:tt)*) => { __schema_default!($type; $($rest)*) };
}

macro_rules! __schema_decode {
    ($place:expr, $wire:literal, $entry:ident, $path:ident, $errors:ident;) => {
        __schema_decode!(@as Field, $place, $wire, $entry, $path, $errors)
    };
    ($place:expr, $wire:literal, $entry:ident, $path:ident, $errors:ident; [presence] $($rest:tt)*) => {
        __schema_decode!(@as Presence, $place, $wire, $entry, $path, $errors)
    };
    ($place:expr, $wire:literal, $entry:ident, $path:ident, $errors:ident; [hidden] $($rest:tt)*) => {
        $errors.push($crate::config::decode::unknown_field(&[], &$entry.key, $entry.at, $path))
    };
    ($place:expr, $wire:literal, $entry:ident, $path:ident, $errors:ident; [min $min:literal] $($rest:tt)*) => {
        __schema_decode!($place, $wire, $entry, $path, $errors; $($rest)*);
        $crate::config::schema::check_min(&$place, $min, $entry.node.at, &$path.key($wire), $errors)
    };
    ($place:expr, $wire:literal, $entry:ident, $path:ident, $errors:ident; [$($other:tt)*] $($rest:tt)*) => {
        __schema_decode!($place, $wire, $entry, $path, $errors; $($rest)*)
    };
    (@as $how:ident, $place:expr, $wire:literal, $entry:ident, $path:ident, $errors:ident) => {
        if let Some(decoded) = $crate::config::decode::Decode::decode(
            &$entry.node,
            $crate::config::decode::How::$how,
            &$path.key(&$entry.key),
            $errors,
        ) {
            $place = decoded;
        }
    };
}

macro_rules! __schema_serialize {
    ($map:ident, $value:expr, $wire:literal;) => {
        if !$crate::config::decode::Omit::is_omitted(&$value) {
            $map.serialize_entry($wire, &$value)?;
        }
    };
    ($map:ident, $value:expr, $wire:literal; [always] $($rest:tt)*) => {
        $map.serialize_entry($wire, &$value)?;
    };
    ($map:ident, $value:expr, $wire:literal; [shown $shown:path] $($rest:tt)*) => {
        if !$crate::config::decode::Omit::is_omitted(&$value) {
            $map.serialize_entry($wire, &$shown(&$value))?;
        }
    };
    ($map:ident, $value:expr, $wire:literal; [hidden] $($rest:tt)*) => {};
    ($map:ident, $value:expr, $wire:literal; [$($other:tt)*] $($rest:tt)*) => {
        __schema_serialize!($map, $value, $wire; $($rest)*)
    };
}

/// Declares an enum of words, compared without regard to case.
macro_rules! words {
    ($(
        $(#[$meta:meta])*
        pub enum $name:ident {
            $( $(#[$variant_meta:meta])* $variant:ident = $word:literal, )*
        }
    )*) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $name {
            $( $(#[$variant_meta])* $variant, )*
        }

        impl $name {
            /// The word as the configuration writes it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::config::decode::FromText for $name {
            fn from_text(text: &str) -> Result<Self, String> {
                $(if text.eq_ignore_ascii_case($word) {
                    return Ok(Self::$variant);
                })*
                Err($crate::config::schema::not_a_word(text, &[$($word),*]))
            }
        }

        decode_from_text!($name);

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl $crate::config::decode::Omit for $name {
            fn is_omitted(&self) -> bool {
                self.as_str().is_empty()
            }
        }
    )* };
}

/// Declares an enum of which a configuration object has exactly one variant, written `{variant: {…}}`.
///
/// `[presence]` marks variants whose value may be empty. After the enum's name stands what such an object is called in
/// errors; without that, the enum is only a part of an object, which decodes and writes it with its own fields.
macro_rules! one_of {
    ($(
        $(#[$meta:meta])*
        pub enum $name:ident $(: $what:literal)? {
            $( $(#[$variant_meta:meta])* $variant:ident($type:ty) = $wire:literal $([$how:ident])?, )*
        }
    )*) => { $(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            $( $(#[$variant_meta])* $variant(Box<$type>), )*
        }

        impl $name {
            /// The names of the types as the configuration writes them.
            pub const TYPES: &'static [&'static str] = &[$($wire),*];

            /// The name of this object's type as the configuration writes it.
            pub const fn type_name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $wire,)* }
            }

            /// Decodes the variant at `index` of [`Self::TYPES`]; `Some(None)` means "switched off".
            #[allow(unused_assignments)]
            fn decode_variant(
                index: usize,
                node: &$crate::config::tree::Node<'_>,
                path: &$crate::config::decode::Path<'_>,
                errors: &mut Vec<$crate::config::decode::ObjectError>,
            ) -> Option<Option<Self>> {
                let mut at = 0;
                $(
                    if index == at {
                        let how = __one_of_how!($($how)?);
                        let decoded: Option<Box<$type>> =
                            $crate::config::decode::Decode::decode(node, how, path, errors)?;
                        return Some(decoded.map(Self::$variant));
                    }
                    at += 1;
                )*
                None
            }

            /// Writes `"type": {…}` into a JSON map.
            fn serialize_entry<M: serde::ser::SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
                match self { $(Self::$variant(value) => map.serialize_entry($wire, value),)* }
            }
        }

        $(
            impl $crate::config::decode::Decode for $name {
                fn decode(
                    node: &$crate::config::tree::Node<'_>,
                    _how: $crate::config::decode::How,
                    path: &$crate::config::decode::Path<'_>,
                    errors: &mut Vec<$crate::config::decode::ObjectError>,
                ) -> Option<Self> {
                    $crate::config::schema::decode_one_of(
                        $what,
                        Self::TYPES,
                        node,
                        path,
                        errors,
                        Self::decode_variant,
                        |_, _| false,
                    )
                }
            }

            impl serde::Serialize for $name {
                fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    use serde::ser::SerializeMap;
                    let mut map = serializer.serialize_map(Some(1))?;
                    self.serialize_entry(&mut map)?;
                    map.end()
                }
            }
        )?
    )* };
}

macro_rules! __one_of_how {
    () => {
        $crate::config::decode::How::Field
    };
    (presence) => {
        $crate::config::decode::How::Presence
    };
}

/// Decodes an object of which exactly one type must be given, besides the fields that `other` takes.
///
/// `decode` turns the index of a name in `types` into a value. `other` returns true for a key it handled.
pub fn decode_one_of<T>(
    what: &str,
    types: &[&str],
    node: &Node<'_>,
    path: &Path<'_>,
    errors: &mut Vec<ObjectError>,
    mut decode: impl FnMut(usize, &Node<'_>, &Path<'_>, &mut Vec<ObjectError>) -> Option<Option<T>>,
    mut other: impl FnMut(&Entry<'_>, &mut Vec<ObjectError>) -> bool,
) -> Option<T> {
    let before = errors.len();
    let entries = super::decode::entries(node, How::Element, path, errors)?;
    let mut chosen: Option<(&'_ str, T)> = None;
    for entry in entries.iter().filter(|entry| !entry.node.is_null()) {
        if other(entry, errors) {
            continue;
        }
        let Some(index) = find_field(types, &entry.key) else {
            errors.push(unknown_field(types, &entry.key, entry.at, path));
            continue;
        };
        let Some(Some(value)) = decode(index, &entry.node, &path.key(&entry.key), errors) else {
            continue;
        };
        match &chosen {
            None => chosen = Some((types[index], value)),
            Some((first, _)) => errors.push(ObjectError::new(
                path,
                entry.at,
                format!(
                    "is both {first:?} and {:?}: a {what} has exactly one type, declare two {what}s",
                    types[index]
                ),
            )),
        }
    }
    if chosen.is_none() && errors.len() == before {
        let message = format!("has no type: a {what} needs one of {}", types.join(", "));
        errors.push(ObjectError::new(path, node.at, message));
    }
    if errors.len() == before {
        chosen.map(|(_, value)| value)
    } else {
        None
    }
}

/// The message for a text that is none of `words`.
pub fn not_a_word(text: &str, words: &[&str]) -> String {
    let words: Vec<_> = words
        .iter()
        .copied()
        .filter(|word| !word.is_empty())
        .collect();
    format!("is {text:?} where one of {} is expected", words.join(", "))
}

/// A number or duration with a lower bound in its field's declaration.
pub trait Bounded {
    /// Whether the value is below the bound; durations compare in nanoseconds.
    fn is_below(&self, min: i64) -> bool;
}

impl Bounded for i64 {
    fn is_below(&self, min: i64) -> bool {
        *self < min
    }
}

impl Bounded for u32 {
    fn is_below(&self, min: i64) -> bool {
        i64::from(*self) < min
    }
}

impl Bounded for GoDuration {
    fn is_below(&self, min: i64) -> bool {
        self.as_nanos() < min
    }
}

impl<T: Bounded> Bounded for Option<T> {
    fn is_below(&self, min: i64) -> bool {
        self.as_ref().is_some_and(|value| value.is_below(min))
    }
}

/// Reports a value below the bound of its field.
pub fn check_min<T: Bounded>(
    value: &T,
    min: i64,
    at: Position,
    path: &Path<'_>,
    errors: &mut Vec<ObjectError>,
) {
    if value.is_below(min) {
        let message = if min == 0 {
            "must not be negative".to_owned()
        } else {
            format!("must be at least {min}")
        };
        errors.push(ObjectError::new(path, at, message));
    }
}
