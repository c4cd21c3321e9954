//! Static configurations: any text as a file in YAML or TOML (Traefik 1's too), and as flags.

use std::io;
use std::path::Path;

use ringway::cli::convert::{Form, write::Writer};
use ringway::config::format::{Format, parse};
use ringway::config::statics::{Files, LoadError, Loaded, load};
use ringway::config::v1;

use crate::allocation::within;

/// Every limit of a text's own, and what aliases in YAML may add to it.
const MOST_BYTES: usize = 512 << 20;

/// One file.
struct Text<'t>(&'t str);

impl Files for Text<'_> {
    fn read(&self, _: &Path) -> io::Result<String> {
        Ok(self.0.to_owned())
    }
}

/// No file.
struct Nothing;

impl Files for Nothing {
    fn read(&self, _: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Reads `data` in every way.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if text.starts_with('-') {
        let flags: Vec<String> = text.lines().map(str::to_owned).collect();
        told(within(MOST_BYTES, || load(&flags, &[], &Nothing)));
        return;
    }
    told(file("ringway.toml", text));
    let Some(loaded) = told(file("ringway.yml", text)) else {
        return;
    };
    // The same tree in TOML is the same configuration.
    let Ok(document) = parse(Format::Yaml, text) else {
        return;
    };
    let has_nulls = format!("{:?}", document.tree).contains("Null");
    if has_nulls || v1::is_v1(&document.tree).unwrap_or(true) {
        return;
    }
    let mut toml = String::new();
    Writer::new(Form::Toml, "").write(&document.tree, &mut toml);
    match file("ringway.toml", &toml) {
        Ok(other) => assert_eq!(
            format!("{:?}", other.config),
            format!("{:?}", loaded.config),
            "{toml}"
        ),
        Err(error) => panic!("not in TOML: {error}\n{toml}"),
    }
}

fn file(name: &str, text: &str) -> Result<Loaded, LoadError> {
    let flags = [format!("--configFile={name}")];
    within(MOST_BYTES, || load(&flags, &[], &Text(text)))
}

/// What is wrong is told.
fn told(loaded: Result<Loaded, LoadError>) -> Option<Loaded> {
    match loaded {
        Ok(loaded) => Some(loaded),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            if let LoadError::Invalid { errors, .. } = &error {
                assert!(!errors.is_empty());
            }
            None
        }
    }
}
