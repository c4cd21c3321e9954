//! A Traefik 1 tree: converted as a whole whenever it changes, and compared object by object.

use std::sync::Arc;

use super::units::{Group, Units};
use super::{borrowed, owned};
use crate::config::decode::ObjectError;
use crate::config::dynamic::Decoded;
use crate::config::kv::former_tree;
use crate::config::tree::Node;
use crate::config::v1::{self, Context, Origin};
use crate::watcher::{Entry, Objects};

/// Converts a tree `{frontends: {…}, backends: {…}, tls: {…}}` into today's objects.
pub type Convert = fn(&Node<'_>, &Context) -> Decoded;

/// The conversion in use.
pub const CONVERT: Convert = |tree, context| v1::convert_tree(tree, Origin::Store, context);

/// What a Traefik 1 tree declares.
#[derive(Debug)]
pub struct FormerTree {
    convert: Convert,
    context: Arc<Context>,
    objects: Objects,
    problems: Vec<ObjectError>,
}

impl FormerTree {
    /// No tree.
    pub const fn new(convert: Convert, context: Arc<Context>) -> Self {
        Self {
            convert,
            context,
            objects: Objects::new(),
            problems: Vec::new(),
        }
    }

    /// What is wrong and belongs to no object.
    pub fn problems(&self) -> &[ObjectError] {
        &self.problems
    }

    /// Converts the tree anew; without units there is none. Returns what it declared before, and what it declares.
    pub fn change(&mut self, units: Option<&Units>) -> (Objects, Objects) {
        self.problems.clear();
        let new = units.map(|units| self.converted(units)).unwrap_or_default();
        let old = std::mem::replace(&mut self.objects, new.clone());
        (old, new)
    }

    fn converted(&mut self, units: &Units) -> Objects {
        let mut all = Vec::new();
        let is_former = |group| matches!(group, Group::Former(_));
        for unit in units.iter().filter(|unit| is_former(unit.id().group())) {
            let pairs = unit.pairs.read(|pairs| {
                let pairs = pairs.iter().map(|pair| owned(pair.key, pair.value));
                pairs.collect::<Vec<_>>()
            });
            all.extend(pairs);
        }
        all.sort();
        let pairs: Vec<_> = all.iter().map(borrowed).collect();
        let (tree, errors) = former_tree(&pairs);
        let decoded = (self.convert)(&tree, &self.context);
        self.problems = errors;
        self.problems.extend(decoded.errors);
        self.problems.extend(decoded.warnings);
        let objects = decoded.objects.into_iter().map(|(key, declared)| {
            let entry = match declared.result {
                Ok(object) => Entry::Present(object),
                Err(errors) => Entry::Rejected(errors),
            };
            (key, entry)
        });
        objects.collect()
    }
}
