//! A GET request over clear text, for commands that ask a running proxy. Not a general client.

use std::fmt;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Largest answer that is read.
const MAX_BODY_BYTES: usize = 64 << 20;

/// Where to ask: the parts of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `host:port`.
    pub authority: String,
    /// Path before every request's own, without a trailing slash.
    pub base: String,
}

impl Endpoint {
    /// Parses `http://host[:port][/base]` or `host:port`.
    ///
    /// # Errors
    /// A text that says what is expected.
    pub fn parse(url: &str) -> Result<Self, String> {
        let rest = match url.split_once("://") {
            Some(("http", rest)) => rest,
            Some((scheme, _)) => {
                return Err(format!(
                    "{url:?}: the scheme {scheme:?} is not supported here; use http://host:port"
                ));
            }
            None => url,
        };
        let (authority, base) = rest
            .split_once('/')
            .map_or((rest, ""), |(host, base)| (host, base));
        if authority.is_empty() || authority.contains(char::is_whitespace) {
            return Err(format!("{url:?} names no host; expected http://host:port"));
        }
        let has_port = authority
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port {
            authority.to_owned()
        } else {
            format!("{authority}:80")
        };
        let base = base.trim_end_matches('/');
        let base = if base.is_empty() {
            String::new()
        } else {
            format!("/{base}")
        };
        Ok(Self { authority, base })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.base)
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The whole body.
    pub body: Bytes,
}

/// Asks for `path` (with query) and reads the whole answer.
///
/// # Errors
/// A text that says what failed and what to check.
pub async fn get(endpoint: &Endpoint, path: &str, timeout: Duration) -> Result<Answer, String> {
    let url = format!("{endpoint}{path}");
    match tokio::time::timeout(timeout, exchange(endpoint, path)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(reason)) => Err(format!("{url}: {reason}")),
        Err(_) => Err(format!("{url}: no answer within {timeout:?}")),
    }
}

async fn exchange(endpoint: &Endpoint, path: &str) -> Result<Answer, String> {
    let stream = TcpStream::connect(&endpoint.authority)
        .await
        .map_err(|error| {
            format!("cannot connect: {error}; is the proxy running, and is its API enabled there?")
        })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get(format!("{}{path}", endpoint.base))
        .header(hyper::header::HOST, &endpoint.authority)
        .header(hyper::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), MAX_BODY_BYTES)
        .collect()
        .await;
    connection.abort();
    Ok(Answer {
        status,
        body: body.map_err(|error| error.to_string())?.to_bytes(),
    })
}

/// One parameter of a query, percent-encoded.
pub fn form(name: &str, value: &str) -> String {
    let mut text = format!("{name}=");
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// Runs a command's asynchronous part on a runtime of its own.
///
/// # Errors
/// The runtime cannot be created.
pub fn block_on<T>(future: impl Future<Output = T>) -> Result<T, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map(|runtime| runtime.block_on(future))
        .map_err(|error| format!("cannot start: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_parsed_with_and_without_their_parts() {
        let parse = |url| Endpoint::parse(url).map(|endpoint| endpoint.to_string());
        assert_eq!(
            parse("http://127.0.0.1:8080").as_deref(),
            Ok("http://127.0.0.1:8080")
        );
        assert_eq!(parse("proxy:8080/").as_deref(), Ok("http://proxy:8080"));
        assert_eq!(
            parse("http://proxy/base/").as_deref(),
            Ok("http://proxy:80/base")
        );
        assert_eq!(parse("http://[::1]").as_deref(), Ok("http://[::1]:80"));
        assert!(
            parse("https://proxy")
                .unwrap_err()
                .contains("not supported")
        );
        assert!(parse("http:///x").is_err());
    }

    #[test]
    fn a_refused_connection_says_what_to_check() {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let endpoint = Endpoint::parse(&format!("127.0.0.1:{port}")).unwrap();
        let error = block_on(get(&endpoint, "/x", Duration::from_secs(5)))
            .unwrap()
            .unwrap_err();
        assert!(
            error.contains("cannot connect") && error.contains("/x"),
            "{error}"
        );
    }

    #[test]
    fn parameters_are_percent_encoded() {
        assert_eq!(
            form("url", "http://a/?x=1&y"),
            "url=http%3A%2F%2Fa%2F%3Fx%3D1%26y"
        );
    }
}
