//! One connection to one server, which is one session: what is asked is answered in order, and in between the server
//! tells which watched nodes changed.
//!
//! ```text
//!  ask ──► requests ──► write_all ──────────► server
//!   ▲                      └─ open answers ─┐    │
//!   └──────────── answers ◄─────────────────┴────┤
//!                 signals ◄──────── notices ─────┘
//! ```
//!
//! A connection that breaks off ends its session, and with it its watches: whoever connects anew lists again. So no
//! change can fall between two connections, which watches that a client restores lose ([ZOOKEEPER-4698]).
//!
//! [ZOOKEEPER-4698]: https://issues.apache.org/jira/browse/ZOOKEEPER-4698

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::wire::{self, Code, Found, Notice, Op, Read, Reader, ReplyHeader};
use super::{TIMEOUT, ZooKeeperSettings};
use crate::provider::kv::address::Address;
use crate::provider::kv::signals::{Range, Signals};
use crate::provider::kv::store::{Failure, Revision, StoreError};

/// Nodes that are read at once.
const BATCH: usize = 1000;

/// Bytes of the paths that are asked for at once: well below what a server takes (`jute.maxbuffer`, 1 MiB).
const BATCH_BYTES: usize = 256 << 10;

/// A connection; clones share it. It ends with the last one.
#[derive(Clone)]
pub(crate) struct Link {
    requests: mpsc::UnboundedSender<Request>,
    shared: Arc<Shared>,
    pub(crate) signals: Arc<Signals>,
    /// How long nothing may be sent.
    pub(crate) ping_every: Duration,
    /// For messages: `zookeeper at 127.0.0.1:2181`.
    name: Arc<str>,
}

/// What a connection's task tells its owners.
#[derive(Default)]
struct Shared {
    /// The newest transaction that the server told of.
    newest: AtomicU64,
    /// Nodes that are watched, with everything below them.
    watched: Mutex<BTreeSet<String>>,
    /// Why the connection broke off, once it did.
    reason: Mutex<Option<String>>,
}

/// A request that waits to be sent: its bytes, once it has its number.
struct Request {
    bytes: Box<dyn FnOnce(i32) -> Vec<u8> + Send>,
    answer: Answer,
}

type Answer = oneshot::Sender<(ReplyHeader, Vec<u8>)>;

/// A node as it is.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Vec<u8>,
    pub(crate) has_children: bool,
}

impl Link {
    /// Begins a session.
    pub(crate) async fn open(
        address: &Address,
        settings: &ZooKeeperSettings,
    ) -> Result<Self, StoreError> {
        let name: Arc<str> = format!("zookeeper at {address}").into();
        let unavailable = |what: &str| {
            let text = format!("{name}: {what}");
            StoreError::new(Failure::Unavailable, text)
        };
        let opened = timeout(TIMEOUT, shake_hands(address, settings, &name)).await;
        let (stream, session) = opened.map_err(|_| unavailable("no answer in time"))??;
        let (reading, writing) = stream.into_split();
        // Not limited: whoever asks waits for the answer, so there are as many requests as askers.
        let (requests, requested) = mpsc::unbounded_channel();
        // As servers expect it: silent for a third, dead after two thirds.
        let link = Self {
            requests,
            shared: Arc::default(),
            signals: Arc::default(),
            ping_every: session / 3,
            name,
        };
        let (shared, signals) = (link.shared.clone(), link.signals.clone());
        tokio::spawn(async move {
            let open = Mutex::new(VecDeque::new());
            let reason = tokio::select! {
                reason = receive(reading, &open, &shared, &signals, session * 2 / 3) => match reason {
                    Ok(never) => match never {},
                    Err(reason) => reason,
                },
                reason = send(writing, requested, &open, session / 3) => reason,
            };
            *lock(&shared.reason) = Some(reason);
            signals.broken();
            // Whoever waits for an answer hears that there is none when `open` ends.
        });
        Ok(link)
    }

    /// The newest transaction that the server told of.
    pub(crate) fn newest(&self) -> Revision {
        Revision(self.shared.newest.load(Ordering::Relaxed))
    }

    /// What to say when the connection broke off.
    pub(crate) fn broken(&self) -> StoreError {
        let reason = lock(&self.shared.reason).clone();
        let reason = reason.unwrap_or_else(|| "it was ended".to_owned());
        let text = format!("{}: the connection broke off: {reason}", self.name);
        StoreError::new(Failure::Unavailable, text)
    }

    /// Waits until the server knows what the leader knows now.
    pub(crate) async fn sync(&self) -> Result<(), StoreError> {
        let (code, _) = self.ask(|xid| wire::sync(xid, "/")).await?;
        self.accepted(code, "sync", "/")
    }

    /// Watches the nodes of all scopes that somebody has use for, and no others.
    pub(crate) async fn cover(&self) -> Result<(), StoreError> {
        let live = self.signals.live();
        let wanted: BTreeSet<String> = live.iter().map(|own| node_of(&own.range)).collect();
        let watched = lock(&self.shared.watched).clone();
        for path in wanted.difference(&watched) {
            let own = path.clone();
            let (code, _) = self.ask(move |xid| wire::add_watch(xid, &own)).await?;
            self.accepted(code, "addWatch", path)?;
            lock(&self.shared.watched).insert(path.clone());
        }
        for path in watched.difference(&wanted) {
            lock(&self.shared.watched).remove(path);
            let own = path.clone();
            let (code, _) = self.ask(move |xid| wire::remove_watches(xid, &own)).await?;
            if code != Code::NO_WATCHER {
                self.accepted(code, "removeWatches", path)?;
            }
        }
        Ok(())
    }

    /// Reads nodes; `None`: there is no such node.
    pub(crate) async fn read(
        &self,
        paths: &[&str],
        mut found: impl FnMut(&str, Option<Node>),
    ) -> Result<(), StoreError> {
        let reads: Vec<Read<'_>> = paths.iter().map(|path| Read::Data(path)).collect();
        self.read_all(&reads, |path, part| match part {
            Some(Found::Data {
                value,
                has_children,
            }) => found(
                path,
                Some(Node {
                    value,
                    has_children,
                }),
            ),
            _ => found(path, None),
        })
        .await
    }

    /// Reads the names of nodes' children.
    pub(crate) async fn children(
        &self,
        paths: &[&str],
        mut found: impl FnMut(&str, Vec<String>),
    ) -> Result<(), StoreError> {
        let reads: Vec<Read<'_>> = paths.iter().map(|path| Read::Children(path)).collect();
        self.read_all(&reads, |path, part| {
            if let Some(Found::Children(names)) = part {
                found(path, names);
            }
        })
        .await
    }

    async fn read_all(
        &self,
        reads: &[Read<'_>],
        mut found: impl FnMut(&str, Option<Found>),
    ) -> Result<(), StoreError> {
        let path_of = |read: &Read<'_>| match *read {
            Read::Data(path) | Read::Children(path) => path.len(),
        };
        let mut rest = reads;
        while !rest.is_empty() {
            let mut bytes = 0;
            let many = rest.iter().take(BATCH).take_while(|read| {
                bytes += path_of(read);
                bytes <= BATCH_BYTES
            });
            let many = many.count().max(1);
            let (batch, later) = rest.split_at(many);
            rest = later;
            // The request is written by the connection's task, with its number in its place.
            let message = wire::multi_read(0, batch);
            let (code, body) = self.ask(move |xid| numbered(message, xid)).await?;
            let first = match batch[0] {
                Read::Data(path) | Read::Children(path) => path,
            };
            self.accepted(code, "multiRead", first)?;
            let parts = Reader::new(&body).found().ok();
            let parts = parts.filter(|parts| parts.len() == batch.len());
            let parts = parts.ok_or_else(|| self.unclear())?;
            for (read, part) in batch.iter().zip(parts) {
                let (Read::Data(path) | Read::Children(path)) = *read;
                match part {
                    Found::Error(Code::NO_NODE) => found(path, None),
                    Found::Error(code) => self.accepted(code, "reading", path)?,
                    part => found(path, Some(part)),
                }
            }
        }
        Ok(())
    }

    async fn ask(
        &self,
        bytes: impl FnOnce(i32) -> Vec<u8> + Send + 'static,
    ) -> Result<(Code, Vec<u8>), StoreError> {
        let (answer, answered) = oneshot::channel();
        let bytes = Box::new(bytes);
        // If the task has ended, so has `answer`.
        let _ = self.requests.send(Request { bytes, answer });
        let (header, body) = answered.await.map_err(|_| self.broken())?;
        Ok((header.code, body))
    }

    fn unclear(&self) -> StoreError {
        let text = format!("{}: the answer is not understood", self.name);
        StoreError::new(Failure::Unavailable, text)
    }

    fn accepted(&self, code: Code, what: &str, path: &str) -> Result<(), StoreError> {
        if code == Code::OK {
            return Ok(());
        }
        Err(failed(&self.name, code, &format!("{what} {path}")))
    }
}

/// The node that is watched for a range.
fn node_of(range: &Range) -> String {
    match range.prefix().trim_end_matches('/') {
        "" => "/".to_owned(),
        path => path.to_owned(),
    }
}

/// A request with another number.
fn numbered(mut message: Vec<u8>, xid: i32) -> Vec<u8> {
    message[4..8].copy_from_slice(&xid.to_be_bytes());
    message
}

/// What a server's error means.
fn failed(name: &str, code: Code, what: &str) -> StoreError {
    let (failure, meaning) = match code {
        Code::NO_AUTH => (
            Failure::Refused,
            "not allowed; the node's ACL must let providers.zooKeeper.username (digest) read it",
        ),
        Code::AUTH_FAILED | Code::NEEDS_SASL => (
            Failure::Refused,
            "the server wants another authentication than digest, or none of this user's",
        ),
        Code::UNIMPLEMENTED => (
            Failure::Refused,
            "the server does not know this request; ZooKeeper 3.6 or later is needed",
        ),
        Code::BAD_ARGUMENTS => (
            Failure::Refused,
            "this is no path of a node; check providers.zooKeeper.rootKey and aliasKey",
        ),
        _ => (Failure::Unavailable, "the server reports an error"),
    };
    StoreError::new(
        failure,
        format!("{name}: {what}: {meaning} (code {})", code.0),
    )
}

/// Connects, and begins a session as the user; gives how long the server lets it be silent.
async fn shake_hands(
    address: &Address,
    settings: &ZooKeeperSettings,
    name: &str,
) -> Result<(TcpStream, Duration), StoreError> {
    let broken = |error: std::io::Error| {
        let why = match error.kind() {
            // As a server does that has no quorum, or too many clients.
            std::io::ErrorKind::UnexpectedEof => "the server ended the connection".to_owned(),
            _ => error.to_string(),
        };
        StoreError::new(Failure::Unavailable, format!("{name}: {why}"))
    };
    let unclear = |_| {
        let text = format!("{name}: the answer is not ZooKeeper's");
        StoreError::new(Failure::Unavailable, text)
    };
    let host = (&*address.host, address.port);
    let mut stream = TcpStream::connect(host).await.map_err(broken)?;
    // What is asked for is small and waited for.
    stream.set_nodelay(true).map_err(broken)?;
    let wanted = i32::try_from(settings.session_timeout.as_millis()).unwrap_or(i32::MAX);
    let hello = wire::connect(wanted);
    stream.write_all(&hello).await.map_err(broken)?;
    let welcome = message(&mut stream).await.map_err(broken)?;
    let welcome = Reader::new(&welcome).welcome().map_err(unclear)?;
    let session = u64::try_from(welcome.timeout_ms).unwrap_or_default();
    if session == 0 {
        let text = format!("{name}: the server begins no session");
        return Err(StoreError::new(Failure::Unavailable, text));
    }
    if !settings.username.is_empty() {
        let proof = format!("{}:{}", settings.username, settings.password.reveal());
        let auth = wire::auth("digest", proof.as_bytes());
        stream.write_all(&auth).await.map_err(broken)?;
        let answer = message(&mut stream).await.map_err(broken)?;
        let header = Reader::new(&answer).header().map_err(unclear)?;
        if header.code != Code::OK {
            return Err(failed(name, header.code, "addAuth"));
        }
    }
    Ok((stream, Duration::from_millis(session)))
}

/// One message. Only while nobody else reads.
async fn message(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u32().await? as usize;
    if length > wire::MAX_MESSAGE {
        return Err(std::io::Error::other("the answer is not ZooKeeper's"));
    }
    let mut message = Vec::new();
    stream.take(length as u64).read_to_end(&mut message).await?;
    Ok(message)
}

type Open = Mutex<VecDeque<(i32, Answer)>>;

/// Sends what is asked, or a sign of life after a silence. Ends when nobody can ask any more, or with the connection.
async fn send(
    mut stream: OwnedWriteHalf,
    mut requests: mpsc::UnboundedReceiver<Request>,
    open: &Open,
    ping_every: Duration,
) -> String {
    let mut xid = 0_i32;
    loop {
        let bytes = match timeout(ping_every, requests.recv()).await {
            Ok(Some(request)) => {
                // Numbers below zero mean something else.
                xid = xid.checked_add(1).unwrap_or(1);
                lock(open).push_back((xid, request.answer));
                (request.bytes)(xid)
            }
            Ok(None) => {
                // Otherwise the server would keep the session until it times out.
                let _ = stream.write_all(&wire::bare(0, Op::Close)).await;
                return "it was ended".to_owned();
            }
            Err(_) => wire::bare(wire::XID_PING, Op::Ping),
        };
        if let Err(error) = stream.write_all(&bytes).await {
            return error.to_string();
        }
    }
}

/// Hands on what the server says, for as long as it says something.
async fn receive(
    mut stream: OwnedReadHalf,
    open: &Open,
    shared: &Shared,
    signals: &Signals,
    patience: Duration,
) -> Result<Infallible, String> {
    let unclear = |_| "the answer is not understood".to_owned();
    let mut buffer = Vec::new();
    loop {
        let mut used = 0;
        while let Some(length) = wire::complete(&buffer[used..]).map_err(unclear)? {
            let message = &buffer[used + 4..used + 4 + length];
            used += 4 + length;
            let mut reader = Reader::new(message);
            let header = reader.header().map_err(unclear)?;
            if header.xid == wire::XID_EVENT {
                notice(reader.notice().map_err(unclear)?, signals);
                continue;
            }
            // Whatever it says of the present, everything before it was told already.
            let zxid = u64::try_from(header.zxid).unwrap_or_default();
            shared.newest.fetch_max(zxid, Ordering::Relaxed);
            if header.xid == wire::XID_PING {
                continue;
            }
            let asked = lock(open).pop_front();
            match asked {
                Some((xid, answer)) if xid == header.xid => {
                    // Who asked may not wait any more.
                    let _ = answer.send((header, message[16..].to_vec()));
                }
                _ => return Err("an answer to nothing that was asked".to_owned()),
            }
        }
        buffer.drain(..used);
        if buffer.is_empty() {
            // A long answer is seldom followed by another.
            buffer.shrink_to(1 << 16);
        }
        buffer.reserve(1 << 14);
        let read = timeout(patience, stream.read_buf(&mut buffer)).await;
        let read = read.map_err(|_| format!("nothing was heard for {patience:?}"))?;
        match read {
            Ok(0) => return Err("the server ended it".to_owned()),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn notice(notice: Notice, signals: &Signals) {
    match notice {
        Notice::Born(path) => {
            signals.changed(path.as_bytes());
            // A node without value counts unless it has children.
            if let Some((parent, _)) = path.rsplit_once('/') {
                signals.changed(parent.as_bytes());
            }
        }
        Notice::Written(path) => signals.changed(path.as_bytes()),
        Notice::Other => signals.lose_track(),
    }
}

/// Nothing that holds a lock here can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
