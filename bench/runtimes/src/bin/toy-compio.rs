//! The small proxy on compio. `--variant default`, `defer` (DEFER_TASKRUN and SINGLE_ISSUER), `managed` (the same, and
//! receiving into the runtime's own provided buffers), or `polling` (epoll).

use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::rc::Rc;

use compio::BufResult;
use compio::driver::{BufferRef, DriverType, ProactorBuilder};
use compio::io::{AsyncRead, AsyncReadManaged, AsyncWriteExt};
use compio::net::{TcpListener, TcpStream};
use compio::runtime::RuntimeBuilder;
use ringway_runtimes::{
    Connection, Idle, Options, OwnedChunk, POOLED_BUFFERS, Side, UPSTREAM_BYTES, Upstreams,
    exchange, fail, keep, spare,
};

struct Socket {
    stream: TcpStream,
    side: Side,
    is_managed: bool,
}

enum Chunk {
    Own(OwnedChunk),
    Managed(BufferRef),
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        match self {
            Chunk::Own(chunk) => chunk.as_ref(),
            Chunk::Managed(buffer) => buffer,
        }
    }
}

impl Connection for Socket {
    type Chunk = Chunk;

    async fn read(&mut self) -> io::Result<Option<Chunk>> {
        if self.is_managed {
            // 0: as much as a buffer holds.
            match self.stream.read_managed(0).await {
                // Every buffer is in use: one of the program's own then.
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
                result => return Ok(result?.map(Chunk::Managed)),
            }
        }
        let mut bytes = spare(self.side);
        bytes.clear();
        let BufResult(result, bytes) = self.stream.read(bytes).await;
        match result? {
            0 => {
                keep(bytes);
                Ok(None)
            }
            filled => Ok(Some(Chunk::Own(OwnedChunk { bytes, filled }))),
        }
    }

    async fn write(&mut self, chunk: Chunk) -> io::Result<()> {
        match chunk {
            Chunk::Own(chunk) => {
                // What was received is all that the vector holds.
                let BufResult(result, bytes) = self.stream.write_all(chunk.bytes).await;
                keep(bytes);
                result
            }
            Chunk::Managed(buffer) => self.stream.write_all(buffer).await.0,
        }
    }
}

struct Origin {
    address: SocketAddr,
    idle: Idle<Socket>,
    is_managed: bool,
}

impl Upstreams for Origin {
    type Connection = Socket;

    async fn take(&self) -> io::Result<Socket> {
        if let Some(socket) = self.idle.take() {
            return Ok(socket);
        }
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(Socket {
            stream,
            side: Side::Upstream,
            is_managed: self.is_managed,
        })
    }

    fn give(&self, connection: Socket) {
        self.idle.give(connection);
    }
}

async fn run(options: Options) -> io::Result<()> {
    let listener = TcpListener::from_std(options.listener()?)?;
    let origin = Rc::new(Origin {
        address: options.upstream,
        idle: Idle::default(),
        is_managed: options.variant == "managed",
    });
    loop {
        let (stream, _) = listener.accept().await?;
        let origin = origin.clone();
        compio::runtime::spawn(async move {
            let mut down = Socket {
                stream,
                side: Side::Downstream,
                is_managed: origin.is_managed,
            };
            while exchange(&mut down, &*origin).await {}
        })
        .detach();
    }
}

fn main() {
    let options = Options::from_env();
    let mut proactor = ProactorBuilder::new();
    match &*options.variant {
        "default" => {}
        "defer" => {
            proactor.single_issuer(true).defer_taskrun(true);
        }
        "managed" => {
            proactor.single_issuer(true).defer_taskrun(true);
            // One pool for both sides.
            let buffers = NonZero::new(2 * POOLED_BUFFERS).unwrap_or(NonZero::<u16>::MIN);
            proactor.buffer_pool_size(buffers);
            proactor.buffer_pool_buffer_len(UPSTREAM_BYTES);
        }
        "polling" => {
            proactor.driver_type(DriverType::Poll);
        }
        other => fail(&format!("no variant {other}")),
    }
    let runtime = RuntimeBuilder::new().with_proactor(proactor).build();
    let runtime = runtime.unwrap_or_else(|error| fail(&format!("compio: {error}")));
    if let Err(error) = runtime.block_on(run(options)) {
        fail(&format!("compio: {error}"));
    }
}
