//! Providers: each turns one source of dynamic configuration into [`Update`](crate::watcher::Update)s.
//!
//! | module | source |
//! |---|---|
//! | [`file`] | a file or a directory of files |
//! | [`etcd`] | keys in etcd |
//! | [`kv`] | what key-value stores share |
//! | [`internal`] | the static configuration: models, redirections, `ping@internal`, `api@internal` … |
//!
//! A provider judges nothing but form: it decodes, and passes objects on, good or rejected. Merging,
//! throttling and meaning are the watcher's and the plan's.

pub mod etcd;
pub mod file;
pub mod internal;
pub mod kv;
