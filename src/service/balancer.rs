//! The shard-local state of one load balancer: whose turn it is and what is in flight.
//!
//! The state outlives configuration changes. When a service's revision differs from the one last
//! seen, the state reconciles: servers are matched by identity, so those that stayed keep their
//! position and counts, whatever was added, removed, reordered or reweighted beside them.
//! Not here: connections (`pool`), health.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::rc::Rc;

use super::{LoadBalancer, Server, ServerId, Service, Strategy};

/// Chooses servers for one service on this shard.
#[derive(Default)]
pub struct Balancer {
    inner: RefCell<Inner>,
}

/// A request on its way to a server; counts as in flight until dropped.
pub struct InFlight(Rc<Cell<u32>>);

#[derive(Default)]
struct Inner {
    revision: u64,
    /// In the order of `LoadBalancer::servers`.
    entries: Vec<Entry>,
    /// Earliest deadline first; one turn per entry.
    turns: BinaryHeap<Turn>,
    /// The deadline of the last choice; new servers start from here, so that they get their share
    /// from now on and not the arrears of everybody's past.
    now: f64,
}

struct Entry {
    server: ServerId,
    weight: u32,
    deadline: f64,
    in_flight: Rc<Cell<u32>>,
}

/// Position of an entry in the schedule. Ordered so that the heap's greatest is the next to choose.
struct Turn {
    deadline: f64,
    entry: u32,
}

impl Balancer {
    /// Chooses the next server; `None` when the service has none.
    ///
    /// `random` is only read by strategies that draw.
    pub fn pick<'s>(
        &self,
        service: &Service,
        balancer: &'s LoadBalancer,
        random: impl FnMut() -> u64,
    ) -> Option<(&'s Server, InFlight)> {
        let inner = &mut *self.inner.borrow_mut();
        if inner.revision != service.revision || inner.entries.len() != balancer.servers.len() {
            inner.reconcile(service.revision, balancer);
        }
        let chosen = match (balancer.strategy, balancer.servers.len()) {
            (_, 0) => return None,
            (_, 1) => 0,
            (Strategy::Wrr, _) => inner.next_turn(),
            (Strategy::P2c, n) => inner.lighter_of_two(n, random),
        };
        let server = &balancer.servers[chosen];
        Some((server, InFlight::new(&inner.entries[chosen].in_flight)))
    }

    /// Requests in flight to all its present servers from this shard.
    pub fn all_in_flight(&self) -> u32 {
        let inner = self.inner.borrow();
        inner
            .entries
            .iter()
            .map(|entry| entry.in_flight.get())
            .sum()
    }

    /// Requests in flight to a server from this shard.
    pub fn in_flight(&self, server: ServerId) -> u32 {
        let inner = self.inner.borrow();
        inner
            .entries
            .iter()
            .find(|entry| entry.server == server)
            .map_or(0, |entry| entry.in_flight.get())
    }
}

impl Inner {
    /// Earliest deadline first: a server is due again 1/weight after its last turn
    /// (Traefik: `loadBalancer`, weighted round robin).
    fn next_turn(&mut self) -> usize {
        let mut turn = self.turns.peek_mut().expect("one turn per entry");
        let index = turn.entry as usize;
        let entry = &mut self.entries[index];
        self.now = turn.deadline;
        entry.deadline = turn.deadline + 1.0 / f64::from(entry.weight);
        turn.deadline = entry.deadline;
        index
    }

    /// Power of two choices: two random servers, the one with fewer requests in flight; the first on a tie.
    fn lighter_of_two(&self, n: usize, mut random: impl FnMut() -> u64) -> usize {
        let draw = random();
        let first = (draw as u32 as usize) % n;
        let second = ((draw >> 32) as usize) % (n - 1);
        let second = if second >= first { second + 1 } else { second };
        if self.entries[second].in_flight.get() < self.entries[first].in_flight.get() {
            second
        } else {
            first
        }
    }

    fn reconcile(&mut self, revision: u64, balancer: &LoadBalancer) {
        let mut known = std::mem::take(&mut self.entries);
        known.sort_unstable_by_key(|entry| entry.server);
        self.entries.reserve_exact(balancer.servers.len());
        for server in &balancer.servers {
            let kept = known
                .binary_search_by_key(&server.id, |entry| entry.server)
                .ok();
            let entry = match kept {
                Some(at) => Entry {
                    server: server.id,
                    weight: server.weight,
                    deadline: reweighted(&known[at], server.weight, self.now),
                    in_flight: known[at].in_flight.clone(),
                },
                None => Entry {
                    server: server.id,
                    weight: server.weight,
                    deadline: self.now + 1.0 / f64::from(server.weight),
                    in_flight: Rc::default(),
                },
            };
            self.entries.push(entry);
        }
        self.turns = self
            .entries
            .iter()
            .enumerate()
            .map(|(index, entry)| Turn {
                deadline: entry.deadline,
                entry: u32::try_from(index).expect("fewer than 2^32 servers"),
            })
            .collect();
        self.revision = revision;
    }
}

/// A server whose weight changed waits the same part of its new interval as it had left of the old one.
fn reweighted(entry: &Entry, weight: u32, now: f64) -> f64 {
    if entry.weight == weight {
        return entry.deadline;
    }
    let left = (entry.deadline - now).max(0.0) * f64::from(entry.weight);
    now + left.min(1.0) / f64::from(weight)
}

impl InFlight {
    fn new(count: &Rc<Cell<u32>>) -> Self {
        count.set(count.get() + 1);
        Self(count.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        // Reversed: BinaryHeap gives the greatest. Equal deadlines go in configured order.
        other
            .deadline
            .total_cmp(&self.deadline)
            .then_with(|| other.entry.cmp(&self.entry))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Turn {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::service::{PoolId, Scheme, ServerAddress, ServiceKind, StateId};

    fn service(revision: u64, strategy: Strategy, servers: &[(u64, u32)]) -> Service {
        let servers = servers
            .iter()
            .map(|&(id, weight)| Server {
                id: ServerId(id),
                url: "http://127.0.0.1:1".into(),
                scheme: Scheme::Http,
                authority: "127.0.0.1:1".into(),
                address: ServerAddress::Fixed(([127, 0, 0, 1], 1).into()),
                weight,
                path_prefix: None,
                pool: PoolId(id),
            })
            .collect();
        Service {
            name: "s@file".into(),
            state: StateId(1),
            revision,
            kind: ServiceKind::LoadBalancer(LoadBalancer {
                servers,
                strategy,
                pass_host_header: true,
                transport: Arc::default(),
            }),
        }
    }

    fn picks(balancer: &Balancer, service: &Service, n: usize) -> Vec<u64> {
        let mut seed = 1u64;
        let random = || {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            seed
        };
        let mut random = random;
        (0..n)
            .map(|_| {
                let lb = service.load_balancer().unwrap();
                balancer.pick(service, lb, &mut random).unwrap().0.id.0
            })
            .collect()
    }

    fn share(picks: &[u64], id: u64) -> usize {
        picks.iter().filter(|&&p| p == id).count()
    }

    #[test]
    fn round_robin_follows_weights_exactly_over_a_cycle() {
        let service = service(1, Strategy::Wrr, &[(1, 3), (2, 1)]);
        let got = picks(&Balancer::default(), &service, 400);
        assert_eq!((share(&got, 1), share(&got, 2)), (300, 100));
    }

    #[test]
    fn equal_weights_take_turns() {
        let service = service(1, Strategy::Wrr, &[(1, 1), (2, 1), (3, 1)]);
        assert_eq!(picks(&Balancer::default(), &service, 6), [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn a_change_beside_a_server_leaves_its_position_alone() {
        let balancer = Balancer::default();
        let before = service(1, Strategy::Wrr, &[(1, 1), (2, 1), (3, 1)]);
        assert_eq!(picks(&balancer, &before, 1), [1]);
        let after = service(2, Strategy::Wrr, &[(3, 1), (2, 1), (1, 1)]);
        let got = picks(&balancer, &after, 2);
        assert!(
            !got.contains(&1),
            "1 had its turn before the change: {got:?}"
        );
    }

    #[test]
    fn a_new_server_gets_its_share_and_no_arrears() {
        let balancer = Balancer::default();
        picks(
            &balancer,
            &service(1, Strategy::Wrr, &[(1, 1), (2, 1)]),
            1000,
        );
        let after = service(2, Strategy::Wrr, &[(1, 1), (2, 1), (3, 1)]);
        let got = picks(&balancer, &after, 30);
        assert_eq!(share(&got, 3), 10);
    }

    #[test]
    fn a_reweighted_server_gets_the_new_share_from_then_on() {
        let balancer = Balancer::default();
        picks(
            &balancer,
            &service(1, Strategy::Wrr, &[(1, 1), (2, 1)]),
            101,
        );
        let after = service(2, Strategy::Wrr, &[(1, 9), (2, 1)]);
        let got = picks(&balancer, &after, 100);
        assert!((89..=91).contains(&share(&got, 1)), "{}", share(&got, 1));
    }

    #[test]
    fn two_choices_prefer_the_server_with_fewer_requests_in_flight() {
        let service = service(1, Strategy::P2c, &[(1, 1), (2, 1)]);
        let balancer = Balancer::default();
        let lb = service.load_balancer().unwrap();
        let (first, held) = balancer.pick(&service, lb, || 0).unwrap();
        let busy = first.id.0;
        assert!(picks(&balancer, &service, 50).iter().all(|&id| id != busy));
        drop(held);
        assert_eq!(balancer.in_flight(ServerId(busy)), 0);
    }

    #[test]
    fn no_servers_no_choice() {
        let service = service(1, Strategy::Wrr, &[]);
        let lb = service.load_balancer().unwrap();
        assert!(Balancer::default().pick(&service, lb, || 0).is_none());
    }
}
