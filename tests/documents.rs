//! What documents claim that a program can check: links lead somewhere, and the README's configuration works.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "support/source.rs"]
#[allow(dead_code)] // The scanner of Rust code is for other suites.
mod source;

use source::{project_files, root, text};

#[test]
fn relative_links_lead_to_files() {
    let mut broken = Vec::new();
    for file in project_files() {
        if file.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let folder = root()
            .join(&file)
            .parent()
            .map(Path::to_path_buf)
            .unwrap_or_default();
        for link in text(&file).unwrap_or_default().split("](").skip(1) {
            let target = link.split([')', '#', ' ']).next().unwrap_or_default();
            let is_relative = !target.is_empty() && !target.contains(':');
            if is_relative && !folder.join(target).exists() {
                broken.push(format!("{}: {target}", file.display()));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "links to files that do not exist: {broken:#?}"
    );
}

/// Files of the project that documents name in `code spans`.
#[test]
fn files_that_documents_name_exist() {
    let files = project_files();
    let exists = |name: &str| {
        files
            .iter()
            .any(|file| file.ends_with(name) || file.starts_with(name))
            || root().join("src").join(name).exists()
    };
    let mut missing = Vec::new();
    for document in [
        "docs/architecture.md",
        "docs/changes.md",
        "docs/state.md",
        "docs/core-principles.md",
        "docs/deviations.md",
        "README.md",
    ] {
        let text = text(Path::new(document)).expect("document is text");
        for span in text.split('`').skip(1).step_by(2) {
            let is_file = [".rs", ".md", ".sh", ".py"]
                .iter()
                .any(|end| span.ends_with(end));
            if is_file && !span.contains(' ') && !exists(span) {
                missing.push(format!("{document}: {span}"));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "documents name files that do not exist: {missing:#?}"
    );
}

#[test]
fn the_readmes_configuration_passes_its_own_check() {
    let readme = text(Path::new("README.md")).expect("README.md is text");
    let blocks: Vec<&str> = readme
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    let [fixed, dynamic] = blocks[..] else {
        panic!(
            "the README has {} YAML blocks, expected the static and the dynamic one",
            blocks.len()
        );
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("the file is written");
        path
    };
    write("dynamic.yml", dynamic);
    write("ringway.yml", fixed);
    let output = Command::new(env!("CARGO_BIN_EXE_ringway"))
        .args(["check", "ringway.yml"])
        .current_dir(folder.path())
        .output()
        .expect("the binary runs");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{report}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        report.contains("1 router"),
        "the dynamic file was not checked: {report}"
    );
    assert!(report.contains("0 errors, 0 warnings"), "{report}");
}
