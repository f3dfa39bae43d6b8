//! The simulated cluster: takes one event after the other and checks what it did.

use std::collections::BTreeSet;

use bytes::Bytes;
use giantvm_core::wire::{Frame, Service};
use giantvm_core::{Epoch, NodeId, NodeSet, PageIndex, PageRange, PageSize, Stamp};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::config::{Config, Op};
use super::failure::Failure;
use super::inspect::Inspect;
use super::invariants::{self, World};
use super::network::{Event, Network};
use super::node::Node;
use super::oracle::Oracle;
use super::trace::Trace;
use crate::backing::Backing;
use crate::backing::sim::Attempt;
use crate::protocol::{
    Access, Command, Contents, HomeMap, Input, PageMessage, Setup, Tick, Violation,
};

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Events that happened.
    pub steps: u64,
    /// Accesses that threads completed.
    pub accesses: u64,
    /// Faults: accesses that had to wait, repeated ones included.
    pub faults: u64,
    /// Messages sent.
    pub messages: u64,
    /// Those of them that carried a page.
    pub pages_sent: u64,
    /// Messages refused, and by whom. Without a hostile node, a refusal is a failure.
    pub violations: Vec<(NodeId, Violation)>,
    /// The virtual time at the end.
    pub end: Tick,
}

/// Why a step failed, and the page it is about.
type Broken = (String, Option<PageIndex>);

/// A cluster in one thread, on a virtual clock. See the [module](super).
#[derive(Debug)]
pub struct Cluster<P: Inspect> {
    config: Config,
    nodes: Vec<Node<P>>,
    network: Network<P::Message>,
    oracle: Oracle,
    trace: Trace<P::Message>,
    distrusted: BTreeSet<PageIndex>,
    disturbed: bool,
    lost: BTreeSet<(NodeId, NodeId)>,
    commands: Vec<Command<P::Message>>,
    report: Report,
}

impl<P: Inspect> Cluster<P> {
    /// A cluster of untouched pages whose threads have nothing to do yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self::with(config, P::new)
    }

    /// The same with nodes made by `make`: for protocols with settings, or broken on purpose.
    #[must_use]
    pub fn with(config: Config, make: impl Fn(Setup) -> P) -> Self {
        let nodes = NodeSet::first(config.nodes);
        let homes = HomeMap::even(config.pages, nodes);
        let start = |local| {
            let setup = Setup {
                local,
                nodes,
                pages: config.pages,
                homes: homes.clone(),
            };
            Node::new(local, make(setup), &config)
        };
        Self {
            nodes: nodes.iter().map(start).collect(),
            network: Network::new(SmallRng::seed_from_u64(config.seed), config.delay),
            oracle: Oracle::new(config.pages),
            trace: Trace::new(),
            distrusted: BTreeSet::new(),
            disturbed: config.hostile.is_some(),
            lost: BTreeSet::new(),
            commands: Vec::new(),
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
        let Config {
            nodes,
            threads,
            pages,
            hostile,
            ..
        } = self.config;
        for node in (0..nodes).filter(|&at| NodeId::try_from(at).ok() != hostile) {
            for thread in 0..threads {
                for _ in 0..count {
                    let op = Op::random(&mut self.network.rng, node, thread, pages);
                    self.plan([op]);
                }
            }
        }
    }

    /// Kills a node at a time of the virtual clock. The others learn of it some time later.
    pub fn kill(&mut self, node: NodeId, at: Tick) {
        self.network.at(at, Event::Kill { node });
    }

    /// Makes a message of the hostile node arrive at a time of the virtual clock.
    pub fn inject(&mut self, at: Tick, to: NodeId, message: P::Message, contents: Contents) {
        let Some(from) = self.config.hostile else {
            return;
        };
        let page = || Bytes::from(vec![0xee; PageSize::K4.bytes()]);
        let payload = (contents == Contents::Page).then(page);
        let event = Event::Deliver {
            from,
            to,
            message,
            payload,
        };
        self.network.at(at, event);
    }

    /// Leaves a page out of the checks across nodes: a hostile node is its home or requests it, and
    /// is believed about it.
    pub fn distrust(&mut self, page: PageIndex) {
        self.distrusted.insert(page);
    }

    /// Runs until nothing is left to happen.
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
            let step = self.step(event).and_then(|()| self.check(about));
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
        Ok(self.report.clone())
    }

    /// What happened, a line an event: the last 20,000 of them.
    #[must_use]
    pub fn trace(&self) -> Vec<String> {
        self.trace.lines(None)
    }

    /// A node's protocol.
    ///
    /// # Panics
    /// If there is no such node.
    #[must_use]
    pub fn protocol(&self, node: NodeId) -> &P {
        &self.nodes[node.index()].protocol
    }

    fn step(&mut self, event: Event<P::Message>) -> Result<(), Broken> {
        match event.clone() {
            Event::Run { at, thread } => self.run_thread(at, thread),
            Event::Fault { at, fault } => {
                let (page, access) = (fault.page, fault.access);
                self.feed(at, Input::Fault { page, access }, None, event)
            }
            Event::Deliver {
                from,
                to,
                message,
                payload,
            } => {
                if self.lost.contains(&(to, from)) {
                    return Ok(());
                }
                let contents = match payload {
                    Some(_) => Contents::Page,
                    None => Contents::Nothing,
                };
                let input = Input::Message {
                    from,
                    message,
                    payload: contents,
                };
                self.feed(to, input, payload.as_ref(), event)
            }
            Event::Timeout { at } => {
                let node = &mut self.nodes[at.index()];
                node.timer = None;
                let due = node.protocol.next_timeout();
                if due.is_some_and(|due| due <= self.network.now) {
                    self.feed(at, Input::Timeout, None, event)?;
                }
                self.plan_timeout(at);
                Ok(())
            }
            Event::Kill { node } => {
                self.trace.event(self.network.now, event, &[]);
                self.disturbed = true;
                self.nodes[node.index()].alive = false;
                for at in NodeId::first(self.nodes.len()).filter(|&at| at != node) {
                    self.network.soon(Event::Lost { at, node });
                }
                Ok(())
            }
            Event::Lost { at, node } => {
                self.lost.insert((at, node));
                self.feed(at, Input::Lost { node }, None, event)
            }
        }
    }

    /// Lets a thread do its next access.
    fn run_thread(&mut self, at: NodeId, number: usize) -> Result<(), Broken> {
        let now = self.network.now;
        let node = &mut self.nodes[at.index()];
        let thread = &mut node.threads[number];
        let Some(&op) = thread.program.front().filter(|_| node.alive) else {
            return Ok(());
        };
        let value = self.oracle.fresh();
        let attempt = match op.access {
            Access::Read => node.memory.try_load(op.page, op.word),
            Access::Write => node.memory.try_store(op.page, op.word, value),
        };
        match attempt {
            Attempt::Done(before) => {
                thread.program.pop_front();
                self.report.accesses += 1;
                let expected = self.oracle.page(op.page)[op.word];
                let shown = match op.access {
                    Access::Read => before,
                    Access::Write => value,
                };
                self.trace.access(now, at, op, Some(shown));
                if before != expected && !self.distrusted.contains(&op.page) {
                    let what = format!("data-value: {before} was there, not {expected}");
                    return Err((what, Some(op.page)));
                }
                if op.access == Access::Write {
                    self.oracle.wrote(op.page, op.word, value);
                }
                let thread = number;
                self.network.soon(Event::Run { at, thread });
            }
            Attempt::Faulted => {
                thread.blocked = Some(op.page);
                self.report.faults += 1;
                self.trace.access(now, at, op, None);
                let mut faults = Vec::new();
                let taken = node.backing.take_faults(&mut faults);
                taken.map_err(|error| (error.to_string(), Some(op.page)))?;
                for fault in faults {
                    self.network.soon(Event::Fault { at, fault });
                }
            }
            Attempt::Poisoned => self.trace.access(now, at, op, None),
        }
        Ok(())
    }

    /// Feeds one input to a node and carries out its commands.
    fn feed(
        &mut self,
        at: NodeId,
        input: Input<P::Message>,
        payload: Option<&Bytes>,
        event: Event<P::Message>,
    ) -> Result<(), Broken> {
        let (now, page) = (self.network.now, event.page(&self.nodes));
        let node = &mut self.nodes[at.index()];
        if !node.alive {
            return Ok(());
        }
        self.commands.clear();
        let from = match &input {
            Input::Message { from, .. } => Some(*from),
            Input::Fault { .. } | Input::Lost { .. } | Input::Timeout => None,
        };
        let handled = node.protocol.handle(now, input, &mut self.commands);
        self.trace.event(now, event, &self.commands);
        if let Err(violation) = handled {
            return self.refused(at, from, violation, page);
        }
        let outcome = node.carry_out(&self.commands, payload);
        let outcome = outcome.map_err(|error| (format!("node {at}: {error}"), page))?;
        for thread in outcome.woken {
            self.network.soon(Event::Run { at, thread });
        }
        for (to, message, payload) in outcome.sent {
            self.report.messages += 1;
            self.report.pages_sent += u64::from(payload.is_some());
            check_wire(at, &message, payload.as_ref()).map_err(|what| (what, page))?;
            self.network.send(at, to, message, payload);
        }
        self.plan_timeout(at);
        Ok(())
    }

    /// A node refused a message: it ends the link to the sender.
    fn refused(
        &mut self,
        at: NodeId,
        from: Option<NodeId>,
        violation: Violation,
        page: Option<PageIndex>,
    ) -> Result<(), Broken> {
        if !self.commands.is_empty() {
            return Err((
                format!("node {at} refused and gave commands: {violation}"),
                page,
            ));
        }
        let Some(from) = from.filter(|_| self.config.hostile.is_some()) else {
            return Err((format!("node {at} refused: {violation}"), page));
        };
        self.report.violations.push((at, violation));
        if !self.config.sever {
            return Ok(());
        }
        self.network
            .at(self.network.now, Event::Lost { at, node: from });
        let (at, node) = (from, at);
        self.network.soon(Event::Lost { at, node });
        Ok(())
    }

    fn plan_timeout(&mut self, at: NodeId) {
        let node = &mut self.nodes[at.index()];
        let due = node.protocol.next_timeout().filter(|_| node.alive);
        if let Some(due) = due.filter(|&due| node.timer.is_none_or(|planned| due < planned)) {
            node.timer = Some(due);
            self.network.at(due, Event::Timeout { at });
        }
    }

    fn world(&self, distrusted: bool) -> World<'_, P> {
        World {
            nodes: &self.nodes,
            oracle: &self.oracle,
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
        }
    }
}

impl<M: PageMessage> Event<M> {
    /// The only page that this event can change, if there is one.
    fn page<P: Inspect>(&self, nodes: &[Node<P>]) -> Option<PageIndex> {
        match self {
            Self::Deliver { message, .. } => Some(message.page()),
            Self::Fault { fault, .. } => Some(fault.page),
            Self::Run { at, thread } => {
                let thread = &nodes[at.index()].threads[*thread];
                thread.program.front().map(|op| op.page)
            }
            Self::Timeout { .. } | Self::Kill { .. } | Self::Lost { .. } => None,
        }
    }
}

/// Sends a message through its wire form.
fn check_wire<M: PageMessage>(
    from: NodeId,
    message: &M,
    payload: Option<&Bytes>,
) -> Result<(), String> {
    let (kind, body) = message.encode();
    let frame = Frame {
        service: Service::Dsm,
        kind,
        from,
        epoch: Epoch::FIRST,
        stamp: Stamp::ZERO,
        body,
        payload: payload.cloned().unwrap_or_default(),
    };
    match M::decode(&frame) {
        Ok(read) if read == *message => Ok(()),
        Ok(read) => Err(format!("{message:?} becomes {read:?} on the wire")),
        Err(error) => Err(format!("{message:?} does not survive the wire: {error}")),
    }
}
