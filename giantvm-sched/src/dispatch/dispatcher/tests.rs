//! Teams of threads on vCPUs, whatever a scheduler does with them.

use proptest::prelude::*;

use super::*;
use crate::das::{Das, Parameters};
use crate::fair::Fair;
use crate::schedule::{RunQueues, Scheduler};

/// Moves threads wherever it likes, running or not.
struct Restless {
    queues: RunQueues,
    vcpus: usize,
    random: u64,
    /// What it decided that each vCPU runs.
    runs: Vec<Option<ThreadId>>,
}

impl Restless {
    fn next(&mut self) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 33).unwrap()
    }

    fn anywhere(&mut self) -> VcpuId {
        VcpuId::try_from(self.next() % self.vcpus).unwrap()
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
        let (to, before) = (self.anywhere(), out.len());
        match event {
            Event::Ran { vcpu, cpu } => {
                assert_eq!(self.runs[vcpu.index()], Some(ran(cpu)), "{vcpu}");
                return Ok(());
            }
            Event::Spawn { thread, .. } => self.queues.spawn(thread, to, out)?,
            Event::Wake { thread, .. } => self.queues.wake(thread, to, out)?,
            Event::Block { thread } => drop(self.queues.block(thread, out)?),
            Event::Exit { thread } => drop(self.queues.exit(thread, out)?),
            Event::Tick { vcpu } => self.queues.rotate(vcpu, out),
            _ => {}
        }
        for _ in 0..self.next() % 3 {
            let (thread, to) = (
                ThreadId(u32::try_from(self.next() % 9).unwrap()),
                self.anywhere(),
            );
            self.queues.settle(thread, to, out);
        }
        for decision in &out[before..] {
            if let Decision::Run { vcpu, thread } = *decision {
                self.runs[vcpu.index()] = thread;
            }
        }
        Ok(())
    }
}

/// The processor time of a thread, which tells whose it is.
fn time_of(thread: ThreadId) -> Nanos {
    Nanos(u64::from(thread.0) + 1)
}

fn ran(cpu: Nanos) -> ThreadId {
    ThreadId(u32::try_from(cpu.0).unwrap() - 1)
}

/// What a vCPU does next.
#[derive(Debug, Clone, Copy)]
enum Doing {
    Starts,
    Waits,
    Runs(ThreadId),
    Over,
}

/// Lets a team meet `meetings` times, each vCPU saying something when it is its turn.
fn run(
    mut dispatcher: Dispatcher,
    vcpus: usize,
    threads: u32,
    meetings: u32,
    turns: &[(usize, bool)],
) {
    let mut doing = vec![Doing::Starts; vcpus];
    let mut met = vec![0; threads as usize];
    let (mut now, mut done, mut said) = (0, 0, Vec::new());
    let mut turns = turns.iter().cycle();
    for _ in 0..200_000 {
        let &(at, tick) = turns.next().unwrap();
        // Whoever comes next and has something to say.
        let who = (0..vcpus)
            .map(|step| (at + step) % vcpus)
            .find(|&at| !matches!(doing[at], Doing::Waits | Doing::Over));
        now += 100_000;
        let Some(who) = who else {
            if doing.iter().all(|doing| matches!(doing, Doing::Over)) {
                assert_eq!(done, threads);
                return;
            }
            dispatcher.tick(Nanos(now), &mut said).unwrap();
            tell(&mut doing, &mut said);
            continue;
        };
        let report = match doing[who] {
            Doing::Starts if who == 0 => Report::Spawn(threads),
            Doing::Starts => Report::Idle,
            Doing::Runs(_) if tick => Report::Tick,
            Doing::Runs(thread) => {
                let own = met[thread.0 as usize];
                assert!(
                    met.iter().all(|&other| other >= own),
                    "{thread} did not wait: {met:?}"
                );
                if own == meetings {
                    done += 1;
                    // The others need not wait for it.
                    met[thread.0 as usize] = u32::MAX;
                    Report::Exit
                } else {
                    met[thread.0 as usize] += 1;
                    Report::Meet
                }
            }
            Doing::Waits | Doing::Over => unreachable!(),
        };
        let vcpu = VcpuId::try_from(who).unwrap();
        if let Doing::Runs(thread) = doing[who] {
            let cpu = time_of(thread);
            dispatcher
                .tell(Nanos(now), Event::Ran { vcpu, cpu }, &mut said)
                .unwrap();
            tell(&mut doing, &mut said);
        }
        doing[who] = Doing::Waits;
        dispatcher
            .report(Nanos(now), vcpu, report, &mut said)
            .unwrap();
        tell(&mut doing, &mut said);
    }
    panic!("threads were lost: {doing:?} {met:?} {dispatcher:?}");
}

fn tell(doing: &mut [Doing], said: &mut Vec<Go>) {
    for Go { vcpu, thread } in said.drain(..) {
        assert!(
            matches!(doing[vcpu.index()], Doing::Waits),
            "it was not asked"
        );
        if let Some(thread) = thread {
            let runs = |doing: &Doing| matches!(doing, Doing::Runs(other) if *other == thread);
            assert!(!doing.iter().any(runs), "{thread} runs twice");
        }
        doing[vcpu.index()] = thread.map_or(Doing::Over, Doing::Runs);
    }
}

fn turns() -> impl Strategy<Value = Vec<(usize, bool)>> {
    prop::collection::vec((0..8_usize, prop::bool::weighted(0.4)), 1..60)
}

proptest! {
    #[test]
    fn no_thread_is_lost_or_runs_twice_however_they_are_moved(
        (a, b) in (1..4_usize, 0..4_usize), threads in 1..9_u32, seed in 1..u64::MAX, turns in turns(),
    ) {
        prop_assume!(turns.iter().any(|(_, tick)| !tick));
        let machine = Machine::new(&[a, b]).unwrap();
        let queues = RunQueues::new(&machine);
        let restless = Restless { queues, vcpus: a + b, random: seed, runs: vec![None; a + b] };
        run(Dispatcher::new(Box::new(restless), &machine), a + b, threads, 5, &turns);
    }

    #[test]
    fn teams_get_done_under_both_schedulers(
        (a, b) in (1..4_usize, 1..4_usize), threads in 1..40_u32, turns in turns(),
    ) {
        prop_assume!(turns.iter().any(|(_, tick)| !tick));
        let machine = Machine::new(&[a, b]).unwrap();
        let fair = Box::new(Fair::new(machine.clone()));
        run(Dispatcher::new(fair, &machine), a + b, threads, 9, &turns);
        let das = Box::new(Das::new(machine.clone(), Parameters::default()));
        run(Dispatcher::new(das, &machine), a + b, threads, 9, &turns);
    }
}

#[test]
fn a_thread_that_was_taken_away_while_it_ran_goes_on_once_its_vcpu_let_go() {
    /// Sends the first thread to the second vCPU at the first tick.
    struct Sender(RunQueues);
    impl Scheduler for Sender {
        fn name(&self) -> &'static str {
            "sender"
        }
        fn handle(
            &mut self,
            _: Nanos,
            event: Event,
            out: &mut Vec<Decision>,
        ) -> Result<(), EventError> {
            let second = VcpuId::new(1).unwrap();
            match event {
                Event::Spawn { thread, by } => self.0.spawn(thread, by, out),
                Event::Tick { .. } => {
                    self.0.settle(ThreadId(0), second, out);
                    Ok(())
                }
                _ => Ok(()),
            }
        }
    }
    let machine = Machine::new(&[1, 1]).unwrap();
    let sender = Box::new(Sender(RunQueues::new(&machine)));
    let mut dispatcher = Dispatcher::new(sender, &machine);
    let [first, second] = [0, 1].map(|vcpu| VcpuId::new(vcpu).unwrap());
    let mut out = Vec::new();
    dispatcher
        .report(Nanos(0), first, Report::Spawn(1), &mut out)
        .unwrap();
    dispatcher
        .report(Nanos(0), second, Report::Idle, &mut out)
        .unwrap();
    assert_eq!(out.len(), 1, "only one has something to run");
    dispatcher.tick(Nanos(1), &mut out).unwrap();
    assert_eq!(out.len(), 1, "the first vCPU still runs it");
    assert_eq!(dispatcher.running(first), Some(ThreadId(0)));
    dispatcher
        .report(Nanos(2), first, Report::Tick, &mut out)
        .unwrap();
    let thread = Some(ThreadId(0));
    assert_eq!(
        out[1..],
        [Go {
            vcpu: second,
            thread
        }]
    );
    assert_eq!(dispatcher.moves()[&ThreadId(0)], 1);
}

#[test]
fn what_cannot_be_said_is_refused() {
    let machine = Machine::new(&[1, 1]).unwrap();
    let fair = Box::new(Fair::new(machine.clone()));
    let (mut dispatcher, mut out) = (Dispatcher::new(fair, &machine), Vec::new());
    let [first, second, none] = [0, 1, 2].map(|vcpu| VcpuId::new(vcpu).unwrap());
    let mut say = |vcpu, report| dispatcher.report(Nanos(0), vcpu, report, &mut out);
    assert_eq!(say(none, Report::Idle), Err(ReportError::Vcpu(none)));
    for count in [0, 1025, u32::MAX] {
        assert_eq!(
            say(first, Report::Spawn(count)),
            Err(ReportError::Team(count))
        );
    }
    for report in [Report::Tick, Report::Meet, Report::Exit] {
        let (vcpu, holds) = (first, false);
        assert_eq!(
            say(first, report),
            Err(ReportError::Thread {
                vcpu,
                report,
                holds
            })
        );
    }
    say(first, Report::Spawn(1)).unwrap();
    assert_eq!(say(second, Report::Spawn(1)), Err(ReportError::Team(1)));
    say(second, Report::Idle).unwrap();
    assert_eq!(say(second, Report::Idle), Err(ReportError::Waits(second)));
    let (vcpu, report, holds) = (first, Report::Idle, true);
    assert_eq!(
        say(first, report),
        Err(ReportError::Thread {
            vcpu,
            report,
            holds
        })
    );
}
