//! Providers of dynamic configuration besides files: key-value stores.
//!
//! What all key-value providers have stands once, in `kv_provider!`, and is read through `kv()`.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::config::decode::{FromText, List, Omit, Text};
use crate::config::duration::GoDuration;
use crate::config::dynamic::middleware::ClientTls;
use crate::config::secret::Secret;

/// What every key-value provider has, whatever its store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvOptions {
    /// The prefix below which the configuration lies.
    pub root_key: Text,
    /// The key whose value names the prefix in force; empty means none.
    pub alias_key: Text,
    /// Whether the key `alias` below the root is the alias, and the root itself is in force while there is no such key.
    pub alias_in_root: bool,
    /// With an alias: whether changes below the prefix in force count too.
    pub alias_watch: bool,
    /// Whether a store that was restored to an older state, or replaced by an empty one, is believed.
    pub allow_restore: bool,
    /// Shortest time between two applied configurations; `None` means `providers.providersThrottleDuration`.
    pub throttle: Option<GoDuration>,
}

impl KvOptions {
    /// Whether a key says which prefix is in force.
    pub fn has_alias(&self) -> bool {
        self.alias_in_root || !self.alias_key.is_empty()
    }
}

/// Declares a key-value provider's options: its own and those that all of them have.
macro_rules! kv_provider {
    ($(#[$meta:meta])* pub struct $name:ident { $($own:tt)* }) => {
        schema! {
            $(#[$meta])*
            pub struct $name {
                /// The prefix below which the configuration lies.
                pub root_key: Text = "rootKey" [default "traefik".into()];
                /// The key whose value names the prefix in force, which then changes as one; empty means none.
                pub alias_key: Text = "aliasKey";
                /// Traefik 1's rule: the key `alias` below `rootKey` names the prefix in force; while there is no such
                /// key it is `rootKey` itself. Excludes `aliasKey`.
                pub alias_in_root: bool = "aliasInRoot";
                /// With an alias: whether changes below the prefix in force count too.
                pub alias_watch: bool = "aliasWatch";
                /// Whether a store that was restored to an older state, or replaced by an empty one, is believed.
                pub allow_restore: bool = "allowRestore";
                /// Shortest time between two applied configurations; without it `providersThrottleDuration` holds.
                pub throttle_duration: Option<GoDuration> = "throttleDuration" [min 0];
                $($own)*
            }
        }

        impl $name {
            /// What every key-value provider has.
            pub fn kv(&self) -> $crate::config::statics::KvOptions {
                $crate::config::statics::KvOptions {
                    root_key: self.root_key.clone(),
                    alias_key: self.alias_key.clone(),
                    alias_in_root: self.alias_in_root,
                    alias_watch: self.alias_watch,
                    allow_restore: self.allow_restore,
                    throttle: self.throttle_duration,
                }
            }
        }
    };
}

pub(super) use kv_provider;

kv_provider! {
    /// Dynamic configuration from etcd, through its v3 API.
    pub struct Etcd {
        /// Where its members are.
        pub endpoints: List<EtcdEndpoint> = "endpoints" [default [EtcdEndpoint::default()].into()];
        /// TLS to the members.
        pub tls: Option<Box<ClientTls>> = "tls";
        /// The user; empty means none.
        pub username: Text = "username";
        /// The user's password.
        pub password: Secret<Text> = "password";
    }
}

/// etcd's port for clients, where an endpoint names none.
const ETCD_PORT: u16 = 2379;

/// What says whether an endpoint is spoken to through TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Nothing was said: TLS if the provider's `tls` is configured.
    Unsaid,
    /// `http://`: never.
    Http,
    /// `https://`: always.
    Https,
}

/// A member of an etcd cluster: `host:port`, `http://host:port` or `https://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdEndpoint {
    /// Whether it is spoken to through TLS.
    pub scheme: Scheme,
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub host: Text,
    /// The port.
    pub port: u16,
}

impl Default for EtcdEndpoint {
    /// Traefik's: an etcd on this machine.
    fn default() -> Self {
        Self {
            scheme: Scheme::Unsaid,
            host: "127.0.0.1".into(),
            port: ETCD_PORT,
        }
    }
}

impl EtcdEndpoint {
    /// `host:port`.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl fmt::Display for EtcdEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.scheme {
            Scheme::Unsaid => "",
            Scheme::Http => "http://",
            Scheme::Https => "https://",
        })?;
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Serialize for EtcdEndpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Omit for EtcdEndpoint {
    fn is_omitted(&self) -> bool {
        false
    }
}

impl FromText for EtcdEndpoint {
    fn from_text(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!("{text:?} {why}: write host:port, http://host:port or https://host:port")
        };
        let (scheme, rest) = match text.split_once("://") {
            None => (Scheme::Unsaid, text),
            Some((word, rest)) if word.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            Some((word, rest)) if word.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            Some(_) => return Err(wrong("has a scheme that is neither http nor https")),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let version = path.split('/').next().unwrap_or_default();
        if version.eq_ignore_ascii_case("v2") {
            return Err(format!(
                "{text:?} means etcd's v2 API, which etcd 3.6 no longer has and Ringway does not speak: write the \
                 server's address without a path ({authority}), and keep the configuration as v3 keys (etcdctl put)"
            ));
        }
        if !path.is_empty() {
            return Err(wrong("has a path"));
        }
        let is_bracketed = authority.starts_with('[') && authority.ends_with(']');
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !is_bracketed => {
                let port = port.parse().ok().filter(|port| *port != 0);
                let port =
                    port.ok_or_else(|| wrong("has a port that is not a number from 1 to 65535"))?;
                (host, port)
            }
            _ => (authority, ETCD_PORT),
        };
        let is_name = |host: &str| {
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
            !host.is_empty() && host.bytes().all(is_plain)
        };
        let is_ipv6 = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
        if !is_name(host) && !is_ipv6 {
            return Err(wrong("has no host"));
        }
        Ok(Self {
            scheme,
            host: host.into(),
            port,
        })
    }
}

decode_from_text!(EtcdEndpoint);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::statics::{Disk, load};

    fn endpoint(text: &str) -> Result<String, String> {
        EtcdEndpoint::from_text(text).map(|endpoint| endpoint.to_string())
    }

    #[test]
    fn an_endpoint_is_an_address_with_or_without_scheme() {
        for (text, is) in [
            ("127.0.0.1:2379", "127.0.0.1:2379"),
            ("etcd-1.example.test", "etcd-1.example.test:2379"),
            ("http://etcd:2379/", "http://etcd:2379"),
            ("HTTPS://etcd:1234", "https://etcd:1234"),
            ("[::1]:2379", "[::1]:2379"),
            ("https://[::1]", "https://[::1]:2379"),
        ] {
            assert_eq!(endpoint(text).as_deref(), Ok(is));
        }
        for (text, why) in [
            ("", "has no host"),
            ("unix:///run/etcd", "neither http nor https"),
            ("etcd:port", "not a number"),
            ("etcd:0", "not a number"),
            ("http://etcd:2379/prefix", "has a path"),
            ("::1", "has no host"),
            ("u:p@etcd:2379", "has no host"),
        ] {
            let error = endpoint(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn an_endpoint_of_the_v2_api_is_refused_with_what_to_do() {
        for text in [
            "http://etcd:4001/v2/keys",
            "etcd:2379/v2",
            "https://etcd/V2/keys/traefik",
        ] {
            let error = endpoint(text).unwrap_err();
            assert!(
                error.contains("v2 API") && error.contains("without a path"),
                "{error}"
            );
        }
    }

    #[test]
    fn etcd_has_traefiks_options_and_defaults() {
        let flags = ["--providers.etcd=true".to_owned()];
        let config = load(&flags, &[], &Disk).unwrap().config;
        let etcd = config.providers.etcd.unwrap();
        assert_eq!(*etcd, Etcd::default());
        assert_eq!((&*etcd.root_key, etcd.endpoints.len()), ("traefik", 1));
        assert_eq!(etcd.endpoints[0].to_string(), "127.0.0.1:2379");
        let flags = [
            "--providers.etcd.endpoints=a:1,https://b:2",
            "--providers.etcd.rootKey=x/y",
            "--providers.etcd.username=u",
            "--providers.etcd.password=hunter2",
            "--providers.etcd.tls.insecureSkipVerify=true",
            "--providers.etcd.aliasKey=x/alias",
            "--providers.etcd.throttleDuration=3",
        ]
        .map(str::to_owned);
        let loaded = load(&flags, &[], &Disk).unwrap();
        assert_eq!(loaded.warnings.len(), 0, "{:?}", loaded.warnings);
        let etcd = loaded.config.providers.etcd.unwrap();
        assert_eq!((etcd.endpoints.len(), &*etcd.username), (2, "u"));
        assert!(etcd.tls.as_ref().unwrap().insecure_skip_verify);
        assert_eq!(etcd.kv().throttle, Some(GoDuration::from_secs(3)));
        assert_eq!(
            (&*etcd.kv().root_key, &*etcd.kv().alias_key),
            ("x/y", "x/alias")
        );
        let printed = format!("{etcd:?}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
