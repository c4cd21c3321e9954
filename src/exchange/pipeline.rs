//! The way of a matched request through its router's middlewares to the service, and back.
//!
//! A route of filters alone runs in a loop. A route with an around runs nested, one boxed future per
//! middleware: only such routes pay for it.

use std::borrow::Cow;
use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use super::connection::Scratch;
use super::forward::{Reply, UpstreamReply};
use super::head::PartialHead;
use super::local::Local;
use super::pump::{Framing, Pump};
use super::record::Notes;
use super::settings::EntryPointSettings;
use super::spool::Spool;
use crate::http::h1::{BodyDecoder, chunk_header};
use crate::http::{BodyLength, Cause, Peer, RequestHead, ResponseHead};
use crate::io::{Chunk, Stream};
use crate::middleware::{FilterContext, LocalResponse, Middleware, PathMarks, Verdict};
use crate::router::snapshot::{MiddlewareSlot, NamedMiddleware, Route, Snapshot};

/// One request under way. Borrows the worker's buffers.
pub(crate) struct Exchange<'a> {
    pub(crate) local: &'a Local,
    pub(crate) entry_point: &'a EntryPointSettings,
    pub(crate) downstream: &'a Stream,
    /// The client: the peer, or what a trusted PROXY header says.
    pub(crate) client_addr: SocketAddr,
    /// The same as forwarded fields and rules see it.
    pub(crate) peer: &'a Peer,
    pub(crate) request: &'a mut RequestHead,
    pub(crate) response: &'a mut ResponseHead,
    pub(crate) request_body: RequestBody,
    pub(crate) partial: &'a mut PartialHead,
    /// What filters have done to the path.
    pub(crate) path_marks: &'a mut PathMarks,
    /// Scratch space; whoever uses it clears it first.
    pub(crate) bytes: &'a mut Vec<u8>,
    pub(crate) notes: &'a mut Notes,
    /// Whether the request has been read from the client's connection to its end. If not, the
    /// connection cannot carry another one.
    pub(crate) request_read: bool,
    /// `Some`: an `errors` around wants to know the head as it was before the hop upstream.
    pub(crate) head_for_hop: Option<Option<Box<RequestHead>>>,
    /// The origin's side of a [`Reply::Upstream`] or [`Reply::Tunnel`], until it is delivered.
    pub(crate) upstream: Option<UpstreamReply>,
    /// Keeps the body of a [`Reply::Fixed`] counted that was read into memory.
    pub(crate) held_response: Option<Spool>,
    /// Whether anything of an answer to the present attempt to forward has arrived.
    pub(crate) heard: bool,
    /// Why the last attempt to forward had no answer from a server.
    pub(crate) failure: Option<Cause>,
    /// Whether the head of the answer was queued: from then on there is no other.
    pub(crate) answering: &'a Cell<bool>,
}

/// Where the body of the request is.
pub(crate) enum RequestBody {
    /// On the client's connection, untouched (or absent).
    Stream(BodyDecoder),
    /// Handed to an upload; it can be sent only once.
    Taken,
    /// In memory: it can be sent again.
    Spooled(Spool),
    /// Its beginning in memory, the rest on the client's connection: it outgrew what may be kept.
    Begun(Spool, BodyDecoder),
}

impl<'a> Exchange<'a> {
    /// An exchange for the request whose head lies in `scratch`.
    pub(crate) fn new(
        local: &'a Local,
        entry_point: &'a EntryPointSettings,
        downstream: &'a Stream,
        client_addr: SocketAddr,
        peer: &'a Peer,
        scratch: &'a mut Scratch,
        answering: &'a Cell<bool>,
    ) -> Self {
        answering.set(false);
        let body = BodyDecoder::new(scratch.request.body, &entry_point.limits);
        scratch.path_marks = PathMarks::default();
        Self {
            local,
            entry_point,
            downstream,
            client_addr,
            peer,
            request: &mut scratch.request,
            response: &mut scratch.response,
            request_body: RequestBody::Stream(body),
            partial: &mut scratch.partial,
            path_marks: &mut scratch.path_marks,
            bytes: &mut scratch.bytes,
            notes: &mut scratch.notes,
            request_read: false,
            head_for_hop: None,
            upstream: None,
            held_response: None,
            heard: false,
            failure: None,
            answering,
        }
    }

    /// Runs the route. Always ends in an answer; its head is in `response`.
    pub(crate) async fn run(&mut self, snapshot: &Snapshot, route: &Route) -> Reply {
        if route.value.has_around {
            return self
                .run_nested(snapshot, route, &route.value.middlewares)
                .await;
        }
        let mut passed = 0;
        let mut answer = None;
        for &slot in &route.value.middlewares {
            let Some(named) = snapshot.middleware(slot) else {
                answer = Some(self.fail(Cause::Internal));
                break;
            };
            match self.filter_request(named).await {
                None => passed += 1,
                Some(reply) => {
                    answer = Some(reply);
                    break;
                }
            }
        }
        let reply = match answer {
            Some(reply) => reply,
            None => self.forward_or_fail(snapshot, route).await,
        };
        for &slot in route.value.middlewares[..passed].iter().rev() {
            if let Some(named) = snapshot.middleware(slot) {
                self.filter_response(named);
            }
        }
        reply
    }

    /// Runs the middlewares in `rest`, then the service. Boxed, because arounds call it again.
    pub(crate) fn run_nested<'f>(
        &'f mut self,
        snapshot: &'f Snapshot,
        route: &'f Route,
        rest: &'f [MiddlewareSlot],
    ) -> Pin<Box<dyn Future<Output = Reply> + 'f>> {
        Box::pin(async move {
            let Some((&slot, inner)) = rest.split_first() else {
                return self.forward_or_fail(snapshot, route).await;
            };
            let Some(named) = snapshot.middleware(slot) else {
                return self.fail(Cause::Internal);
            };
            match &named.middleware {
                Middleware::Retry(retry) => self.retry(retry, snapshot, route, inner).await,
                Middleware::Errors(errors) => {
                    self.errors(errors, named.service, snapshot, route, inner)
                        .await
                }
                Middleware::Buffering(buffering) => {
                    self.buffering(buffering, snapshot, route, inner).await
                }
                _ => {
                    if let Some(reply) = self.filter_request(named).await {
                        return reply;
                    }
                    let reply = self.run_nested(snapshot, route, inner).await;
                    self.filter_response(named);
                    reply
                }
            }
        })
    }

    async fn forward_or_fail(&mut self, snapshot: &Snapshot, route: &Route) -> Reply {
        match self.forward(snapshot, route.value.service).await {
            Ok(reply) => reply,
            Err(cause) => {
                self.failure = Some(cause);
                self.fail(cause)
            }
        }
    }

    /// Runs the request side of a filter; an answer if it has one of its own.
    async fn filter_request(&mut self, named: &NamedMiddleware) -> Option<Reply> {
        loop {
            let verdict = self.with_filter(|request, _, cx| named.middleware.request(request, cx));
            match verdict {
                Verdict::Continue => return None,
                Verdict::Respond(answer) => return Some(self.answer(answer)),
                Verdict::Verify(job) => {
                    let (key, work) = job.into_parts();
                    self.local.stats.count(|stats| &stats.password_checks);
                    match Box::pin(self.local.offload.run(work)).await {
                        Ok(good) => self.local.memory.borrow_mut().auth.remember(key, good),
                        Err(super::Overloaded) => return Some(self.fail(Cause::NoServer)),
                    }
                }
            }
        }
    }

    fn filter_response(&mut self, named: &NamedMiddleware) {
        self.with_filter(|request, response, cx| named.middleware.response(request, response, cx));
    }

    /// Calls `run` with what filters may use of this shard.
    fn with_filter<T>(
        &mut self,
        run: impl FnOnce(&mut RequestHead, &mut ResponseHead, &mut FilterContext<'_>) -> T,
    ) -> T {
        let mut cx = FilterContext {
            client_ip: self.peer.ip(),
            secure: self.peer.is_tls(),
            regex: &mut self.local.regex.borrow_mut(),
            memory: &mut self.local.memory.borrow_mut(),
            path: self.path_marks,
            username: &mut self.notes.user,
        };
        run(self.request, self.response, &mut cx)
    }

    /// Turns a filter's answer into a reply.
    fn answer(&mut self, answer: LocalResponse) -> Reply {
        let mut memory = self.local.memory.borrow_mut();
        Reply::Fixed(answer.start(self.response, &mut memory))
    }

    /// The proxy's own answer to what went wrong.
    pub(crate) fn fail(&mut self, cause: Cause) -> Reply {
        self.upstream = None;
        self.held_response = None;
        let answer = cause.answer();
        answer.fill(self.response);
        Reply::Fixed(Cow::Borrowed(answer.body.as_bytes()))
    }
}

impl RequestBody {
    /// Begins to send the body: queues what is in memory and returns the pump for what is not, which is
    /// done at once if that is nothing. Follows the head in `upstream`'s queue.
    pub(crate) fn start(&mut self, length: BodyLength) -> (Pump, BodyStart) {
        let (framing, expected) = match length {
            BodyLength::Length(n) => (Framing::Identity, Some(n)),
            _ => (Framing::Chunked, None),
        };
        match std::mem::replace(self, RequestBody::Taken) {
            RequestBody::Stream(decoder) => {
                (Pump::new(decoder, framing, expected), BodyStart::Nothing)
            }
            RequestBody::Taken => (Pump::finished(), BodyStart::Nothing),
            RequestBody::Spooled(spool) => {
                let bytes = spool.bytes().to_vec();
                *self = RequestBody::Spooled(spool);
                (Pump::finished(), BodyStart::Bytes(bytes))
            }
            RequestBody::Begun(mut spool, decoder) => {
                let bytes = spool.take();
                let rest = expected.map(|n| n.saturating_sub(bytes.len() as u64));
                let start = match framing {
                    Framing::Chunked => BodyStart::Chunk(bytes),
                    _ => BodyStart::Bytes(bytes),
                };
                (Pump::new(decoder, framing, rest), start)
            }
        }
    }

    pub(crate) fn is_spooled(&self) -> bool {
        matches!(self, RequestBody::Spooled(_))
    }
}

/// The part of a body that is in memory when it begins to be sent.
pub(crate) enum BodyStart {
    /// None of it.
    Nothing,
    /// These bytes, as they are.
    Bytes(Vec<u8>),
    /// These bytes, as a chunk.
    Chunk(Vec<u8>),
}

impl BodyStart {
    /// Queues the bytes behind the head.
    pub(crate) fn queue(self, upstream: &Stream) {
        match self {
            BodyStart::Bytes(bytes) if !bytes.is_empty() => upstream.queue(Chunk::from_vec(bytes)),
            BodyStart::Chunk(bytes) if !bytes.is_empty() => {
                upstream.queue_slice(chunk_header(bytes.len()).as_ref());
                upstream.queue(Chunk::from_vec(bytes));
                upstream.queue_slice(b"\r\n");
            }
            BodyStart::Nothing | BodyStart::Bytes(_) | BodyStart::Chunk(_) => {}
        }
    }
}
