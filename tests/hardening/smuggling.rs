//! The public smuggling lists against a real proxy: nothing reaches the origin that the client did not frame.
//!
//! An independent strict reader says what each stream of bytes frames. The origin must see exactly these requests, or the
//! first of them and then a refusal; each is answered by its own answer; another client on the same shard, and so the same
//! pool, always gets its own; and every sloppy reader of the origin's bytes finds the same requests as the strict one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::reader::{End, QUIRKS, Quirk, Reading, Request, read};
use super::support::client::Client;
use super::support::origin::behind;
use super::support::proxy::proxy;
use super::variants::{self, Variant};
use super::wire::{Recorder, converse, recorder};

const THREADS: usize = 8;

/// A finding ends the test only when all variants were sent: one list is worth more than the first line of it.
#[derive(Default)]
struct Findings(Mutex<Vec<String>>);

impl Findings {
    fn add(&self, finding: String) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(finding);
    }

    #[track_caller]
    fn assert_none(self) {
        let findings = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let shown: Vec<&String> = findings.iter().take(20).collect();
        assert!(
            findings.is_empty(),
            "{} findings, such as {shown:#?}",
            findings.len()
        );
    }
}

#[test]
fn no_list_of_smuggling_variants_gets_a_request_through_that_was_not_framed() {
    let origin = recorder();
    let proxy = proxy(&origin.config());
    replay(&origin, proxy.addr);
}

#[test]
fn no_variant_gets_through_where_bodies_are_held_in_memory() {
    let origin = recorder();
    let holding = [
        ("b", "{buffering: {maxRequestBodyBytes: 1000000}}"),
        ("r", "{retry: {attempts: 2}}"),
    ];
    let proxy = proxy(&behind(&holding, &origin.config()));
    replay(&origin, proxy.addr);
}

fn replay(origin: &Recorder, addr: SocketAddr) {
    let variants = variants::all();
    let findings = Findings::default();
    let next = AtomicUsize::new(0);
    let forwarded = Mutex::new(HashMap::new());
    let refused = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut victim = Client::connect(addr);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(variant) = variants.get(number) else {
                        return;
                    };
                    match attack(addr, variant) {
                        Ok(outcome) => {
                            refused.fetch_add(usize::from(outcome.refused), Ordering::Relaxed);
                            let mut forwarded = forwarded.lock().expect("no panic holds it");
                            forwarded.insert(variants::id(number), outcome.forwarded);
                        }
                        Err(finding) => findings.add(format!("{}: {finding}", variant.name)),
                    }
                    let target = format!("/victim{}", variants::id(number));
                    let answer = victim.get(&target).text();
                    if answer != format!("GET {target}") {
                        findings.add(format!("{}: the victim got {answer:?}", variant.name));
                    }
                }
            });
        }
    });
    let forwarded = forwarded.into_inner().expect("no panic holds it");
    compare(origin, &variants, &forwarded, &findings);
    findings.assert_none();
    let whole: usize = forwarded.values().map(Vec::len).sum();
    let refused = refused.into_inner();
    eprintln!(
        "{} variants: {refused} refused, {whole} requests framed and forwarded",
        variants.len()
    );
    assert!(
        whole > 900 && refused > 10_000,
        "{whole} requests forwarded, {refused} variants refused: the lists test nothing"
    );
}

/// What became of a variant.
struct Outcome {
    /// The requests that were answered by the origin.
    forwarded: Vec<Request>,
    /// Whether the connection ended with a refusal.
    refused: bool,
}

fn attack(addr: SocketAddr, variant: &Variant) -> Result<Outcome, String> {
    let framed = read(&variant.bytes, &[]);
    let mut methods: Vec<&str> = framed.requests.iter().map(|one| &*one.method).collect();
    if let End::Incomplete(Some(last)) | End::Malformed(_, Some(last)) = &framed.end {
        methods.push(&last.method);
    }
    // What is not whole is never answered, so its end is told; a refusal ends the connection by itself.
    let enough = match framed.end {
        End::Malformed(..) => usize::MAX,
        _ => framed.requests.len(),
    };
    let got = converse(addr, &variant.bytes, &methods, enough)
        .map_err(|error| format!("{error}; read strictly: {:?}", framed.end))?;
    let mut forwarded = Vec::new();
    let mut answers = got.answers.iter();
    for request in &framed.requests {
        let Some(answer) = answers.next() else {
            return Err(format!("{request:?} has no answer: {got:?}"));
        };
        if answer.status >= 400 && answer.closes {
            return match answers.next() {
                None if got.surplus.is_empty() => Ok(Outcome {
                    forwarded,
                    refused: true,
                }),
                _ => Err(format!("more came after a refusal: {got:?}")),
            };
        }
        let answered_here = answer.status >= 400 || request.target == "*";
        if answered_here {
            continue;
        }
        let (method, target) = answer.body.split_once(' ').unwrap_or_default();
        let is_its_own = method == request.method && plain(target) == plain(&request.target);
        if !(is_its_own || request.method == "HEAD" && answer.body.is_empty()) {
            return Err(format!("{request:?} was answered with {answer:?}"));
        }
        forwarded.push(request.clone());
    }
    let refusal = answers.next();
    let is_one = refusal.is_none_or(|answer| answer.status >= 400 && answer.closes);
    let must_be = matches!(framed.end, End::Malformed(..));
    let may_be = must_be || matches!(framed.end, End::Incomplete(_));
    if !is_one || answers.next().is_some() || !got.surplus.is_empty() {
        return Err(format!("more came than was asked for: {got:?}"));
    }
    match refusal.is_some() {
        false if must_be => Err(format!("{:?} was not refused: {got:?}", framed.end)),
        true if !may_be => Err(format!("{:?} was refused: {got:?}", framed.end)),
        refused => Ok(Outcome { forwarded, refused }),
    }
}

/// The last part of a target without what a proxy may write differently.
fn plain(target: &str) -> &str {
    let path = target.split(['%', '#']).next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default()
}

/// What the origin saw, compared with what was framed and answered.
fn compare(
    origin: &Recorder,
    variants: &[Variant],
    forwarded: &HashMap<String, Vec<Request>>,
    findings: &Findings,
) {
    origin.log(|log| {
        for text in &log.malformed {
            findings.add(format!("the origin got what cannot be read: {text}"));
        }
        let mut seen: HashMap<&str, Vec<&Request>> = HashMap::new();
        for (_, request) in &log.requests {
            let name = plain(&request.target);
            let id = ["first", "smuggled", "end"]
                .iter()
                .find_map(|start| name.strip_prefix(start));
            match id {
                Some(id) => seen.entry(id).or_default().push(request),
                None if name.starts_with("victim") => {}
                None => findings.add(format!("an unknown request: {request:?}")),
            }
        }
        for (n, variant) in variants.iter().enumerate() {
            let id = variants::id(n);
            let seen = seen.remove(&*id).unwrap_or_default();
            let framed = forwarded.get(&id).map_or(&[][..], |all| all);
            let same = |(seen, framed): (&&Request, &Request)| {
                let target = plain(&seen.target) == plain(&framed.target);
                target && seen.method == framed.method && seen.body == framed.body
            };
            if seen.len() != framed.len() || !seen.iter().zip(framed).all(same) {
                findings.add(format!(
                    "{}: the origin saw {seen:?}, framed and answered were {framed:?}",
                    variant.name
                ));
            }
        }
        for id in seen.keys() {
            findings.add(format!("requests of no variant: {id}"));
        }
        for stream in log.streams.values() {
            sloppy_readers_agree(stream, findings);
        }
    });
}

/// Whoever reads what the origin got, with whatever weaknesses, finds the same requests.
fn sloppy_readers_agree(stream: &[u8], findings: &Findings) {
    let strict = read(stream, &[]);
    let partial = |reading: &Reading| match &reading.end {
        End::Incomplete(head) => head.clone(),
        _ => None,
    };
    let pairs = QUIRKS
        .iter()
        .flat_map(|&a| QUIRKS.iter().map(move |&b| [a, b]));
    for quirks in pairs.filter(|[a, b]| (*a as usize) <= *b as usize) {
        // Sloppy about both fields at once, they would only differ where both are there.
        let quirks: &[Quirk] = if quirks[0] == quirks[1] {
            &quirks[..1]
        } else {
            &quirks
        };
        let sloppy = read(stream, quirks);
        if sloppy.requests != strict.requests || partial(&sloppy) != partial(&strict) {
            let different = sloppy
                .requests
                .iter()
                .find(|request| !strict.requests.contains(request));
            findings.add(format!(
                "read with {quirks:?}: {different:?}, {:?}",
                sloppy.end
            ));
            return;
        }
    }
}
