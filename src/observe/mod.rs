//! What an operator sees of the traffic: the access log. Records are formatted on the shard that served
//! the request, in batches, and written by a thread of their own; a shard never waits for a disk.

pub mod access_log;
pub mod counters;
pub mod format;
pub mod record;
pub mod reloads;
