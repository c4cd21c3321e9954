//! Every rule of the audit can fail: what each is about is broken by hand, in a reactor in which all was well.

use super::super::buffer::Chunk;
use super::super::connection::{Phase, Receive};
use super::super::core::Core;
use super::super::instant::Instant;
use super::super::slab::Key;
use super::*;

/// Brings a simulated reactor into a state, breaks it, and says what the audit finds.
fn audit_of<T, Fut: Future<Output = T>>(
    prepare: impl FnOnce(Handle) -> Fut,
    break_it: impl FnOnce(&mut Core, &T),
) -> Result<(), String> {
    let mut net = SimNet::new(1);
    net.rates = Rates::NONE;
    let mut reactor = Reactor::simulated(&ReactorConfig::default(), net);
    let handle = reactor.handle();
    let found = reactor.run_until(async {
        let state = prepare(handle.clone()).await;
        assert_eq!(handle.audit(), Ok(()), "all is well before");
        break_it(&mut handle.core(), &state);
        let found = handle.audit();
        // What is broken cannot be taken down in order.
        std::mem::forget(state);
        found
    });
    std::mem::forget(reactor);
    found
}

/// Two connected streams and the listener between them, at rest.
async fn connected(handle: Handle) -> (Stream, Stream) {
    let (_, addr) = listen(&handle);
    let ends = pair(&handle, addr).await;
    handle.sleep(Duration::from_millis(50)).await;
    ends
}

#[track_caller]
fn finds(rule: &str, found: Result<(), String>) {
    let found = found.expect_err(rule);
    assert!(found.contains(rule), "{found:?} instead of {rule:?}");
}

/// Breaks the record of an idle, open connection.
#[track_caller]
fn breaks(rule: &str, break_it: impl FnOnce(&mut Core, Key)) {
    let found = audit_of(connected, |core, _| {
        let (key, _) = core.connections.iter().next().expect("two connections");
        break_it(core, key)
    });
    finds(rule, found);
}

#[track_caller]
fn breaks_phase(
    rule: &str,
    phase: Phase,
    also: impl FnOnce(&mut super::super::connection::Connection),
) {
    breaks(rule, |core, key| {
        let connection = core.connections.get_mut(key).expect("open");
        connection.phase = phase;
        also(connection);
    });
}

#[track_caller]
fn breaks_queues(rule: &str, break_it: impl FnOnce(&mut super::super::connection::Active)) {
    breaks(rule, |core, key| {
        break_it(core.activate(key).expect("open"));
    });
}

#[test]
fn gauges_that_count_wrong_are_noticed() {
    breaks("a gauge says", |core, _| core.stats.streams.add(1));
    breaks("a gauge says", |core, _| core.stats.parked_upstream.add(1));
    breaks("a gauge says", |core, _| {
        core.stats.parked_downstream.add(1)
    });
    breaks("the gauge of accepted connections", |core, _| {
        core.stats.downstream_connections.add(1)
    });
}

#[test]
fn whoever_waits_for_an_operation_that_is_not_under_way_is_noticed() {
    breaks("waits for a send that is not", |core, key| {
        core.connections.get_mut(key).expect("open").sending = true;
    });
    breaks("waits for a receive that is not", |core, key| {
        core.connections.get_mut(key).expect("open").receive = Receive::Owned;
    });
    let listener = |handle: Handle| async move {
        let listener = listen(&handle);
        handle.sleep(Duration::from_millis(50)).await;
        listener
    };
    let end_all = |core: &mut Core| {
        let pool = core.pool.clone();
        assert!(core.driver.cancel_all(&pool));
    };
    let found = audit_of(listener, |core, _| end_all(core));
    finds("waits for an accept that is not", found);
    let found = audit_of(listener, |core, (id, _)| {
        core.listeners.get_mut(id.0).expect("open").disarm()
    });
    finds("neither accepts nor pauses", found);
    #[expect(
        clippy::async_yields_async,
        reason = "one that is not awaited is what this is about"
    )]
    let connect = |handle: Handle| async move {
        let to = Address::from(SocketAddr::from(([10, 0, 0, 1], 1)));
        let mut connect = Box::pin(async move { handle.connect(&to).await.map(drop) });
        std::future::poll_fn(|cx| {
            assert!(connect.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        connect
    };
    let found = audit_of(connect, |core, _| end_all(core));
    finds("a connect waits for nothing", found);
}

#[test]
fn operations_without_a_slot_are_noticed() {
    breaks("operations are in flight, and slots wait", |core, key| {
        core.connections.get_mut(key).expect("open").receive = Receive::Idle;
    });
}

#[test]
fn whoever_is_in_no_list_is_noticed() {
    breaks("a starved connection waits in no list", |core, key| {
        core.connections.get_mut(key).expect("open").starved = true;
    });
    breaks("with bytes to send waits in no list", |core, key| {
        core.connections.get_mut(key).expect("open").unsent = true;
    });
    breaks_phase("is offered to no worker", Phase::Ready, |_| {});
    breaks_phase("to be closed waits in no list", Phase::Doomed, |_| {});
}

#[test]
fn parked_connections_that_are_not_at_rest_are_noticed() {
    type Spoil = fn(&mut super::super::connection::Connection);
    let spoils: [Spoil; 4] = [
        |connection| connection.receive = Receive::Idle,
        |connection| connection.eof = true,
        |connection| connection.error = libc::ECONNRESET,
        |connection| connection.timed_out = true,
    ];
    for spoil in spoils {
        breaks_phase(
            "a parked connection would not",
            Phase::ParkedDownstream,
            spoil,
        );
        breaks_phase(
            "a pooled connection is not clean",
            Phase::ParkedUpstream,
            spoil,
        );
    }
    for (phase, rule) in [
        (Phase::ParkedDownstream, "a parked connection would not"),
        (Phase::ParkedUpstream, "a pooled connection is not clean"),
    ] {
        breaks(rule, |core, key| {
            let active = core.activate(key).expect("open");
            active.inbox.push_back(Chunk::from_static(b"x"));
            active.inbox_len = 1;
            core.connections.get_mut(key).expect("open").phase = phase;
        });
    }
}

#[test]
fn closing_connections_that_stay_are_noticed() {
    breaks_phase(
        "a closing connection waits for nothing",
        Phase::Closing,
        |connection| {
            connection.receive = Receive::Idle;
        },
    );
    breaks_phase(
        "has outlived its deadline",
        Phase::Lingering,
        |connection| {
            connection.receive = Receive::Idle;
            connection.deadline = Instant::ZERO;
        },
    );
}

#[test]
fn queues_that_count_wrong_or_wait_for_nothing_are_noticed() {
    breaks_queues("a queue's length is wrong", |active| active.inbox_len = 1);
    breaks_queues("a queue's length is wrong", |active| active.queued = 1);
    breaks_queues("a send that is not under way carries", |active| {
        active.in_flight = 1;
    });
    breaks_queues("queued bytes wait for nothing", |active| {
        active.outbox.push_back(Chunk::from_static(b"x"));
        active.queued = 1;
    });
    breaks("a reader waits for nothing", |core, key| {
        let active = core.activate(key).expect("open");
        active.read_waker = Some(std::task::Waker::noop().clone());
        core.connections.get_mut(key).expect("open").receive = Receive::Idle;
    });
}
