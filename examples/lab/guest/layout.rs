//! What processors and nodes there are, and whether they get interrupts.

use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, bail, ensure};

use crate::everywhere::{everywhere, online};
use crate::options::Options;
use crate::proc;

/// All processors are online, and each runs what is put on it.
pub(crate) fn cpus(options: &Options) -> anyhow::Result<String> {
    let online = online()?;
    if let Some(wanted) = options.cpus {
        let found = online.len();
        ensure!(
            found == wanted,
            "{found} processors are online, not {wanted}"
        );
    }
    let ran = everywhere(|_, _| Ok(rustix::thread::sched_getcpu()))?;
    ensure!(ran == online, "what was put on {online:?} ran on {ran:?}");
    let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let source = fs::read_to_string(source).unwrap_or_default();
    Ok(format!("{} processors, clock {}", ran.len(), source.trim()))
}

/// The tools that people ask show the same.
pub(crate) fn layout(options: &Options) -> anyhow::Result<String> {
    let lscpu = tool("/bin/lscpu", &[])?;
    let numactl = tool("/bin/numactl", &["-H"])?;
    let cpus = field(&lscpu, "CPU(s):").and_then(|text| text.parse().ok());
    ensure!(cpus == Some(online()?.len()), "lscpu shows {cpus:?} CPUs");
    let nodes = field(&numactl, "available:").context("numactl shows no nodes")?;
    let nodes = nodes.split_whitespace().next().unwrap_or_default();
    if let Some(wanted) = options.nodes {
        ensure!(
            nodes == wanted.to_string(),
            "numactl shows {nodes} nodes, not {wanted}"
        );
    }
    Ok(format!("{nodes} nodes"))
}

fn tool(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("cannot run {program}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in text.lines() {
        println!("{program}: {line}");
    }
    ensure!(output.status.success(), "{program}: {}", output.status);
    Ok(text)
}

fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut lines = text.lines();
    lines.find_map(|line| Some(line.trim_start().strip_prefix(name)?.trim()))
}

/// Every processor gets interrupts while it works.
pub(crate) fn interrupts(options: &Options) -> anyhow::Result<String> {
    let total = |rows: &[proc::Row], cpu: usize| rows.iter().map(|(_, row)| row[cpu]).sum::<u64>();
    let before = proc::interrupts()?;
    everywhere(|_, _| {
        let start = Instant::now();
        while start.elapsed() < options.time / 4 {
            thread::sleep(Duration::from_millis(5));
            std::hint::black_box((0..50_000_u64).sum::<u64>());
        }
        Ok(())
    })?;
    let after = proc::interrupts()?;
    for (name, counts) in &after {
        if counts.iter().any(|count| *count > 0) {
            println!("/proc/interrupts: {name:>5} {counts:?}");
        }
    }
    let cpus = after.first().map_or(0, |(_, row)| row.len());
    let grown: Vec<_> = (0..cpus)
        .map(|cpu| total(&after, cpu).saturating_sub(total(&before, cpu)))
        .collect();
    if grown.is_empty() || grown.contains(&0) {
        bail!("new interrupts by processor: {grown:?}");
    }
    Ok(format!("{grown:?} new ones by processor"))
}
