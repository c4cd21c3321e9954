//! How tasks of a scenario wait for each other: a state that one changes and others wait to see changed.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

/// A value with those who wait for it.
#[derive(Default)]
pub struct Gate<T: Copy> {
    value: Cell<T>,
    waiting: RefCell<Vec<Waker>>,
}

impl<T: Copy> Gate<T> {
    /// The present value.
    pub fn get(&self) -> T {
        self.value.get()
    }

    /// Changes it.
    pub fn set(&self, value: T) {
        self.value.set(value);
        for waker in self.waiting.take() {
            waker.wake();
        }
    }

    /// Ready when the condition holds.
    pub fn poll(&self, cx: &mut Context<'_>, holds: impl Fn(T) -> bool) -> Poll<()> {
        if holds(self.get()) {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Waits until the condition holds.
    pub async fn until(&self, holds: impl Fn(T) -> bool) {
        poll_fn(|cx| self.poll(cx, &holds)).await;
    }
}
