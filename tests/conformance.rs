//! Traefik's recorded behaviour against the built binary: every case of `conformance/cases` passes except
//! those that `conformance/unsupported.txt` lists with a reason, and each of these fails.
//!
//! The cases and the program that replays them are described in `conformance/README.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

/// Runs `python3 diff.py` with `arguments`; what it printed.
fn diff(arguments: &[&str]) -> String {
    let output = Command::new("python3")
        .arg(folder().join("diff.py"))
        .args(arguments)
        .output()
        .expect("python3 is there; install it with: apt-get install python3 python3-yaml");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        !errors.contains("No module named 'yaml'"),
        "this Python has no PyYAML; install it with: apt-get install python3-yaml (or pip install pyyaml)"
    );
    // 1 means that cases failed, which is judged here; 2 that nothing could be run.
    assert!(
        matches!(output.status.code(), Some(0 | 1)),
        "diff.py {arguments:?}: {}\n{errors}",
        output.status
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `id: reason` per line; `#` begins a comment.
fn unsupported() -> BTreeMap<String, String> {
    let text =
        fs::read_to_string(folder().join("unsupported.txt")).expect("unsupported.txt is readable");
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (id, reason) = line
                .split_once(": ")
                .unwrap_or_else(|| panic!("unsupported.txt: {line:?} is not `id: reason`"));
            (id.to_owned(), reason.to_owned())
        })
        .collect()
}

/// The ids of all cases.
fn all() -> BTreeSet<String> {
    let list = diff(&["--list"]);
    list.lines()
        .filter_map(|line| line.split_whitespace().nth(1))
        .map(str::to_owned)
        .collect()
}

#[test]
fn only_existing_cases_are_listed_as_unsupported() {
    let all = all();
    assert!(!all.is_empty(), "diff.py --list printed no case");
    let unsupported = unsupported();
    let strangers: Vec<&String> = unsupported.keys().filter(|id| !all.contains(*id)).collect();
    assert!(
        strangers.is_empty(),
        "unsupported.txt lists cases that do not exist: {strangers:?}"
    );
}

#[test]
fn every_supported_case_behaves_as_recorded() {
    let output = diff(&[
        "--check",
        "--binary",
        env!("CARGO_BIN_EXE_ringway"),
        "--jobs",
        "2",
    ]);
    let failed: BTreeSet<&str> = output
        .lines()
        .filter_map(|line| line.strip_prefix("FAIL "))
        .filter_map(|line| line.split_whitespace().next()?.split_once('/'))
        .map(|(_, id)| id)
        .collect();
    let unsupported = unsupported();
    let unexpected: Vec<&&str> = failed
        .iter()
        .filter(|id| !unsupported.contains_key(**id))
        .collect();
    let fixed: Vec<&String> = unsupported
        .keys()
        .filter(|id| !failed.contains(id.as_str()))
        .collect();
    assert!(
        unexpected.is_empty() && fixed.is_empty(),
        "failed, though not listed in unsupported.txt: {unexpected:?}\n\
         passed, so take them off unsupported.txt: {fixed:?}\n{output}"
    );
}
