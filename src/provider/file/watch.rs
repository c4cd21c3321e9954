//! Watches directories and tells, as few and simple events, that something in them changed. Knows
//! inotify's traps; does not know which files matter, and reads nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crossbeam_channel::Sender;
use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecursiveMode, Watcher};

/// What was seen. Paths are those of a watched directory plus one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// A name appeared, vanished or was renamed, or attributes changed: look again.
    Changed(PathBuf),
    /// A file is being written and still open: wait for `Written`, or until it is quiet.
    Writing(PathBuf),
    /// A writer closed the file.
    Written(PathBuf),
    /// Events were lost (the queue was full) or the watch failed: look at everything.
    Lost,
}

/// The set of watched directories.
pub struct DirectoryWatch {
    watcher: Option<notify::RecommendedWatcher>,
    /// Watched directories and their inodes when the watch was set.
    directories: BTreeMap<PathBuf, u64>,
    failure: Option<String>,
}

impl DirectoryWatch {
    /// Watches nothing yet; events go to `sink`, converted by `wrap`.
    ///
    /// Where inotify is not available (its instances are limited per user), [`DirectoryWatch::failure`]
    /// says why, and the owner looks from time to time instead.
    pub fn new<M: Send + 'static>(sink: Sender<M>, wrap: fn(WatchEvent) -> M) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            for event in simplify(event) {
                // A receiver that is gone has stopped the provider: nothing to do.
                let _ = sink.send(wrap(event));
            }
        });
        let (watcher, failure) = match watcher {
            Ok(watcher) => (Some(watcher), None),
            Err(error) => (None, Some(explain(&error))),
        };
        Self {
            watcher,
            directories: BTreeMap::new(),
            failure,
        }
    }

    /// Watches exactly these directories (path and inode). True if a watch was added: what happened in
    /// that directory before was not seen, so look again.
    pub fn set(&mut self, wanted: &BTreeMap<PathBuf, u64>) -> bool {
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        let stale: Vec<PathBuf> = self
            .directories
            .iter()
            .filter(|(path, inode)| wanted.get(*path) != Some(inode))
            .map(|(path, _)| path.clone())
            .collect();
        for path in stale {
            // Fails when the directory is gone, which has ended the watch already.
            let _ = watcher.unwatch(&path);
            self.directories.remove(&path);
        }
        let mut added = false;
        self.failure = None;
        for (path, inode) in wanted {
            if self.directories.contains_key(path) {
                continue;
            }
            match watcher.watch(path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.directories.insert(path.clone(), *inode);
                    added = true;
                }
                Err(error) => {
                    self.failure = Some(format!("{}: {}", path.display(), explain(&error)));
                }
            }
        }
        added
    }

    /// Forgets the watch of a directory that was removed or renamed: an equal path (even an equal
    /// inode number, which file systems reuse) may be another directory by now.
    pub fn forget(&mut self, path: &Path) {
        if self.directories.remove(path).is_some()
            && let Some(watcher) = &mut self.watcher
        {
            let _ = watcher.unwatch(path);
        }
    }

    /// Why changes may go unnoticed, if they may.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }
}

fn simplify(event: notify::Result<notify::Event>) -> Vec<WatchEvent> {
    let Ok(event) = event else {
        return vec![WatchEvent::Lost];
    };
    if event.need_rescan() {
        return vec![WatchEvent::Lost];
    }
    let wrap = match event.kind {
        // Opening and reading are our own doing.
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => WatchEvent::Written,
        EventKind::Access(_) => return Vec::new(),
        EventKind::Modify(ModifyKind::Data(_)) => WatchEvent::Writing,
        _ => WatchEvent::Changed,
    };
    event.paths.into_iter().map(wrap).collect()
}

fn explain(error: &notify::Error) -> String {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            "the limit of inotify watches is reached; raise fs.inotify.max_user_watches".to_owned()
        }
        notify::ErrorKind::Io(error) if error.raw_os_error() == Some(libc::EMFILE) => {
            "the limit of inotify instances or open files is reached; raise \
             fs.inotify.max_user_instances"
                .to_owned()
        }
        notify::ErrorKind::Io(error) => error.to_string(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;
    use std::time::Duration;

    use super::*;

    struct Scene {
        root: tempfile::TempDir,
        events: crossbeam_channel::Receiver<WatchEvent>,
        watch: DirectoryWatch,
    }

    impl Scene {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let (sender, events) = crossbeam_channel::unbounded();
            let watch = DirectoryWatch::new(sender, |event| event);
            let mut scene = Self {
                root,
                events,
                watch,
            };
            assert!(scene.watch_root());
            scene
        }

        fn watch_root(&mut self) -> bool {
            let inode = fs::metadata(self.root.path()).unwrap().ino();
            self.watch
                .set(&BTreeMap::from([(self.root.path().to_owned(), inode)]))
        }

        fn wait_for(&self, wanted: &WatchEvent) {
            while self
                .events
                .recv_timeout(Duration::from_secs(5))
                .unwrap_or_else(|_| panic!("no {wanted:?}"))
                != *wanted
            {}
        }
    }

    #[test]
    fn an_open_writer_is_told_apart_from_one_that_has_closed() {
        let scene = Scene::new();
        let path = scene.root.path().join("a.yml");
        let mut file = fs::File::create(&path).unwrap();
        scene.wait_for(&WatchEvent::Changed(path.clone()));
        file.write_all(b"half").unwrap();
        scene.wait_for(&WatchEvent::Writing(path.clone()));
        drop(file);
        scene.wait_for(&WatchEvent::Written(path));
    }

    #[test]
    fn reading_causes_no_event() {
        let scene = Scene::new();
        let path = scene.root.path().join("a.yml");
        fs::write(&path, "x").unwrap();
        scene.wait_for(&WatchEvent::Written(path.clone()));
        fs::read(&path).unwrap();
        fs::rename(&path, scene.root.path().join("b.yml")).unwrap();
        let next = scene.events.recv_timeout(Duration::from_secs(5)).unwrap();
        assert_eq!(next, WatchEvent::Changed(path));
    }

    #[test]
    fn setting_the_same_directories_again_adds_nothing() {
        let mut scene = Scene::new();
        assert!(!scene.watch_root());
        let root = scene.root.path().to_owned();
        scene.watch.forget(&root);
        assert!(scene.watch_root(), "a forgotten directory is watched again");
        assert_eq!(scene.watch.failure(), None);
    }

    #[test]
    fn a_directory_that_cannot_be_watched_is_named() {
        let mut scene = Scene::new();
        let missing = scene.root.path().join("missing");
        scene.watch.set(&BTreeMap::from([(missing.clone(), 1)]));
        let failure = scene.watch.failure().unwrap();
        assert!(failure.contains(missing.to_str().unwrap()), "{failure}");
    }
}
