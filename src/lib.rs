//! Ringway: an edge proxy for Linux. Traefik's configuration on thread-per-core io_uring shards,
//! where a configuration change costs O(change) and never disturbs a request.
//!
//! The modules form layers; a module uses only those below it (a test enforces it):
//!
//! ```text
//! cli → control → api → provider → watcher → plan → shard → exchange → router → middleware
//!     → service → http → tls → observe → rules → config → io
//! ```
//!
//! `docs/architecture.md` tells what each layer is for and how a request and a change pass through.
#![warn(missing_docs)]

// The integration tests' support, which names this crate from outside, also serves tests inside.
#[cfg(test)]
extern crate self as ringway;

pub mod api;
pub mod cli;
pub mod config;
pub mod control;
pub mod exchange;
pub mod http;
pub mod io;
pub mod middleware;
pub mod observe;
pub mod plan;
pub mod provider;
pub mod router;
pub mod rules;
pub mod service;
pub mod shard;
pub mod tls;
pub mod watcher;
