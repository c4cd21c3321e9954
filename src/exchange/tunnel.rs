//! Two connections joined after a `101 Switching Protocols`: bytes go both ways until both directions
//! have ended. The end of one direction becomes a shutdown of the other side's writing; the other
//! direction goes on. What either side sent too early lies in its inbox and leaves first.
//!
//! Both stay on multishot receive, so that an idle WebSocket holds no buffer; the inbox limit is the
//! back-pressure.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use crate::io::Stream;

/// Bytes moved through a tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    /// From the client to the origin.
    pub(crate) up: u64,
    /// From the origin to the client.
    pub(crate) down: u64,
}

/// Joins `client` and `origin` until both directions have ended or one side fails.
pub(crate) async fn join(client: &Stream, origin: &Stream) -> Moved {
    let (mut up, mut down) = (Direction::default(), Direction::default());
    poll_fn(|cx| {
        let up_ended = up.poll(cx, client, origin);
        let down_ended = down.poll(cx, origin, client);
        match (up_ended, down_ended) {
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => Poll::Ready(()),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    })
    .await;
    Moved {
        up: up.moved,
        down: down.moved,
    }
}

#[derive(Default)]
struct Direction {
    moved: u64,
    ended: bool,
}

impl Direction {
    fn poll(&mut self, cx: &mut Context<'_>, from: &Stream, to: &Stream) -> Poll<io::Result<()>> {
        while !self.ended {
            ready!(to.poll_ready(cx))?;
            if let Some(chunk) = from.take() {
                self.moved += chunk.len() as u64;
                to.queue(chunk);
            } else if !ready!(from.poll_readable(cx))? {
                self.ended = true;
                to.shutdown_write();
            }
        }
        to.poll_flushed(cx)
    }
}
