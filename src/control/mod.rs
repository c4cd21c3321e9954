//! x
pub mod listen;
pub mod log;
