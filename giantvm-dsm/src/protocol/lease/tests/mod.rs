//! The exact commands of every kind of transaction, and what is refused.

mod hostile;
mod order;
mod physical;
mod stamps;
mod transactions;
mod wire;

use giantvm_core::{NodeId, NodeSet, PageIndex, Stamp};

use super::{Grant, Lease, Message, Order, Source};
use crate::protocol::{
    Access, Attach, CoherenceProtocol, Command, Contents, FrameFate, HomeMap, Input, Rights, Setup,
    Tick, Violation,
};

/// The page that most tests use; its home is node 0.
const PAGE: PageIndex = PageIndex(1);
const REST: Tick = Tick(1000);
const REFRESH: Tick = Tick(1_000_000);

type Commands = Vec<Command<Message>>;

fn node(number: u8) -> NodeId {
    NodeId::new(number).unwrap()
}

/// A cluster without a network: the test says who handles what, and when.
struct Nodes {
    nodes: Vec<Lease>,
    now: Tick,
}

impl Nodes {
    /// With two pages a node.
    fn new(count: usize) -> Self {
        Self::with_pages(count, 2 * count as u64)
    }

    fn with_pages(count: usize, pages: u64) -> Self {
        let nodes = NodeSet::first(count);
        let start = |local| {
            let homes = HomeMap::even(pages, nodes);
            let setup = Setup {
                local,
                nodes,
                pages,
                homes,
            };
            Lease::with_times(setup, REST, Some(REFRESH))
        };
        Self {
            nodes: nodes.iter().map(start).collect(),
            now: Tick(0),
        }
    }

    /// Lets so much time pass that every rest is over, and no lease is due.
    fn later(&mut self) {
        self.now = Tick(self.now.0 + REST.0);
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

    fn hear(&mut self, at: u8, stamp: u64) -> Commands {
        let stamp = Stamp(stamp);
        self.input(at, Input::Heard { stamp }).unwrap()
    }

    /// Lets the time come that a node waits for.
    fn time_out(&mut self, at: u8) -> Commands {
        self.now = self.nodes[usize::from(at)].next_timeout().unwrap();
        self.input(at, Input::Timeout).unwrap()
    }

    fn tell(&mut self, from: u8, to: u8, message: Message) -> Result<Commands, Violation> {
        let input = Input::Message {
            from: node(from),
            message,
            payload: message.contents(),
        };
        self.input(to, input)
    }

    /// A message that a correct peer sends.
    fn say(&mut self, from: u8, to: u8, message: Message) -> Commands {
        self.tell(from, to, message).unwrap()
    }

    /// Carries every message to its end, in order. Returns how many there were.
    fn settle(&mut self, from: u8, commands: Commands) -> usize {
        let mut under_way: Vec<_> = commands.into_iter().map(|c| (from, c)).collect();
        let mut messages = 0;
        while !under_way.is_empty() {
            let (from, command) = under_way.remove(0);
            if let Command::Send { to, message, .. } = command {
                messages += 1;
                let answer = self.say(from, to.get(), message);
                under_way.extend(answer.into_iter().map(|command| (to.get(), command)));
            }
        }
        messages
    }

    /// A fault and everything that follows, after every rest. Returns the number of messages.
    fn access(&mut self, at: u8, access: Access) -> usize {
        self.later();
        let commands = self.fault(at, access);
        self.settle(at, commands)
    }

    fn rights(&self) -> Vec<Option<Rights>> {
        self.nodes.iter().map(|node| node.rights(PAGE)).collect()
    }

    fn clocks(&self) -> Vec<u64> {
        self.nodes.iter().map(|node| node.clock().0).collect()
    }

    fn lease(&self, at: u8) -> Option<u64> {
        let lease = self.nodes[usize::from(at)].lease(PAGE);
        lease.map(|end| end.0)
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

fn request(access: Access, clock: u64, held: u64) -> Message {
    Message::Request {
        page: PAGE,
        access,
        clock: Stamp(clock),
        held: Stamp(held),
    }
}

fn grant(rights: Rights, written: u64, end: u64, source: Source) -> Message {
    let grant = Grant {
        rights,
        written: Stamp(written),
        end: Stamp(end),
        source,
    };
    Message::Grant { page: PAGE, grant }
}

/// The grant of a page that was never touched.
fn zeroes() -> Message {
    grant(Rights::Write, 0, 0, Source::Zero)
}

fn recall(grant: u64, access: Access, wanted: u64) -> Message {
    let order = Order {
        grant: Stamp(grant),
        access,
        wanted: Stamp(wanted),
    };
    Message::Recall { page: PAGE, order }
}

fn back(written: u64) -> Message {
    Message::Return {
        page: PAGE,
        written: Stamp(written),
    }
}

fn leave(grant: u64) -> Message {
    Message::Evict {
        page: PAGE,
        grant: Stamp(grant),
    }
}

const fn map(rights: Rights) -> Command<Message> {
    Command::Map { page: PAGE, rights }
}

const fn map_zero() -> Command<Message> {
    Command::MapZero {
        page: PAGE,
        rights: Rights::Write,
    }
}

const fn unmap(frame: FrameFate) -> Command<Message> {
    Command::Unmap { page: PAGE, frame }
}

const STORE: Command<Message> = Command::Store { page: PAGE };
const PROTECT: Command<Message> = Command::Protect { page: PAGE };
const UNPROTECT: Command<Message> = Command::Unprotect { page: PAGE };
const WAKE: Command<Message> = Command::Wake { page: PAGE };
