//! What everybody in a scenario saw, and the rules over it: nobody's request is answered with another's
//! response, or twice, or sent on more often than its route allows, or by parts of two configurations.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;

use super::draft::{ATTEMPTS, Around, Labels, Route, Server, Target, USER};
use super::gate::Gate;
use super::history::{History, Step};
use super::message::Head;
use super::scenario::{Ask, Credentials, Flaw, Scenario};

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
    /// Idle connections of clients were closed.
    pub swept: Cell<bool>,
    /// Origins shall end.
    pub ending: Gate<bool>,
    /// Responses that came as planned.
    pub answered: Cell<u64>,
    /// Responses of the proxy's own.
    pub refused: Cell<u64>,
    /// Tunnels that came about.
    pub tunnels: Cell<u64>,
    /// How often origins got each ask's request, and requests for a page in place of its answer.
    seen: RefCell<Vec<[u32; 2]>>,
    /// Who has sent each ask, as the proxy should tell it.
    senders: RefCell<Vec<Option<IpAddr>>>,
    /// Connections of clients that have said whom they are from.
    pub introduced: Cell<u32>,
    shifted: RefCell<BTreeSet<usize>>,
    violations: RefCell<Vec<String>>,
}

impl Book {
    /// An empty one.
    pub fn new(scenario: Scenario, history: Rc<History>) -> Rc<Book> {
        Rc::new(Book {
            step: Cell::new(scenario.first_step),
            clients: Gate::default(),
            swept: Cell::default(),
            ending: Gate::default(),
            answered: Cell::default(),
            refused: Cell::default(),
            tunnels: Cell::default(),
            seen: RefCell::new(vec![[0; 2]; scenario.asks.len()]),
            senders: RefCell::new(vec![None; scenario.asks.len()]),
            introduced: Cell::default(),
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

    /// An ask is sent, by whom the proxy should tell.
    pub fn sends(&self, id: usize, sender: IpAddr) {
        let sender = match self.scenario.flaw {
            Some(Flaw::WrongSender) => [192, 0, 2, 1].into(),
            _ => sender,
        };
        self.senders.borrow_mut()[id] = Some(sender);
    }

    /// The ask whose request origin `number` got.
    pub fn arrives(&self, head: &Head, number: usize) -> Option<Arrival> {
        let id = match head.all("x-id")[..] {
            [id] => id
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
        let steps = &self.history.steps[self.scenario.first_step..=self.step.get()];
        let Some(met) = met(steps, ask.router, &labels) else {
            self.violate(format!(
                "request {id} met parts of several configurations: {labels:?}"
            ));
            return None;
        };
        self.check_sender(id, head);
        self.check_credentials(id, met.route.around, head);
        if !self.may_serve(&met.service.servers, number) {
            self.violate(format!(
                "request {id} met origin {number}, which is none of {:?}",
                met.service
            ));
        }
        let page = if met.is_page {
            Some(self.asked_page(id, head)?)
        } else {
            let want = format!(
                "{} /{}/r{}/{id} HTTP/1.1",
                ask.method, labels.service, ask.router
            );
            if head.line != want {
                self.violate(format!("an origin got {:?} instead of {want:?}", head.line));
            }
            None
        };
        let mut seen = self.seen.borrow_mut();
        let seen = &mut seen[id][usize::from(met.is_page)];
        *seen += if self.scenario.flaw == Some(Flaw::SentTwice) {
            2
        } else {
            1
        };
        let (around, most) = match met.is_page {
            // A page is asked for once, and that is safe.
            true => (met.route.around, SENDS_PER_ATTEMPT),
            false => (met.route.around, allowed(ask, met.route.around)),
        };
        if *seen > most {
            self.violate(format!(
                "request {id} was sent {seen} times, {around:?} allows {most}"
            ));
        }
        let time = *seen;
        Some(Arrival { id, time, page })
    }

    /// The status whose page is asked for in place of an ask's answer.
    fn asked_page(&self, id: usize, head: &Head) -> Option<u16> {
        let ask = &self.scenario.asks[id];
        let status = head
            .line
            .split('/')
            .nth(2)
            .and_then(|status| status.parse().ok());
        let want = format!(
            "/{}/http%3A%2F%2Fa.test%2Fr{}%2F{id} HTTP/1.1",
            status.unwrap_or(0),
            ask.router
        );
        if !head.line.starts_with("GET /") || !head.line.ends_with(&want) {
            self.violate(format!(
                "an origin got {:?} instead of a request for {want:?}",
                head.line
            ));
        }
        status
    }

    /// The proxy must tell who the client is, and nothing else that a client says of itself.
    fn check_sender(&self, id: usize, head: &Head) {
        let Some(sender) = self.senders.borrow()[id] else {
            return self.violate(format!("request {id} was not sent yet"));
        };
        for name in ["x-forwarded-for", "x-real-ip"] {
            let told = head.all(name);
            if told != [sender.to_string()] {
                self.violate(format!(
                    "the {name} of request {id} from {sender} is {told:?}"
                ));
            }
        }
    }

    /// Who has no password does not pass; whoever passes is known by name, and the password is not handed on.
    fn check_credentials(&self, id: usize, around: Around, head: &Head) {
        let credentials = match self.scenario.flaw {
            Some(Flaw::OpenDoor) if around.asks_for_password() => Credentials::None,
            _ => self.scenario.asks[id].credentials,
        };
        let (user, secret) = match around.asks_for_password() {
            true if !credentials.are_good() => {
                return self.violate(format!("request {id} passed with {credentials:?}"));
            }
            true => (Some(USER), None),
            false => (None, credentials.text()),
        };
        if head.get("x-user") != user || head.get("authorization") != secret {
            self.violate(format!(
                "request {id} with {credentials:?} arrives behind {around:?} as {head:?}"
            ));
        }
    }

    /// Whether an origin is one of these servers, by its address or by what its name resolved to.
    fn may_serve(&self, servers: &[Server], number: usize) -> bool {
        servers.iter().any(|server| {
            let lookup = &self.scenario.lookups[server.origin];
            let moved = server.named && lookup.moves.is_some_and(|(_, to)| to == number);
            server.weight > 0 && (server.origin == number || moved)
        })
    }

    /// Whether a property of a route may have held for a request made when step `from` was in force.
    pub fn possible(
        &self,
        from: usize,
        router: usize,
        holds: impl Fn(Option<&Route>) -> bool,
    ) -> bool {
        let steps = &self.history.steps[from..=self.step.get()];
        steps.iter().any(|step| holds(step.router(router)))
    }

    /// Checks that an origin's response met the configuration that its request had met, and that this was in
    /// force after the request was made. What its route does around, if all is well.
    pub fn check_labels(&self, id: usize, from: usize, head: &Head) -> Option<Around> {
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
        let met = met(steps, router, &labels);
        if met.is_none() {
            self.violate(format!(
                "request {id} met {labels:?}, which was not in force while it ran"
            ));
        }
        met.map(|met| met.route.around)
    }

    /// Checks the same of a response of the proxy's own: it passes its route's middlewares, or met no route.
    pub fn check_own_labels(&self, id: usize, from: usize, head: &Head) {
        let (router, middleware) = (head.get("x-router-back"), head.get("x-middleware-back"));
        let is_met = |route: Option<&Route>| match (router, middleware) {
            (None, None) => true,
            (Some(router), Some(middleware)) => {
                route.is_some_and(|route| route.router == router && route.middleware == middleware)
            }
            _ => false,
        };
        if !self.possible(from, self.scenario.asks[id].router, is_met) {
            self.violate(format!(
                "the proxy's own response to request {id} met {router:?} and {middleware:?}"
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
        self.seen.borrow()[id][0]
    }

    /// How often a page was asked for in place of its answer.
    pub fn times_page_seen(&self, id: usize) -> u32 {
        self.seen.borrow()[id][1]
    }
}

/// A request that an origin got.
#[derive(Clone, Copy)]
pub struct Arrival {
    /// Whose it is.
    pub id: usize,
    /// How often it has come by now.
    pub time: u32,
    /// A page is asked for, in place of an answer of this status.
    pub page: Option<u16>,
}

/// What a request has met.
struct Met<'a> {
    route: &'a Route,
    service: &'a Target,
    /// The service is the one with error pages.
    is_page: bool,
}

/// What a request to a router has met, if its labels belong together in one of some configurations.
fn met<'a>(steps: &'a [Step], router: usize, labels: &Labels) -> Option<Met<'a>> {
    steps.iter().rev().find_map(|step| {
        let route = step.router(router)?;
        let is_page = route.around.replaces_errors() && route.is_met(labels, &step.pages);
        let service = if is_page { &step.pages } else { &route.service };
        route.is_met(labels, service).then_some(Met {
            route,
            service,
            is_page,
        })
    })
}

/// How often a request may reach origins.
fn allowed(ask: &Ask, around: Around) -> u32 {
    let idempotent = ask.method != "POST";
    let attempts = match around {
        Around::RetryAll => ATTEMPTS,
        Around::Retry | Around::RetryErrors if idempotent => ATTEMPTS,
        _ => 1,
    };
    let safe = matches!(ask.method, "GET" | "HEAD") || ask.keyed;
    attempts * if safe { SENDS_PER_ATTEMPT } else { 1 }
}
