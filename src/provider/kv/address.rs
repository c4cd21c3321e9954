//! Where a server is: `host:port`.

use std::fmt;

/// Host and port of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// A name or an IP address; an IPv6 address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

impl Address {
    /// An address from `host:port`, or from `host` if there is a port for such. An IPv6 address is in brackets.
    pub(crate) fn parse(text: &str, default_port: Option<u16>) -> Option<Self> {
        let is_bare = !text.contains(':') || text.ends_with(']');
        let (host, port) = match default_port {
            Some(port) if is_bare => (text, port),
            _ => {
                let (host, port) = text.rsplit_once(':')?;
                (host, port.parse().ok()?)
            }
        };
        let inner = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let is_host = match inner {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && !host.contains([':', '/', '[', ']']),
        };
        is_host.then(|| Self {
            host: inner.unwrap_or(host).to_owned(),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_with_a_port_or_with_a_default_for_it() {
        for (text, strict, lenient) in [
            ("a:1", Some("a:1"), Some("a:1")),
            ("a", None, Some("a:9")),
            ("[::1]:1", Some("[::1]:1"), Some("[::1]:1")),
            ("[::1]", None, Some("[::1]:9")),
            ("::1", None, None),
            ("", None, None),
            (":1", None, None),
            ("a:", None, None),
            ("a:1/x", None, None),
            ("http://a:1", None, None),
        ] {
            let parse = |port| Address::parse(text, port).map(|address| address.to_string());
            assert_eq!(parse(None).as_deref(), strict, "{text:?}");
            assert_eq!(parse(Some(9)).as_deref(), lenient, "{text:?}");
        }
    }
}
