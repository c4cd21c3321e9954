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
/// `_` or `.` for `-` too), sets what is missing, and applies the client's `Connection`.
/// `server` is this machine's host name.
pub fn edge(head: &mut RequestHead, policy: &ForwardedPolicy, peer: &Peer, server: &[u8]) {
    let suspect = head.fields.may_have(Token::FORWARDED) || head.fields.may_have_alias();
    if suspect && !peer.trusted {
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
        put(head, Token::XForwardedPort, text);
    }
    if is_missing(head, Token::XForwardedHost) {
        head.set_to_authority(Token::XForwardedHost);
    }
    if head.fields.may_have(Token::XForwardedFor.bit())
        && head.fields.count(&Token::XForwardedFor) > 1
    {
        head.fields.join(&Token::XForwardedFor);
    }
    if !server.is_empty() {
        put(head, Token::XForwardedServer, server);
    }
    hop::apply_connection(head, &policy.connection);
}

/// The step before the hop upstream, after all middlewares: joins the values of `X-Forwarded-For` and
/// adds the peer. To be done once per forwarded request, on the head that is written.
pub fn proxy(head: &mut RequestHead, policy: &ForwardedPolicy, peer: &Peer) {
    if head.omit_forwarded_for {
        head.fields.remove(&Token::XForwardedFor);
    } else if !policy.not_append_xff {
        let ip = peer.text.as_bytes();
        match head.fields.get(Token::XForwardedFor) {
            None => head.fields.append_clean(Token::XForwardedFor, ip),
            Some(_) => head.fields.append_to_list(&Token::XForwardedFor, ip),
        }
        head.added_forwarded_for = true;
    }
}

/// `X-Forwarded-For` without what [`proxy`] added: what clients and proxies before this one sent.
pub fn received(head: &RequestHead) -> Option<&[u8]> {
    let list = head.fields.get(Token::XForwardedFor)?;
    if !head.added_forwarded_for {
        return Some(list);
    }
    let comma = list.iter().rposition(|&byte| byte == b',')?;
    Some(&list[..comma])
}

fn is_missing(head: &RequestHead, token: Token) -> bool {
    head.fields.get(token).is_none_or(<[u8]>::is_empty)
}

fn set_if_missing(head: &mut RequestHead, token: Token, value: &[u8]) {
    if is_missing(head, token) {
        put(head, token, value);
    }
}

fn put(head: &mut RequestHead, token: Token, value: &[u8]) {
    if head.fields.get(token).is_none() {
        head.fields.append_clean(token, value);
    } else {
        head.fields.set(&token, value);
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
        match ip {
            // Made for every request: the formatting machinery costs ten times as much.
            IpAddr::V4(ip) => {
                let [first, rest @ ..] = ip.octets();
                text.push_number(first);
                for octet in rest {
                    text.push(b'.');
                    text.push_number(octet);
                }
            }
            // The longest text of an address is 45 bytes, so that this cannot fail.
            IpAddr::V6(ip) => {
                let _ = write!(text, "{ip}");
            }
        }
        text
    }

    fn push_number(&mut self, number: u8) {
        if number >= 100 {
            self.push(b'0' + number / 100);
        }
        if number >= 10 {
            self.push(b'0' + number / 10 % 10);
        }
        self.push(b'0' + number % 10);
    }

    fn push(&mut self, byte: u8) {
        self.text[usize::from(self.length)] = byte;
        self.length += 1;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::{parse_request, write_request};
    use crate::http::limits::Limits;

    const ALL: &str = "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n\
        X-Forwarded-Host: fwd.test\r\nX-Forwarded-Port: 8443\r\nX-Forwarded-Server: srv\r\n\
        X-Real-Ip: 5.6.7.8\r\nX-Forwarded-Uri: /u\r\nX-Forwarded-Method: PUT\r\n\
        X-Forwarded-Prefix: /p\r\nX-Forwarded-Tls-Client-Cert: c\r\n\
        X-Forwarded-Tls-Client-Cert-Info: i\r\nForwarded: for=1.1.1.1\r\nVia: 1.1 foo\r\n";

    fn head(request: &str) -> RequestHead {
        let mut head = RequestHead::new();
        parse_request(request.as_bytes(), &Limits::default(), &mut head)
            .unwrap()
            .unwrap();
        head
    }

    /// Both steps on a request; the header lines written, sorted, without `Host`.
    fn forwarded(request: &str, policy: &ForwardedPolicy, ip: &str, tls: bool) -> Vec<String> {
        let mut head = head(request);
        let peer = Peer::new(ip.parse().unwrap(), tls, policy);
        edge(&mut head, policy, &peer, b"me");
        hop::prepare_request(&mut head);
        proxy(&mut head, policy, &peer);
        let mut out = Vec::new();
        write_request(&head, &mut out);
        let text = String::from_utf8(out).unwrap();
        let lines = text.split("\r\n").skip(2).filter(|line| !line.is_empty());
        let mut lines: Vec<_> = lines.map(str::to_owned).collect();
        lines.sort();
        lines
    }

    fn insecure() -> ForwardedPolicy {
        ForwardedPolicy {
            insecure: true,
            ..ForwardedPolicy::default()
        }
    }

    #[test]
    fn the_text_of_an_address_is_the_standard_one() {
        for ip in [
            "0.0.0.0",
            "1.20.103.255",
            "255.255.255.255",
            "192.168.10.9",
            "::1",
            "2001:db8::10",
        ] {
            let peer = Peer::new(ip.parse().unwrap(), false, &ForwardedPolicy::default());
            assert_eq!(peer.ip_text(), ip.as_bytes());
        }
    }

    #[test]
    fn a_plain_request_gets_all_of_them() {
        let policy = ForwardedPolicy::default();
        let lines = forwarded(
            "GET / HTTP/1.1\r\nHost: A.test\r\n\r\n",
            &policy,
            "10.0.0.1",
            false,
        );
        let expected = [
            "X-Forwarded-For: 10.0.0.1",
            "X-Forwarded-Host: A.test",
            "X-Forwarded-Port: 80",
            "X-Forwarded-Proto: http",
            "X-Forwarded-Server: me",
            "X-Real-Ip: 10.0.0.1",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn what_an_untrusted_client_says_is_dropped_in_every_spelling() {
        let policy = ForwardedPolicy::default();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: a:81\r\n{ALL}X_Forwarded_Proto: 1\r\nx-real_ip: 2\r\n\r\n"
        );
        let expected = [
            "Forwarded: for=1.1.1.1",
            "Via: 1.1 foo",
            "X-Forwarded-For: 10.0.0.1",
            "X-Forwarded-Host: a:81",
            "X-Forwarded-Port: 81",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Server: me",
            "X-Real-Ip: 10.0.0.1",
        ];
        assert_eq!(forwarded(&request, &policy, "10.0.0.1", true), expected);
    }

    #[test]
    fn what_a_trusted_client_says_is_kept_and_added_to() {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{ALL}X-Forwarded-For: 9.9.9.9\r\n\r\n");
        let trusted = ["10.0.0.0/8".parse().unwrap()].to_vec();
        let policy = ForwardedPolicy {
            trusted,
            ..ForwardedPolicy::default()
        };
        let expected = [
            "Forwarded: for=1.1.1.1",
            "Via: 1.1 foo",
            "X-Forwarded-For: 1.2.3.4, 9.9.9.9, 10.0.0.1",
            "X-Forwarded-Host: fwd.test",
            "X-Forwarded-Method: PUT",
            "X-Forwarded-Port: 8443",
            "X-Forwarded-Prefix: /p",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Server: me",
            "X-Forwarded-Tls-Client-Cert-Info: i",
            "X-Forwarded-Tls-Client-Cert: c",
            "X-Forwarded-Uri: /u",
            "X-Real-Ip: 5.6.7.8",
        ];
        assert_eq!(forwarded(&request, &policy, "10.0.0.1", false), expected);
        let untrusted = forwarded(&request, &policy, "11.0.0.1", false);
        assert!(untrusted.contains(&"X-Forwarded-For: 11.0.0.1".to_owned()));
    }

    #[test]
    fn middlewares_see_the_list_without_the_peer() {
        let policy = insecure();
        let request =
            "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1\r\nX-Forwarded-For: 2\r\n\r\n";
        let mut head = head(request);
        let peer = Peer::new("::1".parse().unwrap(), false, &policy);
        edge(&mut head, &policy, &peer, b"me");
        assert_eq!(head.fields.get(Token::XForwardedFor), Some(&b"1, 2"[..]));
        proxy(&mut head, &policy, &peer);
        assert_eq!(
            head.fields.get(Token::XForwardedFor),
            Some(&b"1, 2, ::1"[..])
        );
        assert_eq!(received(&head), Some(&b"1, 2"[..]));
    }

    #[test]
    fn the_append_can_be_switched_off_or_the_field_emptied() {
        let policy = ForwardedPolicy {
            not_append_xff: true,
            ..insecure()
        };
        let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1\r\n\r\n";
        let lines = forwarded(request, &policy, "10.0.0.1", false);
        assert!(lines.contains(&"X-Forwarded-For: 1".to_owned()));
        let policy = insecure();
        let mut head = head(request);
        assert_eq!(received(&head), Some(&b"1"[..]));
        head.omit_forwarded_for = true;
        proxy(
            &mut head,
            &policy,
            &Peer::new("::1".parse().unwrap(), false, &policy),
        );
        assert!(!head.fields.contains(&Token::XForwardedFor));
    }

    #[test]
    fn websockets_have_their_own_schemes() {
        let request =
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        let lines = |tls| forwarded(request, &ForwardedPolicy::default(), "10.0.0.1", tls);
        assert!(lines(false).contains(&"X-Forwarded-Proto: ws".to_owned()));
        assert!(lines(true).contains(&"X-Forwarded-Proto: wss".to_owned()));
        assert!(lines(true).contains(&"X-Forwarded-Port: 443".to_owned()));
    }

    #[test]
    fn the_port_follows_the_host_then_the_scheme() {
        let port = |host: &str, more: &str, tls| {
            let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{more}\r\n");
            let lines = forwarded(&request, &insecure(), "10.0.0.1", tls);
            let line = lines
                .into_iter()
                .find(|line| line.starts_with("X-Forwarded-Port"))
                .unwrap();
            line["X-Forwarded-Port: ".len()..].to_owned()
        };
        assert_eq!(port("a:8080", "", false), "8080");
        assert_eq!(port("[::1]:8080", "", false), "8080");
        assert_eq!(port("a:", "", false), "80");
        assert_eq!(port("a", "", true), "443");
        assert_eq!(port("a", "X-Forwarded-Proto: https\r\n", false), "443");
        assert_eq!(port("a", "X-Forwarded-Proto: http\r\n", false), "80");
        assert_eq!(port("a", "X-Forwarded-Port:\r\n", false), "80");
    }

    #[test]
    fn without_a_host_there_is_no_forwarded_host() {
        let lines = forwarded(
            "GET / HTTP/1.0\r\n\r\n",
            &ForwardedPolicy::default(),
            "10.0.0.1",
            false,
        );
        assert!(
            !lines
                .iter()
                .any(|line| line.starts_with("X-Forwarded-Host"))
        );
    }

    #[test]
    fn mapped_addresses_count_as_ipv4() {
        let trusted = ["10.0.0.0/8".parse().unwrap()].to_vec();
        let policy = ForwardedPolicy {
            trusted,
            ..ForwardedPolicy::default()
        };
        let peer = Peer::new("::ffff:10.0.0.1".parse().unwrap(), false, &policy);
        assert!(peer.is_trusted());
        assert_eq!(peer.ip_text(), b"10.0.0.1");
        let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let peer = Peer::new(longest.parse().unwrap(), false, &policy);
        assert_eq!(peer.ip_text(), longest.as_bytes());
    }
}
