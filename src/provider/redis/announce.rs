//! How the server is made to tell of changed keys.
//!
//! | way | needs | |
//! |---|---|---|
//! | tracking | `CLIENT TRACKING` (Redis 6) | changes nothing on the server, one message per transaction, tells of `FLUSHALL` |
//! | notifications | `PSUBSCRIBE`, and flags that the server has or `CONFIG SET` gives it | as Traefik does; flags are only added |
//! | none | | everything is listed every [`RELIST_INTERVAL`], which the log says once |
//!
//! They are tried in this order. Only what changes within the listed and watched scopes is asked for.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::RedisError;

use super::connect;
use super::pushes::literally;
use super::{Link, StoreError};

/// How often everything is listed if the server does not tell of changes.
pub const RELIST_INTERVAL: Duration = Duration::from_secs(30);

/// Prefixes that are asked for; beyond, those without use are dropped.
const MAX_PREFIXES: usize = 16;

/// Notifications of keys that are written, deleted, renamed, expired and evicted.
const FLAGS: &str = "Kg$xe";

/// What the server was asked for on one connection.
#[derive(Clone, Debug)]
pub(crate) struct Announcer {
    db: u32,
    way: Option<Way>,
    prefixes: Vec<String>,
    /// Whether the log was told that nobody tells of changes: once, not with every connection.
    warned: Arc<AtomicBool>,
}

/// How the server tells of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Tracking,
    Notifications,
    None,
}

/// What notifications of a database begin with, before the key.
pub(crate) fn channel(db: u32) -> String {
    format!("__keyspace@{db}__:")
}

impl Announcer {
    pub(crate) fn new(db: u32, warned: Arc<AtomicBool>) -> Self {
        Self {
            db,
            way: None,
            prefixes: Vec::new(),
            warned,
        }
    }

    /// Asks for the scopes that are not asked for yet.
    pub(crate) async fn cover(&mut self, link: &Link) -> Result<(), StoreError> {
        let mut wanted: Vec<String> = link
            .signals
            .live()
            .iter()
            .map(|interest| interest.range.prefix().to_owned())
            .collect();
        wanted.sort_unstable();
        // A prefix sorts before all that begin with it.
        wanted.dedup_by(|longer, shorter| longer.starts_with(&**shorter));
        let is_asked = |own: &String| self.prefixes.iter().any(|asked| own.starts_with(&**asked));
        let mut missing: Vec<String> = wanted
            .iter()
            .filter(|own| !is_asked(own))
            .cloned()
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        // The server refuses to track overlapping prefixes.
        let widens = |own: &String| self.prefixes.iter().any(|asked| asked.starts_with(&**own));
        if missing.iter().any(widens) || self.prefixes.len() + missing.len() > MAX_PREFIXES {
            self.ask_for_nothing(link).await?;
            missing = wanted;
        }
        match self.way {
            None => self.way = Some(self.choose(link, &missing).await?),
            Some(Way::Tracking) => track(link, &missing)
                .await
                .map_err(|error| connect::failed(&link.name, "CLIENT TRACKING", &error))?,
            Some(Way::Notifications) => self
                .subscribe(link, &missing)
                .await
                .map_err(|error| connect::failed(&link.name, "PSUBSCRIBE", &error))?,
            Some(Way::None) => {}
        }
        self.prefixes.append(&mut missing);
        Ok(())
    }

    /// How the server tells of changes, once something was listed or watched.
    pub(crate) fn way(&self) -> Way {
        self.way.unwrap_or(Way::None)
    }

    async fn choose(&self, link: &Link, prefixes: &[String]) -> Result<Way, StoreError> {
        let untracked = match track(link, prefixes).await {
            Ok(()) => return Ok(Way::Tracking),
            Err(error) if connect::is_answer(&error) => error,
            Err(error) => return Err(connect::failed(&link.name, "CLIENT TRACKING", &error)),
        };
        let refused = match turn_on(link).await {
            Ok(_) => match self.subscribe(link, prefixes).await {
                Ok(()) => return Ok(Way::Notifications),
                Err(error) => error,
            },
            Err(error) => error,
        };
        if !connect::is_answer(&refused) {
            return Err(connect::failed(
                &link.name,
                "CONFIG or PSUBSCRIBE",
                &refused,
            ));
        }
        Ok(self.unannounced(link, &untracked, &refused))
    }

    fn unannounced(&self, link: &Link, untracked: &RedisError, refused: &RedisError) -> Way {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "{}: the server does not tell of changes, so that everything is listed every {RELIST_INTERVAL:?}; \
                 CLIENT TRACKING: {untracked}; keyspace notifications: {refused}. Allow this user one of them, such as \
                 ACL SETUSER … +client|tracking",
                link.name,
            );
        }
        Way::None
    }

    async fn subscribe(&self, link: &Link, prefixes: &[String]) -> Result<(), RedisError> {
        for prefix in prefixes {
            link.connection
                .clone()
                .psubscribe(self.pattern(prefix))
                .await?;
        }
        Ok(())
    }

    fn pattern(&self, prefix: &str) -> String {
        literally(&(channel(self.db) + prefix)) + "*"
    }

    async fn ask_for_nothing(&mut self, link: &Link) -> Result<(), StoreError> {
        let mut off = redis::pipe();
        off.cmd("CLIENT").arg("TRACKING").arg("OFF");
        let done = match self.way {
            Some(Way::Tracking) => link.batch(&off).await,
            Some(Way::Notifications) => {
                let mut done = Ok(());
                for prefix in &self.prefixes {
                    let pattern = self.pattern(prefix);
                    done = done.and(link.connection.clone().punsubscribe(pattern).await);
                }
                done
            }
            Some(Way::None) | None => Ok(()),
        };
        done.map_err(|error| connect::failed(&link.name, "CLIENT TRACKING OFF", &error))?;
        self.prefixes.clear();
        link.signals.lose_track();
        Ok(())
    }
}

async fn track(link: &Link, prefixes: &[String]) -> Result<(), RedisError> {
    let mut command = redis::cmd("CLIENT");
    command.arg("TRACKING").arg("ON").arg("BCAST");
    for prefix in prefixes {
        command.arg("PREFIX").arg(prefix);
    }
    link.ask(&command).await
}

/// Restores what somebody else turned off. True: changes may have gone unnoticed.
pub(crate) async fn restore(link: &Link) -> Result<bool, StoreError> {
    match turn_on(link).await {
        Ok(set) => Ok(set),
        // Allowed when the watch began, and not any more.
        Err(error) => Err(connect::failed(&link.name, "CONFIG", &error)),
    }
}

/// Adds the flags that are missing. True: there were some.
async fn turn_on(link: &Link) -> Result<bool, RedisError> {
    const NAME: &str = "notify-keyspace-events";
    let mut get = redis::cmd("CONFIG");
    get.arg("GET").arg(NAME);
    let options: HashMap<String, String> = link.ask(&get).await?;
    let flags = options.get(NAME).map_or("", |flags| &**flags);
    let Some(flags) = with_missing(flags) else {
        return Ok(false);
    };
    let mut set = redis::cmd("CONFIG");
    set.arg("SET").arg(NAME).arg(&flags);
    link.ask::<()>(&set).await?;
    tracing::info!("{}: {NAME} is set to {flags}", link.name);
    Ok(true)
}

/// The flags with those that are needed; `None` if all are there. `A` stands for all kinds of events.
fn with_missing(flags: &str) -> Option<String> {
    let is_missing = |flag: &char| !flags.contains(*flag) && (*flag == 'K' || !flags.contains('A'));
    let missing: String = FLAGS.chars().filter(is_missing).collect();
    (!missing.is_empty()).then(|| format!("{flags}{missing}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_only_added() {
        assert_eq!(with_missing(""), Some("Kg$xe".to_owned()));
        assert_eq!(with_missing("AE"), Some("AEK".to_owned()));
        assert_eq!(with_missing("lsK"), Some("lsKg$xe".to_owned()));
        assert_eq!(with_missing("AKE"), None);
        assert_eq!(with_missing("xe$gK"), None);
    }
}
