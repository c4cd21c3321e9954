//! x
pub mod check;
pub mod findings;
pub mod http_get;
pub mod origin;
pub mod wait;
