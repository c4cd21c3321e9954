//! The small proxy on glommio. `--variant default`: glommio lets nobody choose its rings' flags.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutorBuilder, Placement};
use ringway_runtimes::{
    Connection, Idle, Options, OwnedChunk, Side, Upstreams, exchange, fail, keep, spare,
};

struct Socket {
    stream: TcpStream,
    side: Side,
}

impl Connection for Socket {
    type Chunk = OwnedChunk;

    async fn read(&mut self) -> io::Result<Option<OwnedChunk>> {
        let mut bytes = spare(self.side);
        // Costs something the first time only: the length stays.
        bytes.resize(self.side.buffer_bytes(), 0);
        match self.stream.read(&mut bytes).await? {
            0 => {
                keep(bytes);
                Ok(None)
            }
            filled => Ok(Some(OwnedChunk { bytes, filled })),
        }
    }

    async fn write(&mut self, chunk: OwnedChunk) -> io::Result<()> {
        let result = self.stream.write_all(chunk.as_ref()).await;
        keep(chunk.bytes);
        result
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
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let side = Side::Upstream;
        Ok(Socket { stream, side })
    }

    fn give(&self, connection: Socket) {
        self.idle.give(connection);
    }
}

async fn run(options: Options) -> io::Result<()> {
    let listener = TcpListener::bind(options.listen)?;
    let origin = Rc::new(Origin {
        address: options.upstream,
        idle: Idle::default(),
    });
    loop {
        let stream = listener.accept().await?;
        stream.set_nodelay(true)?;
        let origin = origin.clone();
        glommio::spawn_local(async move {
            let side = Side::Downstream;
            let mut down = Socket { stream, side };
            while exchange(&mut down, &*origin).await {}
        })
        .detach();
    }
}

fn main() {
    let options = Options::from_env();
    if options.variant != "default" {
        fail(&format!("no variant {}", options.variant));
    }
    // The harness has pinned this process.
    let executor = LocalExecutorBuilder::new(Placement::Unbound).make();
    let executor = executor.unwrap_or_else(|error| fail(&format!("glommio: {error}")));
    if let Err(error) = executor.run(run(options)) {
        fail(&format!("glommio: {error}"));
    }
}
