//! What the planner knows of each object: its input, what it compiled to, and its status.

use std::ops::Deref;
use std::sync::Arc;

use crate::config::dynamic::HttpModel;
use crate::router::snapshot::{MiddlewareSlot, Route, ServiceSlot};
use crate::rules::Syntax;
use crate::service::{Service, StateId, Transport};

use super::input::Input;
use super::status::ObjectStatus;

/// The data of a node.
#[derive(Debug, Default)]
pub(super) struct Item {
    pub(super) input: Input,
    pub(super) outcome: Outcome,
    /// What the outcome does not say: errors and warnings. Most objects have none.
    pub(super) issues: Option<Box<Issues>>,
}

/// What is wrong with an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Issues {
    /// With its newest version's own text; an older version may be in force.
    pub(super) own: Vec<Box<str>>,
    /// With what it refers to; it is not in force.
    pub(super) references: Vec<Box<str>>,
    /// In force, but without effect.
    pub(super) warnings: Vec<Box<str>>,
}

/// What an object compiled to.
#[derive(Debug, Default)]
pub(super) enum Outcome {
    /// Nothing: it is absent, or of a kind that compiles to nothing.
    #[default]
    None,
    /// It is there but cannot be used, as its referrers are told.
    Failed(Box<str>),
    Transport(Arc<Transport>),
    Service(ServiceSlot, Arc<Service>),
    Middleware(Box<Leaf>),
    Chain(Arc<[Link]>),
    Model(Arc<HttpModel>),
    /// A router as models split it; at least one.
    Router(Instances),
}

/// A middleware that does something itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf {
    pub(super) link: Link,
    pub(super) state: StateId,
    /// Which type it is; another type is another state.
    pub(super) type_name: &'static str,
}

/// A step of a flattened chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) slot: MiddlewareSlot,
    pub(super) is_around: bool,
}

/// A router's instances. Most routers have one, which then needs no allocation of its own.
#[derive(Debug)]
pub(super) enum Instances {
    One(Instance),
    Many(Box<[Instance]>),
}

/// A router under one name.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) status: Arc<ObjectStatus>,
    /// In the tables of the status's entry points; `None` if it is disabled.
    pub(super) route: Option<Arc<Route>>,
    pub(super) is_tls: bool,
    /// What its rule was parsed as.
    pub(super) syntax: Syntax,
}

impl Default for Instances {
    fn default() -> Self {
        Self::Many(Box::default())
    }
}

impl Deref for Instances {
    type Target = [Instance];

    fn deref(&self) -> &[Instance] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl FromIterator<Instance> for Instances {
    fn from_iter<I: IntoIterator<Item = Instance>>(instances: I) -> Self {
        let mut instances = instances.into_iter();
        match (instances.next(), instances.next()) {
            (None, _) => Self::default(),
            (Some(one), None) => Self::One(one),
            (Some(one), Some(two)) => Self::Many([one, two].into_iter().chain(instances).collect()),
        }
    }
}

impl Issues {
    pub(super) fn boxed(self) -> Option<Box<Self>> {
        let is_empty =
            self.own.is_empty() && self.references.is_empty() && self.warnings.is_empty();
        (!is_empty).then(|| Box::new(self))
    }

    /// What the referrers of an object that cannot be used are told (Traefik: same, joined by commas).
    pub(super) fn failure(&self) -> Outcome {
        let texts: Vec<_> = self
            .references
            .iter()
            .chain(&self.own)
            .map(|text| &**text)
            .collect();
        Outcome::Failed(texts.join(", ").into())
    }

    /// All texts, worst first.
    pub(super) fn texts(&self) -> impl Iterator<Item = &Box<str>> {
        self.references
            .iter()
            .chain(&self.own)
            .chain(&self.warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::graph::Node;

    #[test]
    fn what_is_kept_of_an_object_is_small() {
        assert_eq!(size_of::<Instance>(), 24);
        assert_eq!(size_of::<Outcome>(), 24);
        assert_eq!(size_of::<Item>(), 64);
        assert_eq!(size_of::<Node<Item>>(), 120);
    }
}
