//! The small origin servers of `ringway demo`. Not for production, and not what benches measure.

use std::convert::Infallible;
use std::net::SocketAddr;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// An origin that answers every request with its name and what it received.
pub struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
}

impl Origin {
    /// Starts an origin on a free port, on a thread of its own that ends with the process.
    ///
    /// # Errors
    /// No port or no thread can be had.
    pub fn start(name: &'static str) -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name(format!("origin-{name}"))
            .spawn(move || {
                runtime.block_on(async move {
                    if let Ok(listener) = TcpListener::from_std(listener) {
                        serve(listener, name).await;
                    }
                });
            })?;
        Ok(Self { address })
    }
}

async fn serve(listener: TcpListener, name: &'static str) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        // A response's head and body are two writes: do not let the second wait.
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let service =
                service_fn(
                    move |request| async move { Ok::<_, Infallible>(answer(name, &request)) },
                );
            // A client that goes away is nothing to report in a demo.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn answer(name: &str, request: &hyper::Request<Incoming>) -> hyper::Response<Full<Bytes>> {
    let mut text = format!(
        "Hello from origin {name}\n{} {}\n",
        request.method(),
        request.uri()
    );
    for (field, value) in request.headers() {
        text.push_str(&format!(
            "{field}: {}\n",
            String::from_utf8_lossy(value.as_bytes())
        ));
    }
    let mut response = hyper::Response::new(Full::new(Bytes::from(text)));
    let plain = hyper::header::HeaderValue::from_static("text/plain; charset=utf-8");
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, plain);
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::http_get::{Endpoint, block_on, get};
    use super::*;

    #[test]
    fn an_origin_tells_its_name_and_what_it_received() {
        let origin = Origin::start("a").unwrap();
        let endpoint = Endpoint::parse(&origin.address.to_string()).unwrap();
        let answer = block_on(get(&endpoint, "/x?y=1", Duration::from_secs(5)))
            .unwrap()
            .unwrap();
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(
            text.starts_with("Hello from origin a\nGET /x?y=1\n"),
            "{text}"
        );
        assert!(
            text.contains(&format!("host: {}", origin.address)),
            "{text}"
        );
    }
}
