//! What a panic in an exchange leaves behind: an answer if none had begun, the end of both connections, a count and a
//! line of the access log. The shard and its other exchanges go on (`io` catches the panic and drops the task).
//!
//! Nothing here runs unless a panic does. Not here: the line of the program's log, which names the place
//! (`control::panics`); counts and permits, which are guards of their own.

use std::cell::Cell;
use std::thread;

use super::pipeline::Exchange;
use crate::http::{Cause, Method};
use crate::io::Stream;

/// A client's connection in the hands of a worker. A panic closes it: in order behind the answer that the exchange left,
/// or with a reset if part of an answer was sent, so that nobody takes it for whole.
pub(super) struct Held {
    stream: Option<Stream>,
    /// Whether the head of the present exchange's answer was queued.
    pub(super) answering: Cell<bool>,
}

impl Held {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream: Some(stream),
            answering: Cell::new(false),
        }
    }

    pub(super) fn stream(&self) -> &Stream {
        let Some(stream) = &self.stream else {
            unreachable!("a held connection is released once, by value")
        };
        stream
    }

    /// Gives the connection back, for whatever follows the exchanges.
    pub(super) fn release(mut self) -> Stream {
        let Some(stream) = self.stream.take() else {
            unreachable!("a held connection is released once, by value")
        };
        stream
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else {
            return;
        };
        match (thread::panicking(), self.answering.get()) {
            (false, _) => {}
            (true, false) => stream.close_gracefully(),
            (true, true) => stream.abort(),
        }
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.rescue();
        }
    }
}

impl Exchange<'_> {
    /// The last act of an exchange that panicked.
    #[cold]
    fn rescue(&mut self) {
        self.local.stats.count(|stats| &stats.panicked);
        if !self.answering.get() {
            let answer = Cause::Panic.answer();
            answer.fill(self.response);
            let mut bytes = self.local.io.buffer();
            self.write_head(false, &mut bytes);
            if self.request.method != Method::Head {
                bytes.extend_from_slice(answer.body.as_bytes());
            }
            self.downstream.queue(bytes.freeze());
            self.notes.status = answer.status;
        }
        self.write_record();
    }

    /// Panics if the request asks for it by naming this place. Only the tests of this library are built with it.
    #[cfg(test)]
    pub(crate) fn fault_point(&self, place: &str) {
        let fields = self.request.fields.iter();
        let asked = fields.filter(|(name, _)| name.eq_ignore_ascii_case(b"x-test-panic"));
        for (_, value) in asked {
            assert!(value != place.as_bytes(), "asked for by a test: {place}");
        }
    }
}

#[cfg(test)]
#[path = "panic_tests.rs"]
mod tests;
