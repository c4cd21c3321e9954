//! The small proxy on monoio. `--variant default`, `defer` (io_uring with DEFER_TASKRUN and SINGLE_ISSUER through
//! `uring_builder`), `readable` (the same, and clients wait without a buffer) or `legacy` (epoll).

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{ListenerOpts, TcpListener, TcpStream};
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};
use ringway_runtimes::{
    Connection, Idle, Options, OwnedChunk, Side, Upstreams, exchange, fail, keep, spare,
};

struct Socket {
    stream: TcpStream,
    side: Side,
    /// Whether a buffer is taken only when there is something to receive.
    waits: bool,
}

impl Connection for Socket {
    type Chunk = OwnedChunk;

    async fn read(&mut self) -> io::Result<Option<OwnedChunk>> {
        if self.waits {
            self.stream.readable(false).await?;
        }
        let (result, bytes) = self.stream.read(spare(self.side)).await;
        match result? {
            0 => {
                keep(bytes);
                Ok(None)
            }
            filled => Ok(Some(OwnedChunk { bytes, filled })),
        }
    }

    async fn write(&mut self, chunk: OwnedChunk) -> io::Result<()> {
        // What was received is all that the vector holds.
        let (result, bytes) = self.stream.write_all(chunk.bytes).await;
        keep(bytes);
        result.map(drop)
    }
}

struct Origin {
    address: SocketAddr,
    idle: Idle<Socket>,
}

impl Upstreams for Origin {
    type Connection = Socket;

    async fn take(&self) -> io::Result<Socket> {
        if let Some(socket) = self.idle.take() {
            return Ok(socket);
        }
        let stream = TcpStream::connect_addr(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(Socket {
            stream,
            side: Side::Upstream,
            waits: false,
        })
    }

    fn give(&self, connection: Socket) {
        self.idle.give(connection);
    }
}

async fn run(options: Options) -> io::Result<()> {
    // Its own way: whether a listener blocks depends on the driver.
    let listener = TcpListener::bind_with_config(
        options.listen,
        &ListenerOpts::new().backlog(ringway_runtimes::BACKLOG),
    )?;
    let origin = Rc::new(Origin {
        address: options.upstream,
        idle: Idle::default(),
    });
    let waits = options.variant == "readable";
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let origin = origin.clone();
        monoio::spawn(async move {
            let mut down = Socket {
                stream,
                side: Side::Downstream,
                waits,
            };
            while exchange(&mut down, &*origin).await {}
        });
    }
}

fn main() {
    let options = Options::from_env();
    let result = match &*options.variant {
        "legacy" => RuntimeBuilder::<LegacyDriver>::new()
            .build()
            .and_then(|mut runtime| runtime.block_on(run(options))),
        variant => {
            let mut ring = io_uring::IoUring::builder();
            match variant {
                "default" => {}
                "defer" | "readable" => {
                    ring.setup_single_issuer().setup_defer_taskrun();
                }
                other => fail(&format!("no variant {other}")),
            }
            RuntimeBuilder::<IoUringDriver>::new()
                .uring_builder(ring)
                .build()
                .and_then(|mut runtime| runtime.block_on(run(options)))
        }
    };
    if let Err(error) = result {
        fail(&format!("monoio: {error}"));
    }
}
