//! Writing the response: its head, its body as it comes, and what becomes of both connections after.
//!
//! Small bodies leave in one piece with their head. A body that is cut short upstream cuts the client's
//! connection, so that nobody takes a part for the whole.

use std::borrow::Cow;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use super::forward::{Reply, UpstreamReply};
use super::pipeline::{Exchange, RequestBody};
use super::pump::{Framing, Pump, PumpError};
use super::spool::discard;
use super::tunnel;
use crate::http::h1::{ResponseOptions, write_response};
use crate::http::{BodyLength, Method, hop};
use crate::io::{Buffer, Chunk, Stream};

/// Largest unwanted request body that is read to keep the connection (Go's server, and so Traefik, does
/// the same).
const MAX_DRAINED_BYTES: u64 = 256 * 1024;

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It may carry another request.
    KeepAlive,
    /// It is closed once everything queued has left.
    Close,
    /// It is dropped: its client has gone.
    Abort,
    /// It is reset: its client must not take what it got for whole, and would take a mere end for the body's.
    Reset,
}

impl Exchange<'_> {
    /// Sends the reply. `close` asks for the end of the connection whatever the reply.
    pub(crate) async fn deliver(&mut self, reply: Reply, close: bool) -> After {
        self.notes.status = self.response.status;
        if !matches!(reply, Reply::Tunnel) {
            self.drain_request().await;
        }
        // A page may stand for the answer to a request whose body no server was sent.
        let is_unsent = !matches!(self.request_body, RequestBody::Taken);
        if !self.request_read && (is_unsent || matches!(reply, Reply::Fixed(_))) {
            // What is left of the request is not waited for. Its time may be over, which is no reason for silence.
            self.begin_reading_time();
        }
        // Earlier answers that nobody reads are the back-pressure on a client that pipelines.
        if self.downstream.ready().await.is_err() {
            self.notes.status = 499;
            self.write_record();
            return After::Abort;
        }
        let after = match reply {
            Reply::Fixed(body) => {
                let after = self.deliver_fixed(body, close);
                if self.held_response.is_some() {
                    // It counts as held until the client has taken it.
                    let _ = poll_fn(|cx| self.downstream.poll_flushed(cx)).await;
                }
                after
            }
            Reply::Upstream => self.deliver_upstream(close).await,
            Reply::Tunnel => self.deliver_tunnel().await,
        };
        self.write_record();
        after
    }

    /// Reads a small request body that nobody wanted, so that the connection can go on. Whatever goes
    /// wrong, the connection then closes after the answer.
    async fn drain_request(&mut self) {
        if self.request_read || self.request.expect_continue || !self.request.keep_alive {
            return;
        }
        let small = match self.request.body {
            BodyLength::Length(length) => length <= MAX_DRAINED_BYTES,
            _ => true,
        };
        let (RequestBody::Stream(decoder) | RequestBody::Begun(_, decoder)) =
            &mut self.request_body
        else {
            return;
        };
        if small
            && discard(self.downstream, decoder, MAX_DRAINED_BYTES)
                .await
                .is_ok()
        {
            self.request_received();
        }
    }

    fn deliver_fixed(&mut self, body: Cow<'static, [u8]>, close: bool) -> After {
        if self.response.status == 499 {
            // Nothing of this answer was sent, but earlier ones may still be leaving.
            return After::Close;
        }
        // What is left of the request body would have to be read first; a close is simpler and sure.
        let keep_alive =
            !close && self.request_read && self.request.keep_alive && self.response.keep_alive;
        let mut head = self.local.io.buffer();
        self.write_head(keep_alive, &mut head);
        let mut tail = None;
        if self.request.method != Method::Head {
            self.notes.response_bytes = body.len() as u64;
            if body.len() <= head.spare_len() {
                head.extend_from_slice(&body);
            } else {
                tail = Some(Chunk::from_vec(body.into_owned()));
            }
        }
        self.answering.set(true);
        self.downstream.queue(head.freeze());
        if let Some(tail) = tail {
            self.downstream.queue(tail);
        }
        if keep_alive {
            After::KeepAlive
        } else {
            After::Close
        }
    }

    async fn deliver_upstream(&mut self, close: bool) -> After {
        let Some(UpstreamReply {
            stream,
            pool,
            body,
            length,
            mut upload,
            reusable,
            _in_flight,
        }) = self.upstream.take()
        else {
            unreachable!("an origin's reply is kept until it is delivered")
        };
        hop::prepare_response(self.response);
        let endless = !self.response.reframe(self.request.version);
        let keep_alive = !close && !endless && self.request.keep_alive && self.request_read;
        let framing = match self.response.body {
            BodyLength::Chunked => Framing::Chunked,
            _ => Framing::Identity,
        };
        let mut download = Pump::new(body, framing, length);
        let mut head = self.local.io.buffer();
        self.write_head(keep_alive, &mut head);
        let room = head.spare_len();
        download.take_small(&stream, room, |bytes| head.extend_from_slice(bytes));
        self.answering.set(true);
        self.downstream.queue(head.freeze());
        #[cfg(test)]
        self.fault_point("answering");
        let mut result = Ok(());
        if !download.is_done() || upload.is_some() {
            let downstream = self.downstream;
            result =
                poll_fn(|cx| poll_both(cx, downstream, &stream, &mut upload, &mut download)).await;
        }
        self.notes.response_bytes = download.moved();
        if let Some(started) = self.notes.origin_started {
            self.notes.origin_duration = self.local.io.now().saturating_since(started);
        }
        match result {
            Ok(()) => {}
            Err(PumpError::To) => {
                self.notes.status = 499;
                // It may be there, its time being over: for it the same holds as below.
                return if endless { After::Reset } else { After::Abort };
            }
            // The origin broke off. A body that ends with the connection must not end in order; in any other
            // framing, closing without its end tells the client.
            Err(PumpError::From(_) | PumpError::Malformed(_)) if endless => return After::Reset,
            Err(PumpError::From(_) | PumpError::Malformed(_)) => return After::Close,
        }
        if reusable && upload.is_none() {
            pool.put(stream, &self.local.io);
        }
        if keep_alive {
            After::KeepAlive
        } else {
            After::Close
        }
    }

    async fn deliver_tunnel(&mut self) -> After {
        let Some(reply) = self.upstream.take() else {
            unreachable!("an origin's reply is kept until it is delivered")
        };
        self.local.stats.count(|s| &s.tunnels);
        hop::prepare_response(self.response);
        let mut head = self.local.io.buffer();
        self.write_head(true, &mut head);
        self.answering.set(true);
        self.downstream.queue(head.freeze());
        #[cfg(test)]
        self.fault_point("tunnel");
        self.downstream.set_deadline(None);
        let moved = Box::pin(tunnel::join(self.downstream, &reply.stream)).await;
        self.notes.request_bytes = moved.up;
        self.notes.response_bytes = moved.down;
        After::Close
    }

    /// Writes the response head for this client.
    pub(crate) fn write_head(&self, keep_alive: bool, out: &mut Buffer) {
        self.local.with_date(|date| {
            let version = self.request.version;
            write_response(
                self.response,
                ResponseOptions {
                    version,
                    keep_alive,
                    date,
                },
                out,
            );
        });
    }
}

/// Moves the response down and what is left of the request up. Ready when the response is through; an
/// upload that the server did not wait for is given up then.
fn poll_both(
    cx: &mut Context<'_>,
    downstream: &Stream,
    upstream: &Stream,
    upload: &mut Option<Pump>,
    download: &mut Pump,
) -> Poll<Result<(), PumpError>> {
    if let Some(pump) = upload {
        match pump.poll(cx, downstream, upstream) {
            Poll::Ready(Ok(())) => *upload = None,
            // The server does not want the rest, or the client broke off: its answer still counts.
            Poll::Ready(Err(_)) | Poll::Pending => {}
        }
    }
    ready!(download.poll(cx, upstream, downstream))?;
    Poll::Ready(Ok(()))
}
