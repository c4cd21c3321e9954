//! Real files in temporary directories; each race is a test. They wait for what must come, and only
//! where nothing must come do they give it a little time.

mod directory;
mod one_file;

use std::fs;
use std::time::{Duration, Instant};

use super::*;
use crate::config::dynamic::{Kind, Object, ObjectKey};
use crate::watcher::{Entry, Objects, Payload};

const PATIENCE: Duration = Duration::from_secs(10);

/// A provider on a temporary directory, and the state that its updates add up to.
struct Scene {
    root: tempfile::TempDir,
    provider: Option<FileProvider>,
    updates: Receiver<Update>,
    objects: Objects,
    error: Option<String>,
    /// Every set of router rules that was in force, in order.
    history: Vec<String>,
}

impl Scene {
    fn new() -> Self {
        let (_, updates) = unbounded();
        let root = tempfile::tempdir().unwrap();
        Self {
            root,
            provider: None,
            updates,
            objects: Objects::new(),
            error: None,
            history: Vec::new(),
        }
    }

    /// Follows `dynamic.yml`, whose router `r` has the host `a`.
    fn of_a_file() -> Self {
        let mut scene = Self::new();
        scene.write("dynamic.yml", &one("a"));
        scene.start_file("dynamic.yml").wait_for("r=a");
        scene
    }

    /// Follows the directory `d`, whose one file `a.yml` has the same router.
    fn of_a_directory() -> Self {
        let mut scene = Self::new();
        scene.write("d/a.yml", &one("a"));
        scene.start_directory("d").wait_for("r=a");
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        if let Some(parent) = self.path(name).parent() {
            fs::create_dir_all(parent).unwrap();
        }
        fs::write(self.path(name), text).unwrap();
        self
    }

    /// As editors and `mv` do it.
    fn replace(&self, name: &str, text: &str) {
        self.write(".new", text);
        fs::rename(self.path(".new"), self.path(name)).unwrap();
    }

    fn start(&mut self, source: Source) -> &mut Self {
        let (sender, updates) = unbounded();
        self.updates = updates;
        let settings = FileSettings {
            source,
            watch: true,
            former: Arc::default(),
        };
        let sink = move |update| drop(sender.send(update));
        self.provider = Some(FileProvider::start(settings, sink).unwrap());
        self
    }

    fn start_file(&mut self, name: &str) -> &mut Self {
        let path = self.path(name);
        self.start(Source::File(path))
    }

    fn start_directory(&mut self, name: &str) -> &mut Self {
        let path = self.path(name);
        self.start(Source::Directory(path))
    }

    fn take(&mut self, update: Update) {
        assert_eq!(&*update.provider, "file");
        match update.payload {
            Payload::Snapshot(objects) => {
                self.objects = objects;
                self.error = None;
            }
            Payload::Patch(objects) => {
                self.objects.extend(objects);
                self.objects
                    .retain(|_, entry| !matches!(entry, Entry::Absent));
                self.error = None;
            }
            Payload::Failed(reason) => self.error = Some(reason),
        }
        let rules = self.rules();
        if self.history.last() != Some(&rules) {
            self.history.push(rules);
        }
    }

    /// `name=host` of every router, and `name!` of rejected ones.
    fn rules(&self) -> String {
        let rules: Vec<String> = self
            .objects
            .iter()
            .filter(|(key, _)| key.kind == Kind::HttpRouter)
            .map(|(key, entry)| match entry {
                Entry::Present(object) => match object {
                    Object::HttpRouter(router) => {
                        let host = router
                            .rule
                            .trim_start_matches("Host(`")
                            .trim_end_matches("`)");
                        format!("{}={host}", key.name)
                    }
                    _ => unreachable!("filtered by kind"),
                },
                Entry::Rejected(_) => format!("{}!", key.name),
                Entry::Absent => unreachable!("absent entries are not kept"),
            })
            .collect();
        rules.join(" ")
    }

    #[track_caller]
    fn wait(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !condition(self) {
            match self.updates.recv_deadline(end) {
                Ok(update) => self.take(update),
                Err(_) => panic!(
                    "no {what}; routers: {:?}, error: {:?}, history: {:?}",
                    self.rules(),
                    self.error,
                    self.history
                ),
            }
        }
    }

    #[track_caller]
    fn wait_for(&mut self, rules: &str) -> &mut Self {
        self.wait(rules, |scene| scene.rules() == rules);
        self
    }

    /// Takes in what comes within a time in which something wrong would come.
    fn settle(&mut self) -> &mut Self {
        let end = Instant::now() + 3 * reader::SETTLE;
        while let Ok(update) = self.updates.recv_deadline(end) {
            self.take(update);
        }
        self
    }
}

fn routes(routers: &[(&str, &str)]) -> String {
    let mut text = String::from("http:\n  routers:\n");
    for (name, host) in routers {
        text.push_str(&format!(
            "    {name}:\n      rule: Host(`{host}`)\n      service: s\n"
        ));
    }
    text
}

fn one(host: &str) -> String {
    routes(&[("r", host)])
}
