//! A filter that has seen its share of requests allocates nothing for the next.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::IpAddr;

use ringway::config::decode::{Decode, How, Path};
use ringway::config::dynamic::middleware::HttpMiddleware;
use ringway::config::format::{Format, parse};
use ringway::http::{FieldName, RequestHead, ResponseHead};
use ringway::middleware::{FilterContext, FilterMemory, PathMarks, Verdict, compile};
use ringway::rules::RegexCaches;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting what this thread asks of it.
struct Counting;

// SAFETY: every call goes to `System` unchanged; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Fills a head as a connection does that has seen others before.
fn receive(target: &str, rq: &mut RequestHead) {
    rq.clear();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    rq.set_path(path.as_bytes()).unwrap();
    rq.set_query(Some(query.as_bytes()));
    rq.set_authority(b"h.test");
    for (name, value) in [
        ("Authorization", "Basic Ym9iOnB3"),
        ("Origin", "https://a.test"),
        ("X-Forwarded-For", "1.2.3.4"),
        ("X-B", "1"),
    ] {
        rq.fields
            .append(&FieldName::parse(name).unwrap(), value.as_bytes());
    }
}

#[test]
fn a_warm_filter_allocates_nothing() {
    for (yaml, target, answers) in [
        ("{addPrefix: {prefix: /foo}}", "/bar?x=1", false),
        ("{stripPrefix: {prefixes: [/x, /foo]}}", "/foo/bar", false),
        ("{stripPrefix: {prefixes: [/foo]}}", "/foo../bar", true),
        (
            "{stripPrefixRegex: {regex: ['^/[a-z]+']}}",
            "/foo/bar",
            false,
        ),
        ("{replacePath: {path: /x}}", "/foo", false),
        (
            "{replacePathRegex: {regex: '^/foo/(.*)', replacement: '/bar/$1'}}",
            "/foo/x",
            false,
        ),
        ("{redirectScheme: {scheme: https}}", "/foo?x=1", true),
        (
            "{redirectRegex: {regex: '^http://(.*)', replacement: 'https://$1'}}",
            "/foo",
            true,
        ),
        (
            "{headers: {customRequestHeaders: {X-A: b, X-B: '', Host: h2.test}, customResponseHeaders: {Server: '', X-C: d}, \
          accessControlAllowOriginListRegex: ['a[.]test'], addVaryHeader: true, frameDeny: true, contentSecurityPolicy: 'x $NONCE'}}",
            "/",
            false,
        ),
        (
            "{ipAllowList: {sourceRange: [10.0.0.0/8], ipStrategy: {depth: 1}}}",
            "/",
            true,
        ),
        (
            "{basicAuth: {users: ['bob:$apr1$abcdefgh$5VEbMkemELfbhC5ck.U.z1'], headerField: X-User, removeHeader: true}}",
            "/",
            false,
        ),
        (
            "{basicAuth: {users: ['eve:$apr1$abcdefgh$5VEbMkemELfbhC5ck.U.z1']}}",
            "/",
            true,
        ),
        (
            "{encodedCharacters: {allowEncodedHash: true}}",
            "/a%2Fb",
            true,
        ),
    ] {
        let document = parse(Format::Yaml, yaml).unwrap();
        let config =
            HttpMiddleware::decode(&document.tree, How::Element, &Path::ROOT, &mut Vec::new());
        let filter = compile(&config.unwrap(), &mut |_| unreachable!()).unwrap();

        let (mut regex, mut memory) = (RegexCaches::new(), FilterMemory::new([0; 32]));
        let (mut rq, mut rs) = (RequestHead::new(), ResponseHead::new());
        let mut username = String::new();

        for round in 0..20 {
            receive(target, &mut rq);
            rs.clear();
            let before = COUNT.get();
            let mut path = PathMarks::default();
            let mut cx = FilterContext {
                client_ip: IpAddr::from([127, 0, 0, 1]),
                secure: false,
                regex: &mut regex,
                memory: &mut memory,
                path: &mut path,
                username: &mut username,
            };
            match filter.request(&mut rq, &mut cx) {
                Verdict::Continue => {
                    assert!(!answers, "{yaml}");
                    filter.response(&rq, &mut rs, &mut cx);
                }
                Verdict::Respond(answer) => {
                    assert!(answers, "{yaml}: {answer:?}");
                    answer.start(&mut rs, cx.memory);
                }
                Verdict::Verify(job) => {
                    assert_eq!(round, 0, "{yaml}");
                    let (key, work) = job.into_parts();
                    let good = work();
                    memory.auth.remember(key, good);
                    continue;
                }
            }
            let count = COUNT.get() - before;
            assert!(
                round < 10 || count == 0,
                "{yaml}: {count} allocations in round {round}"
            );
        }
    }
}
