//! A proxy in this process: real shards on real rings, configured by YAML through the real watcher and
//! planner; only the control thread's event loop is left out.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ringway::config::dynamic::{Decoded, decode_text};
use ringway::config::format::Format;
use ringway::config::statics::{EntryPoint, Global, Limits};
use ringway::exchange::{EntryPointSettings, LocalSettings, OffloadPool};
use ringway::io::{DriverChoice, ReactorConfig};
use ringway::observe::access_log::RecordSink;
use ringway::observe::counters::Counters;
use ringway::plan::{PlanSettings, Planner, Published};
use ringway::router::mailbox::{EntryPointListener, Health, ShardLink, ToShard, mailbox};
use ringway::service::Internal;
use ringway::shard::{self, Balance, ShardSettings};
use ringway::watcher::{Entry, Objects, Payload, Position, Update, Watcher, WatcherSettings};

/// How a [`Proxy`] is made.
pub struct Builder {
    shards: usize,
    entry_point: EntryPoint,
    plan: PlanSettings,
}

/// A running proxy with one entry point, `web`. Stops when dropped.
pub struct Proxy {
    pub addr: SocketAddr,
    shards: Vec<Shard>,
    watcher: Watcher,
    planner: Planner,
    updates: u64,
}

/// What the shards count, as they published it last: at most a second old.
pub struct ShardCounters(Vec<Arc<Counters>>);

struct Shard {
    link: ShardLink,
    counters: Arc<Counters>,
    thread: Option<JoinHandle<()>>,
}

/// A proxy with one shard and the entry point's defaults.
pub fn proxy(dynamic: &str) -> Proxy {
    builder().start(dynamic)
}

/// As the program: the driver that `RINGWAY_DRIVER` names.
fn reactor_config() -> ReactorConfig {
    let driver = std::env::var("RINGWAY_DRIVER").unwrap_or_default();
    ReactorConfig {
        driver: match &*driver {
            "" => DriverChoice::Auto,
            name => name.parse().expect("a driver"),
        },
        ..ReactorConfig::default()
    }
}

/// For a proxy that is not like the others.
pub fn builder() -> Builder {
    Builder {
        shards: 1,
        entry_point: EntryPoint::default(),
        plan: PlanSettings {
            entry_points: vec!["web".into()],
            default_entry_points: vec!["web".into()],
            internal_services: vec![
                ("noop".into(), Internal::Noop),
                ("ping".into(), Internal::Ping),
            ],
            ..PlanSettings::default()
        },
    }
}

impl Builder {
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = shards;
        self
    }

    pub fn entry_point(mut self, edit: impl FnOnce(&mut EntryPoint)) -> Self {
        edit(&mut self.entry_point);
        self
    }

    pub fn start(self, dynamic: &str) -> Proxy {
        let planner = Planner::new(self.plan);
        let watcher = Watcher::new(WatcherSettings::default());
        let balance = Balance::new(self.shards);
        let offload = OffloadPool::start(1).expect("threads start");
        let snapshot = planner.published().snapshot.clone();
        let settings = EntryPointSettings::new(
            "web",
            &self.entry_point,
            &Global::default(),
            &Limits::default(),
        );
        let mut shards = Vec::new();
        for index in 0..self.shards {
            let (link, inbox) = mailbox(Arc::new(|| {}));
            let counters = Arc::<Counters>::default();
            let settings = ShardSettings {
                index,
                cpu: None,
                reactor: reactor_config(),
                local: LocalSettings {
                    entry_points: Box::new([settings.clone()]),
                    shards: self.shards as u32,
                    max_connections: u64::MAX,
                    terminating_status: 503,
                    api: None,
                    rest: None,
                    hostname: "test-host".into(),
                    secret: [7; 32],
                },
                snapshot: snapshot.clone(),
                offload: offload.clone(),
                records: RecordSink::off(),
                counters: counters.clone(),
                inbox,
                balance: balance.clone(),
            };
            let thread = shard::start(settings).expect("the shard starts").thread;
            shards.push(Shard {
                link,
                counters,
                thread: Some(thread),
            });
        }
        // One port for all shards: the first socket chooses it, all share it.
        let sockets = listening_sockets(self.shards);
        let addr = sockets[0].local_addr().expect("bound");
        let now = Instant::now();
        for (shard, listener) in shards.iter_mut().zip(sockets) {
            let listener = EntryPointListener {
                entry_point: 0,
                listener,
            };
            shard.link.send(ToShard::Listen(listener), now);
            shard.link.send(ToShard::Health(Health::Ready), now);
        }
        let mut proxy = Proxy {
            addr,
            shards,
            watcher,
            planner,
            updates: 0,
        };
        proxy.apply(dynamic);
        proxy
    }
}

impl Proxy {
    /// Replaces the dynamic configuration and waits until every shard has applied it.
    pub fn apply(&mut self, dynamic: &str) -> Arc<Published> {
        self.updates += 1;
        let update = Update {
            provider: "file".into(),
            position: Position {
                text: self.updates.to_string().into(),
                number: self.updates,
            },
            payload: Payload::Snapshot(objects(dynamic)),
        };
        let now = Instant::now();
        self.watcher.receive(update, now);
        let Some(merged) = self.watcher.take_due(now) else {
            return self.planner.published();
        };
        let planned = self.planner.apply(merged);
        if let Some(change) = planned.change {
            let generation = change.snapshot.generation;
            for shard in &mut self.shards {
                shard.link.apply(change.clone(), Instant::now());
            }
            wait_until("every shard acknowledges", || {
                self.shards.iter_mut().all(|shard| {
                    shard.link.pump(Instant::now());
                    shard.link.acknowledged() >= generation
                })
            });
        }
        planned.published
    }
}

impl Proxy {
    /// The newest generation.
    pub fn generation(&self) -> u64 {
        self.planner.published().generation
    }

    pub fn counters(&self) -> ShardCounters {
        let shards = self.shards.iter();
        ShardCounters(shards.map(|shard| shard.counters.clone()).collect())
    }

    /// A counter as it is now.
    pub fn count(&self, name: &str) -> u64 {
        self.counters().count(name)
    }
}

impl ShardCounters {
    /// A counter's sum over the shards; one that has published nothing yet has counted nothing.
    pub fn count(&self, name: &str) -> u64 {
        let published = self.0.iter().filter_map(|shard| {
            let mut values = shard.iter().peekable();
            values.peek()?;
            let (_, value) = values
                .find(|(counter, _)| *counter == name)
                .expect("a counter of this name");
            Some(value)
        });
        published.sum()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        for shard in &mut self.shards {
            shard.link.send(ToShard::Stop, Instant::now());
        }
        for shard in &mut self.shards {
            let result = shard.thread.take().expect("joined once").join();
            assert!(
                result.is_ok() || std::thread::panicking(),
                "a shard panicked"
            );
        }
    }
}

/// Waits for a condition, at most ten seconds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn objects(dynamic: &str) -> Objects {
    let decoded: Decoded = decode_text(Format::Yaml, dynamic, None).expect("the YAML parses");
    let mut objects = BTreeMap::new();
    for (key, declared) in decoded.objects {
        let entry = match declared.result {
            Ok(object) => Entry::Present(object),
            Err(errors) => Entry::Rejected(errors),
        };
        objects.insert(key, entry);
    }
    objects
}

fn listening_sockets(n: usize) -> Vec<TcpListener> {
    let mut addr: SocketAddr = ([127, 0, 0, 1], 0).into();
    (0..n)
        .map(|_| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
                .expect("a socket");
            socket.set_reuse_port(true).expect("SO_REUSEPORT");
            socket.bind(&addr.into()).expect("bound");
            socket.listen(1024).expect("listening");
            let listener = TcpListener::from(socket);
            addr = listener.local_addr().expect("bound");
            listener
        })
        .collect()
}
