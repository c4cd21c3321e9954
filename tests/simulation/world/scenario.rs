//! What happens in a simulated run, as data: the network's faults, what clients send and how they behave,
//! how origins answer, when the configuration changes. Not for: choosing it (`compose`), doing it (`client`,
//! `origin`, `run`).

use std::time::Duration;

use ringway::io::{ReactorConfig, SimNet};

use super::introduction::Introduction;

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
    /// Pauses before all idle connections of clients are closed, as draining does.
    pub sweeps: Vec<Duration>,
    /// Whether connections may begin with a PROXY header, and whether it is believed then.
    pub introduces: Option<bool>,
    /// By number.
    pub origins: Vec<OriginPlan>,
    /// What their names resolve to, and that of the one that nobody is.
    pub lookups: Vec<Lookup>,
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
    /// Pages are another request's.
    AnothersPage,
    /// Clients are known by another address.
    WrongSender,
    /// Requests without a password pass.
    OpenDoor,
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
    pub const ALL: [Flaw; 14] = [
        Flaw::AnothersResponse,
        Flaw::WrongByte,
        Flaw::AnsweredTwice,
        Flaw::MixedRevisions,
        Flaw::OldRevision,
        Flaw::SentTwice,
        Flaw::AnothersPage,
        Flaw::WrongSender,
        Flaw::OpenDoor,
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

/// What the name of an origin resolves to.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    /// The answer takes so long.
    pub delay: Duration,
    /// The first time there is none.
    pub fails: bool,
    /// Nobody listens at the first of its addresses.
    pub stale: bool,
    /// Later it is the name of another origin.
    pub moves: Option<(Duration, usize)>,
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
    pub garbage: Option<Garbage>,
    /// How each of its connections begins.
    pub introduction: Introduction,
}

/// What no proxy should take.
#[derive(Clone, Debug)]
pub struct Garbage {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// It is no HTTP yet, so that there is no answer either.
    pub unanswered: bool,
    /// They are all that comes.
    pub ends: bool,
}

/// How a connection ends that could go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In order.
    Close,
    /// With an end of its own direction first.
    HalfClose,
    /// With an end of its own direction behind the last request.
    EarlyHalfClose,
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
    /// With a name and a password.
    pub credentials: Credentials,
    /// With another's address in fields that only proxies set.
    pub spoofs: bool,
    /// In HTTP/1.0.
    pub old: bool,
    /// The client breaks off after so many bytes.
    pub cut: Option<(usize, Break)>,
    /// An upgrade: bytes that go each way afterwards.
    pub tunnel: Option<Tunnel>,
    /// The origin's part.
    pub answer: Answer,
}

/// The name and password that come with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Those of somebody.
    Good,
    /// None.
    None,
    /// A wrong password.
    Wrong,
    /// A name that nobody has.
    Unknown,
    /// What is no name and password.
    Malformed,
}

impl Credentials {
    /// Whether they open a route that asks for some.
    pub fn are_good(self) -> bool {
        self == Credentials::Good
    }

    /// The `Authorization` field.
    pub fn text(self) -> Option<&'static str> {
        match self {
            Credentials::Good => Some("Basic Ym9iOnB3"),
            Credentials::None => None,
            Credentials::Wrong => Some("Basic Ym9iOm5v"),
            Credentials::Unknown => Some("Basic ZXZlOnB3"),
            Credentials::Malformed => Some("Basic bob:pw"),
        }
    }
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
    /// The page that may stand for it.
    pub page: Page,
}

/// An error page, as the origin that is asked for it gives it.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its body.
    pub body: Body,
    /// Interim responses before it.
    pub interim: u32,
    /// The origin breaks off after so many bytes.
    pub cut: Option<(usize, Break)>,
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
