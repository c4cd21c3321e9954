//! A server's URL, parsed strictly: what it means must be beyond doubt before a request is sent there.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::config::secret::without_password;
use crate::service::Scheme;

/// Longest host name (RFC 1035, section 2.3.4).
const MAX_HOST_BYTES: usize = 253;

/// A server's URL in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerUrl<'a> {
    pub(super) scheme: Scheme,
    pub(super) host: Host<'a>,
    /// As written or the scheme's own.
    pub(super) port: u16,
    /// Host and port as written.
    pub(super) authority: &'a str,
    /// As written, without query; empty or with its leading slash.
    pub(super) path: &'a str,
}

/// A URL's host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host<'a> {
    Ip(IpAddr),
    Name(&'a str),
}

/// What is wrong with a server's URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UrlError(String);

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'a> ServerUrl<'a> {
    /// Parses `scheme://host[:port][/path][?query][#fragment]`; query and fragment are dropped, as in Traefik.
    pub(super) fn parse(url: &'a str) -> Result<Self, UrlError> {
        if let Some(bad) = url.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(UrlError(format!(
                "character {bad:?} is not allowed; percent-encode it, and write host names in their ASCII form (xn--…)"
            )));
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(UrlError(format!(
                "a scheme is missing; expected something like http://{}",
                without_password(url)
            )));
        };
        let scheme = parse_scheme(scheme)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let path = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
        if authority.contains('@') {
            return Err(UrlError("user and password in a server's URL are not supported; add an Authorization field with a headers middleware".into()));
        }
        let (host, port) = parse_authority(authority)?;
        Ok(Self {
            scheme,
            host,
            port: port.unwrap_or(80),
            authority: authority.strip_suffix(':').unwrap_or(authority),
            path,
        })
    }
}

fn parse_scheme(scheme: &str) -> Result<Scheme, UrlError> {
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok(Scheme::Http),
        known @ ("https" | "h2c" | "fcgi") => Err(UrlError(format!(
            "the scheme {known} is not supported yet; use http"
        ))),
        "" => Err(UrlError("the scheme is empty; expected http".into())),
        _ => Err(UrlError(format!(
            "the scheme {scheme:?} is unknown; expected http"
        ))),
    }
}

fn parse_authority(authority: &str) -> Result<(Host<'_>, Option<u16>), UrlError> {
    if let Some(rest) = authority.strip_prefix('[') {
        let Some((literal, rest)) = rest.split_once(']') else {
            return Err(UrlError(
                "the closing bracket of the IPv6 address is missing".into(),
            ));
        };
        let address: Ipv6Addr = literal.parse().map_err(|_| {
            UrlError(format!(
                "{literal:?} is not an IPv6 address (zones are not supported)"
            ))
        })?;
        let port = match rest.strip_prefix(':') {
            Some(port) => parse_port(port)?,
            None if rest.is_empty() => None,
            None => {
                return Err(UrlError(format!(
                    "{rest:?} after the IPv6 address is not a port"
                )));
            }
        };
        return Ok((Host::Ip(address.into()), port));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, parse_port(port)?),
        None => (authority, None),
    };
    if host.is_empty() {
        return Err(UrlError("the host is missing".into()));
    }
    if let Ok(address) = host.parse() {
        return Ok((Host::Ip(IpAddr::V4(address)), port));
    }
    check_name(host)?;
    Ok((Host::Name(host), port))
}

fn parse_port(port: &str) -> Result<Option<u16>, UrlError> {
    if port.is_empty() {
        return Ok(None);
    }
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(number) if digits && number > 0 => Ok(Some(number)),
        _ => Err(UrlError(format!(
            "{port:?} is not a port; expected 1 to 65535"
        ))),
    }
}

fn check_name(host: &str) -> Result<(), UrlError> {
    if host.len() > MAX_HOST_BYTES {
        return Err(UrlError(format!(
            "the host name has {} bytes; at most {MAX_HOST_BYTES} are possible",
            host.len()
        )));
    }
    if let Some(bad) = host
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || "-._".contains(*c)))
    {
        return Err(UrlError(format!("{bad:?} is not allowed in a host name")));
    }
    let labels = host.strip_suffix('.').unwrap_or(host);
    if labels.split('.').any(str::is_empty) {
        return Err(UrlError(format!(
            "the host name {host:?} has an empty label"
        )));
    }
    let last = labels.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(UrlError(format!(
            "{host:?} is neither an IPv4 address nor a host name"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> (Host<'_>, u16, &str, &str) {
        let url = ServerUrl::parse(url).unwrap();
        (url.host, url.port, url.authority, url.path)
    }

    #[test]
    fn urls_with_addresses_and_names_are_taken_apart() {
        assert_eq!(
            parts("http://10.0.0.1"),
            (Host::Ip([10, 0, 0, 1].into()), 80, "10.0.0.1", "")
        );
        assert_eq!(
            parts("HTTP://Web.Test:8080/a/b?c#d"),
            (Host::Name("Web.Test"), 8080, "Web.Test:8080", "/a/b")
        );
        assert_eq!(
            parts("http://[::1]:81"),
            (Host::Ip(Ipv6Addr::LOCALHOST.into()), 81, "[::1]:81", "")
        );
        assert_eq!(
            parts("http://my_app:"),
            (Host::Name("my_app"), 80, "my_app", "")
        );
        assert_eq!(parts("http://a.?x=/"), (Host::Name("a."), 80, "a.", ""));
    }

    #[test]
    fn doubtful_urls_are_refused_with_what_to_do() {
        let cases = [
            ("10.0.0.1:80", "http://10.0.0.1:80"),
            ("", "scheme"),
            ("://a", "scheme is empty"),
            ("ftp://a", "\"ftp\" is unknown"),
            ("https://a", "https is not supported yet"),
            ("h2c://a", "h2c is not supported yet"),
            ("http://", "host is missing"),
            ("http:///x", "host is missing"),
            ("http://:80", "host is missing"),
            ("http://a:0", "\"0\" is not a port"),
            ("http://a:65536", "\"65536\" is not a port"),
            ("http://a:+1", "\"+1\" is not a port"),
            ("http://a:1:2", "\"1:2\" is not a port"),
            ("http://[::1", "closing bracket"),
            ("http://[::1]x", "not a port"),
            ("http://[fe80::1%25eth0]", "zones"),
            ("http://u:p@a", "headers middleware"),
            ("http://a b", "' '"),
            ("http://ä", "xn--"),
            ("http://a..b", "empty label"),
            ("http://1.2.3.400", "neither"),
            ("http://1.2.3", "neither"),
            ("http://{{x}}", "'{'"),
        ];
        for (url, part) in cases {
            let error = ServerUrl::parse(url).expect_err(url).to_string();
            assert!(error.contains(part), "{url}: {error}");
        }
    }
}
