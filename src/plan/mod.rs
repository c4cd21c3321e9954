//! Compiles configuration, incrementally, into the immutable snapshot that shards read.
//!
//! ```text
//! MergedChange ─► inputs ─► transports ─► services ─► middlewares ─► chains ─► models ─► routers ─► statuses
//!                 (last-known-good)         each stage: only what changed and whose form that changes
//!                                                                      └─► Planned { ChangeSet, Published, … }
//! ```
//!
//! A change costs what it touches: every reference has a reverse edge, a dependant is looked at again only
//! if what it sees of its reference changed, and the tables are persistent maps. Routes refer to services
//! and middlewares by slot, so a service's new servers touch no route.
//!
//! [`Planner::rebuild_from_scratch`] compiles the same inputs anew; [`describe`] makes both comparable. They
//! must always be equal: a property test holds that, and `verify_incremental` checks it while running.
//!
//! Not here: sources, throttling and merging (`watcher`), and telling shards (`control`).

mod change;
mod conflicts;
pub mod explain;
mod graph;
mod identity;
mod input;
mod item;
mod middleware;
mod names;
mod pass;
mod router;
mod server_url;
mod service;
mod settings;
mod status;
mod statuses;
mod transport;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::dynamic::Kind;
use crate::router::snapshot::{ChangeSet, EntryPointRoutes, ServiceSlot, Snapshot};
use crate::service::{NameId, Service, ServiceKind, Transport};

use graph::{Graph, NodeId};
use identity::Identities;
use input::Input;
use item::{Item, Outcome};
use pass::Pass;
use settings::EntryPoints;

pub use change::{Entry, MergedChange, NameConflict, ObjectChange, Position, ProviderState};
pub use middleware::MAX_CHAIN_STEPS;
pub use router::MAX_USER_PRIORITY;
pub use settings::{PlanSettings, ReadFile};
pub use status::{Detail, EntryPointSet, ObjectStatus, Published, RouterStatus, Status, UsedBy};
pub use statuses::ObjectStatuses;
pub use verify::describe;

/// What a change comes to.
#[derive(Debug)]
pub struct Planned {
    /// What shards apply; `None` if they need not know of the change.
    pub change: Option<ChangeSet>,
    /// Host names that the resolver must resolve from now on.
    pub names_added: Vec<(NameId, Arc<str>)>,
    /// Host names that no server has any more.
    pub names_removed: Vec<(NameId, Arc<str>)>,
    /// The state of everything after the change.
    pub published: Arc<Published>,
    /// What an operator should read, in the order of kinds and names.
    pub log: Vec<Message>,
    /// How much was done, for tests and metrics.
    pub work: Work,
}

/// A message about an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// Its qualified name; empty for messages about planning itself.
    pub name: Arc<str>,
    /// How bad it is.
    pub level: Level,
    /// What is wrong and what to do.
    pub text: Box<str>,
}

/// How bad a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something does not work.
    Error,
    /// Something does not work quite as configured.
    Warning,
    /// Something works again.
    Info,
}

/// How much a change touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Objects whose text was compiled.
    pub compiled: usize,
    /// Objects whose references were resolved.
    pub resolved: usize,
    /// Routes put into or taken out of a table.
    pub routes: usize,
    /// Services and middlewares replaced in the snapshot.
    pub slots: usize,
    /// Statuses published.
    pub statuses: usize,
}

impl Work {
    /// How much of what was published before was replaced: routes, slots and statuses.
    pub fn total(&self) -> usize {
        self.routes + self.slots + self.statuses
    }
}

/// Compiles changes. Lives on the control thread.
#[derive(Debug)]
pub struct Planner {
    settings: Arc<PlanSettings>,
    entry_points: EntryPoints,
    default_transport: Arc<Transport>,
    precedence: BTreeMap<Arc<str>, u16>,
    graph: Graph<Item>,
    /// Members of the chains whose own text is good.
    chains: middleware::Names,
    /// Names that models generate and that their routers do not get, with the router.
    lost_names: BTreeSet<(Arc<str>, Arc<str>)>,
    identities: Identities,
    slots: Slots,
    snapshot: Snapshot,
    published: Published,
    provider_conflicts: Vec<NameConflict>,
}

/// Free places in the snapshot's tables.
#[derive(Debug, Default)]
struct Slots {
    services: Vec<u32>,
    middlewares: Vec<u32>,
}

impl Planner {
    /// A planner without objects, except for the services that the program itself offers.
    pub fn new(settings: PlanSettings) -> Self {
        let mut graph = Graph::default();
        let entry_points = EntryPoints::new(&settings, &mut graph);
        let precedence = settings.precedence.iter().zip(0..);
        let mut planner = Self {
            precedence: precedence
                .map(|(name, rank)| (Arc::clone(name), rank))
                .collect(),
            default_transport: Arc::new(settings.default_transport.clone()),
            entry_points,
            graph,
            chains: middleware::Names::default(),
            lost_names: BTreeSet::new(),
            identities: Identities::default(),
            slots: Slots::default(),
            snapshot: Snapshot::default(),
            published: Published::default(),
            provider_conflicts: Vec::new(),
            settings: Arc::new(settings),
        };
        let entry_points = planner.settings.entry_points.iter();
        planner.snapshot.entry_points = entry_points.map(|_| EntryPointRoutes::default()).collect();
        planner.add_internal_services();
        planner.publish();
        planner
    }

    /// The state of everything, as last planned.
    pub fn published(&self) -> Arc<Published> {
        Arc::new(self.published.clone())
    }

    /// Applies a change: compiles what changed and what depends on it.
    pub fn apply(&mut self, change: MergedChange) -> Planned {
        let planned = self.apply_unverified(change);
        if self.settings.verify_incremental {
            return self.verify(planned);
        }
        planned
    }

    fn apply_unverified(&mut self, mut change: MergedChange) -> Planned {
        let mut pass = Pass::default();
        // Neighbours in the maps one after the other: a first load is several times faster so.
        let key = |object: &ObjectChange| (object.kind, Arc::clone(&object.name));
        change.objects.sort_by_cached_key(key);
        let objects = change.objects.len();
        if self.graph.len() < objects {
            // A few more, so that the next change does not move them all. What is not used is not resident.
            self.graph.reserve(objects + objects / 8);
        }
        for object in change.objects {
            self.take_input(object, &mut pass);
        }
        self.published.providers = change.providers.into();
        self.provider_conflicts = change.conflicts;
        self.run(&mut pass);
        self.finish(pass)
    }

    /// Everything that a planner needs to come to the same result: newest and last good versions, in no
    /// particular order.
    pub fn inputs(&self) -> Vec<ObjectChange> {
        let present = self
            .graph
            .iter()
            .filter(|(_, node)| node.data.input.is_present());
        let inputs = present.map(|(_, node)| ObjectChange {
            kind: node.kind,
            name: Arc::clone(&node.name),
            entry: node.data.input.newest.clone(),
            last_good: node.data.input.fallback().cloned(),
        });
        inputs.collect()
    }

    /// Compiles the same inputs anew. The result must describe itself as this planner's does.
    pub fn rebuild_from_scratch(&self) -> Planner {
        let mut settings = PlanSettings::clone(&self.settings);
        settings.verify_incremental = false;
        let mut planner = Self::new(settings);
        planner.apply(MergedChange {
            objects: self.inputs(),
            providers: self.published.providers.to_vec(),
            conflicts: self.provider_conflicts.clone(),
        });
        planner
    }

    fn verify(&self, mut planned: Planned) -> Planned {
        let scratch = self.rebuild_from_scratch();
        if let Some(difference) = verify::difference(self, &scratch) {
            planned.log.push(Message {
                kind: Kind::HttpRouter,
                name: "".into(),
                level: Level::Error,
                text: format!("internal error, please report it: the incremental configuration differs from a full one: {difference}").into(),
            });
        }
        planned
    }

    fn take_input(&mut self, object: ObjectChange, pass: &mut Pass) {
        if object.entry == Entry::Absent && self.graph.find(object.kind, &object.name).is_none() {
            return;
        }
        let node = self.graph.intern_shared(object.kind, &object.name);
        let input = &mut self.graph.data_mut(node).input;
        let was_present = input.is_present();
        match object.last_good {
            Some(last_good) => *input = Input::restored(object.entry, last_good),
            None if !input.set(object.entry) => return,
            None => {}
        }
        let is_present = self.graph.data(node).input.is_present();
        pass.mark(object.kind, node);
        if object.kind == Kind::HttpRouter && was_present != is_present {
            // A declared name takes precedence over a generated one.
            pass.routers.extend(self.graph.referrers(node));
        }
    }

    /// Services that the program itself offers have no input; their nodes are there from the start.
    fn add_internal_services(&mut self) {
        let settings = Arc::clone(&self.settings);
        for (name, internal) in &settings.internal_services {
            let name: Arc<str> = format!("{name}@{}", names::INTERNAL).into();
            let node = self.graph.intern_shared(Kind::HttpService, &name);
            let service = Arc::new(Service {
                name,
                state: self.identities.state(),
                revision: self.identities.revision(),
                kind: ServiceKind::Internal(*internal),
            });
            let slot = self.put_service(None, &service);
            self.graph.pin(node);
            let item = self.graph.data_mut(node);
            item.outcome = Outcome::Service(slot, service);
            let mut pass = Pass::default();
            self.refresh_status(node, &mut pass);
        }
    }

    fn put_service(&mut self, slot: Option<ServiceSlot>, service: &Arc<Service>) -> ServiceSlot {
        let slot = slot
            .map(|slot| slot.0)
            .or_else(|| self.slots.services.pop());
        let services = &mut self.snapshot.services;
        let slot = slot.unwrap_or_else(|| {
            services.push_back(None);
            u32::try_from(services.len() - 1).expect("fewer than 2^32 services")
        });
        services.set(slot as usize, Some(Arc::clone(service)));
        ServiceSlot(slot)
    }

    fn remove_service(&mut self, slot: ServiceSlot) {
        self.snapshot.services.set(slot.0 as usize, None);
        self.slots.services.push(slot.0);
    }

    /// Makes the working snapshot the published one.
    fn publish(&mut self) {
        self.published.generation = self.snapshot.generation;
        self.published.snapshot = Arc::new(self.snapshot.clone());
    }

    fn finish(&mut self, mut pass: Pass) -> Planned {
        let turnover = self.identities.turnover();
        self.count_rejections(&pass.log);
        self.publish_conflicts(&mut pass.log);
        let change = pass.is_snapshot_changed.then(|| {
            self.snapshot.generation += 1;
            self.publish();
            ChangeSet {
                snapshot: Arc::clone(&self.published.snapshot),
                removed_states: turnover.removed_states,
                removed_pools: turnover.removed_pools,
            }
        });
        pass.log.sort_unstable();
        Planned {
            change,
            names_added: turnover.names_added,
            names_removed: turnover.names_removed,
            published: self.published(),
            log: pass.log,
            work: pass.work,
        }
    }

    /// Counts the objects that a log tells to be not in force as configured.
    fn count_rejections(&mut self, log: &[Message]) {
        let bad = log.iter().filter(|message| message.level < Level::Info);
        let objects: BTreeSet<_> = bad.map(|message| (message.kind, &message.name)).collect();
        self.published.rejections += objects.len() as u64;
    }

    /// Publishes what is defined more than once, and says so where that has changed.
    fn publish_conflicts(&mut self, log: &mut Vec<Message>) {
        let lost = self.lost_names.iter().map(|(name, router)| NameConflict {
            kind: Kind::HttpRouter,
            name: Arc::clone(name),
            losers: vec![Arc::clone(router)],
        });
        let conflicts: Vec<_> = self
            .provider_conflicts
            .iter()
            .cloned()
            .chain(lost)
            .collect();
        if *conflicts != *self.published.conflicts {
            self.published.conflict_changes +=
                conflicts::report(&self.published.conflicts, &conflicts, log);
            self.published.conflicts = conflicts.into();
        }
    }
}

/// What a reference to a service leads to.
fn service_link(graph: &Graph<Item>, node: NodeId) -> Result<ServiceSlot, Box<str>> {
    let item = graph.data(node);
    if let Outcome::Service(slot, _) = &item.outcome {
        return Ok(*slot);
    }
    if let Outcome::Failed(text) = &item.outcome {
        return Err(text.clone());
    }
    let name = &graph.node(node).name;
    Err(match name.strip_suffix("@internal") {
        Some(service @ ("api" | "dashboard" | "rest" | "prometheus" | "ping")) => {
            format!("{service} is not enabled").into()
        }
        _ => format!("the service \"{name}\" does not exist").into(),
    })
}

#[cfg(test)]
mod tests;
