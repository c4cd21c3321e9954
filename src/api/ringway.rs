//! What Traefik's API does not have: generations, rejected objects, explanations.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;

use super::goal::{Goal, Reached};
use super::params::{InvalidRequest, Params};
use super::state::ApiState;
use crate::config::duration::GoDuration;
use crate::observe::reloads::Times;
use crate::plan::explain::{self, Explained, Question};
use crate::plan::{ProviderState, Published};

/// How long a request waits for a generation unless `timeout` says otherwise.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(5);

/// Longest time that a request waits for a generation.
pub const MAX_WAIT: Duration = Duration::from_secs(60);

/// Most rejected objects that an answer lists; `rejectedTotal` counts all.
pub const MAX_REJECTED: usize = 1000;

/// `/api/ringway/generation`.
///
/// A client that wants to know when its edit is in force asks with `revision=<of its store>` or `file=<path>`, or with
/// `wait=<generation>`, until `goal.reached`. `instance` changes when the process restarts, and generations then begin
/// anew.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Generations<'a> {
    /// The newest generation.
    generation: u64,
    /// The same; the name that `ringway wait` reads.
    published: u64,
    instance: &'a str,
    shards: Vec<Shard>,
    /// The newest generation that every shard has applied.
    effective: u64,
    providers: Vec<Provider>,
    /// What has become of what was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<Reached>,
    #[serde(flatten)]
    rejected: Option<RejectedObjects>,
}

#[derive(Debug, Serialize)]
struct Shard {
    shard: usize,
    acknowledged: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Provider {
    name: Arc<str>,
    /// The state of its source that is in force, as the source calls it; `null` before its first.
    position: Option<Arc<str>>,
    /// The revision of its store up to which everything is published; `null` if its source counts none.
    revision: Option<u64>,
    /// Seconds since then.
    age: Option<f64>,
    /// Whether its source cannot be read and an earlier state stands in.
    stale: bool,
    /// Why its source's newest state could not be read.
    last_error: Option<String>,
    objects: usize,
}

/// Objects whose newest version is not in force, or not quite as configured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RejectedObjects {
    rejected: Vec<Rejected>,
    rejected_total: usize,
}

#[derive(Debug, Serialize)]
struct Rejected {
    object: String,
    status: &'static str,
    error: String,
}

impl<'a> Generations<'a> {
    /// The answer, now or after the wait that the parameters ask for. Rejected objects are listed unless the answer is
    /// to a wait (`rejected=true` asks for them; then those of the provider whose state was waited for): looking at all
    /// objects after each of many changes is not for free.
    pub(super) async fn ask(state: &'a ApiState, params: &Params) -> Result<Self, InvalidRequest> {
        let goal = match Goal::new(state, params)? {
            Some(goal) => Some(goal.reach(state, timeout(params)?).await?),
            None => None,
        };
        let is_wanted = |goal: &Reached| goal.reached && params.get("rejected") == "true";
        let lists_rejected = goal.as_ref().is_none_or(is_wanted);
        Ok(Self::new(state, goal, lists_rejected))
    }

    fn new(state: &'a ApiState, goal: Option<Reached>, lists_rejected: bool) -> Self {
        // In this order, so that an answer never has a shard ahead of what is published.
        let effective = state.effective();
        let acknowledged = state.acknowledged().enumerate();
        let shards = acknowledged.map(|(shard, acknowledged)| Shard {
            shard,
            acknowledged,
        });
        let shards: Vec<_> = shards.collect();
        let current = state.current();
        let published = &current.published;
        let providers = published.providers.iter().map(|provider| {
            let known = current.positions.get(&provider.name);
            Provider {
                name: Arc::clone(&provider.name),
                position: known.map(|(position, _)| Arc::clone(&position.text)),
                revision: revision(state, provider),
                age: known.map(|(_, since)| since.elapsed().as_secs_f64()),
                stale: provider.is_stale(),
                last_error: provider.error.clone(),
                objects: provider.objects,
            }
        });
        let provider = goal.as_ref().and_then(|goal| goal.provider.as_deref());
        let rejected = lists_rejected.then(|| RejectedObjects::new(state, published, provider));
        Self {
            generation: published.generation,
            published: published.generation,
            instance: &state.facts.instance,
            shards,
            effective,
            providers: providers.collect(),
            rejected,
            goal,
        }
    }
}

impl RejectedObjects {
    /// What is not in force as it is configured: of all providers or of one, whose trouble with its source then counts
    /// too.
    fn new(state: &ApiState, published: &Published, provider: Option<&str>) -> Self {
        let mut all = Self {
            rejected: Vec::new(),
            rejected_total: 0,
        };
        let is_meant = |name: &str| provider.is_none_or(|provider| provider == name);
        for known in published.providers.iter().filter(|_| provider.is_some()) {
            if let Some(error) = known.error.as_ref().filter(|_| is_meant(&known.name)) {
                let status = if known.is_stale() { "stale" } else { "failed" };
                all.push(format!("provider {}", known.name), status, error.clone());
            }
        }
        let objects = published.objects.iter();
        let objects = objects.filter(|object| !object.errors.is_empty());
        for object in objects.filter(|object| is_meant(object.provider())) {
            all.rejected_total += 1;
            if all.rejected.len() < MAX_REJECTED {
                all.rejected.push(Rejected {
                    object: format!("{}.{}", object.kind, object.name),
                    status: object.status.as_str(),
                    error: object.errors.join("; "),
                });
            }
        }
        for conflict in published.conflicts.iter() {
            let is_own = |name: &Arc<str>| is_meant(name.rsplit('@').next().unwrap_or_default());
            if conflict.losers.iter().any(is_own) {
                let object = format!("{}.{}", conflict.kind, conflict.name);
                let error = format!("claimed by {}", conflict.losers.join(", "));
                all.push(object, "conflict", error);
            }
        }
        for source in &state.sources().stores {
            if is_meant(&source.name) {
                let problems = source.seen.get().problems;
                for problem in &problems.first {
                    all.push(problem.key.clone(), "ignored", problem.text.clone());
                }
                all.rejected_total += problems.total.saturating_sub(problems.first.len());
            }
        }
        all
    }

    fn push(&mut self, object: String, status: &'static str, error: String) {
        self.rejected_total += 1;
        if self.rejected.len() < MAX_REJECTED {
            self.rejected.push(Rejected {
                object,
                status,
                error,
            });
        }
    }
}

/// The revision of a provider's store up to which everything is published, if its source counts revisions.
pub(super) fn revision(state: &ApiState, provider: &ProviderState) -> Option<u64> {
    let source = state.sources().named(&provider.name)?;
    if !source.has_revisions || !provider.reported {
        return None;
    }
    let sight = source.seen.get();
    if provider.position.number >= sight.number {
        return Some(sight.revision.0);
    }
    provider.position.text.parse().ok()
}

fn timeout(params: &Params) -> Result<Duration, InvalidRequest> {
    let text = params.get("timeout");
    if text.is_empty() {
        return Ok(DEFAULT_WAIT);
    }
    let duration = GoDuration::parse(text);
    let duration = duration.map_err(|_| InvalidRequest(format!("timeout: {text}")))?;
    Ok(duration.as_std().min(MAX_WAIT))
}

/// `/api/ringway/explain`: the request is described by `url` and, where they matter, `method`, `header`
/// (`Name:value`, repeatable), `entrypoint` and `client`. `format=text` asks for the form that people read.
pub(super) fn explain(
    state: &ApiState,
    published: &Published,
    params: &Params,
) -> Result<Explained, InvalidRequest> {
    let or = |key, default| match params.get(key) {
        "" => default,
        text => text,
    };
    let client = or("client", "");
    let client = match client {
        "" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        text => text
            .parse()
            .map_err(|_| InvalidRequest(format!("client: {text} is no IP address")))?,
    };
    let headers = params.all("header").map(|header| {
        let (name, value) = header.split_once(':')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    });
    let headers: Option<Vec<_>> = headers.collect();
    let headers =
        headers.ok_or_else(|| InvalidRequest("header: expected Name:value".to_owned()))?;
    let entry_point = params.get("entrypoint");
    let question = Question {
        method: or("method", "GET").to_owned(),
        url: params.get("url").to_owned(),
        headers,
        entry_point: (!entry_point.is_empty()).then(|| entry_point.to_owned()),
        client,
    };
    let facts = &state.facts;
    explain::explain(
        published,
        &facts.routed_entry_points,
        &facts.default_entry_points,
        &question,
    )
    .map_err(InvalidRequest)
}

/// `/debug/vars`: numbers of this process, for debugging. No command line and no environment: they may hold
/// secrets.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Process {
    pid: u32,
    uptime_seconds: u64,
    generation: u64,
    effective: u64,
    /// Generations that somebody still uses, the newest included.
    live_generations: usize,
    /// Most CPU time that the control thread has spent at one go, in nanoseconds.
    longest_control_turn_ns: u64,
    objects: usize,
    /// Objects that are not in force as configured now.
    objects_rejected: usize,
    /// How often that happened to an object; each reason counts anew (Prometheus: a counter).
    object_rejections: u64,
    /// Generations that became effective on every shard (Traefik: `traefik_config_reloads_total`).
    config_reloads: u64,
    /// When the last one did, in seconds since 1970 (Traefik: `traefik_config_last_reload_success`).
    config_last_reload_success: f64,
    /// How often a provider could not read its source; each reason counts anew.
    config_reload_failures: u64,
    /// How long generations took from planning to every shard.
    config_apply_seconds: ApplySeconds,
    /// Names that are defined more than once now.
    conflicts: usize,
    /// How often such a conflict has begun, changed or ended.
    conflict_changes: u64,
    resident_bytes: Option<u64>,
    threads: Option<u64>,
    open_files: Option<usize>,
    /// What each shard counts, as of its last publication.
    shards: Vec<BTreeMap<&'static str, u64>>,
}

/// A histogram as an exposition has it, and its extremes.
#[derive(Debug, Serialize)]
pub(super) struct ApplySeconds {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    /// For each upper bound how many took no longer.
    buckets: BTreeMap<String, u64>,
}

impl From<Times> for ApplySeconds {
    fn from(times: Times) -> Self {
        let buckets = times.buckets.iter();
        Self {
            count: times.count,
            sum: times.sum,
            min: times.min,
            max: times.max,
            buckets: buckets
                .map(|(bound, count)| (bound.to_string(), *count))
                .chain([("+Inf".to_owned(), times.count)])
                .collect(),
        }
    }
}

impl Process {
    /// The numbers now. What `/proc` does not tell is `null`.
    pub(super) fn now(state: &ApiState) -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let published = state.published();
        let reloads = &state.reloads;
        let last = Duration::from_millis(reloads.last_effective_ms.load(Ordering::Relaxed));
        Self {
            pid: std::process::id(),
            uptime_seconds: state.facts.started.elapsed().unwrap_or_default().as_secs(),
            generation: published.generation,
            effective: state.effective(),
            live_generations: state.live_generations.load(Ordering::Relaxed),
            longest_control_turn_ns: state.longest_control_turn.load(Ordering::Relaxed),
            objects: published.objects.len(),
            objects_rejected: published
                .objects
                .iter()
                .filter(|object| !object.errors.is_empty())
                .count(),
            object_rejections: published.rejections,
            config_reloads: reloads.effective.load(Ordering::Relaxed),
            config_last_reload_success: last.as_secs_f64(),
            config_reload_failures: reloads.failures.load(Ordering::Relaxed),
            config_apply_seconds: reloads.apply.times().into(),
            conflicts: published.conflicts.len(),
            conflict_changes: published.conflict_changes,
            resident_bytes: number("VmRSS:").map(|kib| kib * 1024),
            threads: number("Threads:"),
            open_files: std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count),
            shards: state
                .counters
                .iter()
                .map(|counters| counters.iter().collect())
                .collect(),
        }
    }
}
