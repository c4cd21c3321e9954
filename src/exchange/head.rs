//! Reading a head from a stream: in the common case straight from the one received buffer that holds it
//! whole, otherwise gathered until it is complete. Slow drips are scanned once, not again and again.

use crate::http::h1::HeadScanner;
use crate::io::{Chunk, Stream};

/// Bytes of an incomplete head, kept by the worker.
#[derive(Default)]
pub(crate) struct PartialHead {
    bytes: Vec<u8>,
    scanner: HeadScanner,
    /// A head larger than usual has passed through since this was last asked.
    grew: bool,
}

/// Memory for partial heads that a worker keeps between requests.
pub(crate) const KEPT_BYTES: usize = 16 * 1024;

/// What parsing made of the bytes so far.
pub(crate) enum Head<E> {
    /// The head is complete.
    Complete,
    /// The stream ended, failed or took too long.
    Ended,
    /// The head is malformed.
    Malformed(E),
}

impl PartialHead {
    /// Reads one head with `parse`, which gets all bytes received so far and says how many the head
    /// takes, or that it is incomplete. Surplus bytes go back to the stream.
    ///
    /// `parse` itself refuses a head beyond its limits, so what is gathered here is bounded by them.
    pub(crate) async fn read<E>(
        &mut self,
        stream: &Stream,
        mut parse: impl FnMut(&[u8]) -> Result<Option<usize>, E>,
    ) -> Head<E> {
        self.clear();
        loop {
            let chunk = match stream.take() {
                Some(chunk) => chunk,
                None => match stream.readable().await {
                    Ok(true) => continue,
                    Ok(false) | Err(_) => return Head::Ended,
                },
            };
            match self.take_in(chunk, stream, &mut parse) {
                Ok(true) => return Head::Complete,
                Ok(false) => {}
                Err(error) => return Head::Malformed(error),
            }
        }
    }

    /// Feeds one received chunk; true when the head is complete.
    pub(crate) fn take_in<E>(
        &mut self,
        mut chunk: Chunk,
        stream: &Stream,
        parse: &mut impl FnMut(&[u8]) -> Result<Option<usize>, E>,
    ) -> Result<bool, E> {
        if self.bytes.is_empty() {
            if let Some(consumed) = parse(&chunk)? {
                chunk.advance(consumed);
                if !chunk.is_empty() {
                    stream.unread(chunk);
                }
                return Ok(true);
            }
            self.bytes.extend_from_slice(&chunk);
            return Ok(false);
        }
        let before = self.bytes.len();
        self.bytes.extend_from_slice(&chunk);
        // Without an end in sight only the size matters; the parser looks when there is one, and at
        // each doubling, so that a malformed or oversized head is refused early.
        let has_end = !matches!(self.scanner.find_end(&self.bytes), Ok(None));
        if !has_end && self.bytes.len().ilog2() == before.ilog2() {
            return Ok(false);
        }
        let Some(consumed) = parse(&self.bytes)? else {
            return Ok(false);
        };
        // The head ends in this chunk, or it would have been complete before.
        chunk.advance(consumed.saturating_sub(before));
        if !chunk.is_empty() {
            stream.unread(chunk);
        }
        Ok(true)
    }

    /// Forgets a half-read head; an unusually large buffer is given back.
    pub(crate) fn clear(&mut self) {
        self.scanner = HeadScanner::default();
        self.bytes.clear();
        if self.bytes.capacity() > KEPT_BYTES {
            self.bytes.shrink_to(KEPT_BYTES);
            self.grew = true;
        }
    }

    /// Whether an unusually large head has passed through, so that others may have grown with it.
    pub(crate) fn take_grew(&mut self) -> bool {
        std::mem::take(&mut self.grew)
    }
}
