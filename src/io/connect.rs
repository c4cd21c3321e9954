//! Connecting to an upstream. Not for: name resolution, choosing an address, retries.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use socket2::SockAddr;

use super::core::{Core, remember};
use super::driver::{Group, Kind, Op, Token};
use super::os;
use super::reactor::Handle;
use super::slab::Key;
use super::stream::Stream;

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// TCP over IPv4 or IPv6.
    Inet(SocketAddr),
    /// A Unix stream socket at a path.
    Unix(PathBuf),
    /// A Unix stream socket in Linux' abstract namespace (the name without its leading zero byte).
    Abstract(Vec<u8>),
}

impl From<SocketAddr> for Address {
    fn from(addr: SocketAddr) -> Self {
        Address::Inet(addr)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Inet(addr) => addr.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Abstract(name) => write!(f, "unix:@{}", name.escape_ascii()),
        }
    }
}

/// A connect in progress. Its slot, not the future, owns what the kernel reads.
pub(super) struct Connecting {
    fd: RawFd,
    /// Boxed, since slots move when their slab grows and the kernel may read it at any time.
    address: Box<SockAddr>,
    peer: Option<SocketAddr>,
    waker: Option<Waker>,
    /// Present once completed.
    result: Option<i32>,
    /// The future is gone: whatever the result, the socket is closed.
    abandoned: bool,
}

impl Connecting {
    pub(super) fn fd(&self) -> RawFd {
        self.fd
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.result.is_none()
    }

    pub(super) fn take_waker(&mut self) -> Option<Waker> {
        self.waker.take()
    }
}

impl Core {
    fn start_connect(&mut self, to: &Address) -> io::Result<Key> {
        let address = Box::new(os::sockaddr(to)?);
        let fd = self.driver.socket(to)?;
        let key = self.connects.insert(Connecting {
            fd,
            peer: match to {
                Address::Inet(addr) => Some(*addr),
                _ => None,
            },
            address,
            waker: None,
            result: None,
            abandoned: false,
        });
        let slot = self.connects.get(key).expect("inserted just now");
        let op = Op::Connect {
            fd,
            address: slot.address.as_ptr().cast(),
            len: slot.address.len(),
        };
        // SAFETY: the slot, with the boxed address, is removed only after the completion.
        unsafe { self.driver.submit(Token::new(Kind::Connect, key, 0), op) };
        Ok(key)
    }

    pub(super) fn on_connect(&mut self, key: Key, result: i32) {
        let Some(slot) = self.connects.get_mut(key) else {
            return;
        };
        if slot.abandoned {
            let fd = slot.fd;
            self.connects.remove(key);
            self.driver.close(fd);
            return;
        }
        slot.result = Some(result);
        if let Some(waker) = slot.waker.take() {
            self.wakes.push(waker);
        }
    }

    fn abandon_connect(&mut self, key: Key) {
        let Some(slot) = self.connects.get_mut(key) else {
            return;
        };
        slot.abandoned = true;
        if let Some(waker) = slot.waker.take() {
            self.wakes.push(waker);
        }
        match slot.result {
            Some(result) => self.on_connect(key, result),
            None => {
                let fd = slot.fd;
                self.driver.cancel(Token::new(Kind::Connect, key, 0), fd);
            }
        }
    }
}

enum State {
    Failed(Option<io::Error>),
    Waiting(Key),
    Done,
}

/// The future of [`Handle::connect`]. Dropping it cancels the attempt and closes the socket.
pub struct Connect {
    handle: Handle,
    state: State,
}

impl Future for Connect {
    type Output = io::Result<Stream>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let key = match &mut self.state {
            State::Failed(error) => {
                let error = error
                    .take()
                    .expect("a future is not polled after it is ready");
                self.state = State::Done;
                return Poll::Ready(Err(error));
            }
            State::Waiting(key) => *key,
            State::Done => panic!("a future is not polled after it is ready"),
        };
        let mut core = self.handle.core();
        let slot = core
            .connects
            .get_mut(key)
            .expect("the future owns its slot");
        let Some(result) = slot.result else {
            let replaced = remember(&mut slot.waker, cx);
            drop(core);
            drop(replaced);
            return Poll::Pending;
        };
        let slot = core.connects.remove(key).expect("found just now");
        let outcome = if result < 0 {
            core.driver.close(slot.fd);
            Err(io::Error::from_raw_os_error(-result))
        } else {
            Ok(core.add_connection(slot.fd, Group::Upstream, slot.peer))
        };
        drop(core);
        self.state = State::Done;
        Poll::Ready(outcome.map(|key| Stream::new(self.handle.clone(), key)))
    }
}

impl Drop for Connect {
    fn drop(&mut self) {
        if let State::Waiting(key) = self.state {
            self.handle.core().abandon_connect(key);
        }
    }
}

impl Handle {
    /// Connects a stream socket, TCP_NODELAY set; its bytes use the upstream buffers. The attempt
    /// has no time limit of its own: wrap it in [`Handle::timeout`]. Errors are the system's
    /// (`ConnectionRefused`, …).
    pub fn connect(&self, to: &Address) -> Connect {
        let state = match self.core().start_connect(to) {
            Ok(key) => State::Waiting(key),
            Err(error) => State::Failed(Some(error)),
        };
        Connect {
            handle: self.clone(),
            state,
        }
    }
}
