//! The small proxy on Ringway's own reactor. `--variant uring` or `epoll`.
//!
//! As in the proxy itself an idle client is parked: it has no task and no buffer until its next bytes come.

use std::io;
use std::rc::Rc;

use ringway::io::{Address, Chunk, Handle, Instant, ParkedId, Reactor, ReactorConfig, Stream};
use ringway_runtimes::{Connection, Idle, Options, Upstreams, exchange, fail};

struct Socket(Stream);

impl Connection for Socket {
    type Chunk = Bytes;

    async fn read(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(chunk) = self.0.take() {
                return Ok(Some(Bytes(chunk)));
            }
            if !self.0.readable().await? {
                return Ok(None);
            }
        }
    }

    async fn write(&mut self, chunk: Bytes) -> io::Result<()> {
        // The reactor owns what is queued; it leaves at the end of the turn.
        self.0.queue(chunk.0);
        self.0.ready().await
    }
}

struct Bytes(Chunk);

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

struct Origin {
    handle: Handle,
    address: Address,
    idle: Idle<ParkedId>,
}

impl Upstreams for Origin {
    type Connection = Socket;

    async fn take(&self) -> io::Result<Socket> {
        while let Some(id) = self.idle.take() {
            if let Some(stream) = self.handle.unpark(id) {
                return Ok(Socket(stream));
            }
        }
        self.handle.connect(&self.address).await.map(Socket)
    }

    fn give(&self, connection: Socket) {
        self.idle.give(connection.0.park_upstream(Instant::NEVER));
    }
}

async fn work(first: Stream, origin: Rc<Origin>) {
    let mut stream = Socket(first);
    loop {
        if exchange(&mut stream, &*origin).await {
            stream.0.park_downstream(Instant::NEVER);
        }
        stream = Socket(origin.handle.next_ready().await);
    }
}

fn main() {
    let options = Options::from_env();
    let driver = options.variant.parse();
    let config = ReactorConfig {
        driver: driver.unwrap_or_else(|error| fail(&format!("--variant: {error}"))),
        ..ReactorConfig::default()
    };
    let reactor = Reactor::new(&config);
    let mut reactor = reactor.unwrap_or_else(|error| fail(&error.to_string()));
    let handle = reactor.handle();
    let listener = options.listener();
    handle.listen(listener.unwrap_or_else(|error| fail(&error.to_string())), 0);
    let origin = Rc::new(Origin {
        handle: handle.clone(),
        address: options.upstream.into(),
        idle: Idle::default(),
    });
    reactor.run_until(async move {
        let starter = origin.clone();
        handle.spawn(async move {
            loop {
                let stream = starter.handle.next_unserved().await;
                starter.handle.spawn(work(stream, starter.clone()));
            }
        });
        loop {
            let accepted = handle.accept().await;
            handle.adopt(accepted).park_downstream(Instant::NEVER);
        }
    });
}
