//! What a client says about itself, in whatever spelling, and what it says about other fields.

use super::support::client::{Client, Response};
use super::support::origin::{OK, Origin, answering, behind};
use super::support::proxy::{Proxy, builder, proxy};

/// Sends `fields` and returns the answer.
fn ask(proxy: &Proxy, target: &str, fields: &str) -> Response {
    let mut client = Client::connect(proxy.addr);
    client.send(format!(
        "GET {target} HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n\r\n"
    ));
    client.response()
}

/// The fields that reach the origin when a client sends `fields`, names in lower case.
fn forwarded(proxy: &Proxy, origin: &Origin, fields: &str) -> Vec<(String, String)> {
    assert_eq!(ask(proxy, "/", fields).status, 200, "{fields:?}");
    let seen = origin.seen();
    let head = &seen.last().expect("a request").head;
    let lines = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "));
    lines
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect()
}

fn value<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = fields.iter().find(|(field, _)| field == name);
    found.map(|(_, value)| &**value)
}

/// A router with these middlewares before one origin.
fn with_middlewares(origin: &Origin, middlewares: &[(&str, &str)]) -> Proxy {
    proxy(&behind(middlewares, &origin.config()))
}

#[test]
fn connection_nominated_x_forwarded_for_is_kept() {
    let origin = answering(OK);
    let trusting = builder()
        .entry_point(|entry_point| entry_point.forwarded_headers.insecure = true)
        .start(&origin.config());
    for proxy in [&proxy(&origin.config()), &trusting] {
        for nominated in [
            "X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, X-Forwarded-Port, X-Forwarded-Server, X-Real-Ip",
            "x-forwarded-for,x-forwarded-host,x-forwarded-proto,x-forwarded-port,x-forwarded-server,x-real-ip",
            "close\r\nConnection: X-FORWARDED-FOR\r\nConnection: X_Forwarded_For, X.Forwarded.For",
        ] {
            let fields = forwarded(proxy, &origin, &format!("Connection: {nominated}"));
            for name in ["for", "host", "proto", "port", "server"] {
                let name = format!("x-forwarded-{name}");
                assert!(value(&fields, &name).is_some(), "{name}: {fields:?}");
            }
            assert_eq!(value(&fields, "x-real-ip"), Some("127.0.0.1"), "{fields:?}");
            assert_eq!(value(&fields, "connection"), None, "{fields:?}");
        }
    }
}

#[test]
fn a_client_cannot_nominate_what_a_middleware_adds() {
    let origin = answering(OK);
    let header = "{headers: {customRequestHeaders: {X-User: known, X-Secret: s}}}";
    let proxy = with_middlewares(&origin, &[("h", header)]);
    for nominated in [
        "X-User, X-Secret",
        "x-user, x-secret",
        "X-User\r\nX-User: forged\r\nConnection: x-secret",
    ] {
        let fields = forwarded(&proxy, &origin, &format!("Connection: {nominated}"));
        assert_eq!(value(&fields, "x-user"), Some("known"), "{fields:?}");
        assert_eq!(value(&fields, "x-secret"), Some("s"), "{fields:?}");
    }
}

#[test]
fn what_is_nominated_is_removed_and_hop_by_hop_fields_go_unasked() {
    let origin = answering(OK);
    let proxy = proxy(&origin.config());
    let fields = forwarded(
        &proxy,
        &origin,
        "Connection: X-Mine, keep-alive\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\
         Proxy-Authorization: Basic x\r\nProxy-Authenticate: x\r\nTE: gzip\r\nUpgrade: foo\r\nX-Other: 1",
    );
    for name in [
        "x-mine",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "proxy-authenticate",
        "te",
        "upgrade",
    ] {
        assert_eq!(value(&fields, name), None, "{fields:?}");
    }
    assert_eq!(value(&fields, "x-other"), Some("1"));
}

#[test]
fn aliases_with_underscores_and_dots_never_reach_the_origin() {
    let origin = answering(OK);
    let proxy = proxy(&origin.config());
    let managed = [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Prefix",
        "X-Real-Ip",
    ];
    for name in managed {
        let spellings = [
            name.to_owned(),
            name.to_ascii_lowercase(),
            name.to_ascii_uppercase(),
            name.replace('-', "_"),
            name.replace('-', "."),
            name.replacen('-', "_", 1),
            name.replacen('-', ".", 1).to_ascii_lowercase(),
        ];
        for spelling in spellings {
            let fields = forwarded(&proxy, &origin, &format!("{spelling}: forged.test"));
            let forged = fields.iter().any(|(_, value)| value.contains("forged"));
            assert!(!forged, "{spelling}: {fields:?}");
        }
    }
}

#[test]
fn aliases_of_framing_fields_never_reach_the_origin() {
    let origin = answering(OK);
    let proxy = proxy(&origin.config());
    for field in [
        "Content_Length: 5",
        "content.length: 5",
        "Transfer_Encoding: chunked",
        "TRANSFER.ENCODING: chunked",
    ] {
        let fields = forwarded(&proxy, &origin, field);
        let framing = fields
            .iter()
            .any(|(name, _)| name.contains("length") || name.contains("encoding"));
        assert!(!framing, "{field}: {fields:?}");
    }
}

#[test]
fn aliases_of_a_field_that_names_the_user_go_with_it() {
    let origin = answering(OK);
    // The password is "test".
    let auth = "{basicAuth: {users: ['test:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M='], headerField: X-WebAuth-User}}";
    let proxy = with_middlewares(&origin, &[("a", auth)]);
    let fields = forwarded(
        &proxy,
        &origin,
        "Authorization: Basic dGVzdDp0ZXN0\r\nX-WebAuth-User: admin\r\nX_WebAuth_User: admin\r\nx.webauth-user: admin\r\n\
         X-WEBAUTH_USER: admin",
    );
    assert_eq!(value(&fields, "x-webauth-user"), Some("test"), "{fields:?}");
    assert!(
        !fields.iter().any(|(_, value)| value == "admin"),
        "{fields:?}"
    );
}

#[test]
fn a_forged_prefix_moves_no_redirection() {
    let origin = answering(OK);
    let redirect = "{redirectScheme: {scheme: https}}";
    let proxy = with_middlewares(
        &origin,
        &[("s", "{stripPrefix: {prefixes: [/api]}}"), ("r", redirect)],
    );
    for forged in [
        "X-Forwarded-Prefix: //evil.test",
        "X_Forwarded_Prefix: //evil.test",
        "X-Forwarded-Host: evil.test",
    ] {
        let response = ask(&proxy, "/api/x", forged);
        let location = response.field("location").unwrap_or_default();
        assert!(
            location.starts_with("https://a.test/"),
            "{forged}: {location}"
        );
    }
}

#[test]
fn no_text_of_a_request_starts_a_line_of_an_answer() {
    let origin = answering(OK);
    let regex = "{redirectRegex: {regex: '^http://a.test/(.*)', replacement: 'http://b.test/$1'}}";
    let proxy = with_middlewares(&origin, &[("r", regex)]);
    for target in [
        "/%0d%0aSet-Cookie:%20a=b",
        "/x?y=%0d%0aSet-Cookie:%20a=b",
        "/%E5%98%8A%E5%98%8DSet-Cookie:%20a=b",
        "/x%0aSet-Cookie:a",
        "/x%00y",
    ] {
        let response = ask(&proxy, target, "X: y");
        assert_eq!(
            response.field("set-cookie"),
            None,
            "{target}: {}",
            response.head
        );
        assert!(
            response.head.lines().count() < 8,
            "{target}: {}",
            response.head
        );
        assert!(!response.head.contains('\0'), "{target}");
    }
}

#[test]
fn fields_with_underscores_are_refused_or_deleted_where_the_entry_point_says_so() {
    use ringway::config::statics::UnderscoreHeaders;
    let origin = answering(OK);
    let strict = |strategy| {
        builder()
            .entry_point(move |entry_point| entry_point.http.underscore_headers_strategy = strategy)
            .start(&origin.config())
    };
    let proxy = strict(UnderscoreHeaders::Reject);
    assert_eq!(ask(&proxy, "/", "X_Any: 1").status, 400);
    let proxy = strict(UnderscoreHeaders::Delete);
    let fields = forwarded(&proxy, &origin, "X_Any: 1\r\nX-Any: 2");
    assert_eq!(
        (value(&fields, "x_any"), value(&fields, "x-any")),
        (None, Some("2"))
    );
}
