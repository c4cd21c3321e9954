//! What happens to requests and responses between the router and the service.
//!
//! ```text
//! config ──compile──► Middleware (immutable, shared)
//!                        ├─ filters: request() in order, response() in reverse order; synchronous
//!                        └─ arounds: settings and decisions of retry, errors, buffering; the exchange drives them
//! ```
//!
//! A filter sees one exchange through heads and a [`FilterContext`]. After warm-up it allocates
//! nothing; it takes no lock, reads no clock and does no I/O. What would take too long comes back as
//! [`Verdict::Verify`].
//!
//! Chains are not here: whoever compiles a router puts the members of a chain in its place.

pub mod auth;
pub mod client_ip;
pub mod predicate;
pub mod status_ranges;

mod add_prefix;
mod basic_auth;
mod buffering;
mod encoded_characters;
mod errors;
mod headers;
mod ip_allow_list;
mod local;
mod location;
mod path_edit;
mod redirect;
mod redirect_regex;
mod redirect_scheme;
mod replace_path;
mod replace_path_regex;
mod retry;
mod rewrite;
mod strip_prefix;
mod strip_prefix_regex;
mod template;

use std::fmt;
use std::net::IpAddr;

pub use add_prefix::AddPrefix;
pub use auth::AuthCache;
pub use basic_auth::BasicAuth;
pub use buffering::Buffering;
pub use encoded_characters::EncodedCharacters;
pub use errors::Errors;
pub use headers::Headers;
pub use ip_allow_list::IpAllowList;
pub use local::LocalResponse;
pub use path_edit::PathMarks;
pub use redirect_regex::RedirectRegex;
pub use redirect_scheme::RedirectScheme;
pub use replace_path::ReplacePath;
pub use replace_path_regex::ReplacePathRegex;
pub use retry::{Failure, Retry};
pub use strip_prefix::StripPrefix;
pub use strip_prefix_regex::StripPrefixRegex;

use crate::config::dynamic::middleware::{HttpMiddleware, IpAllowList as IpAllowListConfig};
use crate::http::{Fields, RequestHead, ResponseHead};
use crate::rules::RegexCaches;

/// A compiled middleware.
#[derive(Debug)]
pub enum Middleware {
    /// `addPrefix`
    AddPrefix(AddPrefix),
    /// `stripPrefix`
    StripPrefix(StripPrefix),
    /// `stripPrefixRegex`
    StripPrefixRegex(StripPrefixRegex),
    /// `replacePath`
    ReplacePath(ReplacePath),
    /// `replacePathRegex`
    ReplacePathRegex(ReplacePathRegex),
    /// `redirectScheme`
    RedirectScheme(RedirectScheme),
    /// `redirectRegex`
    RedirectRegex(RedirectRegex),
    /// `headers`
    Headers(Box<Headers>),
    /// `ipAllowList` and `ipWhiteList`
    IpAllowList(IpAllowList),
    /// `basicAuth`
    BasicAuth(BasicAuth),
    /// `encodedCharacters`
    EncodedCharacters(EncodedCharacters),
    /// `contentType`: nothing is ever sniffed, so there is nothing to do.
    ContentType,
    /// `retry` (around)
    Retry(Retry),
    /// `errors` (around)
    Errors(Errors),
    /// `buffering` (around)
    Buffering(Buffering),
}

/// What a filter lets happen to a request.
#[derive(Debug)]
#[must_use]
pub enum Verdict {
    /// The request goes on.
    Continue,
    /// It ends here. Filters before this one see the response, this one and later ones do not.
    Respond(LocalResponse),
    /// Run the job off the shard, [`AuthCache::remember`] its answer, then ask this filter again.
    Verify(auth::Job),
}

/// What a filter may see and use besides the heads.
pub struct FilterContext<'a> {
    /// The peer of the connection (after the PROXY protocol).
    pub client_ip: IpAddr,
    /// Whether the connection is TLS.
    pub secure: bool,
    /// The shard's memory for regular expressions.
    pub regex: &'a mut RegexCaches,
    /// The shard's memory for filters.
    pub memory: &'a mut FilterMemory,
    /// What the filters of this exchange have done to the path so far; starts as the default and
    /// lives as long as the exchange.
    pub path: &'a mut PathMarks,
    /// The name a client gave to authenticate itself, right or wrong, for the access log (Traefik:
    /// `ClientUsername`); starts empty.
    pub username: &'a mut String,
}

/// A shard's memory for filters, reused from request to request.
#[derive(Debug)]
pub struct FilterMemory {
    /// Checked passwords.
    pub auth: AuthCache,
    /// Fields for the next local response, see [`LocalResponse`].
    spare: Fields,
    scratch: rewrite::Scratch,
    nonces: headers::Nonces,
}

/// Why a middleware could not be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompileError {
    /// A field holds what it must not.
    Field {
        /// Traefik's name of the middleware's type.
        type_name: &'static str,
        /// The field, with dots inside objects.
        field: &'static str,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A type that Ringway does not have yet.
    Unsupported {
        /// Traefik's name of the type.
        type_name: &'static str,
    },
    /// A chain: its members are to be compiled in its place.
    Chain,
}

/// Compiles a middleware. `read_file` gives the text of a file that the configuration names
/// (`usersFile`).
///
/// # Errors
///
/// The first field that makes the middleware unusable, or that its type is not supported.
pub fn compile(
    config: &HttpMiddleware,
    read_file: &mut dyn FnMut(&str) -> std::io::Result<String>,
) -> Result<Middleware, CompileError> {
    let result = match config {
        HttpMiddleware::AddPrefix(config) => AddPrefix::compile(config).map(Middleware::AddPrefix),
        HttpMiddleware::StripPrefix(config) => {
            StripPrefix::compile(config).map(Middleware::StripPrefix)
        }
        HttpMiddleware::StripPrefixRegex(config) => {
            StripPrefixRegex::compile(config).map(Middleware::StripPrefixRegex)
        }
        HttpMiddleware::ReplacePath(config) => {
            ReplacePath::compile(config).map(Middleware::ReplacePath)
        }
        HttpMiddleware::ReplacePathRegex(config) => {
            ReplacePathRegex::compile(config).map(Middleware::ReplacePathRegex)
        }
        HttpMiddleware::RedirectScheme(config) => {
            RedirectScheme::compile(config).map(Middleware::RedirectScheme)
        }
        HttpMiddleware::RedirectRegex(config) => {
            RedirectRegex::compile(config).map(Middleware::RedirectRegex)
        }
        HttpMiddleware::Headers(config) => {
            Headers::compile(config).map(|headers| Middleware::Headers(Box::new(headers)))
        }
        HttpMiddleware::IpAllowList(config) => {
            IpAllowList::compile(config).map(Middleware::IpAllowList)
        }
        HttpMiddleware::IpWhiteList(config) => IpAllowList::compile(&IpAllowListConfig {
            source_range: config.source_range.clone(),
            ip_strategy: config.ip_strategy.clone(),
            reject_status_code: 0,
        })
        .map(Middleware::IpAllowList),
        HttpMiddleware::BasicAuth(config) => {
            BasicAuth::compile(config, read_file).map(Middleware::BasicAuth)
        }
        HttpMiddleware::EncodedCharacters(config) => Ok(Middleware::EncodedCharacters(
            EncodedCharacters::compile(config),
        )),
        HttpMiddleware::ContentType(_) => Ok(Middleware::ContentType),
        HttpMiddleware::Retry(config) => Retry::compile(config).map(Middleware::Retry),
        HttpMiddleware::Errors(config) => Errors::compile(config).map(Middleware::Errors),
        HttpMiddleware::Buffering(config) => Buffering::compile(config).map(Middleware::Buffering),
        HttpMiddleware::Chain(_) => return Err(CompileError::Chain),
        HttpMiddleware::CircuitBreaker(_)
        | HttpMiddleware::Compress(_)
        | HttpMiddleware::DigestAuth(_)
        | HttpMiddleware::ForwardAuth(_)
        | HttpMiddleware::GrpcWeb(_)
        | HttpMiddleware::InFlightReq(_)
        | HttpMiddleware::PassTlsClientCert(_)
        | HttpMiddleware::RateLimit(_)
        | HttpMiddleware::Plugin(_) => {
            return Err(CompileError::Unsupported {
                type_name: config.type_name(),
            });
        }
    };
    result.map_err(|error| CompileError::Field {
        type_name: config.type_name(),
        field: error.field,
        reason: error.reason,
    })
}

impl Middleware {
    /// Whether the exchange drives it around the service; `request` and `response` then do nothing.
    pub fn is_around(&self) -> bool {
        matches!(
            self,
            Middleware::Retry(_) | Middleware::Errors(_) | Middleware::Buffering(_)
        )
    }

    /// The request half of a filter.
    #[inline]
    pub fn request(&self, rq: &mut RequestHead, cx: &mut FilterContext<'_>) -> Verdict {
        match self {
            Middleware::AddPrefix(filter) => filter.request(rq, cx),
            Middleware::StripPrefix(filter) => filter.request(rq, cx),
            Middleware::StripPrefixRegex(filter) => filter.request(rq, cx),
            Middleware::ReplacePath(filter) => filter.request(rq, cx),
            Middleware::ReplacePathRegex(filter) => filter.request(rq, cx),
            Middleware::RedirectScheme(filter) => filter.request(rq, cx),
            Middleware::RedirectRegex(filter) => filter.request(rq, cx),
            Middleware::Headers(filter) => filter.request(rq, cx),
            Middleware::IpAllowList(filter) => filter.request(rq, cx),
            Middleware::BasicAuth(filter) => filter.request(rq, cx),
            Middleware::EncodedCharacters(filter) => filter.request(rq, cx),
            Middleware::ContentType
            | Middleware::Retry(_)
            | Middleware::Errors(_)
            | Middleware::Buffering(_) => Verdict::Continue,
        }
    }

    /// The response half of a filter; interim (1xx) responses do not pass it.
    #[inline]
    pub fn response(&self, rq: &RequestHead, rs: &mut ResponseHead, cx: &mut FilterContext<'_>) {
        if let Middleware::Headers(filter) = self {
            filter.response(rq, rs, cx);
        }
    }

    /// Traefik's name of the type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Middleware::AddPrefix(_) => "addPrefix",
            Middleware::StripPrefix(_) => "stripPrefix",
            Middleware::StripPrefixRegex(_) => "stripPrefixRegex",
            Middleware::ReplacePath(_) => "replacePath",
            Middleware::ReplacePathRegex(_) => "replacePathRegex",
            Middleware::RedirectScheme(_) => "redirectScheme",
            Middleware::RedirectRegex(_) => "redirectRegex",
            Middleware::Headers(_) => "headers",
            Middleware::IpAllowList(_) => "ipAllowList",
            Middleware::BasicAuth(_) => "basicAuth",
            Middleware::EncodedCharacters(_) => "encodedCharacters",
            Middleware::ContentType => "contentType",
            Middleware::Retry(_) => "retry",
            Middleware::Errors(_) => "errors",
            Middleware::Buffering(_) => "buffering",
        }
    }

    /// What is accepted but will not do what its author may expect.
    pub fn warnings(&self) -> Vec<String> {
        match self {
            Middleware::BasicAuth(filter) => filter.warnings(),
            Middleware::Headers(filter) => filter.warnings(),
            _ => Vec::new(),
        }
    }
}

impl FilterMemory {
    /// Empty memory; `secret` is random, per shard or per process, and stays in the process.
    pub fn new(secret: [u8; 32]) -> FilterMemory {
        FilterMemory {
            auth: AuthCache::new(secret),
            spare: Fields::new(),
            scratch: rewrite::Scratch::default(),
            nonces: headers::Nonces::new(secret),
        }
    }
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompileError::Field {
                type_name,
                field: "",
                reason,
            } => write!(f, "{type_name}: {reason}"),
            CompileError::Field {
                type_name,
                field,
                reason,
            } => write!(f, "{type_name}.{field}: {reason}"),
            CompileError::Unsupported { type_name } => {
                write!(
                    f,
                    "{type_name}: this type of middleware is not supported yet; remove it from the routers that use it"
                )
            }
            CompileError::Chain => f.write_str("chain: a chain has no form of its own"),
        }
    }
}

impl std::error::Error for CompileError {}

/// A [`CompileError::Field`] before the type's name is added.
#[derive(Debug)]
struct FieldError {
    field: &'static str,
    reason: String,
}

impl FieldError {
    fn new(field: &'static str, reason: impl fmt::Display) -> FieldError {
        FieldError {
            field,
            reason: reason.to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
