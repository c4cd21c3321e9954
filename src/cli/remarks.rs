//! Remarks of `ringway check` on routers that are accepted and yet hardly do what their author thinks.

use crate::config::dynamic::HttpRouter;
use crate::rules::{self, Syntax};

/// A remark on a field of a router.
pub struct Remark {
    /// The field.
    pub field: &'static str,
    /// What is odd and what to do.
    pub message: String,
    /// For a rule: the part that it speaks of.
    pub clause: Option<String>,
}

/// What is odd about a router. `default_syntax`: that of rules without one of their own.
pub fn remarks(router: &HttpRouter, default_syntax: Syntax) -> Vec<Remark> {
    let syntax = match &*router.rule_syntax {
        "" => default_syntax,
        "v2" => Syntax::V2,
        _ => Syntax::V3,
    };
    // A rule that cannot be parsed is an error of its own.
    let notes = rules::parse(&router.rule, syntax).map_or_else(|_| Vec::new(), |rule| rule.notes());
    let mut remarks: Vec<Remark> = notes
        .into_iter()
        .map(|note| Remark {
            field: "rule",
            message: note.message.to_owned(),
            clause: router.rule.get(note.span).map(str::to_owned),
        })
        .collect();
    if router.tls.is_some() {
        remarks.push(Remark {
            field: "tls",
            message: "TLS is not supported yet: this router gets no requests until it is"
                .to_owned(),
            clause: None,
        });
    }
    remarks
}
