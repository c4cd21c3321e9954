//! Which address a client has (`ipStrategy`), and sets of addresses (`sourceRange`, `excludedIPs`).
//!
//! The semantics are those of Traefik's `pkg/ip`: IPv4-mapped IPv6 addresses count as IPv4, an address
//! that cannot be told is in no set, `X-Forwarded-For` is read as the middlewares see it (the peer is
//! appended only when the request leaves).

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use crate::http::{Fields, Token};

/// A set of addresses and networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpSet(Box<[IpNet]>);

/// How the client's address is found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpStrategy {
    source: Source,
    /// Length of the IPv6 network that counts as one client; its first address stands for it.
    ipv6_subnet: Option<u8>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Source {
    /// The peer of the connection.
    #[default]
    Peer,
    /// The n-th entry of `X-Forwarded-For` from the right, counted from 1.
    Depth(usize),
    /// The first entry of `X-Forwarded-For` from the right that is not in the set.
    Excluding(IpSet),
}

impl IpSet {
    /// Parses addresses and networks (`10.0.0.0/8`, `::1`). On an error: the text that is neither.
    pub fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<IpSet, Box<str>> {
        let nets = texts.into_iter().map(|text| {
            let text = text.as_ref();
            parse_net(text).ok_or_else(|| Box::from(text))
        });
        nets.collect::<Result<_, _>>().map(IpSet)
    }

    /// Whether `address` is in the set.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }
}

impl IpStrategy {
    /// Compiles the configuration's three fields. Traefik: a depth goes before excluded addresses, and
    /// with these `ipv6Subnet` has no effect. On an error: the field and what is wrong with it.
    pub fn compile(
        depth: i64,
        excluded: &[Box<str>],
        ipv6_subnet: Option<i64>,
    ) -> Result<IpStrategy, (&'static str, String)> {
        if depth <= 0 && !excluded.is_empty() {
            let set = IpSet::parse(excluded).map_err(|text| {
                (
                    "ipStrategy.excludedIPs",
                    format!("{text:?} is neither an address nor a network"),
                )
            })?;
            return Ok(IpStrategy {
                source: Source::Excluding(set),
                ipv6_subnet: None,
            });
        }
        let ipv6_subnet = match ipv6_subnet {
            None => None,
            Some(length) => match u8::try_from(length) {
                Ok(length @ 1..=128) => Some(length),
                _ => {
                    return Err((
                        "ipStrategy.ipv6Subnet",
                        format!("{length} is not a prefix length from 1 to 128"),
                    ));
                }
            },
        };
        let source = match usize::try_from(depth) {
            Ok(depth @ 1..) => Source::Depth(depth),
            _ => Source::Peer,
        };
        Ok(IpStrategy {
            source,
            ipv6_subnet,
        })
    }

    /// The client's address; `None` if the fields do not tell one.
    pub fn client(&self, peer: IpAddr, fields: &Fields) -> Option<IpAddr> {
        match &self.source {
            Source::Peer => Some(self.masked(peer.to_canonical())),
            Source::Depth(depth) => {
                let entries = forwarded_entries(fields);
                // Without the header there is one entry, the empty one (Go: `strings.Split("", ",")`).
                let index = entries.clone().count().checked_sub(*depth)?;
                let text = entries.clone().nth(index)?;
                match parse_address(text) {
                    Some(address) => Some(self.masked(address)),
                    // Traefik masks bare addresses only, and takes the host of `host:port` later.
                    None => parse_host_port(text),
                }
            }
            Source::Excluding(set) => {
                let outside =
                    |text: &&[u8]| !parse_address(text).is_some_and(|ip| set.contains(ip));
                let entries = forwarded_entries(fields).filter(|text| !text.is_empty());
                let text = entries.filter(outside).last()?;
                parse_address(text).or_else(|| parse_host_port(text))
            }
        }
    }

    fn masked(&self, address: IpAddr) -> IpAddr {
        match (self.ipv6_subnet, address) {
            (Some(length), IpAddr::V6(v6)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
            _ => address,
        }
    }
}

/// The entries of all `X-Forwarded-For` lines, trimmed.
fn forwarded_entries(fields: &Fields) -> impl Iterator<Item = &[u8]> + Clone {
    let lines = fields.get_all(Token::XForwardedFor);
    lines
        .flat_map(|line| line.split(|&b| b == b','))
        .map(<[u8]>::trim_ascii)
}

/// An address as Go's `netip.ParseAddr` reads it: with an optional zone, which is dropped.
fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    match text.split_once('%') {
        Some((address, zone)) if !zone.is_empty() => address.parse().ok().map(IpAddr::V6),
        Some(_) => None,
        None => text.parse().ok(),
    }
}

/// The address of `1.2.3.4:80` or `[::1]:80`.
fn parse_host_port(text: &[u8]) -> Option<IpAddr> {
    if let [b'[', rest @ ..] = text {
        let end = memchr::memchr(b']', rest)?;
        let (host, port) = rest.split_at(end);
        return if port.starts_with(b"]:") {
            parse_address(host)
        } else {
            None
        };
    }
    let colon = memchr::memchr(b':', text)?;
    let (host, port) = text.split_at(colon);
    if port[1..].contains(&b':') {
        None
    } else {
        parse_address(host)
    }
}

fn parse_net(text: &str) -> Option<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(IpNet::from(address.to_canonical()));
    }
    let net = text.parse::<IpNet>().ok()?;
    if let IpNet::V6(v6) = net
        && let IpAddr::V4(mapped) = IpAddr::V6(v6.network()).to_canonical()
        && let Some(length) = v6.prefix_len().checked_sub(96)
    {
        return IpNet::new(IpAddr::V4(mapped), length).ok();
    }
    Some(net)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> IpSet {
        IpSet::parse(texts).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn sets_hold_addresses_and_networks() {
        for (net, address, expected) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1/32", "127.0.0.2", false),
            ("127.0.0.9/8", "127.200.0.1", true),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "8.8.8.8", false),
            ("::/0", "::1", true),
            ("::ffff:127.0.0.1", "127.0.0.1", true),
            ("::ffff:127.0.0.0/104", "127.3.0.1", true),
            ("::ffff:127.0.0.0/104", "128.0.0.1", false),
            ("1.2.3.4", "::ffff:1.2.3.4", true),
            ("2001:db8::/32", "2001:db8::1", true),
        ] {
            assert_eq!(
                set(&[net]).contains(ip(address)),
                expected,
                "{net} {address}"
            );
        }
        assert!(!IpSet::default().contains(ip("1.2.3.4")));
    }

    #[test]
    fn what_is_no_network_is_named() {
        for text in [
            "foo",
            "",
            "1.2.3.4/33",
            "01.2.3.4",
            " 1.2.3.4",
            "1.2.3.4/",
            "fe80::1%eth0",
        ] {
            assert_eq!(&*IpSet::parse(["::1", text]).unwrap_err(), text);
        }
    }

    fn client(
        depth: i64,
        excluded: &[&str],
        subnet: Option<i64>,
        lines: &[&str],
    ) -> Option<IpAddr> {
        let excluded: Vec<Box<str>> = excluded.iter().map(|&text| text.into()).collect();
        let strategy = IpStrategy::compile(depth, &excluded, subnet).unwrap();
        let mut fields = Fields::new();
        for line in lines {
            fields.append(&Token::XForwardedFor, line.as_bytes());
        }
        strategy.client(ip("127.0.0.1"), &fields)
    }

    #[test]
    fn without_a_strategy_the_peer_counts() {
        for depth in [0, -1] {
            assert_eq!(
                client(depth, &[], None, &["1.2.3.4"]),
                Some(ip("127.0.0.1"))
            );
        }
        assert_eq!(client(0, &[], Some(64), &[]), Some(ip("127.0.0.1")));
    }

    #[test]
    fn depth_counts_from_the_right_over_all_lines() {
        for (depth, lines, expected) in [
            (1, &["1.2.3.4"][..], Some("1.2.3.4")),
            (1, &["1.2.3.4, 5.6.7.8"], Some("5.6.7.8")),
            (2, &["1.2.3.4, 5.6.7.8"], Some("1.2.3.4")),
            (3, &["1.2.3.4, 5.6.7.8"], None),
            (1, &["1.2.3.4", "5.6.7.8"], Some("5.6.7.8")),
            (2, &["1.2.3.4", "5.6.7.8"], Some("1.2.3.4")),
            (1, &[], None),
            (1, &["1.2.3.4,"], None),
            (1, &["junk"], None),
            (1, &["01.2.3.4"], None),
            (1, &["1.2.3.4:99"], Some("1.2.3.4")),
            (1, &["[::1]:99"], Some("::1")),
            (1, &["[::1]"], None),
            (1, &["fe80::1%eth0"], Some("fe80::1")),
            (1, &["1.2.3.4%eth0"], None),
        ] {
            assert_eq!(
                client(depth, &[], None, lines),
                expected.map(ip),
                "{depth} {lines:?}"
            );
        }
    }

    #[test]
    fn excluded_addresses_are_skipped_from_the_right() {
        for (lines, expected) in [
            (&["1.2.3.4, 5.6.7.8"][..], Some("1.2.3.4")),
            (&["1.2.3.4, 9.9.9.9,, 5.6.7.8"], Some("9.9.9.9")),
            (&["5.6.7.8"], None),
            (&["1.1.1.1, junk"], None),
            (&["1.1.1.1, 5.6.7.8:1"], Some("5.6.7.8")),
            (&[], None),
        ] {
            assert_eq!(
                client(0, &["5.6.7.8"], None, lines),
                expected.map(ip),
                "{lines:?}"
            );
        }
        // A depth goes first.
        assert_eq!(
            client(1, &["1.2.3.4"], None, &["1.2.3.4"]),
            Some(ip("1.2.3.4"))
        );
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        for (text, expected) in [
            ("2001:db8::1234", "2001:db8::"),
            ("1.2.3.4", "1.2.3.4"),
            ("::ffff:1.2.3.4", "::"),
        ] {
            assert_eq!(
                client(1, &[], Some(64), &[text]),
                Some(ip(expected)),
                "{text}"
            );
        }
        assert_eq!(
            client(1, &[], Some(128), &["2001:db8::1"]),
            Some(ip("2001:db8::1"))
        );
    }

    #[test]
    fn bad_settings_are_named() {
        for subnet in [0, 129, -1, 999] {
            assert_eq!(
                IpStrategy::compile(1, &[], Some(subnet)).unwrap_err().0,
                "ipStrategy.ipv6Subnet"
            );
        }
        assert_eq!(
            IpStrategy::compile(0, &["x".into()], None).unwrap_err().0,
            "ipStrategy.excludedIPs"
        );
        // Traefik does not look at it beside excluded addresses.
        assert!(IpStrategy::compile(0, &["::1".into()], Some(999)).is_ok());
    }
}
