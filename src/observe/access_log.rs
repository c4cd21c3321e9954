//! The access log as a shard sees it.

use super::record::AccessRecord;

/// Where a shard's records go.
#[derive(Default)]
pub struct RecordSink {}

impl RecordSink {
    /// No access log.
    pub fn off() -> Self {
        Self {}
    }

    /// Whether records are wanted at all.
    pub fn is_on(&self) -> bool {
        false
    }

    /// Formats a record into the shard's batch.
    pub fn write(&self, _record: &AccessRecord<'_>) {}
}
