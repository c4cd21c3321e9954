//! The peers' side of HTTP/1: reading heads and bodies strictly, writing bodies. What a body holds is
//! decided by whose it is, so that a wrong byte is noticed when it arrives.

use std::time::Duration;

use ringway::io::{Chunk, Stream};

use super::scenario::Body;

/// Why a message did not come whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The connection ended.
    Ended,
    /// It failed.
    Failed(std::io::ErrorKind),
    /// What came is wrong, which is nobody's fault but the proxy's.
    Wrong(String),
}

/// A head: its first line, its fields with names in lower case.
#[derive(Clone, Debug)]
pub struct Head {
    /// Request or status line.
    pub line: String,
    /// Name and value.
    pub fields: Vec<(String, String)>,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Head, Trouble> {
        let wrong = || {
            Trouble::Wrong(format!(
                "a malformed head: {:?}",
                bytes.escape_ascii().to_string()
            ))
        };
        let text = std::str::from_utf8(bytes).map_err(|_| wrong())?;
        let mut lines = text
            .strip_suffix("\r\n\r\n")
            .ok_or_else(wrong)?
            .split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let mut fields = Vec::new();
        for field in lines {
            let (name, value) = field.split_once(": ").ok_or_else(wrong)?;
            if name.is_empty() || name.contains(|c: char| c.is_whitespace()) {
                return Err(wrong());
            }
            fields.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Ok(Head { line, fields })
    }

    /// The value of a field; the first.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The values of a field, line by line.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.fields.iter().filter(|(known, _)| known == name);
        lines.map(|(_, value)| value.as_str()).collect()
    }

    /// Whether the connection ends after this message.
    pub fn closes(&self) -> bool {
        self.get("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// The status of a response.
    pub fn status(&self) -> Option<u16> {
        let rest = self
            .line
            .strip_prefix("HTTP/1.1 ")
            .or_else(|| self.line.strip_prefix("HTTP/1.0 "))?;
        rest.get(..3)?.parse().ok()
    }

    /// How the body that follows is framed, if one does.
    pub fn framing(&self, is_response: bool) -> Result<Framing, Trouble> {
        let lengths = self
            .fields
            .iter()
            .filter(|(name, _)| name == "content-length");
        let lengths: Vec<&str> = lengths.map(|(_, value)| value.as_str()).collect();
        let chunked = self.get("transfer-encoding");
        match (chunked, &lengths[..]) {
            (Some("chunked"), []) => Ok(Framing::Chunked),
            (None, [length]) => match length.parse() {
                Ok(length) => Ok(Framing::Length(length)),
                Err(_) => Err(Trouble::Wrong(format!("a malformed length: {length}"))),
            },
            (None, []) if is_response => Ok(Framing::UntilClose),
            (None, []) => Ok(Framing::Length(0)),
            _ => Err(Trouble::Wrong(format!(
                "ambiguous framing: {:?}",
                self.fields
            ))),
        }
    }
}

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By its length.
    Length(usize),
    /// In chunks.
    Chunked,
    /// By the connection's end.
    UntilClose,
}

/// The byte at a place of the body that belongs to `owner`.
fn byte_at(owner: u64, place: usize) -> u8 {
    (owner.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
        ^ (place as u8).wrapping_mul(31)
        ^ (place >> 8) as u8
}

/// The body that belongs to `owner`.
pub fn content(owner: u64, len: usize) -> Vec<u8> {
    (0..len).map(|place| byte_at(owner, place)).collect()
}

/// A body on the wire.
pub fn encode(body: Body, owner: u64, to: &mut Vec<u8>) {
    let content = content(owner, body.len());
    match body {
        Body::None => {}
        Body::Length(_) | Body::UntilClose(_) => to.extend_from_slice(&content),
        Body::Chunked(_, size) => {
            for chunk in content.chunks(size) {
                to.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                to.extend_from_slice(chunk);
                to.extend_from_slice(b"\r\n");
            }
            to.extend_from_slice(b"0\r\n\r\n");
        }
    }
}

/// Queues a copy of bytes.
pub fn queue(stream: &Stream, bytes: &[u8]) {
    stream.queue(Chunk::from_vec(bytes.to_vec()));
}

/// Largest line and head that a peer reads.
const MAX_HEAD: usize = 64 << 10;

/// Reads messages from a stream.
#[derive(Default)]
pub struct Reader {
    bytes: Vec<u8>,
    at: usize,
    pause: Duration,
}

impl Reader {
    /// One that pauses before each look at what has arrived.
    pub fn slow(pause: Duration) -> Reader {
        Reader {
            pause,
            ..Reader::default()
        }
    }

    /// What has arrived and was not read.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Waits for more.
    pub async fn more(&mut self, stream: &Stream) -> Result<(), Trouble> {
        if self.at == self.bytes.len() {
            self.bytes.clear();
            self.at = 0;
        }
        if !self.pause.is_zero() {
            stream.handle().sleep(self.pause).await;
        }
        loop {
            if let Some(chunk) = stream.take() {
                self.bytes.extend_from_slice(&chunk);
                return Ok(());
            }
            match stream.readable().await {
                Ok(true) => {}
                Ok(false) => return Err(Trouble::Ended),
                Err(error) => return Err(Trouble::Failed(error.kind())),
            }
        }
    }

    /// Up to and with the next `mark`.
    async fn until(&mut self, stream: &Stream, mark: &[u8]) -> Result<Vec<u8>, Trouble> {
        let mut from = 0;
        loop {
            let rest = self.rest();
            let found = rest[from..]
                .windows(mark.len())
                .position(|window| window == mark);
            if let Some(place) = found {
                let end = from + place + mark.len();
                let bytes = rest[..end].to_vec();
                self.at += end;
                return Ok(bytes);
            }
            from = rest.len().saturating_sub(mark.len() - 1);
            if rest.len() > MAX_HEAD {
                return Err(Trouble::Wrong("a head without end".into()));
            }
            self.more(stream).await?;
        }
    }

    /// The next head.
    pub async fn head(&mut self, stream: &Stream) -> Result<Head, Trouble> {
        Head::parse(&self.until(stream, b"\r\n\r\n").await?)
    }

    /// Reads `len` bytes that must be those of `owner` from `place` on.
    async fn exactly(
        &mut self,
        stream: &Stream,
        owner: u64,
        place: usize,
        len: usize,
    ) -> Result<(), Trouble> {
        let mut done = 0;
        while done < len {
            if self.rest().is_empty() {
                self.more(stream).await?;
            }
            let take = self.rest().len().min(len - done);
            self.compare(owner, place + done, take)?;
            done += take;
        }
        Ok(())
    }

    fn compare(&mut self, owner: u64, place: usize, count: usize) -> Result<(), Trouble> {
        for n in 0..count {
            let (got, want) = (self.bytes[self.at + n], byte_at(owner, place + n));
            if got != want {
                let place = place + n;
                return Err(Trouble::Wrong(format!(
                    "byte {place} of a body is {got:#x}, not {want:#x}"
                )));
            }
        }
        self.at += count;
        Ok(())
    }

    /// Reads a body of any owner, of a proxy's error page for instance; returns its length.
    pub async fn skip(&mut self, stream: &Stream, framing: Framing) -> Result<usize, Trouble> {
        self.body_of(stream, framing, None).await
    }

    /// Reads a body that must be `owner`'s; returns its length.
    pub async fn body(
        &mut self,
        stream: &Stream,
        framing: Framing,
        owner: u64,
    ) -> Result<usize, Trouble> {
        self.body_of(stream, framing, Some(owner)).await
    }

    async fn some(
        &mut self,
        stream: &Stream,
        owner: Option<u64>,
        place: usize,
        len: usize,
    ) -> Result<(), Trouble> {
        if let Some(owner) = owner {
            return self.exactly(stream, owner, place, len).await;
        }
        let mut left = len;
        while left > 0 {
            if self.rest().is_empty() {
                self.more(stream).await?;
            }
            let take = self.rest().len().min(left);
            self.at += take;
            left -= take;
        }
        Ok(())
    }

    async fn body_of(
        &mut self,
        stream: &Stream,
        framing: Framing,
        owner: Option<u64>,
    ) -> Result<usize, Trouble> {
        match framing {
            Framing::Length(len) => self.some(stream, owner, 0, len).await.map(|()| len),
            Framing::UntilClose => {
                let mut place = 0;
                loop {
                    let count = self.rest().len();
                    self.some(stream, owner, place, count).await?;
                    place += count;
                    match self.more(stream).await {
                        Ok(()) => {}
                        Err(Trouble::Ended) => return Ok(place),
                        Err(trouble) => return Err(trouble),
                    }
                }
            }
            Framing::Chunked => {
                let mut place = 0;
                loop {
                    let line = self.until(stream, b"\r\n").await?;
                    let size = std::str::from_utf8(&line[..line.len() - 2]).ok();
                    let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
                    let Some(size) = size else {
                        return Err(Trouble::Wrong(format!(
                            "a malformed chunk: {:?}",
                            line.escape_ascii().to_string()
                        )));
                    };
                    self.some(stream, owner, place, size).await?;
                    place += size;
                    let end = self.until(stream, b"\r\n").await?;
                    if end != b"\r\n" {
                        return Err(Trouble::Wrong("a chunk without its end".into()));
                    }
                    if size == 0 {
                        return Ok(place);
                    }
                }
            }
        }
    }
}
