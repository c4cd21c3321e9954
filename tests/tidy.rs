//! Rules that the repository keeps, one test each: which layer may use which, where `unsafe`, `tokio` and
//! clocks may appear, what every file owes its reader. `docs/core-principles.md` says why.
//!
//! A rule has no list of exceptions: what it forbids is forbidden, or the rule is wrong and changes.

#[path = "support/source.rs"]
mod source;

use std::fmt::Write;
use std::path::Path;

use source::{Source, crate_paths, lines_with_word, project_files, rust_sources, text};

/// Files from this length on should be split when next touched.
const LONG_FILE_LINES: usize = 600;
/// Longer files are forbidden.
const MAX_FILE_LINES: usize = 800;

/// Layers whose code runs on shards: time and randomness are given to it, so that the simulator owns them.
const SHARD_LAYERS: [&str; 8] = [
    "io",
    "exchange",
    "shard",
    "service",
    "middleware",
    "http",
    "rules",
    "router",
];

/// Fails with every violation at once and the rule they break.
fn assert_none(rule: &str, violations: &[String]) {
    let mut list = String::new();
    for violation in violations {
        let _ = write!(list, "\n  {violation}");
    }
    assert!(
        violations.is_empty(),
        "{rule}; violations: {}{list}",
        violations.len()
    );
}

/// Lines of product code outside the allowed files where one of `words` stands.
fn words_outside(words: &[&str], is_allowed: impl Fn(&Source) -> bool) -> Vec<String> {
    let sources = rust_sources(&["src/"]);
    let judged = sources.iter().filter(|source| !is_allowed(source));
    let hits = judged.flat_map(|source| {
        let lines = words.iter().flat_map(|word| {
            let lines = lines_with_word(&source.product, word);
            lines.into_iter().map(move |line| (line, *word))
        });
        lines
            .map(|(line, word)| format!("{}:{line}: `{word}`", source.path))
            .collect::<Vec<_>>()
    });
    hits.collect()
}

/// The layers from top to bottom, as `src/lib.rs` draws them.
fn layers() -> Vec<String> {
    let text = text(Path::new("src/lib.rs")).expect("src/lib.rs is text");
    let drawn: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("//!") && line.contains('→'))
        .collect();
    let names = drawn
        .iter()
        .flat_map(|line| line.trim_start_matches("//!").split('→'));
    names
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn every_module_is_a_layer() {
    let layers = layers();
    assert!(
        layers.len() > 10,
        "src/lib.rs no longer draws its layers as `a → b → c`: {layers:?}"
    );
    let text = text(Path::new("src/lib.rs")).expect("src/lib.rs is text");
    let modules = text
        .lines()
        .filter_map(|line| line.trim().split("mod ").nth(1)?.strip_suffix(';'));
    let strangers: Vec<String> = modules
        .filter(|module| !layers.iter().any(|layer| layer == module))
        .map(str::to_owned)
        .collect();
    assert_none(
        "every top-level module has its place in the layers that src/lib.rs draws",
        &strangers,
    );
}

#[test]
fn a_module_uses_only_layers_below_it() {
    let layers = layers();
    let depth = |name: &str| layers.iter().position(|layer| layer == name);
    let mut violations = Vec::new();
    for source in rust_sources(&["src/"]) {
        let Some(own) = source.module().and_then(depth) else {
            continue;
        };
        for (line, used) in crate_paths(&source.product) {
            if depth(&used).is_some_and(|used| used < own) {
                violations.push(format!(
                    "{}:{line}: `{}` uses `{used}`, which lies above it",
                    source.path, layers[own]
                ));
            }
        }
    }
    assert_none(
        "a module uses only layers below it (src/lib.rs draws them)",
        &violations,
    );
}

#[test]
fn unsafe_code_lives_in_io_alone() {
    let violations = words_outside(&["unsafe"], |source| source.module() == Some("io"));
    assert_none("`unsafe` appears only in src/io", &violations);
}

#[test]
fn tokio_stays_on_the_control_side() {
    let violations = words_outside(&["tokio"], |source| {
        matches!(
            source.module(),
            Some("control" | "api" | "provider" | "cli")
        ) || source.path == "src/io/tokio_compat.rs"
    });
    assert_none(
        "`tokio` appears only in control, api, provider and cli (its I/O traits in src/io/tokio_compat.rs)",
        &violations,
    );
}

#[test]
fn rustls_is_named_by_tls_alone() {
    let violations = words_outside(&["rustls"], |source| source.module() == Some("tls"));
    assert_none("`rustls` appears only in src/tls", &violations);
}

#[test]
fn shards_read_no_clock_and_throw_no_dice() {
    let words = [
        "Instant::now",
        "SystemTime::now",
        "UNIX_EPOCH.elapsed",
        "clock_gettime",
        "RandomState",
        "getrandom",
        "thread_rng",
        "HashMap::new",
        "HashSet::new",
        "std::collections::HashMap",
        "std::collections::HashSet",
        "thread::sleep",
    ];
    let violations = words_outside(&words, |source| {
        let is_shard_code = source
            .module()
            .is_some_and(|module| SHARD_LAYERS.contains(&module));
        !is_shard_code || source.path.starts_with("src/io/driver/") || source.path == "src/io/os.rs"
    });
    assert_none(
        "code that runs on shards is given its time and randomness (only drivers and src/io/os.rs ask the system; \
         std's hash maps are seeded at random, use FxHashMap)",
        &violations,
    );
}

#[test]
fn nothing_is_left_to_do() {
    // Spelled so that this file does not forbid itself.
    let forbidden = [
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
        concat!("#[ig", "nore"),
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
    ];
    let mut violations = Vec::new();
    for file in project_files() {
        let name = file.to_string_lossy();
        if !(name.ends_with(".rs")
            || name.ends_with(".py")
            || name.ends_with(".sh")
            || name.ends_with(".md"))
        {
            continue;
        }
        let text = text(&file).unwrap_or_default();
        for (number, line) in text.lines().enumerate() {
            for word in forbidden.iter().filter(|word| line.contains(**word)) {
                violations.push(format!("{name}:{}: `{word}`", number + 1));
            }
        }
    }
    assert_none(
        "unfinished work is finished, or told in the documents; it is not left in files",
        &violations,
    );
}

#[test]
fn every_file_says_what_it_is_for() {
    let sources = rust_sources(&["src/", "tests/", "bench/"]);
    let silent = sources.iter().filter(|source| {
        let docs = source
            .text
            .lines()
            .take_while(|line| line.starts_with("//!"));
        docs.map(|line| line.trim_start_matches("//!").trim().len())
            .sum::<usize>()
            < 8
    });
    let silent: Vec<String> = silent.map(|source| source.path.clone()).collect();
    assert_none(
        "every Rust file begins with `//!` and a sentence that says what it is for",
        &silent,
    );
}

#[test]
fn files_are_short_enough_to_be_read() {
    let mut violations = Vec::new();
    for source in rust_sources(&["src/", "tests/", "bench/"]) {
        let lines = source.text.lines().count();
        if lines > MAX_FILE_LINES {
            violations.push(format!("{}: {lines} lines", source.path));
        } else if lines > LONG_FILE_LINES {
            eprintln!(
                "warning: {}: {lines} lines; split it when you next touch it",
                source.path
            );
        }
    }
    assert_none(
        &format!("a file has one idea and at most {MAX_FILE_LINES} lines"),
        &violations,
    );
}

#[test]
fn no_file_names_a_private_place() {
    // Spelled so that this file does not forbid itself.
    let forbidden = [
        concat!("/wo", "rk/"),
        concat!("/tmp", "/wt"),
        concat!("/ro", "ot/"),
        concat!(".lib", "rary/"),
        concat!("index.crates", ".io"),
        concat!("static.crates", ".io"),
        concat!("files.python", "hosted.org"),
        concat!("proxy.golang", ".org"),
        concat!("registry.npm", "js.org"),
    ];
    let mut violations = Vec::new();
    for file in project_files() {
        let text = text(&file).unwrap_or_default();
        for (number, line) in text.lines().enumerate() {
            for word in forbidden.iter().filter(|word| line.contains(**word)) {
                violations.push(format!("{}:{}: `{word}`", file.display(), number + 1));
            }
        }
    }
    assert_none(
        "files name no machine's folders and no registry's hosts",
        &violations,
    );
}

#[test]
fn dependencies_come_from_a_registry() {
    let lock = text(Path::new("Cargo.lock")).expect("Cargo.lock is text");
    let others = lock
        .lines()
        .filter(|line| line.starts_with("source = ") && !line.starts_with("source = \"registry+"));
    let others: Vec<String> = others.map(str::to_owned).collect();
    assert_none(
        "every dependency in Cargo.lock comes from a registry, none from a repository or folder",
        &others,
    );
}

/// The rules are only as good as the scanner below them.
mod scanner {
    use super::source::{blank_comments_and_literals, crate_paths, lines_with_word};

    #[test]
    fn comments_and_literals_are_no_code() {
        let code = blank_comments_and_literals(
            "a(\"unsafe \\\" b\"); // unsafe\n/* unsafe /* */ unsafe */ b('\"', 'x', '\\'', r#\"unsafe \" \"#, br\"x\"); fn f<'a>() { unsafe }",
        );
        assert_eq!(lines_with_word(&code, "unsafe"), [2]);
        assert!(code.contains("fn f< a>() { unsafe }"), "{code}");
    }

    #[test]
    fn paths_are_found_in_every_form() {
        let code = "use crate::io;\nuse crate::{http::{Head, Body}, rules, self_};\nlet x = crate::plan::y(); pub(crate) z; mycrate::no();";
        let found: Vec<(usize, String)> = crate_paths(code);
        let found: Vec<(usize, &str)> = found
            .iter()
            .map(|(line, name)| (*line, name.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                (1, "io"),
                (2, "http"),
                (2, "rules"),
                (2, "self_"),
                (3, "plan")
            ]
        );
    }
}
