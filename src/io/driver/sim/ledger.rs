//! The simulated kernel's book of operations: each that was submitted gets exactly one final completion,
//! and its memory is nobody else's until then. Panics where that is violated: whoever submits is wrong, or
//! the simulator is. Not for: carrying operations out.

use std::os::fd::RawFd;

use rustc_hash::FxHashMap;

use super::super::{Op, Token};
use super::random::mix;

/// Bytes at both ends of a receive's memory that are watched.
const CANARY_BYTES: usize = 32;
/// What they hold while the receive is in flight.
const CANARY: u8 = 0x5c;

/// Operations without their final completion.
#[derive(Default)]
pub(super) struct Ledger {
    flights: FxHashMap<Token, Flight>,
    /// Operations that were ever submitted, and final completions that were told.
    submitted: u64,
    ended: u64,
}

struct Flight {
    fd: RawFd,
    op: Op,
    /// Of a send: what its memory held when it was submitted.
    print: u64,
}

impl Ledger {
    /// Takes an operation in.
    ///
    /// # Safety
    /// What the operation points to is valid and nobody else's until its final completion.
    pub(super) unsafe fn enter(&mut self, token: Token, op: Op) {
        let fd = match op {
            Op::ReceiveMany { fd }
            | Op::ReceiveOwned { fd, .. }
            | Op::Send { fd, .. }
            | Op::SendVectored { fd, .. }
            | Op::Accept { fd }
            | Op::Connect { fd, .. } => fd,
        };
        if let Op::ReceiveOwned { data, len, .. } = op {
            for (at, count) in canaries(len as usize) {
                // SAFETY: within the memory, which the caller promises.
                unsafe { std::ptr::write_bytes(data.add(at), CANARY, count) };
            }
        }
        // SAFETY: the caller's promise.
        let print = unsafe { fingerprint(&op) };
        let before = self.flights.insert(token, Flight { fd, op, print });
        assert!(before.is_none(), "{token:?} is in flight already");
        self.submitted += 1;
    }

    /// The socket of an operation in flight.
    pub(super) fn socket_of(&self, token: Token) -> Option<RawFd> {
        self.flights.get(&token).map(|flight| flight.fd)
    }

    /// The operation is about to complete: its memory must be as it was.
    pub(super) fn inspect(&self, token: Token) {
        let Some(flight) = self.flights.get(&token) else {
            panic!("{token:?} completes and is not in flight");
        };
        // SAFETY: still in flight: valid.
        let print = unsafe { fingerprint(&flight.op) };
        assert!(
            print == flight.print,
            "the bytes of {token:?} changed while it was in flight"
        );
        if let Op::ReceiveOwned { data, len, .. } = flight.op {
            for (at, count) in canaries(len as usize) {
                // SAFETY: still in flight: valid, and initialised by `enter`.
                let bytes = unsafe { std::slice::from_raw_parts(data.add(at), count) };
                assert!(
                    bytes.iter().all(|&byte| byte == CANARY),
                    "the memory of {token:?} was written to while it was in flight"
                );
            }
        }
    }

    /// A completion is told.
    pub(super) fn told(&mut self, token: Token, more: bool) {
        let known = if more {
            self.flights.contains_key(&token)
        } else {
            self.flights.remove(&token).is_some()
        };
        assert!(known, "{token:?} is told a completion after its final one");
        self.ended += u64::from(!more);
    }

    pub(super) fn is_in_flight(&self, token: Token) -> bool {
        self.flights.contains_key(&token)
    }

    pub(super) fn len(&self) -> usize {
        assert_eq!(
            self.flights.len() as u64,
            self.submitted - self.ended,
            "operations are lost"
        );
        self.flights.len()
    }

    pub(super) fn clear(&mut self) {
        self.ended += self.flights.len() as u64;
        self.flights.clear();
    }
}

/// The watched places of a receive's memory: where, how many bytes.
fn canaries(len: usize) -> [(usize, usize); 2] {
    let count = CANARY_BYTES.min(len / 2);
    [(0, count), (len - count, count)]
}

/// A number that the bytes of a send decide; 0 for other operations.
///
/// # Safety
/// What the operation points to is valid.
unsafe fn fingerprint(op: &Op) -> u64 {
    let mut print = 0;
    // SAFETY: the caller's promise.
    unsafe {
        for_each_part(op, |data, len| {
            print = mix(print ^ hash(std::slice::from_raw_parts(data, len)))
        })
    };
    print
}

/// Calls `take` with each piece of memory that a send carries.
///
/// # Safety
/// What the operation points to is valid.
pub(super) unsafe fn for_each_part(op: &Op, mut take: impl FnMut(*const u8, usize)) {
    match *op {
        Op::Send { data, len, .. } => take(data, len as usize),
        Op::SendVectored { message, .. } => {
            // SAFETY: header and vector are valid until the send's completion.
            let parts = unsafe {
                let message = &*message;
                std::slice::from_raw_parts(message.msg_iov, message.msg_iovlen as _)
            };
            for part in parts {
                take(part.iov_base.cast_const().cast(), part.iov_len);
            }
        }
        _ => {}
    }
}

/// A number that the length, both ends and one word of each cache line decide: enough to notice that a
/// block was overwritten, or handed to somebody else.
fn hash(bytes: &[u8]) -> u64 {
    let add =
        |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (words, rest) = bytes.as_chunks::<8>();
    let sampled = words.iter().step_by(SAMPLED_WORDS).chain(words.last());
    let hash = sampled.fold(bytes.len() as u64, |hash, word| {
        add(hash, u64::from_le_bytes(*word))
    });
    rest.iter()
        .fold(hash, |hash, &byte| add(hash, u64::from(byte)))
}

/// One word of so many is looked at.
const SAMPLED_WORDS: usize = 8;
