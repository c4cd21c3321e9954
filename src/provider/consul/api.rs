//! One question to Consul's HTTP API and its answer.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, Identity, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;

use super::{ConsulSettings, Question};
use crate::config::dynamic::middleware::ClientTls;
use crate::provider::kv::store::{Failure, Revision, StoreError};
use crate::tls::material::pem;

/// How long the server may take to accept a connection, and to answer beyond the time that it holds a question.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// The largest answer that is read.
const MAX_ANSWER: usize = 256 << 20;

/// Asks one server; clones share connections.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
    base: Url,
    namespace: String,
    /// For messages: `consul at http://127.0.0.1:8500`.
    name: Arc<str>,
}

/// A state of a scope.
pub(crate) struct Answer {
    /// `X-Consul-Index`: a state of the whole store, and the last one that changed this scope.
    pub(crate) index: Revision,
    pub(crate) entries: Vec<Entry>,
}

/// One key.
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
    pub(crate) modify_index: u64,
}

/// One key as the API writes it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Written {
    key: String,
    value: Option<String>,
    modify_index: u64,
}

impl Api {
    pub(crate) fn new(settings: &ConsulSettings, endpoint: &str) -> Result<Self, StoreError> {
        crate::tls::cryptography::install();
        let base = base(endpoint, settings.tls.is_some())?;
        let refused = |text: String| StoreError::new(Failure::Refused, text);
        let mut headers = HeaderMap::new();
        let token = settings.token.reveal();
        if !token.is_empty() {
            let mut token = HeaderValue::from_str(token).map_err(|_| {
                refused("providers.consul.token: it has characters that no token has".into())
            })?;
            token.set_sensitive(true);
            headers.insert("X-Consul-Token", token);
        }
        let mut builder = Client::builder()
            .no_proxy()
            .connect_timeout(TIMEOUT)
            .default_headers(headers);
        builder = match &settings.tls {
            Some(tls) => with_tls(builder, tls)
                .map_err(|text| refused(format!("providers.consul.tls: {text}")))?,
            // Plain HTTP needs no authorities, and there may be none on this system.
            None if base.scheme() == "http" => builder.tls_certs_only([]),
            None => builder,
        };
        let client = builder
            .build()
            .map_err(|error| refused(format!("providers.consul.tls: {}", told(&error))))?;
        Ok(Self {
            client,
            name: format!("consul at {}", base.as_str().trim_end_matches('/')).into(),
            base,
            namespace: settings.namespace.to_string(),
        })
    }

    /// Asks whether the cluster has a leader: without, it answers nothing else.
    pub(crate) async fn leader(&self) -> Result<(), StoreError> {
        let mut url = self.base.clone();
        url.set_path("/v1/status/leader");
        let response = self.send(self.client.get(url).timeout(TIMEOUT)).await?;
        let response = self.accepted(response).await?;
        let leader = self.body(response).await?;
        if leader.trim_ascii() == b"\"\"" {
            let text = format!("{}: the cluster has no leader", self.name);
            return Err(StoreError::new(Failure::Unavailable, text));
        }
        Ok(())
    }

    /// The state of a scope: at once, or as soon as it is newer than a revision, at the latest after a time.
    pub(crate) async fn ask(
        &self,
        question: &Question,
        after: Option<(Revision, Duration)>,
    ) -> Result<Answer, StoreError> {
        let mut url = self.base.clone();
        url.set_path(&format!("/v1/kv/{}", escaped(&question.key)));
        {
            let mut query = url.query_pairs_mut();
            if question.recurse {
                query.append_pair("recurse", "true");
            }
            if !self.namespace.is_empty() {
                query.append_pair("ns", &self.namespace);
            }
            if let Some((revision, wait)) = after {
                // Zero would mean "do not wait".
                query.append_pair("index", &revision.0.max(1).to_string());
                query.append_pair("wait", &format!("{}ms", wait.as_millis()));
            }
        }
        // The server adds up to a sixteenth, so that not all clients come back at once.
        let wait = after.map_or(Duration::ZERO, |(_, wait)| wait + wait / 16);
        let response = self
            .send(self.client.get(url).timeout(TIMEOUT + wait))
            .await?;
        let index = response
            .headers()
            .get("X-Consul-Index")
            .and_then(|index| index.to_str().ok()?.parse().ok())
            .map(Revision);
        let unclear = |what: &str| {
            let text = format!("{}: the answer {what}; is it Consul's API?", self.name);
            StoreError::new(Failure::Unavailable, text)
        };
        if response.status() == StatusCode::NOT_FOUND && index.is_some() {
            return Ok(Answer {
                index: index.unwrap_or_default(),
                entries: Vec::new(),
            });
        }
        let response = self.accepted(response).await?;
        let index = index.ok_or_else(|| unclear("has no X-Consul-Index"))?;
        let body = self.body(response).await?;
        let written: Vec<Written> =
            serde_json::from_slice(&body).map_err(|error| unclear(&error.to_string()))?;
        let mut entries = Vec::with_capacity(written.len());
        for own in written {
            let value = STANDARD
                .decode(own.value.unwrap_or_default())
                .map_err(|_| {
                    unclear(&format!("has a value that is not base64, of {:?}", own.key))
                })?;
            entries.push(Entry {
                key: own.key,
                value,
                modify_index: own.modify_index,
            });
        }
        Ok(Answer { index, entries })
    }

    /// The newest state of the whole store, which Consul tells with a key that does not exist; zero if the token may
    /// not ask for it. Unlike a scope's index it never falls, unless the store is restored.
    pub(crate) async fn newest(&self, near: &Question) -> Revision {
        let nonexistent = Question {
            key: format!("{}.ringway-has-no-such-key", near.key),
            recurse: false,
        };
        let answer = self.ask(&nonexistent, None).await;
        answer.map_or(Revision::default(), |answer| answer.index)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, StoreError> {
        let sent = request.send().await;
        sent.map_err(|error| {
            let text = format!("{}: {}", self.name, told(&error));
            StoreError::new(Failure::Unavailable, text)
        })
    }

    async fn accepted(&self, response: Response) -> Result<Response, StoreError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.body(response).await.unwrap_or_default();
        let said = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        let (failure, advice) = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (
                Failure::Refused,
                "; check providers.consul.token: it needs key_prefix read (and list) on the root",
            ),
            status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                (Failure::Refused, "")
            }
            _ => (Failure::Unavailable, ""),
        };
        let text = format!("{}: {status}: {}{advice}", self.name, said.trim());
        Err(StoreError::new(failure, text))
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, StoreError> {
        let unavailable =
            |what: String| StoreError::new(Failure::Unavailable, format!("{}: {what}", self.name));
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| unavailable(told(&error)))?
        {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(unavailable(format!(
                    "the answer is over {MAX_ANSWER} bytes"
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn base(endpoint: &str, has_tls: bool) -> Result<Url, StoreError> {
    let text = match endpoint.split_once("://") {
        Some(_) => endpoint.to_owned(),
        None if has_tls => format!("https://{endpoint}"),
        None => format!("http://{endpoint}"),
    };
    let url = Url::parse(&text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.path() == "/"
    });
    url.ok_or_else(|| {
        let text = format!(
            "providers.consul.endpoints: {endpoint:?} is not host:port, http://host:port or https://host:port"
        );
        StoreError::new(Failure::Refused, text)
    })
}

fn with_tls(
    mut builder: reqwest::ClientBuilder,
    tls: &ClientTls,
) -> Result<reqwest::ClientBuilder, String> {
    let read = |option: &str, text: &str| pem(text).map_err(|error| format!("{option}: {error}"));
    if !tls.ca.is_empty() {
        let authorities = Certificate::from_pem_bundle(&read("ca", &tls.ca)?)
            .map_err(|error| format!("ca: {}", told(&error)))?;
        builder = builder.tls_certs_only(authorities);
    }
    let key = tls.key.reveal();
    match (tls.cert.is_empty(), key.is_empty()) {
        (true, true) => {}
        (false, false) => {
            let mut both = read("cert", &tls.cert)?;
            both.push(b'\n');
            both.extend(read("key", key)?);
            let identity =
                Identity::from_pem(&both).map_err(|error| format!("cert: {}", told(&error)))?;
            builder = builder.identity(identity);
        }
        _ => return Err("cert and key belong together, one is missing".into()),
    }
    Ok(builder.tls_danger_accept_invalid_certs(tls.insecure_skip_verify))
}

/// A key as a path: its slashes stay.
fn escaped(key: &str) -> String {
    let mut path = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                path.push(byte.into());
            }
            // A text takes everything.
            _ => drop(write!(path, "%{byte:02X}")),
        }
    }
    path
}

/// An error with its causes; the URL, which has no secret but is long, left out.
fn told(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() {
        "no answer in time".to_owned()
    } else if error.is_connect() {
        "no connection".to_owned()
    } else {
        "the request failed".to_owned()
    };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        // A text takes everything.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_may_do_without_a_scheme() {
        let text = |endpoint, tls| base(endpoint, tls).map(String::from).ok();
        assert_eq!(text("c:8500", false).as_deref(), Some("http://c:8500/"));
        assert_eq!(text("c:8501", true).as_deref(), Some("https://c:8501/"));
        assert_eq!(
            text("http://c:8500", true).as_deref(),
            Some("http://c:8500/")
        );
        assert_eq!(text("c:8500/v1", false), None);
        assert_eq!(text("unix:///run/consul", false), None);
    }

    #[test]
    fn keys_keep_their_slashes_and_nothing_else_that_means_something() {
        assert_eq!(escaped("t/a b?c#d%/é/"), "t/a%20b%3Fc%23d%25/%C3%A9/");
    }
}
