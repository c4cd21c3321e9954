//! The PROXY protocol, versions 1 and 2, inbound: the address of the client as a load balancer in front
//! saw it. Format: HAProxy's `proxy-protocol.txt`.
//!
//! From a trusted peer the address replaces the connection's; from another one the header is consumed
//! and ignored, as Traefik does. A broken header ends the connection: what follows cannot be framed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest version 1 header, CRLF included.
const MAX_V1_BYTES: usize = 107;

/// Longest version 2 header taken: 16 bytes and what TLVs balancers really send.
pub const MAX_V2_BYTES: usize = 16 + 4096;

/// Length of the two socket paths of a version 2 header for Unix sockets.
const V2_UNIX_BYTES: usize = 2 * 108;

const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Length of the header in bytes; the payload begins behind it.
    pub len: usize,
    /// The client's address; `None` for LOCAL, UNKNOWN and address families without one.
    pub client: Option<SocketAddr>,
}

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// More bytes are needed to tell.
    Incomplete,
    /// No PROXY header: the payload begins at once.
    Absent,
    /// A whole header.
    Present(Header),
}

/// A header that begins as one and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenHeader;

/// Reads a header at the start of `input`.
pub fn parse(input: &[u8]) -> Result<Parsed, BrokenHeader> {
    if begins_like(input, V2_SIGNATURE) {
        return parse_v2(input);
    }
    if begins_like(input, b"PROXY ") {
        return parse_v1(input);
    }
    Ok(Parsed::Absent)
}

/// Whether `input` agrees with `prefix` as far as both go.
fn begins_like(input: &[u8], prefix: &[u8]) -> bool {
    let n = input.len().min(prefix.len());
    input[..n] == prefix[..n]
}

fn parse_v1(input: &[u8]) -> Result<Parsed, BrokenHeader> {
    let window = &input[..input.len().min(MAX_V1_BYTES)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if window.len() == MAX_V1_BYTES {
            Err(BrokenHeader)
        } else {
            Ok(Parsed::Incomplete)
        };
    };
    let line = std::str::from_utf8(&window[..end]).map_err(|_| BrokenHeader)?;
    let mut words = line.split(' ').skip(1);
    let client = match words.next() {
        Some("UNKNOWN") => None,
        Some(family @ ("TCP4" | "TCP6")) => {
            let mut word = || words.next().ok_or(BrokenHeader);
            let (source, destination) = (word()?, word()?);
            let (source_port, destination_port) = (word()?, word()?);
            let source = address(family, source)?;
            address(family, destination)?;
            port(destination_port)?;
            let client = SocketAddr::new(source, port(source_port)?);
            if words.next().is_some() {
                return Err(BrokenHeader);
            }
            Some(client)
        }
        _ => return Err(BrokenHeader),
    };
    Ok(Parsed::Present(Header {
        len: end + 2,
        client,
    }))
}

fn address(family: &str, text: &str) -> Result<IpAddr, BrokenHeader> {
    match family {
        "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::V4),
        _ => text.parse::<Ipv6Addr>().map(IpAddr::V6),
    }
    .map_err(|_| BrokenHeader)
}

/// A port in plain decimal: a sign or a leading zero, which some read as octal, is not permitted.
fn port(text: &str) -> Result<u16, BrokenHeader> {
    let has_leading_zero = text.len() > 1 && text.starts_with('0');
    if has_leading_zero || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(BrokenHeader);
    }
    text.parse().map_err(|_| BrokenHeader)
}

fn parse_v2(input: &[u8]) -> Result<Parsed, BrokenHeader> {
    let Some((&[command, family, high, low], rest)) = input
        .get(12..)
        .and_then(|rest| rest.split_first_chunk::<4>())
    else {
        return Ok(Parsed::Incomplete);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if 16 + length > MAX_V2_BYTES {
        return Err(BrokenHeader);
    }
    let Some(body) = rest.get(..length) else {
        return Ok(Parsed::Incomplete);
    };
    let client = match command {
        0x20 => None, // LOCAL: the balancer's own health check.
        0x21 => match family {
            0x00 => None,
            0x11 | 0x12 => Some(v2_client::<4>(body)?),
            0x21 | 0x22 => Some(v2_client::<16>(body)?),
            0x31 | 0x32 if length >= V2_UNIX_BYTES => None,
            // "Other values […] must be rejected as invalid by receivers."
            _ => return Err(BrokenHeader),
        },
        _ => return Err(BrokenHeader),
    };
    Ok(Parsed::Present(Header {
        len: 16 + length,
        client,
    }))
}

/// Source address and port of a block of two addresses of N bytes and two ports.
fn v2_client<const N: usize>(body: &[u8]) -> Result<SocketAddr, BrokenHeader>
where
    [u8; N]: IntoIp,
{
    let (source, rest) = body.split_first_chunk::<N>().ok_or(BrokenHeader)?;
    let ports = rest.get(N..N + 4).ok_or(BrokenHeader)?;
    Ok(SocketAddr::new(
        source.into_ip(),
        u16::from_be_bytes([ports[0], ports[1]]),
    ))
}

trait IntoIp {
    fn into_ip(self) -> IpAddr;
}

impl IntoIp for [u8; 4] {
    fn into_ip(self) -> IpAddr {
        IpAddr::from(self)
    }
}

impl IntoIp for [u8; 16] {
    fn into_ip(self) -> IpAddr {
        IpAddr::from(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(len: usize, client: Option<&str>) -> Result<Parsed, BrokenHeader> {
        let client = client.map(|text| text.parse().unwrap());
        Ok(Parsed::Present(Header { len, client }))
    }

    #[test]
    fn version_1_gives_the_source() {
        let header = b"PROXY TCP4 10.1.2.3 10.0.0.1 4711 80\r\nGET / HTTP/1.1\r\n";
        assert_eq!(parse(header), present(38, Some("10.1.2.3:4711")));
        let header = b"PROXY TCP6 ::1 ::2 1 2\r\n";
        assert_eq!(parse(header), present(24, Some("[::1]:1")));
        assert_eq!(parse(b"PROXY UNKNOWN\r\n"), present(15, None));
    }

    #[test]
    fn every_prefix_of_a_header_is_incomplete() {
        let v1: &[u8] = b"PROXY TCP4 10.1.2.3 10.0.0.1 4711 80\r\n";
        let v2 = v2(0x21, 0x11, &[1, 2, 3, 4, 5, 6, 7, 8, 0, 80, 1, 187]);
        for header in [v1, &v2] {
            for n in 0..header.len() {
                assert_eq!(parse(&header[..n]), Ok(Parsed::Incomplete), "{n}");
            }
        }
    }

    #[test]
    fn version_2_gives_the_source_and_skips_tlvs() {
        let mut body = vec![1, 2, 3, 4, 5, 6, 7, 8, 0, 80, 1, 187];
        body.extend([0x04, 0, 1, 0]);
        assert_eq!(
            parse(&v2(0x21, 0x11, &body)),
            present(32, Some("1.2.3.4:80"))
        );
        let mut body = vec![0; 36];
        body[15] = 1;
        body[33] = 9;
        assert_eq!(parse(&v2(0x21, 0x21, &body)), present(52, Some("[::1]:9")));
    }

    #[test]
    fn local_and_unix_have_no_client_address() {
        assert_eq!(parse(&v2(0x20, 0, &[])), present(16, None));
        assert_eq!(parse(&v2(0x21, 0x31, &[0; 216])), present(232, None));
    }

    #[test]
    fn a_request_is_no_header() {
        assert_eq!(parse(b"GET / HTTP/1.1\r\n"), Ok(Parsed::Absent));
        assert_eq!(parse(b"PROPFIND / HTTP/1.1\r\n"), Ok(Parsed::Absent));
        assert_eq!(parse(b"\r\nGET / HTTP/1.1\r\n"), Ok(Parsed::Absent));
    }

    #[test]
    fn broken_headers_are_errors() {
        for broken in [
            &b"PROXY TCP4 10.1.2.3 10.0.0.1 4711\r\n"[..],
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 007 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 00\r\n",
            b"PROXY TCP9 1.2.3.4 1.2.3.4 1 2\r\n",
            &[b"PROXY ".as_slice(), &[b'a'; 120]].concat(),
            &v2(0x31, 0x11, &[0; 12]),
            &v2(0x21, 0x11, &[0; 11]),
            &v2(0x21, 0x10, &[0; 12]),
            &v2(0x21, 0x13, &[0; 12]),
            &v2(0x21, 0x31, &[0; 215]),
            &v2(0x21, 0x41, &[0; 40]),
        ] {
            assert_eq!(parse(broken), Err(BrokenHeader), "{broken:?}");
        }
    }

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut header = V2_SIGNATURE.to_vec();
        header.extend([command, family]);
        header.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        header.extend(body);
        header
    }
}
