//! Traefik v2's templates: `/products/{id:[0-9]+}`, as gorilla/mux reads them.
//!
//! `{name}` stands for one path segment, one host label or any query value, `{name:regexp}` for what the
//! expression matches. Everything else is literal. Names are required but nothing reads them here.

use super::re2;

/// Where a template is used; decides what `{name}` means and how the expression is anchored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The whole host, ignoring case.
    Host,
    /// The whole path.
    Path,
    /// The start of the path.
    PathPrefix,
    /// The whole first value of a query key.
    QueryValue,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Template {
    /// No braces: the template is the text itself.
    Literal,
    /// An anchored expression, and the literal text before the first brace.
    Regexp { text: String, prefix: String },
}

/// Why a template is refused; `at` is the byte place inside it.
pub(super) use super::re2::BadPattern;

pub(super) fn parse(template: &str, place: Place) -> Result<Template, BadPattern> {
    let holes = holes(template)?;
    let any = match place {
        Place::Host => "[^.]+",
        Place::Path | Place::PathPrefix => "[^/]+",
        Place::QueryValue => ".*",
    };
    if holes.is_empty() && !(place == Place::QueryValue && template.is_empty()) {
        return Ok(Template::Literal);
    }
    let mut text = String::new();
    if place == Place::Host {
        text.push_str("(?i)");
    }
    text.push_str("\\A");
    let mut end = 0;
    for &(open, close) in &holes {
        re2::push_literal(&mut text, &template[end..open]);
        let body = &template[open + 1..close];
        let (name, pattern) = match body.split_once(':') {
            Some((name, pattern)) => (name, Some(pattern)),
            None => (body, None),
        };
        if name.is_empty() || pattern == Some("") {
            return Err(BadPattern {
                at: open,
                message: "expected {name} or {name:regexp}".into(),
            });
        }
        let translated = re2::translate(pattern.unwrap_or(any)).map_err(|e| BadPattern {
            at: open + 1 + name.len() + 1 + e.at,
            message: e.message,
        })?;
        text.push_str("(?:");
        text.push_str(&translated.text);
        text.push(')');
        end = close + 1;
    }
    re2::push_literal(&mut text, &template[end..]);
    if template.is_empty() {
        // An empty query value means any.
        text.push_str(any);
    }
    if place != Place::PathPrefix {
        text.push_str("\\z");
    }
    let prefix = holes
        .first()
        .map_or(template, |&(open, _)| &template[..open]);
    Ok(Template::Regexp {
        text,
        prefix: prefix.into(),
    })
}

/// The places of the outermost pairs of braces.
fn holes(template: &str) -> Result<Vec<(usize, usize)>, BadPattern> {
    let mut holes = Vec::new();
    let mut open = Vec::new();
    for (i, b) in template.bytes().enumerate() {
        match b {
            b'{' => open.push(i),
            b'}' => match (open.pop(), open.is_empty()) {
                (Some(start), true) => holes.push((start, i)),
                (Some(_), false) => {}
                (None, _) => {
                    return Err(BadPattern {
                        at: i,
                        message: "unbalanced `}` in the template".into(),
                    });
                }
            },
            _ => {}
        }
    }
    match open.first() {
        Some(&at) => Err(BadPattern {
            at,
            message: "unbalanced `{` in the template".into(),
        }),
        None => Ok(holes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_become_anchored_expressions() {
        for (template, place, expected) in [
            ("a.test", Place::Host, None),
            (
                "{s}.a.test",
                Place::Host,
                Some(r"(?i)\A(?:[^\x2E]+)\x2Ea\x2Etest\z"),
            ),
            (
                "/p/{id:[0-9]{2}}/x",
                Place::Path,
                Some(r"\A/p/(?:[0-9]{2})/x\z"),
            ),
            ("/p/{id}", Place::PathPrefix, Some(r"\A/p/(?:[^/]+)")),
            ("", Place::QueryValue, Some(r"\A.*\z")),
            ("{x}", Place::QueryValue, Some(r"\A(?:.*)\z")),
        ] {
            let expected = expected.map_or(Template::Literal, |text| Template::Regexp {
                text: text.into(),
                prefix: template.split('{').next().unwrap().into(),
            });
            assert_eq!(parse(template, place).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn mistakes_are_pointed_at() {
        for (template, at) in [
            ("/a{", 2),
            ("/a}", 2),
            ("/{}", 1),
            ("/{a:}", 1),
            ("/{:x}", 1),
            ("/{a:(}", 4),
            ("{test", 0),
        ] {
            assert_eq!(
                parse(template, Place::Path).unwrap_err().at,
                at,
                "{template}"
            );
        }
    }
}
