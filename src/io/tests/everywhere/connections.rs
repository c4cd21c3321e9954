//! Connections as such: how they begin and end, how they are parked and pooled, and which worker gets them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::*;

everywhere! {
    a_parked_connection_comes_back_with_its_first_bytes => ReactorConfig::default();
    a_parked_connection_ends_by_eof_or_deadline_without_a_task => ReactorConfig::default();
    a_pooled_connection_with_surplus_bytes_or_an_end_is_not_reused => ReactorConfig::default();
    a_stale_id_never_names_the_successor => ReactorConfig::default();
    connecting_to_a_closed_port_is_refused => ReactorConfig::default();
    a_dropped_connect_closes_its_socket => ReactorConfig::default();
    accepted_connections_survive_their_listener => ReactorConfig::default();
    dropping_an_accepted_connection_closes_it => ReactorConfig::default();
    a_worker_that_gives_up_passes_its_connection_on => ReactorConfig::default();
    workers_share_ready_connections => ReactorConfig::default();
    the_fallback_gets_what_no_worker_waits_for => ReactorConfig::default();
    closing_pooled_or_idle_connections_never_hits_those_taken_back => ReactorConfig::default();
}

async fn a_parked_connection_comes_back_with_its_first_bytes(handle: Handle) {
    let (listener, addr) = listen(&handle);
    let (client, server) = pair(&handle, addr).await;
    assert_eq!(server.tag(), 7, "the listener's tag");
    server.set_tag(42);
    let mut server = server;
    for round in 0..5u8 {
        server.park_downstream(Instant::NEVER);
        assert_eq!(handle.stats().parked_downstream.get(), 1);
        client.queue(Chunk::from_vec(vec![round; 10]));
        server = handle.next_ready().await;
        assert_eq!(
            (handle.stats().parked_downstream.get(), server.tag()),
            (0, 42)
        );
        assert_eq!(read_exactly(&server, 10).await, [round; 10]);
    }
    client.queue(Chunk::from_static(b"early"));
    assert!(server.readable().await.expect("no error"));
    server.park_downstream(Instant::NEVER);
    let server = handle.next_ready().await;
    assert_eq!(
        read_exactly(&server, 5).await,
        b"early",
        "bytes that waited already"
    );
    handle.close_listener(listener);
}

async fn a_parked_connection_ends_by_eof_or_deadline_without_a_task(handle: Handle) {
    let (listener, addr) = listen(&handle);
    let (client, server) = pair(&handle, addr).await;
    server.park_downstream(Instant::NEVER);
    drop(client);
    until(&handle, || handle.stats().connections.get() == 0).await;
    let (client, server) = pair(&handle, addr).await;
    server.park_downstream(handle.now() + Duration::from_millis(30));
    assert!(
        !client.readable().await.expect("an orderly end"),
        "closed by the deadline"
    );
    let (other, server) = pair(&handle, addr).await;
    server.park_downstream(Instant::NEVER);
    assert_eq!(handle.close_idle_downstream(), 1);
    assert!(
        !other.readable().await.expect("an orderly end"),
        "closed by the drain"
    );
    assert_eq!(handle.stats().parked_downstream.get(), 0);
    handle.close_listener(listener);
}

async fn a_pooled_connection_with_surplus_bytes_or_an_end_is_not_reused(handle: Handle) {
    let (listener, addr) = listen(&handle);
    let lost = || handle.stats().parked_upstream_lost.get();
    // Reused while nothing happens.
    let (upstream, server) = pair(&handle, addr).await;
    let id = upstream.park_upstream(Instant::NEVER);
    assert!(handle.is_parked(id));
    let upstream = handle.unpark(id).expect("still usable");
    assert!(handle.unpark(id).is_none(), "in use");
    // A byte that nobody asked for.
    let id = upstream.park_upstream(Instant::NEVER);
    server.queue(Chunk::from_static(b"!"));
    until(&handle, || lost() == 1).await;
    assert!(handle.unpark(id).is_none());
    drop(server);
    // The end.
    let (upstream, server) = pair(&handle, addr).await;
    let id = upstream.park_upstream(Instant::NEVER);
    drop(server);
    until(&handle, || lost() == 2).await;
    assert!(handle.unpark(id).is_none());
    // The deadline.
    let (upstream, _server) = pair(&handle, addr).await;
    let id = upstream.park_upstream(handle.now() + Duration::from_millis(20));
    until(&handle, || lost() == 3).await;
    assert!(handle.unpark(id).is_none());
    // Not clean to begin with.
    let (upstream, server) = pair(&handle, addr).await;
    server.queue(Chunk::from_static(b"!"));
    assert!(upstream.readable().await.expect("no error"));
    assert!(!upstream.is_clean());
    let id = upstream.park_upstream(Instant::NEVER);
    assert!(handle.unpark(id).is_none());
    assert_eq!(handle.stats().parked_upstream.get(), 0);
    handle.close_listener(listener);
}

async fn a_stale_id_never_names_the_successor(handle: Handle) {
    let (listener, addr) = listen(&handle);
    let (upstream, server) = pair(&handle, addr).await;
    let stale = upstream.park_upstream(Instant::NEVER);
    handle.close_parked(stale);
    drop(server);
    until(&handle, || handle.stats().connections.get() == 0).await;
    let (upstream, _server) = pair(&handle, addr).await;
    let id = upstream.park_upstream(Instant::NEVER);
    assert_ne!(stale, id);
    assert!(handle.unpark(stale).is_none());
    handle.close_parked(stale);
    assert!(handle.unpark(id).is_some(), "untouched by the stale id");
    handle.close_listener(listener);
}

async fn connecting_to_a_closed_port_is_refused(handle: Handle) {
    let (listener, addr) = listen(&handle);
    handle.close_listener(listener);
    handle.sleep(Duration::from_millis(30)).await;
    let error = handle
        .connect(&addr.into())
        .await
        .expect_err("nobody listens");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

async fn a_dropped_connect_closes_its_socket(handle: Handle) {
    let (listener, addr) = listen(&handle);
    for polls in 0..20 {
        let mut connect = Box::pin(handle.connect(&addr.into()));
        let at = handle.now() + Duration::from_micros(100 * polls);
        let _ = handle.timeout(at, &mut connect).await;
        drop(connect);
    }
    // Those that were accepted see an end or a reset; none stays open.
    let accepted = Rc::new(RefCell::new(Vec::new()));
    let (shard, list) = (handle.clone(), accepted.clone());
    handle.spawn(async move {
        loop {
            let stream = shard.adopt(shard.accept().await);
            list.borrow_mut().push(stream);
        }
    });
    handle.sleep(Duration::from_millis(50)).await;
    for stream in accepted.take() {
        assert!(matches!(stream.readable().await, Ok(false) | Err(_)));
    }
    handle.close_listener(listener);
}

async fn accepted_connections_survive_their_listener(handle: Handle) {
    let (listener, addr) = listen(&handle);
    let client = handle.connect(&addr.into()).await.expect("connects");
    until(&handle, || handle.stats().accepts.get() == 1).await;
    handle.close_listener(listener);
    handle.close_listener(listener);
    handle.sleep(Duration::from_millis(20)).await;
    assert_eq!(handle.listener_addr(listener), None);
    let accepted = handle.accept().await;
    assert_eq!((accepted.tag(), accepted.peer()), (7, client.local_addr()));
    let server = handle.adopt(accepted);
    assert_eq!(server.peer_addr(), client.local_addr());
    assert_eq!(server.local_addr(), client.peer_addr());
    client.queue(Chunk::from_static(b"still here"));
    assert_eq!(read_exactly(&server, 10).await, b"still here");
}

async fn dropping_an_accepted_connection_closes_it(handle: Handle) {
    let (listener, addr) = listen(&handle);
    let client = handle.connect(&addr.into()).await.expect("connects");
    drop(handle.accept().await);
    assert!(!client.readable().await.expect("an orderly end"));
    handle.close_listener(listener);
}

async fn workers_share_ready_connections(handle: Handle) {
    let (listener, addr) = listen(&handle);
    let served = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..3 {
        let (shard, served) = (handle.clone(), served.clone());
        handle.spawn(async move {
            loop {
                let stream = shard.next_ready().await;
                let byte = read_exactly(&stream, 1).await;
                served.borrow_mut().push(byte[0]);
                stream.park_downstream(Instant::NEVER);
            }
        });
    }
    let mut clients = Vec::new();
    for _ in 0..20 {
        let (client, server) = pair(&handle, addr).await;
        server.park_downstream(Instant::NEVER);
        clients.push(client);
    }
    for (n, client) in clients.iter().enumerate() {
        client.queue(Chunk::from_vec(vec![n as u8]));
    }
    until(&handle, || served.borrow().len() == 20).await;
    let mut all = served.take();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..20), "each exactly once");
    assert_eq!(handle.waiting_workers(), 3);
    drop(clients);
    handle.close_listener(listener);
}

async fn the_fallback_gets_what_no_worker_waits_for(handle: Handle) {
    let (listener, addr) = listen(&handle);
    let (client, server) = pair(&handle, addr).await;
    server.park_downstream(Instant::NEVER);
    client.queue(Chunk::from_static(b"1"));
    let server = handle.next_unserved().await;
    assert_eq!(read_exactly(&server, 1).await, b"1");
    let got = Rc::new(Cell::new(0));
    let (shard, seen) = (handle.clone(), got.clone());
    handle.spawn(async move {
        let stream = shard.next_ready().await;
        seen.set(read_exactly(&stream, 1).await[0]);
    });
    handle.yield_now().await;
    server.park_downstream(Instant::NEVER);
    client.queue(Chunk::from_static(b"2"));
    let end = handle.now() + Duration::from_millis(100);
    assert!(
        handle.timeout(end, handle.next_unserved()).await.is_err(),
        "the worker got it"
    );
    assert_eq!(got.get(), b'2');
    handle.close_listener(listener);
}

async fn closing_pooled_or_idle_connections_never_hits_those_taken_back(handle: Handle) {
    let (listener, addr) = listen(&handle);
    let (upstream, _server) = pair(&handle, addr).await;
    let id = upstream.park_upstream(Instant::NEVER);
    handle.close_parked(id);
    assert!(handle.unpark(id).is_none(), "closing has begun");
    let mut clients = Vec::new();
    // All of them have just sent something.
    for _ in 0..40 {
        let (client, server) = pair(&handle, addr).await;
        server.park_downstream(Instant::NEVER);
        clients.push(client);
    }
    for client in &clients {
        client.queue(Chunk::from_static(b"x"));
    }
    handle.yield_now().await;
    let closed = handle.close_idle_downstream();
    let mut served = 0;
    let end = handle.now() + Duration::from_millis(100);
    while let Ok(stream) = handle.timeout(end, handle.next_ready()).await {
        served += 1;
        assert_eq!(read_exactly(&stream, 1).await, b"x");
        stream.close_gracefully();
    }
    assert_eq!(closed + served, clients.len());
    drop(clients);
    handle.close_listener(listener);
}

async fn a_worker_that_gives_up_passes_its_connection_on(handle: Handle) {
    let (listener, addr) = listen(&handle);
    let (client, server) = pair(&handle, addr).await;
    let (shard, served) = (handle.clone(), Rc::new(Cell::new(false)));
    let seen = served.clone();
    handle.spawn(async move {
        drop(shard.next_ready().await);
        seen.set(true);
    });
    until(&handle, || handle.waiting_workers() == 1).await;
    // Waits last and so is woken first, but never looks.
    let mut impatient = std::pin::pin!(handle.next_ready());
    std::future::poll_fn(|cx| {
        assert!(impatient.as_mut().poll(cx).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    server.park_downstream(Instant::NEVER);
    client.queue(Chunk::from_static(b"x"));
    until(&handle, || handle.waiting_workers() == 1).await;
    assert!(!served.get());
    impatient.set(handle.next_ready());
    until(&handle, || served.get()).await;
    handle.close_listener(listener);
}
