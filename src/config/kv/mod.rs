//! The keys of key-value stores: which object a key belongs to, and an object's pairs as a tree.
//!
//! ```text
//!  http/routers/r1/rule                   ┐
//!  http/routers/r1/middlewares/0 … /10    ├──► Place (object http.routers.r1) ──► tree::Node ──► dynamic::decode_object
//!  HTTP/Routers/R1/tls/domains/0/main     ┘
//! ```
//!
//! Traefik's rules (`pkg/config/kv`, checked against 3.7.15), on keys relative to the root:
//!
//! - Pairs count in the bytewise order of their whole keys. A later one of the same path wins.
//! - Empty fragments are skipped; a fragment of digits `N` is named `[N]`, also where it is a name.
//! - Names that differ in case only are one, spelled as in the smallest key.
//! - Values of keys `K/N` are joined with commas and stand for `K`, whatever else `K` itself says. A list of texts is then
//!   split at commas. A list of structures has its items in the order of the keys, whatever they are named.
//! - A structure's own text says nothing, except that a presence key (`tls`) is off if it is neither empty nor `true`.
//!
//! One deviation: a folder's marker (`K/` without a value, as consul's user interface leaves them) never empties what `K`
//! says. Not here: where pairs come from and are kept (`provider::kv::image`), and what Traefik 1's keys mean.

mod fold;
mod node;
mod place;

pub use fold::{eq_fold, folded};
pub use node::{Content, MAX_DEPTH, Pair, decode, former_tree};
pub use place::{Former, Nowhere, Place, object_name, prefix_of_object};

#[cfg(test)]
mod tests;
