//! The whole proxy between clients and origins of any behaviour, on the simulated network: bytes are the choices that
//! compose what everybody does and what goes wrong, and every rule of the simulation must hold.

use world::scenario::Scenario;

/// The simulation's own test has more use for it than a target.
#[allow(dead_code, missing_docs)]
#[path = "../../../tests/simulation/world/mod.rs"]
mod world;

/// Plays the scenario that the input describes.
pub fn run(data: &[u8]) {
    let outcome = world::run(Scenario::from_bytes(data));
    assert!(
        outcome.violations.is_empty(),
        "{}\n{:#?}",
        outcome.violations.join("\n"),
        Scenario::from_bytes(data)
    );
}
