//! What a client waits for: a generation, a store's revision, a file as it is on disk.
//!
//! ```text
//!  revision ──► provider's thread: seen up to there? ──► number ──► published with that number ──► generation
//!  file     ──► provider's thread: taken in?         ──►   │                                           │
//!                                                      on every shard? ◄───────────────────────────────┘
//! ```
//!
//! Not here: the form of the answer around it (`ringway`).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::params::{InvalidRequest, Params};
use super::state::ApiState;
use crate::provider::file::{self, FileAnswer, FileSource};
use crate::provider::kv::seen::Seen;
use crate::provider::kv::session::KvSource;
use crate::provider::kv::store::Revision;

/// The pauses between two questions to the file provider: the first, and the longest.
const FILE_PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(200)];

/// The providers that can be asked how far they are.
#[derive(Debug, Default)]
pub struct Sources {
    /// Those of key-value stores.
    pub stores: Vec<KvSource>,
    /// The file provider.
    pub file: Option<FileSource>,
}

/// What to wait for.
#[derive(Debug)]
pub(super) enum Goal<'a> {
    Generation(u64),
    Revision {
        provider: &'a KvSource,
        revision: Revision,
    },
    File {
        source: &'a FileSource,
        path: &'a str,
        digest: &'a str,
    },
}

/// What has become of a goal.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reached {
    /// Whose state it is.
    pub(super) provider: Option<Arc<str>>,
    /// Whether it is effective on every shard.
    pub(super) reached: bool,
    /// The generation that it came with, or an earlier one that was like it; `null` until it is published.
    generation: Option<u64>,
    /// Why it will not be: the file is refused as a whole.
    refused: Option<String>,
}

impl<'a> Goal<'a> {
    /// What the parameters ask to wait for, if anything.
    pub(super) fn new(
        state: &'a ApiState,
        params: &'a Params,
    ) -> Result<Option<Self>, InvalidRequest> {
        let [wait, revision, path] = ["wait", "revision", "file"].map(|key| params.get(key));
        let number = |key: &str, text: &str| {
            let invalid = |_| InvalidRequest(format!("{key}: {text} is no number"));
            text.parse::<u64>().map_err(invalid)
        };
        Ok(match (wait, revision, path) {
            ("", "", "") => None,
            (wait, "", "") => Some(Self::Generation(number("wait", wait)?)),
            ("", revision, "") => Some(Self::Revision {
                provider: state.sources().store(params.get("provider"), state)?,
                revision: Revision(number("revision", revision)?),
            }),
            ("", "", path) => Some(Self::File {
                source: state.sources().file.as_ref().ok_or_else(|| {
                    InvalidRequest("file: the provider file is not enabled".to_owned())
                })?,
                path,
                digest: params.get("digest"),
            }),
            _ => {
                let text = "wait, revision and file exclude each other";
                return Err(InvalidRequest(text.to_owned()));
            }
        })
    }

    /// Waits until every shard has applied it.
    pub(super) async fn reach(
        &self,
        state: &ApiState,
        timeout: Duration,
    ) -> Result<Reached, InvalidRequest> {
        let mut reached = Reached {
            provider: match self {
                Self::Generation(_) => None,
                Self::Revision { provider, .. } => Some(Arc::clone(&provider.name)),
                Self::File { .. } => Some(file::NAME.into()),
            },
            reached: false,
            generation: None,
            refused: None,
        };
        match tokio::time::timeout(timeout, self.wait(state, &mut reached)).await {
            Ok(Err(invalid)) => return Err(invalid),
            Ok(Ok(())) => reached.reached = reached.refused.is_none(),
            Err(_) => {}
        }
        Ok(reached)
    }

    async fn wait(&self, state: &ApiState, reached: &mut Reached) -> Result<(), InvalidRequest> {
        let (provider, number) = match self {
            Self::Generation(generation) => {
                reached.generation = Some(*generation);
                state.wait(*generation).await;
                return Ok(());
            }
            Self::Revision { provider, revision } => {
                let sight = provider.seen.reach(*revision).await;
                (&*provider.name, sight.number)
            }
            Self::File {
                source,
                path,
                digest,
            } => match taken(source, path, digest).await {
                FileAnswer::Taken(number) => (file::NAME, number),
                FileAnswer::Foreign(reason) => return Err(InvalidRequest(reason)),
                FileAnswer::Refused(reason) => {
                    reached.refused = Some(reason);
                    return Ok(());
                }
                FileAnswer::Pending => unreachable!("it is asked again"),
            },
        };
        let generation = state.published_with(provider, number).await;
        reached.generation = Some(generation);
        state.wait(generation).await;
        Ok(())
    }
}

/// Asks about a file until there is an answer.
async fn taken(source: &FileSource, path: &str, digest: &str) -> FileAnswer {
    let [mut pause, longest] = FILE_PAUSES;
    loop {
        match source.ask(Path::new(path), digest).await {
            FileAnswer::Pending => tokio::time::sleep(pause).await,
            answer => return answer,
        }
        pause = (pause * 2).min(longest);
    }
}

impl Sources {
    /// How far a provider has seen its store, if it has one.
    pub(super) fn seen(&self, provider: &str) -> Option<&Seen> {
        self.named(provider).map(|source| &source.seen)
    }

    pub(super) fn named(&self, provider: &str) -> Option<&KvSource> {
        self.stores.iter().find(|source| *source.name == *provider)
    }

    /// The provider whose revision is meant: the named one, or the only one.
    fn store(&self, name: &str, state: &ApiState) -> Result<&KvSource, InvalidRequest> {
        let names: Vec<&str> = self.stores.iter().map(|source| &*source.name).collect();
        let listed = match &names[..] {
            [] => "no provider of a key-value store is enabled".to_owned(),
            names => format!("there are: {}", names.join(", ")),
        };
        let source = match (name, &self.stores[..]) {
            ("", [only]) => only,
            ("", []) => return Err(InvalidRequest(format!("revision: {listed}"))),
            ("", _) => {
                let text = format!(
                    "provider: several read key-value stores, name the one whose revision is meant; {listed}"
                );
                return Err(InvalidRequest(text));
            }
            (name, _) => self.named(name).ok_or_else(|| {
                let published = state.published();
                let is_other = published.providers.iter().any(|one| *one.name == *name);
                InvalidRequest(if is_other {
                    format!("provider: {name} has no revisions; {listed}")
                } else {
                    format!("provider: {name} is not enabled; {listed}")
                })
            })?,
        };
        if source.has_revisions {
            return Ok(source);
        }
        Err(InvalidRequest(format!(
            "revision: the store of the provider {} counts no revisions; wait for a generation instead",
            source.name
        )))
    }
}
