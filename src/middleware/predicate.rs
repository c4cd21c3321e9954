//! The expression language of `buffering.retryExpression`:
//! `Attempts() <= 2 && (ResponseCode() == 503 || IsNetworkError())`.
//!
//! ```text
//! or         = and { "||" and }
//! and        = unary { "&&" unary }
//! unary      = "!" unary | "(" or ")" | comparison
//! comparison = "IsNetworkError()" | number op integer | "RequestMethod()" ("==" | "!=") string
//! number     = "Attempts()" | "ResponseCode()"          op = "==" "!=" "<" "<=" ">" ">="
//! ```
//!
//! Traefik parses the same with Go's expression parser; `!` and a constant in base 16, 8 or 2 are
//! additions. Errors point at the byte that was not expected.

use std::fmt;

/// Deepest nesting of `!` and parentheses.
const MAX_DEPTH: usize = 64;

/// A compiled expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predicate(Node);

/// What an expression can ask about the attempt that just ended.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// How many times the request was sent, the first time included: 1, 2, …
    pub number: u32,
    /// Status of the answer, also of one the proxy made itself (502, 504).
    pub status: u16,
    /// Method of the request.
    pub method: &'a [u8],
}

/// Why an expression was refused; `Display` shows the expression with a caret under the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PredicateError {
    expression: Box<str>,
    /// Byte offset of the place.
    at: usize,
    expected: Box<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Or(Box<[Node]>),
    And(Box<[Node]>),
    Not(Box<Node>),
    NetworkError,
    Number(Subject, Operator, i64),
    Method { equal: bool, text: Box<str> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Attempts,
    ResponseCode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Predicate {
    /// Compiles an expression.
    pub fn parse(expression: &str) -> Result<Predicate, PredicateError> {
        let mut parser = Parser {
            text: expression,
            at: 0,
            depth: 0,
        };
        let node = parser.or()?;
        parser.skip_blanks();
        if parser.at < expression.len() {
            return Err(parser.error("`&&`, `||` or the end"));
        }
        Ok(Predicate(node))
    }

    /// The expression's value for `attempt`.
    pub fn matches(&self, attempt: &Attempt<'_>) -> bool {
        self.0.matches(attempt)
    }
}

impl Node {
    fn matches(&self, attempt: &Attempt<'_>) -> bool {
        match self {
            Node::Or(nodes) => nodes.iter().any(|node| node.matches(attempt)),
            Node::And(nodes) => nodes.iter().all(|node| node.matches(attempt)),
            Node::Not(node) => !node.matches(attempt),
            // Traefik: a network error is told by the status it became.
            Node::NetworkError => matches!(attempt.status, 502 | 504),
            Node::Number(subject, operator, value) => {
                let number = match subject {
                    Subject::Attempts => i64::from(attempt.number),
                    Subject::ResponseCode => i64::from(attempt.status),
                };
                operator.holds(number, *value)
            }
            Node::Method { equal, text } => (attempt.method == text.as_bytes()) == *equal,
        }
    }
}

impl Operator {
    fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Operator::Equal => left == right,
            Operator::NotEqual => left != right,
            Operator::Less => left < right,
            Operator::LessOrEqual => left <= right,
            Operator::Greater => left > right,
            Operator::GreaterOrEqual => left >= right,
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn or(&mut self) -> Result<Node, PredicateError> {
        let mut nodes = vec![self.and()?];
        while self.take("||") {
            nodes.push(self.and()?);
        }
        Ok(if nodes.len() == 1 {
            nodes.remove(0)
        } else {
            Node::Or(nodes.into())
        })
    }

    fn and(&mut self) -> Result<Node, PredicateError> {
        let mut nodes = vec![self.unary()?];
        while self.take("&&") {
            nodes.push(self.unary()?);
        }
        Ok(if nodes.len() == 1 {
            nodes.remove(0)
        } else {
            Node::And(nodes.into())
        })
    }

    fn unary(&mut self) -> Result<Node, PredicateError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("less nesting (at most 64 levels)"));
        }
        let node = if self.take("!") {
            Node::Not(Box::new(self.unary()?))
        } else if self.take("(") {
            let node = self.or()?;
            self.expect(")", "`&&`, `||` or `)`")?;
            node
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(node)
    }

    fn comparison(&mut self) -> Result<Node, PredicateError> {
        const FUNCTIONS: &str =
            "`Attempts()`, `ResponseCode()`, `IsNetworkError()`, `RequestMethod()`, `!` or `(`";
        self.skip_blanks();
        let start = self.at;
        let rest = &self.text[start..];
        let len = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let name = &rest[..len];
        if !matches!(
            name,
            "Attempts" | "ResponseCode" | "IsNetworkError" | "RequestMethod"
        ) {
            return Err(self.error(FUNCTIONS));
        }
        self.at += len;
        self.expect("(", "`()`")?;
        self.expect(")", "`)`: these functions take no arguments")?;
        match name {
            "IsNetworkError" => Ok(Node::NetworkError),
            "RequestMethod" => {
                let equal = match self.operator("`==` or `!=`")? {
                    Operator::Equal => true,
                    Operator::NotEqual => false,
                    _ => return Err(self.error("`==` or `!=`: a method has no order")),
                };
                Ok(Node::Method {
                    equal,
                    text: self.string()?,
                })
            }
            name => {
                let subject = if name == "Attempts" {
                    Subject::Attempts
                } else {
                    Subject::ResponseCode
                };
                let operator = self.operator("`==`, `!=`, `<`, `<=`, `>` or `>=`")?;
                Ok(Node::Number(subject, operator, self.integer()?))
            }
        }
    }

    fn operator(&mut self, expected: &str) -> Result<Operator, PredicateError> {
        const OPERATORS: [(&str, Operator); 6] = [
            ("==", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        for (text, operator) in OPERATORS {
            if self.take(text) {
                return Ok(operator);
            }
        }
        Err(self.error(expected))
    }

    fn integer(&mut self) -> Result<i64, PredicateError> {
        const EXPECTED: &str = "an integer such as 503";
        self.skip_blanks();
        let rest = &self.text[self.at..];
        let len = rest
            .bytes()
            .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
            .count();
        let digits = &rest[..len];
        let value = match digits.as_bytes() {
            [b'0', b'x' | b'X', ..] => i64::from_str_radix(&digits[2..], 16),
            [b'0', b'o' | b'O', ..] => i64::from_str_radix(&digits[2..], 8),
            [b'0', b'b' | b'B', ..] => i64::from_str_radix(&digits[2..], 2),
            [b'0', _, ..] => i64::from_str_radix(digits, 8),
            _ => digits.parse(),
        };
        let value = value.map_err(|_| self.error(EXPECTED))?;
        self.at += len;
        Ok(value)
    }

    fn string(&mut self) -> Result<Box<str>, PredicateError> {
        const EXPECTED: &str = "a method in double quotes such as \"GET\"";
        self.skip_blanks();
        let rest = &self.text[self.at..];
        let quote = rest
            .chars()
            .next()
            .filter(|c| matches!(c, '"' | '`'))
            .ok_or_else(|| self.error(EXPECTED))?;
        let inner = &rest[1..];
        let end = inner
            .find(quote)
            .ok_or_else(|| self.error("a closing quote"))?;
        let text = &inner[..end];
        if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
            return Err(self.error(EXPECTED));
        }
        self.at += end + 2;
        Ok(text.into())
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip_blanks();
        let rest = &self.text[self.at..];
        // `!` must not take the first half of `!=`.
        let found = rest.starts_with(token) && !(token == "!" && rest.starts_with("!="));
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str, expected: &str) -> Result<(), PredicateError> {
        if self.take(token) {
            Ok(())
        } else {
            Err(self.error(expected))
        }
    }

    fn skip_blanks(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at += rest.bytes().take_while(u8::is_ascii_whitespace).count();
    }

    fn error(&self, expected: &str) -> PredicateError {
        PredicateError {
            expression: self.text.into(),
            at: self.at,
            expected: expected.into(),
        }
    }
}

impl fmt::Display for PredicateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = self.expression.get(..self.at).unwrap_or(&self.expression);
        // A caret line works for one line of text only: show the line the place is on.
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = self.expression[line_start..]
            .lines()
            .next()
            .unwrap_or_default();
        let indent = before[line_start..].chars().count();
        write!(f, "expected {}\n  {line}\n  {:indent$}^", self.expected, "")
    }
}

impl std::error::Error for PredicateError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(expression: &str, number: u32, status: u16, method: &str) -> bool {
        let attempt = Attempt {
            number,
            status,
            method: method.as_bytes(),
        };
        Predicate::parse(expression)
            .unwrap_or_else(|e| panic!("{e}"))
            .matches(&attempt)
    }

    #[test]
    fn comparisons_and_connectives_have_their_meaning() {
        for (expression, number, status, method, expected) in [
            ("Attempts() < 3", 2, 503, "GET", true),
            ("Attempts() < 3", 3, 503, "GET", false),
            (
                "Attempts() <= 2 && ResponseCode() == 503",
                2,
                503,
                "GET",
                true,
            ),
            (
                "Attempts() <= 2 && ResponseCode() == 503",
                2,
                500,
                "GET",
                false,
            ),
            (
                "ResponseCode() > 500 || Attempts() < 2",
                9,
                501,
                "GET",
                true,
            ),
            (
                "ResponseCode() >= 500&&ResponseCode()<600",
                1,
                599,
                "GET",
                true,
            ),
            ("IsNetworkError()", 1, 502, "GET", true),
            ("IsNetworkError()", 1, 504, "GET", true),
            ("IsNetworkError()", 1, 503, "GET", false),
            ("!IsNetworkError()", 1, 503, "GET", true),
            ("!!IsNetworkError()", 1, 503, "GET", false),
            (
                "!(ResponseCode() == 200) && Attempts() != 3",
                1,
                503,
                "GET",
                true,
            ),
            ("RequestMethod() == \"PUT\"", 1, 200, "PUT", true),
            ("RequestMethod() != `PUT`", 1, 200, "PUT", false),
            ("ResponseCode() == 0x1f7", 1, 503, "GET", true),
            (
                "ResponseCode() == 0o767 || ResponseCode() == 0767",
                1,
                503,
                "GET",
                true,
            ),
            // `&&` binds tighter than `||`.
            (
                "ResponseCode() == 1 && ResponseCode() == 2 || ResponseCode() == 503",
                1,
                503,
                "GET",
                true,
            ),
            (
                "ResponseCode() == 1 && (ResponseCode() == 2 || ResponseCode() == 503)",
                1,
                503,
                "GET",
                false,
            ),
            ("  (  Attempts ( ) > 0 )  ", 1, 200, "GET", true),
        ] {
            assert_eq!(
                value(expression, number, status, method),
                expected,
                "{expression}"
            );
        }
    }

    #[test]
    fn an_error_points_at_the_place() {
        for (expression, column) in [
            ("", 0),
            ("Foo() < 3", 0),
            ("attempts() < 3", 0),
            ("Attempts()", 10),
            ("Attempts < 3", 9),
            ("Attempts(1) < 3", 9),
            ("Attempts() < 2 + 1", 15),
            ("Attempts() < 3 &&", 17),
            ("3 > Attempts()", 0),
            ("ResponseCode() == \"503\"", 18),
            ("ResponseCode() == 503.0", 18),
            ("ResponseCode() == -1", 18),
            ("ResponseCode() == 99999999999999999999", 18),
            ("RequestMethod() == 'GET'", 19),
            ("RequestMethod() == \"GET", 19),
            ("IsNetworkError() == true", 17),
            ("(Attempts() < 3", 15),
            ("Attempts() < 3)", 14),
            ("é", 0),
        ] {
            let error = Predicate::parse(expression).unwrap_err().to_string();
            let caret = error.lines().last().unwrap().find('^').unwrap() - 2;
            assert_eq!(caret, column, "{error}");
        }
    }

    #[test]
    fn nesting_is_limited() {
        let deep = format!("{}IsNetworkError(){}", "(".repeat(1000), ")".repeat(1000));
        assert!(
            Predicate::parse(&deep)
                .unwrap_err()
                .to_string()
                .contains("nesting")
        );
        let fine = format!("{}IsNetworkError(){}", "(".repeat(60), ")".repeat(60));
        assert!(Predicate::parse(&fine).is_ok());
        assert!(Predicate::parse(&"!".repeat(100_000)).is_err());
    }
}
