//! A scheduler of your own, beside the two that the project has, on a simulated cluster.

use clap::Parser;
use comfy_table::{Cell, CellAlignment, Table};
use giantvm_sched::das::{Das, Parameters};
use giantvm_sched::fair::Fair;
use giantvm_sched::schedule::{Decision, Event, EventError, Machine, Nanos, RunQueues, Scheduler};
use giantvm_sched::testing::{Workload, simulate};

/// Runs workloads under three schedulers: `fair`, `das`, and `pack`, which is written here.
#[derive(Debug, Parser)]
#[command(name = "custom_scheduler", version)]
struct Cli {
    /// vCPUs of each node.
    #[arg(long, value_delimiter = ',', default_value = "4,4")]
    vcpus: Vec<usize>,
    /// Seconds of virtual time; the table shows the second half.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// The order that threads are spawned in.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Fills the first node, then the next, and never moves a thread again.
struct Pack(Machine, RunQueues);

impl Scheduler for Pack {
    fn name(&self) -> &'static str {
        "pack"
    }

    fn handle(
        &mut self,
        _now: Nanos,
        event: Event,
        out: &mut Vec<Decision>,
    ) -> Result<(), EventError> {
        let Self(machine, queues) = self;
        match event {
            Event::Spawn { thread, by } => {
                // vCPUs are numbered node by node: the first of the least loaded is in the first.
                let vcpu = machine.vcpus().min_by_key(|&vcpu| queues.load(vcpu));
                queues.spawn(thread, vcpu.unwrap_or(by), out)
            }
            Event::Wake { thread, .. } => {
                let vcpu = queues.check_blocked(thread)?;
                queues.wake(thread, vcpu, out)
            }
            Event::Block { thread } => queues.block(thread, out).map(drop),
            Event::Exit { thread } => queues.exit(thread, out).map(drop),
            Event::Tick { vcpu } => {
                queues.rotate(vcpu, out);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let machine = Machine::new(&cli.vcpus)?;
    let (vcpus, span) = (machine.vcpu_count(), Nanos(cli.seconds * 1_000_000_000));
    let mut table = Table::new();
    table.set_header(["workload", "scheduler", "work/s", "faults/s", "moves"]);
    for workload in [
        Workload::sharing(vcpus.div_ceil(4), 4, 20, cli.seed),
        Workload::in_step(vcpus.div_ceil(2), 4, 200, cli.seed),
        Workload::independent(vcpus * 2),
        Workload::streaming(vcpus),
    ] {
        let schedulers: [Box<dyn Scheduler>; 3] = [
            Box::new(Fair::new(machine.clone())),
            Box::new(Das::new(machine.clone(), Parameters::default())),
            Box::new(Pack(machine.clone(), RunQueues::new(&machine))),
        ];
        for mut scheduler in schedulers {
            let of = simulate(&machine, &workload, scheduler.as_mut(), span);
            let a_second = |count: u64| count * 2 / cli.seconds;
            let numbers = [a_second(of.work()), a_second(of.late_faults), of.moves];
            let mut row = vec![Cell::new(&workload.name), Cell::new(scheduler.name())];
            row.extend(numbers.map(|of| Cell::new(of).set_alignment(CellAlignment::Right)));
            table.add_row(row);
        }
    }
    println!("{table}");
    Ok(())
}
