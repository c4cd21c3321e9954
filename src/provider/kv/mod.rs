//! Key-value stores as providers: what all of them share.
//!
//! ```text
//!  etcd, redis, consul, zookeeper ──► Store ──► session ──► image ──► Update
//!                                   (one each)  (when)     (what)
//! ```
//!
//! | module | one idea |
//! |---|---|
//! | [`image`] | the pairs of a tree, and what a change of them changes |
//! | [`store`] | what a store must be able to do |
//! | [`session`] | one provider's life with its store: when to connect, list, watch, wait, save |
//! | `drive`, `flip`, `in_root` | speaking to the store: the configured root, a root that an alias names, either of them |
//! | [`seen`], `look` | how far the store was seen; asking it for who waits |
//! | `in_force` | what is in force, what of the store is believed, what the watcher is told |
//! | `tree` | the tree in force, and one that may take its place |
//! | [`saved`] | the tree in force on disk |
//! | [`alias`] | the values of one key, for other sources |
//! | [`backoff`] | how long to wait before a store is tried again |
//! | `signals` | changed keys that a store named and that were not read yet |
//! | `address` | where a server is |
//!
//! Not here: a store's protocol (a folder of its own beside this one), the layout of keys (`config`).

pub(crate) mod address;
pub mod alias;
pub mod backoff;
mod drive;
#[cfg(test)]
mod fake;
mod flip;
pub mod image;
mod in_force;
pub mod in_root;
mod look;
pub mod saved;
pub mod seen;
pub mod session;
pub(crate) mod signals;
pub mod store;
#[cfg(test)]
mod tests;
mod tree;
