//! What each part is given of the static configuration. Only translates; decides nothing but Traefik's
//! rules of which entry points are default ones.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use super::log::{LogFormat, LogSettings};
use super::stores;
use crate::config::decode::Text;
use crate::config::duration::GoDuration;
use crate::config::statics::{
    self, EntryPoint, HttpAlias, LogLevel, Protocol, RuleSyntax, StaticConfig,
};
use crate::exchange::EntryPointSettings;
use crate::io::{DriverChoice, ReactorConfig};
use crate::plan::PlanSettings;
use crate::provider::consul::{self, Consul, ConsulSettings};
use crate::provider::etcd::{self, EtcdSettings, EtcdStore};
use crate::provider::file::{self, FileSettings};
use crate::provider::http::{self, HttpSettings};
use crate::provider::kv::image::Limits as StoreLimits;
use crate::provider::redis::{self, Redis, RedisSettings};
use crate::provider::zookeeper::{ZooKeeper, ZooKeeperSettings};
use crate::provider::{document, internal};
use crate::rules::Syntax;
use crate::service::Transport;
use crate::watcher::WatcherSettings;

/// The entry point of the program's own endpoints, which is never a default one (Traefik: same).
const INTERNAL_ENTRY_POINT: &str = "traefik";

/// The entry points that take TCP connections, by name: the order in which everything else counts them.
pub fn entry_points(config: &StaticConfig) -> impl Iterator<Item = (&Text, &EntryPoint)> {
    config
        .entry_points
        .iter()
        .filter(|(_, entry_point)| entry_point.address.protocol() == Protocol::Tcp)
}

/// Entry points of routers that name none: those marked `asDefault`, or else all but `traefik`. Sorted.
pub fn default_entry_points(config: &StaticConfig) -> Vec<Arc<str>> {
    let marked = entry_points(config).any(|(_, entry_point)| entry_point.as_default);
    entry_points(config)
        .filter(|(name, entry_point)| {
            if marked {
                entry_point.as_default
            } else {
                &***name != INTERNAL_ENTRY_POINT
            }
        })
        .map(|(name, _)| Arc::from(&**name))
        .collect()
}

/// Whether an entry point listens before the dynamic configuration is known: it serves `/ping` or the
/// API and no traffic of its own.
pub fn listens_early(config: &StaticConfig, name: &str) -> bool {
    let serves_ping = config
        .ping
        .as_ref()
        .is_some_and(|ping| !ping.manual_routing && &*ping.entry_point == name);
    (serves_ping || name == INTERNAL_ENTRY_POINT)
        && !default_entry_points(config)
            .iter()
            .any(|default| &**default == name)
}

/// What compilation needs.
pub fn plan(config: &StaticConfig) -> PlanSettings {
    PlanSettings {
        entry_points: entry_points(config)
            .map(|(name, _)| Arc::from(&**name))
            .collect(),
        default_entry_points: default_entry_points(config),
        precedence: config
            .providers
            .precedence
            .iter()
            .map(|name| Arc::from(&**name))
            .collect(),
        default_rule_syntax: match config.core.default_rule_syntax {
            RuleSyntax::V3 => Syntax::V3,
            RuleSyntax::V2 => Syntax::V2,
        },
        default_transport: transport(config),
        internal_services: internal::services(config),
        log_internals: config
            .access_log
            .as_ref()
            .is_some_and(|log| log.add_internals),
        verify_incremental: config.ringway.verify_incremental,
        ..PlanSettings::default()
    }
}

fn transport(config: &StaticConfig) -> Transport {
    let own = &config.servers_transport;
    let timeouts = &own.forwarding_timeouts;
    Transport {
        name: "default@internal".into(),
        max_idle_conns_per_host: i32::try_from(own.max_idle_conns_per_host).unwrap_or(i32::MAX),
        dial_timeout: timeouts.dial_timeout.as_std(),
        response_header_timeout: timeouts.response_header_timeout.as_std(),
        idle_conn_timeout: timeouts.idle_conn_timeout.as_std(),
    }
}

/// What the watcher needs: every enabled provider must report.
pub fn watcher(config: &StaticConfig) -> WatcherSettings {
    let mut expected: Vec<Arc<str>> = vec![internal::NAME.into()];
    // What never changes needs no throttle, and must not wait for one.
    let mut throttles = BTreeMap::from([(internal::NAME.into(), Duration::ZERO)]);
    let mut expect = |name: &str, throttle: Option<GoDuration>| {
        expected.push(name.into());
        throttles.extend(throttle.map(|own| (name.into(), own.as_std())));
    };
    if let Some(own) = config.providers.file.as_deref() {
        expect(file::NAME, own.throttle_duration);
    }
    if config.providers.http.is_some() {
        expect(http::NAME, None);
    }
    // `rest` is not expected: nobody may ever put anything in.
    for (name, own) in stores::names(config) {
        expect(&name, own.throttle);
    }
    WatcherSettings {
        throttle: config.providers.providers_throttle_duration.as_std(),
        throttles,
        expected,
        required: Some(internal::NAME.into()),
    }
}

/// What the file provider reads, if it is enabled. A directory takes precedence (Traefik: same).
pub fn file_provider(config: &StaticConfig) -> Option<FileSettings> {
    let own = config.providers.file.as_deref()?;
    let source = if own.directory.is_empty() {
        file::Source::File((&*own.filename).into())
    } else {
        file::Source::Directory((&*own.directory).into())
    };
    Some(FileSettings {
        source,
        watch: own.watch,
        former: Arc::clone(&config.former),
    })
}

/// What the HTTP provider asks for, and how often, if it is enabled.
pub fn http_provider(config: &StaticConfig) -> Option<(HttpSettings, Duration)> {
    let own = config.providers.http.as_deref()?;
    let tls = own.tls.as_deref().cloned().unwrap_or_default();
    let settings = HttpSettings {
        endpoint: own.endpoint.to_string(),
        timeout: Some(own.poll_timeout.as_std()).filter(|timeout| !timeout.is_zero()),
        headers: own
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.clone()))
            .collect(),
        tls: http::Tls {
            ca: tls.ca.to_string(),
            cert: tls.cert.to_string(),
            key: tls.key,
            insecure_skip_verify: tls.insecure_skip_verify,
        },
        max_bytes: max_bytes(own.max_response_body_size),
        former: Arc::clone(&config.former),
    };
    Some((settings, own.poll_interval.as_std()))
}

/// Where the values of `providers.http.alias` come from, if it is configured: a store of its own, or the one of a
/// provider.
///
/// # Errors
/// The provider whose store has the key is not there.
pub fn http_alias(config: &StaticConfig) -> Result<Option<http::AliasSource>, String> {
    let providers = &config.providers;
    let http = providers.http.as_deref();
    let Some(alias) = http.and_then(|http| http.alias.as_deref()) else {
        return Ok(None);
    };
    let key = &*alias.key;
    if let Some(own) = alias_store(alias, etcd::NAME, &alias.etcd, &providers.etcd) {
        let own = EtcdSettings::from(own);
        return Ok(Some(http::in_store(|| EtcdStore::new(own), key)));
    }
    if let Some(own) = alias_store(alias, redis::NAME, &alias.redis, &providers.redis) {
        let own = RedisSettings::from(own);
        return Ok(Some(http::in_store(|| Redis::new(own), key)));
    }
    if let Some(own) = alias_store(alias, consul::NAME, &alias.consul, &providers.consul) {
        let mut instances = ConsulSettings::instances(own);
        let (_, own) = instances.swap_remove(0);
        if !instances.is_empty() {
            return Err("providers.http.alias.provider: providers.consul has several namespaces, and the key is in one: \
                        write the store's options to providers.http.alias.consul"
                .to_owned());
        }
        return Ok(Some(http::in_store(|| Consul::new(own), key)));
    }
    if let Some(own) = alias_store(alias, "zooKeeper", &alias.zookeeper, &providers.zookeeper) {
        let own = ZooKeeperSettings::from(own);
        return Ok(Some(http::in_store(|| ZooKeeper::new(own), key)));
    }
    let provider = &alias.provider;
    Err(format!(
        "providers.http.alias.provider: there is no providers.{provider}, which says how to reach the store. If it is to \
         be used for the alias alone, write its options to providers.http.alias.{provider}, without provider"
    ))
}

/// The store of this name, if the alias is in it.
fn alias_store<'c, T>(
    alias: &HttpAlias,
    name: &str,
    own: &'c Option<Box<T>>,
    shared: &'c Option<Box<T>>,
) -> Option<&'c T> {
    let shared = shared.as_deref().filter(|_| &*alias.provider == name);
    own.as_deref().or(shared)
}

/// Most bytes of a document; a negative number means the same as for files.
pub fn max_bytes(configured: i64) -> u64 {
    u64::try_from(configured).unwrap_or(document::MAX_BYTES)
}

/// What the log needs.
pub fn log(config: &StaticConfig) -> LogSettings {
    let own = &config.log;
    LogSettings {
        level: match own.level {
            LogLevel::Trace => LevelFilter::TRACE,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Error | LogLevel::Fatal | LogLevel::Panic => LevelFilter::ERROR,
        },
        format: match own.format {
            statics::LogFormat::Common => LogFormat::Common,
            statics::LogFormat::Json => LogFormat::Json,
        },
        file_path: (!own.file_path.is_empty()).then(|| (&*own.file_path).into()),
        no_color: own.no_color,
    }
}

/// What an entry point asks of its exchanges. `port` is the one it is really bound to.
pub fn exchange(
    config: &StaticConfig,
    name: &str,
    entry_point: &EntryPoint,
    port: u16,
) -> EntryPointSettings {
    EntryPointSettings {
        port,
        ..EntryPointSettings::new(name, entry_point, &config.global, &config.ringway.limits)
    }
}

/// The machine's name, as Go's `os.Hostname` reads it.
pub fn hostname() -> Box<str> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().into()
}

/// Names the driver in place of `ringway.driver`: for those who try one without touching the configuration.
pub const DRIVER_VARIABLE: &str = "RINGWAY_DRIVER";

/// Which driver the shards use, and how large they are.
///
/// # Errors
/// [`DRIVER_VARIABLE`] names no driver.
pub fn reactor(config: &StaticConfig) -> Result<ReactorConfig, String> {
    let driver = match std::env::var_os(DRIVER_VARIABLE) {
        Some(name) if !name.is_empty() => {
            let name = name.to_string_lossy();
            name.parse().map_err(|error| {
                format!("environment variable {DRIVER_VARIABLE}={name}: {error}")
            })?
        }
        _ => match config.ringway.driver {
            statics::Driver::Auto => DriverChoice::Auto,
            statics::Driver::Uring => DriverChoice::Uring,
            statics::Driver::Epoll => DriverChoice::Epoll,
        },
    };
    let limits = &config.ringway.limits;
    Ok(ReactorConfig {
        driver,
        receive_memory: usize::try_from(limits.max_receive_memory_bytes).unwrap_or(usize::MAX),
        inbox_limit: limits.max_unread_bytes as usize,
        send_limit: limits.max_unsent_bytes as usize,
        accept_queue_limit: limits.max_accept_queue as usize,
        flush_timeout: limits.flush_timeout.as_std(),
        linger_time: limits.linger_timeout.as_std(),
        linger_bytes: limits.max_linger_bytes as usize,
        ..ReactorConfig::default()
    })
}

/// How much a key-value store may hold below its root.
pub fn store_limits(config: &StaticConfig) -> StoreLimits {
    let limits = &config.ringway.limits;
    StoreLimits {
        pairs: usize::try_from(limits.max_store_pairs).unwrap_or(usize::MAX),
        bytes: usize::try_from(limits.max_store_bytes).unwrap_or(usize::MAX),
        ..StoreLimits::default()
    }
}

/// Random bytes from the kernel.
///
/// # Errors
/// There is no `/dev/urandom`, which every Linux has.
pub fn secret() -> io::Result<[u8; 32]> {
    let mut secret = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut secret)?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::statics::{Disk, load};
    use crate::http::{Semicolons, Underscores};

    fn config(flags: &[&str]) -> StaticConfig {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        load(&flags, &[], &Disk).unwrap().config
    }

    #[test]
    fn default_entry_points_are_the_marked_ones_or_all_but_traefik() {
        let all = config(&[
            "--entryPoints.web.address=:80",
            "--entryPoints.other.address=:81",
            "--entryPoints.dns.address=:53/udp",
            "--api.insecure=true",
        ]);
        assert_eq!(default_entry_points(&all), ["other", "web"].map(Arc::from));
        let marked = config(&[
            "--entryPoints.web.address=:80",
            "--entryPoints.web.asDefault=true",
            "--entryPoints.other.address=:81",
        ]);
        assert_eq!(default_entry_points(&marked), ["web"].map(Arc::from));
    }

    #[test]
    fn only_an_entry_point_without_traffic_listens_early() {
        let own = config(&["--entryPoints.web.address=:80", "--ping=true"]);
        assert!(listens_early(&own, "traefik") && !listens_early(&own, "web"));
        let shared = config(&["--entryPoints.web.address=:80", "--ping.entryPoint=web"]);
        assert!(!listens_early(&shared, "web"));
    }

    #[test]
    fn an_entry_points_options_reach_its_exchanges() {
        let config = config(&[
            "--entryPoints.web.address=:80",
            "--entryPoints.web.forwardedHeaders.trustedIPs=10.0.0.0/8,192.0.2.1",
            "--entryPoints.web.transport.respondingTimeouts.readTimeout=5",
            "--entryPoints.web.transport.keepAliveMaxRequests=7",
            "--entryPoints.web.http.encodeQuerySemicolons=true",
            "--entryPoints.web.http.sanitizePath=false",
            "--entryPoints.web.http.underscoreHeadersStrategy=reject",
            "--entryPoints.web.proxyProtocol.insecure=true",
            "--global.notAppendXForwardedFor=true",
            "--ringway.limits.maxHeaderCount=32",
            "--ringway.limits.maxResponseHeaderBytes=5000",
            "--ringway.limits.maxTrailerBytes=6000",
            "--ringway.limits.maxHeldBodyBytes=7000",
            "--ringway.limits.maxHeldMemoryBytes=8000",
        ]);
        let settings = exchange(&config, "web", &config.entry_points["web"], 8000);
        assert_eq!(settings.forwarded.trusted.len(), 2);
        assert!(settings.forwarded.not_append_xff);
        assert_eq!(settings.read_timeout, Duration::from_secs(5));
        assert_eq!(settings.idle_timeout, Duration::from_secs(180));
        assert_eq!(settings.keep_alive_max_requests, 7);
        assert_eq!(settings.semicolons, Semicolons::Encode);
        assert!(!settings.sanitize_path);
        assert_eq!(settings.underscores, Underscores::Reject);
        assert!(settings.proxy_protocol.is_some_and(|own| own.insecure));
        assert_eq!(settings.limits.max_fields, 32);
        assert_eq!(settings.limits.max_response_header_bytes, 5000);
        assert_eq!(settings.limits.max_trailer_bytes, 6000);
        assert_eq!(
            (settings.max_held_body, settings.max_held_memory),
            (7000, 8000)
        );
        assert_eq!(settings.port, 8000);
    }

    #[test]
    fn limits_that_nobody_configures_are_those_of_the_parts_they_limit() {
        let default = config(&["--entryPoints.web.address=:80"]);
        let settings = exchange(&default, "web", &default.entry_points["web"], 80);
        let codec = crate::http::Limits::default();
        assert_eq!(
            settings.limits.max_response_header_bytes,
            codec.max_response_header_bytes
        );
        assert_eq!(settings.limits.max_trailer_bytes, codec.max_trailer_bytes);
        assert_eq!(
            format!("{:?}", reactor(&default).unwrap()),
            format!("{:?}", ReactorConfig::default())
        );
        assert_eq!(store_limits(&default), StoreLimits::default());
        let own = config(&[
            "--entryPoints.web.address=:80",
            "--ringway.limits.maxReceiveMemoryBytes=8388608",
            "--ringway.limits.maxUnreadBytes=16384",
            "--ringway.limits.maxUnsentBytes=32768",
            "--ringway.limits.maxAcceptQueue=3",
            "--ringway.limits.flushTimeout=4s",
            "--ringway.limits.lingerTimeout=500ms",
            "--ringway.limits.maxLingerBytes=0",
            "--ringway.limits.maxStorePairs=5",
            "--ringway.limits.maxStoreBytes=6000",
        ]);
        let shard = reactor(&own).unwrap();
        assert_eq!(shard.receive_memory, 8 << 20);
        assert_eq!((shard.inbox_limit, shard.send_limit), (16 << 10, 32 << 10));
        assert_eq!((shard.accept_queue_limit, shard.linger_bytes), (3, 0));
        let times = (shard.flush_timeout, shard.linger_time);
        assert_eq!(times, (Duration::from_secs(4), Duration::from_millis(500)));
        let store = store_limits(&own);
        assert_eq!((store.pairs, store.bytes), (5, 6000));
    }

    #[test]
    fn a_providers_own_throttle_takes_precedence() {
        let common = config(&[
            "--providers.providersThrottleDuration=2s",
            "--providers.file.filename=/x.yml",
        ]);
        let settings = watcher(&common);
        assert_eq!(settings.throttle, Duration::from_secs(2));
        assert_eq!(settings.throttles.get("file"), None);
        assert_eq!(settings.throttles["internal"], Duration::ZERO);
        for (text, expected) in [("500ms", Duration::from_millis(500)), ("0", Duration::ZERO)] {
            let own = config(&[
                "--providers.providersThrottleDuration=2s",
                "--providers.file.filename=/x.yml",
                &format!("--providers.file.throttleDuration={text}"),
            ]);
            assert_eq!(watcher(&own).throttles["file"], expected);
        }
    }

    #[test]
    fn a_directory_takes_precedence_over_a_file() {
        let file = config(&[
            "--providers.file.filename=/x.yml",
            "--providers.file.watch=false",
        ]);
        let settings = file_provider(&file).unwrap();
        assert_eq!(settings.source, file::Source::File("/x.yml".into()));
        assert!(!settings.watch);
        let both = config(&[
            "--providers.file.filename=/x.yml",
            "--providers.file.directory=/d",
        ]);
        assert_eq!(
            file_provider(&both).unwrap().source,
            file::Source::Directory("/d".into())
        );
        assert_eq!(watcher(&both).expected, ["internal", "file"].map(Arc::from));
    }

    #[test]
    fn a_store_must_report_and_may_have_its_own_throttle() {
        let config = config(&[
            "--providers.etcd=true",
            "--providers.etcd.throttleDuration=3s",
        ]);
        let settings = watcher(&config);
        assert!(settings.expected.contains(&Arc::from("etcd")));
        assert_eq!(settings.throttles["etcd"], Duration::from_secs(3));
    }

    #[test]
    fn the_secret_is_random() {
        assert_ne!(secret().unwrap(), secret().unwrap());
    }
}
