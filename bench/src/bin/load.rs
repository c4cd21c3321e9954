//! The load generator: closed loop, one thread, no retries; every failure is counted, none is hidden.
//!
//! Each connection sends one request, waits for its complete response, and sends the next. The result is one line of
//! JSON on standard output. With `--pid`, it includes what those processes' threads consumed during the measured
//! time, so that CPU and requests are counted over the same window.
//!
//! | option | meaning (default) |
//! |---|---|
//! | `--target ADDRESS:PORT` | where to connect; repeated: in turn |
//! | `--source ADDRESS` | local address; repeated: in turn |
//! | `--mode` | `keepalive`, `connect` (one connection per request) or `idle` (`keepalive`) |
//! | `--connections N`, `--window N` | how many (64); how many may be opening at once (128) |
//! | `--method`, `--path`, `--body BYTES`, `--header 'Name: value'` | the request (`GET /64`) |
//! | `--host PATTERN`, `--hosts FILE` | its host, or many, drawn at random: `h{0..9999}.test`, or one per line |
//! | `--duration SECONDS`, `--warmup SECONDS`, `--requests N` | how long (2, 0), or how many instead |
//! | `--until-stdin true` | until standard input ends; each line on it prints the requests so far |
//! | `--expect STATUS`, `--verify true` | which status is right (200); compare bodies with the pattern |
//! | `--pid PID` | account for this process's threads; repeated: all |
//! | `--seed N` | of the hosts' order |

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::time::{Duration, Instant};

use io_uring::types::Fd;
use io_uring::{cqueue, opcode};
use ringway_bench::args::{Args, fail};
use ringway_bench::counts::Counts;
use ringway_bench::cpu;
use ringway_bench::histogram::Histogram;
use ringway_bench::http::{Kind, Part, Reader};
use ringway_bench::pattern::Checker;
use ringway_bench::request;
use ringway_bench::ring::{Buffers, Ring};
use socket2::{Protocol, SockAddr, Socket, Type};

const USAGE: &[&str] = &[
    "target",
    "source",
    "mode",
    "method",
    "path",
    "body",
    "host",
    "hosts",
    "header",
    "expect",
    "connections",
    "window",
    "requests",
    "duration",
    "warmup",
    "verify",
    "pid",
    "seed",
    "until-stdin",
];

const CONNECT: u64 = 1;
const RECEIVE: u64 = 2;
const SEND: u64 = 3;
const STDIN: u64 = 4;

/// How often the clock is looked at when nothing completes.
const TICK: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Connections live for the whole run.
    KeepAlive,
    /// One connection per request, which says `Connection: close`.
    Connect,
    /// One request per connection, which is then held open until standard input ends.
    Idle,
}

struct Connection {
    fd: i32,
    reader: Reader,
    started: Instant,
    request: usize,
    sent: usize,
    sending: bool,
    receiving: bool,
    /// A request is on its way and its response is not complete.
    waiting: bool,
    /// An idle connection whose request has been answered.
    held: bool,
    /// The socket is to be closed as soon as nothing is in flight.
    closing: bool,
    announced_close: bool,
    body_offset: u64,
}

struct Load {
    ring: Ring,
    buffers: Buffers,
    connections: Vec<Connection>,
    starved: Vec<usize>,
    /// Connections that are to be opened.
    to_open: Vec<usize>,
    opening: usize,
    window: usize,
    targets: Vec<SockAddr>,
    sources: Vec<SockAddr>,
    opened: usize,
    requests: Vec<Vec<u8>>,
    random: u64,
    mode: Mode,
    expect: u16,
    checker: Option<Checker>,
    counts: Counts,
    histogram: Histogram,
    first_errors: Vec<String>,
    limit: u64,
    issued: u64,
    /// Requests that have been answered or lost.
    settled: u64,
    held: usize,
    stopping: bool,
}

fn main() {
    let args = Args::from_env(USAGE);
    if let Err(error) = run(&args) {
        fail(&format!("load: {error}"));
    }
}

fn run(args: &Args) -> io::Result<()> {
    let seconds = |name, default| Duration::from_secs_f64(args.get(name, default));
    let (warmup, duration) = (seconds("warmup", 0.0), seconds("duration", 2.0));
    let pids: Vec<u32> = args
        .all("pid")
        .iter()
        .map(|pid| {
            pid.parse()
                .unwrap_or_else(|_| fail("load: --pid: not a number"))
        })
        .collect();
    let mut load = Load::new(args)?;
    if args.get("until-stdin", false) {
        load.stop_at_stdin()?;
    }
    let start = Instant::now();
    let mut measured_from = start;
    let mut before = cpu::snapshot(&pids);
    let mut warming = !warmup.is_zero();

    loop {
        let now = Instant::now();
        if warming && now - start >= warmup {
            warming = false;
            before = cpu::snapshot(&pids);
            load.counts.begin();
            load.histogram.clear();
            measured_from = Instant::now();
        }
        let finished = match load.mode {
            _ if load.stopping => true,
            Mode::Idle => false,
            _ if load.limit > 0 => load.settled >= load.limit,
            _ => !warming && now - measured_from >= duration,
        };
        if finished {
            break;
        }
        load.open_some()?;
        load.ring.turn(Some(TICK))?;
        load.drain()?;
    }
    let elapsed = measured_from.elapsed();
    let used = cpu::difference(&before, &cpu::snapshot(&pids));
    let output = load
        .counts
        .report(elapsed, &load.histogram, &load.first_errors, &used);
    io::stdout().write_all(output.as_bytes())
}

impl Load {
    fn new(args: &Args) -> io::Result<Load> {
        let mode = match args.text("mode").unwrap_or("keepalive") {
            "keepalive" => Mode::KeepAlive,
            "connect" => Mode::Connect,
            "idle" => Mode::Idle,
            other => fail(&format!(
                "load: --mode {other:?}: keepalive, connect or idle"
            )),
        };
        let addresses = |name: &str, port: &str| -> Vec<SockAddr> {
            args.all(name)
                .iter()
                .map(|text| match format!("{text}{port}").parse::<SocketAddr>() {
                    Ok(address) => address.into(),
                    Err(error) => fail(&format!("load: --{name} {text:?}: {error}")),
                })
                .collect()
        };
        let targets = addresses("target", "");
        if targets.is_empty() {
            fail("load: --target ADDRESS:PORT is required");
        }
        let count: usize = args.get("connections", 64);
        let ring = Ring::new(4096)?;
        let buffers = Buffers::register(&ring, 0, 1024, 16 * 1024)?;
        let now = Instant::now();
        Ok(Load {
            ring,
            buffers,
            connections: (0..count).map(|_| Connection::new(now)).collect(),
            starved: Vec::new(),
            to_open: (0..count).rev().collect(),
            opening: 0,
            window: args.get("window", 128),
            targets,
            sources: addresses("source", ":0"),
            opened: 0,
            requests: request::from_args(args, mode == Mode::Connect)?,
            random: args.get("seed", 0x9E37_79B9_7F4A_7C15_u64) | 1,
            mode,
            expect: args.get("expect", 200),
            checker: args.get("verify", false).then(Checker::new),
            counts: Counts::default(),
            histogram: Histogram::new(),
            first_errors: Vec::new(),
            limit: match mode {
                Mode::Idle => count as u64,
                _ => args.get("requests", 0),
            },
            issued: 0,
            settled: 0,
            held: 0,
            stopping: false,
        })
    }

    /// Opens connections, a bounded number at a time, so that no listen queue overflows.
    fn open_some(&mut self) -> io::Result<()> {
        while self.opening < self.window
            && (self.limit == 0 || self.issued < self.limit)
            && let Some(index) = self.to_open.pop()
        {
            let target = &self.targets[self.opened % self.targets.len()];
            let socket = Socket::new(target.domain(), Type::STREAM.cloexec(), Some(Protocol::TCP))?;
            socket.set_tcp_nodelay(true)?;
            if !self.sources.is_empty() {
                bind_address_no_port(&socket)?;
                socket.bind(&self.sources[self.opened % self.sources.len()])?;
            }
            self.opened += 1;
            self.opening += 1;
            let connection = &mut self.connections[index];
            *connection = Connection::new(Instant::now());
            connection.fd = socket.into_raw_fd();
            self.counts.connects += 1;
            let connect =
                opcode::Connect::new(Fd(connection.fd), target.as_ptr().cast(), target.len());
            let entry = connect.build().user_data(pack(CONNECT, index));
            // SAFETY: `targets` lives unchanged as long as the ring is used.
            unsafe { self.ring.push(entry)? };
        }
        Ok(())
    }

    fn drain(&mut self) -> io::Result<()> {
        while let Some(completion) = self.ring.reap() {
            let index = (completion.user_data() & 0xFFFF_FFFF) as usize;
            match completion.user_data() >> 56 {
                CONNECT => self.connected(index, completion.result())?,
                RECEIVE => self.received(index, &completion)?,
                SEND => self.sent(index, completion.result())?,
                _ => self.stdin_ready()?,
            }
        }
        for _ in 0..self.buffers.available().min(self.starved.len()) {
            let Some(index) = self.starved.pop() else {
                break;
            };
            let connection = &self.connections[index];
            if connection.fd >= 0 && !connection.receiving && !connection.closing {
                self.arm(index)?;
            }
        }
        Ok(())
    }

    fn arm(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        connection.receiving = true;
        self.ring
            .receive(connection.fd, &self.buffers, pack(RECEIVE, index))
    }

    fn connected(&mut self, index: usize, result: i32) -> io::Result<()> {
        let connection = &mut self.connections[index];
        if self.mode != Mode::Idle {
            self.opening -= 1;
        }
        if result < 0 {
            connection.waiting = true;
            self.issued += 1;
            self.counts.connect_errors += 1;
            self.note("connect", result);
            return self.close(index);
        }
        self.arm(index)?;
        self.request(index)
    }

    /// Sends the next request on a connection, unless enough have been sent.
    fn request(&mut self, index: usize) -> io::Result<()> {
        if self.limit > 0 && self.issued >= self.limit {
            return Ok(());
        }
        self.issued += 1;
        let connection = &mut self.connections[index];
        if self.requests.len() > 1 {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            connection.request = (self.random % self.requests.len() as u64) as usize;
        }
        if self.mode != Mode::Connect {
            // A new connection's request counts from the start of its connect.
            connection.started = Instant::now();
        }
        connection.waiting = true;
        connection.sending = true;
        connection.sent = 0;
        connection.body_offset = 0;
        let bytes = self.requests[connection.request].as_slice();
        // SAFETY: `requests` lives unchanged as long as the ring is used.
        unsafe { self.ring.send(connection.fd, bytes, pack(SEND, index)) }
    }

    fn sent(&mut self, index: usize, result: i32) -> io::Result<()> {
        let connection = &mut self.connections[index];
        connection.sending = false;
        if connection.closing {
            return self.close(index);
        }
        let Ok(sent) = usize::try_from(result) else {
            self.counts.io_errors += 1;
            self.note("send", result);
            return self.close(index);
        };
        connection.sent += sent;
        let bytes = self.requests[connection.request].as_slice();
        if connection.sent < bytes.len() {
            connection.sending = true;
            let rest = &bytes[connection.sent..];
            // SAFETY: `requests` lives unchanged as long as the ring is used.
            return unsafe { self.ring.send(connection.fd, rest, pack(SEND, index)) };
        }
        // A response that overtook the end of its request has held the next one back until now.
        if !connection.waiting && self.mode == Mode::KeepAlive {
            return self.next(index);
        }
        Ok(())
    }

    fn received(&mut self, index: usize, completion: &cqueue::Entry) -> io::Result<()> {
        let connection = &mut self.connections[index];
        connection.receiving = cqueue::more(completion.flags());
        let filled = self.buffers.take(completion);
        if completion.result() == -libc::ENOBUFS {
            self.starved.push(index);
            return Ok(());
        }
        if connection.closing {
            if let Some(filled) = filled {
                self.buffers.give_back(filled);
            }
            return self.close(index);
        }
        if completion.result() <= 0 {
            if let Some(filled) = filled {
                self.buffers.give_back(filled);
            }
            return self.ended(index, completion.result());
        }
        let Some(filled) = filled else {
            return Ok(());
        };
        let mut complete = 0;
        let mut status = 0;
        let mut body_bytes = 0;
        let mut intact = true;
        let Connection {
            reader,
            body_offset,
            announced_close,
            ..
        } = connection;
        let result = reader.feed(self.buffers.bytes(&filled), &mut |part| match part {
            Part::Head(_, head) => {
                status = head.status;
                *announced_close = head.close;
            }
            Part::Body(bytes) => {
                if let Some(checker) = &self.checker {
                    intact &= checker.matches(*body_offset, bytes);
                }
                *body_offset += bytes.len() as u64;
                body_bytes += bytes.len() as u64;
            }
            Part::End => complete += 1,
        });
        self.buffers.give_back(filled);
        self.counts.body_bytes += body_bytes;
        if status != 0 && status != self.expect {
            self.counts.unexpected_status += 1;
            self.note("status", i32::from(status));
        } else if !intact {
            self.counts.body_mismatches += 1;
        }
        if let Err(error) = result {
            return self.broken(index, &error);
        }
        if !self.connections[index].receiving {
            self.arm(index)?;
        }
        match complete {
            0 => Ok(()),
            1 if self.connections[index].waiting => self.complete(index),
            _ => self.broken(index, "a response that nothing asked for"),
        }
    }

    fn broken(&mut self, index: usize, error: &str) -> io::Result<()> {
        self.counts.bad_responses += 1;
        if self.first_errors.len() < 5 {
            self.first_errors.push(error.to_owned());
        }
        self.close(index)
    }

    /// A response is complete.
    fn complete(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        connection.waiting = false;
        let nanos = connection.started.elapsed().as_nanos();
        self.histogram
            .record(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.counts.requests += 1;
        if self.mode == Mode::Idle {
            self.connections[index].held = true;
            self.held += 1;
            return self.settle();
        }
        self.settle()?;
        if self.mode == Mode::KeepAlive && !self.connections[index].sending {
            return self.next(index);
        }
        Ok(())
    }

    /// After a complete exchange on a keep-alive connection.
    fn next(&mut self, index: usize) -> io::Result<()> {
        if self.connections[index].announced_close {
            self.counts.announced_closes += 1;
            return self.close(index);
        }
        self.request(index)
    }

    /// The peer ended the connection.
    fn ended(&mut self, index: usize, result: i32) -> io::Result<()> {
        let connection = &mut self.connections[index];
        if connection.waiting && connection.reader.ends_at_close() && result == 0 {
            connection.waiting = false;
            self.counts.requests += 1;
            self.settle()?;
        } else if connection.waiting && result < 0 {
            self.counts.io_errors += 1;
            self.note("receive", result);
        } else if connection.waiting {
            self.counts.short_responses += 1;
            self.note("end of stream before the response", result);
        } else if connection.held {
            self.counts.idle_lost += 1;
        }
        self.close(index)
    }

    /// Closes a connection once nothing is in flight on it; a closed one is opened anew unless it was idle.
    fn close(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        connection.closing = true;
        if connection.receiving || connection.sending {
            // SAFETY: the descriptor is this connection's own; this ends what is in flight.
            unsafe { libc::shutdown(connection.fd, libc::SHUT_RDWR) };
            return Ok(());
        }
        // SAFETY: nothing is in flight on this descriptor.
        unsafe { libc::close(connection.fd) };
        connection.fd = -1;
        let lost = std::mem::take(&mut connection.waiting);
        if self.mode != Mode::Idle {
            self.to_open.push(index);
        }
        match lost {
            true => self.settle(),
            false => Ok(()),
        }
    }

    /// A request has been answered or lost.
    fn settle(&mut self) -> io::Result<()> {
        self.settled += 1;
        if self.mode != Mode::Idle {
            return Ok(());
        }
        // An idle connection keeps its place in the window until its request is settled.
        self.opening -= 1;
        match self.settled == self.limit {
            true => self.announce_idle(),
            false => Ok(()),
        }
    }

    /// A line on standard input asks for the number of requests so far; its end asks for the report.
    fn stdin_ready(&mut self) -> io::Result<()> {
        if io::stdin().read(&mut [0; 64])? == 0 {
            self.stopping = true;
            return Ok(());
        }
        println!("{{\"requests\": {}}}", self.counts.requests);
        io::stdout().flush()?;
        self.stop_at_stdin()
    }

    /// Tells the caller that all idle connections stand, and waits for standard input to say or end anything.
    fn announce_idle(&mut self) -> io::Result<()> {
        println!(
            "{{\"idle\": {}, \"failed\": {}}}",
            self.held,
            self.counts.failed()
        );
        io::stdout().flush()?;
        self.stop_at_stdin()
    }

    /// Watches standard input: its end ends the run.
    fn stop_at_stdin(&mut self) -> io::Result<()> {
        let entry = opcode::PollAdd::new(Fd(0), (libc::POLLIN | libc::POLLHUP) as u32).build();
        // SAFETY: a poll points to no memory.
        unsafe { self.ring.push(entry.user_data(pack(STDIN, 0))) }
    }

    fn note(&mut self, what: &str, result: i32) {
        if self.first_errors.len() < 5 {
            let text = match result {
                ..0 => io::Error::from_raw_os_error(-result).to_string(),
                _ => result.to_string(),
            };
            self.first_errors.push(format!("{what}: {text}"));
        }
    }
}

impl Connection {
    fn new(now: Instant) -> Connection {
        Connection {
            fd: -1,
            reader: Reader::new(Kind::Response),
            started: now,
            request: 0,
            sent: 0,
            sending: false,
            receiving: false,
            waiting: false,
            held: false,
            closing: false,
            announced_close: false,
            body_offset: 0,
        }
    }
}

/// Lets the kernel choose the port at connect (`IP_BIND_ADDRESS_NO_PORT`), where only the four-tuple must be unique.
fn bind_address_no_port(socket: &Socket) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option's value is an int that outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn pack(kind: u64, index: usize) -> u64 {
    kind << 56 | index as u64
}
