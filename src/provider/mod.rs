//! x
pub mod file;
