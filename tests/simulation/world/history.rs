//! Configurations that follow each other, compiled ahead by the real planner: a scenario starts at some
//! point and walks along. Every object carries its version to where it can be seen, so that a request
//! shows which configuration it met: routers and middlewares in header fields, services in the path.
//!
//! Compiling takes longer than a scenario, so histories are kept and shared by the seeds that use them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;

use ringway::config::dynamic::decode_text;
use ringway::config::format::Format;
use ringway::plan::{PlanSettings, Planner};
use ringway::router::snapshot::Snapshot;
use ringway::service::{PoolId, StateId};
use ringway::watcher::{Entry, Payload, Position, Update, Watcher, WatcherSettings};

use super::choices::Choices;

/// Configurations in a history.
pub const STEPS: usize = 40;
/// Routers, services, middlewares and origins that there may be.
pub const ROUTERS: usize = 4;
const SERVICES: usize = 3;
const MIDDLEWARES: usize = 3;
pub const ORIGINS: usize = 4;
/// Histories that are kept.
const KEPT: usize = 16;
/// Attempts of a `retry`.
pub const ATTEMPTS: u32 = 3;
/// Bytes that a limiting `buffering` lets through.
pub const BUFFERED: usize = 20_000;

/// What a router does around the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Around {
    /// Nothing.
    None,
    /// Sends again after a failure.
    Retry,
    /// The same, also methods that may not be repeated.
    RetryAll,
    /// Holds bodies.
    Buffering,
    /// Holds bodies up to a limit.
    Limit,
}

#[derive(Clone, Copy, Debug)]
struct Router {
    version: u32,
    around: Around,
    middleware: usize,
    service: usize,
}

#[derive(Clone, Debug)]
struct Service {
    version: u32,
    servers: Vec<usize>,
    p2c: bool,
}

/// What a request's labels say about the configuration that it met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// The router's version, as its own middleware tells it.
    pub router: String,
    /// The middleware and its version.
    pub middleware: String,
    /// The service and its version, as the path tells it.
    pub service: String,
}

/// One configuration, and what it makes obsolete.
pub struct Step {
    /// What shards are given.
    pub snapshot: Arc<Snapshot>,
    /// State that goes with the one before.
    pub removed_states: Vec<StateId>,
    /// Pools that go with it.
    pub removed_pools: Vec<PoolId>,
    routers: Vec<Option<(Labels, Around, Vec<usize>)>>,
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
    pub fn router(&self, n: usize) -> Option<&(Labels, Around, Vec<usize>)> {
        self.routers[n].as_ref()
    }
}

/// The address of an origin.
pub fn origin_address(n: usize) -> std::net::SocketAddr {
    ([10, 0, 1, n as u8], 80).into()
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
            let change = watcher
                .take_due(now)
                .and_then(|merged| planner.apply(merged).change);
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
                routers: draft.labels(),
            });
            draft.change();
        }
        History {
            steps,
            _planner: planner,
        }
    }
}

/// A configuration that is being edited.
struct Draft {
    choices: Choices,
    calm: bool,
    routers: Vec<Option<Router>>,
    services: Vec<Service>,
    middlewares: Vec<u32>,
    version: u32,
}

impl Draft {
    fn new(mut choices: Choices, calm: bool) -> Draft {
        let routers = (0..ROUTERS)
            .map(|_| Some(Self::router(&mut choices, 1)))
            .collect();
        let services = (0..SERVICES)
            .map(|_| Self::service(&mut choices, 1, calm))
            .collect();
        Draft {
            routers,
            services,
            middlewares: vec![1; MIDDLEWARES],
            choices,
            calm,
            version: 1,
        }
    }

    fn router(choices: &mut Choices, version: u32) -> Router {
        Router {
            version,
            around: choices.pick(&[
                Around::None,
                Around::None,
                Around::Retry,
                Around::RetryAll,
                Around::Buffering,
                Around::Limit,
            ]),
            middleware: choices.below(MIDDLEWARES as u64) as usize,
            service: choices.below(SERVICES as u64) as usize,
        }
    }

    fn service(choices: &mut Choices, version: u32, calm: bool) -> Service {
        // One origin more than there are: nobody listens there.
        let known = ORIGINS + usize::from(!calm && choices.chance(1, 4));
        let mut servers: Vec<usize> = (0..known).filter(|_| choices.chance(1, 2)).collect();
        if servers.is_empty() && (calm || choices.chance(3, 4)) {
            servers.push(choices.below(ORIGINS as u64) as usize);
        }
        Service {
            version,
            servers,
            p2c: choices.chance(1, 4),
        }
    }

    /// One to three edits.
    fn change(&mut self) {
        for _ in 0..=self.choices.below(3) {
            self.version += 1;
            let version = self.version;
            match self.choices.below(6) {
                0..2 => {
                    let n = self.choices.below(SERVICES as u64) as usize;
                    self.services[n] = Self::service(&mut self.choices, version, self.calm);
                }
                2 | 3 => {
                    let n = self.choices.below(MIDDLEWARES as u64) as usize;
                    self.middlewares[n] = version;
                }
                _ => {
                    let n = self.choices.below(ROUTERS as u64) as usize;
                    let gone = !self.calm && self.choices.chance(1, 4);
                    let router = Self::router(&mut self.choices, version);
                    self.routers[n] = (!gone).then_some(router);
                }
            }
        }
    }

    fn labels(&self) -> Vec<Option<(Labels, Around, Vec<usize>)>> {
        let label = |router: &Router| {
            let service = &self.services[router.service];
            let labels = Labels {
                router: router.version.to_string(),
                middleware: format!(
                    "{}.{}",
                    router.middleware, self.middlewares[router.middleware]
                ),
                service: format!("s{}v{}", router.service, service.version),
            };
            (labels, router.around, service.servers.clone())
        };
        self.routers
            .iter()
            .map(|router| router.as_ref().map(label))
            .collect()
    }

    fn text(&self) -> String {
        let mut text =
            String::from("http:\n  routers:\n    none: {rule: 'Host(`nobody`)', service: s0}\n");
        for (n, router) in self.routers.iter().enumerate() {
            let Some(router) = router else { continue };
            let around = match router.around {
                Around::None => "",
                Around::Retry => ", retry",
                Around::RetryAll => ", retry-all",
                Around::Buffering => ", buffering",
                Around::Limit => ", limit",
            };
            let _ = writeln!(
                text,
                "    r{n}: {{rule: 'PathPrefix(`/r{n}/`)', service: s{}, middlewares: [t{n}, m{}{around}]}}",
                router.service, router.middleware
            );
        }
        text += "  middlewares:\n";
        for (n, router) in self.routers.iter().enumerate() {
            let Some(router) = router else { continue };
            let version = router.version;
            let _ = writeln!(
                text,
                "    t{n}: {{headers: {{customRequestHeaders: {{X-Router: '{version}'}}, customResponseHeaders: {{X-Router-Back: '{version}'}}}}}}"
            );
        }
        for (n, version) in self.middlewares.iter().enumerate() {
            let _ = writeln!(
                text,
                "    m{n}: {{headers: {{customRequestHeaders: {{X-Middleware: '{n}.{version}'}}, customResponseHeaders: {{X-Middleware-Back: '{n}.{version}'}}}}}}"
            );
        }
        let _ = writeln!(
            text,
            "    retry: {{retry: {{attempts: {ATTEMPTS}, initialInterval: 20ms, status: ['502-504']}}}}\n    \
             retry-all: {{retry: {{attempts: {ATTEMPTS}, status: ['502-504'], retryNonIdempotentMethod: true}}}}\n    \
             buffering: {{buffering: {{maxRequestBodyBytes: 1000000}}}}\n    \
             limit: {{buffering: {{maxRequestBodyBytes: {BUFFERED}, maxResponseBodyBytes: {BUFFERED}}}}}"
        );
        text += "  services:\n";
        for (n, service) in self.services.iter().enumerate() {
            let url = |origin: &usize| {
                format!(
                    "{{url: 'http://{}/s{n}v{}', preservePath: true}}",
                    origin_address(*origin),
                    service.version
                )
            };
            let servers: Vec<String> = service.servers.iter().map(url).collect();
            let strategy = if service.p2c { "p2c" } else { "wrr" };
            let _ = writeln!(
                text,
                "    s{n}: {{loadBalancer: {{strategy: {strategy}, servers: [{}]}}}}",
                servers.join(", ")
            );
        }
        text
    }
}
