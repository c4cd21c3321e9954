//! Rules over whole requests: what the suites here share, and what a rule says about itself.

mod matching;
mod properties;
mod refusals;

use std::net::IpAddr;

use super::*;

/// A request for tests.
#[derive(Debug)]
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

/// The error of a rule that must be refused.
fn refused(rule: &str, syntax: Syntax) -> RuleError {
    match parse(rule, syntax) {
        Ok(_) => panic!("{rule} was accepted"),
        Err(error) => error,
    }
}

#[test]
fn the_default_priority_is_the_length_in_bytes() {
    for rule in ["Host(`a`)", " Host(`a`)  ", "Path(`/é`)"] {
        let parsed = parse(rule, Syntax::V3).unwrap();
        assert_eq!(parsed.default_priority(), rule.len() as i64);
        assert_eq!(parsed.source(), rule);
    }
}

#[test]
fn the_domains_of_a_rule_are_its_hosts_that_are_not_negated() {
    let rule = "(Host(`A.test`) || !(Host(`b.test`) && !Host(`*.c.test`))) && Host(`*`) && HostRegexp(`x`)";
    let parsed = parse(rule, Syntax::V3).unwrap();
    assert_eq!(parsed.hosts().collect::<Vec<_>>(), ["a.test", "*.c.test"]);
    let parsed = parse("Host(`a`, `b`) && Path(`/`)", Syntax::V2).unwrap();
    assert_eq!(parsed.hosts().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_plain_rule_is_small() {
    let source = "Host(`host-12345.example.com`) && PathPrefix(`/api`)";
    let rule = parse(source, Syntax::V3).unwrap();
    assert_eq!(rule.text().len(), source.len(), "nothing is stored twice");
    assert_eq!(rule.len(), 3);
    assert_eq!(size_of::<Rule>(), 48);
}

#[test]
fn a_rule_of_many_clauses_is_not_deep() {
    let rule = vec!["Path(`/x`)"; 4000].join(" || ");
    assert!(!matches(&rule, Syntax::V3, &Get::new("h", "/y")));
}
