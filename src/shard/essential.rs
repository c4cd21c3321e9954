//! Tasks without which a shard is of no use: accepting, starting workers, publishing counters. A panic in a request's task
//! ends that request; a panic in one of these ends the shard, and so the process, for its supervisor to restart. A shard
//! that went on without them would look alive and serve nobody.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::io::{Handle, Notifier};

/// The essential tasks of one shard.
#[derive(Clone)]
pub(super) struct Essential {
    io: Handle,
    broken: Rc<Cell<Option<&'static str>>>,
}

impl Essential {
    pub(super) fn new(io: Handle) -> Self {
        Self {
            io,
            broken: Rc::default(),
        }
    }

    /// Runs `task` beside the others. `name` says in an error what it was for.
    pub(super) fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + 'static) {
        self.io.spawn(Watched {
            task: Box::pin(task),
            name,
            broken: self.broken.clone(),
            notifier: self.io.notifier(),
        });
    }

    /// Runs `main`, which must wait for notifications of the reactor, until it is ready.
    ///
    /// # Panics
    /// An essential task has panicked.
    pub(super) async fn with<T>(&self, main: impl Future<Output = T>) -> T {
        let mut main = pin!(main);
        poll_fn(|cx| {
            if let Some(name) = self.broken.get() {
                panic!("a shard cannot go on without {name}, which panicked before");
            }
            main.as_mut().poll(cx)
        })
        .await
    }
}

struct Watched {
    task: Pin<Box<dyn Future<Output = ()>>>,
    name: &'static str,
    broken: Rc<Cell<Option<&'static str>>>,
    notifier: Notifier,
}

impl Future for Watched {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // Set while the task runs, so that only a panic leaves it set.
        let before = this.broken.replace(Some(this.name));
        let report = Report(&this.notifier);
        let polled = this.task.as_mut().poll(cx);
        std::mem::forget(report);
        this.broken.set(before);
        polled
    }
}

/// Has the shard's main future look, if it is dropped: that is, if a panic passes by.
struct Report<'a>(&'a Notifier);

impl Drop for Report<'_> {
    fn drop(&mut self) {
        self.0.notify();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::io::{Reactor, ReactorConfig};

    fn run(task: impl Future<Output = ()> + 'static, turns: usize) -> Result<(), String> {
        let mut reactor = Reactor::new(&ReactorConfig::default()).unwrap();
        let io = reactor.handle();
        let essential = Essential::new(io.clone());
        essential.spawn("the task of a test", task);
        let main = async {
            for _ in 0..turns {
                io.notified().await;
            }
        };
        let run = AssertUnwindSafe(|| reactor.run_until(essential.with(main)));
        catch_unwind(run).map_err(|panic| *panic.downcast::<String>().unwrap())
    }

    #[test]
    fn a_panic_in_an_essential_task_ends_the_shard() {
        let error = run(async { panic!("in this test") }, usize::MAX).unwrap_err();
        assert!(error.contains("the task of a test"), "{error}");
    }

    #[test]
    fn an_essential_task_that_ends_in_order_ends_nothing() {
        run(async {}, 0).unwrap();
    }
}
