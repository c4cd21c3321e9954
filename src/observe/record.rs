//! One served request, as the access log sees it.

use std::net::SocketAddr;
use std::time::Duration;

/// Header fields that a log format may pick from. Implemented by the layers that know a message's type.
pub trait FieldSource {
    /// Calls `visit(name, value)` for each line in order.
    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8]));
}

/// No fields.
impl FieldSource for () {
    fn each(&self, _visit: &mut dyn FnMut(&[u8], &[u8])) {}
}

/// A served request. Borrowed from the exchange while the record is formatted.
pub struct AccessRecord<'a> {
    /// When the head had been received: time since the Unix epoch.
    pub started: Duration,
    /// From then to the response's last byte being queued.
    pub duration: Duration,
    /// The part of `duration` between sending the request upstream and having read the response.
    pub origin_duration: Duration,
    /// The client, or what a trusted PROXY header says.
    pub client: SocketAddr,
    /// The `X-Forwarded-For` the middlewares saw, without the proxy's own addition, if any (Traefik logs it as `ClientHost`).
    pub forwarded_for: Option<&'a [u8]>,
    /// The name of an authenticated user.
    pub username: Option<&'a str>,
    /// The method as sent.
    pub method: &'a [u8],
    /// The target as sent.
    pub target: &'a [u8],
    /// `HTTP/1.0` or `HTTP/1.1`.
    pub protocol: &'static str,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The authority as sent: host and port.
    pub authority: &'a [u8],
    /// Bytes of request body received.
    pub request_bytes: u64,
    /// Status sent to the client; 499 when it had gone.
    pub status: u16,
    /// Bytes of response body sent to the client.
    pub response_bytes: u64,
    /// Status from the origin; `None` when none answered.
    pub origin_status: Option<u16>,
    /// Bytes of response body read from the origin.
    pub origin_bytes: u64,
    /// Repeated attempts.
    pub retries: u32,
    /// The entry point.
    pub entry_point: &'a str,
    /// The router's qualified name; empty when none matched.
    pub router: &'a str,
    /// The service's qualified name; empty when none was asked.
    pub service: &'a str,
    /// The URL of the chosen server; empty when none was chosen.
    pub server_url: &'a str,
    /// The request's header fields as received and edited.
    pub request_fields: &'a dyn FieldSource,
    /// The response's header fields as sent.
    pub response_fields: &'a dyn FieldSource,
}
