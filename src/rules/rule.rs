//! A compiled rule and its evaluation.
//!
//! A rule is one allocation: a head of 8 bytes, a flat array of 16-byte nodes in prefix order, and a text pool (the
//! rule's text, followed by what had to be derived from it, such as a lower-cased host). 100,000 rules are common, so
//! size counts; a test holds it. So does how many lines of memory are fetched to evaluate a rule that no cache holds: one
//! or two besides the owner's, and none for a short rule of the commonest form, which the handle itself contains.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use ipnet::IpNet;

use super::Syntax;
use super::brief::Brief;
use super::host;
use super::query;
use super::regex::{Pattern, RegexCaches};

/// A request as rules see it. Implemented by the message types above; evaluation is monomorphised for it.
pub trait Request {
    /// The host asked for: lower-cased, without port and brackets; empty if the request has none. The authority of
    /// an absolute-form target wins over the Host header.
    fn host(&self) -> &str;

    /// The routing path: percent-encoded unreserved characters decoded, reserved ones left encoded in upper-case
    /// hexadecimal.
    fn path(&self) -> &[u8];

    /// The raw query without `?`; `None` and empty mean the same to rules.
    fn query(&self) -> Option<&[u8]>;

    /// The method, in the case it was sent.
    fn method(&self) -> &[u8];

    /// Whether `accept` is true for the value of any header line called `name`. `name` is lower-cased ASCII;
    /// the comparison ignores case. Values come without surrounding blanks; lines are not split at commas.
    fn any_header<F: FnMut(&[u8]) -> bool>(&self, name: &str, accept: F) -> bool;

    /// The peer's address (that of a trusted PROXY header, never X-Forwarded-For).
    fn client_ip(&self) -> IpAddr;
}

/// A compiled rule. `Send + Sync`, immutable; a clone shares its content.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct Rule {
    brief: Brief,
    /// [`HEAD`] bytes (length of the rule's text, syntax, number of nodes), the nodes, the rule's text, derived text.
    data: Arc<[u8]>,
    tables: Option<Arc<Tables>>,
}

/// Bytes before the nodes.
const HEAD: usize = 8;

/// What few rules need.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub patterns: Vec<Pattern>,
    pub networks: Vec<IpNet>,
}

/// One clause. Groups come before their members.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    /// The clause in the rule, bytes.
    pub start: u16,
    pub end: u16,
    pub kind: Kind,
    pub negated: bool,
    /// Length of the operand at `at` in the text pool.
    pub len: u16,
    pub at: u32,
    /// By kind: end of the group's nodes; index into a table; length of the second operand, which follows the first.
    pub aux: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    All,
    Any,
    Always,
    Never,
    /// Operand: lower-case host.
    Host,
    /// Operand: lower-case `*.…`.
    HostWildcard,
    /// Operand: lower-case host, compared without tolerance for a trailing dot.
    HostStrict,
    /// Also true if the expression matches the empty text.
    HostRegexp,
    HostTemplate,
    Path,
    PathPrefix,
    PathRegexp,
    Method,
    /// Operands: lower-case name, value.
    Header,
    HeaderRegexp,
    /// Operands: key, value; any value of the key.
    Query,
    QueryRegexp,
    /// Operands: key, value; the key's first value only (v2).
    QueryFirst,
    QueryFirstRegexp,
    ClientIp,
}

impl Node {
    const BYTES: usize = 16;

    fn encode(&self) -> [u8; Node::BYTES] {
        let mut bytes = [0; Node::BYTES];
        bytes[0..2].copy_from_slice(&self.start.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.end.to_le_bytes());
        bytes[4] = self.kind as u8;
        bytes[5] = self.negated.into();
        bytes[6..8].copy_from_slice(&self.len.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.at.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.aux.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; Node::BYTES]) -> Node {
        let short = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let long = |at: usize| u32::from(short(at)) | u32::from(short(at + 2)) << 16;
        Node {
            start: short(0),
            end: short(2),
            kind: Kind::ALL[usize::from(bytes[4])],
            negated: bytes[5] != 0,
            len: short(6),
            at: long(8),
            aux: long(12),
        }
    }
}

impl Kind {
    /// All kinds, each at its own number.
    const ALL: [Kind; 20] = [
        Kind::All,
        Kind::Any,
        Kind::Always,
        Kind::Never,
        Kind::Host,
        Kind::HostWildcard,
        Kind::HostStrict,
        Kind::HostRegexp,
        Kind::HostTemplate,
        Kind::Path,
        Kind::PathPrefix,
        Kind::PathRegexp,
        Kind::Method,
        Kind::Header,
        Kind::HeaderRegexp,
        Kind::Query,
        Kind::QueryRegexp,
        Kind::QueryFirst,
        Kind::QueryFirstRegexp,
        Kind::ClientIp,
    ];
}

impl Rule {
    /// Puts a compiled rule together. `text` starts with the rule's own text, `source_len` bytes.
    pub(super) fn new(
        source_len: u16,
        syntax: Syntax,
        nodes: &[Node],
        text: &[u8],
        tables: Option<Tables>,
    ) -> Rule {
        let mut data = Vec::with_capacity(HEAD + nodes.len() * Node::BYTES + text.len());
        data.extend_from_slice(&source_len.to_le_bytes());
        data.extend_from_slice(&[u8::from(syntax == Syntax::V2), 0]);
        // Bounded by the rule's length.
        data.extend_from_slice(&(nodes.len() as u32).to_le_bytes());
        for node in nodes {
            data.extend_from_slice(&node.encode());
        }
        data.extend_from_slice(text);
        let mut rule = Rule {
            brief: Brief::default(),
            data: data.into(),
            tables: tables.map(Arc::new),
        };
        rule.brief = Brief::of(&rule).unwrap_or_default();
        rule
    }

    /// Whether both are clones of one rule. Two that were parsed from equal texts are not.
    pub fn is_same(&self, other: &Rule) -> bool {
        Arc::ptr_eq(&self.data, &other.data)
    }

    /// Bytes of the rule's text in the text pool.
    fn source_len(&self) -> u16 {
        u16::from_le_bytes([self.data[0], self.data[1]])
    }

    /// Number of nodes.
    pub(super) fn len(&self) -> usize {
        let [a, b, c, d] = [4, 5, 6, 7].map(|at| self.data[at]);
        u32::from_le_bytes([a, b, c, d]) as usize
    }

    /// The node at an index below [`len`](Self::len).
    pub(super) fn node(&self, at: usize) -> Node {
        let (nodes, _) = self.data[HEAD..].as_chunks::<{ Node::BYTES }>();
        Node::decode(&nodes[at])
    }

    /// The rule's text, then derived text.
    pub(super) fn text(&self) -> &[u8] {
        &self.data[HEAD + self.len() * Node::BYTES..]
    }

    /// The rule as configured.
    pub fn source(&self) -> &str {
        // It came in as a str and is never changed.
        std::str::from_utf8(&self.text()[..usize::from(self.source_len())]).unwrap_or_default()
    }

    /// The syntax it is written in.
    pub fn syntax(&self) -> Syntax {
        match self.data[2] {
            0 => Syntax::V3,
            _ => Syntax::V2,
        }
    }

    /// The priority of a router that sets none: the rule's length in bytes, blanks included (Traefik: same).
    pub fn default_priority(&self) -> i64 {
        i64::from(self.source_len())
    }

    /// Whether the request matches. Evaluates from left to right and stops as soon as the result is known.
    pub fn matches<R: Request>(&self, request: &R, caches: &mut RegexCaches) -> bool {
        match self.brief.matches(request) {
            Some(matched) => matched,
            None => self.eval(0, request, caches),
        }
    }

    fn eval<R: Request>(&self, at: usize, request: &R, caches: &mut RegexCaches) -> bool {
        let node = self.node(at);
        let plain = match node.kind {
            Kind::All => self
                .members(at)
                .all(|member| self.eval(member, request, caches)),
            Kind::Any => self
                .members(at)
                .any(|member| self.eval(member, request, caches)),
            _ => self.eval_leaf(&node, request, caches),
        };
        plain != node.negated
    }

    /// A leaf's result, negation not applied.
    pub(super) fn eval_leaf<R: Request>(
        &self,
        node: &Node,
        request: &R,
        caches: &mut RegexCaches,
    ) -> bool {
        let operand = self.operand(node);
        match node.kind {
            Kind::Always => true,
            Kind::All | Kind::Any | Kind::Never => false,
            Kind::Host => host::equals(request.host().as_bytes(), operand),
            Kind::HostWildcard => host::matches_wildcard(request.host().as_bytes(), operand),
            Kind::HostStrict => request.host().as_bytes() == operand,
            Kind::HostRegexp => {
                let pattern = self.pattern(node);
                // Traefik also tries the flattened host, which is "" unless CNAME flattening is on.
                caches.is_match(pattern, request.host().as_bytes()) || pattern.matches_empty()
            }
            Kind::HostTemplate => caches.is_match(self.pattern(node), request.host().as_bytes()),
            Kind::Path => request.path() == operand,
            Kind::PathPrefix => request.path().starts_with(operand),
            Kind::PathRegexp => caches.is_match(self.pattern(node), request.path()),
            Kind::Method => request.method() == operand,
            Kind::Header => {
                let wanted = self.second_operand(node);
                request.any_header(as_name(operand), |value| value == wanted)
            }
            Kind::HeaderRegexp => {
                let pattern = self.pattern(node);
                request.any_header(as_name(operand), |value| caches.is_match(pattern, value))
            }
            Kind::Query => {
                let wanted = self.second_operand(node);
                query::values(request.query(), operand)
                    .any(|value| query::decodes_to(value, wanted))
            }
            Kind::QueryRegexp => {
                let pattern = self.pattern(node);
                query::values(request.query(), operand)
                    .any(|value| caches.is_match_decoded(pattern, value))
            }
            Kind::QueryFirst => query::values(request.query(), operand)
                .next()
                .is_some_and(|value| query::decodes_to(value, self.second_operand(node))),
            Kind::QueryFirstRegexp => query::values(request.query(), operand)
                .next()
                .is_some_and(|value| caches.is_match_decoded(self.pattern(node), value)),
            Kind::ClientIp => self
                .tables
                .as_ref()
                .and_then(|tables| tables.networks.get(node.aux as usize))
                .is_some_and(|network| network.contains(&request.client_ip().to_canonical())),
        }
    }

    /// The members of the group at `at`: indices of nodes.
    pub(super) fn members(&self, at: usize) -> Members<'_> {
        Members {
            rule: self,
            next: at + 1,
            end: self.node(at).aux as usize,
        }
    }

    pub(super) fn operand(&self, node: &Node) -> &[u8] {
        let at = node.at as usize;
        &self.text()[at..at + usize::from(node.len)]
    }

    pub(super) fn second_operand(&self, node: &Node) -> &[u8] {
        let at = node.at as usize + usize::from(node.len);
        &self.text()[at..at + node.aux as usize]
    }

    pub(super) fn pattern(&self, node: &Node) -> &Pattern {
        let tables = self.tables.as_ref();
        // Only `compile` builds nodes, and it adds the pattern first.
        &tables.expect("a regexp clause has a pattern").patterns[node.aux as usize]
    }

    pub(super) fn span(&self, node: &Node) -> Range<usize> {
        usize::from(node.start)..usize::from(node.end)
    }

    /// The values of `Host` clauses that are not negated, lower-cased: the domains this rule speaks of, for TLS
    /// options and certificates. Wildcards appear as written (`*.example.com`), `Host(*)` does not.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        let mut hosts = Vec::new();
        self.collect_hosts(0, false, &mut hosts);
        hosts.into_iter()
    }

    fn collect_hosts<'a>(&'a self, at: usize, negated: bool, hosts: &mut Vec<&'a str>) {
        let node = self.node(at);
        let negated = negated != node.negated;
        match node.kind {
            Kind::All | Kind::Any => {
                for member in self.members(at) {
                    self.collect_hosts(member, negated, hosts);
                }
            }
            Kind::Host | Kind::HostWildcard if !negated => {
                hosts.push(as_name(self.operand(&node)));
            }
            _ => {}
        }
    }
}

/// Operands that were checked to be ASCII when the rule was compiled.
fn as_name(operand: &[u8]) -> &str {
    std::str::from_utf8(operand).unwrap_or_default()
}

/// Iterates over the members of a group, skipping theirs.
pub(super) struct Members<'a> {
    rule: &'a Rule,
    next: usize,
    end: usize,
}

impl Iterator for Members<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.next >= self.end {
            return None;
        }
        let at = self.next;
        let node = self.rule.node(at);
        self.next = match node.kind {
            Kind::All | Kind::Any => node.aux as usize,
            _ => at + 1,
        };
        Some(at)
    }
}
