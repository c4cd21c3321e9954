//! Counters of one reactor, written by its thread alone. Not for: metrics exposition; a shard
//! copies what it needs into its published statistics.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counters and gauges of one reactor. Plain cells: reading costs a load, nothing is shared.
        #[derive(Debug, Default)]
        pub struct Stats {
            $($(#[$doc])* pub $name: Counter,)*
        }

        impl Stats {
            /// Every counter's name and present value, in declaration order.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + Clone + use<> {
                [$((stringify!($name), self.$name.get()),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Passes of the loop.
    turns,
    /// Task polls.
    polls,
    /// Longest time from the first poll of a turn to its end, in nanoseconds.
    longest_turn_ns,
    /// The same since [`Stats::begin_interval`] was called last.
    longest_turn_lately_ns,
    /// Turns that ended because of the poll or time limit, with tasks still runnable.
    limited_turns,
    /// Calls of `io_uring_enter`.
    enters,
    /// Completions reaped.
    completions,
    /// Times that the submission queue was full and an entry had to wait.
    submission_backlogs,
    /// Times that the kernel reported an overflown completion queue.
    completion_overflows,
    /// Receives that ended because the buffer ring was empty.
    enobufs,
    /// Times that a stream's inbox reached its limit and receiving was paused.
    inbox_pauses,
    /// Connections accepted.
    accepts,
    /// Times that a listener paused after EMFILE, ENFILE, ENOBUFS or ENOMEM.
    accept_backoffs,
    /// Accepted connections whose peer had gone before they were looked at.
    accepts_lost,
    /// Tasks that ended by a panic.
    task_panics,
    /// Wake-ups of tasks from other threads (correct, but slow: use a notifier).
    remote_wakes,
    /// Records of connections that exist now: streams, parked, closing.
    connections,
    /// Those of them that were accepted.
    downstream_connections,
    /// Streams that exist now.
    streams,
    /// Parked downstream connections now.
    parked_downstream,
    /// Parked upstream connections now.
    parked_upstream,
    /// Parked upstream connections that closed while parked (EOF, error, deadline, surplus bytes).
    parked_upstream_lost,
    /// Tasks that exist now.
    tasks,
    /// Pooled buffers in use now (received, queued or being filled).
    buffers_in_use,
    /// Bytes of those buffers.
    buffer_bytes_in_use,
}

impl Stats {
    /// Begins anew what is counted per interval; whoever publishes the counters says so after each time.
    pub fn begin_interval(&self) {
        self.longest_turn_lately_ns.set(0);
    }
}

/// One counter or gauge. Only its reactor's thread can reach it.
#[derive(Debug, Default)]
pub struct Counter(Cell<u64>);

impl Counter {
    /// The present value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.get()
    }

    #[inline]
    pub(super) fn add(&self, n: u64) {
        self.0.set(self.0.get().wrapping_add(n));
    }

    #[inline]
    pub(super) fn sub(&self, n: u64) {
        self.0.set(self.0.get().wrapping_sub(n));
    }

    #[inline]
    pub(super) fn max(&self, n: u64) {
        if n > self.0.get() {
            self.0.set(n);
        }
    }

    #[inline]
    pub(super) fn set(&self, n: u64) {
        self.0.set(n);
    }
}

/// A number that one thread writes and others read, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct SharedGauge(AtomicU64);

impl SharedGauge {
    /// The last value written.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Writes a value; only the one thread whose number it is does so.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}
