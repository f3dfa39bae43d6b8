//! One scenario from its hosts' boot to what was seen.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::checks;
use crate::emulators::{Emulator, Machine, Paging};
use crate::fetch::Boot;
use crate::host::Host;
use crate::hub::Hub;
use crate::interrupt::Interrupt;
use crate::progress::Step;
use crate::scenario::{self, Role, Scenario};
use crate::script::{end, told, up};
use crate::verdict::{ScenarioResult, StepResult};

/// How often hosts are looked at.
const PERIOD: Duration = Duration::from_millis(100);
/// How often hosts that do not come up are started.
const BOOTS: usize = 2;

/// What a scenario runs with.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    pub(crate) emulator: Emulator,
    pub(crate) paging: Paging,
    /// What each of the scenario's machines boots from.
    pub(crate) boots: Vec<Boot>,
    pub(crate) logs: &'a Path,
    pub(crate) interrupt: &'a Interrupt,
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waited {
    /// All is there.
    Done,
    /// A host ended first.
    Ended,
    /// It took too long.
    TimedOut,
}

/// Runs a scenario. It fails only if it cannot be tried; what was seen is in the result.
pub(crate) fn run(scenario: &Scenario, stage: &Stage<'_>) -> anyhow::Result<ScenarioResult> {
    let start = Instant::now();
    let (emulator, longest) = (stage.emulator.name(), stage.emulator.longest_boot());
    let mut retries = Vec::new();
    let mut hosts = Vec::new();
    for boot in 1..=BOOTS {
        hosts.clear();
        // The network of an earlier try ends with its hosts.
        let hub = (scenario.hosts.len() > 1).then(|| Hub::start(scenario.hosts.len()));
        let hub = hub.transpose()?;
        hosts = start_hosts(scenario, stage, hub.as_ref(), boot)?;
        let step = Step::until(&format!("{}: boot", scenario.name), longest);
        match wait(scenario, &mut hosts, up, longest, stage.interrupt, &step)? {
            Waited::Done => break,
            Waited::Ended => retries.push(format!("{emulator} ended in boot {boot} of a host")),
            Waited::TimedOut => retries.push(format!("a host hung in its boot {boot}")),
        }
    }
    let limit = scenario.limit() * stage.emulator.second();
    let step = Step::until(scenario.name, limit);
    wait(scenario, &mut hosts, end, limit, stage.interrupt, &step)?;
    drop(step);
    Ok(ScenarioResult {
        scenario: scenario.name.to_owned(),
        seconds: start.elapsed().as_secs_f64(),
        retries,
        steps: results(scenario, &hosts),
    })
}

fn start_hosts(
    scenario: &Scenario,
    stage: &Stage<'_>,
    hub: Option<&Hub>,
    attempt: usize,
) -> anyhow::Result<Vec<Host>> {
    let start = |(index, (host, boot)): (usize, (&scenario::Host, &Boot))| {
        let machine = Machine {
            paging: stage.paging,
            cpus: host.cpus,
            memory: host.memory,
            kernel: &boot.kernel,
            initrd: boot.initrd.path(),
            index,
            command_line: match (host.role, host.steps) {
                (Role::Guest, [step, ..]) => step.command,
                _ => "",
            },
            network: hub.map(Hub::socket),
        };
        let name = match attempt {
            1 => format!("{}-{index}", scenario.name),
            _ => format!("{}-{index}-boot{attempt}", scenario.name),
        };
        Host::start(stage.emulator.start(&machine)?, stage.logs, &name)
    };
    scenario
        .hosts
        .iter()
        .zip(&stage.boots)
        .enumerate()
        .map(start)
        .collect()
}

/// Waits until all hosts have printed a line.
fn wait(
    scenario: &Scenario,
    hosts: &mut [Host],
    line: fn(Role) -> String,
    limit: Duration,
    interrupt: &Interrupt,
    step: &Step,
) -> anyhow::Result<Waited> {
    let start = Instant::now();
    let lines: Vec<_> = scenario.hosts.iter().map(|host| line(host.role)).collect();
    loop {
        if interrupt.is_set() {
            bail!("interrupted");
        }
        // Looked at before the texts: what a host has printed before its end counts.
        let ended: Vec<_> = hosts.iter_mut().map(Host::has_ended).collect();
        let texts: Vec<_> = hosts.iter().map(Host::text).collect();
        let seen = texts
            .iter()
            .zip(&lines)
            .map(|(text, line)| text.contains(line));
        let seen: Vec<_> = seen.collect();
        if seen.iter().all(|seen| *seen) {
            return Ok(Waited::Done);
        }
        if ended.iter().zip(&seen).any(|(ended, seen)| *ended && !seen) {
            return Ok(Waited::Ended);
        }
        if start.elapsed() > limit {
            return Ok(Waited::TimedOut);
        }
        step.at(start.elapsed().as_secs());
        let mut last = texts
            .iter()
            .filter_map(|text| text.trim_end().lines().last());
        step.tell(last.next_back().unwrap_or_default());
        std::thread::sleep(PERIOD);
    }
}

fn results(scenario: &Scenario, hosts: &[Host]) -> Vec<StepResult> {
    let pairs = scenario.hosts.iter().zip(hosts);
    let steps = pairs.flat_map(|(host, running)| {
        let console = running.text();
        let step = move |(number, step): (usize, &scenario::Step)| {
            let told = told(&console, host.role, number);
            let findings = checks::judge(step, told.as_ref());
            StepResult {
                step: step.name.to_owned(),
                seconds: told.and_then(|told| Some(told.end?.0)),
                findings: findings.into_iter().map(Into::into).collect(),
            }
        };
        host.steps.iter().enumerate().map(step)
    });
    steps.collect()
}
