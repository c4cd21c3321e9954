//! What an operator reads about names that are defined more than once: each time that changes, and only then.

use std::collections::BTreeSet;

use crate::config::dynamic::Kind;

use super::change::NameConflict;
use super::{Level, Message};

/// Adds what has changed to `log`; returns how many conflicts have begun, changed or ended.
pub(super) fn report(before: &[NameConflict], now: &[NameConflict], log: &mut Vec<Message>) -> u64 {
    let (before, now): (BTreeSet<_>, BTreeSet<_>) = (before.iter().collect(), now.iter().collect());
    let is_contested = |ended: &&&NameConflict| {
        now.iter()
            .any(|conflict| (conflict.kind, &conflict.name) == (ended.kind, &ended.name))
    };
    let begun = now.difference(&before).map(|conflict| Message {
        kind: conflict.kind,
        name: conflict.name.clone(),
        level: Level::Error,
        text: describe(conflict).into(),
    });
    let ended = before.difference(&now).filter(|ended| !is_contested(ended));
    let ended = ended.map(|conflict| Message {
        kind: conflict.kind,
        name: conflict.name.clone(),
        level: Level::Info,
        text: "no longer in conflict".into(),
    });
    let first = log.len();
    log.extend(begun.chain(ended));
    (log.len() - first) as u64
}

fn describe(conflict: &NameConflict) -> String {
    let losers = conflict.losers.join(", ");
    if conflict.kind == Kind::HttpRouter {
        return format!(
            "the model of an entry point would give this name to {losers} as well, which therefore gets no \
             requests there; rename one of the two"
        );
    }
    format!(
        "more than one provider defines it ({losers}), so that none of them counts; remove it from all but one"
    )
}
