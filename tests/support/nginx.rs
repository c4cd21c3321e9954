//! nginx as a server with TLS: a certificate of its own authority, which is also what clients are verified with.

use std::process::{Child, Command};

use super::process::wait_for;
use super::{certificates, free_port};

/// A running nginx, whose files are served where `location` does not say otherwise.
pub struct Nginx {
    child: Child,
    directory: tempfile::TempDir,
    pub port: u16,
}

impl Nginx {
    /// `client` is nginx's `ssl_verify_client`; `locations` stand in its `server`.
    pub fn start(client: &str, locations: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let dir = directory.path().display().to_string();
        certificates::make(directory.path());
        let port = free_port();
        let conf = format!(
            "daemon off; pid {dir}/pid; error_log {dir}/error.log; worker_processes 1;\n\
             events {{}}\n\
             http {{ access_log off; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; \
             uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;\n\
             server {{ listen 127.0.0.1:{port} ssl; root {dir}; ssl_certificate {dir}/server.pem; \
             ssl_certificate_key {dir}/server.key; ssl_client_certificate {dir}/ca.pem; ssl_verify_client {client};\n\
             {locations} }} }}\n"
        );
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, conf).expect("written");
        let child = Command::new("nginx").arg("-c").arg(&file).spawn();
        let nginx = Self {
            child: child.expect("nginx runs: install Debian's package nginx"),
            directory,
            port,
        };
        wait_for("nginx listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        nginx
    }

    /// The path of a file in its directory, such as `ca.pem`.
    pub fn file(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// The content of such a file.
    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).expect("a text")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its worker when it is asked to, not when it is killed.
        let id = self.child.id().to_string();
        let _ = Command::new("kill").arg(&id).status();
        let _ = self.child.wait();
    }
}
