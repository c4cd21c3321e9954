//! redirectScheme and redirectRegex.

use super::*;

/// The status and `Location` of the answer, or "pass".
fn run(shard: &mut Shard, filters: &[&str], line: &str, fields: &[&str]) -> String {
    let filters: Vec<_> = filters.iter().map(|yaml| middleware(yaml)).collect();
    match shard.request(&filters, &mut Exchange::new(line, fields)) {
        None => "pass".to_owned(),
        Some(answer) => {
            let location = answer
                .fields
                .get(Token::Location)
                .map(|url| format!(" {}", text(url)));
            let phrase = crate::http::status::reason(answer.status).unwrap();
            assert_eq!(text(&answer.body), phrase);
            format!("{}{}", answer.status, location.unwrap_or_default())
        }
    }
}

#[test]
fn redirect_scheme_sends_clients_to_scheme_and_port() {
    for (options, line, fields, expected) in [
        (
            "scheme: https",
            "GET /a?b=c",
            &[][..],
            "302 https://h.test/a?b=c",
        ),
        ("scheme: https", "POST /a", &[], "307 https://h.test/a"),
        ("scheme: https", "HEAD /a", &[], "307 https://h.test/a"),
        (
            "scheme: https, permanent: true",
            "GET /a",
            &[],
            "301 https://h.test/a",
        ),
        (
            "scheme: https, permanent: true",
            "POST /a",
            &[],
            "308 https://h.test/a",
        ),
        (
            "scheme: https, port: '8443'",
            "GET /a",
            &[],
            "302 https://h.test:8443/a",
        ),
        (
            "scheme: https, port: '443'",
            "GET /a",
            &[],
            "302 https://h.test/a",
        ),
        (
            "scheme: https",
            "GET /a",
            &["Host: h.test:8080"],
            "302 https://h.test/a",
        ),
        (
            "scheme: https, port: '8443'",
            "GET /a",
            &["Host: h.test:8080"],
            "302 https://h.test:8443/a",
        ),
        ("scheme: http", "GET /a", &[], "pass"),
        (
            "scheme: http, port: '80'",
            "GET /a",
            &["Host: h.test:80"],
            "pass",
        ),
        (
            "scheme: http, port: '81'",
            "GET /a",
            &["Host: h.test:81"],
            "pass",
        ),
        (
            "scheme: http, port: '81'",
            "GET /a",
            &[],
            "302 http://h.test:81/a",
        ),
        (
            "scheme: http",
            "GET /a",
            &["Host: h.test:82"],
            "302 http://h.test/a",
        ),
        (
            "scheme: https",
            "GET /a",
            &["X-Forwarded-Proto: https"],
            "pass",
        ),
        (
            "scheme: https",
            "GET /a",
            &["X-Forwarded-Proto: wss"],
            "pass",
        ),
        (
            "scheme: https",
            "GET /a",
            &["X-Forwarded-Proto: ws"],
            "302 https://h.test/a",
        ),
        (
            "scheme: https",
            "GET /a",
            &["X-Forwarded-Proto: foo"],
            "302 https://h.test/a",
        ),
        (
            "scheme: https",
            "GET /a",
            &["Host: h.test:443", "X-Forwarded-Proto: https"],
            "pass",
        ),
        (
            "scheme: https",
            "GET /a",
            &["Host: h.test:8443", "X-Forwarded-Proto: https"],
            "302 https://h.test/a",
        ),
        ("scheme: ftp", "GET /a?x#y", &[], "302 ftp://h.test/a?x#y"),
        (
            "scheme: https",
            "GET /a%2Fb/c?x=http://y/%zz&\"",
            &[],
            "302 https://h.test/a%2Fb/c?x=http://y/%zz&\"",
        ),
        (
            "scheme: https",
            "GET /a;b?c;d",
            &[],
            "302 https://h.test/a;b?c;d",
        ),
        (
            "scheme: https",
            "GET /:80/x",
            &[],
            "302 https://h.test/:80/x",
        ),
        (
            "scheme: https",
            "GET //evil.test/x",
            &[],
            "302 https://h.test//evil.test/x",
        ),
        (
            "scheme: https",
            "GET /a|b?\"|",
            &[],
            "302 https://h.test/a%7Cb?\"|",
        ),
        ("scheme: https", "GET /a?", &[], "302 https://h.test/a?"),
        (
            "scheme: https",
            "GET /a",
            &["Host: RS-host.TEST"],
            "302 https://RS-host.TEST/a",
        ),
        (
            "scheme: https",
            "GET /a",
            &["Host: [::1]"],
            "302 https://[::1]/a",
        ),
        // Traefik loses the brackets and answers 502.
        (
            "scheme: https",
            "GET /a",
            &["Host: [::1]:80"],
            "302 https://[::1]/a",
        ),
        (
            "scheme: https, port: '8443'",
            "GET /a",
            &["Host: [::1]:8080"],
            "302 https://[::1]:8443/a",
        ),
        (
            "scheme: https",
            "GET /a",
            &["Host: 1.2.3.4:80"],
            "302 https://1.2.3.4/a",
        ),
        (
            "scheme: https",
            "GET /a",
            &["Host: a!b"],
            "302 https://a!b/a",
        ),
        // Without a host there is nowhere to go.
        ("scheme: https", "GET /a", &["Host: "], "400"),
    ] {
        let filter = format!("{{redirectScheme: {{{options}}}}}");
        assert_eq!(
            run(&mut Shard::new(), &[&filter], line, fields),
            expected,
            "{options} {line} {fields:?}"
        );
    }
    let https = "{redirectScheme: {scheme: https}}";
    assert_eq!(run(&mut Shard::secure(), &[https], "GET /a", &[]), "pass");
    assert_eq!(
        run(
            &mut Shard::secure(),
            &["{redirectScheme: {scheme: http}}"],
            "GET /a",
            &[]
        ),
        "302 http://h.test/a"
    );
    let downgraded = run(
        &mut Shard::secure(),
        &[https],
        "GET /a",
        &["X-Forwarded-Proto: http"],
    );
    assert_eq!(downgraded, "302 https://h.test/a");
}

#[test]
fn redirects_use_the_path_and_host_that_filters_left() {
    let https = "{redirectScheme: {scheme: https}}";
    for (filter, line, expected) in [
        (
            "{stripPrefix: {prefixes: [/a]}}",
            "GET /a/b?c",
            "302 https://h.test/b?c",
        ),
        (
            "{stripPrefix: {prefixes: [/a]}}",
            "GET /a",
            "302 https://h.test/",
        ),
        (
            "{addPrefix: {prefix: /a}}",
            "GET /b?c",
            "302 https://h.test/a/b?c",
        ),
        (
            "{replacePath: {path: /z}}",
            "GET /a/b?c",
            "302 https://h.test/z?c",
        ),
        (
            "{headers: {customRequestHeaders: {Host: a.b}}}",
            "GET /a",
            "302 https://a.b/a",
        ),
    ] {
        assert_eq!(
            run(&mut Shard::new(), &[filter, https], line, &[]),
            expected,
            "{filter}"
        );
    }
}

#[test]
fn redirect_regex_rewrites_the_url() {
    const REST: &str = "^http://([^/:]+)(:[0-9]+)?/(.*)$";
    for (regex, replacement, line, fields, expected) in [
        (
            "^http://[^/]+/old/(.*)",
            "http://h.test/new/${1}",
            "GET /old/x?y=1",
            &[][..],
            "302 http://h.test/new/x?y=1",
        ),
        ("^http://zz", "https://x", "GET /a", &[], "pass"),
        ("^http://(.*)", "http://$1", "GET /a", &[], "pass"),
        (".*", "https://x/", "GET /a", &[], "302 https://x/"),
        (".*", "https://x/", "POST /a", &[], "307 https://x/"),
        (
            "^http://(?P<h>[^/]+)/(?P<p>.*)$",
            "https://$h.x/${p}",
            "GET /a?b",
            &[],
            "302 https://h.test.x/a?b",
        ),
        (
            "^http://([^/]+)/(.*)$",
            "https://$1x/$2",
            "GET /a?b",
            &[],
            "302 https:///a?b",
        ),
        ("", "", "GET /a", &[], "pass"),
        ("^.*$", "", "GET /a", &[], "302 "),
        ("^.*$", "http://[::1", "GET /a", &[], "502"),
        ("^.*$", "http://a b/", "GET /a", &[], "502"),
        ("^.*$", "http://a/%zz", "GET /a", &[], "502"),
        (
            "^.*$",
            "http://a/b c?d e",
            "GET /a",
            &[],
            "302 http://a/b%20c?d e",
        ),
        ("^.*$", "/x/y", "GET /a", &[], "302 /x/y"),
        (
            REST,
            "https://$1/$3",
            "GET /a",
            &["Host: h.test:99"],
            "302 https://h.test/a",
        ),
        (
            REST,
            "HTTPS://$1/$3",
            "GET /a",
            &["Host: H.Test:99"],
            "302 https://H.Test/a",
        ),
        (
            REST,
            "https://$1/$3",
            "GET /a%0D%0AX:y",
            &[],
            "302 https://h.test/a%0D%0AX:y",
        ),
        (
            REST,
            "https://$1/$3",
            "GET /a",
            &["X-Forwarded-Proto: https"],
            "302 https://h.test/a",
        ),
        (REST, "http://$1/a", "GET /a", &[], "pass"),
        (
            "/a",
            "/b",
            "GET /a/a?x=/a",
            &[],
            "302 http://h.test/b/b?x=/b",
        ),
        (
            REST,
            "https://$1/$3#frag x",
            "GET /a",
            &[],
            "302 https://h.test/a#frag%20x",
        ),
        (" ^http://(.*) ", "https://$1", "GET /a", &[], "pass"),
        (
            "^http://(.*)$",
            "https://$1",
            "GET /a",
            &["Host: [::1]:8080"],
            "302 https://[::1]:8080/a",
        ),
    ] {
        let filter =
            format!("{{redirectRegex: {{regex: '{regex}', replacement: '{replacement}'}}}}");
        assert_eq!(
            run(&mut Shard::new(), &[&filter], line, fields),
            expected,
            "{regex} {line} {fields:?}"
        );
    }
    let permanent = "{redirectRegex: {regex: '^http:', replacement: 'https:', permanent: true}}";
    assert_eq!(
        run(&mut Shard::new(), &[permanent], "GET /a", &[]),
        "301 https://h.test/a"
    );
    assert_eq!(
        run(&mut Shard::secure(), &[permanent], "GET /a", &[]),
        "pass"
    );
}

#[test]
fn bytes_of_a_query_that_are_no_text_cannot_hide_from_the_expression() {
    let filter = middleware("{redirectRegex: {regex: '^http://(.*)$', replacement: 'https://$1'}}");
    let mut exchange = Exchange::new("GET /", &[]);
    exchange.rq = RequestHead::build(Method::Get, b"/?a=\xff", b"h.test").unwrap();
    let answer = Shard::new().request(&[filter], &mut exchange).unwrap();
    assert_eq!(
        answer.fields.get(Token::Location),
        Some(&b"https://h.test/?a=%FF"[..])
    );
}
