//! One application of a change: from what is marked to compiled, linked, published objects.
//!
//! The stages follow the direction of references (transports, services, middlewares, chains, models,
//! routers). A stage marks a referrer only if what the referrer sees has changed, so marks stop where
//! effects do.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::config::dynamic::{HttpMiddleware, Kind, Object};
use crate::router::RouteOrder;
use crate::router::snapshot::{MiddlewareSlot, NamedMiddleware, Route, ServiceSlot};
use crate::rules::Rule;
use crate::service::{Service, Transport};

use super::graph::NodeId;
use super::item::{Instance, Issues, Item, Leaf, Link, Outcome, RouterOutcome};
use super::middleware::{self, Draft as MiddlewareDraft};
use super::names::{provider_of, qualify};
use super::router::{self, Draft as RouterDraft, Split};
use super::status::{ObjectStatus, Status, UsedBy};
use super::{Level, Message, Planner, Work, service, service_link, transport};

/// What a change has marked and done so far.
#[derive(Debug, Default)]
pub(super) struct Pass {
    transports: Marks,
    services: Marks,
    middlewares: Marks,
    chains: Marks,
    models: Marks,
    pub(super) routers: Marks,
    statuses: Marks,
    /// Nodes that may not be needed any more.
    orphans: Vec<NodeId>,
    /// Routers that began (true) or ceased to name an object.
    uses: Vec<(NodeId, Arc<str>, bool)>,
    pub(super) is_snapshot_changed: bool,
    pub(super) log: Vec<Message>,
    pub(super) work: Work,
}

/// Nodes to look at, each once, in the order in which they were marked.
#[derive(Debug, Default)]
pub(super) struct Marks {
    queue: Vec<NodeId>,
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

    /// Those marked since the last call; they stay known.
    fn take(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.queue)
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
            _ => {}
        }
        self.statuses.insert(node);
        self.orphans.push(node);
    }

    /// Marks a node whose place in others' view changed.
    fn mark_dependant(&mut self, kind: Kind, node: NodeId, item: &Item) {
        match kind {
            Kind::HttpService => self.services.insert(node),
            Kind::HttpMiddleware if matches!(item.input.shown(), Some(Object::HttpMiddleware(config)) if matches!(**config, HttpMiddleware::Chain(_))) =>
            {
                self.chains.insert(node);
            }
            Kind::HttpMiddleware => self.middlewares.insert(node),
            Kind::HttpRouter => self.routers.insert(node),
            _ => {}
        }
        self.statuses.insert(node);
    }
}

impl Planner {
    /// Runs all stages.
    pub(super) fn run(&mut self, pass: &mut Pass) {
        for node in pass.transports.take() {
            self.compile_transport(node, pass);
        }
        for node in pass.services.take() {
            self.compile_service(node, pass);
        }
        for node in pass.middlewares.take() {
            self.compile_middleware(node, pass);
        }
        self.flatten_chains(pass);
        for node in pass.models.take() {
            self.compile_model(node, pass);
        }
        self.compile_routers(pass);
        self.apply_uses(pass);
        for node in pass.statuses.take() {
            self.refresh_status(node, pass);
        }
        self.remove_orphans(pass);
    }

    fn mark_referrers(&mut self, node: NodeId, pass: &mut Pass) {
        for referrer in self.graph.referrers(node) {
            let dependant = self.graph.node(referrer);
            pass.mark_dependant(dependant.kind, referrer, &dependant.data);
        }
    }

    fn set_references(&mut self, node: NodeId, references: Vec<NodeId>, pass: &mut Pass) {
        self.graph.set_references(node, references, |target| {
            pass.statuses.insert(target);
            pass.orphans.push(target);
        });
    }

    fn compile_transport(&mut self, node: NodeId, pass: &mut Pass) {
        pass.work.compiled += 1;
        let name = Arc::clone(&self.graph.node(node).name);
        let item = self.graph.data_mut(node);
        let chosen = item.input.choose(|object| match object {
            Object::HttpServersTransport(config) => transport::compile(&name, config),
            _ => unreachable!("a transport's node holds transports"),
        });
        let (value, warnings) = chosen.compiled.map_or((None, Vec::new()), |compiled| {
            (Some(compiled.value), compiled.warnings)
        });
        item.issues = Issues {
            own: chosen.errors,
            warnings,
            references: Vec::new(),
        }
        .boxed();
        let before = match std::mem::take(&mut item.outcome) {
            Outcome::Transport(transport) => Some(transport),
            _ => None,
        };
        let is_same = before == value;
        item.outcome = value.map_or(Outcome::None, Outcome::Transport);
        if !is_same {
            self.mark_referrers(node, pass);
        }
    }

    fn compile_service(&mut self, node: NodeId, pass: &mut Pass) {
        let item = self.graph.data_mut(node);
        if !item.input.is_present() && item.pinned {
            return;
        }
        pass.work.compiled += 1;
        let before_link = service_link(&self.graph, node);
        let name = Arc::clone(&self.graph.node(node).name);
        let item = self.graph.data_mut(node);
        let chosen = item.input.choose(|object| match object {
            Object::HttpService(config) => service::compile(config),
            _ => unreachable!("a service's node holds services"),
        });
        let before = match std::mem::take(&mut item.outcome) {
            Outcome::Service(slot, service) => Some((slot, service)),
            _ => None,
        };
        let mut issues = Issues {
            own: chosen.errors,
            ..Issues::default()
        };
        let mut references = Vec::new();
        let mut linked = None;
        if let Some(compiled) = chosen.compiled {
            issues.warnings = compiled.warnings;
            match self.find_transport(&name, &compiled.value, &mut references) {
                Ok(transport) => linked = Some((compiled.value, transport)),
                Err(error) => issues.references.push(error),
            }
        }
        self.graph.data_mut(node).issues = issues.boxed();
        let outcome = match linked {
            Some((draft, transport)) => self.place_service(&name, draft, &transport, before, pass),
            None => {
                if let Some((slot, service)) = before {
                    self.end_service(slot, &service, pass);
                }
                Outcome::None
            }
        };
        self.graph.data_mut(node).outcome = outcome;
        self.set_references(node, references, pass);
        if service_link(&self.graph, node) != before_link {
            self.mark_referrers(node, pass);
        }
    }

    fn find_transport(
        &mut self,
        service: &str,
        draft: &service::Draft,
        references: &mut Vec<NodeId>,
    ) -> Result<Arc<Transport>, Box<str>> {
        let name = qualify(&draft.transport, provider_of(service));
        if draft.transport.is_empty() || name == "default@internal" {
            return Ok(Arc::clone(&self.default_transport));
        }
        let node = self
            .graph
            .intern(Kind::HttpServersTransport, &Arc::from(&*name));
        references.push(node);
        match &self.graph.data(node).outcome {
            Outcome::Transport(transport) => Ok(Arc::clone(transport)),
            _ => Err(format!("servers transport not found {name}").into()),
        }
    }

    fn place_service(
        &mut self,
        name: &Arc<str>,
        draft: service::Draft,
        transport: &Arc<Transport>,
        before: Option<(ServiceSlot, Arc<Service>)>,
        pass: &mut Pass,
    ) -> Outcome {
        let old = before.as_ref().map(|(_, service)| service);
        let service = service::link(name, draft, transport, old, &mut self.identities);
        if let Some((slot, old)) = &before
            && Arc::ptr_eq(old, &service)
        {
            return Outcome::Service(*slot, service);
        }
        pass.is_snapshot_changed = true;
        pass.work.slots += 1;
        let slot = self.put_service(before.map(|(slot, _)| slot), &service);
        Outcome::Service(slot, service)
    }

    fn end_service(&mut self, slot: ServiceSlot, service: &Arc<Service>, pass: &mut Pass) {
        service::release(service, &mut self.identities);
        self.identities.end_state(service.state);
        self.remove_service(slot);
        pass.is_snapshot_changed = true;
        pass.work.slots += 1;
    }

    fn compile_middleware(&mut self, node: NodeId, pass: &mut Pass) {
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
            Outcome::Middleware(leaf) => Some(leaf),
            _ => None,
        };
        let mut issues = Issues {
            own: chosen.errors,
            ..Issues::default()
        };
        let mut references = Vec::new();
        let mut outcome = Outcome::None;
        self.chains.remove(&node);
        match chosen.compiled {
            None => {}
            Some(compiled) => {
                issues.warnings = compiled.warnings;
                match compiled.value {
                    MiddlewareDraft::Chain(members) => {
                        references = self.members(&name, &members);
                        self.chains.insert(node, members);
                        pass.chains.insert(node);
                    }
                    MiddlewareDraft::Leaf {
                        middleware,
                        service,
                        type_name,
                    } => match self.find_service(&name, service, &mut references) {
                        Err(error) => issues.references.push(error),
                        Ok(service) => {
                            let known = before.filter(|leaf| leaf.type_name == type_name);
                            let named = NamedMiddleware {
                                name: Arc::clone(&name),
                                state: known
                                    .map_or_else(|| self.identities.state(), |leaf| leaf.state),
                                middleware,
                                service,
                            };
                            outcome = Outcome::Middleware(
                                self.place_middleware(named, before, type_name, pass),
                            );
                        }
                    },
                }
            }
        }
        if let Some(leaf) = before {
            self.end_middleware(leaf, &outcome, pass);
        }
        let item = self.graph.data_mut(node);
        item.outcome = outcome;
        item.issues = issues.boxed();
        self.set_references(node, references, pass);
        if middleware::links(&self.graph, node).map(Box::from) != before_links {
            self.mark_referrers(node, pass);
        }
    }

    fn members(&mut self, chain: &str, members: &[Box<str>]) -> Vec<NodeId> {
        let provider = provider_of(chain);
        let names = members
            .iter()
            .map(|member| Arc::from(&*qualify(member, provider)));
        names
            .map(|name: Arc<str>| self.graph.intern(Kind::HttpMiddleware, &name))
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
        let node = self.graph.intern(Kind::HttpService, &Arc::from(&*name));
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
    fn flatten_chains(&mut self, pass: &mut Pass) {
        let mut dirty = pass.chains.take();
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
                    Outcome::None
                }
            };
            item.issues = issues.boxed();
            pass.statuses.insert(node);
            if middleware::links(&self.graph, node).map(Box::from) != before {
                self.mark_referrers(node, pass);
            }
        }
    }

    fn compile_model(&mut self, node: NodeId, pass: &mut Pass) {
        let item = self.graph.data_mut(node);
        let model = match item.input.shown() {
            Some(Object::HttpModel(model)) => Some(Arc::clone(model)),
            _ => None,
        };
        item.outcome = model.map_or(Outcome::None, Outcome::Model);
        self.mark_referrers(node, pass);
    }

    /// Routers whose names may depend on other routers' are resolved after all names are known.
    fn compile_routers(&mut self, pass: &mut Pass) {
        let mut deferred = Vec::new();
        let mut marked = pass.routers.take();
        while !marked.is_empty() {
            for node in marked {
                let draft = self.draft_router(node, pass);
                if draft.splits.iter().any(|split| split.is_generated) {
                    deferred.push(draft);
                } else {
                    self.place_router(draft, pass);
                }
            }
            marked = pass.routers.take();
        }
        for mut draft in deferred {
            let router = Arc::clone(&self.graph.node(draft.node).name);
            draft.splits.retain(|split| {
                let is_lost = split.is_generated && self.is_lost(draft.node, &split.name);
                let key = (Arc::clone(&split.name), Arc::clone(&router));
                if is_lost {
                    self.lost_names.insert(key, ());
                } else {
                    self.lost_names.remove(&key);
                }
                !is_lost
            });
            self.place_router(draft, pass);
        }
    }

    /// A generated name goes to the router that is declared under it, else to the first by name of those
    /// that models would give it.
    fn is_lost(&self, router: NodeId, name: &Arc<str>) -> bool {
        let Some(node) = self.graph.find(Kind::HttpRouter, name) else {
            return false;
        };
        let own_name = &self.graph.node(router).name;
        let mut others = self
            .graph
            .referrers(node)
            .map(|other| &self.graph.node(other).name);
        self.graph.data(node).input.is_present() || others.any(|other| other < own_name)
    }

    fn draft_router(&mut self, node: NodeId, pass: &mut Pass) -> RouterPlan {
        pass.work.compiled += 1;
        let name = Arc::clone(&self.graph.node(node).name);
        let item = self.graph.data(node);
        let known: Option<(Arc<Rule>, _)> = match &item.outcome {
            Outcome::Router(outcome) => {
                let mut routes = outcome
                    .instances
                    .iter()
                    .filter_map(|instance| instance.route.as_ref());
                routes
                    .next()
                    .map(|route| (Arc::clone(&route.rule), outcome.syntax))
            }
            _ => None,
        };
        let mut input = item.input.clone();
        let chosen = input.choose(|object| {
            let Object::HttpRouter(config) = object else {
                unreachable!("a router's node holds routers");
            };
            let syntax = router::syntax(config, &self.entry_points, &self.graph);
            router::compile(
                &name,
                config,
                syntax,
                known.as_ref().map(|(rule, syntax)| (rule, *syntax)),
            )
        });
        let shown = match (&chosen.compiled, input.shown()) {
            (Some(compiled), _) => Some(Arc::clone(&compiled.value.config)),
            (None, Some(Object::HttpRouter(config))) => Some(Arc::clone(config)),
            _ => None,
        };
        let splits = match &shown {
            Some(config) => router::split(&name, config, &self.entry_points, &self.graph),
            None if input.is_present() => vec![Split {
                name: Arc::clone(&name),
                entry_points: Arc::default(),
                model: None,
                is_generated: false,
            }],
            None => Vec::new(),
        };
        let references = shown.map_or_else(Vec::new, |config| {
            self.router_references(&config, &name, &splits)
        });
        let item = self.graph.data_mut(node);
        item.input = input;
        let issues = Issues {
            own: chosen.errors,
            ..Issues::default()
        };
        self.set_router_references(node, references, pass);
        RouterPlan {
            node,
            draft: chosen.compiled.map(|compiled| compiled.value),
            splits,
            issues,
        }
    }

    fn router_references(
        &mut self,
        config: &crate::config::dynamic::HttpRouter,
        name: &str,
        splits: &[Split],
    ) -> Vec<NodeId> {
        let provider = provider_of(name);
        let places = self.entry_points.of(config);
        let mut references: Vec<_> = places
            .places()
            .map(|place| self.entry_points.model_node(place))
            .collect();
        for split in splits {
            for (kind, name) in router::references(config, split.model.as_deref(), provider) {
                references.push(self.graph.intern(kind, &name));
            }
            if split.is_generated {
                references.push(self.graph.intern(Kind::HttpRouter, &split.name));
            }
        }
        references
    }

    fn set_router_references(&mut self, node: NodeId, references: Vec<NodeId>, pass: &mut Pass) {
        let mut changed = Vec::new();
        self.graph
            .set_references(node, references, |target| changed.push(target));
        for target in changed {
            pass.statuses.insert(target);
            pass.orphans.push(target);
            if self.graph.node(target).kind == Kind::HttpRouter {
                // Who else claims this name may now get it, or lose it.
                pass.routers.extend(self.graph.referrers(target));
                self.lost_names.remove(&(
                    Arc::clone(&self.graph.node(target).name),
                    Arc::clone(&self.graph.node(node).name),
                ));
            }
        }
    }

    /// Resolves a router's references and puts the difference into the tables.
    fn place_router(&mut self, plan: RouterPlan, pass: &mut Pass) {
        pass.work.resolved += 1;
        let before = match std::mem::take(&mut self.graph.data_mut(plan.node).outcome) {
            Outcome::Router(outcome) => *outcome,
            _ => RouterOutcome::default(),
        };
        let find = |name: &Arc<str>| {
            before
                .instances
                .iter()
                .find(|instance| instance.status.name == *name)
        };
        let shown = self.graph.data(plan.node).input.shown();
        let instances: Box<[Instance]> = plan
            .splits
            .iter()
            .map(|split| match &plan.draft {
                Some(draft) => router::resolve(
                    draft,
                    split,
                    &plan.issues,
                    self.settings.log_internals,
                    &self.graph,
                    find(&split.name),
                ),
                None => router::disabled(split, shown, &plan.issues),
            })
            .collect();
        for old in &before.instances {
            let now = instances
                .iter()
                .find(|now| now.status.name == old.status.name);
            self.update_tables(Some(old), now, pass);
            if now.is_none() {
                self.publish_router(&old.status.name, None, pass);
            }
        }
        for now in &instances {
            let old = find(&now.status.name);
            if old.is_none() {
                self.update_tables(None, Some(now), pass);
            }
            if old.is_none_or(|old| !Arc::ptr_eq(&old.status, &now.status)) {
                self.publish_router(&now.status.name, Some(&now.status), pass);
            }
        }
        self.update_uses(&before.instances, &instances, pass);
        if instances.is_empty() {
            return;
        }
        let outcome = RouterOutcome {
            syntax: plan.draft.map_or(before.syntax, |draft| draft.syntax),
            instances,
        };
        self.graph.data_mut(plan.node).outcome = Outcome::Router(Box::new(outcome));
    }

    fn update_tables(&mut self, old: Option<&Instance>, now: Option<&Instance>, pass: &mut Pass) {
        let old_places = places(old);
        let new_places = places(now);
        for place in old_places
            .iter()
            .filter(|place| !new_places.contains(place))
        {
            // An equal order replaces the old route, so that the place is never empty in between.
            if !new_places.iter().any(|new| {
                new.entry_point == place.entry_point
                    && new.is_tls == place.is_tls
                    && self.order(new.route) == self.order(place.route)
            }) {
                self.table(place, pass, |table, order| {
                    table.remove(&order);
                });
            }
        }
        for place in new_places
            .iter()
            .filter(|place| !old_places.contains(place))
        {
            let route = Arc::clone(place.route);
            self.table(place, pass, |table, order| {
                table.insert(order, Arc::clone(&route.rule), route);
            });
        }
    }

    fn table(
        &mut self,
        place: &Place<'_>,
        pass: &mut Pass,
        change: impl FnOnce(&mut crate::router::RouteTable<Arc<Route>>, RouteOrder),
    ) {
        pass.is_snapshot_changed = true;
        pass.work.routes += 1;
        let order = self.order(place.route);
        if let Some(routes) = self
            .snapshot
            .entry_points
            .get_mut(usize::from(place.entry_point))
        {
            change(
                if place.is_tls {
                    &mut routes.https
                } else {
                    &mut routes.http
                },
                order,
            );
        }
    }

    fn order(&self, route: &Route) -> RouteOrder {
        RouteOrder {
            priority: route.priority,
            provider_rank: self
                .precedence
                .get(provider_of(&route.name))
                .copied()
                .unwrap_or(u16::MAX),
            name: Arc::clone(&route.name),
        }
    }

    fn publish_router(
        &mut self,
        name: &Arc<str>,
        status: Option<&Arc<ObjectStatus>>,
        pass: &mut Pass,
    ) {
        let key = (Kind::HttpRouter, Arc::clone(name));
        let before = match status {
            Some(status) => self.published.objects.insert(key, Arc::clone(status)),
            None => self.published.objects.remove(&key),
        };
        pass.work.statuses += 1;
        log_difference(
            before.as_deref(),
            status.map(|status| &**status),
            &mut pass.log,
        );
    }

    /// Notes who began and ceased to be used by a router.
    fn update_uses(&mut self, before: &[Instance], now: &[Instance], pass: &mut Pass) {
        let (before, now) = (self.uses(before), self.uses(now));
        if before == now {
            return;
        }
        pass.uses
            .extend(before.into_iter().map(|(node, name)| (node, name, false)));
        pass.uses
            .extend(now.into_iter().map(|(node, name)| (node, name, true)));
    }

    fn uses(&self, instances: &[Instance]) -> Vec<(NodeId, Arc<str>)> {
        let mut uses = Vec::new();
        for instance in instances {
            let status = &instance.status;
            let (Some(Object::HttpRouter(config)), Some(detail)) = (&status.object, &status.router)
            else {
                continue;
            };
            for (kind, name) in
                router::references(config, detail.model.as_deref(), status.provider())
            {
                uses.extend(
                    self.graph
                        .find(kind, &name)
                        .map(|node| (node, Arc::clone(&status.name))),
                );
            }
        }
        uses
    }

    fn apply_uses(&mut self, pass: &mut Pass) {
        let mut uses: FxHashMap<NodeId, UsedBy> = FxHashMap::default();
        for (node, router, begins) in pass.uses.drain(..) {
            let used_by = uses
                .entry(node)
                .or_insert_with(|| std::mem::take(&mut self.graph.data_mut(node).used_by));
            if begins {
                used_by.insert(&router);
            } else {
                used_by.remove(&router);
            }
        }
        for (node, used_by) in uses {
            self.graph.data_mut(node).used_by = used_by;
            pass.statuses.insert(node);
        }
    }

    /// Publishes the status of an object that is not a router.
    pub(super) fn refresh_status(&mut self, node: NodeId, pass: &mut Pass) {
        let graph_node = self.graph.node(node);
        if graph_node.kind == Kind::HttpRouter {
            return;
        }
        let item = &graph_node.data;
        let is_present = item.input.is_present() || matches!(item.outcome, Outcome::Service(..));
        let key = (graph_node.kind, Arc::clone(&graph_node.name));
        let status = is_present.then(|| {
            status(
                graph_node.kind,
                &graph_node.name,
                item,
                self.graph.is_referenced(node),
            )
        });
        let before = match &status {
            Some(status)
                if self
                    .published
                    .objects
                    .get(&key)
                    .is_some_and(|before| **before == *status) =>
            {
                return;
            }
            Some(status) => self.published.objects.insert(key, Arc::new(status.clone())),
            None => self.published.objects.remove(&key),
        };
        if before.is_some() || status.is_some() {
            pass.work.statuses += 1;
        }
        log_difference(before.as_deref(), status.as_ref(), &mut pass.log);
    }

    fn remove_orphans(&mut self, pass: &mut Pass) {
        while let Some(node) = pass.orphans.pop() {
            let item = self.graph.data(node);
            let is_needed =
                item.input.is_present() || item.pinned || self.graph.is_referenced(node);
            if !is_needed && !self.graph.is_free(node) {
                self.set_references(node, Vec::new(), pass);
                self.graph.remove(node);
            }
        }
    }
}

/// A router's own text compiled, its names and references known.
#[derive(Debug)]
struct RouterPlan {
    node: NodeId,
    draft: Option<RouterDraft>,
    splits: Vec<Split>,
    issues: Issues,
}

/// A route in one table.
struct Place<'a> {
    entry_point: u16,
    is_tls: bool,
    route: &'a Arc<Route>,
}

impl PartialEq for Place<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.entry_point == other.entry_point
            && self.is_tls == other.is_tls
            && Arc::ptr_eq(self.route, other.route)
    }
}

fn places(instance: Option<&Instance>) -> Vec<Place<'_>> {
    let Some((instance, route)) =
        instance.and_then(|instance| Some((instance, instance.route.as_ref()?)))
    else {
        return Vec::new();
    };
    let sets = instance
        .status
        .router
        .iter()
        .map(|detail| &detail.entry_points);
    let places = sets.flat_map(|set| set.places());
    places
        .map(|entry_point| Place {
            entry_point,
            is_tls: instance.is_tls,
            route,
        })
        .collect()
}

fn status(kind: Kind, name: &Arc<str>, item: &Item, is_referenced: bool) -> ObjectStatus {
    let mut errors: Vec<Box<str>> = item
        .issues
        .iter()
        .flat_map(|issues| issues.texts())
        .cloned()
        .collect();
    let in_force = !matches!(item.outcome, Outcome::None);
    let is_supported = matches!(
        kind,
        Kind::HttpService | Kind::HttpMiddleware | Kind::HttpServersTransport | Kind::HttpModel
    );
    if !is_supported {
        errors.push(format!("not supported yet, without effect: {kind}").into());
    }
    let decodes = !matches!(item.input.newest, super::Entry::Rejected(_));
    let status = match (in_force, errors.is_empty()) {
        (_, true) => Status::Enabled,
        // Traefik looks only at what something refers to; what does not decode it refuses in any case.
        _ if !is_referenced && decodes && is_supported => Status::Enabled,
        (false, false) if is_supported => Status::Disabled,
        (_, false) => Status::Warning,
    };
    ObjectStatus {
        kind,
        name: Arc::clone(name),
        object: item.input.shown().cloned(),
        status,
        errors: errors.into(),
        used_by: item.used_by.clone(),
        router: None,
    }
}

/// What an operator should read about a status that changed.
fn log_difference(
    before: Option<&ObjectStatus>,
    now: Option<&ObjectStatus>,
    log: &mut Vec<Message>,
) {
    let Some(now) = now else {
        return;
    };
    let message = |level, text: &str| Message {
        kind: now.kind,
        name: Arc::clone(&now.name),
        level,
        text: text.into(),
    };
    let known = before.map_or(&[][..], |before| &before.errors);
    let level = if now.status == Status::Disabled {
        Level::Error
    } else {
        Level::Warning
    };
    let is_worse = before.is_some_and(|before| before.status < now.status);
    let new = now
        .errors
        .iter()
        .filter(|text| is_worse || !known.contains(text));
    log.extend(new.map(|text| message(level, text)));
    if now.errors.is_empty() && !known.is_empty() {
        log.push(message(Level::Info, "in force again as configured"));
    }
}
