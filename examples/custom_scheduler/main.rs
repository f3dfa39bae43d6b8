//! A scheduler of your own, beside the two that the project has, on a simulated cluster.

use clap::Parser;
use comfy_table::{Cell, CellAlignment, Table};
use giantvm_core::VcpuId;
use giantvm_sched::das::{Das, Parameters};
use giantvm_sched::fair::Fair;
use giantvm_sched::schedule::{
    Decision, Event, EventError, Machine, Nanos, RunQueues, SLICE, Scheduler,
};
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
struct Pack {
    machine: Machine,
    queues: RunQueues,
}

impl Scheduler for Pack {
    fn name(&self) -> &'static str {
        "pack"
    }

    fn handle(
        &mut self,
        now: Nanos,
        event: Event,
        out: &mut Vec<Decision>,
    ) -> Result<(), EventError> {
        match event {
            Event::Spawn { thread, by } => {
                // vCPUs are numbered node by node: the first of the least loaded is in the first.
                let vcpu = self
                    .machine
                    .vcpus()
                    .min_by_key(|&vcpu| self.queues.load(vcpu));
                self.queues.spawn(thread, vcpu.unwrap_or(by), out)
            }
            Event::Wake { thread, .. } => {
                let vcpu = self.queues.check_blocked(thread)?;
                self.queues.wake(thread, vcpu, out)
            }
            Event::Block { thread } => self.queues.block(thread, out).map(drop),
            Event::Exit { thread } => self.queues.exit(thread, out).map(drop),
            Event::Tick { vcpu } => {
                // Its vCPU changes hands every few milliseconds.
                if now.0 / SLICE.0 % 2 == u64::from(vcpu > VcpuId::BOOT) {
                    self.queues.rotate(vcpu, out);
                }
                Ok(())
            }
            Event::Idle { .. } | Event::Faults(_) | Event::Link { .. } | Event::Capacity { .. } => {
                Ok(())
            }
        }
    }
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let machine = Machine::new(&cli.vcpus)?;
    let mut table = Table::new();
    table.set_header([
        "workload",
        "scheduler",
        "work/s",
        "faults/s",
        "moves",
        "late moves",
    ]);
    let vcpus = machine.vcpu_count();
    for workload in [
        Workload::sharing(vcpus.div_ceil(4), 4, 20, cli.seed),
        Workload::in_step(vcpus.div_ceil(2), 4, 200, cli.seed),
        Workload::independent(vcpus * 2),
        Workload::streaming(vcpus),
    ] {
        let (queues, span) = (RunQueues::new(&machine), Nanos(cli.seconds * 1_000_000_000));
        let schedulers: [Box<dyn Scheduler>; 3] = [
            Box::new(Fair::new(machine.clone())),
            Box::new(Das::new(machine.clone(), Parameters::default())),
            Box::new(Pack {
                machine: machine.clone(),
                queues,
            }),
        ];
        for mut scheduler in schedulers {
            let of = simulate(&machine, &workload, scheduler.as_mut(), span);
            let a_second = |count: u64| count * 2 / cli.seconds;
            let numbers = [
                a_second(of.work()),
                a_second(of.late_faults),
                of.moves,
                of.late_moves,
            ];
            let mut row = vec![Cell::new(&workload.name), Cell::new(scheduler.name())];
            let cell = |number| Cell::new(number).set_alignment(CellAlignment::Right);
            row.extend(numbers.map(cell));
            table.add_row(row);
        }
    }
    println!("{table}");
    Ok(())
}
