//! What drivers on real sockets have in common: the clock, and calls that go past the ring. Not for: the
//! simulator, which has a clock and sockets of its own.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::{Instant as Clock, SystemTime};

use super::super::accept::Socket;
use super::super::config::ReactorConfig;
use super::super::connect::Address;
use super::super::instant::Instant;
use super::super::os;

/// See the module's text.
pub(super) struct System {
    start: Clock,
    seed: u64,
}

impl System {
    pub(super) fn new(config: &ReactorConfig) -> System {
        System {
            start: Clock::now(),
            seed: config.seed.unwrap_or_else(os::random_seed),
        }
    }

    pub(super) fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }

    pub(super) fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn socket(&self, to: &Address) -> io::Result<RawFd> {
        os::stream_socket(to).map(IntoRawFd::into_raw_fd)
    }

    pub(super) fn shutdown_write(&self, fd: RawFd) {
        os::shutdown_write(fd);
    }

    pub(super) fn reset_on_close(&self, fd: RawFd) {
        os::reset_on_close(fd);
    }

    pub(super) fn peer_addr(&self, fd: RawFd) -> Option<SocketAddr> {
        os::peer_addr(fd)
    }

    pub(super) fn local_addr(&self, fd: RawFd) -> Option<SocketAddr> {
        os::local_addr(fd)
    }

    pub(super) fn acknowledged(&self, fd: RawFd) -> Option<u64> {
        os::bytes_acknowledged(fd)
    }

    pub(super) fn own(&self, fd: RawFd) -> Socket {
        // SAFETY: accept has just returned this descriptor; nothing else owns it.
        Socket::System(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    pub(super) fn disown(&self, socket: Socket) -> RawFd {
        match socket {
            Socket::System(fd) => fd.into_raw_fd(),
            Socket::Simulated(_) => panic!("a simulated socket belongs to its simulator"),
        }
    }

    pub(super) fn listen_at(&self, addr: SocketAddr) -> io::Result<RawFd> {
        std::net::TcpListener::bind(addr).map(IntoRawFd::into_raw_fd)
    }
}
