//! The control thread: starts everything, carries changes from providers to shards, and ends the process
//! in order.
//!
//! ```text
//! providers ──► planning (own thread) ──► serve (this thread) ──► broadcast ──► shards
//!                                              │  ▲                  acknowledgements ──┘
//!                                              │  └── resolver, signals
//!                                              └────► published state ──► API
//! ```
//!
//! | file | one idea |
//! |---|---|
//! | [`serve`] | the loop: readiness, signals, draining |
//! | [`planning`] | watcher and planner on a thread of their own |
//! | [`queue`] | how providers reach that thread |
//! | [`broadcast`] | one change to all shards; the effective generation |
//! | [`resolver`] | names of upstream hosts |
//! | [`listen`] | listening sockets |
//! | [`shards`] | how many shards, where, with what |
//! | [`settings`] | what each part is given of the static configuration |
//! | [`stores`] | the providers of key-value stores |
//! | [`log`] | the structured log |
//! | [`panics`] | a line of it for each panic |
//!
//! The thread is never busy for long: what takes time runs elsewhere. Not here: what a request needs.

pub mod broadcast;
pub mod listen;
pub mod log;
pub mod panics;
pub mod planning;
pub mod queue;
pub mod resolver;
pub mod serve;
pub mod settings;
pub mod shards;
pub mod stores;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, mpsc};

use crate::api::{ApiFacts, ApiServer, ApiSettings, ApiState, RestServer, Sources};
use crate::config::statics::{Loaded, StaticConfig};
use crate::exchange::MAX_ENTRY_POINTS;
use crate::io::{cpu, open_files};
use crate::observe::access_log::AccessLog;
use crate::observe::counters::Counters;
use crate::observe::format::LineFormat;
use crate::plan::{Planner, Published};
use crate::provider::file::FileProvider;
use crate::provider::http::{HttpProvider, Trigger};
use crate::provider::internal;
use crate::provider::kv::session::KvProvider;
use crate::provider::rest::RestProvider;
use crate::router::mailbox::Wake;
use broadcast::Broadcast;
use listen::Claim;
use log::Logging;
use planning::PlanWorker;
use resolver::{Resolver, SystemLookup};
use serve::{EntryPointState, OnReady, Serving, Stop};
use shards::TeamSettings;

/// Runs the proxy until a signal ends it. The calling thread becomes the control thread.
pub fn run(loaded: &Loaded) -> ExitCode {
    run_until(loaded, Box::pin(std::future::pending()), None)
}

/// As [`run`], until `stop` resolves; `on_ready` is told where the entry points listen.
pub fn run_until(loaded: &Loaded, stop: Stop, on_ready: Option<OnReady>) -> ExitCode {
    let logging = match Logging::start(&settings::log(&loaded.config)) {
        Ok(logging) => logging,
        Err(error) => {
            let path = &loaded.config.log.file_path;
            eprintln!("ringway: the log file {path:?} cannot be opened: {error}");
            return ExitCode::FAILURE;
        }
    };
    panics::log_panics();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        "Ringway starts, configured by {}",
        loaded.source
    );
    for warning in &loaded.warnings {
        // Traefik's default level is ERROR, at which nobody would learn that, say, a provider is missing.
        if tracing::enabled!(tracing::Level::WARN) {
            tracing::warn!("{warning}");
        } else {
            eprintln!("ringway: warning: {warning}");
        }
    }
    start(&loaded.config, logging, stop, on_ready).unwrap_or_else(|reason| {
        eprintln!("ringway: {reason}");
        if !loaded.config.log.file_path.is_empty() {
            tracing::error!("{reason}");
        }
        ExitCode::FAILURE
    })
}

fn start(
    config: &StaticConfig,
    logging: Logging,
    stop: Stop,
    on_ready: Option<OnReady>,
) -> Result<ExitCode, String> {
    match open_files::raise_limit() {
        Ok(limit) => tracing::debug!(limit, "Open files"),
        Err(error) => tracing::warn!("The limit of open files cannot be raised: {error}"),
    }
    // Every thread that is started below, but the shards, inherits it.
    cpu::give_way();
    let entry_points = claim(config)?;
    let access_log = start_access_log(config)?;
    let wake = Arc::new(Notify::new());
    let planner = Planner::new(settings::plan(config));
    let published = planner.published();
    let addresses: Vec<SocketAddr> = entry_points.iter().map(|state| state.address).collect();
    let woken = wake.clone();
    let wake_control: Wake = Arc::new(move || woken.notify_one());
    // Providers first: they read while the shards start.
    let (emit, outcomes) = mpsc::unbounded_channel();
    // The receiver lives until the process ends.
    let emit = move |outcome| drop(emit.send(outcome));
    let counters: Arc<[Arc<Counters>]> = shards::placement(config)
        .iter()
        .map(|_| Arc::default())
        .collect();
    let api = start_api(config, &published, &addresses, counters.clone())?;
    let worker = PlanWorker::start(settings::watcher(config), planner, emit).map_err(no_thread)?;
    let rest = start_rest(config, &worker)?;
    // Ends with this function: they say what they know until the proxy has drained.
    let stores = stores::start(config, &worker).map_err(no_thread)?;
    let file = start_providers(config, &addresses, &worker).map_err(no_thread)?;
    let _http = start_http(config, &worker)?;
    if let Some((_, api)) = &api {
        api.set_sources(Sources {
            stores: stores.iter().map(KvProvider::source).collect(),
            file: file.as_ref().map(FileProvider::source),
        });
    }
    let team = shards::start(
        &TeamSettings {
            config,
            addresses: &addresses,
            snapshot: published.snapshot.clone(),
            access_log: access_log.as_ref(),
            counters: &counters,
            api: api.as_ref().map(|(server, _)| server.socket()),
            rest: rest.as_ref().map(RestServer::socket),
        },
        &wake_control,
    )?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the control thread's runtime cannot start: {error}"))?;
    let broadcast = Broadcast::new(team.links, published.generation);
    let code = tokio::task::LocalSet::new().block_on(&runtime, async {
        let (resolver, addresses) = Resolver::new(SystemLookup::new());
        let serving = Serving {
            entry_points,
            broadcast,
            threads: team.threads,
            worker,
            outcomes,
            file,
            resolver,
            addresses,
            wake,
            published: Arc::new(ArcSwap::new(published)),
            api: api.as_ref().map(|(_, state)| state.clone()),
            startup_timeout: config.ringway.startup_timeout.as_std(),
            reopen_logs: Box::new(move || {
                logging.reopen();
                if let Some(access_log) = &access_log {
                    access_log.reopen();
                }
            }),
            on_ready,
            forgotten: VecDeque::new(),
            unconfirmed: VecDeque::new(),
            applying: VecDeque::new(),
        };
        serving.run(stop).await
    });
    Ok(code)
}

/// Starts the API if it is enabled.
fn start_api(
    config: &StaticConfig,
    published: &Arc<Published>,
    addresses: &[SocketAddr],
    counters: Arc<[Arc<Counters>]>,
) -> Result<Option<(ApiServer, Arc<ApiState>)>, String> {
    let Some(api) = config.api.as_deref() else {
        return Ok(None);
    };
    let entry_points: Vec<_> = settings::entry_points(config)
        .zip(addresses)
        .map(|((name, own), address)| settings::exchange(config, name, own, address.port()))
        .collect();
    let defaults = settings::default_entry_points(config);
    let failed = |error: io::Error| format!("the API cannot start: {error}");
    let facts = ApiFacts::new(config, entry_points, defaults).map_err(failed)?;
    let state = Arc::new(ApiState::new(facts, published.clone(), counters));
    let server = ApiServer::start(ApiSettings::from(api), state.clone()).map_err(failed)?;
    Ok(Some((server, state)))
}

/// Starts what takes in the configuration of the provider `rest`, if that is enabled.
fn start_rest(config: &StaticConfig, worker: &PlanWorker) -> Result<Option<RestServer>, String> {
    let Some(rest) = config.providers.rest.as_deref() else {
        return Ok(None);
    };
    let updates = worker.updates();
    // The worker outlives its providers.
    let provider = RestProvider::new(Arc::clone(&config.former), move |update| {
        drop(updates.send(update))
    });
    RestServer::start(provider, settings::max_bytes(rest.max_request_body_size))
        .map(Some)
        .map_err(|error| format!("providers.rest cannot start: {error}"))
}

/// Starts the HTTP provider, if it is enabled.
fn start_http(config: &StaticConfig, worker: &PlanWorker) -> Result<Option<HttpProvider>, String> {
    let Some((own, interval)) = settings::http_provider(config) else {
        return Ok(None);
    };
    let trigger = match settings::http_alias(config)? {
        Some(source) => Trigger::Alias(source),
        None => Trigger::Interval(interval),
    };
    let updates = worker.updates();
    HttpProvider::start(own, trigger, move |update| drop(updates.send(update)))
        .map(Some)
        .map_err(|error| error.to_string())
}

fn no_thread(error: io::Error) -> String {
    format!("the kernel gave no thread: {error}")
}

/// Binds every TCP entry point without listening yet.
fn claim(config: &StaticConfig) -> Result<Vec<EntryPointState>, String> {
    let count = settings::entry_points(config).count();
    if count > MAX_ENTRY_POINTS {
        return Err(format!(
            "entryPoints: there are {count}, at most {MAX_ENTRY_POINTS} are possible; remove some"
        ));
    }
    let mut states = Vec::new();
    for (name, entry_point) in settings::entry_points(config) {
        // A host in brackets, if it is an IPv6 address: as the system's resolver wants it.
        let (host, port) = (entry_point.address.host(), entry_point.address.port());
        let address = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        let claim = Claim::new(name, &address, entry_point.reuse_port)
            .map_err(|error| error.to_string())?;
        let life_cycle = &entry_point.transport.life_cycle;
        states.push(EntryPointState {
            name: (&**name).into(),
            address: claim.address(),
            claim: Some(claim),
            early: settings::listens_early(config, name),
            accept_grace: life_cycle.request_accept_grace_timeout.as_std(),
            grace: life_cycle.grace_time_out.as_std(),
        });
    }
    Ok(states)
}

fn start_access_log(config: &StaticConfig) -> Result<Option<AccessLog>, String> {
    let Some(own) = config.access_log.as_deref() else {
        return Ok(None);
    };
    let path = (!own.file_path.is_empty()).then(|| std::path::Path::new(&*own.file_path));
    let log = AccessLog::start(path, LineFormat::new(own)).map_err(|error| {
        format!(
            "accessLog.filePath: {:?} cannot be opened: {error}",
            own.file_path
        )
    })?;
    Ok(Some(log))
}

/// The internal provider last, as Traefik starts it; it has nothing to wait for.
fn start_providers(
    config: &StaticConfig,
    addresses: &[SocketAddr],
    worker: &PlanWorker,
) -> io::Result<Option<FileProvider>> {
    let file = match settings::file_provider(config) {
        Some(own) => {
            let updates = worker.updates();
            // The worker outlives its providers.
            Some(FileProvider::start(own, move |update| {
                drop(updates.send(update))
            })?)
        }
        None => None,
    };
    let port = |wanted: &str| {
        let mut bound = settings::entry_points(config).zip(addresses);
        let found = bound.find(|((name, _), _)| ***name == *wanted);
        found.map(|(_, address)| address.port())
    };
    let _ = worker.updates().send(internal::update_bound(config, &port));
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::statics::{Disk, load};

    #[test]
    fn more_entry_points_than_a_connection_can_name_are_refused() {
        let flags: Vec<String> = (0..=MAX_ENTRY_POINTS)
            .map(|n| format!("--entryPoints.e{n}.address=127.0.0.1:0"))
            .collect();
        let config = load(&flags, &[], &Disk).unwrap().config;
        let error = claim(&config).err().expect("one too many");
        assert!(error.contains("there are 257, at most 256"), "{error}");
    }
}
