//! x
pub mod http_get;
pub mod origin;
pub mod wait;
