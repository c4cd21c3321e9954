//! The access log: shards format records into batches, one thread writes them.
//!
//! ```text
//! shard ─ RecordSink ─ batch ──► full queue ──► writer thread ──► file or standard output
//!              ▲                                     │
//!              └────────── empty buffers ◄───────────┘
//! ```
//!
//! Both queues are bounded and lock-free. When the disk is too slow for the traffic, whole batches are
//! dropped and counted: a shard never waits. Not here: what a line looks like (`format`).

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_queue::ArrayQueue;

use super::format::LineFormat;
use super::record::AccessRecord;

/// A batch is handed to the writer when it holds this many bytes, or when the shard flushes.
const BATCH_BYTES: usize = 32 * 1024;

/// Most batches on their way to the writer, over all shards.
const MAX_QUEUED_BATCHES: usize = 1024;

/// How long the writer sleeps when there is nothing to write. Shards do not wake it: that would be a
/// system call.
const WRITER_NAP: Duration = Duration::from_millis(20);

/// How often a shard should call [`RecordSink::flush`].
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(50);

/// Where a shard's records go. One per shard.
#[derive(Default)]
pub struct RecordSink(Option<Sink>);

struct Sink {
    format: Arc<LineFormat>,
    batch: RefCell<Vec<u8>>,
    pipe: Arc<Pipe>,
}

/// The writer's front, held by the control thread.
pub struct AccessLog {
    format: Arc<LineFormat>,
    pipe: Arc<Pipe>,
    thread: Option<JoinHandle<()>>,
}

struct Pipe {
    full: ArrayQueue<Vec<u8>>,
    empty: ArrayQueue<Vec<u8>>,
    lost: AtomicU64,
    reopen: AtomicBool,
    stop: AtomicBool,
}

impl AccessLog {
    /// Opens the log and starts its writer. `path`: `None` for standard output.
    ///
    /// # Errors
    /// The file could not be opened, or the kernel gave no thread.
    pub fn start(path: Option<&Path>, format: LineFormat) -> io::Result<Self> {
        let output = Output::open(path)?;
        let pipe = Arc::new(Pipe {
            full: ArrayQueue::new(MAX_QUEUED_BATCHES),
            empty: ArrayQueue::new(MAX_QUEUED_BATCHES),
            lost: AtomicU64::new(0),
            reopen: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let writer = pipe.clone();
        let thread = std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || writer.run(output))?;
        Ok(Self {
            format: Arc::new(format),
            pipe,
            thread: Some(thread),
        })
    }

    /// A sink for one shard.
    pub fn sink(&self) -> RecordSink {
        RecordSink(Some(Sink {
            format: self.format.clone(),
            batch: RefCell::new(Vec::with_capacity(BATCH_BYTES * 2)),
            pipe: self.pipe.clone(),
        }))
    }

    /// Makes the writer open its file anew, after a rotation (Traefik: SIGUSR1).
    pub fn reopen(&self) {
        self.pipe.reopen.store(true, Ordering::Release);
    }

    /// Batches dropped because the writer could not keep up or failed.
    pub fn lost_batches(&self) -> u64 {
        self.pipe.lost.load(Ordering::Relaxed)
    }
}

impl Drop for AccessLog {
    /// Writes what has been handed over, then ends the writer.
    fn drop(&mut self) {
        self.pipe.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}

impl RecordSink {
    /// No access log.
    pub fn off() -> Self {
        Self(None)
    }

    /// Whether records are wanted at all.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Formats a record into the shard's batch.
    pub fn write(&self, record: &AccessRecord<'_>) {
        let Some(sink) = &self.0 else { return };
        let full = {
            let mut batch = sink.batch.borrow_mut();
            sink.format.write_line(record, &mut batch);
            batch.len() >= BATCH_BYTES
        };
        if full {
            sink.flush();
        }
    }

    /// Hands the batch to the writer, if there is anything in it.
    pub fn flush(&self) {
        if let Some(sink) = &self.0 {
            sink.flush();
        }
    }
}

impl Drop for RecordSink {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Sink {
    fn flush(&self) {
        let mut batch = self.batch.borrow_mut();
        if batch.is_empty() {
            return;
        }
        let next = self.pipe.empty.pop().unwrap_or_default();
        let full = std::mem::replace(&mut *batch, next);
        if let Err(mut rejected) = self.pipe.full.push(full) {
            self.pipe.lost.fetch_add(1, Ordering::Relaxed);
            rejected.clear();
            *batch = rejected;
        }
    }
}

impl Pipe {
    fn run(&self, mut output: Output) {
        loop {
            if self.reopen.swap(false, Ordering::AcqRel)
                && let Err(error) = output.reopen()
            {
                tracing::error!("access log: {error}; writing goes on to the old file");
            }
            // Read before the queue: what was handed over before the stop is still written.
            let stop = self.stop.load(Ordering::Acquire);
            let mut idle = true;
            while let Some(mut batch) = self.full.pop() {
                idle = false;
                if let Err(error) = output.write(&batch) {
                    let lost = self.lost.fetch_add(1, Ordering::Relaxed);
                    if lost == 0 {
                        tracing::error!("access log: {error}; records are being lost");
                    }
                }
                batch.clear();
                // A full queue of empty buffers means that there are enough.
                let _ = self.empty.push(batch);
            }
            if stop && idle {
                return;
            }
            if idle {
                std::thread::sleep(WRITER_NAP);
            }
        }
    }
}

/// Where lines are written.
enum Output {
    Stdout(io::Stdout),
    File { file: File, path: PathBuf },
}

impl Output {
    fn open(path: Option<&Path>) -> io::Result<Self> {
        match path {
            None => Ok(Self::Stdout(io::stdout())),
            Some(path) => Ok(Self::File {
                file: append(path)?,
                path: path.into(),
            }),
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Self::File { file, path } = self {
            *file = append(path)?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => {
                stdout.write_all(bytes)?;
                stdout.flush()
            }
            Self::File { file, .. } => file.write_all(bytes),
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}
