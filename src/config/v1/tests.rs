//! Conversions of whole trees, and of rules one by one.

mod keys;

use super::*;
use crate::config::dynamic::Object;
use crate::config::format::{Format, parse};

fn of_toml(text: &str) -> Converted {
    convert(
        &parse(Format::Toml, text).unwrap().tree,
        Origin::File,
        &Context::default(),
    )
}

/// The converted tree as JSON, for comparing.
fn json(node: &Node<'_>) -> serde_json::Value {
    use crate::config::tree::Value;
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Scalar(text) => text.as_ref().into(),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.to_string(), json(&entry.node)))
            .collect(),
        Value::Branch(_) => unreachable!("files have no branches"),
    }
}

/// One object of the converted tree as compact JSON.
fn object(converted: &Converted, kind: &str, name: &str) -> String {
    let node = converted
        .tree
        .field("http")
        .and_then(|http| http.field(kind));
    match node.and_then(|objects| objects.get(name)) {
        Some(node) => json(node).to_string(),
        None => "none".to_owned(),
    }
}

fn remarks(converted: &Converted, weight: Weight) -> Vec<String> {
    let remarks = converted.remarks.iter();
    remarks
        .filter(|remark| remark.weight == weight)
        .map(|remark| remark.what.to_string())
        .collect()
}

#[test]
fn rules_have_their_form_of_today() {
    for (rule, expected) in [
        ("Host:a.com", "Host(`a.com`)"),
        ("Host: A.com , b.com", "Host(`a.com`) || Host(`b.com`)"),
        (
            "Host:a,b;PathPrefixStrip:/x",
            "(Host(`a`) || Host(`b`)) && PathPrefix(`/x`)",
        ),
        ("HostRegexp:{sub:[a-z]+}.h", r"HostRegexp(`^[a-z]+\.h$`)"),
        ("HostRegexp:{sub}.h", r"HostRegexp(`^[^.]+\.h$`)"),
        ("HostRegexp:{x:a|b}.H", r"HostRegexp(`(?i)^(?:a|b)\.H$`)"),
        ("HostRegexp:Plain.Test", "Host(`plain.test`)"),
        ("Host:*.a.com", r"HostRegexp(`^\*\.a\.com$`)"),
        ("Path:/a,/b/,/a/", "Path(`/a`) || Path(`/b/`)"),
        ("Path:/p/{id:[0-9]+}", "PathRegexp(`^/p/[0-9]+$`)"),
        ("PathPrefix:/p/{id}/x", "PathRegexp(`^/p/[^/]+/x`)"),
        (
            "PathPrefix:/api;Method:get,Post",
            "PathPrefix(`/api`) && (Method(`GET`) || Method(`POST`))",
        ),
        (
            "Headers:X-A,1,X-B,2",
            "Header(`X-A`, `1`) && Header(`X-B`, `2`)",
        ),
        (
            "HeadersRegexp:Referer,http://.*",
            "HeaderRegexp(`Referer`, `http://.*`)",
        ),
        (
            "Query:a=b,c={x:[0-9]+},d=",
            "Query(`a`, `b`) && QueryRegexp(`c`, `^[0-9]+$`) && QueryRegexp(`d`, `.*`)",
        ),
        ("AddPrefix:/x", "PathPrefix(`/`)"),
        (";Host:a;;", "Host(`a`)"),
        ("Host::a", "Host(`a`)"),
        ("Headers:X,a`b", "Header(`X`, \"a`b\")"),
    ] {
        let converted = rule::convert(&[rule]).unwrap();
        assert_eq!(converted.rule, expected, "{rule}");
        assert_eq!(converted.length, rule.len());
    }
}

#[test]
fn rules_that_traefik_1_refused_are_refused() {
    for (rule, why) in [
        ("", "empty"),
        (";", "no matcher"),
        ("host:a", "no matcher of Traefik 1"),
        ("Host", "no arguments"),
        ("Path:a", "slash"),
        ("Headers:X", "no value"),
        ("Query:a", "no value"),
        ("HostRegexp:{a", "without"),
        ("HostRegexp:{a:[a-z]{2,3}}", "comma"),
        ("PathPrefixStrip:/a/{id}", "PathPrefixStripRegex"),
    ] {
        let (_, message) = rule::convert(&[rule]).unwrap_err();
        assert!(message.contains(why), "{rule}: {message}");
    }
}

#[test]
fn modifiers_become_middlewares_in_the_order_of_traefik_1() {
    let converted = of_toml(
        "[backends.b.servers.s]\nurl = 'http://10.0.0.1'\n\
         [frontends.f]\nbackend = 'b'\npassHostHeader = true\n\
         [frontends.f.routes.r]\nrule = 'PathPrefixStrip:/a,/abc;AddPrefix:/x;ReplacePathRegex: ^/(.*) /y/$1'\n",
    );
    let router = object(&converted, "routers", "f");
    assert!(
        router.contains(r#""middlewares":["f-strip","f-add-prefix","f-replace-path-regex"]"#),
        "{router}"
    );
    assert_eq!(
        object(&converted, "middlewares", "f-strip"),
        r#"{"stripPrefix":{"forceSlash":"true","prefixes":["/abc","/a"]}}"#
    );
    assert_eq!(
        object(&converted, "middlewares", "f-replace-path-regex"),
        r#"{"replacePathRegex":{"regex":"^/(.*)","replacement":"/y/$1"}}"#
    );
    assert_eq!(remarks(&converted, Weight::Lost), [""; 0]);
}

#[test]
fn a_frontend_without_priority_has_the_length_of_its_rules() {
    let converted = of_toml(
        "[backends.b]\n[frontends.f]\nbackend = 'b'\npassHostHeader = true\nentryPoints = ['http', 'https']\n\
         [frontends.f.routes.1]\nrule = 'Host:a.com'\n[frontends.f.routes.2]\nrule = 'Method:GET'\n\
         [frontends.g]\nbackend = 'b'\npassHostHeader = true\npriority = 7\n[frontends.h]\nbackend = 'b'\n",
    );
    assert_eq!(
        object(&converted, "routers", "f"),
        r#"{"entryPoints":["http","https"],"priority":"20","rule":"Host(`a.com`) && Method(`GET`)","service":"b"}"#
    );
    assert_eq!(
        object(&converted, "routers", "g"),
        r#"{"priority":"7","rule":"PathPrefix(`/`)","service":"b"}"#
    );
    assert!(object(&converted, "routers", "h").contains(r#""priority":"1""#));
}

#[test]
fn the_default_of_the_host_header_is_the_sources() {
    let text =
        "[backends.b]\n[frontends.f]\nbackend = 'b'\n[frontends.f.routes.r]\nrule = 'Host:a'\n";
    let tree = parse(Format::Toml, text).unwrap().tree;
    for (origin, service) in [(Origin::File, "b-own-host"), (Origin::Store, "b")] {
        let router = object(&convert(&tree, origin, &Context::default()), "routers", "f");
        assert!(
            router.contains(&format!("\"service\":\"{service}\"")),
            "{router}"
        );
    }
}

#[test]
fn a_path_with_another_slash_is_redirected_as_before() {
    let converted = of_toml(
        "[backends.b]\n[frontends.f]\nbackend = 'b'\npassHostHeader = true\n[frontends.f.routes.r]\nrule = 'Host:a;Path:/x'\n",
    );
    assert_eq!(
        object(&converted, "routers", "f-slash"),
        r#"{"middlewares":["f-slash-remove"],"priority":"14","rule":"Host(`a`) && Path(`/x/`)","service":"b"}"#
    );
    let kept = of_toml(
        "keepTrailingSlash = true\n[backends.b]\n[frontends.f]\nbackend = 'b'\npassHostHeader = true\n\
         [frontends.f.routes.r]\nrule = 'Path:/x'\n",
    );
    assert_eq!(object(&kept, "routers", "f-slash"), "none");
}

#[test]
fn a_frontend_without_its_backend_is_left_out_and_told() {
    let converted =
        of_toml("[frontends.f]\nbackend = 'gone'\n[frontends.f.routes.r]\nrule = 'Host:a'\n");
    assert_eq!(object(&converted, "routers", "f"), "none");
    let lost = remarks(&converted, Weight::Lost);
    assert!(
        lost[0].contains("frontends.f.backend") && lost[0].contains("gone"),
        "{lost:?}"
    );
}

#[test]
fn a_wrong_object_costs_itself_alone() {
    let tree = parse(
        Format::Toml,
        "[backends.b.servers.s]\nurl = 'http://h'\n[backends.bad.servers.s]\nurl = 'http://h'\nweight = 'x'\n\
         [frontends.good]\nbackend = 'b'\npassHostHeader = true\n[frontends.good.routes.r]\nrule = 'Host:a'\n\
         [frontends.wrong]\nbackend = 'b'\npassHostHeader = true\n[frontends.wrong.routes.r]\nrule = 'Hoost:a'\n",
    )
    .unwrap()
    .tree;
    let decoded = convert_tree(&tree, Origin::Store, &Context::default());
    let is_good = |kind, name: &str| decoded.get(kind, name).unwrap().result.is_ok();
    assert!(is_good(Kind::HttpRouter, "good"));
    assert!(is_good(Kind::HttpService, "b"));
    assert!(!is_good(Kind::HttpRouter, "wrong"));
    assert!(!is_good(Kind::HttpService, "bad"));
    let errors: Vec<_> = decoded
        .all_errors()
        .iter()
        .map(|e| e.path.clone())
        .collect();
    assert_eq!(
        errors,
        [
            "frontends.wrong.routes.r.rule",
            "backends.bad.servers.s.weight"
        ]
    );
}

/// Everything that Traefik 1's documentation shows for files, in other values.
const WHOLE: &str = r#"
[backends.one]
  [backends.one.servers.s1]
    url = "http://10.0.0.1:80"
    weight = 1
  [backends.one.servers.s2]
    url = "http://10.0.0.2:80"
    weight = 2
  [backends.one.servers.none]
    weight = 2
  [backends.one.circuitBreaker]
    expression = "NetworkErrorRatio() > 0.5"
  [backends.one.responseForwarding]
    flushInterval = "10ms"
  [backends.one.loadBalancer]
    method = "drr"
    [backends.one.loadBalancer.stickiness]
      cookieName = "my cookie"
      secure = true
      httpOnly = true
      sameSite = "lax"
  [backends.one.maxConn]
    amount = 10
    extractorfunc = "client.ip"
  [backends.one.healthCheck]
    path = "/health"
    port = 88
    interval = "30s"
    scheme = "http"
    hostname = "h.test"
    [backends.one.healthcheck.headers]
      My-Header = "x"
  [backends.one.buffering]
    maxRequestBodyBytes = 10
    retryExpression = "IsNetworkError() && Attempts() <= 2"
[backends.pages.servers.error]
  url = "http://10.0.0.3"

[frontends.f]
  entryPoints = ["http", "https"]
  backend = "one"
  passHostHeader = false
  priority = 42
  basicAuth = ["a:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/"]
  [frontends.f.passTLSClientCert]
    pem = true
    [frontends.f.passTLSClientCert.infos]
      notBefore = true
      [frontends.f.passTLSClientCert.infos.subject]
        country = true
        commonName = true
      [frontends.f.passTLSClientCert.infos.issuer]
        organization = true
  [frontends.f.auth]
    headerField = "X-User"
    [frontends.f.auth.forward]
      address = "https://auth.test/"
      trustForwardHeader = true
      authResponseHeaders = ["X-Auth-User"]
      [frontends.f.auth.forward.tls]
        ca = "ca.crt"
        insecureSkipVerify = true
  [frontends.f.whiteList]
    sourceRange = ["10.42.0.0/16", "152.89.1.33/32"]
    useXForwardedFor = true
  [frontends.f.routes.r0]
    rule = "Host:test.localhost"
  [frontends.f.headers]
    allowedHosts = ["a.test"]
    SSLRedirect = true
    STSSeconds = 42
    browserXSSFilter = true
    isDevelopment = false
    [frontends.f.headers.customRequestHeaders]
      X-Foo = "bar"
  [frontends.f.errors.p0]
    status = ["500-599"]
    backend = "pages"
    query = "/{status}.html"
  [frontends.f.ratelimit]
    extractorfunc = "request.header.X-Key"
    [frontends.f.ratelimit.rateset.r1]
      period = "10s"
      average = 100
      burst = 200
    [frontends.f.ratelimit.rateset.r2]
      period = "3s"
      average = 5
      burst = 10
  [frontends.f.redirect]
    entryPoint = "https"
    regex = "^http://localhost/(.*)"
    replacement = "http://mydomain/$1"
    permanent = true

[[tls]]
  entryPoints = ["https"]
  [tls.certificate]
    certFile = "my.cert"
    keyFile = "my.key"
"#;

#[test]
fn everything_of_a_frontend_and_a_backend_is_converted_and_decodes() {
    let converted = of_toml(WHOLE);
    assert_eq!(remarks(&converted, Weight::Lost), [""; 0]);
    assert_eq!(converted.rejected, []);
    let decoded = dynamic::decode(&converted.tree, None);
    let errors: Vec<_> = decoded
        .all_errors()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(errors, [""; 0]);
    let Ok(Object::HttpRouter(router)) = &decoded.get(Kind::HttpRouter, "f").unwrap().result else {
        panic!("no router");
    };
    let names: Vec<_> = router.middlewares.iter().map(|name| &**name).collect();
    assert_eq!(
        names,
        [
            "f-errors-p0",
            "f-whitelist",
            "f-redirect",
            "f-headers",
            "f-basic-auth",
            "f-client-cert",
            "f-auth",
            "one-circuit-breaker",
            "one-buffering",
            "one-max-conn",
            "f-rate-r1",
            "f-rate-r2"
        ]
    );
    assert_eq!(router.priority, 42);
    assert_eq!(&*router.service, "one-own-host");
    assert_eq!(
        object(&converted, "services", "one-own-host"),
        r#"{"loadBalancer":{"healthCheck":{"headers":{"My-Header":"x"},"hostname":"h.test","interval":"30s","path":"/health","port":"88","scheme":"http"},"passHostHeader":"false","responseForwarding":{"flushInterval":"10ms"},"servers":[{"url":"http://10.0.0.1:80"},{"url":"http://10.0.0.2:80","weight":"2"}],"sticky":{"cookie":{"httpOnly":"true","name":"my_cookie","sameSite":"lax","secure":"true"}},"strategy":"p2c"}}"#
    );
    for name in names {
        let middleware = decoded.get(Kind::HttpMiddleware, name);
        assert!(middleware.unwrap().result.is_ok(), "{name}");
    }
    assert!(decoded.get(Kind::TlsCertificate, "my.cert").is_some());
}

/// What a store's pairs become: maps throughout, keys in lower case, lists as children or with commas.
fn of_pairs(pairs: &[(&str, &str)]) -> Node<'static> {
    let mut tree = Node::map();
    for (key, value) in pairs {
        let mut node = &mut tree;
        for part in key.split('/') {
            node = node.field_mut(part);
        }
        *node = Node::scalar((*value).to_owned());
    }
    tree
}

#[test]
fn a_tree_of_a_store_is_converted_like_a_file() {
    let tree = of_pairs(&[
        ("backends/b/servers/s/url", "http://10.0.0.1"),
        ("backends/b/servers/s/weight", "3"),
        ("backends/b/servers/s/tags", "a,b"),
        ("backends/b/loadbalancer/stickiness", "true"),
        ("backends/b/maxconn/amount", "5"),
        ("frontends/f/backend", "b"),
        ("frontends/f/entrypoints", "http,https"),
        ("frontends/f/passHostHeader", "false"),
        ("frontends/f/priority", "10"),
        ("frontends/f/auth/basic/users/0", "a:b"),
        ("frontends/f/auth/basic/users/1", "c:d"),
        (
            "frontends/f/whitelist/sourcerange",
            "10.0.0.0/8, 192.168.0.0/16",
        ),
        ("frontends/f/headers/customrequestheaders/X-A", "1"),
        ("frontends/f/routes/r/rule", "Host:a.com;PathPrefix:/x"),
        ("tls/one/entrypoints", "https"),
        ("tls/one/certificate/certfile", "c.pem"),
        ("tls/one/certificate/keyfile", "k.pem"),
    ]);
    let converted = convert(&tree, Origin::Store, &Context::default());
    assert_eq!(remarks(&converted, Weight::Lost), [""; 0]);
    let decoded = convert_tree(&tree, Origin::Store, &Context::default());
    assert!(
        decoded.all_errors().is_empty(),
        "{:?}",
        decoded.all_errors()
    );
    assert_eq!(
        object(&converted, "routers", "f"),
        r#"{"entryPoints":["http","https"],"middlewares":["f-whitelist","f-headers","f-auth","b-max-conn"],"priority":"10","rule":"Host(`a.com`) && PathPrefix(`/x`)","service":"b-own-host"}"#
    );
    assert_eq!(
        object(&converted, "middlewares", "f-auth"),
        r#"{"basicAuth":{"users":["a:b","c:d"]}}"#
    );
    assert_eq!(
        object(&converted, "middlewares", "b-max-conn"),
        r#"{"inFlightReq":{"amount":"5","sourceCriterion":{"requestHost":"true"}}}"#
    );
    assert!(object(&converted, "services", "b").contains(r#""sticky":{"cookie":{}}"#));
    assert!(decoded.get(Kind::TlsCertificate, "c.pem").is_some());
}

#[test]
fn a_frontend_depends_on_itself_and_its_backend_alone() {
    let whole = parse(Format::Toml, WHOLE).unwrap().tree;
    let more = format!(
        "{WHOLE}\n[backends.x.servers.s]\nurl = 'http://x'\n[frontends.g]\nbackend = 'one'\npassHostHeader = false\n"
    );
    let more = convert_tree(
        &parse(Format::Toml, &more).unwrap().tree,
        Origin::File,
        &Context::default(),
    );
    for (key, declared) in &convert_tree(&whole, Origin::File, &Context::default()).objects {
        assert_eq!(
            more.objects.get(key).unwrap().result,
            declared.result,
            "{key}"
        );
    }
}

#[test]
fn what_mixes_traefik_1_with_today_is_refused_with_both_names() {
    let judge = |text: &str| is_v1(&parse(Format::Toml, text).unwrap().tree);
    assert!(judge("[frontends.f]\n").unwrap());
    assert!(judge("[[tls]]\n[tls.certificate]\ncertFile = 'a'\n").unwrap());
    assert!(judge("[entryPoints.http]\naddress = ':80'\ncompress = true\n").unwrap());
    assert!(!judge("[entryPoints.http]\naddress = ':80'\n").unwrap());
    assert!(!judge("[http.routers.r]\n").unwrap());
    let error = judge("logLevel = 'DEBUG'\n[providers.file]\nfilename = 'x'\n").unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("logLevel") && error.contains("providers"),
        "{error}"
    );
}
