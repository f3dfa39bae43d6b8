//! The exact commands of every kind of transaction, and what is refused.

mod hostile;
mod queue;
mod rest;
mod transactions;
mod wire;

use giantvm_core::{NodeId, NodeSet, PageIndex, Version};

use super::{Ivy, Message, Request, Source, Token, Want};
use crate::protocol::{
    Access, Attach, CoherenceProtocol, Command, Contents, FrameFate, HomeMap, Input, Rights, Setup,
    Tick, Violation,
};

/// The page that most tests use; it begins at node 0.
const PAGE: PageIndex = PageIndex(1);
const REST: Tick = Tick(1000);

type Commands = Vec<Command<Message>>;

fn node(number: u8) -> NodeId {
    NodeId::new(number).unwrap()
}

fn set(nodes: &[u8]) -> NodeSet {
    nodes.iter().map(|&number| node(number)).collect()
}

fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}

/// A cluster without a network: the test says who handles what, and when.
struct Nodes {
    nodes: Vec<Ivy>,
    now: Tick,
}

impl Nodes {
    fn new(count: usize) -> Self {
        let nodes = NodeSet::first(count);
        let start = |local| {
            let homes = HomeMap::even(2 * count as u64, nodes);
            let setup = Setup {
                local,
                nodes,
                pages: 2 * count as u64,
                homes,
            };
            Ivy::with_rest(setup, REST)
        };
        Self {
            nodes: nodes.iter().map(start).collect(),
            now: Tick(0),
        }
    }

    /// Lets so much time pass that every rest is over.
    fn later(&mut self) {
        self.now = Tick(self.now.0 + 10 * REST.0);
    }

    fn input(&mut self, at: u8, input: Input<Message>) -> Result<Commands, Violation> {
        let mut commands = Vec::new();
        self.nodes[usize::from(at)].handle(self.now, input, &mut commands)?;
        Ok(commands)
    }

    fn fault(&mut self, at: u8, access: Access) -> Commands {
        self.input(at, Input::Fault { page: PAGE, access }).unwrap()
    }

    fn evict(&mut self, at: u8) -> Commands {
        self.input(at, Input::Evict { page: PAGE }).unwrap()
    }

    fn tell(&mut self, from: u8, to: u8, message: Message) -> Result<Commands, Violation> {
        let input = Input::Message {
            from: node(from),
            message,
            payload: message.contents(),
        };
        self.input(to, input)
    }

    /// Carries every message to its end, in order. Returns them with their senders.
    fn settle(&mut self, from: u8, commands: Commands) -> Vec<(u8, Message)> {
        let mut under_way: Vec<_> = commands.into_iter().map(|c| (from, c)).collect();
        let mut messages = Vec::new();
        while !under_way.is_empty() {
            let (from, command) = under_way.remove(0);
            if let Command::Send { to, message, .. } = command {
                messages.push((from, message));
                let answer = self.tell(from, to.get(), message).unwrap();
                under_way.extend(answer.into_iter().map(|command| (to.get(), command)));
            }
        }
        messages
    }

    /// A fault and everything that follows, long after what came before. Returns the messages.
    fn access(&mut self, at: u8, access: Access) -> Vec<(u8, Message)> {
        self.later();
        let commands = self.fault(at, access);
        self.settle(at, commands)
    }

    fn rights(&self) -> Vec<Option<Rights>> {
        self.nodes.iter().map(|node| node.rights(PAGE)).collect()
    }

    /// Who owns the page, as the only one.
    fn owner(&self) -> u8 {
        let numbered = (0..).zip(&self.nodes);
        let owners = numbered.filter(|(_, node)| node.owned(PAGE).is_some());
        let owners: Vec<u8> = owners.map(|(at, _)| at).collect();
        assert_eq!(owners.len(), 1);
        owners[0]
    }
}

fn send(to: u8, message: Message) -> Command<Message> {
    let attach = match message.contents() {
        Contents::Nothing => Attach::Nothing,
        Contents::Page => Attach::Page,
    };
    Command::Send {
        to: node(to),
        message,
        attach,
    }
}

fn request(requester: u8, want: Want) -> Message {
    Message::Request {
        page: PAGE,
        request: Request {
            requester: node(requester),
            want,
        },
    }
}

fn token(of: u64, source: Source, sharers: &[u8]) -> Message {
    Message::Token {
        page: PAGE,
        token: Token {
            version: version(of),
            sharers: set(sharers),
            source,
        },
    }
}

fn invalidate(of: u64) -> Message {
    Message::Invalidate {
        page: PAGE,
        version: version(of),
    }
}

fn acknowledge(of: u64) -> Message {
    Message::Acknowledge {
        page: PAGE,
        version: version(of),
    }
}

const fn map(rights: Rights) -> Command<Message> {
    Command::Map { page: PAGE, rights }
}

const fn unmap(frame: FrameFate) -> Command<Message> {
    Command::Unmap { page: PAGE, frame }
}

const MAP_ZERO: Command<Message> = Command::MapZero {
    page: PAGE,
    rights: Rights::Write,
};
const STORE: Command<Message> = Command::Store { page: PAGE };
const PROTECT: Command<Message> = Command::Protect { page: PAGE };
const UNPROTECT: Command<Message> = Command::Unprotect { page: PAGE };
const WAKE: Command<Message> = Command::Wake { page: PAGE };
