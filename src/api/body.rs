//! Bodies of answers: whole ones, and JSON that is written piece by piece while it is sent.
//!
//! With 100,000 routers all data are some 40 MB of JSON. Written piece by piece they need one piece of memory,
//! follow the client's pace, and let other answers be made in between.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

/// Bytes after which a piece is sent.
const PIECE_BYTES: usize = 64 << 10;

/// Writes the next bit of a document; `false`: that was the last.
type WriteNext = Box<dyn FnMut(&mut Vec<u8>) -> serde_json::Result<bool> + Send>;

/// The body of an answer.
pub(super) enum ApiBody {
    /// Known as a whole.
    Whole(Bytes),
    /// Written while it is sent.
    Pieces(Pieces),
}

/// A document that is written while it is sent.
pub(super) struct Pieces {
    write_next: WriteNext,
    is_done: bool,
    /// Whether other tasks have had their turn since the last piece.
    has_yielded: bool,
}

impl ApiBody {
    /// A body that `write_next` writes bit by bit.
    pub(super) fn pieces(
        write_next: impl FnMut(&mut Vec<u8>) -> serde_json::Result<bool> + Send + 'static,
    ) -> Self {
        Self::Pieces(Pieces {
            write_next: Box::new(write_next),
            is_done: false,
            has_yielded: true,
        })
    }
}

impl Body for ApiBody {
    type Data = Bytes;
    type Error = serde_json::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, serde_json::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Pieces(pieces) => pieces.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Pieces(pieces) => pieces.is_done,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}

impl Pieces {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, serde_json::Error>>> {
        if self.is_done {
            return Poll::Ready(None);
        }
        if !self.has_yielded {
            self.has_yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.has_yielded = false;
        let mut piece = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8);
        while !self.is_done && piece.len() < PIECE_BYTES {
            match (self.write_next)(&mut piece) {
                Ok(has_more) => self.is_done = !has_more,
                Err(error) => {
                    self.is_done = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }
}
