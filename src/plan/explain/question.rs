//! A described request becomes one that rules can be asked about, as on a shard.

use std::fmt;
use std::net::IpAddr;

use super::{EntryPointFacts, SeenRequest};
use crate::http::query::apply_semicolons;
use crate::http::{FieldName, Method, RequestHead};
use crate::rules;

/// A request as a person describes it.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The method.
    pub method: &'a str,
    /// `http://host[:port]/path?query`; `https` means a TLS connection.
    pub url: &'a str,
    /// Header fields. `Host` stands in place of the URL's.
    pub headers: &'a [(&'a str, &'a str)],
    /// The entry point; `None`: the one with the URL's port, or else a default one.
    pub entry_point: Option<&'a str>,
    /// The client's address.
    pub client: IpAddr,
}

/// A question that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionError(String);

impl fmt::Display for QuestionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for QuestionError {}

/// The request at its entry point, in the form in which it is routed.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) head: RequestHead,
    pub(super) entry_point: &'a EntryPointFacts,
    /// Where the entry point is among the planner's.
    pub(super) place: usize,
    pub(super) reason: &'static str,
    pub(super) tls: bool,
    pub(super) refused: Option<String>,
    client: IpAddr,
}

impl<'a> Asked<'a> {
    pub(super) fn new(
        question: &Question<'_>,
        entry_points: &'a [EntryPointFacts],
    ) -> Result<Self, QuestionError> {
        let url = Url::parse(question.url)?;
        let (place, reason) = find_entry_point(question.entry_point, &url, entry_points)?;
        let entry_point = &entry_points[place];
        let mut head = head(question, &url)?;
        let has_fragment = head.has_fragment() || url.target.contains('#');
        if entry_point.sanitize_path {
            head.sanitize_path();
        }
        apply_semicolons(&mut head, entry_point.semicolons);
        Ok(Self {
            head,
            entry_point,
            place,
            reason,
            tls: url.tls,
            refused: has_fragment.then(|| "400: the target has a raw #".to_owned()),
            client: question.client,
        })
    }

    pub(super) fn seen(&self) -> SeenRequest {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        SeenRequest {
            method: text(self.head.method_bytes()),
            host: text(self.head.host()),
            path: text(self.head.route_path()),
            query: self.head.query().map(text),
            client: self.client,
        }
    }
}

impl rules::Request for Asked<'_> {
    fn host(&self) -> &str {
        std::str::from_utf8(self.head.host()).unwrap_or_default()
    }

    fn path(&self) -> &[u8] {
        self.head.route_path()
    }

    fn query(&self) -> Option<&[u8]> {
        self.head.query()
    }

    fn method(&self) -> &[u8] {
        self.head.method_bytes()
    }

    fn any_header<F: FnMut(&[u8]) -> bool>(&self, name: &str, mut accept: F) -> bool {
        let mut fields = self.head.fields.iter();
        fields.any(|(field, value)| field.eq_ignore_ascii_case(name.as_bytes()) && accept(value))
    }

    fn client_ip(&self) -> IpAddr {
        self.client
    }
}

/// The parts of a URL that matter here.
struct Url<'a> {
    tls: bool,
    authority: &'a str,
    port: u16,
    /// Path and query.
    target: &'a str,
}

impl<'a> Url<'a> {
    fn parse(url: &'a str) -> Result<Self, QuestionError> {
        let wrong = |why: &str| {
            QuestionError(format!(
                "url {url:?} {why}: write http://host/path or https://host/path"
            ))
        };
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| wrong("has no scheme"))?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(wrong("has another scheme")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let after_brackets = host.rsplit_once(']').map_or(host, |(_, rest)| rest);
        let port = match after_brackets.rsplit_once(':') {
            Some((_, port)) => port.parse().map_err(|_| wrong("has no valid port"))?,
            None if tls => 443,
            None => 80,
        };
        Ok(Self {
            tls,
            authority: host,
            port,
            target,
        })
    }
}

fn find_entry_point(
    name: Option<&str>,
    url: &Url<'_>,
    entry_points: &[EntryPointFacts],
) -> Result<(usize, &'static str), QuestionError> {
    if let Some(name) = name {
        let place = entry_points.iter().position(|point| &*point.name == name);
        let names: Vec<_> = entry_points.iter().map(|point| &*point.name).collect();
        let place = place.ok_or_else(|| {
            QuestionError(format!(
                "there is no entry point {name:?} for TCP; there are: {}",
                names.join(", ")
            ))
        })?;
        return Ok((place, "as asked"));
    }
    if let Some(place) = entry_points.iter().position(|point| point.port == url.port) {
        return Ok((place, "the URL has its port"));
    }
    let default = entry_points.iter().position(|point| point.is_default);
    let place = default.or((!entry_points.is_empty()).then_some(0));
    place
        .map(|place| {
            (
                place,
                "assumed: none has the URL's port, and this is the first default one",
            )
        })
        .ok_or_else(|| QuestionError("there is no entry point for TCP".to_owned()))
}

fn head(question: &Question<'_>, url: &Url<'_>) -> Result<RequestHead, QuestionError> {
    let target = url.target.split('#').next().unwrap_or_default();
    let target = if target.starts_with('/') {
        target.to_owned()
    } else {
        format!("/{target}")
    };
    let mut authority = url.authority;
    let mut fields = Vec::new();
    for &(name, value) in question.headers {
        if name.eq_ignore_ascii_case("host") {
            authority = value;
            continue;
        }
        let name = FieldName::parse(name)
            .map_err(|error| QuestionError(format!("header {name:?}: {error}")))?;
        fields.push((name, value));
    }
    let head = RequestHead::build(Method::Get, target.as_bytes(), authority.as_bytes());
    let mut head = head.map_err(|_| {
        QuestionError(format!(
            "url {:?}: the path has a broken percent-encoding; the answer is 400",
            question.url
        ))
    })?;
    if question.method.is_empty() || !question.method.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(QuestionError(format!(
            "method {:?} is no method",
            question.method
        )));
    }
    head.set_method(question.method.as_bytes());
    for (name, value) in &fields {
        head.fields.append(name, value.as_bytes());
    }
    Ok(head)
}
