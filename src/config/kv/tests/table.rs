//! Keys, and the objects they come to: a name, the keys, and the objects or how their errors begin.

/// What Traefik 3.7.15 makes of them (its `/api/rawdata`, fed from etcd, without what it adds itself).
pub const AS_TRAEFIK: &[(&str, &str, &str)] = &[
    (
        "indexed under a smaller spelling's comma form",
        "http/routers/r/Middlewares = x,y
         http/routers/r/middlewares/5 = a",
        r#"{"http.routers.r": {"middlewares": ["a"]}}"#,
    ),
    (
        "an empty fragment in an item's key makes another list, and the later counts",
        "http/routers/r/middlewares//0 = x
         http/routers/r/middlewares/1 = y",
        r#"{"http.routers.r": {"middlewares": ["x"]}}"#,
    ),
    (
        "an empty fragment",
        "http/routers/r//rule = x
         http/routers/r/rule = y",
        r#"{"http.routers.r": {"rule": "y"}}"#,
    ),
    (
        "a name that is written as a number and as its index",
        "http/routers/7/rule = x
         http/routers/[7]/service = s",
        r#"{"http.routers.[7]": {"rule": "x", "service": "s"}}"#,
    ),
    (
        "index order",
        "
            http/routers/r/middlewares/0 = m0
            http/routers/r/middlewares/1 = m1
            http/routers/r/middlewares/2 = m2
            http/routers/r/middlewares/10 = m10
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
        ",
        r#"{"http.routers.r": {"middlewares": ["m0", "m1", "m10", "m2"], "service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "gap",
        "
            http/services/s/loadbalancer/servers/3/url = http://h3
            http/services/s/loadbalancer/servers/10/url = http://h10
            http/services/s/loadbalancer/servers/7/url = http://h7
        ",
        r#"{"http.services.s": {"loadBalancer": {"servers": [{"url": "http://h10"}, {"url": "http://h3"}, {"url": "http://h7"}]}}}"#,
    ),
    (
        "commas in an item",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/middlewares/0 = a, b
            http/routers/r/middlewares/1 =  c 
        ",
        r#"{"http.routers.r": {"middlewares": ["a", "b", "c"], "service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "comma form",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/middlewares =  a , b,,c
        ",
        r#"{"http.routers.r": {"middlewares": ["a", "b", "", "c"], "service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "indexed wins",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/middlewares = x,y
            http/routers/r/middlewares/5 = a
        ",
        r#"{"http.routers.r": {"middlewares": ["a"], "service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "indexed other spelling: last",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/middlewares = x,y
            http/routers/r/Middlewares/5 = a
        ",
        r#"{"http.routers.r": {"middlewares": ["x", "y"], "service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "two spellings of an indexed list",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/Middlewares/0 = x
            http/routers/r/middlewares/1 = a
        ",
        r#"{"http.routers.r": {"middlewares": ["a"], "service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "tls 'true'",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/tls = true
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)", "tls": {}}}"#,
    ),
    (
        "tls 'true' with children",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/tls = true
            http/routers/r/tls/options = o
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)", "tls": {"options": "o"}}}"#,
    ),
    (
        "tls ''",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/tls =
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)", "tls": {}}}"#,
    ),
    (
        "tls '' with children",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/tls =
            http/routers/r/tls/options = o
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)", "tls": {"options": "o"}}}"#,
    ),
    (
        "tls 'false'",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/tls = false
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "tls 'false' with children",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/tls = false
            http/routers/r/tls/options = o
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "tls 'TRUE'",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/tls = TRUE
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)", "tls": {}}}"#,
    ),
    (
        "tls 'TRUE' with children",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/tls = TRUE
            http/routers/r/tls/options = o
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)", "tls": {"options": "o"}}}"#,
    ),
    (
        "tls '0'",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/tls = 0
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "tls '0' with children",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/tls = 0
            http/routers/r/tls/options = o
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "tls folder",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/tls/ =
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)", "tls": {}}}"#,
    ),
    (
        "map name case",
        "
            http/routers/Foo/rule = Host(`a`)
            http/routers/foo/service = s
        ",
        r#"{"http.routers.Foo": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "section case decides name",
        "
            http/Routers/foo/rule = Host(`a`)
            http/routers/FOO/service = s
        ",
        r#"{"http.routers.foo": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "two sections spelled",
        "
            HTTP/routers/b/rule = Host(`b`)
            http/routers/a/rule = Host(`a`)
        ",
        r#"{"http.routers.a": {"rule": "Host(`a`)"}, "http.routers.b": {"rule": "Host(`b`)"}}"#,
    ),
    (
        "numeric name",
        "
            http/routers/123/rule = Host(`a`)
            http/routers/123/service = s
        ",
        r#"{"http.routers.[123]": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "numeric leaf map beside named",
        "
            http/middlewares/h/headers/customrequestheaders/1 = a
            http/middlewares/h/headers/customrequestheaders/X-A = b
        ",
        r#"{"http.middlewares.h": {"headers": {"customRequestHeaders": {"X-A": "b"}}}}"#,
    ),
    (
        "text on struct with children",
        "
            http/services/s/loadbalancer = x
            http/services/s/loadbalancer/servers/0/url = http://a
        ",
        r#"{"http.services.s": {"loadBalancer": {"servers": [{"url": "http://a"}]}}}"#,
    ),
    (
        "false on a struct that is no presence key",
        "
            http/services/s/loadbalancer/servers/0/url = http://a
            http/services/s/loadbalancer/healthcheck = false
            http/services/s/loadbalancer/healthcheck/path = /x
        ",
        r#"{"http.services.s": {"loadBalancer": {"servers": [{"url": "http://a"}], "healthCheck": {"mode": "http", "path": "/x", "interval": "30s", "timeout": "5s", "followRedirects": true}}}}"#,
    ),
    (
        "text on object",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r = x
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "digit leaf on object",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/5 = x
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "text on collection",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers = x
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "digit leaf on collection",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/5 = x
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "folders",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/ =
            http/routers/ =
            http/routers/r/ =
            http/services/s/loadbalancer/servers/0/url = http://a
            http/services/s/loadbalancer/servers/ =
            http/services/s/loadbalancer/servers/0/ =
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)"}, "http.services.s": {"loadBalancer": {"servers": [{"url": "http://a"}]}}}"#,
    ),
    (
        "list item folder alone",
        "
            http/services/s/loadbalancer/servers/0/url = http://a
            http/services/s/loadbalancer/servers/1/ =
        ",
        r#"{"http.services.s": {"loadBalancer": {"servers": [{"url": "http://a"}, {}]}}}"#,
    ),
    (
        "named list items",
        "
            http/services/s/loadbalancer/servers/b/url = http://b
            http/services/s/loadbalancer/servers/a/url = http://a
        ",
        r#"{"http.services.s": {"loadBalancer": {"servers": [{"url": "http://a"}, {"url": "http://b"}]}}}"#,
    ),
    (
        "list items of two spellings",
        "
            http/services/s/loadbalancer/Servers/1/url = http://b
            http/services/s/loadbalancer/servers/0/url = http://a
            http/services/s/loadbalancer/servers/1/weight = 3
        ",
        r#"{"http.services.s": {"loadBalancer": {"servers": [{"url": "http://b", "weight": 3}, {"url": "http://a"}]}}}"#,
    ),
    (
        "list text and children",
        "
            http/services/s/loadbalancer/servers/0/url = http://a
            http/services/s/loadbalancer/servers = x
        ",
        r#"{"http.services.s": {"loadBalancer": {"servers": [{"url": "http://a"}]}}}"#,
    ),
    (
        "unknown top",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            frontends/f/backend = x
            foo = y
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "empty fragment at end",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            http/routers/r/rule/ = Host(`z`)
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`z`)"}}"#,
    ),
    (
        "leading slash",
        "
            http/routers/r/rule = Host(`a`)
            http/routers/r/service = s
            /http/routers/q/rule = x
        ",
        r#"{"http.routers.r": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "plugin",
        "
            http/middlewares/p/plugin/foo/list/0 = a
            http/middlewares/p/plugin/foo/list/1 = b
            http/middlewares/p/plugin/foo/items/0/k = v
            http/middlewares/p/plugin/foo/items/3/k = w
            http/middlewares/p/plugin/foo/map/x = y
            http/middlewares/p/plugin/foo/mixed/0/a = 1
            http/middlewares/p/plugin/foo/mixed/z = 2
        ",
        r#"{"http.middlewares.p": {"plugin": {"foo": {"items": [{"k": "v"}, {"k": "w"}], "list": "a,b", "map": {"x": "y"}, "mixed": [{"a": "1"}, "2"]}}}}"#,
    ),
    (
        "unicode fold",
        "
            http/routers/É/rule = Host(`a`)
            http/routers/é/service = s
        ",
        r#"{"http.routers.É": {"service": "s", "rule": "Host(`a`)"}}"#,
    ),
    (
        "weird sort",
        "
            http/services/s/loadbalancer/servers/1/url = http://1
            http/services/s/loadbalancer/servers/1-a/url = http://1-a
            http/services/s/loadbalancer/servers/10/url = http://10
            http/services/s/loadbalancer/servers/2/url = http://2
        ",
        r#"{"http.services.s": {"loadBalancer": {"servers": [{"url": "http://1-a"}, {"url": "http://1"}, {"url": "http://10"}, {"url": "http://2"}]}}}"#,
    ),
    (
        "names tie",
        "
            http/routers/r-x/rule = Host(`a`)
            http/Routers/r/rule = Host(`b`)
            http/routers/R/service = s
        ",
        r#"{"http.routers.r-x": {"rule": "Host(`a`)"}, "http.routers.r": {"service": "s", "rule": "Host(`b`)"}}"#,
    ),
    (
        "statusrewrites",
        "
            http/middlewares/e/errors/status = 500-599
            http/middlewares/e/errors/service = s
            http/middlewares/e/errors/query = /
            http/middlewares/e/errors/statusrewrites/404 = 200
            http/middlewares/e/errors/statusrewrites/418-420 = 201
        ",
        r#"{"http.middlewares.e": {"errors": {"statusRewrites": {"418-420": 201}, "service": "s", "query": "/"}}}"#,
    ),
    (
        "weighted presence",
        "
            http/services/w/weighted/services/0/name = s
            http/services/w/weighted/healthcheck = true
        ",
        r#"{"http.services.w": {"weighted": {"services": [{"name": "s", "weight": 1}], "healthCheck": {}}}}"#,
    ),
    (
        "tcp tls domains",
        "
            tcp/routers/t/rule = HostSNI(`a`)
            tcp/routers/t/service = s
            tcp/routers/t/tls/domains/0/main = a
            tcp/routers/t/tls/domains/0/sans/0 = b
            tcp/routers/t/tls/domains/0/sans/1 = c,d
            tcp/routers/t/tls/passthrough = true
        ",
        r#"{"tcp.routers.t": {"service": "s", "rule": "HostSNI(`a`)", "tls": {"passthrough": true, "domains": [{"main": "a", "sans": ["b", "c", "d"]}]}}}"#,
    ),
];

/// What is done otherwise here, because it is silent there or costs all the other objects.
pub const OTHERWISE: &[(&str, &str, &str)] = &[
    (
        "a text where a list of structures is expected (Traefik: an empty list)",
        "http/services/s/loadbalancer/servers = x",
        r#"{"http.services.s": "http.services.s.loadbalancer.servers: is \"x\" where a list"}"#,
    ),
    (
        "an empty folder where a list is expected",
        "http/services/s/loadbalancer/servers/ =",
        r#"{"http.services.s": {"loadBalancer": {}}}"#,
    ),
    (
        "a text in place of an object (Traefik: an empty router)",
        "http/routers/r = x",
        r#"{"http.routers.r": "http.routers.r: is \"x\" where a map"}"#,
    ),
    (
        "a name below a list of texts (Traefik: ignored)",
        "http/routers/r/middlewares/a = x",
        r#"{"http.routers.r": "http.routers.r.middlewares.a: is below a list of texts"}"#,
    ),
    (
        "a middleware that is switched off (Traefik: one without a type)",
        "http/middlewares/m/compress = false",
        r#"{"http.middlewares.m": "http.middlewares.m"}"#,
    ),
    (
        "a name with a provider's",
        "http/routers/a@b/rule = x",
        r#"{"http.routers.a@b": "http.routers.a@b: a declared name must not contain"}"#,
    ),
    (
        "an unknown field (Traefik: nothing of the tree)",
        "http/routers/r/rul = x
         http/routers/q/rule = x",
        r#"{"http.routers.r": "http.routers.r.rul: no such field", "http.routers.q": {}}"#,
    ),
    (
        "a bad number (Traefik: nothing of the tree)",
        "http/routers/r/Priority = x
         http/services/s/loadbalancer/servers/7/weight = y",
        r#"{"http.routers.r": "http.routers.r.Priority: is \"x\"",
            "http.services.s": "http.services.s.loadbalancer.servers[7].weight: is \"y\""}"#,
    ),
    (
        "keys below a text",
        "http/routers/r/rule = x
         http/routers/r/rule/x = y",
        r#"{"http.routers.r": "http.routers.r.rule: is a key with others below it"}"#,
    ),
    (
        "a numeric name at the end of a map (Traefik: nothing of the tree)",
        "http/middlewares/h/headers/customrequestheaders/1 = a",
        r#"{"http.middlewares.h": "http.middlewares.h.headers.customrequestheaders: is \"a\""}"#,
    ),
    (
        "a folder's marker beside what is in the folder (Traefik: it empties the list)",
        "http/routers/r/middlewares/ =
         http/routers/r/middlewares/0 = a
         http/routers/r/middlewares/1 = b",
        r#"{"http.routers.r": {"middlewares": ["a", "b"]}}"#,
    ),
    (
        "certificates are named by their files",
        "tls/certificates/0/certfile = a.pem
         tls/certificates/7/CertFile = b.pem
         tls/certificates/7/stores/0 = default",
        r#"{"tls.certificates.a.pem": {"certFile": "a.pem"},
            "tls.certificates.b.pem": {"certFile": "b.pem", "stores": ["default"]}}"#,
    ),
];
