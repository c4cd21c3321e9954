//! `ringway explain`: tells what becomes of a request, from configuration files or from a running proxy.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::http_get::{Endpoint, block_on, form, get};
use crate::config::statics::{Disk, Loaded, Source as Origin, load};
use crate::control::planning::plan_once;
use crate::control::settings;
use crate::plan::explain::{Explained, Question, explain};
use crate::provider::file::reader::Reader;
use crate::provider::file::{self, FileSettings};
use crate::provider::internal;
use crate::watcher::{Payload, Position, Update};

/// How long a running proxy may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The request to explain and whom to ask.
#[derive(Clone, Debug, clap::Args)]
pub struct ExplainArgs {
    /// The method, such as GET.
    method: String,
    /// The URL, such as http://host/path?query.
    url: String,
    /// A header field; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The entry point; without it the one of the URL's port (80 or 443 if it has none), else web or websecure,
    /// else a default one.
    #[arg(long, value_name = "NAME")]
    entrypoint: Option<String>,
    /// The client's address.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    client: IpAddr,
    /// The static configuration file; without it and --api, found as the proxy finds it.
    #[arg(long, value_name = "FILE", conflicts_with = "api")]
    config: Option<PathBuf>,
    /// Ask the API of a running proxy instead of reading files.
    #[arg(long, value_name = "URL")]
    api: Option<String>,
    /// Print the JSON form.
    #[arg(long)]
    json: bool,
}

/// Exit codes: 0 a router gets the request, 1 none does, 2 the question cannot be answered.
pub fn run(args: &ExplainArgs) -> ExitCode {
    let result = question(args).and_then(|question| match &args.api {
        Some(api) => block_on(ask(api, &question, args.json))?,
        None => offline(args, &question).map(|explained| {
            let found = explained.router.is_some();
            (
                if args.json {
                    json(&explained)
                } else {
                    explained.to_string()
                },
                found,
            )
        }),
    });
    match result {
        Ok((text, found)) => {
            super::say(text.trim_end());
            if found {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(1)
            }
        }
        Err(reason) => {
            eprintln!("ringway explain: {reason}");
            ExitCode::from(2)
        }
    }
}

fn question(args: &ExplainArgs) -> Result<Question, String> {
    let headers = args.headers.iter().map(|text| {
        let (name, value) = text
            .split_once(':')
            .ok_or_else(|| format!("-H {text:?} has no colon; expected 'Name: value'"))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    });
    Ok(Question {
        method: args.method.to_ascii_uppercase(),
        url: args.url.clone(),
        headers: headers.collect::<Result<_, String>>()?,
        entry_point: args.entrypoint.clone(),
        client: args.client,
    })
}

fn json(explained: &Explained) -> String {
    serde_json::to_string_pretty(explained).unwrap_or_else(|error| error.to_string())
}

/// Compiles the configuration files as a starting proxy would.
fn offline(args: &ExplainArgs, question: &Question) -> Result<Explained, String> {
    let flags: Vec<String> = args
        .config
        .iter()
        .map(|file| format!("--configFile={}", file.display()))
        .collect();
    let env: Vec<(String, String)> = std::env::vars().collect();
    let loaded = load(&flags, &env, &Disk).map_err(|error| error.to_string())?;
    explain_files(&loaded, question)
}

fn explain_files(loaded: &Loaded, question: &Question) -> Result<Explained, String> {
    let config = &loaded.config;
    let mut updates = vec![internal::update(config)];
    if let Some(own) = settings::file_provider(config) {
        updates.extend(read_files(&own));
    }
    let outcome = plan_once(settings::plan(config), updates);
    let entry_points: Vec<_> = settings::entry_points(config)
        .map(|(name, entry_point)| {
            settings::exchange(config, name, entry_point, entry_point.address.port())
        })
        .collect();
    let defaults = settings::default_entry_points(config);
    let explained = explain(
        &outcome.planned.published,
        &entry_points,
        &defaults,
        question,
    )?;
    if explained.router.is_none() && config.providers.file.is_none() {
        // A 404 would only say that nothing was read.
        return Err(format!(
            "no file with routers was read: {} names none (providers.file); give the static configuration with \
             --config FILE, or ask the running proxy with --api URL",
            match &loaded.source {
                Origin::Defaults => "no static configuration was found, and the default".to_owned(),
                source => format!("the static configuration ({source})"),
            }
        ));
    }
    Ok(explained)
}

/// What the file provider would report first; what cannot be read is told on standard error.
fn read_files(settings: &FileSettings) -> impl Iterator<Item = Update> {
    let found = settings.source.find();
    let look = Reader::new(Arc::clone(&settings.former)).look(
        &found,
        std::time::Instant::now(),
        |_| None,
        true,
    );
    (1..).zip(look.payloads).map(|(number, payload)| {
        if let Payload::Failed(reason) = &payload {
            eprintln!("ringway explain: {reason}");
        }
        Update {
            provider: file::NAME.into(),
            position: Position {
                number,
                text: "".into(),
            },
            payload,
        }
    })
}

/// Asks `/api/ringway/explain` of a running proxy.
async fn ask(api: &str, question: &Question, json: bool) -> Result<(String, bool), String> {
    let endpoint = Endpoint::parse(api)?;
    let mut query = form("method", &question.method) + "&" + &form("url", &question.url);
    for (name, value) in &question.headers {
        query += &format!("&{}", form("header", &format!("{name}: {value}")));
    }
    if let Some(entry_point) = &question.entry_point {
        query += &format!("&{}", form("entrypoint", entry_point));
    }
    query += &format!("&{}", form("client", &question.client.to_string()));
    if !json {
        query += "&format=text";
    }
    let answer = get(
        &endpoint,
        &format!("/api/ringway/explain?{query}"),
        ANSWER_TIMEOUT,
    )
    .await?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    match answer.status {
        200 if json => {
            let value: serde_json::Value =
                serde_json::from_str(&text).map_err(|error| format!("{endpoint}: {error}"))?;
            Ok((text, !value["router"].is_null()))
        }
        200 => Ok((
            text.clone(),
            !text
                .lines()
                .any(|line| line.starts_with("router       none")),
        )),
        status => Err(format!("{endpoint} answered {status}: {}", text.trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(url: &str) -> ExplainArgs {
        ExplainArgs {
            method: "get".to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            entrypoint: None,
            client: IpAddr::from([127, 0, 0, 1]),
            config: None,
            api: None,
            json: false,
        }
    }

    #[test]
    fn files_are_explained_as_a_starting_proxy_would_route() {
        let directory = tempfile::tempdir().unwrap();
        let dynamic = directory.path().join("dynamic.yml");
        let text = "http:\n  routers:\n    r:\n      rule: Host(`a`)\n      service: s\n  services:\n    s:\n      \
                    loadBalancer:\n        servers: [{url: 'http://127.0.0.1:1'}]\n";
        std::fs::write(&dynamic, text).unwrap();
        let config = directory.path().join("ringway.yml");
        let text = format!(
            "entryPoints:\n  web:\n    address: :8000\n    http:\n      redirections:\n        entryPoint:\n          \
             to: other\n  other:\n    address: :8001\nproviders:\n  file:\n    filename: {}\n",
            dynamic.display()
        );
        std::fs::write(&config, text).unwrap();
        let explain = |url: &str| {
            let args = ExplainArgs {
                config: Some(config.clone()),
                ..args(url)
            };
            offline(&args, &question(&args).unwrap()).unwrap()
        };
        let redirected = explain("http://a:8000/");
        assert_eq!(redirected.router.unwrap().name, "web-to-other@internal");
        let routed = explain("http://a:8001/").router.unwrap();
        assert_eq!(
            (routed.name.as_str(), routed.service.name.as_str()),
            ("r@file", "s@file")
        );
        assert!(explain("http://b:8001/").router.is_none());
    }

    #[test]
    fn nothing_read_is_not_the_same_as_nothing_found() {
        let question = Question::get("http://a/");
        let flags = |flags: &[&str]| {
            let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
            load(&flags, &[], &Disk).unwrap()
        };
        let nothing = flags(&["--entryPoints.web.address=:80"]);
        let error = explain_files(&nothing, &question).unwrap_err();
        assert!(
            error.contains("flags") && error.contains("--api"),
            "{error}"
        );
        let redirected = flags(&[
            "--entryPoints.web.address=:80",
            "--entryPoints.web.http.redirections.entryPoint.to=:443",
        ]);
        assert!(explain_files(&redirected, &question).is_ok());
    }

    #[test]
    fn a_header_without_a_colon_is_refused() {
        let args = ExplainArgs {
            headers: vec!["nonsense".to_owned()],
            ..args("http://a/")
        };
        assert!(question(&args).unwrap_err().contains("no colon"));
    }
}
