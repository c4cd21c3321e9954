//! The dashboard in a real browser, served by the real binary: what it shows, what it asks for, and that nothing of a
//! configuration becomes markup. Where no browser is installed these tests say so and do nothing.

mod support;

use std::fmt::Write;

use serde_json::json;
use support::browser::{Browser, browser};
use support::process::{Process, setup};

/// Three good routers, one of which would like to be markup, and two bad ones.
const ROUTERS: &str = "\
http:
  routers:
    shop: {rule: Host(`shop.test`) && PathPrefix(`/api`), service: shop, middlewares: [strip, both]}
    blog: {rule: Host(`blog.test`), service: blog}
    '<img src=x onerror=alert(1)>':
      {rule: 'Host(`evil.test`) && PathPrefix(`/<img src=x onerror=alert(2)>`)', service: shop}
    broken: {rule: Hostt(`broken.test`), service: shop}
    lost: {rule: Host(`lost.test`), service: nowhere}
  middlewares:
    strip: {stripPrefix: {prefixes: [/api]}}
    both: {chain: {middlewares: [strip]}}
    '<script>alert(3)</script>': {addPrefix: {prefix: '<b>/p</b>'}}
  services:
    shop: {loadBalancer: {servers: [{url: 'http://127.0.0.1:1'}, {url: 'http://127.0.0.1:2', weight: 3}]}}
    blog: {loadBalancer: {servers: [{url: 'http://127.0.0.1:3'}]}}
";

fn proxy(api: &str, routers: &str) -> Process {
    let statics = format!(
        "entryPoints: {{web: {{address: \"127.0.0.1:0\"}}, traefik: {{address: \"127.0.0.1:0\"}}}}\n\
         providers: {{file: {{filename: \"{{dir}}/dynamic.yml\"}}}}\nping: {{}}\n{api}\n"
    );
    setup(&statics).dynamic(routers).start()
}

fn origin(proxy: &Process) -> String {
    format!("http://{}", proxy.address("traefik"))
}

/// That the page complained of nothing and asked nobody but the proxy.
#[track_caller]
fn assert_clean(browser: &mut Browser, origin: &str) {
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let requests = browser.requests();
    let foreign = |url: &&String| !url.starts_with(&format!("{origin}/"));
    assert_eq!(requests.iter().find(foreign), None);
    let raw = |url: &&String| url.contains("rawdata");
    assert_eq!(requests.iter().find(raw), None);
}

/// Opens a place in the page by its link.
fn follow(browser: &mut Browser, text: &str, heading: &str) {
    browser.click("nav a, .name a, .body a, .empty a", text);
    browser.wait(&format!(
        "document.querySelector('h1').textContent == {heading:?} && !document.querySelector('[aria-busy]')"
    ));
}

#[test]
fn it_shows_what_is_configured_and_what_is_wrong() {
    let Some(mut browser) = browser("it_shows_what_is_configured_and_what_is_wrong") else {
        return;
    };
    let proxy = proxy("api: {insecure: true, dashboardName: Edge <7>}", ROUTERS);
    let origin = origin(&proxy);
    browser.open(&format!("{origin}/"));
    browser.wait_for_text("Needs attention");
    assert_eq!(browser.text("document.title"), "Overview · Edge <7>");
    assert_eq!(browser.text("location.pathname"), "/dashboard/");
    // Five of the file, ping, API and dashboard.
    assert_eq!(
        browser.text("document.querySelector('a.card .big').textContent"),
        "8"
    );
    browser.wait_for_text("2 errors");
    browser.wait_for_text("did you mean `Host`?");
    browser.wait_for_text("shard 1: ");
    browser.wait_for_text("ringway 0.");

    follow(&mut browser, "Routers", "HTTP routers");
    browser.wait_for_text("8 routers");
    let rows = "document.querySelectorAll('main tbody tr').length";
    assert_eq!(browser.value(rows), 8);
    browser.click("main button", "Errors");
    browser.wait(&format!("{rows} == 2"));
    assert_eq!(
        browser.value("document.querySelectorAll('tbody .chip.disabled').length"),
        2
    );
    follow(&mut browser, "broken", "broken@file");
    browser.wait_for_text("hint: did you mean `Host`?");
    browser.value("history.back()");
    browser.wait(&format!(
        "document.querySelector('h1').textContent == 'HTTP routers' && {rows} == 2"
    ));
    browser.click("main button", "All");
    browser.wait(&format!("{rows} == 8"));
    browser.click("th button", "Priority");
    browser.wait("document.querySelector('tbody .name').textContent == 'blog@file'");

    // The way of a request: router, middlewares, service, servers.
    follow(&mut browser, "shop", "shop@file");
    let flow = "[...document.querySelectorAll('.flow li')].map((e) => e.textContent).join('|')";
    let way = browser.text(flow);
    assert!(
        way.contains("Routershop@file|Middlewarestrip@file|Middlewareboth@file|Serviceshop@file"),
        "{way}"
    );
    assert!(way.contains("UP http://127.0.0.1:2"), "{way}");
    browser.click(".flow a", "both");
    browser.wait_for_text("Refers to");
    follow(&mut browser, "strip", "strip@file");
    browser.wait_for_text("stripprefix");
    follow(&mut browser, "shop", "shop@file");
    browser.click(".flow a", "shop");
    browser.wait_for_text("Used by routers");
    assert_eq!(
        browser.value("document.querySelectorAll('main tbody .chip.enabled').length"),
        2
    );

    follow(&mut browser, "Entry points", "Entry points");
    browser.wait_for_text("127.0.0.1:0");
    follow(&mut browser, "Providers", "Providers");
    browser.wait_for_text("in force");
    follow(&mut browser, "Explain", "Explain a request");
    browser.value("document.querySelector('main input').focus()");
    browser.type_text("http://shop.test/api/x");
    browser.press("Enter", 13);
    browser.value("document.querySelector('form').requestSubmit()");
    browser.wait_for_text("http://127.0.0.1:2 (weight 3)");
    browser.open(&format!("{origin}/dashboard/#/http/routers/nobody%40file"));
    browser.wait_for_text("There is no router of this name");
    browser.open(&format!("{origin}/dashboard/#/nowhere"));
    browser.wait_for_text("There is no such page");
    browser.open(&format!("{origin}/dashboard/#/tcp/routers"));
    browser.wait_for_text("There is no router");

    let missing = |complaint: &String| complaint.contains("nobody") && complaint.contains("404");
    let complaints = browser.complaints();
    assert!(complaints.iter().all(missing), "{complaints:#?}");
    let asked = browser.requests();
    assert!(
        asked.iter().all(|url| url.starts_with(&origin)),
        "{asked:?}"
    );
}

#[test]
fn names_and_rules_are_never_markup() {
    let Some(mut browser) = browser("names_and_rules_are_never_markup") else {
        return;
    };
    let proxy = proxy("api: {insecure: true}", ROUTERS);
    let origin = origin(&proxy);
    let page = format!("{origin}/dashboard/");
    let markup = "document.querySelectorAll('main img, main script, main b').length";
    browser.open(&format!("{page}#/http/routers"));
    browser.wait_for_text("<img src=x onerror=alert(1)>");
    browser.wait_for_text("<img src=x onerror=alert(2)>");
    assert_eq!(browser.value(markup), 0);
    follow(&mut browser, "onerror", "<img src=x onerror=alert(1)>@file");
    browser.wait_for_text("<img src=x onerror=alert(2)>");
    assert_eq!(browser.value(markup), 0);
    // A name with a slash, which an entry point may refuse in a path.
    browser.open(&format!("{page}#/http/middlewares"));
    follow(&mut browser, "alert(3)", "<script>alert(3)</script>@file");
    browser.wait_for_text("<b>/p</b>");
    assert_eq!(browser.value(markup), 0);
    let search = "%3Cimg%20src%3Dx%20onerror%3Dalert(4)%3E";
    browser.open(&format!("{page}#/http/routers?search={search}"));
    browser.wait_for_text("No router matches");
    browser.open(&format!("{page}#/http/routers?serviceName={search}"));
    browser.wait_for_text("with service <img src=x onerror=alert(4)>");
    assert_eq!(browser.value(markup), 0);
    assert_clean(&mut browser, &origin);
}

#[test]
fn it_follows_changes_and_says_when_it_cannot() {
    let Some(mut browser) = browser("it_follows_changes_and_says_when_it_cannot") else {
        return;
    };
    let proxy = proxy("api: {insecure: true}", ROUTERS);
    let origin = origin(&proxy);
    browser.open(&format!("{origin}/dashboard/#/http/routers?search=blog"));
    browser.wait_for_text("blog.test");
    browser.wait("document.getElementById('live').dataset.state == 'live'");
    // Somebody is typing, and an element has the focus, while the list changes under it.
    browser.value("document.querySelector('main tbody a').focus()");
    proxy.write(
        "dynamic.yml",
        &ROUTERS.replace("Host(`blog.test`)", "Host(`new-blog.test`)"),
    );
    browser.wait_for_text("new-blog.test");
    assert_eq!(
        browser.text("document.activeElement.textContent"),
        "blog@file"
    );
    assert_clean(&mut browser, &origin);

    browser.click("button", "Pause");
    browser.wait("document.getElementById('live').dataset.state == 'paused'");
    browser.click("button", "Pause");
    browser.wait("document.getElementById('live').dataset.state == 'live'");

    drop(proxy);
    browser.wait("document.getElementById('live').dataset.state == 'stale'");
    browser.wait_for_text("Unreachable");
    assert_eq!(
        browser.text("document.getElementById('announcement').textContent"),
        "Unreachable"
    );
    // What was known is still there, and looks old.
    browser.wait_for_text("new-blog.test");
    browser.wait("getComputedStyle(document.querySelector('main')).opacity < 0.7");
}

#[test]
fn ten_thousand_routers_come_page_by_page() {
    let Some(mut browser) = browser("ten_thousand_routers_come_page_by_page") else {
        return;
    };
    let mut routers = "http:\n  services: {s: {loadBalancer: {servers: [{url: 'http://127.0.0.1:1'}]}}}\n  routers:\n".to_owned();
    for index in 0..10_000 {
        writeln!(
            routers,
            "    r{index:05}: {{rule: Host(`h{index}.test`), service: s}}"
        )
        .expect("written");
    }
    let proxy = proxy("api: {insecure: true}", &routers);
    let origin = origin(&proxy);
    browser.open(&format!("{origin}/dashboard/#/http/routers"));
    browser.wait_for_text("1–50 of 10,003 routers");
    assert_eq!(
        browser.value("document.querySelectorAll('main tbody tr').length"),
        50
    );
    browser.click("main button", "Next");
    browser.wait_for_text("51–100 of 10,003 routers");
    browser.wait_for_text("r00096@file");
    browser.value("history.back()");
    browser.wait_for_text("1–50 of 10,003 routers");
    browser.press("Escape", 27);
    browser.type_text("/");
    browser.type_text("r0999");
    browser.wait_for_text("10 routers");
    browser.wait_for_text("r09999@file");
    assert_eq!(
        browser.text("document.activeElement.value"),
        "r0999",
        "the slash is a key, and the search has the focus"
    );
    let bytes = browser.received_bytes();
    assert!(bytes < 1 << 20, "{bytes} bytes so far");
    // A page past the end, as after routers were removed.
    browser.open(&format!("{origin}/dashboard/#/http/routers?page=900"));
    browser.wait_for_text("1–50 of 10,003 routers");
    // A service that all of them use.
    browser.open(&format!("{origin}/dashboard/#/http/services/s%40file"));
    follow(&mut browser, "All 10,000 routers", "HTTP routers");
    browser.wait_for_text("1–50 of 10,000 routers");
    let lists = browser.requests();
    let mut lists = lists.iter().filter(|url| url.contains("/api/http/routers"));
    assert!(lists.all(|url| url.contains("per_page=50")));
    let complaints = browser.complaints();
    // The page past the end was asked for.
    assert!(
        complaints.iter().all(|text| text.contains("page=900")),
        "{complaints:#?}"
    );
}

#[test]
fn it_works_below_a_base_path_and_behind_a_prefix() {
    let Some(mut browser) = browser("it_works_below_a_base_path_and_behind_a_prefix") else {
        return;
    };
    let routers = ROUTERS.replace(
        "  middlewares:\n",
        "    own: {rule: PathPrefix(`/deep/pre`), service: api@internal, middlewares: [deep], entryPoints: [web]}\n  \
         middlewares:\n    deep: {stripPrefix: {prefixes: [/deep/pre]}}\n",
    );
    let proxy = proxy("api: {insecure: true, basePath: /base}", &routers);
    let origin = origin(&proxy);
    for start in ["/base/", "/base/dashboard", "/base/dashboard/"] {
        browser.open(&format!("{origin}{start}"));
        browser.wait_for_text("Needs attention");
        assert_eq!(browser.text("location.pathname"), "/base/dashboard/");
    }
    assert_clean(&mut browser, &origin);

    let web = format!("http://{}", proxy.web());
    browser.open(&format!("{web}/deep/pre/base"));
    browser.wait_for_text("Needs attention");
    assert_eq!(
        browser.text("location.pathname"),
        "/deep/pre/base/dashboard/"
    );
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn it_can_be_used_without_a_mouse_or_eyes() {
    let Some(mut browser) = browser("it_can_be_used_without_a_mouse_or_eyes") else {
        return;
    };
    let proxy = proxy("api: {insecure: true}", ROUTERS);
    let origin = origin(&proxy);
    browser.open(&format!("{origin}/dashboard/#/http/routers"));
    browser.wait_for_text("8 routers");
    browser.press("Tab", 9);
    assert_eq!(
        browser.text("document.activeElement.textContent"),
        "Skip to the content"
    );
    browser.press("Enter", 13);
    browser.type_text("\r");
    browser.wait("document.activeElement.id == 'main'");
    browser.press("Tab", 9);
    assert_eq!(
        browser.text("document.activeElement.getAttribute('aria-label')"),
        "Search HTTP routers"
    );
    for page in [
        "#/",
        "#/http/routers",
        "#/http/services",
        "#/providers",
        "#/explain",
        "#/http/routers/shop%40file",
    ] {
        browser.open(&format!("{origin}/dashboard/{page}"));
        browser.wait("document.querySelector('h1') && !document.querySelector('[aria-busy]')");
        let nameless = browser.value(
            "[...document.querySelectorAll('a, button, input, select')].filter((e) => \
             !(e.textContent.trim() || e.getAttribute('aria-label'))).map((e) => e.outerHTML)",
        );
        assert_eq!(nameless, json!([]), "{page}");
        let headless =
            "[...document.querySelectorAll('table')].filter((e) => !e.caption || !e.tHead).length";
        assert_eq!(browser.value(headless), 0, "{page}");
        assert_eq!(browser.value("document.querySelectorAll('h1').length"), 1);
        // No page is wider than a telephone or the window.
        for width in [390, 1280] {
            let size =
                json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false});
            browser.call("Emulation.setDeviceMetricsOverride", size);
            let scroll = browser.value("document.documentElement.scrollWidth");
            assert!(
                scroll.as_u64() <= Some(width),
                "{page}: {scroll} of {width}"
            );
        }
    }
    let back = "getComputedStyle(document.body).backgroundColor";
    let mut colours = ["light", "dark"].map(|scheme| {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        browser.call("Emulation.setEmulatedMedia", features);
        browser.text(back)
    });
    colours.sort();
    assert_ne!(colours[0], colours[1]);
    assert_clean(&mut browser, &origin);
}
