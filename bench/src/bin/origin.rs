//! The origin behind every measured proxy: one thread, one ring, answers made once and sent from where they lie.
//!
//! `GET /N` answers N bytes with a Content-Length, `GET /chunked` and `GET /chunked/N` answer in chunks. A request's
//! body is drained and checked against the pattern; a body that differs is answered 500, so that a proxy that
//! corrupts uploads fails the run. Anything else is 404.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::IntoRawFd;

use ringway_bench::args::{Args, fail};
use ringway_bench::http::{Kind, Part, Reader};
use ringway_bench::pattern::{self, Checker};
use ringway_bench::ring::{Buffers, Ring};
use socket2::{Domain, Protocol, Socket, Type};

/// Distinct answers kept; they are never freed.
const MAX_ANSWERS: usize = 64;
/// The longest body that is served.
const MAX_BODY: usize = 64 << 20;
/// Size of one chunk of a chunked answer.
const CHUNK: usize = 16 * 1024;

const ACCEPT: u64 = 1;
const RECEIVE: u64 = 2;
const SEND: u64 = 3;

struct Connection {
    fd: i32,
    reader: Reader,
    target: Option<&'static [u8]>,
    body_offset: u64,
    body_intact: bool,
    close: bool,
    queue: VecDeque<&'static [u8]>,
    sending: Option<&'static [u8]>,
    receiving: bool,
    ended: bool,
}

struct Origin {
    ring: Ring,
    buffers: Buffers,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    starved: Vec<usize>,
    answers: Answers,
    checker: Checker,
}

fn main() {
    let args = Args::from_env(&["port", "address"]);
    let port: u16 = args.get("port", 9000);
    let address: String = args.get("address", "127.0.0.1".to_owned());
    let address = format!("{address}:{port}")
        .parse()
        .unwrap_or_else(|error| fail(&format!("origin: address {address}: {error}")));
    if let Err(error) = run(address) {
        fail(&format!("origin: {error}"));
    }
}

fn run(address: SocketAddr) -> std::io::Result<()> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    // Inherited by every accepted socket.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    let listener = socket.into_raw_fd();

    let ring = Ring::new(1024)?;
    let buffers = Buffers::register(&ring, 0, 1024, 8 * 1024)?;
    let mut origin = Origin {
        ring,
        buffers,
        connections: Vec::new(),
        free: Vec::new(),
        starved: Vec::new(),
        answers: Answers::default(),
        checker: Checker::new(),
    };
    origin.ring.accept(listener, pack(ACCEPT, 0))?;
    loop {
        origin.ring.turn(None)?;
        while let Some(completion) = origin.ring.reap() {
            let (kind, index) = unpack(completion.user_data());
            match kind {
                ACCEPT => {
                    let armed = io_uring::cqueue::more(completion.flags());
                    if completion.result() >= 0 {
                        origin.accepted(completion.result())?;
                    }
                    if !armed {
                        origin.ring.accept(listener, pack(ACCEPT, 0))?;
                    }
                }
                RECEIVE => origin.received(index, &completion)?,
                _ => origin.sent(index, completion.result())?,
            }
        }
        origin.feed_starved()?;
    }
}

impl Origin {
    fn accepted(&mut self, fd: i32) -> std::io::Result<()> {
        let connection = Connection {
            fd,
            reader: Reader::new(Kind::Request),
            target: None,
            body_offset: 0,
            body_intact: true,
            close: false,
            queue: VecDeque::new(),
            sending: None,
            receiving: true,
            ended: false,
        };
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.connections.push(None);
                self.connections.len() - 1
            }
        };
        self.connections[index] = Some(connection);
        self.ring.receive(fd, &self.buffers, pack(RECEIVE, index))
    }

    fn received(
        &mut self,
        index: usize,
        completion: &io_uring::cqueue::Entry,
    ) -> std::io::Result<()> {
        let Some(connection) = &mut self.connections[index] else {
            return Ok(());
        };
        connection.receiving = io_uring::cqueue::more(completion.flags());
        let filled = self.buffers.take(completion);
        if completion.result() == -libc::ENOBUFS {
            self.starved.push(index);
            return Ok(());
        }
        if completion.result() <= 0 {
            connection.ended = true;
        }
        if let Some(filled) = filled {
            let answers = &mut self.answers;
            let checker = &self.checker;
            let bytes = self.buffers.bytes(&filled);
            // Split so that the reader and the connection's other fields are borrowed apart.
            let Connection {
                reader,
                target,
                body_offset,
                body_intact,
                close,
                queue,
                ..
            } = connection;
            let result = reader.feed(bytes, &mut |part| match part {
                Part::Head(bytes, head) => {
                    *close |= head.close;
                    *target = Some(answers.of(bytes));
                    (*body_offset, *body_intact) = (0, true);
                }
                Part::Body(bytes) => {
                    *body_intact &= checker.matches(*body_offset, bytes);
                    *body_offset += bytes.len() as u64;
                }
                Part::End => queue.push_back(match body_intact {
                    true => target.take().unwrap_or(NOT_FOUND),
                    false => CORRUPTED,
                }),
            });
            self.buffers.give_back(filled);
            if let Err(error) = result {
                eprintln!("origin: closing a connection: {error}");
                connection.ended = true;
            }
        }
        let rearm = !connection.receiving && !connection.ended;
        if rearm {
            connection.receiving = true;
            let fd = connection.fd;
            self.ring.receive(fd, &self.buffers, pack(RECEIVE, index))?;
        }
        self.advance(index)
    }

    fn sent(&mut self, index: usize, result: i32) -> std::io::Result<()> {
        let Some(connection) = &mut self.connections[index] else {
            return Ok(());
        };
        let bytes = connection.sending.take().unwrap_or_default();
        match usize::try_from(result) {
            Ok(sent) if sent < bytes.len() => connection.queue.push_front(&bytes[sent..]),
            Ok(_) => {}
            Err(_) => {
                connection.queue.clear();
                connection.ended = true;
            }
        }
        self.advance(index)
    }

    /// Sends the next answer, or ends the connection when all is done.
    fn advance(&mut self, index: usize) -> std::io::Result<()> {
        let Some(connection) = &mut self.connections[index] else {
            return Ok(());
        };
        if connection.sending.is_some() {
            return Ok(());
        }
        if let Some(bytes) = connection.queue.pop_front() {
            connection.sending = Some(bytes);
            // SAFETY: answers are never freed.
            return unsafe { self.ring.send(connection.fd, bytes, pack(SEND, index)) };
        }
        let finished = connection.close && connection.reader.is_between_messages();
        if (finished || connection.ended) && connection.receiving {
            // An armed receive keeps the socket open; shutting it down ends the receive with 0.
            // SAFETY: the descriptor is this connection's own.
            unsafe { libc::shutdown(connection.fd, libc::SHUT_RDWR) };
        } else if connection.ended {
            // SAFETY: nothing is in flight on this descriptor, which is this connection's own.
            unsafe { libc::close(connection.fd) };
            self.connections[index] = None;
            self.free.push(index);
        }
        Ok(())
    }

    /// Re-arms receives that ended because the buffers had run out.
    fn feed_starved(&mut self) -> std::io::Result<()> {
        for _ in 0..self.buffers.available().min(self.starved.len()) {
            let Some(index) = self.starved.pop() else {
                break;
            };
            // The slot may have been closed and reused since; then its receive is armed.
            if let Some(connection) = &mut self.connections[index]
                && !connection.receiving
            {
                connection.receiving = true;
                let fd = connection.fd;
                self.ring.receive(fd, &self.buffers, pack(RECEIVE, index))?;
            }
        }
        Ok(())
    }
}

const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\nnot found\n";
const CORRUPTED: &[u8] =
    b"HTTP/1.1 500 Body Differs\r\nContent-Length: 31\r\n\r\nthe body is not what was sent.\n";

/// The answers given so far, by request target.
#[derive(Default)]
struct Answers {
    by_target: HashMap<Box<[u8]>, &'static [u8]>,
}

impl Answers {
    fn of(&mut self, head: &[u8]) -> &'static [u8] {
        let target = head.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
        if let Some(answer) = self.by_target.get(target) {
            return answer;
        }
        let Some(answer) = render(target).filter(|_| self.by_target.len() < MAX_ANSWERS) else {
            return NOT_FOUND;
        };
        let answer = Box::leak(answer.into_boxed_slice());
        self.by_target.insert(target.into(), answer);
        answer
    }
}

fn render(target: &[u8]) -> Option<Vec<u8>> {
    let path = std::str::from_utf8(target).ok()?.strip_prefix('/')?;
    let common = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n";
    let size = |text: &str| text.parse().ok().filter(|&size| size <= MAX_BODY);
    if let Some(rest) = path.strip_prefix("chunked") {
        let size = match rest {
            "" => 64,
            _ => size(rest.strip_prefix('/')?)?,
        };
        let mut answer = format!("{common}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
        for chunk in pattern::bytes(size).chunks(CHUNK) {
            answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            answer.extend_from_slice(chunk);
            answer.extend_from_slice(b"\r\n");
        }
        answer.extend_from_slice(b"0\r\n\r\n");
        return Some(answer);
    }
    let size = size(path)?;
    let mut answer = format!("{common}Content-Length: {size}\r\n\r\n").into_bytes();
    answer.extend_from_slice(&pattern::bytes(size));
    Some(answer)
}

fn pack(kind: u64, index: usize) -> u64 {
    kind << 56 | index as u64
}

fn unpack(user_data: u64) -> (u64, usize) {
    (user_data >> 56, (user_data & 0xFFFF_FFFF) as usize)
}
