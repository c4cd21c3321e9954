//! Second implementations, written from the specifications and as simple as can be: what the real ones are compared with.
//!
//! None of them shares code with Ringway; none is fast or incremental.

pub mod chunked;
pub mod head;
pub mod proxy_protocol;
