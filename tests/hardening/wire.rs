//! Both ends of the wire: an origin that keeps every byte and answers what it reads strictly, and a client that sends
//! anything and reads answers until the connection ends.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::reader::{End, Request, read};

/// An origin that answers each request with its method and target.
pub struct Recorder {
    pub addr: SocketAddr,
    log: Arc<Mutex<Log>>,
}

#[derive(Default)]
pub struct Log {
    /// Every byte of every connection.
    pub streams: HashMap<usize, Vec<u8>>,
    /// Every request, and the connection it came on.
    pub requests: Vec<(usize, Request)>,
    /// What could not be read.
    pub malformed: Vec<String>,
}

pub fn recorder() -> Recorder {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let addr = listener.local_addr().expect("bound");
    let log = Arc::<Mutex<Log>>::default();
    let shared = log.clone();
    std::thread::spawn(move || {
        for (connection, stream) in listener.incoming().enumerate() {
            let (Ok(stream), log) = (stream, shared.clone()) else {
                continue;
            };
            std::thread::spawn(move || answer(stream, connection, &log));
        }
    });
    Recorder { addr, log }
}

fn answer(mut stream: TcpStream, connection: usize, log: &Mutex<Log>) {
    let _ = stream.set_nodelay(true);
    let mut unread = Vec::new();
    let mut bytes = [0; 16 << 10];
    while let Ok(n @ 1..) = stream.read(&mut bytes) {
        unread.extend_from_slice(&bytes[..n]);
        let reading = read(&unread, &[]);
        unread.drain(..reading.consumed);
        {
            let mut log = log.lock().expect("no panic holds it");
            log.streams
                .entry(connection)
                .or_default()
                .extend_from_slice(&bytes[..n]);
            if let End::Malformed(why, _) = &reading.end {
                let text = String::from_utf8_lossy(&unread).into_owned();
                log.malformed.push(format!("{why}: {text:?}"));
                return;
            }
            let requests = reading.requests.iter().cloned();
            log.requests
                .extend(requests.map(|request| (connection, request)));
        }
        for request in reading.requests {
            let body = format!("{} {}", request.method, request.target);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let body = if request.method == "HEAD" { "" } else { &body };
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    }
}

impl Recorder {
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// A dynamic configuration that sends everything here.
    pub fn config(&self) -> String {
        super::support::origin::config(&[("PathPrefix(`/`)", &self.url())])
    }

    pub fn log<T>(&self, look: impl FnOnce(&Log) -> T) -> T {
        look(&self.log.lock().expect("no panic holds it"))
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.log(|log| {
            log.requests
                .iter()
                .map(|(_, request)| request.clone())
                .collect()
        })
    }
}

/// An answer to one of the requests sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub closes: bool,
    pub body: String,
}

/// Everything that came back.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    pub answers: Vec<Answer>,
    /// Bytes behind the last answer.
    pub surplus: Vec<u8>,
}

/// Sends `bytes` and reads answers. Once `enough` of them have come, tells that nothing more will be sent. Ends with
/// the connection.
///
/// `methods` are those of the requests as they were framed: an answer to HEAD has no body.
pub fn converse(
    addr: SocketAddr,
    bytes: &[u8],
    methods: &[&str],
    enough: usize,
) -> Result<Conversation, String> {
    let mut stream = TcpStream::connect(addr).map_err(|error| error.to_string())?;
    let patience = Some(Duration::from_secs(10));
    stream
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    stream
        .set_read_timeout(patience)
        .map_err(|error| error.to_string())?;
    // A proxy that has refused already may not read the rest.
    let _ = stream.write_all(bytes);
    let mut received = Vec::new();
    let mut told = false;
    let mut piece = [0; 16 << 10];
    loop {
        let conversation = answers(&received, methods);
        if conversation.answers.len() >= enough && !told {
            told = true;
            let _ = stream.shutdown(Shutdown::Write);
        }
        match stream.read(&mut piece) {
            Ok(0) => return Ok(conversation),
            Ok(n) => received.extend_from_slice(&piece[..n]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(conversation),
            Err(error) => {
                let text = String::from_utf8_lossy(&received).into_owned();
                return Err(format!(
                    "the connection stays open ({error}); so far: {text:?}"
                ));
            }
        }
    }
}

/// Splits what came back into final answers.
pub fn answers(mut rest: &[u8], methods: &[&str]) -> Conversation {
    let mut conversation = Conversation::default();
    while let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&rest[..end + 2]).into_owned();
        let status: u16 = head
            .get(9..12)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        if (100..200).contains(&status) && status != 101 {
            rest = &rest[end + 4..];
            continue;
        }
        let lower = head.to_ascii_lowercase();
        let field = |name: &str| {
            let mut lines = lower.lines();
            lines.find_map(|line| {
                line.strip_prefix(name)?
                    .strip_prefix(": ")
                    .map(str::to_owned)
            })
        };
        let is_head = methods.get(conversation.answers.len()) == Some(&"HEAD");
        let length = field("content-length").and_then(|text| text.parse().ok());
        let closes = field("connection").is_some_and(|value| value == "close");
        let length: usize = match length {
            _ if is_head => 0,
            Some(length) => length,
            // Until the end of the connection.
            None if closes => rest.len() - end - 4,
            None => 0,
        };
        let Some(body) = rest.get(end + 4..end + 4 + length) else {
            break;
        };
        conversation.answers.push(Answer {
            status,
            closes,
            body: String::from_utf8_lossy(body).into_owned(),
        });
        rest = &rest[end + 4 + length..];
    }
    conversation.surplus = rest.to_vec();
    conversation
}
