//! One state of a small cluster that shares one page, and what may happen next.

use std::collections::VecDeque;

use giantvm_core::{NodeId, NodeSet, PageIndex};
use giantvm_dsm::protocol::directory::Message;
use giantvm_dsm::protocol::{
    Access, Attach, CoherenceProtocol, Command, Contents, Directory, HomeMap, Input, Rights, Setup,
    Tick,
};

use super::node::{Bytes, Frame, Node};

pub(crate) const PAGE: PageIndex = PageIndex(0);

/// Something that may happen.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    /// A thread's access faults.
    Fault { at: NodeId, access: Access },
    /// A thread stores a value that was never there.
    Store { at: NodeId },
    /// The next message of a class arrives.
    Deliver {
        from: NodeId,
        to: NodeId,
        class: Contents,
    },
    /// A rest is over.
    Timeout { at: NodeId },
    /// A node stops, with all that is on the way to it.
    Die { node: NodeId },
    /// A node learns of it. What the dead one sent and did not arrive never does.
    Lose { at: NodeId, node: NodeId },
}

/// A message under way, and the page that goes with it.
type Letter = (Message, Option<Bytes>);

/// A state.
#[derive(Debug, Clone, Hash)]
pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    /// By sender, receiver and class: within these messages keep their order.
    pub(crate) channels: Vec<VecDeque<Letter>>,
    /// Whether there was a store, so that zeroes are old.
    written: bool,
    /// Whether a node may die.
    mortal: bool,
}

const CLASSES: [Contents; 2] = [Contents::Nothing, Contents::Page];

impl World {
    /// An untouched page, homed at node 0, and as many nodes as `faults` has entries: so often
    /// may each of them fault.
    pub(crate) fn new(faults: &[u8], rest: Tick) -> Self {
        let nodes = NodeSet::first(faults.len());
        let homes = HomeMap::even(1, nodes);
        let node = |(local, &faults)| {
            let setup = Setup {
                local,
                nodes,
                pages: 1,
                homes: homes.clone(),
            };
            Node {
                protocol: Directory::with_rest(setup, rest),
                frame: Frame::Empty,
                waiting: Vec::new(),
                faults,
                dead: false,
            }
        };
        Self {
            nodes: nodes.iter().zip(faults).map(node).collect(),
            channels: vec![VecDeque::new(); faults.len() * faults.len() * CLASSES.len()],
            written: false,
            mortal: false,
        }
    }

    /// The same where one node may die at any time.
    pub(crate) fn with_a_death(self) -> Self {
        Self {
            mortal: true,
            ..self
        }
    }

    /// All that may happen next.
    pub(crate) fn events(&self) -> Vec<Event> {
        let mut events = self.under_way();
        for (at, node) in self.alive() {
            let faults = |access: &Access| node.may_fault(*access);
            let both = [Access::Read, Access::Write].into_iter().filter(faults);
            events.extend(both.map(|access| Event::Fault { at, access }));
            if matches!(node.frame, Frame::Mapped(Rights::Write, _)) {
                events.push(Event::Store { at });
            }
            if self.mortal {
                events.push(Event::Die { node: at });
            }
        }
        events
    }

    /// What will happen if nothing new begins.
    fn under_way(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for (to, node) in self.alive() {
            for from in self.ids() {
                let full =
                    |class: &Contents| !self.channels[self.channel(from, to, *class)].is_empty();
                let classes = CLASSES.into_iter().filter(full);
                events.extend(classes.map(|class| Event::Deliver { from, to, class }));
                if self.nodes[from.index()].dead && !node.protocol.is_halted() {
                    events.push(Event::Lose { at: to, node: from });
                }
            }
            if node.protocol.next_timeout().is_some() {
                events.push(Event::Timeout { at: to });
            }
        }
        events
    }

    /// Whether nothing happens unless something new begins.
    pub(crate) fn is_quiet(&self) -> bool {
        self.under_way().is_empty()
    }

    /// The state after an event.
    ///
    /// # Errors
    /// What was wrong about the event.
    pub(crate) fn after(&self, event: Event) -> Result<Self, String> {
        let mut world = self.clone();
        world.step(event)?;
        Ok(world)
    }

    fn step(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Fault { at, access } => {
                let node = &mut self.nodes[at.index()];
                node.faults -= 1;
                node.waiting.push(access);
                node.waiting.sort_unstable();
                self.feed(at, Input::Fault { page: PAGE, access }, None)
            }
            Event::Store { at } => {
                self.age();
                self.nodes[at.index()].frame = Frame::Mapped(Rights::Write, Bytes::Latest);
                Ok(())
            }
            Event::Deliver { from, to, class } => {
                let channel = self.channel(from, to, class);
                let Some((message, bytes)) = self.channels[channel].pop_front() else {
                    return Err("there is no such message".into());
                };
                let input = Input::Message {
                    from,
                    message,
                    payload: class,
                };
                self.feed(to, input, bytes)
            }
            Event::Timeout { at } => self.feed(at, Input::Timeout, None),
            Event::Die { node } => {
                self.mortal = false;
                self.nodes[node.index()].dead = true;
                self.ids().for_each(|from| self.cut(from, node));
                Ok(())
            }
            Event::Lose { at, node } => {
                self.cut(node, at);
                self.feed(at, Input::Lost { node }, None)
            }
        }
    }

    /// All bytes that are somewhere are no longer the last ones written.
    fn age(&mut self) {
        self.written = true;
        for node in &mut self.nodes {
            match &mut node.frame {
                Frame::Empty => {}
                Frame::Kept(bytes) | Frame::Stored(bytes) | Frame::Mapped(_, bytes) => {
                    *bytes = Bytes::Old;
                }
            }
        }
        let letters = self.channels.iter_mut().flatten();
        letters.for_each(|(_, bytes)| *bytes = bytes.map(|_| Bytes::Old));
    }

    /// Feeds an input to a node and carries out its commands.
    fn feed(
        &mut self,
        at: NodeId,
        input: Input<Message>,
        payload: Option<Bytes>,
    ) -> Result<(), String> {
        let node = &mut self.nodes[at.index()];
        // The clock stands still but for the rest that is over.
        let now = match input {
            Input::Timeout => node.protocol.next_timeout().unwrap_or_default(),
            Input::Fault { .. }
            | Input::Message { .. }
            | Input::Lost { .. }
            | Input::Evict { .. }
            | Input::Heard { .. } => Tick(0),
        };
        let mut commands = Vec::new();
        let handled = node.protocol.handle(now, input, &mut commands);
        handled.map_err(|violation| format!("node {at} refused: {violation}"))?;
        if node.protocol.is_halted() && !commands.is_empty() {
            return Err(format!("node {at} is halted and orders {commands:?}"));
        }
        let zeroes = if self.written {
            Bytes::Old
        } else {
            Bytes::Latest
        };
        let mut woken = false;
        for command in commands {
            let node = &mut self.nodes[at.index()];
            if let Command::Send {
                to,
                message,
                attach,
            } = command
            {
                let (class, bytes) = match attach {
                    Attach::Nothing => (Contents::Nothing, None),
                    Attach::Page => (Contents::Page, Some(node.lend()?)),
                };
                if !self.nodes[to.index()].dead {
                    let channel = self.channel(at, to, class);
                    self.channels[channel].push_back((message, bytes));
                }
                continue;
            }
            woken |= matches!(command, Command::Wake { .. });
            let before = node.frame;
            let after = node.carry_out(&command, payload, zeroes);
            node.frame = after.ok_or_else(|| format!("node {at}: {command:?} of {before:?}"))?;
        }
        if woken { self.retry(at) } else { Ok(()) }
    }

    /// Woken threads try again: those whose access is not allowed yet fault again.
    fn retry(&mut self, at: NodeId) -> Result<(), String> {
        let node = &mut self.nodes[at.index()];
        let rights = node.rights();
        let lacks = |access: &Access| !rights.is_some_and(|rights| rights.allow(*access));
        node.waiting.retain(lacks);
        for access in node.waiting.clone() {
            self.feed(at, Input::Fault { page: PAGE, access }, None)?;
        }
        Ok(())
    }

    fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        NodeId::first(self.nodes.len())
    }

    pub(crate) fn alive(&self) -> impl Iterator<Item = (NodeId, &Node)> {
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
