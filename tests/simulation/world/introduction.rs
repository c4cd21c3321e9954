//! PROXY headers, good ones and others: how a load balancer in front would begin a connection. Not for: what
//! becomes of it (`client`, `book`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::choices::Choices;
use super::compose::HIDDEN;
use super::scenario::Garbage;

/// How a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Introduction {
    /// With a request.
    None,
    /// With a header of version 1 that tells an address.
    One(Family, Cut),
    /// The same in version 2, with so many bytes of further values.
    Two(Family, usize, Cut),
    /// With a header of version 1 that tells nothing.
    Unknown(Cut),
    /// With a header of version 2 that tells nothing.
    Local(Cut),
}

/// Behind so many bytes of the header, the rest waits for a moment.
pub type Cut = usize;

/// What kind of address is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Four,
    /// IPv6.
    Six,
}

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

impl Introduction {
    /// Any of them.
    pub fn compose(choices: &mut Choices) -> Introduction {
        let family = choices.pick(&[Family::Four, Family::Six]);
        let kind = choices.below(8);
        let values = choices.pick(&[0, 20, 4_000]);
        let cut = choices.below(60) as usize;
        match kind {
            0 => Introduction::None,
            1..4 => Introduction::One(family, cut),
            4..6 => Introduction::Two(family, values, cut),
            6 => Introduction::Unknown(cut),
            _ => Introduction::Local(cut),
        }
    }

    /// The address that it tells for connection `number`.
    pub fn address(self, number: u32) -> Option<IpAddr> {
        let [.., high, low] = number.to_be_bytes();
        match self {
            Introduction::One(Family::Four, _) | Introduction::Two(Family::Four, ..) => {
                Some(Ipv4Addr::new(198, 18, high, low).into())
            }
            Introduction::One(Family::Six, _) | Introduction::Two(Family::Six, ..) => {
                let low = u16::from_be_bytes([high, low]);
                Some(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 7, low).into())
            }
            Introduction::None | Introduction::Unknown(_) | Introduction::Local(_) => None,
        }
    }

    /// Its bytes for connection `number`: what comes at once, and what later.
    pub fn bytes(self, number: u32) -> (Vec<u8>, Vec<u8>) {
        let (mut bytes, cut) = match (self, self.address(number)) {
            (Introduction::One(_, cut), Some(address)) => (version_1(address), cut),
            (Introduction::Two(_, values, cut), Some(address)) => (version_2(address, values), cut),
            (Introduction::Unknown(cut), _) => (b"PROXY UNKNOWN\r\n".to_vec(), cut),
            (Introduction::Local(cut), _) => ([&SIGNATURE[..], &[0x20, 0, 0, 0]].concat(), cut),
            _ => (Vec::new(), 0),
        };
        let rest = bytes.split_off(cut.min(bytes.len()));
        (bytes, rest)
    }
}

fn version_1(address: IpAddr) -> Vec<u8> {
    let (family, to) = match address {
        IpAddr::V4(_) => ("TCP4", "10.0.0.2"),
        IpAddr::V6(_) => ("TCP6", "::2"),
    };
    format!("PROXY {family} {address} {to} 4711 80\r\n").into_bytes()
}

fn version_2(address: IpAddr, values: usize) -> Vec<u8> {
    let (family, mut body) = match address {
        IpAddr::V4(ip) => (0x11, [ip.octets(), [10, 0, 0, 2]].concat()),
        IpAddr::V6(ip) => (0x21, [ip.octets(), [0; 16]].concat()),
    };
    body.extend([0x12, 0x67, 0, 80]);
    if let Some(len) = values.checked_sub(3) {
        body.push(0x04);
        body.extend((len as u16).to_be_bytes());
        body.resize(body.len() + len, 0);
    }
    let mut header = [&SIGNATURE[..], &[0x21, family]].concat();
    header.extend((body.len() as u16).to_be_bytes());
    header.extend(body);
    header
}

/// Headers that are none, or not whole: whoever sends them gets no answer.
pub fn broken_introduction(choices: &mut Choices) -> Garbage {
    let one = version_1(Ipv4Addr::new(198, 18, 0, 1).into());
    let two = version_2(Ipv4Addr::new(198, 18, 0, 1).into(), 0);
    let with = |place: usize, byte: u8| {
        let mut bytes = two.clone();
        bytes[place] = byte;
        bytes
    };
    let kind = choices.below(10);
    let whole = match kind {
        // Another command, version, family and transport; too short for its addresses; too long for anybody.
        0 => with(12, 0x22),
        1 => with(12, 0x11),
        2 => with(13, 0x41),
        3 => with(13, 0x13),
        4 => with(15, 11),
        5 => with(14, 0xff),
        6 => b"PROXY TCP4 198.18.0.1 10.0.0.2 4711\r\n".to_vec(),
        7 => b"PROXY TCP6 198.18.0.1 10.0.0.2 4711 80\r\n".to_vec(),
        8 => [&b"PROXY TCP4 "[..], &[b'1'; 120]].concat(),
        _ => {
            let mut header = if choices.chance(1, 2) { two } else { one };
            // Not less than what can be nothing but a header.
            let len = 7 + choices.below(header.len() as u64 - 7) as usize;
            header.truncate(len);
            return Garbage {
                bytes: header,
                unanswered: true,
                ends: choices.chance(1, 2),
            };
        }
    };
    Garbage {
        bytes: [&whole[..], HIDDEN.as_bytes()].concat(),
        unanswered: true,
        ends: false,
    }
}
