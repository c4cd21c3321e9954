//! Identities that survive changes: of host names, pools and state. None is ever given out twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::service::{NameId, PoolId, Scheme, ServerId, StateId, Transport};

/// Gives out numbers from 1, each once.
#[derive(Debug, Default)]
pub(super) struct Counter(u64);

impl Counter {
    /// The next number.
    pub(super) fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

/// All identities, and what came and went since the last change was published.
#[derive(Debug, Default)]
pub(super) struct Identities {
    states: Counter,
    servers: Counter,
    revisions: Counter,
    names: Names,
    pools: Pools,
    removed_states: Vec<StateId>,
}

/// What a change adds and removes.
#[derive(Debug, Default)]
pub(super) struct Turnover {
    pub(super) removed_states: Vec<StateId>,
    pub(super) removed_pools: Vec<PoolId>,
    pub(super) names_added: Vec<(NameId, Arc<str>)>,
    pub(super) names_removed: Vec<(NameId, Arc<str>)>,
}

impl Identities {
    /// A new piece of state.
    pub(super) fn state(&mut self) -> StateId {
        StateId(self.states.next())
    }

    /// Ends a piece of state.
    pub(super) fn end_state(&mut self, state: StateId) {
        self.removed_states.push(state);
    }

    /// A new server.
    pub(super) fn server(&mut self) -> ServerId {
        ServerId(self.servers.next())
    }

    /// A new revision of some service.
    pub(super) fn revision(&mut self) -> u64 {
        self.revisions.next()
    }

    /// The identity of a host name, which stays until as many [`Identities::release_name`]s.
    pub(super) fn acquire_name(&mut self, host: &str) -> (NameId, Arc<str>) {
        self.names.acquire(host)
    }

    /// Gives one use of a host name back.
    pub(super) fn release_name(&mut self, host: &str) {
        self.names.release(host);
    }

    /// The pool for a server, and its authority as shared text; stays until as many
    /// [`Identities::release_pool`]s.
    pub(super) fn acquire_pool(
        &mut self,
        transport: &Transport,
        scheme: Scheme,
        authority: &str,
    ) -> (PoolId, Arc<str>) {
        self.pools.acquire(transport, scheme, authority)
    }

    /// Gives one use of a pool back.
    pub(super) fn release_pool(
        &mut self,
        transport: &Transport,
        scheme: Scheme,
        authority: &Arc<str>,
    ) {
        self.pools.release(transport, scheme, authority);
    }

    /// How many names and pools are in use.
    #[cfg(test)]
    pub(super) fn live(&self) -> [usize; 3] {
        let pools = &self.pools;
        [
            self.names.known.len(),
            pools.known.len(),
            pools.transports.len(),
        ]
    }

    /// What came and went since the last call.
    pub(super) fn turnover(&mut self) -> Turnover {
        let (names_added, names_removed) = self.names.turnover();
        Turnover {
            removed_states: std::mem::take(&mut self.removed_states),
            removed_pools: self.pools.removed(),
            names_added,
            names_removed,
        }
    }
}

/// Host names that servers have, by how many.
#[derive(Debug, Default)]
struct Names {
    ids: Counter,
    known: HashMap<Arc<str>, Counted<NameId>>,
    /// Touched since the last turnover: what each name was before.
    touched: HashMap<Arc<str>, Option<NameId>>,
}

#[derive(Debug)]
struct Counted<T> {
    id: T,
    uses: u32,
}

impl Names {
    fn acquire(&mut self, host: &str) -> (NameId, Arc<str>) {
        if let Some((shared, _)) = self.known.get_key_value(host) {
            let shared = Arc::clone(shared);
            if let Some(counted) = self.known.get_mut(host) {
                counted.uses += 1;
                return (counted.id, shared);
            }
        }
        let shared: Arc<str> = host.into();
        // A name that went and came back within one change keeps its identity.
        let before = *self.touched.entry(Arc::clone(&shared)).or_insert(None);
        let id = before.unwrap_or_else(|| NameId(self.ids.next()));
        self.known
            .insert(Arc::clone(&shared), Counted { id, uses: 1 });
        (id, shared)
    }

    fn release(&mut self, host: &str) {
        let Some(counted) = self.known.get_mut(host) else {
            return;
        };
        counted.uses -= 1;
        if counted.uses == 0
            && let Some((host, counted)) = self.known.remove_entry(host)
        {
            self.touched.entry(host).or_insert(Some(counted.id));
        }
    }

    fn turnover(&mut self) -> (NamedIds, NamedIds) {
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for (host, before) in std::mem::take(&mut self.touched) {
            let after = self.known.get(&host).map(|counted| counted.id);
            match (before, after) {
                (None, Some(id)) => added.push((id, host)),
                (Some(id), None) => removed.push((id, host)),
                _ => {}
            }
        }
        added.sort_unstable();
        removed.sort_unstable();
        (added, removed)
    }
}

type NamedIds = Vec<(NameId, Arc<str>)>;

/// Upstream pools that servers refer to, by how many.
#[derive(Debug, Default)]
struct Pools {
    ids: Counter,
    transport_ids: Counter,
    transports: HashMap<TransportContent, Counted<u64>>,
    known: FxHashMap<PoolKey, Counted<PoolId>>,
    emptied: Vec<(PoolKey, PoolId)>,
}

/// What of a transport makes a pool another one: everything except its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct TransportContent {
    max_idle_conns_per_host: i32,
    dial_timeout: Duration,
    response_header_timeout: Duration,
    idle_conn_timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct PoolKey {
    transport: u64,
    scheme: Scheme,
    authority: Arc<str>,
}

impl Pools {
    fn acquire(
        &mut self,
        transport: &Transport,
        scheme: Scheme,
        authority: &str,
    ) -> (PoolId, Arc<str>) {
        let content = TransportContent::of(transport);
        let ids = &mut self.transport_ids;
        let counted_transport = self.transports.entry(content).or_insert_with(|| Counted {
            id: ids.next(),
            uses: 0,
        });
        counted_transport.uses += 1;
        let key = PoolKey {
            transport: counted_transport.id,
            scheme,
            authority: authority.into(),
        };
        if let Some((known, _)) = self.known.get_key_value(&key) {
            let authority = Arc::clone(&known.authority);
            if let Some(counted) = self.known.get_mut(&key) {
                counted.uses += 1;
                return (counted.id, authority);
            }
        }
        let emptied = self.emptied.iter().position(|(emptied, _)| *emptied == key);
        let id = match emptied {
            Some(at) => self.emptied.swap_remove(at).1,
            None => PoolId(self.ids.next()),
        };
        let authority = Arc::clone(&key.authority);
        self.known.insert(key, Counted { id, uses: 1 });
        (id, authority)
    }

    fn release(&mut self, transport: &Transport, scheme: Scheme, authority: &Arc<str>) {
        let content = TransportContent::of(transport);
        let Some(counted_transport) = self.transports.get_mut(&content) else {
            return;
        };
        let key = PoolKey {
            transport: counted_transport.id,
            scheme,
            authority: Arc::clone(authority),
        };
        counted_transport.uses -= 1;
        if counted_transport.uses == 0 {
            self.transports.remove(&content);
        }
        let Some(counted) = self.known.get_mut(&key) else {
            return;
        };
        counted.uses -= 1;
        if counted.uses == 0 {
            let id = counted.id;
            self.known.remove(&key);
            self.emptied.push((key, id));
        }
    }

    fn removed(&mut self) -> Vec<PoolId> {
        let mut removed: Vec<_> = self.emptied.drain(..).map(|(_, id)| id).collect();
        removed.sort_unstable();
        removed
    }
}

impl TransportContent {
    fn of(transport: &Transport) -> Self {
        Self {
            max_idle_conns_per_host: transport.max_idle_conns_per_host,
            dial_timeout: transport.dial_timeout,
            response_header_timeout: transport.response_header_timeout,
            idle_conn_timeout: transport.idle_conn_timeout,
        }
    }
}
