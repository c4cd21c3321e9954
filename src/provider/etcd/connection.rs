//! A connection to one member of the cluster: TLS, the user's token, and requests. Not here: which member, and
//! what requests mean.

use std::fmt::Display;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::EtcdSettings;
use super::failure::{self, Peer};
use super::messages::{
    AuthenticateRequest, AuthenticateResponse, RangeRequest, RangeResponse, StatusRequest,
    StatusResponse, WatchRequest, WatchResponse,
};
use crate::config::dynamic::middleware::ClientTls;
use crate::config::statics::{EtcdEndpoint, Scheme};
use crate::provider::kv::store::{Failure, StoreError};
use crate::tls::{material, unverified};

/// Longest answer that is taken. A page is asked for so that it stays below [`super::store::PAGE_BYTES`]; only a
/// page with values much larger than those before it comes near, and is then asked for again in smaller parts.
pub(super) const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// How often the connection is checked when nothing else is said. etcd closes connections that ask more often
/// than every 5 s (`--grpc-keepalive-min-time`).
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// How long the answer to such a check may take.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Requests on a watch's stream that wait to be sent: its creation and a question for a sign of life.
const WATCH_REQUESTS: usize = 4;

/// An open connection.
#[derive(Clone)]
pub(super) struct Connection {
    grpc: Grpc<Channel>,
    pub(super) peer: Peer,
    token: Option<MetadataValue<Ascii>>,
    answer: Duration,
    /// Whether answers to a watch's progress requests come in order with its events.
    pub(super) has_ordered_progress: bool,
}

impl Connection {
    /// Connects to an endpoint, proves who we are, and makes sure that it is a member that serves.
    pub(super) async fn open(
        endpoint: &EtcdEndpoint,
        settings: &EtcdSettings,
    ) -> Result<Self, StoreError> {
        let name = endpoint.authority();
        let limit = settings.patience.connect;
        match timeout(limit, Self::try_open(endpoint, settings, name.clone())).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::new(
                Failure::Unavailable,
                format!("etcd at {name}: no connection within {limit:?}"),
            )),
        }
    }

    async fn try_open(
        endpoint: &EtcdEndpoint,
        settings: &EtcdSettings,
        name: String,
    ) -> Result<Self, StoreError> {
        let channel = channel(endpoint, settings)?
            .connect()
            .await
            .map_err(|error| failure::transport(&name, &error))?;
        let mut connection = Self {
            grpc: Grpc::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES),
            peer: Peer {
                endpoint: name,
                user: settings.username.clone(),
            },
            token: None,
            answer: settings.patience.answer,
            has_ordered_progress: false,
        };
        connection.authenticate(settings).await?;
        let status: Result<StatusResponse, Status> = connection
            .unary("/etcdserverpb.Maintenance/Status", StatusRequest {})
            .await;
        match status {
            Ok(status) if status.leader == 0 => Err(connection.unavailable("it knows no leader")),
            Ok(status) if status.is_learner => {
                Err(connection.unavailable("it is a learner, which serves no reads"))
            }
            Ok(status) => {
                connection.has_ordered_progress = has_ordered_progress(&status.version);
                Ok(connection)
            }
            // Whoever may read keys need not be allowed to ask for the state.
            Err(status) if status.code() == Code::PermissionDenied => Ok(connection),
            Err(status) => Err(connection.error("asking for its state", &status)),
        }
    }

    /// Gets a new token, if a user is configured and the cluster wants one.
    pub(super) async fn authenticate(&mut self, settings: &EtcdSettings) -> Result<(), StoreError> {
        self.token = None;
        if settings.username.is_empty() {
            return Ok(());
        }
        let request = AuthenticateRequest {
            name: settings.username.to_string(),
            password: settings.password.reveal().to_string(),
        };
        let answer: Result<AuthenticateResponse, Status> =
            self.unary("/etcdserverpb.Auth/Authenticate", request).await;
        let doing = format!("authenticating as {:?}", settings.username);
        match answer {
            Ok(answer) => {
                let token = answer.token.parse().map(|mut token: MetadataValue<Ascii>| {
                    token.set_sensitive(true);
                    token
                });
                self.token = Some(token.map_err(|_| {
                    self.unavailable("it gave a token that cannot be sent back (no ASCII)")
                })?);
                Ok(())
            }
            // The cluster wants no user; etcd's own client goes on without one too.
            Err(status) if status.message().contains("authentication is not enabled") => Ok(()),
            Err(status) => Err(self.error(&doing, &status)),
        }
    }

    /// Whether requests carry a token.
    pub(super) const fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// One page of a listing.
    pub(super) async fn range(&mut self, request: RangeRequest) -> Result<RangeResponse, Status> {
        self.unary("/etcdserverpb.KV/Range", request).await
    }

    /// A watch stream: where to say what is wanted, and what comes.
    pub(super) async fn watch(
        &mut self,
        first: WatchRequest,
    ) -> Result<(mpsc::Sender<WatchRequest>, Streaming<WatchResponse>), Status> {
        let (sender, requests) = mpsc::channel(WATCH_REQUESTS);
        // The channel is new and has room.
        let _ = sender.try_send(first);
        let request = self.request(ReceiverStream::new(requests));
        self.ready().await?;
        let path = PathAndQuery::from_static("/etcdserverpb.Watch/Watch");
        let opening = self.grpc.streaming(request, path, ProstCodec::default());
        let answer = timeout(self.answer, opening).await.map_err(too_late)??;
        Ok((sender, answer.into_inner()))
    }

    /// A failed request as the store's error.
    pub(super) fn error(&self, doing: &str, status: &Status) -> StoreError {
        self.peer.error(doing, status)
    }

    /// This endpoint does not serve, for the reason given.
    pub(super) fn unavailable(&self, why: impl Display) -> StoreError {
        StoreError::new(
            Failure::Unavailable,
            format!("etcd at {}: {why}", self.peer.endpoint),
        )
    }

    async fn unary<Q, A>(&mut self, path: &'static str, message: Q) -> Result<A, Status>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let request = self.request(message);
        let limit = self.answer;
        let asking = async {
            self.ready().await?;
            let path = PathAndQuery::from_static(path);
            self.grpc.unary(request, path, ProstCodec::default()).await
        };
        let answer = timeout(limit, asking).await.map_err(too_late)??;
        Ok(answer.into_inner())
    }

    async fn ready(&mut self) -> Result<(), Status> {
        let ready = self.grpc.ready().await;
        ready.map_err(|error| Status::from_error(error.into()))
    }

    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        // A member that has lost its leader says so instead of staying silent.
        metadata.insert("hasleader", MetadataValue::from_static("true"));
        if let Some(token) = &self.token {
            metadata.insert("token", token.clone());
        }
        request
    }
}

fn too_late(_: tokio::time::error::Elapsed) -> Status {
    Status::deadline_exceeded("no answer in time")
}

/// The transport to an endpoint, not yet connected.
fn channel(endpoint: &EtcdEndpoint, settings: &EtcdSettings) -> Result<Endpoint, StoreError> {
    let name = endpoint.authority();
    let wrong = |why: String| StoreError::new(Failure::Refused, why);
    let is_tls = match endpoint.scheme {
        Scheme::Https => true,
        Scheme::Http => false,
        Scheme::Unsaid => settings.tls.is_some(),
    };
    let scheme = if is_tls { "https" } else { "http" };
    let channel = Endpoint::from_shared(format!("{scheme}://{name}"))
        .map_err(|error| failure::transport(&name, &error))?
        .connect_timeout(settings.patience.connect)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true);
    if !is_tls {
        return Ok(channel);
    }
    let no_tls = ClientTls::default();
    let own = settings.tls.as_ref().unwrap_or(&no_tls);
    let mut tls = ClientTlsConfig::new();
    if !own.cert.is_empty() || !own.key.reveal().is_empty() {
        let cert = material::pem(&own.cert)
            .map_err(|why| wrong(format!("providers.etcd.tls.cert: {why}")))?;
        // A key's text stays out of messages.
        let key = own.key.reveal();
        let key = material::pem(key).map_err(|_| {
            wrong("providers.etcd.tls.key: neither PEM text nor a readable file with it".into())
        })?;
        tls = tls.identity(Identity::from_pem(cert, key));
    }
    let channel = if own.insecure_skip_verify {
        channel.tls_config_with_verifier(tls, unverified::verifier())
    } else if own.ca.is_empty() {
        channel.tls_config(tls.with_native_roots())
    } else {
        let ca =
            material::pem(&own.ca).map_err(|why| wrong(format!("providers.etcd.tls.ca: {why}")))?;
        channel.tls_config(tls.ca_certificate(Certificate::from_pem(ca)))
    };
    channel.map_err(|error| {
        let told = failure::transport(&name, &error).text;
        wrong(format!("{told}; check providers.etcd.tls"))
    })
}

/// Whether a server of this version answers a watch's progress request only after the events before it. Older
/// ones answer too early (etcd issue 15220), so that their answer says no more than "alive". The versions are
/// those that Kubernetes relies on (`feature_support_checker.go`).
fn has_ordered_progress(version: &str) -> bool {
    let mut parts = version
        .split(['.', '-', '+'])
        .map(|part| part.parse::<u32>().unwrap_or_default());
    let mut next = || parts.next().unwrap_or_default();
    match (next(), next(), next()) {
        (3, 4, patch) => patch >= 31,
        (3, 5, patch) => patch >= 13,
        version => version >= (3, 6, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_that_keep_the_order_are_believed() {
        for version in ["3.4.31", "3.5.13", "3.6.0", "3.6.0-rc.1", "4.0.0"] {
            assert!(has_ordered_progress(version), "{version}");
        }
        for version in ["3.4.23", "3.5.12", "3.5.0", "3.3.27", "2.3.8", "", "x"] {
            assert!(!has_ordered_progress(version), "{version}");
        }
    }
}
