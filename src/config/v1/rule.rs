//! Traefik 1's rules (`Host:a,b;PathPrefixStrip:/x`) as today's rule text, and what their modifiers become.
//!
//! ```text
//! rule      = matcher { ";" matcher }          all must match
//! matcher   = name ":" argument { "," argument }   one must match; Headers, HeadersRegexp and Query: all
//! ```
//!
//! Empty pieces between separators do not count, and a run of colons is one colon, as in Traefik 1 (rules/rules.go of
//! 1.7.34). The parts of all routes of a frontend are one conjunction. Not here: middlewares as objects.

use std::fmt::Write as _;

use super::template::{Place, Template, push_literal, quote};

/// What a frontend's routes become.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Converted {
    /// Today's rule.
    pub rule: String,
    /// The rule of the requests that Traefik 1 redirected because only their trailing slash was otherwise.
    pub slash: Option<Slash>,
    /// How the path is edited.
    pub edits: PathEdits,
    /// The routes' rules' length in bytes: the priority of a frontend that has none.
    pub length: usize,
    /// What is worth knowing.
    pub notes: Vec<String>,
}

/// Requests whose trailing slash is missing or too many.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Slash {
    /// Today's rule for them.
    pub rule: String,
    /// Whether there are paths that lack one.
    pub adds: bool,
    /// Whether there are paths with one too many.
    pub removes: bool,
}

/// What the modifiers of a rule do to the path. Of several modifiers of one kind the last holds.
#[derive(Debug, Default, PartialEq)]
pub(super) struct PathEdits {
    /// Expressions of prefixes that are removed, the longest first.
    pub strip_regex: Vec<String>,
    /// Prefixes that are removed, the longest first.
    pub strip: Vec<String>,
    /// What is put before the path.
    pub add_prefix: Option<String>,
    /// Expression and replacement.
    pub replace_regex: Option<(String, String)>,
    /// The new path.
    pub replace: Option<String>,
}

/// One conjunct.
struct Term {
    text: String,
    /// Whether it is a disjunction of several calls.
    is_any: bool,
    /// The same for paths whose trailing slash is otherwise, if it is about whole paths.
    slash: Option<SlashTerm>,
}

#[derive(Default)]
struct SlashTerm {
    calls: Vec<String>,
    adds: bool,
    removes: bool,
}

/// Converts the rules of a frontend's routes.
///
/// # Errors
/// The first rule that Traefik 1 refused too, or that cannot be said today; its index and what is wrong.
pub(super) fn convert(rules: &[&str]) -> Result<Converted, (usize, String)> {
    let mut converted = Converted::default();
    let mut terms = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        converted.length += rule.len();
        let matchers = split(rule).map_err(|error| (index, error))?;
        for (name, arguments) in matchers {
            let term = matcher(name, &arguments, &mut converted).map_err(|e| (index, e))?;
            terms.extend(term);
        }
    }
    let plain: Vec<(&str, bool)> = terms
        .iter()
        .map(|term| (term.text.as_str(), term.is_any))
        .collect();
    converted.rule = conjunction(&plain);
    converted.slash = slash(&terms);
    Ok(converted)
}

/// The matchers of a rule with their arguments.
pub(super) fn split(rule: &str) -> Result<Vec<(&str, Vec<String>)>, String> {
    if rule.is_empty() {
        return Err("is an empty rule".to_owned());
    }
    let mut matchers = Vec::new();
    for part in rule.split(';').filter(|part| !part.is_empty()) {
        let mut pieces = part.split(':').filter(|piece| !piece.is_empty());
        let Some(name) = pieces.next() else {
            return Err(format!("{rule:?} has a matcher without a name"));
        };
        let rest: Vec<&str> = pieces.collect();
        let rest = rest.join(":");
        let arguments = rest.split(',').filter(|argument| !argument.is_empty());
        let arguments: Vec<String> = arguments.map(|text| text.trim().to_owned()).collect();
        let name = name.trim();
        if arguments.is_empty() && NAMES.contains(&name) {
            return Err(format!("{rule:?}: {name} has no arguments"));
        }
        matchers.push((name, arguments));
    }
    if matchers.is_empty() {
        return Err(format!("{rule:?} has no matcher"));
    }
    Ok(matchers)
}

const NAMES: [&str; 15] = [
    "Host",
    "HostRegexp",
    "Path",
    "PathStrip",
    "PathStripRegex",
    "PathPrefix",
    "PathPrefixStrip",
    "PathPrefixStripRegex",
    "Method",
    "Headers",
    "HeadersRegexp",
    "Query",
    "AddPrefix",
    "ReplacePath",
    "ReplacePathRegex",
];

fn matcher(name: &str, arguments: &[String], out: &mut Converted) -> Result<Option<Term>, String> {
    let term = match name {
        "Host" => any(arguments.iter().map(|host| host_call(host, out))),
        "HostRegexp" => any_of(arguments, host_regexp)?,
        "Path" => path_term(arguments)?,
        "PathStrip" => {
            out.edits.strip = literal_prefixes(name, arguments)?;
            path_term(arguments)?
        }
        "PathStripRegex" => {
            out.edits.strip_regex = prefix_expressions(arguments)?;
            path_term(arguments)?
        }
        "PathPrefix" => prefix_term(arguments, out)?,
        "PathPrefixStrip" => {
            out.edits.strip = literal_prefixes(name, arguments)?;
            prefix_term(arguments, out)?
        }
        "PathPrefixStripRegex" => {
            out.edits.strip_regex = prefix_expressions(arguments)?;
            any_of(&longest_first(arguments), prefix_regexp)?
        }
        "Method" => any(arguments
            .iter()
            .map(|method| format!("Method({})", quote(&method.to_uppercase())))),
        "Headers" => all(pairs(name, arguments)?.into_iter().map(|(key, value)| {
            if value.is_empty() {
                format!("HeaderRegexp({}, `.*`)", quote(key))
            } else {
                format!("Header({}, {})", quote(key), quote(value))
            }
        })),
        "HeadersRegexp" => all(pairs(name, arguments)?.into_iter().map(|(key, value)| {
            let value = if value.is_empty() { ".*" } else { value };
            format!("HeaderRegexp({}, {})", quote(key), quote(value))
        })),
        "Query" => query(arguments)?,
        "AddPrefix" => {
            out.edits.add_prefix = arguments.last().cloned();
            return Ok(None);
        }
        "ReplacePath" => {
            out.edits.replace = arguments.last().cloned();
            return Ok(None);
        }
        "ReplacePathRegex" => {
            replace_regex(arguments, out);
            return Ok(None);
        }
        _ => {
            return Err(format!(
                "{name:?} is no matcher of Traefik 1; there are {}",
                NAMES.join(", ")
            ));
        }
    };
    Ok(Some(term))
}

/// Calls of which one must match.
fn any(calls: impl Iterator<Item = String>) -> Term {
    let calls: Vec<String> = calls.collect();
    Term {
        is_any: calls.len() > 1,
        text: calls.join(" || "),
        slash: None,
    }
}

fn any_of(
    arguments: &[String],
    call: impl Fn(&str) -> Result<String, String>,
) -> Result<Term, String> {
    let calls: Result<Vec<String>, String> = arguments.iter().map(|text| call(text)).collect();
    Ok(any(calls?.into_iter()))
}

/// Calls that must all match.
fn all(calls: impl Iterator<Item = String>) -> Term {
    let calls: Vec<String> = calls.collect();
    Term {
        text: calls.join(" && "),
        is_any: false,
        slash: None,
    }
}

fn conjunction(terms: &[(&str, bool)]) -> String {
    if terms.is_empty() {
        // Modifiers alone match everything.
        return "PathPrefix(`/`)".to_owned();
    }
    let mut rule = String::new();
    for (index, (text, is_any)) in terms.iter().enumerate() {
        if index > 0 {
            rule.push_str(" && ");
        }
        if *is_any && terms.len() > 1 {
            let _ = write!(rule, "({text})");
        } else {
            rule.push_str(text);
        }
    }
    rule
}

/// The requests that the only term about whole paths redirects; with several such terms nobody can tell.
fn slash(terms: &[Term]) -> Option<Slash> {
    let mut about_paths = terms.iter().filter_map(|term| term.slash.as_ref());
    let (only, None) = (about_paths.next()?, about_paths.next()) else {
        return None;
    };
    if only.calls.is_empty() {
        return None;
    }
    let own = only.calls.join(" || ");
    let terms: Vec<(&str, bool)> = terms
        .iter()
        .map(|term| match term.slash {
            Some(_) => (own.as_str(), only.calls.len() > 1),
            None => (term.text.as_str(), term.is_any),
        })
        .collect();
    Some(Slash {
        rule: conjunction(&terms),
        adds: only.adds,
        removes: only.removes,
    })
}

fn host_call(host: &str, out: &mut Converted) -> String {
    let host = host.to_lowercase();
    if host.contains('*') {
        out.notes.push(format!(
            "Host:{host}: Traefik 1 had no wildcards and compared this text with the host; so does the converted rule. \
             Write HostRegexp for a wildcard"
        ));
        let mut expression = String::new();
        push_literal(&mut expression, &host);
        return format!("HostRegexp({})", quote(&format!("^{expression}$")));
    }
    format!("Host({})", quote(&host))
}

fn host_regexp(text: &str) -> Result<String, String> {
    let template = Template::parse(text, Place::Host)?;
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if template.is_literal() && text.bytes().all(is_name) {
        return Ok(format!("Host({})", quote(&text.to_lowercase())));
    }
    let fold = if template.needs_case_folding() {
        "(?i)"
    } else {
        ""
    };
    let expression = format!("{fold}^{}$", template.expression());
    Ok(format!("HostRegexp({})", quote(&expression)))
}

fn check_path(path: &str) -> Result<(), String> {
    if path.starts_with('/') {
        Ok(())
    } else {
        Err(format!("the path {path:?} does not begin with a slash"))
    }
}

/// Whole paths: `Path:/a` matched `/a`, and redirected `/a/` to it.
fn path_term(arguments: &[String]) -> Result<Term, String> {
    let mut calls: Vec<String> = Vec::new();
    let mut slash = SlashTerm::default();
    for path in arguments {
        check_path(path)?;
        let template = Template::parse(path, Place::Path)?;
        let stem = path.strip_suffix('/');
        let (own, other) = if template.is_literal() {
            let other = match stem {
                Some("") => None,
                Some(stem) => Some(stem.to_owned()),
                None => Some(format!("{path}/")),
            };
            let call = |path: &str| format!("Path({})", quote(path));
            (call(path), other.map(|other| call(&other)))
        } else {
            let expression = template.expression();
            let other = match expression.strip_suffix('/') {
                Some(stem) => stem.to_owned(),
                None => format!("{expression}/"),
            };
            let call =
                |expression: &str| format!("PathRegexp({})", quote(&format!("^{expression}$")));
            // Where a hole takes the slash, the path is served.
            let other = template.keeps_to_segments().then_some(other);
            (call(&expression), other.map(|other| call(&other)))
        };
        // The first path that fits decides, with or without its slash.
        if !calls.contains(&own) && !slash.calls.contains(&own) {
            calls.push(own);
        }
        let other = other.filter(|other| !calls.contains(other) && !slash.calls.contains(other));
        if let Some(other) = other {
            slash.calls.push(other);
            slash.adds |= stem.is_some();
            slash.removes |= stem.is_none();
        }
    }
    Ok(Term {
        slash: Some(slash),
        ..any(calls.into_iter())
    })
}

/// Path prefixes, compared byte by byte as they are today.
fn prefix_term(arguments: &[String], out: &mut Converted) -> Result<Term, String> {
    let mut calls = Vec::new();
    for path in arguments {
        if path.contains('{') {
            calls.push(prefix_regexp(path)?);
        } else if path.starts_with('/') {
            calls.push(format!("PathPrefix({})", quote(path)));
        } else {
            out.notes.push(format!(
                "the prefix {path:?} does not begin with a slash and never matched; it is left out"
            ));
        }
    }
    if calls.is_empty() {
        return Err(
            "no prefix of PathPrefix begins with a slash: the rule never matches".to_owned(),
        );
    }
    Ok(any(calls.into_iter()))
}

fn prefix_regexp(path: &str) -> Result<String, String> {
    check_path(path)?;
    let template = Template::parse(path, Place::Path)?;
    if template.is_literal() {
        return Ok(format!("PathPrefix({})", quote(path)));
    }
    let expression = format!("^{}", template.expression());
    Ok(format!("PathRegexp({})", quote(&expression)))
}

fn longest_first(paths: &[String]) -> Vec<String> {
    let mut paths = paths.to_vec();
    paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
    paths
}

/// The prefixes that `PathStrip` and `PathPrefixStrip` remove.
fn literal_prefixes(name: &str, paths: &[String]) -> Result<Vec<String>, String> {
    if let Some(path) = paths.iter().find(|path| path.contains('{')) {
        return Err(format!(
            "{name}:{path}: Traefik 1 matched the template but removed its text literally, and answered 404; \
             write {name}Regex"
        ));
    }
    let mut paths = longest_first(paths);
    paths.retain(|path| path.starts_with('/'));
    Ok(paths)
}

fn prefix_expressions(paths: &[String]) -> Result<Vec<String>, String> {
    let expressions = longest_first(paths);
    let expressions = expressions.iter().map(|path| {
        check_path(path)?;
        let template = Template::parse(path, Place::Path)?;
        Ok(format!("^{}", template.expression()))
    });
    expressions.collect()
}

/// Names with their values; of a name that comes twice the last value holds, as in Go's map.
fn pairs<'a>(name: &str, arguments: &'a [String]) -> Result<Vec<(&'a str, &'a str)>, String> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for pair in arguments.chunks(2) {
        let [key, value] = pair else {
            return Err(format!(
                "{name} takes pairs of a name and a value, and {:?} has no value",
                pair[0]
            ));
        };
        match pairs.iter_mut().find(|(known, _)| *known == key.as_str()) {
            Some(known) => known.1 = value,
            None => pairs.push((key, value)),
        }
    }
    Ok(pairs)
}

/// `Query:a=b,c={x:[0-9]+}`: all of them.
fn query(arguments: &[String]) -> Result<Term, String> {
    let pieces: Vec<&str> = arguments.iter().flat_map(|text| text.split('=')).collect();
    let mut calls = Vec::new();
    for pair in pieces.chunks(2) {
        let [key, value] = pair else {
            return Err(format!(
                "Query takes key=value, and {:?} has no value",
                pair[0]
            ));
        };
        if key.contains(['{', '}']) {
            return Err(format!(
                "Query: a template in the key {key:?} cannot be converted"
            ));
        }
        let template = Template::parse(value, Place::Query)?;
        calls.push(if value.is_empty() {
            format!("QueryRegexp({}, `.*`)", quote(key))
        } else if template.is_literal() {
            format!("Query({}, {})", quote(key), quote(value))
        } else {
            let expression = format!("^{}$", template.expression());
            format!("QueryRegexp({}, {})", quote(key), quote(&expression))
        });
    }
    Ok(all(calls.into_iter()))
}

/// Expression and replacement, separated by exactly one blank; anything else had no effect.
fn replace_regex(arguments: &[String], out: &mut Converted) {
    let text = arguments.last().map_or("", String::as_str);
    let parts: Vec<&str> = text.split(' ').collect();
    match parts[..] {
        [expression, replacement] if !replacement.is_empty() => {
            out.edits.replace_regex = Some((expression.to_owned(), replacement.to_owned()));
        }
        _ => out.notes.push(format!(
            "ReplacePathRegex:{text}: expression and replacement are separated by one blank; it had no effect and has none"
        )),
    }
}
