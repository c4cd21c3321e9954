//! One thread's io_uring and its ring of provided receive buffers: the least that the bench binaries need.
//!
//! Not the proxy's reactor: no cancellation, no executor, one turn is one `io_uring_enter`.

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use io_uring::types::{BufRingEntry, Fd, SubmitArgs, Timespec};
use io_uring::{CompletionQueue, IoUring, SubmissionQueue, Submitter, cqueue, opcode, squeue};

/// A ring that lives as long as its thread.
pub struct Ring {
    submitter: Submitter<'static>,
    submissions: SubmissionQueue<'static>,
    completions: CompletionQueue<'static>,
}

impl Ring {
    /// Sets a ring up for this thread alone, with `entries` submissions and eight times as many completions.
    pub fn new(entries: u32) -> io::Result<Ring> {
        let ring: IoUring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .setup_clamp()
            .setup_cqsize(entries.saturating_mul(8))
            .build(entries)?;
        // Leaked so that one `Submitter` lives as long as the ring: it, not the ring, remembers the registered
        // descriptor.
        let (mut submitter, submissions, completions) = Box::leak(Box::new(ring)).split();
        submitter.register_ring_fd()?;
        Ok(Ring {
            submitter,
            submissions,
            completions,
        })
    }

    /// Queues an operation, submitting earlier ones if the queue is full.
    ///
    /// # Safety
    ///
    /// Whatever memory `entry` points to stays valid and untouched until its completion.
    pub unsafe fn push(&mut self, entry: squeue::Entry) -> io::Result<()> {
        // SAFETY: the caller vouches for the entry's memory.
        while unsafe { self.submissions.push(&entry) }.is_err() {
            self.submissions.sync();
            self.submitter.submit()?;
            self.submissions.sync();
        }
        Ok(())
    }

    /// Submits everything queued and waits for one completion, at most for `limit`.
    pub fn turn(&mut self, limit: Option<Duration>) -> io::Result<()> {
        self.submissions.sync();
        let result = match limit {
            None => self.submitter.submit_and_wait(1),
            Some(limit) => {
                let limit = Timespec::from(limit);
                let args = SubmitArgs::new().timespec(&limit);
                self.submitter.submit_with_args(1, &args)
            }
        };
        self.submissions.sync();
        self.completions.sync();
        match result {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// The next completion of the last turn.
    pub fn reap(&mut self) -> Option<cqueue::Entry> {
        self.completions.next()
    }

    /// Queues a multishot receive on `fd` from `buffers`.
    pub fn receive(&mut self, fd: i32, buffers: &Buffers, user_data: u64) -> io::Result<()> {
        let entry = opcode::RecvMulti::new(Fd(fd), buffers.group).build();
        // SAFETY: the entry points to no memory; its buffers belong to the registered ring, which is never unmapped.
        unsafe { self.push(entry.user_data(user_data)) }
    }

    /// Queues a multishot accept on a listening socket.
    pub fn accept(&mut self, fd: i32, user_data: u64) -> io::Result<()> {
        let entry = opcode::AcceptMulti::new(Fd(fd)).build();
        // SAFETY: the entry points to no memory.
        unsafe { self.push(entry.user_data(user_data)) }
    }

    /// Queues a send of all of `bytes` (the kernel retries short writes itself).
    ///
    /// # Safety
    ///
    /// `bytes` stays valid and unchanged until the completion.
    pub unsafe fn send(&mut self, fd: i32, bytes: &[u8], user_data: u64) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let entry = opcode::Send::new(Fd(fd), bytes.as_ptr(), length)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build();
        // SAFETY: the caller vouches for `bytes`.
        unsafe { self.push(entry.user_data(user_data)) }
    }
}

/// A buffer that the kernel filled and that the program holds until it gives it back.
#[must_use = "a buffer that is not given back is lost to the ring"]
pub struct Filled {
    id: u16,
    length: u32,
}

impl Filled {
    /// Number of bytes received.
    pub fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether nothing was received.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

/// Receive buffers that the kernel picks from when data arrives, so that idle connections hold none.
pub struct Buffers {
    ring: *mut BufRingEntry,
    memory: *mut u8,
    count: u16,
    size: u32,
    tail: u16,
    available: u16,
    group: u16,
}

impl Buffers {
    /// Registers `count` (a power of two, at most 32,768) buffers of `size` bytes as `group` of the ring.
    pub fn register(ring: &Ring, group: u16, count: u16, size: u32) -> io::Result<Buffers> {
        assert!(
            count.is_power_of_two() && count <= 1 << 15,
            "the kernel wants a power of two"
        );
        let entries = map(usize::from(count) * size_of::<BufRingEntry>())?.cast::<BufRingEntry>();
        let memory = map(usize::from(count) * size as usize)?;
        // SAFETY: the mapping is page-aligned, holds `count` entries and is never unmapped.
        unsafe {
            ring.submitter
                .register_buf_ring_with_flags(entries as u64, count, group, 0)?;
        }
        let mut buffers = Buffers {
            ring: entries,
            memory,
            count,
            size,
            tail: 0,
            available: 0,
            group,
        };
        for id in 0..count {
            buffers.give_back(Filled { id, length: 0 });
        }
        Ok(buffers)
    }

    /// The buffer that `completion` filled, if it did.
    pub fn take(&mut self, completion: &cqueue::Entry) -> Option<Filled> {
        let id = cqueue::buffer_select(completion.flags())?;
        let length = u32::try_from(completion.result()).unwrap_or(0);
        assert!(id < self.count && length <= self.size, "kernel contract");
        self.available -= 1;
        Some(Filled { id, length })
    }

    /// The received bytes.
    pub fn bytes(&self, filled: &Filled) -> &[u8] {
        let offset = usize::from(filled.id) * self.size as usize;
        // SAFETY: `Filled` is made only by `take`, which checked both bounds; while it exists the kernel does not
        // write to the buffer.
        unsafe { std::slice::from_raw_parts(self.memory.add(offset), filled.len()) }
    }

    /// Returns a buffer to the kernel.
    pub fn give_back(&mut self, filled: Filled) {
        let at = usize::from(self.tail & (self.count - 1));
        let offset = usize::from(filled.id) * self.size as usize;
        // SAFETY: `at` is below `count`, the number of entries mapped; the kernel reads an entry only once the tail
        // store below has made it visible.
        unsafe {
            let entry = &mut *self.ring.add(at);
            entry.set_addr(self.memory.add(offset) as u64);
            entry.set_len(self.size);
            entry.set_bid(filled.id);
        }
        self.tail = self.tail.wrapping_add(1);
        self.available += 1;
        // SAFETY: the tail lives in the ring's first entry, is 2-aligned, and is written by this thread alone.
        unsafe {
            let tail = BufRingEntry::tail(self.ring).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }

    /// How many buffers the kernel has.
    pub fn available(&self) -> usize {
        usize::from(self.available)
    }
}

/// Anonymous, zeroed, page-aligned memory that lives until the process ends.
fn map(length: usize) -> io::Result<*mut u8> {
    // SAFETY: a new private anonymous mapping aliases nothing.
    let address = unsafe {
        libc::mmap(
            ptr::null_mut(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
            -1,
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(address.cast())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn received_bytes_stay_intact_until_given_back_and_an_empty_ring_starves() {
        let mut ring = Ring::new(8).expect("ring");
        let mut buffers = Buffers::register(&ring, 0, 2, 16).expect("buffers");
        let (ours, mut theirs) = UnixStream::pair().expect("pair");
        theirs.write_all(&[7; 40]).expect("write");
        ring.receive(ours.as_raw_fd(), &buffers, 1).expect("queued");

        let mut held = Vec::new();
        let mut starved = false;
        while !starved {
            ring.turn(None).expect("turn");
            while let Some(completion) = ring.reap() {
                starved |= completion.result() == -libc::ENOBUFS;
                held.extend(buffers.take(&completion));
            }
        }
        assert_eq!((held.len(), buffers.available()), (2, 0));
        theirs.write_all(&[9; 8]).expect("write");
        assert!(held.iter().all(|filled| buffers.bytes(filled) == [7; 16]));

        held.into_iter()
            .for_each(|filled| buffers.give_back(filled));
        ring.receive(ours.as_raw_fd(), &buffers, 1).expect("queued");
        let mut rest = Vec::new();
        while rest.len() < 16 {
            ring.turn(None).expect("turn");
            while let Some(completion) = ring.reap() {
                if let Some(filled) = buffers.take(&completion) {
                    rest.extend_from_slice(buffers.bytes(&filled));
                    buffers.give_back(filled);
                }
            }
        }
        assert_eq!(rest, [[7; 8], [9; 8]].concat());
    }

    #[test]
    fn a_turn_ends_at_its_limit_when_nothing_happens() {
        let mut ring = Ring::new(8).expect("ring");
        ring.turn(Some(Duration::from_millis(1))).expect("turn");
        assert!(ring.reap().is_none());
    }
}
