//! Starts the shards: how many, on which CPUs, with what.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::settings;
use crate::config::statics::StaticConfig;
use crate::exchange::{LocalSettings, OffloadPool};
use crate::io::{DriverKind, cpu};
use crate::observe::access_log::{AccessLog, RecordSink};
use crate::observe::counters::Counters;
use crate::router::mailbox::{ShardLink, Wake, mailbox};
use crate::router::snapshot::Snapshot;
use crate::service::Service;
use crate::shard::{self, Balance, ShardSettings};

/// Threads for work that takes too long for a shard (password hashes).
const MAX_OFFLOAD_THREADS: usize = 4;

/// The running shards as the control thread sees them.
pub struct Team {
    /// The ways to their mailboxes.
    pub links: Vec<ShardLink>,
    /// Their threads; they end after `Stop`.
    pub threads: Vec<JoinHandle<()>>,
}

/// What all shards share at their start.
pub struct TeamSettings<'a> {
    /// The static configuration.
    pub config: &'a StaticConfig,
    /// Where each entry point is bound, in the order of [`settings::entry_points`].
    pub addresses: &'a [SocketAddr],
    /// The configuration to begin with.
    pub snapshot: Arc<Snapshot>,
    /// The access log, if there is one.
    pub access_log: Option<&'a AccessLog>,
    /// Where each shard's counters can be read, one per shard.
    pub counters: &'a [Arc<Counters>],
    /// The private socket of the API, if the API is enabled.
    pub api: Option<&'a [u8]>,
    /// The private socket that takes configurations in, if the provider `rest` is enabled.
    pub rest: Option<&'a [u8]>,
}

/// How many shards there are and where each one runs: one per CPU of the process's affinity mask, or as
/// many as `ringway.shards` says, in turn over these CPUs.
pub fn placement(config: &StaticConfig) -> Vec<usize> {
    place(usize::from(config.ringway.shards), &cpu::affinity())
}

fn place(wanted: usize, cpus: &[usize]) -> Vec<usize> {
    let count = if wanted == 0 { cpus.len() } else { wanted };
    cpus.iter().copied().cycle().take(count).collect()
}

/// Starts every shard. `wake_control` is called whenever a shard has something to tell.
///
/// # Errors
/// A text that says why and what to do; shards that had started end with their links.
pub fn start(settings: &TeamSettings<'_>, wake_control: &Wake) -> Result<Team, String> {
    let config = settings.config;
    let reactor = settings::reactor(config)?;
    let placement = placement(config);
    let offload = OffloadPool::start(placement.len().clamp(1, MAX_OFFLOAD_THREADS))
        .map_err(|error| format!("the kernel gave no thread: {error}"))?;
    let secret = settings::secret().map_err(|error| format!("/dev/urandom: {error}"))?;
    let balance = Balance::new(placement.len());
    let mut team = Team {
        links: Vec::new(),
        threads: Vec::new(),
    };
    let mut drivers = Vec::with_capacity(placement.len());
    for (index, &cpu) in placement.iter().enumerate() {
        let (link, inbox) = mailbox(wake_control.clone());
        let shard = shard::start(ShardSettings {
            index,
            cpu: Some(cpu),
            reactor: reactor.clone(),
            local: local_settings(settings, placement.len(), secret),
            snapshot: settings.snapshot.clone(),
            offload: offload.clone(),
            records: settings
                .access_log
                .map_or_else(RecordSink::off, AccessLog::sink),
            counters: settings.counters[index].clone(),
            inbox,
            balance: balance.clone(),
        })
        .map_err(|error| error.to_string())?;
        team.links.push(link);
        team.threads.push(shard.thread);
        drivers.push((shard.driver, shard.fallback));
    }
    report_drivers(&drivers);
    Ok(team)
}

/// One line that says what the shards run on, and why if it is not what was preferred.
fn report_drivers(shards: &[(DriverKind, Option<String>)]) {
    let fallen_back = shards.iter().filter(|(_, reason)| reason.is_some()).count();
    if let Some(reason) = shards.iter().find_map(|(_, reason)| reason.as_ref()) {
        tracing::warn!(
            "{fallen_back} of {} shards run on epoll, which costs more CPU per request: {reason} \
             (ringway.driver=epoll silences this warning)",
            shards.len()
        );
    } else if let Some((driver, _)) = shards.first() {
        tracing::info!("{} shards run on {driver}", shards.len());
    }
}

fn local_settings(settings: &TeamSettings<'_>, shards: usize, secret: [u8; 32]) -> LocalSettings {
    let config = settings.config;
    let entry_points = settings::entry_points(config)
        .zip(settings.addresses)
        .map(|((name, entry_point), address)| {
            settings::exchange(config, name, entry_point, address.port())
        })
        .collect();
    let terminating = config
        .ping
        .as_ref()
        .map_or(503, |ping| ping.terminating_status_code);
    LocalSettings {
        entry_points,
        shards: u32::try_from(shards).unwrap_or(u32::MAX),
        max_connections: match u64::from(config.ringway.limits.max_connections) {
            0 => u64::MAX,
            most => most.div_ceil(shards.max(1) as u64),
        },
        terminating_status: u16::try_from(terminating).unwrap_or(503),
        api: settings
            .api
            .map(|socket| Service::behind_abstract_socket("api@internal", socket, 0)),
        rest: settings
            .rest
            .map(|socket| Service::behind_abstract_socket("rest@internal", socket, 1)),
        hostname: settings::hostname(),
        secret,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_shard_per_cpu_unless_a_number_is_configured() {
        assert_eq!(place(0, &[2, 3, 7]), [2, 3, 7]);
        assert_eq!(place(2, &[2, 3, 7]), [2, 3]);
        assert_eq!(place(4, &[2, 3]), [2, 3, 2, 3]);
    }
}
