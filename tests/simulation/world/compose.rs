//! What happens in a simulated run, chosen by a seed or by bytes. Not for: what there is to choose (`scenario`).

use std::time::Duration;

use ringway::io::{BufferGroup, ReactorConfig, SimNet};

use super::choices::Choices;
use super::draft::{ORIGINS, ROUTERS};
use super::history::STEPS;
use super::introduction::{Introduction, broken_introduction};
use super::scenario::{
    Answer, Ask, Body, Break, ClientPlan, Credentials, Ending, Garbage, Lookup, OriginPlan, Page,
    Scenario, Tunnel,
};

/// Lengths of bodies: around what fits one buffer; seldom around the inbox and the limit of bulk receiving.
fn length(choices: &mut Choices, mood: Mood) -> usize {
    match choices.below(24) {
        23 if !mood.crumbs => choices.pick(&[30_000, 70_000, 150_000]),
        20..23 if !mood.crumbs => choices.pick(&[9_000, 20_001]),
        _ => choices.pick(&[0, 1, 10, 500, 500, 1_200, 3_900, 4_200]),
    }
}

/// What may go wrong in a scenario.
#[derive(Clone, Copy)]
struct Mood {
    clients: bool,
    origins: bool,
    net: bool,
    changes: bool,
    /// Segments are tiny, so that large bodies would take long.
    crumbs: bool,
}

impl Scenario {
    /// The scenario of a seed.
    pub fn from_seed(seed: u64) -> Scenario {
        // Seeds that follow each other share a history, which takes long to compile.
        Self::compose(&mut Choices::Seed(seed ^ 0x5ce4_a210), seed, seed / 512)
    }

    /// The scenario that some bytes describe: for fuzzers.
    pub fn from_bytes(bytes: &[u8]) -> Scenario {
        let bytes = bytes.to_vec();
        let mut choices = Choices::Bytes { bytes, used: 0 };
        let seed = choices.below(1 << 16);
        Self::compose(&mut choices, seed, seed % 8)
    }

    fn compose(choices: &mut Choices, seed: u64, history: u64) -> Scenario {
        let (clients, origins, net, changes) = match choices.below(8) {
            0..3 => (false, false, false, false),
            3 => (true, false, false, true),
            4 => (false, true, false, true),
            5 => (false, false, true, true),
            6 => (true, true, false, true),
            _ => (true, true, true, true),
        };
        let network = if net {
            SimNet::rough(seed)
        } else {
            SimNet::varied(seed)
        };
        let crumbs = network.max_segment < 1_000 || network.window < 4_000;
        let mood = Mood {
            clients,
            origins,
            net,
            changes,
            crumbs,
        };
        let calm = !(mood.clients || mood.origins || mood.net || mood.changes);
        let mut asks = Vec::new();
        let introduces = choices.chance(1, 4).then(|| choices.chance(3, 4));
        let count = 1 + choices.below(4);
        let clients = (0..count)
            .map(|_| client(choices, mood, introduces.is_some(), &mut asks))
            .collect();
        let steps = choices.below(6);
        let sweeps = if choices.chance(1, 4) { 3 } else { 0 };
        Scenario {
            net: network,
            reactor: reactor(choices, calm),
            calm,
            history,
            first_step: choices.below((STEPS - 6) as u64) as usize,
            changes: (0..steps).map(|_| choices.millis(60)).collect(),
            sweeps: (0..sweeps).map(|_| choices.millis(60)).collect(),
            introduces,
            origins: (0..ORIGINS).map(|_| origin(choices, mood)).collect(),
            lookups: (0..=ORIGINS).map(|_| lookup(choices, mood)).collect(),
            clients,
            asks,
            flaw: None,
        }
    }
}

fn reactor(choices: &mut Choices, calm: bool) -> ReactorConfig {
    let config = ReactorConfig::default();
    let few = BufferGroup {
        count: 4,
        size: 4096,
    };
    match choices.below(4) {
        0 if !calm => ReactorConfig {
            receive_memory: 1 << 20,
            ..config
        },
        1 => ReactorConfig {
            inbox_limit: 8192,
            send_limit: 4096,
            ..config
        },
        2 => ReactorConfig {
            downstream_buffers: few,
            upstream_buffers: few,
            ..config
        },
        _ => config,
    }
}

fn origin(choices: &mut Choices, mood: Mood) -> OriginPlan {
    if !mood.origins {
        return OriginPlan::default();
    }
    OriginPlan {
        idle: choices.chance(1, 2).then(|| choices.millis(30)),
        reset: choices.chance(1, 3),
        babbles: choices.chance(1, 4),
        closed: choices.chance(1, 4).then(|| choices.millis(100)),
    }
}

fn lookup(choices: &mut Choices, mood: Mood) -> Lookup {
    let delay = match choices.below(3) {
        2 => choices.millis(30),
        _ => Duration::ZERO,
    };
    if !mood.origins {
        return Lookup {
            delay,
            ..Lookup::default()
        };
    }
    let moves = choices.chance(1, 3);
    Lookup {
        delay,
        fails: choices.chance(1, 4),
        stale: choices.chance(1, 4),
        moves: moves.then(|| (choices.millis(100), choices.below(ORIGINS as u64) as usize)),
    }
}

fn client(choices: &mut Choices, mood: Mood, introduces: bool, asks: &mut Vec<Ask>) -> ClientPlan {
    let count = 1 + choices.below(6) as usize;
    let first = asks.len();
    for _ in 0..count {
        asks.push(ask(choices, mood));
    }
    let garbage = (mood.clients && choices.chance(1, 6)).then(|| match introduces {
        true if choices.chance(1, 2) => broken_introduction(choices),
        _ => garbage(choices),
    });
    ClientPlan {
        start: choices.millis(50),
        asks: (first..asks.len()).collect(),
        depth: choices.pick(&[1, 1, 2, 8]),
        slow: match choices.below(6) {
            5 => choices.millis(200),
            _ => Duration::ZERO,
        },
        ending: choices.pick(&[
            Ending::Close,
            Ending::HalfClose,
            Ending::EarlyHalfClose,
            Ending::Reset,
            Ending::Idle,
        ]),
        garbage,
        introduction: match introduces {
            true => Introduction::compose(choices),
            false => Introduction::None,
        },
    }
}

fn ask(choices: &mut Choices, mood: Mood) -> Ask {
    let method = choices.pick(&["GET", "GET", "GET", "POST", "POST", "PUT", "HEAD", "DELETE"]);
    let body = match method {
        "POST" | "PUT" => {
            let len = length(choices, mood);
            match choices.below(2) {
                0 => Body::Length(len),
                _ => Body::Chunked(len, 1 + choices.below(5_000) as usize),
            }
        }
        _ => Body::None,
    };
    let old = choices.chance(1, 16) && !matches!(body, Body::Chunked(..));
    let tunnel = (method == "GET" && !old && choices.chance(1, 12)).then(|| tunnel(choices, mood));
    let cut = (mood.clients && choices.chance(1, 6)).then(|| cut(choices, body.len()));
    Ask {
        method,
        router: choices.below(ROUTERS as u64) as usize,
        body,
        expects: body.len() > 0 && !old && choices.chance(1, 8),
        closes: choices.chance(1, 10),
        keyed: choices.chance(1, 8),
        credentials: choices.pick(&[
            Credentials::Good,
            Credentials::Good,
            Credentials::Good,
            Credentials::Good,
            Credentials::None,
            Credentials::Wrong,
            Credentials::Unknown,
            Credentials::Malformed,
        ]),
        spoofs: choices.chance(1, 6),
        old,
        cut,
        tunnel,
        answer: answer(choices, mood),
    }
}

fn tunnel(choices: &mut Choices, mood: Mood) -> Tunnel {
    let bytes = length(choices, mood);
    let cut = (mood.origins && choices.chance(1, 3)).then(|| {
        let at = choices.below(1 + bytes as u64) as usize;
        (at, choices.pick(&[Break::End, Break::Reset]))
    });
    Tunnel {
        bytes,
        cut,
        reset: mood.clients && choices.chance(1, 4),
    }
}

fn response_body(choices: &mut Choices, mood: Mood) -> Body {
    let len = length(choices, mood);
    match choices.below(5) {
        0 | 1 => Body::Length(len),
        2 | 3 => Body::Chunked(len, 1 + choices.below(9_000) as usize),
        _ => Body::UntilClose(len),
    }
}

/// Where something of so many bytes breaks off, and how.
fn cut(choices: &mut Choices, len: usize) -> (usize, Break) {
    let at = choices.below(200 + len as u64) as usize;
    (
        at,
        choices.pick(&[Break::End, Break::Reset, Break::Silence]),
    )
}

fn page(choices: &mut Choices, mood: Mood) -> Page {
    let body = response_body(choices, mood);
    let breaks = mood.origins && choices.chance(1, 4);
    Page {
        body,
        interim: u32::from(choices.chance(1, 4)),
        cut: breaks.then(|| cut(choices, body.len())),
    }
}

fn answer(choices: &mut Choices, mood: Mood) -> Answer {
    let body = response_body(choices, mood);
    let trouble = mood.origins && choices.chance(1, 3);
    Answer {
        status: choices.pick(&[200, 200, 200, 404, 500, 204, 304]),
        body,
        interim: if choices.chance(1, 10) {
            choices.below(3) as u32
        } else {
            0
        },
        early: choices.chance(1, 10),
        delay: match choices.below(3) {
            0 => Duration::ZERO,
            1 => choices.millis(5),
            _ => choices.millis(60),
        },
        closes: choices.chance(1, 8),
        failures: if choices.chance(1, 10) {
            choices.below(4) as u32
        } else {
            0
        },
        cut: (trouble && choices.chance(1, 2)).then(|| cut(choices, body.len())),
        surplus: trouble && choices.chance(1, 4),
        garbage: trouble && choices.chance(1, 6),
        page: page(choices, mood),
    }
}

/// A request that nobody may find inside another one: its number is no ask's.
pub const HIDDEN: &str = "GET /r0/hidden HTTP/1.1\r\nHost: a\r\nX-Id: 999999\r\n\r\n";

fn garbage(choices: &mut Choices) -> Garbage {
    Garbage {
        bytes: garbage_bytes(choices),
        unanswered: false,
        ends: false,
    }
}

fn garbage_bytes(choices: &mut Choices) -> Vec<u8> {
    let post = "POST /r0/x HTTP/1.1\r\nHost: a\r\n";
    let text = match choices.below(10) {
        0 => format!(
            "{post}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"
        ),
        1 => format!("{post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        2 => format!("{post}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc{HIDDEN}"),
        3 => format!("{post}Content-Length: +3\r\n\r\nabc{HIDDEN}"),
        4 => format!("{post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        5 => format!("GET /r0/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n{HIDDEN}"),
        6 => format!("GET /r0/x HTTP/1.1\r\n Host: a\r\n\r\n{HIDDEN}"),
        7 => format!("GET /r0/x\r\n\r\n{HIDDEN}"),
        8 => format!("{post}Content-Length: 0x3\r\n\r\nabc{HIDDEN}"),
        _ => {
            let len = choices.below(300);
            // No request begins with a zero, so that a fuzzer cannot make one of it.
            return std::iter::once(0)
                .chain((0..len).map(|_| choices.below(256) as u8))
                .collect();
        }
    };
    text.into_bytes()
}
