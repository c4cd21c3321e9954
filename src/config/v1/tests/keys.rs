//! Every key of Traefik 1's trees in stores, one by one: what it becomes, or how it is named.
//!
//! The keys are those of Traefik 1.7.34's `provider/kv/keynames.go`.

use super::*;
use crate::config::kv::{Content, Pair, former_tree};

/// A frontend and its backend, to which each case adds.
const BASE: [(&str, &str); 4] = [
    ("backends/b/servers/s/url", "http://10.0.0.1"),
    ("backends/pages/servers/s/url", "http://10.0.0.2"),
    ("frontends/f/backend", "b"),
    ("frontends/f/routes/r/rule", "Host:f.test"),
];

/// Converts as a store's tree is.
fn of_keys(pairs: &[(&str, &str)]) -> Converted {
    let mut all: Vec<(&str, &str)> = BASE.to_vec();
    for (key, value) in pairs {
        all.retain(|(own, _)| own != key);
        all.push((key, value));
    }
    all.sort_unstable();
    let pairs: Vec<Pair<'_>> = all
        .iter()
        .map(|(key, value)| Pair {
            key: key.as_bytes(),
            value: Content::Bytes(value.as_bytes()),
        })
        .collect();
    let (tree, errors) = former_tree(&pairs);
    assert_eq!(errors, []);
    convert(&tree, Origin::Store, &Context::default())
}

/// Below `frontends/f/`.
const FRONTEND: &str = r#"
entrypoints=http,https => routers f => "entryPoints":["http","https"]
entrypoints/0=http & entrypoints/1=https => routers f => "entryPoints":["http","https"]
priority=42 => routers f => "priority":"42"
=> routers f => "priority":"11"
priority=0 => routers f => "priority":"11"
routes/q/rule=PathPrefix:/x => routers f => "priority":"24"
passhostheader=false => services b-own-host => "passHostHeader":"false"
passHostHeader=false => services b-own-host => "passHostHeader":"false"
=> services b => "passHostHeader":"true"
basicauth=a:x,b:y => middlewares f-basic-auth => {"basicAuth":{"users":["a:x","b:y"]}}
auth/basic/users=a:x => middlewares f-auth => {"basicAuth":{"users":["a:x"]}}
auth/basic/users/0=a:x & auth/basic/removeheader=true => middlewares f-auth => "removeHeader":"true"
auth/basic/usersfile=/u => middlewares f-auth => {"basicAuth":{"usersFile":"/u"}}
auth/basic/users=a:x & auth/headerfield=X-U => middlewares f-auth => "headerField":"X-U"
auth/digest/users/0=a:r:x => middlewares f-auth => {"digestAuth":{"users":["a:r:x"]}}
auth/digest/usersfile=/u & auth/digest/removeheader=true => middlewares f-auth => {"digestAuth":{"removeHeader":"true","usersFile":"/u"}}
auth/forward/address=http://a => middlewares f-auth => {"forwardAuth":{"address":"http://a"}}
auth/forward/address=http://a & auth/forward/trustforwardheader=true => middlewares f-auth => "trustForwardHeader":"true"
auth/forward/address=http://a & auth/forward/.authresponseheaders/0=X-A => middlewares f-auth => "authResponseHeaders":["X-A"]
auth/forward/address=http://a & auth/forward/authresponseheaders=X-A,X-B => middlewares f-auth => "authResponseHeaders":["X-A","X-B"]
auth/forward/address=http://a & auth/forward/tls/ca=/c & auth/forward/tls/cert=/p & auth/forward/tls/key=/k => middlewares f-auth => "tls":{"ca":"/c","cert":"/p","key":"/k"}
auth/forward/address=http://a & auth/forward/tls/insecureskipverify=true => middlewares f-auth => "tls":{"insecureSkipVerify":"true"}
whitelist/sourcerange=10.0.0.0/8, 1.2.3.4 => middlewares f-whitelist => {"ipAllowList":{"sourceRange":["10.0.0.0/8","1.2.3.4"]}}
whitelist/sourcerange/0=10.0.0.0/8 & whitelist/usexforwardedfor=true => middlewares f-whitelist => "ipStrategy":{"depth":"1"}
redirect/entrypoint=https => middlewares f-redirect => {"redirectScheme":{"scheme":"https"}}
redirect/entrypoint=https & redirect/permanent=true => middlewares f-redirect => "permanent":"true"
redirect/regex=^a$ & redirect/replacement=b & redirect/permanent=true => middlewares f-redirect => {"redirectRegex":{"permanent":"true","regex":"^a$","replacement":"b"}}
errors/5/backend=pages & errors/5/query=/{status} & errors/5/status=500-599,404 => middlewares f-errors-5 => {"errors":{"query":"/{status}","service":"pages","status":["500-599","404"]}}
errors/5/backend=pages & errors/5/status/0=500 & errors/5/status/1=404 => middlewares f-errors-5 => "status":["500","404"]
ratelimit/extractorfunc=client.ip & ratelimit/rateset/r/period=10s & ratelimit/rateset/r/average=5 & ratelimit/rateset/r/burst=9 => middlewares f-rate-r => {"rateLimit":{"average":"5","burst":"9","period":"10s","sourceCriterion":{"ipStrategy":{"depth":"0"}}}}
passtlsclientcert/pem=true => middlewares f-client-cert => {"passTLSClientCert":{"pem":"true"}}
passtlsclientcert/infos/notafter=true & passtlsclientcert/infos/notbefore=true & passtlsclientcert/infos/sans=true => middlewares f-client-cert => "info":{"notAfter":"true","notBefore":"true","sans":"true"}
passtlsclientcert/infos/subject/commonname=true & passtlsclientcert/infos/subject/domaincomponent=true => middlewares f-client-cert => "subject":{"commonName":"true","domainComponent":"true"}
passtlsclientcert/infos/issuer/serialnumber=true & passtlsclientcert/infos/issuer/country=true => middlewares f-client-cert => "issuer":{"country":"true","serialNumber":"true"}
headers/customrequestheaders/X-A=1 => middlewares f-headers => {"headers":{"customRequestHeaders":{"X-A":"1"}}}
headers/customresponseheaders/X-A= => middlewares f-headers => {"headers":{"customResponseHeaders":{"X-A":""}}}
headers/sslproxyheaders/X-Forwarded-Proto=https => middlewares f-headers => "sslProxyHeaders":{"X-Forwarded-Proto":"https"}
headers/allowedhosts=a,b => middlewares f-headers => "allowedHosts":["a","b"]
headers/hostsproxyheaders/0=X-H => middlewares f-headers => "hostsProxyHeaders":["X-H"]
headers/sslhost=s.test => middlewares f-headers => "sslHost":"s.test"
headers/stsseconds=7 => middlewares f-headers => "stsSeconds":"7"
headers/customframeoptionsvalue=v => middlewares f-headers => "customFrameOptionsValue":"v"
headers/custombrowserxssvalue=v => middlewares f-headers => "customBrowserXSSValue":"v"
headers/contentsecuritypolicy=v => middlewares f-headers => "contentSecurityPolicy":"v"
headers/publickey=v => middlewares f-headers => "publicKey":"v"
headers/referrerpolicy=v => middlewares f-headers => "referrerPolicy":"v"
headers/sslredirect=true => middlewares f-headers => "sslRedirect":"true"
headers/ssltemporaryredirect=true => middlewares f-headers => "sslTemporaryRedirect":"true"
headers/sslforcehost=true => middlewares f-headers => "sslForceHost":"true"
headers/stsincludesubdomains=true => middlewares f-headers => "stsIncludeSubdomains":"true"
headers/stspreload=true => middlewares f-headers => "stsPreload":"true"
headers/forcestsheader=true => middlewares f-headers => "forceSTSHeader":"true"
headers/framedeny=true => middlewares f-headers => "frameDeny":"true"
headers/contenttypenosniff=true => middlewares f-headers => "contentTypeNosniff":"true"
headers/browserxssfilter=true => middlewares f-headers => "browserXssFilter":"true"
headers/isdevelopment=true => middlewares f-headers => "isDevelopment":"true"
"#;

/// Below `backends/b/`.
const BACKEND: &str = r#"
servers/s/weight=3 => services b => {"url":"http://10.0.0.1","weight":"3"}
servers/t/url=http://10.0.0.9 => services b => "servers":[{"url":"http://10.0.0.1"},{"url":"http://10.0.0.9"}]
circuitbreaker/expression=NetworkErrorRatio() > 0.5 => middlewares b-circuit-breaker => "expression":"NetworkErrorRatio() > 0.5"
responseforwarding/flushinterval=10ms => services b => "responseForwarding":{"flushInterval":"10ms"}
loadbalancer/method=drr => services b => "strategy":"p2c"
loadbalancer/sticky=true => services b => "sticky":{"cookie":{"name":"_TRAEFIK_BACKEND"}}
loadbalancer/stickiness=true => services b => "sticky":{"cookie":{}}
loadbalancer/stickiness/cookiename=c => services b => "sticky":{"cookie":{"name":"c"}}
loadbalancer/stickiness/secure=true & loadbalancer/stickiness/httponly=true & loadbalancer/stickiness/samesite=strict => services b => "sticky":{"cookie":{"httpOnly":"true","sameSite":"strict","secure":"true"}}
loadbalancer/stickiness=true & loadbalancer/stickiness/cookiename=c => services b => "sticky":{"cookie":{"name":"c"}}
maxconn/amount=5 => middlewares b-max-conn => {"inFlightReq":{"amount":"5","sourceCriterion":{"requestHost":"true"}}}
maxconn/amount=5 & maxconn/extractorfunc=request.header.X-K => middlewares b-max-conn => "requestHeaderName":"X-K"
healthcheck/path=/h => services b => "healthCheck":{"path":"/h"}
healthcheck/path=/h & healthcheck/port=8 & healthcheck/scheme=http & healthcheck/hostname=h & healthcheck/interval=9s => services b => "healthCheck":{"hostname":"h","interval":"9s","path":"/h","port":"8","scheme":"http"}
healthcheck/path=/h & healthcheck/headers/X-A=1 => services b => "headers":{"X-A":"1"}
buffering/maxrequestbodybytes=1 & buffering/memrequestbodybytes=2 & buffering/maxresponsebodybytes=3 & buffering/memresponsebodybytes=4 => middlewares b-buffering => {"buffering":{"maxRequestBodyBytes":"1","maxResponseBodyBytes":"3","memRequestBodyBytes":"2","memResponseBodyBytes":"4"}}
buffering/retryexpression=IsNetworkError() => middlewares b-buffering => "retryExpression":"IsNetworkError()"
"#;

/// Keys with values, a kind and a name of today's, and what that object contains.
type Case<'t> = (Vec<(&'t str, &'t str)>, &'t str, &'t str, &'t str);

/// The cases of a table: `key=value & key=value => kind name => what it contains`.
fn cases(table: &str) -> impl Iterator<Item = Case<'_>> {
    table.lines().filter(|line| !line.is_empty()).map(|line| {
        let mut parts = line.splitn(3, "=> ");
        let mut part = || parts.next().unwrap().trim();
        let pairs = part().split(" & ").filter_map(|pair| pair.split_once('='));
        let (kind, name) = part().split_once(' ').unwrap();
        (pairs.collect(), kind, name, part())
    })
}

#[test]
fn every_key_of_a_store_becomes_something_of_today() {
    for (below, table) in [("frontends/f", FRONTEND), ("backends/b", BACKEND)] {
        for (pairs, kind, name, expected) in cases(table) {
            let pairs: Vec<(String, &str)> = pairs
                .iter()
                .map(|(key, value)| (format!("{below}/{key}"), *value))
                .collect();
            let pairs: Vec<(&str, &str)> =
                pairs.iter().map(|(key, value)| (&**key, *value)).collect();
            let converted = of_keys(&pairs);
            assert_eq!(converted.rejected, [], "{pairs:?}");
            assert_eq!(remarks(&converted, Weight::Lost), [""; 0], "{pairs:?}");
            let found = object(&converted, kind, name);
            assert!(found.contains(expected), "{pairs:?}: {found}");
            let decoded = dynamic::decode(&converted.tree, None);
            let errors = decoded.all_errors();
            assert!(errors.is_empty(), "{pairs:?}: {errors:?}");
            if kind == "middlewares" {
                let router = object(&converted, "routers", "f");
                assert!(router.contains(&format!("\"{name}\"")), "{router}");
            }
            let notes = remarks(&converted, Weight::Note);
            let unknown: Vec<_> = notes
                .iter()
                .filter(|note| note.contains("no key"))
                .collect();
            assert_eq!(unknown, [""; 0], "{pairs:?}");
        }
    }
}

/// `key=value => what of it is told`: first what is not as before, then what is lost, wrong, unknown.
const TOLD: &str = "
frontends/f/redirect/entrypoint=https => frontends.f.redirect.entrypoint usual port
backends/b/loadbalancer/method=drr => backends.b.loadbalancer.method p2c
backends/b/loadbalancer/method=rr => backends.b.loadbalancer.method no method
backends/b/servers/t/weight=1 => backends.b.servers.t.url left out
backends/b/healthcheck/interval=5 => backends.b.healthcheck.interval no interval
frontends/f/passtlscert=true => frontends.f.passtlscert not known here
frontends/f/backend=gone => frontends.f.backend does not exist
frontends/f/errors/e/backend=gone => frontends.f.errors.e.backend left out
tls/c/entrypoints=https => tls.c no certificate
frontends/f/redirect/entrypoint=edge => frontends.f.redirect.entrypoint not known here
frontends/f/priority=high => frontends.f.priority high
frontends/f/passhostheader=maybe => frontends.f.passhostheader maybe
frontends/f/routes/r/rule=Hoost:a => frontends.f.routes.r.rule no matcher
frontends/f/ratelimit/rateset/r/average=1 => frontends.f.ratelimit.extractorfunc client.ip
backends/b/servers/s/weight=-1 => backends.b.servers.s.weight negative
backends/b/maxconn/extractorfunc=who => backends.b.maxconn.extractorfunc client.ip
frontends/f/colour=red => frontends.f.colour no key of Traefik 1
frontends/f/headers/colour=red => frontends.f.headers.colour no key of Traefik 1
backends/b/healthcheck/colour=red => backends.b.healthcheck.colour no key of Traefik 1
";

#[test]
fn a_key_that_is_lost_otherwise_wrong_or_unknown_is_named() {
    for line in TOLD.lines().filter(|line| !line.is_empty()) {
        let (pair, told) = line.split_once(" => ").unwrap();
        let (path, told) = told.split_once(' ').unwrap();
        let converted = of_keys(&[pair.split_once('=').unwrap()]);
        let remarks = converted.remarks.iter().map(|remark| &remark.what);
        let errors = converted.rejected.iter().flat_map(|(_, errors)| errors);
        let is_told = remarks
            .chain(errors)
            .any(|what| what.path.eq_ignore_ascii_case(path) && what.message.contains(told));
        assert!(is_told, "{line}: {converted:?}");
    }
}
