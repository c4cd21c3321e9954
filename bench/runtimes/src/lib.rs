//! The small proxy that every runtime here runs: the exchange, how much of it is parsed, the sizes of its buffers, and
//! what its programs are told on the command line. What differs between runtimes is in the programs under `src/bin`.
//!
//! It reads a request, parses its head, takes an upstream connection from its pool (or connects), passes the bytes on,
//! reads the response, parses its head, passes the bytes on, and gives the upstream connection back. It is no proxy for
//! use: requests have no body, responses a `Content-Length`, and there are no time limits.

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Bytes of a buffer for what a client sends; Ringway's default.
pub const DOWNSTREAM_BYTES: usize = 4 << 10;

/// Bytes of a buffer for what an origin sends; Ringway's default.
pub const UPSTREAM_BYTES: usize = 8 << 10;

/// Buffers that a runtime's own pool has, where it has one, each side; Ringway's default.
pub const POOLED_BUFFERS: u16 = 128;

/// Most fields in a head.
const MAX_FIELDS: usize = 64;

/// Connections that may wait to be accepted.
pub const BACKLOG: i32 = 4096;

/// Which side of the proxy a connection is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// From a client.
    Downstream,
    /// To the origin.
    Upstream,
}

impl Side {
    /// Bytes of a buffer for what comes from this side.
    pub const fn buffer_bytes(self) -> usize {
        match self {
            Side::Downstream => DOWNSTREAM_BYTES,
            Side::Upstream => UPSTREAM_BYTES,
        }
    }
}

/// A connection on some runtime.
#[allow(async_fn_in_trait)] // One thread each: nothing is `Send`.
pub trait Connection {
    /// Received bytes, in whatever the runtime receives into.
    type Chunk: AsRef<[u8]>;

    /// The next bytes; `None` at the end.
    async fn read(&mut self) -> io::Result<Option<Self::Chunk>>;

    /// Sends all of a chunk.
    async fn write(&mut self, chunk: Self::Chunk) -> io::Result<()>;
}

/// Where upstream connections come from and go to.
#[allow(async_fn_in_trait)]
pub trait Upstreams {
    /// A connection to the origin.
    type Connection: Connection;

    /// An idle connection, or a new one.
    async fn take(&self) -> io::Result<Self::Connection>;

    /// Keeps a connection for the next exchange.
    fn give(&self, connection: Self::Connection);
}

/// Serves one request. `false`: the client has closed, or something failed, which is told.
pub async fn exchange<C, U>(down: &mut C, upstreams: &U) -> bool
where
    C: Connection,
    U: Upstreams,
    U::Connection: Connection<Chunk = C::Chunk>,
{
    let served = try_exchange(down, upstreams).await;
    served.unwrap_or_else(|error| {
        eprintln!("an exchange failed: {error}");
        false
    })
}

async fn try_exchange<C, U>(down: &mut C, upstreams: &U) -> io::Result<bool>
where
    C: Connection,
    U: Upstreams,
    U::Connection: Connection<Chunk = C::Chunk>,
{
    let Some(request) = down.read().await? else {
        return Ok(false);
    };
    let keeps = keeps_connection(request.as_ref())?;
    let mut up = upstreams.take().await?;
    up.write(request).await?;
    let first = up.read().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut rest = response_length(first.as_ref())?
        .checked_sub(first.as_ref().len())
        .ok_or_else(|| malformed("more than one response"))?;
    down.write(first).await?;
    while rest > 0 {
        let chunk = up.read().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        rest = rest
            .checked_sub(chunk.as_ref().len())
            .ok_or_else(|| malformed("more than one response"))?;
        down.write(chunk).await?;
    }
    // The request passed on as it came, so that the origin closes too.
    if keeps {
        upstreams.give(up);
    }
    Ok(keeps)
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Parses the head of a request, which has to be all of it and in one piece. `false`: it asks to close.
fn keeps_connection(bytes: &[u8]) -> io::Result<bool> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let status = request
        .parse(bytes)
        .map_err(|error| malformed(&error.to_string()))?;
    let has_body = content_length(request.headers)?.is_some_and(|length| length > 0);
    match status {
        httparse::Status::Complete(length) if length == bytes.len() && !has_body => {
            let is_close = |field: &httparse::Header<'_>| {
                field.name.eq_ignore_ascii_case("connection")
                    && field.value.eq_ignore_ascii_case(b"close")
            };
            Ok(!request.headers.iter().any(is_close))
        }
        _ => Err(malformed("a request that is not one piece without a body")),
    }
}

/// Bytes of the response that begins here, head and body.
fn response_length(bytes: &[u8]) -> io::Result<usize> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    match response
        .parse(bytes)
        .map_err(|error| malformed(&error.to_string()))?
    {
        httparse::Status::Complete(head) => {
            let body = content_length(response.headers)?
                .ok_or_else(|| malformed("a response without Content-Length"))?;
            Ok(head + body)
        }
        httparse::Status::Partial => Err(malformed("a response head in pieces")),
    }
}

/// The body's length. Every field's name is looked at, as a proxy would.
fn content_length(fields: &[httparse::Header<'_>]) -> io::Result<Option<usize>> {
    let mut found = None;
    for field in fields {
        if field.name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(field.value).ok();
            let length = text.and_then(|text| text.parse().ok());
            found = Some(length.ok_or_else(|| malformed("a Content-Length that is no number"))?);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(malformed("a message with Transfer-Encoding"));
        }
    }
    Ok(found)
}

/// Idle connections, the one that came last first.
#[derive(Debug)]
pub struct Idle<T>(RefCell<Vec<T>>);

impl<T> Default for Idle<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<T> Idle<T> {
    /// The one that came last.
    pub fn take(&self) -> Option<T> {
        self.0.borrow_mut().pop()
    }

    /// Keeps one.
    pub fn give(&self, connection: T) {
        self.0.borrow_mut().push(connection);
    }
}

/// A buffer of the program's own, for runtimes that receive into what they are given, and how much of it is filled.
#[derive(Debug)]
pub struct OwnedChunk {
    /// The buffer. Its capacity, and for runtimes that want a slice its length, is the side's.
    pub bytes: Vec<u8>,
    /// How much of it was received.
    pub filled: usize,
}

impl AsRef<[u8]> for OwnedChunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

thread_local! {
    static SPARE: [Idle<Vec<u8>>; 2] = const { [Idle(RefCell::new(Vec::new())), Idle(RefCell::new(Vec::new()))] };
}

/// An unused buffer for what comes from `side`. Connections of one thread share them, so that only a connection that is
/// receiving holds one.
pub fn spare(side: Side) -> Vec<u8> {
    let known = SPARE.with(|spare| spare[side as usize].take());
    known.unwrap_or_else(|| Vec::with_capacity(side.buffer_bytes()))
}

/// Gives a buffer back that [`spare`] gave.
pub fn keep(buffer: Vec<u8>) {
    let side = if buffer.capacity() >= UPSTREAM_BYTES {
        Side::Upstream
    } else {
        Side::Downstream
    };
    SPARE.with(|spare| spare[side as usize].give(buffer));
}

/// What a program is told: `--listen ADDRESS --upstream ADDRESS --variant NAME`.
#[derive(Debug)]
pub struct Options {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where the origin is.
    pub upstream: SocketAddr,
    /// Which of the runtime's drivers or settings.
    pub variant: String,
}

impl Options {
    /// From the command line; ends the process with a text if it makes no sense.
    pub fn from_env() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let value = |name: &str| {
            let at = arguments.iter().position(|argument| argument == name);
            let value = at.and_then(|at| arguments.get(at + 1));
            value.unwrap_or_else(|| fail(&format!("{name} is missing")))
        };
        let address = |name: &str| {
            let text = value(name);
            text.parse()
                .unwrap_or_else(|error| fail(&format!("{name} {text}: {error}")))
        };
        Self {
            listen: address("--listen"),
            upstream: address("--upstream"),
            variant: value("--variant").clone(),
        }
    }

    /// The listening socket. Its connections send at once.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn listener(&self) -> io::Result<TcpListener> {
        let domain = Domain::for_address(self.listen);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        // Inherited by what is accepted.
        socket.set_tcp_nodelay(true)?;
        socket.bind(&self.listen.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    }
}

/// Ends the process with a text.
pub fn fail(text: &str) -> ! {
    eprintln!("{text}");
    std::process::exit(2);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_whole_and_without_a_body() {
        for good in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
        ] {
            assert!(keeps_connection(good.as_bytes()).expect(good));
        }
        let last = "GET / HTTP/1.1\r\nconnection: Close\r\n\r\n";
        assert!(!keeps_connection(last.as_bytes()).expect(last));
        for bad in [
            "GET / HTTP/1.1\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            "\0",
        ] {
            assert!(keeps_connection(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn responses_have_a_length() {
        let length = |text: &str| response_length(text.as_bytes()).ok();
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n";
        assert_eq!(length(head), Some(head.len() + 64));
        assert_eq!(length("HTTP/1.1 200 OK\r\n\r\n"), None);
        assert_eq!(length("HTTP/1.1 200 OK\r\nContent-Length: 6"), None);
    }
}
