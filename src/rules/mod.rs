//! Traefik's rule language for HTTP routers: what a rule says, and whether a request matches it.
//!
//! ```text
//! rule text ─► lexer ─► parser ─► compile (v3 or v2 matchers) ─► Rule ─► matches / explain
//!                                                                  └───► guards ─► router's index
//! ```
//!
//! [`parse`] runs once per configuration change, on the control side; a [`Rule`] is immutable, small and shared.
//! [`Rule::matches`] runs on a shard for every candidate of every request: no allocation, no lock.
//!
//! The request is seen through the [`Request`] trait: this layer knows no HTTP types. NOT for: choosing between
//! rules (see `router`), TCP rules.

mod brief;
mod compile;
mod error;
mod explain;
mod groups;
mod guard;
mod host;
mod lexer;
mod matchers;
mod notes;
mod parser;
mod query;
mod re2;
mod regex;
mod rule;
mod template;

pub use error::RuleError;
pub use explain::{Clause, Explanation};
pub use groups::{GroupRegex, Groups, MAX_GROUPS, RegexError};
pub use guard::{Guard, HostGuard, MAX_GUARD_PATH_BYTES, MAX_GUARDS, PathGuard};
pub(crate) use host::{index_key as host_index_key, wildcard_key as host_wildcard_key};
pub use notes::Note;
pub use parser::{MAX_DEPTH, MAX_RULE_BYTES};
pub use regex::{MAX_REGEX_CACHES, MAX_REGEX_PROGRAM_BYTES, RegexCaches};
pub use rule::{Request, Rule};

/// Which set of matchers a rule is written in: a router's `ruleSyntax`, or `core.defaultRuleSyntax`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Syntax {
    /// Traefik v3's matchers: one value each, plain regular expressions.
    #[default]
    V3,
    /// Traefik v2's matchers: lists of values, `{name:regexp}` templates. Deprecated by Traefik.
    V2,
}

impl Syntax {
    /// The syntax that a configuration calls by this name; an empty name is the default, [`V3`](Syntax::V3).
    pub fn from_name(name: &str) -> Option<Syntax> {
        match name {
            "" | "v3" => Some(Syntax::V3),
            "v2" => Some(Syntax::V2),
            _ => None,
        }
    }
}

/// Parses and compiles a rule.
///
/// # Errors
///
/// The first mistake, with its place in the rule. Nothing in a rule can panic or exhaust memory: its length, depth
/// and the size of each compiled regular expression are limited ([`MAX_RULE_BYTES`], [`MAX_DEPTH`],
/// [`MAX_REGEX_PROGRAM_BYTES`]).
pub fn parse(rule: &str, syntax: Syntax) -> Result<Rule, RuleError> {
    let expr = parser::parse(rule)?;
    compile::compile(rule, &expr, syntax)
}

#[cfg(test)]
pub(crate) mod tests;
