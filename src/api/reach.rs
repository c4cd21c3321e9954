//! Which services and middlewares requests can reach.
//!
//! Traefik builds an object only when a router leads to it, and only then its JSON has server states and
//! qualified references. This finds the same objects: through routers with an entry point, through services of
//! services, chains and error pages.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::config::dynamic::{HttpMiddleware, HttpServiceKind, Kind, Object};
use crate::plan::{ObjectStatus, Published};

/// Services and middlewares that requests can reach.
#[derive(Debug, Default)]
pub(super) struct Reached(FxHashSet<(Kind, Arc<str>)>);

impl Reached {
    /// Follows every router's references. O(routers and what they reach).
    pub(super) fn new(published: &Published) -> Self {
        let mut reached = Self::default();
        let mut open = Vec::new();
        for router in published.objects_of(Kind::HttpRouter) {
            let has_entry_point = router
                .router()
                .is_some_and(|router| !router.entry_points.using.is_empty());
            if has_entry_point {
                reached.follow(router, &mut open);
            }
        }
        while let Some((kind, name)) = open.pop() {
            if let Some(object) = published.object(kind, &name) {
                reached.follow(object, &mut open);
            }
        }
        reached
    }

    /// Whether requests can reach this object.
    pub(super) fn contains(&self, object: &ObjectStatus) -> bool {
        self.0.contains(&(object.kind, Arc::clone(&object.name)))
    }

    fn follow(&mut self, object: &ObjectStatus, open: &mut Vec<(Kind, Arc<str>)>) {
        let provider = object.provider();
        references(object, &mut |kind, name| {
            let key = (kind, qualified(name, provider));
            if self.0.insert(key.clone()) {
                open.push(key);
            }
        });
    }
}

/// A reference's meaning: a name without a provider is one of the referrer's provider.
pub(super) fn qualified(name: &str, provider: &str) -> Arc<str> {
    if name.contains('@') {
        return name.into();
    }
    format!("{name}@{provider}").into()
}

fn references(object: &ObjectStatus, found: &mut impl FnMut(Kind, &str)) {
    let service = Kind::HttpService;
    match &object.object {
        Some(Object::HttpRouter(router)) => {
            if !router.service.is_empty() {
                found(service, &router.service);
            }
            let model = object.router().and_then(|own| own.model.as_ref());
            let inherited = model.into_iter().flat_map(|model| &model.middlewares);
            for name in inherited.chain(&router.middlewares) {
                found(Kind::HttpMiddleware, name);
            }
        }
        Some(Object::HttpService(config)) => {
            for name in &config.middlewares {
                found(Kind::HttpMiddleware, name);
            }
            match &config.kind {
                HttpServiceKind::LoadBalancer(_) => {}
                HttpServiceKind::Weighted(config) => {
                    config
                        .services
                        .iter()
                        .for_each(|child| found(service, &child.name));
                }
                HttpServiceKind::HighestRandomWeight(config) => {
                    config
                        .services
                        .iter()
                        .for_each(|child| found(service, &child.name));
                }
                HttpServiceKind::Mirroring(config) => {
                    found(service, &config.service);
                    config
                        .mirrors
                        .iter()
                        .for_each(|mirror| found(service, &mirror.name));
                }
                HttpServiceKind::Failover(config) => {
                    found(service, &config.service);
                    found(service, &config.fallback);
                }
            }
        }
        Some(Object::HttpMiddleware(config)) => match &**config {
            HttpMiddleware::Chain(chain) => {
                for name in &chain.middlewares {
                    found(Kind::HttpMiddleware, name);
                }
            }
            HttpMiddleware::Errors(errors) => found(service, &errors.service),
            _ => {}
        },
        _ => {}
    }
}
