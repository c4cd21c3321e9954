//! To which server to connect, with what, and what a server's error means.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ErrorKind, IntoConnectionInfo,
    ProtocolVersion, RedisConnectionInfo, RedisError, ServerErrorKind, TlsCertificates,
};

use super::announce::channel;
use super::pushes;
use super::{Link, RedisSettings, SentinelSettings, Strategy, TIMEOUT};
use crate::config::decode::Text;
use crate::config::dynamic::middleware::ClientTls;
use crate::config::secret::Secret;
use crate::provider::kv::address::Address;
use crate::provider::kv::signals::Signals;
use crate::provider::kv::store::{Failure, StoreError};
use crate::tls::material::pem;

/// Whom to connect as.
#[derive(Clone, Copy)]
struct Account<'a> {
    username: &'a Text,
    password: &'a Secret<Text>,
    db: u32,
}

/// Opens connections; clones share the settings.
#[derive(Clone)]
pub(crate) struct Connector(Arc<Inner>);

struct Inner {
    settings: RedisSettings,
    endpoints: Vec<Address>,
}

impl Connector {
    pub(crate) fn new(settings: RedisSettings) -> Result<Self, StoreError> {
        let endpoints: Result<Vec<Address>, StoreError> = settings
            .endpoints
            .iter()
            .map(|text| {
                let wrong = || format!("providers.redis.endpoints: {text:?} is not host:port");
                Address::parse(text, None).ok_or_else(|| refused(wrong()))
            })
            .collect();
        let endpoints = endpoints?;
        let has_count = match settings.sentinel {
            Some(_) => !endpoints.is_empty(),
            None => endpoints.len() == 1,
        };
        if !has_count {
            return Err(refused(
                "providers.redis.endpoints: one server is expected; several only with sentinel",
            ));
        }
        Ok(Self(Arc::new(Inner {
            settings,
            endpoints,
        })))
    }

    pub(crate) fn settings(&self) -> &RedisSettings {
        &self.0.settings
    }

    /// Connects to the server that is to be read.
    pub(crate) async fn connect(&self) -> Result<Link, StoreError> {
        let Some(sentinel) = &self.settings().sentinel else {
            return self.open_server(&self.0.endpoints[0]).await;
        };
        let mut last = None;
        for address in self.candidates(sentinel).await? {
            let link = match self.open_server(&address).await {
                Ok(link) => link,
                Err(error) => {
                    last = Some(error);
                    continue;
                }
            };
            if sentinel.strategy != Strategy::Master || is_master(&link).await {
                return Ok(link);
            }
            let text = format!(
                "{} is no master any more; its sentinels do not know yet",
                link.name
            );
            last = Some(StoreError::new(Failure::Unavailable, text));
        }
        Err(last.unwrap_or_else(|| {
            StoreError::new(
                Failure::Unavailable,
                "redis: the sentinels name no server that could be read",
            )
        }))
    }

    /// Whether the sentinels say that another server is the master now. Sentinels that do not answer say nothing.
    pub(crate) async fn has_moved(&self, from: &Address) -> bool {
        let Some(sentinel) = &self.settings().sentinel else {
            return false;
        };
        sentinel.strategy == Strategy::Master
            && (self.candidates(sentinel).await)
                .is_ok_and(|now| now.first().is_some_and(|now| now != from))
    }

    /// The servers that may be read, the best first, from the first sentinel that knows.
    async fn candidates(&self, sentinel: &SentinelSettings) -> Result<Vec<Address>, StoreError> {
        let account = Account {
            username: &sentinel.username,
            password: &sentinel.password,
            db: 0,
        };
        let mut last = None;
        for endpoint in &self.0.endpoints {
            let known = async {
                let name = format!("redis sentinel at {endpoint}");
                let link = self
                    .open(endpoint, account, name, "providers.redis.sentinel")
                    .await?;
                let master = master(&link, &sentinel.master_name).await?;
                let replicas = match sentinel.strategy {
                    Strategy::Master => Vec::new(),
                    _ => replicas(&link, sentinel).await?,
                };
                Ok::<_, StoreError>((master, replicas))
            };
            match known.await {
                Ok((master, replicas)) => {
                    return Ok(self.in_order(sentinel, master, replicas).await);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| refused("redis: there is no sentinel")))
    }

    async fn in_order(
        &self,
        sentinel: &SentinelSettings,
        master: Address,
        mut replicas: Vec<Address>,
    ) -> Vec<Address> {
        match sentinel.strategy {
            Strategy::Master => vec![master],
            Strategy::Replica => {
                shuffle(&mut replicas);
                replicas.push(master);
                replicas
            }
            Strategy::Random => {
                replicas.push(master);
                shuffle(&mut replicas);
                replicas
            }
            Strategy::Latency => {
                replicas.push(master);
                let mut timed = Vec::new();
                for address in replicas {
                    let start = Instant::now();
                    let Ok(link) = self.open_server(&address).await else {
                        continue;
                    };
                    if link.ping().await.is_ok() {
                        timed.push((start.elapsed(), address));
                    }
                }
                timed.sort_by_key(|(latency, _)| *latency);
                timed.into_iter().map(|(_, address)| address).collect()
            }
        }
    }

    async fn open_server(&self, address: &Address) -> Result<Link, StoreError> {
        let own = self.settings();
        let account = Account {
            username: &own.username,
            password: &own.password,
            db: own.db,
        };
        let name = format!("redis at {address}");
        self.open(address, account, name, "providers.redis").await
    }

    /// `section` is where the account stands in the configuration.
    async fn open(
        &self,
        address: &Address,
        account: Account<'_>,
        name: String,
        section: &str,
    ) -> Result<Link, StoreError> {
        let mut login = RedisConnectionInfo::default()
            .set_db(account.db.into())
            // Pushes and replies share a connection.
            .set_protocol(ProtocolVersion::RESP3)
            .set_skip_set_lib_name();
        if !account.username.is_empty() {
            login = login.set_username(&**account.username);
        }
        if !account.password.reveal().is_empty() {
            login = login.set_password(&**account.password.reveal());
        }
        let Address { host, port } = address.clone();
        let failed_to_connect = |error: RedisError| failed_login(&name, section, account, &error);
        let client = match &self.settings().tls {
            None => ConnectionAddr::Tcp(host, port)
                .into_connection_info()
                .and_then(|info| Client::open(info.set_redis_settings(login))),
            Some(tls) => {
                crate::tls::cryptography::install();
                let certificates = certificates(tls)?;
                let address = ConnectionAddr::TcpTls {
                    host,
                    port,
                    insecure: tls.insecure_skip_verify,
                    tls_params: None,
                };
                address.into_connection_info().and_then(|info| {
                    Client::build_with_tls(info.set_redis_settings(login), certificates)
                })
            }
        };
        let client = client.map_err(failed_to_connect)?;
        let signals = Arc::new(Signals::default());
        let (pushed, channel) = (signals.clone(), channel(account.db));
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT))
            .set_push_sender(move |push| {
                pushes::take_in(&pushed, &push, &channel);
                Ok::<(), redis::aio::SendError>(())
            });
        let connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(failed_to_connect)?;
        Ok(Link {
            connection,
            signals,
            name: name.into(),
            address: address.clone(),
        })
    }
}

/// The master's address, as this sentinel knows it.
async fn master(link: &Link, name: &str) -> Result<Address, StoreError> {
    let mut command = redis::cmd("SENTINEL");
    command.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    let address: Option<(String, u16)> = link
        .must(&command, "SENTINEL GET-MASTER-ADDR-BY-NAME")
        .await?;
    let (host, port) = address.ok_or_else(|| {
        refused(format!(
            "{} watches no master {name:?}: check providers.redis.sentinel.masterName",
            link.name
        ))
    })?;
    Ok(Address { host, port })
}

/// The addresses of the replicas that are up.
async fn replicas(link: &Link, own: &SentinelSettings) -> Result<Vec<Address>, StoreError> {
    let mut command = redis::cmd("SENTINEL");
    command.arg("REPLICAS").arg(&*own.master_name);
    let known: Vec<HashMap<String, String>> = link.must(&command, "SENTINEL REPLICAS").await?;
    let up = known.iter().filter(|replica| {
        let flags = replica.get("flags").map_or("", |flags| flags);
        !["s_down", "o_down", "disconnected"]
            .iter()
            .any(|flag| flags.contains(flag))
    });
    let (linked, lost): (Vec<_>, Vec<_>) = up.partition(|replica| {
        let link = replica.get("master-link-status");
        link.is_some_and(|status| status == "ok")
    });
    let usable = if linked.is_empty() && own.use_disconnected_replicas {
        lost
    } else {
        linked
    };
    let address = |replica: &HashMap<String, String>| {
        Some(Address {
            host: replica.get("ip")?.clone(),
            port: replica.get("port")?.parse().ok()?,
        })
    };
    Ok(usable.into_iter().filter_map(address).collect())
}

/// Whether a server says that it is the master; one that may not be asked is believed to be.
async fn is_master(link: &Link) -> bool {
    let role: Result<Vec<redis::Value>, RedisError> = link.ask(&redis::cmd("ROLE")).await;
    role.map_or(true, |role| {
        role.first() == Some(&redis::Value::BulkString(b"master".to_vec()))
    })
}

/// Some order; nobody depends on its quality.
fn shuffle(addresses: &mut [Address]) {
    let random = RandomState::new();
    addresses.sort_by_cached_key(|address| random.hash_one(address.to_string()));
}

fn certificates(tls: &ClientTls) -> Result<TlsCertificates, StoreError> {
    let read = |option: &str, text: &str| {
        pem(text).map_err(|error| refused(format!("providers.redis.tls.{option}: {error}")))
    };
    let root_cert = match &*tls.ca {
        "" => None,
        ca => Some(read("ca", ca)?),
    };
    let client_tls = match (&*tls.cert, &**tls.key.reveal()) {
        ("", "") => None,
        ("", _) | (_, "") => {
            return Err(refused(
                "providers.redis.tls: cert and key belong together, one is missing",
            ));
        }
        (cert, key) => Some(ClientTlsConfig {
            client_cert: read("cert", cert)?,
            client_key: read("key", key)?,
        }),
    };
    Ok(TlsCertificates {
        client_tls,
        root_cert,
    })
}

fn refused(text: impl Into<String>) -> StoreError {
    StoreError::new(Failure::Refused, text)
}

/// Whether the server answered at all, with an error.
pub(crate) fn is_answer(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::AuthenticationFailed
    )
}

/// What to do about a failed command.
pub(crate) fn failed(name: &str, command: &str, error: &RedisError) -> StoreError {
    let failure = meaning(error);
    let advice = match error.kind() {
        ErrorKind::Server(ServerErrorKind::NoPerm) => {
            "; the user's ACL must allow it, and the keys below the root"
        }
        _ => "",
    };
    StoreError::new(failure, format!("{name}: {command}: {error}{advice}"))
}

fn failed_login(name: &str, section: &str, account: Account<'_>, error: &RedisError) -> StoreError {
    let failure = meaning(error);
    let advice = if error.kind() == ErrorKind::AuthenticationFailed
        || error
            .code()
            .is_some_and(|code| matches!(code, "WRONGPASS" | "NOAUTH"))
    {
        let user = match &**account.username {
            "" => "the default user",
            user => user,
        };
        format!("; check {section}.username and {section}.password (tried as {user})")
    } else {
        String::new()
    };
    StoreError::new(failure, format!("{name}: {error}{advice}"))
}

fn meaning(error: &RedisError) -> Failure {
    let is_full = || error.to_string().contains("max number of clients");
    match error.kind() {
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::MasterDown
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown,
        ) => Failure::Unavailable,
        ErrorKind::Server(_)
        | ErrorKind::Extension
        | ErrorKind::AuthenticationFailed
        | ErrorKind::InvalidClientConfig
        | ErrorKind::RESP3NotSupported
            if !is_full() =>
        {
            Failure::Refused
        }
        _ => Failure::Unavailable,
    }
}
