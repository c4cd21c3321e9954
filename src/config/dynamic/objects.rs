//! The kinds of objects, and what a source declares.

use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::{
    HttpMiddleware, HttpModel, HttpRouter, HttpServersTransport, HttpService, TcpMiddleware,
    TcpModel, TcpRouter, TcpServersTransport, TcpService, TlsCertificate, TlsOptions, TlsStore,
    UdpRouter, UdpService,
};
use crate::config::decode::{Decode, How, ObjectError, Path};
use crate::config::tree::{ContentHash, Node};

macro_rules! kinds {
    ($($(#[$meta:meta])* $kind:ident: $section:literal, $collection:literal;)*) => {
        /// What an object is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$meta])* $kind,)*
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// The section and collection that declare it, such as `("http", "routers")`.
            pub const fn place(self) -> (&'static str, &'static str) {
                match self { $(Self::$kind => ($section, $collection),)* }
            }

            /// The kind that a section and collection declare, compared without regard to case.
            pub fn of_place(section: &str, collection: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| {
                    let place = kind.place();
                    section.eq_ignore_ascii_case(place.0) && collection.eq_ignore_ascii_case(place.1)
                })
            }
        }

        /// One decoded object. Two objects are equal if their configuration is.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Object {
            $($(#[$meta])* $kind(Arc<$kind>),)*
        }

        impl Object {
            /// What the object is.
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$kind(_) => Kind::$kind,)* }
            }
        }

        $(impl From<$kind> for Object {
            fn from(object: $kind) -> Self {
                Self::$kind(Arc::new(object))
            }
        })*

        impl Serialize for Object {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self { $(Self::$kind(object) => object.serialize(serializer),)* }
            }
        }

        pub(super) fn decode_kind(kind: Kind, node: &Node<'_>, path: &Path<'_>, errors: &mut Vec<ObjectError>) -> Option<Object> {
            match kind {
                $(Kind::$kind => $kind::decode(node, How::Element, path, errors).map(Object::from),)*
            }
        }
    };
}

kinds! {
    /// `http.routers`
    HttpRouter: "http", "routers";
    /// `http.services`
    HttpService: "http", "services";
    /// `http.middlewares`
    HttpMiddleware: "http", "middlewares";
    /// `http.serversTransports`
    HttpServersTransport: "http", "serversTransports";
    /// `http.models`: what entry points add to their routers.
    HttpModel: "http", "models";
    /// `tcp.routers`
    TcpRouter: "tcp", "routers";
    /// `tcp.services`
    TcpService: "tcp", "services";
    /// `tcp.middlewares`
    TcpMiddleware: "tcp", "middlewares";
    /// `tcp.serversTransports`
    TcpServersTransport: "tcp", "serversTransports";
    /// What entry points add to their TCP routers; not in any source's vocabulary.
    TcpModel: "tcp", "(models)";
    /// `udp.routers`
    UdpRouter: "udp", "routers";
    /// `udp.services`
    UdpService: "udp", "services";
    /// `tls.options`
    TlsOptions: "tls", "options";
    /// `tls.stores`
    TlsStore: "tls", "stores";
    /// An item of `tls.certificates`, named by its `certFile` or, if that is PEM text, by its content's hash.
    TlsCertificate: "tls", "certificates";
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (section, collection) = self.place();
        write!(f, "{section}.{collection}")
    }
}

/// Which object: its kind and its name as declared, without a provider.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: Arc<str>,
}

impl ObjectKey {
    /// The key of an object.
    pub fn new(kind: Kind, name: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kind, self.name)
    }
}

/// One declaration of a source: the object, or every reason why there is none.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Hash of the declaration's kind, name and text, or where that is not known its tree. Equal hashes mean equal
    /// objects of one name; equal objects may have different hashes. That of a bad object is inverted: no reading
    /// recognises it.
    pub(super) content: ContentHash,
    /// The object or its errors, at least one.
    pub result: Result<Object, Arc<Vec<ObjectError>>>,
}

impl Declared {
    /// Whether the other is equal in all that counts, errors' places included.
    pub fn is_same(&self, other: &Self) -> bool {
        let are_good = self.result.is_ok() && other.result.is_ok();
        are_good && self.content == other.content || self.result == other.result
    }
}

impl PartialEq for Declared {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other)
    }
}

/// What a source declares.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// Every object that is declared, good or bad.
    pub objects: FxHashMap<ObjectKey, Declared>,
    /// What belongs to no object and is ignored, such as unknown top-level keys.
    pub warnings: Vec<ObjectError>,
    /// What belongs to no object and is wrong, such as `http.routerz`; the objects stand nevertheless.
    pub errors: Vec<ObjectError>,
    /// The hash of every declaration in the order of the text; empty if an object was declared twice.
    pub(super) order: Vec<ContentHash>,
}

impl Decoded {
    /// The declaration of an object, if there is one.
    pub fn get(&self, kind: Kind, name: &str) -> Option<&Declared> {
        self.objects.get(&ObjectKey::new(kind, name))
    }

    /// Adds objects that were refused before anything was decoded, and warnings. No reading can begin from the result:
    /// what was decoded is not what the source's text says.
    pub fn amended(
        mut self,
        rejected: Vec<(ObjectKey, Vec<ObjectError>)>,
        warnings: impl IntoIterator<Item = ObjectError>,
    ) -> Self {
        for (key, errors) in rejected {
            let content = ContentHash::of_text(key.kind as u8, &key.name).inverted();
            let result = Err(Arc::new(errors));
            self.objects.insert(key, Declared { content, result });
        }
        self.warnings.extend(warnings);
        self.order = Vec::new();
        self
    }

    /// Names the file in every problem, so that several files can be one source.
    pub fn in_file(&mut self, file: &Arc<str>) {
        let bad = self
            .objects
            .values_mut()
            .filter_map(|declared| declared.result.as_mut().err());
        for error in bad
            .flat_map(|errors| Arc::make_mut(errors).iter_mut())
            .chain(&mut self.warnings)
            .chain(&mut self.errors)
        {
            error.file = Some(Arc::clone(file));
        }
    }

    /// Every error of the source: those of its objects in the order of their keys, then its own.
    pub fn all_errors(&self) -> Vec<&ObjectError> {
        let mut bad: Vec<_> = self
            .objects
            .iter()
            .filter_map(|(key, declared)| Some((key, declared.result.as_ref().err()?)))
            .collect();
        bad.sort_unstable_by_key(|(key, _)| *key);
        bad.into_iter()
            .flat_map(|(_, errors)| &**errors)
            .chain(&self.errors)
            .collect()
    }
}
