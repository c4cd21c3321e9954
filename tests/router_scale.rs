//! What the router's index costs as it grows: allocations and memory are held, times are printed.
//!
//! `cargo test --profile fast --test router_scale -- --nocapture` shows nanoseconds for an optimised build.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mimalloc::MiMalloc;
use ringway::router::{RouteOrder, RouteTable};
use ringway::rules::{RegexCaches, Request, Rule, Syntax, parse};

/// The product's allocator, counting per thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to MiMalloc with unchanged arguments; counting touches thread-local cells without
// destructors, which does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|c| c.set(c.get() + 1));
        LIVE.with(|c| c.set(c.get().wrapping_add(layout.size())));
        // SAFETY: the caller's contract is MiMalloc's.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.with(|c| c.set(c.get().wrapping_sub(layout.size())));
        // SAFETY: `ptr` came from `alloc` above, so from MiMalloc, with this layout.
        unsafe { MiMalloc.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Get {
    host: String,
    path: String,
}

impl Request for Get {
    fn host(&self) -> &str {
        &self.host
    }
    fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }
    fn query(&self) -> Option<&[u8]> {
        Some(b"a=1&b=%20x")
    }
    fn method(&self) -> &[u8] {
        b"GET"
    }
    fn any_header<F: FnMut(&[u8]) -> bool>(&self, name: &str, mut accept: F) -> bool {
        name == "x-tenant" && accept(b"blue")
    }
    fn client_ip(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }
}

fn get(host: impl Into<String>, path: impl Into<String>) -> Get {
    Get {
        host: host.into(),
        path: path.into(),
    }
}

type Shape = (&'static str, fn(usize) -> String, fn(usize) -> Get);

const SHAPES: [Shape; 3] = [
    (
        "many hosts",
        |i| format!("Host(`host-{i}.example.com`) && PathPrefix(`/`)"),
        |i| get(format!("host-{i}.example.com"), "/index.html"),
    ),
    (
        "one host, many prefixes",
        |i| format!("Host(`example.com`) && PathPrefix(`/service-{i}/`)"),
        |i| get("example.com", format!("/service-{i}/index.html")),
    ),
    (
        "many hosts, few paths",
        |i| {
            format!(
                "Host(`host-{}.example.com`) && PathPrefix(`/p{}/`)",
                i / 4,
                i % 4
            )
        },
        |i| {
            get(
                format!("host-{}.example.com", i / 4),
                format!("/p{}/x", i % 4),
            )
        },
    ),
];

fn build(rules: &[String]) -> RouteTable<u32> {
    let parsed = rules.iter().enumerate().map(|(i, source)| {
        let rule = parse(source, Syntax::V3).expect("a valid rule");
        let order = RouteOrder {
            priority: rule.default_priority(),
            provider_rank: 0,
            name: format!("router-{i}@file").into(),
        };
        (order, rule, i as u32)
    });
    parsed.collect()
}

/// The shortest of several rounds: other work on the machine only adds.
fn shortest(rounds: usize, mut round: impl FnMut()) -> Duration {
    let time = |round: &mut dyn FnMut()| {
        let start = Instant::now();
        round();
        start.elapsed()
    };
    (0..rounds)
        .map(|_| time(&mut round))
        .min()
        .unwrap_or_default()
}

#[test]
fn lookups_stay_flat_and_allocate_nothing() {
    println!("ns per lookup           1 router   10,000  100,000");
    for (name, rule_of, request_of) in SHAPES {
        let mut line = format!("{name:<24}");
        for n in [1usize, 10_000, 100_000] {
            let table = build(&(0..n).map(rule_of).collect::<Vec<_>>());
            assert_eq!(table.len(), n);
            // Requests spread over the whole table, so that caches get no advantage from a small set.
            let requests: Vec<(Get, u32)> = (0..n.min(10_000))
                .map(|i| i * 7919 % n)
                .map(|i| (request_of(i), i as u32))
                .collect();
            let mut caches = RegexCaches::new();
            let before = ALLOCATIONS.get();
            for (request, expected) in &requests {
                assert_eq!(table.lookup(request, &mut caches), Some(expected), "{name}");
                assert!(
                    table.candidates(request).count() <= 4,
                    "{name} at {n} routers"
                );
            }
            assert_eq!(ALLOCATIONS.get() - before, 0, "{name}: a lookup allocated");
            let laps = 20_000 / requests.len();
            let time = shortest(3, || {
                for _ in 0..laps {
                    for (request, _) in &requests {
                        black_box(table.lookup(black_box(request), &mut caches));
                    }
                }
            });
            let each = time.as_nanos() / (laps * requests.len()) as u128;
            line.push_str(&format!("{each:>9}"));
        }
        println!("{line}");
    }
}

#[test]
fn no_matcher_allocates_after_warm_up() {
    let rules: Vec<String> = [
        "HostRegexp(`^([a-z]+\\.)?no$`)",
        "PathRegexp(`^/x[0-9]+$`)",
        "Header(`X-Tenant`, `green`)",
        "HeaderRegexp(`X-Tenant`, `^gr`)",
        "Query(`b`, `y`)",
        "QueryRegexp(`b`, `^ y+$`)",
        "ClientIP(`10.0.0.0/8`)",
        "Method(`POST`)",
        "Host(`*.example.org`) || !PathPrefix(`/`)",
        "Host(`a.example.com`) && HeaderRegexp(`X-Tenant`, `^blue$`) && QueryRegexp(`b`, `^ x$`)",
    ]
    .map(String::from)
    .into();
    // Nested prefixes, more than are merged at once.
    let nested = (1..40).map(|i| format!("PathPrefix(`/{}`) && Method(`PUT`)", "a".repeat(i)));
    let rules: Vec<String> = rules.into_iter().chain(nested).collect();
    let table = build(&rules);
    let mut caches = RegexCaches::new();
    let request = get("a.example.com", format!("/{}", "a".repeat(60)));
    assert_eq!(table.lookup(&request, &mut caches), Some(&9));
    let before = ALLOCATIONS.get();
    for _ in 0..100 {
        assert_eq!(table.lookup(&request, &mut caches), Some(&9));
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

#[test]
fn a_plain_router_takes_little_memory_and_time_to_build() {
    const N: usize = 100_000;
    for (name, rule_of, _) in SHAPES {
        let rules: Vec<String> = (0..N).map(rule_of).collect();
        let bytes: usize = rules.iter().map(String::len).sum();

        let before = LIVE.get();
        let start = Instant::now();
        let parsed: Vec<_> = rules
            .iter()
            .map(|source| parse(source, Syntax::V3).expect("a valid rule"))
            .collect();
        let parsing = start.elapsed();
        let rule_bytes = (LIVE.get() - before - N * size_of::<Rule>()) / N;

        let names: Vec<Arc<str>> = (0..N).map(|i| format!("router-{i}@file").into()).collect();
        let before = LIVE.get();
        let start = Instant::now();
        let table: RouteTable<u32> = parsed
            .iter()
            .zip(&names)
            .enumerate()
            .map(|(i, (rule, name))| {
                let order = RouteOrder {
                    priority: rule.default_priority(),
                    provider_rank: 0,
                    name: name.clone(),
                };
                (order, rule.clone(), i as u32)
            })
            .collect();
        let building = start.elapsed();
        let index_bytes = (LIVE.get() - before) / N;

        let mut next = table.clone();
        let order = |i: usize| RouteOrder {
            priority: 1,
            provider_rank: 0,
            name: format!("new-{i}@file").into(),
        };
        let extra = parse(&rule_of(N + 1), Syntax::V3).expect("a valid rule");
        let start = Instant::now();
        for i in 0..100 {
            // A published table is shared, so each change copies its path.
            let published = next.clone();
            next.insert(order(i), extra.clone(), 0);
            drop(published);
        }
        let change = start.elapsed() / 100;

        println!(
            "{name:<24} text {:>3} B, rule {rule_bytes:>3} B, index {index_bytes:>3} B; \
             {N} routers: parse {parsing:?}, index {building:?}; one insert {change:?}",
            bytes / N
        );
        assert!(rule_bytes <= 200, "{name}: {rule_bytes} bytes per rule");
        assert!(
            index_bytes <= 260,
            "{name}: {index_bytes} bytes of index per router"
        );
    }
}
