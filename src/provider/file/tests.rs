//! Real files in temporary directories; each race is a test. They wait for what must come, and only
//! where nothing must come do they give it a little time.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
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

#[test]
fn a_file_is_read_at_the_start_and_when_it_is_written_in_place() {
    let mut scene = Scene::new();
    scene.write("dynamic.yml", &one("a"));
    scene.start_file("dynamic.yml").wait_for("r=a");
    scene.write("dynamic.yml", &one("b"));
    scene.wait_for("r=b");
}

#[test]
fn an_atomic_rename_over_the_file_is_seen_every_time() {
    let mut scene = Scene::new();
    scene.write("dynamic.yml", &one("a"));
    scene.start_file("dynamic.yml").wait_for("r=a");
    for round in 0..20 {
        let host = format!("h{round}");
        scene.replace("dynamic.yml", &one(&host));
        scene.wait_for(&format!("r={host}"));
    }
    assert_eq!(scene.history.len(), 21, "{:?}", scene.history);
}

#[test]
fn toml_and_a_file_of_any_other_extension_are_read() {
    let mut scene = Scene::new();
    scene.write(
        "dynamic.toml",
        "[http.routers.r]\nrule = \"Host(`a`)\"\nservice = \"s\"\n",
    );
    scene.start_file("dynamic.toml").wait_for("r=a");
    scene.write("dynamic.conf", &one("b"));
    scene.start_file("dynamic.conf").wait_for("r=b");
    scene.write(
        "dynamic.json",
        r#"{"http": {"routers": {"r": {"rule": "Host(`c`)", "service": "s"}}}}"#,
    );
    scene.start_file("dynamic.json").wait_for("r=c");
}

#[test]
fn a_traefik_1_file_is_followed_like_any_other() {
    let mut scene = Scene::new();
    let former = |host: &str| {
        format!(
            "[backends.b]\n[frontends.r]\nbackend = 'b'\n[frontends.r.routes.x]\nrule = 'Host:{host}'\n"
        )
    };
    scene.write("rules.toml", &former("a"));
    scene.start_file("rules.toml").wait_for("r=a");
    scene.write("rules.toml", &former("b"));
    scene.wait_for("r=b");
    let today = "[http.routers.r]\nrule = \"Host(`c`)\"\nservice = \"s\"\n";
    // What mixes both changes nothing.
    scene.write("rules.toml", &format!("{}{today}", former("x")));
    scene.wait("an error", |scene| scene.error.is_some());
    assert!(scene.error.as_ref().unwrap().contains("Traefik 1"));
    assert_eq!(scene.rules(), "r=b");
    scene.write("rules.toml", today);
    scene.wait_for("r=c");
    scene.write("rules.toml", &former("d"));
    scene.wait_for("r=d");
}

#[test]
fn a_half_written_file_is_never_in_force() {
    let mut scene = Scene::new();
    let before = routes(&[("r1", "a"), ("r2", "a")]);
    let after = routes(&[("r1", "b"), ("r2", "b")]);
    scene.write("dynamic.yml", &before);
    scene.start_file("dynamic.yml").wait_for("r1=a r2=a");
    // The first half is valid YAML and would drop r2.
    let half = after.find("    r2:").unwrap();
    let mut file = fs::File::create(scene.path("dynamic.yml")).unwrap();
    file.write_all(&after.as_bytes()[..half]).unwrap();
    std::thread::sleep(QUIET / 4);
    file.write_all(&after.as_bytes()[half..]).unwrap();
    drop(file);
    scene.wait_for("r1=b r2=b");
    assert_eq!(scene.history, ["r1=a r2=a", "r1=b r2=b"]);
}

#[test]
fn a_writer_that_never_closes_is_read_once_it_is_quiet() {
    let mut scene = Scene::new();
    scene.write("dynamic.yml", &one("a"));
    scene.start_file("dynamic.yml").wait_for("r=a");
    let mut file = fs::File::create(scene.path("dynamic.yml")).unwrap();
    file.write_all(one("b").as_bytes()).unwrap();
    scene.wait_for("r=b");
    drop(file);
}

#[test]
fn a_file_that_is_empty_for_a_moment_changes_nothing() {
    let mut scene = Scene::new();
    scene.write("dynamic.yml", &one("a"));
    scene.start_file("dynamic.yml").wait_for("r=a");
    fs::write(scene.path("dynamic.yml"), "").unwrap();
    fs::write(scene.path("dynamic.yml"), one("b")).unwrap();
    scene.wait_for("r=b").settle();
    assert_eq!(scene.history, ["r=a", "r=b"]);
}

#[test]
fn a_file_that_stays_empty_empties_the_configuration() {
    let mut scene = Scene::new();
    scene.write("dynamic.yml", &one("a"));
    scene.start_file("dynamic.yml").wait_for("r=a");
    fs::write(scene.path("dynamic.yml"), "").unwrap();
    scene.wait_for("");
    assert_eq!(scene.error, None);
}

#[test]
fn a_syntax_error_keeps_the_last_good_state_and_says_where_it_is() {
    let mut scene = Scene::new();
    scene.write("dynamic.yml", &one("a"));
    scene.start_file("dynamic.yml").wait_for("r=a");
    scene.write("dynamic.yml", "http:\n  routers: [\n");
    scene.wait("error", |scene| scene.error.is_some());
    assert_eq!(scene.rules(), "r=a");
    let error = scene.error.clone().unwrap();
    assert!(error.contains("dynamic.yml:"), "{error}");
    scene.write("dynamic.yml", &one("b"));
    scene.wait_for("r=b");
    assert_eq!(scene.error, None);
}

#[test]
fn restoring_the_old_content_after_an_error_clears_the_error() {
    let mut scene = Scene::new();
    scene.write("dynamic.yml", &one("a"));
    scene.start_file("dynamic.yml").wait_for("r=a");
    scene.write("dynamic.yml", "{{{");
    scene.wait("error", |scene| scene.error.is_some());
    scene.write("dynamic.yml", &one("a"));
    scene.wait("no error", |scene| scene.error.is_none());
    assert_eq!(scene.history, ["r=a"]);
}

#[test]
fn one_bad_object_leaves_the_others_alone() {
    let mut scene = Scene::new();
    let text = one("a") + "    bad:\n      rule: Host(`b`)\n      servce: s\n";
    scene.write("dynamic.yml", &text);
    scene.start_file("dynamic.yml").wait_for("bad! r=a");
    assert_eq!(scene.error, None);
    let Some(Entry::Rejected(errors)) = scene.objects.get(&ObjectKey::new(Kind::HttpRouter, "bad"))
    else {
        panic!("not rejected")
    };
    assert!(errors[0].to_string().contains("service"), "{}", errors[0]);
}

#[test]
fn one_unparsable_file_of_a_directory_keeps_its_objects_and_the_others_go_on() {
    let mut scene = Scene::new();
    scene
        .write("d/a.yml", &routes(&[("ra", "a")]))
        .write("d/b.yml", &routes(&[("rb", "b")]));
    scene.start_directory("d").wait_for("ra=a rb=b");
    scene.write("d/a.yml", "http: {{ template }}\n");
    scene.wait("error", |scene| scene.error.is_some());
    let error = scene.error.clone().unwrap();
    assert!(
        error.contains("a.yml:1") && error.contains("template"),
        "{error}"
    );
    scene.write("d/b.yml", &routes(&[("rb", "b2")]));
    scene.wait_for("ra=a rb=b2");
    scene.wait("the error of the other file again", |scene| {
        scene.error.is_some()
    });
}

#[test]
fn the_first_file_by_name_wins_and_the_next_takes_over_when_it_goes() {
    let mut scene = Scene::new();
    scene
        .write("d/1.yml", &one("first"))
        .write("d/2.yml", &one("second"));
    scene.start_directory("d").wait_for("r=first");
    scene.write("d/2.yml", &one("changed"));
    scene.settle();
    assert_eq!(scene.rules(), "r=first");
    fs::remove_file(scene.path("d/1.yml")).unwrap();
    scene.wait_for("r=changed");
}

#[test]
fn editors_temporary_files_are_no_configuration() {
    let mut scene = Scene::new();
    scene.write("d/a.yml", &one("a"));
    scene.start_directory("d").wait_for("r=a");
    for name in ["4913", ".a.yml.swp", "a.yml~", "#a.yml#", "a.yml.tmp"] {
        scene.write(&format!("d/{name}"), &one("temporary"));
    }
    symlink("user@host.1234:5678", scene.path("d/.#a.yml")).unwrap();
    scene.settle();
    assert_eq!(scene.history, ["r=a"]);
    assert_eq!(scene.error, None);
}

#[test]
fn vims_way_of_saving_with_a_backup_changes_once() {
    let mut scene = Scene::new();
    scene.write("d/a.yml", &one("a"));
    scene.start_directory("d").wait_for("r=a");
    scene.write("d/4913", "");
    fs::remove_file(scene.path("d/4913")).unwrap();
    fs::rename(scene.path("d/a.yml"), scene.path("d/a.yml~")).unwrap();
    scene.write("d/a.yml", &one("b"));
    fs::remove_file(scene.path("d/a.yml~")).unwrap();
    scene.wait_for("r=b").settle();
    assert_eq!(scene.history, ["r=a", "r=b"]);
}

#[test]
fn a_kubernetes_volume_is_switched_as_a_whole() {
    let mut scene = Scene::new();
    scene
        .write("d/..v1/a.yml", &routes(&[("ra", "1")]))
        .write("d/..v1/b.yml", &routes(&[("rb", "1")]));
    symlink("..v1", scene.path("d/..data")).unwrap();
    symlink("..data/a.yml", scene.path("d/a.yml")).unwrap();
    symlink("..data/b.yml", scene.path("d/b.yml")).unwrap();
    scene.start_directory("d").wait_for("ra=1 rb=1");
    for version in 2..8 {
        let name = format!("d/..v{version}");
        let host = version.to_string();
        scene.write(&format!("{name}/a.yml"), &routes(&[("ra", &host)]));
        scene.write(&format!("{name}/b.yml"), &routes(&[("rb", &host)]));
        symlink(format!("..v{version}"), scene.path("d/..data_tmp")).unwrap();
        fs::rename(scene.path("d/..data_tmp"), scene.path("d/..data")).unwrap();
        fs::remove_dir_all(scene.path(&format!("d/..v{}", version - 1))).unwrap();
        scene.wait_for(&format!("ra={host} rb={host}"));
    }
    assert_eq!(
        scene.history.len(),
        7,
        "never a mixture: {:?}",
        scene.history
    );
}

#[test]
fn a_single_file_behind_a_switched_link_is_followed() {
    let mut scene = Scene::new();
    scene
        .write("d/..v1/a.yml", &one("1"))
        .write("d/..v2/a.yml", &one("2"));
    symlink("..v1", scene.path("d/..data")).unwrap();
    symlink("..data/a.yml", scene.path("d/a.yml")).unwrap();
    scene.start_file("d/a.yml").wait_for("r=1");
    symlink("..v2", scene.path("d/..data_tmp")).unwrap();
    fs::rename(scene.path("d/..data_tmp"), scene.path("d/..data")).unwrap();
    scene.wait_for("r=2");
    scene.write("d/..v2/a.yml", &one("3"));
    scene.wait_for("r=3");
}

#[test]
fn a_file_created_after_the_start_is_read() {
    let mut scene = Scene::new();
    scene.start_file("not/yet/dynamic.yml");
    scene.wait("error", |scene| scene.error.is_some());
    assert!(
        scene.error.as_ref().unwrap().contains("does not exist"),
        "{:?}",
        scene.error
    );
    scene.write("not/yet/dynamic.yml", &one("a"));
    scene.wait_for("r=a");
    assert_eq!(scene.error, None);
}

#[test]
fn a_directory_created_after_the_start_is_read() {
    let mut scene = Scene::new();
    scene.start_directory("later");
    scene.wait("error", |scene| scene.error.is_some());
    scene.write("later/a.yml", &one("a"));
    scene.wait_for("r=a");
}

#[test]
fn a_new_subdirectory_is_watched_however_deep_it_comes() {
    let mut scene = Scene::new();
    scene.write("d/a.yml", &routes(&[("a", "a")]));
    scene.start_directory("d").wait_for("a=a");
    scene.write("d/x/y/z/b.yml", &routes(&[("b", "b")]));
    scene.wait_for("a=a b=b");
    scene.write("d/x/y/z/b.yml", &routes(&[("b", "c")]));
    scene.wait_for("a=a b=c");
}

#[test]
fn a_removed_file_takes_its_objects_along() {
    let mut scene = Scene::new();
    scene
        .write("d/a.yml", &routes(&[("a", "a")]))
        .write("d/b.yml", &routes(&[("b", "b")]));
    scene.start_directory("d").wait_for("a=a b=b");
    fs::remove_file(scene.path("d/a.yml")).unwrap();
    scene.wait_for("b=b");
}

#[test]
fn a_removed_subdirectory_takes_its_objects_along() {
    let mut scene = Scene::new();
    scene
        .write("d/a.yml", &routes(&[("a", "a")]))
        .write("d/x/b.yml", &routes(&[("b", "b")]));
    scene.start_directory("d").wait_for("a=a b=b");
    fs::remove_dir_all(scene.path("d/x")).unwrap();
    scene.wait_for("a=a");
}

#[test]
fn a_renamed_file_keeps_its_objects_all_the_time() {
    let mut scene = Scene::new();
    scene.write("d/a.yml", &one("a"));
    scene.start_directory("d").wait_for("r=a");
    fs::rename(scene.path("d/a.yml"), scene.path("d/b.yml")).unwrap();
    scene.settle();
    assert_eq!(scene.history, ["r=a"]);
    scene.write("d/b.yml", &one("b"));
    scene.wait_for("r=b");
}

#[test]
fn a_removed_source_keeps_its_last_state_and_a_new_one_in_its_place_is_read() {
    let mut scene = Scene::new();
    scene.write("d/a.yml", &one("a"));
    scene.start_directory("d").wait_for("r=a");
    fs::remove_dir_all(scene.path("d")).unwrap();
    scene.wait("error", |scene| scene.error.is_some());
    assert_eq!(scene.rules(), "r=a");
    scene.write("d/a.yml", &one("b"));
    scene.wait_for("r=b");
    scene.wait("no error", |scene| scene.error.is_none());
    scene.write("d/a.yml", &one("c"));
    scene.wait_for("r=c");
}

#[test]
fn a_file_deleted_and_created_again_at_once_changes_once() {
    let mut scene = Scene::new();
    scene.write("d/a.yml", &one("a"));
    scene.start_directory("d").wait_for("r=a");
    fs::remove_file(scene.path("d/a.yml")).unwrap();
    scene.write("d/a.yml", &one("b"));
    scene.wait_for("r=b").settle();
    assert_eq!(scene.history, ["r=a", "r=b"]);
}

#[test]
fn touching_or_rewriting_the_same_content_publishes_nothing() {
    let mut scene = Scene::new();
    scene.write("dynamic.yml", &one("a"));
    scene.start_file("dynamic.yml").wait_for("r=a");
    scene.write("dynamic.yml", &one("a"));
    scene.write("dynamic.yml", &format!("# a comment\n{}", one("a")));
    scene.settle();
    scene.write("dynamic.yml", &one("b"));
    let update = scene.updates.recv_timeout(PATIENCE).unwrap();
    let Payload::Patch(objects) = update.payload else {
        panic!("not a patch")
    };
    assert_eq!(objects.len(), 1);
}

#[test]
fn an_edit_of_one_object_is_a_patch_of_one_object() {
    let mut scene = Scene::new();
    let names: Vec<String> = (0..500).map(|n| format!("r{n}")).collect();
    let mut routers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "a")).collect();
    scene.write("dynamic.yml", &routes(&routers));
    scene.start_file("dynamic.yml");
    scene.wait("all", |scene| scene.objects.len() == 500);
    routers[77].1 = "b";
    scene.replace("dynamic.yml", &routes(&routers));
    let update = scene.updates.recv_timeout(PATIENCE).unwrap();
    let Payload::Patch(objects) = update.payload else {
        panic!("not a patch")
    };
    assert_eq!(
        objects.keys().map(|key| &*key.name).collect::<Vec<_>>(),
        ["r77"]
    );
}

#[test]
fn rereading_sees_what_a_watch_could_not() {
    let mut scene = Scene::new();
    scene.write("dynamic.yml", &one("a"));
    let (sender, updates) = unbounded();
    scene.updates = updates;
    let settings = FileSettings {
        source: Source::File(scene.path("dynamic.yml")),
        watch: false,
        former: Arc::default(),
    };
    scene.provider =
        Some(FileProvider::start(settings, move |update| drop(sender.send(update))).unwrap());
    scene.wait_for("r=a");
    scene.replace("dynamic.yml", &one("b"));
    scene.settle();
    assert_eq!(scene.rules(), "r=a", "watch is off");
    scene.provider.as_ref().unwrap().reread();
    scene.wait_for("r=b");
}

#[test]
fn a_file_edited_many_times_in_a_row_ends_with_the_last_state() {
    let mut scene = Scene::new();
    scene.write("dynamic.yml", &one("a"));
    scene.start_file("dynamic.yml").wait_for("r=a");
    for round in 0..300 {
        if round % 2 == 0 {
            scene.replace("dynamic.yml", &one(&format!("h{round}")));
        } else {
            scene.write("dynamic.yml", &one(&format!("h{round}")));
        }
    }
    scene.wait_for("r=h299");
    assert!(
        !scene.history.iter().any(String::is_empty),
        "{:?}",
        scene.history
    );
}

#[test]
fn a_write_to_a_log_file_beside_the_configuration_reads_nothing() {
    let mut scene = Scene::new();
    scene.write("dynamic.yml", &one("a"));
    scene.start_file("dynamic.yml").wait_for("r=a");
    scene.write("traefik.log", "a line\n");
    scene.settle();
    assert_eq!(scene.history, ["r=a"]);
    scene.write("dynamic.yml", &one("b"));
    scene.wait_for("r=b");
}

#[test]
fn names_with_dots_and_deep_errors_name_file_and_path() {
    let mut scene = Scene::new();
    scene.write("d/a.yml", "http:\n  services:\n    s:\n      loadBalancer:\n        servers:\n          - uri: http://x\n");
    scene.write("d/b.yml", &one("b"));
    scene.start_directory("d").wait_for("r=b");
    let Some(Entry::Rejected(errors)) = scene.objects.get(&ObjectKey::new(Kind::HttpService, "s"))
    else {
        panic!("not rejected")
    };
    let text = errors[0].to_string();
    assert!(
        text.starts_with("6:13: http.services.s.loadBalancer.servers[0].uri"),
        "{text}"
    );
    assert!(text.contains("a.yml"), "{text}");
}
