//! `ringway demo`: two origins, a proxy in front of them on free ports, and a dynamic file to edit.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::origin::Origin;
use crate::config::statics::{Disk, load};
use crate::control::run_until;
use crate::control::serve::{OnReady, Stop};

/// How long the demo runs.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoArgs {
    /// End after this time; without it the demo runs until Ctrl-C.
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<f64>,
    /// Where the files go; without it a new directory below the system's temporary one.
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

/// Runs the demo; its directory stays, so that its files can be read afterwards.
pub fn run(args: &DemoArgs) -> ExitCode {
    demo(args).unwrap_or_else(|reason| {
        eprintln!("ringway demo: {reason}");
        ExitCode::FAILURE
    })
}

fn demo(args: &DemoArgs) -> Result<ExitCode, String> {
    let time = args.seconds.map(Duration::try_from_secs_f64).transpose();
    let time = time.map_err(|_| "--for needs a time in seconds".to_owned())?;
    let directory = match &args.directory {
        Some(directory) => directory.clone(),
        None => std::env::temp_dir().join(format!("ringway-demo-{}", std::process::id())),
    };
    let start = |name| Origin::start(name).map_err(|error| format!("origin {name}: {error}"));
    let (a, b) = (start("a")?, start("b")?);
    let config = write_files(&directory, &a, &b)
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    let flags = [format!("--configFile={}", config.display())];
    let loaded = load(&flags, &[], &Disk).map_err(|error| error.to_string())?;
    let stop: Stop = Box::pin(async move {
        match time {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    });
    let dynamic = directory.join("dynamic.yml");
    let on_ready: OnReady = Box::new(move |addresses| {
        print!(
            "{}",
            invitation(&dynamic, addresses, [a.address, b.address])
        );
    });
    Ok(run_until(&loaded, stop, Some(on_ready)))
}

/// Writes the static and the dynamic file; returns the static one's path.
fn write_files(directory: &Path, a: &Origin, b: &Origin) -> io::Result<PathBuf> {
    std::fs::create_dir_all(directory)?;
    let dynamic = directory.join("dynamic.yml");
    std::fs::write(&dynamic, dynamic_text(a.address, b.address))?;
    let config = directory.join("ringway.yml");
    let text = format!(
        "# The static configuration: what is fixed while the proxy runs.\n\
         entryPoints:\n  web:\n    address: 127.0.0.1:0\n  traefik:\n    address: 127.0.0.1:0\n\
         api:\n  insecure: true\nping: {{}}\nlog:\n  level: INFO\n\
         providers:\n  file:\n    filename: {}\n",
        dynamic.display()
    );
    std::fs::write(&config, text)?;
    Ok(config)
}

fn dynamic_text(a: SocketAddr, b: SocketAddr) -> String {
    format!(
        "# The dynamic configuration: save this file and requests follow at once.\n\
         http:\n  routers:\n    both:\n      rule: PathPrefix(`/`)\n      service: both\n    \
         only-b:\n      rule: PathPrefix(`/b`)\n      middlewares: [strip-b]\n      service: only-b\n  \
         middlewares:\n    strip-b:\n      stripPrefix:\n        prefixes: [/b]\n  \
         services:\n    both:\n      loadBalancer:\n        servers:\n          - url: http://{a}\n          \
         - url: http://{b}\n    only-b:\n      loadBalancer:\n        servers:\n          - url: http://{b}\n"
    )
}

fn invitation(
    dynamic: &Path,
    addresses: &[(Arc<str>, SocketAddr)],
    origins: [SocketAddr; 2],
) -> String {
    let find = |wanted: &str| {
        addresses
            .iter()
            .find(|(name, _)| **name == *wanted)
            .map_or("?".to_owned(), |(_, a)| a.to_string())
    };
    let (web, api) = (find("web"), find("traefik"));
    let [a, b] = origins;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "\nRingway listens on {web}; origin a is {a}, origin b is {b}. Try:\n\n\
         \x20 curl http://{web}/                  # a and b in turn\n\
         \x20 curl http://{web}/b/hello           # b alone, with the prefix stripped\n\
         \x20 curl http://{api}/ping\n\
         \x20 curl http://{api}/api/rawdata\n\
         \x20 ringway explain GET http://{web}/b/hello --api http://{api}\n\n\
         Then edit {} (say, change /b to /c), save, and ask again.\nCtrl-C ends the demo.\n\n",
        dynamic.display()
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::check;

    #[test]
    fn the_demos_files_pass_their_own_check() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (Origin::start("a").unwrap(), Origin::start("b").unwrap());
        let config = write_files(directory.path(), &a, &b).unwrap();
        let report = check(&[config]);
        assert_eq!(report.findings, []);
        assert_eq!((report.summary.files, report.summary.routers), (2, 2));
    }

    #[test]
    fn the_invitation_has_lines_that_can_be_pasted() {
        let addresses: [(Arc<str>, SocketAddr); 2] = [
            ("traefik".into(), "127.0.0.1:8080".parse().unwrap()),
            ("web".into(), "127.0.0.1:8000".parse().unwrap()),
        ];
        let origins = [
            "127.0.0.1:1".parse().unwrap(),
            "127.0.0.1:2".parse().unwrap(),
        ];
        let text = invitation(Path::new("/tmp/x/dynamic.yml"), &addresses, origins);
        assert!(
            text.contains("curl http://127.0.0.1:8000/b/hello"),
            "{text}"
        );
        assert!(text.contains("curl http://127.0.0.1:8080/ping"), "{text}");
    }
}
