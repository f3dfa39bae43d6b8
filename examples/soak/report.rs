//! What a soak says in the end.

use std::time::Duration;

use giantvm_dsm::testing::Failure;
use serde_json::json;

use crate::cli::Cli;

/// Prints what was done, and what failed.
pub(crate) fn report(
    cli: &Cli,
    (seeds, steps): (u64, u64),
    took: Duration,
    failure: Option<&Failure>,
) {
    let (protocol, seconds) = (cli.protocol.name(), took.as_secs_f64());
    if cli.json {
        let failure = failure.map(|failure| {
            let (seed, law, text) = (failure.seed, failure.law(), failure.to_string());
            json!({ "seed": seed, "law": law, "text": text })
        });
        let accesses = cli.accesses;
        println!(
            "{}",
            json!({
                "protocol": protocol, "accesses": accesses, "seeds": seeds, "steps": steps,
                "seconds": seconds, "failure": failure,
            })
        );
        return;
    }
    if let Some(failure) = failure {
        let (from, accesses) = (failure.seed, cli.accesses);
        let to = from.saturating_add(1);
        let bug = cli.mutant.map(|mutant| format!(" --mutant {mutant:?}"));
        println!(
            "{failure}\nTo see it again: cargo run --release --example soak -- --protocol {protocol} \
             --seeds {from}..{to} --accesses {accesses}{}\n",
            bug.unwrap_or_default()
        );
    }
    let failed = u64::from(failure.is_some());
    println!(
        "{protocol}: {seeds} seeds, {steps} steps in {seconds:.0} s ({:.0} steps/s), {failed} failed",
        steps as f64 / seconds
    );
}
