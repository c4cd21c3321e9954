//! The shard's view of resolved host names. The control thread resolves and pushes; a shard never looks
//! a name up. An exchange that chooses a server whose name has no address yet waits here, up to its
//! dial timeout.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Poll, Waker};

use rustc_hash::FxHashMap;

use crate::service::NameId;

/// What the control thread knows of a name: its addresses, or why it has none.
pub type Resolution = Result<Arc<[IpAddr]>, Arc<str>>;

/// Names out of use that are still known, for requests that are under way with a configuration in which they
/// were in use.
pub const MAX_FORGOTTEN_NAMES: usize = 256;

/// Addresses by name.
#[derive(Default)]
pub struct Names {
    by_id: RefCell<FxHashMap<NameId, Name>>,
    /// Names out of use, oldest first.
    forgotten: RefCell<VecDeque<NameId>>,
}

#[derive(Default)]
struct Name {
    resolution: Option<Resolution>,
    /// Where the next exchange starts, so that addresses share the load.
    next: Cell<usize>,
    waiting: Vec<Waker>,
    /// How many exchanges wait.
    waits: usize,
}

impl Names {
    /// Takes a state update. A failure never replaces addresses that worked.
    pub fn update(&self, id: NameId, resolution: Resolution) {
        let mut by_id = self.by_id.borrow_mut();
        let name = by_id.entry(id).or_default();
        let keeps = matches!(name.resolution, Some(Ok(_))) && resolution.is_err();
        if !keeps {
            name.resolution = Some(resolution);
        }
        for waker in name.waiting.drain(..) {
            waker.wake();
        }
    }

    /// Forgets a name that no server uses any more. Requests under way may still dial its last addresses, until
    /// many more names were forgotten; if it has none, they learn that at once.
    pub fn remove(&self, id: NameId) {
        let mut by_id = self.by_id.borrow_mut();
        let name = by_id.entry(id).or_default();
        name.resolution
            .get_or_insert_with(|| Err("the name is no longer in use".into()));
        name.waiting.drain(..).for_each(Waker::wake);
        let mut forgotten = self.forgotten.borrow_mut();
        forgotten.push_back(id);
        if forgotten.len() > MAX_FORGOTTEN_NAMES
            && let Some(oldest) = forgotten.pop_front()
        {
            by_id.remove(&oldest);
        }
    }

    /// How many names in use there are, those included that exchanges wait for.
    pub fn len(&self) -> usize {
        let known = self.by_id.borrow().len();
        known.saturating_sub(self.forgotten.borrow().len())
    }

    /// Whether there is no name.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits for the name's addresses: one of them to start with, and how many there are.
    ///
    /// # Errors
    /// The resolver's reason, when the name has never resolved; or that it is out of use.
    pub async fn address(&self, id: NameId, attempt: usize) -> Result<IpAddr, Arc<str>> {
        let mut waits = None;
        poll_fn(|cx| {
            let mut by_id = self.by_id.borrow_mut();
            let name = by_id.entry(id).or_default();
            match &name.resolution {
                Some(Ok(addresses)) if !addresses.is_empty() => {
                    if attempt == 0 {
                        name.next.set(name.next.get().wrapping_add(1));
                    }
                    let at = name.next.get().wrapping_add(attempt) % addresses.len();
                    Poll::Ready(Ok(addresses[at]))
                }
                Some(Ok(_)) => Poll::Ready(Err("the name has no address".into())),
                Some(Err(error)) => Poll::Ready(Err(error.clone())),
                None => {
                    name.waiting.push(cx.waker().clone());
                    if waits.is_none() {
                        name.waits += 1;
                        waits = Some(Waits { names: self, id });
                    }
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// Somebody waits for a name. The last one takes away what is only there for those who wait: a name that was
/// forgotten long ago, of which nobody will tell anything any more.
struct Waits<'a> {
    names: &'a Names,
    id: NameId,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let mut by_id = self.names.by_id.borrow_mut();
        if let Some(name) = by_id.get_mut(&self.id) {
            name.waits = name.waits.saturating_sub(1);
            if name.waits == 0 && name.resolution.is_none() {
                by_id.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::Context;

    use super::*;

    const ID: NameId = NameId(7);

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn whoever_waits_for_a_name_learns_its_addresses() {
        let names = Names::default();
        let mut waits = pin!(names.address(ID, 0));
        assert!(poll(waits.as_mut()).is_pending());
        names.update(ID, Ok([IpAddr::from([192, 0, 2, 1])].into()));
        assert_eq!(poll(waits), Poll::Ready(Ok([192, 0, 2, 1].into())));
        assert_eq!(names.len(), 1);
    }

    #[test]
    fn whoever_waits_for_a_name_that_is_forgotten_learns_that() {
        let names = Names::default();
        let mut waits = pin!(names.address(ID, 0));
        assert!(poll(waits.as_mut()).is_pending());
        names.remove(ID);
        assert!(matches!(poll(waits), Poll::Ready(Err(_))));
        assert!(names.is_empty());
    }

    #[test]
    fn requests_under_way_find_the_addresses_of_a_forgotten_name() {
        let names = Names::default();
        let address = IpAddr::from([192, 0, 2, 1]);
        for n in 0..1000 {
            names.update(NameId(n), Ok([address].into()));
            names.remove(NameId(n));
            assert!(names.is_empty());
        }
        names.remove(NameId(1000));
        let found = |n| poll(pin!(names.address(NameId(n), 0)));
        assert_eq!(found(999), Poll::Ready(Ok(address)));
        assert!(matches!(found(1000), Poll::Ready(Err(_))));
        assert!(found(0).is_pending());
        assert_eq!(names.by_id.borrow().len(), MAX_FORGOTTEN_NAMES);
    }

    #[test]
    fn a_name_that_nobody_tells_of_is_known_as_long_as_somebody_waits_for_it() {
        let names = Names::default();
        {
            let mut one = Box::pin(names.address(ID, 0));
            let mut other = Box::pin(names.address(ID, 0));
            assert!(poll(one.as_mut()).is_pending() && poll(other.as_mut()).is_pending());
            drop(one);
            assert_eq!(names.len(), 1);
        }
        assert!(names.is_empty());
    }
}
