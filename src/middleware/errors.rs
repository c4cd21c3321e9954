//! `errors`: settings and decisions of replacing error responses by pages of another service. The
//! exchange drives it: it sends a GET for [`Errors::error_path`] to the service, and answers with that
//! response under the status [`Errors::shown_status`].

use super::FieldError;
use super::status_ranges::StatusRanges;
use crate::config::dynamic::middleware as config;
use crate::http::path::normalize;
use crate::http::{FieldName, Fields, RequestHead, Token};

/// A compiled `errors`.
#[derive(Clone, Debug)]
pub struct Errors {
    /// Name of the service with the pages, as configured.
    pub service: Box<str>,
    statuses: StatusRanges,
    rewrites: Box<[(StatusRanges, u16)]>,
    query: Box<[Part]>,
    /// `None`: all.
    request_headers: Option<Box<[FieldName]>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Escaped.
    Text(Box<[u8]>),
    Status,
    OriginalStatus,
    Url,
}

impl Errors {
    pub(super) fn compile(config: &config::ErrorPage) -> Result<Self, FieldError> {
        if config.service.is_empty() {
            return Err(FieldError::new(
                "service",
                "is empty; give the service that has the error pages",
            ));
        }
        let mut rewrites = Vec::new();
        for (range, &status) in &config.status_rewrites {
            let ranges =
                StatusRanges::parse([range]).map_err(|e| FieldError::new("statusRewrites", e))?;
            let status = u16::try_from(status)
                .ok()
                .filter(|status| (200..=999).contains(status));
            let status = status.ok_or_else(|| {
                FieldError::new(
                    "statusRewrites",
                    format!(
                        "{range:?} leads to what is no status of a final response; use 200 to 999"
                    ),
                )
            })?;
            rewrites.push((ranges, status));
        }
        let names = config
            .error_request_headers
            .iter()
            .map(|name| FieldName::parse(name))
            .collect::<Result<Box<[_]>, _>>();
        let names = names.map_err(|e| FieldError::new("errorRequestHeaders", e))?;
        Ok(Errors {
            service: config.service.clone(),
            statuses: StatusRanges::parse(&config.status)
                .map_err(|e| FieldError::new("status", e))?,
            rewrites: rewrites.into(),
            query: parse_query(&config.query).map_err(|e| FieldError::new("query", e))?,
            request_headers: Some(names).filter(|names| !names.is_empty()),
        })
    }

    /// Whether a response of this status is replaced.
    pub fn matches(&self, status: u16) -> bool {
        self.statuses.contains(status)
    }

    /// The status the client sees in place of `status`.
    pub fn shown_status(&self, status: u16) -> u16 {
        self.rewrites
            .iter()
            .find(|(from, _)| from.contains(status))
            .map_or(status, |&(_, to)| to)
    }

    /// Writes path and query of the page into `out`: `{status}` is the status the client sees,
    /// `{originalStatus}` the one of the replaced response, `{url}` the request's URL as it reached the
    /// service, query-escaped.
    pub fn error_path(&self, status: u16, rq: &RequestHead, secure: bool, out: &mut Vec<u8>) {
        out.clear();
        for part in &self.query {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Status => push_number(self.shown_status(status), out),
                Part::OriginalStatus => push_number(status, out),
                Part::Url => push_url(rq, secure, out),
            }
        }
    }

    /// Copies the fields of `from` that the page's service may see. Those that describe the body or
    /// the connection stay behind: the page's request has no body.
    pub fn copy_fields(&self, from: &Fields, to: &mut Fields) {
        for (token, name, value) in from.iter_with_token() {
            let described = token.is_some_and(|token| {
                token.is_connection_specific()
                    || matches!(token, Token::Expect | Token::Te | Token::Trailer)
            });
            if described {
                continue;
            }
            match token {
                Some(token) => {
                    if self.shows(&FieldName::from(token)) {
                        to.append(&token, value);
                    }
                }
                None => {
                    // A name that came in is valid; unknown ones cost an allocation on this path.
                    let name = std::str::from_utf8(name)
                        .ok()
                        .and_then(|name| FieldName::parse(name).ok());
                    if let Some(name) = name.filter(|name| self.shows(name)) {
                        to.append(&name, value);
                    }
                }
            }
        }
    }

    fn shows(&self, name: &FieldName) -> bool {
        self.request_headers
            .as_ref()
            .is_none_or(|names| names.contains(name))
    }
}

/// Cuts the template at its placeholders and escapes what lies between.
fn parse_query(query: &str) -> Result<Box<[Part]>, String> {
    const PLACEHOLDERS: [(&str, Part); 3] = [
        ("{status}", Part::Status),
        ("{originalStatus}", Part::OriginalStatus),
        ("{url}", Part::Url),
    ];
    // A fragment is never sent.
    let query = query.split('#').next().unwrap_or_default();
    let mut rest = query.strip_prefix('/').unwrap_or(query);
    let mut parts = Vec::new();
    let mut text = vec![b'/'];
    let mut in_query = false;
    while !rest.is_empty() {
        let next = PLACEHOLDERS
            .iter()
            .filter_map(|(name, part)| Some((rest.find(name)?, name, part)));
        let (literal, placeholder, tail) = match next.min_by_key(|(at, _, _)| *at) {
            Some((at, name, part)) => (&rest[..at], Some(part), &rest[at + name.len()..]),
            None => (rest, None, ""),
        };
        let (path, search) = match literal.split_once('?') {
            Some((path, search)) if !in_query => (path, Some(search)),
            _ if in_query => ("", Some(literal)),
            _ => (literal, None),
        };
        normalize(path.as_bytes(), &mut text).map_err(|error| format!("{query:?}: {error}"))?;
        if let Some(search) = search {
            if !in_query {
                text.push(b'?');
                in_query = true;
            }
            escape_search(search, &mut text);
        }
        if let Some(part) = placeholder {
            parts.push(Part::Text(std::mem::take(&mut text).into()));
            parts.push(part.clone());
        }
        rest = tail;
    }
    parts.push(Part::Text(text.into()));
    Ok(parts.into())
}

/// What a request line cannot hold is percent-encoded; everything else is the author's.
fn escape_search(search: &str, out: &mut Vec<u8>) {
    for byte in search.bytes() {
        if byte.is_ascii_graphic() {
            out.push(byte)
        } else {
            push_escape(byte, out)
        }
    }
}

fn push_number(status: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
}

/// The request's URL in the form of Go's `url.QueryEscape`.
fn push_url(rq: &RequestHead, secure: bool, out: &mut Vec<u8>) {
    let scheme: &[u8] = if secure { b"https://" } else { b"http://" };
    let query = rq.query().filter(|query| !query.is_empty());
    let mark: &[u8] = if query.is_some() { b"?" } else { b"" };
    let parts = [
        scheme,
        rq.authority().unwrap_or_default(),
        rq.path(),
        mark,
        query.unwrap_or_default(),
    ];
    for &byte in parts.into_iter().flatten() {
        match byte {
            b' ' => out.push(b'+'),
            b'-' | b'_' | b'.' | b'~' => out.push(byte),
            _ if byte.is_ascii_alphanumeric() => out.push(byte),
            _ => push_escape(byte, out),
        }
    }
}

fn push_escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(&[
        b'%',
        HEX[usize::from(byte >> 4)],
        HEX[usize::from(byte & 15)],
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Method;

    fn config(query: &str) -> config::ErrorPage {
        config::ErrorPage {
            status: ["500-599".into()].into(),
            service: "pages".into(),
            query: query.into(),
            ..Default::default()
        }
    }

    fn path(query: &str, target: &str) -> String {
        let mut config = config(query);
        config.status_rewrites.insert("503".into(), 418);
        let errors = Errors::compile(&config).unwrap();
        let rq = RequestHead::build(Method::Get, target.as_bytes(), b"h.test").unwrap();
        let mut out = Vec::new();
        errors.error_path(503, &rq, false, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_page_is_asked_for_by_the_template() {
        for (query, expected) in [
            ("", "/"),
            ("e", "/e"),
            ("/{status}.html", "/418.html"),
            ("/{originalStatus}/{status}", "/503/418"),
            ("//e", "//e"),
            ("/a b{status}", "/a%20b418"),
            ("/a{foo}", "/a%7Bfoo%7D"),
            (
                "/e?s={status}&u={url}",
                "/e?s=418&u=http%3A%2F%2Fh.test%2Fx%252Fy%3Fa%3Db%26c%3D%2520d",
            ),
            (
                "/{url}",
                "/http%3A%2F%2Fh.test%2Fx%252Fy%3Fa%3Db%26c%3D%2520d",
            ),
            ("/e?a b=é?c", "/e?a%20b=%C3%A9?c"),
            ("/e#f{status}", "/e"),
            ("{status}?{status}?", "/418?418?"),
        ] {
            assert_eq!(path(query, "/x%2Fy?a=b&c=%20d"), expected, "{query}");
        }
    }

    #[test]
    fn only_configured_statuses_are_replaced_and_rewritten() {
        let mut config = config("/");
        config.status = ["404".into(), "500-502".into()].into();
        config.status_rewrites.insert("500-501".into(), 404);
        let errors = Errors::compile(&config).unwrap();
        assert!(errors.matches(404) && errors.matches(502) && !errors.matches(503));
        assert_eq!(
            [500, 501, 502].map(|s| errors.shown_status(s)),
            [404, 404, 502]
        );
    }

    #[test]
    fn the_service_sees_the_chosen_fields() {
        let mut from = Fields::new();
        for (name, value) in [
            ("X-A", "1"),
            ("x-a", "2"),
            ("Cookie", "c"),
            ("Content-Length", "5"),
            ("Connection", "X-A"),
            ("Authorization", "Basic x"),
            ("Expect", "100-continue"),
        ] {
            from.append(&FieldName::parse(name).unwrap(), value.as_bytes());
        }
        let shown = |names: &[&str]| {
            let mut config = config("/");
            config.error_request_headers = names.iter().map(|&n| n.into()).collect();
            let mut to = Fields::new();
            Errors::compile(&config)
                .unwrap()
                .copy_fields(&from, &mut to);
            to.iter()
                .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(&[]), ["X-A", "X-A", "Cookie", "Authorization"]);
        assert_eq!(shown(&["x-a", "X-None"]), ["X-A", "X-A"]);
    }

    #[test]
    fn bad_settings_are_named() {
        for (edit, field) in [
            (
                (|c| c.service = "".into()) as fn(&mut config::ErrorPage),
                "service",
            ),
            (|c| c.status = ["abc".into()].into(), "status"),
            (|c| c.query = "/a%zz".into(), "query"),
            (
                |c| c.error_request_headers = ["a b".into()].into(),
                "errorRequestHeaders",
            ),
            (
                |c| {
                    c.status_rewrites.insert("abc".into(), 404);
                },
                "statusRewrites",
            ),
            (
                |c| {
                    c.status_rewrites.insert("500".into(), 100);
                },
                "statusRewrites",
            ),
        ] {
            let mut config = config("/");
            edit(&mut config);
            assert_eq!(Errors::compile(&config).unwrap_err().field, field);
        }
    }
}
