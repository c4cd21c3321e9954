//! From tokens to a tree of matcher calls: `||`, `&&`, `!`, parentheses, with Go's precedence.
//!
//! NOT for: knowing which matchers exist and what their arguments mean (see `compile`).

use std::borrow::Cow;
use std::ops::Range;

use super::error::RuleError;
use super::lexer::{Lexer, Token, TokenKind};

/// Bytes of a rule. Traefik has no limit; places in a rule are kept in 16 bits here.
pub const MAX_RULE_BYTES: usize = 65_535;

/// How deep parentheses and negations may nest; evaluation is recursive to this depth.
pub const MAX_DEPTH: usize = 100;

/// An expression as written; groups of one operator are flat, however long.
#[derive(Debug)]
pub(super) enum Expr<'r> {
    All(Vec<Expr<'r>>, Range<usize>),
    Any(Vec<Expr<'r>>, Range<usize>),
    Not(Box<Expr<'r>>, Range<usize>),
    Call(Call<'r>),
}

impl Expr<'_> {
    pub fn span(&self) -> Range<usize> {
        match self {
            Expr::All(_, span) | Expr::Any(_, span) | Expr::Not(_, span) => span.clone(),
            Expr::Call(call) => call.span.clone(),
        }
    }
}

/// `Name(argument, …)`.
#[derive(Debug)]
pub(super) struct Call<'r> {
    pub name: &'r str,
    pub name_span: Range<usize>,
    pub args: Vec<Arg<'r>>,
    pub span: Range<usize>,
}

/// A string argument. `at` is where its value stands in the rule as it is, if it does.
#[derive(Debug)]
pub(super) struct Arg<'r> {
    pub value: Cow<'r, [u8]>,
    pub at: Option<usize>,
    pub span: Range<usize>,
}

/// Parses the whole rule.
pub(super) fn parse(rule: &str) -> Result<Expr<'_>, RuleError> {
    if rule.len() > MAX_RULE_BYTES {
        return Err(RuleError::new(
            rule,
            MAX_RULE_BYTES..MAX_RULE_BYTES,
            format!(
                "expected at most {MAX_RULE_BYTES} bytes of rule, found {}",
                rule.len()
            ),
        ));
    }
    let mut lexer = Lexer::new(rule);
    let next = lexer.next()?;
    let mut parser = Parser { rule, lexer, next };
    if parser.next.kind == TokenKind::End {
        return Err(parser
            .error("expected a matcher, found an empty rule")
            .with_hint("for all requests write PathPrefix(`/`)"));
    }
    let (expr, _) = parser.any(0)?;
    // One automatic semicolon may end the rule; after it only blanks.
    if parser.next.kind == TokenKind::Newline {
        let newline = parser.advance()?;
        if parser.next.kind != TokenKind::End {
            let error = parser.error_at(
                newline.span,
                format!(
                    "expected the end of the rule after a newline, found {}",
                    parser.next.kind.describe()
                ),
            );
            return Err(
                if matches!(parser.next.kind, TokenKind::AndAnd | TokenKind::OrOr) {
                    error.with_hint("a rule may go on in the next line only after an operator: end the line with `&&` or `||`")
                } else {
                    error
                },
            );
        }
    }
    match parser.next.kind {
        TokenKind::End => Ok(expr),
        _ => Err(parser.unexpected("`&&`, `||` or the end of the rule")),
    }
}

struct Parser<'r> {
    rule: &'r str,
    lexer: Lexer<'r>,
    next: Token<'r>,
}

impl<'r> Parser<'r> {
    fn advance(&mut self) -> Result<Token<'r>, RuleError> {
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.next, next))
    }

    fn error_at(&self, span: Range<usize>, message: impl Into<String>) -> RuleError {
        RuleError::new(self.rule, span, message)
    }

    fn error(&self, message: impl Into<String>) -> RuleError {
        self.error_at(self.next.span.clone(), message)
    }

    /// "expected …, found …" at the next token, with a hint where the mistake is a known one.
    fn unexpected(&self, expected: &str) -> RuleError {
        let error = self.error(format!(
            "expected {expected}, found {}",
            self.next.kind.describe()
        ));
        match &self.next.kind {
            TokenKind::Newline => error.with_hint(
                "Go's grammar ends an expression at a newline after a name, a string or `)`",
            ),
            TokenKind::Other("&") => error.with_hint("write `&&`"),
            TokenKind::Other("|") => error.with_hint("write `||`"),
            TokenKind::Other(":") => error
                .with_hint("`Matcher:value` is the syntax of Traefik v1; write Matcher(`value`)"),
            TokenKind::Other(";") => error.with_hint("write `&&` between two matchers"),
            TokenKind::Other("==" | "!=" | "<" | ">" | "<=" | ">=") => {
                error.with_hint("a rule knows the operators `&&`, `||` and `!` only")
            }
            TokenKind::Name(name) if name.eq_ignore_ascii_case("and") => {
                error.with_hint("write `&&`")
            }
            TokenKind::Name(name) if name.eq_ignore_ascii_case("or") => {
                error.with_hint("write `||`")
            }
            _ => error,
        }
    }

    /// `all || all …`
    fn any(&mut self, depth: usize) -> Result<(Expr<'r>, Range<usize>), RuleError> {
        let (first, span) = self.all(depth)?;
        self.group(first, span, &TokenKind::OrOr, |p| p.all(depth), Expr::Any)
    }

    /// `unary && unary …`
    fn all(&mut self, depth: usize) -> Result<(Expr<'r>, Range<usize>), RuleError> {
        let (first, span) = self.unary(depth)?;
        self.group(
            first,
            span,
            &TokenKind::AndAnd,
            |p| p.unary(depth),
            Expr::All,
        )
    }

    fn group(
        &mut self,
        first: Expr<'r>,
        mut span: Range<usize>,
        operator: &TokenKind<'_>,
        operand: impl Fn(&mut Self) -> Result<(Expr<'r>, Range<usize>), RuleError>,
        build: impl Fn(Vec<Expr<'r>>, Range<usize>) -> Expr<'r>,
    ) -> Result<(Expr<'r>, Range<usize>), RuleError> {
        if self.next.kind != *operator {
            return Ok((first, span));
        }
        let mut operands = vec![first];
        while self.next.kind == *operator {
            self.advance()?;
            let (next, next_span) = operand(self)?;
            span.end = next_span.end;
            operands.push(next);
        }
        Ok((build(operands, span.clone()), span))
    }

    /// `!unary`, `(any)` or a call. The range returned includes the parentheses.
    fn unary(&mut self, depth: usize) -> Result<(Expr<'r>, Range<usize>), RuleError> {
        if depth >= MAX_DEPTH {
            return Err(self.error(format!(
                "expected at most {MAX_DEPTH} nested parentheses and negations"
            )));
        }
        match self.next.kind {
            TokenKind::Not => {
                let start = self.advance()?.span.start;
                let (operand, span) = self.unary(depth + 1)?;
                let span = start..span.end;
                Ok((Expr::Not(Box::new(operand), span.clone()), span))
            }
            TokenKind::Open => {
                let start = self.advance()?.span.start;
                let (expr, _) = self.any(depth + 1)?;
                if self.next.kind != TokenKind::Close {
                    return Err(self.unexpected("`)`, `&&` or `||`"));
                }
                let end = self.advance()?.span.end;
                Ok((expr, start..end))
            }
            TokenKind::Name(name) => {
                let call = self.call(name)?;
                let span = call.span.clone();
                Ok((Expr::Call(call), span))
            }
            _ => Err(self.unexpected("a matcher")),
        }
    }

    fn call(&mut self, name: &'r str) -> Result<Call<'r>, RuleError> {
        let name_span = self.advance()?.span;
        if self.next.kind != TokenKind::Open {
            return Err(self.unexpected(&format!("`(` after `{name}`")));
        }
        self.advance()?;
        let mut args = Vec::new();
        while self.next.kind != TokenKind::Close {
            args.push(self.argument()?);
            match self.next.kind {
                TokenKind::Comma => {
                    self.advance()?;
                }
                TokenKind::Close => {}
                _ => return Err(self.unexpected("`,` or `)`")),
            }
        }
        let span = name_span.start..self.advance()?.span.end;
        Ok(Call {
            name,
            name_span,
            args,
            span,
        })
    }

    fn argument(&mut self) -> Result<Arg<'r>, RuleError> {
        match &self.next.kind {
            TokenKind::Text { .. } => {}
            TokenKind::Name(name) => {
                let hint = format!("put the value in backquotes: `{name}…`");
                return Err(self.unexpected("a string").with_hint(hint));
            }
            _ => return Err(self.unexpected("a string")),
        }
        let token = self.advance()?;
        match token.kind {
            TokenKind::Text { value, at } => Ok(Arg {
                value,
                at,
                span: token.span,
            }),
            _ => Err(self.error_at(token.span, "expected a string")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree in a compact form: `(a|b&!c)`.
    fn shape(expr: &Expr<'_>) -> String {
        let join = |list: &[Expr<'_>], op: &str| {
            format!("({})", list.iter().map(shape).collect::<Vec<_>>().join(op))
        };
        match expr {
            Expr::All(list, _) => join(list, "&"),
            Expr::Any(list, _) => join(list, "|"),
            Expr::Not(inner, _) => format!("!{}", shape(inner)),
            Expr::Call(call) => call.name.to_string(),
        }
    }

    #[test]
    fn precedence_is_gos() {
        for (rule, expected) in [
            ("a(`x`)", "a"),
            ("a(`x`) || b(`x`) && c(`x`)", "(a|(b&c))"),
            ("(a(`x`) || b(`x`)) && c(`x`)", "((a|b)&c)"),
            ("!a(`x`) && b(`x`)", "(!a&b)"),
            ("!(a(`x`) && b(`x`))", "!(a&b)"),
            ("!!a(`x`)", "!!a"),
            ("((a(`x`)))", "a"),
            ("a(`x`) && b(`x`) && c(`x`)", "(a&b&c)"),
            ("a(`x`) &&\nb(`x`)\n", "(a&b)"),
            ("\n a ( `x` , \"y\", ) // comment", "a"),
            ("a(\n`x`,\n`y`) && /* c */ b(`x`)", "(a&b)"),
            ("\u{FEFF}a(`x`)", "a"),
        ] {
            assert_eq!(shape(&parse(rule).unwrap()), expected, "{rule}");
        }
    }

    #[test]
    fn mistakes_are_pointed_at() {
        for (rule, span, message) in [
            ("", 0..0, "expected a matcher, found an empty rule"),
            ("  ", 2..2, "expected a matcher, found an empty rule"),
            (
                "m",
                1..1,
                "expected `(` after `m`, found the end of the rule",
            ),
            (
                "m(`1`) &&",
                9..9,
                "expected a matcher, found the end of the rule",
            ),
            ("m(`1`) || ||", 10..12, "expected a matcher, found `||`"),
            (
                "m(`1`))",
                6..7,
                "expected `&&`, `||` or the end of the rule, found `)`",
            ),
            (
                "(m(`1`)",
                7..7,
                "expected `)`, `&&` or `||`, found the end of the rule",
            ),
            (
                "m(`1`",
                5..5,
                "expected `,` or `)`, found the end of the rule",
            ),
            ("m(`1` `2`)", 6..9, "expected `,` or `)`, found a string"),
            ("m(1)", 2..3, "expected a string, found the number 1"),
            ("m(a)", 2..3, "expected a string, found `a`"),
            (
                "m(`a`)\n&& m(`b`)",
                6..7,
                "expected the end of the rule after a newline, found `&&`",
            ),
            (
                "(m(`a`)\n)",
                7..8,
                "expected `)`, `&&` or `||`, found a newline",
            ),
            ("m(`a`\n)", 5..6, "expected `,` or `)`, found a newline"),
            (
                "m(`a`) & m(`b`)",
                7..8,
                "expected `&&`, `||` or the end of the rule, found `&`",
            ),
            (
                "m(`a`) == m(`b`)",
                7..9,
                "expected `&&`, `||` or the end of the rule, found `==`",
            ),
            ("Host:a.test", 4..5, "expected `(` after `Host`, found `:`"),
            ("`a`", 0..3, "expected a matcher, found a string"),
            (
                "m(`a`) m(`b`)",
                7..8,
                "expected `&&`, `||` or the end of the rule, found `m`",
            ),
            ("m(,)", 2..3, "expected a string, found `,`"),
            (
                "m(`a`);",
                6..7,
                "expected `&&`, `||` or the end of the rule, found `;`",
            ),
            (
                "m(`a`) $",
                7..8,
                "unexpected character '$' outside a string",
            ),
        ] {
            let error = parse(rule).unwrap_err();
            assert_eq!(error.message(), message, "{rule}");
            assert_eq!(error.span(), span, "{rule}");
        }
    }

    #[test]
    fn depth_and_length_are_limited() {
        let deep = |n: usize| format!("{}a(`x`){}", "(".repeat(n), ")".repeat(n));
        assert!(parse(&deep(MAX_DEPTH - 1)).is_ok());
        assert!(parse(&deep(MAX_DEPTH)).is_err());
        assert!(parse(&"!".repeat(60_000)).is_err());
        assert!(parse(&format!("a(`{}`)", "x".repeat(MAX_RULE_BYTES - 5))).is_ok());
        assert!(parse(&format!("a(`{}`)", "x".repeat(MAX_RULE_BYTES))).is_err());
        let long = vec!["a(`x`)"; 5000].join(" || ");
        assert!(parse(&long).is_ok());
    }
}
