//! One file: how it may be written, what may be wrong in it, and what of a change is told.

use std::io::Write;
use std::os::unix::fs::symlink;

use super::*;

#[test]
fn a_file_is_read_at_the_start_and_when_it_is_written_in_place() {
    let mut scene = Scene::of_a_file();
    scene.write("dynamic.yml", &one("b"));
    scene.wait_for("r=b");
}

#[test]
fn an_atomic_rename_over_the_file_is_seen_every_time() {
    let mut scene = Scene::of_a_file();
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
    let mut scene = Scene::of_a_file();
    let mut file = fs::File::create(scene.path("dynamic.yml")).unwrap();
    file.write_all(one("b").as_bytes()).unwrap();
    scene.wait_for("r=b");
    drop(file);
}

#[test]
fn a_file_that_is_empty_for_a_moment_changes_nothing() {
    let mut scene = Scene::of_a_file();
    fs::write(scene.path("dynamic.yml"), "").unwrap();
    fs::write(scene.path("dynamic.yml"), one("b")).unwrap();
    scene.wait_for("r=b").settle();
    assert_eq!(scene.history, ["r=a", "r=b"]);
}

#[test]
fn a_file_that_stays_empty_empties_the_configuration() {
    let mut scene = Scene::of_a_file();
    fs::write(scene.path("dynamic.yml"), "").unwrap();
    scene.wait_for("");
    assert_eq!(scene.error, None);
}

#[test]
fn a_syntax_error_keeps_the_last_good_state_and_says_where_it_is() {
    let mut scene = Scene::of_a_file();
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
    let mut scene = Scene::of_a_file();
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
fn touching_or_rewriting_the_same_content_publishes_nothing() {
    let mut scene = Scene::of_a_file();
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
    let mut scene = Scene::of_a_file();
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
    let mut scene = Scene::of_a_file();
    scene.write("traefik.log", "a line\n");
    scene.settle();
    assert_eq!(scene.history, ["r=a"]);
    scene.write("dynamic.yml", &one("b"));
    scene.wait_for("r=b");
}
