//! Whether a part of a real etcd is as it was: against listings, whatever happens to keys in it and elsewhere.

mod support;

use ringway::config::decode::FromText;
use ringway::config::statics::EtcdEndpoint;
use ringway::provider::etcd::{EtcdSettings, EtcdStore};
use ringway::provider::kv::store::{Confirmed, Revision, Scope, Store};
use support::etcd;
use support::stores::{list, run};

const ROOT: Scope<'_> = Scope::Prefix("traefik/");
const KEY: Scope<'_> = Scope::Key("traefik/a");

/// What is written (`Some`) or deleted, step by step.
const STEPS: &[&[(&str, Option<&str>)]] = &[
    &[("elsewhere", Some("1"))],
    &[("traefik/a", Some("1"))],
    &[("traefik", Some("1"))],
    &[("traefik/", Some("the prefix itself"))],
    &[("traefik0", Some("1"))],
    &[("traefik/b", Some("1")), ("traefik/c", Some("1"))],
    // The same again may count as a difference.
    &[("traefik/b", Some("1"))],
    &[("traefik/b", None)],
    &[("elsewhere", None)],
    // As many keys as before, and others.
    &[("traefik/c", None), ("traefik/d", Some("1"))],
    &[("traefik/a", None)],
    &[("traefik/a", Some("1"))],
    &[("traefik/", None)],
    &[("traefik/d", None), ("traefik/a", None)],
    &[("elsewhere", Some("2"))],
];

#[test]
fn what_is_confirmed_is_as_it_was() {
    let etcd = etcd::etcd();
    run(async {
        let mut store = EtcdStore::new(EtcdSettings {
            endpoints: vec![EtcdEndpoint::from_text(&etcd.endpoint()).expect("an endpoint")],
            ..EtcdSettings::default()
        });
        store.connect().await.expect("connected");
        let mut confirmed = 0;
        for scope in [ROOT, KEY] {
            // What lies there, without the prefix itself, at each state.
            let mut states = Vec::new();
            for step in STEPS {
                etcd.transaction(step);
                let (mut pairs, listing, _) = list(&mut store, scope).await.expect("listed");
                pairs.remove("traefik/");
                states.push((listing.revision, pairs));
                let (now, present) = states.last().expect("just added").clone();
                for (then, before) in &states {
                    let answer = store.confirm(scope, *then, before.len(), now).await;
                    let answer = answer.expect("answered");
                    match answer {
                        Confirmed::Same(listing) => {
                            assert_eq!(before, &present, "{scope:?} {then:?} {now:?}");
                            assert_eq!(listing.revision, now);
                            assert!(listing.store_id.is_some());
                            confirmed += 1;
                        }
                        Confirmed::Other => assert!(
                            then < &now,
                            "{scope:?} {then:?}: nothing has happened since"
                        ),
                        other => panic!("{other:?}"),
                    }
                }
                let later = store
                    .confirm(scope, now, present.len(), Revision(now.0 + 1))
                    .await;
                assert_eq!(later.expect("answered"), Confirmed::Behind);
            }
        }
        // Each state with itself, and those between which only keys elsewhere were written.
        assert!(confirmed > 2 * STEPS.len() + 8, "{confirmed}");
    });
}
