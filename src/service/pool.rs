//! Idle upstream connections of one shard to one upstream (transport configuration, scheme, authority).
//!
//! A connection comes back only if the request was written whole, the response was read to the end of
//! its framing and nothing surplus arrived (the caller's rule); while it lies here the reactor closes it
//! at its FIN, its first byte or its deadline. Last in, first out: few connections stay warm and the rest
//! age out. Not here: dialling, who may use a connection.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::{PoolId, Transport};
use crate::io::{Handle, Instant, ParkedId, Stream};

/// Fewest idle connections a shard may keep per upstream, however many shards share the configured limit.
pub const MIN_IDLE_PER_SHARD: u32 = 8;

/// Go's limit where a transport leaves `maxIdleConnsPerHost` at zero (Traefik inherits it).
const GO_DEFAULT_IDLE: u32 = 2;

/// Idle connections to one upstream.
pub struct Pool {
    idle: RefCell<VecDeque<ParkedId>>,
    /// Most idle connections kept by this shard; zero: keep none.
    cap: Cell<u32>,
    idle_timeout: Cell<Duration>,
    /// Set when no server refers to the pool any more: what comes back is closed.
    removed: Cell<bool>,
}

/// All pools of a shard.
#[derive(Default)]
pub struct Pools {
    by_id: RefCell<FxHashMap<PoolId, Rc<Pool>>>,
}

impl Pools {
    /// The pool with identity `id`, made when first asked for.
    pub fn get(&self, id: PoolId, transport: &Transport, shards: u32) -> Rc<Pool> {
        if let Some(pool) = self.by_id.borrow().get(&id) {
            return pool.clone();
        }
        let pool = Rc::new(Pool::new(transport, shards));
        self.by_id.borrow_mut().insert(id, pool.clone());
        pool
    }

    /// Forgets a pool: its idle connections close, those in use close when they would come back.
    pub fn remove(&self, id: PoolId, io: &Handle) {
        if let Some(pool) = self.by_id.borrow_mut().remove(&id) {
            pool.removed.set(true);
            pool.close_idle(io);
        }
    }

    /// Closes every idle connection of every pool.
    pub fn close_idle(&self, io: &Handle) {
        for pool in self.by_id.borrow().values() {
            pool.close_idle(io);
        }
    }
}

impl Pool {
    fn new(transport: &Transport, shards: u32) -> Self {
        let cap = match u32::try_from(transport.max_idle_conns_per_host) {
            Err(_) => 0,
            Ok(0) => MIN_IDLE_PER_SHARD.max(GO_DEFAULT_IDLE),
            Ok(n) => MIN_IDLE_PER_SHARD.max(n.div_ceil(shards.max(1))),
        };
        Self {
            idle: RefCell::default(),
            cap: Cell::new(cap),
            idle_timeout: Cell::new(transport.idle_conn_timeout),
            removed: Cell::new(false),
        }
    }

    /// Takes a live idle connection, the most recently used one; `None` means dial.
    pub fn take(&self, io: &Handle) -> Option<Stream> {
        let mut idle = self.idle.borrow_mut();
        while let Some(id) = idle.pop_back() {
            if let Some(stream) = io.unpark(id) {
                return Some(stream);
            }
        }
        None
    }

    /// Keeps a clean connection for the next request, or closes it.
    pub fn put(&self, stream: Stream, io: &Handle) {
        let cap = self.cap.get() as usize;
        if self.removed.get() || cap == 0 || !stream.is_clean() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        while idle.len() >= cap {
            let oldest = idle.pop_front().expect("as many as the cap, above zero");
            io.close_parked(oldest);
        }
        let deadline = match self.idle_timeout.get() {
            Duration::ZERO => Instant::NEVER,
            timeout => io.now() + timeout,
        };
        idle.push_back(stream.park_upstream(deadline));
    }

    fn close_idle(&self, io: &Handle) {
        for id in self.idle.borrow_mut().drain(..) {
            io.close_parked(id);
        }
    }
}
