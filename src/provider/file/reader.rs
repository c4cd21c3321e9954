//! From what the file system shows to updates: reads and decodes what changed, keeps what is good, and
//! waits for what is unfinished.
//!
//! ```text
//! Found ──► which files changed ──► read, parse, decode ──► per file: last good objects
//!                                                            └─► merge by name order ──► Payload
//! ```
//!
//! A file that is being written, that is suddenly empty, unreadable, malformed or gone may be the middle
//! of an edit: its last good objects stay, and only what is still so after [`SETTLE`] counts. No thread,
//! no clock and no watch here: time is an argument, so that tests need no patience.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use rustc_hash::{FxHashSet, FxHasher};

use super::source::{FileIdentity, Found, FoundFile};
use crate::config::dynamic::{self, Declared, Decoded, ObjectKey, Reading as Edit};
use crate::config::format::{Format, SyntaxError};
use crate::config::v1::{self, Context};
use crate::watcher::{Entry, Objects, Payload};

/// How long an emptied, malformed or vanished file must stay so before it is taken seriously.
pub const SETTLE: Duration = Duration::from_millis(100);

/// How soon a file that changed while it was read is looked at again.
const RETRY: Duration = Duration::from_millis(5);

/// Largest file that is read; 100,000 routers are about 30 MiB.
pub const MAX_FILE_BYTES: u64 = 1 << 30;

/// Above this many lookups, finding each changed object's first definition is dearer than merging all.
const MAX_PATCH_LOOKUPS: usize = 100_000;

/// Reads one source. Everything it knows is in memory; the file system is the truth.
pub struct Reader {
    /// What files of Traefik 1 need to know.
    former: Arc<Context>,
    files: BTreeMap<PathBuf, FileState>,
    /// Paths in order of precedence, as last found.
    order: Vec<PathBuf>,
    /// Since when the source itself (or a part) cannot be looked at, and why.
    out_of_sight: Option<(Instant, String)>,
    /// Whether a snapshot was given out.
    reported: bool,
    /// The error given out last.
    error: Option<String>,
}

#[derive(Default)]
struct FileState {
    former: Arc<Context>,
    identity: Option<FileIdentity>,
    /// Hash of the content that was judged last.
    content: Option<u64>,
    /// The objects in force.
    good: Decoded,
    /// Whether `good` is a reading of this file, rather than nothing yet.
    read: bool,
    /// Why the present content is not in force, once that is certain.
    error: Option<String>,
    /// Since when the file looks like the middle of an edit.
    doubtful_since: Option<Instant>,
    /// Whether it was found at the last look.
    present: bool,
}

/// What has become of a file's present content.
#[derive(Debug)]
pub enum Reading {
    /// This content was taken in.
    Taken(Vec<u8>),
    /// This content is refused as a whole, for this reason.
    Refused(Vec<u8>, String),
    /// The content has not been judged yet, or cannot be read.
    Pending,
}

/// What a look found out.
#[derive(Debug, Default)]
pub struct Look {
    /// What to tell the watcher, in order.
    pub payloads: Vec<Payload>,
    /// When to look again although nothing is reported.
    pub again: Option<Instant>,
}

impl Look {
    fn again_at(&mut self, at: Instant) {
        self.again = Some(self.again.map_or(at, |known| known.min(at)));
    }
}

/// What a file's present content is.
enum Content {
    Same,
    Good(Edit),
    Doubtful(Doubt),
}

enum Doubt {
    Empty,
    Wrong(String),
}

impl Reader {
    /// A reader that has seen nothing. `former` is what files of Traefik 1 need to know of the static configuration.
    pub fn new(former: Arc<Context>) -> Self {
        Self {
            former,
            files: BTreeMap::new(),
            order: Vec::new(),
            out_of_sight: None,
            reported: false,
            error: None,
        }
    }

    /// Takes in what was found. `writing` tells until when a file (by its real path) counts as being
    /// written; `force` reads everything again (SIGHUP).
    pub fn look(
        &mut self,
        found: &Found,
        now: Instant,
        writing: impl Fn(&Path) -> Option<Instant>,
        force: bool,
    ) -> Look {
        let mut look = Look::default();
        let mut changed = FxHashSet::default();
        for state in self.files.values_mut() {
            state.present = false;
        }
        self.order = found.files.iter().map(|file| file.path.clone()).collect();
        let mut reads = 0;
        for file in &found.files {
            let unknown = || FileState {
                former: Arc::clone(&self.former),
                ..FileState::default()
            };
            let state = self.files.entry(file.path.clone()).or_insert_with(unknown);
            state.present = true;
            if let Some(until) = writing(&file.real_path)
                && until > now
                && self.reported
            {
                look.again_at(until);
                continue;
            }
            if force || state.identity != Some(file.identity) || state.doubtful_since.is_some() {
                // Before the first snapshot there is nothing to tell a difference to.
                let changed = self.reported.then_some(&mut changed);
                reads += usize::from(state.read_again(file, now, force, &mut look, changed));
            }
        }
        self.forget_removed(found, now, &mut look, &mut changed);
        self.judge_sight(found, now, &mut look);
        self.give_out(&changed, reads, &mut look);
        look
    }

    /// What has become of a file as it is now. Reads it.
    pub fn reading(&self, file: &FoundFile) -> Reading {
        let Some(state) = self.files.get(&file.path) else {
            return Reading::Pending;
        };
        if state.identity != Some(file.identity) || state.doubtful_since.is_some() {
            return Reading::Pending;
        }
        match read(&file.real_path) {
            Ok(bytes) if state.content == Some(hash_of(&bytes)) => match &state.error {
                Some(reason) => Reading::Refused(bytes, reason.clone()),
                None => Reading::Taken(bytes),
            },
            _ => Reading::Pending,
        }
    }

    /// Hash over all files' contents, for the update's position.
    pub fn content_hash(&self) -> u64 {
        let mut hasher = FxHasher::default();
        for (path, state) in &self.files {
            hasher.write(path.as_os_str().as_encoded_bytes());
            hasher.write_u64(state.content.unwrap_or(0));
        }
        hasher.finish()
    }

    /// How many files have objects in force.
    pub fn file_count(&self) -> usize {
        self.files.values().filter(|state| state.read).count()
    }

    fn forget_removed(
        &mut self,
        found: &Found,
        now: Instant,
        look: &mut Look,
        changed: &mut FxHashSet<ObjectKey>,
    ) {
        self.files.retain(|path, state| {
            if state.present {
                return true;
            }
            if found
                .errors
                .iter()
                .any(|(hidden, _)| path.starts_with(hidden))
            {
                return true;
            }
            let since = *state.doubtful_since.get_or_insert(now);
            if now.duration_since(since) < SETTLE {
                look.again_at(since + SETTLE);
                return true;
            }
            changed.extend(state.good.objects.keys().cloned());
            false
        });
        // Where they stood among the others does not matter for the last milliseconds of their life.
        let rest: Vec<PathBuf> = self
            .files
            .iter()
            .filter(|(_, state)| !state.present)
            .map(|(path, _)| path.clone())
            .collect();
        self.order.extend(rest);
    }

    fn judge_sight(&mut self, found: &Found, now: Instant, look: &mut Look) {
        if found.errors.is_empty() {
            self.out_of_sight = None;
            return;
        }
        let mut reasons: Vec<&str> = found
            .errors
            .iter()
            .map(|(_, reason)| reason.as_str())
            .collect();
        reasons.dedup();
        let reason = reasons.join("; ");
        let since = self.out_of_sight.as_ref().map_or(now, |(since, _)| *since);
        if now.duration_since(since) < SETTLE && self.reported {
            look.again_at(since + SETTLE);
        }
        self.out_of_sight = Some((since, reason));
    }

    /// Every reason why something of the source is not in force.
    fn errors(&self, now_settled: bool) -> Option<String> {
        let mut text = String::new();
        if let Some((_, reason)) = &self.out_of_sight
            && now_settled
        {
            text.push_str(reason);
        }
        for path in &self.order {
            let Some(state) = self.files.get(path) else {
                continue;
            };
            let own = state
                .good
                .errors
                .iter()
                .map(|error| format!("{}:{error}", path.display()));
            for error in state.error.iter().cloned().chain(own) {
                let separator = if text.is_empty() { "" } else { "; " };
                let _ = write!(text, "{separator}{error}");
            }
        }
        (!text.is_empty()).then_some(text)
    }

    fn give_out(&mut self, changed: &FxHashSet<ObjectKey>, reads: usize, look: &mut Look) {
        let settled = !self.reported || look.again.is_none();
        let error = self.errors(settled);
        let nothing_good = self.files.values().all(|state| !state.read);
        let only_errors = nothing_good && error.is_some();
        let first = !self.reported && !only_errors;
        let error_changed = error != self.error;
        if first {
            self.reported = true;
            look.payloads.push(Payload::Snapshot(self.merged()));
        } else if self.reported && (!changed.is_empty() || error_changed) {
            let all =
                changed.len().saturating_mul(self.order.len()) > MAX_PATCH_LOOKUPS || reads > 64;
            look.payloads.push(if all && !changed.is_empty() {
                Payload::Snapshot(self.merged())
            } else {
                Payload::Patch(
                    changed
                        .iter()
                        .map(|key| (key.clone(), self.first_definition(key)))
                        .collect(),
                )
            });
        }
        if error_changed && let Some(error) = &error {
            tracing::error!(
                providerName = "file",
                "{error}; what was good before stays in force"
            );
        }
        if let Some(error) = &error
            && (error_changed || !look.payloads.is_empty())
        {
            // Last: it says that what came before is not all of the source.
            look.payloads.push(Payload::Failed(error.clone()));
        }
        self.error = error;
    }

    /// All objects, the first definition of each.
    fn merged(&self) -> Objects {
        let states = self.order.iter().rev();
        let states = states.filter_map(|path| Some((path, self.files.get(path)?)));
        let all = states.flat_map(|(path, state)| {
            let declared = state.good.objects.iter();
            declared.map(move |(key, declared)| (key.clone(), self.entry(path, declared)))
        });
        // Sorted at once, which is several times faster than one by one; of equal keys the last one stays.
        let objects: Objects = all.collect();
        let declared: usize = self
            .files
            .values()
            .map(|state| state.good.objects.len())
            .sum();
        if declared > objects.len() {
            self.warn_duplicates();
        }
        objects
    }

    fn first_definition(&self, key: &ObjectKey) -> Entry {
        let mut definitions = self.order.iter().filter_map(|path| {
            let state = self.files.get(path)?;
            Some((path, state, state.good.objects.get(key)?))
        });
        let Some((path, _, declared)) = definitions.next() else {
            return Entry::Absent;
        };
        let entry = self.entry(path, declared);
        for (path, state, _) in definitions {
            if state.present {
                self.warn_duplicate(key, path);
            }
        }
        entry
    }

    /// Reports what present files define that another one has defined before them.
    fn warn_duplicates(&self) {
        let mut seen = FxHashSet::default();
        for path in &self.order {
            let Some(state) = self.files.get(path) else {
                continue;
            };
            for key in state.good.objects.keys() {
                if !seen.insert(key) && state.present {
                    self.warn_duplicate(key, path);
                }
            }
        }
    }

    fn warn_duplicate(&self, key: &ObjectKey, ignored: &Path) {
        let first = self.order.iter().find(|path| {
            self.files
                .get(*path)
                .is_some_and(|state| state.good.objects.contains_key(key))
        });
        tracing::warn!(
            providerName = "file",
            object = %key,
            "{} defines {key}, which {} has defined already; the first definition, by file name, is used",
            ignored.display(),
            first.map_or_else(|| Path::new("another file"), PathBuf::as_path).display(),
        );
    }

    fn entry(&self, path: &Path, declared: &Declared) -> Entry {
        match &declared.result {
            Ok(object) => Entry::Present(object.clone()),
            Err(errors) => {
                let mut errors = Arc::clone(errors);
                if self.files.len() > 1 {
                    for error in Arc::make_mut(&mut errors) {
                        let _ = write!(error.message, " (in {})", path.display());
                    }
                }
                Entry::Rejected(errors)
            }
        }
    }
}

impl FileState {
    /// Reads the file and judges its content. True if it was decoded.
    fn read_again(
        &mut self,
        file: &FoundFile,
        now: Instant,
        force: bool,
        look: &mut Look,
        changed: Option<&mut FxHashSet<ObjectKey>>,
    ) -> bool {
        let mut hash = self.content;
        let content = match read(&file.real_path) {
            Ok(bytes) => {
                let read_hash = hash_of(&bytes);
                hash = Some(read_hash);
                if self.content == hash && self.doubtful_since.is_none() && !force {
                    Content::Same
                } else {
                    self.judge(&file.path, &bytes)
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Gone between finding and reading: the next look says for how long.
                look.again_at(now + RETRY);
                return false;
            }
            Err(error) => Content::Doubtful(Doubt::Wrong(format!(
                "{} cannot be read: {error}",
                file.path.display()
            ))),
        };
        if let Content::Doubtful(_) = content
            && self.read
            && !self.good.objects.is_empty()
            && !(self.content == hash && self.error.is_some())
        {
            let since = *self.doubtful_since.get_or_insert(now);
            if now.duration_since(since) < SETTLE {
                look.again_at(since + SETTLE);
                return false;
            }
        }
        self.doubtful_since = None;
        self.identity = Some(file.identity);
        self.content = hash;
        match content {
            Content::Same => false,
            Content::Good(reading) => {
                self.accept(&file.path, reading, changed);
                true
            }
            Content::Doubtful(Doubt::Empty) => {
                self.accept(&file.path, Decoded::default().into(), changed);
                true
            }
            Content::Doubtful(Doubt::Wrong(reason)) => {
                self.error = Some(reason);
                false
            }
        }
    }

    fn judge(&self, path: &Path, bytes: &[u8]) -> Content {
        if bytes.trim_ascii().is_empty() {
            return Content::Doubtful(Doubt::Empty);
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let line = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let line = line.iter().filter(|byte| **byte == b'\n').count() + 1;
                let reason = format!("{}:{line}: is not UTF-8 text", path.display());
                return Content::Doubtful(Doubt::Wrong(reason));
            }
        };
        match read_text_again(path, text, &self.good, &self.former) {
            Ok(reading) => Content::Good(reading),
            Err(FileError::Syntax(error)) => {
                Content::Doubtful(Doubt::Wrong(format!("{}:{error}", path.display())))
            }
            Err(error) => {
                Content::Doubtful(Doubt::Wrong(error.report(&path.display().to_string())))
            }
        }
    }

    fn accept(&mut self, path: &Path, reading: Edit, changed: Option<&mut FxHashSet<ObjectKey>>) {
        self.good.apply(reading, changed);
        for warning in &self.good.warnings {
            tracing::warn!(providerName = "file", "{}:{warning}", path.display());
        }
        self.read = true;
        self.error = None;
    }
}

/// A file of which nothing can be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileError {
    /// It is not of its language.
    Syntax(SyntaxError),
    /// It has Go template actions, at this line.
    Template {
        /// Counted from 1.
        line: usize,
    },
}

impl FileError {
    /// The error behind its file's name; where possible with the line and a caret below the place.
    pub fn report(&self, file: &str) -> String {
        match self {
            Self::Syntax(error) => error.report(file),
            Self::Template { line } => format!("{file}:{line}: {self}"),
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(error) => error.fmt(f),
            Self::Template { .. } => f.write_str(
                "Go template actions (\"{{ … }}\") are not supported yet; write the configuration out, \
                 or generate the file with a tool of your own",
            ),
        }
    }
}

impl std::error::Error for FileError {}

/// Decodes the text of a dynamic configuration file; its format follows from its name (`.toml`, anything
/// else is YAML). Unchanged objects are taken from `previous`; `former` is what a file of Traefik 1 needs to know.
///
/// # Errors
/// The text cannot be parsed at all.
pub fn decode_text(
    path: &Path,
    text: &str,
    previous: Option<&Decoded>,
    former: &Context,
) -> Result<Decoded, FileError> {
    let format = format_of(path, text)?;
    let former = v1::decode_text(format, text, former);
    former
        .unwrap_or_else(|| dynamic::decode_text(format, text, previous))
        .map_err(FileError::Syntax)
}

/// The same for a text that may be an edit of the one that `good` is the reading of.
fn read_text_again(
    path: &Path,
    text: &str,
    good: &Decoded,
    former: &Context,
) -> Result<Edit, FileError> {
    let format = format_of(path, text)?;
    let former = v1::decode_text(format, text, former).map(|decoded| decoded.map(Edit::from));
    former
        .unwrap_or_else(|| good.read_again(format, text))
        .map_err(FileError::Syntax)
}

/// The format of a file by its name, unless the text is not what it will be.
fn format_of(path: &Path, text: &str) -> Result<Format, FileError> {
    if let Some(at) = memchr::memmem::find(text.as_bytes(), b"{{") {
        let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        return Err(FileError::Template { line });
    }
    Ok(Format::of_file(path).unwrap_or(Format::Yaml))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let size = fs::metadata(path)?.len();
    if size > MAX_FILE_BYTES {
        let reason = format!("it has {size} bytes; at most {MAX_FILE_BYTES} are read");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    fs::read(path)
}

fn hash_of(bytes: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(bytes);
    hasher.write_usize(bytes.len());
    hasher.finish()
}
