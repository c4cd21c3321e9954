//! A bounded queue between threads whose reader sleeps at once when there is nothing.
//!
//! The channels of std and crossbeam look again some ten times, giving up the processor in between, before they sleep:
//! good for streams, but a thread that waits minutes for a change pays for it with every change, and takes turns from
//! the shards that it shares a core with. Not for shards: it locks.
//!
//! The reader can [`hold`](Receiver::hold) the queue until what it made of the last items is in force, so that what comes
//! meanwhile is taken at once and not one by one.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The writing end. The queue ends with its last clone.
#[derive(Debug)]
pub struct Sender<T>(Arc<Shared<T>>);

/// The reading end.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    emptied: Condvar,
    most: usize,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    senders: usize,
    is_read: bool,
    /// Nothing is taken before this generation is in force or this time.
    held: Option<(u64, Instant)>,
}

/// A queue for at most `most` items.
pub fn bounded<T>(most: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            items: VecDeque::new(),
            senders: 1,
            is_read: true,
            held: None,
        }),
        filled: Condvar::new(),
        emptied: Condvar::new(),
        most,
    });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl<T> Shared<T> {
    /// Nothing that holds the lock can panic halfway, so what a poisoned one holds is whole.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Sender<T> {
    /// Appends an item, once there is room for it.
    ///
    /// # Errors
    /// The reader has gone; the item comes back.
    pub fn send(&self, item: T) -> Result<(), T> {
        let mut state = self.0.lock();
        while state.is_read && state.items.len() >= self.0.most {
            let waited = self.0.emptied.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        if !state.is_read {
            return Err(item);
        }
        let was_empty = state.items.is_empty();
        state.items.push_back(item);
        drop(state);
        if was_empty {
            // Otherwise the reader knows that there is something and comes as soon as it may.
            self.0.filled.notify_one();
        }
        Ok(())
    }
}

impl<T> Sender<T> {
    /// Lets the reader go on that holds the queue for this generation or an earlier one.
    pub fn release(&self, generation: u64) {
        let mut state = self.0.lock();
        if state.held.is_some_and(|(held, _)| held <= generation) {
            state.held = None;
            if !state.items.is_empty() {
                drop(state);
                self.0.filled.notify_one();
            }
        }
    }
}

impl<T> Receiver<T> {
    /// From now on nothing is taken until this generation is [`released`](Sender::release), but for `most` at the longest.
    pub fn hold(&self, generation: u64, most: Duration) {
        self.0.lock().held = Some((generation, Instant::now() + most));
    }

    /// Moves everything that is there to the end of `items`, as soon as there is something or `until` is reached; `None`
    /// waits without end. False once nothing is there and nothing can come any more.
    pub fn take(&self, until: Option<Instant>, items: &mut Vec<T>) -> bool {
        let mut state = self.0.lock();
        loop {
            let mut until = until;
            if !state.items.is_empty() {
                match state.held {
                    Some((_, end)) if end > Instant::now() => until = Some(end),
                    _ => break,
                }
            } else if state.senders == 0 {
                return false;
            }
            state = match until {
                None => {
                    let waited = self.0.filled.wait(state);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    let waited = self.0.filled.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        items.extend(state.items.drain(..));
        drop(state);
        self.0.emptied.notify_all();
        true
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.lock().senders -= 1;
        self.0.filled.notify_one();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.0.lock().is_read = false;
        self.0.emptied.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn taken<T>(receiver: &Receiver<T>) -> Option<Vec<T>> {
        let mut items = Vec::new();
        receiver.take(None, &mut items).then_some(items)
    }

    #[test]
    fn everything_that_has_come_is_taken_at_once_and_in_order() {
        let (sender, receiver) = bounded(8);
        for number in 0..5 {
            sender.clone().send(number).unwrap();
        }
        assert_eq!(taken(&receiver), Some(vec![0, 1, 2, 3, 4]));
        sender.send(5).unwrap();
        drop(sender);
        assert_eq!(taken(&receiver), Some(vec![5]), "what was sent is not lost");
        assert_eq!(taken(&receiver), None);
    }

    #[test]
    fn a_full_queue_holds_its_writer_until_it_is_read() {
        let (sender, receiver) = bounded(2);
        let writer = thread::spawn(move || {
            for number in 0..1000 {
                sender.send(number).unwrap();
            }
        });
        let mut all = Vec::new();
        while let Some(items) = taken(&receiver) {
            assert!(items.len() <= 2, "{} items at once", items.len());
            all.extend(items);
        }
        writer.join().unwrap();
        assert!(all.into_iter().eq(0..1000));
    }

    #[test]
    fn a_wait_ends_at_its_time() {
        let (sender, receiver) = bounded::<()>(1);
        let until = Instant::now() + Duration::from_millis(20);
        let mut items = Vec::new();
        assert!(receiver.take(Some(until), &mut items));
        assert!(items.is_empty() && Instant::now() >= until);
        drop(sender);
    }

    #[test]
    fn what_comes_while_the_queue_is_held_is_taken_at_once() {
        let (sender, receiver) = bounded(8);
        receiver.hold(7, Duration::from_secs(60));
        let reader = thread::spawn(move || taken(&receiver));
        sender.send(1).unwrap();
        sender.release(6);
        sender.send(2).unwrap();
        sender.release(8);
        assert_eq!(reader.join().unwrap(), Some(vec![1, 2]));
    }

    #[test]
    fn a_hold_ends_at_its_time() {
        let (sender, receiver) = bounded(8);
        receiver.hold(7, Duration::from_millis(5));
        sender.send(1).unwrap();
        assert_eq!(taken(&receiver), Some(vec![1]));
    }

    #[test]
    fn whoever_writes_learns_that_nobody_reads() {
        let (sender, receiver) = bounded(1);
        sender.send(1).unwrap();
        let waiting = thread::spawn(move || sender.send(2));
        drop(receiver);
        assert_eq!(waiting.join().unwrap(), Err(2));
    }
}
