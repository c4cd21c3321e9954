//! How simulated connections come about: listening, connecting, accepting. Not for: their bytes.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::RawFd;

use super::super::super::connect::Address;
use super::super::Token;
use super::net::Fault;
use super::socket::{Port, Socket};
use super::{Event, Sim};

/// Connections that wait to be accepted; to a further one the system gives no answer, and it tries again.
const BACKLOG: usize = 128;
/// When it does.
const RETRY_NANOS: u64 = 1_000_000_000;
/// When the system gives a connect up that gets no answer.
const CONNECT_TIMEOUT_NANOS: u64 = 127_000_000_000;

impl Sim {
    pub(in super::super) fn listen_at(&mut self, addr: SocketAddr) -> io::Result<RawFd> {
        let mut addr = addr;
        if addr.port() == 0 {
            addr.set_port(10_000);
            while self.sockets.port_at(addr).is_some() {
                addr.set_port(addr.port() + 1);
            }
        }
        if self.sockets.port_at(addr).is_some() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        Ok(self.sockets.add_port(Port {
            addr,
            pending: VecDeque::new(),
            accept: None,
        }))
    }

    pub(in super::super) fn socket(&mut self, to: &Address) -> io::Result<RawFd> {
        if !matches!(to, Address::Inet(_)) {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the simulated network has internet addresses only",
            ));
        }
        if self.strikes(Fault::NoSocket) {
            let errno = self
                .random
                .pick(&[libc::EMFILE, libc::ENFILE, libc::ENOBUFS]);
            return Err(io::Error::from_raw_os_error(errno));
        }
        Ok(self.sockets.add_stream(Socket::default()))
    }

    pub(super) fn start_connect(&mut self, fd: RawFd, token: Token, target: SocketAddr) {
        self.sockets.open_stream(fd).connect = Some(token);
        let at = self.now + self.latency();
        let event = if self.strikes(Fault::SilentConnect) {
            Event::ConnectFails(fd, libc::ETIMEDOUT)
        } else if self.strikes(Fault::FailedConnect) {
            let errnos = [
                libc::ECONNREFUSED,
                libc::ECONNREFUSED,
                libc::EHOSTUNREACH,
                libc::ENETUNREACH,
            ];
            Event::ConnectFails(fd, self.random.pick(&errnos))
        } else {
            Event::Connect(fd, target)
        };
        let at = match event {
            Event::ConnectFails(_, libc::ETIMEDOUT) => at + CONNECT_TIMEOUT_NANOS,
            _ => at,
        };
        self.schedule(at, event);
    }

    pub(super) fn connect_fails(&mut self, fd: RawFd, errno: i32) {
        if let Some(token) = self
            .sockets
            .stream_mut(fd)
            .and_then(|socket| socket.connect.take())
        {
            self.finish(fd, token, -errno, false);
        }
    }

    pub(super) fn establish(&mut self, client: RawFd, target: SocketAddr) {
        if self
            .sockets
            .stream(client)
            .is_none_or(|socket| socket.connect.is_none())
        {
            return;
        }
        let Some(port) = self.sockets.port_at(target) else {
            return self.connect_fails(client, libc::ECONNREFUSED);
        };
        if self
            .sockets
            .port(port)
            .is_some_and(|port| port.pending.len() >= BACKLOG)
        {
            return self.schedule(self.now + RETRY_NANOS, Event::Connect(client, target));
        }
        let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 30_000 + (client % 30_000) as u16));
        let server = self.sockets.add_stream(Socket {
            local: Some(target),
            remote: Some(from),
            other: Some(client),
            ..Socket::default()
        });
        let socket = self.sockets.open_stream(client);
        socket.local = Some(from);
        socket.remote = Some(target);
        socket.other = Some(server);
        let token = socket.connect.take().expect("looked up above");
        if let Some(port) = self.sockets.port_mut(port) {
            port.pending.push_back(server);
        }
        self.finish(client, token, 0, false);
        self.accept_pending(port);
    }

    /// Gives pending connections to the accept that waits for them.
    pub(super) fn accept_pending(&mut self, port: RawFd) {
        while let Some(listener) = self.sockets.port_mut(port)
            && let Some(token) = listener.accept
            && let Some(&accepted) = listener.pending.front()
        {
            let errno = if self.strikes(Fault::NoAccept) {
                self.random
                    .pick(&[libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM])
            } else if self.strikes(Fault::GoneBeforeAccept) {
                self.reset_both(accepted);
                match self.random.below(2) {
                    0 => libc::ECONNABORTED,
                    _ => 0,
                }
            } else {
                -1
            };
            let taken = errno <= 0 || errno == libc::ECONNABORTED;
            let more = errno <= 0 && !self.strikes(Fault::EndedMultishot);
            if errno == 0 {
                // It has gone, and its address with it.
                self.sockets.open_stream(accepted).remote = None;
            }
            let listener = self.sockets.port_mut(port).expect("looked up above");
            if taken {
                listener.pending.pop_front();
            }
            if !more {
                listener.accept = None;
            }
            if errno > 0 {
                if taken {
                    self.sockets.open_stream(accepted).reset_on_close = true;
                    self.close_stream(accepted);
                }
                self.finish(port, token, -errno, false);
            } else {
                self.finish(port, token, accepted, more);
            }
        }
    }

    /// Closes a listening socket; the system resets those who were not accepted.
    pub(super) fn close_port(&mut self, fd: RawFd) {
        let Some(port) = self.sockets.remove_port(fd) else {
            return;
        };
        assert!(port.accept.is_none(), "closed while an accept uses it");
        for fd in port.pending {
            self.sockets.open_stream(fd).reset_on_close = true;
            self.close_stream(fd);
        }
    }
}
