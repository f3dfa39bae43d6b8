//! The table of every state and every message, made from the code.
//!
//! Every state that a small world can come to is visited; in each, every node is given every
//! message that is under way anywhere in any of them, from every peer. What it does, or by which
//! name it refuses, fills the table. So a pair that no one thought of shows as a refusal or as a
//! surprise, not as a gap.

mod figure;
mod text;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use giantvm_core::NodeId;

use super::model::{Checkable, SmallWorld, World};
use crate::protocol::{Attach, Command, Contents, FrameFate, Input, PageMessage, Tick};

/// Most states that are visited. The table needs every kind of state, not every state.
const STATES: usize = 40_000;
/// Most different messages of one kind that are tried.
const OF_A_KIND: usize = 24;

/// What a node does with a message in a state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cell {
    /// What it orders, in the cases in which it takes the message: each a list of commands.
    pub taken: BTreeSet<String>,
    /// By which names it refuses the message, in the cases in which it does.
    pub refused: BTreeSet<&'static str>,
}

/// Every state and every message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transitions {
    /// The protocol's name.
    pub protocol: &'static str,
    /// By state and message.
    pub cells: BTreeMap<(&'static str, &'static str), Cell>,
}

/// A message of a small world, and what came with it.
type Sample<M> = (M, Contents);

impl Transitions {
    /// The table of a protocol, from the states of a world.
    #[must_use]
    pub fn of<P: Checkable>(world: &SmallWorld) -> Self {
        Self::of_all::<P>(std::slice::from_ref(world))
    }

    /// The same from the states and the messages of several worlds together.
    #[must_use]
    pub fn of_all<P: Checkable>(worlds: &[SmallWorld]) -> Self {
        let (mut nodes, mut samples) = (Vec::new(), BTreeMap::<_, Vec<_>>::new());
        for world in worlds {
            let count = world.budgets.len();
            let (visited, messages) = visit::<P>(world);
            nodes.extend(visited.into_iter().map(|(id, node)| (id, node, count)));
            for (name, more) in messages {
                samples.entry(name).or_default().extend(more);
            }
        }
        let mut table = Self {
            protocol: P::NAME,
            cells: BTreeMap::new(),
        };
        for (local, node, count) in &nodes {
            let peers = NodeId::first(*count).filter(|peer| peer != local);
            for from in peers {
                for (message, contents) in samples.values().flatten() {
                    table.note(node, from, message, *contents);
                }
            }
        }
        table
    }

    /// Adds what another world of the same protocol has shown.
    pub fn extend(&mut self, other: Self) {
        for (pair, Cell { taken, refused }) in other.cells {
            let cell = self.cells.entry(pair).or_default();
            cell.taken.extend(taken);
            cell.refused.extend(refused);
        }
    }

    /// The states, in the order of their names.
    #[must_use]
    pub fn states(&self) -> Vec<&'static str> {
        let states: BTreeSet<_> = self.cells.keys().map(|&(state, _)| state).collect();
        states.into_iter().collect()
    }

    /// The messages, in the order of their names.
    #[must_use]
    pub fn messages(&self) -> Vec<&'static str> {
        let messages: BTreeSet<_> = self.cells.keys().map(|&(_, message)| message).collect();
        messages.into_iter().collect()
    }

    fn note<P: Checkable>(
        &mut self,
        node: &P,
        from: NodeId,
        message: &P::Message,
        payload: Contents,
    ) {
        let states = node.states(message.page());
        let (mut after, mut commands) = (node.clone(), Vec::new());
        let input = Input::Message {
            from,
            message: message.clone(),
            payload,
        };
        let handled = after.handle(Tick(0), input, &mut commands);
        for state in states {
            let cell = self.cells.entry((state, P::name(message))).or_default();
            match &handled {
                Ok(()) => cell.taken.insert(summary::<P>(&commands)),
                Err(violation) => cell.refused.insert(violation.kind()),
            };
        }
    }
}

/// Different nodes of the states of a world, and different messages by name.
#[expect(clippy::type_complexity, reason = "used once")]
fn visit<P: Checkable>(
    world: &SmallWorld,
) -> (
    Vec<(NodeId, P)>,
    BTreeMap<&'static str, Vec<Sample<P::Message>>>,
) {
    let start = World::<P>::new(world, &P::new);
    let (mut seen, mut different) = (HashSet::from([digest(&start)]), HashSet::new());
    let (mut nodes, mut samples) = (Vec::new(), BTreeMap::<_, Vec<_>>::new());
    // Breadth first: the kinds of states come early.
    let mut layer = vec![start];
    while !layer.is_empty() && seen.len() < STATES {
        let mut next = Vec::new();
        for world in layer {
            for (id, protocol) in world.protocols() {
                if different.insert(digest(&(id, protocol))) {
                    nodes.push((id, protocol.clone()));
                }
            }
            for (message, contents) in world.letters() {
                let alike: &mut Vec<Sample<P::Message>> =
                    samples.entry(P::name(message)).or_default();
                if alike.len() < OF_A_KIND && !alike.iter().any(|(other, _)| other == message) {
                    alike.push((message.clone(), contents));
                }
            }
            for event in world.events() {
                let after = world.after(event);
                if seen.insert(digest(&after)) {
                    next.push(after);
                }
            }
        }
        layer = next;
    }
    (nodes, samples)
}

fn digest(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// What commands do, in words that are alike where only numbers differ.
fn summary<P: Checkable>(commands: &[Command<P::Message>]) -> String {
    let words = commands.iter().map(|command| match command {
        Command::Send {
            message, attach, ..
        } => match attach {
            Attach::Nothing => format!("send {}", P::name(message)),
            Attach::Page => format!("send {} with page", P::name(message)),
        },
        Command::Linger { .. } => "Linger".into(),
        Command::Store { .. } => "Store".into(),
        Command::Map { rights, .. } => format!("Map {rights:?}"),
        Command::MapZero { rights, .. } => format!("MapZero {rights:?}"),
        Command::Protect { .. } => "Protect".into(),
        Command::Unprotect { .. } => "Unprotect".into(),
        Command::Unmap { frame, .. } => match frame {
            FrameFate::Drop => "Unmap".into(),
            FrameFate::Keep | FrameFate::Retain => "Unmap keeping the bytes".into(),
        },
        Command::Wake { .. } => "Wake".into(),
        Command::Poison { .. } => "Poison".into(),
    });
    let mut words: Vec<String> = words.collect();
    words.dedup();
    if words.is_empty() {
        "noted".into()
    } else {
        words.join(", ")
    }
}
