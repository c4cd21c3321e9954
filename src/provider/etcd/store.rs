//! The store: which endpoint serves, and listings. Not here: the connection itself, a running watch.

use std::cell::Cell;
use std::rc::Rc;

use tonic::{Code, Status};

use super::EtcdSettings;
use super::connection::Connection;
use super::messages::{
    KeyValue, RangeRequest, RangeResponse, WatchCreateRequest, WatchDemand, WatchRequest,
};
use super::watch::{EtcdWatch, Opening};
use crate::provider::kv::store::{
    Confirmed, Failure, Listing, Pair, Revision, Scope, Store, StoreError,
};

/// What a page of a listing should come to: well below the 4 MiB at which gRPC proxies between us and etcd stop.
pub(super) const PAGE_BYTES: usize = 2 << 20;

/// Keys of a listing's first page, when nothing is known of the values' sizes.
const FIRST_PAGE_KEYS: i64 = 1000;

/// Most keys of a page. etcd 3.4 walks over all remaining keys for every page: few large pages are cheaper.
const MAX_PAGE_KEYS: i64 = 50_000;

/// How much larger than the one before a page may be asked for.
const MAX_PAGE_GROWTH: i64 = 8;

/// An etcd cluster.
pub struct EtcdStore {
    settings: EtcdSettings,
    connection: Option<Connection>,
    /// Index of the endpoint that is tried first.
    preferred: usize,
    /// Set when the endpoint in use did not serve after all: the next one is tried first then.
    trouble: Rc<Cell<bool>>,
    /// The cluster that was listed last.
    cluster: Option<u64>,
    /// Keys to ask for in a listing's first page.
    page_keys: i64,
}

impl EtcdStore {
    /// A store that is not connected yet.
    pub fn new(settings: EtcdSettings) -> Self {
        Self {
            settings,
            connection: None,
            preferred: 0,
            trouble: Rc::default(),
            cluster: None,
            page_keys: FIRST_PAGE_KEYS,
        }
    }

    fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        let not_yet = || StoreError::new(Failure::Unavailable, "etcd: not connected");
        self.connection.as_mut().ok_or_else(not_yet)
    }

    /// Notes whether a failure speaks against the endpoint in use.
    fn noted(&self, error: StoreError) -> StoreError {
        if error.failure == Failure::Unavailable {
            self.trouble.set(true);
        }
        error
    }

    /// One page, in smaller parts if it is too long, and with a new token if the old one has run out: the running
    /// watch need not end for that.
    async fn page(
        &mut self,
        doing: &str,
        request: &mut RangeRequest,
    ) -> Result<RangeResponse, StoreError> {
        let settings = self.settings.clone();
        let connection = self.connection()?;
        let mut is_token_new = !connection.has_token();
        loop {
            match connection.range(request.clone()).await {
                Ok(response) => return Ok(response),
                Err(status) if is_too_long(&status) && request.limit > 1 => {
                    request.limit = (request.limit / 8).max(1);
                }
                Err(status) => {
                    let error = connection.error(doing, &status);
                    if error.failure != Failure::Unauthenticated || is_token_new {
                        return Err(error);
                    }
                    tracing::debug!("{error}; a new token is asked for");
                    connection.authenticate(&settings).await?;
                    is_token_new = true;
                }
            }
        }
    }

    async fn list_pages(
        &mut self,
        scope: Scope<'_>,
        at: Option<Revision>,
        mut page: impl FnMut(Vec<Pair>),
    ) -> Result<Listing, StoreError> {
        let (key, range_end) = range(scope);
        let mut request = RangeRequest {
            key,
            range_end,
            limit: self.page_keys,
            revision: at.map_or(0, |at| signed(at.0)),
            ..RangeRequest::default()
        };
        let doing = format!("listing {}", told(scope));
        let mut listing = None;
        loop {
            let response = self.page(&doing, &mut request).await?;
            let connection = self.connection()?;
            let Some(header) = response.header else {
                return Err(connection.unavailable("an answer without header"));
            };
            // All further pages show the state of the first one.
            let revision = at.map_or(header.revision.unsigned_abs(), |at| at.0);
            let Listing { revision, .. } = listing.get_or_insert(Listing {
                revision: Revision(revision),
                store_id: Some(header.cluster_id),
            });
            request.revision = signed(revision.0);
            let last = response.kvs.last().map(|kv| kv.key.clone());
            let bytes = response.kvs.iter().map(|kv| kv.key.len() + kv.value.len());
            let bytes = bytes.sum::<usize>();
            let keys = response.kvs.len();
            page(response.kvs.into_iter().map(pair).collect());
            if !response.more {
                break;
            }
            let Some(mut last) = last else {
                return Err(connection.unavailable("an empty page that is not the last"));
            };
            last.push(0);
            request.key = last;
            request.limit = next_limit(request.limit, keys, bytes);
        }
        // The next listing is likely of the same values.
        self.page_keys = request.limit;
        let listing = listing.unwrap_or(Listing {
            revision: Revision(0),
            store_id: None,
        });
        self.cluster = listing.store_id;
        Ok(listing)
    }

    /// One read of the newest state, and which state that is.
    async fn read(
        &mut self,
        scope: Scope<'_>,
        request: RangeRequest,
    ) -> Result<(RangeResponse, Listing), StoreError> {
        let connection = self.connection()?;
        let answer = connection.range(request).await;
        let response = answer
            .map_err(|status| connection.error(&format!("reading {}", told(scope)), &status))?;
        let Some(header) = &response.header else {
            return Err(connection.unavailable("an answer without header"));
        };
        let listing = Listing {
            revision: Revision(header.revision.unsigned_abs()),
            store_id: Some(header.cluster_id),
        };
        Ok((response, listing))
    }

    async fn confirm_range(
        &mut self,
        scope: Scope<'_>,
        since: Revision,
        keys: usize,
        wanted: Revision,
    ) -> Result<Confirmed, StoreError> {
        let (mut key, range_end) = range(scope);
        // One key of the range costs the server nothing; it is one that the user may read.
        let one = RangeRequest {
            key: key.clone(),
            limit: 1,
            keys_only: true,
            ..RangeRequest::default()
        };
        let (_, now) = self.read(scope, one).await?;
        if now.revision < wanted {
            return Ok(Confirmed::Behind);
        }
        if matches!(scope, Scope::Prefix(_)) {
            // The prefix itself is no key below it.
            key.push(0);
        }
        // Every key is older than `since`, and there are as many as then: they are the same. (A deleted key would be
        // missing, one that was made anew would be younger.)
        let younger = RangeRequest {
            key,
            range_end,
            limit: 1,
            revision: 0,
            keys_only: true,
            min_mod_revision: signed(since.0.saturating_add(1)),
        };
        let (found, listing) = self.read(scope, younger).await?;
        let is_same = found.kvs.is_empty() && usize::try_from(found.count) == Ok(keys);
        Ok(if is_same {
            Confirmed::Same(listing)
        } else {
            Confirmed::Other
        })
    }

    async fn open_watch(
        &mut self,
        scope: Scope<'_>,
        after: Revision,
    ) -> Result<EtcdWatch, StoreError> {
        let (key, range_end) = range(scope);
        let request = WatchRequest {
            demand: Some(WatchDemand::Create(WatchCreateRequest {
                key,
                range_end,
                start_revision: signed(after.0 + 1),
                progress_notify: true,
                fragment: true,
            })),
        };
        let doing = format!("watching {}", told(scope));
        let (patience, cluster) = (self.settings.patience, self.cluster);
        let trouble = self.trouble.clone();
        let settings = self.settings.clone();
        let connection = self.connection()?;
        for is_last_try in [false, true] {
            let (sender, answers) = connection
                .watch(request.clone())
                .await
                .map_err(|status| connection.error(&doing, &status))?;
            let opening = EtcdWatch::open(
                connection, &doing, sender, answers, after, cluster, patience, &trouble,
            );
            match opening.await? {
                Opening::Open(watch) => return Ok(*watch),
                // Some versions of etcd say of a token that has run out that it has no permission.
                Opening::Denied(_) if connection.has_token() && !is_last_try => {
                    connection.authenticate(&settings).await?;
                }
                Opening::Denied(reason) => {
                    let status = Status::permission_denied(reason);
                    return Err(connection.error(&doing, &status));
                }
            }
        }
        unreachable!("the last try returns")
    }
}

impl Store for EtcdStore {
    type Watch = EtcdWatch;

    const HAS_REVISIONS: bool = true;

    async fn connect(&mut self) -> Result<(), StoreError> {
        self.connection = None;
        let count = self.settings.endpoints.len();
        if count == 0 {
            let text = "providers.etcd.endpoints: there is none";
            return Err(StoreError::new(Failure::Refused, text));
        }
        if self.trouble.take() {
            self.preferred = (self.preferred + 1) % count;
        }
        let mut failure = Failure::Refused;
        let mut texts = Vec::new();
        for offset in 0..count {
            let index = (self.preferred + offset) % count;
            match Connection::open(&self.settings.endpoints[index], &self.settings).await {
                Ok(connection) => {
                    self.preferred = index;
                    self.connection = Some(connection);
                    return Ok(());
                }
                Err(error) => {
                    // As long as one endpoint may come back, trying soon is worth it.
                    if error.failure != Failure::Refused {
                        failure = Failure::Unavailable;
                    }
                    texts.push(error.text);
                }
            }
        }
        Err(StoreError::new(failure, texts.join("; ")))
    }

    async fn list(
        &mut self,
        scope: Scope<'_>,
        at: Option<Revision>,
        page: impl FnMut(Vec<Pair>),
    ) -> Result<Listing, StoreError> {
        let result = self.list_pages(scope, at, page).await;
        result.map_err(|error| self.noted(error))
    }

    async fn watch(&mut self, scope: Scope<'_>, after: Revision) -> Result<EtcdWatch, StoreError> {
        let result = self.open_watch(scope, after).await;
        result.map_err(|error| self.noted(error))
    }

    async fn confirm(
        &mut self,
        scope: Scope<'_>,
        since: Revision,
        keys: usize,
        wanted: Revision,
    ) -> Result<Confirmed, StoreError> {
        let result = self.confirm_range(scope, since, keys, wanted).await;
        result.map_err(|error| self.noted(error))
    }
}

fn pair(kv: KeyValue) -> Pair {
    Pair {
        key: kv.key,
        value: kv.value,
    }
}

/// etcd's revisions are positive `int64`s.
fn signed(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

fn told(scope: Scope<'_>) -> String {
    match scope {
        Scope::Prefix(prefix) => format!("the prefix {prefix:?}"),
        Scope::Key(key) => format!("the key {key:?}"),
    }
}

/// tonic's own error, since etcd sets no limit to its answers.
fn is_too_long(status: &Status) -> bool {
    status.code() == Code::OutOfRange && status.message().contains("message length too large")
}

/// Keys to ask for next so that the page comes to [`PAGE_BYTES`].
fn next_limit(limit: i64, keys: usize, bytes: usize) -> i64 {
    let fitting = PAGE_BYTES.saturating_mul(keys) / bytes.max(1);
    let fitting = i64::try_from(fitting).unwrap_or(MAX_PAGE_KEYS);
    fitting.clamp(1, limit.saturating_mul(MAX_PAGE_GROWTH).min(MAX_PAGE_KEYS))
}

/// A scope as etcd's half-open range.
fn range(scope: Scope<'_>) -> (Vec<u8>, Vec<u8>) {
    let prefix = match scope {
        Scope::Key(key) => return (key.as_bytes().to_vec(), Vec::new()),
        Scope::Prefix("") => return (vec![0], vec![0]),
        Scope::Prefix(prefix) => prefix.as_bytes(),
    };
    let mut end = prefix.to_vec();
    // A prefix is text: its last byte is never 255.
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    (prefix.to_vec(), end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_its_neighbour() {
        let range = |scope| {
            let (from, to) = range(scope);
            (
                String::from_utf8(from).unwrap(),
                String::from_utf8(to).unwrap(),
            )
        };
        assert_eq!(
            range(Scope::Prefix("traefik/")),
            ("traefik/".into(), "traefik0".into())
        );
        assert_eq!(
            range(Scope::Key("a/alias")),
            ("a/alias".into(), String::new())
        );
        assert_eq!(range(Scope::Prefix("")), ("\0".into(), "\0".into()));
    }

    #[test]
    fn pages_grow_and_shrink_with_the_values() {
        assert_eq!(
            next_limit(1000, 1000, 40_000),
            8000,
            "no faster than eightfold"
        );
        assert_eq!(next_limit(40_000, 40_000, 1_600_000), 50_000, "never more");
        assert_eq!(next_limit(1000, 1000, 20 << 20), 100);
        assert_eq!(next_limit(10, 10, usize::MAX), 1, "never less");
        assert_eq!(next_limit(10, 10, 0), 80);
    }
}
