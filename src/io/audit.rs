//! Numbers and rules for checks: what a reactor holds, and whether its parts agree with each other and
//! with the simulated kernel. Reads only, and only when asked. Not for: statistics of a running proxy
//! (`stats`).

use super::connection::{Connection, Phase, Receive, Shutdown};
use super::core::Core;
use super::driver::{FaultCounts, Group, Kind, Token};
use super::reactor::Handle;
use super::slab::Key;

/// Everything that a reactor holds now. At rest, with all listeners closed, all of it is zero, except
/// tasks that somebody started to stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Records of connections: streams, parked, closing.
    pub connections: usize,
    /// Streams.
    pub streams: usize,
    /// Listeners.
    pub listeners: usize,
    /// Connects under way.
    pub connects: usize,
    /// Accepted connections that nobody has taken yet.
    pub accepted: usize,
    /// Sleeps that wait.
    pub sleepers: usize,
    /// Armed timers.
    pub timers: usize,
    /// Tasks.
    pub tasks: usize,
    /// Those of them that wait for a connection with bytes.
    pub waiting_workers: usize,
    /// Pooled buffers in use.
    pub buffers: usize,
    /// Buffers that were written to after they had been returned; in simulations, else zero.
    pub spoiled_buffers: usize,
    /// Operations without their final completion; in simulations, else zero.
    pub operations: usize,
    /// Open sockets of the simulated kernel; else zero.
    pub sockets: usize,
}

impl Core {
    fn census(&self) -> Census {
        let simulator = self.driver.simulator();
        Census {
            connections: self.connections.len(),
            streams: self.stats.streams.get() as usize,
            listeners: self.listeners.len(),
            connects: self.connects.len(),
            accepted: self.accepted.len(),
            sleepers: self.sleepers.len(),
            timers: self.wheel.len(),
            tasks: self.stats.tasks.get() as usize,
            waiting_workers: self.ready.waiting_workers(),
            buffers: self.pool.in_use().0,
            spoiled_buffers: self.pool.spoiled(),
            operations: simulator.map_or(0, |simulator| simulator.in_flight()),
            sockets: simulator.map_or(0, |simulator| simulator.open_sockets()),
        }
    }

    /// The first rule that does not hold between two turns.
    fn audit(&self) -> Result<(), String> {
        let mut operations = 0;
        let mut phases = [0; 3];
        let mut downstream = 0;
        for (key, connection) in self.connections.iter() {
            operations += usize::from(connection.sending);
            operations += usize::from(connection.receive != Receive::Idle);
            downstream += usize::from(connection.group == Group::Downstream);
            match connection.phase {
                Phase::Open => phases[0] += 1,
                Phase::ParkedDownstream => phases[1] += 1,
                Phase::ParkedUpstream => phases[2] += 1,
                _ => {}
            }
            if let Some(rule) = self.broken_rule(key, connection) {
                return Err(format!("{rule}: {key:?}, {}", describe(connection)));
            }
        }
        let stats = &self.stats;
        let gauges = [
            &stats.streams,
            &stats.parked_downstream,
            &stats.parked_upstream,
        ];
        for (gauge, phase) in gauges.into_iter().zip(phases) {
            if gauge.get() != phase {
                return Err(format!("a gauge says {} where {phase} are", gauge.get()));
            }
        }
        if stats.downstream_connections.get() != downstream as u64 {
            return Err("the gauge of accepted connections is wrong".into());
        }
        for (key, listener) in self.listeners.iter() {
            let token = listener.accept_token(key);
            operations += usize::from(token.is_some());
            let full = self.accepted.len() > self.config.accept_queue_limit / 2;
            match token {
                Some(token) if !self.is_in_flight(token) => {
                    return Err(format!(
                        "a listener waits for an accept that is not under way: {key:?}"
                    ));
                }
                None if !listener.is_pausing() && !full => {
                    return Err(format!("a listener neither accepts nor pauses: {key:?}"));
                }
                _ => {}
            }
        }
        for (key, connect) in self.connects.iter() {
            operations += usize::from(connect.is_under_way());
            if connect.is_under_way() && !self.is_in_flight(Token::new(Kind::Connect, key, 0)) {
                return Err(format!("a connect waits for nothing: {key:?}"));
            }
        }
        match self
            .driver
            .simulator()
            .map(|simulator| simulator.in_flight())
        {
            Some(n) if n != operations => Err(format!(
                "{n} operations are in flight, and slots wait for {operations}"
            )),
            _ => Ok(()),
        }
    }

    /// Whether a slot may wait for an operation; always in a driver that keeps no book.
    fn is_in_flight(&self, token: Token) -> bool {
        self.driver
            .simulator()
            .is_none_or(|simulator| simulator.is_in_flight(token))
    }

    /// The first rule that a connection breaks.
    fn broken_rule(&self, key: Key, c: &Connection) -> Option<&'static str> {
        let receives = c.receive != Receive::Idle;
        let ended = c.eof || c.is_broken() || c.timed_out;
        let listens = receives || c.starved;
        if c.sending && !self.is_in_flight(Token::new(Kind::Send, key, 0)) {
            return Some("a connection waits for a send that is not under way");
        }
        if receives && !self.is_in_flight(c.receive_token(key)) {
            return Some("a connection waits for a receive that is not under way");
        }
        if c.starved && !self.starved.contains(&key) && !self.starved_heads.contains(&key) {
            return Some("a starved connection waits in no list");
        }
        if c.unsent && !self.unsent.contains(&key) {
            return Some("a connection with bytes to send waits in no list");
        }
        match c.phase {
            Phase::Open => {}
            Phase::Ready if !self.ready.contains(key) => {
                return Some("a connection with bytes is offered to no worker");
            }
            Phase::ParkedDownstream if !listens || c.inbox_len() > 0 || ended => {
                return Some("a parked connection would not wake up, or should have");
            }
            Phase::ParkedUpstream if !listens || !c.is_clean() => {
                return Some("a pooled connection is not clean, or would not notice its end");
            }
            Phase::Doomed if !self.closing.contains(&key) => {
                return Some("a connection to be closed waits in no list");
            }
            Phase::Closing if !(receives || c.sending) => {
                return Some("a closing connection waits for nothing");
            }
            Phase::Lingering if c.deadline <= self.now && !receives => {
                return Some("a lingering connection has outlived its deadline");
            }
            _ => {}
        }
        let active = c.active.as_ref()?;
        let inbox: usize = active.inbox.iter().map(|chunk| chunk.len()).sum();
        let outbox: usize = active.outbox.iter().map(|chunk| chunk.len()).sum();
        if inbox != active.inbox_len || outbox != active.queued {
            return Some("a queue's length is wrong");
        }
        if !c.sending && active.in_flight > 0 || active.in_flight > active.outbox.len() {
            return Some("a send that is not under way carries chunks");
        }
        let stuck = outbox > 0 && !c.sending && !c.unsent && !c.is_broken();
        if stuck
            && c.shutdown != Shutdown::Done
            && !matches!(c.phase, Phase::Doomed | Phase::Closing)
        {
            return Some("queued bytes wait for nothing");
        }
        let deaf = active.read_waker.is_some() && inbox == 0 && !listens && !ended;
        if deaf && c.phase == Phase::Open {
            return Some("a reader waits for nothing");
        }
        None
    }
}

fn describe(c: &Connection) -> String {
    format!(
        "{:?} {:?} {:?}{}{}{}{}{} errno {}/{}, inbox {}, outbox {}",
        c.group,
        c.phase,
        c.receive,
        if c.sending { " sending" } else { "" },
        if c.starved { " starved" } else { "" },
        if c.bulk { " bulk" } else { "" },
        if c.eof { " eof" } else { "" },
        if c.active
            .as_ref()
            .is_some_and(|active| active.read_waker.is_some())
        {
            " awaited"
        } else {
            ""
        },
        c.error,
        c.send_error,
        c.inbox_len(),
        c.queued(),
    )
}

impl Handle {
    /// What the reactor holds now.
    pub fn census(&self) -> Census {
        self.core().census()
    }

    /// Looks whether the reactor's parts agree: every slot has the operations that it waits for, every
    /// operation its slot, whoever waits is in a list, pooled connections are clean.
    ///
    /// # Errors
    /// The first rule that is broken, and by what.
    pub fn audit(&self) -> Result<(), String> {
        self.core().audit()
    }

    /// Every connection's state in words.
    pub fn inventory(&self) -> Vec<String> {
        let core = self.core();
        core.connections
            .iter()
            .map(|(key, connection)| format!("{key:?}: {}", describe(connection)))
            .collect()
    }

    /// From now on buffers that come back are overwritten, so that whoever still reads them notices.
    pub fn poison_buffers(&self) {
        self.core().pool.poison();
    }

    /// How many of each fault a simulated network has made; none on a real one.
    pub fn faults(&self) -> FaultCounts {
        let core = self.core();
        core.driver
            .simulator()
            .map(|simulator| simulator.faults())
            .unwrap_or_default()
    }

    /// A number that everything decides which a simulated kernel was asked and has told; 0 on a real one.
    pub fn trace(&self) -> u64 {
        self.core()
            .driver
            .simulator()
            .map_or(0, |simulator| simulator.trace())
    }
}
