//! Key-value stores besides etcd as providers: Redis, Consul, ZooKeeper.

use super::StaticConfig;
use super::providers::kv_provider;
use crate::config::decode::{List, ObjectError, Path, Text};
use crate::config::duration::GoDuration;
use crate::config::dynamic::middleware::ClientTls;
use crate::config::secret::Secret;
use crate::config::tree::Position;

kv_provider! {
    /// Dynamic configuration from Redis.
    pub struct Redis {
        /// `host:port` of the one server, or of all sentinels.
        pub endpoints: List<Text> = "endpoints" [default ["127.0.0.1:6379".into()].into()];
        /// TLS to servers and sentinels.
        pub tls: Option<Box<ClientTls>> = "tls";
        /// The user; empty means the default one.
        pub username: Text = "username";
        /// The user's password.
        pub password: Secret<Text> = "password";
        /// The number of the database.
        pub db: u32 = "db";
        /// Present: the endpoints are sentinels.
        pub sentinel: Option<Box<RedisSentinel>> = "sentinel";
    }
}

kv_provider! {
    /// Dynamic configuration from Consul's key-value store.
    pub struct Consul {
        /// `host:port`, `http://host:port` or `https://host:port`; the next one is tried when one fails.
        pub endpoints: List<Text> = "endpoints" [default ["127.0.0.1:8500".into()].into()];
        /// The ACL token.
        pub token: Secret<Text> = "token";
        /// TLS to the servers.
        pub tls: Option<Box<ClientTls>> = "tls";
        /// Namespaces (Enterprise), each of which is a provider of its own, `consul-<namespace>`.
        pub namespaces: List<Text> = "namespaces";
    }
}

kv_provider! {
    /// Dynamic configuration from ZooKeeper.
    pub struct ZooKeeper {
        /// `host:port` of the servers; the next one is tried when one fails.
        pub endpoints: List<Text> = "endpoints" [default ["127.0.0.1:2181".into()].into()];
        /// The user (scheme `digest`); empty means nobody.
        pub username: Text = "username";
        /// The user's password.
        pub password: Secret<Text> = "password";
    }
}

schema! {
    /// Which of the servers that the sentinels know.
    pub struct RedisSentinel {
        /// The name under which the sentinels watch the master.
        pub master_name: Text = "masterName";
        /// The sentinels' user.
        pub username: Text = "username";
        /// The sentinels' password.
        pub password: Secret<Text> = "password";
        /// Whether the server that answers first is read, master or replica.
        pub latency_strategy: bool = "latencyStrategy";
        /// Whether any server is read, master or replica.
        pub random_strategy: bool = "randomStrategy";
        /// Whether a replica is read.
        pub replica_strategy: bool = "replicaStrategy";
        /// Whether replicas that lost their master are read if there are no others.
        pub use_disconnected_replicas: bool = "useDisconnectedReplicas";
    }
}

/// Checks what must hold between the options of these providers.
pub(super) fn validate(config: &StaticConfig, errors: &mut Vec<ObjectError>) {
    let providers = Path::ROOT.key("providers");
    let own = &config.providers;
    let all = [
        ("etcd", own.etcd.as_ref().map(|own| own.kv())),
        ("redis", own.redis.as_ref().map(|own| own.kv())),
        ("consul", own.consul.as_ref().map(|own| own.kv())),
        ("zooKeeper", own.zookeeper.as_ref().map(|own| own.kv())),
    ];
    for (name, kv) in all {
        if kv.is_some_and(|kv| kv.alias_in_root && !kv.alias_key.is_empty()) {
            let message =
                "excludes aliasKey: the alias is the key alias below rootKey, or another key";
            errors.push(problem(&providers.key(name).key("aliasInRoot"), message));
        }
    }
    if let Some(redis) = &config.providers.redis {
        validate_redis(redis, &providers.key("redis"), errors);
    }
    if let Some(consul) = &config.providers.consul {
        validate_consul(consul, &providers.key("consul"), errors);
    }
    if let Some(zookeeper) = &config.providers.zookeeper {
        validate_zookeeper(zookeeper, &providers.key("zooKeeper"), errors);
    }
}

/// Checks what must hold between the options of one Redis.
pub(super) fn validate_redis(redis: &Redis, path: &Path<'_>, errors: &mut Vec<ObjectError>) {
    if redis.sentinel.is_none() && redis.endpoints.len() != 1 {
        let message = "one server is expected; several endpoints are possible with sentinel";
        errors.push(problem(&path.key("endpoints"), message));
    }
    if let Some(sentinel) = &redis.sentinel {
        let path = path.key("sentinel");
        if sentinel.master_name.is_empty() {
            errors.push(problem(&path, "needs a masterName"));
        }
        let strategies = [
            sentinel.latency_strategy,
            sentinel.random_strategy,
            sentinel.replica_strategy,
        ];
        if strategies.into_iter().filter(|set| *set).count() > 1 {
            let message = "latencyStrategy, randomStrategy and replicaStrategy exclude each other";
            errors.push(problem(&path, message));
        }
    }
}

/// Checks what must hold between the options of one Consul.
pub(super) fn validate_consul(consul: &Consul, path: &Path<'_>, errors: &mut Vec<ObjectError>) {
    if consul.endpoints.is_empty() {
        errors.push(problem(&path.key("endpoints"), "there is none"));
    }
}

/// Checks what must hold between the options of one ZooKeeper.
pub(super) fn validate_zookeeper(
    zookeeper: &ZooKeeper,
    path: &Path<'_>,
    errors: &mut Vec<ObjectError>,
) {
    if zookeeper.endpoints.is_empty() {
        errors.push(problem(&path.key("endpoints"), "there is none"));
    }
}

fn problem(path: &Path<'_>, message: &str) -> ObjectError {
    ObjectError::new(path, Position::NONE, message)
}

#[cfg(test)]
mod tests {
    use crate::config::statics::{Disk, LoadError, Loaded, load};

    fn loaded(flags: &[&str]) -> Result<Loaded, LoadError> {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        load(&flags, &[], &Disk)
    }

    #[test]
    fn redis_has_traefiks_options_and_defaults() {
        let redis = loaded(&["--providers.redis=true"]).unwrap().config;
        let redis = redis.providers.redis.unwrap();
        assert_eq!(
            (&*redis.root_key, &*redis.endpoints[0], redis.db),
            ("traefik", "127.0.0.1:6379", 0)
        );
        let all = loaded(&[
            "--providers.redis.endpoints=a:1,b:2",
            "--providers.redis.username=u",
            "--providers.redis.password=hunter2",
            "--providers.redis.db=7",
            "--providers.redis.tls.ca=/ca.pem",
            "--providers.redis.sentinel.masterName=main",
            "--providers.redis.sentinel.password=hunter2",
            "--providers.redis.sentinel.replicaStrategy=true",
            "--providers.redis.sentinel.useDisconnectedReplicas=true",
            "--providers.redis.aliasKey=alias",
        ])
        .unwrap();
        assert_eq!(all.warnings.len(), 0, "{:?}", all.warnings);
        let redis = all.config.providers.redis.unwrap();
        assert!(redis.sentinel.as_ref().unwrap().replica_strategy);
        assert_eq!((redis.db, &*redis.kv().alias_key), (7, "alias"));
        assert!(!format!("{redis:?}").contains("hunter2"));
    }

    #[test]
    fn what_cannot_work_together_is_refused() {
        for (flags, words) in [
            (
                &[
                    "--providers.etcd.aliasInRoot=true",
                    "--providers.etcd.aliasKey=a",
                ][..],
                "providers.etcd.aliasInRoot",
            ),
            (
                &["--providers.redis.endpoints=a:1,b:2"],
                "providers.redis.endpoints",
            ),
            (
                &["--providers.redis.sentinel.latencyStrategy=true"],
                "needs a masterName",
            ),
            (
                &[
                    "--providers.redis.sentinel.masterName=main",
                    "--providers.redis.sentinel.latencyStrategy=true",
                    "--providers.redis.sentinel.replicaStrategy=true",
                ],
                "exclude each other",
            ),
        ] {
            let Err(error) = loaded(flags) else {
                panic!("accepted: {flags:?}");
            };
            let error = error.to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn consul_has_traefiks_options_and_defaults() {
        let consul = loaded(&["--providers.consul=true"]).unwrap().config;
        let consul = consul.providers.consul.unwrap();
        assert_eq!(
            (&*consul.root_key, &*consul.endpoints[0]),
            ("traefik", "127.0.0.1:8500")
        );
        let all = loaded(&[
            "--providers.consul.endpoints=a:1,https://b:2",
            "--providers.consul.token=hunter2",
            "--providers.consul.namespaces=ns1,ns2",
            "--providers.consul.tls.insecureSkipVerify=true",
        ])
        .unwrap();
        assert_eq!(all.warnings.len(), 0, "{:?}", all.warnings);
        let consul = all.config.providers.consul.unwrap();
        assert_eq!((consul.endpoints.len(), consul.namespaces.len()), (2, 2));
        assert!(!format!("{consul:?}").contains("hunter2"));
    }
    #[test]
    fn zookeeper_has_traefiks_options_and_defaults() {
        let zookeeper = loaded(&["--providers.zooKeeper=true"]).unwrap().config;
        let zookeeper = zookeeper.providers.zookeeper.unwrap();
        assert_eq!(
            (&*zookeeper.root_key, &*zookeeper.endpoints[0]),
            ("traefik", "127.0.0.1:2181")
        );
        let all = loaded(&[
            "--providers.zookeeper.endpoints=a:1,b:2",
            "--providers.zookeeper.rootKey=x",
            "--providers.zookeeper.username=u",
            "--providers.zookeeper.password=hunter2",
            "--providers.zookeeper.aliasKey=x/alias",
            "--providers.zookeeper.aliasWatch=true",
            "--providers.zookeeper.allowRestore=true",
            "--providers.zookeeper.throttleDuration=1s",
        ])
        .unwrap();
        assert_eq!(all.warnings.len(), 0, "{:?}", all.warnings);
        let zookeeper = all.config.providers.zookeeper.unwrap();
        assert_eq!(zookeeper.endpoints.len(), 2);
        assert_eq!(&*zookeeper.kv().alias_key, "x/alias");
        assert!(!format!("{zookeeper:?}").contains("hunter2"));
    }

    /// Traefik 3.7.15: the same; routers of `consul-ns1` come after those of all providers that are listed.
    #[test]
    fn consul_of_a_namespace_has_no_place_of_its_own_in_the_precedence() {
        let flags = |name| {
            [
                "--providers.consul.namespaces=ns1".to_owned(),
                format!("--providers.precedence={name}"),
            ]
        };
        assert!(load(&flags("Consul"), &[], &Disk).is_ok());
        let Err(error) = load(&flags("consul-ns1"), &[], &Disk) else {
            panic!("accepted");
        };
        assert!(error.to_string().contains("is no provider"), "{error}");
    }
}
