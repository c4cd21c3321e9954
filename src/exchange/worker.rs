//! Workers: tasks that serve connections while these have something to do. An idle connection has no
//! task; its first bytes bring it to a waiting worker, or to a new one.
//!
//! Workers keep their buffers from one connection to the next, which is why a warm shard serves without
//! allocating. How many there are follows the number of exchanges that run at the same time.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::connection::{self, Scratch};
use super::local::Local;
use crate::io::{Instant, Stream};

/// Most workers of a shard: most exchanges that it runs at the same time. Further
/// connections are closed.
pub const MAX_WORKERS: usize = 65_536;

/// Most entry points: a connection's tag has one byte for its own.
pub const MAX_ENTRY_POINTS: usize = 256;

/// Workers that wait for work beyond this number end.
pub const MAX_WAITING_WORKERS: usize = 512;

/// Starts workers as connections need them. Runs for the life of the shard.
pub async fn run_workers(local: Rc<Local>) {
    let workers = Rc::new(Cell::new(0_usize));
    loop {
        let stream = local.io.next_unserved().await;
        if workers.get() >= MAX_WORKERS {
            // The connection cannot be served now; a close is honest, its client may try elsewhere.
            drop(stream);
            continue;
        }
        let guard = WorkerCount::new(&workers);
        local.io.spawn(work(local.clone(), stream, guard));
    }
}

async fn work(local: Rc<Local>, first: Stream, _count: WorkerCount) {
    let mut scratch = Box::<Scratch>::default();
    let mut stream = first;
    loop {
        connection::serve(&local, stream, &mut scratch).await;
        scratch.trim();
        if local.io.waiting_workers() >= MAX_WAITING_WORKERS {
            return;
        }
        stream = local.io.next_ready().await;
    }
}

/// Counts a worker for as long as it lives, whatever ends it.
struct WorkerCount(Rc<Cell<usize>>);

impl WorkerCount {
    fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(count.clone())
    }
}

impl Drop for WorkerCount {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// What a connection's record remembers between exchanges, packed into the stream's tag.
///
/// `entry point: 8 bits | requests served: 24 bits | accepted at, in milliseconds since start,
/// modulo 49 days: 32 bits`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConnectionTag {
    pub(super) entry_point: u8,
    pub(super) requests: u32,
    pub(super) accepted: u32,
}

const REQUESTS_MASK: u64 = 0xff_ffff;

impl ConnectionTag {
    pub(super) fn unpack(tag: u64) -> Self {
        Self {
            entry_point: (tag >> 56) as u8,
            requests: ((tag >> 32) & REQUESTS_MASK) as u32,
            accepted: tag as u32,
        }
    }

    /// How long ago the connection was accepted, modulo 49 days: a connection that old starts anew.
    pub(super) fn age(self, now: Instant) -> Duration {
        Duration::from_millis(u64::from(millis(now).wrapping_sub(self.accepted)))
    }

    pub(super) fn pack(self) -> u64 {
        let requests = u64::from(self.requests).min(REQUESTS_MASK);
        u64::from(self.entry_point) << 56 | requests << 32 | u64::from(self.accepted)
    }
}

/// The tag of a connection accepted now on an entry point.
pub fn tag_of(entry_point: u8, now: Instant) -> u64 {
    ConnectionTag {
        entry_point,
        requests: 0,
        accepted: millis(now),
    }
    .pack()
}

/// Milliseconds since the reactor's start; the cast is the modulo.
fn millis(now: Instant) -> u32 {
    (now.as_nanos() / 1_000_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connections_age_survives_the_wrap_of_its_clock() {
        let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
        let wrap = 1 << 32;
        let tag = ConnectionTag::unpack(tag_of(1, at(wrap - 100)));
        assert_eq!(tag.age(at(wrap - 100)), Duration::ZERO);
        assert_eq!(tag.age(at(wrap + 250)), Duration::from_millis(350));
    }

    #[test]
    fn a_tag_unpacks_to_what_was_packed_and_requests_saturate() {
        let tag = ConnectionTag {
            entry_point: 255,
            requests: 0xff_ffff,
            accepted: u32::MAX,
        };
        assert_eq!(ConnectionTag::unpack(tag.pack()), tag);
        let tag = ConnectionTag {
            entry_point: 3,
            requests: 0x100_0005,
            accepted: 7,
        };
        let want = ConnectionTag {
            requests: 0xff_ffff,
            ..tag
        };
        assert_eq!(ConnectionTag::unpack(tag.pack()), want);
    }
}
