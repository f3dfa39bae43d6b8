//! What the engine sends together, holds and asks for ahead breaks no law.

mod sheaves;

use giantvm_dsm::protocol::{CoherenceProtocol, Directory, Ivy, Lease};

/// Runs of each protocol.
const SEEDS: u64 = 6;

fn keeps_the_laws<P: CoherenceProtocol>() {
    let runs = (0..SEEDS).map(|seed| {
        sheaves::check::<P>(seed).unwrap_or_else(|what| panic!("{}, seed {seed}: {what}", P::NAME))
    });
    let runs: Vec<_> = runs.collect();
    assert!(
        runs.iter()
            .all(|run| run.sheaves > 0 && run.read_ahead > 0 && run.waits > 0)
    );
}

#[test]
fn letters_that_go_together_and_pages_that_are_held_keep_the_laws_of_the_directory() {
    keeps_the_laws::<Directory>();
}

#[test]
fn letters_that_go_together_and_pages_that_are_held_keep_the_laws_of_ivy() {
    keeps_the_laws::<Ivy>();
}

#[test]
fn letters_that_go_together_and_pages_that_are_held_keep_what_leases_promise_of_each_word() {
    keeps_the_laws::<Lease>();
}

#[test]
fn a_run_is_its_seed() {
    assert_eq!(
        sheaves::check::<Directory>(3),
        sheaves::check::<Directory>(3)
    );
    assert_ne!(
        sheaves::check::<Directory>(3),
        sheaves::check::<Directory>(4)
    );
}
