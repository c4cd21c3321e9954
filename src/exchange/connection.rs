//! One downstream connection while it has a worker: reads a request, runs its exchange, and again,
//! until nothing more is there. Then the connection is parked and the worker goes.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use super::deliver::After;
use super::edge;
use super::forward::Reply;
use super::head::{Head, KEPT_BYTES, PartialHead};
use super::local::Local;
use super::pipeline::Exchange;
use super::proxy_protocol::{self, Parsed};
use super::record::Notes;
use super::rescue::Held;
use super::route_request::RouteRequest;
use super::settings::EntryPointSettings;
use super::worker::ConnectionTag;
use crate::http::error::write_rejection;
use crate::http::{Cause, Method, Peer, RequestError, RequestHead, ResponseHead, TargetForm, h1};
use crate::io::{Instant, Stream};
use crate::middleware::PathMarks;

/// What a worker keeps from one request to the next.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) request: RequestHead,
    pub(crate) response: ResponseHead,
    pub(crate) partial: PartialHead,
    pub(crate) path_marks: PathMarks,
    pub(crate) bytes: Vec<u8>,
    pub(crate) notes: Notes,
}

impl Scratch {
    /// Gives back what an unusually large message left behind.
    pub(crate) fn trim(&mut self) {
        if self.partial.take_grew() {
            self.request.trim(KEPT_BYTES);
            self.response.trim(KEPT_BYTES);
        }
        if self.bytes.capacity() > KEPT_BYTES {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES);
        }
    }
}

/// Serves `stream` until it is idle, then parks it; or until it ends.
pub(crate) async fn serve(local: &Rc<Local>, stream: Stream, scratch: &mut Scratch) {
    let mut tag = ConnectionTag::unpack(stream.tag());
    let Some(entry_point) = local
        .settings
        .entry_points
        .get(usize::from(tag.entry_point))
    else {
        return;
    };
    let held = Held::new(stream);
    let stream = held.stream();
    let peer = stream.peer_addr().unwrap_or(NO_ADDRESS);
    let mut client = peer;
    let mut has_proxy_address = false;
    if let Some(policy) = &entry_point.proxy_protocol
        && tag.requests == 0
    {
        stream.set_deadline(after(local, entry_point.read_timeout));
        match read_proxy_header(stream, &mut scratch.bytes).await {
            Some(Some(address)) if policy.trusts(peer.ip()) => {
                client = address;
                has_proxy_address = true;
            }
            Some(_) => {}
            None => return,
        }
    }
    let forwarded = Peer::new(client.ip(), false, &entry_point.forwarded);
    loop {
        stream.set_deadline(after(local, entry_point.read_timeout));
        match read_request(stream, entry_point, scratch).await {
            Head::Complete => {}
            // Earlier answers may still be leaving.
            Head::Ended => return held.release().end(),
            Head::Malformed(error) => {
                local.stats.count(|s| &s.refused);
                return refuse(local, held.release(), error);
            }
        }
        tag.requests += 1;
        let outcome = exchange(local, entry_point, &held, client, &forwarded, tag, scratch).await;
        held.answering.set(false);
        match outcome {
            After::KeepAlive => {}
            After::Close => return held.release().close_gracefully(),
            After::Abort => return drop(held),
            After::Reset => return held.release().abort(),
        }
        stream.set_tag(tag.pack());
        if stream.inbox_len() > 0 {
            // A pipelined request; others first, so that a burst is no long turn.
            local.io.yield_now().await;
            continue;
        }
        let idle_until = limit(local.io.now(), entry_point.idle_timeout);
        if !has_proxy_address {
            return held.release().park_downstream(idle_until);
        }
        // The PROXY address lives in this task, so the connection keeps it while idle.
        stream.set_deadline(Some(idle_until));
        if !matches!(stream.readable().await, Ok(true)) {
            return held.release().end();
        }
    }
}

/// Stands for the address of a peer that has none (a Unix socket).
const NO_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// When a limit that may be off (zero) ends.
pub fn limit(now: Instant, timeout: Duration) -> Instant {
    if timeout.is_zero() {
        Instant::NEVER
    } else {
        now + timeout
    }
}

fn after(local: &Local, timeout: Duration) -> Option<Instant> {
    (!timeout.is_zero()).then(|| local.io.now() + timeout)
}

async fn read_request(
    stream: &Stream,
    entry_point: &EntryPointSettings,
    scratch: &mut Scratch,
) -> Head<RequestError> {
    let request = &mut scratch.request;
    scratch
        .partial
        .read(stream, |bytes| {
            h1::parse_request(bytes, &entry_point.limits, request)
        })
        .await
}

/// Answers a head that could not be parsed, and closes.
fn refuse(local: &Local, stream: Stream, error: RequestError) {
    let mut answer = local.io.buffer();
    write_rejection(error, &mut answer);
    stream.queue(answer.freeze());
    stream.close_gracefully();
}

/// Runs the exchange of the request in `scratch`.
async fn exchange(
    local: &Rc<Local>,
    entry_point: &EntryPointSettings,
    held: &Held,
    client: SocketAddr,
    peer: &Peer,
    tag: ConnectionTag,
    scratch: &mut Scratch,
) -> After {
    local.stats.count(|s| &s.requests);
    let _active = Active::new(local);
    let close = local.is_draining() || is_worn_out(local, entry_point, tag);
    let admitted = edge::admit(&mut scratch.request, entry_point, local, peer);
    let mut exchange = Exchange::new(
        local,
        entry_point,
        held.stream(),
        client,
        peer,
        scratch,
        &held.answering,
    );
    exchange.notes.start(local);
    if exchange.request.body.is_empty() {
        exchange.request_received();
    }
    let reply = match admitted {
        Err(cause) => exchange.fail(cause),
        Ok(()) => exchange.route().await,
    };
    exchange.deliver(reply, close).await
}

/// Whether the entry point wants the connection closed after this request.
fn is_worn_out(local: &Local, entry_point: &EntryPointSettings, tag: ConnectionTag) -> bool {
    let most = entry_point.keep_alive_max_requests;
    if most > 0 && tag.requests >= most {
        return true;
    }
    let oldest = entry_point.keep_alive_max_time;
    !oldest.is_zero() && tag.age(local.io.now()) >= oldest
}

/// Counts a running exchange, also when it is cancelled or panics.
struct Active<'a>(&'a Local);

impl<'a> Active<'a> {
    fn new(local: &'a Local) -> Self {
        let active = &local.stats.active;
        active.set(active.get() + 1);
        Self(local)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        let active = &self.0.stats.active;
        active.set(active.get() - 1);
    }
}

impl Exchange<'_> {
    /// Finds the router for the request and runs it.
    async fn route(&mut self) -> Reply {
        if self.request.target_form == TargetForm::Asterisk
            && self.request.method == Method::Options
        {
            // As Go's server does: the question is about the proxy, not about a route.
            self.response.start(200, 0);
            return Reply::Fixed(Cow::Borrowed(b""));
        }
        #[cfg(test)]
        self.fault_point("route");
        // One request, one revision: this view is kept to the response head, no longer.
        let view = self.local.view();
        let entry_point = usize::from(ConnectionTag::unpack(self.downstream.tag()).entry_point);
        let Some(routes) = view.entry_points.get(entry_point) else {
            return self.fail(Cause::NoRoute);
        };
        let table = if self.peer.is_tls() {
            &routes.https
        } else {
            &routes.http
        };
        let found = {
            let request = RouteRequest::new(self.request, self.peer.ip());
            table.find(&request, &mut self.local.regex.borrow_mut())
        };
        let Some(route) = found else {
            self.notes.wanted = self.entry_point.access_log && self.local.records.is_on();
            return self.fail(Cause::NoRoute);
        };
        if route.value.access_log && self.local.records.is_on() {
            self.notes.wanted = true;
            self.notes.router = Some(route.order.name.clone());
        }
        if let Some(denied) = &route.value.encoded_characters
            && !denied.allows(self.request.path())
        {
            return self.fail(Cause::EncodedCharacter);
        }
        self.run(&view, route).await
    }

    /// The client has sent its request whole: its time for sending ends, that for reading begins.
    pub(crate) fn request_received(&mut self) {
        self.request_read = true;
        self.begin_reading_time();
    }

    /// The client's time for sending begins anew: nobody read its body while a server was connected to, or a
    /// page asked for.
    pub(crate) fn restart_sending_time(&mut self) {
        if !self.request_read {
            self.downstream
                .set_deadline(after(self.local, self.entry_point.read_timeout));
        }
    }

    /// The client's time for sending ends, also if it has passed; that for reading begins.
    pub(crate) fn begin_reading_time(&mut self) {
        self.downstream
            .set_deadline(after(self.local, self.entry_point.write_timeout));
    }
}

/// Reads what may be a PROXY header. `None`: broken, or the connection ended. `Some(None)`: no address.
async fn read_proxy_header(stream: &Stream, bytes: &mut Vec<u8>) -> Option<Option<SocketAddr>> {
    bytes.clear();
    loop {
        let Some(mut chunk) = stream.take() else {
            if !matches!(stream.readable().await, Ok(true)) {
                return None;
            }
            continue;
        };
        let before = bytes.len();
        bytes.extend_from_slice(&chunk);
        match proxy_protocol::parse(bytes) {
            Err(proxy_protocol::BrokenHeader) => return None,
            Ok(Parsed::Incomplete) => {}
            Ok(Parsed::Absent) => {
                // Nothing was consumed before: a prefix that could have been a header is at most a few
                // bytes long, and they are still ours to hand on.
                let all = crate::io::Chunk::from_vec(std::mem::take(bytes));
                stream.unread(all);
                return Some(None);
            }
            Ok(Parsed::Present(header)) => {
                chunk.advance(header.len.saturating_sub(before));
                if !chunk.is_empty() {
                    stream.unread(chunk);
                }
                return Some(header.client);
            }
        }
    }
}
