//! `ringway wait`: returns when every shard has applied a generation.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::http_get::{Endpoint, block_on, get};
use crate::config::duration::GoDuration;

/// Longest time the server is asked to hold one request.
const POLL: Duration = Duration::from_secs(10);

/// Pause between two questions where the server does not hold them.
const PAUSE: Duration = Duration::from_millis(20);

/// What to wait for.
#[derive(Clone, Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["generation", "latest"])))]
pub struct WaitArgs {
    /// The generation that every shard must have applied.
    #[arg(long)]
    generation: Option<u64>,
    /// The generation that is the newest when the command starts.
    #[arg(long)]
    latest: bool,
    /// The running proxy's API.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    api: String,
    /// Longest wait, such as 30s or 500ms (a bare number: seconds); then the exit code is 1.
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = duration)]
    timeout: Duration,
}

/// The answer of `/api/ringway/generation`.
#[derive(Debug, Deserialize)]
struct Generations {
    /// The newest generation.
    published: u64,
    /// The newest generation that every shard has applied.
    effective: u64,
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

/// Exit codes: 0 effective, 1 not within the time, 2 the question failed.
pub fn run(args: &WaitArgs) -> ExitCode {
    match block_on(wait(args)) {
        Ok(Ok(Some(generation))) => {
            super::say(format_args!(
                "generation {generation} is effective on every shard"
            ));
            ExitCode::SUCCESS
        }
        Ok(Ok(None)) => ExitCode::from(1),
        Ok(Err(reason)) | Err(reason) => {
            eprintln!("ringway wait: {reason}");
            ExitCode::from(2)
        }
    }
}

async fn wait(args: &WaitArgs) -> Result<Option<u64>, String> {
    let endpoint = Endpoint::parse(&args.api)?;
    let timeout = args.timeout;
    let end = Instant::now() + timeout;
    let mut wanted = args.generation;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let hold = wanted.map(|wanted| (wanted, left.min(POLL)));
        let generations = ask(&endpoint, hold).await?;
        let wanted = *wanted.get_or_insert(generations.published);
        if generations.effective >= wanted {
            return Ok(Some(generations.effective));
        }
        if Instant::now() >= end {
            eprintln!(
                "ringway wait: generation {wanted} is not effective after {timeout:?}: the newest is \
                 {}, every shard has applied {}",
                generations.published, generations.effective
            );
            return Ok(None);
        }
        tokio::time::sleep(PAUSE.min(end.saturating_duration_since(Instant::now()))).await;
    }
}

async fn ask(endpoint: &Endpoint, hold: Option<(u64, Duration)>) -> Result<Generations, String> {
    let (path, hold) = match hold {
        Some((wanted, hold)) => (
            format!(
                "/api/ringway/generation?wait={wanted}&timeout={}ms",
                hold.as_millis()
            ),
            hold,
        ),
        None => ("/api/ringway/generation".to_owned(), Duration::ZERO),
    };
    let answer = get(endpoint, &path, hold + Duration::from_secs(5)).await?;
    if answer.status != 200 {
        return Err(format!(
            "{endpoint}{path} answered {}; is this Ringway's API (api.insecure, or a router to api@internal)?",
            answer.status
        ));
    }
    serde_json::from_slice(&answer.body)
        .map_err(|error| format!("{endpoint}{path} did not answer with generations: {error}"))
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
            latest: generation.is_none(),
            generation,
            api,
            timeout: Duration::from_millis(300),
        }
    }

    fn result(args: &WaitArgs) -> Result<Option<u64>, String> {
        block_on(wait(args)).unwrap()
    }

    #[test]
    fn it_returns_once_the_generation_is_effective() {
        let api = serve(vec![
            (200, r#"{"published": 7, "effective": 5}"#),
            (200, r#"{"published": 8, "effective": 7, "shards": [7, 8]}"#),
        ]);
        assert_eq!(result(&args(api, Some(7))), Ok(Some(7)));
    }

    #[test]
    fn latest_means_the_newest_at_the_start() {
        let api = serve(vec![
            (200, r#"{"published": 7, "effective": 5}"#),
            (200, r#"{"published": 9, "effective": 7}"#),
        ]);
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
        let api = serve(vec![(200, r#"{"published": 7, "effective": 5}"#)]);
        assert_eq!(result(&args(api, Some(8))), Ok(None));
    }

    #[test]
    fn an_answer_of_something_else_is_an_error_and_not_a_wait() {
        assert!(
            result(&args(serve(vec![(404, "404 page not found")]), Some(1)))
                .unwrap_err()
                .contains("404")
        );
        assert!(result(&args(serve(vec![(200, "hello")]), Some(1))).is_err());
    }
}
