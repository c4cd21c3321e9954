//! What of the static configuration matters to compilation.

use std::sync::Arc;

use crate::config::dynamic::{HttpRouter, Kind};
use crate::rules::Syntax;
use crate::service::{Internal, Transport};

use super::graph::{Graph, NodeId};
use super::item::Item;
use super::status::EntryPointSet;

/// What of the static configuration matters to compilation.
#[derive(Clone, Debug)]
pub struct PlanSettings {
    /// Entry points that take HTTP, in the order of [`Snapshot::entry_points`](crate::router::snapshot::Snapshot::entry_points).
    pub entry_points: Vec<Arc<str>>,
    /// Entry points of routers that name none, sorted.
    pub default_entry_points: Vec<Arc<str>>,
    /// Providers from most to least preferred, for routers of equal priority; others come after these.
    pub precedence: Vec<Arc<str>>,
    /// Syntax of rules whose router does not say (Traefik: `core.defaultRuleSyntax`).
    pub default_rule_syntax: Syntax,
    /// The transport of services that name none (Traefik: static `serversTransport`).
    pub default_transport: Transport,
    /// Services that the program itself offers, by name without provider, such as `ping`.
    pub internal_services: Vec<(Arc<str>, Internal)>,
    /// Whether requests to internal services are logged (Traefik: `accessLog.addInternals`).
    pub log_internals: bool,
    /// Reads a file that a middleware names, such as basicAuth's `usersFile`.
    pub read_file: ReadFile,
    /// Compare every change with a compilation from scratch, and log any difference. Costs O(everything).
    pub verify_incremental: bool,
}

impl Default for PlanSettings {
    fn default() -> Self {
        Self {
            entry_points: Vec::new(),
            default_entry_points: Vec::new(),
            precedence: Vec::new(),
            default_rule_syntax: Syntax::V3,
            default_transport: Transport::default(),
            internal_services: vec![("noop".into(), Internal::Noop)],
            log_internals: false,
            read_file: |path| std::fs::read_to_string(path),
            verify_incremental: false,
        }
    }
}

/// Reads a text file.
pub type ReadFile = fn(&str) -> std::io::Result<String>;

/// Entry points by name, and the sets that most routers share.
#[derive(Debug)]
pub(super) struct EntryPoints {
    names: Vec<Arc<str>>,
    model_nodes: Vec<NodeId>,
    singles: Vec<Arc<EntryPointSet>>,
    default: Arc<EntryPointSet>,
    pub(super) default_syntax: Syntax,
}

impl EntryPoints {
    pub(super) fn new(settings: &PlanSettings, graph: &mut Graph<Item>) -> Self {
        let mut entry_points = Self {
            names: settings.entry_points.clone(),
            model_nodes: Vec::new(),
            singles: Vec::new(),
            default: Arc::default(),
            default_syntax: settings.default_rule_syntax,
        };
        for name in &settings.entry_points {
            let node = graph.intern(Kind::HttpModel, &format!("{name}@internal"));
            graph.pin(node);
            entry_points.model_nodes.push(node);
            let single = entry_points.build(vec![Arc::clone(name)]);
            entry_points.singles.push(Arc::new(single));
        }
        entry_points.default = Arc::new(entry_points.build(settings.default_entry_points.clone()));
        entry_points
    }

    /// The entry points that a router asks for, or the default ones.
    pub(super) fn of(&self, config: &HttpRouter) -> Arc<EntryPointSet> {
        match &*config.entry_points {
            [] => Arc::clone(&self.default),
            [one] => match self.place(one) {
                Some(place) => self.single(place),
                None => Arc::new(self.build(vec![(&**one).into()])),
            },
            several => self.set(several.iter().map(|name| self.shared(name)).collect()),
        }
    }

    /// A set of entry points.
    pub(super) fn set(&self, names: Vec<Arc<str>>) -> Arc<EntryPointSet> {
        let set = self.build(names);
        if set == *self.default {
            return Arc::clone(&self.default);
        }
        Arc::new(set)
    }

    /// The set of one entry point.
    pub(super) fn single(&self, place: u16) -> Arc<EntryPointSet> {
        Arc::clone(&self.singles[usize::from(place)])
    }

    /// Where an entry point is.
    pub(super) fn place(&self, name: &str) -> Option<u16> {
        let place = self.names.iter().position(|known| **known == *name)?;
        u16::try_from(place).ok()
    }

    /// The node of an entry point's model.
    pub(super) fn model_node(&self, place: u16) -> NodeId {
        self.model_nodes[usize::from(place)]
    }

    fn shared(&self, name: &str) -> Arc<str> {
        match self.place(name) {
            Some(place) => Arc::clone(&self.names[usize::from(place)]),
            None => name.into(),
        }
    }

    fn build(&self, names: Vec<Arc<str>>) -> EntryPointSet {
        let mut unique: Vec<Arc<str>> = Vec::with_capacity(names.len());
        for name in names {
            if !unique.contains(&name) {
                unique.push(name);
            }
        }
        let mut using: Vec<_> = unique
            .iter()
            .filter(|name| self.place(name).is_some())
            .cloned()
            .collect();
        using.sort_unstable();
        EntryPointSet {
            places: using.iter().filter_map(|name| self.place(name)).collect(),
            names: unique.into(),
            using: using.into(),
        }
    }
}

impl EntryPointSet {
    pub(super) fn places(&self) -> impl Iterator<Item = u16> + '_ {
        self.places.iter().copied()
    }
}
