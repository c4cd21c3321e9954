//! `PUT /api/providers/rest`: the HTTP side of the provider `rest`, on a thread and a socket of its own.
//!
//! Reading and decoding a large configuration takes long, and must not hold up the API. Who may put anything in is
//! decided by the router that leads here. Answers are Traefik's, with the rejected objects added.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::body::ApiBody;
use super::routes::{response, text};
use super::server::PrivateServer;
use crate::provider::rest::RestProvider;

/// The path of all providers that can be put in.
const PATH: &str = "/api/providers/";

/// The running server. Dropping it ends its thread.
#[derive(Debug)]
pub struct RestServer(PrivateServer);

impl RestServer {
    /// Starts a server that gives this provider what is put in, bodies of at most `max_bytes`. It listens when this
    /// returns.
    ///
    /// # Errors
    /// The kernel gives no random bytes, no socket or no thread.
    pub fn start(provider: RestProvider, max_bytes: u64) -> io::Result<Self> {
        // Only the server's thread uses it.
        let provider = Arc::new(Mutex::new(provider));
        let handler = move |request| {
            let provider = Arc::clone(&provider);
            async move { Ok::<_, Infallible>(answer(&provider, max_bytes, request).await) }
        };
        PrivateServer::start("rest", handler).map(Self)
    }

    /// The name of the abstract Unix socket, without the leading zero byte. It takes connections of this process
    /// only.
    pub fn socket(&self) -> &[u8] {
        &self.0.socket
    }
}

async fn answer(
    provider: &Mutex<RestProvider>,
    max_bytes: u64,
    request: Request<Incoming>,
) -> Response<ApiBody> {
    let name = request.uri().path().strip_prefix(PATH).unwrap_or_default();
    if name.is_empty() || name.contains('/') {
        return text(StatusCode::NOT_FOUND, "404 page not found\n".to_owned());
    }
    if request.method() != Method::PUT {
        return response(StatusCode::METHOD_NOT_ALLOWED, ApiBody::Whole(Bytes::new()));
    }
    if name != "rest" {
        let message = "Only 'rest' provider can be updated through the REST API\n";
        return text(StatusCode::BAD_REQUEST, message.to_owned());
    }
    let limit = usize::try_from(max_bytes).unwrap_or(usize::MAX);
    let body = match Limited::new(request.into_body(), limit).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if is_too_large(&*error) => {
            return text(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!(
                    "The body has more than {max_bytes} bytes: raise providers.rest.maxRequestBodySize if that is right\n"
                ),
            );
        }
        Err(error) => {
            return text(
                StatusCode::BAD_REQUEST,
                format!("The body did not arrive whole: {error}\n"),
            );
        }
    };
    let mut provider = provider.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = match provider.put(&body) {
        Ok(taken) => taken,
        Err(refused) => return text(StatusCode::BAD_REQUEST, format!("{refused}\n")),
    };
    match serde_json::to_vec(&taken) {
        Ok(json) => {
            let mut response = response(StatusCode::OK, ApiBody::Whole(json.into()));
            response.headers_mut().insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/json; charset=UTF-8"),
            );
            response
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn is_too_large(error: &(dyn Error + 'static)) -> bool {
    error.is::<LengthLimitError>()
}
