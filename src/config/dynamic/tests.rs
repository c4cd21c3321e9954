//! Decoding the dynamic configuration: every kind of object, and what is wrong with bad ones.

use std::sync::Arc;

use super::http::{BalancerStrategy, SameSite, TraceVerbosity};
use super::*;
use crate::config::decode::{ObjectError, Text};
use crate::config::duration::GoDuration;
use crate::config::format::{Format, parse};
use crate::config::tree::Position;

fn yaml(text: &str) -> Decoded {
    let streamed = decode_text(Format::Yaml, text, None).unwrap();
    // Reading at once and object by object must not differ.
    let whole = decode(&parse(Format::Yaml, text).unwrap().tree, None);
    assert_eq!(streamed.objects, whole.objects, "{text}");
    assert_eq!(
        (&streamed.errors, &streamed.warnings),
        (&whole.errors, &whole.warnings),
        "{text}"
    );
    streamed
}

/// Decodes one object from the YAML of its content.
fn object(kind: Kind, content: &str) -> Result<Object, Vec<ObjectError>> {
    let tree = parse(Format::Yaml, content).unwrap().tree;
    decode_object(kind, "x", &tree)
}

fn json(kind: Kind, content: &str) -> String {
    serde_json::to_string(&object(kind, content).unwrap()).unwrap()
}

fn errors(kind: Kind, content: &str) -> Vec<(String, String)> {
    let errors = object(kind, content).expect_err(content);
    errors
        .into_iter()
        .map(|error| (error.path, error.message))
        .collect()
}

fn router(content: &str) -> Arc<HttpRouter> {
    match object(Kind::HttpRouter, content) {
        Ok(Object::HttpRouter(router)) => router,
        other => panic!("{content}: {other:?}"),
    }
}

/// Every object in a short form, and what Traefik's API prints for it.
#[test]
fn objects_print_as_traefiks_api_prints_them() {
    for (kind, content, printed) in [
        (
            Kind::HttpRouter,
            "{rule: 'Host(`a`) && PathPrefix(`/a`)', service: s, middlewares: [m, c], priority: 7}",
            r#"{"middlewares":["m","c"],"service":"s","rule":"Host(`a`) && PathPrefix(`/a`)","priority":7}"#,
        ),
        (
            Kind::HttpRouter,
            "{entryPoints: [web], rule: r, ruleSyntax: v2, parentRefs: [p], tls: {options: o, certResolver: c, \
             domains: [{main: m, sans: [s]}]}, observability: {accessLogs: false, traceVerbosity: detailed}}",
            r#"{"entryPoints":["web"],"rule":"r","parentRefs":["p"],"ruleSyntax":"v2","tls":{"options":"o","certResolver":"c","domains":[{"main":"m","sans":["s"]}]},"observability":{"accessLogs":false,"traceVerbosity":"detailed"}}"#,
        ),
        (
            Kind::HttpRouter,
            "{rule: r, tls: {}}",
            r#"{"rule":"r","tls":{}}"#,
        ),
        (
            Kind::HttpService,
            "{loadBalancer: {servers: [{url: 'http://o1'}, {url: 'http://o2', weight: 3}]}}",
            r#"{"loadBalancer":{"servers":[{"url":"http://o1"},{"url":"http://o2","weight":3}],"strategy":"wrr","passHostHeader":true,"responseForwarding":{"flushInterval":"100ms"}}}"#,
        ),
        (
            Kind::HttpService,
            "{middlewares: [m], loadBalancer: {sticky: {cookie: {name: x, sameSite: Lax, maxAge: 3}}, strategy: P2C, \
             passHostHeader: false, healthCheck: {path: /h, interval: 10s}, passiveHealthCheck: {maxFailedAttempts: 2}, \
             responseForwarding: {flushInterval: 1}, serversTransport: t, servers: [{url: u, preservePath: true, fenced: true}]}}",
            r#"{"middlewares":["m"],"loadBalancer":{"sticky":{"cookie":{"name":"x","sameSite":"lax","maxAge":3,"path":"/"}},"servers":[{"url":"u","preservePath":true,"fenced":true}],"strategy":"p2c","healthCheck":{"mode":"http","path":"/h","interval":"10s","timeout":"5s","followRedirects":true},"passiveHealthCheck":{"failureWindow":"10s","maxFailedAttempts":2},"passHostHeader":false,"responseForwarding":{"flushInterval":"1s"},"serversTransport":"t"}}"#,
        ),
        (
            Kind::HttpService,
            "{weighted: {services: [{name: s, weight: 2}, {name: t}], sticky: {cookie: {}}, healthCheck: {}}}",
            r#"{"weighted":{"services":[{"name":"s","weight":2},{"name":"t","weight":1}],"sticky":{"cookie":{"path":"/"}},"healthCheck":{}}}"#,
        ),
        (
            Kind::HttpService,
            "{mirroring: {service: s, mirrors: [{name: w, percent: 10}]}}",
            r#"{"mirroring":{"service":"s","mirrorBody":true,"maxBodySize":-1,"mirrors":[{"name":"w","percent":10}]}}"#,
        ),
        (
            Kind::HttpService,
            "{failover: {service: hc, fallback: s, errors: {status: ['500-504']}}}",
            r#"{"failover":{"service":"hc","fallback":"s","errors":{"maxRequestBodyBytes":-1,"status":["500-504"]}}}"#,
        ),
        (
            Kind::HttpService,
            "{highestRandomWeight: {services: [{name: s}]}}",
            r#"{"highestRandomWeight":{"services":[{"name":"s","weight":1}]}}"#,
        ),
        (
            Kind::HttpServersTransport,
            "{serverName: n, rootCAs: [a], certificates: [{certFile: c, keyFile: k}], maxIdleConnsPerHost: 3, \
             forwardingTimeouts: {dialTimeout: 1s}, disableHTTP2: true, spiffe: {}}",
            r#"{"serverName":"n","rootCAs":["a"],"certificates":[{"certFile":"c","keyFile":"xxxx"}],"maxIdleConnsPerHost":3,"forwardingTimeouts":{"dialTimeout":"1s","idleConnTimeout":"1m30s","pingTimeout":"15s"},"disableHTTP2":true,"spiffe":{}}"#,
        ),
        (
            Kind::HttpModel,
            "{middlewares: [m], tls: {}}",
            r#"{"middlewares":["m"],"tls":{},"observability":{"traceVerbosity":"minimal"}}"#,
        ),
        (
            Kind::TcpRouter,
            "{rule: r, service: s, tls: {}}",
            r#"{"service":"s","rule":"r","tls":{"passthrough":false}}"#,
        ),
        (
            Kind::TcpService,
            "{loadBalancer: {servers: [{address: 'a:1', tls: true}], proxyProtocol: {}, healthCheck: {send: x}}}",
            r#"{"loadBalancer":{"servers":[{"address":"a:1","tls":true}],"proxyProtocol":{"version":2},"healthCheck":{"send":"x","interval":"30s","timeout":"5s"}}}"#,
        ),
        (
            Kind::TcpService,
            "{weighted: {services: [{name: a}]}}",
            r#"{"weighted":{"services":[{"name":"a","weight":1}]}}"#,
        ),
        (
            Kind::TcpMiddleware,
            "{inFlightConn: {amount: 3}}",
            r#"{"inFlightConn":{"amount":3}}"#,
        ),
        (
            Kind::TcpMiddleware,
            "{ipAllowList: {sourceRange: '1.2.3.4, ::1'}}",
            r#"{"ipAllowList":{"sourceRange":["1.2.3.4","::1"]}}"#,
        ),
        (
            Kind::TcpServersTransport,
            "{proxyProtocol: {version: 1}, tls: true}",
            r#"{"dialKeepAlive":"15s","dialTimeout":"30s","proxyProtocol":{"version":1},"terminationDelay":"100ms","tls":{}}"#,
        ),
        (
            Kind::UdpRouter,
            "{entryPoints: [u], service: s}",
            r#"{"entryPoints":["u"],"service":"s"}"#,
        ),
        (
            Kind::UdpService,
            "{loadBalancer: {servers: [{address: 'a:1'}]}}",
            r#"{"loadBalancer":{"servers":[{"address":"a:1"}]}}"#,
        ),
        (
            Kind::TlsOptions,
            "{minVersion: VersionTLS12, sniStrict: true, clientAuth: {caFiles: [f]}}",
            r#"{"minVersion":"VersionTLS12","clientAuth":{"caFiles":["f"]},"sniStrict":true,"alpnProtocols":["h2","http/1.1","acme-tls/1"]}"#,
        ),
        (
            Kind::TlsStore,
            "{defaultGeneratedCert: {resolver: r, domain: {main: m}}}",
            r#"{"defaultGeneratedCert":{"resolver":"r","domain":{"main":"m"}}}"#,
        ),
        (
            Kind::TlsCertificate,
            "{certFile: c, keyFile: secret, stores: [default]}",
            r#"{"certFile":"c","keyFile":"xxxx","stores":["default"]}"#,
        ),
    ] {
        assert_eq!(json(kind, content), printed, "{content}");
    }
}

#[test]
fn middlewares_print_as_traefiks_api_prints_them() {
    for (content, printed) in [
        (
            "addPrefix: {prefix: /x}",
            r#"{"addPrefix":{"prefix":"/x"}}"#,
        ),
        (
            "basicAuth: {users: ['u:secret']}",
            r#"{"basicAuth":{"users":["xxxx"]}}"#,
        ),
        (
            "buffering: {maxRequestBodyBytes: 5}",
            r#"{"buffering":{"maxRequestBodyBytes":5}}"#,
        ),
        (
            "chain: {middlewares: [h]}",
            r#"{"chain":{"middlewares":["h"]}}"#,
        ),
        (
            "circuitBreaker: {expression: NetworkErrorRatio() > 0.5}",
            r#"{"circuitBreaker":{"expression":"NetworkErrorRatio() > 0.5","checkPeriod":"100ms","fallbackDuration":"10s","recoveryDuration":"10s","responseCode":503}}"#,
        ),
        (
            "compress: true",
            r#"{"compress":{"encodings":["gzip","br","zstd"]}}"#,
        ),
        (
            "compress: {}",
            r#"{"compress":{"encodings":["gzip","br","zstd"]}}"#,
        ),
        ("contentType: {}", r#"{"contentType":{}}"#),
        (
            "digestAuth: {users: ['u:r:h'], realm: x}",
            r#"{"digestAuth":{"users":["xxxx"],"realm":"x"}}"#,
        ),
        (
            "encodedCharacters: {allowEncodedSlash: true}",
            r#"{"encodedCharacters":{"allowEncodedSlash":true}}"#,
        ),
        (
            "errors: {status: ['500-599'], statusRewrites: {418: 404}, service: e, query: '/{status}'}",
            r#"{"errors":{"status":["500-599"],"statusRewrites":{"418":404},"service":"e","query":"/{status}"}}"#,
        ),
        (
            "forwardAuth: {address: 'http://a', tls: {key: k}}",
            r#"{"forwardAuth":{"address":"http://a","tls":{"key":"xxxx"},"maxBodySize":-1}}"#,
        ),
        (
            "grpcWeb: {allowOrigins: ['*']}",
            r#"{"grpcWeb":{"allowOrigins":["*"]}}"#,
        ),
        (
            "headers: {frameDeny: true, customRequestHeaders: {X-A: b, X-B: ''}, stsSeconds: 0}",
            r#"{"headers":{"customRequestHeaders":{"X-A":"b","X-B":""},"stsSeconds":0,"frameDeny":true}}"#,
        ),
        (
            "ipAllowList: {sourceRange: [127.0.0.1], ipStrategy: {}}",
            r#"{"ipAllowList":{"sourceRange":["127.0.0.1"],"ipStrategy":{}}}"#,
        ),
        (
            "ipWhiteList: {sourceRange: [127.0.0.1]}",
            r#"{"ipWhiteList":{"sourceRange":["127.0.0.1"]}}"#,
        ),
        (
            "inFlightReq: {amount: 3, sourceCriterion: {requestHost: true}}",
            r#"{"inFlightReq":{"amount":3,"sourceCriterion":{"requestHost":true}}}"#,
        ),
        (
            "passTLSClientCert: {pem: true, info: {subject: {country: true}}}",
            r#"{"passTLSClientCert":{"pem":true,"info":{"subject":{"country":true}}}}"#,
        ),
        (
            "rateLimit: {average: 10}",
            r#"{"rateLimit":{"average":10,"period":"1s","burst":1}}"#,
        ),
        (
            "rateLimit: {average: 1, redis: {password: p}}",
            r#"{"rateLimit":{"average":1,"period":"1s","burst":1,"redis":{"endpoints":["localhost:6379"],"password":"xxxx","readTimeout":"3s","writeTimeout":"3s","dialTimeout":"5s"}}}"#,
        ),
        (
            "redirectRegex: {regex: a, replacement: b}",
            r#"{"redirectRegex":{"regex":"a","replacement":"b"}}"#,
        ),
        (
            "redirectScheme: {scheme: https, port: 443, permanent: true}",
            r#"{"redirectScheme":{"scheme":"https","port":"443","permanent":true}}"#,
        ),
        (
            "replacePath: {path: /x}",
            r#"{"replacePath":{"path":"/x"}}"#,
        ),
        (
            "replacePathRegex: {regex: (, replacement: x}",
            r#"{"replacePathRegex":{"regex":"(","replacement":"x"}}"#,
        ),
        (
            "retry: {attempts: 3}",
            r#"{"retry":{"attempts":3,"maxRequestBodyBytes":2097152}}"#,
        ),
        (
            "stripPrefix: {prefixes: [/p, /q]}",
            r#"{"stripPrefix":{"prefixes":["/p","/q"]}}"#,
        ),
        (
            "stripPrefixRegex: {regex: [/p]}",
            r#"{"stripPrefixRegex":{"regex":["/p"]}}"#,
        ),
        (
            "plugin: {mine: {a: 1, b: [x]}}",
            r#"{"plugin":{"mine":{"a":"1","b":["x"]}}}"#,
        ),
    ] {
        assert_eq!(json(Kind::HttpMiddleware, content), printed, "{content}");
    }
}

#[test]
fn defaults_are_traefiks() {
    let Ok(Object::HttpService(service)) =
        object(Kind::HttpService, "loadBalancer: {servers: [{}]}")
    else {
        panic!("no service");
    };
    let HttpServiceKind::LoadBalancer(balancer) = &service.kind else {
        panic!("no load balancer");
    };
    assert_eq!(balancer.strategy, BalancerStrategy::Wrr);
    assert!(balancer.pass_host_header);
    assert_eq!(
        balancer.response_forwarding.flush_interval,
        GoDuration::from_millis(100)
    );
    assert_eq!(balancer.servers[0].weight, None);
    assert_eq!(SameSite::default(), SameSite::Unset);
    let router = router("{rule: r, observability: {metrics: true}}");
    let observability = router.observability.as_ref().unwrap();
    assert_eq!(observability.trace_verbosity, TraceVerbosity::Minimal);
    assert_eq!(
        (observability.metrics, observability.tracing),
        (Some(true), None)
    );
}

#[test]
fn field_names_have_any_case() {
    let router = router("{RULE: r, entrypoints: [web], PassHost: }");
    assert_eq!(
        (&*router.rule, &*router.entry_points),
        ("r", &["web".into()][..])
    );
}

#[test]
fn scalars_have_many_forms() {
    let router = router(
        "{rule: r, entryPoints: 'a, b ,c', middlewares: [' x '], priority: '0012', tls: 'TRUE'}",
    );
    assert_eq!(&*router.entry_points, ["a", "b", "c"].map(Text::from));
    assert_eq!(&*router.middlewares, ["x"].map(Text::from));
    assert_eq!(router.priority, 12);
    assert!(router.tls.is_some());
    for (text, value) in [
        ("t", true),
        ("1", true),
        ("T", true),
        ("0", false),
        ("False", false),
    ] {
        let content = format!("redirectScheme: {{permanent: '{text}'}}");
        let Ok(Object::HttpMiddleware(middleware)) = object(Kind::HttpMiddleware, &content) else {
            panic!("{text}");
        };
        let HttpMiddleware::RedirectScheme(redirect) = &*middleware else {
            panic!("{text}");
        };
        assert_eq!(redirect.permanent, value, "{text}");
    }
}

#[test]
fn presence_keys_may_be_empty_true_or_switched_off() {
    for (tls, is_present) in [
        ("{}", true),
        ("true", true),
        ("''", true),
        ("{options: x}", true),
        ("false", false),
        ("no", false),
        ("", false),
        ("~", false),
    ] {
        assert_eq!(
            router(&format!("{{rule: r, tls: {tls}}}")).tls.is_some(),
            is_present,
            "{tls:?}"
        );
    }
    assert_eq!(errors(Kind::HttpMiddleware, "compress: false").len(), 1);
}

#[test]
fn a_struct_without_content_cannot_stand_alone() {
    for (kind, content, path) in [
        (
            Kind::HttpRouter,
            "observability: {}",
            "http.routers.x.observability",
        ),
        (
            Kind::HttpService,
            "loadBalancer: {}",
            "http.services.x.loadBalancer",
        ),
        (
            Kind::HttpService,
            "loadBalancer: true",
            "http.services.x.loadBalancer",
        ),
        (
            Kind::HttpService,
            "loadBalancer: {servers: [{url: u}], healthCheck: {}}",
            "http.services.x.loadBalancer.healthCheck",
        ),
        (
            Kind::HttpMiddleware,
            "headers: {}",
            "http.middlewares.x.headers",
        ),
        (
            Kind::HttpMiddleware,
            "inFlightReq: {amount: 1, sourceCriterion: {ipStrategy: {}}}",
            "http.middlewares.x.inFlightReq.sourceCriterion.ipStrategy",
        ),
        (
            Kind::HttpMiddleware,
            "headers: {customRequestHeaders: {}}",
            "http.middlewares.x.headers.customRequestHeaders",
        ),
    ] {
        let found = errors(kind, content);
        assert_eq!(found.len(), 1, "{content}: {found:?}");
        assert_eq!(found[0].0, path);
        assert!(
            found[0].1.starts_with("cannot be a standalone element"),
            "{found:?}"
        );
    }
}

#[test]
fn every_problem_of_an_object_is_told_at_its_path() {
    let decoded = yaml(
        "http:\n  routers:\n    api:\n      rul: x\n      priority: high\n      entryPoints: {a: b}\n      tls:\n        domains:\n        - {main: [m]}\n",
    );
    let declared = decoded.get(Kind::HttpRouter, "api").unwrap();
    let errors = declared.result.as_ref().unwrap_err();
    let told: Vec<_> = errors
        .iter()
        .map(|error| (error.path.as_str(), error.position))
        .collect();
    assert_eq!(
        told,
        [
            ("http.routers.api.rul", Position::new(4, 7)),
            ("http.routers.api.priority", Position::new(5, 17)),
            ("http.routers.api.entryPoints", Position::new(6, 20)),
            ("http.routers.api.tls.domains[0].main", Position::new(9, 18)),
        ]
    );
    assert_eq!(errors[0].suggestion.as_deref(), Some("rule"));
    assert_eq!(
        errors[1].message,
        "is \"high\" where an integer from -9223372036854775808 to 9223372036854775807 is expected"
    );
}

#[test]
fn unknown_fields_come_with_the_name_that_was_meant() {
    for (kind, content, name) in [
        (Kind::HttpRouter, "rul: x", "rule"),
        (Kind::HttpRouter, "entryPoint: [web]", "entryPoints"),
        (Kind::HttpRouter, "middleware: [web]", "middlewares"),
        (Kind::HttpService, "loadbalancers: {}", "loadBalancer"),
        (
            Kind::HttpService,
            "loadBalancer: {server: [{url: u}]}",
            "servers",
        ),
        (Kind::HttpMiddleware, "ratelimits: {}", "rateLimit"),
        (Kind::HttpMiddleware, "stripPrefx: {}", "stripPrefix"),
    ] {
        let errors = object(kind, content).unwrap_err();
        assert_eq!(errors[0].suggestion.as_deref(), Some(name), "{content}");
    }
    // What resembles nothing gets no wild guess.
    assert_eq!(
        object(Kind::HttpRouter, "foo: 1").unwrap_err()[0].suggestion,
        None
    );
    // Fields that only the program sets are not part of the vocabulary.
    assert!(object(Kind::HttpRouter, "defaultRule: true").is_err());
}

#[test]
fn a_field_in_two_spellings_is_an_error() {
    let found = errors(Kind::HttpRouter, "{rule: a, Rule: b}");
    assert_eq!(found[0].0, "http.routers.x.Rule");
}

#[test]
fn middlewares_and_services_have_exactly_one_type() {
    let found = errors(
        Kind::HttpMiddleware,
        "{addPrefix: {prefix: /a}, stripPrefix: {prefixes: /b}}",
    );
    assert!(
        found[0]
            .1
            .contains("both \"addPrefix\" and \"stripPrefix\""),
        "{found:?}"
    );
    let found = errors(Kind::HttpService, "{middlewares: [a]}");
    assert!(found[0].1.contains("has no type"), "{found:?}");
    let found = errors(
        Kind::TcpService,
        "{loadBalancer: {servers: [{address: a}]}, weighted: {services: [{name: a}]}}",
    );
    assert!(found[0].1.contains("both"), "{found:?}");
    assert!(errors(Kind::UdpService, "{}")[0].1.contains("has no type"));
}

#[test]
fn bad_objects_do_not_hide_good_ones() {
    let decoded = yaml(
        "http:\n  routers:\n    bad: {foo: 1}\n    good: {rule: r}\n    worse: text\n    none:\n",
    );
    let is_ok = |name| {
        decoded
            .get(Kind::HttpRouter, name)
            .map(|declared| declared.result.is_ok())
    };
    assert_eq!(
        (is_ok("bad"), is_ok("good"), is_ok("worse"), is_ok("none")),
        (Some(false), Some(true), Some(false), None)
    );
    assert_eq!(decoded.all_errors().len(), 2);
}

#[test]
fn names_must_not_name_a_provider() {
    let decoded = yaml("http: {routers: {a@file: {rule: r}, '': {rule: r}}}");
    for name in ["a@file", ""] {
        assert!(
            decoded.get(Kind::HttpRouter, name).unwrap().result.is_err(),
            "{name:?}"
        );
    }
}

#[test]
fn an_object_declared_twice_is_an_error_of_that_object() {
    let decoded = yaml("http: {routers: {a: {rule: r}, b: {rule: r}}, Routers: {a: {rule: s}}}");
    assert!(decoded.get(Kind::HttpRouter, "a").unwrap().result.is_err());
    assert!(decoded.get(Kind::HttpRouter, "b").unwrap().result.is_ok());
}

#[test]
fn unknown_top_level_keys_are_warnings_and_keys_below_errors_of_the_source() {
    let decoded =
        yaml("x-templates: {a: b}\nhttps: {}\nhttp:\n  routerz: {}\n  routers: {a: {rule: r}}\n");
    let paths = |problems: &[ObjectError]| {
        problems
            .iter()
            .map(|error| error.path.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(paths(&decoded.warnings), ["x-templates", "https"]);
    assert_eq!(decoded.warnings[1].suggestion.as_deref(), Some("http"));
    assert_eq!(paths(&decoded.errors), ["http.routerz"]);
    assert_eq!(decoded.errors[0].suggestion.as_deref(), Some("routers"));
    assert!(decoded.get(Kind::HttpRouter, "a").is_some());
}

#[test]
fn empty_and_misplaced_sections_are_clear_errors_of_the_source() {
    for (text, path, message) in [
        ("http: {}", "http", "cannot be a standalone element"),
        ("http: 3", "http", "is \"3\" where a map is expected"),
        (
            "http: {routers: {}}",
            "http.routers",
            "cannot be a standalone element",
        ),
        (
            "http: {routers: [a]}",
            "http.routers",
            "is a list where a map is expected",
        ),
        (
            "tls: {certificates: {}}",
            "tls.certificates",
            "is a map where a list is expected",
        ),
        ("[http]", "(top)", "is a list where a map"),
    ] {
        let decoded = yaml(text);
        assert_eq!(decoded.errors.len(), 1, "{text}: {:?}", decoded.errors);
        assert_eq!(decoded.errors[0].path, path, "{text}");
        assert!(
            decoded.errors[0].message.starts_with(message),
            "{text}: {}",
            decoded.errors[0]
        );
    }
    for text in ["", "http:", "http: {routers: }", "{}"] {
        let decoded = yaml(text);
        assert!(decoded.objects.is_empty(), "{text}");
    }
}

#[test]
fn certificates_are_named_by_file_or_content() {
    let pem = "-----BEGIN CERTIFICATE-----\\nabc";
    let text = format!(
        "tls:\n  certificates:\n  - {{certFile: a.crt, keyFile: a.key}}\n  - {{certFile: \"{pem}\", keyFile: k}}\n  - {{certFile: a.crt, keyFile: a.key}}\n  - {{certFil: x}}\n"
    );
    let decoded = yaml(&text);
    assert_eq!(decoded.objects.len(), 3);
    assert!(
        decoded
            .get(Kind::TlsCertificate, "a.crt")
            .unwrap()
            .result
            .is_ok()
    );
    let errors = decoded.all_errors();
    assert_eq!(errors[0].path, "tls.certificates[3].certFil");
}

#[test]
fn numbers_below_their_bound_are_errors() {
    for content in [
        "retry: {attempts: 1, initialInterval: -1s}",
        "rateLimit: {average: -1}",
        "circuitBreaker: {expression: x, checkPeriod: -1}",
    ] {
        let found = errors(Kind::HttpMiddleware, content);
        assert!(found[0].1.contains("must not be negative"), "{found:?}");
    }
    // Negative means "at once" here.
    assert!(
        object(
            Kind::HttpService,
            "loadBalancer: {responseForwarding: {flushInterval: -1}, servers: [{url: u}]}"
        )
        .is_ok()
    );
}

#[test]
fn a_second_reading_takes_unchanged_objects_from_the_first() {
    let text = "http:\n  routers:\n    a: {rule: r}\n    b: {rule: r}\n    c: {rul: r}\n";
    let first = yaml(text);
    let edited = text
        .replace("b: {rule: r}", "b: {rule: s}")
        .replace("  routers", "\n  routers");
    let second = decode_text(Format::Yaml, &edited, Some(&first)).unwrap();
    let same = |name| {
        let get = |decoded: &Decoded| match &decoded.get(Kind::HttpRouter, name).unwrap().result {
            Ok(Object::HttpRouter(router)) => Some(Arc::clone(router)),
            _ => None,
        };
        Some(Arc::ptr_eq(&get(&first)?, &get(&second)?))
    };
    assert_eq!((same("a"), same("b")), (Some(true), Some(false)));
    let moved = second
        .get(Kind::HttpRouter, "c")
        .unwrap()
        .result
        .as_ref()
        .unwrap_err();
    assert_eq!(moved[0].position.line, 6);
    let key = |decoded: &Decoded| {
        let (key, _) = decoded
            .objects
            .get_key_value(&ObjectKey::new(Kind::HttpRouter, "a"))
            .unwrap();
        Arc::clone(&key.name)
    };
    assert!(Arc::ptr_eq(&key(&first), &key(&second)));
}

#[test]
fn toml_and_merged_yaml_decode_to_the_same_objects() {
    let plain =
        yaml("http:\n  routers:\n    a: {rule: r, service: s}\n    b: {rule: q, service: s}\n");
    let merged = yaml(
        "x: &x {service: s}\nhttp:\n  routers:\n    a: {<<: *x, rule: r}\n    b: {<<: *x, rule: q}\n",
    );
    let toml = "[http.routers.a]\nrule = 'r'\nservice = 's'\n[http.routers.b]\nrule = 'q'\nservice = 's'\n";
    let toml = decode_text(Format::Toml, toml, None).unwrap();
    for (key, declared) in &plain.objects {
        assert_eq!(declared.result, toml.objects[key].result);
        assert_eq!(declared.result, merged.objects[key].result);
    }
}

#[test]
fn objects_compare_by_configuration() {
    let text = "{rule: r, tls: {domains: [{main: m}]}}";
    assert_eq!(
        object(Kind::HttpRouter, text),
        object(Kind::HttpRouter, text)
    );
    assert_ne!(
        object(Kind::HttpRouter, text),
        object(Kind::HttpRouter, "{rule: r}")
    );
}

#[test]
fn problems_name_their_file_when_it_is_known() {
    let mut decoded = yaml("x: 1\nhttp: {routerz: {}, routers: {a: {rul: r}}}\n");
    decoded.in_file(&"a.yml".into());
    let told: Vec<_> = decoded
        .all_errors()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        told[0],
        "a.yml:2:35: http.routers.a.rul: no such field, did you mean \"rule\"?"
    );
    assert!(
        told[1].starts_with("a.yml:2:8: http.routerz"),
        "{}",
        told[1]
    );
    assert!(
        decoded.warnings[0]
            .to_string()
            .starts_with("a.yml:1:1: x: unknown key")
    );
}

#[test]
fn secrets_do_not_appear_in_debug_text() {
    let object = object(Kind::HttpMiddleware, "basicAuth: {users: ['u:hunter2']}").unwrap();
    assert!(!format!("{object:?}").contains("hunter2"));
}

mod any_input {
    use proptest::prelude::*;

    use super::*;
    use crate::config::statics::{Disk, load};

    /// Words of the vocabulary in any combination.
    fn words() -> impl Strategy<Value = String> {
        let word = prop::sample::select(vec![
            "http",
            "routers",
            "services",
            "middlewares",
            "tls",
            "certificates",
            "options",
            "tcp",
            "rule",
            "service",
            "loadBalancer",
            "servers",
            "url",
            "weight",
            "healthCheck",
            "interval",
            "weighted",
            "headers",
            "compress",
            "plugin",
            "certFile",
            "-1s",
            "true",
            "3",
            "a@b",
            ".",
            "~",
            "''",
            "priority",
            "sticky",
            "cookie",
        ]);
        let glue = prop::sample::select(vec![
            ": ", ":\n  ", ":\n    ", "\n", "\n  ", "\n    ", "\n      ", ": {", "}", "[", "]",
            ", ", "- ", " = ", "[[", "]]\n", ".", "\"",
        ]);
        prop::collection::vec((word, glue), 0..30).prop_map(|parts| {
            parts
                .into_iter()
                .flat_map(|(word, glue)| [word, glue])
                .collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn every_text_is_decoded_or_refused_with_a_reason(text in words()) {
            for format in [Format::Yaml, Format::Toml] {
                match decode_text(format, &text, None) {
                    Ok(decoded) => {
                        for declared in decoded.objects.values() {
                            prop_assert!(declared.result.as_ref().err().is_none_or(|errors| !errors.is_empty()));
                        }
                        let again = decode_text(format, &text, Some(&decoded)).unwrap();
                        prop_assert_eq!(&again.objects, &decoded.objects);
                    }
                    Err(error) => prop_assert!(!error.report("f").is_empty()),
                }
            }
            let flag = format!("--{}", text.replace('\n', ""));
            if let Err(error) = load(&[flag, "--configFile=/nonexistent".to_owned()], &[], &Disk) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}
