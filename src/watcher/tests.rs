//! Nothing is lost, nothing is published twice, whatever comes when.

use proptest::prelude::*;

use super::*;
use crate::config::decode::ObjectError;
use crate::config::dynamic::{HttpRouter, Kind, Object};
use crate::config::tree::Position as Place;

const SECOND: Duration = Duration::from_secs(1);

/// A router whose content is its priority.
fn router(priority: i64) -> Entry {
    Entry::Present(Object::from(HttpRouter {
        priority,
        ..HttpRouter::default()
    }))
}

fn rejected(message: &str) -> Entry {
    let error = ObjectError::new("http.routers.a", Place::NONE, message);
    Entry::Rejected(Arc::new(vec![error]))
}

fn objects<const N: usize>(entries: [(&str, Entry); N]) -> Objects {
    let key = |name: &str| ObjectKey::new(Kind::HttpRouter, name);
    entries.map(|(name, entry)| (key(name), entry)).into()
}

/// A watcher and a clock that only moves when told to.
struct Bench {
    watcher: Watcher,
    now: Instant,
    position: u64,
}

impl Bench {
    fn new(throttle: Duration, expected: &[&str]) -> Self {
        let settings = WatcherSettings {
            throttle,
            expected: expected.iter().map(|name| Arc::from(*name)).collect(),
            ..WatcherSettings::default()
        };
        Self {
            watcher: Watcher::new(settings),
            now: Instant::now(),
            position: 0,
        }
    }

    fn say(&mut self, provider: &str, payload: Payload) -> Received {
        self.position += 1;
        self.say_at(provider, self.position, payload)
    }

    fn say_at(&mut self, provider: &str, position: u64, payload: Payload) -> Received {
        let update = Update {
            provider: provider.into(),
            position: Position {
                number: position,
                text: position.to_string().into(),
            },
            payload,
        };
        self.watcher.receive(update, self.now)
    }

    fn snapshot<const N: usize>(&mut self, entries: [(&str, Entry); N]) {
        self.say("file", Payload::Snapshot(objects(entries)));
    }

    fn patch<const N: usize>(&mut self, entries: [(&str, Entry); N]) {
        self.say("file", Payload::Patch(objects(entries)));
    }

    /// What is due now: names and priorities (`None`: rejected or gone), in order.
    fn due(&mut self) -> Option<Vec<(String, Option<i64>)>> {
        let change = self.watcher.take_due(self.now)?;
        let shown = change.objects.iter().map(|change| {
            let priority = match &change.entry {
                Entry::Present(Object::HttpRouter(router)) => Some(router.priority),
                _ => None,
            };
            (change.name.to_string(), priority)
        });
        let mut shown: Vec<_> = shown.collect();
        shown.sort();
        Some(shown)
    }
}

fn change(name: &str, priority: impl Into<Option<i64>>) -> (String, Option<i64>) {
    (name.to_owned(), priority.into())
}

#[test]
fn a_snapshot_becomes_the_difference_to_what_is_in_force() {
    let mut bench = Bench::new(Duration::ZERO, &[]);
    bench.snapshot([("a", router(1)), ("b", router(2)), ("a-b", router(3))]);
    let all = [
        change("a-b@file", 3),
        change("a@file", 1),
        change("b@file", 2),
    ];
    assert_eq!(bench.due().unwrap(), all);
    bench.snapshot([("a-b", router(3)), ("b", router(4)), ("c", router(5))]);
    let difference = [
        change("a@file", None),
        change("b@file", 4),
        change("c@file", 5),
    ];
    assert_eq!(bench.due().unwrap(), difference);
    assert_eq!(bench.watcher.next_due(), None);
}

#[test]
fn equal_content_changes_no_object() {
    let mut bench = Bench::new(Duration::ZERO, &[]);
    bench.snapshot([("a", router(1)), ("b", rejected("no"))]);
    assert!(bench.due().is_some());
    bench.snapshot([("a", router(1)), ("b", rejected("no"))]);
    assert_eq!(bench.due().unwrap(), [], "only the position moves on");
    bench.patch([("a", router(1)), ("c", Entry::Absent)]);
    let change = bench.watcher.take_due(bench.now).unwrap();
    assert!(change.objects.is_empty());
    assert_eq!(change.providers[0].position.number, 3);
    assert_eq!(bench.due(), None);
}

#[test]
fn a_thousand_patches_under_a_throttle_are_all_there_at_the_end() {
    let mut bench = Bench::new(SECOND, &[]);
    bench.snapshot([]);
    bench.due();
    let mut seen = BTreeMap::new();
    for n in 0..1000 {
        let name = format!("r{n}");
        bench.patch([(name.as_str(), router(n))]);
        bench.now += Duration::from_millis(7);
        seen.extend(bench.due().into_iter().flatten());
    }
    assert!(seen.len() < 1000, "the throttle holds something back");
    bench.now = bench.watcher.next_due().expect("something is pending");
    seen.extend(bench.due().into_iter().flatten());
    assert_eq!(seen.len(), 1000);
    assert!((0..1000).all(|n| seen[&format!("r{n}@file")] == Some(n)));
}

#[test]
fn there_and_back_within_the_throttle_changes_nothing() {
    let mut bench = Bench::new(SECOND, &[]);
    bench.snapshot([("a", router(1))]);
    assert!(bench.due().is_some());
    bench.patch([("a", router(2)), ("b", router(9))]);
    bench.patch([("a", Entry::Absent)]);
    assert_eq!(bench.due(), None, "not due yet");
    bench.patch([("a", router(1)), ("b", Entry::Absent)]);
    bench.now += SECOND;
    assert_eq!(bench.due().unwrap(), [], "due, and nothing has changed");
    assert_eq!(bench.watcher.next_due(), None);
}

#[test]
fn the_first_change_after_a_quiet_time_leaves_at_once() {
    let mut bench = Bench::new(SECOND, &[]);
    bench.snapshot([("a", router(1))]);
    assert_eq!(bench.watcher.next_due(), Some(bench.now));
    bench.due();
    let left = bench.now;
    bench.now += SECOND / 4;
    bench.patch([("a", router(2))]);
    assert_eq!(bench.watcher.next_due(), Some(left + SECOND));
    assert_eq!(bench.due(), None);
    bench.now = left + SECOND;
    assert_eq!(bench.due().unwrap(), [change("a@file", 2)]);
}

#[test]
fn each_provider_has_its_own_throttle() {
    let mut bench = Bench::new(SECOND, &[]);
    bench
        .watcher
        .settings
        .throttles
        .insert("rest".into(), Duration::ZERO);
    for provider in ["file", "rest"] {
        bench.say(provider, Payload::Snapshot(objects([("a", router(1))])));
    }
    assert_eq!(
        bench.due().unwrap(),
        [change("a@file", 1), change("a@rest", 1)]
    );
    for provider in ["file", "rest"] {
        bench.say(provider, Payload::Snapshot(objects([("a", router(2))])));
    }
    assert_eq!(bench.due().unwrap(), [change("a@rest", 2)]);
}

#[test]
fn a_snapshot_replaces_pending_patches_and_later_patches_change_it() {
    let mut bench = Bench::new(Duration::ZERO, &[]);
    bench.patch([("a", router(1)), ("b", router(1))]);
    bench.snapshot([("b", router(2)), ("c", router(2))]);
    bench.patch([("c", Entry::Absent), ("d", router(3))]);
    assert_eq!(
        bench.due().unwrap(),
        [change("b@file", 2), change("d@file", 3)]
    );
}

#[test]
fn what_is_older_than_what_was_said_is_ignored() {
    let mut bench = Bench::new(SECOND, &[]);
    let patch = |n| Payload::Patch(objects([("a", router(n))]));
    assert_eq!(bench.say_at("etcd", 7, patch(7)), Received::Accepted);
    assert_eq!(
        bench.say_at("etcd", 6, patch(6)),
        Received::Stale,
        "while pending"
    );
    assert_eq!(bench.due().unwrap(), [change("a@etcd", 7)]);
    assert_eq!(
        bench.say_at("etcd", 6, patch(6)),
        Received::Stale,
        "when in force"
    );
    assert_eq!(bench.say_at("etcd", 7, patch(8)), Received::Accepted);
    assert_eq!(bench.say_at("consul", 1, patch(1)), Received::Accepted);
}

#[test]
fn a_source_that_fails_keeps_its_state_and_tells_why() {
    let mut bench = Bench::new(Duration::ZERO, &[]);
    bench.snapshot([("a", router(1))]);
    bench.due();
    bench.say("file", Payload::Failed("line 3: what?".into()));
    assert_eq!(bench.due().unwrap(), []);
    let error = |bench: &Bench| bench.watcher.providers().next().unwrap().error.clone();
    assert_eq!(error(&bench).as_deref(), Some("line 3: what?"));
    bench.say("file", Payload::Failed("line 3: what?".into()));
    assert_eq!(bench.due().unwrap(), [], "only another position");
    bench.snapshot([("a", router(1))]);
    assert_eq!(bench.due().unwrap(), [], "only that it is good again");
    assert_eq!(error(&bench), None);
}

#[test]
fn a_failure_after_a_pending_change_does_not_lose_it() {
    let mut bench = Bench::new(Duration::ZERO, &[]);
    bench.snapshot([("a", router(1))]);
    bench.say("file", Payload::Failed("half written".into()));
    assert_eq!(bench.due().unwrap(), [change("a@file", 1)]);
    assert!(bench.watcher.providers().next().unwrap().error.is_some());
}

#[test]
fn an_object_that_does_not_decode_is_a_change_and_its_repair_another() {
    let mut bench = Bench::new(Duration::ZERO, &[]);
    bench.snapshot([("a", router(1))]);
    bench.due();
    bench.patch([("a", rejected("no"))]);
    assert_eq!(bench.due().unwrap(), [change("a@file", None)]);
    bench.patch([("a", rejected("no, still"))]);
    assert_eq!(bench.due().unwrap(), [change("a@file", None)]);
    bench.patch([("a", router(1))]);
    assert_eq!(bench.due().unwrap(), [change("a@file", 1)]);
}

#[test]
fn readiness_needs_every_expected_provider() {
    let mut bench = Bench::new(SECOND, &["file", "etcd"]);
    assert!(!bench.watcher.all_reported());
    bench.say("etcd", Payload::Failed("no route to host".into()));
    bench.say("file", Payload::Snapshot(Objects::new()));
    assert!(bench.due().is_some(), "an empty source has reported, too");
    assert!(!bench.watcher.all_reported());
    bench.say("etcd", Payload::Snapshot(Objects::new()));
    assert!(!bench.watcher.all_reported(), "not in force yet");
    bench.now += SECOND;
    bench.due();
    assert!(bench.watcher.all_reported());
}

#[test]
fn nothing_leaves_before_the_required_provider_has_spoken() {
    let mut bench = Bench::new(Duration::ZERO, &["file"]);
    bench.watcher.settings.required = Some("internal".into());
    bench.snapshot([("a", router(1))]);
    assert_eq!((bench.due(), bench.watcher.next_due()), (None, None));
    bench.say("internal", Payload::Failed("no".into()));
    assert_eq!(bench.due(), None, "a failure is not a state");
    bench.say("internal", Payload::Snapshot(objects([("i", router(2))])));
    assert!(bench.watcher.next_due().is_some());
    let both = [change("a@file", 1), change("i@internal", 2)];
    assert_eq!(bench.due().unwrap(), both, "in one change");
    bench.say("internal", Payload::Failed("no".into()));
    bench.patch([("a", router(3))]);
    assert_eq!(bench.due().unwrap(), [change("a@file", 3)]);
}

#[test]
fn a_provider_is_stale_while_an_earlier_state_stands_in() {
    let mut bench = Bench::new(Duration::ZERO, &["file"]);
    let is_stale = |bench: &mut Bench| {
        bench.due();
        bench.watcher.providers().next().unwrap().is_stale()
    };
    bench.say("file", Payload::Failed("unreachable".into()));
    assert!(!is_stale(&mut bench), "there is nothing to stand in");
    bench.snapshot([("a", router(1))]);
    bench.say("file", Payload::Failed("unreachable".into()));
    assert!(is_stale(&mut bench));
    bench.patch([]);
    assert!(!is_stale(&mut bench));
}

#[test]
fn a_default_store_of_two_providers_is_nobodys_until_one_gives_way() {
    let mut bench = Bench::new(Duration::ZERO, &[]);
    let store = |resolver: &str| {
        let mut store = crate::config::dynamic::TlsStore::default();
        let cert = crate::config::dynamic::tls::GeneratedCert {
            resolver: resolver.into(),
            ..Default::default()
        };
        store.default_generated_cert = Some(Box::new(cert));
        let key = ObjectKey::new(Kind::TlsStore, "default");
        Objects::from([(key, Entry::Present(store.into()))])
    };
    let mut say = |provider: &str, objects| {
        bench.say(provider, Payload::Snapshot(objects));
        bench.watcher.take_due(bench.now)
    };
    let change = say("file", store("a")).unwrap();
    assert_eq!(&*change.objects[0].name, "default");
    assert!(matches!(change.objects[0].entry, Entry::Present(_)));
    assert!(change.conflicts.is_empty());
    let change = say("etcd", store("b")).unwrap();
    assert!(matches!(change.objects[0].entry, Entry::Absent));
    assert_eq!(change.conflicts[0].losers, ["etcd", "file"].map(Arc::from));
    let change = say("consul", store("c")).unwrap();
    assert!(change.objects.is_empty(), "nothing new but a third loser");
    assert_eq!(change.conflicts[0].losers.len(), 3);
    say("consul", Objects::new());
    let change = say("file", Objects::new()).unwrap();
    let Entry::Present(Object::TlsStore(store)) = &change.objects[0].entry else {
        panic!("the last one gets it: {change:?}");
    };
    assert_eq!(
        &*store.default_generated_cert.as_ref().unwrap().resolver,
        "b"
    );
    assert!(change.conflicts.is_empty());
}

/// What a provider may say, over few names.
fn payload() -> impl Strategy<Value = Payload> {
    let entry = prop_oneof![
        3 => (0..3i64).prop_map(router),
        1 => Just(Entry::Absent),
        1 => Just(rejected("no")),
    ];
    let entries = proptest::collection::vec((0..6u8, entry), 0..5);
    let objects = entries.prop_map(|entries| {
        let key = |n| {
            ObjectKey::new(
                Kind::HttpRouter,
                ["a", "a-b", "a.b", "b", "B", "a1"][usize::from(n)],
            )
        };
        entries
            .into_iter()
            .map(|(n, entry)| (key(n), entry))
            .collect::<Objects>()
    });
    prop_oneof![
        1 => objects.clone().prop_map(Payload::Snapshot),
        4 => objects.prop_map(Payload::Patch),
        1 => Just(Payload::Failed("no".into())),
    ]
}

proptest! {
    /// However updates and times are interleaved, the changes add up to the state that was said last, and
    /// no change repeats what was known.
    #[test]
    fn changes_add_up_to_what_was_said(
        updates in proptest::collection::vec((payload(), 0..1500u64), 1..40),
        throttle in prop_oneof![Just(Duration::ZERO), Just(SECOND)],
    ) {
        let mut bench = Bench::new(throttle, &[]);
        let mut said = Objects::new();
        let mut known: BTreeMap<String, Entry> = BTreeMap::new();
        let mut follow = |watcher: &mut Watcher, now| {
            for change in watcher.take_due(now).into_iter().flat_map(|change| change.objects) {
                let before = known.insert(change.name.to_string(), change.entry.clone());
                assert_ne!(before.unwrap_or(Entry::Absent), change.entry);
            }
        };
        for (payload, pause) in updates {
            match &payload {
                Payload::Snapshot(objects) => said = objects.clone(),
                Payload::Patch(objects) => said.extend(objects.clone()),
                Payload::Failed(_) => {}
            }
            bench.say("file", payload);
            follow(&mut bench.watcher, bench.now);
            bench.now += Duration::from_millis(pause);
            follow(&mut bench.watcher, bench.now);
        }
        bench.now += SECOND;
        follow(&mut bench.watcher, bench.now);
        prop_assert_eq!(bench.watcher.next_due(), None);
        known.retain(|_, entry| *entry != Entry::Absent);
        let said = said.into_iter().filter(|(_, entry)| *entry != Entry::Absent);
        let said: BTreeMap<_, _> = said.map(|(key, entry)| (format!("{}@file", key.name), entry)).collect();
        prop_assert_eq!(known, said);
    }
}
