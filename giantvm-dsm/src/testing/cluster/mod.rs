//! The simulated cluster: takes one event after the other and checks what it did.

mod feed;
mod leave;
mod report;
mod room;
mod step;

use std::cell::RefCell;
use std::collections::BTreeSet;

use bytes::Bytes;
use giantvm_core::{NodeId, NodeSet, PageIndex, PageRange, PageSize, Stamp};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::chaos::Chaos;
use super::config::{Config, Op};
use super::failure::Failure;
use super::inspect::Inspect;
use super::invariants::{self, World};
use super::network::{Event, Letter, Network};
use super::node::Node;
use super::oracle::{Oracle, Versions};
use super::trace::Trace;
use crate::protocol::{Command, Contents, PageMessage, Setup, Tick};

pub use report::Report;
use room::homes;

/// Most messages that are remembered.
const REMEMBERED: usize = 512;

/// Why a step failed, and the page it is about.
type Broken = (String, Option<PageIndex>);

/// A cluster in one thread, on a virtual clock. See the [module](super).
#[derive(Debug)]
pub struct Cluster<P: Inspect> {
    config: Config,
    nodes: Vec<Node<P>>,
    network: Network<P::Message>,
    oracle: Oracle,
    versions: RefCell<Versions>,
    trace: Trace<P::Message>,
    distrusted: BTreeSet<PageIndex>,
    disturbed: bool,
    lost: BTreeSet<(NodeId, NodeId)>,
    commands: Vec<Command<P::Message>>,
    /// The first messages that were sent.
    sent: Vec<(P::Message, Contents)>,
    report: Report,
}

impl<P: Inspect> Cluster<P> {
    /// A cluster of untouched pages whose threads have nothing to do yet.
    ///
    /// # Panics
    /// If the nodes give less memory than the pages take.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self::with(config, &P::new)
    }

    /// The same with nodes made by `make`: for protocols with settings, or broken on purpose.
    ///
    /// # Panics
    /// If the nodes give less memory than the pages take.
    #[must_use]
    pub fn with(config: Config, make: &dyn Fn(Setup) -> P) -> Self {
        let nodes = NodeSet::first(config.nodes);
        let homes = homes(&config);
        let start = |local| {
            let setup = Setup {
                local,
                nodes,
                pages: config.pages,
                homes: homes.clone(),
            };
            let mut node = Node::new(local, make(setup), &config);
            node.budget = room::budget(local, &homes, &config);
            node
        };
        Self {
            nodes: nodes.iter().map(start).collect(),
            network: Network::new(SmallRng::seed_from_u64(config.seed), config.delay),
            oracle: Oracle::new(config.pages),
            versions: RefCell::default(),
            trace: Trace::new(),
            distrusted: BTreeSet::new(),
            disturbed: config.hostile.is_some(),
            lost: BTreeSet::new(),
            commands: Vec::new(),
            sent: Vec::new(),
            report: Report::default(),
            config,
        }
    }

    /// Gives threads more to do; each does its accesses in the order given.
    ///
    /// # Panics
    /// If there is no such node or thread.
    pub fn plan(&mut self, ops: impl IntoIterator<Item = Op>) {
        for op in ops {
            let thread = &mut self.nodes[op.node].threads[op.thread];
            thread.program.push_back(op);
        }
    }

    /// Gives every thread `count` random accesses, one third of them writes.
    pub fn plan_random(&mut self, count: usize) {
        let ops = self.config.random_ops(&mut self.network.rng, count);
        self.plan(ops);
    }

    /// Disturbs the cluster at a time of the virtual clock.
    pub fn disturb(&mut self, at: Tick, chaos: Chaos) {
        self.network.at(at, Event::Chaos(chaos));
    }

    /// Kills a node at a time of the virtual clock. The others learn of it some time later.
    pub fn kill(&mut self, node: NodeId, at: Tick) {
        self.disturb(at, Chaos::Kill { node });
    }

    /// Makes a message of the hostile node arrive at a time of the virtual clock.
    pub fn inject(&mut self, at: Tick, to: NodeId, message: P::Message, contents: Contents) {
        let Some(from) = self.config.hostile else {
            return;
        };
        let page = || Bytes::from(vec![0xee; PageSize::K4.bytes()]);
        let payload = (contents == Contents::Page).then(page);
        let number = self.nodes[from.index()].sequences.number(to, contents);
        let letter = Letter {
            from,
            message,
            payload,
            number,
            hops: 1,
        };
        self.network.at(at, Event::Deliver { to, letter });
    }

    /// Leaves a page out of the checks across nodes: a hostile node is its home or requests it, and
    /// is believed about it.
    pub fn distrust(&mut self, page: PageIndex) {
        self.distrusted.insert(page);
    }

    /// Runs until nothing is left to happen, and checks that everything was done.
    ///
    /// # Errors
    /// [`Failure`] as soon as something is wrong.
    pub fn run(&mut self) -> Result<Report, Failure> {
        for (at, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.alive) {
            for (thread, todo) in node.threads.iter().enumerate() {
                if !todo.program.is_empty() {
                    let at = NodeId::try_from(at).expect("a node of the cluster");
                    self.network.soon(Event::Run { at, thread });
                }
            }
        }
        while let Some(event) = self.network.next() {
            self.report.steps += 1;
            let about = event.page(&self.nodes);
            let clocks = self.clocks();
            let step = self.step(event).and_then(|()| {
                let roomy = self.make_room()?;
                // A clock that moved ends leases, on pages that the event is not about.
                let about = about.filter(|_| clocks == self.clocks() && roomy);
                self.check(about)
            });
            step.map_err(|broken| self.failure(broken))?;
            if self.report.steps == self.config.step_limit {
                let broken = ("progress: the run does not end".into(), None);
                return Err(self.failure(broken));
            }
        }
        self.check(None).map_err(|broken| self.failure(broken))?;
        let end = invariants::check_end(&self.world(false));
        end.map_err(|what| self.failure((what, None)))?;
        self.report.end = self.network.now;
        self.count_memory();
        Ok(self.report.clone())
    }

    /// What happened, a line an event: the last 20,000 of them.
    #[must_use]
    pub fn trace(&self) -> Vec<String> {
        self.trace.lines(None)
    }

    /// The first messages that were sent, up to a limit.
    pub(super) fn sent(&self) -> &[(P::Message, Contents)] {
        &self.sent
    }

    /// A node's protocol.
    ///
    /// # Panics
    /// If there is no such node.
    #[must_use]
    pub fn protocol(&self, node: NodeId) -> &P {
        &self.nodes[node.index()].protocol
    }

    fn clocks(&self) -> Vec<Stamp> {
        let clocks = self.nodes.iter().map(|node| node.protocol.clock());
        clocks.collect()
    }

    fn world(&self, distrusted: bool) -> World<'_, P> {
        World {
            nodes: &self.nodes,
            oracle: &self.oracle,
            versions: &self.versions,
            network: &self.network,
            disturbed: self.disturbed,
            distrusted,
        }
    }

    fn check(&self, page: Option<PageIndex>) -> Result<(), Broken> {
        let pages = match page {
            Some(page) if page.0 < self.config.pages => PageRange {
                start: page,
                end: PageIndex(page.0 + 1),
            },
            Some(_) | None => PageRange::first(self.config.pages),
        };
        pages.iter().try_for_each(|page| {
            let world = self.world(self.distrusted.contains(&page));
            invariants::check(&world, page).map_err(|what| (what, Some(page)))
        })
    }

    fn failure(&self, (what, page): Broken) -> Failure {
        Failure {
            seed: self.config.seed,
            step: self.report.steps,
            what,
            page,
            trace: self.trace.lines(page),
            scenario: None,
        }
    }
}

impl<M: PageMessage> Event<M> {
    /// The only page that this event can change, if there is one.
    fn page<P: Inspect>(&self, nodes: &[Node<P>]) -> Option<PageIndex> {
        match self {
            Self::Deliver { letter, .. } => Some(letter.message.page()),
            Self::Fault { fault, .. } => Some(fault.page),
            Self::Unpin { page, .. }
            | Self::Chaos(Chaos::Evict { page, .. } | Chaos::Pin { page, .. }) => Some(*page),
            Self::Run { at, thread } => {
                let thread = &nodes[at.index()].threads[*thread];
                thread.program.front().map(|op| op.page)
            }
            Self::Leaving { .. }
            | Self::Timeout { .. }
            | Self::Heard { .. }
            | Self::Chaos(_)
            | Self::Lost { .. } => None,
        }
    }
}
