//! The PROXY protocol by HAProxy's `proxy-protocol.txt`, on a whole input.

use std::net::{IpAddr, SocketAddr};

/// A header: its length in bytes and the client's address, if it has one.
pub type Header = (usize, Option<SocketAddr>);

/// Reads a header; what is wrong with it, or that it is not complete, is the error.
pub fn header(input: &[u8]) -> Result<Header, &'static str> {
    if input.starts_with(b"\r\n\r\n\0\r\nQUIT\n") {
        binary(input)
    } else {
        text(input)
    }
}

/// §2.1
fn text(input: &[u8]) -> Result<Header, &'static str> {
    let end = input
        .windows(2)
        .position(|pair| pair == b"\r\n")
        .ok_or("incomplete")?;
    if end + 2 > 107 {
        return Err("a line has 107 characters at most");
    }
    let line = std::str::from_utf8(&input[..end]).map_err(|_| "a line is text")?;
    let words: Vec<&str> = line.split(' ').collect();
    let client = match words[..] {
        ["PROXY", "UNKNOWN", ..] => None,
        [
            "PROXY",
            family @ ("TCP4" | "TCP6"),
            source,
            destination,
            from,
            to,
        ] => {
            let is_of_family = |ip: &IpAddr| ip.is_ipv4() == (family == "TCP4");
            let address = |text: &str| {
                let ip: Option<IpAddr> = text.parse().ok();
                ip.filter(is_of_family).ok_or("an address is of its family")
            };
            let port = |text: &str| {
                let port: u16 = text.parse().map_err(|_| "a port is a number")?;
                // Heading zeroes are not permitted, nor is a sign.
                (port.to_string() == text)
                    .then_some(port)
                    .ok_or("a port is digits")
            };
            address(destination)?;
            port(to)?;
            Some(SocketAddr::new(address(source)?, port(from)?))
        }
        _ => return Err("six words"),
    };
    Ok((end + 2, client))
}

/// §2.2
fn binary(input: &[u8]) -> Result<Header, &'static str> {
    let (fixed, rest) = input.split_first_chunk::<16>().ok_or("incomplete")?;
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(high) * 256 + usize::from(low);
    let block = rest.get(..length).ok_or("incomplete")?;
    let total = 16 + length;
    match command {
        // LOCAL: the family is ignored.
        0x20 => return Ok((total, None)),
        0x21 => {}
        _ => return Err("version 2, LOCAL or PROXY"),
    }
    let addresses = match family {
        0x00 => 0,
        0x11 | 0x12 => 12,
        0x21 | 0x22 => 36,
        0x31 | 0x32 => 216,
        _ => return Err("other values must be rejected"),
    };
    if length < addresses {
        return Err("the addresses are whole");
    }
    let port = |at: usize| u16::from(block[at]) * 256 + u16::from(block[at + 1]);
    let client = match family >> 4 {
        1 => {
            let ip: [u8; 4] = block[..4].try_into().map_err(|_| "four bytes")?;
            Some(SocketAddr::new(ip.into(), port(8)))
        }
        2 => {
            let ip: [u8; 16] = block[..16].try_into().map_err(|_| "sixteen bytes")?;
            Some(SocketAddr::new(ip.into(), port(32)))
        }
        _ => None,
    };
    Ok((total, client))
}
