//! A request as rules see it.

use std::net::{IpAddr, Ipv4Addr};

use ringway::rules::Request;

/// A request of parts that need not fit together.
#[derive(Clone, Debug)]
pub struct Get {
    /// The host, in lower case.
    pub host: String,
    /// The path.
    pub path: Vec<u8>,
    /// The query.
    pub query: Option<Vec<u8>>,
    /// The method.
    pub method: String,
    /// Header lines.
    pub headers: Vec<(String, String)>,
    /// The peer.
    pub ip: IpAddr,
}

impl Get {
    /// GET of a target.
    pub fn new(host: &str, target: &str) -> Get {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        Get {
            host: host.to_ascii_lowercase(),
            path: path.into(),
            query: query.map(Into::into),
            method: "GET".into(),
            headers: Vec::new(),
            ip: Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// With another method.
    pub fn method(mut self, method: &str) -> Get {
        self.method = method.into();
        self
    }

    /// With one more header line.
    pub fn header(mut self, name: &str, value: &str) -> Get {
        self.headers.push((name.into(), value.trim().into()));
        self
    }

    /// From this address or network's first, if the text is one.
    pub fn from(mut self, ip: &str) -> Get {
        let ip = ip.split('/').next().and_then(|ip| ip.parse().ok());
        self.ip = ip.unwrap_or(self.ip);
        self
    }
}

impl Request for Get {
    fn host(&self) -> &str {
        &self.host
    }
    fn path(&self) -> &[u8] {
        &self.path
    }
    fn query(&self) -> Option<&[u8]> {
        self.query.as_deref()
    }
    fn method(&self) -> &[u8] {
        self.method.as_bytes()
    }
    fn any_header<F: FnMut(&[u8]) -> bool>(&self, name: &str, mut accept: F) -> bool {
        let mut lines = self
            .headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name));
        lines.any(|(_, value)| accept(value.as_bytes()))
    }
    fn client_ip(&self) -> IpAddr {
        self.ip
    }
}
