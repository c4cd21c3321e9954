//! Futures of time: sleeping and giving up. For deadlines of a connection use
//! [`Stream::set_deadline`](super::Stream::set_deadline), which costs a store per request.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::core::{Core, remember};
use super::instant::Instant;
use super::reactor::Handle;
use super::slab::Key;
use super::timer::{Owner, TimerId};

/// An armed sleep.
pub(super) struct Sleeper {
    waker: Option<Waker>,
    /// Absent once it has fired.
    timer: Option<TimerId>,
}

impl Sleeper {
    pub(super) fn take_waker(&mut self) -> Option<Waker> {
        self.waker.take()
    }
}

impl Core {
    pub(super) fn on_sleep_over(&mut self, key: Key) {
        if let Some(sleeper) = self.sleepers.get_mut(key) {
            sleeper.timer = None;
            self.wakes.extend(sleeper.waker.take());
        }
    }
}

/// Completes at or up to 10 ms after its time, never before. Armed by its first poll; dropping it
/// disarms it.
pub struct Sleep {
    handle: Handle,
    at: Instant,
    key: Option<Key>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let core = &mut *this.handle.core();
        if core.now >= this.at {
            return Poll::Ready(());
        }
        let key = *this.key.get_or_insert_with(|| {
            core.sleepers.insert(Sleeper {
                waker: None,
                timer: None,
            })
        });
        let sleeper = core
            .sleepers
            .get_mut(key)
            .expect("the future owns its slot");
        if sleeper.timer.is_none() && this.at != Instant::NEVER {
            sleeper.timer = Some(core.wheel.insert(this.at, Owner::Sleep(key)));
        }
        // A replaced waker is dropped by the loop, outside of the borrow.
        let replaced = remember(&mut sleeper.waker, cx);
        core.wakes.extend(replaced);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let core = &mut *self.handle.core();
        if let Some(sleeper) = core.sleepers.remove(key) {
            if let Some(timer) = sleeper.timer {
                core.wheel.remove(timer);
            }
            core.wakes.extend(sleeper.waker);
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// The time was over before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline has passed")
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for std::io::Error {
    fn from(_: Elapsed) -> Self {
        std::io::ErrorKind::TimedOut.into()
    }
}

/// The future of [`Handle::timeout`].
#[derive(Debug)]
pub struct Timeout<F> {
    future: F,
    sleep: Sleep,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `future` is pinned whenever `self` is: it is never moved out, and `Timeout` has
        // no `Drop` of its own and is `Unpin` only if `F` is. `sleep` is `Unpin`.
        let (future, sleep) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut this.future), &mut this.sleep)
        };
        if let Poll::Ready(output) = future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(sleep).poll(cx).map(|()| Err(Elapsed))
    }
}

impl Handle {
    /// Waits until `at`, rounded up to the wheel's tick of 10 ms.
    pub fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep {
            handle: self.clone(),
            at,
            key: None,
        }
    }

    /// Waits for `time` from the present turn on, rounded up to the wheel's tick of 10 ms.
    pub fn sleep(&self, time: Duration) -> Sleep {
        self.sleep_until(self.now() + time)
    }

    /// Runs `future` until it is ready or `at` has passed; then it is dropped with the `Timeout`.
    pub fn timeout<F: Future>(&self, at: Instant, future: F) -> Timeout<F> {
        Timeout {
            future,
            sleep: self.sleep_until(at),
        }
    }
}
