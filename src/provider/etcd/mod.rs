//! etcd as a provider, through its v3 API (gRPC). The v2 API is refused with what to do instead.
//!
//! ```text
//!  endpoints ──► Connection (TLS, token) ──► EtcdStore ── list: pages pinned to one revision
//!                                                    └── watch ──► Assembly ──► one Event per transaction
//! ```
//!
//! | file | one idea |
//! |---|---|
//! | [`messages`] | the messages, by hand |
//! | [`connection`] | one endpoint: TLS, token, requests |
//! | [`store`] | which endpoint; listing |
//! | [`watch`] | a running watch and its signs of life |
//! | [`assembly`] | answers and fragments → whole transactions |
//! | [`failure`] | what etcd's errors mean |
//!
//! gRPC is the library `tonic`. The messages are not generated: the library `etcd-client` needs `protoc` for that whenever
//! it is built, which a fresh machine does not have, and the few that a reader needs fit one file.
//!
//! The product only reads. Not here: when to list, watch and try again (`kv::session`), what keys mean.

pub mod assembly;
pub mod connection;
pub mod failure;
pub mod messages;
pub mod store;
pub mod watch;

use std::time::Duration;

pub use store::EtcdStore;
pub use watch::EtcdWatch;

use crate::config::decode::Text;
use crate::config::dynamic::middleware::ClientTls;
use crate::config::secret::Secret;
use crate::config::statics::{self, EtcdEndpoint};

/// The provider's name, as objects' names carry it.
pub const NAME: &str = "etcd";

/// Where an etcd is and how it is spoken to (Traefik: `providers.etcd`).
#[derive(Clone, Debug, Default)]
pub struct EtcdSettings {
    /// The cluster's members, at least one.
    pub endpoints: Vec<EtcdEndpoint>,
    /// TLS to them; what it needs of files is read at each connection.
    pub tls: Option<ClientTls>,
    /// The user; empty means none.
    pub username: Text,
    /// The user's password.
    pub password: Secret<Text>,
    /// How long to wait for what.
    pub patience: Patience,
}

impl From<&statics::Etcd> for EtcdSettings {
    fn from(own: &statics::Etcd) -> Self {
        Self {
            endpoints: own.endpoints.to_vec(),
            tls: own.tls.as_deref().cloned(),
            username: own.username.clone(),
            password: own.password.clone(),
            patience: Patience::default(),
        }
    }
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For an endpoint to be connected to and to tell its state, before the next one is tried.
    pub connect: Duration,
    /// For one answer: a page of a listing, a watch's beginning.
    pub answer: Duration,
    /// For a watch to say something by itself, before it is asked for a sign of life.
    pub silence: Duration,
    /// For that sign of life.
    pub sign_of_life: Duration,
}

impl Default for Patience {
    /// An endpoint that is gone without a word (pulled cable, stopped process) is noticed after 8 s. Traefik gives
    /// a listing 5 s as a whole; here every page has 10.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            answer: Duration::from_secs(10),
            silence: Duration::from_secs(5),
            sign_of_life: Duration::from_secs(3),
        }
    }
}
