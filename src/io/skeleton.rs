//! First version of the interface: signatures only, replaced file by file.
use super::*;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

type Local = PhantomData<*const ()>;
fn missing() -> ! {
    panic!("the reactor is not built yet")
}

#[derive(Debug)]
pub struct StartError(String);
impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for StartError {}

/// The seed and parameters of a simulated network.
#[derive(Clone, Debug, Default)]
pub struct SimNet {
    pub seed: u64,
}

pub struct Reactor(Local);
impl Reactor {
    pub fn new(config: &ReactorConfig) -> Result<Reactor, StartError> {
        missing()
    }
    pub fn simulated(config: &ReactorConfig, net: SimNet) -> Reactor {
        missing()
    }
    pub fn handle(&self) -> Handle {
        missing()
    }
    pub fn run_until<F: Future>(&mut self, main: F) -> F::Output {
        missing()
    }
}

#[derive(Clone)]
pub struct Handle(Local);
impl Handle {
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        missing()
    }
    pub fn now(&self) -> Instant {
        missing()
    }
    pub fn wall(&self) -> SystemTime {
        missing()
    }
    pub fn random(&self) -> u64 {
        missing()
    }
    pub fn sleep_until(&self, at: Instant) -> Sleep {
        missing()
    }
    pub fn sleep(&self, time: Duration) -> Sleep {
        missing()
    }
    pub fn timeout<F: Future>(&self, at: Instant, future: F) -> Timeout<F> {
        missing()
    }
    /// Lets other runnable tasks run first.
    pub fn yield_now(&self) -> impl Future<Output = ()> {
        std::future::ready(())
    }
    pub fn listen(&self, listener: std::net::TcpListener, tag: u32) -> ListenerId {
        missing()
    }
    /// Binds and listens on `addr`, also in a simulated network.
    pub fn listen_at(&self, addr: SocketAddr, tag: u32) -> io::Result<ListenerId> {
        missing()
    }
    pub fn listener_addr(&self, id: ListenerId) -> Option<SocketAddr> {
        missing()
    }
    pub fn close_listener(&self, id: ListenerId) {
        missing()
    }
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Accepted> {
        missing()
    }
    pub fn accept(&self) -> impl Future<Output = Accepted> {
        std::future::poll_fn(|cx| self.poll_accept(cx))
    }
    /// A downstream stream from an accepted connection (of this or another shard) or a std `TcpStream`.
    pub fn adopt(&self, accepted: impl Into<Accepted>) -> Stream {
        missing()
    }
    /// An upstream stream from a connected socket.
    pub fn adopt_upstream(&self, socket: OwnedFd) -> Stream {
        missing()
    }
    pub fn connect(&self, to: &Address) -> Connect {
        missing()
    }
    pub fn notifier(&self) -> Notifier {
        missing()
    }
    pub fn notified(&self) -> impl Future<Output = ()> {
        std::future::ready(())
    }
    pub fn poll_notified(&self, cx: &mut Context<'_>) -> Poll<()> {
        missing()
    }
    pub fn buffer(&self) -> Buffer {
        missing()
    }
    pub fn downstream_connections(&self) -> u64 {
        missing()
    }
    pub fn stats(&self) -> &Stats {
        missing()
    }
    /// The next parked downstream connection that received bytes; the worker that waited last gets it.
    pub fn next_ready(&self) -> NextReady {
        missing()
    }
    /// As `next_ready`, but served only when no worker waits in `next_ready`: for whoever starts workers.
    pub fn next_unserved(&self) -> NextReady {
        missing()
    }
    /// Workers that wait in `next_ready` now.
    pub fn waiting_workers(&self) -> usize {
        missing()
    }
    pub fn unpark(&self, id: ParkedId) -> Option<Stream> {
        missing()
    }
    pub fn is_parked(&self, id: ParkedId) -> bool {
        missing()
    }
    pub fn close_parked(&self, id: ParkedId) {
        missing()
    }
    pub fn close_idle_downstream(&self) -> usize {
        missing()
    }
}

pub struct Sleep(Local);
impl Future for Sleep {
    type Output = ();
    fn poll(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        missing()
    }
}
pub struct Timeout<F>(Local, PhantomData<F>);
impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;
    fn poll(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        missing()
    }
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;
pub struct Connect(Local);
impl Future for Connect {
    type Output = io::Result<Stream>;
    fn poll(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        missing()
    }
}
pub struct NextReady(Local);
impl Future for NextReady {
    type Output = Stream;
    fn poll(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        missing()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(u32, u32);
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParkedId(u32, u32);

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    Inet(SocketAddr),
    Unix(PathBuf),
    Abstract(Vec<u8>),
}
impl From<SocketAddr> for Address {
    fn from(addr: SocketAddr) -> Self {
        Address::Inet(addr)
    }
}

/// An accepted connection without any operation on it; `Send`.
#[derive(Debug)]
pub struct Accepted {
    pub(super) fd: OwnedFd,
    pub(super) tag: u32,
    pub(super) peer: Option<SocketAddr>,
}
impl Accepted {
    /// The tag of the listener.
    pub fn tag(&self) -> u32 {
        self.tag
    }
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }
}
impl From<std::net::TcpStream> for Accepted {
    fn from(stream: std::net::TcpStream) -> Self {
        missing()
    }
}

#[derive(Clone, Debug)]
pub struct Notifier(());
impl Notifier {
    pub fn notify(&self) {
        missing()
    }
}

#[derive(Clone)]
pub struct Chunk(Local);
impl Chunk {
    pub const fn empty() -> Chunk {
        Chunk(PhantomData)
    }
    pub const fn from_static(bytes: &'static [u8]) -> Chunk {
        Chunk(PhantomData)
    }
    pub fn from_vec(bytes: Vec<u8>) -> Chunk {
        missing()
    }
    pub fn len(&self) -> usize {
        missing()
    }
    pub fn is_empty(&self) -> bool {
        missing()
    }
    /// Takes off the first `n` bytes (all, if there are fewer).
    pub fn split_to(&mut self, n: usize) -> Chunk {
        missing()
    }
    pub fn advance(&mut self, n: usize) {
        missing()
    }
    pub fn truncate(&mut self, n: usize) {
        missing()
    }
}
impl std::ops::Deref for Chunk {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        missing()
    }
}

pub struct Buffer(Local);
impl Buffer {
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        missing()
    }
    pub fn push(&mut self, byte: u8) {
        missing()
    }
    pub fn reserve(&mut self, n: usize) {
        missing()
    }
    pub fn len(&self) -> usize {
        missing()
    }
    pub fn is_empty(&self) -> bool {
        missing()
    }
    pub fn spare_len(&self) -> usize {
        missing()
    }
    pub fn truncate(&mut self, n: usize) {
        missing()
    }
    pub fn clear(&mut self) {
        missing()
    }
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        missing()
    }
    pub fn freeze(self) -> Chunk {
        missing()
    }
}
impl std::ops::Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        missing()
    }
}
impl io::Write for Buffer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        missing()
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub struct Stream(Local);
impl Stream {
    pub fn handle(&self) -> Handle {
        missing()
    }
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        missing()
    }
    pub fn local_addr(&self) -> Option<SocketAddr> {
        missing()
    }
    pub fn tag(&self) -> u64 {
        missing()
    }
    pub fn set_tag(&self, tag: u64) {
        missing()
    }
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        missing()
    }
    pub async fn readable(&self) -> io::Result<bool> {
        std::future::poll_fn(|cx| self.poll_readable(cx)).await
    }
    pub fn take(&self) -> Option<Chunk> {
        missing()
    }
    pub fn unread(&self, chunk: Chunk) {
        missing()
    }
    pub fn inbox_len(&self) -> usize {
        missing()
    }
    pub fn queue(&self, chunk: Chunk) {
        missing()
    }
    /// Copies bytes behind what is queued (into the last queued buffer if it has room).
    pub fn queue_slice(&self, bytes: &[u8]) {
        missing()
    }
    pub fn queued_len(&self) -> usize {
        missing()
    }
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        missing()
    }
    pub async fn ready(&self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_ready(cx)).await
    }
    pub fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        missing()
    }
    pub async fn flushed(&self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_flushed(cx)).await
    }
    pub fn set_deadline(&self, at: Option<Instant>) {
        missing()
    }
    pub fn bulk(&self, on: bool) {
        missing()
    }
    pub fn shutdown_write(&self) {
        missing()
    }
    pub fn is_clean(&self) -> bool {
        missing()
    }
    /// EOF or an error has arrived (bytes may still wait in the inbox).
    pub fn is_ended(&self) -> bool {
        missing()
    }
    /// Bytes handed to the kernel so far.
    pub fn bytes_sent(&self) -> u64 {
        missing()
    }
    /// Bytes the peer's kernel has acknowledged (a system call: for watchdogs, not per request).
    pub fn bytes_acknowledged(&self) -> u64 {
        missing()
    }
    pub fn close_gracefully(self) {
        missing()
    }
    pub fn abort(self) {
        missing()
    }
    pub fn park_downstream(self, deadline: Instant) {
        missing()
    }
    pub fn park_upstream(self, deadline: Instant) -> ParkedId {
        missing()
    }
}

/// tokio's I/O traits over a stream (for `h2`); not tokio's reactor.
pub struct TokioStream(Stream);
impl TokioStream {
    pub fn new(stream: Stream) -> Self {
        Self(stream)
    }
    pub fn get_ref(&self) -> &Stream {
        &self.0
    }
    pub fn into_inner(self) -> Stream {
        self.0
    }
}
impl tokio::io::AsyncRead for TokioStream {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        missing()
    }
}
impl tokio::io::AsyncWrite for TokioStream {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        missing()
    }
    fn poll_flush(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        missing()
    }
    fn poll_shutdown(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        missing()
    }
}
