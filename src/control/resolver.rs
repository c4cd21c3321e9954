//! Keeps the names of upstream hosts resolved, off the shards.
//!
//! ```text
//! plan: names in use ──► Resolver ── lookup, TTL, jitter ──► NameAddresses, only when they changed
//! ```
//!
//! New addresses are a state update, not a generation. A failed lookup keeps the last addresses. Not
//! here: what a shard does with an address (`service::pool`).

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hickory_resolver::TokioResolver;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::router::mailbox::NameAddresses;
use crate::service::NameId;

/// A record's time to live is taken as at least this, so that a zero does not become a busy loop.
pub const MIN_REFRESH: Duration = Duration::from_secs(1);

/// … and as at most this, so that a host that moved is found within half a minute.
pub const MAX_REFRESH: Duration = Duration::from_secs(30);

/// Longest pause after repeated failures.
const MAX_RETRY: Duration = Duration::from_secs(10);

/// Most lookups at one time.
pub const MAX_CONCURRENT_LOOKUPS: usize = 64;

/// Addresses with the time until which they are valid.
pub struct Answer {
    /// Never empty.
    pub addresses: Vec<IpAddr>,
    /// How long until they should be looked up again, before limits and jitter.
    pub ttl: Duration,
}

/// Where answers come from: the system's resolver, or a test's table.
pub trait Lookup: 'static {
    /// Resolves `host`; an error is a text for people.
    fn lookup(&self, host: Arc<str>) -> impl Future<Output = Result<Answer, String>>;
}

/// Keeps a set of names resolved. Lives on the control thread (inside a tokio `LocalSet`).
pub struct Resolver<L> {
    shared: Rc<Shared<L>>,
    names: HashMap<NameId, JoinHandle<()>>,
}

struct Shared<L> {
    lookup: L,
    permits: Semaphore,
    updates: mpsc::UnboundedSender<NameAddresses>,
}

impl<L: Lookup> Resolver<L> {
    /// A resolver without names; changes of addresses arrive at the receiver, at most one per name and
    /// second.
    pub fn new(lookup: L) -> (Self, mpsc::UnboundedReceiver<NameAddresses>) {
        let (updates, receiver) = mpsc::unbounded_channel();
        let permits = Semaphore::new(MAX_CONCURRENT_LOOKUPS);
        let shared = Rc::new(Shared {
            lookup,
            permits,
            updates,
        });
        (
            Self {
                shared,
                names: HashMap::new(),
            },
            receiver,
        )
    }

    /// Starts to resolve a name; its first answer, good or bad, is always sent.
    pub fn add(&mut self, name: NameId, host: Arc<str>) {
        let shared = self.shared.clone();
        let task = tokio::task::spawn_local(keep_resolved(shared, name, host));
        if let Some(old) = self.names.insert(name, task) {
            old.abort();
        }
    }

    /// Stops to resolve a name.
    pub fn remove(&mut self, name: NameId) {
        if let Some(task) = self.names.remove(&name) {
            task.abort();
        }
    }

    /// How many names are kept resolved.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether no name is kept resolved.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

impl<L> Drop for Resolver<L> {
    fn drop(&mut self) {
        for task in self.names.values() {
            task.abort();
        }
    }
}

async fn keep_resolved<L: Lookup>(shared: Rc<Shared<L>>, name: NameId, host: Arc<str>) {
    let mut last: Option<Result<Arc<[IpAddr]>, Arc<str>>> = None;
    let mut failures = 0u32;
    loop {
        let answer = {
            // The semaphore is never closed.
            let _permit = shared.permits.acquire().await;
            shared.lookup.lookup(host.clone()).await
        };
        let (pause, result) = match answer {
            Ok(mut answer) => {
                failures = 0;
                // Answers rotate; a set in one order compares equal to itself.
                answer.addresses.sort_unstable();
                answer.addresses.dedup();
                (
                    answer.ttl.clamp(MIN_REFRESH, MAX_REFRESH),
                    Ok(answer.addresses.into()),
                )
            }
            Err(reason) => {
                failures = failures.saturating_add(1);
                let known = matches!(last, Some(Ok(_)));
                if failures == 1 {
                    tracing::warn!(
                        host = &*host,
                        reason,
                        "Upstream host cannot be resolved; {}",
                        if known {
                            "its last addresses stay in use"
                        } else {
                            "its servers answer 502 until it can"
                        }
                    );
                }
                (backoff(failures), Err(reason.into()))
            }
        };
        let keep_last = result.is_err() && matches!(last, Some(Ok(_)));
        if !keep_last && last.as_ref() != Some(&result) {
            last = Some(result.clone());
            if shared
                .updates
                .send(NameAddresses {
                    name,
                    addresses: result,
                })
                .is_err()
            {
                return;
            }
        }
        tokio::time::sleep(jittered(pause, name)).await;
    }
}

fn backoff(failures: u32) -> Duration {
    (MIN_REFRESH * 2u32.pow(failures.saturating_sub(1).min(4))).min(MAX_RETRY)
}

/// Spreads the refreshes of many names: up to a tenth less than `pause`, by name and time.
fn jittered(pause: Duration, name: NameId) -> Duration {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let mixed = (name.0 ^ u64::from(now.subsec_nanos())).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let share = (mixed >> 48) as u32;
    pause - pause / 10 * share / u32::from(u16::MAX)
}

/// The system's resolver: `/etc/resolv.conf` and `/etc/hosts`, read again when they change.
pub struct SystemLookup {
    current: std::cell::RefCell<Option<Current>>,
}

struct Current {
    resolver: Rc<TokioResolver>,
    files: [Option<SystemTime>; 2],
    checked: Instant,
}

/// How often the system's two files are looked at.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

impl SystemLookup {
    /// Reads nothing yet; the first lookup does.
    pub fn new() -> Self {
        Self {
            current: std::cell::RefCell::default(),
        }
    }

    fn resolver(&self) -> Result<Rc<TokioResolver>, String> {
        let mut current = self.current.borrow_mut();
        let now = Instant::now();
        if let Some(known) = &mut *current {
            if now.duration_since(known.checked) < CHECK_INTERVAL {
                return Ok(known.resolver.clone());
            }
            known.checked = now;
            if known.files == files() {
                return Ok(known.resolver.clone());
            }
        }
        let files = files();
        let resolver = build()?;
        *current = Some(Current {
            resolver: resolver.clone(),
            files,
            checked: now,
        });
        Ok(resolver)
    }
}

impl Default for SystemLookup {
    fn default() -> Self {
        Self::new()
    }
}

fn files() -> [Option<SystemTime>; 2] {
    ["/etc/resolv.conf", "/etc/hosts"].map(|path| {
        std::fs::metadata(Path::new(path))
            .and_then(|file| file.modified())
            .ok()
    })
}

fn build() -> Result<Rc<TokioResolver>, String> {
    let mut builder = TokioResolver::builder_tokio()
        .map_err(|error| format!("/etc/resolv.conf cannot be used: {error}"))?;
    // Go, and so Traefik, uses both families.
    builder.options_mut().ip_strategy = hickory_resolver::config::LookupIpStrategy::Ipv4AndIpv6;
    let resolver = builder.build().map_err(|error| error.to_string())?;
    Ok(Rc::new(resolver))
}

impl Lookup for SystemLookup {
    async fn lookup(&self, host: Arc<str>) -> Result<Answer, String> {
        let resolver = self.resolver()?;
        let answer = resolver
            .lookup_ip(&*host)
            .await
            .map_err(|error| error.to_string())?;
        let ttl = answer
            .valid_until()
            .saturating_duration_since(std::time::Instant::now());
        let addresses: Vec<IpAddr> = answer.iter().collect();
        if addresses.is_empty() {
            return Err("the name has no addresses".to_owned());
        }
        Ok(Answer { addresses, ttl })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[derive(Clone, Default)]
    struct Table(Rc<RefCell<Answers>>);

    type Answers = Vec<Result<Vec<IpAddr>, String>>;

    impl Lookup for Table {
        async fn lookup(&self, _: Arc<str>) -> Result<Answer, String> {
            let mut answers = self.0.borrow_mut();
            let answer = if answers.len() > 1 {
                answers.remove(0)
            } else {
                answers[0].clone()
            };
            Ok(Answer {
                addresses: answer?,
                ttl: Duration::ZERO,
            })
        }
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// Runs with a paused clock: sleeping costs nothing.
    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, test);
    }

    #[test]
    fn only_changed_addresses_are_sent_and_a_failure_keeps_the_last() {
        run(async {
            let answers = vec![
                Ok(vec![ip(2), ip(1)]),
                Ok(vec![ip(1), ip(2)]),
                Err("timed out".to_owned()),
                Ok(vec![ip(1), ip(2)]),
                Ok(vec![ip(3)]),
            ];
            let (mut resolver, mut updates) = Resolver::new(Table(Rc::new(RefCell::new(answers))));
            resolver.add(NameId(7), "origin.test".into());
            let first = updates.recv().await.unwrap();
            assert_eq!(first.name, NameId(7));
            assert_eq!(first.addresses, Ok([ip(1), ip(2)].into()));
            let second = updates.recv().await.unwrap();
            assert_eq!(second.addresses, Ok([ip(3)].into()));
        });
    }

    #[test]
    fn a_name_that_never_resolved_reports_why_and_recovers() {
        run(async {
            let answers = vec![
                Err("no such host".to_owned()),
                Err("no such host".to_owned()),
                Ok(vec![ip(1)]),
            ];
            let (mut resolver, mut updates) = Resolver::new(Table(Rc::new(RefCell::new(answers))));
            resolver.add(NameId(1), "origin.test".into());
            assert_eq!(
                updates.recv().await.unwrap().addresses,
                Err("no such host".into())
            );
            assert_eq!(updates.recv().await.unwrap().addresses, Ok([ip(1)].into()));
        });
    }

    #[test]
    fn a_removed_name_is_no_longer_looked_up() {
        run(async {
            let table = Table(Rc::new(RefCell::new(vec![Ok(vec![ip(1)])])));
            let (mut resolver, mut updates) = Resolver::new(table.clone());
            resolver.add(NameId(1), "origin.test".into());
            updates.recv().await.unwrap();
            resolver.remove(NameId(1));
            assert!(resolver.is_empty());
            table.0.borrow_mut()[0] = Ok(vec![ip(9)]);
            let quiet = tokio::time::timeout(Duration::from_secs(600), updates.recv()).await;
            assert!(quiet.is_err());
        });
    }

    #[test]
    fn refreshes_are_jittered_downwards_only() {
        for name in 0..1000 {
            let pause = jittered(MAX_REFRESH, NameId(name));
            assert!(
                pause <= MAX_REFRESH && pause >= MAX_REFRESH * 9 / 10,
                "{pause:?}"
            );
        }
    }

    #[test]
    fn localhost_resolves_by_the_system_without_a_name_server() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let answer = runtime.block_on(SystemLookup::new().lookup("localhost".into()));
        match answer {
            Ok(answer) => assert!(answer.addresses.iter().all(IpAddr::is_loopback)),
            // A machine without a resolver configuration has said so.
            Err(reason) => assert!(reason.contains("/etc/resolv.conf"), "{reason}"),
        }
    }
}
