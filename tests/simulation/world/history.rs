//! Configurations that follow each other, compiled ahead by the real planner: a scenario starts at some
//! point and walks along. Not for: what they say (`draft`).
//!
//! Compiling takes longer than a scenario, so histories are kept and shared by the seeds that use them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use ringway::config::dynamic::decode_text;
use ringway::config::format::Format;
use ringway::plan::{PlanSettings, Planner};
use ringway::router::snapshot::Snapshot;
use ringway::service::{NameId, PoolId, StateId};
use ringway::watcher::{Entry, Payload, Position, Update, Watcher, WatcherSettings};

use super::choices::Choices;
use super::draft::{Draft, Route, Target, origin_named};

/// Configurations in a history.
pub const STEPS: usize = 40;
/// Histories that are kept.
const KEPT: usize = 16;

/// One configuration, and what it makes obsolete.
pub struct Step {
    /// What shards are given.
    pub snapshot: Arc<Snapshot>,
    /// State that goes with the one before.
    pub removed_states: Vec<StateId>,
    /// Pools that go with it.
    pub removed_pools: Vec<PoolId>,
    /// Names of hosts in use, each with the origin that it is the name of.
    pub names: BTreeMap<NameId, usize>,
    /// The service with error pages.
    pub pages: Target,
    routers: Vec<Option<Route>>,
}

/// A sequence of configurations.
pub struct History {
    /// They follow each other.
    pub steps: Vec<Step>,
    // What the snapshots were made by, kept with them.
    _planner: Planner,
}

thread_local! {
    static HISTORIES: RefCell<BTreeMap<(u64, bool), Rc<History>>> = const { RefCell::new(BTreeMap::new()) };
}

impl Step {
    /// What a request to a router meets; `None`: there is no such router.
    pub fn router(&self, n: usize) -> Option<&Route> {
        self.routers[n].as_ref()
    }
}

impl History {
    /// The history with this number. A calm one never removes a router and names no dead server.
    pub fn get(number: u64, calm: bool) -> Rc<History> {
        HISTORIES.with_borrow_mut(|histories| {
            if let Some(history) = histories.get(&(number, calm)) {
                return history.clone();
            }
            while histories.len() >= KEPT {
                histories.pop_first();
            }
            let history = Rc::new(History::new(number, calm));
            histories.insert((number, calm), history.clone());
            history
        })
    }

    fn new(number: u64, calm: bool) -> History {
        let mut planner = Planner::new(PlanSettings {
            entry_points: vec!["web".into()],
            default_entry_points: vec!["web".into()],
            ..PlanSettings::default()
        });
        let mut watcher = Watcher::new(WatcherSettings::default());
        let mut draft = Draft::new(Choices::Seed(number), calm);
        let mut steps = Vec::new();
        let mut names = BTreeMap::new();
        for n in 0..STEPS {
            let text = draft.text();
            let decoded = decode_text(Format::Yaml, &text, None).expect("the YAML parses");
            let objects = decoded.objects.into_iter().map(|(key, declared)| {
                (key, Entry::Present(declared.result.expect("a good object")))
            });
            let update = Update {
                provider: "file".into(),
                position: Position {
                    text: "".into(),
                    number: n as u64 + 1,
                },
                payload: Payload::Snapshot(objects.collect()),
            };
            // The watcher is told the time; without a throttle it makes no difference which.
            let now = std::time::Instant::now();
            watcher.receive(update, now);
            let planned = watcher.take_due(now).map(|merged| planner.apply(merged));
            if let Some(planned) = &planned {
                for (id, host) in &planned.names_added {
                    names.insert(*id, origin_named(host));
                }
                for (id, _) in &planned.names_removed {
                    names.remove(id);
                }
            }
            let change = planned.and_then(|planned| planned.change);
            // An edit may come to nothing: a router that is gone is removed.
            let last = steps.last().map(|step: &Step| step.snapshot.clone());
            let (removed_states, removed_pools) =
                change.as_ref().map_or_else(Default::default, |change| {
                    (
                        change.removed_states.to_vec(),
                        change.removed_pools.to_vec(),
                    )
                });
            steps.push(Step {
                snapshot: change
                    .map(|change| change.snapshot.clone())
                    .or(last)
                    .expect("a first change"),
                removed_states,
                removed_pools,
                names: names.clone(),
                pages: draft.pages(),
                routers: draft.routes(),
            });
            draft.change();
        }
        History {
            steps,
            _planner: planner,
        }
    }
}
