//! What planning is told: the objects whose content changed, and how their providers stand.

use std::sync::Arc;
use std::time::Duration;

use crate::config::decode::ObjectError;
use crate::config::dynamic::{Kind, Object};

/// The objects whose content changed, and the state of the providers after that.
#[derive(Clone, Debug, Default)]
pub struct MergedChange {
    /// One entry per changed object, each object at most once.
    pub objects: Vec<ObjectChange>,
    /// Every provider's state, by name.
    pub providers: Vec<ProviderState>,
    /// Names that several providers define and that therefore none gets, in a fixed order.
    pub conflicts: Vec<NameConflict>,
}

/// The newest content of one object.
#[derive(Clone, Debug)]
pub struct ObjectChange {
    /// What it is.
    pub kind: Kind,
    /// Qualified name, `name@provider`; `default` for TLS options and stores of that name.
    pub name: Arc<str>,
    /// What its provider says of it now.
    pub entry: Entry,
    /// Its last good version, if this is the state of an earlier planner; else `None`, for the planner
    /// remembers by itself.
    pub last_good: Option<Object>,
}

/// One object as its provider has it.
#[derive(Clone, Debug, Default)]
pub enum Entry {
    /// It is gone. In a snapshot the same as leaving it out.
    #[default]
    Absent,
    /// It decoded.
    Present(Object),
    /// It is there and does not decode, with every reason.
    Rejected(Arc<Vec<ObjectError>>),
}

/// How a provider stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderState {
    /// Its name.
    pub name: Arc<str>,
    /// Whether its first state is in force.
    pub reported: bool,
    /// The state of its source that is in force.
    pub position: Position,
    /// Why its source's newest state could not be read, if it could not; the state before it is in force.
    pub error: Option<String>,
    /// How many objects it has.
    pub objects: usize,
    /// Shortest time between two changes of it.
    pub throttle: Duration,
}

/// A state of a provider's source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Grows with each state of the source; an update with a smaller number than one already received
    /// is stale and ignored.
    pub number: u64,
    /// The source's own word for it, such as a store's revision or a file's hash; shown, never read.
    pub text: Arc<str>,
}

/// A name that is defined more than once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameConflict {
    /// What has the name.
    pub kind: Kind,
    /// The name.
    pub name: Arc<str>,
    /// Providers that define it, or routers to which a model would have given it. None of them gets it.
    pub losers: Vec<Arc<str>>,
}

impl ProviderState {
    /// A provider that has not reported.
    pub fn new(name: &Arc<str>) -> Self {
        Self {
            name: Arc::clone(name),
            reported: false,
            position: Position::default(),
            error: None,
            objects: 0,
            throttle: Duration::ZERO,
        }
    }

    /// Whether what is in force is not the newest state of its source, as far as anybody knows: the source
    /// cannot be read, and an earlier state of it (also one from disk) stands in.
    pub fn is_stale(&self) -> bool {
        self.reported && self.error.is_some()
    }
}

impl PartialEq for Entry {
    /// Equal content; the same allocation is equal without a look inside.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Present(a), Self::Present(b)) => is_same(a, b) || a == b,
            (Self::Rejected(a), Self::Rejected(b)) => Arc::ptr_eq(a, b) || a == b,
            (Self::Absent, Self::Absent) => true,
            _ => false,
        }
    }
}

/// Whether both are the very same object, which spares looking into the most frequent kinds.
fn is_same(a: &Object, b: &Object) -> bool {
    match (a, b) {
        (Object::HttpRouter(a), Object::HttpRouter(b)) => Arc::ptr_eq(a, b),
        (Object::HttpService(a), Object::HttpService(b)) => Arc::ptr_eq(a, b),
        (Object::HttpMiddleware(a), Object::HttpMiddleware(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}
