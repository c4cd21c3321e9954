//! The strict HTTP/1 codec (RFC 9112) on `httparse`.
//!
//! ```text
//! received bytes ─► HeadScanner ─► parse_request / parse_response ─► head
//!                └► BodyDecoder ─► ranges of data within the received bytes, trailers
//! head ─► write_request / write_response ─► Sink        chunk_header, LAST_CHUNK, write_trailers
//! ```
//!
//! What is ambiguous is refused: bare LF, obs-fold, space before a colon, `Content-Length` that is
//! repeated, a list, or beside `Transfer-Encoding`, codings other than exactly `chunked`. Nothing of a
//! head is forwarded as bytes that were not parsed.

mod body;
mod chunked;
mod framing;
mod request;
mod response;
mod scan;
mod write;

pub use body::{BodyDecoder, Step};
pub use chunked::{ChunkHeader, ChunkedDecoder, LAST_CHUNK, chunk_header, write_trailers};
pub use request::parse_request;
pub use response::parse_response;
pub use scan::{BareLf, HeadScanner};
pub use write::{ResponseOptions, write_request, write_response};
