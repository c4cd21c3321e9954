//! Answers that are about everything: overview, version, all data.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::body::ApiBody;
use super::item::{Item, Place};
use super::reach::Reached;
use super::state::ApiFacts;
use crate::config::dynamic::Kind;
use crate::config::statics::{EntryPoint, UnderscoreHeaders};
use crate::plan::{ObjectStatus, Published, Status};

/// How many objects there are, and how many are not as configured.
#[derive(Debug, Default, Serialize)]
struct Count {
    total: usize,
    warnings: usize,
    errors: usize,
}

#[derive(Debug, Serialize)]
struct Section {
    routers: Count,
    services: Count,
    #[serde(skip_serializing_if = "Option::is_none")]
    middlewares: Option<Count>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Features {
    tracing: &'static str,
    metrics: &'static str,
    access_log: bool,
}

/// `/api/overview`.
#[derive(Debug, Serialize)]
pub(super) struct Overview<'a> {
    http: Section,
    tcp: Section,
    udp: Section,
    certificates: Count,
    features: Features,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    providers: &'a [Arc<str>],
}

impl<'a> Overview<'a> {
    /// Counts every object.
    pub(super) fn new(published: &Published, facts: &'a ApiFacts) -> Self {
        let count = |kind| count(published, kind);
        Self {
            http: Section {
                routers: count(Kind::HttpRouter),
                services: count(Kind::HttpService),
                middlewares: Some(count(Kind::HttpMiddleware)),
            },
            tcp: Section {
                routers: count(Kind::TcpRouter),
                services: count(Kind::TcpService),
                middlewares: Some(count(Kind::TcpMiddleware)),
            },
            udp: Section {
                routers: count(Kind::UdpRouter),
                services: count(Kind::UdpService),
                middlewares: None,
            },
            certificates: Count::default(),
            features: Features {
                tracing: "",
                metrics: "",
                access_log: facts.access_log,
            },
            providers: &facts.providers,
        }
    }
}

fn count(published: &Published, kind: Kind) -> Count {
    let mut count = Count::default();
    for object in published.objects_of(kind) {
        count.total += 1;
        match object.status {
            Status::Enabled => {}
            Status::Warning => count.warnings += 1,
            Status::Disabled => count.errors += 1,
        }
    }
    count
}

/// `/api/version`.
#[derive(Debug, Serialize)]
pub(super) struct Version<'a> {
    #[serde(rename = "Version")]
    version: &'static str,
    #[serde(rename = "Codename")]
    codename: &'static str,
    #[serde(rename = "startDate")]
    start_date: String,
    #[serde(
        rename = "disableDashboardAd",
        skip_serializing_if = "std::ops::Not::not"
    )]
    disable_dashboard_ad: bool,
    #[serde(rename = "dashboardName", skip_serializing_if = "str::is_empty")]
    dashboard_name: &'a str,
}

impl<'a> Version<'a> {
    /// This program's version.
    pub(super) fn new(facts: &'a ApiFacts) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            codename: env!("CARGO_PKG_NAME"),
            start_date: timestamp(facts.started),
            disable_dashboard_ad: facts.disable_dashboard_ad,
            dashboard_name: &facts.dashboard_name,
        }
    }
}

/// RFC 3339 in UTC, as Go writes times.
fn timestamp(time: SystemTime) -> String {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let nanos = i128::try_from(since_epoch.as_nanos()).unwrap_or_default();
    jiff::Timestamp::from_nanosecond(nanos).map_or_else(|_| String::new(), |time| time.to_string())
}

/// An entry point under its name, as Traefik shows it.
pub(super) fn named_entry_point(name: &str, config: &EntryPoint) -> serde_json::Value {
    // An entry point is a map of texts, numbers and maps; such a value always exists.
    let mut shown = serde_json::to_value(config).unwrap_or_default();
    shown["name"] = name.into();
    // Traefik knows "not configured" here and shows nothing then.
    if let Some(http) = shown.get_mut("http").and_then(|http| http.as_object_mut())
        && config.http.underscore_headers_strategy == UnderscoreHeaders::Keep
    {
        http.remove("underscoreHeadersStrategy");
    }
    shown
}

/// The collections of `/api/rawdata`, in Traefik's order.
const COLLECTIONS: [(&str, Kind); 8] = [
    ("routers", Kind::HttpRouter),
    ("middlewares", Kind::HttpMiddleware),
    ("services", Kind::HttpService),
    ("tcpRouters", Kind::TcpRouter),
    ("tcpMiddlewares", Kind::TcpMiddleware),
    ("tcpServices", Kind::TcpService),
    ("udpRouters", Kind::UdpRouter),
    ("udpServices", Kind::UdpService),
];

/// `/api/rawdata`: every object, written while it is sent. A slow client keeps objects alive, but no snapshot.
pub(super) fn raw_data(published: &Published, reached: Arc<Reached>) -> ApiBody {
    let published = Published {
        objects: published.objects.clone(),
        ..Published::default()
    };
    let mut collections = COLLECTIONS.into_iter();
    let mut open: Option<std::vec::IntoIter<Arc<ObjectStatus>>> = None;
    let mut before_collection = '{';
    let mut before_object = b'{';
    ApiBody::pieces(move |out| {
        if let Some(object) = open.as_mut().and_then(Iterator::next) {
            out.push(before_object);
            before_object = b',';
            serde_json::to_writer(&mut *out, &*object.name)?;
            out.push(b':');
            let item = Item::new(&object, &reached, Place::RawData);
            serde_json::to_writer(out, &item)?;
            return Ok(true);
        }
        if open.take().is_some() {
            out.push(b'}');
        }
        for (name, kind) in collections.by_ref() {
            let objects: Vec<_> = published.objects_of(kind).cloned().collect();
            if objects.is_empty() {
                continue;
            }
            out.extend_from_slice(format!("{before_collection}\"{name}\":").as_bytes());
            (before_collection, before_object) = (',', b'{');
            open = Some(objects.into_iter());
            return Ok(true);
        }
        let is_empty = before_collection == '{';
        out.extend_from_slice(if is_empty { b"{}\n" } else { b"}\n" });
        Ok(false)
    })
}
