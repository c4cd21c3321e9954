//! Building today's tree: maps whose empty fields are left out, and the objects of a conversion by kind.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::config::tree::{Entry, Node, Position, Value};

/// A map that is being written.
#[derive(Clone, Default)]
pub(super) struct Map(Vec<Entry<'static>>);

impl Map {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value.
    pub fn node(mut self, key: impl Into<String>, node: Node<'static>) -> Self {
        self.push(key, node);
        self
    }

    /// Adds a value in place.
    pub fn push(&mut self, key: impl Into<String>, node: Node<'static>) {
        self.0.push(Entry {
            key: Cow::Owned(key.into()),
            at: node.at,
            node,
        });
    }

    /// Adds a text.
    pub fn text(self, key: &str, text: impl ToString) -> Self {
        self.node(key, Node::scalar(text.to_string()))
    }

    /// Adds a text if there is one.
    pub fn some(self, key: &str, text: Option<impl ToString>) -> Self {
        match text {
            Some(text) => self.text(key, text),
            None => self,
        }
    }

    /// Adds `true` if it is.
    pub fn flag(self, key: &str, is_on: bool) -> Self {
        if is_on { self.text(key, true) } else { self }
    }

    /// Adds a list unless it is empty.
    pub fn list(self, key: &str, texts: Vec<String>) -> Self {
        if texts.is_empty() {
            return self;
        }
        let items = texts.into_iter().map(Node::scalar).collect();
        self.node(key, Node::list(items))
    }

    /// Adds a map of texts unless it is empty.
    pub fn texts(self, key: &str, texts: Vec<(String, String)>) -> Self {
        if texts.is_empty() {
            return self;
        }
        let mut map = Self::new();
        for (name, text) in texts {
            map.push(name, Node::scalar(text));
        }
        self.node(key, map.done())
    }

    /// Adds a map unless it is empty.
    pub fn filled(self, key: &str, map: Self) -> Self {
        if map.is_empty() {
            self
        } else {
            self.node(key, map.done())
        }
    }

    /// Both maps' fields.
    pub fn and(mut self, mut other: Self) -> Self {
        self.0.append(&mut other.0);
        self
    }

    /// Makes one map of all that have this key.
    pub fn merge(&mut self, key: &str) {
        let (same, mut others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|entry| entry.key == key);
        let mut merged = Vec::new();
        for entry in same {
            if let Value::Map(mut entries) = entry.node.value {
                merged.append(&mut entries);
            }
        }
        if !merged.is_empty() {
            others.push(Entry {
                key: Cow::Owned(key.to_owned()),
                at: Position::NONE,
                node: Node::new(Value::Map(merged)),
            });
        }
        self.0 = others;
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The map as a tree.
    pub fn done(self) -> Node<'static> {
        Node::new(Value::Map(self.0))
    }

    /// An object with one field: `{type: {…}}`.
    pub fn only(key: &str, map: Self) -> Node<'static> {
        Self::new().node(key, map.done()).done()
    }
}

/// The objects that a conversion makes.
#[derive(Default)]
pub(super) struct Objects {
    pub routers: Map,
    pub services: Map,
    /// Services that several frontends may ask for.
    pub variants: BTreeMap<String, Node<'static>>,
    pub middlewares: Map,
    pub transports: Map,
    pub certificates: Vec<Node<'static>>,
    /// `tls.options` and `tls.stores`.
    pub tls: Map,
}

impl Objects {
    /// Adds a middleware and returns its name.
    pub fn middleware(&mut self, name: String, at: Position, node: Node<'static>) -> String {
        self.middlewares.push(name.clone(), node.at(at));
        name
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        let maps = [
            &self.routers,
            &self.services,
            &self.middlewares,
            &self.transports,
            &self.tls,
        ];
        maps.iter().all(|map| map.is_empty())
            && self.variants.is_empty()
            && self.certificates.is_empty()
    }

    /// Moves everything of the other one here.
    pub fn append(&mut self, mut other: Self) {
        self.routers.0.append(&mut other.routers.0);
        self.services.0.append(&mut other.services.0);
        self.variants.append(&mut other.variants);
        self.middlewares.0.append(&mut other.middlewares.0);
        self.transports.0.append(&mut other.transports.0);
        self.certificates.append(&mut other.certificates);
        self.tls.0.append(&mut other.tls.0);
    }

    /// The whole as a dynamic configuration.
    pub fn into_tree(mut self) -> Node<'static> {
        for (name, service) in self.variants {
            self.services.push(name, service);
        }
        let http = Map::new()
            .filled("routers", self.routers)
            .filled("services", self.services)
            .filled("middlewares", self.middlewares)
            .filled("serversTransports", self.transports);
        let mut tls = self.tls;
        if !self.certificates.is_empty() {
            tls.push("certificates", Node::list(self.certificates));
        }
        Map::new().filled("http", http).filled("tls", tls).done()
    }
}
