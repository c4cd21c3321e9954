//! Looks whether the store has gone on without touching what is watched.
//!
//! A store tells changes of what is watched only. Who waits for a state that another key's change made would wait for
//! ever, so the store is asked, if it can tell, whether all is as it was; while nobody waits it is not asked. An event of
//! the watch ends a question: it says how far the store is by itself. Not here: who waits (`seen`).

use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::seen::Seen;
use super::store::{Confirmed, Listing, Revision, Scope, Store, StoreError};

/// How long an event may take to come by itself before the store is asked, and the pause before it is asked again.
const FIRST: Duration = Duration::from_millis(50);

/// The longest pause between two questions.
const LONGEST: Duration = Duration::from_millis(500);

/// How many times longer than the last question took the pause after it is at least.
const REST: u32 = 4;

/// After this many differences that no event explains, everything is listed.
const MAX_UNEXPLAINED: u32 = 5;

/// Something that is watched, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched<'a> {
    pub(super) scope: Scope<'a>,
    /// The state up to which it is known.
    pub(super) since: Revision,
    /// How many keys it had then.
    pub(super) keys: usize,
}

/// What a look found.
#[derive(Debug)]
pub(super) enum Found {
    /// All that is watched is as it was, up to this state.
    Same(Listing),
    /// It is not, and no event has come that tells how: list it.
    Other,
}

/// When to look.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    wanted: Option<Revision>,
    next: Option<Instant>,
    pause: Duration,
    /// The store rests until then from the last question, whoever waits next.
    rested: Option<Instant>,
    unexplained: u32,
}

impl Lookout {
    /// Waits until somebody wants to know of a later state, and asks. May be dropped at any time.
    pub(super) async fn look<S: Store>(
        &mut self,
        seen: &Seen,
        store: &mut S,
        watched: &[Watched<'_>],
    ) -> Result<Found, StoreError> {
        loop {
            let wanted = seen.wanted();
            if self.wanted != wanted {
                let soon = Instant::now() + FIRST;
                *self = Self {
                    wanted,
                    next: self.rested.max(Some(soon)),
                    pause: FIRST,
                    unexplained: 0,
                    ..*self
                };
            }
            let Some(wanted) = wanted else {
                seen.wanted_other(None).await;
                continue;
            };
            let next = *self.next.get_or_insert_with(Instant::now);
            tokio::select! {
                _ = seen.wanted_other(Some(wanted)) => continue,
                () = sleep_until(next) => {}
            }
            let started = Instant::now();
            self.next = Some(started + self.pause);
            let confirmed = confirm(store, watched, wanted).await?;
            self.pause = (self.pause * 2).min(LONGEST);
            let rested = Instant::now() + started.elapsed() * REST;
            self.rested = Some(rested);
            self.next = Some(rested.max(Instant::now() + self.pause));
            match confirmed {
                Confirmed::Behind => {}
                Confirmed::Same(listing) => return Ok(Found::Same(listing)),
                Confirmed::Other => {
                    self.unexplained += 1;
                    if self.unexplained >= MAX_UNEXPLAINED {
                        self.unexplained = 0;
                        return Ok(Found::Other);
                    }
                }
                Confirmed::Unable => return pending().await,
            }
        }
    }
}

/// Asks for everything that is watched. What is the same has been so up to the earliest of the answers.
async fn confirm<S: Store>(
    store: &mut S,
    watched: &[Watched<'_>],
    wanted: Revision,
) -> Result<Confirmed, StoreError> {
    let mut all: Option<Listing> = None;
    for one in watched {
        match store
            .confirm(one.scope, one.since, one.keys, wanted)
            .await?
        {
            Confirmed::Same(listing) => {
                all = Some(match all {
                    Some(first) if first.revision <= listing.revision => first,
                    _ => listing,
                });
            }
            other => return Ok(other),
        }
    }
    Ok(all.map_or(Confirmed::Unable, Confirmed::Same))
}
