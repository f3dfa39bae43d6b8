//! The agent: one look after the other.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use giantvm_sched::schedule::Nanos;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cgroup::Scope;
use crate::cli::Cli;
use crate::cpus::Cpus;
use crate::decide::Decider;
use crate::place::Places;
use crate::port::Port;
use crate::show;
use crate::watch::{self, Look};

/// Where a kernel that can load schedulers says so.
const SCHED_EXT: &str = "/sys/kernel/sched_ext";
/// How often it is looked whether the agent should end.
const NAP: Duration = Duration::from_millis(50);

/// Does what the command line says.
pub(crate) fn run(cli: &Cli) -> anyhow::Result<()> {
    let mut port = Port::open(cli.channel.as_deref())?;
    let first = port.ask()?;
    if cli.once {
        print!("{}", show::snapshot(&first));
        return Ok(());
    }
    let scope = match (cli.pid, &cli.cgroup) {
        (Some(pid), _) => Scope::Process(pid),
        (None, Some(path)) => Scope::Cgroup(path.clone()),
        (None, None) => Scope::own()?,
    };
    scope.threads()?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").context("/proc is not mounted")?;
    let cpus = Cpus::new(&cpuinfo, first.machine());
    let interval = Duration::from_millis(cli.interval);
    let mut decider = Decider::new(&first, cpus.clone(), interval.into());
    let mut places = Places::default();
    println!("{}", greeting(cli.dry_run, Path::new(SCHED_EXT).exists()));
    let done = watch(
        cli,
        &scope,
        &stop,
        &mut port,
        |now, look, snapshot, port| {
            places.retain(|thread| look.threads.contains_key(&thread));
            let (wanted, report) = decider.turn(now, look, snapshot);
            for of in &wanted {
                let text = show::wanted(of, &watch::name(of.thread));
                if cli.dry_run {
                    println!("would move {text}");
                    decider.stays(now, of);
                    continue;
                }
                match places.place(of.thread, of.to, &cpus) {
                    Ok(()) => println!("moved {text}"),
                    Err(error) => {
                        println!("did not move {text}: {error}");
                        decider.stays(now, of);
                    }
                }
            }
            Ok(port.tell(report)?)
        },
    );
    let given = places.give_back();
    println!("ends; {given} threads may run where they might before");
    done
}

fn greeting(dry_run: bool, sched_ext: bool) -> &'static str {
    match (dry_run, sched_ext) {
        (true, _) => "looks, and moves nothing",
        (false, false) => "places threads by affinity",
        (false, true) => {
            "places threads by affinity; this kernel has sched_ext, too, but to load a scheduler takes \
             rights over the whole system"
        }
    }
}

/// Looks again and again, until it is to end.
fn watch(
    cli: &Cli,
    scope: &Scope,
    stop: &AtomicBool,
    port: &mut Port,
    mut turn: impl FnMut(
        Nanos,
        Look,
        &giantvm_sched::channel::Snapshot,
        &mut Port,
    ) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let started = Instant::now();
    let interval = Duration::from_millis(cli.interval);
    let mut looks = 0;
    while !stop.load(Ordering::Relaxed) && cli.looks.is_none_or(|most| looks < most) {
        let due = started + interval * u32::try_from(looks + 1).unwrap_or(u32::MAX);
        while Instant::now() < due && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(NAP.min(due.saturating_duration_since(Instant::now())));
        }
        let snapshot = port.ask()?;
        let look = match Look::take(scope) {
            Err(error) if scope.has_ended() => {
                println!("{error}");
                break;
            }
            look => look?,
        };
        turn(Nanos::from(started.elapsed()), look, &snapshot, port)?;
        looks += 1;
    }
    Ok(())
}
