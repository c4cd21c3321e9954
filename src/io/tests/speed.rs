//! A toy proxy: the reactor's cost per request, told rather than asserted tightly, since a shared
//! machine decides most of it. `cargo test --profile fast --lib io::tests::speed -- --nocapture`.

use std::rc::Rc;

use super::*;

const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: toy\r\nAccept: */*\r\n\r\n";
const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Type: text/plain\r\n\r\nHello, World!";

/// CPU time of this thread: in user mode, and in all.
fn cpu_time() -> (Duration, Duration) {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: a plain system call that fills the struct.
    let usage = unsafe {
        assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()), 0);
        usage.assume_init()
    };
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    let user = time(usage.ru_utime);
    (user, user + time(usage.ru_stime))
}

/// Gives the toy a CPU of its own, if there are two: peers on the same one would preempt it whenever
/// it wakes them.
fn pin(toy: bool) {
    let cpus = cpu::affinity();
    if let [first, second, ..] = cpus[..] {
        cpu::pin(if toy { first } else { second }).expect("a CPU of this process");
    }
}

/// Answers each request on its listener.
fn origin_thread() -> SocketAddr {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        pin(false);
        let mut reactor = Reactor::new(&ReactorConfig::default()).expect("a ring");
        let handle = reactor.handle();
        reactor.run_until(async {
            let (_, addr) = listen(&handle);
            sender.send(addr).expect("sent");
            loop {
                let stream = handle.adopt(handle.accept().await);
                handle.spawn(async move {
                    while let Ok(true) = stream.readable().await {
                        while stream.take().is_some() {
                            stream.queue(Chunk::from_static(RESPONSE));
                        }
                    }
                });
            }
        });
    });
    receiver.recv().expect("an address")
}

#[test]
fn a_toy_proxy_costs_little_per_request() {
    for driver in [DriverChoice::Uring, DriverChoice::Epoll] {
        let (user, all) = toy_proxy(driver);
        println!("{driver:?}: {user:.2} µs of CPU per request in user mode, {all:.2} µs in all");
        assert!(all < 2000.0, "{driver:?}: {all:.2} µs per request");
    }
}

/// Microseconds of CPU time per request: in user mode, and in all.
fn toy_proxy(driver: DriverChoice) -> (f64, f64) {
    let (connections, requests) = (32, if cfg!(debug_assertions) { 200 } else { 3_000 });
    let origin = origin_thread();
    let (sender, receiver) = std::sync::mpsc::channel();
    // Named, so that a profiler can tell the two apart.
    let thread = std::thread::Builder::new().name(format!("toy {driver:?}"));
    let run = move || {
        pin(true);
        let config = ReactorConfig {
            driver,
            ..ReactorConfig::default()
        };
        let mut reactor = Reactor::new(&config).expect("the driver starts");
        let handle = reactor.handle();
        reactor.run_until(async {
            let (_, addr) = listen(&handle);
            sender.send(addr).expect("sent");
            for _ in 0..connections {
                let (down, shard) = (handle.adopt(handle.accept().await), handle.clone());
                handle.spawn(async move {
                    let mut pooled = Some(
                        shard
                            .connect(&origin.into())
                            .await
                            .expect("connects")
                            .park_upstream(Instant::NEVER),
                    );
                    while let Ok(true) = down.readable().await {
                        down.set_deadline(Some(shard.now() + Duration::from_secs(60)));
                        let up = pooled.take().and_then(|id| shard.unpark(id)).expect("idle");
                        while let Some(chunk) = down.take() {
                            up.queue(chunk);
                        }
                        up.readable().await.expect("no error");
                        while let Some(chunk) = up.take() {
                            down.queue(chunk);
                        }
                        pooled = Some(up.park_upstream(shard.now() + Duration::from_secs(90)));
                        down.flushed().await.expect("no error");
                    }
                });
            }
            let (user, all) = cpu_time();
            until(&handle, || handle.stats().streams.get() == 0).await;
            let (user_end, all_end) = cpu_time();
            let stats: Vec<_> = handle
                .stats()
                .iter()
                .filter(|(_, value)| *value > 0)
                .collect();
            println!("{stats:?}");
            (user_end - user, all_end - all)
        })
    };
    let proxy = thread.spawn(run).expect("a thread");
    let addr = receiver.recv().expect("an address");
    let client = std::thread::spawn(move || {
        pin(false);
        on_ring(&ReactorConfig::default(), |handle| async move {
            let mut streams = Vec::new();
            for _ in 0..connections {
                streams.push(handle.connect(&addr.into()).await.expect("connects"));
            }
            for stream in streams {
                handle.spawn(async move {
                    for _ in 0..requests {
                        stream.queue(Chunk::from_static(REQUEST));
                        assert_eq!(read_exactly(&stream, RESPONSE.len()).await, RESPONSE);
                    }
                });
            }
            let done = Rc::new(handle.clone());
            while done.stats().tasks.get() > 0 {
                done.sleep(Duration::from_millis(10)).await;
            }
        });
    });
    client.join().expect("no panic");
    let (user, all) = proxy.join().expect("no panic");
    let total = f64::from(connections * requests);
    let per_request = |time: Duration| time.as_secs_f64() * 1e6 / total;
    (per_request(user), per_request(all))
}
