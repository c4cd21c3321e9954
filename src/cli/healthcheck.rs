//! `ringway healthcheck`: asks the local proxy's `/ping`, as container health checks do (Traefik: same).

use std::process::ExitCode;
use std::time::Duration;

use super::http_get::{Endpoint, block_on, get};
use crate::config::statics::{Disk, StaticConfig, load};

/// How long the proxy may take to answer (Traefik: same).
const TIMEOUT: Duration = Duration::from_secs(5);

/// Exit codes: 0 healthy, 1 not. `args` are the proxy's own flags, so that its configuration is found.
pub fn run(args: &[String]) -> ExitCode {
    let env: Vec<(String, String)> = std::env::vars().collect();
    let result = load(args, &env, &Disk)
        .map_err(|error| error.to_string())
        .and_then(|loaded| endpoint(&loaded.config))
        .and_then(|endpoint| {
            block_on(get(&endpoint, "/ping", TIMEOUT))?.map(|answer| (endpoint, answer))
        });
    match result {
        Ok((endpoint, answer)) if answer.status == 200 => {
            super::say(format_args!("OK: {endpoint}/ping"));
            ExitCode::SUCCESS
        }
        Ok((endpoint, answer)) => {
            eprintln!(
                "Bad healthcheck status: {endpoint}/ping answered {}",
                answer.status
            );
            ExitCode::FAILURE
        }
        Err(reason) => {
            eprintln!("Error calling healthcheck: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Where `/ping` is, seen from this machine.
fn endpoint(config: &StaticConfig) -> Result<Endpoint, String> {
    let ping = config
        .ping
        .as_deref()
        .ok_or("ping is not enabled in the configuration; add `ping: {}` (or --ping)")?;
    let entry_point = config.entry_points.get(&ping.entry_point).ok_or_else(|| {
        format!(
            "ping.entryPoint: there is no entry point {:?}",
            ping.entry_point
        )
    })?;
    let address = &entry_point.address;
    let host = match address.host() {
        "" | "0.0.0.0" | "::" => "127.0.0.1".to_owned(),
        host if host.contains(':') => format!("[{host}]"),
        host => host.to_owned(),
    };
    Endpoint::parse(&format!("{host}:{}", address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(flags: &[&str]) -> Result<String, String> {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        endpoint(&load(&flags, &[], &Disk).unwrap().config).map(|endpoint| endpoint.to_string())
    }

    #[test]
    fn ping_is_asked_where_the_configuration_puts_it() {
        assert_eq!(
            address(&["--ping=true"]).as_deref(),
            Ok("http://127.0.0.1:8080")
        );
        let flags = [
            "--ping.entryPoint=p",
            "--entryPoints.p.address=192.0.2.1:9000",
        ];
        assert_eq!(address(&flags).as_deref(), Ok("http://192.0.2.1:9000"));
        let flags = ["--ping.entryPoint=p", "--entryPoints.p.address=[::]:9000"];
        assert_eq!(address(&flags).as_deref(), Ok("http://127.0.0.1:9000"));
        assert!(
            address(&["--api=true"])
                .unwrap_err()
                .contains("not enabled")
        );
    }
}
