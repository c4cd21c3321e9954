//! Checking passwords without holding up a shard.
//!
//! ```text
//! request ─► tag of (user, password, hash) ─► AuthCache ── hit ──► verdict at once
//!                                                 └────── miss ──► Job ─► offload pool ─► remember
//! ```
//!
//! A password hash is slow on purpose (milliseconds), so a shard never computes one: it hands out a
//! [`Job`], and remembers its answer. The cache knows tags only, which are keyed digests: neither
//! the password nor anything it could be guessed from without the shard's secret.

mod hash;

pub use hash::StoredHash;

use std::fmt;
use std::sync::Arc;

use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

/// Sets of the cache; each remembers [`GOOD_WAYS`] good and one bad password.
const SETS: usize = 256;
/// Good passwords remembered per set. A shard so remembers 768 logins.
const GOOD_WAYS: usize = 3;

/// Bytes of SHA-1's block, the length of an HMAC key (RFC 2104).
const BLOCK_BYTES: usize = 64;

type Tag = [u8; 20];

/// What a job's answer is remembered under.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key(Tag);

/// A password check that takes too long for a shard. Run it elsewhere, then [`AuthCache::remember`] the
/// answer and ask the middleware again.
pub struct Job {
    key: Key,
    password: Box<[u8]>,
    hash: Arc<StoredHash>,
    can_match: bool,
}

/// A shard's memory of checked passwords.
///
/// Good and bad ones do not displace each other, so that a guesser cannot make the logins of others
/// slow. An entry dies with its hash: the tag covers it.
pub struct AuthCache {
    /// HMAC-SHA-1 with the key already absorbed: inner and outer state.
    inner: Sha1,
    outer: Sha1,
    /// Empty until the first answer.
    sets: Vec<Set>,
}

#[derive(Clone, Copy, Default)]
struct Set {
    good: [Option<Tag>; GOOD_WAYS],
    bad: Option<Tag>,
}

impl Job {
    /// The key to remember the answer under, and the work: milliseconds of CPU, then whether the
    /// password is good.
    pub fn into_parts(self) -> (Key, impl FnOnce() -> bool + Send + 'static) {
        let Job {
            key,
            password,
            hash,
            can_match,
        } = self;
        (key, move || hash.verify(&password) && can_match)
    }
}

impl AuthCache {
    /// An empty cache; `secret` is random and known to this process alone.
    pub fn new(secret: [u8; 32]) -> AuthCache {
        let keyed = |pad: u8| {
            let mut block = [pad; BLOCK_BYTES];
            for (byte, key) in block.iter_mut().zip(secret) {
                *byte ^= key;
            }
            Sha1::new().chain_update(block)
        };
        AuthCache {
            inner: keyed(0x36),
            outer: keyed(0x5c),
            sets: Vec::new(),
        }
    }

    /// Remembers a job's answer.
    pub fn remember(&mut self, key: Key, good: bool) {
        let Key(tag) = key;
        if self.sets.is_empty() {
            self.sets.resize(SETS, Set::default());
        }
        let Some(set) = self.sets.get_mut(set_index(&tag)) else {
            return;
        };
        if !good {
            set.bad = Some(tag);
        } else if !set.good.contains(&Some(tag)) {
            set.good.rotate_right(1);
            set.good[0] = Some(tag);
        }
    }

    /// Whether `password` is that of `hash` for `user`, or the job that finds out. With
    /// `can_match == false` (there is no such user) everything is done alike, and the answer is no.
    pub(super) fn check(
        &mut self,
        user: &[u8],
        password: &[u8],
        hash: &Arc<StoredHash>,
        can_match: bool,
    ) -> Result<bool, Job> {
        if !hash.is_slow() {
            return Ok(hash.verify(password) && can_match);
        }
        let tag = self.tag(user, password, hash, can_match);
        match self.lookup(&tag) {
            Some(good) => Ok(good),
            None => {
                let (password, hash) = (password.into(), Arc::clone(hash));
                Err(Job {
                    key: Key(tag),
                    password,
                    hash,
                    can_match,
                })
            }
        }
    }

    fn lookup(&mut self, tag: &Tag) -> Option<bool> {
        let set = self.sets.get_mut(set_index(tag))?;
        let is = |entry: &Option<Tag>| entry.is_some_and(|entry| entry.ct_eq(tag).into());
        if let Some(way) = set.good.iter().position(is) {
            // Most recently used first: the last one is the next to go.
            set.good[..=way].rotate_right(1);
            return Some(true);
        }
        is(&set.bad).then_some(false)
    }

    fn tag(&self, user: &[u8], password: &[u8], hash: &StoredHash, can_match: bool) -> Tag {
        let mut inner = self.inner.clone();
        for part in [user, password, hash.as_bytes()] {
            // Lengths keep `a` + `bc` apart from `ab` + `c`.
            inner.update((part.len() as u64).to_le_bytes());
            inner.update(part);
        }
        inner.update([u8::from(can_match)]);
        self.outer
            .clone()
            .chain_update(inner.finalize())
            .finalize()
            .into()
    }
}

fn set_index(tag: &Tag) -> usize {
    usize::from(u16::from_le_bytes([tag[0], tag[1]])) % SETS
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job({:?})", self.hash)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl fmt::Debug for AuthCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthCache")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> AuthCache {
        AuthCache::new([7; 32])
    }

    fn slow() -> Arc<StoredHash> {
        Arc::new(StoredHash::new("$apr1$abcdefgh$5VEbMkemELfbhC5ck.U.z1"))
    }

    fn key(cache: &AuthCache, number: u32) -> Key {
        Key(cache.tag(&number.to_le_bytes(), b"", &slow(), true))
    }

    fn run(cache: &mut AuthCache, job: Job) {
        let (key, work) = job.into_parts();
        cache.remember(key, work());
    }

    #[test]
    fn a_slow_check_is_a_job_once_and_then_remembered() {
        let mut cache = cache();
        for (password, good) in [("pw", true), ("wrong", false)] {
            let job = cache
                .check(b"bob", password.as_bytes(), &slow(), true)
                .unwrap_err();
            run(&mut cache, job);
            assert_eq!(
                cache.check(b"bob", password.as_bytes(), &slow(), true).ok(),
                Some(good)
            );
            assert!(
                cache
                    .check(b"bob2", password.as_bytes(), &slow(), true)
                    .is_err()
            );
        }
    }

    #[test]
    fn a_job_is_sent_to_other_threads() {
        fn is_send<T: Send>() {}
        is_send::<Job>();
    }

    #[test]
    fn a_fast_check_needs_no_job() {
        let sha = Arc::new(StoredHash::new("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="));
        assert_eq!(
            cache().check(b"bob", b"password", &sha, true).ok(),
            Some(true)
        );
        assert_eq!(
            cache().check(b"bob", b"password", &sha, false).ok(),
            Some(false)
        );
        assert_eq!(cache().check(b"bob", b"x", &sha, true).ok(), Some(false));
    }

    #[test]
    fn the_right_password_of_a_user_that_does_not_exist_is_wrong() {
        let mut cache = cache();
        let job = cache.check(b"eve", b"pw", &slow(), false).unwrap_err();
        run(&mut cache, job);
        assert_eq!(cache.check(b"eve", b"pw", &slow(), false).ok(), Some(false));
        // The same name and password against the same hash is another question once the user exists.
        assert!(cache.check(b"eve", b"pw", &slow(), true).is_err());
    }

    #[test]
    fn another_hash_or_another_split_of_the_text_is_another_entry() {
        let mut cache = cache();
        let job = cache.check(b"bob", b"pw", &slow(), true).unwrap_err();
        run(&mut cache, job);
        let other = Arc::new(StoredHash::new("$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/"));
        assert!(cache.check(b"bob", b"pw", &other, true).is_err());
        assert!(cache.check(b"bobp", b"w", &slow(), true).is_err());
    }

    #[test]
    fn the_cache_is_bounded_and_wrong_passwords_displace_no_right_ones() {
        let mut cache = cache();
        let login = key(&cache, 0);
        cache.remember(login, true);
        for number in 1..20_000 {
            let guess = key(&cache, number);
            cache.remember(guess, false);
            assert_eq!(cache.lookup(&guess.0), Some(false));
        }
        assert_eq!(cache.lookup(&login.0), Some(true));
        assert_eq!(cache.sets.len(), SETS);
    }

    #[test]
    fn the_login_not_used_for_longest_goes_first() {
        let mut cache = cache();
        let keys = (0..)
            .map(|n| key(&cache, n))
            .filter(|key| set_index(&key.0) == 3);
        let logins: Vec<Key> = keys.take(4).collect();
        for login in &logins[..3] {
            cache.remember(*login, true);
        }
        assert_eq!(cache.lookup(&logins[0].0), Some(true));
        cache.remember(logins[3], true);
        assert_eq!(cache.lookup(&logins[0].0), Some(true));
        assert_eq!(cache.lookup(&logins[1].0), None);
        assert_eq!(cache.lookup(&logins[2].0), Some(true));
    }

    #[test]
    fn tags_depend_on_the_secret() {
        let other = AuthCache::new([8; 32]);
        assert_ne!(
            cache().tag(b"a", b"b", &slow(), true),
            other.tag(b"a", b"b", &slow(), true)
        );
    }
}
