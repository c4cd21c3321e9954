//! `ringway convert`: prints Traefik 1 configurations in today's form.
//!
//! ```text
//! FILE…, listings of stores ──► config::v1 ──► static tree, dynamic tree ──► YAML, TOML or keys, with comments
//! ```
//!
//! Every file is converted by itself; the two parts are marked, and `--part` prints one of them alone. What could not be
//! converted stands in comments. Exit codes: 0 if nothing was lost, 1 if something was, 2 if nothing could be converted.

mod listing;
pub mod write;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;

use self::write::Writer;
use super::say;
use crate::config::decode::ObjectError;
use crate::config::format::{Format, parse};
use crate::config::tree::Node;
use crate::config::v1::{self, DynamicPart, Origin, Weight};

/// What to convert, and how to print it.
#[derive(Clone, Debug, clap::Args)]
pub struct ConvertArgs {
    /// Traefik 1 files (TOML), or with --kv listings of a store.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The files list the keys below this prefix: as `etcdctl get --prefix PREFIX` prints them, plain or with
    /// `-w json`, or as `consul kv export` does.
    #[arg(long, value_name = "PREFIX")]
    kv: Option<String>,
    /// The form to print.
    #[arg(long, value_enum, default_value_t = Form::Yaml)]
    format: Form,
    /// Print one part alone.
    #[arg(long, value_enum)]
    part: Option<Part>,
    /// The file that the dynamic part will be in, where the static part names it.
    #[arg(long, value_name = "FILE", default_value = "dynamic.yml")]
    dynamic_file: String,
    /// With --format kv: what all keys begin with.
    #[arg(long, value_name = "KEY", default_value = "traefik")]
    root_key: String,
}

/// A form of configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// YAML.
    Yaml,
    /// TOML.
    Toml,
    /// A key and a value per line, for a store.
    Kv,
}

/// A part of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Entry points, providers and the like.
    Static,
    /// Routers, services and the like.
    Dynamic,
}

/// A file's parts in today's form.
#[derive(Debug, Default)]
struct Parts {
    statics: Option<Node<'static>>,
    dynamic: Option<Node<'static>>,
    /// Objects and sections that are wrong.
    errors: Vec<ObjectError>,
    /// What has no counterpart.
    lost: Vec<ObjectError>,
    /// What is otherwise.
    notes: Vec<ObjectError>,
}

/// Converts and prints.
pub fn run(args: &ConvertArgs) -> ExitCode {
    let mut code = 0;
    for file in &args.files {
        match convert(file, args) {
            Ok(parts) => {
                if !parts.lost.is_empty() || !parts.errors.is_empty() {
                    code = code.max(1);
                }
                say(print(file, &parts, args).trim_end());
            }
            Err(message) => {
                eprintln!("ringway convert: {message}");
                code = 2;
            }
        }
    }
    ExitCode::from(code)
}

/// # Errors
/// The file cannot be read, or is nothing of Traefik 1.
fn convert(path: &Path, args: &ConvertArgs) -> Result<Parts, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
    let mut parts = Parts::default();
    if let Some(prefix) = &args.kv {
        let tree = listing::tree(&text, prefix)
            .map_err(|message| format!("{}: {message}", path.display()))?;
        parts.take_dynamic(&tree, Origin::Store);
        return Ok(parts);
    }
    let document =
        parse(Format::Toml, &text).map_err(|error| error.report(&path.display().to_string()))?;
    let tree = document.tree;
    match v1::is_v1(&tree) {
        Ok(true) => {}
        Ok(false) => {
            return Err(format!(
                "{}: is no Traefik 1 file: it has none of Traefik 1's own keys, such as frontends, backends, \
                 defaultEntryPoints or file",
                path.display()
            ));
        }
        Err(error) => return Err(format!("{}: {error}", path.display())),
    }
    if !v1::is_dynamic_only(&tree) {
        let dynamic = DynamicPart {
            file: &args.dynamic_file,
            is_written: true,
        };
        let converted = v1::convert_static(&tree, dynamic);
        parts.statics = Some(converted.tree);
        parts.errors.extend(converted.errors);
        parts.take_remarks(converted.remarks);
    }
    parts.take_dynamic(&tree, Origin::File);
    Ok(parts)
}

impl Parts {
    fn take_dynamic(&mut self, tree: &Node<'_>, origin: Origin) {
        let converted = v1::convert(tree, origin, &v1::Context::default());
        let is_empty = converted.tree.as_map().is_none_or(<[_]>::is_empty);
        self.dynamic = (!is_empty).then_some(converted.tree);
        let rejected = converted.rejected.into_iter();
        self.errors.extend(rejected.flat_map(|(_, errors)| errors));
        self.take_remarks(converted.remarks);
    }

    fn take_remarks(&mut self, remarks: Vec<v1::Remark>) {
        for remark in remarks {
            match remark.weight {
                Weight::Lost => self.lost.push(remark.what),
                Weight::Note => self.notes.push(remark.what),
            }
        }
    }
}

fn print(path: &Path, parts: &Parts, args: &ConvertArgs) -> String {
    let mut out = String::new();
    for (title, problems) in [
        ("Wrong in Traefik 1 too, and left out", &parts.errors),
        ("Not converted", &parts.lost),
        ("Worth knowing", &parts.notes),
    ] {
        if problems.is_empty() {
            continue;
        }
        out.push_str(&format!("# {title}:\n"));
        for problem in problems {
            out.push_str(&format!("# - {}\n", problem.to_string().replace('\n', " ")));
        }
        out.push_str("#\n");
    }
    let sections = [
        (Part::Static, "Static configuration", &parts.statics),
        (Part::Dynamic, "Dynamic configuration", &parts.dynamic),
    ];
    for (part, title, tree) in sections {
        let is_wanted = args.part.is_none_or(|wanted| wanted == part);
        let Some(tree) = tree.as_ref().filter(|_| is_wanted) else {
            continue;
        };
        out.push_str(&format!("# {title}, from {}\n", path.display()));
        // Stores hold the dynamic part only.
        let form = match (args.format, part) {
            (Form::Kv, Part::Static) => Form::Yaml,
            (form, _) => form,
        };
        Writer::new(form, &args.root_key).write(tree, &mut out);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests;
