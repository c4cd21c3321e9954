//! What the arguments of matchers mean, and how calls become nodes of a [`Rule`].
//!
//! NOT for: which matchers exist (see `matchers`), evaluation (see `rule`).

use std::net::IpAddr;

use ipnet::IpNet;

use super::Syntax;
use super::error::RuleError;
use super::matchers::{self, Arity, Id, Matcher};
use super::parser::{Arg, Call, Expr};
use super::re2;
use super::regex::Pattern;
use super::rule::{Kind, Node, Rule, Tables};
use super::template::{self, Place, Template};

/// Headers that Traefik's rules never see: Go takes them out of the header map, or Traefik removes them before
/// routing (Connection: observed on 3.7.15).
const HIDDEN_HEADERS: [&str; 4] = ["connection", "host", "trailer", "transfer-encoding"];

pub(super) fn compile(source: &str, expr: &Expr<'_>, syntax: Syntax) -> Result<Rule, RuleError> {
    let mut compiler = Compiler {
        source,
        syntax,
        text: source.as_bytes().to_vec(),
        nodes: Vec::new(),
        tables: None,
    };
    compiler.expr(expr, false)?;
    // The parser refuses longer rules.
    let source_len = source.len() as u16;
    Ok(Rule::new(
        source_len,
        syntax,
        &compiler.nodes,
        &compiler.text,
        compiler.tables,
    ))
}

struct Compiler<'r> {
    source: &'r str,
    syntax: Syntax,
    text: Vec<u8>,
    nodes: Vec<Node>,
    tables: Option<Tables>,
}

impl Compiler<'_> {
    fn error(&self, span: std::ops::Range<usize>, message: impl Into<String>) -> RuleError {
        RuleError::new(self.source, span, message)
    }

    fn expr(&mut self, expr: &Expr<'_>, negated: bool) -> Result<(), RuleError> {
        match expr {
            Expr::Not(inner, _) => self.expr(inner, !negated),
            Expr::All(members, _) => self.group(Kind::All, members, expr, negated),
            Expr::Any(members, _) => self.group(Kind::Any, members, expr, negated),
            Expr::Call(call) => self.call(call, negated),
        }
    }

    fn group(
        &mut self,
        kind: Kind,
        members: &[Expr<'_>],
        whole: &Expr<'_>,
        negated: bool,
    ) -> Result<(), RuleError> {
        let at = self.open(kind, &whole.span(), negated);
        for member in members {
            self.expr(member, false)?;
        }
        self.close(at);
        Ok(())
    }

    fn open(&mut self, kind: Kind, span: &std::ops::Range<usize>, negated: bool) -> usize {
        self.leaf(kind, span, negated, (0, 0), 0);
        self.nodes.len() - 1
    }

    fn close(&mut self, at: usize) {
        self.nodes[at].aux = self.nodes.len() as u32;
    }

    fn leaf(
        &mut self,
        kind: Kind,
        span: &std::ops::Range<usize>,
        negated: bool,
        (at, len): (u32, u16),
        aux: u32,
    ) {
        self.nodes.push(Node {
            start: span.start as u16,
            end: span.end as u16,
            kind,
            negated,
            len,
            at,
            aux,
        });
    }

    /// Puts an operand into the text pool, unless the rule itself contains it at `at`.
    fn operand(&mut self, value: &[u8], at: Option<usize>) -> (u32, u16) {
        let at = match at {
            Some(at) if self.text.get(at..at + value.len()) == Some(value) => at,
            _ => {
                let at = self.text.len();
                self.text.extend_from_slice(value);
                at
            }
        };
        (at as u32, value.len() as u16)
    }

    /// Two operands in a row; returns the first and the length of the second.
    fn operands(&mut self, first: &[u8], second: &[u8]) -> ((u32, u16), u32) {
        let first = self.operand(first, None);
        self.text.extend_from_slice(second);
        (first, second.len() as u32)
    }

    fn tables(&mut self) -> &mut Tables {
        self.tables.get_or_insert_default()
    }

    fn call(&mut self, call: &Call<'_>, negated: bool) -> Result<(), RuleError> {
        let matcher = self.find(call)?;
        self.check_args(matcher, call)?;
        let values = &call.args;
        let multiple = match matcher.arity {
            Arity::Exactly(_) | Arity::OneOrTwo => false,
            Arity::OneOrMore => values.len() > 1,
            Arity::Pairs => values.len() > 2,
        };
        if !multiple && !matches!(matcher.id, Id::QueryV2) {
            return self.one(matcher, call, values, &call.span, negated);
        }
        // Lists (v2): any value, except that all headers and all query pairs must match.
        match matcher.id {
            Id::Header | Id::HeaderRegexp => {
                let at = self.open(Kind::All, &call.span, negated);
                for (i, pair) in values.chunks_exact(2).enumerate() {
                    // The last of equal names wins.
                    let later = values.chunks_exact(2).skip(i + 1);
                    if later
                        .clone()
                        .any(|l| l[0].value.eq_ignore_ascii_case(&pair[0].value))
                    {
                        continue;
                    }
                    self.one(
                        matcher,
                        call,
                        pair,
                        &(pair[0].span.start..pair[1].span.end),
                        false,
                    )?;
                }
                self.close(at);
            }
            Id::QueryV2 => self.query_v2(call, negated)?,
            _ => {
                let at = self.open(Kind::Any, &call.span, negated);
                for value in values {
                    self.one(
                        matcher,
                        call,
                        std::slice::from_ref(value),
                        &value.span,
                        false,
                    )?;
                }
                self.close(at);
            }
        }
        Ok(())
    }

    fn find(&self, call: &Call<'_>) -> Result<&'static Matcher, RuleError> {
        matchers::find(call.name, self.syntax).ok_or_else(|| {
            self.error(
                call.name_span.clone(),
                format!("expected a matcher, found `{}`", call.name),
            )
            .with_hint(matchers::suggest(call.name, self.syntax))
        })
    }

    fn check_args(&self, matcher: &Matcher, call: &Call<'_>) -> Result<(), RuleError> {
        let count = call.args.len();
        let (ok, expected) = match matcher.arity {
            Arity::Exactly(1) => (count == 1, "exactly 1 argument".to_string()),
            Arity::Exactly(n) => (count == n, format!("exactly {n} arguments")),
            Arity::OneOrTwo => (count == 1 || count == 2, "1 or 2 arguments".to_string()),
            Arity::OneOrMore => (count >= 1, "at least 1 argument".to_string()),
            Arity::Pairs => (
                count >= 2 && count.is_multiple_of(2),
                "pairs of a name and a value".to_string(),
            ),
        };
        if !ok {
            let error = self.error(
                call.span.clone(),
                format!("expected {expected} for {}, found {count}", matcher.name),
            );
            return Err(if matches!(matcher.arity, Arity::Exactly(1)) && count > 1 {
                let each: Vec<String> = (call.args.iter().take(3))
                    .map(|arg| format!("{}({})", matcher.name, &self.source[arg.span.clone()]))
                    .collect();
                error.with_hint(format!(
                    "write {}, or set ruleSyntax: v2 for lists",
                    each.join(" || ")
                ))
            } else {
                error
            });
        }
        match call.args.iter().find(|arg| arg.value.is_empty()) {
            Some(arg) => Err(self.error(
                arg.span.clone(),
                format!(
                    "expected a value for {}, found an empty string",
                    matcher.name
                ),
            )),
            None => Ok(()),
        }
    }

    /// One clause of one value (or one pair).
    fn one(
        &mut self,
        matcher: &Matcher,
        call: &Call<'_>,
        values: &[Arg<'_>],
        span: &std::ops::Range<usize>,
        negated: bool,
    ) -> Result<(), RuleError> {
        let value = &values[0];
        match matcher.id {
            Id::ClientIp => {
                let network = self.network(value)?;
                let networks = &mut self.tables().networks;
                networks.push(network);
                let index = networks.len() as u32 - 1;
                self.leaf(Kind::ClientIp, span, negated, (0, 0), index);
            }
            Id::Method => {
                let operand = self.operand(&value.value.to_ascii_uppercase(), value.at);
                self.leaf(Kind::Method, span, negated, operand, 0);
            }
            Id::Host => self.host(value, span, negated)?,
            Id::HostV2 => {
                self.check_ascii(value, "Host")?;
                let operand = self.operand(&value.value.to_ascii_lowercase(), value.at);
                self.leaf(Kind::Host, span, negated, operand, 0);
            }
            Id::HostRegexp => {
                self.check_ascii(value, "HostRegexp")?;
                let (index, _) = self.regexp(value)?;
                self.leaf(Kind::HostRegexp, span, negated, (0, 0), index);
            }
            Id::HostRegexpV2 => {
                self.check_ascii(value, "HostRegexp")?;
                self.templated(value, Place::Host, span, negated)?;
            }
            Id::Path | Id::PathPrefix => {
                self.check_slash(value, matcher.name)?;
                let operand = self.operand(&value.value, value.at);
                let kind = if matches!(matcher.id, Id::Path) {
                    Kind::Path
                } else {
                    Kind::PathPrefix
                };
                self.leaf(kind, span, negated, operand, 0);
            }
            Id::PathV2 | Id::PathPrefixV2 => {
                self.check_slash(value, matcher.name)?;
                let place = if matches!(matcher.id, Id::PathV2) {
                    Place::Path
                } else {
                    Place::PathPrefix
                };
                self.templated(value, place, span, negated)?;
            }
            Id::PathRegexp => {
                let (index, prefix) = self.regexp(value)?;
                let operand = self.operand(&prefix.unwrap_or_default(), None);
                self.leaf(Kind::PathRegexp, span, negated, operand, index);
            }
            Id::Header => {
                let name = value.value.to_ascii_lowercase();
                if is_hidden(&name) {
                    self.leaf(Kind::Never, span, negated, (0, 0), 0);
                } else {
                    let (operand, aux) = self.operands(&name, &values[1].value);
                    self.leaf(Kind::Header, span, negated, operand, aux);
                }
            }
            Id::HeaderRegexp => {
                let name = value.value.to_ascii_lowercase();
                let (index, _) = self.regexp(&values[1])?;
                if is_hidden(&name) {
                    self.leaf(Kind::Never, span, negated, (0, 0), 0);
                } else {
                    let operand = self.operand(&name, value.at);
                    self.leaf(Kind::HeaderRegexp, span, negated, operand, index);
                }
            }
            Id::QueryRegexp if values.len() == 2 => {
                let (index, _) = self.regexp(&values[1])?;
                let operand = self.operand(&value.value, value.at);
                self.leaf(Kind::QueryRegexp, span, negated, operand, index);
            }
            Id::Query | Id::QueryRegexp => {
                let wanted = values.get(1).map_or(&[][..], |wanted| &wanted.value);
                let (operand, aux) = self.operands(&value.value, wanted);
                self.leaf(Kind::Query, span, negated, operand, aux);
            }
            Id::QueryV2 => self.query_v2(call, negated)?,
        }
        Ok(())
    }

    fn host(
        &mut self,
        value: &Arg<'_>,
        span: &std::ops::Range<usize>,
        negated: bool,
    ) -> Result<(), RuleError> {
        if *value.value == *b"*" {
            self.leaf(Kind::Always, span, negated, (0, 0), 0);
            return Ok(());
        }
        self.check_ascii(value, "Host")?;
        let lower = value.value.to_ascii_lowercase();
        let kind = match lower.strip_prefix(b"*") {
            None => Kind::Host,
            Some(suffix) if suffix.starts_with(b".") => Kind::HostWildcard,
            // Traefik compares `*foo.com` with the request's host with its first label replaced: never equal.
            Some(_) => Kind::Never,
        };
        let operand = self.operand(&lower, value.at);
        self.leaf(kind, span, negated, operand, 0);
        Ok(())
    }

    /// Query of v2: `key=value` arguments, split at the first `=`; what has none is paired with the next piece.
    /// All pairs must match, each on the first value of its key.
    fn query_v2(&mut self, call: &Call<'_>, negated: bool) -> Result<(), RuleError> {
        let mut pieces: Vec<(&[u8], &Arg<'_>)> = Vec::new();
        for arg in &call.args {
            match memchr::memchr(b'=', &arg.value) {
                Some(i) => pieces.extend([(&arg.value[..i], arg), (&arg.value[i + 1..], arg)]),
                None => pieces.push((&arg.value, arg)),
            }
        }
        if pieces.len() % 2 == 1 {
            let error = self.error(
                call.span.clone(),
                "expected `key=value` in Query, found a key without value",
            );
            return Err(error.with_hint("for any value write Query(`key=`)"));
        }
        let single = pieces.len() == 2;
        let group = (!single).then(|| self.open(Kind::All, &call.span, negated));
        for pair in pieces.chunks_exact(2) {
            let (key, (value, arg)) = (pair[0].0, pair[1]);
            let negated = negated && single;
            let span = if single { &call.span } else { &arg.span };
            if key.contains(&b'{') || key.contains(&b'}') {
                return Err(self.error(
                    arg.span.clone(),
                    "expected a plain key, found a template: it would never match",
                ));
            }
            let template = std::str::from_utf8(value)
                .map_err(|_| self.error(arg.span.clone(), "expected UTF-8"))?;
            let offset = arg.value.len() - value.len();
            match template::parse(template, Place::QueryValue)
                .map_err(|e| self.bad_pattern(arg, offset, e))?
            {
                Template::Literal => {
                    let (operand, aux) = self.operands(key, value);
                    self.leaf(Kind::QueryFirst, span, negated, operand, aux);
                }
                Template::Regexp { text, .. } => {
                    let index = self.pattern(arg, &text)?;
                    let operand = self.operand(key, None);
                    self.leaf(Kind::QueryFirstRegexp, span, negated, operand, index);
                }
            }
        }
        if let Some(at) = group {
            self.close(at);
        }
        Ok(())
    }

    /// A host or path of v2, which may be a template.
    fn templated(
        &mut self,
        arg: &Arg<'_>,
        place: Place,
        span: &std::ops::Range<usize>,
        negated: bool,
    ) -> Result<(), RuleError> {
        let text = self.utf8(arg)?;
        match template::parse(text, place).map_err(|e| self.bad_pattern(arg, 0, e))? {
            Template::Literal => {
                let (kind, value) = match place {
                    Place::Host => (Kind::HostStrict, arg.value.to_ascii_lowercase()),
                    Place::PathPrefix => (Kind::PathPrefix, arg.value.to_vec()),
                    Place::Path | Place::QueryValue => (Kind::Path, arg.value.to_vec()),
                };
                let operand = self.operand(&value, arg.at);
                self.leaf(kind, span, negated, operand, 0);
            }
            Template::Regexp { text, prefix } => {
                let index = self.pattern(arg, &text)?;
                // Only a path's prefix helps the index.
                let (kind, prefix) = match place {
                    Place::Host => (Kind::HostTemplate, String::new()),
                    _ => (Kind::PathRegexp, prefix),
                };
                let operand = self.operand(prefix.as_bytes(), arg.at);
                self.leaf(kind, span, negated, operand, index);
            }
        }
        Ok(())
    }

    /// A regular expression of v3; returns its index and the prefix its matches must have.
    fn regexp(&mut self, arg: &Arg<'_>) -> Result<(u32, Option<Vec<u8>>), RuleError> {
        let text = self.utf8(arg)?;
        let translated = re2::translate(text).map_err(|e| self.bad_pattern(arg, 0, e))?;
        Ok((self.pattern(arg, &translated.text)?, translated.prefix))
    }

    fn pattern(&mut self, arg: &Arg<'_>, text: &str) -> Result<u32, RuleError> {
        let pattern = Pattern::compile(text).map_err(|e| {
            self.error(arg.span.clone(), format!("invalid regular expression: {e}"))
        })?;
        let patterns = &mut self.tables().patterns;
        patterns.push(pattern);
        Ok(patterns.len() as u32 - 1)
    }

    fn bad_pattern(&self, arg: &Arg<'_>, offset: usize, error: re2::BadPattern) -> RuleError {
        // Without escapes the place inside the value is a place in the rule.
        let span = match arg.at {
            Some(at) => at + offset + error.at..at + offset + error.at + 1,
            None => arg.span.clone(),
        };
        self.error(
            span,
            format!("invalid regular expression: {}", error.message),
        )
    }

    fn utf8<'a>(&self, arg: &'a Arg<'_>) -> Result<&'a str, RuleError> {
        std::str::from_utf8(&arg.value).map_err(|_| self.error(arg.span.clone(), "expected UTF-8"))
    }

    fn check_ascii(&self, arg: &Arg<'_>, name: &str) -> Result<(), RuleError> {
        if arg.value.is_ascii() {
            return Ok(());
        }
        let error = self.error(
            arg.span.clone(),
            format!("expected ASCII in {name}, found other characters"),
        );
        Err(error.with_hint("write an international domain name in its xn-- form (punycode)"))
    }

    fn check_slash(&self, arg: &Arg<'_>, name: &str) -> Result<(), RuleError> {
        if arg.value.first() == Some(&b'/') {
            return Ok(());
        }
        let error = self.error(
            arg.span.clone(),
            format!("expected a leading `/` in {name}"),
        );
        Err(error.with_hint(format!("write `/{}`", String::from_utf8_lossy(&arg.value))))
    }

    /// An address or a CIDR range. IPv4-mapped ranges become IPv4, as the client's address does.
    fn network(&self, arg: &Arg<'_>) -> Result<IpNet, RuleError> {
        let text = std::str::from_utf8(&arg.value).unwrap_or_default();
        let network = if let Ok(address) = text.parse::<IpAddr>() {
            Some(IpNet::from(address.to_canonical()))
        } else {
            text.parse::<IpNet>().ok().map(canonical)
        };
        network.ok_or_else(|| {
            self.error(arg.span.clone(), "expected an IP address or a CIDR range")
                .with_hint("for example `10.0.0.1` or `10.0.0.0/8`")
        })
    }
}

fn canonical(network: IpNet) -> IpNet {
    match (network, network.addr().to_canonical()) {
        (IpNet::V6(v6), IpAddr::V4(address)) if v6.prefix_len() >= 96 => {
            IpNet::new(IpAddr::V4(address), v6.prefix_len() - 96).unwrap_or(network)
        }
        _ => network,
    }
}

fn is_hidden(name: &[u8]) -> bool {
    HIDDEN_HEADERS
        .iter()
        .any(|hidden| hidden.as_bytes() == name)
}
