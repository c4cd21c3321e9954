//! The targets, one file each, and what several of them need.

mod choices;
pub mod chunked_body;
mod configuration;
pub mod dynamic_kv;
pub mod dynamic_toml;
pub mod dynamic_yaml;
pub mod exchange;
pub mod proxy_protocol;
pub mod request;
pub mod request_head;
pub mod response_head;
pub mod routes;
pub mod rule;
pub mod static_config;

use ringway::http::{BodyLength, Fields};

use crate::reference::head::{Field, Framing, canonical};

/// Numbers that follow from an input and nothing else, so that an input fails again as it failed: for where to cut it.
struct Numbers(u64);

impl Numbers {
    fn of(data: &[u8]) -> Self {
        // FNV-1a.
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        Numbers(data.iter().fold(0xcbf2_9ce4_8422_2325, step) | 1)
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    /// Some lengths of prefixes of a text of `length` bytes, itself excluded: all if it is short.
    fn prefixes(&mut self, length: usize) -> Vec<usize> {
        const ALL: usize = 48;
        const SOME: usize = 12;
        match length {
            0..ALL => (0..length).collect(),
            _ => (0..SOME).map(|_| self.below(length)).collect(),
        }
    }
}

/// How long a body is, in the reference's words.
fn framing(body: BodyLength) -> Framing {
    match body {
        BodyLength::None => Framing::None,
        BodyLength::Length(length) => Framing::Length(length),
        BodyLength::Chunked => Framing::Chunked,
        BodyLength::UntilClose => Framing::UntilClose,
    }
}

/// The fields are those that the reference read, in order, but for those that a head keeps apart.
#[track_caller]
fn assert_fields(fields: &Fields, expected: &[Field], is_apart: impl Fn(&[u8]) -> bool) {
    let lines = expected.iter().filter(|(name, _)| !is_apart(name));
    let lines = lines.map(|(name, value)| (canonical(name), value.clone()));
    let fields = fields
        .iter()
        .map(|(name, value)| (name.to_vec(), value.to_vec()));
    assert_eq!(
        fields.collect::<Vec<Field>>(),
        lines.collect::<Vec<Field>>()
    );
}
