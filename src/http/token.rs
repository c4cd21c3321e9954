//! Tokens for header names the proxy itself handles or middlewares commonly touch.
//!
//! A token turns "which header is this?" into one byte compare. It is *not* a registry of every
//! header: unknown names are ordinary and carry their text in the head's arena.

macro_rules! tokens {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// A header name known at compile time.
        ///
        /// Comparisons are by value; the spelling is [`Token::name`]. The first few variants are the
        /// ones that describe the connection or the framing, see [`Token::is_connection_specific`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Token {
            $($(#[$doc])* #[doc = concat!("`", $name, "`")] $variant,)+
        }

        /// Every token, in declaration order: `ALL[token as usize] == token`.
        const ALL: &[Token] = &[$(Token::$variant,)+];
        /// The canonical spelling of every token, in declaration order.
        const NAMES: &[&str] = &[$($name,)+];
        /// The same with the separator that follows a name in a line.
        const LINE_STARTS: &[&str] = &[$(concat!($name, ": "),)+];
    };
}

tokens! {
    // Connection-specific: never copied through as a field, see `is_connection_specific`.
    Connection = "Connection",
    ContentLength = "Content-Length",
    Host = "Host",
    KeepAlive = "Keep-Alive",
    ProxyConnection = "Proxy-Connection",
    TransferEncoding = "Transfer-Encoding",
    Upgrade = "Upgrade",
    // Everything else, alphabetical.
    Accept = "Accept",
    AcceptCharset = "Accept-Charset",
    AcceptEncoding = "Accept-Encoding",
    AcceptLanguage = "Accept-Language",
    AcceptRanges = "Accept-Ranges",
    AccessControlAllowCredentials = "Access-Control-Allow-Credentials",
    AccessControlAllowHeaders = "Access-Control-Allow-Headers",
    AccessControlAllowMethods = "Access-Control-Allow-Methods",
    AccessControlAllowOrigin = "Access-Control-Allow-Origin",
    AccessControlExposeHeaders = "Access-Control-Expose-Headers",
    AccessControlMaxAge = "Access-Control-Max-Age",
    AccessControlRequestHeaders = "Access-Control-Request-Headers",
    AccessControlRequestMethod = "Access-Control-Request-Method",
    Age = "Age",
    Allow = "Allow",
    AltSvc = "Alt-Svc",
    Authorization = "Authorization",
    CacheControl = "Cache-Control",
    ContentDisposition = "Content-Disposition",
    ContentEncoding = "Content-Encoding",
    ContentLanguage = "Content-Language",
    ContentLocation = "Content-Location",
    ContentRange = "Content-Range",
    ContentSecurityPolicy = "Content-Security-Policy",
    ContentSecurityPolicyReportOnly = "Content-Security-Policy-Report-Only",
    ContentType = "Content-Type",
    Cookie = "Cookie",
    Date = "Date",
    Etag = "Etag",
    Expect = "Expect",
    Expires = "Expires",
    FeaturePolicy = "Feature-Policy",
    Forwarded = "Forwarded",
    From = "From",
    Http2Settings = "Http2-Settings",
    IdempotencyKey = "Idempotency-Key",
    XIdempotencyKey = "X-Idempotency-Key",
    IfMatch = "If-Match",
    IfModifiedSince = "If-Modified-Since",
    IfNoneMatch = "If-None-Match",
    IfRange = "If-Range",
    IfUnmodifiedSince = "If-Unmodified-Since",
    LastModified = "Last-Modified",
    Link = "Link",
    Location = "Location",
    MaxForwards = "Max-Forwards",
    Origin = "Origin",
    PermissionsPolicy = "Permissions-Policy",
    Pragma = "Pragma",
    Priority = "Priority",
    ProxyAuthenticate = "Proxy-Authenticate",
    ProxyAuthorization = "Proxy-Authorization",
    PublicKeyPins = "Public-Key-Pins",
    Range = "Range",
    Realm = "Realm",
    Referer = "Referer",
    ReferrerPolicy = "Referrer-Policy",
    RetryAfter = "Retry-After",
    SecWebsocketAccept = "Sec-Websocket-Accept",
    SecWebsocketExtensions = "Sec-Websocket-Extensions",
    SecWebsocketKey = "Sec-Websocket-Key",
    SecWebsocketProtocol = "Sec-Websocket-Protocol",
    SecWebsocketVersion = "Sec-Websocket-Version",
    Server = "Server",
    SetCookie = "Set-Cookie",
    StrictTransportSecurity = "Strict-Transport-Security",
    Te = "Te",
    Traceparent = "Traceparent",
    Tracestate = "Tracestate",
    Trailer = "Trailer",
    UpgradeInsecureRequests = "Upgrade-Insecure-Requests",
    UserAgent = "User-Agent",
    Vary = "Vary",
    Via = "Via",
    Warning = "Warning",
    WwwAuthenticate = "Www-Authenticate",
    XAuthUser = "X-Auth-User",
    XContentTypeOptions = "X-Content-Type-Options",
    XForwardedFor = "X-Forwarded-For",
    XForwardedHost = "X-Forwarded-Host",
    XForwardedMethod = "X-Forwarded-Method",
    XForwardedPort = "X-Forwarded-Port",
    XForwardedPrefix = "X-Forwarded-Prefix",
    XForwardedProto = "X-Forwarded-Proto",
    XForwardedServer = "X-Forwarded-Server",
    XForwardedTlsClientCert = "X-Forwarded-Tls-Client-Cert",
    XForwardedTlsClientCertInfo = "X-Forwarded-Tls-Client-Cert-Info",
    XForwardedUri = "X-Forwarded-Uri",
    XFrameOptions = "X-Frame-Options",
    XRealIp = "X-Real-Ip",
    XReplacedPath = "X-Replaced-Path",
    XRequestId = "X-Request-Id",
    XRequestedWith = "X-Requested-With",
    XRetryIn = "X-Retry-In",
    XTraefikRouter = "X-Traefik-Router",
    XXssProtection = "X-Xss-Protection",
}

/// Slots of the lookup table: a power of two about five times the number of tokens.
const SLOTS: usize = 512;
/// Marks a free slot; no token has this number (checked at compile time in [`build_table`]).
const FREE: u8 = u8::MAX;
static TABLE: [u8; SLOTS] = build_table();
/// The names in lower case, filled up with zeros.
static LOWER: [[u8; MAX_NAME]; NAMES.len()] = lower_names();
/// No token is longer.
const MAX_NAME: usize = longest_name();

impl Token {
    /// The tokens for which [`Token::is_forwarded`] holds.
    pub(crate) const FORWARDED: u128 = Token::XForwardedProto.bit()
        | Token::XForwardedFor.bit()
        | Token::XForwardedHost.bit()
        | Token::XForwardedPort.bit()
        | Token::XForwardedServer.bit()
        | Token::XForwardedUri.bit()
        | Token::XForwardedMethod.bit()
        | Token::XForwardedPrefix.bit()
        | Token::XForwardedTlsClientCert.bit()
        | Token::XForwardedTlsClientCertInfo.bit()
        | Token::XRealIp.bit();

    /// The token of a header name, compared without regard to case; `None` for other names.
    #[inline]
    pub fn lookup(name: &[u8]) -> Option<Token> {
        Token::lookup_spelled(name).map(|(token, _)| token)
    }

    /// As [`Token::lookup`], and whether `name` is spelled as [`Token::name`] is.
    #[inline]
    pub(crate) fn lookup_spelled(name: &[u8]) -> Option<(Token, bool)> {
        if name.is_empty() || name.len() > MAX_NAME {
            return None;
        }
        let mut slot = hash(name);
        loop {
            let number = TABLE[slot];
            // `get` ends the search at a free slot: FREE is beyond the last token.
            let known = NAMES.get(usize::from(number))?.as_bytes();
            // Nearly all names come in one of the two spellings that compare fast.
            let canonical = known == name;
            let lower = || {
                let lower = LOWER.get(usize::from(number))?;
                lower.get(..known.len())
            };
            if canonical || lower() == Some(name) || known.eq_ignore_ascii_case(name) {
                let token = ALL.get(usize::from(number)).copied()?;
                return Some((token, canonical));
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    /// The spelling on the wire: Go's canonical form (`Www-Authenticate`, `Etag`), which is what
    /// Traefik emits.
    #[inline]
    pub fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// The name and `": "`.
    #[inline]
    pub(crate) fn line_start(self) -> &'static str {
        LINE_STARTS[self as usize]
    }

    /// Whether the field describes the connection, the framing or the authority. The codec emits
    /// these from the head's own members and never copies them through (RFC 9110 §7.6.1).
    #[inline]
    pub fn is_connection_specific(self) -> bool {
        self as u8 <= Token::Upgrade as u8
    }

    /// Whether the field is one of the `X-` headers the proxy manages: stripped from untrusted
    /// clients, never removable by a `Connection` token (Traefik: `xHeaders`).
    #[inline]
    pub fn is_forwarded(self) -> bool {
        Token::FORWARDED & self.bit() != 0
    }

    /// A set of only this token.
    #[inline]
    pub(crate) const fn bit(self) -> u128 {
        1 << self as u8
    }

    pub(crate) fn from_number(number: u8) -> Option<Token> {
        ALL.get(usize::from(number)).copied()
    }
}

/// Length, first, middle and last letters tell the known names apart well; case is folded by
/// `| 0x20`, which maps no two token characters of known names onto each other.
const fn hash(name: &[u8]) -> usize {
    let len = name.len();
    let first = (name[0] | 0x20) as usize;
    let last = (name[len - 1] | 0x20) as usize;
    let middle = (name[len / 2] | 0x20) as usize;
    let third = (name[len * 3 / 4] | 0x20) as usize;
    (len * 37 + first * 5 + last * 83 + middle * 211 + third * 17) % SLOTS
}

const fn build_table() -> [u8; SLOTS] {
    // One bit of a `u128` for every token, and one to spare.
    assert!(NAMES.len() < 128 && NAMES.len() * 3 < SLOTS);
    let mut table = [FREE; SLOTS];
    let mut number = 0;
    while number < NAMES.len() {
        let mut slot = hash(NAMES[number].as_bytes());
        while table[slot] != FREE {
            slot = (slot + 1) % SLOTS;
        }
        table[slot] = number as u8;
        number += 1;
    }
    table
}

const fn lower_names() -> [[u8; MAX_NAME]; NAMES.len()] {
    let mut names = [[0; MAX_NAME]; NAMES.len()];
    let mut number = 0;
    while number < NAMES.len() {
        let name = NAMES[number].as_bytes();
        let mut at = 0;
        while at < name.len() {
            names[number][at] = name[at].to_ascii_lowercase();
            at += 1;
        }
        number += 1;
    }
    names
}

const fn longest_name() -> usize {
    let mut longest = 0;
    let mut number = 0;
    while number < NAMES.len() {
        if NAMES[number].len() > longest {
            longest = NAMES[number].len();
        }
        number += 1;
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::name::canonicalize;

    #[test]
    fn every_token_is_found_in_any_case() {
        for &token in ALL {
            let name = token.name();
            assert_eq!(Token::lookup(name.as_bytes()), Some(token));
            assert_eq!(Token::lookup(name.to_lowercase().as_bytes()), Some(token));
            assert_eq!(Token::lookup(name.to_uppercase().as_bytes()), Some(token));
            assert_eq!(Token::from_number(token as u8), Some(token));
        }
    }

    #[test]
    fn near_misses_and_other_names_are_unknown() {
        for name in [
            "",
            "X",
            "hostx",
            "X_Forwarded_For",
            "Content_Length",
            "\u{e9}",
        ] {
            assert_eq!(Token::lookup(name.as_bytes()), None, "{name}");
        }
        for &token in ALL {
            let mut longer = token.name().as_bytes().to_vec();
            longer.push(b'x');
            assert_eq!(Token::lookup(&longer), None);
        }
        assert_eq!(Token::lookup(&[b'a'; 300]), None);
    }

    #[test]
    fn spellings_are_canonical() {
        for &token in ALL {
            let mut name = token.name().as_bytes().to_vec();
            canonicalize(&mut name);
            assert_eq!(name, token.name().as_bytes());
        }
    }

    #[test]
    fn connection_specific_tokens_come_first() {
        for token in ALL {
            let expected = matches!(
                token.name(),
                "Connection"
                    | "Content-Length"
                    | "Host"
                    | "Keep-Alive"
                    | "Proxy-Connection"
                    | "Transfer-Encoding"
                    | "Upgrade"
            );
            assert_eq!(token.is_connection_specific(), expected, "{token:?}");
        }
    }
}
