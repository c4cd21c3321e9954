//! Sending a request to a server of a service and awaiting the head of its answer.
//!
//! A connection from the pool may have been closed by the server at the very moment we use it. Such a
//! request is sent again, once, on a fresh connection, if that cannot do anything twice: nothing of an
//! answer has arrived, the method is safe or carries an `Idempotency-Key`, and no body was streamed (as
//! Go's transport, and so Traefik, does).

use std::borrow::Cow;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::local::Local;
use super::pipeline::{BodyStart, Exchange};
use super::pump::{Pump, PumpError};
use crate::http::h1::{self, BodyDecoder};
use crate::http::name::list_members;
use crate::http::{BodyLength, Token, Version, forwarded, hop, status};
use crate::http::{Cause, ResponseError};
use crate::io::{Address, Chunk, Stream};
use crate::router::mailbox::Health;
use crate::router::snapshot::{ServiceSlot, Snapshot};
use crate::service::balancer::InFlight;
use crate::service::pool::Pool;
use crate::service::{
    DASHBOARD_PREFIX, Internal, LoadBalancer, Server, ServerAddress, Service, ServiceKind,
    Transport,
};

/// How long the body of a request with `Expect: 100-continue` is held back for the origin's word. Then
/// the client is told to go on, so that an origin that ignores the expectation costs this and no more.
pub(crate) const CONTINUE_GRACE: Duration = Duration::from_millis(100);

/// Most interim responses taken from an origin before its final one.
const MAX_INTERIM_RESPONSES: u32 = 32;

/// Most addresses of a name that are tried for one request.
const MAX_DIALS: usize = 3;

/// A response whose head has been read; its body is still on the connection.
pub(crate) struct UpstreamReply {
    pub(crate) stream: Stream,
    pub(crate) pool: Rc<Pool>,
    pub(crate) body: BodyDecoder,
    /// Declared length of the body, if any.
    pub(crate) length: Option<u64>,
    /// The rest of the request body, if it has not all been sent.
    pub(crate) upload: Option<Pump>,
    /// Whether the connection may serve another request once the body has been read.
    pub(crate) reusable: bool,
    pub(crate) _in_flight: InFlight,
}

/// What came of forwarding. The head is in the exchange's `response`; what an origin's reply needs
/// further is in its `upstream`, where it stays instead of being handed through many futures.
pub(crate) enum Reply {
    /// A text of the proxy's own.
    Fixed(Cow<'static, [u8]>),
    /// From an origin.
    Upstream,
    /// From an origin that switched protocols.
    Tunnel,
}

/// How the exchange stands towards `Expect: 100-continue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Continue {
    /// The body may be sent.
    Go,
    /// The client waits for a word.
    Wait,
}

impl Exchange<'_> {
    /// Sends the request to the service in `slot` and reads the head of the answer.
    pub(crate) async fn forward(
        &mut self,
        snapshot: &Snapshot,
        slot: ServiceSlot,
    ) -> Result<Reply, Cause> {
        self.upstream = None;
        let service = snapshot.service(slot).ok_or(Cause::Internal)?;
        if self.notes.wanted {
            self.notes.service = Some(service.name.clone());
        }
        match &service.kind {
            ServiceKind::LoadBalancer(balancer) => self.balance(service, balancer).await,
            ServiceKind::Internal(Internal::Ping) => Ok(self.ping()),
            ServiceKind::Internal(Internal::Noop) => {
                self.response.start(418, 0);
                Ok(Reply::Fixed(Cow::Borrowed(b"")))
            }
            ServiceKind::Internal(Internal::Dashboard) => {
                self.request.join_path(DASHBOARD_PREFIX.as_bytes());
                self.local_server(self.local.settings.api.as_ref()).await
            }
            ServiceKind::Internal(Internal::Api) => {
                self.local_server(self.local.settings.api.as_ref()).await
            }
            ServiceKind::Internal(Internal::Rest) => {
                self.local_server(self.local.settings.rest.as_ref()).await
            }
        }
    }

    /// Sends the request to another thread of this process, which may not have been started.
    async fn local_server(&mut self, server: Option<&Service>) -> Result<Reply, Cause> {
        let service = server.ok_or(Cause::NoServer)?;
        let balancer = service.load_balancer().ok_or(Cause::Internal)?;
        self.balance(service, balancer).await
    }

    fn ping(&mut self) -> Reply {
        let (status, body) = match self.local.health() {
            Health::Ready => (200, "OK"),
            Health::Starting => (503, "Service Unavailable"),
            Health::Terminating => {
                let status = self.local.settings.terminating_status;
                (status, status::reason(status).unwrap_or_default())
            }
        };
        self.response.start(status, body.len() as u64);
        Reply::Fixed(Cow::Borrowed(body.as_bytes()))
    }

    async fn balance(
        &mut self,
        service: &Service,
        balancer: &LoadBalancer,
    ) -> Result<Reply, Cause> {
        let local = self.local;
        let state = local.balancer(service.state);
        let (server, in_flight) = state
            .pick(service, balancer, || local.io.random())
            .ok_or(Cause::NoServer)?;
        if self.notes.wanted {
            self.notes.server_url = Some(server.url.clone());
        }
        self.prepare_for_hop(server, balancer);
        let transport = &*balancer.transport;
        let pool = local
            .pools
            .get(server.pool, transport, local.settings.shards);
        let mut pooled = pool.take(&local.io);
        loop {
            let (stream, reused) = match pooled.take() {
                Some(stream) => (stream, true),
                // Boxed, so that the large future of a rare step does not make every exchange's
                // future large: it is moved when the exchange begins.
                None => {
                    let dialled = Box::pin(dial(local, server, transport)).await;
                    // Also after a failure: a middleware may try again.
                    self.restart_sending_time();
                    (dialled?, false)
                }
            };
            local
                .stats
                .count(if reused { |s| &s.reused } else { |s| &s.dials });
            let (mut upload, start) = self.request_body.start(self.request.body);
            match self.attempt(&stream, transport, &mut upload, start).await {
                Ok(upgraded) => {
                    self.keep_reply(stream, pool, upload, in_flight);
                    return Ok(if upgraded {
                        Reply::Tunnel
                    } else {
                        Reply::Upstream
                    });
                }
                Err(Cause::UpstreamClosed) if reused && self.is_replayable() => {
                    local.stats.count(|s| &s.replayed);
                }
                Err(cause) => return Err(cause),
            }
        }
    }

    /// Brings the head into the form in which it leaves: the proxy step of the forwarded fields,
    /// hop-by-hop fields removed, the server's path prefix.
    fn prepare_for_hop(&mut self, server: &Server, balancer: &LoadBalancer) {
        if let Some(kept) = &mut self.head_for_hop {
            *kept = Some(Box::new(self.request.clone()));
        }
        hop::prepare_request(self.request);
        forwarded::proxy(self.request, &self.entry_point.forwarded, self.peer);
        if let Some(prefix) = &server.path_prefix {
            self.request.join_path(prefix.as_bytes());
        }
        let has_host = self
            .request
            .authority()
            .is_some_and(|host| !host.is_empty());
        if !balancer.pass_host_header || !has_host {
            self.request.set_authority(server.authority.as_bytes());
        }
    }

    /// Whether sending the request once more cannot do anything twice, and its body is still there.
    fn is_replayable(&self) -> bool {
        let repeatable = self.request.body.is_empty() || self.request_body.is_spooled();
        !self.heard && repeatable && (self.request.method.is_safe() || self.has_idempotency_key())
    }

    fn has_idempotency_key(&self) -> bool {
        self.request.fields.contains(&Token::IdempotencyKey)
            || self.request.fields.contains(&Token::XIdempotencyKey)
    }

    /// Writes the request and waits for the response head; true if the protocol was switched.
    async fn attempt(
        &mut self,
        upstream: &Stream,
        transport: &Transport,
        upload: &mut Pump,
        start: BodyStart,
    ) -> Result<bool, Cause> {
        let local = self.local;
        let mut head = local.io.buffer();
        h1::write_request(self.request, &mut head);
        let expecting = self.request.expect_continue && !upload.is_done();
        if !expecting {
            let room = head.spare_len();
            upload.take_small(self.downstream, room, |bytes| head.extend_from_slice(bytes));
        }
        upstream.queue(head.freeze());
        start.queue(upstream);
        if self.notes.wanted && self.notes.origin_started.is_none() {
            self.notes.origin_started = Some(local.io.now());
        }
        let mut waits = if expecting {
            Continue::Wait
        } else {
            Continue::Go
        };
        let grace = local.io.now() + CONTINUE_GRACE;
        let timeout = transport.response_header_timeout;
        let mut timed = false;
        self.partial.clear();
        self.heard = false;
        let mut interim = 0;
        loop {
            if upload.is_done() && !timed {
                // The request is complete: the server's time begins, the client's for sending ends.
                timed = true;
                self.notes.request_bytes = self.notes.request_bytes.max(upload.moved());
                self.request_received();
                if timeout > Duration::ZERO {
                    upstream.set_deadline(Some(local.io.now() + timeout));
                }
            }
            match self.next_event(upstream, upload, &mut waits, grace).await? {
                Event::Uploaded => continue,
                Event::Readable => {}
            }
            let Some(chunk) = upstream.take() else {
                continue;
            };
            self.heard = true;
            if !self.take_response_bytes(chunk, upstream)? {
                continue;
            }
            if !self.response.is_interim() {
                break;
            }
            interim += 1;
            if interim > MAX_INTERIM_RESPONSES {
                return Err(Cause::MalformedResponse(ResponseError::StatusLine));
            }
            if self.response.status == 100 {
                waits = Continue::Go;
            }
            self.forward_interim();
            self.partial.clear();
        }
        if timeout > Duration::ZERO {
            upstream.set_deadline(None);
        }
        if self.response.status == 101 {
            if !self.switches_as_asked() {
                return Err(Cause::MalformedResponse(ResponseError::StatusLine));
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// Whether a 101 switches to what the client asked for (RFC 9110 §7.8).
    fn switches_as_asked(&self) -> bool {
        let chosen = self.response.fields.get(Token::Upgrade);
        let (true, Some(asked), Some(chosen)) = (
            self.response.upgrade,
            self.request.upgrade_protocol(),
            chosen,
        ) else {
            return false;
        };
        list_members(chosen).all(|protocol| {
            list_members(asked).any(|offered| offered.eq_ignore_ascii_case(protocol))
        })
    }

    /// Waits for the request body to be sent or for the server to say something, whichever is first.
    async fn next_event(
        &mut self,
        upstream: &Stream,
        upload: &mut Pump,
        waits: &mut Continue,
        grace: crate::io::Instant,
    ) -> Result<Event, Cause> {
        if *waits == Continue::Go {
            let downstream = self.downstream;
            return poll_fn(|cx| poll_event(cx, downstream, upstream, upload)).await;
        }
        // Boxed as dialling is.
        Box::pin(self.await_word(upstream, waits, grace)).await
    }

    /// A client waits for 100 Continue: whatever happens first of an answer, its body after all, or
    /// the end of the grace.
    async fn await_word(
        &mut self,
        upstream: &Stream,
        waits: &mut Continue,
        grace: crate::io::Instant,
    ) -> Result<Event, Cause> {
        let downstream = self.downstream;
        let waiting = poll_fn(|cx| {
            if let Poll::Ready(readable) = upstream.poll_readable(cx) {
                return Poll::Ready(upstream_event(readable));
            }
            match downstream.poll_readable(cx) {
                Poll::Ready(Ok(true)) => Poll::Ready(Ok(Event::Uploaded)),
                Poll::Ready(Ok(false)) => Poll::Ready(Err(Cause::ClientClosed)),
                Poll::Ready(Err(error)) => Poll::Ready(Err(client_failure(&error))),
                Poll::Pending => Poll::Pending,
            }
        });
        match self.local.io.timeout(grace, waiting).await {
            Ok(Ok(Event::Uploaded)) => {
                *waits = Continue::Go;
                Ok(Event::Uploaded)
            }
            Ok(event) => event,
            Err(_elapsed) => {
                *waits = Continue::Go;
                downstream.queue(Chunk::from_static(b"HTTP/1.1 100 Continue\r\n\r\n"));
                Ok(Event::Uploaded)
            }
        }
    }

    /// Parses what arrived; true when a head is complete.
    fn take_response_bytes(&mut self, chunk: Chunk, upstream: &Stream) -> Result<bool, Cause> {
        let limits = &self.entry_point.limits;
        let method = self.request.method;
        let response = &mut *self.response;
        self.partial
            .take_in(chunk, upstream, &mut |bytes| {
                h1::parse_response(bytes, limits, method, response)
            })
            .map_err(Cause::MalformedResponse)
    }

    /// Passes an interim response on, unless the client speaks HTTP/1.0 (RFC 9110 §15.2).
    fn forward_interim(&mut self) {
        if self.request.version == Version::Http10 {
            return;
        }
        hop::prepare_response(self.response);
        let mut head = self.local.io.buffer();
        self.write_head(false, &mut head);
        self.downstream.queue(head.freeze());
    }

    fn keep_reply(&mut self, stream: Stream, pool: Rc<Pool>, upload: Pump, in_flight: InFlight) {
        #[cfg(test)]
        self.fault_point("forwarded");
        self.notes.origin_status = Some(self.response.status);
        let length = match self.response.body {
            BodyLength::Length(length) => Some(length),
            BodyLength::None => Some(0),
            BodyLength::Chunked | BodyLength::UntilClose => None,
        };
        self.upstream = Some(UpstreamReply {
            reusable: self.response.keep_alive && self.response.body != BodyLength::UntilClose,
            body: BodyDecoder::new(self.response.body, &self.entry_point.limits),
            length,
            upload: (!upload.is_done()).then_some(upload),
            stream,
            pool,
            _in_flight: in_flight,
        });
    }
}

enum Event {
    /// The request body has been sent, or may be sent from now on.
    Uploaded,
    /// The server has sent something.
    Readable,
}

fn poll_event(
    cx: &mut Context<'_>,
    downstream: &Stream,
    upstream: &Stream,
    upload: &mut Pump,
) -> Poll<Result<Event, Cause>> {
    if let Poll::Ready(readable) = upstream.poll_readable(cx) {
        return Poll::Ready(upstream_event(readable));
    }
    if !upload.is_done() {
        return match upload.poll(cx, downstream, upstream) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(Ok(Event::Uploaded)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(upload_failure(&error))),
        };
    }
    // The request is complete; an end of the client's stream now means that nobody waits for the
    // answer. Bytes of a next request stay where they are.
    match downstream.poll_readable(cx) {
        Poll::Ready(Ok(false)) => Poll::Ready(Err(Cause::ClientClosed)),
        Poll::Ready(Err(error)) => Poll::Ready(Err(client_failure(&error))),
        Poll::Ready(Ok(true)) | Poll::Pending => Poll::Pending,
    }
}

fn upstream_event(readable: io::Result<bool>) -> Result<Event, Cause> {
    match readable {
        Ok(true) => Ok(Event::Readable),
        Ok(false) => Err(Cause::UpstreamClosed),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Cause::ResponseTimeout),
        Err(_) => Err(Cause::UpstreamClosed),
    }
}

/// What a failed upload means to the exchange.
pub(crate) fn upload_failure(error: &PumpError) -> Cause {
    match error {
        PumpError::From(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Cause::TruncatedBody
        }
        PumpError::From(error) => client_failure(error),
        PumpError::To => Cause::UpstreamClosed,
        PumpError::Malformed(error) => Cause::MalformedBody(*error),
    }
}

fn client_failure(error: &io::Error) -> Cause {
    match error.kind() {
        io::ErrorKind::TimedOut => Cause::RequestTimeout,
        _ => Cause::ClientClosed,
    }
}

/// Opens a connection to a server, over the addresses of its name if it has one.
async fn dial(local: &Local, server: &Server, transport: &Transport) -> Result<Stream, Cause> {
    if transport.dial_timeout == Duration::ZERO {
        return dial_addresses(local, server).await;
    }
    let deadline = local.io.now() + transport.dial_timeout;
    match local
        .io
        .timeout(deadline, dial_addresses(local, server))
        .await
    {
        Ok(result) => result,
        Err(_elapsed) => Err(Cause::DialTimeout),
    }
}

async fn dial_addresses(local: &Local, server: &Server) -> Result<Stream, Cause> {
    let connect = async |address: Address| match local.io.connect(&address).await {
        Ok(stream) => Ok(stream),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Cause::DialTimeout),
        Err(_) => Err(Cause::UpstreamConnect),
    };
    match &server.address {
        ServerAddress::Fixed(address) => connect(Address::Inet(*address)).await,
        ServerAddress::Abstract(name) => connect(Address::Abstract(name.to_vec())).await,
        ServerAddress::Name { id, port, .. } => {
            let mut failure = Cause::UpstreamConnect;
            for attempt in 0..MAX_DIALS {
                let Ok(ip) = local.names.address(*id, attempt).await else {
                    return Err(Cause::UpstreamConnect);
                };
                match connect(Address::Inet((ip, *port).into())).await {
                    Ok(stream) => return Ok(stream),
                    Err(cause) => failure = cause,
                }
            }
            Err(failure)
        }
    }
}
