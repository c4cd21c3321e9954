//! Consul's key-value store, through its HTTP API (`/v1/kv`).
//!
//! ```text
//!  list:  GET /v1/kv/<prefix>?recurse                    ──► pairs, X-Consul-Index
//!  watch: GET /v1/kv/<prefix>?recurse&index=N&wait=15s   ──► (once it changes) everything again
//!                                                             └─ compared with the known ModifyIndex of every key
//! ```
//!
//! | file | one idea |
//! |---|---|
//! | [`api`] | one question and its answer |
//! | [`known`] | what an answer changes in what is known |
//!
//! Consul answers a blocking query with the whole prefix; only keys whose `ModifyIndex` differs become changes. What
//! one answer changes is one transaction: a transaction of Consul's is in it whole, several may be in one answer.
//! The index of a prefix may fall. If its keys have older indices too, the store was restored or emptied, and the
//! listing that follows shows it by a lower revision, which is the one of the whole store.
//!
//! Not here: the catalogue of services (Traefik's `consulCatalog`).

pub mod api;
pub mod known;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::kv::store::{
    Confirmed, Event, Failure, Listing, Pair, Revision, Scope, Store, StoreError, Watch, in_pages,
};
use crate::config::decode::Text;
use crate::config::dynamic::middleware::ClientTls;
use crate::config::secret::Secret;
use crate::config::statics;

use api::{Api, Entry};
use known::{Difference, Known};

/// The provider's name, as objects' names carry it; with namespaces `consul-<namespace>`.
pub const NAME: &str = "consul";

/// How long the server holds a question whose answer has not changed. An answer that is overdue by more than
/// [`api::TIMEOUT`] means that the connection is dead.
pub const WAIT: Duration = Duration::from_secs(15);

/// Pause after an answer without any change that came although its time was not over: against a server, or something
/// before it, that does not hold questions.
const PAUSE: Duration = Duration::from_millis(100);

/// Scopes whose indices are remembered for a watch that continues.
const MAX_SCOPES: usize = 4;

/// Where and as whom to ask (Traefik: `providers.consul`).
#[derive(Clone, Debug)]
pub struct ConsulSettings {
    /// `host:port`, `http://…` or `https://…`; the next one is tried when one fails.
    pub endpoints: Vec<Text>,
    /// The ACL token; empty means none.
    pub token: Secret<Text>,
    /// The namespace (Enterprise); empty means the token's.
    pub namespace: Text,
    /// Present: TLS.
    pub tls: Option<Box<ClientTls>>,
    /// How long the server holds a question: [`WAIT`].
    pub wait: Duration,
}

impl ConsulSettings {
    /// The providers that a configuration means, with their names: one, or one per namespace.
    pub fn instances(own: &statics::Consul) -> Vec<(Arc<str>, Self)> {
        let one = |name: Arc<str>, namespace: Text| {
            let settings = Self {
                endpoints: own.endpoints.to_vec(),
                token: own.token.clone(),
                namespace,
                tls: own.tls.clone(),
                wait: WAIT,
            };
            (name, settings)
        };
        if own.namespaces.is_empty() {
            return vec![one(NAME.into(), Text::default())];
        }
        own.namespaces
            .iter()
            .map(|namespace| one(format!("{NAME}-{namespace}").into(), namespace.clone()))
            .collect()
    }
}

/// A Consul server.
pub struct Consul {
    settings: ConsulSettings,
    api: Option<Api>,
    /// Which of the endpoints is asked next.
    next: usize,
    known: Vec<(String, Shared)>,
}

/// What a listing and its watch know together.
type Shared = Arc<Mutex<Known>>;

/// A running watch.
pub struct ConsulWatch {
    api: Api,
    question: Question,
    known: Shared,
    wait: Duration,
    /// The present state is not what was listed: nobody knows what changed in between.
    is_lost: bool,
}

/// A scope as it stands in a question.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) key: String,
    pub(crate) recurse: bool,
}

impl From<Scope<'_>> for Question {
    fn from(scope: Scope<'_>) -> Self {
        let (key, recurse) = match scope {
            Scope::Prefix(prefix) => (prefix, true),
            Scope::Key(key) => (key, false),
        };
        Self {
            key: key.to_owned(),
            recurse,
        }
    }
}

impl Question {
    fn name(&self) -> String {
        format!("{}{}", self.key, if self.recurse { "*" } else { "" })
    }
}

impl Consul {
    /// A server that was not asked yet.
    pub fn new(settings: ConsulSettings) -> Self {
        Self {
            settings,
            api: None,
            next: 0,
            known: Vec::new(),
        }
    }

    fn api(&self) -> Result<Api, StoreError> {
        self.api
            .clone()
            .ok_or_else(|| StoreError::new(Failure::Unavailable, "consul: not connected"))
    }

    fn remember(&mut self, question: &Question, known: Known) {
        let name = question.name();
        // A watch may go on with what it knows; the next one begins here.
        self.known.retain(|(other, _)| *other != name);
        if self.known.len() >= MAX_SCOPES {
            self.known.remove(0);
        }
        self.known.push((name, Arc::new(Mutex::new(known))));
    }
}

impl Store for Consul {
    type Watch = ConsulWatch;

    const HAS_REVISIONS: bool = true;

    async fn connect(&mut self) -> Result<(), StoreError> {
        let count = self.settings.endpoints.len();
        let Some(endpoint) = self.settings.endpoints.get(self.next % count.max(1)) else {
            return Err(StoreError::new(
                Failure::Refused,
                "providers.consul.endpoints: there is none",
            ));
        };
        // If this one does not work out, the session connects again: then it is the next one's turn.
        self.next = (self.next + 1) % count;
        let api = Api::new(&self.settings, endpoint)?;
        api.leader().await?;
        self.api = Some(api);
        Ok(())
    }

    /// The present state in any case: Consul has no other. It is at least as new as `at`, because the leader answers.
    async fn list(
        &mut self,
        scope: Scope<'_>,
        at: Option<Revision>,
        page: impl FnMut(Vec<Pair>),
    ) -> Result<Listing, StoreError> {
        let question = Question::from(scope);
        let api = self.api()?;
        let newest = api.newest(&question).await;
        let answer = api.ask(&question, None).await?;
        let revision = answer.index.max(newest).max(at.unwrap_or_default());
        self.remember(
            &question,
            Known::new(revision, answer.index, &answer.entries),
        );
        let pairs = answer.entries.into_iter().map(|entry| Pair {
            key: entry.key.into_bytes(),
            value: entry.value,
        });
        in_pages(pairs, page);
        Ok(Listing {
            revision,
            store_id: None,
        })
    }

    /// A question that is held is not answered for keys elsewhere, so the scope is read again: one key less or one that
    /// was written later, and it is another.
    async fn confirm(
        &mut self,
        scope: Scope<'_>,
        since: Revision,
        keys: usize,
        wanted: Revision,
    ) -> Result<Confirmed, StoreError> {
        let question = Question::from(scope);
        let api = self.api()?;
        let revision = api.newest(&question).await;
        if revision < wanted {
            return Ok(Confirmed::Behind);
        }
        let mut entries = api.ask(&question, None).await?.entries;
        entries.retain(|entry| !question.recurse || entry.key != question.key);
        let is_older = |entry: &Entry| entry.modify_index <= since.0;
        Ok(if entries.len() == keys && entries.iter().all(is_older) {
            Confirmed::Same(Listing {
                revision,
                store_id: None,
            })
        } else {
            Confirmed::Other
        })
    }

    async fn watch(
        &mut self,
        scope: Scope<'_>,
        after: Revision,
    ) -> Result<Self::Watch, StoreError> {
        let question = Question::from(scope);
        let name = question.name();
        let known = self.known.iter().find(|(other, _)| *other == name);
        let known = known.map(|(_, known)| known.clone()).unwrap_or_default();
        // What is known may be older than `after`, if something else was listed meanwhile: then more is told.
        let is_lost = !lock(&known).is_known_at(after);
        Ok(ConsulWatch {
            api: self.api()?,
            question,
            known,
            wait: self.settings.wait,
            is_lost,
        })
    }
}

impl Watch for ConsulWatch {
    async fn next(&mut self) -> Result<Event, StoreError> {
        if std::mem::take(&mut self.is_lost) {
            return Ok(Event::Unknown);
        }
        let index = lock(&self.known).index;
        let asked = tokio::time::Instant::now();
        let answer = self
            .api
            .ask(&self.question, Some((index, self.wait)))
            .await?;
        // From here to the event nothing waits, so that no change is lost when this future is dropped.
        let difference = lock(&self.known).update(answer.index, answer.entries);
        let Difference::Changes(changes) = difference else {
            return Ok(Event::Unknown);
        };
        let revision = lock(&self.known).revision;
        if !changes.is_empty() {
            return Ok(Event::Transaction { revision, changes });
        }
        if asked.elapsed() < self.wait.min(PAUSE) {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(Event::Progress(revision))
    }
}

/// Nothing that holds a lock here can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
