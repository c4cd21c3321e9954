//! Origins: servers that answer each request as its ask says, and break off or babble as their plan says.

use std::rc::Rc;
use std::time::Duration;

use ringway::io::{Handle, Stream};

use super::book::{Arrival, Book};
use super::message::{Framing, Head, Reader, Trouble, content, encode, queue};
use super::scenario::{Ask, Body, Break, Flaw, Tunnel};

/// Owners of request bodies are asks; those of response bodies are this much more, those of tunnels and pages that.
pub const RESPONSE: u64 = 1 << 32;
pub const TUNNEL: u64 = 2 << 32;
pub const PAGE: u64 = 3 << 32;

/// Whose a response is that nobody asked for.
pub const SURPLUS: &str = "888888";

/// How long an origin that went silent stays so.
const SILENCE: Duration = Duration::from_secs(100);

/// Serves one connection to origin `number`.
pub async fn serve(io: Handle, book: Rc<Book>, stream: Stream, number: usize) {
    let plan = &book.scenario.origins[number];
    let (mut reader, mut unasked) = (Reader::default(), false);
    loop {
        let head = match next_head(&io, &book, &stream, &mut reader, number).await {
            Some(Ok(head)) => head,
            Some(Err(Trouble::Wrong(what))) => {
                return book.violate(format!("an origin got {what}"));
            }
            Some(Err(_)) => return,
            None if plan.reset => return stream.abort(),
            None => {
                if plan.babbles {
                    queue(
                        &stream,
                        b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",
                    );
                }
                return stream.close_gracefully();
            }
        };
        let Some(arrival) = book.arrives(&head, number) else {
            return stream.abort();
        };
        let ask = &book.scenario.asks[arrival.id];
        if unasked {
            book.shift(arrival.id);
        }
        let after = match arrival.page {
            Some(status) => give_page(&book, &stream, &head, arrival.id, status).await,
            None => {
                unasked |= ask.answer.surplus;
                answer(&io, &book, &stream, &mut reader, &head, (arrival, number)).await
            }
        };
        match after {
            After::Next if !ask.answer.closes => {}
            After::Next => return stream.close_gracefully(),
            After::Broken(Break::End) => return stream.close_gracefully(),
            After::Broken(Break::Reset) => return stream.abort(),
            After::Broken(Break::Silence) => {
                let _ = io.timeout(io.now() + SILENCE, drain(&stream)).await;
                return;
            }
        }
    }
}

/// The next request's head; `None` if the connection was idle for too long.
async fn next_head(
    io: &Handle,
    book: &Book,
    stream: &Stream,
    reader: &mut Reader,
    number: usize,
) -> Option<Result<Head, Trouble>> {
    match book.scenario.origins[number].idle {
        Some(idle) => io.timeout(io.now() + idle, reader.head(stream)).await.ok(),
        None => Some(reader.head(stream).await),
    }
}

/// Takes everything until the connection ends.
async fn drain(stream: &Stream) {
    while let Ok(true) = stream.readable().await {
        while stream.take().is_some() {}
    }
}

enum After {
    Next,
    Broken(Break),
}

async fn answer(
    io: &Handle,
    book: &Book,
    stream: &Stream,
    reader: &mut Reader,
    head: &Head,
    (arrival, number): (Arrival, usize),
) -> After {
    let Arrival { id, time, .. } = arrival;
    let ask = &book.scenario.asks[id];
    let answer = &ask.answer;
    if head.get("expect").is_some() && !answer.early {
        queue(stream, b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    if !answer.early && !take_body(book, stream, reader, head, id).await {
        return After::Broken(Break::Reset);
    }
    if !answer.delay.is_zero() {
        io.sleep(answer.delay).await;
    }
    if let Some(tunnel) = ask.tunnel
        && head.get("upgrade").is_some()
        && answer.status == 200
    {
        return serve_tunnel(stream, reader, id, tunnel).await;
    }
    let bytes = response(book, head, id, time, number);
    let cut = answer.cut.filter(|(at, _)| *at < bytes.len());
    if !send(stream, &bytes[..cut.map_or(bytes.len(), |(at, _)| at)]).await {
        return After::Broken(Break::Reset);
    }
    if let Some((_, how)) = cut {
        return After::Broken(how);
    }
    let until_close = matches!(answer.body, Body::UntilClose(_)) && has_body(ask, time);
    if until_close || answer.garbage {
        return After::Broken(Break::End);
    }
    if answer.early && !take_body(book, stream, reader, head, id).await {
        return After::Broken(Break::Reset);
    }
    After::Next
}

/// Reads the request's body, which must be the ask's; false if it did not come whole.
async fn take_body(
    book: &Book,
    stream: &Stream,
    reader: &mut Reader,
    head: &Head,
    id: usize,
) -> bool {
    let ask = &book.scenario.asks[id];
    let framing = match head.framing(false) {
        Ok(framing) => framing,
        Err(trouble) => {
            book.violate(format!("request {id}: {trouble:?}"));
            return false;
        }
    };
    match reader.body(stream, framing, id as u64).await {
        Ok(len) if len == ask.body.len() => true,
        Ok(len) => {
            book.violate(format!(
                "an origin got {len} bytes of request {id}'s {}",
                ask.body.len()
            ));
            false
        }
        Err(Trouble::Wrong(what)) => {
            book.violate(format!("an origin got with request {id}: {what}"));
            false
        }
        Err(_) => false,
    }
}

/// Sends bytes; false if the connection failed.
async fn send(stream: &Stream, bytes: &[u8]) -> bool {
    for piece in bytes.chunks(16_000) {
        queue(stream, piece);
        if stream.ready().await.is_err() {
            return false;
        }
    }
    stream.flushed().await.is_ok()
}

/// Answers a request for the page that stands for an ask's answer of some status.
async fn give_page(book: &Book, stream: &Stream, head: &Head, id: usize, status: u16) -> After {
    let ask = &book.scenario.asks[id];
    let page = &ask.answer.page;
    let field = |name| head.get(name).unwrap_or_default();
    let service = head.line.split('/').nth(1).unwrap_or_default();
    let shown = match book.scenario.flaw {
        Some(Flaw::AnothersPage) => id + 1,
        _ => id,
    };
    let ours = format!("X-Id: {shown}\r\nX-Page: {status}\r\n");
    let mut text = String::new();
    for _ in 0..page.interim {
        text += &format!("HTTP/1.1 103 Early Hints\r\n{ours}\r\n");
    }
    let framing = match page.body {
        Body::Chunked(..) => "Transfer-Encoding: chunked\r\n".into(),
        Body::UntilClose(_) => String::new(),
        body => format!("Content-Length: {}\r\n", body.len()),
    };
    text += &format!(
        "HTTP/1.1 200 A page\r\n{ours}X-Seen: {};{};{service}\r\n{framing}{}\r\n",
        field("x-router"),
        field("x-middleware"),
        if ask.answer.closes {
            "Connection: close\r\n"
        } else {
            ""
        },
    );
    let mut bytes = text.into_bytes();
    encode(page.body, PAGE + id as u64, &mut bytes);
    let cut = page.cut.filter(|(at, _)| *at < bytes.len());
    if !send(stream, &bytes[..cut.map_or(bytes.len(), |(at, _)| at)]).await {
        return After::Broken(Break::Reset);
    }
    match (cut, page.body) {
        (Some((_, how)), _) => After::Broken(how),
        (None, Body::UntilClose(_)) => After::Broken(Break::End),
        (None, _) => After::Next,
    }
}

fn has_body(ask: &Ask, time: u32) -> bool {
    ask.method != "HEAD" && !matches!(status_of(ask, time), 204 | 304)
}

fn status_of(ask: &Ask, time: u32) -> u16 {
    if time <= ask.answer.failures {
        503
    } else {
        ask.answer.status
    }
}

fn response(book: &Book, head: &Head, id: usize, time: u32, number: usize) -> Vec<u8> {
    let ask = &book.scenario.asks[id];
    let answer = &ask.answer;
    if answer.garbage {
        return content(id as u64, 100);
    }
    let mut bytes = Vec::new();
    for _ in 0..answer.interim {
        bytes.extend_from_slice(
            format!("HTTP/1.1 103 Early Hints\r\nX-Id: {id}\r\n\r\n").as_bytes(),
        );
    }
    let field = |name| head.get(name).unwrap_or_default();
    let service = head.line.split('/').nth(1).unwrap_or_default();
    let status = status_of(ask, time);
    let framing = match answer.body {
        _ if status == 204 => String::new(),
        Body::Chunked(..) => "Transfer-Encoding: chunked\r\n".into(),
        Body::UntilClose(_) => String::new(),
        body => format!("Content-Length: {}\r\n", body.len()),
    };
    let closes = answer.closes || answer.garbage;
    let flaw = book.scenario.flaw;
    let shown = if flaw == Some(Flaw::AnothersResponse) {
        id + 1
    } else {
        id
    };
    let router = match flaw {
        Some(Flaw::MixedRevisions) => "7777",
        _ => field("x-router"),
    };
    let service = match flaw {
        Some(Flaw::OldRevision) => "s0v0",
        _ => service,
    };
    let head = format!(
        "HTTP/1.1 {status} Whatever\r\nX-Id: {shown}\r\nX-Origin: {number}\r\nX-Seen: {router};{};{service}\r\n{framing}{}\r\n",
        field("x-middleware"),
        if closes { "Connection: close\r\n" } else { "" },
    );
    bytes.extend_from_slice(head.as_bytes());
    if has_body(ask, time) {
        let from = bytes.len();
        encode(answer.body, RESPONSE + id as u64, &mut bytes);
        if flaw == Some(Flaw::WrongByte) && matches!(answer.body, Body::Length(1..)) {
            bytes[from] ^= 1;
        }
    }
    if answer.surplus && !matches!(answer.body, Body::UntilClose(_)) {
        let surplus =
            format!("HTTP/1.1 200 Surplus\r\nContent-Length: 0\r\nX-Id: {SURPLUS}\r\n\r\n");
        bytes.extend_from_slice(surplus.as_bytes());
    }
    bytes
}

/// Switches protocols and sends back what comes.
async fn serve_tunnel(stream: &Stream, reader: &mut Reader, id: usize, tunnel: Tunnel) -> After {
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\nX-Id: {id}\r\n\r\n"
    );
    queue(stream, head.as_bytes());
    let most = tunnel.cut.map_or(usize::MAX, |(at, _)| at);
    let mut sent = 0;
    loop {
        let bytes = reader.rest();
        let take = bytes.len().min(most - sent);
        if take > 0 {
            queue(stream, &bytes[..take]);
            sent += take;
        }
        if sent == most {
            let _ = stream.flushed().await;
            return After::Broken(tunnel.cut.map_or(Break::End, |(_, how)| how));
        }
        *reader = Reader::default();
        if stream.ready().await.is_err() {
            return After::Broken(Break::Reset);
        }
        match reader.more(stream).await {
            Ok(()) => {}
            Err(Trouble::Ended) => return After::Broken(Break::End),
            Err(_) => return After::Broken(Break::Reset),
        }
    }
}

/// Whether a response with this framing and status has a body for the client.
pub fn client_framing(ask: &Ask, status: u16, framing: Framing) -> Option<Framing> {
    let bodiless = ask.method == "HEAD" || matches!(status, 204 | 304);
    (!bodiless).then_some(framing)
}
