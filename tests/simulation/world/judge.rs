//! What a client makes of the responses that it gets: whose each is, and whether there is a reason for it. Not
//! for: reading them (`client`).

use std::io::ErrorKind;

use ringway::io::Fault;

use super::client::Talk;
use super::draft::{BUFFERED, ORIGINS, Route, Server, shown_status};
use super::message::{Head, Trouble};
use super::origin::{PAGE, RESPONSE, SURPLUS};
use super::scenario::{Ask, Body, Break, Credentials, OriginPlan};

/// What a response's head says of what follows.
pub(super) struct Verdict {
    /// Whose body it must be; anybody's, if absent.
    pub(super) owner: Option<u64>,
    status: u16,
    body: Body,
    cut: Option<(usize, Break)>,
}

impl Talk {
    /// A response did not come, or not whole.
    pub(super) fn missing(&self, id: usize, trouble: &Trouble) {
        let scenario = &self.book.scenario;
        // A client's own breaks end its connection; an origin's, the one response.
        let own = self.plan().asks.iter();
        let cuts = own.into_iter().any(|&own| scenario.asks[own].cut.is_some());
        let answer = &scenario.asks[id].answer;
        let cuts = cuts
            || answer.cut.is_some()
            || answer.page.cut.is_some()
            || scenario.asks.iter().any(|ask| ask.answer.surplus);
        // An origin that resets an idle connection may meet the response that is still on its way.
        let resets = |origin: &OriginPlan| origin.reset && origin.idle.is_some();
        let cuts = cuts || scenario.origins.iter().any(resets);
        // So may a client that sends more on a connection that was idle, and is closed: the system resets it.
        let reset = matches!(trouble, Trouble::Failed(ErrorKind::ConnectionReset));
        let cuts = cuts || reset && self.book.swept.get() && self.plan().asks.len() > 1;
        if !cuts && !scenario.net.rates.are_harmful() && !self.has_reset() {
            self.book
                .violate(format!("request {id} has no whole response: {trouble:?}"));
        }
    }

    /// Whether a message is another ask's, and could not be told from this one's.
    pub(super) fn is_shifted(&self, id: usize, head: &Head) -> bool {
        head.get("x-id") != Some(&id.to_string()) && self.book.is_shifted(head)
    }

    /// Judges the head of a final response.
    pub(super) fn judge(&self, n: usize, status: u16, head: &Head) -> Verdict {
        let (id, ask) = self.ask(n);
        let mut verdict = Verdict {
            owner: None,
            status,
            body: ask.answer.body,
            cut: ask.answer.cut,
        };
        if head.get("x-id").is_none_or(|from| from == SURPLUS) {
            self.judge_own(n, status, head);
        } else if self.is_shifted(id, head) {
            // Nobody can tell.
        } else if head.get("x-id") != Some(&id.to_string()) {
            self.book
                .violate(format!("request {id} has another's response: {head:?}"));
        } else if let Some(replaced) = head.get("x-page") {
            let replaced = replaced.parse().unwrap_or(0);
            self.judge_page(n, status, replaced, head);
            verdict.owner = Some(PAGE + id as u64);
            verdict.body = ask.answer.page.body;
            verdict.cut = ask.answer.page.cut;
        } else {
            self.judge_answer(n, status, head);
            verdict.owner = Some(RESPONSE + id as u64);
        }
        verdict
    }

    /// A response of an origin.
    fn judge_answer(&self, n: usize, status: u16, head: &Head) {
        let (id, ask) = self.ask(n);
        let book = &self.book;
        if !is_planned(ask, status) {
            book.violate(format!(
                "request {id} is answered {status}, its origin said {}",
                ask.answer.status
            ));
        }
        let around = book.check_labels(id, self.step_of(n), head);
        if status >= 500 && around.is_some_and(|around| around.replaces_errors()) {
            book.violate(format!(
                "request {id} is answered {status}, and no page stands for it"
            ));
        }
        if book.times_seen(id) == 0 {
            book.violate(format!(
                "request {id} is answered, and no origin has seen it"
            ));
        }
    }

    /// A page in place of an answer of status `replaced`.
    fn judge_page(&self, n: usize, status: u16, replaced: u16, head: &Head) {
        let (id, ask) = self.ask(n);
        let book = &self.book;
        if !is_planned(ask, replaced) && !self.has_reason(n, replaced) {
            book.violate(format!(
                "request {id} has a page in place of a {replaced} that nobody has said"
            ));
        }
        if replaced < 500 || status != shown_status(replaced) {
            book.violate(format!(
                "request {id} has a page in place of a {replaced} as {status}"
            ));
        }
        let around = book.check_labels(id, self.step_of(n), head);
        if around.is_some_and(|around| !around.replaces_errors()) {
            book.violate(format!("request {id} has a page behind {around:?}"));
        }
        if book.times_page_seen(id) == 0 {
            book.violate(format!(
                "request {id} has a page that no origin was asked for"
            ));
        }
    }

    /// A response of the proxy itself.
    fn judge_own(&self, n: usize, status: u16, head: &Head) {
        let (id, ask) = self.ask(n);
        let book = &self.book;
        let from = self.step_of(n);
        book.check_own_labels(id, from, head);
        // Where a page cannot be had either, the status of what it should have stood for is kept.
        let pageless = || {
            let replaces =
                |route: Option<&Route>| route.is_some_and(|route| route.around.replaces_errors());
            let shown = |&error: &u16| {
                shown_status(error) == status
                    && (is_planned(ask, error) || self.has_reason(n, error))
            };
            !book.scenario.calm
                && book.possible(from, ask.router, replaces)
                && (500..505).any(|error| shown(&error))
        };
        if !self.has_reason(n, status) && !pageless() {
            book.violate(format!("request {id} is answered {status} by the proxy"));
        }
        book.refused.set(book.refused.get() + 1);
    }

    /// Whether the proxy may have a reason for answering ask `n` with this status.
    fn has_reason(&self, n: usize, status: u16) -> bool {
        let (_, ask) = self.ask(n);
        let book = &self.book;
        let from = self.step_of(n);
        let route = |holds: &dyn Fn(Option<&Route>) -> bool| book.possible(from, ask.router, holds);
        let limited = |len: usize| {
            let limits = |route: &Route| route.around == super::draft::Around::Limit;
            len > BUFFERED && route(&|at| at.is_some_and(limits))
        };
        let origins = &book.scenario.origins;
        let cut = ask.cut.map(|(_, how)| how);
        match status {
            400 => cut == Some(Break::End),
            401 => {
                let asks = |route: &Route| route.around.asks_for_password();
                ask.credentials != Credentials::Good && route(&|at| at.is_some_and(asks))
            }
            // Or an origin has said so of its own accord.
            408 => cut == Some(Break::Silence) || origins.iter().any(|origin| origin.babbles),
            200 => book.scenario.asks.iter().any(|ask| ask.answer.surplus),
            404 => route(&|at| at.is_none()),
            413 => limited(ask.body.len()),
            500 => limited(ask.answer.body.len()),
            503 => route(&|at| at.is_some_and(|route| route.service.is_dead())),
            502 => self.may_lose_origin(n),
            504 => book.scenario.net.rates.get(Fault::SilentConnect) > 0,
            _ => false,
        }
    }

    /// Whether an origin may not be reached by ask `n`, or not be understood.
    fn may_lose_origin(&self, n: usize) -> bool {
        let (_, ask) = self.ask(n);
        let scenario = &self.book.scenario;
        // A name may have gone out of use before it was resolved.
        let is_unsure = |server: &Server| {
            let lookup = &scenario.lookups[server.origin];
            let fails = lookup.fails || lookup.stale || !lookup.delay.is_zero();
            server.origin == ORIGINS || server.named && fails
        };
        let unsure = |route: Option<&Route>| {
            route.is_some_and(|route| route.service.servers.iter().any(is_unsure))
        };
        // The reset of a tunnel may overtake its 101.
        let resets = ask.tunnel.and_then(|tunnel| tunnel.cut);
        scenario.net.rates.are_harmful()
            || matches!(resets, Some((_, Break::Reset)))
            || ask.answer.cut.is_some()
            || ask.answer.garbage
            || scenario.asks.iter().any(|ask| ask.answer.surplus)
            || scenario
                .origins
                .iter()
                .any(|origin| origin.idle.is_some() || origin.closed.is_some())
            || !scenario.calm && self.book.possible(self.step_of(n), ask.router, unsure)
    }

    pub(super) fn judge_len(&self, n: usize, verdict: &Verdict, len: Option<usize>) {
        let (id, _) = self.ask(n);
        let Some(len) = len else { return };
        let ends_early = matches!(verdict.body, Body::UntilClose(_))
            && matches!(verdict.cut, Some((_, Break::End | Break::Silence)));
        let wanted = verdict.body.len();
        if len != wanted && !ends_early {
            self.book.violate(format!(
                "the {} to request {id} has {len} bytes instead of {wanted}",
                verdict.status
            ));
        }
        self.book.answered.set(self.book.answered.get() + 1);
    }
}

/// Whether an origin may have answered an ask with this status.
fn is_planned(ask: &Ask, status: u16) -> bool {
    status == ask.answer.status || (status == 503 && ask.answer.failures > 0)
}
