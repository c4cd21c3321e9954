//! ZooKeeper servers of a test's own, from Debian's jars: a free port, a temporary directory, ended with the value; and
//! a writer that speaks the protocol by hand, so that what is tested does not test itself.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::free_port;

const PATIENCE: Duration = Duration::from_secs(60);

/// Debian's jar, which names the others that it needs.
const JAR: &str = "/usr/share/java/zookeeper.jar";

/// A running server.
pub struct ZooKeeperServer {
    child: Child,
    pub port: u16,
    directory: tempfile::TempDir,
}

impl ZooKeeperServer {
    pub fn start() -> Self {
        let port = free_port();
        assert!(
            Path::new(JAR).exists(),
            "{JAR} does not exist: install Debian's packages zookeeper and default-jre-headless"
        );
        let directory = tempfile::tempdir().expect("a directory");
        let text = format!(
            "tickTime=2000\nminSessionTimeout=100\nmaxSessionTimeout=600000\ndataDir={}/data\nclientPort={port}\n\
             clientPortAddress=127.0.0.1\nadmin.enableServer=false\n4lw.commands.whitelist=*\nmaxClientCnxns=0\n",
            directory.path().display()
        );
        std::fs::write(directory.path().join("zoo.cfg"), text).expect("written");
        let mut server = Self {
            child: spawn(directory.path()),
            port,
            directory,
        };
        server.await_session();
        server
    }

    pub fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends the process at once, as a crash does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port, with what it had.
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn(self.directory.path());
        self.await_session();
    }

    /// Deletes what it has; only while it does not run.
    pub fn wipe(&self) {
        std::fs::remove_dir_all(self.directory.path().join("data")).expect("wiped");
    }

    /// Stops or continues the process without ending it: `-STOP`, `-CONT`.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(status.expect("kill runs").success());
    }

    /// How many nodes the server watches for anybody.
    pub fn watches(&self) -> usize {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("connected");
        stream.write_all(b"wchp").expect("written");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        text.lines().filter(|line| line.starts_with('/')).count()
    }

    pub fn writer(&self) -> Writer {
        Writer::connect(self.port).expect("a session")
    }

    fn await_session(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while Writer::connect(self.port).is_none() {
            let ended = self.child.try_wait().expect("waited for");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "the server begins no session: {ended:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for ZooKeeperServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(directory: &Path) -> Child {
    let started = Command::new("java")
        .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m"])
        .args(["-Dzookeeper.forceSync=no", "-cp", JAR])
        .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
        .arg(directory.join("zoo.cfg"))
        .current_dir(directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    started.unwrap_or_else(|error| {
        panic!(
            "java cannot be started ({error}): install Debian's packages default-jre-headless and zookeeper"
        )
    })
}

/// One write; several are one transaction.
#[derive(Clone, Copy, Debug)]
pub enum Op<'a> {
    Create(&'a str, &'a str),
    Set(&'a str, &'a str),
    Delete(&'a str),
}

/// A session that writes.
pub struct Writer(TcpStream);

impl Writer {
    fn connect(port: u16) -> Option<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_nodelay(true).ok()?;
        // A server that has just begun to listen may lose the first words.
        let impatience = Duration::from_secs(1);
        stream.set_read_timeout(Some(impatience)).ok()?;
        let mut writer = Self(stream);
        let mut hello = vec![0; 12];
        hello.extend(600_000_i32.to_be_bytes());
        hello.extend([0; 8]);
        hello.extend(16_i32.to_be_bytes());
        hello.extend([0; 17]);
        writer.send(&hello).ok()?;
        writer.receive().ok()?;
        writer.0.set_read_timeout(Some(PATIENCE)).ok()?;
        Some(writer)
    }

    /// Writes all or nothing; returns the transaction's number.
    #[track_caller]
    pub fn commit(&mut self, ops: &[Op<'_>]) -> u64 {
        let (zxid, code) = self.attempt(ops, &["world", "anyone"]);
        assert_eq!(code, 0, "{ops:?}");
        zxid
    }

    /// Creates a node that only a user of the scheme `digest` may read.
    pub fn create_for(&mut self, user: &str, path: &str, value: &str) {
        let (_, code) = self.attempt(&[Op::Create(path, value)], &["digest", user]);
        assert_eq!(code, 0, "{path}");
    }

    /// Creates nodes with values, and the nodes above them that are missing; sets those that exist.
    pub fn put(&mut self, pairs: &[(impl AsRef<str>, impl AsRef<str>)]) {
        for (key, value) in pairs {
            let path = format!("/{}", key.as_ref().trim_start_matches('/'));
            let above = path.match_indices('/').map(|(at, _)| at).skip(1);
            for at in above.collect::<Vec<_>>() {
                self.attempt(&[Op::Create(&path[..at], "")], &["world", "anyone"]);
            }
            let value = value.as_ref();
            let create = [Op::Create(&path, value)];
            if self.attempt(&create, &["world", "anyone"]).1 != 0 {
                self.commit(&[Op::Set(&path, value)]);
            }
        }
    }

    /// Deletes nodes with everything below, the deepest first.
    pub fn delete_all(&mut self, path: &str) {
        let mut request = request(8);
        text(&mut request, path.as_bytes());
        request.push(0);
        self.send(&request).expect("written");
        let answer = self.receive().expect("an answer");
        if answer.len() == 16 {
            return;
        }
        let mut rest = &answer[20..];
        while let Some((length, after)) = rest.split_first_chunk() {
            let (name, after) = after.split_at(u32::from_be_bytes(*length) as usize);
            rest = after;
            let name = str::from_utf8(name).expect("UTF-8");
            self.delete_all(&format!("{path}/{name}"));
        }
        self.commit(&[Op::Delete(path)]);
    }

    /// The transaction's number and the first error.
    fn attempt(&mut self, ops: &[Op<'_>], acl: &[&str; 2]) -> (u64, i32) {
        let mut all = request(14);
        for op in ops {
            let kind: i32 = match op {
                Op::Create(..) => 1,
                Op::Set(..) => 5,
                Op::Delete(_) => 2,
            };
            all.extend(kind.to_be_bytes());
            all.push(0);
            all.extend((-1_i32).to_be_bytes());
            match op {
                Op::Create(path, value) => {
                    text(&mut all, path.as_bytes());
                    text(&mut all, value.as_bytes());
                    all.extend(1_i32.to_be_bytes());
                    all.extend(31_i32.to_be_bytes());
                    acl.iter().for_each(|part| text(&mut all, part.as_bytes()));
                    all.extend(0_i32.to_be_bytes());
                }
                Op::Set(path, value) => {
                    text(&mut all, path.as_bytes());
                    text(&mut all, value.as_bytes());
                    all.extend((-1_i32).to_be_bytes());
                }
                Op::Delete(path) => {
                    text(&mut all, path.as_bytes());
                    all.extend((-1_i32).to_be_bytes());
                }
            }
        }
        all.extend((-1_i32).to_be_bytes());
        all.push(1);
        all.extend((-1_i32).to_be_bytes());
        self.send(&all).expect("written");
        let answer = self.receive().expect("an answer");
        let zxid = u64::from_be_bytes(answer[4..12].try_into().expect("eight"));
        let mut code = i32::from_be_bytes(answer[12..16].try_into().expect("four"));
        // Parts of a transaction that failed are errors, the first of which is 0 for those before it.
        let mut rest = &answer[16..];
        while code == 0 && rest.len() >= 13 && rest[..4] == [255; 4] && rest[4] == 0 {
            code = i32::from_be_bytes(rest[9..13].try_into().expect("four"));
            rest = &rest[13..];
        }
        (zxid, code)
    }

    fn send(&mut self, message: &[u8]) -> std::io::Result<()> {
        let length = u32::try_from(message.len()).expect("short").to_be_bytes();
        self.0.write_all(&[&length, message].concat())
    }

    fn receive(&mut self) -> std::io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let mut message = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut message)?;
        Ok(message)
    }
}

fn request(op: i32) -> Vec<u8> {
    [1_i32.to_be_bytes(), op.to_be_bytes()].concat()
}

fn text(message: &mut Vec<u8>, text: &[u8]) {
    let length = i32::try_from(text.len()).expect("short");
    message.extend(length.to_be_bytes());
    message.extend(text);
}

/// How ZooKeeper's access lists name a user of the scheme `digest`.
pub fn digest(username: &str, password: &str) -> String {
    let line =
        format!("printf %s '{username}:{password}' | openssl dgst -sha1 -binary | openssl base64");
    let output = Command::new("sh").args(["-c", &line]).output();
    let hash = String::from_utf8(output.expect("openssl runs").stdout).expect("base64");
    format!("{username}:{}", hash.trim())
}
