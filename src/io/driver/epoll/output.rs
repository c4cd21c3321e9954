//! Sends and connects. Not for: receives and accepts (`input`).
//!
//! A send goes out with the others of its turn, in one call where that is possible ([`Batch`](super::Batch));
//! what the socket had no room for follows when the kernel says that it has some.

use std::io;
use std::os::fd::RawFd;

use super::super::super::os;
use super::super::Token;
use super::batch::NOT_TRIED;
use super::calls::{BLOCKED, MAX_TRANSFER, length, send, send_vectored};
use super::table::Output;
use super::{Epoll, MIN_BATCH};

impl Epoll {
    pub(super) fn start_send(&mut self, fd: RawFd, output: Output) {
        let watched = self.table.at(fd);
        debug_assert!(matches!(watched.output, Output::None), "one send at a time");
        watched.output = output;
        if !watched.full && !watched.unsent {
            watched.unsent = true;
            self.unsent.push(fd);
        }
    }

    /// Sends what was started since the last turn.
    pub(super) fn send_all(&mut self) {
        let mut unsent = std::mem::take(&mut self.unsent);
        // One that was cancelled, and its socket closed meanwhile, is no longer there.
        unsent.retain(|&fd| {
            self.table.get(fd).is_some_and(|watched| {
                let is_send = matches!(
                    watched.output,
                    Output::Send { .. } | Output::SendVectored { .. }
                );
                std::mem::take(&mut watched.unsent) && is_send
            })
        });
        match self.batch.take() {
            Some(mut batch) if unsent.len() >= MIN_BATCH => {
                for sockets in unsent.chunks(super::MAX_BATCH) {
                    for &fd in sockets {
                        // SAFETY: what a send refers to is valid until its completion.
                        unsafe {
                            match self.table.at(fd).output {
                                Output::Send { data, len, .. } => {
                                    batch.send(fd, data, (len as usize).min(MAX_TRANSFER));
                                }
                                Output::SendVectored { message, .. } => {
                                    let message = &*message;
                                    batch.send_vectored(fd, message.msg_iov, message.msg_iovlen);
                                }
                                _ => unreachable!("only sends were kept"),
                            }
                        }
                    }
                    for (&fd, &result) in sockets.iter().zip(batch.run()) {
                        if result == NOT_TRIED || self.sent(fd, result) {
                            self.send(fd);
                        }
                    }
                }
                self.batch = Some(batch);
            }
            batch => {
                self.batch = batch;
                unsent.iter().for_each(|&fd| self.send(fd));
            }
        }
        unsent.clear();
        self.unsent = unsent;
    }

    /// Sends as much as there is room for.
    pub(super) fn send(&mut self, fd: RawFd) {
        loop {
            // SAFETY: what a send refers to is valid until its completion.
            let result = unsafe {
                match self.table.at(fd).output {
                    Output::Send {
                        data, len, done, ..
                    } => {
                        let rest = ((len - done) as usize).min(MAX_TRANSFER);
                        send(fd, data.add(done as usize), rest)
                    }
                    Output::SendVectored { message, done, .. } => send_vectored(fd, message, done),
                    _ => return,
                }
            };
            if !self.sent(fd, result) {
                return;
            }
        }
    }

    /// Notes what a call of a send has done; whether the rest is to be sent now.
    fn sent(&mut self, fd: RawFd, result: isize) -> bool {
        let watched = self.table.at(fd);
        // SAFETY: a message is valid until its send's completion.
        let (token, before, total) = unsafe {
            match watched.output {
                Output::Send {
                    token, len, done, ..
                } => (token, done as usize, len as usize),
                Output::SendVectored {
                    token,
                    message,
                    done,
                } => (token, done, length(message)),
                _ => return false,
            }
        };
        match result {
            0.. => {
                let now = before + result as usize;
                if now >= total.min(MAX_TRANSFER) {
                    watched.output = Output::None;
                    self.complete(token, now as i32, false);
                    return false;
                }
                match &mut watched.output {
                    Output::Send { done, .. } => *done = now as u32,
                    Output::SendVectored { done, .. } => *done = now,
                    _ => {}
                }
                true
            }
            BLOCKED => {
                watched.full = true;
                if let Err(errno) = self.register(fd) {
                    self.table.at(fd).output = Output::None;
                    self.complete(token, partial(before, errno), false);
                }
                false
            }
            errno => {
                watched.output = Output::None;
                self.complete(token, partial(before, errno as i32), false);
                false
            }
        }
    }

    /// What is given for a send that was cancelled, and what it had done.
    pub(super) fn cancelled(&mut self, token: Token, done: usize) {
        self.complete(token, partial(done, -libc::ECANCELED), false);
    }

    pub(super) fn connect(&mut self, fd: RawFd) {
        let Output::ConnectAgain {
            token,
            address,
            len,
        } = self.table.at(fd).output
        else {
            return;
        };
        // SAFETY: the submitter keeps the address until the completion.
        let result = match unsafe { libc::connect(fd, address, len) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)),
        };
        let result = match result {
            Ok(()) => 0,
            Err(libc::EINPROGRESS | libc::EINTR) => match self.register(fd) {
                Ok(()) => return self.table.at(fd).output = Output::Connect(token),
                Err(errno) => errno,
            },
            Err(libc::EAGAIN) => return self.list(fd),
            Err(errno) => -errno,
        };
        self.table.at(fd).output = Output::None;
        self.complete(token, result, false);
    }

    /// A connect's socket has become ready, or has failed.
    pub(super) fn connected(&mut self, fd: RawFd, token: Token) {
        self.table.at(fd).output = Output::None;
        self.complete(token, -os::socket_error(fd), false);
    }
}

/// What a send that ends early reports: how much it sent, or why it sent nothing.
fn partial(done: usize, errno: i32) -> i32 {
    if done > 0 { done as i32 } else { errno }
}
