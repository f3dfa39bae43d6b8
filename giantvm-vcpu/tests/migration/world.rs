//! A machine without a network: nodes, links that keep order, and what drivers have still to do.

use std::collections::VecDeque;

use giantvm_core::{NodeId, NodeSet, VcpuId};
use giantvm_vcpu::migration::{Command, Input, Message, MoveRefused, Residence, ResidenceError};
use giantvm_vcpu::{ArchState, Interrupt, Layout, Section};

pub(crate) fn node(number: usize) -> NodeId {
    NodeId::new(u8::try_from(number).unwrap()).unwrap()
}

pub(crate) fn vcpu(number: usize) -> VcpuId {
    VcpuId::new(u8::try_from(number).unwrap()).unwrap()
}

/// What threads of a node have begun and not done.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Task {
    Freeze {
        vcpu: VcpuId,
    },
    Load {
        vcpu: VcpuId,
        state: Box<ArchState>,
    },
    /// `VcpuHost::inject`, on its way.
    Inject {
        vcpu: VcpuId,
        interrupt: Interrupt,
    },
    /// Something for the residence, on its way.
    Tell(Input),
}

/// A vCPU that a node's host has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    running: bool,
    /// What its APIC took: vectors.
    pub(crate) taken: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) residence: Residence,
    tasks: Vec<Task>,
    pub(crate) held: Vec<Option<Held>>,
}

/// Something that can happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A node interrupts a vCPU with the next vector.
    Interrupt { node: usize, vcpu: usize },
    /// The node that has the vCPU is asked to move it.
    Move { vcpu: usize, to: usize },
    /// The oldest message of a link arrives.
    Receive { from: usize, to: usize },
    /// A thread gets on.
    Work { node: usize, task: usize },
    /// A thread gets on, and fails.
    Fail { node: usize, task: usize },
    /// A node is gone.
    Lose { node: usize },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    /// From one to another.
    links: Vec<Vec<VecDeque<Message>>>,
    pub(crate) lost: Option<usize>,
    /// vCPUs that ran there.
    lost_running: Vec<usize>,
    next_vector: u8,
    /// Every interrupt: its vector and its vCPU.
    pub(crate) sent: Vec<(u8, usize)>,
}

impl World {
    /// vCPU number `i` starts on node `places[i]`.
    pub(crate) fn new(nodes: usize, places: &[usize]) -> Self {
        let all: NodeSet = (0..nodes).map(node).collect();
        let at: Vec<_> = places.iter().map(|place| node(*place)).collect();
        let nodes_of = |local: usize| {
            let layout = Layout::new(node(local), at.clone()).unwrap();
            let held = |place: &usize| {
                (*place == local).then_some(Held {
                    running: true,
                    taken: Vec::new(),
                })
            };
            Node {
                residence: Residence::new(&layout, all.without(node(local))),
                tasks: Vec::new(),
                held: places.iter().map(held).collect(),
            }
        };
        Self {
            nodes: (0..nodes).map(nodes_of).collect(),
            links: vec![vec![VecDeque::new(); nodes]; nodes],
            lost: None,
            lost_running: Vec::new(),
            next_vector: 0x20,
            sent: Vec::new(),
        }
    }

    /// What can happen by itself.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (from, links) in self.links.iter().enumerate() {
            let full = links
                .iter()
                .enumerate()
                .filter(|(_, link)| !link.is_empty());
            steps.extend(full.map(|(to, _)| Step::Receive { from, to }));
        }
        for (node, Node { tasks, .. }) in self.nodes.iter().enumerate() {
            steps.extend((0..tasks.len()).map(|task| Step::Work { node, task }));
        }
        steps
    }

    /// What may fail.
    pub(crate) fn failures(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (
            node,
            Node {
                tasks, residence, ..
            },
        ) in self.nodes.iter().enumerate()
        {
            for (task, what) in tasks.iter().enumerate() {
                let may = match what {
                    Task::Freeze { .. } => true,
                    // What comes back is not refused: nobody could have it then.
                    Task::Load { vcpu, .. } => residence.place(*vcpu).unwrap().node.index() != node,
                    Task::Inject { .. } | Task::Tell(_) => false,
                };
                if may {
                    steps.push(Step::Fail { node, task });
                }
            }
        }
        steps
    }

    /// The node that would take a request to move the vCPU.
    pub(crate) fn mover(&self, number: usize) -> Option<usize> {
        self.nodes.iter().position(|node| {
            let mut residence = node.residence.clone();
            // A move to itself is refused last: everything else would be the reason.
            let (vcpu, to) = (vcpu(number), residence.place(vcpu(number)).unwrap().node);
            let refused = residence.handle(Input::Move { vcpu, to });
            refused == Err(ResidenceError::Refused(MoveRefused::AlreadyThere(vcpu)))
        })
    }

    pub(crate) fn take(&mut self, step: Step) {
        match step {
            Step::Interrupt { node, vcpu: number } => {
                let vector = self.next_vector;
                self.next_vector += 1;
                self.sent.push((vector, number));
                let (vcpu, interrupt) = (vcpu(number), Interrupt::Fixed { vector });
                self.nodes[node]
                    .tasks
                    .push(Task::Inject { vcpu, interrupt });
            }
            Step::Move { vcpu: number, to } => {
                let mover = self.mover(number).expect("someone can");
                let (vcpu, to) = (vcpu(number), node(to));
                self.handle(mover, Input::Move { vcpu, to });
            }
            Step::Receive { from, to } => {
                let message = self.links[from][to].pop_front().expect("a message");
                let from = node(from);
                self.handle(to, Input::Message { from, message });
            }
            Step::Work { node, task } => {
                let task = self.nodes[node].tasks.remove(task);
                self.work(node, task);
            }
            Step::Fail { node, task } => {
                let told = match self.nodes[node].tasks.remove(task) {
                    Task::Freeze { vcpu } => Input::NotFrozen { vcpu },
                    Task::Load { vcpu, .. } => Input::NotLoaded { vcpu },
                    other => panic!("{other:?} does not fail"),
                };
                self.nodes[node].tasks.push(Task::Tell(told));
            }
            Step::Lose { node: gone } => {
                self.lost = Some(gone);
                self.nodes[gone].tasks.clear();
                for (number, held) in self.nodes[gone].held.iter_mut().enumerate() {
                    if held.take().is_some_and(|held| held.running) {
                        self.lost_running.push(number);
                    }
                }
                for other in (0..self.nodes.len()).filter(|other| *other != gone) {
                    self.links[other][gone].clear();
                    let told = Task::Tell(Input::Lost(node(gone)));
                    self.nodes[other].tasks.push(told);
                }
                self.links[gone].iter_mut().for_each(VecDeque::clear);
            }
        }
        self.check();
    }

    fn work(&mut self, at: usize, task: Task) {
        let Node { held, tasks, .. } = &mut self.nodes[at];
        match task {
            Task::Freeze { vcpu } => {
                let taken = held[vcpu.index()].take().expect("frozen where it is").taken;
                let mut state = Box::new(ArchState::new());
                state.set_section(Section::Program, taken);
                tasks.push(Task::Tell(Input::Frozen { vcpu, state }));
            }
            Task::Load { vcpu, state } => {
                let taken = state.section(Section::Program).unwrap().to_vec();
                let running = false;
                let before = held[vcpu.index()].replace(Held { running, taken });
                assert_eq!(before, None, "vCPU {vcpu} is loaded twice");
                tasks.push(Task::Tell(Input::Loaded { vcpu }));
            }
            Task::Inject { vcpu, interrupt } => match (&mut held[vcpu.index()], interrupt) {
                (Some(held), Interrupt::Fixed { vector }) => held.taken.push(vector),
                _ => tasks.push(Task::Tell(Input::Interrupt { vcpu, interrupt })),
            },
            Task::Tell(input) => self.handle(at, input),
        }
    }

    fn handle(&mut self, at: usize, input: Input) {
        let commands = match self.nodes[at].residence.handle(input.clone()) {
            Ok(commands) => commands,
            // Whoever asks for a move may not know of a loss.
            Err(ResidenceError::Refused(MoveRefused::NoSuchNode(to)))
                if Some(to.index()) == self.lost =>
            {
                return;
            }
            Err(error) => panic!("node {at}, {input:?}: {error}"),
        };
        let Node { held, tasks, .. } = &mut self.nodes[at];
        for command in commands {
            match command {
                Command::Freeze { vcpu, .. } => tasks.push(Task::Freeze { vcpu }),
                Command::Load { vcpu, state } => tasks.push(Task::Load { vcpu, state }),
                Command::Run { vcpu } => {
                    let held = held[vcpu.index()].as_mut().expect("it is loaded");
                    held.running = true;
                }
                Command::Deliver { vcpu, interrupt } => {
                    tasks.push(Task::Inject { vcpu, interrupt });
                }
                Command::Send { to, message } if self.lost != Some(to.index()) => {
                    self.links[at][to.index()].push_back(message);
                }
                Command::Send { .. } | Command::Relocate { .. } | Command::Ended { .. } => {}
                Command::Broken { vcpu } => panic!("vCPU {vcpu} broke"),
            }
        }
    }

    /// At any time.
    fn check(&self) {
        for number in 0..self.nodes[0].held.len() {
            let held = self
                .nodes
                .iter()
                .filter_map(|node| node.held[number].as_ref());
            assert!(
                held.clone().filter(|held| held.running).count() <= 1,
                "vCPU {number} runs twice: {self:#?}"
            );
        }
    }

    /// When nothing happens any more.
    pub(crate) fn check_end(&self) {
        for number in 0..self.nodes[0].held.len() {
            let mut holders = self.nodes.iter().filter(|node| node.held[number].is_some());
            let Some(holder) = holders.next() else {
                let gone = self.lost.map(node);
                let places = self
                    .nodes
                    .iter()
                    .map(|node| node.residence.place(vcpu(number)));
                let gave = places.flatten().any(|place| Some(place.node) == gone);
                assert!(gave, "vCPU {number} is nowhere: {self:#?}");
                continue;
            };
            assert!(
                holders.next().is_none(),
                "vCPU {number} is twice: {self:#?}"
            );
            let ran = self.lost_running.contains(&number);
            assert!(!ran, "vCPU {number} runs on from an old state: {self:#?}");
            let held = holder.held[number].as_ref().unwrap();
            assert!(held.running, "vCPU {number} stands still: {self:#?}");
            let place = holder.residence.place(vcpu(number));
            let known = self.nodes.iter().enumerate();
            for (_, node) in known.filter(|(at, _)| Some(*at) != self.lost) {
                assert_eq!(node.residence.place(vcpu(number)), place, "{self:#?}");
            }
            let mut taken = held.taken.clone();
            taken.sort_unstable();
            let own = self.sent.iter().filter(|(_, vcpu)| *vcpu == number);
            let sent: Vec<_> = own.map(|(vector, _)| *vector).collect();
            assert_eq!(taken, sent, "vCPU {number}: {self:#?}");
        }
    }
}
