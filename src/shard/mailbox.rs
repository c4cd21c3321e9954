//! What a shard does with what it is told: apply changes, learn addresses, listen, drain, stop.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::balance::Seat;
use crate::exchange::{Local, SnapshotReturn, View};
use crate::io::ListenerId;
use crate::router::mailbox::{ShardInbox, ToShard};
use crate::router::snapshot::ChangeSet;

/// Most pieces of state dropped between two looks at the ring.
const REMOVALS_PER_TURN: usize = 64;

/// How often a draining shard looks whether its last connection has ended.
const DRAIN_TICK: Duration = Duration::from_millis(10);

/// Reads the mailbox until it says stop.
pub(super) async fn read(
    local: Rc<Local>,
    seat: Rc<Seat>,
    inbox: Rc<ShardInbox>,
    back: Rc<SnapshotReturn>,
) {
    let listeners = RefCell::new(Vec::<(u32, ListenerId)>::new());
    loop {
        while let Some(message) = inbox.try_recv() {
            match message {
                ToShard::Apply(change) => apply(&local, &inbox, &back, change),
                ToShard::Addresses(update) => local.names.update(update.name, update.addresses),
                ToShard::ForgetName(name) => local.names.remove(name),
                ToShard::Listen(listen) => {
                    let id = local.io.listen(listen.listener, listen.entry_point);
                    listeners.borrow_mut().push((listen.entry_point, id));
                }
                ToShard::Health(health) => local.set_health(health),
                ToShard::Drain(drain) => {
                    listeners.borrow_mut().retain(|&(entry_point, id)| {
                        let stays = entry_point != drain.entry_point;
                        if !stays {
                            local.io.close_listener(id);
                        }
                        stays
                    });
                    if !local.is_draining() {
                        local.start_draining();
                        local.io.spawn(report_drained(local.clone(), inbox.clone()));
                    }
                }
                ToShard::Stop => return,
            }
        }
        local.offload.receive();
        seat.adopt_fresh();
        local.io.notified().await;
    }
}

/// Puts a change into force at once; the state it leaves behind is dropped a little at a time.
fn apply(local: &Rc<Local>, inbox: &ShardInbox, back: &Rc<SnapshotReturn>, change: ChangeSet) {
    let generation = change.snapshot.generation;
    local.swap_view(View::new(change.snapshot, back.clone()));
    inbox.ack(generation);
    if change.removed_states.is_empty() && change.removed_pools.is_empty() {
        return;
    }
    let local = local.clone();
    local.io.clone().spawn(async move {
        for states in change.removed_states.chunks(REMOVALS_PER_TURN) {
            local.remove_states(states);
            local.io.yield_now().await;
        }
        for pools in change.removed_pools.chunks(REMOVALS_PER_TURN) {
            local.remove_pools(pools);
            local.io.yield_now().await;
        }
    });
}

/// Closes idle connections until none is left at all, then says so.
async fn report_drained(local: Rc<Local>, inbox: Rc<ShardInbox>) {
    loop {
        local.io.close_idle_downstream();
        if local.io.downstream_connections() == 0 {
            return inbox.report_drained();
        }
        local.io.sleep(DRAIN_TICK).await;
    }
}
