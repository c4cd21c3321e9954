//! HTTP middlewares (Traefik: `http.middlewares.<name>`): one type each, with Traefik's fields and defaults.
//!
//! What the middlewares do is written beside their code; this is the configuration's vocabulary.

use super::http::EncodedCharacters;
use crate::config::decode::{Free, List, Map, Text};
use crate::config::duration::GoDuration;
use crate::config::secret::{Secret, without_credentials, without_password};

one_of! {
    /// What a request passes on its way to a service.
    pub enum HttpMiddleware: "middleware" {
        /// Puts a prefix before the path.
        AddPrefix(AddPrefix) = "addPrefix",
        /// Asks for a name and password.
        BasicAuth(BasicAuth) = "basicAuth",
        /// Holds bodies until they are complete.
        Buffering(Buffering) = "buffering",
        /// Other middlewares in order.
        Chain(Chain) = "chain",
        /// Stops asking a failing service for a while.
        CircuitBreaker(CircuitBreaker) = "circuitBreaker",
        /// Compresses responses.
        Compress(Compress) = "compress" [presence],
        /// Finds out missing content types.
        ContentType(ContentType) = "contentType" [presence],
        /// Asks for a digest of name and password.
        DigestAuth(DigestAuth) = "digestAuth",
        /// Refuses paths with certain encoded characters.
        EncodedCharacters(EncodedCharacters) = "encodedCharacters",
        /// Replaces error responses by those of another service.
        Errors(ErrorPage) = "errors",
        /// Asks another server whether a request may pass.
        ForwardAuth(ForwardAuth) = "forwardAuth",
        /// Turns gRPC-Web into gRPC.
        GrpcWeb(GrpcWeb) = "grpcWeb",
        /// Changes header fields; CORS and security fields.
        Headers(Headers) = "headers",
        /// Admits clients by address.
        IpAllowList(IpAllowList) = "ipAllowList",
        /// The old name of `ipAllowList`.
        IpWhiteList(IpWhiteList) = "ipWhiteList",
        /// Limits simultaneous requests.
        InFlightReq(InFlightReq) = "inFlightReq",
        /// Tells the server about the client's certificate.
        PassTlsClientCert(PassTlsClientCert) = "passTLSClientCert",
        /// Limits the rate of requests.
        RateLimit(RateLimit) = "rateLimit",
        /// Redirects by a regular expression over the URL.
        RedirectRegex(RedirectRegex) = "redirectRegex",
        /// Redirects to another scheme or port.
        RedirectScheme(RedirectScheme) = "redirectScheme",
        /// Replaces the path.
        ReplacePath(ReplacePath) = "replacePath",
        /// Replaces the path by a regular expression.
        ReplacePathRegex(ReplacePathRegex) = "replacePathRegex",
        /// Sends a failed request again.
        Retry(Retry) = "retry",
        /// Removes a prefix of the path.
        StripPrefix(StripPrefix) = "stripPrefix",
        /// Removes a prefix of the path by a regular expression.
        StripPrefixRegex(StripPrefixRegex) = "stripPrefixRegex",
        /// A plugin with its free configuration, by the plugin's name.
        Plugin(Map<Free>) = "plugin",
    }
}

schema! {
    /// Puts a prefix before the path.
    pub struct AddPrefix {
        /// The prefix, with its leading slash.
        pub prefix: Text = "prefix";
    }

    /// Asks for a name and password.
    pub struct BasicAuth {
        /// `name:hash` each; the hash is bcrypt, MD5-crypt or SHA-1.
        pub users: Secret<List<Text>> = "users";
        /// A file with one `name:hash` per line.
        pub users_file: Text = "usersFile";
        /// The realm; empty means `traefik`.
        pub realm: Text = "realm";
        /// Whether the server does not see the credentials.
        pub remove_header: bool = "removeHeader";
        /// The field that tells the server the name; empty means none.
        pub header_field: Text = "headerField";
    }

    /// Holds bodies until they are complete.
    pub struct Buffering {
        /// Largest request body in bytes; 0 means no limit.
        pub max_request_body_bytes: i64 = "maxRequestBodyBytes";
        /// Bytes of a request body in memory before it goes to disk; 0 means 1 MiB.
        pub mem_request_body_bytes: i64 = "memRequestBodyBytes";
        /// Largest response body in bytes; 0 means no limit.
        pub max_response_body_bytes: i64 = "maxResponseBodyBytes";
        /// Bytes of a response body in memory before it goes to disk; 0 means 1 MiB.
        pub mem_response_body_bytes: i64 = "memResponseBodyBytes";
        /// When a request is sent again; empty means never.
        pub retry_expression: Text = "retryExpression";
        /// Whether request bodies are streamed after all.
        pub disable_request_buffer: bool = "(disable request buffer)" [hidden];
        /// Whether response bodies are streamed after all.
        pub disable_response_buffer: bool = "(disable response buffer)" [hidden];
    }

    /// Other middlewares in order.
    pub struct Chain {
        /// Their names.
        pub middlewares: List<Text> = "middlewares";
    }

    /// Stops asking a failing service for a while.
    pub struct CircuitBreaker {
        /// When it trips.
        pub expression: Text = "expression";
        /// Time between two evaluations of the expression.
        pub check_period: GoDuration = "checkPeriod" [default GoDuration::from_millis(100)] [min 0];
        /// How long it stays tripped.
        pub fallback_duration: GoDuration = "fallbackDuration" [default GoDuration::from_secs(10)] [min 0];
        /// How long it lets a growing share of requests through afterwards.
        pub recovery_duration: GoDuration = "recoveryDuration" [default GoDuration::from_secs(10)] [min 0];
        /// Status of the answer while it is tripped.
        pub response_code: i64 = "responseCode" [default 503];
    }

    /// Compresses responses.
    pub struct Compress {
        /// Media types that are not compressed; excludes `includedContentTypes`.
        pub excluded_content_types: List<Text> = "excludedContentTypes";
        /// The only media types that are compressed.
        pub included_content_types: List<Text> = "includedContentTypes";
        /// Smallest body that is compressed, in bytes; 0 means 1024.
        pub min_response_body_bytes: i64 = "minResponseBodyBytes" [min 0];
        /// Encodings in the order of preference.
        pub encodings: List<Text> = "encodings" [default ["gzip".into(), "br".into(), "zstd".into()].into()];
        /// The encoding for requests without `Accept-Encoding`; empty means none.
        pub default_encoding: Text = "defaultEncoding";
    }

    /// Finds out missing content types.
    pub struct ContentType {
        /// Without effect; kept because old files have it.
        pub auto_detect: Option<bool> = "autoDetect";
    }

    /// Asks for a digest of name and password.
    pub struct DigestAuth {
        /// `name:realm:HA1` each.
        pub users: Secret<List<Text>> = "users";
        /// A file with one `name:realm:HA1` per line.
        pub users_file: Text = "usersFile";
        /// Whether the server does not see the credentials.
        pub remove_header: bool = "removeHeader";
        /// The realm; empty means `traefik`.
        pub realm: Text = "realm";
        /// The field that tells the server the name; empty means none.
        pub header_field: Text = "headerField";
    }

    /// Replaces error responses by those of another service.
    pub struct ErrorPage {
        /// Status codes and ranges such as `500-599`.
        pub status: List<Text> = "status";
        /// Status codes or ranges, and what the client sees instead.
        pub status_rewrites: Map<i64> = "statusRewrites";
        /// Name of the service with the pages.
        pub service: Text = "service";
        /// Path of the page; may contain `{status}`, `{originalStatus}`, `{url}`.
        pub query: Text = "query";
        /// Request fields that the page's service sees; empty means all.
        pub error_request_headers: List<Text> = "errorRequestHeaders";
    }

    /// Asks another server whether a request may pass.
    pub struct ForwardAuth {
        /// URL of that server.
        pub address: Text = "address" [shown without_password];
        /// TLS towards it.
        pub tls: Option<Box<ClientTls>> = "tls";
        /// Whether the client's `X-Forwarded-*` fields are believed.
        pub trust_forward_header: Option<bool> = "trustForwardHeader";
        /// Fields of its answer that are added to the request.
        pub auth_response_headers: List<Text> = "authResponseHeaders";
        /// The same by regular expression.
        pub auth_response_headers_regex: Text = "authResponseHeadersRegex";
        /// Fields of the request that it sees; empty means all.
        pub auth_request_headers: List<Text> = "authRequestHeaders";
        /// Largest body of its answer in bytes; absent means no limit.
        pub max_response_body_size: Option<i64> = "maxResponseBodySize";
        /// Cookies of its answer that are added to the response.
        pub add_auth_cookies_to_response: List<Text> = "addAuthCookiesToResponse";
        /// The field that names the user, for the access log.
        pub header_field: Text = "headerField";
        /// Whether it sees the request's body.
        pub forward_body: bool = "forwardBody";
        /// Largest request body that it may see, in bytes; -1 means no limit.
        pub max_body_size: i64 = "maxBodySize" [default -1] [always];
        /// Whether its `Location` is passed on as it is.
        pub preserve_location_header: bool = "preserveLocationHeader";
        /// Whether it is asked with the request's method instead of GET.
        pub preserve_request_method: bool = "preserveRequestMethod";
        /// Where clients without a session are sent.
        pub auth_signin_url: Text = "authSigninURL";
    }

    /// TLS as a client; each item is a file's path or PEM text.
    pub struct ClientTls {
        /// The authority.
        pub ca: Text = "ca";
        /// The client's certificate.
        pub cert: Text = "cert";
        /// Its key.
        pub key: Secret<Text> = "key";
        /// Whether the server's certificate is not verified.
        pub insecure_skip_verify: bool = "insecureSkipVerify";
        /// Without effect; kept because old files have it.
        pub ca_optional: Option<bool> = "caOptional";
    }

    /// Turns gRPC-Web into gRPC.
    pub struct GrpcWeb {
        /// Origins that may ask; `*` means all.
        pub allow_origins: List<Text> = "allowOrigins";
    }

    /// Changes header fields; CORS and security fields.
    pub struct Headers {
        /// Fields set on requests; an empty value removes the field.
        pub custom_request_headers: Map<Text> = "customRequestHeaders" [shown without_credentials];
        /// Fields set on responses; an empty value removes the field.
        pub custom_response_headers: Map<Text> = "customResponseHeaders" [shown without_credentials];
        /// CORS: whether credentials are allowed.
        pub access_control_allow_credentials: bool = "accessControlAllowCredentials";
        /// CORS: request fields that are allowed.
        pub access_control_allow_headers: List<Text> = "accessControlAllowHeaders";
        /// CORS: methods that are allowed.
        pub access_control_allow_methods: List<Text> = "accessControlAllowMethods";
        /// CORS: origins that are allowed.
        pub access_control_allow_origin_list: List<Text> = "accessControlAllowOriginList";
        /// CORS: origins that are allowed, by regular expression.
        pub access_control_allow_origin_list_regex: List<Text> = "accessControlAllowOriginListRegex";
        /// CORS: response fields that scripts may read.
        pub access_control_expose_headers: List<Text> = "accessControlExposeHeaders";
        /// CORS: how long an answer to a preflight is valid, in seconds.
        pub access_control_max_age: Option<i64> = "accessControlMaxAge";
        /// CORS: whether `Vary: Origin` is added.
        pub add_vary_header: bool = "addVaryHeader";
        /// Hosts that are allowed; empty means all.
        pub allowed_hosts: List<Text> = "allowedHosts";
        /// Fields that may hold the host's name besides `Host`.
        pub hosts_proxy_headers: List<Text> = "hostsProxyHeaders";
        /// Fields, with their values, that tell that a request came by TLS.
        pub ssl_proxy_headers: Map<Text> = "sslProxyHeaders";
        /// `max-age` of `Strict-Transport-Security`; 0 or absent means no field.
        pub sts_seconds: Option<i64> = "stsSeconds";
        /// Its `includeSubdomains`.
        pub sts_include_subdomains: bool = "stsIncludeSubdomains";
        /// Its `preload`.
        pub sts_preload: bool = "stsPreload";
        /// Whether it is sent on plain connections too.
        pub force_sts_header: bool = "forceSTSHeader";
        /// Whether `X-Frame-Options: DENY` is sent.
        pub frame_deny: bool = "frameDeny";
        /// `X-Frame-Options` with this value.
        pub custom_frame_options_value: Text = "customFrameOptionsValue";
        /// Whether `X-Content-Type-Options: nosniff` is sent.
        pub content_type_nosniff: bool = "contentTypeNosniff";
        /// Whether `X-XSS-Protection: 1; mode=block` is sent.
        pub browser_xss_filter: bool = "browserXssFilter";
        /// `X-XSS-Protection` with this value.
        pub custom_browser_xss_value: Text = "customBrowserXSSValue";
        /// `Content-Security-Policy` with this value.
        pub content_security_policy: Text = "contentSecurityPolicy";
        /// `Content-Security-Policy-Report-Only` with this value.
        pub content_security_policy_report_only: Text = "contentSecurityPolicyReportOnly";
        /// `Public-Key-Pins` with this value.
        pub public_key: Text = "publicKey";
        /// `Referrer-Policy` with this value.
        pub referrer_policy: Text = "referrerPolicy";
        /// `Permissions-Policy` with this value.
        pub permissions_policy: Text = "permissionsPolicy";
        /// Whether host checks, redirects and STS are off.
        pub is_development: bool = "isDevelopment";
        /// `Feature-Policy` with this value. Deprecated.
        pub feature_policy: Option<Text> = "featurePolicy";
        /// Redirect to TLS. Deprecated; use `redirectScheme`.
        pub ssl_redirect: Option<bool> = "sslRedirect";
        /// Redirect to TLS for now. Deprecated; use `redirectScheme`.
        pub ssl_temporary_redirect: Option<bool> = "sslTemporaryRedirect";
        /// Host of that redirect. Deprecated; use `redirectRegex`.
        pub ssl_host: Option<Text> = "sslHost";
        /// Whether other hosts are redirected. Deprecated; use `redirectRegex`.
        pub ssl_force_host: Option<bool> = "sslForceHost";
    }

    /// Which address a client has, behind other proxies.
    pub struct IpStrategy {
        /// Position in `X-Forwarded-For` from the right, from 1; 0 means the connection's address.
        pub depth: i64 = "depth" [min 0];
        /// Addresses and networks that are skipped from the right.
        pub excluded_ips: List<Text> = "excludedIPs";
        /// Length of the IPv6 network that counts as one client, 1 to 128.
        pub ipv6_subnet: Option<i64> = "ipv6Subnet";
    }

    /// Admits clients by address.
    pub struct IpAllowList {
        /// Addresses and networks that are admitted.
        pub source_range: List<Text> = "sourceRange";
        /// Which address a client has.
        pub ip_strategy: Option<Box<IpStrategy>> = "ipStrategy" [presence];
        /// Status of the refusal; 0 means 403.
        pub reject_status_code: i64 = "rejectStatusCode";
    }

    /// The old name of `ipAllowList`.
    pub struct IpWhiteList {
        /// Addresses and networks that are admitted.
        pub source_range: List<Text> = "sourceRange";
        /// Which address a client has.
        pub ip_strategy: Option<Box<IpStrategy>> = "ipStrategy" [presence];
    }

    /// Admits connections by address (`tcp.middlewares.<name>.ipAllowList`).
    pub struct SourceRange {
        /// Addresses and networks that are admitted.
        pub source_range: List<Text> = "sourceRange";
    }

    /// Limits simultaneous requests.
    pub struct InFlightReq {
        /// Requests per source.
        pub amount: i64 = "amount";
        /// What a source is; absent means the request's host.
        pub source_criterion: Option<Box<SourceCriterion>> = "sourceCriterion";
    }

    /// What counts as one source of requests: exactly one of the three.
    pub struct SourceCriterion {
        /// The client's address.
        pub ip_strategy: Option<Box<IpStrategy>> = "ipStrategy";
        /// The value of this field.
        pub request_header_name: Text = "requestHeaderName";
        /// The request's host.
        pub request_host: bool = "requestHost";
    }

    /// Tells the server about the client's certificate.
    pub struct PassTlsClientCert {
        /// Whether `X-Forwarded-Tls-Client-Cert` has the certificate.
        pub pem: bool = "pem";
        /// What `X-Forwarded-Tls-Client-Cert-Info` has.
        pub info: Option<Box<TlsClientCertInfo>> = "info";
    }

    /// What the server learns of the client's certificate.
    pub struct TlsClientCertInfo {
        /// End of validity.
        pub not_after: bool = "notAfter";
        /// Begin of validity.
        pub not_before: bool = "notBefore";
        /// Subject alternative names.
        pub sans: bool = "sans";
        /// Serial number.
        pub serial_number: bool = "serialNumber";
        /// Parts of the subject.
        pub subject: Option<Box<TlsClientCertSubject>> = "subject";
        /// Parts of the issuer.
        pub issuer: Option<Box<TlsClientCertIssuer>> = "issuer";
    }

    /// Parts of the subject's name.
    pub struct TlsClientCertSubject {
        /// `C`.
        pub country: bool = "country";
        /// `ST`.
        pub province: bool = "province";
        /// `L`.
        pub locality: bool = "locality";
        /// `O`.
        pub organization: bool = "organization";
        /// `OU`.
        pub organizational_unit: bool = "organizationalUnit";
        /// `CN`.
        pub common_name: bool = "commonName";
        /// `SN`.
        pub serial_number: bool = "serialNumber";
        /// `DC`.
        pub domain_component: bool = "domainComponent";
    }

    /// Parts of the issuer's name.
    pub struct TlsClientCertIssuer {
        /// `C`.
        pub country: bool = "country";
        /// `ST`.
        pub province: bool = "province";
        /// `L`.
        pub locality: bool = "locality";
        /// `O`.
        pub organization: bool = "organization";
        /// `CN`.
        pub common_name: bool = "commonName";
        /// `SN`.
        pub serial_number: bool = "serialNumber";
        /// `DC`.
        pub domain_component: bool = "domainComponent";
    }

    /// Limits the rate of requests.
    pub struct RateLimit {
        /// Requests per `period`; 0 means no limit.
        pub average: i64 = "average" [min 0];
        /// The span that `average` counts.
        pub period: GoDuration = "period" [default GoDuration::from_secs(1)] [min 0];
        /// Requests that may come at once.
        pub burst: i64 = "burst" [default 1] [min 0];
        /// What a source is; absent means the client's address.
        pub source_criterion: Option<Box<SourceCriterion>> = "sourceCriterion";
        /// Present: the counters are in Redis.
        pub redis: Option<Box<RateLimitRedis>> = "redis";
    }

    /// Where shared counters are.
    pub struct RateLimitRedis {
        /// `host:port` each.
        pub endpoints: List<Text> = "endpoints" [default ["localhost:6379".into()].into()];
        /// TLS towards it.
        pub tls: Option<Box<ClientTls>> = "tls";
        /// User's name.
        pub username: Secret<Text> = "username";
        /// Password.
        pub password: Secret<Text> = "password";
        /// Number of the database.
        pub db: i64 = "db";
        /// Connections; 0 means 10 per CPU.
        pub pool_size: i64 = "poolSize";
        /// Idle connections kept.
        pub min_idle_conns: i64 = "minIdleConns";
        /// Most connections; 0 means no limit.
        pub max_active_conns: i64 = "maxActiveConns";
        /// Deadline of reads.
        pub read_timeout: GoDuration = "readTimeout" [default GoDuration::from_secs(3)] [always];
        /// Deadline of writes.
        pub write_timeout: GoDuration = "writeTimeout" [default GoDuration::from_secs(3)] [always];
        /// Deadline to connect.
        pub dial_timeout: GoDuration = "dialTimeout" [default GoDuration::from_secs(5)] [always];
    }

    /// Redirects by a regular expression over the URL.
    pub struct RedirectRegex {
        /// The expression.
        pub regex: Text = "regex";
        /// The new URL with `$1`, `${name}`.
        pub replacement: Text = "replacement";
        /// Whether the redirect is permanent.
        pub permanent: bool = "permanent";
    }

    /// Redirects to another scheme or port.
    pub struct RedirectScheme {
        /// The new scheme.
        pub scheme: Text = "scheme";
        /// The new port; empty means the scheme's.
        pub port: Text = "port";
        /// Whether the redirect is permanent.
        pub permanent: bool = "permanent";
    }

    /// Replaces the path.
    pub struct ReplacePath {
        /// The new path.
        pub path: Text = "path";
    }

    /// Replaces the path by a regular expression.
    pub struct ReplacePathRegex {
        /// The expression.
        pub regex: Text = "regex";
        /// The new path with `$1`, `${name}`.
        pub replacement: Text = "replacement";
    }

    /// Sends a failed request again.
    pub struct Retry {
        /// How often a request is sent at most; at least 1.
        pub attempts: i64 = "attempts";
        /// How long all attempts may take; 0 means no limit.
        pub timeout: GoDuration = "timeout" [min 0];
        /// Pause before the second attempt, doubling; 0 means none.
        pub initial_interval: GoDuration = "initialInterval" [min 0];
        /// Largest request body that can be sent again, in bytes.
        pub max_request_body_bytes: i64 = "maxRequestBodyBytes" [default 2 * 1024 * 1024] [always];
        /// Status codes and ranges that are tried again.
        pub status: List<Text> = "status";
        /// Whether failed connections are not tried again.
        pub disable_retry_on_network_error: bool = "disableRetryOnNetworkError";
        /// Whether methods such as POST are tried again.
        pub retry_non_idempotent_method: bool = "retryNonIdempotentMethod";
    }

    /// Removes a prefix of the path.
    pub struct StripPrefix {
        /// The prefixes; the first that fits is removed.
        pub prefixes: List<Text> = "prefixes";
        /// Without effect; kept because old files have it.
        pub force_slash: Option<bool> = "forceSlash";
    }

    /// Removes a prefix of the path by a regular expression.
    pub struct StripPrefixRegex {
        /// The expressions.
        pub regex: List<Text> = "regex";
    }
}
