//! Where an entry point listens: `[host]:port[/tcp|/udp]`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use serde::{Serialize, Serializer};

use crate::config::decode::{FromText, Omit, Text};

/// The transport protocol of an entry point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TCP, the default.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// An entry point's address as configured; a decoded one has a port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EntryPointAddress {
    text: Text,
    host: Text,
    port: u16,
    protocol: Protocol,
}

impl EntryPointAddress {
    /// The host: empty for every address of the machine, else an IP address without brackets or a name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 lets the system choose.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The transport protocol.
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether no address was configured at all.
    pub fn is_unset(&self) -> bool {
        self.text.is_empty()
    }

    /// The socket address, unless the host is a name that must be resolved first. An empty host is `[::]`, which
    /// takes IPv4 connections too where the system allows it.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        if self.host.is_empty() {
            return Some(SocketAddr::new(
                IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                self.port,
            ));
        }
        let host = self.host.parse().ok()?;
        Some(SocketAddr::new(host, self.port))
    }
}

impl fmt::Display for EntryPointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for EntryPointAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl Omit for EntryPointAddress {
    fn is_omitted(&self) -> bool {
        self.text.is_empty()
    }
}

impl FromText for EntryPointAddress {
    fn from_text(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!("{text:?} {why}: write [host]:port, such as \":80\" or \"[::1]:53/udp\"")
        };
        let (address, protocol) = match text.split_once('/') {
            None => (text, Protocol::Tcp),
            Some((address, word)) if word.eq_ignore_ascii_case("tcp") => (address, Protocol::Tcp),
            Some((address, word)) if word.eq_ignore_ascii_case("udp") => (address, Protocol::Udp),
            Some(_) => return Err(wrong("has a protocol that is neither tcp nor udp")),
        };
        let Some((host, port)) = address.rsplit_once(':') else {
            return Err(wrong("has no port"));
        };
        let port = match port.parse() {
            Ok(port) if port_is_digits(port_text(address)) => port,
            _ => return Err(wrong("has a port that is not a number from 0 to 65535")),
        };
        let host = match host.strip_prefix('[') {
            Some(rest) => match rest.strip_suffix(']') {
                Some(inner) if inner.parse::<Ipv6Addr>().is_ok() => inner,
                _ => return Err(wrong("has brackets without an IPv6 address")),
            },
            None if host.contains([':', ']', ' ']) => {
                return Err(wrong(
                    "has a host that is neither a name nor an address in brackets",
                ));
            }
            None => host,
        };
        Ok(Self {
            text: text.into(),
            host: host.into(),
            port,
            protocol,
        })
    }
}

fn port_text(address: &str) -> &str {
    address.rsplit_once(':').map_or("", |(_, port)| port)
}

/// `u16::from_str` takes a plus sign, which no port has.
fn port_is_digits(port: &str) -> bool {
    port.bytes().all(|b| b.is_ascii_digit())
}

decode_from_text!(EntryPointAddress);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_host_port_and_protocol() {
        for (text, host, port, protocol) in [
            (":80", "", 80, Protocol::Tcp),
            ("0.0.0.0:443/tcp", "0.0.0.0", 443, Protocol::Tcp),
            ("[::1]:53/UDP", "::1", 53, Protocol::Udp),
            ("localhost:0", "localhost", 0, Protocol::Tcp),
        ] {
            let address = EntryPointAddress::from_text(text).unwrap();
            assert_eq!(
                (address.host(), address.port(), address.protocol()),
                (host, port, protocol)
            );
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn an_empty_host_is_every_address_and_a_name_must_be_resolved() {
        let address = |text| EntryPointAddress::from_text(text).unwrap().socket_addr();
        assert_eq!(address(":80"), Some("[::]:80".parse().unwrap()));
        assert_eq!(
            address("127.0.0.1:80"),
            Some("127.0.0.1:80".parse().unwrap())
        );
        assert_eq!(address("localhost:80"), None);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "", "80", ":", ":http", ":65536", ":+80", "::1:80", "[::1:80", "[x]:80", ":80/sctp",
            "a b:80",
        ] {
            assert!(EntryPointAddress::from_text(text).is_err(), "{text}");
        }
    }
}
