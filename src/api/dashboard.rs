//! The dashboard: a page that shows in a browser what the API tells, and the redirections that lead to it.
//!
//! | service | path | answer |
//! |---|---|---|
//! | `api@internal` | `{basePath}`, `{basePath}/dashboard` | 302 to `{basePath}/dashboard/` |
//! | `api@internal` | `{basePath}/dashboard/…` | the page and its files |
//! | `dashboard@internal` | `/…` (its routers strip what is before) | the page and its files |
//!
//! The page is a few static files in the program. It knows no path but those beneath its own: its files are beside it,
//! the API is at `../api/`, so it works below any base path and behind proxies that add or remove a prefix. Everything
//! that it shows comes from the API and is inserted as text; a `Content-Security-Policy` allows no other origin and no
//! script in the page, so that a rule or a name is never markup.
//!
//! Not here: who may see it. Routers decide that, as for the API.

use std::sync::LazyLock;

use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    IF_NONE_MATCH, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Response, StatusCode};
use sha1::{Digest, Sha1};

use super::body::ApiBody;
use super::routes::{response, text};
use crate::service::DASHBOARD_PREFIX;

/// Where the page is, below the base path.
const PAGE: &str = "/dashboard/";

/// Longest `X-Forwarded-Prefix` that is followed.
const MAX_PREFIX_BYTES: usize = 1024;

/// Nothing from elsewhere, nothing inline. The page may be framed by pages of its own origin.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// A file of the page.
#[derive(Debug)]
struct File {
    path: &'static str,
    content_type: &'static str,
    content: &'static str,
    /// Of the content, so that a browser's copy lasts until another version is started.
    etag: HeaderValue,
}

static FILES: LazyLock<[File; 6]> = LazyLock::new(|| {
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    [
        (
            "",
            "text/html; charset=utf-8",
            include_str!("dashboard/index.html"),
        ),
        (
            "assets/style.css",
            "text/css; charset=utf-8",
            include_str!("dashboard/style.css"),
        ),
        ("assets/app.js", SCRIPT, include_str!("dashboard/app.js")),
        (
            "assets/views.js",
            SCRIPT,
            include_str!("dashboard/views.js"),
        ),
        (
            "assets/parts.js",
            SCRIPT,
            include_str!("dashboard/parts.js"),
        ),
        (
            "assets/icon.svg",
            "image/svg+xml",
            include_str!("dashboard/icon.svg"),
        ),
    ]
    .map(|(path, content_type, content)| File {
        path,
        content_type,
        content,
        etag: etag(content),
    })
});

fn etag(content: &str) -> HeaderValue {
    let digest = Sha1::digest(content.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::try_from(format!("\"{hex}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// A path that is the dashboard's.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// Not yet the page: `Location` has to lead there from this path.
    Before(&'a str),
    /// A file, by its path below the page's.
    File(&'a str),
}

impl<'a> Target<'a> {
    /// What `path` means where `base` is `api.basePath`; `None`: nothing of the dashboard.
    pub(super) fn new(path: &'a str, base: &str) -> Option<Self> {
        let base = base.trim_end_matches('/');
        if let Some(rest) = path.strip_prefix(DASHBOARD_PREFIX) {
            // Below a base path the files of `{base}/dashboard` are beside it, and nothing was stripped.
            let rest = match rest.strip_prefix(base) {
                Some(below) if below.starts_with('/') => below,
                _ => rest,
            };
            return rest.strip_prefix('/').map(Self::File);
        }
        let below = path.strip_prefix(base)?;
        match below.strip_prefix(PAGE) {
            Some(file) => Some(Self::File(file)),
            None if matches!(below, "" | "/" | "/dashboard") => Some(Self::Before(path)),
            None => None,
        }
    }

    /// The answer to a request for it.
    pub(super) fn answer(
        &self,
        method: &Method,
        fields: &HeaderMap,
        base: &str,
    ) -> Response<ApiBody> {
        let mut answer = match (self, method) {
            (_, method) if !matches!(*method, Method::GET | Method::HEAD) => {
                let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, nothing());
                let allowed = HeaderValue::from_static("GET, HEAD");
                refused.headers_mut().insert(ALLOW, allowed);
                refused
            }
            (Self::Before(path), _) => redirection(&location(path, base, fields)),
            (Self::File("index.html"), _) => redirection("./"),
            (Self::File(path), _) => match FILES.iter().find(|file| file.path == *path) {
                Some(file) => file.answer(fields),
                None => text(StatusCode::NOT_FOUND, "404 page not found\n".to_owned()),
            },
        };
        for (name, value) in [
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
        ] {
            let value = HeaderValue::from_static(value);
            answer.headers_mut().insert(name, value);
        }
        answer
    }
}

impl File {
    fn answer(&self, fields: &HeaderMap) -> Response<ApiBody> {
        let known = fields.get_all(IF_NONE_MATCH).iter();
        let is_known = known
            .filter_map(|value| value.to_str().ok())
            .flat_map(|list| list.split(','))
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == "*" || tag.as_bytes() == self.etag.as_bytes());
        let mut answer = if is_known {
            response(StatusCode::NOT_MODIFIED, nothing())
        } else {
            let content = Bytes::from_static(self.content.as_bytes());
            response(StatusCode::OK, ApiBody::Whole(content))
        };
        let own = answer.headers_mut();
        own.insert(ETAG, self.etag.clone());
        // A copy is asked about each time, so that a new version of the program shows its own page.
        own.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if !is_known {
            own.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
        answer
    }
}

fn nothing() -> ApiBody {
    ApiBody::Whole(Bytes::new())
}

fn redirection(location: &str) -> Response<ApiBody> {
    match HeaderValue::try_from(location) {
        Ok(location) => {
            let mut found = response(StatusCode::FOUND, nothing());
            found.headers_mut().insert(LOCATION, location);
            found
        }
        Err(_) => text(StatusCode::NOT_FOUND, "404 page not found\n".to_owned()),
    }
}

/// Where the page is for the client: below the prefix that a trusted proxy or a middleware says it removed, or else
/// relative to the path that the client asked for, which is right whatever was removed.
fn location(path: &str, base: &str, fields: &HeaderMap) -> String {
    let base = base.trim_end_matches('/');
    if let Some(prefix) = fields.get("x-forwarded-prefix").and_then(safe_prefix) {
        return format!("{prefix}{base}{PAGE}");
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    match last {
        "" => "./dashboard/".to_owned(),
        "dashboard" if path.len() > base.len() => "./dashboard/".to_owned(),
        last => format!("./{last}{PAGE}"),
    }
}

/// A prefix that cannot lead to another host: a path of the characters that RFC 3986 has for paths, without an empty
/// first segment. Browsers read `//` and `/\` as the beginning of a host.
fn safe_prefix(value: &HeaderValue) -> Option<String> {
    let value = value.to_str().ok()?.trim();
    let path = value.trim_matches('/');
    let is_character =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=:@/%".contains(&byte);
    let is_safe = value.len() <= MAX_PREFIX_BYTES
        && !value.starts_with("//")
        && !path.is_empty()
        && path.bytes().all(is_character)
        // `https:…` and the like; Traefik ignores them too.
        && (value.starts_with('/') || !path.contains(':'));
    is_safe.then(|| format!("/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target<'a>(path: &'a str, base: &str) -> Option<Target<'a>> {
        Target::new(path, base)
    }

    #[test]
    fn paths_lead_to_the_page() {
        for base in ["/", "/base", "/base/"] {
            let own = base.trim_end_matches('/');
            for path in ["/", "/dashboard"] {
                let path = format!("{own}{path}");
                assert_eq!(target(&path, base), Some(Target::Before(&path)));
            }
            for file in ["", "assets/app.js", "nope", "index.html"] {
                let path = format!("{own}/dashboard/{file}");
                assert_eq!(target(&path, base), Some(Target::File(file)), "{path}");
                let path = format!("{DASHBOARD_PREFIX}/{file}");
                assert_eq!(target(&path, base), Some(Target::File(file)), "{path}");
                let path = format!("{DASHBOARD_PREFIX}{own}/{file}");
                assert_eq!(target(&path, base), Some(Target::File(file)), "{path}");
            }
        }
        assert_eq!(target("/base", "/base"), Some(Target::Before("/base")));
        for path in ["/dashboards", "/api/version", "/x", "/dashboardx/"] {
            assert_eq!(target(path, "/"), None, "{path}");
        }
        for path in [
            "/",
            "/dashboard/",
            "/basement",
            "/base2/dashboard/",
            "/base/api",
        ] {
            assert_eq!(target(path, "/base"), None, "{path}");
        }
    }

    /// As RFC 3986, section 5.2, for the forms that occur here.
    fn resolved(path: &str, location: &str) -> String {
        match location.strip_prefix("./") {
            Some(relative) => {
                let (directory, _) = path.rsplit_once('/').expect("a path");
                format!("{directory}/{relative}")
            }
            None => location.to_owned(),
        }
    }

    #[test]
    fn redirections_end_at_the_page_whatever_is_before_it() {
        for (base, path) in [
            ("/", "/"),
            ("/", "/dashboard"),
            ("/base", "/base"),
            ("/base", "/base/"),
            ("/base", "/base/dashboard"),
            ("/dashboard", "/dashboard"),
            ("/dashboard", "/dashboard/dashboard"),
            ("/a:b/", "/a:b"),
        ] {
            let page = format!("{}/dashboard/", base.trim_end_matches('/'));
            let location = location(path, base, &HeaderMap::new());
            assert_eq!(resolved(path, &location), page, "{path} below {base}");
            // A proxy in front removed `/pre` and said nothing.
            let outside = format!("/pre{path}");
            assert_eq!(resolved(&outside, &location), format!("/pre{page}"));
        }
    }

    #[test]
    fn prefixes_are_followed_unless_they_could_lead_elsewhere() {
        let at = |prefix: &str| {
            let mut fields = HeaderMap::new();
            fields.insert(
                "x-forwarded-prefix",
                HeaderValue::from_str(prefix).expect("a value"),
            );
            location("/base", "/base", &fields)
        };
        for (prefix, shown) in [
            ("/x", "/x/base/dashboard/"),
            ("x", "/x/base/dashboard/"),
            ("/x/y/", "/x/y/base/dashboard/"),
            (" /pad", "/pad/base/dashboard/"),
            ("/%2fevil", "/%2fevil/base/dashboard/"),
        ] {
            assert_eq!(at(prefix), shown, "{prefix}");
        }
        let long = format!("/{}", "x".repeat(MAX_PREFIX_BYTES));
        for prefix in [
            "//evil.example",
            "///evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/\\evil.example",
            "\\\\evil.example",
            "/a\"<b>",
            "/a b",
            "/a?b",
            "/a#b",
            "/",
            "",
            &long,
        ] {
            assert_eq!(at(prefix), "./base/dashboard/", "{prefix}");
        }
    }

    #[test]
    fn nothing_in_the_page_comes_from_elsewhere_or_is_inline() {
        for file in FILES.iter() {
            for origin in ["http://", "https://", "\"//", "'//"] {
                // The namespace of SVG, and an example that is shown.
                let allowed = ["http://www.w3.org/", "http://shop.example.com/"];
                let content = allowed
                    .iter()
                    .fold(file.content.to_owned(), |content, text| {
                        content.replace(text, "")
                    });
                assert!(!content.contains(origin), "{}: {origin}", file.path);
            }
            for way in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                " style=",
                " onclick=",
            ] {
                assert!(!file.content.contains(way), "{}: {way}", file.path);
            }
        }
    }
}
