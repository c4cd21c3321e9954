//! A directory: files and subdirectories that come, go and are replaced, by hand, by editors, and by Kubernetes.

use std::os::unix::fs::symlink;

use super::*;

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
    let mut scene = Scene::of_a_directory();
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
    let mut scene = Scene::of_a_directory();
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
    let mut scene = Scene::of_a_directory();
    fs::rename(scene.path("d/a.yml"), scene.path("d/b.yml")).unwrap();
    scene.settle();
    assert_eq!(scene.history, ["r=a"]);
    scene.write("d/b.yml", &one("b"));
    scene.wait_for("r=b");
}

#[test]
fn a_removed_source_keeps_its_last_state_and_a_new_one_in_its_place_is_read() {
    let mut scene = Scene::of_a_directory();
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
    let mut scene = Scene::of_a_directory();
    fs::remove_file(scene.path("d/a.yml")).unwrap();
    scene.write("d/a.yml", &one("b"));
    scene.wait_for("r=b").settle();
    assert_eq!(scene.history, ["r=a", "r=b"]);
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
