//! What everybody in a scenario saw, and the rules over it: nobody's request is answered with another's
//! response, or twice, or sent on more often than its route allows, or by parts of two configurations.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use super::gate::Gate;
use super::history::{ATTEMPTS, Around, History, Labels};
use super::message::Head;
use super::scenario::{Ask, Flaw, Scenario};

/// Requests that a pooled connection lost may be sent twice per attempt.
const SENDS_PER_ATTEMPT: u32 = 2;

/// The common knowledge of a run.
pub struct Book {
    /// What was planned.
    pub scenario: Scenario,
    /// The configurations.
    pub history: Rc<History>,
    /// Which of them is in force.
    pub step: Cell<usize>,
    /// Clients that have not finished.
    pub clients: Gate<usize>,
    /// Origins shall end.
    pub ending: Gate<bool>,
    /// Responses that came as planned.
    pub answered: Cell<u64>,
    /// Responses of the proxy's own.
    pub refused: Cell<u64>,
    /// Tunnels that came about.
    pub tunnels: Cell<u64>,
    seen: RefCell<Vec<u32>>,
    shifted: RefCell<BTreeSet<usize>>,
    violations: RefCell<Vec<String>>,
}

impl Book {
    /// An empty one.
    pub fn new(scenario: Scenario, history: Rc<History>) -> Rc<Book> {
        Rc::new(Book {
            step: Cell::new(scenario.first_step),
            clients: Gate::default(),
            ending: Gate::default(),
            answered: Cell::default(),
            refused: Cell::default(),
            tunnels: Cell::default(),
            seen: RefCell::new(vec![0; scenario.asks.len()]),
            shifted: RefCell::default(),
            violations: RefCell::default(),
            scenario,
            history,
        })
    }

    /// A rule is broken.
    pub fn violate(&self, what: String) {
        self.violations.borrow_mut().push(what);
    }

    /// What was broken.
    pub fn violations(&self) -> Vec<String> {
        self.violations.borrow().clone()
    }

    /// The ask whose request an origin got, and how often it has come by now.
    pub fn arrives(&self, head: &Head) -> Option<(usize, u32)> {
        let ids: Vec<&(String, String)> = head
            .fields
            .iter()
            .filter(|(name, _)| name == "x-id")
            .collect();
        let id = match ids[..] {
            [(_, id)] => id
                .parse()
                .ok()
                .filter(|&id: &usize| id < self.scenario.asks.len()),
            _ => None,
        };
        let Some(id) = id else {
            self.violate(format!(
                "an origin got a request that nobody made: {head:?}"
            ));
            return None;
        };
        let ask = &self.scenario.asks[id];
        let labels = Labels {
            router: head.get("x-router").unwrap_or_default().into(),
            middleware: head.get("x-middleware").unwrap_or_default().into(),
            service: head.line.split('/').nth(1).unwrap_or_default().into(),
        };
        let around = self.around_of(ask.router, &labels);
        let Some(around) = around else {
            self.violate(format!(
                "request {id} met parts of several configurations: {labels:?}"
            ));
            return None;
        };
        let want = format!(
            "{} /{}/r{}/{id} HTTP/1.1",
            ask.method, labels.service, ask.router
        );
        if head.line != want {
            self.violate(format!("an origin got {:?} instead of {want:?}", head.line));
        }
        let mut seen = self.seen.borrow_mut();
        seen[id] += if self.scenario.flaw == Some(Flaw::SentTwice) {
            2
        } else {
            1
        };
        let most = allowed(ask, around);
        if seen[id] > most {
            self.violate(format!(
                "request {id} was sent {} times, {around:?} allows {most}",
                seen[id]
            ));
        }
        Some((id, seen[id]))
    }

    /// What the router does around, if these labels belong together in some configuration until now.
    fn around_of(&self, router: usize, labels: &Labels) -> Option<Around> {
        let steps = &self.history.steps[self.scenario.first_step..=self.step.get()];
        steps.iter().rev().find_map(|step| {
            let (known, around, _) = step.router(router)?;
            (known == labels).then_some(*around)
        })
    }

    /// Whether a property of a route may have held for a request made when step `from` was in force.
    pub fn possible(
        &self,
        from: usize,
        router: usize,
        holds: impl Fn(Option<Around>, &[usize]) -> bool,
    ) -> bool {
        let steps = &self.history.steps[from..=self.step.get()];
        steps.iter().any(|step| match step.router(router) {
            Some((_, around, servers)) => holds(Some(*around), servers),
            None => holds(None, &[]),
        })
    }

    /// Checks that an origin's response met the configuration that its request had met, and that this was in
    /// force after the request was made.
    pub fn check_labels(&self, id: usize, from: usize, head: &Head) {
        let field = |name| head.get(name).unwrap_or_default();
        let seen = field("x-seen");
        let back = format!("{};{};", field("x-router-back"), field("x-middleware-back"));
        if !seen.starts_with(&back) {
            self.violate(format!("request {id} met {seen:?}, its response {back:?}"));
        }
        let mut parts = seen.split(';').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        let labels = Labels {
            router: next(),
            middleware: next(),
            service: next(),
        };
        let router = self.scenario.asks[id].router;
        let steps = &self.history.steps[from..=self.step.get()];
        if !steps.iter().any(|step| {
            step.router(router)
                .is_some_and(|(known, ..)| *known == labels)
        }) {
            self.violate(format!(
                "request {id} met {labels:?}, which was not in force while it ran"
            ));
        }
    }

    /// An ask is answered on a connection on which its origin had spoken unasked before.
    pub fn shift(&self, id: usize) {
        self.shifted.borrow_mut().insert(id);
    }

    /// Whether a message may have met another ask than its own. What an origin says unasked while a request
    /// is on its way is that request's response, as far as HTTP/1 can tell, and its own is the next one's.
    pub fn is_shifted(&self, head: &Head) -> bool {
        let id = head.get("x-id").and_then(|id| id.parse().ok());
        id.is_some_and(|id: usize| self.shifted.borrow().contains(&id))
    }

    /// How often an ask's request reached an origin.
    pub fn times_seen(&self, id: usize) -> u32 {
        self.seen.borrow()[id]
    }
}

/// How often a request may reach origins.
fn allowed(ask: &Ask, around: Around) -> u32 {
    let idempotent = ask.method != "POST";
    let attempts = match around {
        Around::RetryAll => ATTEMPTS,
        Around::Retry if idempotent => ATTEMPTS,
        _ => 1,
    };
    let safe = matches!(ask.method, "GET" | "HEAD") || ask.keyed;
    attempts * if safe { SENDS_PER_ATTEMPT } else { 1 }
}
