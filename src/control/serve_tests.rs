//! The loop with real files and sockets, and shards that only do what their mailbox says.

use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;

use super::*;
use crate::control::resolver::Answer;
use crate::plan::{PlanSettings, Planner};
use crate::provider::file::{FileSettings, Source};
use crate::provider::internal;
use crate::router::mailbox::{ShardInbox, mailbox};
use crate::router::snapshot::Snapshot;
use crate::watcher::{Payload, Position, Update, WatcherSettings};

const PATIENCE: Duration = Duration::from_secs(10);

/// Every name has this address.
struct Fixed;

impl Lookup for Fixed {
    async fn lookup(&self, _: Arc<str>) -> Result<Answer, String> {
        let addresses = vec![IpAddr::from([192, 0, 2, 7])];
        Ok(Answer {
            addresses,
            ttl: Duration::from_secs(30),
        })
    }
}

/// What a shard was told.
#[derive(Default)]
struct Seen {
    listeners: Vec<TcpListener>,
    health: Vec<Health>,
    addresses: Vec<NameAddresses>,
    drained: Vec<u32>,
    generation: u64,
    stopped: bool,
}

/// A shard that does what its mailbox says, and acknowledges unless it is held.
fn shard(inbox: ShardInbox, seen: Arc<Mutex<Seen>>, held: Arc<AtomicBool>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut snapshot: Option<Arc<Snapshot>> = None;
        let end = Instant::now() + 3 * PATIENCE;
        while Instant::now() < end {
            if held.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            let Some(message) = inbox.try_recv() else {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            let mut seen = seen.lock().unwrap();
            match message {
                ToShard::Apply(changes) => {
                    seen.generation = changes.snapshot.generation;
                    inbox.ack(seen.generation);
                    if let Some(old) = snapshot.replace(changes.snapshot) {
                        let _ = inbox.give_back(old);
                    }
                }
                ToShard::Addresses(addresses) => seen.addresses.push(addresses),
                ToShard::ForgetName(name) => {
                    let known = seen.addresses.len();
                    seen.addresses.retain(|addresses| addresses.name != name);
                    assert!(seen.addresses.len() < known, "an unknown name is forgotten");
                    assert!(seen.generation > 1, "forgotten while it may still be used");
                }
                ToShard::Listen(listen) => seen.listeners.push(listen.listener),
                ToShard::Health(health) => seen.health.push(health),
                ToShard::Drain(drain) => {
                    seen.drained.push(drain.entry_point);
                    inbox.report_drained();
                }
                ToShard::Stop => {
                    seen.stopped = true;
                    return;
                }
            }
        }
    })
}

/// A running loop, seen from outside.
struct Scene {
    root: tempfile::TempDir,
    seen: Vec<Arc<Mutex<Seen>>>,
    held: Arc<AtomicBool>,
    addresses: Vec<SocketAddr>,
    generations: Arc<crate::router::mailbox::Generations>,
    published: Arc<ArcSwap<Published>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<ExitCode>>,
}

struct Options {
    config: Option<&'static str>,
    startup_timeout: Duration,
    grace: Duration,
    held: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config: Some(ROUTE),
            startup_timeout: PATIENCE,
            grace: Duration::from_secs(5),
            held: false,
        }
    }
}

const ROUTE: &str = "http:\n  routers:\n    r:\n      rule: Host(`a`)\n      service: s\n  services:\n    \
                     s:\n      loadBalancer:\n        servers:\n          - url: http://origin.test:81\n";

impl Scene {
    fn start(options: Options) -> Self {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("dynamic.yml");
        if let Some(text) = options.config {
            std::fs::write(&file, text).unwrap();
        }
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let seen: Vec<Arc<Mutex<Seen>>> = (0..2).map(|_| Arc::default()).collect();
        let held = Arc::new(AtomicBool::new(options.held));
        let (shards, hold) = (seen.clone(), held.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            tokio::task::LocalSet::new().block_on(&runtime, async move {
                let serving = build(&file, &options, &shards, &hold);
                let addresses: Vec<_> = serving
                    .entry_points
                    .iter()
                    .map(|state| state.address)
                    .collect();
                let generations = serving.broadcast.generations();
                tell.send((addresses, generations, serving.published.clone()))
                    .unwrap();
                // A dropped sender must not stop the loop.
                let stop = async move {
                    if stopped.await.is_err() {
                        std::future::pending::<()>().await;
                    }
                };
                serving.run(Box::pin(stop)).await
            })
        });
        let (addresses, generations, published) = told.recv_timeout(PATIENCE).unwrap();
        Self {
            root,
            seen,
            held,
            addresses,
            generations,
            published,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn file(&self) -> PathBuf {
        self.root.path().join("dynamic.yml")
    }

    #[track_caller]
    fn wait(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < end, "no {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn all(&self, condition: impl Fn(&Seen) -> bool) -> bool {
        self.seen
            .iter()
            .all(|seen| condition(&seen.lock().unwrap()))
    }

    fn accepts(&self, entry_point: usize) -> bool {
        TcpStream::connect(self.addresses[entry_point]).is_ok()
    }

    fn end(&mut self) -> ExitCode {
        let _ = self.stop.take().unwrap().send(());
        self.thread.take().unwrap().join().unwrap()
    }
}

/// Entry point 0 is `traefik`, 1 is `web`.
fn build(
    file: &Path,
    options: &Options,
    seen: &[Arc<Mutex<Seen>>],
    held: &Arc<AtomicBool>,
) -> Serving<Fixed> {
    let wake = Arc::new(Notify::new());
    let mut links = Vec::new();
    let mut threads = Vec::new();
    for seen in seen {
        let woken = wake.clone();
        let (link, inbox) = mailbox(Arc::new(move || woken.notify_one()));
        links.push(link);
        threads.push(shard(inbox, seen.clone(), held.clone()));
    }
    let planner = Planner::new(PlanSettings {
        entry_points: vec!["traefik".into(), "web".into()],
        default_entry_points: vec!["web".into()],
        ..PlanSettings::default()
    });
    let published = planner.published();
    let watcher = WatcherSettings {
        expected: vec!["file".into(), internal::NAME.into()],
        ..WatcherSettings::default()
    };
    let (emit, outcomes) = mpsc::unbounded_channel();
    let worker =
        PlanWorker::start(watcher, planner, move |outcome| drop(emit.send(outcome))).unwrap();
    let updates = worker.updates();
    let settings = FileSettings {
        source: Source::File(file.to_owned()),
        watch: true,
        former: Arc::default(),
    };
    let provider = FileProvider::start(settings, move |update| drop(updates.send(update))).unwrap();
    let internal = Update {
        provider: internal::NAME.into(),
        position: Position {
            number: 1,
            text: "".into(),
        },
        payload: Payload::Snapshot(crate::watcher::Objects::new()),
    };
    worker.updates().send(internal).unwrap();
    let (resolver, addresses) = Resolver::new(Fixed);
    let entry_point = |name: &str, early| {
        let claim = Claim::new(name, "127.0.0.1:0", false).unwrap();
        EntryPointState {
            name: name.into(),
            address: claim.address(),
            claim: Some(claim),
            early,
            accept_grace: Duration::ZERO,
            grace: options.grace,
        }
    };
    Serving {
        entry_points: vec![entry_point("traefik", true), entry_point("web", false)],
        broadcast: Broadcast::new(links, 0),
        threads,
        worker,
        outcomes,
        file: Some(provider),
        resolver,
        addresses,
        wake,
        published: Arc::new(ArcSwap::new(published)),
        api: None,
        startup_timeout: options.startup_timeout,
        reopen_logs: Box::new(|| {}),
        on_ready: None,
        forgotten: VecDeque::new(),
        unconfirmed: VecDeque::new(),
        applying: VecDeque::new(),
    }
}

#[test]
fn traffic_is_served_once_every_provider_is_effective_on_every_shard() {
    let mut scene = Scene::start(Options {
        held: true,
        ..Options::default()
    });
    scene.wait("published generation", |scene| {
        scene.generations.published() == 1
    });
    assert!(scene.accepts(0), "the entry point of /ping listens early");
    assert!(
        !scene.accepts(1),
        "no shard has applied the configuration yet"
    );
    scene.held.store(false, Ordering::SeqCst);
    scene.wait("traffic", |scene| scene.accepts(1));
    assert_eq!(scene.generations.effective(), 1);
    scene.wait("health", |scene| {
        scene.all(|seen| seen.health == [Health::Ready])
    });
    assert!(
        scene.all(|seen| seen.listeners.len() == 2),
        "each shard has its own sockets"
    );
    assert_eq!(scene.end(), ExitCode::SUCCESS);
}

#[test]
fn a_provider_that_does_not_report_delays_traffic_until_the_startup_timeout() {
    let timeout = Duration::from_millis(300);
    let start = Instant::now();
    let mut scene = Scene::start(Options {
        config: None,
        startup_timeout: timeout,
        ..Options::default()
    });
    scene.wait("traffic", |scene| scene.accepts(1));
    assert!(start.elapsed() >= timeout);
    std::fs::write(scene.file(), ROUTE).unwrap();
    scene.wait("late configuration", |scene| {
        scene.all(|seen| seen.generation == 1)
    });
    assert_eq!(scene.end(), ExitCode::SUCCESS);
}

#[test]
fn an_edit_becomes_the_next_effective_generation() {
    let mut scene = Scene::start(Options::default());
    scene.wait("start", |scene| scene.generations.effective() == 1);
    for round in 2..10 {
        std::fs::write(scene.file(), ROUTE.replace("`a`", &format!("`a{round}`"))).unwrap();
        scene.wait("generation", |scene| scene.generations.effective() == round);
    }
    assert_eq!(scene.published.load().generation, 9);
    assert_eq!(scene.end(), ExitCode::SUCCESS);
}

#[test]
fn upstream_names_are_resolved_for_every_shard() {
    let mut scene = Scene::start(Options::default());
    scene.wait("addresses", |scene| {
        scene.all(|seen| seen.addresses.len() == 1)
    });
    let seen = scene.seen[0].lock().unwrap().addresses[0].clone();
    assert_eq!(
        seen.addresses.unwrap().to_vec(),
        vec![IpAddr::from([192, 0, 2, 7])]
    );
    assert_eq!(scene.end(), ExitCode::SUCCESS);
}

#[test]
fn a_name_is_forgotten_only_once_no_shard_can_use_it() {
    let mut scene = Scene::start(Options::default());
    scene.wait("addresses", |scene| {
        scene.all(|seen| seen.addresses.len() == 1)
    });
    scene.held.store(true, Ordering::SeqCst);
    std::fs::write(scene.file(), ROUTE.replace("origin.test", "127.0.0.1")).unwrap();
    scene.wait("published", |scene| scene.generations.published() == 2);
    scene.held.store(false, Ordering::SeqCst);
    scene.wait("forgotten", |scene| {
        scene.all(|seen| seen.addresses.is_empty())
    });
    assert_eq!(scene.end(), ExitCode::SUCCESS);
}

#[test]
fn ending_drains_every_entry_point_and_stops_every_shard() {
    let mut scene = Scene::start(Options::default());
    scene.wait("traffic", |scene| scene.accepts(1));
    let start = Instant::now();
    assert_eq!(scene.end(), ExitCode::SUCCESS);
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "nothing was open: no grace time is waited for"
    );
    assert!(scene.all(|seen| seen.health == [Health::Ready, Health::Terminating]));
    assert!(scene.all(|seen| seen.drained == [0, 1] && seen.stopped));
}

#[test]
fn a_shard_that_never_drains_is_cut_after_the_grace_time() {
    let grace = Duration::from_millis(200);
    let mut scene = Scene::start(Options {
        grace,
        ..Options::default()
    });
    scene.wait("traffic", |scene| scene.accepts(1));
    scene.held.store(true, Ordering::SeqCst);
    let start = Instant::now();
    assert_eq!(scene.end(), ExitCode::SUCCESS);
    assert!(start.elapsed() >= grace);
}

#[test]
fn a_rule_error_fits_on_one_log_line() {
    let text = "rule: Host(`a`) && Pth(`/x`)\n             ^^^ expected a matcher\nhint: did you mean `Path`?";
    assert_eq!(
        one_line(text),
        "rule: Host(`a`) && Pth(`/x`); expected a matcher; hint: did you mean `Path`?"
    );
}

#[test]
fn the_end_of_a_shard_ends_the_process() {
    let scene = Scene::start(Options::default());
    scene.wait("start", |scene| scene.generations.effective() == 1);
    let mut serving_ends = scene;
    // As if its loop had panicked: the thread of the first shard stops.
    serving_ends.seen[0].lock().unwrap().stopped = true;
    let seen = serving_ends.seen[0].clone();
    std::thread::spawn(move || {
        let _poison = seen.lock().unwrap();
        panic!("a shard's loop panics in this test");
    });
    std::fs::write(serving_ends.file(), ROUTE.replace("`a`", "`b`")).unwrap();
    let code = serving_ends.thread.take().unwrap().join().unwrap();
    assert_eq!(code, ExitCode::FAILURE);
}
