//! Whether a file as it is on disk is what is in force, for who has just written it.
//!
//! Not here: how a question gets to the provider's thread and whether shards have applied the answer.

use std::path::{Path, PathBuf};

use crossbeam_channel::Sender;
use sha1::{Digest, Sha1};
use tokio::sync::oneshot;

use super::Message;
use super::reader::{Reader, Reading};
use super::source::{Found, Source};

/// A running file provider, for who asks about a file.
#[derive(Clone)]
pub struct FileSource(Sender<Message>);

/// What has become of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileAnswer {
    /// Its content is in the provider's updates up to this number.
    Taken(u64),
    /// It was read and is refused as a whole, for this reason.
    Refused(String),
    /// Not yet: another content was read last.
    Pending,
    /// It is no file of this provider, for this reason.
    Foreign(String),
}

/// A question: has the file at this path, with a content of this digest, been taken in?
pub(super) struct Asked {
    path: PathBuf,
    digest: String,
    reply: oneshot::Sender<FileAnswer>,
}

impl std::fmt::Debug for FileSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileSource")
    }
}

impl FileSource {
    pub(super) fn new(messages: Sender<Message>) -> Self {
        Self(messages)
    }

    /// Asks about the file at `path`, which is absolute and without symbolic links; `digest` is its [`digest`].
    /// A provider of a single file answers about that one, whatever its path is for who asks.
    pub async fn ask(&self, path: &Path, digest: &str) -> FileAnswer {
        let (reply, answer) = oneshot::channel();
        let asked = Asked {
            path: path.to_owned(),
            digest: digest.to_owned(),
            reply,
        };
        // A provider that has ended takes nothing in any more.
        let _ = self.0.send(Message::Ask(asked));
        answer.await.unwrap_or(FileAnswer::Pending)
    }
}

impl Asked {
    pub(super) fn answer(self, source: &Source, found: &Found, reader: &Reader, number: u64) {
        let answer = self.judge(source, found, reader, number);
        // Who asked may have gone.
        let _ = self.reply.send(answer);
    }

    fn judge(&self, source: &Source, found: &Found, reader: &Reader, number: u64) -> FileAnswer {
        let file = match source {
            Source::File(_) => found.files.first(),
            Source::Directory(_) => found.files.iter().find(|file| file.real_path == self.path),
        };
        let Some(file) = file else {
            let source = source.path();
            return match std::fs::canonicalize(source) {
                Ok(real) if !self.path.starts_with(&real) => FileAnswer::Foreign(format!(
                    "the provider file reads {}, where {} is not",
                    source.display(),
                    self.path.display()
                )),
                _ => FileAnswer::Pending,
            };
        };
        match reader.reading(file) {
            Reading::Taken(bytes) if digest(&bytes) == self.digest => FileAnswer::Taken(number),
            Reading::Refused(bytes, reason) if digest(&bytes) == self.digest => {
                FileAnswer::Refused(reason)
            }
            _ => FileAnswer::Pending,
        }
    }
}

/// What tells two contents of a file apart: SHA-1 in hexadecimal. Against mistakes, not against malice.
pub fn digest(bytes: &[u8]) -> String {
    Sha1::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
