//! Every input of the corpus keeps every promise of its target: what a fuzzer once found is a test from then on.

use std::fs;
use std::path::{Path, PathBuf};

use ringway_fuzz::TARGETS;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The inputs of a target, in the order of their names.
fn inputs(target: &str) -> Vec<PathBuf> {
    let folder = corpus().join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut inputs: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    inputs
}

#[test]
fn every_input_keeps_its_targets_promises() {
    for target in TARGETS {
        for input in inputs(target.name) {
            let data = fs::read(&input).unwrap();
            let result = std::panic::catch_unwind(|| target.run(&data));
            assert!(
                result.is_ok(),
                "{}: the panic above; again: fuzz/run {} {0}",
                input.display(),
                target.name
            );
        }
    }
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    for target in TARGETS {
        assert!(inputs(target.name).len() >= 5, "{}", target.name);
    }
    for entry in fs::read_dir(corpus()).unwrap() {
        let name = entry.unwrap().file_name();
        let is_known = TARGETS.iter().any(|target| name == target.name);
        assert!(is_known, "corpus/{} belongs to no target", name.display());
    }
}

/// The corpus is part of every clone: what new inputs do not reach more code is left out (`fuzz/run --minimise`).
#[test]
fn the_corpus_is_small() {
    const MOST_BYTES_OF_A_TARGET: u64 = 256 << 10;
    const MOST_INPUTS_OF_A_TARGET: usize = 600;
    for target in TARGETS {
        let inputs = inputs(target.name);
        let bytes: u64 = inputs.iter().map(|i| fs::metadata(i).unwrap().len()).sum();
        assert!(
            bytes <= MOST_BYTES_OF_A_TARGET && inputs.len() <= MOST_INPUTS_OF_A_TARGET,
            "{}: {} inputs of {bytes} bytes",
            target.name,
            inputs.len()
        );
    }
}
