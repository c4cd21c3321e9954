//! What the integration suites share: a proxy of real shards in this process, scripted origins, and
//! clients that speak raw bytes.
#![allow(dead_code)] // Each suite uses a part of it.

pub mod client;
pub mod etcd;
pub mod following;
pub mod origin;
pub mod process;
pub mod proxy;
