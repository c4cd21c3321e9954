//! What a simulated network and kernel is like: its delays and sizes, and how often which fault happens.
//! Not for: how a fault is done (`super` and its other modules).

use std::fmt;
use std::time::Duration;

use super::random::Random;

/// Parameters of a simulated network and kernel. The same values give the same run.
#[derive(Clone, Debug)]
pub struct SimNet {
    /// Decides sizes, delays and races.
    pub seed: u64,
    /// Longest one-way delay of a segment.
    pub max_latency: Duration,
    /// Largest segment in bytes.
    pub max_segment: usize,
    /// Bytes in transit or unread per direction, above which a send waits.
    pub window: usize,
    /// How often which fault happens.
    pub rates: Rates,
    /// Breaks the simulator itself: for tests which prove that a check can fail.
    pub sabotage: Option<Sabotage>,
}

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Something that goes wrong, or another way than usual, in a simulated kernel or network.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Fault {
            $($(#[$doc])* $name,)*
        }

        impl Fault {
            /// Every fault.
            pub const ALL: &[Fault] = &[$(Fault::$name),*];

            /// Its name in reports.
            pub fn name(self) -> &'static str {
                match self {
                    $(Fault::$name => $text,)*
                }
            }
        }
    };
}

faults! {
    /// A receive finds no buffer: ENOBUFS.
    StarvedReceive = "starved receive",
    /// A multishot operation brings its result and ends.
    EndedMultishot = "ended multishot",
    /// An operation that nobody cancelled ends with ECANCELED, EINTR or EAGAIN before it did anything.
    Interruption = "interruption",
    /// A send completes with a part of its bytes.
    ShortSend = "short send",
    /// A completion is told some turns later, and with it all later ones of the same socket.
    HeldCompletion = "held completion",
    /// The completions of a turn are told in another order, that of each socket kept.
    ReorderedTurn = "reordered turn",
    /// The submission queue is full: the kernel takes a part, in order, and the rest in later turns.
    FullQueue = "full queue",
    /// A cancel finds its operation running: it ends later, with its result or cancelled.
    LateCancel = "late cancel",
    /// The path resets a connection, for both ends.
    Reset = "reset",
    /// A connect is refused, or finds no route.
    FailedConnect = "failed connect",
    /// A connect gets no answer: it fails after two minutes unless somebody cancels it.
    SilentConnect = "silent connect",
    /// No descriptor or memory for a socket that is to be made: EMFILE, ENFILE, ENOBUFS.
    NoSocket = "no socket",
    /// No descriptor or memory for a connection that is to be accepted: EMFILE, ENFILE, ENOBUFS, ENOMEM.
    NoAccept = "no accept",
    /// A connection is reset before it is accepted: ECONNABORTED, or a socket without a peer.
    GoneBeforeAccept = "gone before accept",
}

impl Fault {
    const COUNT: usize = Fault::ALL.len();

    /// Whether streams do not show it: bytes arrive, in order, only later or in other pieces.
    pub fn is_harmless(self) -> bool {
        (self as usize) < Fault::Reset as usize
    }
}

/// How often each fault happens: once in so many opportunities; 0: never.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rates([u32; Fault::COUNT]);

impl Rates {
    /// No faults.
    pub const NONE: Rates = Rates([0; Fault::COUNT]);

    /// One in `n` for `fault`; 0: never.
    pub fn set(&mut self, fault: Fault, n: u32) {
        self.0[fault as usize] = n;
    }

    /// One in how many; 0: never.
    pub fn get(&self, fault: Fault) -> u32 {
        self.0[fault as usize]
    }

    /// Whether any fault happens that streams show.
    pub fn are_harmful(&self) -> bool {
        Fault::ALL
            .iter()
            .any(|&fault| !fault.is_harmless() && self.get(fault) > 0)
    }
}

impl fmt::Debug for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some = Fault::ALL.iter().filter(|&&fault| self.get(fault) > 0);
        f.debug_map()
            .entries(some.map(|&fault| (fault.name(), self.get(fault))))
            .finish()
    }
}

/// How many of each fault have happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts([u64; Fault::COUNT]);

impl FaultCounts {
    pub(super) fn count(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    /// How many of `fault` have happened.
    pub fn get(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &FaultCounts) {
        self.0
            .iter_mut()
            .zip(other.0)
            .for_each(|(own, other)| *own += other);
    }
}

/// Ways to break the simulator, each of which a check must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// A final completion is never told.
    LoseCompletion,
    /// A final completion is told twice.
    RepeatCompletion,
    /// Bytes reach another connection.
    MisdeliverBytes,
    /// A received buffer is written to after it was handed out.
    WriteLate,
    /// A closed socket stays open.
    KeepSocket,
    /// Cancels do nothing.
    IgnoreCancels,
}

impl SimNet {
    /// A network that the seed decides, with a mix of all harmless faults: streams behave as without them.
    pub fn new(seed: u64) -> SimNet {
        let mut random = Random::new(seed ^ 0x6e65_7477_6f72_6b21);
        let mut rates = Rates::NONE;
        for &fault in Fault::ALL.iter().filter(|fault| fault.is_harmless()) {
            rates.set(fault, random.pick(&[0, 50, 50, 10, 4]));
        }
        SimNet {
            seed,
            max_latency: Duration::from_millis(3),
            max_segment: 3000,
            window: 64 << 10,
            rates,
            sabotage: None,
        }
    }

    /// As [`SimNet::new`], and every seed has delays, sizes and windows of its own.
    pub fn varied(seed: u64) -> SimNet {
        let mut random = Random::new(seed ^ 0x7661_7269_6564_2121);
        SimNet {
            max_latency: Duration::from_micros(random.pick(&[0, 30, 300, 3_000, 50_000])),
            max_segment: random.pick(&[20, 300, 1460, 3000, 16_000, 64_000]),
            window: random.pick(&[2_000, 16_000, 64_000, 64_000, 256_000]),
            ..SimNet::new(seed)
        }
    }

    /// As [`SimNet::varied`], with harmful faults too: a few kinds per seed, often or seldom.
    pub fn rough(seed: u64) -> SimNet {
        let mut net = SimNet::varied(seed);
        let mut random = Random::new(seed ^ 0x726f_7567_6821_2121);
        for &fault in Fault::ALL.iter().filter(|fault| !fault.is_harmless()) {
            let seldom = if fault == Fault::Reset { 20 } else { 3 };
            net.rates
                .set(fault, random.pick(&[0, 0, 0, seldom, seldom * 4]));
        }
        net
    }
}
