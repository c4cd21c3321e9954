//! The API's thread, and the private sockets that such threads serve.

use std::convert::Infallible;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net as unix;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, oneshot};

use super::body::ApiBody;
use super::routes::Answers;
use super::state::{ApiState, random_hex};
use crate::config::statics::Api;

/// Connections that are served at once; more wait to be accepted.
pub const MAX_CONNECTIONS: usize = 256;

/// Pause after an accept that failed, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What of the static configuration the API follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiSettings {
    /// Path before the API's own paths (Traefik: `api.basePath`).
    pub base_path: Box<str>,
    /// Whether the dashboard is served (Traefik: `api.dashboard`).
    pub dashboard: bool,
    /// Whether `/debug/` is served (Traefik: `api.debug`).
    pub debug: bool,
}

impl From<&Api> for ApiSettings {
    fn from(api: &Api) -> Self {
        Self {
            base_path: api.base_path.clone(),
            dashboard: api.dashboard,
            debug: api.debug,
        }
    }
}

/// The running API. Dropping it ends its thread.
#[derive(Debug)]
pub struct ApiServer(PrivateServer);

impl ApiServer {
    /// Starts the API on a thread of its own. It listens when this returns.
    ///
    /// # Errors
    /// The kernel gives no random bytes, no socket or no thread.
    pub fn start(settings: ApiSettings, state: Arc<ApiState>) -> io::Result<Self> {
        let answers = Arc::new(Answers::new(state, settings));
        let handler = move |request| {
            let answers = Arc::clone(&answers);
            async move { answers.answer(request).await }
        };
        PrivateServer::start("api", handler).map(Self)
    }

    /// The name of the abstract Unix socket, without the leading zero byte. It takes connections of this process
    /// only.
    pub fn socket(&self) -> &[u8] {
        &self.0.socket
    }
}

/// An HTTP server on a socket that only this process can use, with a thread of its own. Dropping it ends the thread.
#[derive(Debug)]
pub(super) struct PrivateServer {
    /// The name of the abstract Unix socket, without the leading zero byte.
    pub(super) socket: Box<[u8]>,
    /// Dropped to end the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl PrivateServer {
    /// Starts a server whose thread has this name. It listens when this returns.
    pub(super) fn start<H, F>(name: &str, handler: H) -> io::Result<Self>
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Response<ApiBody>, Infallible>> + Send + 'static,
    {
        let socket = format!("ringway-{name}-{}-{}", std::process::id(), random_hex()?);
        let socket: Box<[u8]> = socket.into_bytes().into();
        let address = unix::SocketAddr::from_abstract_name(&socket)?;
        let listener = unix::UnixListener::bind_addr(&address)?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = {
            let _context = runtime.enter();
            UnixListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    tokio::select! {
                        // Nothing is ever sent: the sender's end is the message.
                        _ = stopped => {}
                        () = serve(listener, handler) => {}
                    }
                });
            })?;
        Ok(Self {
            socket,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic was reported by the thread itself.
            let _ = thread.join();
        }
    }
}

async fn serve<H, F>(listener: UnixListener, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<ApiBody>, Infallible>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut has_warned = false;
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("The API cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if !is_own(&stream) {
            if !std::mem::replace(&mut has_warned, true) {
                tracing::warn!(
                    "Another process tried to connect to the API's private socket; it was refused, and \
                     further ones will be without a word"
                );
            }
            continue;
        }
        let service = service_fn(handler.clone());
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .header_read_timeout(None)
                .serve_connection(TokioIo::new(stream), service);
            // A client that goes away is nothing to report.
            let _ = connection.await;
            drop(place);
        });
    }
}

/// Whether the peer is this process. The kernel noted its identity when it connected (`SO_PEERCRED`).
fn is_own(stream: &UnixStream) -> bool {
    let own = i32::try_from(std::process::id()).ok();
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.pid() == own && own.is_some())
}
