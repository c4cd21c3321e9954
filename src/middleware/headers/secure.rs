//! Security fields and the check of the host (Traefik: `unrolled/secure`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha1::{Digest, Sha1};

use crate::config::dynamic::middleware as config;
use crate::http::{FieldName, Fields, RequestHead, Token};
use crate::middleware::{FieldError, FilterContext, LocalResponse};

/// Stands for a nonce in a content security policy.
const NONCE: &str = "$NONCE";

#[derive(Debug)]
pub(super) struct Secure {
    /// Empty: all.
    allowed_hosts: Box<[Box<[u8]>]>,
    hosts_proxy_headers: Box<[FieldName]>,
    ssl_proxy_headers: Box<[(FieldName, Box<[u8]>)]>,
    /// Sent on every response.
    always: Box<[(Token, Box<[u8]>)]>,
    /// Sent on responses to requests that came by TLS.
    over_tls: Box<[(Token, Box<[u8]>)]>,
    /// Policies with a nonce: the pieces around it.
    with_nonce: Box<[(Token, Pieces)]>,
}

/// Where the nonces of content security policies come from: a counter under a secret.
pub(in crate::middleware) struct Nonces {
    secret: Sha1,
    count: u64,
}

impl Secure {
    /// `None` if no security option is set.
    pub fn compile(config: &config::Headers) -> Result<Option<Secure>, FieldError> {
        if !is_set(config) {
            return Ok(None);
        }
        let parse =
            |field, name: &str| FieldName::parse(name).map_err(|e| FieldError::new(field, e));
        let mut ssl_proxy_headers = Vec::new();
        for (name, value) in &config.ssl_proxy_headers {
            ssl_proxy_headers.push((parse("sslProxyHeaders", name)?, value.as_bytes().into()));
        }
        let proxy_headers = config.hosts_proxy_headers.iter();
        let proxy_headers = proxy_headers.map(|name| parse("hostsProxyHeaders", name));
        // For a developer's own host and port the checks would be in the way.
        let strict = !config.is_development;
        let hosts = config.allowed_hosts.iter().filter(|_| strict);
        let (always, over_tls, with_nonce) = fields(config, strict);
        Ok(Some(Secure {
            allowed_hosts: hosts.map(|host| host.as_bytes().into()).collect(),
            hosts_proxy_headers: proxy_headers.collect::<Result<_, _>>()?,
            ssl_proxy_headers: ssl_proxy_headers.into(),
            always: always.into(),
            over_tls: over_tls.into(),
            with_nonce: with_nonce.into(),
        }))
    }

    /// The answer to a request for a host that is not allowed.
    pub fn refuse_host(
        &self,
        rq: &RequestHead,
        cx: &mut FilterContext<'_>,
    ) -> Option<LocalResponse> {
        if self.allowed_hosts.is_empty() {
            return None;
        }
        let mut named = self
            .hosts_proxy_headers
            .iter()
            .filter_map(|name| rq.fields.get_name(name));
        let host = named
            .find(|host| !host.is_empty())
            .or(rq.authority())
            .unwrap_or_default();
        if self
            .allowed_hosts
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(host))
        {
            return None;
        }
        Some(LocalResponse::error(500, &b"Bad Host\n"[..], cx.memory))
    }

    /// The fields of a response.
    pub fn response(&self, rq: &RequestHead, fields: &mut Fields, cx: &mut FilterContext<'_>) {
        for (token, value) in &self.always {
            fields.set(token, value);
        }
        if !self.over_tls.is_empty() && self.came_by_tls(rq, cx.secure) {
            for (token, value) in &self.over_tls {
                fields.set(token, value);
            }
        }
        if !self.with_nonce.is_empty() {
            let nonce = cx.memory.nonces.next();
            for (token, pieces) in &self.with_nonce {
                let buffer = &mut cx.memory.scratch.output;
                buffer.clear();
                for (index, piece) in pieces.iter().enumerate() {
                    if index > 0 {
                        buffer.extend_from_slice(b"'nonce-");
                        buffer.extend_from_slice(&nonce);
                        buffer.push(b'\'');
                    }
                    buffer.extend_from_slice(piece);
                }
                fields.set(token, buffer);
            }
        }
    }

    fn came_by_tls(&self, rq: &RequestHead, secure: bool) -> bool {
        secure
            || self
                .ssl_proxy_headers
                .iter()
                .any(|(name, value)| rq.fields.get_name(name).unwrap_or_default() == &**value)
    }
}

impl Nonces {
    pub fn new(secret: [u8; 32]) -> Nonces {
        Nonces {
            secret: Sha1::new().chain_update(b"nonce").chain_update(secret),
            count: 0,
        }
    }

    /// 16 bytes that cannot be guessed, in Base64.
    fn next(&mut self) -> [u8; 22] {
        self.count += 1;
        let digest = self
            .secret
            .clone()
            .chain_update(self.count.to_le_bytes())
            .finalize();
        let mut text = [b'A'; 22];
        // 16 bytes are exactly 22 letters: the buffer always suffices.
        let _ = STANDARD_NO_PAD.encode_slice(&digest[..16], &mut text);
        text
    }
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nonces")
    }
}

/// What Traefik still accepts and does not do.
pub(super) fn warnings(config: &config::Headers) -> Vec<String> {
    let is_true = |option: Option<bool>| option == Some(true);
    let is_text = |option: &Option<Box<str>>| option.as_ref().is_some_and(|text| !text.is_empty());
    [
        (
            is_true(config.ssl_redirect),
            "sslRedirect",
            "redirectScheme",
        ),
        (
            is_true(config.ssl_temporary_redirect),
            "sslTemporaryRedirect",
            "redirectScheme",
        ),
        (
            is_true(config.ssl_force_host),
            "sslForceHost",
            "redirectRegex",
        ),
        (is_text(&config.ssl_host), "sslHost", "redirectRegex"),
        (
            is_text(&config.feature_policy),
            "featurePolicy",
            "permissionsPolicy",
        ),
    ]
    .into_iter()
    .filter(|(set, ..)| *set)
    .map(|(_, field, instead)| {
        format!("headers.{field}: is deprecated and without effect, as in Traefik; use {instead}")
    })
    .collect()
}

type Values = Vec<(Token, Box<[u8]>)>;
type Policies = Vec<(Token, Pieces)>;
/// The text of a policy, cut at the nonces.
type Pieces = Box<[Box<[u8]>]>;

fn fields(config: &config::Headers, strict: bool) -> (Values, Values, Policies) {
    let (mut always, mut over_tls, mut with_nonce) =
        (Values::new(), Values::new(), Policies::new());
    let seconds = config.sts_seconds.unwrap_or(0);
    if seconds != 0 && strict {
        let sub_domains = if config.sts_include_subdomains {
            "; includeSubDomains"
        } else {
            ""
        };
        let preload = if config.sts_preload { "; preload" } else { "" };
        let value = format!("max-age={seconds}{sub_domains}{preload}")
            .into_bytes()
            .into();
        let list = if config.force_sts_header {
            &mut always
        } else {
            &mut over_tls
        };
        list.push((Token::StrictTransportSecurity, value));
    }
    if !config.public_key.is_empty() && strict {
        over_tls.push((Token::PublicKeyPins, config.public_key.as_bytes().into()));
    }
    let default = |set: bool, value: &'static str| if set { value } else { "" };
    let custom = |value: &'static str, custom: &str| {
        if custom.is_empty() {
            value.to_owned()
        } else {
            custom.to_owned()
        }
    };
    for (token, value) in [
        (
            Token::XFrameOptions,
            custom(
                default(config.frame_deny, "DENY"),
                &config.custom_frame_options_value,
            ),
        ),
        (
            Token::XContentTypeOptions,
            default(config.content_type_nosniff, "nosniff").to_owned(),
        ),
        (
            Token::XXssProtection,
            custom(
                default(config.browser_xss_filter, "1; mode=block"),
                &config.custom_browser_xss_value,
            ),
        ),
        (
            Token::ContentSecurityPolicy,
            config.content_security_policy.to_string(),
        ),
        (
            Token::ContentSecurityPolicyReportOnly,
            config.content_security_policy_report_only.to_string(),
        ),
        (Token::ReferrerPolicy, config.referrer_policy.to_string()),
        (
            Token::PermissionsPolicy,
            config.permissions_policy.to_string(),
        ),
    ] {
        let policy = matches!(
            token,
            Token::ContentSecurityPolicy | Token::ContentSecurityPolicyReportOnly
        );
        if policy && value.contains(NONCE) {
            with_nonce.push((
                token,
                value
                    .split(NONCE)
                    .map(|piece| piece.as_bytes().into())
                    .collect(),
            ));
        } else if !value.is_empty() {
            always.push((token, value.into_bytes().into()));
        }
    }
    (always, over_tls, with_nonce)
}

/// Traefik: `HasSecureHeadersDefined`.
fn is_set(config: &config::Headers) -> bool {
    let is_true = |option: Option<bool>| option == Some(true);
    let is_text = |option: &Option<Box<str>>| option.as_ref().is_some_and(|text| !text.is_empty());
    !config.allowed_hosts.is_empty()
        || !config.hosts_proxy_headers.is_empty()
        || is_true(config.ssl_redirect)
        || is_true(config.ssl_temporary_redirect)
        || is_true(config.ssl_force_host)
        || is_text(&config.ssl_host)
        || !config.ssl_proxy_headers.is_empty()
        || config.sts_seconds.is_some()
        || config.sts_include_subdomains
        || config.sts_preload
        || config.force_sts_header
        || config.frame_deny
        || !config.custom_frame_options_value.is_empty()
        || config.content_type_nosniff
        || config.browser_xss_filter
        || !config.custom_browser_xss_value.is_empty()
        || !config.content_security_policy.is_empty()
        || !config.content_security_policy_report_only.is_empty()
        || !config.public_key.is_empty()
        || !config.referrer_policy.is_empty()
        || is_text(&config.feature_policy)
        || !config.permissions_policy.is_empty()
        || config.is_development
}
