//! The whole proxy on the simulated driver: a budget of seeds, those that failed once, and proofs that the
//! checks can fail. `docs/testing.md` says how to replay a seed and how to run for hours.

mod world;

/// As in the binary: scenarios allocate a lot.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::time::{Duration, Instant};

use ringway::io::Sabotage;
use world::scenario::{Flaw, Scenario};
use world::{Outcome, run};

/// Seeds of an ordinary test run.
const SEEDS: u64 = 3_000;

/// Seeds that found something once: `seed  # what it was`.
const REGRESSIONS: &str = include_str!("regressions");

fn environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is {text:?}, not a number")),
    )
}

/// Runs a seed; what is wrong with it, and how to see it again.
fn check(seed: u64) -> Result<Outcome, String> {
    let outcome = run(Scenario::from_seed(seed));
    if outcome.violations.is_empty() {
        return Ok(outcome);
    }
    Err(format!(
        "seed {seed} fails:\n  {}\nreplay: RINGWAY_SIM_SEED={seed} cargo test --profile fast --test simulation one_seed -- --nocapture",
        outcome.violations.join("\n  ")
    ))
}

#[test]
fn every_rule_holds_under_any_seed() {
    let first = environment("RINGWAY_SIM_FIRST").unwrap_or(0);
    let seeds = environment("RINGWAY_SIM_SEEDS").unwrap_or(SEEDS);
    let time = environment("RINGWAY_SIM_TIME").map(Duration::from_secs);
    let began = Instant::now();
    let (mut total, mut done) = (Outcome::default(), 0);
    let mut failures = Vec::new();
    let most = if time.is_some() {
        u64::MAX - first
    } else {
        seeds
    };
    for seed in first..first + most {
        if time.is_some_and(|time| began.elapsed() >= time) || failures.len() >= 10 {
            break;
        }
        match check(seed) {
            Ok(outcome) => {
                total.answered += outcome.answered;
                total.refused += outcome.refused;
                total.tunnels += outcome.tunnels;
                total.turns += outcome.turns;
                total.faults.add(&outcome.faults);
            }
            Err(failure) => {
                eprintln!("{failure}");
                failures.push(seed);
            }
        }
        done += 1;
    }
    let rate = done as f64 / began.elapsed().as_secs_f64();
    eprintln!(
        "{done} seeds from {first}, {rate:.0} per second: {} answers of origins, {} of the proxy, {} tunnels, {} turns",
        total.answered, total.refused, total.tunnels, total.turns
    );
    for &fault in ringway::io::Fault::ALL {
        eprintln!("{:>20} {}", total.faults.get(fault), fault.name());
    }
    assert!(failures.is_empty(), "seeds that fail: {failures:?}");
}

#[test]
fn seeds_that_found_something_once_find_nothing() {
    let lines = REGRESSIONS
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let seed = line
            .split_whitespace()
            .next()
            .and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| panic!("a line begins with no seed: {line}"));
        if let Err(failure) = check(seed) {
            panic!("{failure}\nit stands for: {line}");
        }
    }
}

/// Replays the seed in `RINGWAY_SIM_SEED`, and says what it is about.
#[test]
fn one_seed() {
    let Some(seed) = environment("RINGWAY_SIM_SEED") else {
        return;
    };
    eprintln!("{:#?}", Scenario::from_seed(seed));
    match check(seed) {
        Ok(outcome) => eprintln!("{outcome:#?}"),
        Err(failure) => panic!("{failure}"),
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..60 {
        let (first, second) = (
            run(Scenario::from_seed(seed)),
            run(Scenario::from_seed(seed)),
        );
        assert_eq!(first, second, "seed {seed}");
        assert_ne!(first.trace, run(Scenario::from_seed(seed + 1000)).trace);
    }
}

/// Seeds until one of them finds what was broken.
fn noticed(what: &str, spoil: impl Fn(&mut Scenario)) {
    for seed in 0..200 {
        let mut scenario = Scenario::from_seed(seed);
        if !scenario.calm {
            continue;
        }
        spoil(&mut scenario);
        if let Some(violation) = run(scenario).violations.first() {
            eprintln!("{what}: seed {seed}: {violation}");
            return;
        }
    }
    panic!("no check notices {what}");
}

#[test]
fn what_a_broken_proxy_would_do_is_noticed() {
    for flaw in Flaw::ALL {
        noticed(&format!("{flaw:?}"), |scenario| scenario.flaw = Some(flaw));
    }
}

#[test]
fn what_a_broken_driver_would_do_is_noticed() {
    for sabotage in [
        Sabotage::LoseCompletion,
        Sabotage::RepeatCompletion,
        Sabotage::MisdeliverBytes,
        Sabotage::WriteLate,
        Sabotage::KeepSocket,
        Sabotage::IgnoreCancels,
    ] {
        noticed(&format!("{sabotage:?}"), |scenario| {
            scenario.net.sabotage = Some(sabotage)
        });
    }
}

#[test]
fn any_bytes_are_a_scenario() {
    for n in 0..300_u64 {
        let bytes: Vec<u8> = (0..n)
            .map(|i| ((i * n * 2_654_435_761) >> 13) as u8)
            .collect();
        let outcome = run(Scenario::from_bytes(&bytes));
        assert!(
            outcome.violations.is_empty(),
            "{bytes:?}: {:?}",
            outcome.violations
        );
    }
}
