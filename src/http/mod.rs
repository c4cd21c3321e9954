//! HTTP: message types shared by every protocol version, the strict HTTP/1 codec, and the rules a
//! proxy applies to heads (paths, forwarded fields, hop-by-hop fields, error answers).
//!
//! Nothing here does I/O, reads a clock or knows a route: bytes and heads in, bytes and heads out.

pub mod fields;
pub mod message;
pub mod path;
pub mod sink;
pub mod token;

pub use fields::{FieldName, Fields, Named};
pub use message::{
    BodyLength, Method, RequestHead, ResponseHead, TargetForm, Version, split_host_port,
};
pub use sink::Sink;
pub use token::Token;
