//! What concerns the kernel, threads and the loop itself.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use super::*;

#[test]
fn a_panicking_task_ends_alone() {
    on_kernel(&ReactorConfig::default(), |handle| async move {
        let (listener, addr) = listen(&handle);
        let (client, server) = pair(&handle, addr).await;
        handle.spawn(async move {
            let _held = server;
            panic!("(this panic is part of a test)");
        });
        assert!(
            !client.readable().await.expect("an orderly end"),
            "its stream was closed"
        );
        assert_eq!(
            (handle.stats().task_panics.get(), handle.stats().tasks.get()),
            (1, 0)
        );
        handle.close_listener(listener);
    });
}

#[test]
fn notifications_wake_and_coalesce() {
    on_kernel(&ReactorConfig::default(), |handle| async move {
        let (notifier, count) = (handle.notifier(), Arc::new(AtomicUsize::new(0)));
        let counter = count.clone();
        let thread = std::thread::spawn(move || {
            for _ in 0..10_000 {
                counter.fetch_add(1, Ordering::Relaxed);
                notifier.notify();
            }
        });
        let mut wakes = 0;
        loop {
            handle.notified().await;
            wakes += 1;
            // The last notification comes after the last count, so one is always left to wait for.
            if count.load(Ordering::Relaxed) == 10_000 {
                break;
            }
        }
        thread.join().expect("no panic");
        assert!((1..=10_000).contains(&wakes), "{wakes}");
    });
}

#[test]
fn a_waker_used_elsewhere_still_runs_its_task_here() {
    on_kernel(&ReactorConfig::default(), |handle| async move {
        let here = std::thread::current().id();
        let done = Rc::new(Cell::new(false));
        let seen = done.clone();
        handle.spawn(async move {
            let mut polled = false;
            std::future::poll_fn(|cx| {
                assert_eq!(std::thread::current().id(), here);
                if std::mem::replace(&mut polled, true) {
                    return Poll::Ready(());
                }
                let waker = cx.waker().clone();
                std::thread::spawn(move || waker.wake());
                Poll::Pending
            })
            .await;
            seen.set(true);
        });
        until(&handle, || done.get()).await;
        // None if the other thread was faster than this poll's end: then the poll itself reschedules.
        assert!(handle.stats().remote_wakes.get() <= 1);
    });
}

#[test]
fn a_task_whose_last_waker_is_dropped_elsewhere_is_dropped_here() {
    struct DropsHere(std::thread::ThreadId, Rc<Cell<bool>>);
    impl Drop for DropsHere {
        fn drop(&mut self) {
            assert_eq!(std::thread::current().id(), self.0);
            self.1.set(true);
        }
    }
    on_kernel(&ReactorConfig::default(), |handle| async move {
        let dropped = Rc::new(Cell::new(false));
        let guard = DropsHere(std::thread::current().id(), dropped.clone());
        handle.spawn(async move {
            let _guard = guard;
            std::future::poll_fn(|cx| {
                let waker = cx.waker().clone();
                std::thread::spawn(move || drop(waker));
                Poll::<()>::Pending
            })
            .await;
        });
        until(&handle, || dropped.get()).await;
    });
}

#[test]
fn a_task_that_can_never_be_woken_is_dropped() {
    on_kernel(&ReactorConfig::default(), |handle| async move {
        let (listener, addr) = listen(&handle);
        let (client, server) = pair(&handle, addr).await;
        handle.spawn(async move {
            let _held = server;
            std::future::pending::<()>().await;
        });
        assert!(
            !client.readable().await.expect("an orderly end"),
            "its stream was closed"
        );
        assert_eq!(handle.stats().tasks.get(), 0);
        handle.close_listener(listener);
    });
}

#[test]
fn a_busy_task_does_not_keep_others_from_their_bytes() {
    on_kernel(&ReactorConfig::default(), |handle| async move {
        let (listener, addr) = listen(&handle);
        let (client, server) = pair(&handle, addr).await;
        let stop = Rc::new(Cell::new(false));
        let (shard, stopped) = (handle.clone(), stop.clone());
        handle.spawn(async move {
            while !stopped.get() {
                shard.yield_now().await;
            }
        });
        for _ in 0..20 {
            client.queue(Chunk::from_static(b"x"));
            read_exactly(&server, 1).await;
            handle.sleep(Duration::from_millis(1)).await;
        }
        stop.set(true);
        assert!(handle.stats().limited_turns.get() > 0);
        handle.close_listener(listener);
    });
}

#[test]
fn sleeping_takes_at_least_its_time() {
    on_kernel(&ReactorConfig::default(), |handle| async move {
        let start = std::time::Instant::now();
        handle.sleep(Duration::from_millis(35)).await;
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(34), "{took:?}");
        let start = handle.now();
        let nothing = std::future::pending::<()>();
        let end = start + Duration::from_millis(20);
        assert_eq!(handle.timeout(end, nothing).await, Err(Elapsed));
        assert!(handle.now() >= end);
        assert_eq!(
            handle.timeout(end, async { 5 }).await,
            Ok(5),
            "what is ready wins"
        );
    });
}

#[test]
fn accepted_sockets_have_no_delay_and_are_blocking() {
    on_kernel(&ReactorConfig::default(), |handle| async move {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("bound");
        listener.set_nonblocking(true).expect("set");
        let id = handle.listen(listener, 3);
        let _client = TcpStream::connect(addr).expect("connects");
        let accepted = handle.accept().await;
        let socket = TcpStream::from(accepted.into_fd().expect("a real socket"));
        assert!(socket.nodelay().expect("asked"));
        let flags = socket2::SockRef::from(&socket)
            .nonblocking()
            .expect("asked");
        assert!(!flags);
        handle.close_listener(id);
    });
}

/// Also between shards on different drivers, which want sockets in different modes.
#[test]
fn a_fresh_connection_moves_to_another_shard() {
    const DRIVERS: [DriverChoice; 2] = [DriverChoice::Uring, DriverChoice::Epoll];
    for (from, to) in DRIVERS
        .into_iter()
        .flat_map(|from| DRIVERS.map(|to| (from, to)))
    {
        let (sender, receiver) = std::sync::mpsc::channel::<Accepted>();
        let other = std::thread::spawn(move || {
            on_driver(to, &ReactorConfig::default(), |handle| async move {
                let stream = handle.adopt(receiver.recv().expect("a connection").with_tag(9));
                assert_eq!(stream.tag(), 9);
                let bytes = read_exactly(&stream, 5).await;
                stream.queue(Chunk::from_vec(bytes));
                stream.close_gracefully();
            });
        });
        on_driver(from, &ReactorConfig::default(), |handle| async move {
            let (listener, addr) = listen(&handle);
            let client = handle.connect(&addr.into()).await.expect("connects");
            client.queue(Chunk::from_static(b"moved"));
            sender.send(handle.accept().await).expect("sent");
            assert_eq!(read_to_end(&client).await, b"moved");
            handle.close_listener(listener);
        });
        other.join().expect("no panic");
    }
}

/// Where there is no readiness to wait for, a full backlog is asked again.
#[test]
fn a_unix_socket_with_a_full_backlog_is_waited_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("socket");
    on_kernel(&ReactorConfig::default(), |handle| {
        let path = path.clone();
        async move {
            let _ = std::fs::remove_file(&path);
            let listener = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)
                .expect("a socket");
            listener
                .bind(&socket2::SockAddr::unix(&path).expect("an address"))
                .expect("bound");
            listener.listen(0).expect("listening");
            let connected = Rc::new(Cell::new(0));
            for _ in 0..5 {
                let (shard, connected) = (handle.clone(), connected.clone());
                let address = Address::Unix(path.clone());
                handle.spawn(async move {
                    let stream = shard.connect(&address).await.expect("connects");
                    connected.set(connected.get() + 1);
                    assert!(read_to_end(&stream).await.is_empty());
                });
            }
            until(&handle, || connected.get() > 0).await;
            let end = handle.now() + Duration::from_millis(20);
            handle.sleep(end - handle.now()).await;
            assert!(connected.get() < 5, "the backlog was full");
            for _ in 0..5 {
                listener.accept().expect("a connection");
                handle.sleep(Duration::from_millis(5)).await;
            }
            until(&handle, || connected.get() == 5).await;
        }
    });
}

#[test]
fn unix_sockets_connect_by_path_and_abstract_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("socket");
    let name = format!("ringway-test-{}", std::process::id());
    let by_path = std::os::unix::net::UnixListener::bind(&path).expect("bound");
    let abstract_addr = {
        use std::os::linux::net::SocketAddrExt;
        std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("a name")
    };
    let by_name = std::os::unix::net::UnixListener::bind_addr(&abstract_addr).expect("bound");
    let threads = [by_path, by_name].map(|listener| {
        std::thread::spawn(move || {
            for _ in 0..2 {
                let (mut socket, _) = listener.accept().expect("accepts");
                let mut bytes = Vec::new();
                socket.read_to_end(&mut bytes).expect("reads");
                socket.write_all(&bytes).expect("writes");
            }
        })
    });
    let addresses = [Address::Unix(path), Address::Abstract(name.into_bytes())];
    on_kernel(&ReactorConfig::default(), |handle| {
        let addresses = addresses.clone();
        async move {
            for address in addresses {
                let stream = handle.connect(&address).await.expect("connects");
                assert_eq!(stream.peer_addr(), None);
                stream.queue(Chunk::from_static(b"over unix"));
                stream.shutdown_write();
                assert_eq!(read_to_end(&stream).await, b"over unix", "{address}");
            }
        }
    });
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("no panic"));
}

#[test]
fn head_and_body_of_one_turn_leave_in_one_send() {
    on_kernel(&ReactorConfig::default(), |handle| async move {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let stream = handle
            .connect(&listener.local_addr().expect("bound").into())
            .await
            .expect("connects");
        let (mut peer, _) = listener.accept().expect("accepts");
        stream.flushed().await.expect("nothing queued");
        let before = handle.stats().completions.get();
        for part in [&b"head "[..], b"body ", b"trailer"] {
            stream.queue(Chunk::from_static(part));
        }
        stream.flushed().await.expect("sent");
        assert_eq!(
            handle.stats().completions.get() - before,
            1,
            "one operation"
        );
        let mut bytes = [0; 17];
        peer.read_exact(&mut bytes).expect("reads");
        assert_eq!(&bytes, b"head body trailer");
    });
}

#[test]
fn memory_of_a_working_set_is_reused() {
    on_kernel(&ReactorConfig::default(), |handle| async move {
        let (listener, addr) = listen(&handle);
        let (client, server) = pair(&handle, addr).await;
        let mut server = server;
        for _ in 0..100 {
            server.park_downstream(handle.now() + Duration::from_secs(60));
            client.queue(Chunk::from_static(b"request"));
            server = handle.next_ready().await;
            drop(server.take());
            server.queue(Chunk::from_static(b"response"));
            assert!(client.readable().await.expect("no error"));
            drop(client.take());
        }
        let core = handle.core();
        assert!(
            core.spare_actives.len() <= 2,
            "{} working sets",
            core.spare_actives.len()
        );
        drop(core);
        handle.close_listener(listener);
    });
}

/// Runs the named test of this binary again in a process of its own, under an environment variable.
fn in_child(test: &str) -> bool {
    const CHILD: &str = "RINGWAY_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let program = std::env::current_exe().expect("this test");
    let output = std::process::Command::new(program)
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
    false
}

/// Sets the soft limit of open files; returns the one before.
fn set_file_limit(soft: u64) -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: plain system calls on a valid struct.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        let before = std::mem::replace(&mut limit.rlim_cur, soft);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
        before
    }
}

#[test]
fn accepting_recovers_after_running_out_of_descriptors() {
    if !in_child("io::tests::kernel::accepting_recovers_after_running_out_of_descriptors") {
        return;
    }
    on_kernel(&ReactorConfig::default(), |handle| async move {
        let (listener, addr) = listen(&handle);
        let spare = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
            .expect("a socket");
        let limit = set_file_limit(0);
        spare
            .connect(&addr.into())
            .expect("the kernel completes the handshake");
        until(&handle, || handle.stats().accept_backoffs.get() >= 3).await;
        let turns = handle.stats().turns.get();
        handle.sleep(Duration::from_millis(100)).await;
        assert!(handle.stats().turns.get() - turns < 50, "it does not spin");
        set_file_limit(limit);
        handle.accept().await;
        handle.close_listener(listener);
    });
}

#[test]
fn a_start_without_io_uring_says_why() {
    if !in_child("io::tests::kernel::a_start_without_io_uring_says_why") {
        return;
    }
    set_file_limit(0);
    let error = Reactor::new(&ReactorConfig::default()).expect_err("no descriptor is left");
    assert!(error.to_string().contains("RLIMIT_NOFILE"), "{error}");
}

/// On the kernel's drivers and, with a few seeds, in the simulator.
fn on_all<Fut: Future<Output = ()>>(body: impl Fn(Handle) -> Fut) {
    on_kernel(&ReactorConfig::default(), &body);
    for seed in 0..40 {
        in_simulation(&ReactorConfig::default(), seed, &body);
    }
}

/// What was queued leaves before what follows is looked at: a refusal reaches a client that has ended its own
/// direction, although its connection closes in the same turn.
#[test]
fn what_was_queued_leaves_before_its_connection_is_given_up() {
    on_kernel(&ReactorConfig::default(), |handle| async move {
        let (listener, addr) = listen(&handle);
        for _ in 0..20 {
            let (client, server) = pair(&handle, addr).await;
            server.queue(Chunk::from_static(b"last words"));
            drop(server);
            assert_eq!(read_exactly(&client, 10).await, b"last words");
        }
        handle.close_listener(listener);
    });
}

const LARGE: usize = 6 << 20;

/// The rest of a large response, to a reader that begins late.
async fn assert_large_response_comes(handle: &Handle, client: Stream) {
    handle.sleep(Duration::from_millis(50)).await;
    client.bulk(true);
    let mut len = 0;
    while client.readable().await.expect("an orderly end") {
        while let Some(chunk) = client.take() {
            len += chunk.len();
        }
    }
    assert_eq!(len, LARGE);
    until(handle, || handle.stats().connections.get() <= 1).await;
}

#[test]
fn closing_idle_connections_lets_a_response_leave() {
    on_all(|handle| async move {
        let (listener, addr) = listen(&handle);
        let (client, server) = pair(&handle, addr).await;
        client.bulk(true);
        server.queue(Chunk::from_vec(vec![1; LARGE]));
        server.park_downstream(Instant::NEVER);
        handle.sleep(Duration::from_millis(20)).await;
        assert_eq!(handle.close_idle_downstream(), 1);
        assert_eq!(handle.close_idle_downstream(), 0, "it is no longer idle");
        assert_large_response_comes(&handle, client).await;
        handle.close_listener(listener);
    });
}

#[test]
fn a_peer_that_has_ended_its_direction_still_gets_what_was_queued() {
    on_all(|handle| async move {
        let (listener, addr) = listen(&handle);
        for parks_first in [false, true] {
            let (client, server) = pair(&handle, addr).await;
            client.bulk(true);
            server.queue(Chunk::from_vec(vec![1; LARGE]));
            if parks_first {
                server.park_downstream(Instant::NEVER);
                client.shutdown_write();
            } else {
                client.shutdown_write();
                assert!(!server.readable().await.expect("no error"));
                server.park_downstream(Instant::NEVER);
            }
            assert_large_response_comes(&handle, client).await;
        }
        handle.close_listener(listener);
    });
}

/// A receive stops at urgent data, with less than it has room for, and no event tells of what is behind it.
#[test]
fn urgent_data_stalls_nothing() {
    on_kernel(&ReactorConfig::default(), |handle| async move {
        let (listener, addr) = listen(&handle);
        let client = TcpStream::connect(addr).expect("connects");
        client.set_nodelay(true).expect("set");
        let server = handle.adopt(handle.accept().await);
        handle.sleep(Duration::from_millis(20)).await;
        let send = |bytes: &[u8], flags| {
            // SAFETY: the bytes live for the call.
            let sent = unsafe {
                libc::send(
                    client.as_raw_fd(),
                    bytes.as_ptr().cast(),
                    bytes.len(),
                    flags,
                )
            };
            assert_eq!(sent, bytes.len() as isize);
        };
        for _ in 0..3 {
            // Before the reactor's next turn, so that one event tells of all.
            send(b"1x", libc::MSG_OOB);
            send(b"2345", 0);
            assert_eq!(read_exactly(&server, 5).await, b"12345");
        }
        handle.close_listener(listener);
    });
}
