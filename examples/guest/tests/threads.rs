//! The guest's programs on many threads, which plain threads of one process carry that stand for vCPUs.

#[path = "host/carriers.rs"]
mod carriers;
mod host;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use carriers::Carriers;
use giantvm_core::VcpuId;
use giantvm_guest::threads::ARENA;
use giantvm_guest::{Config, ConfigError, Program, Run, abi};
use giantvm_sched::das::{Das, Parameters};
use giantvm_sched::fair::Fair;
use giantvm_sched::schedule::{
    Decision, Event, EventError, Machine, Nanos, RunQueues, Scheduler, ThreadId,
};
use host::{Host, assert_passes, config};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// All programs that threads can run.
fn runs() -> Vec<Run> {
    let programs = Program::ALL.into_iter();
    let on_threads = programs.filter(|program| program.on_threads());
    let mut runs: Vec<_> = on_threads.map(Run::from).collect();
    for run in &mut runs {
        match run.program {
            Program::Ticket => run.parameters = [4, 8, 0, 0],
            Program::Sum => run.parameters = [4 << 20, 7, 0, 0],
            Program::Is => run.parameters[1] = 3,
            _ => {}
        }
    }
    runs
}

fn on_threads(vcpus: usize, threads: u32, runs: Vec<Run>) -> Config {
    Config {
        threads,
        ..config(vcpus, runs)
    }
}

/// A machine whose vCPUs carry threads.
fn carried(config: &Config, carriers: &Arc<Carriers>) -> Host {
    let mut host = Host::new(config);
    let carriers = Arc::clone(carriers);
    host.carry = Some(Box::new(move |vcpu, offset| carriers.report(vcpu, offset)));
    host
}

/// Runs everything, and returns how often threads went to another vCPU.
fn moves(config: &Config, machine: &Machine, scheduler: Box<dyn Scheduler + Send>) -> u64 {
    let carriers = Arc::new(Carriers::new(machine, scheduler));
    carried(config, &carriers).assert_passes(config);
    carriers.moves()
}

/// Moves threads to other vCPUs all the time.
struct Restless {
    queues: RunQueues,
    vcpus: usize,
    threads: u32,
    random: u64,
}

impl Restless {
    fn new(machine: &Machine, threads: u32, random: u64) -> Box<Self> {
        Box::new(Self {
            queues: RunQueues::new(machine),
            vcpus: machine.vcpu_count(),
            threads,
            random,
        })
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        u32::try_from(self.random >> 33).unwrap() % bound
    }

    fn anywhere(&mut self) -> VcpuId {
        let vcpu = self.below(u32::try_from(self.vcpus).unwrap());
        VcpuId::try_from(vcpu as usize).unwrap()
    }
}

impl Scheduler for Restless {
    fn name(&self) -> &'static str {
        "restless"
    }

    fn handle(
        &mut self,
        _: Nanos,
        event: Event,
        out: &mut Vec<Decision>,
    ) -> Result<(), EventError> {
        let to = self.anywhere();
        match event {
            Event::Spawn { thread, .. } => self.queues.spawn(thread, to, out)?,
            Event::Wake { thread, .. } => self.queues.wake(thread, to, out)?,
            Event::Block { thread } => drop(self.queues.block(thread, out)?),
            Event::Exit { thread } => drop(self.queues.exit(thread, out)?),
            Event::Tick { vcpu } => self.queues.rotate(vcpu, out),
            _ => {}
        }
        let (thread, to) = (ThreadId(self.below(self.threads)), self.anywhere());
        self.queues.settle(thread, to, out);
        Ok(())
    }
}

#[test]
fn every_program_is_right_on_more_threads_than_vcpus_under_both_schedulers() {
    assert_passes(&config(3, runs()));
    for (nodes, threads) in [(&[2][..], 5), (&[1, 2], 12)] {
        let machine = Machine::new(nodes).unwrap();
        let config = on_threads(machine.vcpu_count(), threads, runs());
        let fair = Fair::new(machine.clone());
        let das = Das::new(machine.clone(), Parameters::default());
        moves(&config, &machine, Box::new(fair));
        moves(&config, &machine, Box::new(das));
    }
}

#[test]
fn one_vcpu_carries_as_many_threads_as_there_can_be() {
    let machine = Machine::new(&[1]).unwrap();
    let atomic = Run {
        program: Program::Atomic,
        parameters: [10, 0, 0, 0],
    };
    let config = on_threads(1, 254, vec![atomic]);
    let fair = Box::new(Fair::new(machine.clone()));
    assert_eq!(moves(&config, &machine, fair), 0);
}

#[test]
fn threads_give_the_same_bits_as_vcpus() {
    let machine = Machine::new(&[3]).unwrap();
    let cg = vec![Run::from(Program::Cg)];
    let values = |host: Host, config: &Config| {
        host.run();
        host.verdicts(config)[0].result.unwrap().values
    };
    let alone = config(1, cg.clone());
    let many = on_threads(3, 10, cg);
    let carriers = Carriers::new(&machine, Restless::new(&machine, 10, 7));
    let host = carried(&many, &Arc::new(carriers));
    assert_eq!(values(host, &many), values(Host::new(&alone), &alone));
}

#[test]
fn no_thread_is_lost_wherever_it_is_moved() {
    let runs = vec![
        Run {
            program: Program::Atomic,
            parameters: [200, 0, 0, 0],
        },
        Run::from(Program::Mg),
        Run {
            program: Program::Is,
            parameters: [16, 2, 0, 0],
        },
    ];
    // One thread that is done before its scheduler says much may well stay where it is, so that
    // threads move at all is asked of all cases together.
    let all = AtomicU64::new(0);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(12));
    let cases = (1..4_usize, 1..20_u32, 1..u64::MAX);
    let held = runner.run(&cases, |(vcpus, threads, seed)| {
        let machine = Machine::new(&[vcpus]).unwrap();
        let config = on_threads(vcpus, threads, runs.clone());
        let moves = moves(&config, &machine, Restless::new(&machine, threads, seed));
        all.fetch_add(moves, Ordering::Relaxed);
        prop_assert!(vcpus > 1 || moves == 0, "{} moves on one vCPU", moves);
        Ok(())
    });
    held.unwrap();
    let all = all.into_inner();
    assert!(all > 100, "hardly any thread moved: {all}");
}

#[test]
fn what_threads_cannot_run_or_find_no_room_for_is_refused() {
    let refused = |threads, program: Program| {
        let config = on_threads(2, threads, vec![program.into()]);
        config.table().unwrap_err()
    };
    assert_eq!(
        refused(2, Program::Ipi),
        ConfigError::OnThreads(Program::Ipi)
    );
    assert_eq!(refused(255, Program::Ep), ConfigError::Threads(255));
    let sum = Config {
        memory: 76 << 20,
        ..on_threads(2, 1, vec![Program::Sum.into()])
    };
    let (needed, available) = (abi::DATA + (64 << 20) + ARENA, 76 << 20);
    let program = Program::Sum;
    let missing = ConfigError::ProgramMemory {
        program,
        needed,
        available,
    };
    assert_eq!(sum.table().unwrap_err(), missing);
    assert!(Config { threads: 0, ..sum }.table().is_ok());
}
