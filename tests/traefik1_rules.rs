//! Converted Traefik 1 rules against a direct reading of Traefik 1's grammar: for random rules and requests both say the
//! same. The reader here is written from the old grammar alone and knows nothing of today's rules.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use ringway::config::format::{Format, parse};
use ringway::config::tree::Node;
use ringway::config::v1;
use ringway::rules::{RegexCaches, Request, Rule, Syntax};

#[derive(Clone, Debug)]
struct Get {
    host: String,
    path: String,
    query: String,
    method: &'static str,
    headers: Vec<(&'static str, &'static str)>,
}

impl Request for Get {
    fn host(&self) -> &str {
        &self.host
    }
    fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }
    fn query(&self) -> Option<&[u8]> {
        (!self.query.is_empty()).then_some(self.query.as_bytes())
    }
    fn method(&self) -> &[u8] {
        self.method.as_bytes()
    }
    fn any_header<F: FnMut(&[u8]) -> bool>(&self, name: &str, mut accept: F) -> bool {
        let mut values = self.headers.iter();
        values.any(|(other, value)| other.eq_ignore_ascii_case(name) && accept(value.as_bytes()))
    }
    fn client_ip(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }
}

/// What Traefik 1 did with a request.
#[derive(Debug, PartialEq)]
enum Outcome {
    None,
    Served,
    /// To the path with or without a slash at its end.
    Redirected,
}

/// Traefik 1's reading of a rule.
fn traefik_1(rule: &str, get: &Get) -> Outcome {
    let mut is_redirected = false;
    for part in rule.split(';') {
        let (name, arguments) = part.split_once(':').unwrap();
        let arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
        let query = |key: &str| {
            let pairs = get
                .query
                .split('&')
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            pairs
                .filter(|(other, _)| *other == key)
                .map(|(_, value)| value)
                .next()
        };
        let matched = match name {
            "Host" => arguments.iter().any(|host| host.to_lowercase() == get.host),
            "HostRegexp" => arguments
                .iter()
                .any(|pattern| template(pattern, &get.host, true, '.')),
            "PathPrefix" | "PathPrefixStrip" | "PathPrefixStripRegex" => arguments
                .iter()
                .any(|path| template(path, &get.path, false, '/')),
            "Path" | "PathStrip" => {
                let other = match get.path.strip_suffix('/') {
                    Some(stem) => stem.to_owned(),
                    None => format!("{}/", get.path),
                };
                // The first path that fits, with or without its slash, decides.
                let fits = arguments.iter().find_map(|path| {
                    let exact = template(path, &get.path, true, '/');
                    (exact || template(path, &other, true, '/')).then_some(!exact)
                });
                is_redirected |= fits == Some(true);
                fits.is_some()
            }
            "Method" => arguments
                .iter()
                .any(|method| method.eq_ignore_ascii_case(get.method)),
            "Headers" => arguments.chunks(2).all(|pair| {
                get.headers
                    .iter()
                    .any(|(name, value)| name.eq_ignore_ascii_case(pair[0]) && *value == pair[1])
            }),
            "Query" => arguments.iter().all(|argument| {
                let (key, value) = argument.split_once('=').unwrap();
                query(key).is_some_and(|found| value.is_empty() || found == value)
            }),
            "AddPrefix" => true,
            _ => unreachable!("{name}"),
        };
        if !matched {
            return Outcome::None;
        }
    }
    if is_redirected {
        Outcome::Redirected
    } else {
        Outcome::Served
    }
}

/// Whether a text fits a template with at most `{x}`, one segment, and `{x:[ab]+}`.
fn template(pattern: &str, text: &str, is_whole: bool, separator: char) -> bool {
    let Some((literal, rest)) = pattern.split_once('{') else {
        return if is_whole {
            pattern == text
        } else {
            text.starts_with(pattern)
        };
    };
    let (hole, rest) = rest.split_once('}').unwrap();
    let Some(text) = text.strip_prefix(literal) else {
        return false;
    };
    let fits = |c: char| match hole.split_once(':') {
        None => c != separator,
        Some(_) => matches!(c, 'a' | 'b'),
    };
    let longest = text.find(|c| !fits(c)).unwrap_or(text.len());
    (1..=longest).any(|end| template(rest, &text[end..], is_whole, separator))
}

/// The converted routers' rules: of the frontend, and of its redirects.
fn today(rule: &str) -> (Rule, Option<Rule>) {
    let text = format!(
        "[backends.b]\n[frontends.f]\nbackend = 'b'\n[frontends.f.routes.r]\nrule = '{rule}'\n"
    );
    let converted = v1::convert(
        &parse(Format::Toml, &text).unwrap().tree,
        v1::Origin::File,
        &v1::Context::default(),
    );
    assert!(
        converted.rejected.is_empty(),
        "{rule}: {:?}",
        converted.rejected
    );
    let routers = converted
        .tree
        .get("http")
        .and_then(|http| http.get("routers"))
        .unwrap();
    let rule_of = |name: &str| {
        let rule = routers.get(name)?.get("rule").and_then(Node::as_scalar)?;
        Some(
            ringway::rules::parse(rule, Syntax::V3)
                .unwrap_or_else(|error| panic!("{rule}: {error}")),
        )
    };
    (rule_of("f").unwrap(), rule_of("f-slash"))
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "c"]), 0..3)
        .prop_flat_map(|parts| (Just(parts), any::<bool>()))
        .prop_map(|(parts, has_slash)| {
            let path = format!("/{}", parts.join("/"));
            if has_slash && path.len() > 1 {
                path + "/"
            } else {
                path
            }
        })
}

fn path_template() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => path(),
        1 => (path(), prop::sample::select(vec!["{x}", "{x:[ab]+}"]))
            .prop_map(|(path, hole)| format!("{}/{hole}", path.trim_end_matches('/'))),
        1 => path().prop_map(|path| format!("/{{x}}{path}")),
    ]
}

fn list(item: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec(item, 1..3).prop_map(|items| items.join(", "))
}

fn words(words: &[&'static str]) -> impl Strategy<Value = String> + use<> {
    prop::sample::select(words.to_vec()).prop_map(str::to_owned)
}

fn matcher() -> impl Strategy<Value = String> {
    prop_oneof![
        list(words(&["a.test", "B.test", "x"])).prop_map(|hosts| format!("Host:{hosts}")),
        list(words(&["{x}.test", "{x:[ab]+}.test", "a.test", "{x}"]))
            .prop_map(|hosts| format!("HostRegexp:{hosts}")),
        list(path_template()).prop_map(|paths| format!("PathPrefix:{paths}")),
        list(path()).prop_map(|paths| format!("PathPrefixStrip:{paths}")),
        list(path_template()).prop_map(|paths| format!("PathPrefixStripRegex:{paths}")),
        list(words(&["get", "POST"])).prop_map(|methods| format!("Method:{methods}")),
        words(&["X-A,1", "X-A,1,x-b,2", "X-A,2"]).prop_map(|pairs| format!("Headers:{pairs}")),
        words(&["a=1", "a=1,b=", "b=2"]).prop_map(|pairs| format!("Query:{pairs}")),
        Just("AddPrefix:/p".to_owned()),
    ]
}

/// Rules with at most one matcher of whole paths, which alone tells redirects apart.
fn rule() -> impl Strategy<Value = String> {
    let whole = prop_oneof![list(path()), path_template()];
    let whole = prop::option::of(whole.prop_map(|path| format!("Path:{path}")));
    (prop::collection::vec(matcher(), 0..3), whole)
        .prop_map(|(matchers, whole)| {
            let all: Vec<String> = matchers.into_iter().chain(whole).collect();
            all.join(";")
        })
        .prop_filter("a rule has a matcher", |rule| !rule.is_empty())
}

fn request() -> impl Strategy<Value = Get> {
    (
        words(&["a.test", "b.test", "ab.test", "c.test", "x", "x.y.test"]),
        path(),
        words(&["", "a=1", "a=1&b=", "b=2&a=1", "a=2"]),
        prop::sample::select(vec!["GET", "POST", "PUT"]),
        prop::sample::select(vec![
            vec![],
            vec![("X-A", "1")],
            vec![("x-a", "1"), ("X-B", "2")],
            vec![("X-A", "2")],
        ]),
    )
        .prop_map(|(host, path, query, method, headers)| Get {
            host,
            path,
            query,
            method,
            headers,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_converted_rule_takes_the_requests_that_traefik_1_took(
        rule in rule(),
        requests in prop::collection::vec(request(), 1..12),
    ) {
        let (own, slash) = today(&rule);
        let mut caches = RegexCaches::new();
        for get in requests {
            let outcome = if own.matches(&get, &mut caches) {
                Outcome::Served
            } else if slash.as_ref().is_some_and(|slash| slash.matches(&get, &mut caches)) {
                Outcome::Redirected
            } else {
                Outcome::None
            };
            prop_assert_eq!(outcome, traefik_1(&rule, &get), "{} for {:?}", rule, get);
        }
    }
}
