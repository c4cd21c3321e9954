//! Clients: each sends its asks over as many connections as it takes, and judges what comes back.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use ringway::io::{Address, Handle, Stream};

use super::book::Book;
use super::gate::Gate;
use super::message::{Framing, Head, Reader, Trouble, content, encode, queue};
use super::origin::{TUNNEL, client_framing};
use super::scenario::{Ask, Body, Break, ClientPlan, Ending, Flaw, Garbage};

/// Longest wait for an answer: three attempts of dialling and of origins that went silent.
const PATIENCE: Duration = Duration::from_secs(500);
/// Pause within a PROXY header.
const SPLIT_PAUSE: Duration = Duration::from_millis(5);
/// How long a client waits for the word to send its body.
const EXPECTATION: Duration = Duration::from_millis(400);

/// Runs client `number` to its end.
pub async fn run(io: Handle, book: Rc<Book>, number: usize, proxy: SocketAddr) {
    let plan = &book.scenario.clients[number];
    io.sleep(plan.start).await;
    if let Some(garbage) = &plan.garbage {
        speak_garbage(&io, &book, proxy, garbage).await;
    }
    let (mut next, mut failures) = (0, 0);
    while next < plan.asks.len() && failures < 4 {
        match io.connect(&Address::Inet(proxy)).await {
            Ok(stream) => next = Talk::new(&io, &book, stream, number).run(next).await,
            Err(error) if book.scenario.calm => {
                book.violate(format!("a client cannot connect: {error}"));
                break;
            }
            Err(_) => {
                failures += 1;
                io.sleep(Duration::from_millis(20)).await;
            }
        }
    }
    book.clients.set(book.clients.get() - 1);
}

async fn speak_garbage(io: &Handle, book: &Book, proxy: SocketAddr, garbage: &Garbage) {
    let Ok(stream) = io.connect(&Address::Inet(proxy)).await else {
        return;
    };
    queue(&stream, &garbage.bytes);
    if garbage.ends {
        stream.shutdown_write();
    }
    let mut reader = Reader::default();
    let listen = async {
        match reader.head(&stream).await {
            Ok(head) if garbage.unanswered => {
                book.violate(format!("a broken PROXY header is answered {head:?}"));
            }
            Ok(head) if head.status().is_some_and(|status| status >= 400) => {
                let framing = head.framing(true).unwrap_or(Framing::UntilClose);
                let _ = reader.skip(&stream, framing).await;
                expect_end(book, &stream, &mut reader, "garbage").await;
            }
            Ok(head) => book.violate(format!("garbage is answered {head:?}")),
            Err(Trouble::Wrong(what)) => book.violate(format!("garbage is answered with {what}")),
            Err(_) => {}
        }
    };
    if io.timeout(io.now() + PATIENCE, listen).await.is_err() {
        book.violate("garbage is not answered".into());
    }
}

/// Nothing may come but the connection's end.
async fn expect_end(book: &Book, stream: &Stream, reader: &mut Reader, what: &str) {
    while reader.rest().is_empty() {
        if reader.more(stream).await.is_err() {
            return;
        }
    }
    let rest = reader.rest().escape_ascii().to_string();
    book.violate(format!("surplus bytes after the answer to {what}: {rest}"));
}

/// One connection of a client.
pub(super) struct Talk {
    io: Handle,
    pub(super) book: Rc<Book>,
    number: usize,
    stream: Stream,
    state: Gate<State>,
    /// The configuration in force when an ask was begun.
    steps: RefCell<Vec<usize>>,
    /// Which connection this is, for those that tell an address.
    introduced: u32,
}

#[derive(Clone, Copy, Default)]
struct State {
    /// Asks that the writer has begun, counted from the client's first.
    begun: usize,
    /// Asks that were answered.
    answered: usize,
    /// The ask whose body the server wants, plus one.
    wanted: usize,
    /// The tunnel is open.
    joined: bool,
    /// The writer shall end.
    stop: bool,
    /// The writer has ended.
    written: bool,
    /// The client breaks off.
    reset: bool,
}

/// What becomes of the connection after an answer.
enum After {
    Next,
    End,
}

impl Talk {
    fn new(io: &Handle, book: &Rc<Book>, stream: Stream, number: usize) -> Rc<Talk> {
        let asks = book.scenario.clients[number].asks.len();
        let introduced = book.introduced.get() + 1;
        book.introduced.set(introduced);
        Rc::new(Talk {
            introduced,
            io: io.clone(),
            book: book.clone(),
            number,
            stream,
            state: Gate::default(),
            steps: RefCell::new(vec![0; asks]),
        })
    }

    pub(super) fn plan(&self) -> &ClientPlan {
        &self.book.scenario.clients[self.number]
    }

    /// The configuration in force when ask `n` was begun.
    pub(super) fn step_of(&self, n: usize) -> usize {
        self.steps.borrow()[n]
    }

    /// Whether the client has broken off.
    pub(super) fn has_reset(&self) -> bool {
        self.state.get().reset
    }

    /// Whom the proxy should take for the sender.
    fn sender(&self) -> IpAddr {
        let told = self.plan().introduction.address(self.introduced);
        let believed = self.book.scenario.introduces == Some(true);
        told.filter(|_| believed)
            .unwrap_or(Ipv4Addr::LOCALHOST.into())
    }

    /// Says whom the connection is from, where the plan has it so; false if that failed.
    async fn introduce(&self) -> bool {
        let (first, rest) = self.plan().introduction.bytes(self.introduced);
        if first.is_empty() && rest.is_empty() {
            return true;
        }
        if !first.is_empty() && !self.send(&first, usize::MAX).await {
            return false;
        }
        if !first.is_empty() {
            self.io.sleep(SPLIT_PAUSE).await;
        }
        // What follows may come in one piece with a request.
        queue(&self.stream, &rest);
        true
    }

    pub(super) fn ask(&self, n: usize) -> (usize, &Ask) {
        let id = self.plan().asks[n];
        (id, &self.book.scenario.asks[id])
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.get();
        change(&mut state);
        self.state.set(state);
    }

    /// Sends asks from number `first` on; returns which is the next for another connection.
    async fn run(self: Rc<Talk>, first: usize) -> usize {
        self.update(|state| (state.begun, state.answered) = (first, first));
        let writer = self.clone();
        self.io.spawn(async move {
            writer.write(first).await;
            writer.update(|state| state.written = true);
        });
        let patient = self.read(first);
        if self
            .io
            .timeout(self.io.now() + PATIENCE * 8, patient)
            .await
            .is_err()
        {
            self.book.violate("a connection does not end".into());
        }
        self.update(|state| state.stop = true);
        self.state.until(|state| state.written).await;
        let next = self.state.get().begun.max(first + 1);
        let reset = self.state.get().reset || self.plan().ending == Ending::Reset;
        if let Some(talk) = Rc::into_inner(self) {
            if reset {
                talk.stream.abort();
            } else {
                talk.stream.close_gracefully();
            }
        }
        next
    }

    /// The future's result, unless the writer is told to end before.
    async fn unless_stopped<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            if self.state.poll(cx, |state| state.stop).is_ready() {
                return Poll::Ready(None);
            }
            future.as_mut().poll(cx).map(Some)
        })
        .await
    }

    async fn write(&self, first: usize) {
        let depth = self.plan().depth;
        if !self.introduce().await {
            return;
        }
        for n in first..self.plan().asks.len() {
            self.state
                .until(|state| state.stop || n < state.answered + depth)
                .await;
            if self.state.get().stop {
                return;
            }
            self.steps.borrow_mut()[n] = self.book.step.get();
            self.update(|state| state.begun = n + 1);
            let (id, ask) = self.ask(n);
            self.book.sends(id, self.sender());
            let (head, mut body) = (request(id, ask), Vec::new());
            encode(ask.body, id as u64, &mut body);
            if self.book.scenario.flaw == Some(Flaw::AnsweredTwice) {
                body.extend_from_slice(&[&head[..], &body[..]].concat());
            }
            let cut = ask.cut.filter(|(at, _)| *at < head.len() + body.len());
            let at = cut.map_or(usize::MAX, |(at, _)| at);
            let whole = self.send(&head, at).await
                && self.is_wanted(n, ask).await
                && self.send(&body, at.saturating_sub(head.len())).await;
            if let (false, Some((_, how))) = (self.state.get().stop, cut) {
                return self.break_off(how);
            }
            if !whole {
                return;
            }
            if let Some(tunnel) = ask.tunnel {
                self.state
                    .until(|state| state.stop || state.joined || state.answered > n)
                    .await;
                if self.state.get().joined {
                    let bytes = content(TUNNEL + id as u64, tunnel.bytes);
                    if self.send(&bytes, usize::MAX).await {
                        self.break_off(if tunnel.reset {
                            Break::Reset
                        } else {
                            Break::End
                        });
                    }
                    return;
                }
            }
            if ask.closes || ask.old {
                return;
            }
        }
        if self.plan().ending == Ending::EarlyHalfClose {
            self.stream.shutdown_write();
        }
    }

    /// Sends up to `most` of some bytes; false if the connection failed or the writer shall end.
    async fn send(&self, bytes: &[u8], most: usize) -> bool {
        for piece in bytes[..bytes.len().min(most)].chunks(8_000) {
            queue(&self.stream, piece);
            if !matches!(self.unless_stopped(self.stream.ready()).await, Some(Ok(()))) {
                return false;
            }
        }
        matches!(
            self.unless_stopped(self.stream.flushed()).await,
            Some(Ok(()))
        )
    }

    /// Waits for the word to send a body, where one was asked for.
    async fn is_wanted(&self, n: usize, ask: &Ask) -> bool {
        if ask.expects {
            let word = self
                .state
                .until(|state| state.stop || state.wanted > n || state.answered > n);
            let _ = self.io.timeout(self.io.now() + EXPECTATION, word).await;
        }
        let state = self.state.get();
        !state.stop && (!ask.expects || state.answered <= n)
    }

    fn break_off(&self, how: Break) {
        match how {
            Break::End => self.stream.shutdown_write(),
            Break::Reset => self.update(|state| state.reset = true),
            Break::Silence => {}
        }
    }

    /// What a reading future gives, unless it takes too long or the client breaks off.
    async fn patiently<T>(
        &self,
        what: &str,
        future: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        let mut future = pin!(future);
        let race = poll_fn(|cx| {
            if self.state.poll(cx, |state| state.reset).is_ready() {
                return Poll::Ready(Err(Trouble::Ended));
            }
            future.as_mut().poll(cx)
        });
        match self.io.timeout(self.io.now() + PATIENCE, race).await {
            Ok(result) => result,
            Err(_) => {
                self.book
                    .violate(format!("a client waits for {what} for ever"));
                Err(Trouble::Ended)
            }
        }
    }

    async fn read(&self, first: usize) {
        let mut reader = Reader::slow(self.plan().slow);
        for n in first..self.plan().asks.len() {
            self.state
                .until(|state| state.written || state.begun > n)
                .await;
            if self.state.get().begun <= n {
                break;
            }
            let after = self.response(&mut reader, n).await;
            self.update(|state| state.answered = n + 1);
            if matches!(after, After::End) {
                return;
            }
        }
        if self.state.get().reset {
            return;
        }
        let patience = match self.plan().ending {
            Ending::HalfClose | Ending::EarlyHalfClose => {
                self.stream.shutdown_write();
                PATIENCE
            }
            Ending::Idle => Duration::from_secs(3),
            Ending::Close | Ending::Reset => Duration::ZERO,
        };
        let end = expect_end(&self.book, &self.stream, &mut reader, "the last request");
        let ended = self.io.timeout(self.io.now() + patience, end).await.is_ok();
        if !ended && patience == PATIENCE {
            self.book
                .violate("a connection that the client ended stays open".into());
        }
    }

    /// Reads and judges the response to ask `n`.
    async fn response(&self, reader: &mut Reader, n: usize) -> After {
        let (id, ask) = self.ask(n);
        let head = loop {
            let what = format!("the response to request {id}");
            match self.patiently(&what, reader.head(&self.stream)).await {
                Ok(head) if head.status() == Some(101) => {
                    return self.tunnel(reader, n, &head).await;
                }
                Ok(head) if head.status().is_some_and(|status| status < 200) => {
                    self.interim(n, &head)
                }
                Ok(head) => break head,
                Err(Trouble::Wrong(what)) => {
                    self.book
                        .violate(format!("request {id} is answered with {what}"));
                    return After::End;
                }
                Err(trouble) => {
                    // A request may meet the end of its idle connection, and a client that has ended its
                    // direction counts as gone until its response begins.
                    let swept = self.book.swept.get() && self.book.times_seen(id) == 0;
                    let ending = self.plan().ending;
                    let gone = ending == Ending::EarlyHalfClose && self.state.get().written;
                    if !(swept || gone) || !reader.rest().is_empty() {
                        self.missing(id, &trouble);
                    }
                    return After::End;
                }
            }
        };
        let (Some(status), Ok(framing)) = (head.status(), head.framing(true)) else {
            self.book
                .violate(format!("request {id} is answered {head:?}"));
            return After::End;
        };
        let framing = client_framing(ask, status, framing);
        let verdict = self.judge(n, status, &head);
        let result = match (framing, verdict.owner) {
            (None, _) => Ok(None),
            (Some(framing), None) => self
                .patiently("a page", reader.skip(&self.stream, framing))
                .await
                .map(|_| None),
            (Some(framing), Some(owner)) => {
                let body = reader.body(&self.stream, framing, owner);
                self.patiently(&format!("the body of response {id}"), body)
                    .await
                    .map(Some)
            }
        };
        match result {
            Ok(len) => self.judge_len(n, &verdict, len),
            Err(Trouble::Wrong(what)) => {
                self.book
                    .violate(format!("the response to request {id}: {what}"));
                return After::End;
            }
            Err(trouble) => {
                self.missing(id, &trouble);
                return After::End;
            }
        }
        if head.closes() || ask.old || framing == Some(Framing::UntilClose) {
            let end = async {
                expect_end(&self.book, &self.stream, reader, &format!("request {id}")).await;
                Ok(())
            };
            let _ = self.patiently("the connection's end", end).await;
            return After::End;
        }
        After::Next
    }

    fn interim(&self, n: usize, head: &Head) {
        let (id, ask) = self.ask(n);
        let known = match head.status() {
            Some(100) => ask.expects,
            Some(103) if self.is_shifted(id, head) => true,
            Some(103) => {
                let planned = match head.get("x-page") {
                    None => ask.answer.interim,
                    Some(_) => ask.answer.page.interim,
                };
                head.get("x-id") == Some(&id.to_string()) && planned > 0
            }
            _ => false,
        };
        if !known || ask.old {
            self.book.violate(format!(
                "request {id} is answered with the interim {head:?}"
            ));
        }
        self.update(|state| state.wanted = n + 1);
    }

    /// The protocol was switched.
    async fn tunnel(&self, reader: &mut Reader, n: usize, head: &Head) -> After {
        let (id, ask) = self.ask(n);
        let book = &self.book;
        if self.is_shifted(id, head) {
            return After::End;
        }
        let Some(tunnel) = ask
            .tunnel
            .filter(|_| head.get("x-id") == Some(&id.to_string()))
        else {
            book.violate(format!("request {id} is answered {head:?}"));
            return After::End;
        };
        book.tunnels.set(book.tunnels.get() + 1);
        self.update(|state| state.joined = true);
        let body = reader.body(&self.stream, Framing::UntilClose, TUNNEL + id as u64);
        let troubled =
            tunnel.cut.is_some() || tunnel.reset || book.scenario.net.rates.are_harmful();
        match self.patiently("a tunnel's end", body).await {
            Err(Trouble::Wrong(what)) => book.violate(format!("tunnel {id}: {what}")),
            Ok(len) if !troubled && len != tunnel.bytes => {
                book.violate(format!(
                    "tunnel {id} brings {len} bytes of {}",
                    tunnel.bytes
                ));
            }
            Ok(len) if len > tunnel.bytes => book.violate(format!("tunnel {id} brings too much")),
            Err(trouble) if !troubled => book.violate(format!("tunnel {id} fails: {trouble:?}")),
            Ok(_) | Err(_) => {}
        }
        After::End
    }
}

/// An ask's head.
fn request(id: usize, ask: &Ask) -> Vec<u8> {
    let version = if ask.old { "1.0" } else { "1.1" };
    let mut head = format!(
        "{} /r{}/{id} HTTP/{version}\r\nHost: a.test\r\nX-Id: {id}\r\n",
        ask.method, ask.router
    );
    if let Some(credentials) = ask.credentials.text() {
        head += &format!("Authorization: {credentials}\r\n");
    }
    match ask.body {
        Body::Length(len) => head += &format!("Content-Length: {len}\r\n"),
        Body::Chunked(..) => head += "Transfer-Encoding: chunked\r\n",
        Body::None | Body::UntilClose(_) => {}
    }
    let fields = [
        (ask.expects, "Expect: 100-continue\r\n"),
        (ask.keyed, "Idempotency-Key: k\r\n"),
        (
            ask.spoofs,
            "X-Forwarded-For: 192.0.2.9\r\nx-real-ip: 192.0.2.9\r\n",
        ),
        (
            ask.tunnel.is_some(),
            "Upgrade: echo\r\nConnection: Upgrade\r\n",
        ),
        (ask.closes && ask.tunnel.is_none(), "Connection: close\r\n"),
    ];
    fields
        .iter()
        .filter(|(wanted, _)| *wanted)
        .for_each(|(_, field)| head += field);
    head += "\r\n";
    head.into_bytes()
}
