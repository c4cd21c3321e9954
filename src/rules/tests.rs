//! Behaviour of the matchers, as tables: rule, request, match or not.

use std::net::IpAddr;

use super::*;

/// A request for tests.
pub(crate) struct Get {
    pub host: String,
    pub path: Vec<u8>,
    pub query: Option<Vec<u8>>,
    pub method: String,
    pub headers: Vec<(String, String)>,
    pub ip: IpAddr,
}

impl Get {
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
            ip: "127.0.0.1".parse().unwrap(),
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Get {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn method(mut self, method: &str) -> Get {
        self.method = method.into();
        self
    }

    pub fn from(mut self, ip: &str) -> Get {
        self.ip = ip.parse().unwrap();
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
        let lines = self
            .headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name));
        lines.into_iter().any(|(_, value)| accept(value.as_bytes()))
    }
    fn client_ip(&self) -> IpAddr {
        self.ip
    }
}

fn matches(rule: &str, syntax: Syntax, request: &Get) -> bool {
    let parsed = parse(rule, syntax).unwrap_or_else(|e| panic!("{e}"));
    let mut caches = RegexCaches::new();
    let result = parsed.matches(request, &mut caches);
    let explained = parsed.explain(request, &mut caches);
    assert_eq!(
        explained.root.matched, result,
        "{rule}: explanation differs\n{explained}"
    );
    result
}
