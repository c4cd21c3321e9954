//! The structured log: Traefik's two formats on `tracing`, written by a thread of its own.
//!
//! ```text
//! any thread ── event ──► line ── bounded queue ──► log thread ──► stdout or log.filePath
//! ```
//!
//! A full pipe or a slow disk never stops the thread that logs: lines that find the queue full are
//! counted, and the count is logged once there is room. Not here: the access log (`observe`).

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

/// Most lines that wait for the log thread; more are dropped and counted.
pub const MAX_QUEUED_LINES: usize = 8192;

/// Longest wait for the last lines to be written at the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `2026-01-02T03:04:05Z INF message key=value`.
    #[default]
    Common,
    /// One JSON object per line with `level`, `time`, `message` and the fields.
    Json,
}

/// What is logged and where (Traefik: `log`).
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// The least severe level that is logged.
    pub level: LevelFilter,
    /// How lines look.
    pub format: LogFormat,
    /// The file to append to; standard output without one.
    pub file_path: Option<PathBuf>,
    /// No colours on a terminal.
    pub no_color: bool,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            level: LevelFilter::ERROR,
            format: LogFormat::Common,
            file_path: None,
            no_color: false,
        }
    }
}

/// Parses Traefik's names of levels, in any case. `FATAL` and `PANIC` log errors only.
pub fn parse_level(name: &str) -> Option<LevelFilter> {
    Some(match name.to_ascii_uppercase().as_str() {
        "TRACE" => LevelFilter::TRACE,
        "DEBUG" => LevelFilter::DEBUG,
        "INFO" => LevelFilter::INFO,
        "WARN" | "WARNING" => LevelFilter::WARN,
        "" | "ERROR" | "FATAL" | "PANIC" => LevelFilter::ERROR,
        _ => return None,
    })
}

enum Message {
    Line(Vec<u8>),
    Reopen,
    Flush(Sender<()>),
}

/// The running log; dropping it writes what is queued.
pub struct Logging {
    queue: Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

impl Logging {
    /// Opens the file, starts the log thread and makes it the process's log.
    ///
    /// # Errors
    /// The log file cannot be opened, or the thread cannot be started. When the process has a log
    /// already (in tests), events stay with that one.
    pub fn start(settings: &LogSettings) -> io::Result<Self> {
        let (logging, layer) = Self::new(settings)?;
        // Fails only if another one was set before.
        let _ = tracing::subscriber::set_global_default(Registry::default().with(layer));
        Ok(logging)
    }

    fn new(settings: &LogSettings) -> io::Result<(Self, LineLayer)> {
        let output = Output::open(settings.file_path.as_deref())?;
        let color = settings.format == LogFormat::Common
            && settings.file_path.is_none()
            && !settings.no_color
            && io::stdout().is_terminal();
        let (queue, lines) = bounded(MAX_QUEUED_LINES);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = dropped.clone();
        let format = settings.format;
        let thread = std::thread::Builder::new()
            .name("ringway-log".into())
            .spawn(move || write_lines(output, &lines, &counter, format))?;
        let layer = LineLayer {
            queue: queue.clone(),
            dropped,
            level: settings.level,
            format,
            color,
        };
        Ok((
            Self {
                queue,
                thread: Some(thread),
            },
            layer,
        ))
    }

    /// Opens the file anew, after a rotation moved it (SIGUSR1).
    pub fn reopen(&self) {
        // Not try_send: a rotation must not be lost. The log thread always drains.
        let _ = self.queue.send(Message::Reopen);
    }

    /// Waits until everything logged so far is written, or two seconds.
    pub fn flush(&self) {
        let (done, wait) = bounded(1);
        if self
            .queue
            .send_timeout(Message::Flush(done), FLUSH_TIMEOUT)
            .is_ok()
        {
            let _ = wait.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.flush();
        // The thread ends with the process: the layer's queue lives as long as the subscriber.
        drop(self.thread.take());
    }
}

enum Output {
    Stdout,
    File { path: PathBuf, file: File },
}

impl Output {
    fn open(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Stdout);
        };
        let file = open_for_append(path)?;
        Ok(Self::File {
            path: path.to_owned(),
            file,
        })
    }

    fn write(&mut self, line: &[u8]) {
        // There is nowhere to report that the log cannot be written.
        let _ = match self {
            Self::Stdout => io::stdout().lock().write_all(line),
            Self::File { file, .. } => file.write_all(line),
        };
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Self::File { path, file } = self {
            *file = open_for_append(path)?;
        }
        Ok(())
    }
}

fn open_for_append(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        // Traefik creates the directory as well. If it fails, opening says why.
        let _ = std::fs::create_dir_all(directory);
    }
    OpenOptions::new().create(true).append(true).open(path)
}

fn write_lines(
    mut output: Output,
    queue: &Receiver<Message>,
    dropped: &AtomicU64,
    format: LogFormat,
) {
    for message in queue {
        match message {
            Message::Line(line) => output.write(&line),
            Message::Reopen => {
                if let Err(error) = output.reopen() {
                    let text = format!(
                        "the log file cannot be opened again: {error}; the old one goes on"
                    );
                    output.write(&plain_line(format, Level::ERROR, &text));
                }
            }
            Message::Flush(done) => {
                let _ = io::stdout().lock().flush();
                let _ = done.send(());
            }
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let text =
                format!("{lost} log lines were dropped: the log could not be written fast enough");
            output.write(&plain_line(format, Level::WARN, &text));
        }
    }
}

fn plain_line(format: LogFormat, level: Level, text: &str) -> Vec<u8> {
    let mut line = Line {
        message: text.to_owned(),
        fields: Vec::new(),
    };
    line.render(format, false, level)
}

/// Turns events into lines.
struct LineLayer {
    queue: Sender<Message>,
    dropped: Arc<AtomicU64>,
    level: LevelFilter,
    format: LogFormat,
    color: bool,
}

impl<S: Subscriber> Layer<S> for LineLayer {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        // Libraries speak of themselves; only their warnings concern an operator.
        let own = metadata.target().starts_with("ringway");
        *metadata.level() <= self.level
            && (own || *metadata.level() <= Level::WARN || self.level == LevelFilter::TRACE)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line {
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut line);
        let line = line.render(self.format, self.color, *event.metadata().level());
        if self.queue.try_send(Message::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The field with configuration as JSON.
const CONFIG: &str = "config";

struct Line {
    message: String,
    fields: Vec<(&'static str, serde_json::Value)>,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Formatting into a String cannot fail.
            let _ = write!(self.message, "{value:?}");
        } else {
            self.fields
                .push((field.name(), format!("{value:?}").into()));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
            return;
        }
        // Configuration is JSON already and stays it in both formats (Traefik: same).
        let json = (field.name() == CONFIG).then(|| serde_json::from_str(value));
        let json = json.and_then(Result::ok);
        self.fields
            .push((field.name(), json.unwrap_or_else(|| value.into())));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push((field.name(), value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.name(), value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.push((field.name(), value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push((field.name(), value.into()));
    }
}

impl Line {
    fn render(&mut self, format: LogFormat, color: bool, level: Level) -> Vec<u8> {
        let time = jiff::Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string();
        match format {
            LogFormat::Common => self.render_common(&time, color, level),
            LogFormat::Json => self.render_json(&time, level),
        }
    }

    fn render_common(&self, time: &str, color: bool, level: Level) -> Vec<u8> {
        let (name, paint) = match level {
            Level::ERROR => ("ERR", "\x1b[31m"),
            Level::WARN => ("WRN", "\x1b[33m"),
            Level::INFO => ("INF", "\x1b[32m"),
            Level::DEBUG => ("DBG", "\x1b[36m"),
            Level::TRACE => ("TRC", "\x1b[35m"),
        };
        let (paint, reset) = if color { (paint, "\x1b[0m") } else { ("", "") };
        let mut line = format!("{time} {paint}{name}{reset} {}", escape(&self.message));
        for (field, value) in &self.fields {
            let text = match value {
                serde_json::Value::String(text) if needs_quotes(text) => value.to_string(),
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let _ = write!(line, " {field}={text}");
        }
        line.push('\n');
        line.into_bytes()
    }

    fn render_json(&mut self, time: &str, level: Level) -> Vec<u8> {
        let mut object = serde_json::Map::new();
        object.insert("level".into(), level.as_str().to_ascii_lowercase().into());
        for (field, value) in self.fields.drain(..) {
            object.insert(field.into(), value);
        }
        object.insert("time".into(), time.into());
        object.insert("message".into(), std::mem::take(&mut self.message).into());
        let mut line = serde_json::Value::Object(object).to_string().into_bytes();
        line.push(b'\n');
        line
    }
}

fn needs_quotes(text: &str) -> bool {
    text.is_empty()
        || text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"' || c == '=')
}

/// One event is one line, and nothing in it controls the terminal.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            c if c.is_control() => {
                let _ = write!(escaped, "{}", c.escape_default());
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(format: LogFormat, level: LevelFilter, log: impl FnOnce()) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sub/ringway.log");
        let settings = LogSettings {
            level,
            format,
            file_path: Some(path.clone()),
            no_color: false,
        };
        let (logging, layer) = Logging::new(&settings).unwrap();
        tracing::subscriber::with_default(Registry::default().with(layer), log);
        drop(logging);
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn the_common_format_is_one_readable_line_per_event() {
        let text = logged(LogFormat::Common, LevelFilter::INFO, || {
            tracing::info!(
                router = "a@file",
                count = 3,
                reason = "no such service",
                "Router disabled"
            );
            tracing::debug!("not logged at this level");
            tracing::error!("two\nlines \x1b[2J");
        });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(
            lines[0].ends_with(
                r#"Z INF Router disabled router=a@file count=3 reason="no such service""#
            ),
            "{text}"
        );
        assert!(lines[1].ends_with(r"ERR two\nlines \u{1b}[2J"), "{text}");
    }

    #[test]
    fn the_json_format_has_traefiks_keys() {
        let text = logged(LogFormat::Json, LevelFilter::DEBUG, || {
            tracing::warn!(providerName = "file", n = 1, "Careful \"now\"");
        });
        let value: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(value["level"], "warn");
        assert_eq!(value["message"], "Careful \"now\"");
        assert_eq!(value["providerName"], "file");
        assert_eq!(value["n"], 1);
        assert!(value["time"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn configuration_is_json_in_both_formats() {
        let log = || tracing::info!(config = r#"{"http":{}}"#, broken = "{", "Received");
        let text = logged(LogFormat::Common, LevelFilter::DEBUG, log);
        assert!(text.contains(r#" config={"http":{}} "#), "{text}");
        let text = logged(LogFormat::Json, LevelFilter::DEBUG, log);
        let value: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert!(value["config"]["http"].is_object(), "{text}");
    }

    #[test]
    fn a_rotated_file_is_left_alone_after_reopening() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ringway.log");
        let settings = LogSettings {
            level: LevelFilter::INFO,
            file_path: Some(path.clone()),
            ..LogSettings::default()
        };
        let (logging, layer) = Logging::new(&settings).unwrap();
        tracing::subscriber::with_default(Registry::default().with(layer), || {
            tracing::info!("before");
            logging.flush();
            std::fs::rename(&path, directory.path().join("old")).unwrap();
            logging.reopen();
            tracing::info!("after");
            logging.flush();
        });
        let old = std::fs::read_to_string(directory.path().join("old")).unwrap();
        assert!(old.contains("before") && !old.contains("after"), "{old}");
        assert!(std::fs::read_to_string(&path).unwrap().contains("after"));
    }

    #[test]
    fn levels_have_traefiks_names_in_any_case() {
        assert_eq!(parse_level("debug"), Some(LevelFilter::DEBUG));
        assert_eq!(parse_level("Panic"), Some(LevelFilter::ERROR));
        assert_eq!(parse_level("loud"), None);
    }
}
