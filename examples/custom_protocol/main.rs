//! A coherence protocol of your own, and what it takes to trust it.
//!
//! [`protocol`] is written as an outside user would; this puts it through everything that the
//! protocols of the project are held to.

mod protocol;

use std::process::ExitCode;

use clap::Parser;
use giantvm_dsm::testing::conformance::{Fault, Suite, Verdict, check_seed};
use giantvm_dsm::testing::model::Checkable;
use giantvm_dsm::testing::{Disturbances, Failure, Report};

use protocol::OneCopy;

const EXAMPLES: &str = "\
Examples:
  custom_protocol              holds the protocol to every law: it passes
  custom_protocol --bug        the same with a bug: it is caught, and you see how
  custom_protocol --bug --seed 3
                               one seed only: the same seed gives the same trace

Exit status:
  0  every law was kept
  1  a law was broken";

/// Puts a protocol of under 250 lines, examples/custom_protocol/protocol.rs, through the whole
/// conformance suite: random runs under disturbances, every state of small worlds, a hostile peer.
#[derive(Debug, Parser)]
#[command(name = "custom_protocol", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    /// Turn the bug on: a node goes on reading a page that it has given away.
    #[arg(long)]
    bug: bool,
    /// Check a small part only, in about a second.
    #[arg(long)]
    quick: bool,
    /// Run the random scenarios of this seed, and nothing else.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.bug {
        run::<OneCopy<true>>(&cli)
    } else {
        run::<OneCopy<false>>(&cli)
    }
}

fn run<P: Checkable>(cli: &Cli) -> ExitCode {
    let suite = if cli.quick {
        Suite::quick()
    } else {
        Suite::full()
    };
    println!("Protocol `{}`\n", P::NAME);
    if let Some(seed) = cli.seed {
        return one_seed::<P>(cli, &suite, seed);
    }
    let passed = suite.check::<P>(&mut |step| println!("  ok    {step}"));
    match passed {
        Ok(Verdict { steps, .. }) => {
            println!("\nEvery law was kept in all {} steps.", steps.len());
            ExitCode::SUCCESS
        }
        Err(Fault::Simulation { step, failure }) => {
            println!("  FAIL  {step}");
            caught(cli, &failure)
        }
        Err(fault) => {
            println!("  FAIL  {fault}");
            ExitCode::FAILURE
        }
    }
}

/// The random scenarios of one seed, as the suite runs them.
fn one_seed<P: Checkable>(cli: &Cli, suite: &Suite, seed: u64) -> ExitCode {
    for (kind, disturbances) in [
        ("undisturbed", Disturbances::default()),
        ("disturbed", Disturbances::LIVELY),
        ("with a death", Disturbances::DEADLY),
    ] {
        match check_seed::<P>(seed, suite.accesses, disturbances) {
            Ok(Report {
                accesses, steps, ..
            }) => println!("  ok    seed {seed}, {kind}: {accesses} accesses, {steps} steps"),
            Err(failure) => {
                println!("  FAIL  seed {seed}, {kind}");
                return caught(cli, &failure);
            }
        }
    }
    ExitCode::SUCCESS
}

/// Shows what was caught, and says how to see it again.
fn caught(cli: &Cli, failure: &Failure) -> ExitCode {
    println!("\nA law is broken: {}\n\n{failure}", failure.law());
    println!("What the laws are: `giantvm_dsm::testing::invariants`.");
    // Only random scenarios are made small, and only they have a seed of their own.
    if failure.scenario.is_some() {
        let given = [(cli.bug, " --bug"), (cli.quick, " --quick")];
        let flags: String = given.iter().filter(|(is, _)| *is).map(|f| f.1).collect();
        println!(
            "To see it again: cargo run --release --example custom_protocol --{flags} --seed {}",
            failure.seed
        );
    }
    ExitCode::FAILURE
}
