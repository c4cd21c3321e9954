//! Starts the providers that read key-value stores, each on a thread of its own.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::planning::PlanWorker;
use super::settings;
use crate::config::statics::{KvOptions, StaticConfig};
use crate::provider::consul::{Consul, ConsulSettings};
use crate::provider::etcd::{self, EtcdSettings, EtcdStore};
use crate::provider::kv::in_root;
use crate::provider::kv::seen::Seen;
use crate::provider::kv::session::{AliasSettings, KvProvider, SessionSettings};
use crate::provider::kv::store::Store;
use crate::provider::redis::{self, Redis, RedisSettings};
use crate::provider::zookeeper::{self, ZooKeeper, ZooKeeperSettings};

/// The names of the enabled providers, each with the options that all have.
pub fn names(config: &StaticConfig) -> Vec<(Arc<str>, KvOptions)> {
    let mut names = Vec::new();
    if let Some(own) = config.providers.etcd.as_deref() {
        names.push((Arc::from(etcd::NAME), own.kv()));
    }
    if let Some(own) = config.providers.redis.as_deref() {
        names.push((Arc::from(redis::NAME), own.kv()));
    }
    if let Some(own) = config.providers.consul.as_deref() {
        let instances = ConsulSettings::instances(own).into_iter();
        names.extend(instances.map(|(name, _)| (name, own.kv())));
    }
    if let Some(own) = config.providers.zookeeper.as_deref() {
        names.push((Arc::from(zookeeper::NAME), own.kv()));
    }
    names
}

/// Starts all of them. They end when they are dropped.
pub fn start(config: &StaticConfig, worker: &PlanWorker) -> io::Result<Vec<KvProvider>> {
    let mut started = Vec::new();
    if let Some(own) = config.providers.etcd.as_deref() {
        let settings = EtcdSettings::from(own);
        let session = session(config, etcd::NAME.into(), &own.kv());
        started.push(run(session, worker, move || EtcdStore::new(settings))?);
    }
    if let Some(own) = config.providers.redis.as_deref() {
        let settings = RedisSettings::from(own);
        let session = session(config, redis::NAME.into(), &own.kv());
        started.push(run(session, worker, move || Redis::new(settings))?);
    }
    if let Some(own) = config.providers.consul.as_deref() {
        for (name, settings) in ConsulSettings::instances(own) {
            let session = session(config, name, &own.kv());
            started.push(run(session, worker, move || Consul::new(settings))?);
        }
    }
    if let Some(own) = config.providers.zookeeper.as_deref() {
        let settings = ZooKeeperSettings::from(own);
        let session = session(config, zookeeper::NAME.into(), &own.kv());
        started.push(run(session, worker, move || ZooKeeper::new(settings))?);
    }
    Ok(started)
}

fn run<S: Store>(
    session: SessionSettings,
    worker: &PlanWorker,
    store: impl FnOnce() -> S + Send + 'static,
) -> io::Result<KvProvider> {
    let updates = worker.updates();
    // The worker outlives its providers.
    KvProvider::start(session, store, move |update| drop(updates.send(update)))
}

fn session(config: &StaticConfig, provider: Arc<str>, own: &KvOptions) -> SessionSettings {
    let state_dir = &config.ringway.state_dir;
    SessionSettings {
        provider,
        root: own.root_key.to_string(),
        limits: settings::store_limits(config),
        former: Arc::clone(&config.former),
        alias: own.has_alias().then(|| AliasSettings {
            key: if own.alias_in_root {
                in_root::key_below(&own.root_key)
            } else {
                own.alias_key.to_string()
            },
            watches_tree: own.alias_watch,
            is_in_root: own.alias_in_root,
        }),
        allow_restore: own.allow_restore,
        state_dir: (!state_dir.is_empty()).then(|| PathBuf::from(&**state_dir)),
        seen: Seen::default(),
    }
}
