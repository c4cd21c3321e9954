//! Redis servers and sentinels of a test's own: free ports, a temporary directory, ended with the value.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::free_port;

const PATIENCE: Duration = Duration::from_secs(20);

/// A running server.
pub struct RedisServer {
    child: Child,
    pub port: u16,
    arguments: Vec<String>,
    _directory: tempfile::TempDir,
    /// Who speaks for the test: empty, or a password.
    password: String,
}

impl RedisServer {
    /// A server that keeps nothing on disk unless `arguments` say so. `{dir}` is its directory.
    pub fn start(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let port = free_port();
        let path = directory.path().to_str().expect("UTF-8").to_owned();
        let mut all: Vec<String> = ["--save", "", "--appendonly", "no", "--dir", &path]
            .map(str::to_owned)
            .into();
        if !arguments.contains(&"--tls-port") {
            all.extend(["--port".to_owned(), port.to_string()]);
        }
        all.extend(arguments.iter().map(|argument| {
            let argument = argument.replace("{dir}", &path);
            argument.replace("{port}", &port.to_string())
        }));
        let password = arguments
            .iter()
            .position(|argument| *argument == "--requirepass")
            .map_or_else(String::new, |at| arguments[at + 1].to_owned());
        let mut server = Self {
            child: spawn("redis-server", "redis-server", &all),
            port,
            arguments: all,
            _directory: directory,
            password,
        };
        server.await_answer();
        server
    }

    /// A sentinel that watches `master` under the name `main` and declares it dead within half a second.
    pub fn start_sentinel(master: u16) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let port = free_port();
        let file = directory.path().join("sentinel.conf");
        let text = format!(
            "port {port}\ndir {}\nsentinel monitor main 127.0.0.1 {master} 1\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n",
            directory.path().display()
        );
        std::fs::write(&file, text).expect("written");
        let arguments = vec![file.to_str().expect("UTF-8").to_owned()];
        let mut sentinel = Self {
            child: spawn("redis-sentinel", "redis-sentinel", &arguments),
            port,
            arguments,
            _directory: directory,
            password: String::new(),
        };
        sentinel.await_answer();
        sentinel
    }

    pub fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends the process at once, as a crash does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port.
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn("redis-server", "redis-server", &self.arguments);
        self.await_answer();
    }

    /// Runs a command and gives its reply as it came, without its last line end.
    pub fn run(&self, command: &[&str]) -> String {
        Talk::to(self).run(command)
    }

    fn await_answer(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let has_tls = self
            .arguments
            .iter()
            .any(|argument| argument == "--tls-port");
        loop {
            let ended = self.child.try_wait().expect("waited for");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "the server does not answer: {ended:?}"
            );
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok()
                && (has_tls || self.run(&["PING"]) == "+PONG")
            {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(program: &str, package: &str, arguments: &[String]) -> Child {
    let started = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    started.unwrap_or_else(|error| {
        panic!("{program} cannot be started ({error}): install Debian's package {package}")
    })
}

/// A connection that speaks the protocol by hand, so that what is tested does not test itself.
pub struct Talk(BufReader<TcpStream>);

impl Talk {
    pub fn to(server: &RedisServer) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port)).expect("connected");
        stream.set_nodelay(true).expect("set");
        let mut talk = Self(BufReader::new(stream));
        if !server.password.is_empty() {
            assert_eq!(talk.run(&["AUTH", &server.password]), "+OK");
        }
        talk
    }

    pub fn run(&mut self, command: &[&str]) -> String {
        self.send(command);
        self.reply()
    }

    /// The reply, unless the connection ends before it.
    pub fn attempt(&mut self, command: &[&str]) -> std::io::Result<String> {
        self.send(command);
        self.try_reply()
    }

    pub fn send(&mut self, command: &[&str]) {
        let mut text = format!("*{}\r\n", command.len());
        for word in command {
            text += &format!("${}\r\n{word}\r\n", word.len());
        }
        self.0
            .get_mut()
            .write_all(text.as_bytes())
            .expect("written");
    }

    /// One reply; the elements of an array in lines.
    pub fn reply(&mut self) -> String {
        self.try_reply().expect("a reply")
    }

    fn try_reply(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let line = line.trim_end().to_owned();
        let (kind, rest) = line.split_at_checked(1).unwrap_or_default();
        let count = || rest.parse::<i64>().expect("a number");
        Ok(match kind {
            "*" => {
                let elements = (0..count().max(0)).map(|_| self.try_reply());
                elements.collect::<Result<Vec<_>, _>>()?.join("\n")
            }
            "$" if count() >= 0 => {
                let mut text = vec![0; count() as usize + 2];
                self.0.read_exact(&mut text)?;
                text.truncate(text.len() - 2);
                String::from_utf8(text).expect("UTF-8")
            }
            _ => line,
        })
    }
}
