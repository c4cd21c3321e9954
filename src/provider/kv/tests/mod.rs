//! Sessions against a store in memory, on a clock that only moves when everybody waits.
//!
//! Every test's updates are audited: the first content is a snapshot and the only one, positions grow, and what
//! changes nothing is not sent.

mod absent;
mod alias;
mod identity;
mod in_root;
mod property;
mod root;
mod seen;
mod values;

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::sleep;

use super::fake::{Asked, Fake};
use super::image::Limits;
use super::seen::Seen;
use super::session::{AliasSettings, SessionSettings, run};
use super::store::Pair;
use super::tree::{Candidate, Tree, prefix_of};
use crate::config::dynamic::{Kind, Object, ObjectKey};
use crate::watcher::{Entry, Objects, Payload, Update};

/// How long a condition may take, on the paused clock.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a test on a paused clock.
fn paused<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, test)
}

/// A session with its store.
struct Run {
    fake: Fake,
    seen: Seen,
    updates: Rc<RefCell<Vec<Update>>>,
    stop: Option<oneshot::Sender<()>>,
    session: JoinHandle<()>,
}

/// What the watcher has been told in all.
#[derive(Clone, Debug, Default)]
struct View {
    objects: Objects,
    error: Option<String>,
    is_reported: bool,
    position: String,
    number: u64,
}

impl View {
    /// Takes an update in and checks that it says something.
    fn take(&mut self, update: &Update) {
        assert!(update.position.number > self.number, "positions grow");
        self.number = update.position.number;
        update.position.text.as_ref().clone_into(&mut self.position);
        match &update.payload {
            Payload::Failed(reason) => {
                assert_ne!(self.error.as_ref(), Some(reason), "a status is said once");
                self.error = Some(reason.clone());
                return;
            }
            Payload::Snapshot(objects) => {
                assert!(!self.is_reported, "only the first content is a snapshot");
                self.objects = objects.clone();
                self.is_reported = true;
            }
            Payload::Patch(objects) => {
                assert!(self.is_reported, "the first content is a snapshot");
                assert!(
                    !objects.is_empty() || self.error.is_some(),
                    "an empty patch clears a status"
                );
                for (key, entry) in objects {
                    let before = match entry {
                        Entry::Absent => self.objects.remove(key),
                        entry => self.objects.insert(key.clone(), entry.clone()),
                    };
                    let before = before.unwrap_or_default();
                    assert_ne!(&before, entry, "{key} was equal already");
                }
            }
        }
        self.error = None;
    }

    /// The rules of the routers in force, by name; `None` for one that is rejected.
    fn rules(&self) -> Vec<(&str, Option<&str>)> {
        let rules = self.objects.iter().map(|(key, entry)| {
            let rule = match entry {
                Entry::Present(Object::HttpRouter(router)) => Some(&*router.rule),
                _ => None,
            };
            (&*key.name, rule)
        });
        rules.collect()
    }

    fn error(&self) -> &str {
        self.error.as_deref().unwrap_or_default()
    }
}

fn settings(fake_root: &str) -> SessionSettings {
    SessionSettings {
        provider: "etcd".into(),
        root: fake_root.into(),
        limits: Limits::default(),
        former: Arc::default(),
        alias: None,
        allow_restore: false,
        state_dir: None,
        seen: Seen::default(),
    }
}

fn alias_settings(watches_tree: bool) -> SessionSettings {
    SessionSettings {
        alias: Some(AliasSettings {
            key: "alias".into(),
            watches_tree,
            is_in_root: false,
        }),
        ..settings("unused")
    }
}

impl Run {
    fn start(fake: &Fake, settings: SessionSettings) -> Self {
        let updates = Rc::new(RefCell::new(Vec::new()));
        let sink = {
            let updates = Rc::clone(&updates);
            move |update| updates.borrow_mut().push(update)
        };
        let (stop, stopped) = oneshot::channel();
        let seen = settings.seen.clone();
        let store = fake.store();
        let session = tokio::task::spawn_local(async move {
            let stopped = async { drop(stopped.await) };
            run(store, settings, sink, stopped).await;
        });
        Self {
            fake: fake.clone(),
            seen,
            updates,
            stop: Some(stop),
            session,
        }
    }

    /// Starts and waits for the first content.
    async fn ready(fake: &Fake, settings: SessionSettings) -> Self {
        let run = Self::start(fake, settings);
        run.until(|view| view.is_reported && view.error.is_none())
            .await;
        run.idle().await;
        run.updates_count();
        fake.asked();
        run
    }

    /// Waits until everybody waits for something.
    async fn idle(&self) {
        // The paused clock moves only once nobody can run.
        sleep(Duration::from_millis(1)).await;
    }

    fn view(&self) -> View {
        let mut view = View::default();
        for update in self.updates.borrow().iter() {
            view.take(update);
        }
        view
    }

    fn updates_count(&self) -> usize {
        self.updates.borrow().len()
    }

    /// Waits until what the watcher knows is as wanted.
    async fn until(&self, wanted: impl Fn(&View) -> bool) -> View {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let view = self.view();
            if wanted(&view) {
                return view;
            }
            assert!(
                tokio::time::Instant::now() < end,
                "not reached; the watcher knows {:?}, error {:?}",
                view.rules(),
                view.error
            );
            assert!(!self.session.is_finished(), "the session has ended");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until exactly these routers are in force, and nothing is wrong.
    async fn until_rules(&self, rules: &[(&str, &str)]) -> View {
        let wanted: Vec<(&str, Option<&str>)> = rules
            .iter()
            .map(|(name, rule)| (*name, Some(*rule)))
            .collect();
        self.until(|view| view.is_reported && view.error.is_none() && view.rules() == wanted)
            .await
    }

    /// Waits until the status contains a text.
    async fn until_error(&self, text: &str) -> View {
        self.until(|view| view.error().contains(text)).await
    }

    /// Which prefixes were listed since this was last asked.
    fn listed(&self) -> Vec<String> {
        let asked = self.fake.asked().into_iter();
        let listed = asked.filter_map(|asked| match asked {
            Asked::List(scope) => Some(scope),
            _ => None,
        });
        listed.collect()
    }

    async fn stop(mut self) -> View {
        drop(self.stop.take());
        (&mut self.session).await.unwrap();
        self.view()
    }
}

/// What is in force if this root's state at a revision is.
fn decoded(fake: &Fake, root: &str, revision: u64) -> Objects {
    let mut candidate = Candidate::new(Limits::default(), &prefix_of(root));
    let pairs = fake.state_at(revision).into_iter();
    candidate.page(pairs.map(|(key, value)| Pair { key, value }).collect());
    let mut tree = Tree::new(Limits::default(), Arc::default());
    tree.accept(candidate).unwrap()
}

fn rule(root: &str, name: &str) -> String {
    format!("{root}/http/routers/{name}/rule")
}

fn router(name: &str) -> ObjectKey {
    ObjectKey::new(Kind::HttpRouter, name)
}

fn with_state(directory: &Path, settings: SessionSettings) -> SessionSettings {
    SessionSettings {
        state_dir: Some(directory.to_owned()),
        ..settings
    }
}
