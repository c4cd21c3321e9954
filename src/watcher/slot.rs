//! What a provider has said since its last change left: one composed state, however many updates.

use std::time::Instant;

use super::{Entry, Objects, Payload, Position};

/// A provider's pending state.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pending: Taken,
    since: Option<Instant>,
}

/// The composed content of a slot.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// The newest position received.
    pub(super) position: Option<Position>,
    /// What the provider said, unless it only failed.
    pub(super) content: Option<Content>,
    /// Why the source's newest state could not be read, if it could not.
    pub(super) error: Option<String>,
}

/// Objects, and whether they are everything.
#[derive(Debug)]
pub(super) enum Content {
    /// Everything the provider has.
    Snapshot(Objects),
    /// What differs from the state in force.
    Patch(Objects),
}

impl Slot {
    /// Lays an update over what is pending.
    pub(super) fn compose(&mut self, position: Position, payload: Payload, now: Instant) {
        self.since.get_or_insert(now);
        self.pending.position = Some(position);
        self.pending.error = None;
        let patch = match payload {
            Payload::Failed(reason) => {
                self.pending.error = Some(reason);
                return;
            }
            Payload::Snapshot(objects) => {
                self.pending.content = Some(Content::Snapshot(objects));
                return;
            }
            Payload::Patch(patch) => patch,
        };
        match &mut self.pending.content {
            Some(Content::Snapshot(objects)) => overlay_snapshot(objects, patch),
            Some(Content::Patch(objects)) => objects.extend(patch),
            none => *none = Some(Content::Patch(patch)),
        }
    }

    /// The newest position pending.
    pub(super) fn position(&self) -> Option<&Position> {
        self.pending.position.as_ref()
    }

    /// Whether anything but failures is pending.
    pub(super) fn has_content(&self) -> bool {
        self.pending.content.is_some()
    }

    /// When the oldest pending update came; `None` if nothing is pending.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Empties the slot.
    pub(super) fn take(&mut self) -> Taken {
        self.since = None;
        std::mem::take(&mut self.pending)
    }
}

/// A snapshot with a patch on top is a snapshot: what the patch removes is simply not in it.
fn overlay_snapshot(snapshot: &mut Objects, patch: Objects) {
    for (key, entry) in patch {
        if matches!(entry, Entry::Absent) {
            snapshot.remove(&key);
        } else {
            snapshot.insert(key, entry);
        }
    }
}
