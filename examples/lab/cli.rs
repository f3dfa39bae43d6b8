//! The command line.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;

use crate::cache::Cache;
use crate::emulators::Paging;
use crate::fetch::Fetched;
use crate::interrupt::Interrupt;
use crate::run::{Stage, run};
use crate::scenario::Scenario;
use crate::scenarios;
use crate::verdict::{self, ScenarioResult};

const EXAMPLES: &str = "\
Examples:
  lab                              the short form: what a few minutes can show
  lab --list                       all scenarios
  lab --scenario nodes             only this one; may be said more than once
  lab --all --json all.json        every one, with figures for machines
  lab --scenario host --paging shadow   with shadow page tables

Exit status:
  0  all was seen that must be seen
  1  something was not
  2  the lab could not try it";

/// Tries the project where a processor's own virtualization is emulated, so that it needs neither
/// KVM nor a second machine.
///
/// Fetches emulators, kernels and tools from Debian's packages into a cache, builds the project's programs
/// without libraries, boots emulated hosts, runs scenarios in them and checks what they print.
/// Nothing of the machine's own configuration changes. Needs Debian's apt, Rust and gcc.
#[derive(Debug, Parser)]
#[command(name = "lab", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    /// List the scenarios and end.
    #[arg(long)]
    list: bool,

    /// Run only this scenario, or these.
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    scenario: Vec<String>,

    /// Run every scenario, and not only the short ones.
    #[arg(long)]
    all: bool,

    /// How the emulated processors find their guests' memory. Each scenario has its own default.
    #[arg(long, value_enum)]
    paging: Option<Paging>,

    /// Where to keep what was fetched. $XDG_CACHE_HOME/giantvm-lab by default.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,

    /// Keep the logs of what passed as well.
    #[arg(long)]
    keep: bool,

    /// Write the verdict to FILE as JSON (`-` is standard output).
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Cli {
    /// Does what the arguments say; tells whether all was seen that must be seen.
    pub(crate) fn run(&self) -> anyhow::Result<bool> {
        if self.list {
            for scenario in scenarios::all() {
                let short = if scenario.short { "short" } else { "long" };
                println!("{:12} {short:6} {}", scenario.name, scenario.about);
            }
            return Ok(true);
        }
        let scenarios = self.scenarios()?;
        let interrupt = Interrupt::listen()?;
        let fetched = Fetched::fetch(Cache::new(self.cache.clone())?)?;
        let logs = tempfile::Builder::new().prefix("giantvm-lab.").tempdir()?;
        let mut results = Vec::new();
        for scenario in scenarios {
            let paging = self.paging.unwrap_or(scenario.paging);
            let boots = scenario
                .hosts
                .iter()
                .map(|host| fetched.boot(scenario, host.role));
            let stage = Stage {
                emulator: fetched.emulator(paging)?,
                paging,
                boots: boots.collect::<Result<_, _>>()?,
                logs: logs.path(),
                interrupt: &interrupt,
            };
            results.push(run(scenario, &stage)?);
        }
        let passed = results.iter().all(ScenarioResult::passed);
        self.tell(&results)?;
        if passed && !self.keep {
            return Ok(true);
        }
        println!("What every host printed is in {}", logs.keep().display());
        Ok(passed)
    }

    fn scenarios(&self) -> anyhow::Result<Vec<&'static Scenario>> {
        if self.scenario.is_empty() {
            let chosen = scenarios::all().filter(|scenario| self.all || scenario.short);
            return Ok(chosen.collect());
        }
        let named = |name: &String| {
            let scenario = scenarios::all().find(|scenario| scenario.name == name);
            scenario.with_context(|| format!("there is no scenario `{name}`: see --list"))
        };
        self.scenario.iter().map(named).collect()
    }

    fn tell(&self, results: &[ScenarioResult]) -> anyhow::Result<()> {
        let json = || serde_json::to_string_pretty(results).map(|json| json + "\n");
        let table = verdict::table(results);
        match self.json.as_deref() {
            Some(path) if path.as_os_str() == "-" => {
                eprintln!("{table}");
                print!("{}", json()?);
            }
            path => {
                println!("{table}");
                if let Some(path) = path {
                    std::fs::write(path, json()?)?;
                }
            }
        }
        Ok(())
    }
}
