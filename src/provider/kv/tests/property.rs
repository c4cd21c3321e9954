//! Whatever happens in whatever order, what is in force ends as the store's last state, and every state on the way was
//! one of the store's.

use proptest::prelude::*;

use super::super::store::Failure;
use super::*;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    /// A transaction: which tree, router and value (`None`: deleted) each.
    Commit(Vec<(bool, u8, Option<u8>)>),
    /// The alias is written, or names nothing.
    Flip(Option<bool>),
    Disconnect,
    Down,
    Up,
    Compact,
    Fail(Failure),
    FailWatch(Failure),
    Hold(bool),
    Lag(bool),
    Repeat,
    /// Milliseconds pass.
    Pass(u16),
}

fn failure() -> impl Strategy<Value = Failure> {
    prop_oneof![
        4 => Just(Failure::Unavailable),
        2 => Just(Failure::Compacted),
        2 => Just(Failure::Unauthenticated),
        1 => Just(Failure::Refused),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let change = (any::<bool>(), 0..4u8, proptest::option::of(0..4u8));
    prop_oneof![
        8 => proptest::collection::vec(change, 1..4).prop_map(Step::Commit),
        3 => proptest::option::of(any::<bool>()).prop_map(Step::Flip),
        2 => Just(Step::Disconnect),
        1 => Just(Step::Down),
        2 => Just(Step::Up),
        2 => Just(Step::Compact),
        2 => failure().prop_map(Step::Fail),
        1 => failure().prop_map(Step::FailWatch),
        1 => any::<bool>().prop_map(Step::Hold),
        2 => any::<bool>().prop_map(Step::Lag),
        1 => Just(Step::Repeat),
        6 => (0..3000u16).prop_map(Step::Pass),
    ]
}

fn tree(is_second: bool) -> &'static str {
    if is_second { "two" } else { "one" }
}

/// Value 0 makes the router a bad one.
fn commit(fake: &Fake, changes: &[(bool, u8, Option<u8>)]) {
    let mut keys = std::collections::BTreeMap::new();
    for (is_second, name, value) in changes {
        let root = tree(*is_second);
        let bad = matches!(value, Some(0)).then(|| "many".to_owned());
        let key = format!("{root}/http/routers/r{name}/priority");
        keys.insert(key, bad);
        let value = value.map(|value| value.to_string());
        keys.insert(rule(root, &format!("r{name}")), value);
    }
    let changes: Vec<(&str, Option<&str>)> = keys
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_deref()))
        .collect();
    fake.commit(&changes);
}

async fn play(run: &Run, steps: Vec<Step>) {
    let flip = |fake: &Fake, value: Option<bool>| fake.put("alias", value.map_or("nowhere", tree));
    play_with(run, steps, flip).await;
}

async fn play_with(run: &Run, steps: Vec<Step>, flip: fn(&Fake, Option<bool>) -> u64) {
    let fake = &run.fake;
    for step in steps {
        match step {
            Step::Commit(changes) => commit(fake, &changes),
            Step::Flip(value) => drop(flip(fake, value)),
            Step::Disconnect => fake.disconnect(),
            Step::Down => fake.set_up(false),
            Step::Up => fake.set_up(true),
            Step::Compact => fake.compact(),
            Step::Fail(failure) => fake.fail([failure]),
            Step::FailWatch(failure) => fake.fail_watches([failure]),
            Step::Hold(is_held) => fake.hold_listings(is_held),
            Step::Lag(they_lag) => fake.let_keys_lag(they_lag),
            Step::Repeat => fake.repeat_events(),
            Step::Pass(millis) => sleep(Duration::from_millis(millis.into())).await,
        }
    }
    fake.hold_listings(false);
    fake.let_keys_lag(false);
    fake.set_up(true);
}

/// Every published state is the state of one of these roots at its position's revision, and none is older than the one
/// before.
fn audit(run: &Run, roots: &[&str]) {
    let mut view = View::default();
    let mut newest = 0;
    for update in run.updates.borrow().iter() {
        view.take(update);
        if !view.is_reported || matches!(update.payload, Payload::Failed(_)) {
            continue;
        }
        let revision = update.position.text.parse().unwrap();
        assert!(
            newest <= revision,
            "{newest} was in force before {revision}"
        );
        newest = revision;
        assert!(
            roots
                .iter()
                .any(|root| decoded(&run.fake, root, revision) == view.objects),
            "at {revision} the store has none of {:?}",
            view.rules()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_root_ends_in_the_stores_last_state(steps in proptest::collection::vec(step(), 0..40)) {
        paused(async {
            let fake = Fake::default();
            let run = Run::start(&fake, settings("one"));
            play(&run, steps).await;
            let last = decoded(&fake, "one", fake.revision());
            run.until(|view| view.is_reported && view.error.is_none() && view.objects == last).await;
            sleep(Duration::from_secs(30)).await;
            let end = run.view();
            assert!(end.error.is_none() && end.objects == last);
            audit(&run, &["one"]);
        });
    }

    #[test]
    fn an_alias_in_the_root_ends_in_the_tree_it_names_or_else_in_the_root(
        steps in proptest::collection::vec(step(), 0..40),
        after in proptest::collection::vec(step(), 0..20),
        has_alias: bool,
    ) {
        paused(async {
            let fake = Fake::default();
            let run = Run::start(&fake, super::in_root::in_root("one"));
            let write = |fake: &Fake, value: Option<bool>| fake.commit(&[("one/alias", value.map(tree))]);
            play_with(&run, steps, write).await;
            let root = tree(has_alias);
            let alias = has_alias.then_some("two");
            let flip = fake.commit(&[("one/alias", alias), (&rule(root, "good"), Some("1"))]);
            let in_force = decoded(&fake, root, flip);
            run.until(|view| view.is_reported && view.error.is_none() && view.objects == in_force).await;
            let after: Vec<Step> = after.into_iter().filter(|step| match step {
                Step::Flip(_) => false,
                Step::Compact | Step::Fail(Failure::Compacted) | Step::FailWatch(Failure::Compacted) => !has_alias,
                _ => true,
            }).collect();
            play_with(&run, after, write).await;
            let last = if has_alias { in_force } else { decoded(&fake, "one", fake.revision()) };
            run.until(|view| view.error.is_none() && view.objects == last).await;
            sleep(Duration::from_secs(30)).await;
            let end = run.view();
            assert!(end.error.is_none() && end.objects == last);
            audit(&run, &["one", "two"]);
        });
    }

    #[test]
    fn an_alias_ends_in_the_tree_it_names(
        steps in proptest::collection::vec(step(), 0..40),
        after in proptest::collection::vec(step(), 0..20),
        watches_tree: bool,
    ) {
        paused(async {
            let fake = Fake::default();
            let run = Run::start(&fake, alias_settings(watches_tree));
            play(&run, steps).await;
            let flip = fake.commit(&[("alias", Some("one")), (&rule("one", "good"), Some("1"))]);
            let in_force = decoded(&fake, "one", flip);
            run.until(|view| view.is_reported && view.error.is_none() && view.objects == in_force).await;
            let after: Vec<Step> = after.into_iter().filter(|step| match step {
                // What cannot be accounted for is listed again, with what was written since.
                Step::Flip(_) => false,
                Step::Compact | Step::Fail(Failure::Compacted) | Step::FailWatch(Failure::Compacted) => watches_tree,
                _ => true,
            }).collect();
            play(&run, after).await;
            let last = if watches_tree { decoded(&fake, "one", fake.revision()) } else { in_force };
            run.until(|view| view.error.is_none() && view.objects == last).await;
            sleep(Duration::from_secs(30)).await;
            let end = run.view();
            assert!(end.error.is_none() && end.objects == last);
            audit(&run, &["one", "two"]);
        });
    }
}
