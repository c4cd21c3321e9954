//! Providers: each turns one source of dynamic configuration into [`Update`](crate::watcher::Update)s.
//!
//! | module | source |
//! |---|---|
//! | [`file`] | a file or a directory of files |
//! | [`etcd`] | keys in etcd |
//! | [`http`] | an HTTP server that is asked again and again, or whenever an alias is written |
//! | [`rest`] | whoever uses `PUT /api/providers/rest` |
//! | [`kv`] | what key-value stores share |
//! | [`consul`] | the key-value store of Consul |
//! | [`redis`] | a Redis server, or one that its sentinels name |
//! | [`zookeeper`] | nodes in ZooKeeper |
//! | [`internal`] | the static configuration: models, redirections, `ping@internal`, `api@internal` … |
//!
//! A provider judges nothing but form: it decodes, and passes objects on, good or rejected. Merging,
//! throttling and meaning are the watcher's and the plan's.

mod backoff;
pub mod consul;
pub mod document;
pub mod etcd;
pub mod file;
pub mod http;
pub mod internal;
pub mod kv;
pub mod redis;
pub mod rest;
pub mod zookeeper;
