//! A double of Consul's `/v1/kv`, because Debian has no package of Consul: it stands for what Consul's
//! documentation says of this API, no more.
//!
//! What it does: `recurse`, values in base64, `ModifyIndex` per key from one index of the whole store, `X-Consul-Index`
//! per prefix (the newest of its keys and of its remembered deletions; the store's own where there is no key), 404 for
//! nothing, blocking queries (`index`, `wait`), answers without a change, the token, namespaces, a store without
//! leader, one restored to an older state, deletions that are forgotten.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// A running double. Its threads end with the process.
pub struct Consul {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Default)]
pub struct State {
    pub index: u64,
    pub pairs: BTreeMap<String, (String, u64)>,
    deletions: BTreeMap<String, u64>,
    pub token: String,
    pub namespace: String,
    pub has_no_leader: bool,
    /// Every connection ends instead of being answered.
    pub is_down: bool,
    /// What was asked for, in order.
    pub asked: Vec<String>,
    /// Counts what happens besides changes, so that held questions look again.
    nudges: u64,
}

/// A key with its value and `ModifyIndex`.
type Found<'a> = (&'a String, &'a (String, u64));

impl State {
    pub fn set(&mut self, key: &str, value: &str) {
        self.index += 1;
        self.pairs
            .insert(key.to_owned(), (value.to_owned(), self.index));
    }

    pub fn delete(&mut self, key: &str) {
        if self.pairs.remove(key).is_some() {
            self.index += 1;
            self.deletions.insert(key.to_owned(), self.index);
        }
    }

    /// As Consul does some time after deletions.
    pub fn forget_deletions(&mut self) {
        self.deletions.clear();
        self.nudges += 1;
    }

    /// What is found and its index.
    fn find(&self, key: &str, recurse: bool) -> (Vec<Found<'_>>, u64) {
        let is_meant = |own: &String| {
            if recurse {
                own.starts_with(key)
            } else {
                own == key
            }
        };
        let found: Vec<_> = self.pairs.iter().filter(|(own, _)| is_meant(own)).collect();
        if found.is_empty() {
            return (found, self.index.max(1));
        }
        let deleted = self
            .deletions
            .iter()
            .filter(|(own, _)| recurse && is_meant(own));
        let newest = found.iter().map(|(_, (_, index))| *index);
        let index = newest.chain(deleted.map(|(_, index)| *index)).max();
        (found, index.unwrap_or_default())
    }
}

impl Consul {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = own.clone();
                std::thread::spawn(move || serve(&stream, &shared));
            }
        });
        Self { address, shared }
    }

    /// Changes something; every question that is held looks again once it is done: one transaction.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.shared.state.lock().expect("no panic holds it");
        let result = change(&mut state);
        self.shared.changed.notify_all();
        result
    }

    pub fn set(&self, key: &str, value: &str) {
        self.change(|state| state.set(key, value));
    }
}

fn serve(stream: &TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if line.trim().is_empty() => break,
                Ok(_) => head.push(line.trim().to_owned()),
            }
        }
        let target = head[0].split(' ').nth(1).unwrap_or_default().to_owned();
        let token = head.iter().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.eq_ignore_ascii_case("x-consul-token")).then(|| value.trim().to_owned())
        });
        let Some(answer) = answer(&target, &token.unwrap_or_default(), shared) else {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        };
        if (&*stream).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(target: &str, token: &str, shared: &Shared) -> Option<String> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let option = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(own, _)| *own == name).map(|(_, value)| value)
    };
    let mut state = shared.state.lock().expect("no panic holds it");
    state.asked.push(target.to_owned());
    if state.is_down {
        return None;
    }
    if path == "/v1/status/leader" {
        let leader = if state.has_no_leader {
            ""
        } else {
            "10.0.0.1:8300"
        };
        return Some(response("200 OK", 0, &format!("\"{leader}\"")));
    }
    if state.has_no_leader {
        return Some(response(
            "500 Internal Server Error",
            0,
            "No cluster leader",
        ));
    }
    if state.token != token || state.namespace != option("ns").unwrap_or_default() {
        return Some(response(
            "403 Forbidden",
            0,
            "Permission denied: token lacks permission",
        ));
    }
    let key = decoded(path.strip_prefix("/v1/kv/")?);
    let recurse = option("recurse").is_some();
    let seen: u64 = option("index").map_or(0, |index| index.parse().expect("a number"));
    let wait = option("wait").map_or(0, |wait| {
        wait.trim_end_matches("ms").parse().expect("milliseconds")
    });
    let deadline = Instant::now() + Duration::from_millis(wait);
    let nudges = state.nudges;
    // Held while nothing is newer than what the client saw.
    while seen > 0
        && state.find(&key, recurse).1 <= seen
        && !state.is_down
        && state.nudges == nudges
    {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        state = shared
            .changed
            .wait_timeout(state, left)
            .expect("no panic")
            .0;
    }
    if state.is_down {
        return None;
    }
    let (found, index) = state.find(&key, recurse);
    if found.is_empty() {
        return Some(response("404 Not Found", index, ""));
    }
    let entries: Vec<String> = found
        .into_iter()
        .map(|(key, (value, index))| {
            let value = match &**value {
                "" => "null".to_owned(),
                value => format!("\"{}\"", base64(value.as_bytes())),
            };
            format!(
                "{{\"LockIndex\":0,\"Key\":\"{key}\",\"Flags\":0,\"Value\":{value},\"CreateIndex\":1,\"ModifyIndex\":{index}}}"
            )
        })
        .collect();
    Some(response(
        "200 OK",
        index,
        &format!("[{}]", entries.join(",")),
    ))
}

fn response(status: &str, index: u64, body: &str) -> String {
    let index = match index {
        0 => String::new(),
        index => format!("X-Consul-Index: {index}\r\n"),
    };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{index}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = (*first == b'%').then(|| std::str::from_utf8(&tail[..2]).expect("an escape"));
        match escape {
            Some(digits) => {
                bytes.push(u8::from_str_radix(digits, 16).expect("an escape"));
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
