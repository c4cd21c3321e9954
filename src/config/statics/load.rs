//! Finding and reading the static configuration.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sources::{FlagError, Settings, expand};
use super::validate::{complete, validate};
use super::vocabulary::{Findings, sift};
use super::{Protocol, StaticConfig};
use crate::config::decode::{Decode, How, ObjectError, Path as KeyPath};
use crate::config::format::{Format, SyntaxError, parse};
use crate::config::tree::{Node, Position, Value};
use crate::config::v1;

/// Where a configuration came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Command-line flags.
    Flags,
    /// Environment variables.
    Environment,
    /// Nowhere: everything has its default.
    Defaults,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Flags => f.write_str("flags"),
            Self::Environment => f.write_str("environment"),
            Self::Defaults => f.write_str("defaults"),
        }
    }
}

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration, completed and checked.
    pub config: StaticConfig,
    /// Keys without effect, one warning each.
    pub warnings: Vec<ObjectError>,
    /// Where it came from.
    pub source: Source,
}

/// Why there is no configuration. The display form has a line per problem, each with its source.
#[derive(Debug)]
pub enum LoadError {
    /// A flag that cannot be read.
    Flag(String),
    /// A file that cannot be read.
    Read {
        /// The file.
        file: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A file whose name ends in none of `.yml`, `.yaml`, `.toml`, `.json`.
    Format(PathBuf),
    /// A file that is not of its language.
    Syntax {
        /// The file.
        file: PathBuf,
        /// What is wrong where.
        error: SyntaxError,
    },
    /// Keys or values that are wrong: all of them.
    Invalid {
        /// Where they came from.
        source: Source,
        /// What is wrong, at least one.
        errors: Vec<ObjectError>,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(message) => f.write_str(message),
            Self::Read { file, error } => write!(f, "{}: cannot be read: {error}", file.display()),
            Self::Format(file) => {
                write!(
                    f,
                    "{}: the name of a configuration file ends in .yml, .yaml, .toml or .json",
                    file.display()
                )
            }
            Self::Syntax { file, error } => f.write_str(&error.report(&file.display().to_string())),
            Self::Invalid { errors, .. } => {
                for (index, error) in errors.iter().enumerate() {
                    if index > 0 {
                        f.write_str("\n")?;
                    }
                    error.fmt(f)?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for LoadError {}

impl From<FlagError> for LoadError {
    fn from(error: FlagError) -> Self {
        Self::Flag(error.0)
    }
}

/// How files are read, so that tests need no disk.
pub trait Files {
    /// The content of a file; [`io::ErrorKind::NotFound`] if there is none.
    fn read(&self, path: &Path) -> io::Result<String>;
}

/// The machine's files.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }
}

/// Prefixes of environment variables.
const PREFIXES: [&str; 2] = ["TRAEFIK_", "RINGWAY_"];
/// Names of configuration files, in the order in which a directory is searched.
const NAMES: [&str; 2] = ["traefik", "ringway"];
/// Their endings.
const EXTENSIONS: [&str; 3] = ["toml", "yaml", "yml"];

/// Finds and reads the static configuration as Traefik does: from a file, else from flags, else from environment
/// variables; the first that has any is the only one.
///
/// `args` are the flags without the program's name, `env` the environment's variables. A file is named by
/// `--configFile`, `TRAEFIK_CONFIGFILE` or `RINGWAY_CONFIGFILE`, or is `traefik` or `ringway` with `.toml`, `.yaml` or
/// `.yml` in `/etc/traefik`, `/etc/ringway`, `$XDG_CONFIG_HOME`, `$HOME/.config` or the working directory.
///
/// # Errors
///
/// A named file that does not exist is an error (Traefik goes on to the other places). Every wrong key and value of
/// the configuration is reported at once.
pub fn load(
    args: &[String],
    env: &[(String, String)],
    files: &dyn Files,
) -> Result<Loaded, LoadError> {
    let flags = Settings::from_flags(args)?;
    let vars = PREFIXES.map(|prefix| Settings::from_env(env, prefix));
    let named = flags
        .config_file
        .as_deref()
        .or_else(|| {
            vars.iter()
                .find_map(|settings| settings.config_file.as_deref())
        })
        .filter(|name| !name.trim().is_empty());
    if let Some((file, text)) = find_file(named, env, files)? {
        return read_file(file, &text);
    }
    if !flags.is_empty() {
        return finish(flags.into_tree(), Source::Flags, Findings::default());
    }
    for settings in vars {
        if !settings.is_empty() {
            return finish(
                settings.into_tree(),
                Source::Environment,
                Findings::default(),
            );
        }
    }
    finish(Node::map(), Source::Defaults, Findings::default())
}

fn find_file(
    named: Option<&str>,
    env: &[(String, String)],
    files: &dyn Files,
) -> Result<Option<(PathBuf, String)>, LoadError> {
    if let Some(name) = named {
        let file = PathBuf::from(expand(name, env).as_ref());
        return match files.read(&file) {
            Ok(text) => Ok(Some((file, text))),
            Err(error) => Err(LoadError::Read { file, error }),
        };
    }
    let var = |name: &str| {
        let found = env.iter().find(|(other, _)| other == name);
        found
            .map(|(_, value)| PathBuf::from(value))
            .filter(|path| !path.as_os_str().is_empty())
    };
    let directories = [
        Some(PathBuf::from("/etc/traefik")),
        Some(PathBuf::from("/etc/ringway")),
        var("XDG_CONFIG_HOME"),
        var("HOME").map(|home| home.join(".config")),
        Some(PathBuf::from(".")),
    ];
    for directory in directories.into_iter().flatten() {
        for name in NAMES {
            for extension in EXTENSIONS {
                let file = directory.join(name).with_extension(extension);
                match files.read(&file) {
                    Ok(text) => return Ok(Some((file, text))),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(LoadError::Read { file, error }),
                }
            }
        }
    }
    Ok(None)
}

fn read_file(file: PathBuf, text: &str) -> Result<Loaded, LoadError> {
    let Some(format) = Format::of_file(&file) else {
        return Err(LoadError::Format(file));
    };
    let document = match parse(format, text) {
        Ok(document) => document,
        Err(error) => return Err(LoadError::Syntax { file, error }),
    };
    let source = Source::File(file);
    let has_content = document
        .tree
        .as_map()
        .is_some_and(|entries| !entries.is_empty());
    if !has_content {
        let message =
            "has no configuration: a map with entryPoints, providers and so on is expected";
        let error = ObjectError::new("(top)", Position::NONE, message);
        return Err(invalid(source, vec![error]));
    }
    let mut findings = Findings::default();
    let mut tree = document.tree;
    // Traefik 1 read TOML only.
    if format == Format::Toml {
        match v1::is_v1(&tree) {
            Ok(true) => return finish_v1(&tree, source),
            Ok(false) => {}
            Err(error) => return Err(invalid(source, vec![error])),
        }
    }
    set_aside(&mut tree, &source, &mut findings);
    if let Some(at) = document.ignored_from {
        let message = "further documents of this file are ignored: only the first counts";
        findings
            .warnings
            .push(ObjectError::new("(top)", at, message));
    }
    finish(tree, source, findings)
}

/// A Traefik 1 file: converted, then read like any other.
fn finish_v1(tree: &Node<'_>, source: Source) -> Result<Loaded, LoadError> {
    let name = source.to_string();
    let dynamic = v1::DynamicPart {
        file: &name,
        is_written: false,
    };
    let converted = v1::convert_static(tree, dynamic);
    if !converted.errors.is_empty() {
        return Err(invalid(source, converted.errors));
    }
    let mut findings = Findings::default();
    findings.warnings.push(v1::notice());
    let remarks = converted.remarks.into_iter().map(|remark| remark.what);
    findings.warnings.extend(remarks);
    let mut loaded = finish(converted.tree, source, findings)?;
    loaded.config.former = Arc::new(v1::Context::of_static(tree));
    Ok(loaded)
}

/// Removes what may stand in a static file without being part of it: the dynamic sections, which the file provider
/// may read from the same file, and `x-…` keys, which hold YAML anchors.
fn set_aside(tree: &mut Node<'_>, source: &Source, findings: &mut Findings) {
    let is_read_as_dynamic = {
        let file = tree.field("providers").and_then(|node| node.field("file"));
        let name = |field| {
            file.and_then(|file| file.field(field))
                .and_then(Node::as_scalar)
        };
        match (name("directory"), name("filename"), source) {
            (Some(directory), _, _) if !directory.is_empty() => true,
            (_, Some(name), Source::File(this)) => Path::new(name).file_name() == this.file_name(),
            _ => false,
        }
    };
    let Value::Map(entries) = &mut tree.value else {
        return;
    };
    entries.retain(|entry| {
        let is_dynamic = ["http", "tcp", "udp", "tls"]
            .iter()
            .any(|section| entry.key.eq_ignore_ascii_case(section));
        if is_dynamic && !is_read_as_dynamic {
            let message = "belongs to the dynamic configuration: it has no effect unless providers.file names this file";
            let warning = ObjectError::new(&entry.key, entry.at, message);
            findings.warnings.push(warning);
        }
        !is_dynamic && !entry.key.starts_with("x-")
    });
}

/// Sifts, decodes, completes and checks a tree.
fn finish(mut tree: Node<'_>, source: Source, mut findings: Findings) -> Result<Loaded, LoadError> {
    sift(&mut tree, &mut findings);
    let Findings {
        mut warnings,
        mut errors,
    } = findings;
    // The top may be empty after unsupported keys are gone.
    let config = StaticConfig::decode(&tree, How::Element, &KeyPath::ROOT, &mut errors);
    // What is wrong in itself comes first: checks between options would only repeat it in other words.
    if let Some(mut config) = config.filter(|_| errors.is_empty()) {
        complete(&mut config);
        config.former = Arc::new(former(&config));
        validate(&config, &mut errors);
        warnings.extend(unserved(&config, &tree));
        if errors.is_empty() {
            return Ok(Loaded {
                config,
                warnings: from(&source, warnings),
                source,
            });
        }
    }
    Err(invalid(source, errors))
}

/// What frontends of Traefik 1 need to know of today's configuration.
fn former(config: &StaticConfig) -> v1::Context {
    v1::Context::of_entry_points(config.entry_points.iter().map(|(name, entry_point)| {
        let has_tls = entry_point.http.tls.is_some();
        (&**name, entry_point.address.port(), has_tls)
    }))
}

/// Entry points that do not listen, because their protocol is not supported yet.
fn unserved(config: &StaticConfig, tree: &Node<'_>) -> Vec<ObjectError> {
    let nodes = tree.field("entryPoints");
    let udp = config.entry_points.iter();
    udp.filter(|(_, entry_point)| entry_point.address.protocol() == Protocol::Udp)
        .map(move |(name, _)| {
            let at = nodes
                .and_then(|nodes| nodes.field(name))
                .map_or(Position::NONE, |node| node.at);
            let path = format!("entryPoints.{name}.address");
            ObjectError::new(
                path,
                at,
                "UDP is not supported yet: this entry point does not listen",
            )
        })
        .collect()
}

fn invalid(source: Source, mut errors: Vec<ObjectError>) -> LoadError {
    errors.sort_by_key(|error| error.position);
    LoadError::Invalid {
        errors: from(&source, errors),
        source,
    }
}

/// The problems with their source's name.
fn from(source: &Source, problems: Vec<ObjectError>) -> Vec<ObjectError> {
    let name: Arc<str> = source.to_string().into();
    problems
        .into_iter()
        .map(|problem| problem.in_file(&name))
        .collect()
}

#[cfg(test)]
mod tests;
