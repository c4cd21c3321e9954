//! Which matchers exist in each syntax, their spellings, and what to say about a name that is none.

use super::Syntax;

/// A matcher's name and the number of arguments it takes.
pub(super) struct Matcher {
    pub name: &'static str,
    pub id: Id,
    pub arity: Arity,
}

/// How many arguments a matcher takes.
pub(super) enum Arity {
    Exactly(usize),
    OneOrTwo,
    /// Any of the values.
    OneOrMore,
    Pairs,
}

#[derive(Clone, Copy)]
pub(super) enum Id {
    ClientIp,
    Method,
    Host,
    HostRegexp,
    Path,
    PathPrefix,
    PathRegexp,
    Header,
    HeaderRegexp,
    Query,
    QueryRegexp,
    HostV2,
    HostRegexpV2,
    PathV2,
    PathPrefixV2,
    QueryV2,
}

const fn matcher(name: &'static str, id: Id, arity: Arity) -> Matcher {
    Matcher { name, id, arity }
}

/// Traefik v3: reference "Rules & Priority".
static V3: [Matcher; 11] = [
    matcher("ClientIP", Id::ClientIp, Arity::Exactly(1)),
    matcher("Method", Id::Method, Arity::Exactly(1)),
    matcher("Host", Id::Host, Arity::Exactly(1)),
    matcher("HostRegexp", Id::HostRegexp, Arity::Exactly(1)),
    matcher("Path", Id::Path, Arity::Exactly(1)),
    matcher("PathPrefix", Id::PathPrefix, Arity::Exactly(1)),
    matcher("PathRegexp", Id::PathRegexp, Arity::Exactly(1)),
    matcher("Header", Id::Header, Arity::Exactly(2)),
    matcher("HeaderRegexp", Id::HeaderRegexp, Arity::Exactly(2)),
    matcher("Query", Id::Query, Arity::OneOrTwo),
    matcher("QueryRegexp", Id::QueryRegexp, Arity::OneOrTwo),
];

/// Traefik v2: "Routers", rule table of v2.11.
static V2: [Matcher; 10] = [
    matcher("ClientIP", Id::ClientIp, Arity::OneOrMore),
    matcher("Method", Id::Method, Arity::OneOrMore),
    matcher("Host", Id::HostV2, Arity::OneOrMore),
    matcher("HostHeader", Id::HostV2, Arity::OneOrMore),
    matcher("HostRegexp", Id::HostRegexpV2, Arity::OneOrMore),
    matcher("Path", Id::PathV2, Arity::OneOrMore),
    matcher("PathPrefix", Id::PathPrefixV2, Arity::OneOrMore),
    matcher("Headers", Id::Header, Arity::Pairs),
    matcher("HeadersRegexp", Id::HeaderRegexp, Arity::Pairs),
    matcher("Query", Id::QueryV2, Arity::OneOrMore),
];

fn matchers(syntax: Syntax) -> &'static [Matcher] {
    match syntax {
        Syntax::V3 => &V3,
        Syntax::V2 => &V2,
    }
}

/// The matcher called `name`, in one of the four spellings that Traefik knows: as declared, lower case, upper case, and
/// lower case with an upper-case initial.
pub(super) fn find(name: &str, syntax: Syntax) -> Option<&'static Matcher> {
    let title = |(i, c): (usize, char)| match i {
        0 => c.to_ascii_uppercase(),
        _ => c.to_ascii_lowercase(),
    };
    matchers(syntax).iter().find(|m| {
        m.name.eq_ignore_ascii_case(name)
            && (m.name == name
                || name.bytes().all(|b| b.is_ascii_lowercase())
                || name.bytes().all(|b| b.is_ascii_uppercase())
                || m.name.char_indices().map(title).eq(name.chars()))
    })
}

/// What the author of a rule with the unknown matcher `name` probably wants.
pub(super) fn suggest(name: &str, syntax: Syntax) -> String {
    let here = matchers(syntax);
    let other = match syntax {
        Syntax::V3 => Syntax::V2,
        Syntax::V2 => Syntax::V3,
    };
    let same = |m: &&Matcher| m.name.eq_ignore_ascii_case(name);
    if let Some(m) = here.iter().find(same) {
        return format!("did you mean `{}`?", m.name);
    }
    if ["HostSNI", "HostSNIRegexp", "ALPN"]
        .iter()
        .any(|tcp| tcp.eq_ignore_ascii_case(name))
    {
        return "this is a matcher for TCP routers".into();
    }
    let lower = name.to_ascii_lowercase();
    if matchers(other).iter().any(|m| same(&m)) {
        let (wanted, instead) = match (syntax, lower.as_str()) {
            (Syntax::V3, "headers") => ("v2", "`Header`"),
            (Syntax::V3, "headersregexp") => ("v2", "`HeaderRegexp`"),
            (Syntax::V3, _) => ("v2", "`Host`"),
            (Syntax::V2, "header") => ("v3", "`Headers`"),
            (Syntax::V2, "headerregexp") => ("v3", "`HeadersRegexp`"),
            (Syntax::V2, "pathregexp") => ("v3", "Path(`/{name:regexp}`)"),
            (Syntax::V2, _) => ("v3", "Query(`key={name:regexp}`)"),
        };
        return format!(
            "this is a matcher of {wanted}: write {instead}, or set ruleSyntax: {wanted}"
        );
    }
    let nearest = (here.iter())
        .map(|m| {
            (
                strsim::damerau_levenshtein(&lower, &m.name.to_ascii_lowercase()),
                m.name,
            )
        })
        .min_by_key(|(distance, _)| *distance);
    match nearest {
        Some((distance, name)) if distance <= 1 + name.len() / 4 => {
            format!("did you mean `{name}`?")
        }
        _ => {
            let names: Vec<&str> = here.iter().map(|m| m.name).collect();
            format!("the matchers are {}", names.join(", "))
        }
    }
}
