//! Receives and accepts, once the kernel has said that there is something. Not for: sends and connects
//! (`output`).

use std::io;
use std::os::fd::RawFd;

use super::super::super::buffer::{Block, Pool};
use super::super::super::os;
use super::super::{Completion, Group, Kind, Token, received};
use super::batch::NOT_TRIED;
use super::calls::{BLOCKED, receive};
use super::table::Input;
use super::{Epoll, MIN_BATCH, negated};

/// Buffers that one socket may fill per turn, so that a fast peer does not hold up the others.
const RECEIVES_PER_TURN: usize = 4;
/// Connections that one listener may accept per turn.
const ACCEPTS_PER_TURN: usize = 64;

/// A receive of a batch.
pub(super) struct Incoming {
    fd: RawFd,
    token: Token,
    block: Block,
}

impl Epoll {
    pub(super) fn start_input(&mut self, fd: RawFd, token: Token, input: Input) {
        if let Err(errno) = self.register(fd) {
            return self.complete(token, errno, false);
        }
        let watched = self.table.at(fd);
        debug_assert!(matches!(watched.input, Input::None), "one input at a time");
        watched.input = input;
        if watched.readable {
            self.list(fd);
        }
    }

    /// Receives or accepts, as far as there is something and the turn's share allows.
    pub(super) fn input(&mut self, fd: RawFd, pool: &Pool) {
        match self.table.at(fd).input {
            Input::None => {}
            Input::Many(token) => self.receive_many(fd, token, pool),
            Input::Owned { token, data, len } => self.receive_owned(fd, token, data, len),
            Input::Accept(token) => self.accept(fd, token),
        }
    }

    /// Receives from every socket that has become readable in this turn.
    pub(super) fn receive_all(&mut self, pool: &Pool) {
        let mut readable = std::mem::take(&mut self.readable);
        match self.batch.take() {
            Some(mut batch) if readable.len() >= MIN_BATCH => {
                let mut incoming = std::mem::take(&mut self.incoming);
                for fd in readable.drain(..) {
                    let Input::Many(token) = self.table.at(fd).input else {
                        continue;
                    };
                    let Some(block) = self.block(token, pool) else {
                        self.end_input(fd, token, -libc::ENOBUFS);
                        continue;
                    };
                    // SAFETY: a fresh block is this function's alone, and kept until the batch has run.
                    unsafe { batch.receive(fd, block.data(), block.capacity()) };
                    incoming.push(Incoming { fd, token, block });
                    if batch.is_full() {
                        self.take_in(batch.run(), &mut incoming, pool);
                    }
                }
                self.take_in(batch.run(), &mut incoming, pool);
                self.incoming = incoming;
                self.batch = Some(batch);
            }
            batch => {
                self.batch = batch;
                readable.drain(..).for_each(|fd| self.input(fd, pool));
            }
        }
        self.readable = readable;
    }

    /// Hands out what a batch has received.
    fn take_in(&mut self, results: &[isize], incoming: &mut Vec<Incoming>, pool: &Pool) {
        for (&result, Incoming { fd, token, block }) in results.iter().zip(incoming.drain(..)) {
            if result == NOT_TRIED {
                drop(block);
                self.receive_many(fd, token, pool);
            } else if self.received(fd, token, block, result) {
                // Who has more has it now: the events of the next turn do not tell of it again.
                self.list(fd);
            }
        }
    }

    pub(super) fn end_input(&mut self, fd: RawFd, token: Token, result: i32) {
        self.table.at(fd).input = Input::None;
        self.complete(token, result, false);
    }

    fn block(&self, token: Token, pool: &Pool) -> Option<Block> {
        let group = match token.kind() {
            Kind::ReceiveUpstream => Group::Upstream,
            _ => Group::Downstream,
        };
        pool.take_for_receive(self.sizes[group as usize])
    }

    fn receive_many(&mut self, fd: RawFd, token: Token, pool: &Pool) {
        for _ in 0..RECEIVES_PER_TURN {
            let Some(block) = self.block(token, pool) else {
                return self.end_input(fd, token, -libc::ENOBUFS);
            };
            // SAFETY: a fresh block is this function's alone.
            let result = unsafe { receive(fd, block.data(), block.capacity()) };
            if !self.received(fd, token, block, result) {
                return;
            }
        }
        self.list(fd);
    }

    /// Hands out what one receive has brought; whether there may be more.
    fn received(&mut self, fd: RawFd, token: Token, block: Block, result: isize) -> bool {
        match result {
            1.. => {
                let len = result as usize;
                let filled = len == block.capacity();
                self.ready.push(Completion {
                    token,
                    result: len as i32,
                    more: true,
                    // SAFETY: `len` bytes were written, and the call is over.
                    chunk: Some(unsafe { received(block, len) }),
                });
                !self.has_less(fd, filled)
            }
            BLOCKED => {
                self.table.at(fd).readable = false;
                false
            }
            end => {
                self.end_input(fd, token, end as i32);
                false
            }
        }
    }

    fn receive_owned(&mut self, fd: RawFd, token: Token, data: *mut u8, len: u32) {
        // SAFETY: the submitter of the operation keeps this memory for it until its completion.
        let result = unsafe { receive(fd, data, len as usize) };
        if result == BLOCKED {
            self.table.at(fd).readable = false;
            return;
        }
        self.has_less(fd, result == len as isize);
        self.end_input(fd, token, result as i32);
    }

    /// After a receive: whether it has emptied the socket, which then is no longer readable.
    fn has_less(&mut self, fd: RawFd, filled: bool) -> bool {
        let watched = self.table.at(fd);
        watched.readable = filled || watched.ended;
        !watched.readable
    }

    fn accept(&mut self, fd: RawFd, token: Token) {
        for _ in 0..ACCEPTS_PER_TURN {
            match os::accept(fd) {
                Ok(accepted) => self.complete(token, accepted, true),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    return self.table.at(fd).readable = false;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return self.end_input(fd, token, negated(&e)),
            }
        }
        self.list(fd);
    }
}
