//! tokio's I/O traits over a [`Stream`], for libraries such as `h2` that are written against
//! them. Only the traits: tokio's reactor and runtime play no part.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::Stream;

/// A stream that reads and writes by tokio's traits. Writing copies into queued buffers (small
/// writes share one) and takes bytes while fewer than the send limit are queued.
#[derive(Debug)]
pub struct TokioStream(Stream);

impl TokioStream {
    /// Wraps a stream.
    pub fn new(stream: Stream) -> TokioStream {
        TokioStream(stream)
    }

    /// The stream inside.
    pub fn get_ref(&self) -> &Stream {
        &self.0
    }

    /// Unwraps it. Nothing is buffered in between.
    pub fn into_inner(self) -> Stream {
        self.0
    }
}

impl AsyncRead for TokioStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 || !ready!(self.0.poll_readable(cx))? {
            return Poll::Ready(Ok(()));
        }
        while buf.remaining() > 0
            && let Some(mut chunk) = self.0.take()
        {
            let part = chunk.split_to(buf.remaining());
            buf.put_slice(&part);
            drop(part);
            self.0.unread(chunk);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TokioStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.0.poll_ready(cx))?;
        if self.0.is_write_shut_down() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.0.queue_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut *this).poll_write(cx, &[]))?;
        parts.iter().for_each(|part| this.0.queue_slice(part));
        Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flushed(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.shutdown_write();
        self.0.poll_flushed(cx)
    }
}
