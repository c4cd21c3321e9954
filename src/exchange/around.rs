//! Retry, errors and buffering: middlewares that forward a request zero or more times. Their settings
//! and decisions are in `middleware`; here is what they do with an exchange.

use std::borrow::Cow;

use super::forward::{Reply, UpstreamReply};
use super::pipeline::{Exchange, RequestBody};
use super::spool::{Spool, SpoolError, spool};
use crate::http::h1::BodyDecoder;
use crate::http::{BodyLength, Cause, Method, RequestHead};
use crate::middleware::predicate::Attempt;
use crate::middleware::{Buffering, Errors, Failure, Retry};
use crate::router::snapshot::{MiddlewareSlot, Route, ServiceSlot, Snapshot};

impl Exchange<'_> {
    /// Sends the request again as long as `retry` says so.
    pub(crate) async fn retry(
        &mut self,
        retry: &Retry,
        snapshot: &Snapshot,
        route: &Route,
        inner: &[MiddlewareSlot],
    ) -> Reply {
        let (original, marks) = (self.request.clone(), *self.path_marks);
        if retry.keeps_body(original.method_bytes()) {
            let limit = retry.max_request_body_bytes;
            match self.spool_request(limit).await {
                // A body that is too large is streamed; then only a failure to connect is retried.
                Ok(()) | Err(SpoolError::TooLarge | SpoolError::NoMemory) => {}
                Err(SpoolError::Failed(cause)) => return self.fail(cause),
            }
        }
        let framed = self.request.body;
        let started = self.local.io.now();
        let mut attempt = 1;
        loop {
            self.failure = None;
            let reply = self.run_nested(snapshot, route, inner).await;
            let failure = match self.failure {
                Some(Cause::UpstreamConnect | Cause::DialTimeout) => {
                    Failure::NotSent(self.response.status)
                }
                _ => Failure::Status(self.response.status),
            };
            let elapsed = self.local.io.now().saturating_since(started);
            let body_kept = framed.is_empty() || self.request_body.is_spooled();
            let method = original.method_bytes();
            if matches!(reply, Reply::Tunnel)
                || !retry.should_retry(attempt, elapsed, method, body_kept, failure)
            {
                return reply;
            }
            self.upstream = None;
            let pause = retry.backoff(attempt, self.local.io.random());
            if !pause.is_zero() {
                self.local.io.sleep(pause).await;
            }
            attempt += 1;
            self.notes.retries += 1;
            self.request.clone_from(&original);
            self.request.body = framed;
            *self.path_marks = marks;
        }
    }

    /// Replaces an error response by a page of another service.
    pub(crate) async fn errors(
        &mut self,
        errors: &Errors,
        pages: Option<ServiceSlot>,
        snapshot: &Snapshot,
        route: &Route,
        inner: &[MiddlewareSlot],
    ) -> Reply {
        // The page is asked for with the head that the inner filters made, before the hop upstream.
        let outer = self.head_for_hop.replace(None);
        let reply = self.run_nested(snapshot, route, inner).await;
        let kept = std::mem::replace(&mut self.head_for_hop, outer).flatten();
        let status = self.response.status;
        let (true, Some(pages)) = (errors.matches(status), pages) else {
            return reply;
        };
        self.upstream = None;
        let original = kept.map_or_else(|| self.request.clone(), |head| *head);
        errors.error_path(status, &original, self.peer.is_tls(), self.bytes);
        let authority = original.authority().unwrap_or_default();
        let Ok(mut page) = RequestHead::build(Method::Get, self.bytes, authority) else {
            return self.fail(Cause::Internal);
        };
        // Interim responses go to the client, whose version decides whether it can read them.
        page.version = original.version;
        errors.copy_fields(&original.fields, &mut page.fields);
        *self.request = page;
        // The page's request has no body; the client's may still be unread, and must stay known as such.
        let no_body = RequestBody::Stream(BodyDecoder::None);
        let body = std::mem::replace(&mut self.request_body, no_body);
        let read = self.request_read;
        let result = self.forward(snapshot, pages).await;
        self.request_body = body;
        self.request_read = read;
        // The page's request was complete at once, which ended the time of a client that still sends.
        self.restart_sending_time();
        *self.request = original;
        let reply = match result {
            Ok(Reply::Tunnel) => self.fail(Cause::Internal),
            Ok(reply) => reply,
            // Nobody is there to be shown a page, or an error without one.
            Err(Cause::ClientClosed) => return self.fail(Cause::ClientClosed),
            Err(cause) => self.fail(cause),
        };
        self.response.status = errors.shown_status(status);
        self.fit_to_method(reply)
    }

    /// The page was asked for by GET; a client that said HEAD gets its head alone.
    fn fit_to_method(&mut self, reply: Reply) -> Reply {
        if self.request.method != Method::Head || matches!(reply, Reply::Fixed(_)) {
            return reply;
        }
        if !matches!(self.response.body, BodyLength::Length(_)) {
            self.response.body = BodyLength::None;
        }
        self.upstream = None;
        Reply::Fixed(Cow::Borrowed(b""))
    }

    /// Holds both bodies until they are complete.
    pub(crate) async fn buffering(
        &mut self,
        buffering: &Buffering,
        snapshot: &Snapshot,
        route: &Route,
        inner: &[MiddlewareSlot],
    ) -> Reply {
        match self.spool_request(buffering.max_request_body_bytes).await {
            Ok(()) => {}
            Err(SpoolError::TooLarge) => return self.fail(Cause::BodyTooLarge),
            Err(SpoolError::NoMemory) => return self.fail(Cause::Overloaded),
            Err(SpoolError::Failed(cause)) => return self.fail(cause),
        }
        let (original, marks) = (self.request.clone(), *self.path_marks);
        let has_body = !original.body.is_empty();
        let limit = buffering
            .max_response_body_bytes
            .unwrap_or(self.entry_point.max_held_body);
        let mut number = 1;
        loop {
            let reply = match self.run_nested(snapshot, route, inner).await {
                Reply::Upstream => self.hold(limit).await,
                reply => reply,
            };
            let status = self.response.status;
            let attempt = Attempt {
                number,
                status,
                method: original.method_bytes(),
            };
            if matches!(reply, Reply::Tunnel) || !buffering.should_retry(&attempt, has_body) {
                return reply;
            }
            number += 1;
            self.notes.retries += 1;
            self.request.clone_from(&original);
            *self.path_marks = marks;
        }
    }

    /// Reads a response body into memory.
    async fn hold(&mut self, limit: u64) -> Reply {
        let Some(UpstreamReply {
            stream,
            pool,
            mut body,
            length,
            upload,
            reusable,
            _in_flight,
        }) = self.upstream.take()
        else {
            unreachable!("an origin's reply is kept until it is delivered")
        };
        if length.is_some_and(|length| length > limit) {
            return self.fail(Cause::Internal);
        }
        let mut held = Spool::new(&self.local.spooled);
        let most = self.most_held();
        match spool(&stream, &mut body, limit, most, &mut held).await {
            Ok(()) => {}
            Err(SpoolError::TooLarge) => return self.fail(Cause::Internal),
            Err(SpoolError::NoMemory) => return self.fail(Cause::Overloaded),
            Err(SpoolError::Failed(_)) => return self.fail(Cause::UpstreamClosed),
        }
        if reusable && upload.is_none() {
            pool.put(stream, &self.local.io);
        }
        // A head without a body (HEAD, 204, 304) keeps what it says about lengths.
        if !matches!(self.response.body, BodyLength::None) {
            self.response.body = BodyLength::Length(held.bytes().len() as u64);
        }
        let bytes = held.take();
        self.held_response = Some(held);
        Reply::Fixed(Cow::Owned(bytes))
    }

    /// Most bytes that all bodies held by this shard may have.
    fn most_held(&self) -> u64 {
        self.entry_point.max_held_memory / u64::from(self.local.settings.shards.max(1))
    }

    /// Reads the request body into memory, so that it can be sent again, and frames it by its length.
    ///
    /// # Errors
    /// `TooLarge`, `NoMemory`: nothing is lost, the body can still be sent once.
    async fn spool_request(&mut self, limit: Option<u64>) -> Result<(), SpoolError> {
        let limit = limit.unwrap_or(self.entry_point.max_held_body);
        if self.request.body.is_empty() || !matches!(self.request_body, RequestBody::Stream(_)) {
            return Ok(());
        }
        if matches!(self.request.body, BodyLength::Length(length) if length > limit) {
            return Err(SpoolError::TooLarge);
        }
        if std::mem::take(&mut self.request.expect_continue) {
            // The body is read here, so the word to send it comes from here.
            self.request.fields.remove(&crate::http::Token::Expect);
            self.downstream
                .queue_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let RequestBody::Stream(mut decoder) =
            std::mem::replace(&mut self.request_body, RequestBody::Taken)
        else {
            return Ok(());
        };
        let mut held = Spool::new(&self.local.spooled);
        let most = self.most_held();
        match spool(self.downstream, &mut decoder, limit, most, &mut held).await {
            Ok(()) => {
                self.request_received();
                let length = held.bytes().len() as u64;
                self.notes.request_bytes = length;
                self.request.body = BodyLength::Length(length);
                self.request_body = RequestBody::Spooled(held);
                Ok(())
            }
            Err(error @ (SpoolError::TooLarge | SpoolError::NoMemory)) => {
                self.request_body = RequestBody::Begun(held, decoder);
                Err(error)
            }
            Err(failed) => Err(failed),
        }
    }
}
