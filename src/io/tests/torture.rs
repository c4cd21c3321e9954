//! Storms of cancels, drops in the middle of operations, full queues: what would show memory that
//! the kernel still refers to, completions that meet another operation, or lost entries.

use std::cell::Cell;
use std::net::TcpListener;
use std::rc::Rc;

use super::*;

#[test]
fn storms_of_dropped_streams_leave_nothing_behind() {
    for seed in 0..3 {
        let config = ReactorConfig {
            submission_entries: 64,
            completion_entries: 128,
            downstream_buffers: BufferGroup {
                count: 8,
                size: 4096,
            },
            upstream_buffers: BufferGroup {
                count: 8,
                size: 4096,
            },
            seed: Some(seed),
            ..ReactorConfig::default()
        };
        on_kernel(&config, |handle| async move { storm(handle, 30, 40).await });
    }
}

#[test]
fn storms_of_dropped_streams_in_simulation() {
    for seed in 0..40 {
        in_simulation(&ReactorConfig::default(), seed, |handle| async move {
            storm(handle, 10, 12).await
        });
    }
}

/// Connections that do something random and then end in a random way, again and again through
/// the same slots. Bytes of one connection never appear on another one: each sends its own tag.
async fn storm(handle: Handle, rounds: u64, width: u64) {
    let (listener, addr) = listen(&handle);
    let worker = handle.clone();
    let stop = Rc::new(Cell::new(false));
    let stopped = stop.clone();
    handle.spawn(async move {
        while !stopped.get() {
            let end = worker.now() + Duration::from_millis(10);
            drop(worker.timeout(end, worker.next_ready()).await);
        }
    });
    for round in 0..rounds {
        let mut pairs = Vec::new();
        for _ in 0..width {
            pairs.push(pair(&handle, addr).await);
        }
        for (n, (client, server)) in pairs.into_iter().enumerate() {
            let mark = (round * width) as u8 ^ n as u8;
            act(&handle, client, mark);
            act(&handle, server, mark);
        }
        handle
            .sleep(Duration::from_millis(handle.random() % 15))
            .await;
    }
    until(&handle, || {
        handle.stats().tasks.get() == 1 && handle.stats().connections.get() == 0
    })
    .await;
    stop.set(true);
    assert_eq!(handle.stats().task_panics.get(), 0);
    handle.close_listener(listener);
}

fn act(handle: &Handle, stream: Stream, mark: u8) {
    let shard = handle.clone();
    handle.spawn(async move {
        let bytes = vec![mark; 1 + (shard.random() % 300_000) as usize];
        stream.queue(Chunk::from_vec(bytes));
        stream.bulk(shard.random().is_multiple_of(2));
        for _ in 0..shard.random() % 4 {
            let end = shard.now() + Duration::from_millis(shard.random() % 12);
            if let Ok(Ok(true)) = shard.timeout(end, stream.readable()).await {
                while let Some(chunk) = stream.take() {
                    assert!(
                        chunk.iter().all(|&byte| byte == mark),
                        "bytes of another connection"
                    );
                }
            }
        }
        match shard.random() % 7 {
            0 => drop(stream),
            1 => stream.abort(),
            2 => stream.close_gracefully(),
            3 => stream.park_downstream(shard.now() + Duration::from_millis(20)),
            4 => {
                let id = stream.park_upstream(shard.now() + Duration::from_millis(20));
                shard
                    .sleep(Duration::from_millis(shard.random() % 30))
                    .await;
                drop(shard.unpark(id));
            }
            5 => {
                let end = shard.now() + Duration::from_millis(5);
                let _ = shard.timeout(end, stream.flushed()).await;
            }
            _ => {
                stream.shutdown_write();
                let _ = shard
                    .timeout(shard.now() + Duration::from_millis(5), stream.readable())
                    .await;
            }
        }
    });
}

#[test]
fn a_full_submission_queue_loses_nothing() {
    let config = ReactorConfig {
        submission_entries: 64,
        ..ReactorConfig::default()
    };
    on_ring(&config, |handle| async move {
        let (listener, addr) = listen(&handle);
        let mut pairs = Vec::new();
        for _ in 0..300 {
            pairs.push(pair(&handle, addr).await);
        }
        for _ in 0..3 {
            for (client, _) in &pairs {
                client.queue(Chunk::from_static(b"all at once"));
            }
            for (_, server) in &pairs {
                assert_eq!(read_exactly(server, 11).await, b"all at once");
            }
        }
        assert!(
            handle.stats().submission_backlogs.get() > 0,
            "the queue was full"
        );
        drop(pairs);
        until(&handle, || handle.stats().connections.get() == 0).await;
        handle.close_listener(listener);
    });
}

#[test]
fn an_overflown_completion_queue_loses_nothing() {
    let config = ReactorConfig {
        submission_entries: 64,
        completion_entries: 128,
        ..ReactorConfig::default()
    };
    on_ring(&config, |handle| async move {
        let (listener, addr) = listen(&handle);
        let mut pairs = Vec::new();
        for _ in 0..600 {
            pairs.push(pair(&handle, addr).await);
        }
        for (client, _) in &pairs {
            client.queue(Chunk::from_static(b"flood"));
        }
        for (_, server) in &pairs {
            assert_eq!(read_exactly(server, 5).await, b"flood");
        }
        assert!(
            handle.stats().completion_overflows.get() > 0,
            "the queue has overflown"
        );
        drop(pairs);
        handle.close_listener(listener);
    });
}

#[test]
fn an_exhausted_buffer_ring_starves_and_recovers() {
    let config = ReactorConfig {
        downstream_buffers: BufferGroup {
            count: 2,
            size: 4096,
        },
        ..ReactorConfig::default()
    };
    on_ring(&config, |handle| async move {
        let (listener, addr) = listen(&handle);
        let mut pairs = Vec::new();
        for _ in 0..50 {
            pairs.push(pair(&handle, addr).await);
        }
        for (client, _) in &pairs {
            client.queue(Chunk::from_vec(pattern(9_000)));
        }
        for (_, server) in &pairs {
            assert!(read_exactly(server, 9_000).await == pattern(9_000));
        }
        assert!(handle.stats().enobufs.get() > 0, "the ring was empty");
        drop(pairs);
        handle.close_listener(listener);
    });
}

#[test]
fn a_reactor_dropped_in_the_middle_of_everything_frees_it() {
    let marker = Rc::new(());
    for n in 0..6 {
        let config = ReactorConfig {
            driver: [DriverChoice::Uring, DriverChoice::Epoll][n % 2],
            ..ReactorConfig::default()
        };
        let mut reactor = Reactor::new(&config).expect("the driver starts");
        let handle = reactor.handle();
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let silent_addr = silent.local_addr().expect("bound");
        let held = marker.clone();
        let kept = reactor.run_until(async {
            let (_listener, addr) = listen(&handle);
            for n in 0..10 {
                let (client, server) = pair(&handle, addr).await;
                let (shard, held) = (handle.clone(), held.clone());
                handle.spawn(async move {
                    let _held = held;
                    server.bulk(n % 2 == 0);
                    client.queue(Chunk::from_vec(vec![1; 32 << 20]));
                    let _sleep = shard.timeout(Instant::NEVER, server.readable()).await;
                    let _ = server.readable().await;
                    let _ = client.flushed().await;
                    drop(shard.connect(&silent_addr.into()).await);
                    std::future::pending::<()>().await;
                });
            }
            handle.sleep(Duration::from_millis(20)).await;
            handle.connect(&addr.into()).await.expect("connects")
        });
        drop(reactor);
        // A stream that outlives its reactor does nothing any more, but harms nobody.
        kept.queue(Chunk::from_static(b"void"));
        drop(kept);
    }
    // Tasks that wait for nothing at all keep their memory only until their wakers are gone.
    assert_eq!(Rc::strong_count(&marker), 1, "every task was dropped");
}

#[test]
fn many_reactors_on_one_thread_do_not_run_out_of_registered_rings() {
    for _ in 0..40 {
        on_ring(&ReactorConfig::default(), |handle| async move {
            handle.sleep(Duration::from_millis(1)).await;
        });
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let trace = |seed| {
        let log = Rc::new(std::cell::RefCell::new(Vec::new()));
        let seen = log.clone();
        in_simulation(&ReactorConfig::default(), seed, |handle| async move {
            let (listener, addr) = listen(&handle);
            let (client, server) = pair(&handle, addr).await;
            client.queue(Chunk::from_vec(pattern(50_000)));
            client.close_gracefully();
            while server.readable().await.expect("no error") {
                let chunk = server.take().expect("bytes");
                seen.borrow_mut()
                    .push((handle.now().as_nanos(), chunk.len()));
            }
            handle.close_listener(listener);
        });
        log.take()
    };
    assert_eq!(trace(5), trace(5));
    assert_ne!(trace(5), trace(6));
}
