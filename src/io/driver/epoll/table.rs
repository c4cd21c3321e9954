//! What the epoll driver knows of each descriptor: its operations and its readiness. Not for: doing anything.

use std::os::fd::RawFd;

use super::super::Token;

/// What waits for a descriptor to become readable.
#[derive(Clone, Copy, Default)]
pub(super) enum Input {
    #[default]
    None,
    Many(Token),
    Owned {
        token: Token,
        data: *mut u8,
        len: u32,
    },
    Accept(Token),
}

/// What waits for a descriptor to become writable.
#[derive(Clone, Copy, Default)]
pub(super) enum Output {
    #[default]
    None,
    Send {
        token: Token,
        data: *const u8,
        len: u32,
        done: u32,
    },
    SendVectored {
        token: Token,
        message: *const libc::msghdr,
        done: usize,
    },
    Connect(Token),
    /// The backlog of a Unix socket was full: again when [`CONNECT_RETRY`] has passed.
    ConnectAgain {
        token: Token,
        address: *const libc::sockaddr,
        len: libc::socklen_t,
    },
}

/// A descriptor's operations, and what is known of its readiness.
#[derive(Clone, Copy, Default)]
pub(super) struct Watched {
    /// It is in the epoll instance.
    pub(super) registered: bool,
    /// There was something to read when last heard.
    pub(super) readable: bool,
    /// A send found no room, and no event has told of room since.
    pub(super) full: bool,
    /// The peer has ended its direction, the socket has failed, or there was urgent data: only a receive that
    /// finds nothing says that nothing is left.
    pub(super) ended: bool,
    /// It is in the list of those to be tried again.
    pub(super) due: bool,
    /// It is in the list of those with a send that this turn has not made yet.
    pub(super) unsent: bool,
    pub(super) input: Input,
    pub(super) output: Output,
}

/// The descriptors of one shard. Two steps from a descriptor to what is known of it, since descriptors are
/// numbered across all shards: a shard pays four bytes for those of the others and a [`Watched`] for its own.
#[derive(Default)]
pub(super) struct Table {
    /// By descriptor: one more than the place in `slots`, or 0. Bounded by the limit of open files.
    places: Vec<u32>,
    slots: Vec<Watched>,
    free: Vec<u32>,
}

impl Table {
    /// What is known of a descriptor that may be new.
    pub(super) fn at(&mut self, fd: RawFd) -> &mut Watched {
        let index = fd as usize;
        if index >= self.places.len() {
            self.places.resize(index + 1, 0);
        }
        let place = &mut self.places[index];
        if *place == 0 {
            let slot = self.free.pop().unwrap_or_else(|| {
                self.slots.push(Watched::default());
                self.slots.len() as u32 - 1
            });
            *place = slot + 1;
        }
        &mut self.slots[*place as usize - 1]
    }

    /// What is known of a descriptor that may be closed.
    pub(super) fn get(&mut self, fd: RawFd) -> Option<&mut Watched> {
        let place = *self.places.get(fd as usize)?;
        self.slots.get_mut((place as usize).wrapping_sub(1))
    }

    /// Forgets a descriptor; returns what was known of it.
    pub(super) fn remove(&mut self, fd: RawFd) -> Option<Watched> {
        let place = std::mem::take(self.places.get_mut(fd as usize)?);
        let slot = place.checked_sub(1)?;
        self.free.push(slot);
        Some(std::mem::take(&mut self.slots[slot as usize]))
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Table::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_descriptors_place_is_used_again_and_knows_nothing() {
        let mut table = Table::default();
        table.at(900_000).readable = true;
        table.at(7).full = true;
        assert!(table.get(900_000).is_some_and(|w| w.readable && !w.full));
        assert!(table.remove(7).is_some_and(|w| w.full));
        assert!(table.get(7).is_none() && table.remove(7).is_none());
        assert!(table.get(8).is_none() && table.get(1_000_000).is_none());
        assert!(
            !table.at(3).full,
            "a fresh descriptor in the place of another"
        );
        assert_eq!(table.slots.len(), 2);
    }

    #[test]
    fn an_idle_descriptor_costs_little() {
        assert!(size_of::<Watched>() <= 64, "{} bytes", size_of::<Watched>());
    }
}
