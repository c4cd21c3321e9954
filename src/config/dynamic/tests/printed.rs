//! Every kind of object, as Traefik's API prints it, and its defaults.

use super::*;
use crate::config::duration::GoDuration;
use crate::config::dynamic::http::{BalancerStrategy, SameSite, TraceVerbosity};

fn json(kind: Kind, content: &str) -> String {
    serde_json::to_string(&object(kind, content).unwrap()).unwrap()
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
fn secrets_do_not_appear_in_debug_text() {
    let object = object(Kind::HttpMiddleware, "basicAuth: {users: ['u:hunter2']}").unwrap();
    assert!(!format!("{object:?}").contains("hunter2"));
}
