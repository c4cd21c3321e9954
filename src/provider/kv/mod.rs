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
//!
//! Not here: a store's protocol (a folder of its own beside this one), the layout of keys (`config`).

pub mod image;
pub mod store;
