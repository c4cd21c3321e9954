//! The control thread.
pub mod broadcast;
pub mod listen;
pub mod log;
pub mod planning;
pub mod resolver;
