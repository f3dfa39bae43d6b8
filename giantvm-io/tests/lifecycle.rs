//! Whatever the order of events, all nodes of a machine come to the same end.

use std::collections::{BTreeMap, VecDeque};

use giantvm_core::{NodeId, NodeSet, VcpuId};
use giantvm_io::Origin;
use giantvm_io::machine::{
    Cause, Command, Event, Lifecycle, LifecycleViolation, MachineMessage, Phase, Stop,
};
use proptest::prelude::*;

fn node(number: usize) -> NodeId {
    NodeId::try_from(number).unwrap()
}

/// Nodes whose messages arrive in order for each pair, and otherwise in any order.
struct Cluster {
    nodes: Vec<Lifecycle>,
    /// What is under way from one node to another; `Lost` is the last.
    links: BTreeMap<(usize, usize), VecDeque<Event>>,
    /// Nodes that have been told to stop their vCPUs and have not yet.
    halting: Vec<usize>,
    finished: Vec<Vec<Stop>>,
    killed: Option<usize>,
}

impl Cluster {
    fn new(count: usize) -> Self {
        let nodes = (0..count).map(|n| Lifecycle::new(node(n), NodeSet::first(count)));
        Self {
            nodes: nodes.collect(),
            links: BTreeMap::new(),
            halting: Vec::new(),
            finished: vec![Vec::new(); count],
            killed: None,
        }
    }

    fn handle(&mut self, n: usize, event: Event) {
        if self.killed == Some(n) {
            return;
        }
        let commands = self.nodes[n].handle(event).unwrap();
        self.carry_out(n, commands);
    }

    fn carry_out(&mut self, n: usize, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::StopVcpus => self.halting.push(n),
                Command::Send { to, message } => {
                    let from = node(n);
                    let event = Event::Message { from, message };
                    to.iter()
                        .for_each(|to| self.link(n, to.index()).push_back(event));
                }
                Command::Finish(stop) => {
                    self.finished[n].push(stop);
                    if stop.restarts() {
                        let commands = self.nodes[n].restart().unwrap();
                        self.carry_out(n, commands);
                    } else {
                        // A process that ends closes its links, after what it sent.
                        let lost = Event::Lost(node(n));
                        (0..self.nodes.len()).for_each(|to| self.link(n, to).push_back(lost));
                    }
                }
            }
        }
    }

    fn link(&mut self, from: usize, to: usize) -> &mut VecDeque<Event> {
        self.links.entry((from, to)).or_default()
    }

    /// Ends a node: of what it sent, each peer still gets `arriving(peer)` messages.
    fn kill(&mut self, n: usize, arriving: impl Fn(usize) -> usize) {
        self.killed = Some(n);
        self.halting.retain(|&halting| halting != n);
        for to in (0..self.nodes.len()).filter(|&to| to != n) {
            let link = self.link(n, to);
            link.retain(|event| !matches!(event, Event::Lost(_)));
            link.truncate(arriving(to));
            link.push_back(Event::Lost(node(n)));
        }
    }

    /// Does one of the things that can happen next; false when nothing can.
    fn step(&mut self, choice: usize) -> bool {
        let busy = self.links.iter().filter(|(_, link)| !link.is_empty());
        let busy: Vec<_> = busy.map(|(&ends, _)| ends).collect();
        let choices = busy.len() + self.halting.len();
        if choices == 0 {
            return false;
        }
        match busy.get(choice % choices) {
            Some(&(from, to)) => {
                let event = self.link(from, to).pop_front().unwrap();
                // What reaches a process that has ended, or comes over a closed link, is gone.
                let ended = self.nodes[to].phase() == Phase::Stopped;
                if from != to && !ended {
                    self.handle(to, event);
                }
            }
            None => {
                let n = self.halting.swap_remove(choice % choices - busy.len());
                self.handle(n, Event::VcpusStopped);
            }
        }
        true
    }

    fn settle(&mut self, choices: &[usize]) {
        let mut choices = choices.iter().cycle();
        while self.step(*choices.next().unwrap()) {}
    }
}

fn stops() -> impl Strategy<Value = (usize, Cause, usize)> {
    let causes = prop_oneof![
        (0..3_u32).prop_map(Cause::Exit),
        Just(Cause::Shutdown),
        Just(Cause::Interrupted),
        (0..3_u32).prop_map(Cause::Failed),
    ];
    (0..5_usize, causes, 0..30_usize)
}

fn stop_at(n: usize, cause: Cause) -> Stop {
    let vcpu = VcpuId::new(u8::try_from(n).unwrap()).unwrap();
    Stop::by_vcpu(
        Origin {
            node: node(n),
            vcpu,
        },
        cause,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn all_nodes_reach_the_same_verdict(
        count in 1..=5_usize,
        stops in prop::collection::vec(stops(), 1..5),
        choices in prop::collection::vec(any::<u16>().prop_map(usize::from), 60),
    ) {
        let mut cluster = Cluster::new(count);
        let mut raised = Vec::new();
        for (n, cause, steps) in stops {
            let n = n % count;
            if cluster.nodes[n].phase() == Phase::Running {
                raised.push(stop_at(n, cause));
            }
            cluster.handle(n, Event::Stop(stop_at(n, cause)));
            choices.iter().take(steps).for_each(|&choice| { cluster.step(choice); });
        }
        cluster.settle(&choices);
        let verdict = raised.iter().max().unwrap();
        for finished in &cluster.finished {
            prop_assert_eq!(finished, &[*verdict]);
        }
    }

    #[test]
    fn the_survivors_of_a_loss_reach_the_same_verdict(
        count in 2..=5_usize,
        victim in 0..5_usize,
        stops in prop::collection::vec(stops(), 0..4),
        before in 0..40_usize,
        arriving in prop::collection::vec(0..3_usize, 5),
        choices in prop::collection::vec(any::<u16>().prop_map(usize::from), 60),
    ) {
        let victim = victim % count;
        let mut cluster = Cluster::new(count);
        for (n, cause, steps) in stops {
            cluster.handle(n % count, Event::Stop(stop_at(n % count, cause)));
            choices.iter().take(steps).for_each(|&choice| { cluster.step(choice); });
        }
        choices.iter().take(before).for_each(|&choice| { cluster.step(choice); });
        cluster.kill(victim, |to| arriving[to]);
        cluster.settle(&choices);
        let mut survivors = (0..count).filter(|&n| n != victim);
        let first = cluster.finished[survivors.next().unwrap()].clone();
        prop_assert_eq!(first.len(), 1);
        for n in survivors {
            prop_assert_eq!(&cluster.finished[n], &first);
        }
    }

    #[test]
    fn nodes_restart_in_step(
        count in 1..=5_usize,
        resets in prop::collection::vec((0..5_usize, 0..30_usize), 1..6),
        choices in prop::collection::vec(any::<u16>().prop_map(usize::from), 60),
    ) {
        let mut cluster = Cluster::new(count);
        for (n, steps) in resets {
            let n = n % count;
            cluster.handle(n, Event::Stop(stop_at(n, Cause::Reset)));
            choices.iter().take(steps).for_each(|&choice| { cluster.step(choice); });
        }
        cluster.settle(&choices);
        for n in 0..count {
            prop_assert_eq!(&cluster.finished[n], &cluster.finished[0]);
            prop_assert_eq!(cluster.nodes[n].phase(), Phase::Running);
            prop_assert_eq!(cluster.nodes[n].run() as usize, cluster.finished[n].len());
        }
    }

    #[test]
    fn no_message_of_a_peer_makes_it_panic(
        messages in prop::collection::vec((0..4_usize, 0..3_u32, any::<bool>(), 0..4_u32), 0..40),
    ) {
        let mut lifecycle = Lifecycle::new(node(0), NodeSet::first(3));
        for (from, run, stopped, status) in messages {
            let stop = stop_at(from, if status == 0 { Cause::Reset } else { Cause::Exit(status) });
            let message = if stopped {
                MachineMessage::Stopped { run, stop }
            } else {
                MachineMessage::Stop { run, stop }
            };
            let before = lifecycle.clone();
            match lifecycle.handle(Event::Message { from: node(from), message }) {
                Ok(commands) if commands.contains(&Command::StopVcpus) => {
                    lifecycle.handle(Event::VcpusStopped).unwrap();
                }
                Ok(_) => {}
                Err(_) => prop_assert_eq!(&lifecycle, &before, "a violation changes nothing"),
            }
            lifecycle.restart();
        }
    }
}

#[test]
fn each_violation_is_named() {
    let (from, stop) = (node(1), stop_at(1, Cause::Shutdown));
    let mut lifecycle = Lifecycle::new(node(0), NodeSet::first(2));
    let mut say = |from, message| lifecycle.handle(Event::Message { from, message });
    let (stops, stopped) = (
        |run| MachineMessage::Stop { run, stop },
        |run| MachineMessage::Stopped { run, stop },
    );
    assert_eq!(
        say(node(2), stops(0)),
        Err(LifecycleViolation::NoPeer(node(2)))
    );
    assert_eq!(
        say(node(0), stops(0)),
        Err(LifecycleViolation::NoPeer(node(0)))
    );
    assert_eq!(
        say(from, stopped(0)),
        Err(LifecycleViolation::Unannounced(from))
    );
    assert_eq!(say(from, stops(1)), Err(LifecycleViolation::Repeated(from)));
    let (got, current) = (2, 0);
    assert_eq!(
        say(from, stops(2)),
        Err(LifecycleViolation::Run { from, got, current })
    );
    assert!(say(from, stops(0)).is_ok());
    assert_eq!(say(from, stops(0)), Err(LifecycleViolation::Repeated(from)));
    assert!(say(from, stopped(0)).is_ok());
    assert_eq!(
        say(from, stopped(0)),
        Err(LifecycleViolation::Repeated(from))
    );
}

#[test]
fn a_deadline_ends_the_wait_and_names_the_node_that_did_not_stop() {
    let mut lifecycle = Lifecycle::new(node(0), NodeSet::first(3));
    lifecycle
        .handle(Event::Stop(stop_at(0, Cause::Reset)))
        .unwrap();
    lifecycle.handle(Event::VcpusStopped).unwrap();
    assert_eq!(lifecycle.awaited().to_string(), "{1,2}");
    let late = Stop::by_node(node(1), Cause::TimedOut);
    assert_eq!(
        lifecycle.handle(Event::Deadline),
        Ok(vec![Command::Finish(late)])
    );
    assert!(!late.restarts());
    assert_eq!(lifecycle.handle(Event::Deadline), Ok(vec![]));
}

#[test]
fn a_node_that_is_not_needed_any_more_stops_no_one_and_is_waited_for_by_no_one() {
    let mut first = Lifecycle::new(node(0), NodeSet::first(3));
    assert_eq!(first.handle(Event::Gone(node(2))), Ok(vec![]));
    assert_eq!(first.phase(), Phase::Running);
    let stop = Stop::by_node(node(0), Cause::Interrupted);
    first.handle(Event::Stop(stop)).unwrap();
    assert_eq!(first.awaited(), NodeSet::only(node(1)));
    assert_eq!(first.handle(Event::Gone(node(1))), Ok(vec![]));
    let ended = first.handle(Event::VcpusStopped);
    assert_eq!(ended, Ok(vec![Command::Finish(stop)]));
}
