//! A serversTransport's configuration becomes a [`Transport`].

use std::sync::Arc;
use std::time::Duration;

use crate::config::duration::GoDuration;
use crate::config::dynamic::HttpServersTransport;
use crate::config::dynamic::http::ForwardingTimeouts;
use crate::service::Transport;

use super::input::Compiled;

/// Compiles a transport; what it does not honour yet becomes a warning.
pub(super) fn compile(
    name: &Arc<str>,
    config: &HttpServersTransport,
) -> Result<Compiled<Arc<Transport>>, Vec<Box<str>>> {
    let Ok(max_idle_conns_per_host) = i32::try_from(config.max_idle_conns_per_host) else {
        let found = config.max_idle_conns_per_host;
        return Err(vec![
            format!(
                "maxIdleConnsPerHost: {found} is out of range, expected {} to {}",
                i32::MIN,
                i32::MAX
            )
            .into(),
        ]);
    };
    let timeouts = config
        .forwarding_timeouts
        .as_deref()
        .cloned()
        .unwrap_or_default();
    let transport = Transport {
        name: Arc::clone(name),
        max_idle_conns_per_host,
        dial_timeout: duration(timeouts.dial_timeout),
        response_header_timeout: duration(timeouts.response_header_timeout),
        idle_conn_timeout: duration(timeouts.idle_conn_timeout),
    };
    Ok(Compiled {
        value: Arc::new(transport),
        warnings: not_honoured(config, &timeouts),
    })
}

fn not_honoured(config: &HttpServersTransport, timeouts: &ForwardingTimeouts) -> Vec<Box<str>> {
    let defaults = ForwardingTimeouts::default();
    let set = [
        ("serverName", !config.server_name.is_empty()),
        ("insecureSkipVerify", config.insecure_skip_verify),
        ("rootCAs", !config.root_cas.is_empty()),
        ("certificates", !config.certificates.is_empty()),
        ("cipherSuites", !config.cipher_suites.is_empty()),
        ("minVersion", !config.min_version.is_empty()),
        ("maxVersion", !config.max_version.is_empty()),
        ("peerCertURI", !config.peer_cert_uri.is_empty()),
        ("spiffe", config.spiffe.is_some()),
        (
            "forwardingTimeouts.readIdleTimeout",
            timeouts.read_idle_timeout != defaults.read_idle_timeout,
        ),
        (
            "forwardingTimeouts.pingTimeout",
            timeouts.ping_timeout != defaults.ping_timeout,
        ),
    ];
    let names: Vec<_> = set
        .iter()
        .filter(|(_, is_set)| *is_set)
        .map(|(name, _)| *name)
        .collect();
    if names.is_empty() {
        return Vec::new();
    }
    vec![format!("not supported yet, without effect: {}", names.join(", ")).into()]
}

fn duration(value: GoDuration) -> Duration {
    value.as_std()
}
