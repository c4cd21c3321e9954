//! The shard's view of resolved host names. The control thread resolves and pushes; a shard never looks
//! a name up. An exchange that chooses a server whose name has no address yet waits here, up to its
//! dial timeout.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Poll, Waker};

use rustc_hash::FxHashMap;

use crate::service::NameId;

/// What the control thread knows of a name: its addresses, or why it has none.
pub type Resolution = Result<Arc<[IpAddr]>, Arc<str>>;

/// Addresses by name.
#[derive(Default)]
pub struct Names {
    by_id: RefCell<FxHashMap<NameId, Name>>,
}

#[derive(Default)]
struct Name {
    resolution: Option<Resolution>,
    /// Where the next exchange starts, so that addresses share the load.
    next: Cell<usize>,
    waiting: Vec<Waker>,
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

    /// Forgets a name that no server uses any more.
    pub fn remove(&self, id: NameId) {
        if let Some(name) = self.by_id.borrow_mut().remove(&id) {
            name.waiting.into_iter().for_each(Waker::wake);
        }
    }

    /// Waits for the name's addresses: one of them to start with, and how many there are.
    ///
    /// # Errors
    /// The resolver's reason, when the name has never resolved.
    pub async fn address(&self, id: NameId, attempt: usize) -> Result<IpAddr, Arc<str>> {
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
                    Poll::Pending
                }
            }
        })
        .await
    }
}
