//! The rule language, v3 and v2: any text as a rule, tried on requests that its own words suggest.

use std::collections::BTreeSet;

use ringway::router::{RouteOrder, RouteTable};
use ringway::rules::{HostGuard, MAX_GUARDS, PathGuard, RegexCaches, Rule, Syntax, parse};

use super::request::Get;
use crate::allocation::within;

/// Most memory that a rule may take while it is read: an expression's program is limited to 4 MiB, and what builds it
/// takes some times that.
const MOST_BYTES: usize = 96 << 20;
/// Most requests that a rule is tried on.
const MOST_REQUESTS: usize = 24;
/// Longer inputs tell nothing that shorter ones do not.
const LONGEST_RULE: usize = 1024;

/// Reads `data` as a rule.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if text.len() > LONGEST_RULE {
        return;
    }
    for syntax in [Syntax::V3, Syntax::V2] {
        match within(MOST_BYTES, || parse(text, syntax)) {
            Ok(rule) => accepted(text, syntax, &rule),
            Err(error) => {
                let span = error.span();
                assert!(span.start <= span.end && span.end <= text.len(), "{span:?}");
                assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end));
                assert!(!error.to_string().is_empty() && !error.message().is_empty());
                let (line, column) = error.line_and_column();
                assert!(line >= 1 && column >= 1);
            }
        }
    }
}

fn accepted(text: &str, syntax: Syntax, rule: &Rule) {
    assert_eq!((rule.source(), rule.syntax()), (text, syntax));
    let again = |text: &str| {
        let rule = parse(text, syntax);
        rule.unwrap_or_else(|error| panic!("a part of the rule is none: {error}"))
    };
    let mut caches = RegexCaches::new();
    let same = again(text);
    assert_eq!(rule.guards(), same.guards());
    if text.contains("//") || text.contains("/*") {
        // A comment would take in what is written around it.
        return;
    }
    // Around a rule, parentheses mean nothing, `!` the opposite, and with itself it means itself.
    let text = text.trim_start_matches('\u{feff}').trim();
    let inside = again(&format!("({text})"));
    let negated = again(&format!("!({text})"));
    let twice = again(&format!("({text}) && ({text})"));
    let either = again(&format!("({text}) || ({text})"));
    let rules = [rule, &same, &inside, &twice, &either, &negated];
    for rule in rules {
        assert!(rule.guards().len() <= MAX_GUARDS, "too many guards");
    }
    let table: RouteTable<usize> = rules.iter().enumerate().map(in_table).collect();
    for request in requests(text, rule) {
        let matched = rule.matches(&request, &mut caches);
        for rule in &rules[..5] {
            assert_eq!(
                rule.matches(&request, &mut caches),
                matched,
                "{:?} {request:?}",
                rule.source()
            );
        }
        assert_eq!(
            negated.matches(&request, &mut caches),
            !matched,
            "{request:?}"
        );
        let explanation = rule.explain(&request, &mut caches);
        assert_eq!(explanation.root.matched, matched, "{explanation}");
        // One of them matches, and the index finds it.
        let found = table.lookup(&request, &mut caches).copied();
        assert_eq!(found, Some(if matched { 0 } else { 5 }), "{request:?}");
        for rule in rules {
            let matched = rule.matches(&request, &mut caches);
            let may = rule
                .guards()
                .iter()
                .any(|guard| allows(guard.host, &request) && begins(guard.path, &request));
            assert!(
                may || !matched,
                "no guard of {:?} lets {request:?} pass",
                rule.source()
            );
        }
    }
}

fn in_table((at, rule): (usize, &&Rule)) -> (RouteOrder, Rule, usize) {
    let order = RouteOrder {
        priority: -(at as i64),
        provider_rank: 0,
        name: format!("r{at}").into(),
    };
    (order, (*rule).clone(), at)
}

fn allows(guard: HostGuard<'_>, request: &Get) -> bool {
    // Which dots at the end count is the rule's to say, not the guard's.
    let host = request.host.trim_end_matches('.').as_bytes();
    match guard {
        HostGuard::Any => true,
        HostGuard::Exact(name) => {
            let dots = name.iter().rev().take_while(|&&byte| byte == b'.').count();
            host == &name[..name.len() - dots]
        }
        HostGuard::Wildcard(suffix) => {
            let dot = host.iter().position(|&byte| byte == b'.');
            dot.is_some_and(|dot| &host[dot + 1..] == suffix)
        }
    }
}

fn begins(guard: PathGuard<'_>, request: &Get) -> bool {
    match guard {
        PathGuard::Any => true,
        PathGuard::Exact(path) => request.path == path,
        PathGuard::Prefix(path) => request.path.starts_with(path),
    }
}

/// Requests of the words that stand in the rule's quotes.
fn requests(text: &str, rule: &Rule) -> Vec<Get> {
    let mut words: BTreeSet<String> = rule.hosts().map(str::to_owned).collect();
    let quoted = text.split(['`', '"', ',']).map(str::trim);
    words.extend(
        quoted
            .filter(|word| !word.is_empty() && word.len() < 100)
            .map(str::to_owned),
    );
    words.insert("a.test".into());
    let mut requests = vec![Get::new("", "/"), Get::new("x.a.test", "/a/b?k=v")];
    for word in &words {
        let plain = word
            .replace("*.", "x.")
            .replace(['^', '$', '(', ')', '\\'], "");
        let host = plain.trim_start_matches('/').to_ascii_lowercase();
        let path = format!("/{}", plain.trim_start_matches('/'));
        requests.push(Get::new(&host, &path));
        requests.push(Get::new(
            &format!("{host}."),
            &format!("{path}/x?{word}={word}&k=v"),
        ));
        requests.push(
            Get::new("a.test", "/")
                .method(word)
                .header(word, word)
                .header("X-A", word)
                .from(word),
        );
    }
    requests.truncate(MOST_REQUESTS);
    requests
}
