//! Moves one message body from the connection it arrives on to the connection it leaves by, decoding
//! one framing and writing the other. Received buffers are sent onward as they are; only chunk heads
//! are written anew.
//!
//! A pump is a poll-based state machine without buffers of its own: dropping it loses nothing, and two
//! of them (request up, response down) run in one task. Not here: heads, timeouts, what an error means.

use std::io;
use std::task::{Context, Poll, ready};

use crate::http::ChunkError;
use crate::http::h1::{BodyDecoder, LAST_CHUNK, chunk_header, write_trailers};
use crate::io::{Chunk, Stream};

/// A body longer than this, or of unknown length once this much has passed, is received in bulk: one
/// large buffer at a time, armed only when the previous one has been taken. That is the back-pressure.
pub(crate) const BULK_BYTES: u64 = 64 * 1024;

/// How the body is framed on the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// As it is: a declared length, or until the connection closes.
    Identity,
    /// Chunked, with trailers if some were received.
    Chunked,
    /// Read to its end and thrown away.
    Discard,
}

/// A body on its way.
pub(crate) struct Pump {
    decoder: BodyDecoder,
    framing: Framing,
    moved: u64,
    /// Bytes of content still to come, if the length is declared.
    expected: Option<u64>,
    bulk: bool,
    done: bool,
}

/// Why a body did not get through.
#[derive(Debug)]
pub(crate) enum PumpError {
    /// Receiving failed; `UnexpectedEof` for a body cut short.
    From(io::Error),
    /// Sending failed: the other side has gone, or took too long.
    To,
    /// The body's framing is broken.
    Malformed(ChunkError),
}

impl Pump {
    /// A body to be moved. `expected` is its declared length, if it has one.
    pub(crate) fn new(decoder: BodyDecoder, framing: Framing, expected: Option<u64>) -> Self {
        let done = decoder.is_done();
        Self {
            decoder,
            framing,
            moved: 0,
            expected,
            bulk: false,
            done,
        }
    }

    /// Nothing to move.
    pub(crate) fn finished() -> Self {
        Self::new(BodyDecoder::None, Framing::Identity, Some(0))
    }

    /// Whether the body has been read to its end and queued.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Bytes of content moved so far.
    pub(crate) fn moved(&self) -> u64 {
        self.moved
    }

    /// Whether a body of a declared length lies in the inbox whole and is small enough to be copied
    /// behind its head: then it is taken out and appended to `head` by `put`.
    pub(crate) fn take_small(&mut self, from: &Stream, room: usize, put: impl FnOnce(&[u8])) {
        let Some(expected) = self.expected else {
            return;
        };
        if self.done || self.framing != Framing::Identity || expected > room as u64 {
            return;
        }
        let Some(mut chunk) = from.take() else { return };
        let Ok(step) = self.decoder.decode(&chunk) else {
            // Declared lengths cannot be malformed; leave it to `poll` all the same.
            from.unread(chunk);
            return;
        };
        put(&chunk[step.data.clone()]);
        self.moved += step.data.len() as u64;
        self.done = step.done;
        self.expected = Some(expected.saturating_sub(step.data.len() as u64));
        chunk.advance(step.consumed);
        if !chunk.is_empty() {
            from.unread(chunk);
        }
    }

    /// Moves what can be moved. Ready when the whole body has been queued for sending (not flushed).
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &Stream,
        to: &Stream,
    ) -> Poll<Result<(), PumpError>> {
        while !self.done {
            if self.framing != Framing::Discard {
                ready!(to.poll_ready(cx)).map_err(|_| PumpError::To)?;
            }
            match from.take() {
                Some(chunk) => self.feed(chunk, from, to)?,
                None => match ready!(from.poll_readable(cx)).map_err(PumpError::From)? {
                    true => {}
                    false => self.end_of_stream(to)?,
                },
            }
        }
        if self.bulk {
            self.bulk = false;
            from.bulk(false);
        }
        Poll::Ready(Ok(()))
    }

    fn feed(&mut self, mut chunk: Chunk, from: &Stream, to: &Stream) -> Result<(), PumpError> {
        while !chunk.is_empty() && !self.done {
            let step = self.decoder.decode(&chunk).map_err(PumpError::Malformed)?;
            let mut data = chunk.split_to(step.consumed);
            self.done = step.done;
            if !step.data.is_empty() {
                data.truncate(step.data.end);
                data.advance(step.data.start);
                self.moved += data.len() as u64;
                self.send(data, to);
            }
        }
        if !chunk.is_empty() {
            from.unread(chunk);
        }
        if self.done {
            self.finish(to);
        } else if !self.bulk && self.wants_bulk() {
            self.bulk = true;
            from.bulk(true);
        }
        Ok(())
    }

    fn wants_bulk(&self) -> bool {
        match self.expected {
            Some(expected) => expected.saturating_sub(self.moved) > BULK_BYTES,
            None => self.moved > BULK_BYTES,
        }
    }

    fn send(&self, data: Chunk, to: &Stream) {
        match self.framing {
            Framing::Identity => to.queue(data),
            Framing::Chunked => {
                to.queue_slice(chunk_header(data.len()).as_ref());
                to.queue(data);
                to.queue_slice(b"\r\n");
            }
            Framing::Discard => {}
        }
    }

    fn finish(&mut self, to: &Stream) {
        if self.framing != Framing::Chunked {
            return;
        }
        match self.decoder.trailers() {
            Some(trailers) if !trailers.is_empty() => {
                let mut tail = to.handle().buffer();
                write_trailers(trailers, &mut tail);
                to.queue(tail.freeze());
            }
            _ => to.queue(Chunk::from_static(LAST_CHUNK)),
        }
    }

    fn end_of_stream(&mut self, to: &Stream) -> Result<(), PumpError> {
        self.decoder
            .end_of_input()
            .map_err(|_| PumpError::From(io::ErrorKind::UnexpectedEof.into()))?;
        self.done = true;
        self.finish(to);
        Ok(())
    }
}
