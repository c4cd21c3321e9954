//! What one changed route costs on its way from a provider's patch to the shards' mailboxes: allocations are held, so
//! that the cost cannot come to grow with the number of routers; times are printed.
//!
//! `cargo test --profile fast --test change_cost -- --nocapture` shows microseconds for an optimised build.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mimalloc::MiMalloc;
use ringway::config::dynamic::{Kind, Object, ObjectKey, decode_text};
use ringway::config::format::Format;
use ringway::control::broadcast::Broadcast;
use ringway::io::cpu::thread_time;
use ringway::plan::{PlanSettings, Planner};
use ringway::router::mailbox::{ShardInbox, ToShard, mailbox};
use ringway::router::snapshot::Snapshot;
use ringway::watcher::{Entry, Objects, Payload, Position, Update, Watcher, WatcherSettings};

/// The product's allocator, counting per thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to MiMalloc with unchanged arguments; counting touches thread-local cells without
// destructors, which does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|c| c.set(c.get() + 1));
        BYTES.with(|c| c.set(c.get() + layout.size()));
        // SAFETY: the caller's contract is MiMalloc's.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: `ptr` came from `alloc` above, so from MiMalloc, with this layout.
        unsafe { MiMalloc.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Shards of the test, each with its mailbox.
const SHARDS: usize = 2;

/// Changes that are measured at each size.
const CHANGES: usize = 200;

/// A provider, the plan and the control thread's part, all on this thread; shards that only take and give back.
struct Path {
    watcher: Watcher,
    planner: Planner,
    broadcast: Broadcast,
    inboxes: Vec<(ShardInbox, Option<Arc<Snapshot>>)>,
    number: u64,
    /// What each step took in all.
    spent: BTreeMap<&'static str, Duration>,
}

impl Path {
    fn new() -> Self {
        let settings = PlanSettings {
            entry_points: vec!["web".into()],
            default_entry_points: vec!["web".into()],
            ..PlanSettings::default()
        };
        let (links, inboxes) = (0..SHARDS)
            .map(|_| {
                let (link, inbox) = mailbox(Arc::new(|| {}));
                (link, (inbox, None))
            })
            .unzip();
        Self {
            watcher: Watcher::new(WatcherSettings::default()),
            planner: Planner::new(settings),
            broadcast: Broadcast::new(links, 0),
            inboxes,
            number: 0,
            spent: BTreeMap::new(),
        }
    }

    /// One update from its arrival to the last shard's acknowledgement; false if it makes no difference.
    fn apply(&mut self, payload: Payload) -> bool {
        self.number += 1;
        let position = Position {
            number: self.number,
            text: "".into(),
        };
        let update = Update {
            provider: "etcd".into(),
            position,
            payload,
        };
        let mut clock = Clock::new(&mut self.spent);
        self.watcher.receive(update, clock.start);
        let change = self.watcher.take_due(clock.start);
        clock.step("watcher");
        let Some(change) = change else {
            return false;
        };
        let has_objects = !change.objects.is_empty();
        let planned = self.planner.apply(change);
        clock.step("planner");
        // Only how far the provider is may be new.
        let Some(changes) = planned.change else {
            assert!(!has_objects, "shards must know");
            return false;
        };
        self.broadcast.apply(&changes, clock.start);
        drop(planned.published);
        clock.step("broadcast");
        for (inbox, held) in &mut self.inboxes {
            while let Some(ToShard::Apply(changes)) = inbox.try_recv() {
                inbox.ack(changes.snapshot.generation);
                if let Some(old) = held.replace(changes.snapshot) {
                    inbox.give_back(old).expect("the queue has room");
                }
            }
        }
        clock.step("shards");
        self.broadcast.pump(clock.start);
        clock.step("drop");
        true
    }
}

/// The thread's own time, so that others on its core do not count.
struct Clock<'a> {
    spent: &'a mut BTreeMap<&'static str, Duration>,
    start: Instant,
    used: Duration,
}

impl<'a> Clock<'a> {
    fn new(spent: &'a mut BTreeMap<&'static str, Duration>) -> Self {
        Self {
            spent,
            start: Instant::now(),
            used: thread_time(),
        }
    }

    fn step(&mut self, name: &'static str) {
        let before = std::mem::replace(&mut self.used, thread_time());
        *self.spent.entry(name).or_default() += self.used - before;
    }
}

/// All routers and one service that they share.
fn everything(routers: usize) -> Objects {
    let mut objects = Objects::new();
    for number in 0..routers {
        objects.extend(router(number, &format!("h{number}.test")));
    }
    objects.extend(service("shared", "127.0.0.1:1"));
    objects
}

fn router(number: usize, host: &str) -> Objects {
    decoded(&format!(
        "http:\n  routers:\n    r{number}:\n      rule: Host(`{host}`)\n      service: shared\n"
    ))
}

fn service(name: &str, address: &str) -> Objects {
    decoded(&format!(
        "http:\n  services:\n    {name}:\n      loadBalancer:\n        servers:\n          - url: http://{address}\n"
    ))
}

fn decoded(yaml: &str) -> Objects {
    let decoded = decode_text(Format::Yaml, yaml, None).unwrap();
    let good = |(key, declared): (ObjectKey, ringway::config::dynamic::Declared)| {
        let object: Object = declared.result.expect("the test's objects are good");
        (key, Entry::Present(object))
    };
    decoded.objects.into_iter().map(good).collect()
}

fn absent(kind: Kind, name: &str) -> Objects {
    let key = ObjectKey {
        kind,
        name: name.into(),
    };
    [(key, Entry::Absent)].into()
}

/// Allocations, bytes and microseconds per change of one kind.
fn measure(path: &mut Path, what: &str, size: usize, patch: impl Fn(usize) -> Objects) -> usize {
    // What the first changes leave in vectors and maps is not of their cost.
    for number in 0..20 {
        path.apply(Payload::Patch(patch(number)));
    }
    path.spent.clear();
    let (mut allocations, mut bytes) = (0, 0);
    for number in 20..20 + CHANGES {
        let patch = Payload::Patch(patch(number));
        let before = (ALLOCATIONS.get(), BYTES.get());
        assert!(path.apply(patch), "it makes a difference");
        allocations += ALLOCATIONS.get() - before.0;
        bytes += BYTES.get() - before.1;
    }
    let all = path.spent.values().sum::<Duration>();
    let micros = |spent: Duration| spent.as_secs_f64() * 1e6 / CHANGES as f64;
    let steps = path
        .spent
        .iter()
        .map(|(name, spent)| format!("{name} {:.1}", micros(*spent)));
    println!(
        "{what:<14} of {size:>7}: {:>5.1} µs ({}), {} allocations, {} bytes",
        micros(all),
        steps.collect::<Vec<_>>().join(", "),
        allocations / CHANGES,
        bytes / CHANGES,
    );
    allocations / CHANGES
}

#[test]
fn a_change_costs_the_same_among_many_routers_as_among_few() {
    let mut costs = Vec::new();
    for size in [1_000, 10_000, 100_000] {
        let mut path = Path::new();
        path.apply(Payload::Snapshot(everything(size)));
        let spread = |number: usize| number * 7919 % size;
        costs.push([
            measure(&mut path, "rule changed", size, |number| {
                router(spread(number), &format!("e{number}.test"))
            }),
            measure(&mut path, "router added", size, |number| {
                router(size + number, &format!("a{number}.test"))
            }),
            measure(&mut path, "router removed", size, |number| {
                absent(Kind::HttpRouter, &format!("r{}", size + number))
            }),
            measure(&mut path, "servers", size, |number| {
                service("shared", &format!("127.0.0.1:{}", number + 2))
            }),
        ]);
    }
    for (kind, few) in costs[0].iter().enumerate() {
        let many = costs[2][kind];
        assert!(
            many <= few + few / 2,
            "{many} allocations per change among 100,000 routers, {few} among 1,000"
        );
    }
}

#[test]
fn the_same_content_again_makes_no_change_and_other_content_one() {
    let routers = 100_000;
    let mut path = Path::new();
    let mut took = |what: &str, objects: Objects, changes: bool| {
        path.spent.clear();
        assert_eq!(path.apply(Payload::Snapshot(objects)), changes, "{what}");
        let steps = path
            .spent
            .iter()
            .map(|(step, spent)| format!("{step} {spent:.0?}"));
        println!(
            "{what}, {routers} routers: {}",
            steps.collect::<Vec<_>>().join(", ")
        );
    };
    took("first load", everything(routers), true);
    took("the same again", everything(routers), false);
    let mut others = everything(routers);
    others.extend((0..routers).flat_map(|number| router(number, &format!("other{number}.test"))));
    took("all rules changed", others, true);
}
