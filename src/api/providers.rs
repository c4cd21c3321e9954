//! `/api/ringway/providers`: how every source of configuration stands.

use std::sync::Arc;

use serde::Serialize;

use super::state::ApiState;

/// One provider.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProviderItem {
    name: Arc<str>,
    /// Whether its first state is in force.
    reported: bool,
    /// Whether its source cannot be read and an earlier state stands in.
    stale: bool,
    /// The state of its source that is in force, as the source calls it; `null` before its first.
    position: Option<Arc<str>>,
    /// How many states of its source came up to this one, or another number that grows with them.
    number: Option<u64>,
    /// The revision of its store up to which everything is published; `null` if its source counts none.
    revision: Option<u64>,
    /// Seconds since then.
    age: Option<f64>,
    /// Why its source's newest state could not be read; `null` if it could.
    last_error: Option<String>,
    objects: usize,
    /// Shortest time between two changes of it, in seconds.
    throttle: f64,
    /// Some of the keys of its store that belong to no object.
    problems: Vec<ProblemItem>,
    /// How many there are.
    problems_total: usize,
}

/// A key that does not count, and why.
#[derive(Debug, Serialize)]
struct ProblemItem {
    key: String,
    error: String,
}

/// Every provider by name.
pub(super) fn providers(state: &ApiState) -> Vec<ProviderItem> {
    let current = state.current();
    let providers = current.published.providers.iter();
    let item = |provider: &crate::plan::ProviderState| {
        let known = current.positions.get(&provider.name);
        let seen = state.sources().seen(&provider.name);
        let problems = seen.map(|seen| seen.get().problems).unwrap_or_default();
        let first = problems.first.iter();
        ProviderItem {
            name: Arc::clone(&provider.name),
            reported: provider.reported,
            stale: provider.is_stale(),
            position: known.map(|(position, _)| Arc::clone(&position.text)),
            number: known.map(|(position, _)| position.number),
            revision: super::ringway::revision(state, provider),
            age: known.map(|(_, since)| since.elapsed().as_secs_f64()),
            last_error: provider.error.clone(),
            objects: provider.objects,
            throttle: provider.throttle.as_secs_f64(),
            problems: first
                .map(|problem| ProblemItem {
                    key: problem.key.clone(),
                    error: problem.text.clone(),
                })
                .collect(),
            problems_total: problems.total,
        }
    };
    providers.map(item).collect()
}
