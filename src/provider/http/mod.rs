//! The HTTP provider: the dynamic configuration comes as the body of an answer, YAML or JSON.
//!
//! ```text
//! interval ───────────────────┐
//!                             ├──► Client::fetch ──► Document ──► Reporter ──► Update ──► sink
//! alias key (watched store) ──┘    (ETag, limit)    (objects)
//! ```
//!
//! Two ways to know when to ask. Plain, as in Traefik: again and again ([`Trigger::Interval`]). For a fleet whose rules
//! lie behind a service: an alias key in a store says which configuration is in force, and each write of it has
//! `endpoint/{alias}` fetched once ([`Trigger::Alias`]); a newer write ends a fetch that still runs.
//!
//! Whatever fails, the last good state stays in force, is reported once, and is tried again. Requests, decoding and
//! waiting happen on the provider's own thread.
//!
//! Deviations from Traefik: a body that is no configuration is tried again at the next poll (there: not until it
//! changes), a bad object does not stop the others, bodies have a limit, `ETag` is used.

mod alias;
mod client;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

pub use alias::{Alias, in_store};
pub use client::Tls;
use client::{Client, ETag, Fetched};

use super::backoff::Waits;
use super::document::{Document, Reporter};
use crate::config::secret::Secret;
use crate::config::v1::Context;
use crate::watcher::Update;

/// The provider's name, as objects' names carry it.
pub const NAME: &str = "http";

/// First wait after a failed fetch; it doubles with every further one.
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// Longest wait between tries after failed fetches.
const MAX_RETRY: Duration = Duration::from_secs(30);

/// Where the configuration is and how to ask for it (Traefik: `providers.http`).
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// The URL. With an alias, `{alias}` in it is replaced; without a `{alias}` the alias is appended as a path.
    pub endpoint: String,
    /// How long a request may take, its answer's body included; `None`: for ever.
    pub timeout: Option<Duration>,
    /// Fields of the request.
    pub headers: Vec<(String, Secret<Box<str>>)>,
    /// How the server is verified, and what it is shown.
    pub tls: Tls,
    /// Most bytes of a body.
    pub max_bytes: u64,
    /// What a body of Traefik 1's form needs to know of the static configuration.
    pub former: Arc<Context>,
}

/// Says when to ask.
pub enum Trigger {
    /// Every so often.
    Interval(Duration),
    /// Whenever an alias is written, which this tells.
    Alias(AliasSource),
}

/// Begins to tell of a key's values, each write of it, on the provider's own thread. What it begins ends with the
/// provider.
pub type AliasSource =
    Box<dyn FnOnce(watch::Sender<Alias>) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// A running HTTP provider; dropping it ends its thread.
#[derive(Debug)]
pub struct HttpProvider {
    /// Dropped to end the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HttpProvider {
    /// Starts the provider's thread. Its first update comes as soon as something was fetched, or could not be.
    ///
    /// # Errors
    /// The settings make no request (`InvalidInput`, with the option's name), or the kernel gave no thread.
    pub fn start(
        settings: HttpSettings,
        trigger: Trigger,
        sink: impl Fn(Update) + Send + 'static,
    ) -> io::Result<Self> {
        client::check(&settings)
            .map_err(|reason| io::Error::new(io::ErrorKind::InvalidInput, reason))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let worker = Worker {
            document: Document::new(Arc::clone(&settings.former)),
            settings,
            client: None,
            etag: None,
            reporter: Reporter::new(NAME, sink),
        };
        let thread = std::thread::Builder::new()
            .name("ringway-http".into())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        // Nothing is ever sent: the sender's end is the message.
                        _ = stopped => {}
                        () = worker.run(trigger) => {}
                    }
                });
                // A name that is still being looked up must not keep the process from ending.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for HttpProvider {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic was reported by the thread itself.
            let _ = thread.join();
        }
    }
}

/// What a fetch came to, as far as it matters for when to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// What the server has is in force.
    InForce,
    /// There was no answer, or no good one.
    NoAnswer,
    /// The answer's body is no configuration.
    BadBody,
}

struct Worker<S> {
    settings: HttpSettings,
    /// Built when needed, and anew after a failure: certificate files may have changed.
    client: Option<Client>,
    document: Document,
    /// Of the body in `document`, if it came from the URL that is asked next.
    etag: Option<ETag>,
    reporter: Reporter<S>,
}

impl<S: Fn(Update)> Worker<S> {
    async fn run(self, trigger: Trigger) {
        match trigger {
            Trigger::Interval(interval) => self.poll(interval).await,
            Trigger::Alias(source) => {
                let (sender, aliases) = watch::channel(Alias::Unknown);
                tokio::join!(source(sender), self.follow(aliases));
            }
        }
    }

    /// Asks every `interval`, after failures sooner or later than that.
    async fn poll(mut self, interval: Duration) {
        let mut waits = Waits::new(FIRST_RETRY.min(interval), MAX_RETRY);
        let url = self.settings.endpoint.clone();
        loop {
            let wait = match self.fetch(&url, None).await {
                Outcome::NoAnswer => waits.next(),
                Outcome::InForce | Outcome::BadBody => {
                    waits.reset();
                    interval
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Fetches what each alias stands for; a newer alias ends the fetch of an older one.
    async fn follow(mut self, mut aliases: watch::Receiver<Alias>) {
        loop {
            let alias = aliases.borrow_and_update().clone();
            let is_over = tokio::select! {
                changed = aliases.changed() => changed.is_err(),
                () = self.switch(alias) => aliases.changed().await.is_err(),
            };
            if is_over {
                return;
            }
        }
    }

    /// Returns once what the alias stands for is in force.
    async fn switch(&mut self, alias: Alias) {
        let alias = match alias {
            Alias::Unknown => return,
            Alias::Missing(reason) => {
                return self.reporter.report(None, Some(&*reason), "");
            }
            Alias::Value(alias) => alias,
        };
        let url = match alias::endpoint(&self.settings.endpoint, &alias) {
            Ok(url) => url,
            Err(reason) => return self.reporter.report(None, Some(&reason), ""),
        };
        // Another alias is another document, and the same one is asked for because it may be.
        self.etag = None;
        let mut waits = Waits::new(FIRST_RETRY, MAX_RETRY);
        while self.fetch(&url, Some(&alias)).await != Outcome::InForce {
            tokio::time::sleep(waits.next()).await;
        }
    }

    /// One request, and what follows from its answer. Cancel-safe: nothing has changed before the answer is whole.
    async fn fetch(&mut self, url: &str, alias: Option<&str>) -> Outcome {
        let client = match self.client.take() {
            Some(client) => Ok(client),
            None => Client::new(&self.settings),
        };
        let fetched = match client {
            Ok(client) => {
                let client = self.client.insert(client);
                client.fetch(url, self.etag.as_ref()).await
            }
            Err(reason) => Err(reason),
        };
        let (body, etag) = match fetched {
            Ok(Fetched::New { body, etag }) => (body, etag),
            Ok(Fetched::Same) => {
                let error = self.document.error().map(str::to_owned);
                self.reporter
                    .report(None, error.as_deref(), &self.position(alias));
                return Outcome::InForce;
            }
            Err(reason) => {
                self.client = None;
                let shown = client::shown(url);
                let reason = format!("providers.http: GET {shown}: {reason}");
                self.reporter
                    .report(None, Some(&reason), &self.position(alias));
                return Outcome::NoAnswer;
            }
        };
        match self.document.take(&body) {
            Ok(content) => {
                drop(body);
                self.etag = etag;
                let position = self.position(alias);
                let error = self.document.error().map(str::to_owned);
                self.reporter.report(content, error.as_deref(), &position);
                Outcome::InForce
            }
            Err(reason) => {
                let shown = client::shown(url);
                let reason =
                    format!("providers.http: the body of {shown} is no configuration: {reason}");
                self.reporter
                    .report(None, Some(&reason), &self.position(alias));
                Outcome::BadBody
            }
        }
    }

    /// The document in force, as the API shows it.
    fn position(&self, alias: Option<&str>) -> String {
        match alias {
            Some(alias) => format!("{alias} {}", self.document.hash()),
            None => self.document.hash(),
        }
    }
}
