//! A turn of the simulated kernel: what is due happens, operations go on, completions are told. Not for: what
//! operations do (`traffic`, `connecting`).

use std::sync::PoisonError;

use super::super::super::buffer::Pool;
use super::super::super::instant::Instant;
use super::super::{Completion, Token, Wait};
use super::net::{Fault, Sabotage};
use super::random::mix;
use super::{Event, Finished, Sim};

impl Sim {
    pub(in super::super) fn turn(
        &mut self,
        wait: Wait,
        now: Instant,
        pool: &Pool,
        out: &mut Vec<Completion>,
    ) {
        // A turn takes some time.
        self.now = self.now.max(now.as_nanos()) + 1 + self.random.below(20_000);
        self.take_submissions();
        let wait = if self.submissions.is_empty() {
            wait
        } else {
            Wait::No
        };
        loop {
            self.close_orphans();
            self.pass(pool);
            self.tell(out);
            if self.notifier.is_pending() {
                out.push(Completion {
                    token: Token::WAKE,
                    result: 8,
                    more: true,
                    chunk: None,
                });
            }
            let Wait::Until(end) = wait else { return };
            if !out.is_empty() || end.is_some_and(|end| end.as_nanos() <= self.now) {
                return;
            }
            let event = self.events.peek().map(|due| due.at);
            let held = self.finished.iter().map(|finished| finished.at).min();
            let next = [event, held, end.map(Instant::as_nanos)]
                .into_iter()
                .flatten()
                .min();
            let next =
                next.expect("simulated deadlock: every task waits, and nothing is under way");
            self.now = self.now.max(next);
        }
    }

    /// Lets everything happen that is due, and operations go on.
    fn pass(&mut self, pool: &Pool) {
        self.write_late();
        while self.events.peek().is_some_and(|due| due.at <= self.now)
            && let Some(due) = self.events.pop()
        {
            self.happen(due.event);
        }
        while !self.touched.is_empty() {
            let mut touched = std::mem::take(&mut self.touched);
            let start = self.random.below(touched.len() as u64) as usize;
            touched.rotate_left(start);
            for fd in touched {
                if let Some(socket) = self.sockets.stream_mut(fd) {
                    socket.touched = false;
                }
                self.progress(fd, pool);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Bytes(fd, count) => self.bytes_arrive(fd, count),
            Event::Eof(fd) => self.end_arrives(fd),
            Event::Reset(fd) => self.reset_arrives(fd),
            Event::Connect(fd, target) => self.establish(fd, target),
            Event::ConnectFails(fd, errno) => self.connect_fails(fd, errno),
            Event::Cancel(token) => self.cancel_now(token),
        }
    }

    /// Hands completions out, but those that are held.
    fn tell(&mut self, out: &mut Vec<Completion>) {
        if self.finished.is_empty() {
            return;
        }
        let mut told: Vec<Finished> = self
            .finished
            .extract_if(.., |finished| finished.at <= self.now)
            .collect();
        if told.len() > 1 && self.strikes(Fault::ReorderedTurn) {
            let salt = self.random.next();
            told.sort_by_key(|finished| mix(salt ^ finished.fd as u64));
        }
        for Finished { completion, .. } in told {
            if !completion.more && self.sabotages_now(Sabotage::LoseCompletion) {
                continue;
            }
            if !completion.more && self.sabotages_now(Sabotage::RepeatCompletion) {
                // Past the ledger: whether those above notice is the question.
                let Completion { token, result, .. } = completion;
                out.push(Completion {
                    token,
                    result,
                    more: false,
                    chunk: None,
                });
            }
            self.ledger.told(completion.token, completion.more);
            self.note(completion.token.0.rotate_left(17) ^ self.now ^ completion.result as u64);
            out.push(completion);
        }
    }

    fn close_orphans(&mut self) {
        let orphans =
            std::mem::take(&mut *self.orphans.lock().unwrap_or_else(PoisonError::into_inner));
        orphans.into_iter().for_each(|fd| self.close_now(fd));
    }
}
