//! Where the dashboard is and what its answers say of caching and of other origins; its page in a browser is the
//! business of `dashboard_browser`.

mod support;

use support::client::{Client, Response};
use support::process::{Process, Setup, bare, setup};

const HTML: &str = "text/html; charset=utf-8";

/// A proxy with this `api:`, whose `web` has the given routers.
fn with_api(api: &str, routers: &str) -> Process {
    let statics = format!(
        "entryPoints:\n  web: {{address: \"127.0.0.1:0\", forwardedHeaders: {{insecure: true}}}}\n  \
         closed: {{address: \"127.0.0.1:0\"}}\n  traefik: {{address: \"127.0.0.1:0\"}}\n\
         providers: {{file: {{filename: \"{{dir}}/dynamic.yml\"}}}}\n{api}\n"
    );
    setup(&statics).dynamic(routers).start()
}

/// `a.test` leads to the API, `d.test` to the dashboard, and `/pre` to the API below a prefix.
const ROUTERS: &str = "\
http:
  routers:
    a: {rule: Host(`a.test`), service: api@internal}
    d: {rule: Host(`d.test`), service: dashboard@internal}
    p: {rule: PathPrefix(`/pre`), service: api@internal, middlewares: [strip]}
  middlewares: {strip: {stripPrefix: {prefixes: [/pre]}}}
";

fn ask(proxy: &Process, entry_point: &str, request: &str, fields: &str) -> Response {
    let mut client = Client::connect(proxy.address(entry_point));
    client.send(format!(
        "{request} HTTP/1.1\r\nConnection: close\r\n{fields}\r\n"
    ));
    client.response()
}

fn status(proxy: &Process, host: &str, path: &str) -> u16 {
    proxy.get(host, path).status
}

fn location(proxy: &Process, host: &str, path: &str) -> String {
    let answer = proxy.get(host, path);
    assert!(
        [301, 302].contains(&answer.status),
        "{path}: {}",
        answer.head
    );
    answer.field("location").expect("a location").to_owned()
}

#[track_caller]
fn assert_page(answer: &Response) {
    assert_eq!(answer.status, 200, "{}", answer.head);
    assert_eq!(answer.field("content-type"), Some(HTML));
    assert!(answer.text().contains("<title>Ringway</title>"));
}

#[test]
fn an_insecure_api_has_it_at_its_root() {
    let proxy = with_api("api: {insecure: true}", ROUTERS);
    let get = |path: &str| proxy.get_from("traefik", "x.test:1", path);
    let root = get("/");
    // As Traefik says it, byte for byte.
    assert_eq!(root.status, 301);
    assert_eq!(
        root.field("location"),
        Some("http://x.test:1/dashboard/"),
        "{}",
        root.head
    );
    for path in ["/dashboard/", "/dashboard"] {
        assert_page(&get(path));
    }
    for (path, content_type) in [
        ("assets/app.js", "text/javascript; charset=utf-8"),
        ("assets/views.js", "text/javascript; charset=utf-8"),
        ("assets/parts.js", "text/javascript; charset=utf-8"),
        ("assets/style.css", "text/css; charset=utf-8"),
        ("assets/icon.svg", "image/svg+xml"),
    ] {
        let answer = get(&format!("/dashboard/{path}"));
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.field("content-type"), Some(content_type));
        // Where the page was asked for without its slash.
        assert_eq!(get(&format!("/{path}")).body, answer.body);
    }
    let moved = get("/dashboard/index.html");
    assert_eq!((moved.status, moved.field("location")), (302, Some("./")));
    for path in ["/dashboard/nope", "/dashboard/assets/", "/nope", "/api/"] {
        assert_eq!(get(path).status, 404, "{path}");
    }
    assert_eq!(get("/api/version").status, 200);
    let page = get("/api/http/routers?per_page=1");
    assert_eq!(page.field("x-next-page"), Some("2"));
    // Three of the file, API and dashboard.
    assert_eq!(page.field("x-total-count"), Some("5"));
}

#[test]
fn answers_forbid_other_origins_and_are_asked_for_anew() {
    let proxy = with_api("api: {insecure: true}", ROUTERS);
    for path in ["/dashboard/", "/dashboard/assets/app.js", "/dashboard/nope"] {
        let answer = proxy.get_from("traefik", "x", path);
        let policy = answer.field("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(!policy.contains("http"), "{policy}");
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.field("referrer-policy"), Some("no-referrer"));
    }
    let page = proxy.get_from("traefik", "x", "/dashboard/");
    assert_eq!(page.field("cache-control"), Some("no-cache"));
    let etag = page.field("etag").expect("an ETag").to_owned();
    let again = |known: &str| {
        let fields = format!("Host: x\r\nIf-None-Match: {known}\r\n");
        ask(&proxy, "traefik", "GET /dashboard/", &fields)
    };
    for known in [
        etag.clone(),
        format!("W/{etag}"),
        format!("\"x\", {etag}"),
        "*".to_owned(),
    ] {
        let answer = again(&known);
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{known}");
        assert_eq!(answer.field("etag"), Some(&*etag));
    }
    assert_page(&again("\"other\""));
}

#[test]
fn it_is_read_only() {
    let proxy = with_api("api: {}", ROUTERS);
    for host in ["a.test", "d.test"] {
        let path = if host == "a.test" { "/dashboard/" } else { "/" };
        let page = proxy.get(host, path);
        assert_page(&page);
        let mut client = Client::connect(proxy.web());
        client.send(format!(
            "HEAD {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ));
        let head = client.head();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let length = format!("content-length: {}\r\n", page.body.len());
        assert!(head.to_ascii_lowercase().contains(&length), "{head}");
        assert!(client.is_closed(), "a body after {head}");
        for method in ["POST", "PUT", "DELETE"] {
            let request = format!("{method} {path}");
            let fields = format!("Host: {host}\r\nContent-Length: 0\r\n");
            let answer = ask(&proxy, "web", &request, &fields);
            assert_eq!(answer.status, 405, "{method}");
            assert_eq!(answer.field("allow"), Some("GET, HEAD"));
        }
    }
}

#[test]
fn a_router_to_the_api_has_it_below_dashboard() {
    let proxy = with_api("api: {}", ROUTERS);
    assert_page(&proxy.get("a.test", "/dashboard/"));
    assert_eq!(location(&proxy, "a.test", "/"), "./dashboard/");
    assert_eq!(location(&proxy, "a.test", "/?a=b"), "./dashboard/");
    assert_eq!(location(&proxy, "a.test", "/dashboard"), "./dashboard/");
    // stripPrefix says what it removed.
    assert_eq!(location(&proxy, "x", "/pre/"), "/pre/dashboard/");
    assert_eq!(location(&proxy, "x", "/pre/dashboard"), "/pre/dashboard/");
    assert_page(&proxy.get("x", "/pre/dashboard/"));
    assert_eq!(status(&proxy, "x", "/pre/dashboard/assets/app.js"), 200);
    assert_eq!(status(&proxy, "x", "/pre/api/version"), 200);
    for path in ["/x", "/dashboardx", "/assets/app.js"] {
        assert_eq!(status(&proxy, "a.test", path), 404, "{path}");
    }
}

#[test]
fn a_router_to_the_dashboard_never_has_the_api() {
    let proxy = with_api("api: {debug: true}", ROUTERS);
    assert_page(&proxy.get("d.test", "/"));
    assert_eq!(status(&proxy, "d.test", "/assets/app.js"), 200);
    for path in [
        "/dashboard/",
        "/api/version",
        "/../api/version",
        "//api/version",
        "/%2e%2e/api/version",
        "/debug/vars",
    ] {
        assert_eq!(status(&proxy, "d.test", path), 404, "{path}");
    }
    let asterisk = ask(&proxy, "web", "OPTIONS *", "Host: d.test\r\n");
    assert_eq!(asterisk.body, b"", "{}", asterisk.head);
}

#[test]
fn a_forwarded_prefix_leads_nowhere_else() {
    let proxy = with_api("api: {}", ROUTERS);
    let at = |entry_point: &str, prefix: &str| {
        let fields = format!("Host: a.test\r\nX-Forwarded-Prefix: {prefix}\r\n");
        let answer = ask(&proxy, entry_point, "GET /", &fields);
        assert_eq!(answer.status, 302, "{prefix}: {}", answer.head);
        answer.field("location").expect("a location").to_owned()
    };
    assert_eq!(at("web", "/x"), "/x/dashboard/");
    assert_eq!(at("web", "x/"), "/x/dashboard/");
    for prefix in [
        "//evil.test",
        "https://evil.test",
        "/\\evil.test",
        "\\\\evil.test",
        "/a\"<b>",
    ] {
        assert_eq!(at("web", prefix), "./dashboard/", "{prefix}");
    }
    // A client that nobody trusts says nothing.
    assert_eq!(at("closed", "/x"), "./dashboard/");
}

#[test]
fn without_a_dashboard_there_is_nothing() {
    let off = "api: {insecure: true, dashboard: false}";
    let proxy = with_api(off, ROUTERS);
    for path in ["/", "/dashboard", "/dashboard/", "/dashboard/assets/app.js"] {
        let on_traefik = proxy.get_from("traefik", "x", path);
        assert_eq!(on_traefik.status, 404, "{path}");
        assert_eq!(status(&proxy, "a.test", path), 404, "{path}");
    }
    assert_eq!(
        status(&proxy, "a.test", "/dashboard@internal/assets/app.js"),
        404
    );
    // A router to a service that does not exist, as in Traefik.
    assert_eq!(status(&proxy, "d.test", "/"), 404);
    assert_eq!(status(&proxy, "a.test", "/api/version"), 200);
}

#[test]
fn a_base_path_is_before_it() {
    let proxy = with_api("api: {insecure: true, basePath: /base}", ROUTERS);
    let get = |path: &str| proxy.get_from("traefik", "x", path);
    let root = get("/base/");
    assert_eq!(root.status, 301, "{}", root.head);
    assert_eq!(root.field("location"), Some("http://x/base/dashboard/"));
    for path in ["/base/dashboard/", "/base/dashboard"] {
        assert_page(&get(path));
    }
    for path in ["/base/dashboard/assets/app.js", "/base/assets/app.js"] {
        assert_eq!(get(path).status, 200, "{path}");
    }
    assert_eq!(get("/base/api/version").status, 200);
    for path in ["/", "/dashboard/", "/api/version"] {
        assert_eq!(get(path).status, 404, "{path}");
    }
    assert_eq!(location(&proxy, "a.test", "/base"), "./base/dashboard/");
    assert_page(&proxy.get("a.test", "/base/dashboard/"));
    assert_eq!(status(&proxy, "a.test", "/dashboard/"), 404);
}

/// `[web]` of Traefik 1, with more lines in it.
fn web(more: &str) -> Setup {
    let text = format!(
        "logLevel = \"INFO\"\ndefaultEntryPoints = [\"http\"]\n[entryPoints.http]\naddress = \"127.0.0.1:0\"\n\
         [web]\naddress = \"127.0.0.1:0\"\n{more}\n[file]\n[backends.b.servers.s]\nurl = \"http://127.0.0.1:1\"\n\
         [frontends.f]\nbackend = \"b\"\n[frontends.f.routes.r]\nrule = \"Host:a.test\"\n"
    );
    bare()
        .file("traefik.toml", &text)
        .argument("--configFile={dir}/traefik.toml")
}

#[test]
fn traefik_1s_web_has_api_and_dashboard() {
    let proxy = web("").start();
    let get = |path: &str| proxy.get_from("traefik", "x", path);
    assert_eq!(
        get("/").field("location"),
        Some("http://x/dashboard/"),
        "as Traefik 1"
    );
    assert_page(&get("/dashboard/"));
    assert_eq!(get("/api/http/routers").status, 200);
    assert_eq!(get("/ping").text(), "OK");
    drop(proxy);

    let proxy = web("path = \"/below\"").start();
    assert_page(&proxy.get_from("traefik", "x", "/below/dashboard/"));
    assert_eq!(
        proxy.get_from("traefik", "x", "/below/api/version").status,
        200
    );
}

#[test]
fn traefik_1s_guard_is_before_all_of_it() {
    // `u:p`.
    let more = "path = \"/below\"\n[web.auth.basic]\nusers = [\"u:$apr1$aaaaaaaa$LMfcz4qeGnUNzOLWxgYlR/\"]";
    let proxy = web(more).start();
    for path in [
        "/below/",
        "/below/dashboard/",
        "/below/dashboard/assets/app.js",
        "/below/api/version",
    ] {
        let get = format!("GET {path}");
        assert_eq!(ask(&proxy, "traefik", &get, "Host: x\r\n").status, 401);
        let known = ask(
            &proxy,
            "traefik",
            &get,
            "Host: x\r\nAuthorization: Basic dTpw\r\n",
        );
        assert!([200, 302].contains(&known.status), "{path}: {}", known.head);
    }
}
