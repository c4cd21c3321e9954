//! `X-Forwarded-*` and `X-Real-Ip`: what untrusted clients say is dropped, what is true is set.
//!
//! ```text
//! edge   (before routing)      strip if untrusted; X-Real-Ip, -Proto, -Port, -Host, -Server
//! proxy  (after middlewares)   X-Forwarded-For: prior values, peer
//! ```

use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::IpNet;

use super::fields::FieldName;
use super::hop;
use super::message::{RequestHead, split_host_port};
use super::token::Token;

/// `entryPoints.*.forwardedHeaders`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardedPolicy {
    /// Trust every peer.
    pub insecure: bool,
    /// Networks of peers whose `X-Forwarded-*` are believed.
    pub trusted: Vec<IpNet>,
    /// Names that a client's `Connection` may list and that middlewares still see
    /// (`forwardedHeaders.connection`).
    pub connection: Vec<FieldName>,
    /// Whether the peer is left out of `X-Forwarded-For` (`notAppendXForwardedFor`).
    pub not_append_xff: bool,
}

/// What the forwarded fields say about one client connection; made once per connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    ip: IpAddr,
    text: IpText,
    tls: bool,
    trusted: bool,
}

impl ForwardedPolicy {
    /// Whether the forwarded fields of this peer are believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.insecure || self.trusted.iter().any(|network| network.contains(&peer))
    }
}

impl Peer {
    /// A peer at `ip` (an IPv4-mapped address counts as IPv4) whose connection came in over TLS or
    /// not.
    pub fn new(ip: IpAddr, tls: bool, policy: &ForwardedPolicy) -> Self {
        let ip = ip.to_canonical();
        Peer {
            ip,
            text: IpText::new(ip),
            tls,
            trusted: policy.trusts(ip),
        }
    }

    /// The peer's address.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// The peer's address as text.
    pub fn ip_text(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Whether the connection is over TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether the peer's forwarded fields are believed.
    pub fn is_trusted(&self) -> bool {
        self.trusted
    }
}

/// The step before routing: strips what an untrusted peer says about itself (every spelling, with
/// `_` for `-` too), sets what is missing, and applies the client's `Connection`.
/// `server` is this machine's host name.
pub fn edge(head: &mut RequestHead, policy: &ForwardedPolicy, peer: &Peer, server: &[u8]) {
    if !peer.trusted {
        head.fields
            .retain(|token, name, _| !hop::is_managed(token, name));
    }
    set_if_missing(head, Token::XRealIp, peer.text.as_bytes());
    let proto: &[u8] = match (head.is_websocket(), peer.tls) {
        (false, false) => b"http",
        (false, true) => b"https",
        (true, false) => b"ws",
        (true, true) => b"wss",
    };
    set_if_missing(head, Token::XForwardedProto, proto);
    if is_missing(head, Token::XForwardedPort) {
        let secure = peer.tls
            || matches!(
                head.fields.get(Token::XForwardedProto),
                Some(b"https" | b"wss")
            );
        let mut port = PortText::new();
        let text = match head.port() {
            Some(text) if !text.is_empty() && port.copy(text) => port.as_bytes(),
            _ if secure => b"443",
            _ => b"80",
        };
        head.fields.set(&Token::XForwardedPort, text);
    }
    if is_missing(head, Token::XForwardedHost) {
        head.copy_authority_to(Token::XForwardedHost);
    }
    if head.fields.count(&Token::XForwardedFor) > 1 {
        head.fields.join(&Token::XForwardedFor);
    }
    if !server.is_empty() {
        head.fields.set(&Token::XForwardedServer, server);
    }
    hop::apply_connection(head, &policy.connection);
}

/// The step before the hop upstream, after all middlewares: joins the values of `X-Forwarded-For` and
/// adds the peer. To be done once per forwarded request, on the head that is written.
pub fn proxy(head: &mut RequestHead, policy: &ForwardedPolicy, peer: &Peer) {
    if head.omit_forwarded_for {
        head.fields.remove(&Token::XForwardedFor);
    } else if !policy.not_append_xff {
        head.fields
            .append_to_list(&Token::XForwardedFor, peer.text.as_bytes());
    }
}

fn is_missing(head: &RequestHead, token: Token) -> bool {
    head.fields.get(token).is_none_or(<[u8]>::is_empty)
}

fn set_if_missing(head: &mut RequestHead, token: Token, value: &[u8]) {
    if is_missing(head, token) {
        head.fields.set(&token, value);
    }
}

impl RequestHead {
    /// Sets a field to the authority as sent; nothing if there is none.
    pub(crate) fn copy_authority_to(&mut self, token: Token) {
        let mut fields = std::mem::take(&mut self.fields);
        if let Some(authority) = self.authority().filter(|authority| !authority.is_empty()) {
            fields.set(&token, authority);
        }
        self.fields = fields;
    }
}

/// The text of an address, on the stack.
#[derive(Clone, Copy, Debug)]
struct IpText {
    text: [u8; 45],
    length: u8,
}

impl IpText {
    fn new(ip: IpAddr) -> Self {
        let mut text = IpText {
            text: [0; 45],
            length: 0,
        };
        // The longest text of an address is 45 bytes, so that this cannot fail.
        let _ = write!(text, "{ip}");
        text
    }

    fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }
}

impl std::fmt::Write for IpText {
    fn write_str(&mut self, piece: &str) -> std::fmt::Result {
        let start = usize::from(self.length);
        let end = start + piece.len();
        let place = self.text.get_mut(start..end).ok_or(std::fmt::Error)?;
        place.copy_from_slice(piece.as_bytes());
        self.length = end as u8;
        Ok(())
    }
}

/// A copy of a port from the authority, so that the head can be changed meanwhile.
struct PortText {
    text: [u8; 8],
    length: usize,
}

impl PortText {
    fn new() -> Self {
        PortText {
            text: [0; 8],
            length: 0,
        }
    }

    /// Whether `port` fits; no real port is longer.
    fn copy(&mut self, port: &[u8]) -> bool {
        let Some(place) = self.text.get_mut(..port.len()) else {
            return false;
        };
        place.copy_from_slice(port);
        self.length = port.len();
        true
    }

    fn as_bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

/// The host of a forwarded `host[:port]` value, lower-casing left to the caller.
pub fn host_of(value: &[u8]) -> &[u8] {
    split_host_port(value).0
}
