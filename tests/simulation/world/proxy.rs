//! A shard's exchange on a simulated reactor: what `shard` starts, without threads.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use ringway::config::statics::{EntryPoint, Global, Limits};
use ringway::exchange::{
    EntryPointSettings, Local, LocalSettings, Offload, OffloadPool, SnapshotReturn, View,
    run_workers,
};
use ringway::io::{Handle, ListenerId};
use ringway::observe::access_log::RecordSink;
use ringway::router::mailbox::{ShardLink, mailbox};

use super::history::Step;

/// The proxy in a simulation.
pub struct Proxy {
    /// Where it listens.
    pub addr: SocketAddr,
    /// What exchanges share.
    pub local: Rc<Local>,
    listener: ListenerId,
    back: Rc<SnapshotReturn>,
    // The other end of the mailbox.
    _link: ShardLink,
}

/// The tag of its listener; origins have others.
pub const TAG: u32 = 0;

impl Proxy {
    /// A proxy that begins with a configuration.
    pub fn start(io: &Handle, step: &Step) -> Proxy {
        let entry_point = EntryPointSettings::new(
            "web",
            &EntryPoint::default(),
            &Global::default(),
            &Limits::default(),
        );
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
        let offload = Offload::new(OffloadPool::without_threads(), io.notifier());
        let local = Local::new(io.clone(), settings, view, offload, RecordSink::off());
        let listener = io
            .listen_at(([10, 0, 0, 2], 80).into(), TAG)
            .expect("a free port");
        let addr = io.listener_addr(listener).expect("bound");
        io.spawn(run_workers(local.clone()));
        Proxy {
            addr,
            local,
            listener,
            back,
            _link: link,
        }
    }

    /// Puts the next configuration into force.
    pub fn apply(&self, step: &Step) {
        self.local
            .swap_view(View::new(step.snapshot.clone(), self.back.clone()));
        self.local.remove_states(&step.removed_states);
        self.local.remove_pools(&step.removed_pools);
    }

    /// Stops accepting.
    pub fn close(&self) {
        self.local.io.close_listener(self.listener);
    }
}
