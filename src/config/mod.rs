//! Configuration: from any source's text to typed objects, with an error per object and path.
//!
//! ```text
//! text ──► format ──► tree::Node ──► decode ──► dynamic (routing) objects | statics (install) configuration
//! ```
//!
//! | module | what it is for |
//! |---|---|
//! | [`tree`] | the generic tree that every source becomes |
//! | [`mod@format`] | YAML and TOML to trees, with places and readable syntax errors |
//! | [`decode`] | the rules of decoding: case, presence, lists, errors with paths |
//! | [`dynamic`] | Traefik's dynamic schema: routers, services, middlewares, TLS |
//! | [`statics`] | Traefik's static schema and how it is found: file, flags, environment |
//! | [`kv`] | the keys of key-value stores to objects |
//! | [`duration`], [`rare`], [`secret`] | value types |
//!
//! It judges form only. Whether references resolve and rules parse is decided when a configuration is compiled.

#[macro_use]
pub mod schema;

pub mod decode;
pub mod duration;
pub mod dynamic;
pub mod format;
pub mod kv;
pub mod rare;
pub mod secret;
pub mod statics;
pub mod tree;
pub mod v1;
