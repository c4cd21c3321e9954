//! HTTP: message types shared by every protocol version, the strict HTTP/1 codec, and the rules a
//! proxy applies to heads (paths, forwarded fields, hop-by-hop fields, error answers).
//!
//! ```text
//! request   parse_request → underscores, fragment, sanitize_path, semicolons → forwarded::edge
//!             → routing, middlewares → hop::prepare_request, forwarded::proxy → write_request
//! response  parse_response → hop::prepare_response → middlewares → reframe → write_response
//! ```
//!
//! Nothing here does I/O, reads a clock or knows a route: bytes and heads in, bytes and heads out.

pub mod date;
pub mod encoded;
pub mod error;
pub mod fields;
pub mod forwarded;
pub mod h1;
pub mod hop;
pub mod limits;
pub mod message;
pub mod name;
pub mod path;
pub mod query;
pub mod request_head;
pub mod sink;
pub mod status;
pub mod token;
pub mod underscore;

pub use date::DateText;
pub use encoded::EncodedCharacters;
pub use error::{BodyStyle, Cause, ChunkError, ErrorAnswer, RequestError, ResponseError};
pub use fields::{FieldName, Fields, Named};
pub use forwarded::{ForwardedPolicy, Peer};
pub use limits::Limits;
pub use message::{
    BodyLength, Method, RequestHead, ResponseHead, TargetForm, Version, split_host_port,
};
pub use query::Semicolons;
pub use sink::Sink;
pub use token::Token;
pub use underscore::Underscores;
