//! Says in plain words, line by line, whether this host can serve as a node, and how to mend what
//! is missing.

mod finding;
mod host;
mod kvm;

use std::process::ExitCode;

use clap::Parser;
use giantvm_dsm::uffd::{Check, Support};

use crate::finding::{Finding, Verdict};

/// Checks whether this host can serve as a node of a GiantVM machine.
///
/// Changes nothing. Exit status 0: it can; 1: something is missing, and the line says what to do.
#[derive(Debug, Parser)]
#[command(name = "doctor", version)]
struct Cli {
    /// Guest memory that this node should be able to hold, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    memory: u64,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut findings = vec![host::kernel(), host::privileges()];
    findings.extend(Support::probe().checks().into_iter().map(userfaultfd));
    findings.extend([host::memory(cli.memory), host::huge_pages()]);
    findings.extend(kvm::checks());
    for Finding {
        verdict,
        what,
        detail,
    } in &findings
    {
        println!("{verdict}  {what}: {detail}");
    }
    let bad = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Bad)
        .count();
    if bad == 0 {
        println!("\nThis host can serve.");
        ExitCode::SUCCESS
    } else {
        println!("\nThis host cannot serve: see the lines that say BAD ({bad}).");
        ExitCode::FAILURE
    }
}

/// Without the first two checks no memory can be shared; the others make it better.
fn userfaultfd(check: Check) -> Finding {
    let needed = check.what == "userfaultfd" || check.what.starts_with("copying");
    let verdict = match (check.ok, needed) {
        (true, _) => Verdict::Good,
        (false, true) => Verdict::Bad,
        (false, false) => Verdict::Poor,
    };
    Finding::new(verdict, check.what, check.detail)
}
