//! Origins that do exactly what a test says: each connection runs a script on its own thread.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::client::field;

/// The shortest answer with a body.
pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An origin and what it has seen.
pub struct Origin {
    pub addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which connection, from 0.
    pub connection: usize,
    /// Head, CRLFs included.
    pub head: String,
    /// Body, decoded.
    pub body: Vec<u8>,
    /// Trailer lines.
    pub trailers: Vec<String>,
}

/// A connection to the origin.
pub struct Peer {
    pub stream: BufReader<TcpStream>,
    connection: usize,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// An origin that runs `script` for each connection.
pub fn origin(script: impl Fn(&mut Peer) + Send + Sync + 'static) -> Origin {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let addr = listener.local_addr().expect("bound");
    let seen = Arc::<Mutex<Vec<Seen>>>::default();
    let (script, log) = (Arc::new(script), seen.clone());
    std::thread::spawn(move || {
        for (connection, stream) in listener.incoming().enumerate() {
            let Ok(stream) = stream else { continue };
            let (script, seen) = (script.clone(), log.clone());
            std::thread::spawn(move || {
                let mut peer = Peer {
                    stream: BufReader::new(stream),
                    connection,
                    seen,
                };
                script(&mut peer);
            });
        }
    });
    Origin { addr, seen }
}

/// An origin that answers every request with `response`, on connections that stay open.
pub fn answering(response: &'static str) -> Origin {
    origin(move |peer| {
        while peer.request().is_some() {
            peer.send(response);
        }
    })
}

/// The same with a body of so many bytes.
pub fn answering_bytes(length: usize) -> Origin {
    let body = vec![b'x'; length];
    origin(move |peer| {
        while peer.request().is_some() {
            peer.answer(&body);
        }
    })
}

impl Origin {
    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic holds it").clone()
    }

    /// The last of them.
    pub fn last(&self) -> Seen {
        self.seen().pop().expect("a request")
    }

    /// `http://address`
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// A dynamic configuration that sends everything here.
    pub fn config(&self) -> String {
        config(&[("PathPrefix(`/`)", &self.url())])
    }
}

impl Seen {
    /// What the request line asks for.
    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).expect("a target")
    }

    /// The first value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

/// A dynamic configuration: routers by rule, each with a service of one server.
pub fn config(routes: &[(&str, &str)]) -> String {
    let mut yaml = String::from("http:\n  routers:\n");
    for (n, (rule, _)) in routes.iter().enumerate() {
        yaml += &format!("    r{n}: {{rule: \"{rule}\", service: s{n}}}\n");
    }
    yaml += "  services:\n";
    for (n, (_, url)) in routes.iter().enumerate() {
        yaml += &format!("    s{n}: {{loadBalancer: {{servers: [{{url: \"{url}\"}}]}}}}\n");
    }
    yaml
}

/// Such a configuration with every router behind these middlewares, in this order.
pub fn behind(middlewares: &[(&str, &str)], config: &str) -> String {
    let names: Vec<&str> = middlewares.iter().map(|(name, _)| *name).collect();
    let names = names.join(", ");
    let mut yaml = config.replace(
        ", service: ",
        &format!(", middlewares: [{names}], service: "),
    );
    yaml += "  middlewares:\n";
    for (name, middleware) in middlewares {
        yaml += &format!("    {name}: {middleware}\n");
    }
    yaml
}

impl Peer {
    /// Reads a request, its body included; `None` at the end of the connection.
    pub fn request(&mut self) -> Option<Seen> {
        let head = self.head()?;
        let lower = head.to_ascii_lowercase();
        let mut body = Vec::new();
        let mut trailers = Vec::new();
        if let Some(length) = field(&head, "content-length") {
            body.resize(length.parse().expect("a length"), 0);
            self.stream.read_exact(&mut body).ok()?;
        } else if lower.contains("transfer-encoding: chunked") {
            loop {
                let size = self.line()?;
                let size = size.split(';').next().expect("one part").trim();
                let size = usize::from_str_radix(size, 16).expect("a chunk size");
                if size == 0 {
                    break;
                }
                let start = body.len();
                body.resize(start + size, 0);
                self.stream.read_exact(&mut body[start..]).ok()?;
                assert_eq!(self.line()?.trim_end(), "", "CRLF after a chunk");
            }
            loop {
                let line = self.line()?;
                if line.trim_end().is_empty() {
                    break;
                }
                trailers.push(line.trim_end().to_owned());
            }
        }
        let seen = Seen {
            connection: self.connection,
            head,
            body,
            trailers,
        };
        self.seen
            .lock()
            .expect("no panic holds it")
            .push(seen.clone());
        Some(seen)
    }

    /// Reads a head alone.
    pub fn head(&mut self) -> Option<String> {
        let mut head = String::new();
        loop {
            let line = self.line()?;
            head += &line;
            if line == "\r\n" {
                return Some(head);
            }
        }
    }

    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line),
        }
    }

    /// Sends an answer that is nothing but a body.
    pub fn answer(&mut self, body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        self.send([head.as_bytes(), body].concat());
    }

    /// Sends bytes; a peer that has gone is no error of the origin.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.get_mut().write_all(bytes.as_ref());
    }
}
