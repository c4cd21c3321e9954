//! A shard's exchange on a simulated reactor: what `shard` starts, without threads.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ringway::config::statics::{EntryPoint, Global, Limits};
use ringway::exchange::{
    EntryPointSettings, Jobs, Local, LocalSettings, Offload, OffloadPool, ProxyProtocol,
    Resolution, SnapshotReturn, View, run_workers,
};
use ringway::io::{Handle, ListenerId};
use ringway::observe::access_log::RecordSink;
use ringway::router::mailbox::{ShardLink, mailbox};
use ringway::service::NameId;

use super::draft::{ORIGINS, origin_address};
use super::history::Step;
use super::scenario::{Lookup, Scenario};

/// The proxy in a simulation.
pub struct Proxy {
    /// Where it listens.
    pub addr: SocketAddr,
    /// What exchanges share.
    pub local: Rc<Local>,
    listener: ListenerId,
    names: Rc<RefCell<BTreeMap<NameId, usize>>>,
    lookups: Vec<Lookup>,
    back: Rc<SnapshotReturn>,
    // The other end of the mailbox.
    _link: ShardLink,
}

/// The tag of its listener; origins have others.
pub const TAG: u32 = 0;

impl Proxy {
    /// A proxy that begins with a configuration.
    pub fn start(io: &Handle, scenario: &Scenario, step: &Step) -> Proxy {
        let mut entry_point = EntryPointSettings::new(
            "web",
            &EntryPoint::default(),
            &Global::default(),
            &Limits::default(),
        );
        entry_point.proxy_protocol = scenario.introduces.map(|believed| ProxyProtocol {
            insecure: believed,
            ..ProxyProtocol::default()
        });
        let (link, inbox) = mailbox(Arc::new(|| {}));
        let back = SnapshotReturn::new(Rc::new(inbox));
        let settings = LocalSettings {
            entry_points: Box::new([entry_point]),
            shards: 1,
            max_connections: u64::MAX,
            terminating_status: 503,
            api: None,
            rest: None,
            hostname: "simulated".into(),
            secret: [1; 32],
        };
        let view = View::new(step.snapshot.clone(), back.clone());
        let (pool, jobs) = OffloadPool::without_threads(io.notifier());
        let offload = Offload::new(pool, io.notifier());
        let local = Local::new(io.clone(), settings, view, offload, RecordSink::off());
        let listener = io
            .listen_at(([10, 0, 0, 2], 80).into(), TAG)
            .expect("a free port");
        let addr = io.listener_addr(listener).expect("bound");
        io.spawn(run_workers(local.clone()));
        io.spawn(run_jobs(local.clone(), jobs));
        let proxy = Proxy {
            addr,
            local,
            listener,
            names: Rc::default(),
            lookups: scenario.lookups.clone(),
            back,
            _link: link,
        };
        proxy.learn_names(step);
        proxy
    }

    /// Puts the next configuration into force.
    pub fn apply(&self, step: &Step) {
        self.local
            .swap_view(View::new(step.snapshot.clone(), self.back.clone()));
        self.local.remove_states(&step.removed_states);
        self.local.remove_pools(&step.removed_pools);
        self.learn_names(step);
    }

    /// Looks up the names that are new, and forgets those that are no longer in use.
    fn learn_names(&self, step: &Step) {
        let before = self.names.replace(step.names.clone());
        for &id in before.keys().filter(|id| !step.names.contains_key(id)) {
            self.local.names.remove(id);
        }
        let added = step.names.iter().filter(|(id, _)| !before.contains_key(id));
        for (&id, &origin) in added {
            let lookup = self.lookups[origin].clone();
            let (local, names) = (self.local.clone(), self.names.clone());
            let tell = async move {
                let io = local.io.clone();
                for (pause, answer) in answers(&lookup, origin) {
                    if !pause.is_zero() {
                        io.sleep(pause).await;
                    }
                    if !names.borrow().contains_key(&id) {
                        return;
                    }
                    local.names.update(id, answer);
                }
            };
            self.local.io.spawn(tell);
        }
    }

    /// Names that the shard knows and no server has any more.
    pub fn stray_names(&self) -> usize {
        let known = self.local.names.len();
        known.saturating_sub(self.names.borrow().len())
    }

    /// Stops accepting.
    pub fn close(&self) {
        self.local.io.close_listener(self.listener);
    }
}

/// What the name of an origin resolves to, one after the other, with the pause before each.
fn answers(lookup: &Lookup, origin: usize) -> Vec<(Duration, Resolution)> {
    let addresses = |origins: &[usize]| -> Resolution {
        let ips = origins.iter().map(|&origin| origin_address(origin).ip());
        Ok(ips.collect::<Vec<IpAddr>>().into())
    };
    let mut answers = Vec::new();
    if lookup.fails {
        answers.push((lookup.delay, Err("no such host".into())));
    }
    let first = if lookup.stale {
        addresses(&[ORIGINS, origin])
    } else {
        addresses(&[origin])
    };
    answers.push((lookup.delay, first));
    if let Some((after, to)) = lookup.moves {
        answers.push((after, addresses(&[to])));
    }
    answers
}

/// Runs what exchanges have other threads do, each after a time of its own.
async fn run_jobs(local: Rc<Local>, jobs: Jobs) {
    let jobs = Rc::new(jobs);
    loop {
        local.io.notified().await;
        // Some may have been counted before; then there is nothing left for the last ones.
        for _ in 0..jobs.len() {
            let (local, jobs) = (local.clone(), jobs.clone());
            let pause = Duration::from_micros(local.io.random() % 5_000);
            local.io.clone().spawn(async move {
                local.io.sleep(pause).await;
                jobs.run_next();
                local.offload.receive();
            });
        }
    }
}
