//! A shard's reference to the snapshot in force.
//!
//! Exchanges clone the `Rc<View>` (no atomic operation) when they match, and resolve everything through
//! it: one request, one revision. The last clone sends the snapshot back to the control thread, so that
//! a large one is never dropped on a shard.

use std::ops::Deref;
use std::sync::Arc;

use crate::router::{Snapshot, SnapshotReturn};

/// A snapshot in use by this shard.
pub struct View {
    /// `None` only while dropping.
    snapshot: Option<Arc<Snapshot>>,
    back: SnapshotReturn,
}

impl View {
    /// A view on `snapshot` that goes back through `back` when it is no longer used.
    pub fn new(snapshot: Arc<Snapshot>, back: SnapshotReturn) -> Self {
        Self {
            snapshot: Some(snapshot),
            back,
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
