//! One state of a small cluster, and what may happen next.

use std::collections::VecDeque;

use giantvm_core::{NodeId, NodeSet, PageIndex, PageRange, Stamp};

use super::bytes::{Bytes, Writes};
use super::event::Event;
use super::node::{Frame, Letter, Node, index};
use super::{Checkable, SmallWorld};
use crate::protocol::{
    Access, Attach, Command, Contents, Departing, HomeMap, Input, PageMessage, Phase, Rights,
    Setup, Tick,
};

/// A state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World<P: Checkable> {
    pub(super) nodes: Vec<Node<P>>,
    /// By sender, receiver and class: within these messages keep their order.
    pub(super) channels: Vec<VecDeque<Letter<P::Message>>>,
    /// By page.
    pub(super) writes: Vec<Writes>,
    /// Whether a node may die.
    mortal: bool,
    /// What is wrong about this state. Nothing comes after it.
    pub(super) broken: Option<String>,
}

const CLASSES: [Contents; 2] = [Contents::Nothing, Contents::Page];

impl<P: Checkable> World<P> {
    /// Untouched pages, homed evenly.
    pub(in crate::testing) fn new(world: &SmallWorld, make: &dyn Fn(Setup) -> P) -> Self {
        let nodes = NodeSet::first(world.budgets.len());
        let homes = HomeMap::even(world.pages, nodes);
        let pages = index(PageIndex(world.pages));
        let node = |(local, &budget)| {
            let setup = Setup {
                local,
                nodes,
                pages: world.pages,
                homes: homes.clone(),
            };
            Node::new(make(setup), pages, budget)
        };
        let count = world.budgets.len();
        Self {
            nodes: nodes.iter().zip(&world.budgets).map(node).collect(),
            channels: vec![VecDeque::new(); count * count * CLASSES.len()],
            writes: vec![Writes::default(); pages],
            mortal: world.mortal,
            broken: None,
        }
    }

    /// All that may happen next.
    pub(in crate::testing) fn events(&self) -> Vec<Event> {
        if self.broken.is_some() {
            return Vec::new();
        }
        let mut events = self.under_way();
        events.extend(self.lingering());
        for (at, node) in self.alive() {
            for page in self.pages() {
                let faults = |access: &Access| node.may_fault(page, *access);
                let both = [Access::Read, Access::Write].into_iter().filter(faults);
                events.extend(both.map(|access| Event::Fault { at, page, access }));
                let rights = node.rights(page);
                if rights == Some(Rights::Write) {
                    events.push(Event::Store { at, page });
                }
                if rights.is_some() && node.budget.evictions > 0 && !node.pins.contains(page) {
                    events.push(Event::Evict { at, page });
                }
                let pinnable = rights == Some(Rights::Write) && !node.pins.contains(page);
                if pinnable && node.budget.pins > 0 {
                    events.push(Event::Pin { at, page });
                }
            }
            for (from, other) in self.alive() {
                let behind = node.protocol.clock() < other.protocol.clock();
                if behind && node.budget.signals > 0 {
                    events.push(Event::Hear { from, to: at });
                }
            }
            self.departures(at, node, &mut events);
            if self.mortal {
                events.push(Event::Die { node: at });
            }
        }
        events
    }

    /// What a node may begin that leaves, or has left. One can at a time.
    fn departures(&self, at: NodeId, node: &Node<P>, events: &mut Vec<Event>) {
        let phase = node.protocol.departure().phase;
        if phase == Phase::Left {
            events.push(Event::Return { at });
            events.push(Event::Die { node: at });
        }
        let leaves = |phase| !matches!(phase, Phase::Here | Phase::Left);
        let mut phases = self
            .alive()
            .map(|(_, node)| node.protocol.departure().phase);
        if node.budget.departures == 0 || phases.any(leaves) {
            return;
        }
        let heirs = self.alive().map(|(heir, _)| heir);
        let heirs = heirs.filter(|&heir| node.protocol.refusal(heir).is_none());
        events.extend(heirs.map(|heir| Event::Leave { at, heir }));
    }

    /// Whether telling a node that leaves to go on makes a difference.
    fn may_go_on(node: &Node<P>) -> bool {
        let phase = node.protocol.departure().phase;
        if !matches!(phase, Phase::Recalling | Phase::Draining) {
            return false;
        }
        let (mut after, mut commands) = (node.protocol.clone(), Vec::new());
        let handled = after.handle(Tick(0), go_on(), &mut commands);
        handled.is_err() || !commands.is_empty() || after != node.protocol
    }

    /// What will happen if nothing new begins.
    fn under_way(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for (to, node) in self.alive() {
            for from in self.ids() {
                let goes = |class: &Contents| {
                    let letters = &self.channels[self.channel(from, to, *class)];
                    letters.iter().any(|letter| !letter.lingers)
                };
                let classes = CLASSES.into_iter().filter(goes);
                events.extend(classes.map(|class| Event::Deliver { from, to, class }));
                if self.nodes[from.index()].dead && !node.lost.contains(from) {
                    events.push(Event::Lose { at: to, node: from });
                }
            }
            let pinned = node.pins.pages();
            events.extend(pinned.map(|page| Event::Unpin { at: to, page }));
            if Self::may_go_on(node) {
                events.push(Event::GoOn { at: to });
            }
            let timer = node.protocol.next_timeout().is_some();
            if timer && node.pins.is_empty() && node.budget.timeouts != Some(0) {
                events.push(Event::Timeout { at: to });
            }
        }
        events
    }

    /// Messages that may arrive, but that nobody may count on: they wait for others to go with.
    fn lingering(&self) -> impl Iterator<Item = Event> {
        let class = Contents::Nothing;
        let lingers = move |(from, to): &(NodeId, NodeId)| {
            let letters = &self.channels[self.channel(*from, *to, class)];
            !letters.is_empty() && letters.iter().all(|letter| letter.lingers)
        };
        let pairs = self
            .ids()
            .flat_map(|from| self.ids().map(move |to| (from, to)));
        let pairs = pairs.filter(lingers);
        pairs.map(move |(from, to)| Event::Deliver { from, to, class })
    }

    /// Has what `from` says to `to` wait no longer.
    fn hurry(&mut self, from: NodeId, to: NodeId) {
        let channel = self.channel(from, to, Contents::Nothing);
        let letters = self.channels[channel].iter_mut();
        letters.for_each(|letter| letter.lingers = false);
    }

    /// The protocols of the nodes that live.
    pub(in crate::testing) fn protocols(&self) -> impl Iterator<Item = (NodeId, &P)> {
        self.alive().map(|(id, node)| (id, &node.protocol))
    }

    /// The messages under way.
    pub(in crate::testing) fn letters(&self) -> impl Iterator<Item = (&P::Message, Contents)> {
        let letters = self.channels.iter().flatten();
        letters.map(|letter| (&letter.message, class_of(letter.bytes.is_some())))
    }

    /// Whether nothing happens unless something new begins.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let spent = |(_, node): (_, &Node<P>)| {
            node.protocol.next_timeout().is_some() && node.budget.timeouts == Some(0)
        };
        self.under_way().is_empty() && !self.alive().any(spent)
    }

    /// The state after an event, which says so if anything is wrong about it.
    pub(in crate::testing) fn after(&self, event: Event) -> Self {
        let mut world = self.clone();
        let wrong = world.step(event).and_then(|()| {
            world.settle();
            world.check()
        });
        world.broken = wrong.err();
        world
    }

    fn step(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Fault { at, page, access } => {
                let node = &mut self.nodes[at.index()];
                node.budget.faults -= 1;
                let waiting = &mut node.waiting[index(page)];
                waiting.push(access);
                waiting.sort_unstable();
                self.feed(at, Input::Fault { page, access }, None)
            }
            Event::Store { at, page } => self.store(at, page),
            Event::Deliver { from, to, class } => {
                let channel = self.channel(from, to, class);
                let Some(mut letter) = self.channels[channel].pop_front() else {
                    return Err("there is no such message".into());
                };
                letter.lingers = false;
                self.hurry(to, from);
                let node = &mut self.nodes[to.index()];
                match node.pins.hold(letter.message.page(), letter) {
                    Some(letter) => self.deliver(to, letter),
                    None => Ok(()),
                }
            }
            Event::Timeout { at } => {
                let budget = &mut self.nodes[at.index()].budget;
                budget.timeouts = budget.timeouts.map(|left| left - 1);
                self.feed(at, Input::Timeout, None)
            }
            Event::Evict { at, page } => {
                self.nodes[at.index()].budget.evictions -= 1;
                self.feed(at, Input::Evict { page }, None)
            }
            Event::Pin { at, page } => {
                let node = &mut self.nodes[at.index()];
                node.budget.pins -= 1;
                if node.pins.pin(page) {
                    Ok(())
                } else {
                    Err("there are too many pins".into())
                }
            }
            Event::Unpin { at, page } => {
                for letter in self.nodes[at.index()].pins.unpin(page) {
                    self.deliver(at, letter)?;
                }
                Ok(())
            }
            Event::Hear { from, to } => {
                self.nodes[to.index()].budget.signals -= 1;
                let stamp = self.nodes[from.index()].protocol.clock();
                self.feed(to, Input::Heard { stamp }, None)
            }
            Event::Leave { at, heir } => {
                self.nodes[at.index()].budget.departures -= 1;
                self.feed(at, Input::Depart(Departing::Begin { heir }), None)
            }
            Event::GoOn { at } => self.feed(at, go_on(), None),
            Event::Return { at } => self.feed(at, Input::Depart(Departing::Return), None),
            Event::Die { node } => {
                let dead = &mut self.nodes[node.index()];
                dead.left = dead.protocol.departure().phase == Phase::Left;
                self.mortal &= dead.left;
                dead.dead = true;
                self.ids().for_each(|from| self.cut(from, node));
                Ok(())
            }
            Event::Lose { at, node } => {
                self.cut(node, at);
                let node_at = &mut self.nodes[at.index()];
                node_at.lost = node_at.lost.with(node);
                node_at.pins.retain(|letter| letter.from != node);
                self.feed(at, Input::Lost { node }, None)
            }
        }
    }

    fn store(&mut self, at: NodeId, page: PageIndex) -> Result<(), String> {
        let clock = self.nodes[at.index()].protocol.clock();
        let written = self.writes[index(page)].write(clock)?;
        self.copies(page, |bytes, _| Writes::age(bytes, clock));
        let frame = &mut self.nodes[at.index()].frames[index(page)];
        *frame = Frame::Mapped(Rights::Write, written);
        Ok(())
    }

    /// Makes states alike that no node can tell apart.
    fn settle(&mut self) {
        let clocks = self.alive().map(|(_, node)| node.protocol.clock());
        let oldest = clocks.min().unwrap_or(Stamp::ZERO);
        for page in self.pages() {
            self.copies(page, |bytes, writes| writes.settle(bytes, oldest));
            self.writes[index(page)].forget(oldest);
        }
    }

    /// Does something to every copy of a page, wherever it is.
    fn copies(&mut self, page: PageIndex, change: impl Fn(&mut Bytes, &Writes)) {
        let writes = &self.writes[index(page)];
        for node in &mut self.nodes {
            let frame = node.frames[index(page)].bytes_mut();
            let held = node.pins.waiting_mut().filter(|(held, _)| *held == page);
            let held = held.filter_map(|(_, letter)| letter.bytes.as_mut());
            frame
                .into_iter()
                .chain(held)
                .for_each(|b| change(b, writes));
        }
        let letters = self.channels.iter_mut().flatten();
        let letters = letters.filter(|letter| letter.message.page() == page);
        letters
            .filter_map(|letter| letter.bytes.as_mut())
            .for_each(|bytes| change(bytes, writes));
    }

    fn deliver(&mut self, to: NodeId, letter: Letter<P::Message>) -> Result<(), String> {
        let Letter {
            from,
            message,
            bytes,
            lingers: _,
        } = letter;
        let payload = class_of(bytes.is_some());
        let input = Input::Message {
            from,
            message,
            payload,
        };
        self.feed(to, input, bytes)
    }

    /// Feeds an input to a node and carries out its commands.
    fn feed(
        &mut self,
        at: NodeId,
        input: Input<P::Message>,
        payload: Option<Bytes>,
    ) -> Result<(), String> {
        let node = &mut self.nodes[at.index()];
        // The clock stands still but for the time-out that comes.
        let now = match input {
            Input::Timeout => node.protocol.next_timeout().unwrap_or_default(),
            _ => Tick(0),
        };
        let mut commands = Vec::new();
        let clock = node.protocol.clock();
        let handled = node.protocol.handle(now, input, &mut commands);
        handled.map_err(|violation| format!("totality: node {at} refused: {violation}"))?;
        if node.protocol.clock() < clock {
            return Err(format!("clocks: node {at} goes back from {clock}"));
        }
        let (mut woken, mut patient) = (Vec::new(), None);
        for command in commands {
            let node = &mut self.nodes[at.index()];
            match command {
                Command::Linger { page } => patient = Some(page),
                Command::Send {
                    to,
                    message,
                    attach,
                } => {
                    let lingers = patient.take() == Some(message.page());
                    let mut lend = || node.lend(message.page());
                    let bytes = match attach {
                        Attach::Nothing => None,
                        Attach::Page => Some(lend().map_err(|frame| {
                            format!("mapping: node {at} sends a page from {frame:?}")
                        })?),
                    };
                    if !self.nodes[to.index()].dead {
                        let channel = self.channel(at, to, class_of(bytes.is_some()));
                        let from = at;
                        self.channels[channel].push_back(Letter {
                            from,
                            message,
                            bytes,
                            lingers,
                        });
                    }
                }
                Command::Wake { page } => woken.push(page),
                command => {
                    let done = node.carry_out(&command, payload, &self.writes);
                    done.map_err(|frame| format!("mapping: node {at}: {command:?} of {frame:?}"))?;
                }
            }
        }
        woken.into_iter().try_for_each(|page| self.retry(at, page))
    }

    /// Woken threads try again: those whose access is not allowed yet fault again.
    fn retry(&mut self, at: NodeId, page: PageIndex) -> Result<(), String> {
        let node = &mut self.nodes[at.index()];
        let rights = node.rights(page);
        let lacks = |access: &Access| !rights.is_some_and(|rights| rights.allow(*access));
        let waiting = &mut node.waiting[index(page)];
        waiting.retain(lacks);
        for access in waiting.clone() {
            self.feed(at, Input::Fault { page, access }, None)?;
        }
        Ok(())
    }

    pub(super) fn pages(&self) -> impl Iterator<Item = PageIndex> + use<P> {
        PageRange::first(self.writes.len() as u64).iter()
    }

    fn ids(&self) -> impl Iterator<Item = NodeId> + use<P> {
        NodeId::first(self.nodes.len())
    }

    pub(super) fn alive(&self) -> impl Iterator<Item = (NodeId, &Node<P>)> {
        self.ids().zip(&self.nodes).filter(|(_, node)| !node.dead)
    }

    fn channel(&self, from: NodeId, to: NodeId, class: Contents) -> usize {
        let pair = from.index() * self.nodes.len() + to.index();
        pair * CLASSES.len() + usize::from(class == Contents::Page)
    }

    /// Drops what is under way from one node to another.
    fn cut(&mut self, from: NodeId, to: NodeId) {
        for class in CLASSES {
            let channel = self.channel(from, to, class);
            self.channels[channel].clear();
        }
    }
}

/// A node that leaves goes on with one page.
const fn go_on<M>() -> Input<M> {
    Input::Depart(Departing::Continue { pages: 1 })
}

const fn class_of(has_page: bool) -> Contents {
    if has_page {
        Contents::Page
    } else {
        Contents::Nothing
    }
}
