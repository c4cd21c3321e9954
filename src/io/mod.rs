//! The completion reactor: each shard thread has one. It drives sockets through io_uring (or epoll,
//! or a simulated network), runs the shard's tasks, and owns every buffer, timer and descriptor.
//! Not for: protocols. It moves bytes and knows connections, nothing of what they say.
//!
//! ```text
//!   task ── Stream, Handle ──┐                         other threads
//!    ▲                       ▼                               │ Notifier
//!    │ wake      ┌─── Core (one RefCell) ────────────────────▼───────────┐
//!  executor ◄────┤ connections  accept  connect  park  timers  send      │
//!                ├─── Driver: submit(op), cancel(op), turn(wait) ────────┤
//!                │ uring: rings, provided buffers │ epoll │ sim: seeded │
//!                └────────────────────────────────┴───────┴─────────────┘
//! ```
//!
//! One turn: read the clock, fire timers, run wakers, poll tasks (at most 256, at most 1 ms),
//! submit what they queued, enter the ring once, apply every completion. What holds throughout:
//!
//! - **The kernel never refers to memory that a future owns.** Buffers of an operation belong to
//!   its slot until its final completion; a future or stream that is dropped only enqueues.
//! - **Every completion finds its own operation or none**: tokens carry generations.
//! - **No foreign code runs while the core is borrowed**: wakers are collected and run afterwards.
//! - **Nothing is lost when a queue is full**: entries wait in a backlog, completions overflow
//!   into the kernel and are fetched, receives without a buffer wait in a list.
//! - **A busy connection allocates nothing**: blocks, working sets, slots and queues are reused.

mod accept;
mod audit;
mod buffer;
mod config;
mod connect;
mod connection;
mod core;
pub mod cpu;
mod driver;
mod executor;
mod instant;
pub mod memory;
mod notify;
pub mod open_files;
mod os;
mod park;
mod reactor;
mod send;
mod slab;
mod sleep;
mod start;
mod stats;
mod stream;
#[cfg(test)]
mod tests;
mod timer;
mod tokio_compat;

pub use accept::{Accepted, ListenerId};
pub use audit::Census;
pub use buffer::{Buffer, Chunk};
pub use config::{BufferGroup, DriverChoice, ReactorConfig, UnknownDriver};
pub use connect::{Address, Connect};
pub use driver::{DriverKind, Fault, FaultCounts, Rates, Sabotage, SimNet};
pub use executor::YieldNow;
pub use instant::Instant;
pub use notify::Notifier;
pub use park::{NextReady, ParkedId};
pub use reactor::{Handle, Reactor};
pub use sleep::{Elapsed, Sleep, Timeout};
pub use start::StartError;
pub use stats::{Counter, SharedGauge, Stats};
pub use stream::Stream;
pub use tokio_compat::TokioStream;
