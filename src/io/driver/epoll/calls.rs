//! The system calls of the epoll driver, as functions that say what they did. None of them blocks.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Bytes after which a send ends early and one call takes at most: both together fit a result.
pub(super) const MAX_TRANSFER: usize = 1 << 29;
/// What every descriptor is registered for.
const INTEREST: u32 =
    (libc::EPOLLIN | libc::EPOLLPRI | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET) as u32;

/// The result of a transfer for which there was nothing to read or no room to write.
pub(super) const BLOCKED: isize = -(libc::EAGAIN as isize);

/// Registers a descriptor for [`INTEREST`], edge-triggered.
pub(super) fn add(epoll: &OwnedFd, fd: RawFd, data: u64) -> io::Result<()> {
    let mut event = libc::epoll_event {
        events: INTEREST,
        u64: data,
    };
    // SAFETY: the event lives for the call.
    match unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Repeats a transfer that a signal interrupted; a failure is a negated errno.
fn transfer(call: impl Fn() -> isize) -> isize {
    loop {
        let result = call();
        if result >= 0 {
            return result;
        }
        match io::Error::last_os_error().raw_os_error() {
            Some(libc::EINTR) => {}
            errno => return -(errno.unwrap_or(libc::EIO) as isize),
        }
    }
}

/// # Safety
/// `data` is valid for writing `len` bytes.
pub(super) unsafe fn receive(fd: RawFd, data: *mut u8, len: usize) -> isize {
    // SAFETY: the caller's promise.
    transfer(|| unsafe { libc::recv(fd, data.cast(), len, libc::MSG_DONTWAIT) })
}

/// Never a signal for a closed peer, never a wait for room.
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;

/// # Safety
/// `data` is valid for reading `len` bytes.
pub(super) unsafe fn send(fd: RawFd, data: *const u8, len: usize) -> isize {
    // SAFETY: the caller's promise.
    transfer(|| unsafe { libc::send(fd, data.cast(), len, SEND_FLAGS) })
}

/// The bytes of a message.
///
/// # Safety
/// The message and its vector are valid for reading.
pub(super) unsafe fn length(message: *const libc::msghdr) -> usize {
    // SAFETY: the caller's promise.
    unsafe { parts(message) }
        .iter()
        .map(|part| part.iov_len)
        .sum()
}

/// # Safety
/// The message and its vector are valid for reading as long as the result is used.
unsafe fn parts<'a>(message: *const libc::msghdr) -> &'a [libc::iovec] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts((*message).msg_iov, (*message).msg_iovlen) }
}

/// Sends what follows the first `done` bytes of a message.
///
/// # Safety
/// The message, its vector and what that refers to are valid for reading.
pub(super) unsafe fn send_vectored(fd: RawFd, message: *const libc::msghdr, done: usize) -> isize {
    // SAFETY: the caller's promise.
    let (mut header, parts) = unsafe { (*message, parts(message)) };
    let total: usize = parts.iter().map(|part| part.iov_len).sum();
    // Whole parts that have left are skipped; what has left of the next one as well.
    let mut skip = done;
    let whole = parts
        .iter()
        .take_while(|part| {
            let left = skip >= part.iov_len;
            skip -= if left { part.iov_len } else { 0 };
            left
        })
        .count();
    // SAFETY: the caller's promise; `skip` is less than the length of part `whole`.
    unsafe {
        if skip > 0 || total > MAX_TRANSFER {
            let part = parts[whole];
            let data = part.iov_base.cast::<u8>().cast_const().add(skip);
            send(fd, data, (part.iov_len - skip).min(MAX_TRANSFER))
        } else {
            header.msg_iov = header.msg_iov.add(whole);
            header.msg_iovlen -= whole;
            transfer(|| libc::sendmsg(fd, &header, SEND_FLAGS))
        }
    }
}
