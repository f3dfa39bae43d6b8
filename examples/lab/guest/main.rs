//! What a guest of the lab runs: checks by name, each on all processors at once.
//!
//! Which ones, and of what size, is on the kernel's command line. Every check ends with a line
//! `LAB name ok detail` or `LAB name FAIL detail`, and all of them with `LAB end`.

mod agent;
mod channel;
mod clock;
mod disk;
mod everywhere;
mod hotplug;
mod idle;
mod layout;
mod memory;
mod native;
mod net;
mod npb;
mod options;
mod proc;
mod rng;
mod shoot;
mod sort;
mod spawn;
mod wake;

use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use crate::options::Options;

/// A check: what is worth telling if all is well.
type Check = fn(&Options) -> anyhow::Result<String>;

const CHECKS: [(&str, Check); 19] = [
    ("cpus", layout::cpus),
    ("layout", layout::layout),
    ("interrupts", layout::interrupts),
    ("disk", disk::disk),
    ("net", net::net),
    ("rng", rng::rng),
    ("channel", channel::channel),
    ("agent", agent::agent),
    ("sort", sort::sort),
    ("memory", memory::memory),
    ("futex", wake::futex),
    ("pipe", wake::pipe),
    ("spawn", spawn::spawn),
    ("shoot", shoot::shoot),
    ("clock", clock::clock),
    ("hotplug", hotplug::hotplug),
    ("ep", npb::ep),
    ("is", npb::is),
    ("idle", idle::idle),
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let Some((first, rest)) = arguments.split_first()
        && first == agent::WORK
    {
        return match agent::work(rest) {
            Ok(said) => {
                println!("{said}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                println!("{error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let options = Options::parse(&fs::read_to_string("/proc/cmdline").unwrap_or_default());
    let mut bad = 0;
    for name in &options.checks {
        let start = Instant::now();
        let known = CHECKS.iter().find(|(known, _)| known == name);
        let result = match known {
            Some((_, check)) => check(&options),
            None => Err(anyhow::anyhow!("there is no such check")),
        };
        let seconds = start.elapsed().as_secs_f64();
        match result {
            Ok(detail) => println!("LAB {name} ok {detail} ({seconds:.2} s)"),
            Err(error) => {
                bad += 1;
                println!("LAB {name} FAIL {error:#} ({seconds:.2} s)");
            }
        }
    }
    println!("LAB end: {bad} of {} checks failed", options.checks.len());
    if bad == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
