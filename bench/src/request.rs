//! The requests that the load generator sends: built once, before the first is sent.

use std::fs;
use std::io;

use crate::args::Args;
use crate::pattern;

/// The requests that `--host`, `--hosts`, `--method`, `--path`, `--body` and `--header` describe, one per host; with
/// `close`, each asks for its connection to be closed.
pub fn from_args(args: &Args, close: bool) -> io::Result<Vec<Vec<u8>>> {
    let hosts = match args.text("hosts") {
        Some(file) => fs::read_to_string(file)?
            .lines()
            .map(str::to_owned)
            .collect(),
        None => expand(args.text("host").unwrap_or("bench.test")),
    };
    let method = args.text("method").unwrap_or("GET");
    let path = args.text("path").unwrap_or("/64");
    let body = pattern::bytes(args.get("body", 0));
    Ok(hosts
        .iter()
        .map(|host| {
            let mut head = format!(
                "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: ringway-bench\r\nAccept: */*\r\n"
            );
            if close {
                head.push_str("Connection: close\r\n");
            }
            if !body.is_empty() {
                head.push_str(&format!("Content-Length: {}\r\n", body.len()));
            }
            for header in args.all("header") {
                head.push_str(header);
                head.push_str("\r\n");
            }
            head.push_str("\r\n");
            let mut request = head.into_bytes();
            request.extend_from_slice(&body);
            request
        })
        .collect())
}

/// `h{0..99}.test` stands for a hundred hosts; a text without braces for itself.
fn expand(pattern: &str) -> Vec<String> {
    let parts = pattern.split_once('{').and_then(|(before, rest)| {
        let (range, after) = rest.split_once('}')?;
        let (first, last) = range.split_once("..")?;
        let range: (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        Some((before, range, after))
    });
    match parts {
        None => vec![pattern.to_owned()],
        Some((before, (first, last), after)) => (first..=last)
            .map(|number| format!("{before}{number}{after}"))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_pattern_stands_for_each_number_of_its_range() {
        assert_eq!(expand("h{8..10}.test"), ["h8.test", "h9.test", "h10.test"]);
        assert_eq!(expand("a.test"), ["a.test"]);
    }
}
