//! Fuzz targets: functions of bytes that panic if Ringway breaks a promise on them.
//!
//! ```text
//! corpus/<target>/… ─► cargo test       every input of the corpus, on any toolchain, no fuzzer
//!                   └► fuzz/run TARGET  libFuzzer: new inputs that reach new code
//! ```
//!
//! A target promises more than that nothing panics: what it compares with is a second implementation that is simple and
//! slow ([`mod@reference`]), the same input in other pieces, or what was written read again. `docs/testing.md` lists them.
#![warn(missing_docs)]

pub mod allocation;
pub mod reference;
pub mod targets;

/// One fuzz target.
pub struct Target {
    /// Its name, which is also that of its folder in `corpus/`.
    pub name: &'static str,
    run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target::new("request_head", targets::request_head::run),
    Target::new("response_head", targets::response_head::run),
    Target::new("chunked_body", targets::chunked_body::run),
    Target::new("proxy_protocol", targets::proxy_protocol::run),
    Target::new("rule", targets::rule::run),
    Target::new("routes", targets::routes::run),
    Target::new("dynamic_yaml", targets::dynamic_yaml::run),
    Target::new("dynamic_toml", targets::dynamic_toml::run),
    Target::new("dynamic_kv", targets::dynamic_kv::run),
    Target::new("static_config", targets::static_config::run),
    Target::new("exchange", targets::exchange::run),
];

impl Target {
    const fn new(name: &'static str, run: fn(&[u8])) -> Self {
        Target { name, run }
    }

    /// The target of this name.
    pub fn named(name: &str) -> Option<&'static Target> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Runs the target on one input.
    ///
    /// # Panics
    /// Ringway broke a promise.
    pub fn run(&self, data: &[u8]) {
        (self.run)(data)
    }
}
