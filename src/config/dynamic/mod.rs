//! Traefik's dynamic configuration: the objects that say how requests are routed.
//!
//! [`decode`] turns a source's tree into one result per object, so that a bad object never hides a good one, and
//! reuses the objects of the previous reading whose content did not change. [`Decoded::read_again`] reads an edited text
//! at the cost of what was edited.

mod again;
mod decoder;
pub mod http;
pub mod middleware;
mod objects;
pub mod tcp;
pub mod tls;
pub mod udp;

pub use again::Reading;
pub use decoder::{certificate_name, decode, decode_certificate, decode_object, decode_text};
pub use http::{HttpModel, HttpRouter, HttpServersTransport, HttpService, HttpServiceKind};
pub use middleware::HttpMiddleware;
pub use objects::{Declared, Decoded, Kind, Object, ObjectKey};
pub use tcp::{TcpMiddleware, TcpModel, TcpRouter, TcpServersTransport, TcpService};
pub use tls::{TlsCertificate, TlsOptions, TlsStore};
pub use udp::{UdpRouter, UdpService};

#[cfg(test)]
mod tests;
