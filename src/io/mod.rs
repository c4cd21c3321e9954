//! The completion reactor: one per shard thread, on io_uring or on a simulated network.
#![allow(missing_docs, unused_variables)]

mod config;
pub mod cpu;
mod instant;
mod skeleton;
mod stats;

pub use config::{BufferGroup, ReactorConfig};
pub use instant::Instant;
pub use skeleton::*;
pub use stats::{Counter, Stats};
