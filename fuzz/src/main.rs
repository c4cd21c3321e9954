//! The fuzzer: one target, named by the environment variable `RINGWAY_FUZZ_TARGET`, under libFuzzer. `fuzz/run` starts it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ringway_fuzz::Target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("RINGWAY_FUZZ_TARGET").unwrap_or_default();
    Target::named(&name).unwrap_or_else(|| {
        let names: Vec<_> = ringway_fuzz::TARGETS.iter().map(|t| t.name).collect();
        eprintln!(
            "RINGWAY_FUZZ_TARGET is {name:?}, expected one of {}",
            names.join(", ")
        );
        std::process::exit(2)
    })
});

fuzz_target!(|data: &[u8]| TARGET.run(data));
