//! What etcd's and gRPC's errors mean for what to do next: the one table of them.

use std::error::Error;

use tonic::{Code, Status};

use crate::config::decode::Text;
use crate::provider::kv::store::{Failure, StoreError};

/// Who is asked and as whom, for people.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// `host:port`.
    pub(super) endpoint: String,
    /// The user; empty means none.
    pub(super) user: Text,
}

/// What to do about a failed request.
pub(super) fn failure(status: &Status) -> Failure {
    let message = status.message();
    match status.code() {
        // "required revision has been compacted", or "is a future revision": the store is another than it was.
        Code::OutOfRange => Failure::Compacted,
        // "invalid auth token".
        Code::Unauthenticated => Failure::Unauthenticated,
        // A user or role was changed after the token was given out.
        Code::InvalidArgument if message.contains("revision of auth store is old") => {
            Failure::Unauthenticated
        }
        // "user name is empty", "authentication failed", or a request that this server takes for wrong.
        Code::InvalidArgument | Code::PermissionDenied => Failure::Refused,
        // HTTP 404, or a service that has not this method.
        Code::Unimplemented => Failure::Refused,
        _ if is_other_protocol(status) => Failure::Refused,
        // No leader, too many requests, a broken connection, a time-out, a reason nobody knows: all may pass.
        _ => Failure::Unavailable,
    }
}

impl Peer {
    /// A request's failure: who was asked, what for, what came back, what to do.
    pub(super) fn error(&self, doing: &str, status: &Status) -> StoreError {
        let Self { endpoint, user } = self;
        let failure = failure(status);
        let mut text = format!("etcd at {endpoint}: {doing}: {}", reasons(status));
        let message = status.message();
        let advice = if status.code() == Code::Unimplemented || is_other_protocol(status) {
            "; this does not speak etcd's v3 API (gRPC): give the client address of an etcd 3.4 or newer, not of a \
             proxy for HTTP/1 or of an etcd with the v2 API alone"
        } else if message.contains("user name is empty") {
            "; the cluster wants a user: set providers.etcd.username and .password"
        } else if message.contains("authentication failed") {
            "; check providers.etcd.username and .password"
        } else if status.code() == Code::PermissionDenied {
            let grant = "etcdctl role grant-permission --prefix ROLE read …";
            text += &match user.is_empty() {
                true => format!(
                    "; no user is configured: set providers.etcd.username, or grant the role of the client \
                                 certificate's user the right to read this ({grant})"
                ),
                false => format!(
                    "; the user {user:?} may not: grant a role of this user the right to read this ({grant})"
                ),
            };
            ""
        } else if message.contains("invalid peer certificate") {
            "; check providers.etcd.tls.ca and the name in the endpoint"
        } else {
            ""
        };
        text.push_str(advice);
        StoreError::new(failure, text)
    }
}

/// A transport that could not be made.
pub(super) fn transport(endpoint: &str, error: &tonic::transport::Error) -> StoreError {
    let text = chain(error);
    let advice = if text.contains("invalid peer certificate") {
        "; check providers.etcd.tls.ca and the name in the endpoint"
    } else if text.contains("not negotiated") {
        "; this does not speak etcd's v3 API (gRPC over HTTP/2)"
    } else if endpoint.ends_with(":4001") {
        "; port 4001 was that of etcd 0.4 and its v2 API: today's is 2379"
    } else {
        ""
    };
    let failure = if text.contains("invalid peer certificate") || text.contains("not negotiated") {
        Failure::Refused
    } else {
        Failure::Unavailable
    };
    StoreError::new(failure, format!("etcd at {endpoint}: {text}{advice}"))
}

/// Whether what answered was no HTTP/2: its first bytes, taken for a frame, announce an impossible size.
fn is_other_protocol(status: &Status) -> bool {
    reasons(status).contains("frame with invalid size")
}

fn reasons(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = status.source();
    while let Some(error) = source {
        append(&mut text, error);
        source = error.source();
    }
    text
}

fn chain(error: &dyn Error) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        append(&mut text, error);
        next = error.source();
    }
    text
}

/// Appends an error's own text, unless the ones before it said it already.
fn append(text: &mut String, error: &dyn Error) {
    let own = error.to_string();
    if text.contains(&own) {
        return;
    }
    if !text.is_empty() {
        text.push_str(": ");
    }
    text.push_str(&own);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_etcd_has_its_meaning() {
        // Texts from etcd's rpctypes (3.4).
        for (code, text, meaning) in [
            (
                Code::OutOfRange,
                "etcdserver: mvcc: required revision has been compacted",
                Failure::Compacted,
            ),
            (
                Code::OutOfRange,
                "etcdserver: mvcc: required revision is a future revision",
                Failure::Compacted,
            ),
            (
                Code::Unauthenticated,
                "etcdserver: invalid auth token",
                Failure::Unauthenticated,
            ),
            (
                Code::InvalidArgument,
                "etcdserver: revision of auth store is old",
                Failure::Unauthenticated,
            ),
            (
                Code::InvalidArgument,
                "etcdserver: user name is empty",
                Failure::Refused,
            ),
            (
                Code::InvalidArgument,
                "etcdserver: authentication failed, invalid user ID or password",
                Failure::Refused,
            ),
            (
                Code::PermissionDenied,
                "etcdserver: permission denied",
                Failure::Refused,
            ),
            (
                Code::Unimplemented,
                "grpc-status header missing, mapped from HTTP status code 404",
                Failure::Refused,
            ),
            (
                Code::Unavailable,
                "etcdserver: no leader",
                Failure::Unavailable,
            ),
            (
                Code::ResourceExhausted,
                "etcdserver: too many requests",
                Failure::Unavailable,
            ),
            (
                Code::Unavailable,
                "etcdserver: request timed out",
                Failure::Unavailable,
            ),
            (Code::Unknown, "transport error", Failure::Unavailable),
        ] {
            let status = Status::new(code, text);
            assert_eq!(failure(&status), meaning, "{text}");
            let peer = Peer {
                endpoint: "e:1".into(),
                user: "reader".into(),
            };
            let told = peer.error("listing \"traefik/\"", &status).text;
            assert!(
                told.contains("etcd at e:1: listing \"traefik/\"") && told.contains(text),
                "{told}"
            );
            assert_eq!(
                told.contains("\"reader\" may not"),
                code == Code::PermissionDenied
            );
        }
    }
}
