//! A shard's reference to the snapshot in force.
//!
//! Exchanges clone the `Rc<View>` (no atomic operation) when they match, and resolve everything through
//! it: one request, one revision. The last clone sends the snapshot back to the control thread, so that
//! a large one is never dropped on a shard.

use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use crate::router::mailbox::ShardInbox;
use crate::router::snapshot::Snapshot;

/// A snapshot in use by this shard.
pub struct View {
    /// `None` only while dropping.
    snapshot: Option<Arc<Snapshot>>,
    back: Rc<SnapshotReturn>,
}

/// The way back to the control thread.
pub struct SnapshotReturn {
    inbox: Rc<ShardInbox>,
    /// Snapshots that found the way back full; tried again with the next ones.
    parked: RefCell<Vec<Arc<Snapshot>>>,
}

impl View {
    /// A view on `snapshot` that goes back through `back` when it is no longer used.
    pub fn new(snapshot: Arc<Snapshot>, back: Rc<SnapshotReturn>) -> Self {
        Self {
            snapshot: Some(snapshot),
            back,
        }
    }
}

impl SnapshotReturn {
    /// The way back through `inbox`.
    pub fn new(inbox: Rc<ShardInbox>) -> Rc<Self> {
        Rc::new(Self {
            inbox,
            parked: RefCell::default(),
        })
    }

    /// Sends `snapshot` back, and those that could not be sent before. Never drops one.
    fn give_back(&self, snapshot: Arc<Snapshot>) {
        let mut parked = self.parked.borrow_mut();
        parked.push(snapshot);
        while let Some(snapshot) = parked.pop() {
            if let Err(snapshot) = self.inbox.give_back(snapshot) {
                parked.push(snapshot);
                break;
            }
        }
    }
}

impl Deref for View {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        self.snapshot.as_deref().expect("present until dropped")
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if let Some(snapshot) = self.snapshot.take() {
            self.back.give_back(snapshot);
        }
    }
}
