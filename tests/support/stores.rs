//! What the suites of key-value stores share: a runtime as providers have it, listings and events that are waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use ringway::provider::kv::store::{Event, Listing, Scope, Store, StoreError, Watch};

/// How long anything may take; the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test as a provider's thread would.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let test = tokio::time::timeout(4 * PATIENCE, test).await;
        test.expect("the test takes too long")
    })
}

/// Everything in scope, as text, with the sizes of pages.
pub async fn list(
    store: &mut impl Store,
    scope: Scope<'_>,
) -> Result<(BTreeMap<String, String>, Listing, Vec<usize>), StoreError> {
    let (mut pairs, mut pages) = (BTreeMap::new(), Vec::new());
    let listing = store
        .list(scope, None, |page| {
            pages.push(page.len());
            for pair in page {
                pairs.insert(text(pair.key), text(pair.value));
            }
        })
        .await?;
    Ok((pairs, listing, pages))
}

/// What changes from now on.
pub async fn watched<S: Store>(store: &mut S, scope: Scope<'_>) -> S::Watch {
    let (_, listing, _) = list(store, scope).await.expect("listed");
    store.watch(scope, listing.revision).await.expect("watched")
}

/// Somebody sets `a` and `b` below `traefik/` to the same number again and again, up to `last`: no event and no listing
/// has the one without the other.
pub async fn are_never_torn(store: &mut impl Store, last: u32) {
    let root = Scope::Prefix("traefik/");
    let mut watch = watched(store, root).await;
    loop {
        let changed = changes(&mut watch).await;
        let values: Vec<&str> = changed
            .iter()
            .filter_map(|one| one.split('=').nth(1))
            .collect();
        assert!(
            values.len() == 2 && values[0] == values[1],
            "torn: {changed:?}"
        );
        let (pairs, ..) = list(store, root).await.expect("listed");
        assert_eq!(pairs["traefik/a"], pairs["traefik/b"], "torn");
        if values[0] == last.to_string() {
            return;
        }
    }
}

/// The next event.
pub async fn next(watch: &mut impl Watch) -> Result<Event, StoreError> {
    let next = tokio::time::timeout(PATIENCE, watch.next()).await;
    next.expect("an event")
}

/// The next event's changes; `key=value`, `key` if deleted.
pub async fn changes(watch: &mut impl Watch) -> Vec<String> {
    loop {
        match next(watch).await.expect("the watch goes on") {
            Event::Transaction { changes, .. } => {
                let mut changes: Vec<String> = changes
                    .into_iter()
                    .map(|change| match change.value {
                        Some(value) => format!("{}={}", text(change.key), text(value)),
                        None => text(change.key),
                    })
                    .collect();
                changes.sort();
                return changes;
            }
            Event::Progress(_) => {}
            Event::Unknown => panic!("a transaction is expected"),
        }
    }
}

/// Connects as often as it takes.
pub async fn reconnect(store: &mut impl Store) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while let Err(error) = store.connect().await {
        assert!(std::time::Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("UTF-8")
}
