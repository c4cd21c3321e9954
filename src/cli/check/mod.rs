//! `ringway check`: validates configuration files offline, by decoding and compiling them as the running
//! proxy would.
//!
//! ```text
//! FILE… ──► static? dynamic? ──► decode (every problem with its place) ──► plan ──► findings with places
//! ```
//!
//! A static file is checked together with the dynamic files that it names. Without a static file, the
//! entry points that routers name are assumed to exist. Objects of other providers cannot be seen offline:
//! a reference to one is a warning.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;

mod places;

use self::places::{Places, find_owner, located, severity, without_repetition};
use super::findings::{Finding, Severity};
use super::remarks::remarks;
use super::say;
use crate::config::dynamic::{Decoded, Kind, Object};
use crate::config::format::{self, Format};
use crate::config::statics::{Disk, LoadError, Loaded, is_static_key, load};
use crate::config::tree::Position;
use crate::config::v1;
use crate::control::planning::{Outcome, plan_once};
use crate::control::settings;
use crate::plan::{Level, PlanSettings};
use crate::provider::file::reader::{FileError, decode_text};
use crate::provider::file::{self, Source};
use crate::provider::internal;
use crate::rules::Syntax;
use crate::service::Internal;
use crate::watcher::{Entry, Objects, Payload, Update};

/// What to check.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// Static or dynamic configuration files, or directories of dynamic ones.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Everything that was found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Every problem, by file and place.
    pub findings: Vec<Finding>,
    /// Numbers of what was checked.
    pub summary: Summary,
}

/// Numbers of what was checked.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Files read.
    pub files: usize,
    /// HTTP routers declared.
    pub routers: usize,
    /// HTTP services declared.
    pub services: usize,
    /// HTTP middlewares declared.
    pub middlewares: usize,
    /// Objects of other kinds declared.
    pub others: usize,
    /// Findings that are errors.
    pub errors: usize,
    /// Findings that are warnings.
    pub warnings: usize,
}

/// Exit codes: 0 without errors, 1 with.
pub fn run(args: &CheckArgs) -> ExitCode {
    let report = check(&args.files);
    if args.json {
        match serde_json::to_string_pretty(&report) {
            Ok(json) => say(json),
            Err(error) => eprintln!("ringway check: {error}"),
        }
    } else {
        for finding in &report.findings {
            say(finding);
        }
        if !report.findings.is_empty() {
            say("");
        }
        say(report.summary.sentence());
    }
    if report.summary.errors > 0 {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    }
}

/// Checks files and directories together: references between them resolve.
pub fn check(paths: &[PathBuf]) -> Report {
    let mut check = Check::default();
    for path in paths {
        check.take(path);
    }
    check.remark();
    check.compile();
    check.report()
}

/// A dynamic file that could be parsed.
struct DynamicFile {
    path: PathBuf,
    text: String,
    decoded: Decoded,
}

#[derive(Default)]
struct Check {
    findings: Vec<Finding>,
    files: usize,
    statics: Vec<Loaded>,
    dynamics: Vec<DynamicFile>,
}

impl Check {
    fn take(&mut self, path: &Path) {
        if path.is_dir() {
            self.take_source(&Source::Directory(path.to_owned()), Severity::Error);
            return;
        }
        self.take_file(path);
    }

    /// `severity`: of what cannot be found. A path on the command line must exist; one that a static file
    /// names may exist only where the proxy runs, and is read there as soon as it does.
    fn take_source(&mut self, source: &Source, severity: Severity) {
        let found = source.find();
        for (path, reason) in found.errors {
            let finding = Finding::new(&path, severity, Position::NONE, "", reason);
            self.findings.push(finding);
        }
        for file in found.files {
            if !self.dynamics.iter().any(|known| known.path == file.path) {
                self.take_dynamic(&file.path);
            }
        }
    }

    fn take_file(&mut self, path: &Path) {
        if let Some(text) = self.read(path) {
            if is_static(path, &text) {
                self.files += 1;
                self.take_static(path);
            } else {
                self.take_dynamic_text(path, text);
            }
        }
    }

    fn take_dynamic(&mut self, path: &Path) {
        if let Some(text) = self.read(path) {
            self.take_dynamic_text(path, text);
        }
    }

    fn read(&mut self, path: &Path) -> Option<String> {
        match std::fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) => {
                let message = format!("cannot be read: {error}");
                self.findings.push(Finding::new(
                    path,
                    Severity::Error,
                    Position::NONE,
                    "",
                    message,
                ));
                None
            }
        }
    }

    fn take_static(&mut self, path: &Path) {
        let flag = format!("--configFile={}", path.display());
        match load(&[flag], &[], &Disk) {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    self.findings
                        .push(Finding::of_object(path, Severity::Warning, warning));
                }
                let dynamic = settings::file_provider(&loaded.config).map(|own| own.source);
                self.statics.push(loaded);
                if let Some(source) = dynamic {
                    self.take_source(&source, Severity::Warning);
                }
            }
            Err(error) => self.take_load_error(path, error),
        }
    }

    fn take_load_error(&mut self, path: &Path, error: LoadError) {
        match error {
            LoadError::Syntax { error, .. } => {
                self.take_file_error(path, &FileError::Syntax(error))
            }
            LoadError::Invalid { errors, .. } => {
                let findings = errors
                    .iter()
                    .map(|error| Finding::of_object(path, Severity::Error, error));
                self.findings.extend(findings);
            }
            other => {
                let finding =
                    Finding::new(path, Severity::Error, Position::NONE, "", other.to_string());
                self.findings.push(finding);
            }
        }
    }

    fn take_file_error(&mut self, path: &Path, error: &FileError) {
        let (position, message) = match error {
            FileError::Syntax(error) => (error.position, error.message.clone()),
            FileError::Template { line } => (
                Position::new(u32::try_from(*line).unwrap_or(0), 1),
                error.to_string(),
            ),
        };
        let mut finding = Finding::new(path, Severity::Error, position, "", message);
        // The report's first line is the finding itself, the rest shows the place.
        let report = error.report("");
        finding.excerpt = report
            .lines()
            .skip(1)
            .map(|line| line.strip_prefix("  ").unwrap_or(line).to_owned())
            .collect();
        self.findings.push(finding);
    }

    fn take_dynamic_text(&mut self, path: &Path, text: String) {
        self.files += 1;
        let former = self.statics.first();
        let former = former.map(|loaded| Arc::clone(&loaded.config.former));
        let decoded = match decode_text(path, &text, None, &former.unwrap_or_default()) {
            Ok(decoded) => decoded,
            Err(error) => return self.take_file_error(path, &error),
        };
        let errors = decoded.all_errors().into_iter();
        let errors = errors.map(|error| Finding::of_object(path, Severity::Error, error));
        self.findings.extend(errors);
        let warnings = decoded.warnings.iter();
        self.findings
            .extend(warnings.map(|error| Finding::of_object(path, Severity::Warning, error)));
        self.dynamics.push(DynamicFile {
            path: path.to_owned(),
            text,
            decoded,
        });
    }

    /// Looks for routers that are legal and odd.
    fn remark(&mut self) {
        let syntax = self.statics.first().map_or(Syntax::V3, |loaded| {
            settings::plan(&loaded.config).default_rule_syntax
        });
        for file in &self.dynamics {
            let places = Places::of(file);
            for (key, declared) in &file.decoded.objects {
                let Ok(Object::HttpRouter(router)) = &declared.result else {
                    continue;
                };
                for remark in remarks(router, syntax) {
                    let position = places
                        .field(key.kind, &key.name, remark.field)
                        .unwrap_or(Position::NONE);
                    let path = format!("{key}.{}", remark.field);
                    let severity = Severity::Warning;
                    let message = remark.message;
                    let mut finding = Finding::new(&file.path, severity, position, path, message);
                    finding.excerpt = remark.clause.into_iter().collect();
                    self.findings.push(finding);
                }
            }
        }
    }

    /// Merges and compiles everything that decoded.
    fn compile(&mut self) {
        let mut objects = Objects::new();
        let mut owners: BTreeMap<(Kind, Arc<str>), usize> = BTreeMap::new();
        let mut duplicates = Vec::new();
        for (index, file) in self.dynamics.iter().enumerate() {
            for (key, declared) in &file.decoded.objects {
                if let Some(&first) = owners.get(&(key.kind, key.name.clone())) {
                    duplicates.push((index, first, key.clone()));
                    continue;
                }
                owners.insert((key.kind, key.name.clone()), index);
                let entry = match &declared.result {
                    Ok(object) => Entry::Present(object.clone()),
                    Err(errors) => Entry::Rejected(Arc::clone(errors)),
                };
                objects.insert(key.clone(), entry);
            }
        }
        for (index, first, key) in duplicates {
            let (file, first) = (&self.dynamics[index], &self.dynamics[first]);
            let place = Places::of(file);
            let message = format!("is defined in {} already, which wins", first.path.display());
            let position = place.object(key.kind, &key.name);
            self.findings.push(Finding::new(
                &file.path,
                Severity::Warning,
                position,
                key.to_string(),
                message,
            ));
        }
        let (settings, internal) = self.plan_settings(&objects);
        let mut updates = vec![Update {
            provider: file::NAME.into(),
            position: crate::watcher::Position {
                number: 1,
                text: "".into(),
            },
            payload: Payload::Snapshot(objects),
        }];
        updates.extend(internal);
        let outcome = plan_once(settings, updates);
        self.take_messages(&outcome, &owners);
    }

    /// From the static file, or as if there were one that offers what the routers ask for.
    fn plan_settings(&self, objects: &Objects) -> (PlanSettings, Option<Update>) {
        if let Some(loaded) = self.statics.first() {
            return (
                settings::plan(&loaded.config),
                Some(internal::update(&loaded.config)),
            );
        }
        let mut names: Vec<Arc<str>> = vec!["web".into()];
        for entry in objects.values() {
            if let Entry::Present(Object::HttpRouter(router)) = entry {
                names.extend(router.entry_points.iter().map(|name| Arc::from(&**name)));
            }
        }
        names.sort_unstable();
        names.dedup();
        let services = [
            ("noop", Internal::Noop),
            ("ping", Internal::Ping),
            ("api", Internal::Api),
            ("rest", Internal::Rest),
            ("dashboard", Internal::Dashboard),
        ];
        let settings = PlanSettings {
            default_entry_points: names.clone(),
            entry_points: names,
            internal_services: services.map(|(name, kind)| (name.into(), kind)).into(),
            ..PlanSettings::default()
        };
        (settings, None)
    }

    fn take_messages(&mut self, outcome: &Outcome, owners: &BTreeMap<(Kind, Arc<str>), usize>) {
        let places: Vec<Places<'_>> = self.dynamics.iter().map(Places::of).collect();
        let mut findings = Vec::new();
        for message in &outcome.planned.log {
            if message.level == Level::Info {
                continue;
            }
            let message = &without_repetition(message, outcome);
            let (name, provider) = message
                .name
                .rsplit_once('@')
                .unwrap_or((&message.name, file::NAME));
            let owner = find_owner(owners, message.kind, name);
            if let Some((name, index)) = owner
                && provider == file::NAME
            {
                let file = &self.dynamics[index];
                let declared = file.decoded.get(message.kind, name);
                // What does not even decode has been reported with its own places.
                if declared.is_some_and(|declared| declared.result.is_ok()) {
                    findings.extend(located(file, &places[index], message, name, outcome));
                }
                continue;
            }
            let path = self.statics.first().map_or_else(
                || PathBuf::from("(configuration)"),
                |loaded| PathBuf::from(loaded.source.to_string()),
            );
            let object = format!("{}.{}", message.kind, message.name);
            findings.push(Finding::new(
                &path,
                severity(message),
                Position::NONE,
                object,
                &*message.text,
            ));
        }
        self.findings.extend(findings);
    }

    fn report(mut self) -> Report {
        self.findings.sort();
        self.findings.dedup();
        let mut summary = Summary {
            files: self.files,
            ..Summary::default()
        };
        for key in self
            .dynamics
            .iter()
            .flat_map(|file| file.decoded.objects.keys())
        {
            *match key.kind {
                Kind::HttpRouter => &mut summary.routers,
                Kind::HttpService => &mut summary.services,
                Kind::HttpMiddleware => &mut summary.middlewares,
                _ => &mut summary.others,
            } += 1;
        }
        let errors = self
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error);
        summary.errors = errors.count();
        summary.warnings = self.findings.len() - summary.errors;
        Report {
            findings: self.findings,
            summary,
        }
    }
}

impl Summary {
    fn sentence(&self) -> String {
        let count = |number: usize, one: &str| {
            let plural = if number == 1 { "" } else { "s" };
            format!("{number} {one}{plural}")
        };
        let others = if self.others > 0 {
            format!(", {} others", self.others)
        } else {
            String::new()
        };
        format!(
            "{}: {}, {}, {}{others}; {}, {}",
            count(self.files, "file"),
            count(self.routers, "router"),
            count(self.services, "service"),
            count(self.middlewares, "middleware"),
            count(self.errors, "error"),
            count(self.warnings, "warning"),
        )
    }
}

/// A file is static if it has a top-level key that only a static one has, or none that only a dynamic one
/// has. A section of the other kind in it is then reported as such. What cannot be parsed is taken as
/// dynamic: the error is the same.
fn is_static(path: &Path, text: &str) -> bool {
    let format = Format::of_file(path).unwrap_or(Format::Yaml);
    let Ok(document) = format::parse(format, text) else {
        return false;
    };
    if format == Format::Toml && matches!(v1::is_v1(&document.tree), Ok(true)) {
        return !v1::is_dynamic_only(&document.tree);
    }
    let entries = document.tree.as_map().unwrap_or_default();
    let dynamic = |key: &str| {
        ["http", "tcp", "udp", "tls"]
            .iter()
            .any(|name| key.eq_ignore_ascii_case(name))
    };
    !entries.is_empty()
        && (entries.iter().any(|entry| is_static_key(&entry.key))
            || !entries.iter().any(|entry| dynamic(&entry.key)))
}

#[cfg(test)]
mod tests;
