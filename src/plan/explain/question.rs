//! The request that is asked about, read the way a shard reads one that arrives: which entry point it comes to, and
//! the head that rules see there.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::exchange::EntryPointSettings;
use crate::http::query::apply_semicolons;
use crate::http::{FieldName, Method, RequestHead};

/// The request to explain.
#[derive(Clone, Debug)]
pub struct Question {
    /// The method.
    pub method: String,
    /// `http://host[:port]/path[?query]`; `https` asks the routers with TLS.
    pub url: String,
    /// Fields beside `Host`; a `Host` here replaces the URL's.
    pub headers: Vec<(String, String)>,
    /// The entry point; without one, that of the URL's port (80 or 443 if it has none), else `web` or `websecure`,
    /// else the first default one.
    pub entry_point: Option<String>,
    /// The client's address; `127.0.0.1` if it does not matter.
    pub client: IpAddr,
}

impl Question {
    /// A GET without further fields, from this machine.
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: "GET".to_owned(),
            url: url.into(),
            headers: Vec::new(),
            entry_point: None,
            client: Ipv4Addr::LOCALHOST.into(),
        }
    }
}

/// The parts of the question's URL.
pub(super) struct Target<'q> {
    pub(super) tls: bool,
    authority: &'q str,
    /// Path and query.
    path: &'q str,
}

impl<'q> Target<'q> {
    pub(super) fn parse(url: &'q str) -> Result<Self, String> {
        let wrong = || format!("{url:?} is no URL such as http://host/path");
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let tls = match scheme {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => {
                return Err(format!(
                    "{url:?}: the scheme is {scheme:?}; expected http or https"
                ));
            }
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            tls,
            authority,
            path,
        })
    }

    fn port(&self) -> Option<u16> {
        let port = crate::http::request_head::split_host_port(self.authority.as_bytes()).1?;
        std::str::from_utf8(port).ok()?.parse().ok()
    }
}

pub(super) fn choose_entry_point<'e>(
    entry_points: &'e [EntryPointSettings],
    defaults: &[Arc<str>],
    question: &Question,
    target: &Target<'_>,
) -> Result<(usize, &'e EntryPointSettings), String> {
    let find = |wanted: &dyn Fn(&EntryPointSettings) -> bool| {
        entry_points
            .iter()
            .enumerate()
            .find(|(_, settings)| wanted(settings))
    };
    if let Some(name) = &question.entry_point {
        return find(&|settings| *settings.name == **name).ok_or_else(|| {
            let names: Vec<&str> = entry_points
                .iter()
                .map(|settings| &*settings.name)
                .collect();
            format!(
                "there is no entry point {name:?}; there are {}",
                names.join(", ")
            )
        });
    }
    let (port, usual) = if target.tls {
        (443, "websecure")
    } else {
        (80, "web")
    };
    let port = target.port().unwrap_or(port);
    find(&|settings| settings.port == port)
        .or_else(|| find(&|settings| *settings.name == *usual))
        .or_else(|| find(&|settings| defaults.contains(&settings.name)))
        .or_else(|| find(&|_| true))
        .ok_or_else(|| "there is no entry point for HTTP".to_owned())
}

pub(super) fn build_head(
    question: &Question,
    target: &Target<'_>,
    settings: &EntryPointSettings,
) -> Result<RequestHead, String> {
    let path = match target.path {
        "" => "/".to_owned(),
        query if query.starts_with('?') => format!("/{query}"),
        path => path.split('#').next().unwrap_or_default().to_owned(),
    };
    let mut head = RequestHead::build(Method::Get, path.as_bytes(), target.authority.as_bytes())
        .map_err(|error| format!("{path:?}: {error}; such a request gets 400"))?;
    head.set_method(question.method.as_bytes());
    if head.method_bytes() != question.method.as_bytes() {
        return Err(format!("{:?} is no method", question.method));
    }
    for (name, value) in &question.headers {
        if name.eq_ignore_ascii_case("host") {
            head.set_authority(value.as_bytes());
            continue;
        }
        let name = FieldName::parse(name).map_err(|error| error.to_string())?;
        head.fields.append(&name, value.as_bytes());
    }
    if settings.sanitize_path {
        head.sanitize_path();
    }
    apply_semicolons(&mut head, settings.semicolons);
    Ok(head)
}
