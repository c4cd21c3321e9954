//! Listeners: one multishot accept each, all feeding one queue of accepted connections. Not for:
//! deciding which shard serves a connection; an [`Accepted`] can go to another one.
//!
//! Accepting pauses with a growing delay when descriptors or memory run out (a multishot accept
//! ends on EMFILE, and arming it at once again would spin), and while the queue is at its limit.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::{IntoRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use super::core::Core;
use super::driver::{Kind, Op, Token};
use super::os;
use super::reactor::Handle;
use super::slab::Key;
use super::timer::{Owner, TimerId};

/// Names a listener of one reactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub(super) Key);

/// An accepted connection on which no operation runs yet. `Send`: a shard may hand it to another
/// one, whose [`Handle::adopt`] makes a [`Stream`](super::Stream) of it. Dropping it closes it.
#[derive(Debug)]
pub struct Accepted {
    pub(super) socket: Socket,
    pub(super) tag: u32,
    pub(super) peer: Option<SocketAddr>,
}

impl Accepted {
    /// The tag of the listener that accepted it.
    pub fn tag(&self) -> u32 {
        self.tag
    }

    /// The same connection under another tag.
    pub fn with_tag(self, tag: u32) -> Accepted {
        Accepted { tag, ..self }
    }

    /// The peer's address; `None` for a Unix socket.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// The descriptor; `None` for a simulated connection.
    pub fn into_fd(self) -> Option<OwnedFd> {
        match self.socket {
            Socket::System(fd) => Some(fd),
            Socket::Simulated(_) => None,
        }
    }
}

impl From<OwnedFd> for Accepted {
    /// Takes over a connected stream socket; sets blocking mode and TCP_NODELAY.
    fn from(fd: OwnedFd) -> Self {
        os::prepare(&fd);
        let peer = os::peer_addr(std::os::fd::AsRawFd::as_raw_fd(&fd));
        Accepted {
            socket: Socket::System(fd),
            tag: 0,
            peer,
        }
    }
}

impl From<std::net::TcpStream> for Accepted {
    fn from(stream: std::net::TcpStream) -> Self {
        OwnedFd::from(stream).into()
    }
}

impl From<std::os::unix::net::UnixStream> for Accepted {
    fn from(stream: std::os::unix::net::UnixStream) -> Self {
        OwnedFd::from(stream).into()
    }
}

/// A connected socket of the system, or of a simulator.
#[derive(Debug)]
pub(super) enum Socket {
    System(OwnedFd),
    Simulated(SimulatedSocket),
}

/// A simulated socket outside of its simulator. Dropping it tells the simulator.
pub(super) struct SimulatedSocket {
    pub(super) id: RawFd,
    pub(super) orphans: Arc<Mutex<Vec<RawFd>>>,
}

impl SimulatedSocket {
    /// The descriptor, without closing it.
    pub(super) fn into_id(mut self) -> RawFd {
        std::mem::replace(&mut self.id, -1)
    }
}

impl Drop for SimulatedSocket {
    fn drop(&mut self) {
        if self.id >= 0 {
            self.orphans
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(self.id);
        }
    }
}

impl fmt::Debug for SimulatedSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimulatedSocket({})", self.id)
    }
}

/// One listener's record.
pub(super) struct Listener {
    fd: RawFd,
    tag: u32,
    armed: bool,
    /// A cancel is on its way to the armed accept.
    cancelled: bool,
    closing: bool,
    sequence: u8,
    /// The pause that the next failure causes, and the timer of the present one.
    backoff: Duration,
    timer: Option<TimerId>,
}

impl Listener {
    pub(super) fn fd(&self) -> RawFd {
        self.fd
    }

    /// The accept that is armed.
    pub(super) fn accept_token(&self, key: Key) -> Option<Token> {
        self.armed
            .then(|| Token::new(Kind::Accept, key, self.sequence))
    }

    /// Forgets its accept, as it never should.
    #[cfg(test)]
    pub(super) fn disarm(&mut self) {
        self.armed = false;
    }

    /// Not accepting for a while, or for good.
    pub(super) fn is_pausing(&self) -> bool {
        self.timer.is_some() || self.closing
    }
}

impl Core {
    pub(super) fn add_listener(&mut self, fd: RawFd, tag: u32) -> ListenerId {
        let key = self.listeners.insert(Listener {
            fd,
            tag,
            armed: false,
            cancelled: false,
            closing: false,
            sequence: 0,
            backoff: self.config.accept_backoff_min,
            timer: None,
        });
        self.arm_listener(key);
        ListenerId(key)
    }

    fn arm_listener(&mut self, key: Key) {
        let full = self.accepted.len() >= self.config.accept_queue_limit;
        let Some(listener) = self.listeners.get_mut(key) else {
            return;
        };
        if listener.armed || listener.closing || listener.timer.is_some() || full {
            return;
        }
        listener.armed = true;
        listener.cancelled = false;
        listener.sequence = listener.sequence.wrapping_add(1);
        let token = Token::new(Kind::Accept, key, listener.sequence);
        // SAFETY: the operation refers to no memory.
        unsafe { self.driver.submit(token, Op::Accept { fd: listener.fd }) };
    }

    fn cancel_listener(&mut self, key: Key) {
        if let Some(listener) = self.listeners.get_mut(key)
            && listener.armed
            && !listener.cancelled
        {
            listener.cancelled = true;
            let token = Token::new(Kind::Accept, key, listener.sequence);
            self.driver.cancel(token, listener.fd);
        }
    }

    pub(super) fn close_listener(&mut self, key: Key) {
        let Some(listener) = self.listeners.get_mut(key) else {
            return;
        };
        listener.closing = true;
        if let Some(timer) = listener.timer.take() {
            self.wheel.remove(timer);
        }
        self.cancel_listener(key);
        self.finish_listener(key);
    }

    /// Closes the socket of a closing listener once its accept has ended.
    fn finish_listener(&mut self, key: Key) {
        if self
            .listeners
            .get(key)
            .is_some_and(|l| l.closing && !l.armed)
            && let Some(listener) = self.listeners.remove(key)
        {
            self.driver.close(listener.fd);
        }
    }

    pub(super) fn on_accept(&mut self, key: Key, result: i32, more: bool) {
        if result >= 0 {
            self.enqueue_accepted(key, result);
        }
        let Some(listener) = self.listeners.get_mut(key) else {
            return;
        };
        if !more {
            listener.armed = false;
        }
        match -result {
            // A connection that was reset before it was accepted, or a transient network error
            // of it (accept(2) names them), says nothing about the listener.
            ..=0 => listener.backoff = self.config.accept_backoff_min,
            libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM => {
                self.stats.accept_backoffs.add(1);
                let pause = listener.backoff;
                listener.backoff = (pause * 2).min(self.config.accept_backoff_max);
                if listener.timer.is_none() && !listener.closing {
                    listener.timer =
                        Some(self.wheel.insert(self.now + pause, Owner::Listener(key)));
                }
            }
            _ => {}
        }
        if self.accepted.len() >= self.config.accept_queue_limit {
            self.cancel_listener(key);
        }
        self.arm_listener(key);
        self.finish_listener(key);
    }

    fn enqueue_accepted(&mut self, key: Key, fd: RawFd) {
        let socket = self.driver.own(fd);
        let tag = self.listeners.get(key).map_or(0, |l| l.tag);
        let peer = self.driver.peer_addr(fd);
        if peer.is_none() {
            self.stats.accepts_lost.add(1);
            return;
        }
        self.stats.accepts.add(1);
        self.accepted.push_back(Accepted { socket, tag, peer });
        if let Some(waker) = self.accept_waker.take() {
            self.wakes.push(waker);
        }
    }

    /// The pause after a failure is over.
    pub(super) fn on_listener_timer(&mut self, key: Key) {
        if let Some(listener) = self.listeners.get_mut(key) {
            listener.timer = None;
            self.arm_listener(key);
        }
    }

    fn next_accepted(&mut self) -> Option<Accepted> {
        let accepted = self.accepted.pop_front()?;
        if self.accepted.len() == self.config.accept_queue_limit / 2 {
            let keys: Vec<Key> = self.listeners.iter().map(|(key, _)| key).collect();
            keys.into_iter().for_each(|key| self.arm_listener(key));
        }
        Some(accepted)
    }
}

impl Handle {
    /// Accepts connections on a listening socket until [`Handle::close_listener`]. Accepted ones
    /// carry `tag`. TCP_NODELAY is set on the listener, from which connections inherit it.
    pub fn listen(&self, listener: std::net::TcpListener, tag: u32) -> ListenerId {
        let fd = OwnedFd::from(listener);
        os::prepare(&fd);
        self.core().add_listener(fd.into_raw_fd(), tag)
    }

    /// Binds `addr` and accepts on it; also in a simulated network.
    pub fn listen_at(&self, addr: SocketAddr, tag: u32) -> std::io::Result<ListenerId> {
        let mut core = self.core();
        let fd = core.driver.listen_at(addr)?;
        Ok(core.add_listener(fd, tag))
    }

    /// The address that a listener is bound to; `None` if it is closed (or a Unix socket).
    pub fn listener_addr(&self, id: ListenerId) -> Option<SocketAddr> {
        let core = self.core();
        core.driver.local_addr(core.listeners.get(id.0)?.fd)
    }

    /// Stops accepting and closes the listening socket. Connections accepted before still come
    /// out of [`Handle::accept`]. Without effect on a listener that is closed already.
    pub fn close_listener(&self, id: ListenerId) {
        self.core().close_listener(id.0);
    }

    /// The next accepted connection, of whichever listener. One task may wait here.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Accepted> {
        let mut core = self.core();
        if let Some(accepted) = core.next_accepted() {
            return Poll::Ready(accepted);
        }
        let replaced = super::core::remember(&mut core.accept_waker, cx);
        drop(core);
        drop(replaced);
        Poll::Pending
    }

    /// The next accepted connection, of whichever listener. One task may wait here. Dropping the
    /// future loses no connection.
    pub async fn accept(&self) -> Accepted {
        std::future::poll_fn(|cx| self.poll_accept(cx)).await
    }
}
