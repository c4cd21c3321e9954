//! One application of a change: from what is marked to compiled, linked, published objects.
//!
//! The stages follow the direction of references (transports, services, middlewares, chains, models,
//! routers). A stage marks a referrer only if what the referrer sees has changed, so marks stop where
//! effects do.

mod middlewares;
mod routers;
mod services;
mod statuses;

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::config::dynamic::Kind;
use crate::router::snapshot::Route;

use super::graph::NodeId;
use super::status::UsedBy;
use super::{Message, Planner, Work};

/// What a change has marked and done so far.
#[derive(Debug, Default)]
pub(super) struct Pass {
    transports: Marks,
    services: Marks,
    middlewares: Marks,
    chains: Marks,
    models: Marks,
    others: Marks,
    pub(super) routers: Marks,
    statuses: Marks,
    /// Nodes that may not be needed any more.
    orphans: Vec<NodeId>,
    /// Objects and the routers that ceased to name them.
    ended_uses: Vec<(NodeId, Arc<str>)>,
    /// Objects and the routers that began to name them.
    begun_uses: Vec<(NodeId, Arc<str>)>,
    /// Objects whose users changed, with the new ones.
    used_by: FxHashMap<NodeId, UsedBy>,
    /// Only if most routes change: what becomes whole tables at once.
    bulk: Option<Bulk>,
    pub(super) is_snapshot_changed: bool,
    pub(super) log: Vec<Message>,
    pub(super) work: Work,
}

/// Changes of tables, by entry point and whether they are for TLS.
type Bulk = BTreeMap<(u16, bool), TableChange>;

/// What a table will have more and less.
#[derive(Debug, Default)]
struct TableChange {
    /// Each replaces one of equal order.
    added: Vec<Arc<Route>>,
    /// By address: the table keeps them alive until it is replaced.
    removed: FxHashSet<*const Route>,
}

/// Nodes to look at, each once, in the order in which they were marked.
#[derive(Debug, Default)]
pub(super) struct Marks {
    queue: Vec<NodeId>,
    done: usize,
    known: FxHashSet<NodeId>,
}

impl Marks {
    fn insert(&mut self, node: NodeId) {
        if self.known.insert(node) {
            self.queue.push(node);
        }
    }

    pub(super) fn extend(&mut self, nodes: impl Iterator<Item = NodeId>) {
        nodes.for_each(|node| self.insert(node));
    }

    /// How many are still to come.
    fn left(&self) -> usize {
        self.queue.len() - self.done
    }

    /// The next one; it stays known.
    fn next(&mut self) -> Option<NodeId> {
        let node = self.queue.get(self.done).copied()?;
        self.done += 1;
        Some(node)
    }
}

impl Pass {
    /// Marks an object whose input changed.
    pub(super) fn mark(&mut self, kind: Kind, node: NodeId) {
        match kind {
            Kind::HttpServersTransport => self.transports.insert(node),
            Kind::HttpService => self.services.insert(node),
            Kind::HttpMiddleware => self.middlewares.insert(node),
            Kind::HttpModel => self.models.insert(node),
            Kind::HttpRouter => self.routers.insert(node),
            _ => self.others.insert(node),
        }
        self.statuses.insert(node);
        self.orphans.push(node);
    }

    /// Counts a route that is put into a table or taken out.
    fn count_route(&mut self) {
        self.is_snapshot_changed = true;
        self.work.routes += 1;
    }
}

impl Planner {
    /// Runs all stages.
    pub(super) fn run(&mut self, pass: &mut Pass) {
        while let Some(node) = pass.transports.next() {
            self.compile_transport(node, pass);
        }
        while let Some(node) = pass.services.next() {
            self.compile_service(node, pass);
        }
        while let Some(node) = pass.middlewares.next() {
            self.compile_middleware(node, pass);
        }
        self.flatten_chains(pass);
        while let Some(node) = pass.models.next() {
            self.compile_model(node, pass);
        }
        while let Some(node) = pass.others.next() {
            self.take_other(node);
        }
        self.compile_routers(pass);
        self.apply_uses(pass);
        while let Some(node) = pass.statuses.next() {
            self.refresh_status(node, pass);
        }
        self.remove_orphans(pass);
    }

    /// Marks who refers to a node, because what they see of it changed.
    fn mark_referrers(&self, node: NodeId, pass: &mut Pass) {
        for referrer in self.graph.referrers(node) {
            match self.graph.node(referrer).kind {
                Kind::HttpService => pass.services.insert(referrer),
                Kind::HttpMiddleware if self.chains.contains_key(&referrer) => {
                    pass.chains.insert(referrer);
                }
                Kind::HttpMiddleware => pass.middlewares.insert(referrer),
                Kind::HttpRouter => pass.routers.insert(referrer),
                _ => {}
            }
            pass.statuses.insert(referrer);
        }
    }

    fn set_references(&mut self, node: NodeId, references: Vec<NodeId>, pass: &mut Pass) {
        self.graph.set_references(node, references, |target| {
            pass.statuses.insert(target);
            pass.orphans.push(target);
        });
    }

    fn remove_orphans(&mut self, pass: &mut Pass) {
        while let Some(node) = pass.orphans.pop() {
            let found = self.graph.node(node);
            let is_needed =
                found.data.input.is_present() || found.is_pinned || self.graph.is_referenced(node);
            if !is_needed && !self.graph.is_free(node) {
                // What is gone refers to nothing since its stage.
                self.graph.remove(node);
            }
        }
    }
}
