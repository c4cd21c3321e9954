//! `ringway wait`: returns when every shard has applied a generation, a store's revision, or a file.
//!
//! Not here: how a provider finds out how far it is (`provider`), what the answer means (`api::goal`).

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::http_get::{Endpoint, block_on, form, get};
use crate::config::duration::GoDuration;
use crate::provider::file;

/// Longest time the server is asked to hold one request.
const POLL: Duration = Duration::from_secs(10);

/// Pause between two questions where the server does not hold them.
const PAUSE: Duration = Duration::from_millis(20);

/// The exit code of what is effective and has rejections.
const REJECTIONS: u8 = 3;

/// What to wait for.
#[derive(Clone, Debug, clap::Args)]
#[command(
    group(clap::ArgGroup::new("what").required(true).args(["revision", "file", "generation", "latest"])),
    after_help = "Exit codes: 0 effective on every shard; 1 not within the time; 2 the question makes no sense or \
                  cannot be asked; 3 effective, but something is rejected or not quite as configured, which is listed: \
                  of the provider that was waited for, else of all."
)]
pub struct WaitArgs {
    /// The revision of a key-value store, such as the header's in etcd's answer to a write, that must be in force.
    #[arg(long, value_name = "REVISION")]
    revision: Option<u64>,
    /// With --revision: the provider whose store it is; not needed if only one reads a key-value store.
    #[arg(long, value_name = "NAME", requires = "revision")]
    provider: Option<String>,
    /// A file of the provider file: its content as it is now must be in force.
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// The generation that every shard must have applied.
    #[arg(long)]
    generation: Option<u64>,
    /// The generation that is the newest when the command starts.
    #[arg(long)]
    latest: bool,
    /// The process that must answer, as `instance` in /api/ringway/generation has it: another one has been restarted.
    #[arg(long, value_name = "ID")]
    instance: Option<String>,
    /// The running proxy's API.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    api: String,
    /// Longest wait, such as 30s or 500ms (a bare number: seconds); then the exit code is 1.
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = duration)]
    timeout: Duration,
}

/// The answer of `/api/ringway/generation`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Generations {
    /// Another one after each restart.
    instance: String,
    /// The newest generation.
    published: u64,
    /// The newest generation that every shard has applied.
    effective: u64,
    providers: Vec<Provider>,
    goal: Option<Reached>,
    rejected: Vec<Rejected>,
    rejected_total: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Provider {
    name: String,
    revision: Option<u64>,
    last_error: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Reached {
    provider: Option<String>,
    reached: bool,
    refused: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Rejected {
    object: String,
    status: String,
    error: String,
}

/// An error's text in the API.
#[derive(Debug, Deserialize)]
struct Message {
    message: String,
}

/// How a wait ended.
#[derive(Debug)]
enum Outcome {
    /// It is effective, with what is rejected.
    Effective(Generations),
    /// It will not be effective, for this reason.
    Refused(String),
    /// The time is over.
    TimedOut,
}

fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string());
    }
    let duration = GoDuration::parse(text).map_err(|error| error.to_string())?;
    if duration.as_nanos() < 0 {
        return Err("must not be negative".to_owned());
    }
    Ok(duration.as_std())
}

/// Exit codes: 0 effective, 1 not within the time, 2 the question failed, 3 effective with rejections.
pub fn run(args: &WaitArgs) -> ExitCode {
    match block_on(wait(args)).flatten() {
        Ok(Outcome::Effective(answer)) if answer.rejected_total == 0 => ExitCode::SUCCESS,
        Ok(Outcome::Effective(answer)) => {
            super::say(table(&answer.rejected));
            let more = answer.rejected_total.saturating_sub(answer.rejected.len());
            if more > 0 {
                super::say(format_args!("and {more} more"));
            }
            ExitCode::from(REJECTIONS)
        }
        Ok(Outcome::Refused(reason)) => {
            eprintln!("ringway wait: refused, the content before it stays in force: {reason}");
            ExitCode::from(REJECTIONS)
        }
        Ok(Outcome::TimedOut) => ExitCode::from(1),
        Err(reason) => {
            eprintln!("ringway wait: {reason}");
            ExitCode::from(2)
        }
    }
}

/// Lines of object, status and error, the columns aligned.
fn table(rejected: &[Rejected]) -> String {
    let width = |text: fn(&Rejected) -> &str| {
        let widths = rejected.iter().map(|row| text(row).chars().count());
        widths.max().unwrap_or(0)
    };
    let (object, status) = (width(|row| &row.object), width(|row| &row.status));
    let line = |row: &Rejected| {
        let error = row.error.replace('\n', " ");
        format!("{:object$}  {:status$}  {error}", row.object, row.status)
    };
    rejected.iter().map(line).collect::<Vec<_>>().join("\n")
}

async fn wait(args: &WaitArgs) -> Result<Outcome, String> {
    let endpoint = Endpoint::parse(&args.api)?;
    let end = Instant::now() + args.timeout;
    let mut instance = args.instance.clone();
    let mut generation = args.generation;
    if args.latest {
        let newest = ask(&endpoint, "wait=0", instance.as_deref(), Duration::ZERO).await?;
        generation = Some(newest.published);
        instance = Some(newest.instance);
    }
    loop {
        let left = end.saturating_duration_since(Instant::now()).min(POLL);
        let (what, query) = goal(args, generation)?;
        let answer = ask(&endpoint, &query, instance.as_deref(), left).await?;
        if generation.is_some() && !answer.instance.is_empty() {
            // Another instance's generations would mean something else.
            instance = Some(answer.instance.clone());
        }
        match &answer.goal {
            None => {
                return Err(format!(
                    "{endpoint} does not know what to wait for; is it of this version?"
                ));
            }
            Some(Reached {
                refused: Some(reason),
                ..
            }) => return Ok(Outcome::Refused(reason.clone())),
            Some(goal) if goal.reached => {
                super::say(format_args!(
                    "{what} is effective on every shard (generation {} of the instance {})",
                    answer.effective, answer.instance
                ));
                return Ok(Outcome::Effective(answer));
            }
            Some(goal) if Instant::now() >= end => {
                eprintln!(
                    "ringway wait: {what} is not effective after {:?}: the newest generation is {}, every shard has \
                     applied {}{}",
                    args.timeout,
                    answer.published,
                    answer.effective,
                    trouble(&answer, goal)
                );
                return Ok(Outcome::TimedOut);
            }
            Some(_) => {}
        }
        tokio::time::sleep(PAUSE.min(end.saturating_duration_since(Instant::now()))).await;
    }
}

/// How far the provider is that was waited for, and its trouble with its source.
fn trouble(answer: &Generations, goal: &Reached) -> String {
    let name = goal.provider.as_deref().unwrap_or_default();
    let Some(provider) = answer.providers.iter().find(|known| known.name == name) else {
        return String::new();
    };
    let mut text = match provider.revision {
        Some(revision) => format!("; the provider {name} is at revision {revision} of its store"),
        None => String::new(),
    };
    if let Some(error) = &provider.last_error {
        text += &format!("; the provider {name} says: {error}");
    }
    text
}

/// What is waited for, for people and as a query. A file is read anew each time: as it is now.
fn goal(args: &WaitArgs, generation: Option<u64>) -> Result<(String, String), String> {
    if let Some(revision) = args.revision {
        let mut query = format!("revision={revision}");
        if let Some(provider) = &args.provider {
            query += &format!("&{}", form("provider", provider));
        }
        return Ok((format!("revision {revision}"), query));
    }
    if let Some(path) = &args.file {
        let (path, digest) = read(path)?;
        let query = format!("{}&digest={digest}", form("file", &path));
        return Ok((path, query));
    }
    let generation = generation.unwrap_or_default();
    Ok((
        format!("generation {generation}"),
        format!("wait={generation}"),
    ))
}

/// A file's path without symbolic links, and its content's digest.
fn read(path: &Path) -> Result<(String, String), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let real = path.canonicalize().map_err(failed)?;
    let digest = file::digest(&std::fs::read(&real).map_err(failed)?);
    let real = real.into_os_string().into_string();
    let real = real.map_err(|_| format!("{}: the path is not UTF-8", path.display()))?;
    Ok((real, digest))
}

async fn ask(
    endpoint: &Endpoint,
    goal: &str,
    instance: Option<&str>,
    hold: Duration,
) -> Result<Generations, String> {
    let mut path = format!(
        "/api/ringway/generation?{goal}&rejected=true&timeout={}ms",
        hold.as_millis()
    );
    if let Some(instance) = instance {
        path += &format!("&{}", form("instance", instance));
    }
    let answer = get(endpoint, &path, hold + Duration::from_secs(5)).await?;
    match answer.status {
        200 => serde_json::from_slice(&answer.body)
            .map_err(|error| format!("{endpoint}{path} did not answer with generations: {error}")),
        400 | 409 => Err(match serde_json::from_slice::<Message>(&answer.body) {
            Ok(error) => error.message,
            Err(_) => format!("{endpoint}{path} answered {}", answer.status),
        }),
        status => Err(format!(
            "{endpoint}{path} answered {status}; is this Ringway's API (api.insecure, or a router to api@internal)?"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers each request with the next of `answers`, the last one for ever.
    fn serve(answers: Vec<(u16, &'static str)>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for (index, stream) in listener.incoming().enumerate() {
                let (status, body) = answers[index.min(answers.len() - 1)];
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all((head + body).as_bytes());
            }
        });
        format!("http://{address}")
    }

    fn args(api: String, generation: Option<u64>) -> WaitArgs {
        WaitArgs {
            revision: None,
            provider: None,
            file: None,
            instance: None,
            latest: generation.is_none(),
            generation,
            api,
            timeout: Duration::from_millis(300),
        }
    }

    /// The generation that is effective at the end; `None`: not in time.
    fn result(args: &WaitArgs) -> Result<Option<u64>, String> {
        Ok(match block_on(wait(args)).unwrap()? {
            Outcome::Effective(answer) => Some(answer.effective),
            Outcome::TimedOut => None,
            Outcome::Refused(reason) => panic!("{reason}"),
        })
    }

    const NOT_YET: &str =
        r#"{"published": 7, "effective": 5, "instance": "a", "goal": {"reached": false}}"#;
    const REACHED: &str = r#"{"published": 8, "effective": 7, "instance": "a", "goal": {"reached": true}, "shards": []}"#;

    #[test]
    fn it_returns_once_the_generation_is_effective() {
        let api = serve(vec![(200, NOT_YET), (200, REACHED)]);
        assert_eq!(result(&args(api, Some(7))), Ok(Some(7)));
    }

    #[test]
    fn latest_means_the_newest_at_the_start() {
        let api = serve(vec![(200, NOT_YET), (200, NOT_YET), (200, REACHED)]);
        assert_eq!(result(&args(api, None)), Ok(Some(7)));
    }

    #[test]
    fn times_are_gos() {
        assert_eq!(duration("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("5"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["-1s", "-1", "soon", "NaN", ""] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn it_gives_up_after_the_time() {
        let api = serve(vec![(200, NOT_YET)]);
        assert_eq!(result(&args(api, Some(8))), Ok(None));
    }

    #[test]
    fn an_answer_of_something_else_is_an_error_and_not_a_wait() {
        for (status, body, said) in [
            (404, "404 page not found", "404"),
            (200, "hello", "generations"),
            (400, r#"{"message": "several"}"#, "several"),
            (409, r#"{"message": "restarted"}"#, "restarted"),
            (200, r#"{"published": 7, "effective": 7}"#, "version"),
        ] {
            let error = result(&args(serve(vec![(status, body)]), Some(1))).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn rejections_are_a_table() {
        let row = |object: &str, status: &str, error: &str| Rejected {
            object: object.to_owned(),
            status: status.to_owned(),
            error: error.to_owned(),
        };
        let rows = [row("a", "disabled", "x\ny"), row("long", "warning", "z")];
        assert_eq!(table(&rows), "a     disabled  x y\nlong  warning   z");
    }
}
