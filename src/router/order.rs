//! In which order routers are tried.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::rules::Rule;

/// A router's place in the order: higher priority first, then lower provider rank, then the bytes of the qualified
/// name. Unique per router, because the name is.
///
/// (Traefik leaves the order of equal priorities within one provider to chance.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteOrder {
    /// As configured, or [`Rule::default_priority`].
    pub priority: i64,
    /// The provider's place in the precedence list; 0 is asked first.
    pub provider_rank: u16,
    /// The qualified name, `name@provider`.
    pub name: Arc<str>,
}

impl Ord for RouteOrder {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.priority.cmp(&self.priority))
            .then_with(|| self.provider_rank.cmp(&other.provider_rank))
            .then_with(|| self.name.as_bytes().cmp(other.name.as_bytes()))
    }
}

impl PartialOrd for RouteOrder {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A router in the table: its place in the order, its rule, and what the table's owner keeps for it.
///
/// The fields are in the sequence in which a request needs them: one for a seldom used host fetches the line with the rule
/// and, meanwhile, the next with the rest (128 bytes with `Destination` and the reference counts, in two lines).
#[derive(Debug)]
#[repr(C)]
pub struct Route<T> {
    /// Its rule.
    pub rule: Rule,
    /// What a lookup yields.
    pub value: T,
    /// Its place in the order. A request seldom needs it.
    pub order: RouteOrder,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priority_then_provider_then_name() {
        let order = |priority, provider_rank, name: &str| RouteOrder {
            priority,
            provider_rank,
            name: name.into(),
        };
        let sorted = [
            order(9, 5, "z"),
            order(1, 0, "a"),
            order(1, 0, "a@x"),
            order(1, 0, "b"),
            order(1, 2, "a"),
            order(-1, 0, "a"),
        ];
        assert!(sorted.is_sorted_by(|a, b| a < b));
    }
}
