//! What happens in a simulated run, as data: the network's faults, what clients send and how they behave,
//! how origins answer, when the configuration changes. Not for: doing it (`client`, `origin`, `run`).

use std::time::Duration;

use ringway::io::{BufferGroup, ReactorConfig, SimNet};

use super::choices::Choices;
use super::history::{ORIGINS, ROUTERS, STEPS};

/// A run to be.
#[derive(Debug)]
pub struct Scenario {
    /// Faults, delays, sizes.
    pub net: SimNet,
    /// How many buffers there are.
    pub reactor: ReactorConfig,
    /// Every request must be answered as planned: nobody does anything wrong.
    pub calm: bool,
    /// Which history of configurations.
    pub history: u64,
    /// Where in it the run begins.
    pub first_step: usize,
    /// Pauses before each further step.
    pub changes: Vec<Duration>,
    /// By number.
    pub origins: Vec<OriginPlan>,
    /// In any order.
    pub clients: Vec<ClientPlan>,
    /// By number; clients refer to them.
    pub asks: Vec<Ask>,
    /// What is wrong on purpose, in tests of the checks.
    pub flaw: Option<Flaw>,
}

/// Something that a check must notice: what a broken proxy would do, done by an origin in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Responses are another request's.
    AnothersResponse,
    /// A byte of each body is wrong.
    WrongByte,
    /// Requests are answered twice: since the client says them twice and counts them once.
    AnsweredTwice,
    /// Responses tell of a configuration that their request has not met.
    MixedRevisions,
    /// Responses tell of a configuration of long ago.
    OldRevision,
    /// Requests reach origins twice.
    SentTwice,
    /// A task waits for ever.
    LeakedTask,
    /// A buffer is never given back.
    LeakedBuffer,
    /// A connection stays open.
    LeakedConnection,
    /// A listener stays open.
    LeakedListener,
    /// A timer stays armed.
    LeakedSleep,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Flaw; 11] = [
        Flaw::AnothersResponse,
        Flaw::WrongByte,
        Flaw::AnsweredTwice,
        Flaw::MixedRevisions,
        Flaw::OldRevision,
        Flaw::SentTwice,
        Flaw::LeakedTask,
        Flaw::LeakedBuffer,
        Flaw::LeakedConnection,
        Flaw::LeakedListener,
        Flaw::LeakedSleep,
    ];
}

/// How an origin behaves apart from its answers.
#[derive(Clone, Debug, Default)]
pub struct OriginPlan {
    /// Idle connections are closed after this time.
    pub idle: Option<Duration>,
    /// And so with a reset.
    pub reset: bool,
    /// It says something unasked while a connection is idle.
    pub babbles: bool,
    /// It stops listening at this time, and starts again as much later.
    pub closed: Option<Duration>,
}

/// What a client does.
#[derive(Clone, Debug)]
pub struct ClientPlan {
    /// When it begins.
    pub start: Duration,
    /// Its requests, by number.
    pub asks: Vec<usize>,
    /// How many requests may be under way at once.
    pub depth: usize,
    /// Pause before each look at what has arrived.
    pub slow: Duration,
    /// How it ends its connection.
    pub ending: Ending,
    /// Sent before everything else: what no proxy should take.
    pub garbage: Option<Vec<u8>>,
}

/// How a connection ends that could go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In order.
    Close,
    /// With an end of its own direction first.
    HalfClose,
    /// With a reset.
    Reset,
    /// After it was idle for some seconds.
    Idle,
}

/// How something breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// The direction ends.
    End,
    /// A reset.
    Reset,
    /// Nothing comes any more.
    Silence,
}

/// A body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// None.
    None,
    /// Of a declared length.
    Length(usize),
    /// In chunks of up to a size.
    Chunked(usize, usize),
    /// Until the connection ends: responses only.
    UntilClose(usize),
}

/// A request and its response.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The method.
    pub method: &'static str,
    /// Which router's path.
    pub router: usize,
    /// The request's body.
    pub body: Body,
    /// With `Expect: 100-continue`.
    pub expects: bool,
    /// With `Connection: close`.
    pub closes: bool,
    /// With `Idempotency-Key`.
    pub keyed: bool,
    /// In HTTP/1.0.
    pub old: bool,
    /// The client breaks off after so many bytes.
    pub cut: Option<(usize, Break)>,
    /// An upgrade: bytes that go each way afterwards.
    pub tunnel: Option<Tunnel>,
    /// The origin's part.
    pub answer: Answer,
}

/// What follows an upgrade.
#[derive(Clone, Copy, Debug)]
pub struct Tunnel {
    /// Bytes that the client sends and gets back.
    pub bytes: usize,
    /// The origin breaks off after so many.
    pub cut: Option<(usize, Break)>,
    /// The client resets instead of ending in order.
    pub reset: bool,
}

/// How the origin answers.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Body,
    /// Interim responses before it.
    pub interim: u32,
    /// Before the request's body was read.
    pub early: bool,
    /// After this time.
    pub delay: Duration,
    /// The connection closes afterwards.
    pub closes: bool,
    /// The first so many attempts end with 503.
    pub failures: u32,
    /// The origin breaks off after so many bytes.
    pub cut: Option<(usize, Break)>,
    /// Bytes that nobody asked for follow.
    pub surplus: bool,
    /// What comes is no HTTP.
    pub garbage: bool,
}

impl Body {
    /// Its length.
    pub fn len(self) -> usize {
        match self {
            Body::None => 0,
            Body::Length(len) | Body::Chunked(len, _) | Body::UntilClose(len) => len,
        }
    }
}

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
        let count = 1 + choices.below(4);
        let clients = (0..count)
            .map(|_| client(choices, mood, &mut asks))
            .collect();
        let steps = choices.below(6);
        Scenario {
            net: network,
            reactor: reactor(choices, calm),
            calm,
            history,
            first_step: choices.below((STEPS - 6) as u64) as usize,
            changes: (0..steps).map(|_| choices.millis(60)).collect(),
            origins: (0..ORIGINS).map(|_| origin(choices, mood)).collect(),
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

fn client(choices: &mut Choices, mood: Mood, asks: &mut Vec<Ask>) -> ClientPlan {
    let count = 1 + choices.below(6) as usize;
    let first = asks.len();
    for _ in 0..count {
        asks.push(ask(choices, mood));
    }
    let garbage = (mood.clients && choices.chance(1, 6)).then(|| garbage(choices));
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
            Ending::Reset,
            Ending::Idle,
        ]),
        garbage,
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
    let cut = (mood.clients && choices.chance(1, 6)).then(|| {
        let at = choices.below(200 + body.len() as u64) as usize;
        (
            at,
            choices.pick(&[Break::End, Break::Reset, Break::Silence]),
        )
    });
    Ask {
        method,
        router: choices.below(ROUTERS as u64) as usize,
        body,
        expects: body.len() > 0 && !old && choices.chance(1, 8),
        closes: choices.chance(1, 10),
        keyed: choices.chance(1, 8),
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

fn answer(choices: &mut Choices, mood: Mood) -> Answer {
    let len = length(choices, mood);
    let body = match choices.below(5) {
        0 | 1 => Body::Length(len),
        2 | 3 => Body::Chunked(len, 1 + choices.below(9_000) as usize),
        _ => Body::UntilClose(len),
    };
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
        cut: (trouble && choices.chance(1, 2)).then(|| {
            let at = choices.below(200 + len as u64) as usize;
            (
                at,
                choices.pick(&[Break::End, Break::Reset, Break::Silence]),
            )
        }),
        surplus: trouble && choices.chance(1, 4),
        garbage: trouble && choices.chance(1, 6),
    }
}

/// A request that nobody may find inside another one: its number is no ask's.
pub const HIDDEN: &str = "GET /r0/hidden HTTP/1.1\r\nHost: a\r\nX-Id: 999999\r\n\r\n";

fn garbage(choices: &mut Choices) -> Vec<u8> {
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
