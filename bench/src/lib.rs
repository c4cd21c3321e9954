//! What the bench binaries share: the ring, HTTP/1.1 framing, a histogram, CPU clocks and arguments.
//!
//! This is measuring equipment, deliberately independent of the proxy's own `io` and `http` code, so that a defect
//! there cannot hide itself here. It is not a general HTTP client: it accepts just what an HTTP/1.1 proxy may send.

pub mod args;
pub mod counts;
pub mod cpu;
pub mod histogram;
pub mod http;
pub mod pattern;
pub mod request;
pub mod ring;
