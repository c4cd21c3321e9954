//! Providers: each turns one source of dynamic configuration into [`Update`](crate::watcher::Update)s.
//!
//! | module | source |
//! |---|---|
//! | [`file`] | a file or a directory of files |
//! | [`etcd`] | keys in etcd |
//! | [`kv`] | what key-value stores share |
//! | [`consul`] | the key-value store of Consul |
//! | [`redis`] | a Redis server, or one that its sentinels name |
//! | [`internal`] | the static configuration: models, redirections, `ping@internal`, `api@internal` … |
//!
//! A provider judges nothing but form: it decodes, and passes objects on, good or rejected. Merging,
//! throttling and meaning are the watcher's and the plan's.

pub mod consul;
pub mod etcd;
pub mod file;
pub mod internal;
pub mod kv;
pub mod redis;
