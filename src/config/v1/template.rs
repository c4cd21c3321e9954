//! Traefik 1's templates, `{name:regexp}` as gorilla/mux reads them, as plain regular expressions, and texts as rules
//! quote them.

/// What `{name}` without an expression stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Host,
    Path,
    Query,
}

/// A template in its parts.
#[derive(Debug, PartialEq)]
pub(super) struct Template<'t> {
    /// Literal texts, with the holes between them: always one more than there are holes.
    literals: Vec<&'t str>,
    /// The expressions of the holes.
    holes: Vec<&'t str>,
}

impl<'t> Template<'t> {
    /// Splits a template at its outermost braces.
    ///
    /// # Errors
    /// Unbalanced braces, or a hole without a name or with an empty expression: Traefik 1 refused the rule too.
    pub fn parse(text: &'t str, place: Place) -> Result<Self, String> {
        let any = match place {
            Place::Host => "[^.]+",
            Place::Path => "[^/]+",
            Place::Query => ".*",
        };
        let (mut literals, mut holes) = (Vec::new(), Vec::new());
        let (mut depth, mut open, mut end) = (0_usize, 0, 0);
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                b'{' => {
                    if depth == 0 {
                        open = at;
                    }
                    depth += 1;
                }
                b'}' => {
                    depth = depth
                        .checked_sub(1)
                        .ok_or_else(|| format!("{text:?} has a \"}}\" without its \"{{\""))?;
                    if depth == 0 {
                        literals.push(&text[end..open]);
                        let body = &text[open + 1..at];
                        let (name, hole) = body.split_once(':').unwrap_or((body, any));
                        if name.is_empty() || hole.is_empty() {
                            return Err(format!(
                                "{text:?}: a template is {{name}} or {{name:regexp}}"
                            ));
                        }
                        holes.push(hole);
                        end = at + 1;
                    }
                }
                _ => {}
            }
        }
        if depth > 0 {
            return Err(format!(
                "{text:?} has a \"{{\" without its \"}}\" (a comma inside separates arguments, also in braces)"
            ));
        }
        literals.push(&text[end..]);
        Ok(Self { literals, holes })
    }

    /// Whether there is nothing but literal text.
    pub fn is_literal(&self) -> bool {
        self.holes.is_empty()
    }

    /// The expression, without anchors.
    pub fn expression(&self) -> String {
        let mut text = String::new();
        for (index, literal) in self.literals.iter().enumerate() {
            push_literal(&mut text, literal);
            if let Some(hole) = self.holes.get(index) {
                push_hole(&mut text, hole);
            }
        }
        text
    }

    /// Whether a match in any case must be asked for, where what is matched is in lower case.
    pub fn needs_case_folding(&self) -> bool {
        let folds = |text: &str| {
            text.bytes().any(|b| b.is_ascii_uppercase() || b >= 0x80)
                || ["\\x", "\\p", "[:"].iter().any(|mark| text.contains(mark))
        };
        self.literals
            .iter()
            .chain(&self.holes)
            .any(|text| folds(text))
    }

    /// Whether no hole can match a slash, as far as that is easily told.
    pub fn keeps_to_segments(&self) -> bool {
        self.holes.iter().all(|hole| {
            *hole == "[^/]+"
                || !hole.contains(['.', '/', '^', '\\', '('])
                || matches!(*hole, "\\d+" | "\\w+")
        })
    }
}

/// Appends a text so that a regular expression takes it literally.
pub(super) fn push_literal(out: &mut String, literal: &str) {
    for c in literal.chars() {
        if "\\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
}

/// Appends a hole's expression, in a group where it would otherwise run into its neighbours.
fn push_hole(out: &mut String, hole: &str) {
    if hole.contains('|') || hole.contains("(?") {
        out.push_str("(?:");
        out.push_str(hole);
        out.push(')');
    } else {
        out.push_str(hole);
    }
}

/// A text as an argument of a rule.
pub(super) fn quote(text: &str) -> String {
    if !text.contains(['`', '\r', '\n']) {
        return format!("`{text}`");
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
