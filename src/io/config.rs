//! The reactor's named limits and their defaults. Not for: anything that a user configures about
//! HTTP or TLS; the shard maps the static configuration to these numbers.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A provided-buffer group: how many receive buffers the ring holds ready and how large each is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferGroup {
    /// Buffers in the ring. Rounded up to a power of two, at most 32,768.
    pub count: u16,
    /// Bytes per buffer, rounded up to 4, 8, 16, 32 or 64 KiB. A few bytes of it hold the header.
    pub size: usize,
}

/// Which driver a reactor shall use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverChoice {
    /// io_uring if it passes its self-test, else epoll.
    #[default]
    Auto,
    /// io_uring or nothing.
    Uring,
    /// epoll.
    Epoll,
}

impl FromStr for DriverChoice {
    type Err = UnknownDriver;

    fn from_str(name: &str) -> Result<Self, UnknownDriver> {
        match name {
            "auto" => Ok(DriverChoice::Auto),
            "uring" => Ok(DriverChoice::Uring),
            "epoll" => Ok(DriverChoice::Epoll),
            _ => Err(UnknownDriver),
        }
    }
}

/// A name that no driver has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownDriver;

impl fmt::Display for UnknownDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such driver; there are auto, uring and epoll")
    }
}

impl std::error::Error for UnknownDriver {}

/// Sizes and limits of one [`Reactor`](super::Reactor). Everything that grows has its limit here.
#[derive(Clone, Debug)]
pub struct ReactorConfig {
    /// Which driver.
    pub driver: DriverChoice,
    /// Entries of the submission queue. Halved on ENOMEM, down to 64.
    pub submission_entries: u32,
    /// Entries of the completion queue (4 to 8 times the submission queue, since multishot
    /// operations complete many times).
    pub completion_entries: u32,
    /// Receive buffers of accepted connections.
    pub downstream_buffers: BufferGroup,
    /// Receive buffers of connected (upstream) connections.
    pub upstream_buffers: BufferGroup,
    /// Size in bytes of an owned buffer while a large body streams ([`Stream::bulk`](super::Stream::bulk)).
    pub bulk_buffer_size: usize,
    /// Upper bound in bytes of buffers in use; above it, receiving starves until chunks are dropped.
    /// Serialising ([`Handle::buffer`](super::Handle::buffer)) is never refused.
    pub receive_memory: usize,
    /// Bytes of unused buffers kept for reuse; above it they go back to the allocator.
    pub spare_memory: usize,
    /// Task polls after which a turn ends and the ring is reaped.
    pub turn_polls: u32,
    /// Wall-clock time after which a turn ends and the ring is reaped.
    pub turn_time: Duration,
    /// Bytes that may wait unread in one stream's inbox before receiving pauses.
    pub inbox_limit: usize,
    /// Bytes that may be queued on one stream before [`Stream::ready`](super::Stream::ready) waits.
    pub send_limit: usize,
    /// Longest wait for queued bytes to leave when closing gracefully.
    pub flush_timeout: Duration,
    /// Bytes of input discarded after the write side was shut down, before the connection closes.
    pub linger_bytes: usize,
    /// Longest time of that discarding.
    pub linger_time: Duration,
    /// Accepted connections that may wait for [`Handle::accept`](super::Handle::accept) before accepting pauses.
    pub accept_queue_limit: usize,
    /// First pause of a listener after EMFILE, ENFILE, ENOBUFS or ENOMEM; doubles with each failure.
    pub accept_backoff_min: Duration,
    /// Longest pause of a listener after such a failure.
    pub accept_backoff_max: Duration,
    /// Seed of [`Handle::random`](super::Handle::random); `None` takes one from the operating system.
    pub seed: Option<u64>,
}

impl Default for ReactorConfig {
    fn default() -> Self {
        ReactorConfig {
            driver: DriverChoice::Auto,
            submission_entries: 1024,
            completion_entries: 8192,
            // Each costs a page of memory once it is in a ring, and a turn takes some twenty completions.
            downstream_buffers: BufferGroup {
                count: 128,
                size: 4 << 10,
            },
            upstream_buffers: BufferGroup {
                count: 128,
                size: 8 << 10,
            },
            bulk_buffer_size: 64 << 10,
            receive_memory: 256 << 20,
            spare_memory: 8 << 20,
            turn_polls: 256,
            turn_time: Duration::from_millis(1),
            inbox_limit: 64 << 10,
            send_limit: 64 << 10,
            flush_timeout: Duration::from_secs(10),
            linger_bytes: 1 << 20,
            linger_time: Duration::from_secs(2),
            accept_queue_limit: 1024,
            accept_backoff_min: Duration::from_millis(10),
            accept_backoff_max: Duration::from_secs(1),
            seed: None,
        }
    }
}
