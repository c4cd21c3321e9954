//! Many transfers with one system call, through Linux's older asynchronous I/O (io_submit(2)). On sockets
//! it is not asynchronous: each transfer of the list is made at once, one behind the other, and not waited
//! for. Not for: disks; choosing what to transfer.
//!
//! It is worth it because entering the kernel costs more than an empty call shows: what runs after it runs
//! slower (`docs/drivers.md` has figures). Container runtimes' default profiles allow it, unlike io_uring.
//! Where it is missing or behaves otherwise, [`Batch::new`] gives `None`, and each transfer is a call of its
//! own.

use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::{mem, ptr};

use super::calls::BLOCKED;

/// Transfers of one batch.
pub(super) const MAX_BATCH: usize = 64;

/// The result of a transfer that was not tried.
pub(super) const NOT_TRIED: isize = isize::MIN;

// include/uapi/linux/aio_abi.h
const IOCB_CMD_PREAD: u16 = 0;
const IOCB_CMD_PWRITE: u16 = 1;
const IOCB_CMD_PWRITEV: u16 = 8;

/// `struct iocb`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Request {
    data: u64,
    // The order of these two depends on the byte order.
    #[cfg(target_endian = "little")]
    key: u32,
    flags: i32,
    #[cfg(target_endian = "big")]
    key: u32,
    opcode: u16,
    priority: i16,
    fd: u32,
    address: u64,
    len: u64,
    offset: i64,
    reserved: u64,
    extra_flags: u32,
    event: u32,
}

/// `struct io_event`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Event {
    data: u64,
    request: u64,
    result: i64,
    unused: i64,
}

/// See the module's text.
pub(super) struct Batch {
    /// `aio_context_t`.
    context: libc::c_ulong,
    requests: Box<[Request; MAX_BATCH]>,
    /// One for each request.
    pointers: Box<[*mut Request; MAX_BATCH]>,
    events: Box<[Event; MAX_BATCH]>,
    results: Box<[isize; MAX_BATCH]>,
    len: usize,
}

impl Batch {
    /// An empty one, if the kernel has this, allows it, and does what is expected of it.
    pub(super) fn new() -> Option<Batch> {
        // These sends cannot ask for no signal; Rust's programs ignore this one from their start.
        if !ignores_broken_pipes() {
            return None;
        }
        let mut context: libc::c_ulong = 0;
        // SAFETY: the call writes the context's name to where it is told.
        let result =
            unsafe { libc::syscall(libc::SYS_io_setup, MAX_BATCH as libc::c_uint, &mut context) };
        if result != 0 {
            return None;
        }
        let batch = Batch {
            context,
            requests: Box::new([Request::default(); MAX_BATCH]),
            pointers: Box::new([ptr::null_mut(); MAX_BATCH]),
            events: Box::new([Event::default(); MAX_BATCH]),
            results: Box::new([NOT_TRIED; MAX_BATCH]),
            len: 0,
        };
        batch.tested()
    }

    /// The batch, if a receive brings what is there and does not wait for what is not, and a send arrives.
    fn tested(self) -> Option<Batch> {
        let (mut here, there) = UnixStream::pair().ok()?;
        let (mut first, mut second) = ([0_u8; 4], [0_u8; 4]);
        // Behind the arrays: where a transfer has not ended, dropping the batch ends it before they go.
        let mut batch = self;
        here.write_all(b"ab").ok()?;
        // SAFETY: the arrays live until the batch has run, or is dropped.
        unsafe {
            batch.receive(there.as_raw_fd(), first.as_mut_ptr(), first.len());
            batch.receive(there.as_raw_fd(), second.as_mut_ptr(), second.len());
            batch.send(there.as_raw_fd(), b"c".as_ptr(), 1);
            batch.receive(here.as_raw_fd(), second.as_mut_ptr(), second.len());
        }
        let works = batch.try_run().ok()? == [2, BLOCKED, 1, 1]
            && first == *b"ab\0\0"
            && second == *b"c\0\0\0";
        works.then_some(batch)
    }

    /// Whether another transfer has no place.
    pub(super) fn is_full(&self) -> bool {
        self.len == MAX_BATCH
    }

    /// # Safety
    /// `data` is valid for writing `len` bytes until the batch has run.
    pub(super) unsafe fn receive(&mut self, fd: RawFd, data: *mut u8, len: usize) {
        self.add(fd, IOCB_CMD_PREAD, data as u64, len);
    }

    /// # Safety
    /// `data` is valid for reading `len` bytes until the batch has run.
    pub(super) unsafe fn send(&mut self, fd: RawFd, data: *const u8, len: usize) {
        self.add(fd, IOCB_CMD_PWRITE, data as u64, len);
    }

    /// # Safety
    /// The parts, and what they refer to, are valid for reading until the batch has run.
    pub(super) unsafe fn send_vectored(&mut self, fd: RawFd, parts: *const libc::iovec, n: usize) {
        self.add(fd, IOCB_CMD_PWRITEV, parts as u64, n);
    }

    fn add(&mut self, fd: RawFd, opcode: u16, address: u64, len: usize) {
        self.requests[self.len] = Request {
            data: self.len as u64,
            flags: libc::RWF_NOWAIT,
            opcode,
            fd: fd as u32,
            address,
            len: len as u64,
            ..Request::default()
        };
        self.results[self.len] = NOT_TRIED;
        self.len += 1;
    }

    /// Makes the transfers and forgets them. Their results, in order: bytes, a negated errno, or
    /// [`NOT_TRIED`].
    pub(super) fn run(&mut self) -> &[isize] {
        self.try_run().expect("as in the self-test")
    }

    fn try_run(&mut self) -> io::Result<&[isize]> {
        let len = mem::take(&mut self.len);
        for (pointer, request) in self.pointers.iter_mut().zip(self.requests.iter_mut()) {
            *pointer = request;
        }
        let list = self.pointers.as_mut_ptr();
        // SAFETY: the first `len` requests are complete, and what they refer to is valid, as who added
        // them has promised.
        let submitted =
            unsafe { libc::syscall(libc::SYS_io_submit, self.context, len as libc::c_long, list) };
        // The rest of a list that the kernel does not take whole is not tried.
        let mut left = usize::try_from(submitted).unwrap_or(0);
        while left > 0 {
            left -= self.collect(left)?;
        }
        Ok(&self.results[..len])
    }

    /// Takes the results of `left` transfers. Each has ended already, so that this does not wait; if one
    /// had not, its memory would still be in use, and waiting for it would be right.
    fn collect(&mut self, left: usize) -> io::Result<usize> {
        let count = left as libc::c_long;
        let events = self.events.as_mut_ptr();
        let forever = ptr::null_mut::<libc::timespec>();
        // SAFETY: there is room for as many events as are asked for: a batch's.
        let taken = unsafe {
            libc::syscall(
                libc::SYS_io_getevents,
                self.context,
                count,
                count,
                events,
                forever,
            )
        };
        let Ok(taken) = usize::try_from(taken) else {
            let error = io::Error::last_os_error();
            let interrupted = error.kind() == io::ErrorKind::Interrupted;
            return if interrupted { Ok(0) } else { Err(error) };
        };
        for event in &self.events[..taken] {
            self.results[event.data as usize] = event.result as isize;
        }
        Ok(taken)
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: the context is this batch's, and no transfer is under way.
        unsafe { libc::syscall(libc::SYS_io_destroy, self.context) };
    }
}

fn ignores_broken_pipes() -> bool {
    // SAFETY: all-zero is a valid `sigaction`, and the call only writes to it.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        libc::sigaction(libc::SIGPIPE, ptr::null(), &mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn batch() -> Batch {
        Batch::new().expect("this kernel has it and allows it")
    }

    #[test]
    fn transfers_are_made_in_order_and_none_waits() {
        let (mut here, there) = UnixStream::pair().expect("a pair");
        let (fd, mut bytes) = (there.as_raw_fd(), [[0_u8; 3]; 3]);
        here.write_all(b"abcd").expect("room");
        let mut batch = batch();
        let parts = [b"12", b"34"].map(|part| libc::iovec {
            iov_base: part.as_ptr().cast_mut().cast(),
            iov_len: part.len(),
        });
        for _ in 0..3 {
            // SAFETY: all of it lives until the batch has run, below.
            unsafe {
                for part in &mut bytes {
                    batch.receive(fd, part.as_mut_ptr(), part.len());
                }
                batch.send(fd, b"0".as_ptr(), 1);
                batch.send_vectored(fd, parts.as_ptr(), parts.len());
            }
            assert_eq!(batch.run(), [3, 1, BLOCKED, 1, 4]);
            assert_eq!(bytes, [*b"abc", *b"d\0\0", [0; 3]]);
            let mut sent = [0; 5];
            here.read_exact(&mut sent).expect("what was sent");
            assert_eq!(&sent, b"01234");
            here.write_all(b"abcd").expect("room");
        }
    }

    #[test]
    fn a_full_socket_takes_a_part_and_then_nothing() {
        let (here, there) = UnixStream::pair().expect("a pair");
        let (bytes, mut batch) = (vec![0; 1 << 22], batch());
        for _ in 0..2 {
            // SAFETY: the bytes live until the batch has run.
            unsafe { batch.send(here.as_raw_fd(), bytes.as_ptr(), bytes.len()) };
        }
        let results = batch.run();
        assert!((1..1 << 22).contains(&results[0]), "{results:?}");
        assert_eq!(results[1], BLOCKED);
        drop(there);
    }

    /// Without a signal, which would end this test's process.
    #[test]
    fn what_fails_has_its_error_and_the_others_are_made() {
        let (here, there) = UnixStream::pair().expect("a pair");
        let (other, _end) = UnixStream::pair().expect("a pair");
        drop(there);
        let mut batch = batch();
        let mut byte = 0_u8;
        // SAFETY: the bytes live until the batch has run.
        unsafe {
            batch.send(here.as_raw_fd(), b"x".as_ptr(), 1);
            batch.receive(here.as_raw_fd(), &mut byte, 1);
            batch.send(other.as_raw_fd(), b"x".as_ptr(), 1);
        }
        assert_eq!(batch.run(), [-(libc::EPIPE as isize), 0, 1]);
    }

    #[test]
    fn behind_what_the_kernel_does_not_take_nothing_is_tried() {
        let (here, there) = UnixStream::pair().expect("a pair");
        let mut batch = batch();
        // SAFETY: the bytes live until the batch has run.
        unsafe {
            batch.send(here.as_raw_fd(), b"x".as_ptr(), 1);
            batch.send(-1, b"x".as_ptr(), 1);
            batch.send(here.as_raw_fd(), b"y".as_ptr(), 1);
        }
        assert_eq!(batch.run(), [1, NOT_TRIED, NOT_TRIED]);
        let mut bytes = [0; 2];
        assert_eq!((&there).read(&mut bytes).expect("a byte"), 1);
        let mut none = 0_u8;
        // SAFETY: the byte lives until the batch has run.
        unsafe { batch.receive(there.as_raw_fd(), &mut none, 1) };
        assert_eq!(batch.run(), [BLOCKED], "the batch goes on");
    }

    #[test]
    fn a_full_batch_runs_whole() {
        let (here, mut there) = UnixStream::pair().expect("a pair");
        let bytes: Vec<u8> = (0..MAX_BATCH as u8).collect();
        let mut batch = batch();
        for byte in &bytes {
            assert!(!batch.is_full());
            // SAFETY: the bytes live until the batch has run.
            unsafe { batch.send(here.as_raw_fd(), byte, 1) };
        }
        assert!(batch.is_full());
        assert_eq!(batch.run(), [1; MAX_BATCH]);
        let mut received = vec![0; MAX_BATCH];
        there.read_exact(&mut received).expect("all of them");
        assert_eq!(received, bytes);
    }
}
