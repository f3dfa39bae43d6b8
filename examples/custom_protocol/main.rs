//! A coherence protocol of your own, and what it takes to trust it.
//!
//! [`protocol`] is written as an outside user would; this puts it through everything that the
//! protocols of the project are held to.

mod protocol;

use std::process::ExitCode;

use clap::Parser;
use giantvm_dsm::testing::conformance::{Fault, Suite, Verdict, check_seed};
use giantvm_dsm::testing::model::Checkable;
use giantvm_dsm::testing::{Disturbances, Failure};

use protocol::OneCopy;

const EXAMPLES: &str = "\
Examples:
  custom_protocol              holds the protocol to every law: it passes
  custom_protocol --bug        the same with a bug: it is caught, and you see how
  custom_protocol --bug --seed 3
                               one random run only: the same seed gives the same trace

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
    /// Run the disturbed random scenario of this seed, and nothing else.
    #[arg(long, value_name = "N", conflicts_with = "quick")]
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
        return match check_seed::<P>(seed, suite.accesses, Disturbances::LIVELY) {
            Ok(report) => {
                println!(
                    "  ok    seed {seed}: {} accesses, {} steps",
                    report.accesses, report.steps
                );
                ExitCode::SUCCESS
            }
            Err(failure) => caught(&failure),
        };
    }
    let passed = suite.check::<P>(&mut |step| println!("  ok    {step}"));
    match passed {
        Ok(Verdict { steps, .. }) => {
            println!("\nEvery law was kept in all {} steps.", steps.len());
            ExitCode::SUCCESS
        }
        Err(Fault::Simulation { step, failure }) => {
            println!("  FAIL  {step}");
            caught(&failure)
        }
        Err(fault) => {
            println!("  FAIL  {fault}");
            ExitCode::FAILURE
        }
    }
}

/// Says how to read what was caught.
fn caught(failure: &Failure) -> ExitCode {
    println!("\nA law is broken: {}\n\n{failure}", failure.law());
    println!(
        "A line is one event: when, at which node, and behind the arrow what the protocol ordered. \
         The last\nline is the one after which the law did not hold. What the laws are: \
         `giantvm_dsm::testing::invariants`."
    );
    ExitCode::FAILURE
}
