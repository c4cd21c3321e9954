//! A client that sends exactly the bytes it is told to and reads responses strictly.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// A connection to the proxy.
pub struct Client {
    stream: BufReader<TcpStream>,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    pub trailers: Vec<String>,
}

impl Client {
    pub fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).expect("connected");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a read timeout");
        Self {
            stream: BufReader::new(stream),
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream
            .get_mut()
            .write_all(bytes.as_ref())
            .expect("sent");
        self
    }

    /// Sends a GET and reads the answer.
    pub fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        self.response()
    }

    /// Reads a response to anything but HEAD.
    pub fn response(&mut self) -> Response {
        let head = self.head();
        let status = head[9..12].parse().expect("a status");
        let lower = head.to_ascii_lowercase();
        let mut body = Vec::new();
        let mut trailers = Vec::new();
        if (100..200).contains(&status) || status == 204 || status == 304 {
        } else if lower.contains("transfer-encoding: chunked") {
            loop {
                let size = usize::from_str_radix(self.line().trim_end(), 16).expect("a chunk size");
                if size == 0 {
                    break;
                }
                let start = body.len();
                body.resize(start + size, 0);
                self.stream.read_exact(&mut body[start..]).expect("a chunk");
                assert_eq!(self.line(), "\r\n");
            }
            loop {
                let line = self.line();
                if line == "\r\n" {
                    break;
                }
                trailers.push(line.trim_end().to_owned());
            }
        } else if let Some(length) = lower
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
        {
            body.resize(length.trim().parse().expect("a length"), 0);
            self.stream.read_exact(&mut body).expect("the body");
        } else {
            self.stream
                .read_to_end(&mut body)
                .expect("the end of the stream");
        }
        Response {
            status,
            head,
            body,
            trailers,
        }
    }

    /// Reads a head alone.
    pub fn head(&mut self) -> String {
        let mut head = String::new();
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "the connection ended in a head: {head:?}");
            head += &line;
            if line == "\r\n" {
                return head;
            }
        }
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line in time");
        line
    }

    pub fn read_exact(&mut self, n: usize) -> Vec<u8> {
        let mut bytes = vec![0; n];
        self.stream
            .read_exact(&mut bytes)
            .expect("so many bytes in time");
        bytes
    }

    /// Whether the proxy closes the connection, in order or with a reset, without another byte.
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(n) => n == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    /// Reads on to the connection's end; whether that is a reset.
    pub fn is_reset(&mut self) -> bool {
        let end = self.stream.read_to_end(&mut Vec::new());
        end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
    }

    /// Everything until the connection ends.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.stream.read_to_end(&mut bytes);
        bytes
    }

    pub fn shutdown_write(&mut self) {
        self.stream
            .get_mut()
            .shutdown(Shutdown::Write)
            .expect("shut down");
    }
}

impl Response {
    /// The first value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The first value of a field of a head.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
