//! The command line: `ringway` alone runs the proxy with Traefik's flags; words before them are commands.
//!
//! | command | |
//! |---|---|
//! | `ringway [run] [--entryPoints.web.address=:80 …]` | runs the proxy; every flag is Traefik's |
//! | [`check`] | validates configuration files |
//! | [`convert`] | prints Traefik 1 configurations in today's form |
//! | [`explain`] | tells what becomes of a request |
//! | [`wait`] | waits until a change is effective |
//! | [`healthcheck`] | asks `/ping` |
//! | [`demo`] | something to play with |
//!
//! Traefik's flags (`--entryPoints.<name>.address`) are not declared here: they belong to the static
//! configuration, which reads them itself.

pub mod check;
pub mod convert;
pub mod demo;
pub mod explain;
pub mod findings;
pub mod healthcheck;
pub mod http_get;
pub mod origin;
mod remarks;
pub mod wait;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::statics::{Disk, load};
use crate::control;

/// An edge proxy with Traefik's configuration.
#[derive(Debug, Parser)]
#[command(
    name = "ringway",
    version,
    disable_version_flag = true,
    after_help = "Without a command the proxy runs. Its flags are those of Traefik's static configuration, \
                  such as --configFile=ringway.yml or --entryPoints.web.address=:80."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy (the default).
    Run(Flags),
    /// Validate static and dynamic configuration files.
    Check(check::CheckArgs),
    /// Print Traefik 1 configurations in today's form.
    Convert(convert::ConvertArgs),
    /// Tell which router, middlewares and servers a request gets, and why.
    Explain(explain::ExplainArgs),
    /// Wait until every shard of a running proxy has applied a change: a store's revision, a file, a generation.
    Wait(wait::WaitArgs),
    /// Ask the local proxy's /ping; takes the proxy's own flags.
    Healthcheck(Flags),
    /// Run two origins and a proxy in front of them, with a file to edit.
    Demo(demo::DemoArgs),
    /// Print the version.
    Version,
}

/// Flags of the static configuration, passed on as they are.
#[derive(Clone, Debug, clap::Args)]
struct Flags {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    flags: Vec<String>,
}

/// Runs the command that `args` (without the program's name) ask for.
pub fn main(args: Vec<String>) -> ExitCode {
    let command = match parse(args) {
        Ok(command) => command,
        Err(error) => {
            // Help is no error; everything else has clap's exit code 2.
            let _ = error.print();
            return u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    match command {
        Command::Run(flags) => run(&flags.flags),
        Command::Check(args) => check::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Wait(args) => wait::run(&args),
        Command::Healthcheck(flags) => healthcheck::run(&flags.flags),
        Command::Demo(args) => demo::run(&args),
        Command::Version => version(),
    }
}

/// A first word that is no flag is a command; flags alone are the proxy's.
fn parse(args: Vec<String>) -> Result<Command, clap::Error> {
    let is_command = match args.first().map(String::as_str) {
        None => false,
        Some("-h" | "--help" | "help") => true,
        Some("-v" | "--version") => return Ok(Command::Version),
        Some(first) => !first.starts_with('-'),
    };
    if !is_command {
        return Ok(Command::Run(Flags { flags: args }));
    }
    // These two pass everything on, also `--help`-like flags and `--`.
    match args.first().map(String::as_str) {
        Some("run") => {
            return Ok(Command::Run(Flags {
                flags: args[1..].to_vec(),
            }));
        }
        Some("healthcheck") => {
            return Ok(Command::Healthcheck(Flags {
                flags: args[1..].to_vec(),
            }));
        }
        _ => {}
    }
    let name = std::iter::once("ringway".to_owned());
    Cli::try_parse_from(name.chain(args)).map(|cli| cli.command)
}

fn run(flags: &[String]) -> ExitCode {
    let env: Vec<(String, String)> = std::env::vars().collect();
    match load(flags, &env, &Disk) {
        Ok(loaded) => control::run(&loaded),
        Err(error) => {
            eprintln!("ringway: the static configuration cannot be used:\n{error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a line. A reader that has gone (`| head`) is no failure: the exit code still tells the result.
fn say(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn version() -> ExitCode {
    say(format_args!("Version:      {}", env!("CARGO_PKG_VERSION")));
    say(format_args!(
        "OS/Arch:      {}/{}",
        std::env::consts::OS,
        std::env::consts::ARCH
    ));
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Command, clap::Error> {
        parse(args.iter().map(|arg| (*arg).to_owned()).collect())
    }

    fn run_flags(args: &[&str]) -> Vec<String> {
        match parsed(args) {
            Ok(Command::Run(flags)) => flags.flags,
            other => panic!("not run: {other:?}"),
        }
    }

    #[test]
    fn flags_alone_run_the_proxy_and_are_passed_on_untouched() {
        assert_eq!(run_flags(&[]), Vec::<String>::new());
        let flags = [
            "--entryPoints.web.address=:80",
            "--api",
            "--providers.file.filename",
            "x.yml",
        ];
        assert_eq!(run_flags(&flags), flags);
        let mut with_command = vec!["run"];
        with_command.extend(flags);
        assert_eq!(run_flags(&with_command), flags);
    }

    #[test]
    fn commands_are_told_by_their_first_word() {
        assert!(matches!(
            parsed(&["check", "a.yml", "--json"]),
            Ok(Command::Check(_))
        ));
        assert!(matches!(
            parsed(&["wait", "--generation", "7"]),
            Ok(Command::Wait(_))
        ));
        assert!(matches!(
            parsed(&["wait", "--latest", "--timeout", "0.5"]),
            Ok(Command::Wait(_))
        ));
        assert!(matches!(
            parsed(&["demo", "--for", "2"]),
            Ok(Command::Demo(_))
        ));
        assert!(matches!(parsed(&["version"]), Ok(Command::Version)));
        assert!(matches!(
            parsed(&["explain", "GET", "http://a/", "-H", "X: y", "-H", "Z: w"]),
            Ok(Command::Explain(_))
        ));
        let Ok(Command::Healthcheck(flags)) = parsed(&["healthcheck", "--ping"]) else {
            panic!("not healthcheck")
        };
        assert_eq!(flags.flags, ["--ping"]);
    }

    #[test]
    fn a_misspelt_command_is_an_error_with_a_suggestion() {
        let error = parsed(&["chek", "a.yml"]).unwrap_err().to_string();
        assert!(error.contains("check"), "{error}");
        assert!(parsed(&["check"]).is_err(), "a file is required");
        assert!(parsed(&["wait"]).is_err(), "a generation is required");
    }
}
