//! What documents claim that a program can check: links lead somewhere, the README's configuration works, named tests and
//! limits exist.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "support/source.rs"]
#[allow(dead_code)] // The scanner of Rust code is for other suites.
mod source;

use ringway::config::statics::Limits;
use source::{project_files, root, rust_sources, text};

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
        "docs/limits.md",
        "docs/security.md",
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

/// The text in `code spans`.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn tests_that_the_table_of_attacks_names_exist() {
    let sources = rust_sources(&["src/", "tests/"]);
    let document = text(Path::new("docs/security.md")).expect("document is text");
    let rows = document.lines().filter(|line| line.starts_with("| "));
    let named: Vec<&str> = rows
        .filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next())
        .flat_map(spans)
        .collect();
    assert!(named.len() > 80, "the table is no longer found: {named:?}");
    let missing: Vec<&&str> = named
        .iter()
        .filter(|name| {
            let declaration = format!("fn {name}(");
            !sources
                .iter()
                .any(|source| source.code.contains(&declaration))
        })
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}

#[test]
fn limits_are_documented_with_their_keys_and_defaults() {
    let document = text(Path::new("docs/limits.md")).expect("document is text");
    let Limits {
        max_connections,
        max_header_count,
        max_response_header_bytes,
        max_trailer_bytes,
        max_held_body_bytes,
        max_held_memory_bytes,
        max_receive_memory_bytes,
        max_unread_bytes,
        max_unsent_bytes,
        max_accept_queue,
        flush_timeout,
        linger_timeout,
        max_linger_bytes,
        max_store_pairs,
        max_store_bytes,
    } = Limits::default();
    let defaults: [String; 15] = [
        max_connections.to_string(),
        max_header_count.to_string(),
        max_response_header_bytes.to_string(),
        max_trailer_bytes.to_string(),
        max_held_body_bytes.to_string(),
        max_held_memory_bytes.to_string(),
        max_receive_memory_bytes.to_string(),
        max_unread_bytes.to_string(),
        max_unsent_bytes.to_string(),
        max_accept_queue.to_string(),
        flush_timeout.to_string(),
        linger_timeout.to_string(),
        max_linger_bytes.to_string(),
        max_store_pairs.to_string(),
        max_store_bytes.to_string(),
    ];
    assert_eq!(Limits::FIELDS.len(), defaults.len());
    for (key, default) in Limits::FIELDS.iter().zip(defaults) {
        let row = format!("| `{key}` | {default} |");
        assert!(document.contains(&row), "docs/limits.md has no row {row:?}");
    }
    let reactor = text(Path::new("src/io/config.rs")).expect("a source is text");
    let (_, fields) = reactor
        .split_once("pub struct ReactorConfig {")
        .expect("there");
    for line in fields.lines().take_while(|line| *line != "}") {
        let Some((field, _)) = line
            .trim()
            .strip_prefix("pub ")
            .and_then(|rest| rest.split_once(':'))
        else {
            continue;
        };
        let span = format!("`{field}`");
        assert!(
            document.contains(&span),
            "docs/limits.md does not tell of {field} of the reactor"
        );
    }
}

/// Limits are constants whose names begin so; a document names each as "`NAME` in `file`".
const LIMIT_NAMES: [&str; 3] = ["MAX", "MOST", "LONGEST"];

#[test]
fn every_limit_of_the_code_is_documented_and_every_documented_one_exists() {
    let document = text(Path::new("docs/limits.md")).expect("document is text");
    let mut wrong = Vec::new();
    let mut known = Vec::new();
    for source in rust_sources(&["src/"]) {
        for declaration in source.product.split("const ").skip(1) {
            let name: String = declaration
                .chars()
                .take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_')
                .collect();
            let first = name.split('_').next().unwrap_or_default();
            if declaration[name.len()..].starts_with(':') && LIMIT_NAMES.contains(&first) {
                let named = format!("`{name}` in `{}`", source.path.trim_start_matches("src/"));
                if !document.contains(&named) {
                    wrong.push(format!("not documented: {named}"));
                }
                known.push(named);
            }
        }
    }
    let words: Vec<&str> = document.split('`').collect();
    for [name, between, file] in words
        .windows(3)
        .filter_map(|three| <[&str; 3]>::try_from(three).ok())
    {
        let first = name.split('_').next().unwrap_or_default();
        if between == " in " && LIMIT_NAMES.contains(&first) {
            let named = format!("`{name}` in `{file}`");
            if !known.contains(&named) {
                wrong.push(format!("does not exist: {named}"));
            }
        }
    }
    assert!(known.len() > 60, "the scan finds no limits any more");
    assert!(
        wrong.is_empty(),
        "docs/limits.md and the code differ: {wrong:#?}"
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
