//! The messages of ZooKeeper's protocol that a reader needs (records in "jute", `zookeeper.jute` and `ZooDefs` of
//! ZooKeeper's sources): numbers are big-endian, texts and lists have their length before them.
//!
//! Everything here is pure: bytes in, bytes out. Not here: connections ([`super::connection`]).

/// Longest message that is taken. A list of the names of a million nodes is far below it.
pub(crate) const MAX_MESSAGE: usize = 256 << 20;

/// The number of a message that answers no request: something changed.
pub(crate) const XID_EVENT: i32 = -1;
/// The number of a sign of life.
pub(crate) const XID_PING: i32 = -2;
/// The number of what proves who the client is.
pub(crate) const XID_AUTH: i32 = -4;

/// What a server is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    GetData = 4,
    GetChildren = 8,
    Sync = 9,
    Ping = 11,
    RemoveWatches = 18,
    MultiRead = 22,
    Auth = 100,
    AddWatch = 106,
    Close = -11,
}

/// What a server answers instead of an answer, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code(pub(crate) i32);

impl Code {
    pub(crate) const OK: Self = Self(0);
    pub(crate) const UNIMPLEMENTED: Self = Self(-6);
    pub(crate) const BAD_ARGUMENTS: Self = Self(-8);
    pub(crate) const NO_NODE: Self = Self(-101);
    pub(crate) const NO_AUTH: Self = Self(-102);
    pub(crate) const AUTH_FAILED: Self = Self(-115);
    pub(crate) const NO_WATCHER: Self = Self(-121);
    pub(crate) const NEEDS_SASL: Self = Self(-124);
}

/// A message that is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// One read of several that are made at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read<'a> {
    /// A node's value, and whether it has children.
    Data(&'a str),
    /// The names of a node's children.
    Children(&'a str),
}

/// What one read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Data { value: Vec<u8>, has_children: bool },
    Children(Vec<String>),
    Error(Code),
}

/// What stands before an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReplyHeader {
    pub(crate) xid: i32,
    /// The last transaction that the server has taken in; not positive: none is told.
    pub(crate) zxid: i64,
    pub(crate) code: Code,
}

/// Something that happened to a watched node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// It came into being or ceased to be, which also concerns its parent.
    Born(String),
    /// Its value was written.
    Written(String),
    /// Anything else.
    Other,
}

/// What a server says to who connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Welcome {
    /// After this long without a message the server ends the session; zero: it has none for this client.
    pub(crate) timeout_ms: i32,
}

/// A message that is being written. Its length comes first, once it is known.
struct Writer(Vec<u8>);

impl Writer {
    fn new() -> Self {
        Self(vec![0; 4])
    }

    fn request(xid: i32, op: Op) -> Self {
        Self::new().int(xid).int(op as i32)
    }

    fn int(mut self, number: i32) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn long(mut self, number: i64) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn bool(mut self, is: bool) -> Self {
        self.0.push(is.into());
        self
    }

    fn buffer(mut self, bytes: &[u8]) -> Self {
        let length = i32::try_from(bytes.len()).expect("what is asked for is short");
        self.0.extend(length.to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len() - 4).expect("what is asked for is short");
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        self.0
    }
}

/// The first message of a connection: a new session, for this long without a message.
pub(crate) fn connect(timeout_ms: i32) -> Vec<u8> {
    let (version, last_seen, session, password) = (0, 0, 0, [0; 16]);
    Writer::new()
        .int(version)
        .long(last_seen)
        .int(timeout_ms)
        .long(session)
        .buffer(&password)
        .bool(false)
        .finish()
}

/// Proves who the client is.
pub(crate) fn auth(scheme: &str, proof: &[u8]) -> Vec<u8> {
    Writer::request(XID_AUTH, Op::Auth)
        .int(0)
        .buffer(scheme.as_bytes())
        .buffer(proof)
        .finish()
}

/// A request without content.
pub(crate) fn bare(xid: i32, op: Op) -> Vec<u8> {
    Writer::request(xid, op).finish()
}

/// Has the server take in what the leader has.
pub(crate) fn sync(xid: i32, path: &str) -> Vec<u8> {
    Writer::request(xid, Op::Sync)
        .buffer(path.as_bytes())
        .finish()
}

/// Watches a node, which need not exist, and everything below it until the watch is removed.
pub(crate) fn add_watch(xid: i32, path: &str) -> Vec<u8> {
    let persistent_recursive = 1;
    Writer::request(xid, Op::AddWatch)
        .buffer(path.as_bytes())
        .int(persistent_recursive)
        .finish()
}

/// Removes what [`add_watch`] added.
pub(crate) fn remove_watches(xid: i32, path: &str) -> Vec<u8> {
    let of_any_kind = 3;
    Writer::request(xid, Op::RemoveWatches)
        .buffer(path.as_bytes())
        .int(of_any_kind)
        .finish()
}

/// Several reads that show one state.
pub(crate) fn multi_read(xid: i32, reads: &[Read<'_>]) -> Vec<u8> {
    let mut writer = Writer::request(xid, Op::MultiRead);
    for read in reads {
        let (op, path) = match read {
            Read::Data(path) => (Op::GetData, path),
            Read::Children(path) => (Op::GetChildren, path),
        };
        writer = writer
            .int(op as i32)
            .bool(false)
            .int(-1)
            .buffer(path.as_bytes())
            .bool(false);
    }
    writer.int(-1).bool(true).int(-1).finish()
}

/// What is left of a message that is being read.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A message without its length.
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn take(&mut self, many: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(many).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    fn int(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    fn long(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    fn bool(&mut self) -> Result<bool, Malformed> {
        self.array().map(|[byte]| byte != 0)
    }

    /// A length below zero stands for nothing.
    fn buffer(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.int()?;
        self.take(usize::try_from(length).unwrap_or_default())
    }

    fn text(&mut self) -> Result<String, Malformed> {
        String::from_utf8(self.buffer()?.to_vec()).map_err(|_| Malformed)
    }

    /// The answer to [`connect`].
    pub(crate) fn welcome(&mut self) -> Result<Welcome, Malformed> {
        let _version = self.int()?;
        let timeout_ms = self.int()?;
        let _session = self.long()?;
        let _password = self.buffer()?;
        Ok(Welcome { timeout_ms })
    }

    pub(crate) fn header(&mut self) -> Result<ReplyHeader, Malformed> {
        Ok(ReplyHeader {
            xid: self.int()?,
            zxid: self.long()?,
            code: Code(self.int()?),
        })
    }

    /// What follows the header of an [`XID_EVENT`].
    pub(crate) fn notice(&mut self) -> Result<Notice, Malformed> {
        let kind = self.int()?;
        let _session_state = self.int()?;
        let path = self.text()?;
        Ok(match kind {
            1 | 2 => Notice::Born(path),
            3 => Notice::Written(path),
            _ => Notice::Other,
        })
    }

    /// The answer to [`multi_read`], which has one part for each read.
    pub(crate) fn found(&mut self) -> Result<Vec<Found>, Malformed> {
        let mut all = Vec::new();
        loop {
            let op = self.int()?;
            let is_end = self.bool()?;
            let _code = self.int()?;
            if is_end {
                return Ok(all);
            }
            all.push(match op {
                op if op == Op::GetData as i32 => {
                    let value = self.buffer()?.to_vec();
                    // czxid, mzxid, ctime, mtime, three versions, the owner, the value's length, …
                    self.take(8 * 4 + 4 * 3 + 8 + 4)?;
                    let has_children = self.int()? > 0;
                    // … and pzxid.
                    self.long()?;
                    Found::Data {
                        value,
                        has_children,
                    }
                }
                op if op == Op::GetChildren as i32 => {
                    let many = self.int()?;
                    let names = (0..many).map(|_| self.text());
                    Found::Children(names.collect::<Result<_, _>>()?)
                }
                -1 => Found::Error(Code(self.int()?)),
                _ => return Err(Malformed),
            });
        }
    }
}

/// The length of the first message in a buffer, once all of it is there.
pub(crate) fn complete(buffer: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some(length) = buffer.first_chunk() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length) as usize;
    if length > MAX_MESSAGE {
        return Err(Malformed);
    }
    Ok((buffer.len() >= 4 + length).then_some(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_its_length_before_it() {
        let ping = bare(XID_PING, Op::Ping);
        assert_eq!(ping, [0, 0, 0, 8, 255, 255, 255, 254, 0, 0, 0, 11]);
        assert_eq!(complete(&ping), Ok(Some(8)));
        assert_eq!(complete(&ping[..11]), Ok(None));
        assert_eq!(complete(&ping[..3]), Ok(None));
        assert_eq!(complete(b"HTTP/1.1 400"), Err(Malformed));
    }

    #[test]
    fn several_reads_are_answered_one_by_one() {
        let data = Writer(Vec::new())
            .int(Op::GetData as i32)
            .bool(false)
            .int(0)
            .buffer(b"value");
        let stat = data.long(1).long(2).long(3).long(4).int(5).int(6).int(7);
        let data = stat.long(0).int(5).int(2).long(9);
        let error = data.int(-1).bool(false).int(-101).int(-101);
        let children = error.int(Op::GetChildren as i32).bool(false).int(0).int(2);
        let answer = children.buffer(b"a").buffer(b"b");
        let answer = answer.int(-1).bool(true).int(-1).0;
        let expected = [
            Found::Data {
                value: b"value".to_vec(),
                has_children: true,
            },
            Found::Error(Code::NO_NODE),
            Found::Children(vec!["a".to_owned(), "b".to_owned()]),
        ];
        assert_eq!(Reader::new(&answer).found().as_deref(), Ok(&expected[..]));
        // Whatever is missing, nobody panics.
        for end in 0..answer.len() {
            assert_eq!(Reader::new(&answer[..end]).found(), Err(Malformed));
        }
    }

    #[test]
    fn an_event_names_its_node() {
        for (kind, notice) in [
            (1, Notice::Born("/a".to_owned())),
            (2, Notice::Born("/a".to_owned())),
            (3, Notice::Written("/a".to_owned())),
            (-1, Notice::Other),
        ] {
            let event = Writer(Vec::new()).int(kind).int(3).buffer(b"/a").0;
            assert_eq!(Reader::new(&event).notice(), Ok(notice));
        }
    }
}
