//! `--name value` command lines, without a dependency.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

/// The parsed command line: every option takes exactly one value and may be repeated.
pub struct Args {
    program: String,
    values: HashMap<String, Vec<String>>,
}

impl Args {
    /// Reads the process's arguments; `known` lists the accepted option names without their dashes.
    /// A mistake ends the process with status 2 and the list of options.
    pub fn from_env(known: &[&str]) -> Args {
        let mut words = std::env::args();
        let program = words.next().unwrap_or_default();
        match Args::parse(program, words, known) {
            Ok(args) => args,
            Err(message) => fail(&message),
        }
    }

    fn parse(
        program: String,
        mut words: impl Iterator<Item = String>,
        known: &[&str],
    ) -> Result<Args, String> {
        let mut values: HashMap<String, Vec<String>> = HashMap::new();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").filter(|name| known.contains(name));
            let Some(name) = name else {
                return Err(format!(
                    "{program}: unknown option {word:?}; the options are --{}",
                    known.join(", --")
                ));
            };
            let Some(value) = words.next() else {
                return Err(format!("{program}: --{name} needs a value"));
            };
            values.entry(name.to_owned()).or_default().push(value);
        }
        Ok(Args { program, values })
    }

    /// All values given for `name`, in order.
    pub fn all(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// The last text given for `name`.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.all(name).last().map(String::as_str)
    }

    /// The value of `name`, or `default`. A value that does not parse ends the process with status 2.
    pub fn get<T: FromStr>(&self, name: &str, default: T) -> T
    where
        T::Err: Display,
    {
        let Some(text) = self.text(name) else {
            return default;
        };
        match text.parse() {
            Ok(value) => value,
            Err(error) => fail(&format!("{}: --{name} {text:?}: {error}", self.program)),
        }
    }
}

/// Ends the process with `message` on standard error and status 2.
pub fn fail(message: &str) -> ! {
    eprintln!("{message}");
    std::process::exit(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Args, String> {
        let words = words.iter().map(|word| (*word).to_owned());
        Args::parse("load".into(), words, &["target", "connections"])
    }

    #[test]
    fn a_repeated_option_keeps_every_value_and_the_last_wins() {
        let args = parse(&["--target", "a", "--target", "b"]).expect("valid");
        assert_eq!(args.all("target"), ["a", "b"]);
        assert_eq!(args.text("target"), Some("b"));
        assert_eq!(args.get("connections", 64_usize), 64);
    }

    #[test]
    fn an_unknown_option_is_refused_with_the_known_ones() {
        let error = parse(&["--conections", "4"]).err().expect("refused");
        assert!(error.contains("--connections"), "{error}");
    }
}
