//! x
pub mod source;
pub mod watch;
