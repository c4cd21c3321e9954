//! One request and its answer: TLS, fields, redirections, validators, limits.

use std::error::Error;
use std::fmt::Write;
use std::fs;

use reqwest::header::{ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};
use reqwest::redirect::Policy;
use reqwest::{Certificate, ClientBuilder, Identity, StatusCode, Url};

use super::HttpSettings;
use crate::config::secret::Secret;

/// What a server calls the state of a document.
pub(super) type ETag = HeaderValue;

/// Most redirections that are followed (Traefik: same).
const MAX_REDIRECTIONS: usize = 10;

/// How a server is verified, and what it is shown. Texts are files, or PEM itself.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Authorities; empty means the system's.
    pub ca: String,
    /// Own certificate; empty means none.
    pub cert: String,
    /// Its key.
    pub key: Secret<Box<str>>,
    /// Whether the server is not verified.
    pub insecure_skip_verify: bool,
}

/// An answer.
#[derive(Debug)]
pub(super) enum Fetched {
    /// The document has not changed.
    Same,
    /// The document.
    New { body: Vec<u8>, etag: Option<ETag> },
}

/// Asks one server.
#[derive(Debug)]
pub(super) struct Client {
    client: reqwest::Client,
    headers: HeaderMap,
    max_bytes: u64,
}

/// Checks what can be checked without reading files.
pub(super) fn check(settings: &HttpSettings) -> Result<(), String> {
    // As good as any alias.
    url(&settings.endpoint.replace("{alias}", "alias"))?;
    headers(settings).map(drop)
}

/// A URL that can be asked for.
pub(super) fn url(text: &str) -> Result<Url, String> {
    let wrong = |reason: &str| format!("providers.http.endpoint: {:?} {reason}", shown(text));
    let url = Url::parse(text).map_err(|error| wrong(&format!("is no URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("begins with neither http:// nor https://"));
    }
    Ok(url)
}

/// A URL without what may be secret: user, password and query.
pub(super) fn shown(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else {
        return url.to_owned();
    };
    // They fail for URLs that have no host, and then there is nothing to hide.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    if url.query().is_some() {
        url.set_query(Some("xxxx"));
    }
    url.to_string()
}

fn headers(settings: &HttpSettings) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let wrong = |what: &str| format!("providers.http.headers.{name}: {what}");
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| wrong("is not the name of a header field"))?;
        let mut value = HeaderValue::from_str(value.reveal())
            .map_err(|_| wrong("the value has characters that a header field cannot have"))?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

impl Client {
    /// Reads certificates and prepares requests.
    pub(super) fn new(settings: &HttpSettings) -> Result<Self, String> {
        crate::tls::cryptography::install();
        let url = url(&settings.endpoint.replace("{alias}", "alias"))?;
        let client = match builder(settings, &url)?.build() {
            // Without any authorities of the system, plain HTTP works still.
            Err(_) if url.scheme() == "http" && settings.tls.ca.is_empty() => {
                builder(settings, &url)?.tls_certs_only([]).build()
            }
            built => built,
        };
        Ok(Self {
            client: client.map_err(|error| format!("providers.http.tls: {}", told(&error)))?,
            headers: headers(settings)?,
            max_bytes: settings.max_bytes,
        })
    }

    /// Asks for a document, unless it still is the one with this tag.
    pub(super) async fn fetch(&self, text: &str, etag: Option<&ETag>) -> Result<Fetched, String> {
        let mut request = self.client.get(url(text)?).headers(self.headers.clone());
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let mut answer = request.send().await.map_err(|error| told(&error))?;
        let status = answer.status();
        if status == StatusCode::NOT_MODIFIED && etag.is_some() {
            return Ok(Fetched::Same);
        }
        if status != StatusCode::OK {
            return Err(format!("the answer is {status} where 200 OK is expected"));
        }
        let too_large = || {
            format!(
                "the body has more than {} bytes: raise providers.http.maxResponseBodySize if that is right",
                self.max_bytes
            )
        };
        let announced = answer.content_length();
        if announced.is_some_and(|bytes| bytes > self.max_bytes) {
            return Err(too_large());
        }
        let etag = answer.headers().get(ETAG).cloned();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| told(&error))? {
            if (body.len() + chunk.len()) as u64 > self.max_bytes {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Fetched::New { body, etag })
    }
}

fn builder(settings: &HttpSettings, url: &Url) -> Result<ClientBuilder, String> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("ringway/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::limited(MAX_REDIRECTIONS))
        // One connection is enough, and one that was idle for long may be dead.
        .pool_max_idle_per_host(1);
    if let Some(timeout) = settings.timeout {
        builder = builder.timeout(timeout);
    }
    // A proxy named by the environment is for servers elsewhere (Traefik: same).
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    if host == "localhost" || address.is_ok_and(|address| address.is_loopback()) {
        builder = builder.no_proxy();
    }
    let tls = &settings.tls;
    if !tls.ca.is_empty() {
        let pem = pem("ca", &tls.ca)?;
        let certificates = Certificate::from_pem_bundle(pem.as_bytes())
            .map_err(|error| format!("providers.http.tls.ca: {}", told(&error)))?;
        if certificates.is_empty() {
            return Err("providers.http.tls.ca: there is no certificate in it".to_owned());
        }
        builder = builder.tls_certs_only(certificates);
    }
    if !tls.cert.is_empty() {
        let both = format!(
            "{}\n{}",
            pem("key", tls.key.reveal())?,
            pem("cert", &tls.cert)?
        );
        let identity = Identity::from_pem(both.as_bytes()).map_err(|error| {
            format!(
                "providers.http.tls.cert, providers.http.tls.key: {}",
                told(&error)
            )
        })?;
        builder = builder.identity(identity);
    }
    if tls.insecure_skip_verify {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    Ok(builder)
}

/// The PEM text that an option is or names.
fn pem(option: &str, text: &str) -> Result<String, String> {
    if text.contains("-----BEGIN") {
        return Ok(text.to_owned());
    }
    fs::read_to_string(text).map_err(|error| {
        let file = if option == "key" && text.is_empty() {
            "(none given)"
        } else {
            text
        };
        format!("providers.http.tls.{option}: {file} cannot be read: {error}")
    })
}

/// An error with its causes; the URL is left to who tells it.
fn told(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no whole answer within providers.http.pollTimeout".to_owned();
    }
    let mut text = String::new();
    let mut cause: Option<&dyn Error> = error.source();
    if cause.is_none() {
        text = error.to_string();
    }
    while let Some(error) = cause {
        let separator = if text.is_empty() { "" } else { ": " };
        let _ = write!(text, "{separator}{error}");
        cause = error.source();
    }
    text
}
