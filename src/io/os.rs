//! The few direct system calls: sockets, options, addresses. None of them is on the hot path.
//! Everything that can block or that happens per request goes through the ring instead.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use super::connect::Address;

/// Lends a descriptor that the reactor keeps open to socket2.
fn borrow<R>(fd: RawFd, access: impl FnOnce(SockRef<'_>) -> R) -> R {
    // SAFETY: callers pass descriptors of live connection or listener records, which stay open
    // until the record closes them.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    access(SockRef::from(&fd))
}

/// An unconnected socket for `to`: blocking (as io_uring needs it), close-on-exec, no delay.
pub(super) fn stream_socket(to: &Address) -> io::Result<OwnedFd> {
    let socket = match to {
        Address::Inet(addr) => {
            let socket = Socket::new(
                Domain::for_address(*addr),
                Type::STREAM,
                Some(Protocol::TCP),
            )?;
            socket.set_tcp_nodelay(true)?;
            socket
        }
        Address::Unix(_) | Address::Abstract(_) => Socket::new(Domain::UNIX, Type::STREAM, None)?,
    };
    Ok(socket.into())
}

/// Makes a socket fit for the ring: blocking mode, and for TCP no delay.
pub(super) fn prepare(fd: &OwnedFd) {
    let socket = SockRef::from(fd);
    // Fails on a Unix socket, which has no delay to switch off.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_nonblocking(false);
}

/// Lets calls on a descriptor fail with EAGAIN instead of waiting.
pub(super) fn set_nonblocking(fd: RawFd) {
    // Fails for descriptors that are none, of which the next call tells.
    let _ = borrow(fd, |socket| socket.set_nonblocking(true));
}

/// The next connection of a listener in non-blocking mode; the connection itself is in blocking mode.
pub(super) fn accept(listener: RawFd) -> io::Result<RawFd> {
    // SAFETY: a plain system call that writes no address.
    let fd = unsafe {
        libc::accept4(
            listener,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            libc::SOCK_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(fd)
}

/// Takes the pending error of a socket: an errno, or 0.
pub(super) fn socket_error(fd: RawFd) -> i32 {
    match borrow(fd, |socket| socket.take_error()) {
        Ok(None) => 0,
        Ok(Some(e)) | Err(e) => e.raw_os_error().unwrap_or(libc::EIO),
    }
}

/// Ends the sending direction. The peer may be gone already: then there is nothing to end.
pub(super) fn shutdown_write(fd: RawFd) {
    let _ = borrow(fd, |socket| socket.shutdown(std::net::Shutdown::Write));
}

/// Makes the coming close a reset (RST) instead of an orderly end (FIN).
pub(super) fn reset_on_close(fd: RawFd) {
    let _ = borrow(fd, |socket| socket.set_linger(Some(Duration::ZERO)));
}

/// Closes a descriptor at once.
pub(super) fn close(fd: RawFd) {
    // SAFETY: the caller's record was the only owner and is being dropped.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
}

/// The peer's address; `None` for Unix sockets and for peers that have gone.
pub(super) fn peer_addr(fd: RawFd) -> Option<SocketAddr> {
    borrow(fd, |socket| socket.peer_addr().ok()?.as_socket())
}

/// The own address; `None` for Unix sockets.
pub(super) fn local_addr(fd: RawFd) -> Option<SocketAddr> {
    borrow(fd, |socket| socket.local_addr().ok()?.as_socket())
}

/// Bytes that the peer's kernel has acknowledged (RFC 4898 tcpEStatsAppHCThruOctetsAcked; on a
/// connecting socket its SYN may count as one); `None` if this is not TCP.
pub(super) fn bytes_acknowledged(fd: RawFd) -> Option<u64> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `info`.
    let result = unsafe {
        libc::getsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &mut len,
        )
    };
    // SAFETY: zeroed before, and integers only.
    (result == 0).then(|| unsafe { info.assume_init() }.tcpi_bytes_acked)
}

/// Two connected sockets, for the self-test.
pub(super) fn socket_pair() -> io::Result<(UnixStream, UnixStream)> {
    UnixStream::pair()
}

/// Writes all bytes to a socket of the self-test.
pub(super) fn write(mut socket: &UnixStream, bytes: &[u8]) -> io::Result<()> {
    socket.write_all(bytes)
}

/// A seed from the operating system.
pub(super) fn random_seed() -> u64 {
    let mut bytes = [0; 8];
    match std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)) {
        Ok(()) => u64::from_ne_bytes(bytes),
        // Without /dev the address of a local is at least different per process.
        Err(_) => std::ptr::from_ref(&bytes) as u64,
    }
}

/// CPU time that the calling thread has used so far. A system call: not for shards.
pub fn thread_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` lives for the call, which fails only for a clock that does not exist.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// The socket address of `to` as the kernel wants it.
pub(super) fn sockaddr(to: &Address) -> io::Result<SockAddr> {
    match to {
        Address::Inet(addr) => Ok(SockAddr::from(*addr)),
        Address::Unix(path) => SockAddr::unix(path),
        Address::Abstract(name) => {
            use std::os::unix::ffi::OsStrExt;
            let mut path = vec![0];
            path.extend_from_slice(name);
            SockAddr::unix(std::ffi::OsStr::from_bytes(&path))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threads_time_grows_with_its_work_alone() {
        let before = thread_time();
        std::thread::spawn(|| (0..5_000_000_u64).map(std::hint::black_box).sum::<u64>())
            .join()
            .expect("it adds numbers");
        let idle = thread_time() - before;
        let mut sum = 0_u64;
        while thread_time() - before < idle + Duration::from_millis(1) {
            sum += std::hint::black_box(1);
        }
        assert!(sum > 0);
    }
}
