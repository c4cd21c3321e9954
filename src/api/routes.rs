//! From a request to its answer.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

use super::body::ApiBody;
use super::dashboard::Target;
use super::item::{Item, Place};
use super::list::{self, Page};
use super::overview::{Overview, Version, raw_data};
use super::params::{InvalidRequest, Params, unescape};
use super::reach::Reached;
use super::ringway::{Generations, explain};
use super::server::ApiSettings;
use super::state::ApiState;
use crate::config::dynamic::Kind;
use crate::plan::Published;

const JSON: &str = "application/json";
const X_NEXT_PAGE: HeaderName = HeaderName::from_static("x-next-page");
/// Elements of the whole list; not in Traefik's API.
const X_TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// Answers requests.
#[derive(Debug)]
pub(super) struct Answers {
    state: Arc<ApiState>,
    settings: ApiSettings,
    /// What requests can reach in the configuration that was last asked about. Only the API thread uses it.
    reached: Mutex<(Weak<Published>, Arc<Reached>)>,
}

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
enum Endpoint {
    Version,
    Overview,
    RawData,
    EntryPoints,
    EntryPoint(String),
    List(Kind),
    Item(Kind, String),
    Certificates,
    Certificate(String),
    Generation,
    Providers,
    Explain,
    DebugVars,
}

impl Endpoint {
    fn new(path: &str, settings: &ApiSettings) -> Option<Self> {
        let base = settings.base_path.trim_end_matches('/');
        let path = path.strip_prefix(base)?.strip_prefix('/')?;
        let segments: Vec<_> = path.split('/').collect();
        let name = |text: &str| unescape(text, false).filter(|name| !name.is_empty());
        Some(match *segments.as_slice() {
            ["api", "version"] => Self::Version,
            ["api", "overview"] => Self::Overview,
            ["api", "rawdata"] => Self::RawData,
            ["api", "entrypoints"] => Self::EntryPoints,
            ["api", "entrypoints", text] => Self::EntryPoint(name(text)?),
            ["api", "certificates"] => Self::Certificates,
            ["api", "certificates", text] => Self::Certificate(name(text)?),
            ["api", "ringway", "generation"] => Self::Generation,
            ["api", "ringway", "providers"] => Self::Providers,
            ["api", "ringway", "explain"] => Self::Explain,
            ["api", section, collection] => Self::List(kind(section, collection)?),
            ["api", section, collection, text] => {
                Self::Item(kind(section, collection)?, name(text)?)
            }
            ["debug", "vars"] if settings.debug => Self::DebugVars,
            _ => return None,
        })
    }
}

fn kind(section: &str, collection: &str) -> Option<Kind> {
    Some(match (section, collection) {
        ("http", "routers") => Kind::HttpRouter,
        ("http", "services") => Kind::HttpService,
        ("http", "middlewares") => Kind::HttpMiddleware,
        ("tcp", "routers") => Kind::TcpRouter,
        ("tcp", "services") => Kind::TcpService,
        ("tcp", "middlewares") => Kind::TcpMiddleware,
        ("udp", "routers") => Kind::UdpRouter,
        ("udp", "services") => Kind::UdpService,
        _ => return None,
    })
}

/// The word for an object of this kind in error messages.
const fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::HttpRouter | Kind::TcpRouter | Kind::UdpRouter => "router",
        Kind::HttpMiddleware | Kind::TcpMiddleware => "middleware",
        _ => "service",
    }
}

impl Answers {
    pub(super) fn new(state: Arc<ApiState>, settings: ApiSettings) -> Self {
        Self {
            state,
            settings,
            reached: Mutex::default(),
        }
    }

    /// The answer to a request, whatever it is.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<ApiBody>, Infallible> {
        let (path, query) = (request.uri().path(), request.uri().query());
        let base = &*self.settings.base_path;
        if self.settings.dashboard
            && let Some(target) = Target::new(path, base)
        {
            return Ok(target.answer(request.method(), request.headers(), base));
        }
        Ok(self
            .of(request.method(), path, query.unwrap_or_default())
            .await)
    }

    pub(super) async fn of(&self, method: &Method, path: &str, query: &str) -> Response<ApiBody> {
        let Some(endpoint) = Endpoint::new(path, &self.settings) else {
            return text(StatusCode::NOT_FOUND, "404 page not found\n".to_owned());
        };
        if method != Method::GET {
            return response(StatusCode::METHOD_NOT_ALLOWED, ApiBody::Whole(Bytes::new()));
        }
        let params = Params::parse(query);
        let answer = self.at(endpoint, &params).await;
        answer.unwrap_or_else(|invalid| message(StatusCode::BAD_REQUEST, &invalid.to_string()))
    }

    async fn at(
        &self,
        endpoint: Endpoint,
        params: &Params,
    ) -> Result<Response<ApiBody>, InvalidRequest> {
        let facts = &self.state.facts;
        let published = self.state.published();
        let not_found = |what: &str, name: &str| {
            message(StatusCode::NOT_FOUND, &format!("{what} not found: {name}"))
        };
        Ok(match endpoint {
            Endpoint::Version => json(&Version::new(facts)),
            Endpoint::Overview => json(&Overview::new(&published, facts)),
            Endpoint::RawData => {
                let reached = self.reached(&published);
                json_body(raw_data(&published, reached))
            }
            Endpoint::EntryPoints => {
                let all: Vec<_> = facts.entry_points.values().collect();
                let page = Page::new(params, all.len())?;
                paged(json(&all[page.range.clone()]), &page)
            }
            Endpoint::EntryPoint(name) => match facts.entry_points.get(&*name) {
                Some(entry_point) => json(entry_point),
                None => not_found("entry point", &name),
            },
            Endpoint::List(kind) => self.list(&published, kind, params)?,
            Endpoint::Item(kind, name) => match published.object(kind, &name) {
                Some(object) => {
                    let reached = self.reached_of(&published, kind);
                    json(&Item::new(object, &reached, Place::List))
                }
                None => not_found(noun(kind), &name),
            },
            Endpoint::Certificates => paged(json(&[(); 0]), &Page::new(params, 0)?),
            Endpoint::Certificate(name) => not_found("certificate", &name),
            Endpoint::Generation => {
                drop(published);
                let (instance, wanted) = (&*facts.instance, params.get("instance"));
                if !wanted.is_empty() && wanted != instance {
                    let text = format!(
                        "this is the instance {instance} and not {wanted}: the proxy was restarted, and generations \
                         begin anew"
                    );
                    return Ok(message(StatusCode::CONFLICT, &text));
                }
                json(&Generations::ask(&self.state, params).await?)
            }
            Endpoint::Providers => json(&super::providers::providers(&self.state)),
            Endpoint::Explain => {
                let explained = explain(&self.state, &published, params)?;
                match params.get("format") {
                    "text" => text(StatusCode::OK, explained.to_string()),
                    _ => json(&explained),
                }
            }
            Endpoint::DebugVars => json(&super::ringway::Process::now(&self.state)),
        })
    }

    fn list(
        &self,
        published: &Arc<Published>,
        kind: Kind,
        params: &Params,
    ) -> Result<Response<ApiBody>, InvalidRequest> {
        let mut objects = list::find(published, kind, params);
        let page = Page::new(params, objects.len())?;
        objects.truncate(page.range.end);
        objects.drain(..page.range.start);
        let reached = self.reached_of(published, kind);
        let mut objects = objects.into_iter();
        let mut separator = b'[';
        let body = ApiBody::pieces(move |out| {
            let Some(object) = objects.next() else {
                out.extend_from_slice(if separator == b'[' { b"[]\n" } else { b"]\n" });
                return Ok(false);
            };
            out.push(separator);
            separator = b',';
            serde_json::to_writer(out, &Item::new(&object, &reached, Place::List))?;
            Ok(true)
        });
        let mut answer = paged(json_body(body), &page);
        let total = HeaderValue::from(page.total);
        answer.headers_mut().insert(X_TOTAL_COUNT, total);
        Ok(answer)
    }

    /// What items of this kind need to know of what requests can reach: nothing, unless others refer to them.
    fn reached_of(&self, published: &Arc<Published>, kind: Kind) -> Arc<Reached> {
        match kind {
            Kind::HttpService | Kind::HttpMiddleware => self.reached(published),
            _ => Arc::default(),
        }
    }

    fn reached(&self, published: &Arc<Published>) -> Arc<Reached> {
        let mut known = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::ptr::eq(known.0.as_ptr(), Arc::as_ptr(published)) {
            *known = (Arc::downgrade(published), Arc::new(Reached::new(published)));
        }
        Arc::clone(&known.1)
    }
}

pub(super) fn response(status: StatusCode, body: ApiBody) -> Response<ApiBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

fn json_body(body: ApiBody) -> Response<ApiBody> {
    let mut response = response(StatusCode::OK, body);
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}

fn json(value: &(impl Serialize + ?Sized)) -> Response<ApiBody> {
    match serde_json::to_vec(value) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            json_body(ApiBody::Whole(bytes.into()))
        }
        Err(error) => message(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn paged(mut response: Response<ApiBody>, page: &Page) -> Response<ApiBody> {
    let next = HeaderValue::from(page.next);
    response.headers_mut().insert(X_NEXT_PAGE, next);
    response
}

/// An error in JSON under the type of plain text (Traefik: same).
fn message(status: StatusCode, text: &str) -> Response<ApiBody> {
    let mut json = serde_json::json!({ "message": text }).to_string();
    json.push('\n');
    self::text(status, json)
}

pub(super) fn text(status: StatusCode, text: String) -> Response<ApiBody> {
    let mut response = response(status, ApiBody::Whole(text.into()));
    let fields = response.headers_mut();
    fields.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(path: &str, base_path: &str, debug: bool) -> Option<Endpoint> {
        let settings = ApiSettings {
            base_path: base_path.into(),
            dashboard: true,
            debug,
        };
        Endpoint::new(path, &settings)
    }

    #[test]
    fn paths_lead_to_endpoints() {
        let found = |path| endpoint(path, "/", false);
        assert_eq!(found("/api/version"), Some(Endpoint::Version));
        assert_eq!(
            found("/api/http/routers"),
            Some(Endpoint::List(Kind::HttpRouter))
        );
        let router = Endpoint::Item(Kind::HttpRouter, "a/b@file".to_owned());
        assert_eq!(found("/api/http/routers/a%2Fb%40file"), Some(router));
        for path in [
            "/",
            "/api",
            "/api/",
            "/api/version/",
            "/api/http/routers/",
            "/api/http/routers/a/b",
            "/api/http/routerz",
            "/api/udp/middlewares",
            "/dashboard/",
            "/debug/vars",
            "/debug/pprof/",
        ] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn everything_is_below_the_base_path() {
        for base in ["/base", "/base/"] {
            let found = |path| endpoint(path, base, true);
            assert_eq!(found("/base/api/version"), Some(Endpoint::Version));
            assert_eq!(found("/base/debug/vars"), Some(Endpoint::DebugVars));
            assert_eq!(found("/api/version"), None);
            assert_eq!(found("/basement/api/version"), None);
        }
    }
}
