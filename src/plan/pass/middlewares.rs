//! Stages: middlewares and chains.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::config::dynamic::{Kind, Object};
use crate::plan::graph::NodeId;
use crate::plan::item::{Issues, Leaf, Link, Outcome};
use crate::plan::middleware::{self, Draft};
use crate::plan::names::{provider_of, qualify};
use crate::plan::{Planner, service_link};
use crate::router::snapshot::{MiddlewareSlot, NamedMiddleware, ServiceSlot};

use super::Pass;

impl Planner {
    pub(super) fn compile_middleware(&mut self, node: NodeId, pass: &mut Pass) {
        pass.work.compiled += 1;
        let before_links: Result<Box<[Link]>, _> =
            middleware::links(&self.graph, node).map(Box::from);
        let name = Arc::clone(&self.graph.node(node).name);
        let read_file = self.settings.read_file;
        let item = self.graph.data_mut(node);
        let chosen = item.input.choose(|object| match object {
            Object::HttpMiddleware(config) => middleware::compile(config, read_file),
            _ => unreachable!("a middleware's node holds middlewares"),
        });
        let before = match std::mem::take(&mut item.outcome) {
            Outcome::Middleware(leaf) => Some(*leaf),
            _ => None,
        };
        let mut issues = Issues {
            own: chosen.errors,
            ..Issues::default()
        };
        let mut references = Vec::new();
        let mut outcome = Outcome::None;
        self.chains.remove(&node);
        if let Some(compiled) = chosen.compiled {
            issues.warnings = compiled.warnings;
            match compiled.value {
                Draft::Chain(members) => {
                    references = self.members(&name, &members);
                    self.chains.insert(node, members);
                    pass.chains.insert(node);
                }
                Draft::Leaf(leaf) => {
                    match self.find_service(&name, leaf.service, &mut references) {
                        Err(error) => issues.references.push(error),
                        Ok(service) => {
                            let known = before.filter(|before| before.type_name == leaf.type_name);
                            let is_same = known.is_some_and(|known| {
                                self.is_in_force(&name, chosen.object.as_ref(), known, service)
                            });
                            let leaf = match known {
                                Some(known) if is_same => known,
                                _ => {
                                    let state = known.map(|known| known.state);
                                    let named = NamedMiddleware {
                                        name: Arc::clone(&name),
                                        state: state.unwrap_or_else(|| self.identities.state()),
                                        middleware: leaf.middleware,
                                        service,
                                    };
                                    self.place_middleware(named, before, leaf.type_name, pass)
                                }
                            };
                            outcome = Outcome::Middleware(Box::new(leaf));
                        }
                    }
                }
            }
        }
        if let Some(leaf) = before {
            self.end_middleware(leaf, &outcome, pass);
        }
        let item = self.graph.data_mut(node);
        if matches!(outcome, Outcome::None) && item.input.is_present() {
            // For a chain only until it is flattened.
            outcome = issues.failure();
        }
        item.outcome = outcome;
        item.issues = issues.boxed();
        self.set_references(node, references, pass);
        if middleware::links(&self.graph, node).map(Box::from) != before_links {
            self.mark_referrers(node, pass);
        }
    }

    /// Whether a middleware that was compiled again is what the snapshot holds already.
    fn is_in_force(
        &self,
        name: &Arc<str>,
        object: Option<&Object>,
        known: Leaf,
        service: Option<ServiceSlot>,
    ) -> bool {
        let published = self.published.objects.get(Kind::HttpMiddleware, name);
        let placed = self.snapshot.middleware(known.link.slot);
        published.is_some_and(|published| published.object.as_ref() == object)
            && placed.is_some_and(|placed| placed.service == service)
    }

    fn members(&mut self, chain: &str, members: &[Box<str>]) -> Vec<NodeId> {
        let provider = provider_of(chain);
        let names = members.iter().map(|member| qualify(member, provider));
        names
            .map(|name| self.graph.intern(Kind::HttpMiddleware, &name))
            .collect()
    }

    fn find_service(
        &mut self,
        referrer: &str,
        service: Option<Box<str>>,
        references: &mut Vec<NodeId>,
    ) -> Result<Option<ServiceSlot>, Box<str>> {
        let Some(service) = service else {
            return Ok(None);
        };
        let name = qualify(&service, provider_of(referrer));
        let node = self.graph.intern(Kind::HttpService, &name);
        references.push(node);
        service_link(&self.graph, node).map(Some)
    }

    fn place_middleware(
        &mut self,
        named: NamedMiddleware,
        before: Option<Leaf>,
        type_name: &'static str,
        pass: &mut Pass,
    ) -> Leaf {
        pass.is_snapshot_changed = true;
        pass.work.slots += 1;
        let is_around = named.middleware.is_around();
        let state = named.state;
        let middlewares = &mut self.snapshot.middlewares;
        let slot = before
            .map(|leaf| leaf.link.slot.0)
            .or_else(|| self.slots.middlewares.pop());
        let slot = slot.unwrap_or_else(|| {
            middlewares.push_back(None);
            u32::try_from(middlewares.len() - 1).expect("fewer than 2^32 middlewares")
        });
        middlewares.set(slot as usize, Some(Arc::new(named)));
        Leaf {
            link: Link {
                slot: MiddlewareSlot(slot),
                is_around,
            },
            state,
            type_name,
        }
    }

    /// Ends what is left of a middleware's former self.
    fn end_middleware(&mut self, before: Leaf, outcome: &Outcome, pass: &mut Pass) {
        let now = match outcome {
            Outcome::Middleware(leaf) => Some(leaf),
            _ => None,
        };
        if now.is_none_or(|leaf| leaf.state != before.state) {
            self.identities.end_state(before.state);
        }
        if now.is_none() {
            let slot = before.link.slot.0;
            self.snapshot.middlewares.set(slot as usize, None);
            self.slots.middlewares.push(slot);
            pass.is_snapshot_changed = true;
            pass.work.slots += 1;
        }
    }

    /// Flattens the marked chains and all chains above them, since a cycle or a limit shows only from there.
    pub(super) fn flatten_chains(&mut self, pass: &mut Pass) {
        let mut dirty = Vec::new();
        while let Some(node) = pass.chains.next() {
            dirty.push(node);
        }
        let mut known: FxHashSet<NodeId> = dirty.iter().copied().collect();
        let mut at = 0;
        while at < dirty.len() {
            let above = self
                .graph
                .referrers(dirty[at])
                .filter(|above| self.chains.contains_key(above));
            let above: Vec<_> = above.filter(|&above| known.insert(above)).collect();
            dirty.extend(above);
            at += 1;
        }
        for node in dirty {
            if !self.chains.contains_key(&node) {
                continue;
            }
            pass.work.resolved += 1;
            let before: Result<Box<[Link]>, _> =
                middleware::links(&self.graph, node).map(Box::from);
            let result = middleware::flatten(&self.graph, node, &self.chains);
            let item = self.graph.data_mut(node);
            let mut issues = item.issues.take().map(|issues| *issues).unwrap_or_default();
            issues.references.clear();
            item.outcome = match result {
                Ok(links) => Outcome::Chain(links),
                Err(error) => {
                    issues.references.push(error);
                    issues.failure()
                }
            };
            item.issues = issues.boxed();
            pass.statuses.insert(node);
            if middleware::links(&self.graph, node).map(Box::from) != before {
                self.mark_referrers(node, pass);
            }
        }
    }
}
