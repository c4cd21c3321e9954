//! Providers that get the dynamic configuration through HTTP: by asking for it (`http`), and by being given it (`rest`).

use super::{Consul, Etcd, Redis, ZooKeeper};
use crate::config::decode::{Map, Text};
use crate::config::duration::GoDuration;
use crate::config::dynamic::middleware::ClientTls;
use crate::config::secret::Secret;

schema! {
    /// Dynamic configuration from an HTTP server.
    pub struct HttpProvider {
        /// The URL. With `alias`, `{alias}` in it stands for the alias; without a `{alias}` it is appended as a path.
        pub endpoint: Text = "endpoint";
        /// Time between two requests; without effect with `alias`.
        pub poll_interval: GoDuration = "pollInterval" [default GoDuration::from_secs(5)] [min 1];
        /// How long a request may take, its answer's body included; 0 means for ever.
        pub poll_timeout: GoDuration = "pollTimeout" [default GoDuration::from_secs(5)] [min 0];
        /// Fields of the request.
        pub headers: Map<Secret<Text>> = "headers";
        /// How the server is verified.
        pub tls: Option<Box<ClientTls>> = "tls";
        /// Most bytes of a body; -1 means 1 GiB, as for files.
        pub max_response_body_size: i64 = "maxResponseBodySize" [default -1] [min -1];
        /// Present: a key of a store, each write of which has the configuration fetched, instead of the interval.
        pub alias: Option<Box<HttpAlias>> = "alias";
    }

    /// The key that says which configuration is in force. One of the stores, or `provider`, says where it is.
    pub struct HttpAlias {
        /// The provider whose store has the key: `etcd`, `consul`, `redis` or `zooKeeper`. Its section says how to
        /// connect.
        pub provider: Text = "provider";
        /// The whole key.
        pub key: Text = "key";
        /// An etcd that has the key and need not be a provider. Only what says how to connect counts.
        pub etcd: Option<Box<Etcd>> = "etcd" [presence];
        /// The same for Redis.
        pub redis: Option<Box<Redis>> = "redis" [presence];
        /// The same for Consul.
        pub consul: Option<Box<Consul>> = "consul" [presence];
        /// The same for ZooKeeper.
        pub zookeeper: Option<Box<ZooKeeper>> = "zooKeeper" [presence];
    }

    /// Dynamic configuration that is put in by `PUT /api/providers/rest`.
    pub struct RestProvider {
        /// Whether it is served on the entry point `traefik` without any router.
        pub insecure: bool = "insecure";
        /// Most bytes of a body; -1 means 1 GiB, as for files.
        pub max_request_body_size: i64 = "maxRequestBodySize" [default -1] [min -1];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::statics::{Disk, StaticConfig, load};

    fn loaded(flags: &[&str]) -> Result<StaticConfig, String> {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        match load(&flags, &[], &Disk) {
            Ok(loaded) => {
                assert_eq!(loaded.warnings.len(), 0, "{:?}", loaded.warnings);
                Ok(loaded.config)
            }
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn http_has_traefiks_options_and_defaults() {
        let config = loaded(&["--providers.http.endpoint=http://a"]).unwrap();
        let http = config.providers.http.unwrap();
        assert_eq!(http.poll_interval, GoDuration::from_secs(5));
        assert_eq!(http.poll_timeout, GoDuration::from_secs(5));
        assert_eq!(http.max_response_body_size, -1);
        let config = loaded(&[
            "--providers.http.endpoint=https://a/b",
            "--providers.http.pollInterval=1500ms",
            "--providers.http.headers.X-Token=hunter2",
            "--providers.http.tls.ca=/ca.pem",
            "--providers.http.maxResponseBodySize=7",
            "--providers.http.alias.provider=etcd",
            "--providers.http.alias.key=/a/alias",
        ]);
        let http = config.unwrap().providers.http.unwrap();
        assert_eq!(http.poll_interval, GoDuration::from_millis(1500));
        assert_eq!(http.max_response_body_size, 7);
        assert_eq!(&*http.tls.as_ref().unwrap().ca, "/ca.pem");
        assert_eq!(&*http.alias.as_ref().unwrap().key, "/a/alias");
        assert!(!format!("{http:?}").contains("hunter2"));
    }

    #[test]
    fn an_alias_may_have_a_store_of_its_own() {
        for store in [
            "etcd.endpoints=a:1,b:2",
            "etcd=true",
            "redis.sentinel.masterName=main",
            "consul.token=hunter2",
            "zooKeeper.endpoints=a:1,b:2",
        ] {
            let config = loaded(&[
                "--providers.http.endpoint=https://a/b",
                "--providers.http.alias.key=/a/alias",
                &format!("--providers.http.alias.{store}"),
            ]);
            let providers = config.unwrap().providers;
            let (etcd, redis) = (&providers.etcd, &providers.redis);
            assert!(etcd.is_none() && redis.is_none() && providers.consul.is_none());
            assert!(!format!("{:?}", providers.http).contains("hunter2"));
        }
    }

    #[test]
    fn what_cannot_work_is_said() {
        let endpoint = "--providers.http.endpoint=http://a";
        for (flags, reason) in [
            (&["--providers.http=true"][..], "needs an endpoint"),
            (&["--providers.http.endpoint=a:80"], "http:// or https://"),
            (
                &[endpoint, "--providers.http.pollInterval=0"],
                "pollInterval",
            ),
            (
                &[endpoint, "--providers.http.alias.provider=etc"],
                "where one of etcd, consul, redis, zooKeeper is expected",
            ),
            (
                &[endpoint, "--providers.http.alias.provider=etcd"],
                "providers.http.alias.key",
            ),
            (
                &[endpoint, "--providers.http.alias.key=k"],
                "needs the store that has the key",
            ),
            (
                &[
                    endpoint,
                    "--providers.http.alias.key=k",
                    "--providers.http.alias.provider=redis",
                    "--providers.http.alias.etcd.endpoints=a:1",
                ],
                "both provider and etcd",
            ),
            (
                &[
                    endpoint,
                    "--providers.http.alias.key=k",
                    "--providers.http.alias.etcd.rootKey=a",
                ],
                "providers.http.alias.etcd.rootKey",
            ),
            (
                &[
                    endpoint,
                    "--providers.http.alias.key=k",
                    "--providers.http.alias.redis.endpoints=a:1,b:2",
                ],
                "providers.http.alias.redis.endpoints",
            ),
            (
                &[
                    endpoint,
                    "--providers.http.alias.key=k",
                    "--providers.http.alias.consul.namespaces=a,b",
                ],
                "providers.http.alias.consul.namespaces",
            ),
        ] {
            let error = loaded(flags).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn an_insecure_rest_has_an_entry_point() {
        let config = loaded(&[
            "--entryPoints.web.address=:80",
            "--providers.rest.insecure=true",
        ]);
        let config = config.unwrap();
        assert!(config.entry_points.contains_key("traefik"));
        assert_eq!(config.providers.rest.unwrap().max_request_body_size, -1);
        let config = loaded(&["--entryPoints.web.address=:80", "--providers.rest=true"]);
        assert!(!config.unwrap().entry_points.contains_key("traefik"));
    }
}
