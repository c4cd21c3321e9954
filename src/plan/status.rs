//! What the API and `explain` read: every object with its status, as published with a snapshot.

use std::borrow::Cow;
use std::sync::Arc;

use imbl::OrdSet;

use crate::config::dynamic::http::{RouterObservability, TraceVerbosity};
use crate::config::dynamic::{HttpModel, HttpRouter, Kind, Object};
use crate::router::snapshot::Snapshot;

use super::change::{NameConflict, ProviderState};
use super::names::qualify;
use super::statuses::ObjectStatuses;

/// A published generation: the snapshot that shards read and the objects that it came from.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// Counts applied changes; see [`Snapshot::generation`]. A change of statuses alone does not count.
    pub generation: u64,
    /// What shards read.
    pub snapshot: Arc<Snapshot>,
    /// Every object by kind and qualified name, routers as models split them.
    pub objects: ObjectStatuses,
    /// Every provider, by name.
    pub providers: Arc<[ProviderState]>,
    /// What is defined more than once, in a fixed order.
    pub conflicts: Arc<[NameConflict]>,
    /// How often a conflict has begun, changed or ended since the start.
    pub conflict_changes: u64,
    /// How often an object was not, or not quite, in force as configured since the start; each reason counts anew.
    pub rejections: u64,
}

/// An object's status (Traefik: same words).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// In force as configured.
    Enabled,
    /// In force, but not quite as configured; the errors say why.
    Warning,
    /// Not in force; the errors say why.
    Disabled,
}

impl Status {
    /// The word in Traefik's API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Warning => "warning",
            Self::Disabled => "disabled",
        }
    }
}

/// An object and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectStatus {
    /// What it is.
    pub kind: Kind,
    /// Qualified name.
    pub name: Arc<str>,
    /// Its configuration as declared, or if that does not decode the last good one. `None`: it never
    /// decoded, or the program itself declares it (`ping@internal`).
    pub object: Option<Object>,
    /// Whether it is in force, or would be if something referred to it.
    pub status: Status,
    /// What is wrong, worst first.
    pub errors: Box<[Box<str>]>,
    /// What only objects of its kind have.
    pub detail: Detail,
}

/// What some kinds' statuses have. One of both, because 100,000 objects are common.
#[derive(Clone, Debug, PartialEq)]
pub enum Detail {
    /// For services and middlewares: the routers that name it.
    UsedBy(UsedBy),
    /// For HTTP routers.
    Router(RouterStatus),
}

/// What only an HTTP router's status has.
#[derive(Clone, Debug, PartialEq)]
pub struct RouterStatus {
    /// Its entry points: declared, default or, if a model split it, one.
    pub entry_points: Arc<EntryPointSet>,
    /// The entry point's model, if it has one.
    pub model: Option<Arc<HttpModel>>,
}

/// Entry points of a router.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryPointSet {
    /// Their names as configured, each once; some may not exist.
    pub names: Box<[Arc<str>]>,
    /// Those that exist, sorted (Traefik's API: `using`).
    pub using: Box<[Arc<str>]>,
    /// Where those are in [`Snapshot::entry_points`], in the order of `using`.
    pub(super) places: Box<[u16]>,
}

/// Names of the routers that use an object; mostly one, so that one costs no more than its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UsedBy {
    /// No router.
    #[default]
    None,
    /// This router.
    One(Arc<str>),
    /// These routers.
    Many(Box<OrdSet<Arc<str>>>),
}

impl UsedBy {
    /// The routers' names, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        let (one, many) = match self {
            Self::None => (None, None),
            Self::One(name) => (Some(name), None),
            Self::Many(names) => (None, Some(names.iter())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    pub(super) fn insert(&mut self, name: &Arc<str>) {
        match self {
            Self::None => *self = Self::One(Arc::clone(name)),
            Self::One(other) if other == name => {}
            Self::One(other) => {
                let names = [Arc::clone(other), Arc::clone(name)];
                *self = Self::Many(Box::new(names.into_iter().collect()));
            }
            Self::Many(names) => {
                names.insert(Arc::clone(name));
            }
        }
    }

    pub(super) fn remove(&mut self, name: &Arc<str>) {
        match self {
            Self::One(other) if other == name => *self = Self::None,
            Self::None | Self::One(_) => {}
            Self::Many(names) => {
                names.remove(name);
                if let (1, Some(last)) = (names.len(), names.get_min()) {
                    *self = Self::One(Arc::clone(last));
                }
            }
        }
    }
}

impl Published {
    /// An object by kind and qualified name.
    pub fn object(&self, kind: Kind, name: &str) -> Option<&Arc<ObjectStatus>> {
        self.objects.get(kind, name)
    }

    /// Every object of a kind, by qualified name.
    pub fn objects_of(&self, kind: Kind) -> impl Iterator<Item = &Arc<ObjectStatus>> {
        self.objects.of(kind)
    }
}

impl ObjectStatus {
    /// The name of its provider.
    pub fn provider(&self) -> &str {
        self.name
            .rsplit_once('@')
            .map_or("", |(_, provider)| provider)
    }

    /// The routers that name this service or middleware.
    pub fn used_by(&self) -> &UsedBy {
        match &self.detail {
            Detail::UsedBy(used_by) => used_by,
            Detail::Router(_) => &UsedBy::None,
        }
    }

    /// What only an HTTP router's status has.
    pub fn router(&self) -> Option<&RouterStatus> {
        match &self.detail {
            Detail::Router(router) => Some(router),
            Detail::UsedBy(_) => None,
        }
    }

    /// An HTTP router's effective priority: as declared, else its rule's length in bytes; 0 for what never decoded.
    pub fn priority(&self) -> i64 {
        match &self.object {
            Some(Object::HttpRouter(config)) if config.priority != 0 => config.priority,
            Some(Object::HttpRouter(config)) => {
                i64::try_from(config.rule.len()).unwrap_or(i64::MAX)
            }
            _ => 0,
        }
    }

    /// The configuration with everything filled in that the object inherits, as Traefik's API shows it:
    /// entry points, the entry point's middlewares and TLS, qualified names, observability, priority.
    pub fn effective(&self) -> Option<Cow<'_, Object>> {
        match (self.object.as_ref()?, self.router()) {
            (Object::HttpRouter(declared), Some(status)) => {
                let mut router = status.effective(declared, self.provider());
                router.priority = self.priority();
                Some(Cow::Owned(Object::from(router)))
            }
            (object, _) => Some(Cow::Borrowed(object)),
        }
    }
}

impl RouterStatus {
    fn effective(&self, declared: &HttpRouter, provider: &str) -> HttpRouter {
        let mut router = declared.clone();
        let model = self.model.as_deref();
        router.entry_points = self
            .entry_points
            .names
            .iter()
            .map(|name| Box::from(&**name))
            .collect();
        router.middlewares = middleware_names(declared, model)
            .map(|name| qualify(name, provider).as_ref().into())
            .collect();
        if router.tls.is_none() {
            router.tls = model.and_then(|model| model.tls.clone());
        }
        router.observability = Some(Box::new(observability(declared, model)));
        router
    }
}

/// A router's middlewares as they run: the entry point's first.
pub(super) fn middleware_names<'a>(
    router: &'a HttpRouter,
    model: Option<&'a HttpModel>,
) -> impl Iterator<Item = &'a str> {
    let inherited = model.into_iter().flat_map(|model| &model.middlewares);
    inherited.chain(&router.middlewares).map(|name| &**name)
}

/// What is recorded for a router: its own word, else the entry point's, else everything.
pub(super) fn observability(router: &HttpRouter, model: Option<&HttpModel>) -> RouterObservability {
    let own = router.observability.as_deref();
    let inherited = model.map(|model| &model.observability);
    let pick = |field: fn(&RouterObservability) -> Option<bool>| {
        let chosen = own.and_then(field).or_else(|| inherited.and_then(field));
        Some(chosen.unwrap_or(true))
    };
    RouterObservability {
        access_logs: pick(|observability| observability.access_logs),
        metrics: pick(|observability| observability.metrics),
        tracing: pick(|observability| observability.tracing),
        trace_verbosity: own
            .or(inherited)
            .map_or(TraceVerbosity::default(), |observability| {
                observability.trace_verbosity
            }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_small() {
        // With the two counters of its `Arc` 96 bytes, a size that the allocator has.
        assert_eq!(size_of::<ObjectStatus>(), 80);
        assert_eq!(size_of::<Detail>(), 24);
    }
}
