//! Traces: whatever is recorded can be read, and replays to the same decisions.

use giantvm_core::{NodeId, VcpuId};
use giantvm_sched::das::{Das, Parameters};
use giantvm_sched::fair::Fair;
use giantvm_sched::schedule::{
    Capacity, Decision, Event, EventError, Faults, Machine, Nanos, PageGroup, Scheduler, ThreadId,
};
use giantvm_sched::testing::{Workload, simulate};
use giantvm_sched::trace::{MAX_LINE, Recorder, Trace, TraceProblem};
use proptest::prelude::*;

fn vcpu() -> impl Strategy<Value = VcpuId> {
    (0..6_u8).prop_map(|number| VcpuId::new(number).unwrap())
}

fn node() -> impl Strategy<Value = NodeId> {
    (0..4_u8).prop_map(|number| NodeId::new(number).unwrap())
}

/// Any event: of threads and vCPUs that there are, most of the time.
fn event() -> impl Strategy<Value = Event> {
    let thread = || (0..8_u32).prop_map(ThreadId);
    let faults = (
        thread(),
        any::<u64>(),
        any::<[u32; 2]>(),
        any::<u64>(),
        node(),
    );
    let capacity = (node(), any::<u32>(), 0..9_usize, any::<u64>());
    prop_oneof![
        (thread(), vcpu()).prop_map(|(thread, by)| Event::Spawn { thread, by }),
        (thread(), prop::option::of(vcpu())).prop_map(|(thread, by)| Event::Wake { thread, by }),
        thread().prop_map(|thread| Event::Block { thread }),
        thread().prop_map(|thread| Event::Exit { thread }),
        vcpu().prop_map(|vcpu| Event::Tick { vcpu }),
        vcpu().prop_map(|vcpu| Event::Idle { vcpu }),
        (vcpu(), any::<u64>()).prop_map(|(vcpu, cpu)| Event::Ran {
            vcpu,
            cpu: Nanos(cpu)
        }),
        faults.prop_map(|(thread, group, [reads, writes], stall, home)| {
            let (group, stall) = (PageGroup(group % 9), Nanos(stall));
            Event::Faults(Faults {
                thread,
                group,
                reads,
                writes,
                stall,
                home,
            })
        }),
        (node(), node(), any::<u64>()).prop_map(|(a, b, cost)| Event::Link {
            a,
            b,
            cost: Nanos(cost)
        }),
        capacity.prop_map(|(node, millicpus, threads, groups)| {
            let capacity = Capacity {
                millicpus,
                threads,
                groups,
            };
            Event::Capacity { node, capacity }
        }),
    ]
}

prop_compose! {
    fn trace()(
        steps in prop::collection::vec((0..200_000_000_u64, event()), 0..120),
    ) -> Trace {
        let mut trace = Trace::new(&Machine::new(&[2, 0, 3]).unwrap());
        let mut now = 0;
        for (later, event) in steps {
            now += later;
            assert!(trace.push(Nanos(now), event));
        }
        trace
    }
}

fn schedulers(machine: &Machine) -> [Box<dyn Scheduler>; 2] {
    [
        Box::new(Fair::new(machine.clone())),
        Box::new(Das::new(machine.clone(), Parameters::default())),
    ]
}

proptest! {
    #[test]
    fn every_trace_can_be_read_as_it_was_written(trace in trace()) {
        prop_assert_eq!(Trace::parse(&trace.to_string()), Ok(trace));
    }

    #[test]
    fn any_text_is_a_trace_or_an_error(text in "(?s).{0,300}", cut in 0..400_usize, trace in trace()) {
        Trace::parse(&text).ok();
        let mut real = trace.to_string();
        let cut = cut.min(real.len());
        real.replace_range(cut..cut, &text);
        if let Ok(trace) = Trace::parse(&real) {
            prop_assert_eq!(Trace::parse(&trace.to_string()), Ok(trace));
        }
    }

    /// Decisions are those of a machine: a thread runs on one vCPU, and a vCPU has what it was
    /// told. What is refused leaves no trace.
    #[test]
    fn schedulers_bear_any_events_and_decide_what_can_be_done(trace in trace()) {
        for mut scheduler in schedulers(trace.machine()) {
            let mut running = [None; 5];
            for &(now, event) in trace.events() {
                let mut out = Vec::new();
                let told = scheduler.handle(now, event, &mut out);
                prop_assert!(told.is_ok() || out.is_empty());
                for decision in out {
                    if let Decision::Run { vcpu, thread } = decision {
                        running[vcpu.index()] = thread;
                    }
                }
                let mut threads: Vec<_> = running.iter().flatten().collect();
                threads.sort();
                prop_assert!(threads.is_sorted_by(|a, b| a < b), "{:?}", running);
                if let (Event::Block { thread } | Event::Exit { thread }, true) = (event, told.is_ok()) {
                    prop_assert!(!running.contains(&Some(thread)));
                }
            }
        }
    }

    #[test]
    fn what_is_refused_is_not_recorded_and_the_rest_replays_the_same(trace in trace()) {
        let machine = trace.machine();
        let das = Das::new(machine.clone(), Parameters::default());
        let mut recorder = Recorder::new(das, machine);
        let live = trace.replay(&mut recorder);
        let mut fresh = Das::new(machine.clone(), Parameters::default());
        let again = recorder.trace().replay(&mut fresh);
        prop_assert_eq!(again.refused, 0);
        prop_assert_eq!(live.refused + recorder.trace().events().len() as u64, trace.events().len() as u64);
        prop_assert_eq!(live.decisions, again.decisions);
    }
}

#[test]
fn a_recorded_run_replays_to_the_same_decisions() {
    let mut machine = Machine::new(&[2, 2]).unwrap();
    let mut nodes = machine.nodes();
    let (a, b) = (nodes.next().unwrap(), nodes.next().unwrap());
    machine.set_link(a, b, Nanos(35_000));
    let workload = Workload::in_step(3, 2, 50, 5);
    let mut recorder = Recorder::new(Das::new(machine.clone(), Parameters::default()), &machine);
    // Decisions are wanted, too, so the run is taken down from outside as well.
    let mut witness = Witness {
        inner: &mut recorder,
        decisions: Vec::new(),
    };
    let outcome = simulate(&machine, &workload, &mut witness, Nanos(1_500_000_000));
    let decisions = witness.decisions;
    assert!(outcome.moves > 0 && outcome.refused == 0, "{outcome:?}");

    let text = recorder.trace().to_string();
    let trace = Trace::parse(&text).unwrap();
    let mut fresh = Das::new(trace.machine().clone(), Parameters::default());
    let replay = trace.replay(&mut fresh);
    assert_eq!((recorder.missed(), replay.refused), (0, 0));
    assert!(replay.decisions == decisions, "the replay differs");
}

struct Witness<'a> {
    inner: &'a mut dyn Scheduler,
    decisions: Vec<(Nanos, Decision)>,
}

impl Scheduler for Witness<'_> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn handle(
        &mut self,
        now: Nanos,
        event: Event,
        out: &mut Vec<Decision>,
    ) -> Result<(), EventError> {
        let told = out.len();
        self.inner.handle(now, event, out)?;
        self.decisions
            .extend(out[told..].iter().map(|&of| (now, of)));
        Ok(())
    }
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let wrong = |events: &str| {
        let text = format!("giantvm-sched-trace 1\nmachine 2 2\n{events}");
        let error = Trace::parse(&text).unwrap_err();
        (error.line, error.problem)
    };
    use TraceProblem::{Long, Missing, More, Name, Number, Order};
    assert_eq!(wrong("0 tick 0\n1 dance 3\n"), (4, Name));
    assert_eq!(wrong("5 tick 0\n4 tick 0\n"), (4, Order));
    assert_eq!(wrong("0 spawn 1\n"), (3, Missing("vCPU")));
    assert_eq!(wrong("0 tick 254\n"), (3, Number("vCPU")));
    assert_eq!(wrong("0 tick +1\n"), (3, Number("vCPU")));
    assert_eq!(wrong("0 exit 1 2\n"), (3, More));
    assert_eq!(wrong("0 faults 1 7 1 1 1 0\n"), (3, Number("page group")));
    assert_eq!(wrong("0 link 0 64 5\n"), (3, Number("node")));
    assert_eq!(
        wrong(&format!("0 tick {}\n", "1".repeat(MAX_LINE))),
        (3, Long)
    );
    assert_eq!(Trace::parse("").unwrap_err().problem, TraceProblem::Header);
    let version = Trace::parse("giantvm-sched-trace 2\nmachine 1\n").unwrap_err();
    assert_eq!(version.problem, TraceProblem::Header);
    let none = Trace::parse("giantvm-sched-trace 1\nmachine 0\n").unwrap_err();
    assert_eq!(
        none.to_string(),
        "line 2: the machine has no vCPU: give at least one node one"
    );
}
