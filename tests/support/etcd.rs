//! A real etcd of the test's own: free ports, a temporary directory, killed when dropped. It is changed through
//! `etcdctl`: one call per transaction.

use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::{certificates, free_port};

/// How long a test waits for an etcd.
const PATIENCE: Duration = Duration::from_secs(30);

/// Operations in a transaction that this etcd takes (its default is 128).
const MAX_TRANSACTION: usize = 5000;

/// Keys and values that [`Etcd::fill`] puts into a transaction, about.
const FILL_BYTES: usize = 50_000;

/// How an etcd is started.
#[derive(Clone, Default)]
pub struct Setup {
    arguments: Vec<String>,
    is_tls: bool,
}

/// Three members of one cluster, all serving.
pub fn cluster() -> [Etcd; 3] {
    let mut members = [(); 3].map(|()| setup().stopped());
    let urls: Vec<_> = members.iter().map(|member| member.peer_url()).collect();
    let all: Vec<_> = urls
        .iter()
        .enumerate()
        .map(|(n, url)| format!("test{n}={url}"))
        .collect();
    for (n, member) in members.iter_mut().enumerate() {
        member.name = format!("test{n}");
        member.cluster = all.join(",");
        member.spawn();
    }
    for member in &mut members {
        member.wait().expect("the cluster serves");
    }
    members
}

/// A running etcd.
pub struct Etcd {
    setup: Setup,
    directory: tempfile::TempDir,
    name: String,
    /// All members and their peers' addresses.
    cluster: String,
    client_port: u16,
    peer_port: u16,
    /// Whether it wants users.
    is_guarded: bool,
    child: Option<Child>,
}

/// An etcd with everything at its default.
pub fn etcd() -> Etcd {
    Setup::default().start()
}

/// For an etcd that is not like the others.
pub fn setup() -> Setup {
    Setup::default()
}

impl Setup {
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// With tokens that end after `seconds`: random ones, whose time begins anew with each use, or signed ones, whose
    /// time does not.
    pub fn tokens(self, is_signed: bool, seconds: u32) -> Self {
        if !is_signed {
            return self
                .argument("--auth-token-ttl")
                .argument(&seconds.to_string());
        }
        // `{dir}` is known when it starts.
        self.argument("--auth-token").argument(&format!(
            "jwt,priv-key={{dir}}/token.key,pub-key={{dir}}/token.pem,sign-method=RS256,ttl={seconds}s"
        ))
    }

    /// With TLS on the client's side, and clients' certificates required.
    pub fn tls(mut self) -> Self {
        self.is_tls = true;
        self
    }

    pub fn start(self) -> Etcd {
        // Somebody else may have taken the port that was free a moment ago.
        let mut tries = 3;
        loop {
            let mut etcd = self.clone().stopped();
            etcd.spawn();
            match etcd.wait() {
                Ok(()) => return etcd,
                Err(why) => assert!(tries > 0, "{why}"),
            }
            tries -= 1;
        }
    }

    /// Not started yet, with its address reserved by nothing but luck.
    pub fn stopped(self) -> Etcd {
        let directory = tempfile::tempdir().expect("a directory");
        if self.is_tls {
            certificates::make(directory.path());
        }
        if self
            .arguments
            .iter()
            .any(|argument| argument.contains("{dir}/token"))
        {
            certificates::openssl(directory.path(), "genrsa -out token.key 2048");
            certificates::openssl(directory.path(), "rsa -in token.key -pubout -out token.pem");
        }
        let mut etcd = Etcd {
            setup: self,
            directory,
            name: "test".into(),
            cluster: String::new(),
            client_port: free_port(),
            peer_port: free_port(),
            is_guarded: false,
            child: None,
        };
        etcd.cluster = format!("test={}", etcd.peer_url());
        etcd
    }
}

impl Etcd {
    pub fn port(&self) -> u16 {
        self.client_port
    }

    /// `host:port` for clients.
    pub fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.client_port)
    }

    pub fn path(&self, name: &str) -> String {
        let path = self.directory.path().join(name);
        path.to_str().expect("UTF-8").to_owned()
    }

    fn peer_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.peer_port)
    }

    /// Starts it and waits until it answers.
    pub fn start(&mut self) {
        self.spawn();
        self.wait().expect("it serves");
    }

    fn spawn(&mut self) {
        let scheme = if self.setup.is_tls { "https" } else { "http" };
        let client = format!("{scheme}://127.0.0.1:{}", self.client_port);
        let peer = self.peer_url();
        let mut command = Command::new("etcd");
        command
            .args(["--name", &self.name, "--data-dir", &self.path("data")])
            .args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ])
            .args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .args(["--initial-cluster", &self.cluster])
            .args(["--log-level", "error", "--unsafe-no-fsync"])
            .args(["--max-txn-ops", &MAX_TRANSACTION.to_string()])
            .args(self.setup.arguments.iter().map(|argument| {
                argument.replace("{dir}", self.directory.path().to_str().expect("UTF-8"))
            }));
        if self.setup.is_tls {
            command
                .args(["--cert-file", &self.path("server.pem")])
                .args(["--key-file", &self.path("server.key")])
                .args([
                    "--trusted-ca-file",
                    &self.path("ca.pem"),
                    "--client-cert-auth",
                ]);
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.expect("etcd starts; it is in Debian's package etcd-server");
        self.child = Some(child);
    }

    fn wait(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let is_listening = TcpStream::connect(("127.0.0.1", self.client_port)).is_ok();
            if is_listening && self.try_ctl(&["get", "ready"]).status.success() {
                return Ok(());
            }
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok()?);
            if ended.is_some() || Instant::now() > deadline {
                return Err(format!("etcd does not serve: {ended:?}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills it at once.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops it, empties it and starts it again on the same ports, as another cluster.
    pub fn wipe(&mut self) {
        self.stop();
        std::fs::remove_dir_all(self.path("data")).expect("removed");
        let token = format!("cluster-{}", self.peer_port);
        self.setup = self
            .setup
            .clone()
            .argument("--initial-cluster-token")
            .argument(&token);
        self.start();
    }

    /// The same as the same cluster, which its identity does not tell from the one before.
    pub fn empty(&mut self) {
        self.stop();
        std::fs::remove_dir_all(self.path("data")).expect("removed");
        self.start();
    }

    /// Keeps its present state in a file, for [`Etcd::restore`].
    pub fn save(&self) {
        self.ctl(&["snapshot", "save", &self.path("saved")]);
    }

    /// Stops it, puts what was saved into the place of its data, and starts it again as the same cluster.
    pub fn restore(&mut self) {
        self.stop();
        let data = self.path("data");
        std::fs::remove_dir_all(&data).expect("removed");
        self.ctl(&[
            "snapshot",
            "restore",
            &self.path("saved"),
            "--name",
            &self.name,
            "--data-dir",
            &data,
            "--initial-cluster",
            &self.cluster,
            "--initial-advertise-peer-urls",
            &self.peer_url(),
        ]);
        self.start();
    }

    /// Wants users from now on: `root`, whom [`Etcd::ctl`] is then, and `reader` with the password `hunter2`, who may
    /// read below `prefix`.
    pub fn guard(&mut self, prefix: &str) {
        for command in [
            "user add root:secret",
            "user grant-role root root",
            "user add reader:hunter2",
            "role add reading",
            &format!("role grant-permission --prefix reading read {prefix}"),
            "user grant-role reader reading",
            "auth enable",
        ] {
            self.ctl(&command.split(' ').collect::<Vec<_>>());
        }
        self.is_guarded = true;
    }

    /// Lets it neither run nor die.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, name: &str) {
        let id = self.child.as_ref().expect("running").id().to_string();
        let kill = Command::new("kill").args([name, &id]).status();
        assert!(kill.expect("kill runs").success());
    }

    fn try_ctl(&self, arguments: &[&str]) -> Output {
        let output = self.ctl_command(arguments).output();
        output.expect("etcdctl runs; it is in Debian's package etcd-client")
    }

    fn ctl_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("etcdctl");
        command
            .env("ETCDCTL_API", "3")
            .args(["--dial-timeout", "2s", "--command-timeout", "5s"]);
        if self.setup.is_tls {
            command
                .args(["--endpoints", &format!("https://{}", self.endpoint())])
                .args(["--cacert", &self.path("ca.pem")])
                .args(["--cert", &self.path("client.pem")])
                .args(["--key", &self.path("client.key")]);
        } else {
            command.args(["--endpoints", &self.endpoint()]);
        }
        if self.is_guarded {
            command.args(["--user", "root:secret"]);
        }
        command.args(arguments);
        command
    }

    /// Writes and deletes (`None`) in one transaction.
    pub fn transaction(&self, changes: &[(&str, Option<&str>)]) {
        let mut script = String::from("\n");
        for (key, value) in changes {
            assert!(!key.contains('"'), "{key}");
            match value {
                Some(value) => {
                    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
                    script += &format!("put \"{key}\" \"{value}\"\n");
                }
                None => script += &format!("del \"{key}\"\n"),
            }
        }
        script += "\n\n";
        let path = self.path("transaction");
        std::fs::write(&path, script).expect("written");
        let input = std::fs::File::open(path).expect("written");
        let mut command = self.ctl_command(&["txn"]);
        let output = command.stdin(input).output().expect("etcdctl runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("SUCCESS"),
            "{text} {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Writes many keys, in few transactions.
    pub fn fill(&self, pairs: &[(String, String)]) {
        let mut part = Vec::new();
        let mut bytes = 0;
        for (key, value) in pairs {
            part.push((&**key, Some(&**value)));
            bytes += key.len() + value.len();
            if bytes > FILL_BYTES || part.len() == MAX_TRANSACTION {
                self.transaction(&part);
                part.clear();
                bytes = 0;
            }
        }
        if !part.is_empty() {
            self.transaction(&part);
        }
    }

    /// Writes a value of any size.
    pub fn put(&self, key: &str, value: &str) {
        let path = self.path("value");
        std::fs::write(&path, value).expect("written");
        let input = std::fs::File::open(path).expect("written");
        let output = self.ctl_command(&["put", key]).stdin(input).output();
        let output = output.expect("etcdctl runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
    }

    /// The store's present revision.
    pub fn revision(&self) -> u64 {
        let text = self.ctl(&["get", "none", "-w", "json"]);
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        json["header"]["revision"].as_u64().expect("a revision")
    }

    /// `etcdctl` with arguments; whether it succeeded.
    pub fn tries(&self, arguments: &[&str]) -> bool {
        self.try_ctl(arguments).status.success()
    }

    /// `etcdctl` with arguments; its output.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let output = self.try_ctl(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "etcdctl {arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.stop();
    }
}
