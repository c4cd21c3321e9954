//! One generation of applied configuration, immutable and structurally shared with the one before.
//!
//! A change copies a path of the persistent maps, O(log n). Shards read a snapshot through an
//! `Rc<View>` that they swap between two tasks; a request keeps the view that it matched with, and so
//! sees exactly one revision. Slots index this snapshot's own tables and mean nothing in another one.

use std::sync::Arc;

use imbl::Vector;

use super::{Route as TableRoute, RouteTable};
use crate::http::encoded::EncodedCharacters;
use crate::middleware::Middleware;
use crate::service::{PoolId, Service, StateId};

/// Position of a service in [`Snapshot::services`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServiceSlot(pub u32);

/// Position of a middleware in [`Snapshot::middlewares`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MiddlewareSlot(pub u32);

/// Everything the shards need to route and forward, at one generation.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Counts applied changes, from 1.
    pub generation: u64,
    /// Routes by entry point, in the order of the static configuration.
    pub entry_points: Vector<EntryPointRoutes>,
    /// Services by slot; free slots are `None`.
    pub services: Vector<Option<Arc<Service>>>,
    /// Middlewares by slot; free slots are `None`.
    pub middlewares: Vector<Option<Arc<NamedMiddleware>>>,
}

/// The routers of one entry point.
#[derive(Clone, Debug, Default)]
pub struct EntryPointRoutes {
    /// Routers without `tls`: they serve clear-text connections only.
    pub http: RouteTable<Destination>,
    /// Routers with `tls`.
    pub https: RouteTable<Destination>,
}

/// A middleware and its qualified name.
#[derive(Debug)]
pub struct NamedMiddleware {
    /// `name@provider`.
    pub name: Arc<str>,
    /// Shard-local state of this middleware, if it has any.
    pub state: StateId,
    /// What it does.
    pub middleware: Middleware,
    /// For `errors`: the service that serves the error pages.
    pub service: Option<ServiceSlot>,
}

/// A router as the shards see it. Its name is `name@provider`, or `<entry point>-name@provider` where a model
/// split it; one object is in the tables of all its entry points.
pub type Route = TableRoute<Destination>;

/// What a router does with its requests.
#[derive(Debug, PartialEq)]
pub struct Destination {
    /// Filters and arounds in order, entry point's first, chains flattened.
    pub middlewares: Box<[MiddlewareSlot]>,
    /// Whether one of them is an around (needs the slower, nested path).
    pub has_around: bool,
    /// Where requests go.
    pub service: ServiceSlot,
    /// Characters that this router refuses in encoded form, if any (Traefik: `encodedCharacters`).
    pub encoded_characters: Option<EncodedCharacters>,
    /// Whether requests are written to the access log (Traefik: `observability.accessLogs`).
    pub access_log: bool,
}

/// What a shard applies: the new snapshot and what disappeared since the last one.
#[derive(Clone, Debug)]
pub struct ChangeSet {
    /// The configuration from now on.
    pub snapshot: Arc<Snapshot>,
    /// State of removed services and middlewares, to be dropped by each shard.
    pub removed_states: Vec<StateId>,
    /// Pools that no server refers to any more: idle connections close, running exchanges go on.
    pub removed_pools: Vec<PoolId>,
}

impl Snapshot {
    /// The service in `slot`; `None` only for a slot of another snapshot.
    pub fn service(&self, slot: ServiceSlot) -> Option<&Arc<Service>> {
        self.services.get(slot.0 as usize)?.as_ref()
    }

    /// The middleware in `slot`; `None` only for a slot of another snapshot.
    pub fn middleware(&self, slot: MiddlewareSlot) -> Option<&Arc<NamedMiddleware>> {
        self.middlewares.get(slot.0 as usize)?.as_ref()
    }
}

impl ChangeSet {
    /// Composes a later difference onto this one, so that a slow shard applies both in one step.
    pub fn compose(&mut self, later: ChangeSet) {
        self.snapshot = later.snapshot;
        self.removed_states.extend(later.removed_states);
        self.removed_pools.extend(later.removed_pools);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_and_its_reference_counts_take_two_cache_lines() {
        assert_eq!(size_of::<Route>() + 2 * size_of::<usize>(), 128);
    }
}
