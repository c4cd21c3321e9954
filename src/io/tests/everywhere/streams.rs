//! Bytes over connections: whole, in order and with back-pressure, whatever ends, waits or is short of memory.

use std::cell::Cell;
use std::rc::Rc;

use super::*;

fn small() -> ReactorConfig {
    ReactorConfig {
        downstream_buffers: BufferGroup {
            count: 4,
            size: 4096,
        },
        upstream_buffers: BufferGroup {
            count: 4,
            size: 4096,
        },
        ..ReactorConfig::default()
    }
}

/// Memory for a handful of receive buffers only.
fn starving() -> ReactorConfig {
    ReactorConfig {
        receive_memory: 12 * 4096,
        bulk_buffer_size: 4096,
        inbox_limit: 8192,
        ..small()
    }
}

everywhere! {
    an_echo_server_returns_what_it_gets => ReactorConfig::default();
    a_forwarder_passes_large_bodies_with_back_pressure => ReactorConfig::default();
    many_sockets_at_once_lose_nothing => ReactorConfig::default();
    few_buffers_slow_down_but_lose_nothing => small();
    little_memory_slows_down_but_loses_nothing => starving();
    a_deadline_fails_what_waits_and_what_comes => ReactorConfig::default();
    dropped_futures_lose_no_bytes => ReactorConfig::default();
    the_last_response_survives_unread_input => ReactorConfig::default();
    dropping_a_stream_with_queued_bytes_resets => ReactorConfig::default();
    shutting_down_one_direction_leaves_the_other => ReactorConfig::default();
    a_full_inbox_pauses_receiving => ReactorConfig::default();
    tokio_traits_carry_bytes_both_ways => ReactorConfig::default();
    an_early_response_is_read_although_sending_failed => ReactorConfig::default();
    switching_modes_at_any_time_loses_nothing => ReactorConfig::default();
    small_pieces_share_their_memory => ReactorConfig::default();
}

async fn echo(stream: Stream) {
    while stream.readable().await.expect("no error") {
        while let Some(chunk) = stream.take() {
            stream.queue(chunk);
        }
        stream.ready().await.expect("no error");
    }
    stream.close_gracefully();
}

fn spawn_echo_server(handle: &Handle) {
    let server = handle.clone();
    handle.spawn(async move {
        loop {
            let accepted = server.accept().await;
            server.spawn(echo(server.adopt(accepted)));
        }
    });
}

async fn an_echo_server_returns_what_it_gets(handle: Handle) {
    let (listener, addr) = listen(&handle);
    spawn_echo_server(&handle);
    let open = Rc::new(Cell::new(8));
    for n in 1..=8usize {
        let (handle, open) = (handle.clone(), open.clone());
        handle.clone().spawn(async move {
            let stream = handle.connect(&addr.into()).await.expect("connects");
            for round in 0..5 {
                let message = pattern(n * 700 + round);
                let (head, body) = message.split_at(n);
                stream.queue(Chunk::from_vec(head.to_vec()));
                stream.queue_slice(body);
                assert_eq!(read_exactly(&stream, message.len()).await, message);
            }
            stream.shutdown_write();
            assert!(read_to_end(&stream).await.is_empty());
            open.set(open.get() - 1);
        });
    }
    until(&handle, || open.get() == 0).await;
    handle.close_listener(listener);
}

/// Passes bytes one way, with the back-pressure that streaming uses.
async fn forward(from: Rc<Stream>, to: Rc<Stream>) {
    from.bulk(true);
    while from.readable().await.expect("no error") {
        while let Some(chunk) = from.take() {
            to.queue(chunk);
        }
        to.ready().await.expect("no error");
    }
    to.shutdown_write();
}

/// Connects to `origin` for each accepted connection and passes bytes both ways.
fn spawn_forwarder(handle: &Handle, origin: SocketAddr, tag: u32) {
    let handle = handle.clone();
    handle.clone().spawn(async move {
        loop {
            let accepted = handle.accept().await;
            if accepted.tag() != tag {
                handle.spawn(echo(handle.adopt(accepted)));
                continue;
            }
            let shard = handle.clone();
            handle.spawn(async move {
                let down = Rc::new(shard.adopt(accepted));
                let up = Rc::new(shard.connect(&origin.into()).await.expect("connects"));
                shard.spawn(forward(up.clone(), down.clone()));
                forward(down, up).await;
            });
        }
    });
}

async fn exchange_through_forwarder(handle: &Handle, sizes: &[usize]) {
    let (origin, origin_addr) = listen(handle);
    let front = handle.listen_at(ANY_PORT.into(), 1).expect("a port");
    let front_addr = handle.listener_addr(front).expect("open");
    spawn_forwarder(handle, origin_addr, 1);
    let open = Rc::new(Cell::new(sizes.len()));
    for &size in sizes {
        let stream = Rc::new(handle.connect(&front_addr.into()).await.expect("connects"));
        let writer = stream.clone();
        handle.spawn(async move {
            for piece in pattern(size).chunks(50_000) {
                writer.queue(Chunk::from_vec(piece.to_vec()));
                writer.ready().await.expect("no error");
            }
            writer.shutdown_write();
        });
        let open = open.clone();
        handle.spawn(async move {
            let bytes = read_to_end(&stream).await;
            assert!(
                bytes == pattern(size),
                "{} of {size} bytes, or others",
                bytes.len()
            );
            open.set(open.get() - 1);
        });
    }
    until(handle, || open.get() == 0).await;
    assert_eq!(handle.stats().task_panics.get(), 0);
    handle.close_listener(origin);
    handle.close_listener(front);
}

async fn a_forwarder_passes_large_bodies_with_back_pressure(handle: Handle) {
    exchange_through_forwarder(&handle, &[1_000_000, 1, 70_000, 300_000]).await;
}

async fn many_sockets_at_once_lose_nothing(handle: Handle) {
    let mut sizes: Vec<usize> = (0..90).map(|n| n * 97).collect();
    sizes.extend([60_000; 10]);
    exchange_through_forwarder(&handle, &sizes).await;
}

async fn few_buffers_slow_down_but_lose_nothing(handle: Handle) {
    exchange_through_forwarder(&handle, &[20_000; 12]).await;
}

async fn little_memory_slows_down_but_loses_nothing(handle: Handle) {
    exchange_through_forwarder(&handle, &[60_000; 3]).await;
}

async fn a_deadline_fails_what_waits_and_what_comes(handle: Handle) {
    let (listener, addr) = listen(&handle);
    let (client, server) = pair(&handle, addr).await;
    server.set_deadline(Some(handle.now() + Duration::from_secs(60)));
    server.set_deadline(Some(handle.now() + Duration::from_millis(50)));
    let start = handle.now();
    let error = server.readable().await.expect_err("nothing comes");
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert!(handle.now() - start >= Duration::from_millis(50));
    assert!(server.flushed().await.is_err(), "later polls too");
    server.set_deadline(None);
    server.queue(Chunk::from_static(b"408"));
    server
        .flushed()
        .await
        .expect("a new deadline, a new chance");
    assert_eq!(read_exactly(&client, 3).await, b"408");
    handle.close_listener(listener);
}

async fn dropped_futures_lose_no_bytes(handle: Handle) {
    let (listener, addr) = listen(&handle);
    let (client, server) = pair(&handle, addr).await;
    let sent = pattern(100_000);
    let bytes = sent.clone();
    handle.spawn(async move {
        for piece in bytes.chunks(313) {
            client.queue_slice(piece);
            let _ = client
                .handle()
                .timeout(client.handle().now(), client.flushed())
                .await;
            client.handle().yield_now().await;
        }
        client.close_gracefully();
    });
    let mut received = Vec::new();
    loop {
        // Mostly gives up before anything has come.
        let patience = handle.now() + Duration::from_millis(handle.random() % 2);
        match handle.timeout(patience, server.readable()).await {
            Ok(Ok(true)) => received.extend_from_slice(&server.take().expect("bytes")),
            Ok(Ok(false)) => break,
            Ok(Err(error)) => panic!("{error}"),
            Err(Elapsed) => {}
        }
    }
    assert!(
        received == sent,
        "{} of {} bytes",
        received.len(),
        sent.len()
    );
    handle.close_listener(listener);
}

async fn the_last_response_survives_unread_input(handle: Handle) {
    let (listener, addr) = listen(&handle);
    let (client, server) = pair(&handle, addr).await;
    // More input than anybody reads; the response must not be lost to a reset.
    client.queue(Chunk::from_vec(pattern(200_000)));
    assert!(server.readable().await.expect("no error"));
    server.queue(Chunk::from_vec(vec![b'4'; 3000]));
    server.close_gracefully();
    assert_eq!(read_to_end(&client).await, vec![b'4'; 3000]);
    drop(client);
    handle.close_listener(listener);
}

async fn dropping_a_stream_with_queued_bytes_resets(handle: Handle) {
    let (listener, addr) = listen(&handle);
    let (client, server) = pair(&handle, addr).await;
    // Far more than the kernel takes while the peer does not read.
    client.bulk(true);
    server.queue(Chunk::from_vec(vec![0; 64 << 20]));
    handle.sleep(Duration::from_millis(50)).await;
    assert!(server.queued_len() > 0);
    drop(server);
    let mut result = client.readable().await;
    while let Ok(true) = result {
        while client.take().is_some() {}
        result = client.readable().await;
    }
    let error = result.expect_err("a part must not look like the whole");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    drop(client);
    let (client, server) = pair(&handle, addr).await;
    server.abort();
    assert!(client.readable().await.is_err());
    handle.close_listener(listener);
}

async fn shutting_down_one_direction_leaves_the_other(handle: Handle) {
    let (listener, addr) = listen(&handle);
    let (client, server) = pair(&handle, addr).await;
    client.queue(Chunk::from_static(b"request"));
    client.shutdown_write();
    client.queue(Chunk::from_static(b"too late"));
    assert_eq!(read_to_end(&server).await, b"request");
    assert!(server.is_ended() && !server.is_clean());
    server.queue(Chunk::from_static(b"response"));
    server.flushed().await.expect("the other direction is open");
    assert_eq!(read_exactly(&client, 8).await, b"response");
    assert_eq!(server.bytes_sent(), 8);
    until(&handle, || server.bytes_acknowledged() >= 8).await;
    handle.close_listener(listener);
}

async fn a_full_inbox_pauses_receiving(handle: Handle) {
    let (listener, addr) = listen(&handle);
    let (client, server) = pair(&handle, addr).await;
    let sent = pattern(8 << 20);
    client.queue(Chunk::from_vec(sent.clone()));
    // Nobody takes: the inbox fills up to about its limit (and what one wake-up of the kernel
    // delivers before the cancel). A receive that ended on its own is not armed above the half.
    let limit = ReactorConfig::default().inbox_limit;
    until(&handle, || server.inbox_len() >= limit / 2).await;
    handle.sleep(Duration::from_millis(50)).await;
    let waiting = server.inbox_len();
    assert!(
        (limit / 2..limit * 8).contains(&waiting),
        "{waiting} bytes wait"
    );
    handle.sleep(Duration::from_millis(50)).await;
    assert_eq!(server.inbox_len(), waiting, "receiving has paused");
    client.shutdown_write();
    assert!(read_to_end(&server).await == sent);
    handle.close_listener(listener);
}

async fn tokio_traits_carry_bytes_both_ways(handle: Handle) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (listener, addr) = listen(&handle);
    spawn_echo_server(&handle);
    let mut stream = TokioStream::new(handle.connect(&addr.into()).await.expect("connects"));
    let sent = pattern(40_000);
    for piece in sent.chunks(999) {
        stream.write_all(piece).await.expect("no error");
    }
    stream.shutdown().await.expect("no error");
    assert!(stream.write_all(b"x").await.is_err(), "after shutdown");
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.expect("no error");
    assert!(received == sent);
    assert!(stream.get_ref().is_ended());
    drop(stream.into_inner());
    handle.close_listener(listener);
}

async fn switching_modes_at_any_time_loses_nothing(handle: Handle) {
    let (listener, addr) = listen(&handle);
    let (client, server) = pair(&handle, addr).await;
    let sent = pattern(2_000_000);
    let bytes = sent.clone();
    handle.spawn(async move {
        for piece in bytes.chunks(1 + 40_000) {
            client.queue(Chunk::from_vec(piece.to_vec()));
            client.ready().await.expect("no error");
        }
        client.close_gracefully();
    });
    let mut received = Vec::new();
    while server.readable().await.expect("no error") {
        server.bulk(handle.random().is_multiple_of(2));
        if let Some(chunk) = server.take() {
            received.extend_from_slice(&chunk);
        }
        server.bulk(handle.random().is_multiple_of(3));
    }
    assert!(
        received == sent,
        "{} of {} bytes",
        received.len(),
        sent.len()
    );
    handle.close_listener(listener);
}

async fn an_early_response_is_read_although_sending_failed(handle: Handle) {
    let (listener, addr) = listen(&handle);
    let (client, server) = pair(&handle, addr).await;
    server.queue(Chunk::from_static(b"413"));
    server.flushed().await.expect("sent");
    until(&handle, || client.inbox_len() == 3).await;
    server.abort();
    // Sends until the reset is seen.
    while client.flushed().await.is_ok() {
        client.queue(Chunk::from_vec(vec![0; 10_000]));
        handle.sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(read_exactly(&client, 3).await, b"413");
    assert!(
        client.readable().await.is_err(),
        "a reset does not look like an orderly end"
    );
    assert!(client.is_ended() && !client.is_clean());
    handle.close_listener(listener);
}

/// A thousand tiny chunks for a peer that does not read must not hold a thousand blocks.
async fn small_pieces_share_their_memory(handle: Handle) {
    let (listener, addr) = listen(&handle);
    let (client, server) = pair(&handle, addr).await;
    let mut sent = Vec::new();
    let before = handle.stats().buffers_in_use.get();
    for n in 0..1000 {
        // As received: each piece in a block of its own.
        let mut received = handle.buffer();
        received.extend_from_slice(&pattern(n % 7));
        client.queue_slice(b"3\r\n");
        client.queue(received.freeze());
        client.queue_slice(b"\r\n");
        sent.extend_from_slice(b"3\r\n");
        sent.extend_from_slice(&pattern(n % 7));
        sent.extend_from_slice(b"\r\n");
    }
    let held = handle.stats().buffers_in_use.get() - before;
    assert!(held <= 4, "{held} blocks for {} bytes", sent.len());
    assert_eq!(read_exactly(&server, sent.len()).await, sent);
    handle.close_listener(listener);
}
