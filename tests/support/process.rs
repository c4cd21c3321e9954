//! The binary as a process of its own, in a directory of its own, with its log at hand.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::client::{Client, Response};

/// How long a test waits for anything; the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a process is started with. `{dir}` in texts and arguments means its directory.
pub struct Setup {
    directory: tempfile::TempDir,
    statics: Option<String>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    launcher: Vec<String>,
}

/// A running proxy. Killed when dropped.
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    addresses: HashMap<String, SocketAddr>,
    directory: tempfile::TempDir,
}

/// A static configuration of one entry point, `web`, and one file, `dynamic.yml`; `more` is appended.
pub fn one_file(more: &str) -> Setup {
    setup(&format!(
        "entryPoints: {{web: {{address: \"127.0.0.1:0\"}}}}\n\
         providers: {{file: {{filename: \"{{dir}}/dynamic.yml\"}}}}\n{more}"
    ))
}

/// A static configuration with `{dir}` for the directory; two shards and a log that tells of the start.
pub fn setup(statics: &str) -> Setup {
    let mut text = statics.to_owned();
    for (key, default) in [
        ("log:", "log: {level: INFO}\n"),
        ("ringway:", "ringway: {shards: 2}\n"),
    ] {
        if !text.lines().any(|line| line.starts_with(key)) {
            text += default;
        }
    }
    Setup {
        statics: Some(text),
        ..bare()
    }
}

/// No configuration file.
pub fn bare() -> Setup {
    Setup {
        directory: tempfile::tempdir().expect("a directory"),
        statics: None,
        arguments: Vec::new(),
        environment: Vec::new(),
        launcher: Vec::new(),
    }
}

impl Setup {
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn file(self, name: &str, text: &str) -> Self {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("in the directory")).expect("made");
        std::fs::write(path, self.fill(text)).expect("written");
        self
    }

    pub fn dynamic(self, text: &str) -> Self {
        self.file("dynamic.yml", text)
    }

    /// A line of the static configuration, in the place of the one with the same key if there is one.
    pub fn option(mut self, line: &str) -> Self {
        let (key, _) = line.split_once(':').expect("a key");
        let text = self.statics.take().unwrap_or_default();
        let others = text
            .lines()
            .filter(|other| other.split_once(':').is_none_or(|(other, _)| other != key));
        self.statics = Some(others.chain([line, ""]).collect::<Vec<_>>().join("\n"));
        self
    }

    pub fn argument(mut self, argument: &str) -> Self {
        let argument = self.fill(argument);
        self.arguments.push(argument);
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        let value = self.fill(value);
        self.environment.push((name.to_owned(), value));
        self
    }

    /// A program with arguments that becomes the proxy; the proxy's own command line is appended.
    pub fn through(mut self, launcher: &[&str]) -> Self {
        self.launcher = launcher.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{dir}", self.path().to_str().expect("UTF-8"))
    }

    fn command(&self) -> Command {
        let ringway = env!("CARGO_BIN_EXE_ringway");
        let mut command = match self.launcher.split_first() {
            Some((launcher, arguments)) => {
                let mut command = Command::new(launcher);
                command.args(arguments).arg(ringway);
                command
            }
            None => Command::new(ringway),
        };
        if let Some(statics) = &self.statics {
            let path = self.path().join("ringway.yml");
            std::fs::write(&path, self.fill(statics)).expect("written");
            command.arg(format!("--configFile={}", path.display()));
        }
        command
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .current_dir(self.path());
        command
    }

    /// Runs it until it ends by itself.
    pub fn output(self) -> Output {
        self.command().output().expect("it runs")
    }

    /// Starts it and waits until it serves.
    pub fn start(self) -> Process {
        let mut command = self.command();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let log = Arc::<Mutex<String>>::default();
        keep(child.stdout.take().expect("piped"), log.clone());
        keep(child.stderr.take().expect("piped"), log.clone());
        let mut process = Process {
            child,
            log,
            addresses: HashMap::new(),
            directory: self.directory,
        };
        let deadline = Instant::now() + PATIENCE;
        while process.addresses.is_empty() {
            let ended = process.child.try_wait().expect("waited for");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "not ready: {ended:?}\n{}",
                process.log()
            );
            std::thread::sleep(Duration::from_millis(2));
            let log = process.log();
            let Some((_, ready)) = log.split_once("Ready: ") else {
                continue;
            };
            // The line is whole when another character follows it.
            let Some((ready, _)) = ready.split_once('\n') else {
                continue;
            };
            process.addresses = ready
                .split_whitespace()
                .filter_map(|word| word.split_once('='))
                .filter_map(|(name, address)| Some((name.to_owned(), address.parse().ok()?)))
                .collect();
        }
        process
    }
}

fn keep(from: impl std::io::Read + Send + 'static, log: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut log = log.lock().expect("no panic holds it");
            log.push_str(&line);
            log.push('\n');
        }
    });
}

impl Process {
    pub fn address(&self, entry_point: &str) -> SocketAddr {
        *self
            .addresses
            .get(entry_point)
            .unwrap_or_else(|| panic!("no {entry_point} in {:?}", self.addresses))
    }

    pub fn web(&self) -> SocketAddr {
        self.address("web")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Everything on standard output and error so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("no panic holds it").clone()
    }

    /// A GET on a connection of its own, to `web`.
    pub fn get(&self, host: &str, path: &str) -> Response {
        self.get_from("web", host, path)
    }

    pub fn get_from(&self, entry_point: &str, host: &str, path: &str) -> Response {
        let mut client = Client::connect(self.address(entry_point));
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ));
        client.response()
    }

    /// Puts a file in place atomically, as deployment tools do.
    pub fn write(&self, name: &str, text: &str) {
        let new = self.path(&format!("{name}.new"));
        std::fs::write(&new, text).expect("written");
        std::fs::rename(new, self.path(name)).expect("renamed");
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let kill = Command::new("kill")
            .args([name, &self.id().to_string()])
            .status();
        assert!(kill.expect("kill runs").success());
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("waited for")
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "it does not end:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Resident memory without the pages of files, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("alive");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))
            .expect("RssAnon");
        line.trim()
            .trim_end_matches(" kB")
            .trim()
            .parse()
            .expect("a number")
    }

    /// How many file descriptors are open.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.id()))
            .expect("alive")
            .count()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the proxy:\n{}", self.log());
        }
    }
}

/// Runs a command of the binary to its end.
pub fn ringway(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringway"))
        .args(arguments)
        .output()
        .expect("it runs")
}

/// Standard output and error together.
pub fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

/// Waits for a condition.
#[track_caller]
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A dynamic file: a router by host for each (host, server URL).
pub fn hosts(routes: &[(&str, &str)]) -> String {
    let rules: Vec<(String, &str)> = routes
        .iter()
        .map(|(host, url)| (format!("Host(`{host}`)"), *url))
        .collect();
    let routes: Vec<(&str, &str)> = rules.iter().map(|(rule, url)| (&**rule, *url)).collect();
    super::origin::config(&routes)
}

/// An answer that closes nothing.
pub fn answer(body: &str) -> &'static str {
    let text = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    Box::leak(text.into_boxed_str())
}
