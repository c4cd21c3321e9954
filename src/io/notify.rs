//! Waking a shard from another thread: an eventfd that its ring reads, behind a flag so that only
//! the first of several notifications costs a system call. Not for: carrying messages; put them
//! into a queue of your own first, then notify.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Wakes the shard's task that waits in [`Handle::notified`](super::Handle::notified).
///
/// Notifications coalesce: any number of them before the shard looks is one. What a thread wrote
/// before it notified is visible to the shard afterwards.
#[derive(Clone)]
pub struct Notifier(Arc<Shared>);

struct Shared {
    /// A notification was signalled (or is being signalled) and not yet consumed.
    pending: AtomicBool,
    /// Absent in a simulated reactor, which looks at `pending` itself.
    event: Option<File>,
}

impl Notifier {
    /// With an eventfd, for a ring.
    pub(super) fn with_event() -> io::Result<Notifier> {
        // SAFETY: a plain system call; the result is checked before it is owned.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh descriptor that nothing else owns.
        let event = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        Ok(Notifier(Arc::new(Shared {
            pending: AtomicBool::new(false),
            event: Some(event),
        })))
    }

    /// Without an eventfd, for the simulator.
    pub(super) fn simulated() -> Notifier {
        Notifier(Arc::new(Shared {
            pending: AtomicBool::new(false),
            event: None,
        }))
    }

    /// Wakes the shard. Never blocks; no system call if a notification is already on its way.
    pub fn notify(&self) {
        if self.0.pending.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(mut event) = self.0.event.as_ref() {
            // Fails only if the counter is about to overflow, which `pending` rules out.
            let _ = event.write(&1u64.to_ne_bytes());
        }
    }

    /// The shard's side: takes the notification. To be called before looking at any queue.
    pub(super) fn consume(&self) -> bool {
        self.0.pending.swap(false, Ordering::AcqRel)
    }

    /// Whether a notification waits (cheap, for the simulator).
    pub(super) fn is_pending(&self) -> bool {
        self.0.pending.load(Ordering::Acquire)
    }

    /// The eventfd that the ring reads.
    pub(super) fn event(&self) -> Option<RawFd> {
        self.0.event.as_ref().map(AsRawFd::as_raw_fd)
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier")
            .field("pending", &self.is_pending())
            .finish()
    }
}
