//! The exact commands of every kind of transaction, and what is refused.

mod departure;
mod hostile;
mod layout;
mod moves;
mod order;
mod transactions;
mod wire;

use giantvm_core::{NodeId, NodeSet, PageIndex, Version};

use super::{Directory, Grant, Message, Source, Transaction};
use crate::protocol::{
    Access, Attach, CoherenceProtocol, Command, Contents, FrameFate, HomeMap, Input, Rights, Setup,
    Tick, Violation,
};

/// The page that most tests use; its home is node 0.
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

/// A cluster without a network: the test says who handles what.
struct Nodes(Vec<Directory>);

impl Nodes {
    fn new(count: usize) -> Self {
        Self::with(count, |setup| Directory::with_rest(setup, REST))
    }

    fn with(count: usize, make: impl Fn(Setup) -> Directory) -> Self {
        let nodes = NodeSet::first(count);
        let start = |local| {
            let homes = HomeMap::even(2 * count as u64, nodes);
            let setup = Setup {
                local,
                nodes,
                pages: 2 * count as u64,
                homes,
            };
            make(setup)
        };
        Self(nodes.iter().map(start).collect())
    }

    fn input(&mut self, at: u8, input: Input<Message>) -> Result<Commands, Violation> {
        self.input_at(Tick(0), at, input)
    }

    fn input_at(
        &mut self,
        now: Tick,
        at: u8,
        input: Input<Message>,
    ) -> Result<Commands, Violation> {
        let mut commands = Vec::new();
        self.0[usize::from(at)].handle(now, input, &mut commands)?;
        Ok(commands)
    }

    fn fault(&mut self, at: u8, access: Access) -> Commands {
        self.input(at, Input::Fault { page: PAGE, access }).unwrap()
    }

    fn tell(&mut self, from: u8, to: u8, message: Message) -> Result<Commands, Violation> {
        let input = Input::Message {
            from: node(from),
            message,
            payload: message.contents(),
        };
        self.input(to, input)
    }

    /// Carries every message to its end, in order. Returns how many there were.
    fn settle(&mut self, from: u8, commands: Commands) -> usize {
        self.settle_but(from, commands, |_| false)
    }

    /// The same, but some messages do not arrive.
    fn settle_but(
        &mut self,
        from: u8,
        commands: Commands,
        is_held: impl Fn(&Message) -> bool,
    ) -> usize {
        let mut under_way: Vec<(u8, Command<Message>)> = commands
            .into_iter()
            .map(|command| (from, command))
            .collect();
        let mut messages = 0;
        while !under_way.is_empty() {
            let (from, command) = under_way.remove(0);
            if let Command::Send { to, message, .. } = command {
                messages += 1;
                if is_held(&message) {
                    continue;
                }
                let answer = self.tell(from, to.get(), message).unwrap();
                under_way.extend(answer.into_iter().map(|command| (to.get(), command)));
            }
        }
        messages
    }

    /// A fault and everything that follows. Returns the number of messages.
    fn access(&mut self, at: u8, access: Access) -> usize {
        let commands = self.fault(at, access);
        self.settle(at, commands)
    }

    fn rights(&self) -> Vec<Option<Rights>> {
        self.0.iter().map(|node| node.rights(PAGE)).collect()
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

fn request(access: Access) -> Message {
    Message::Request { page: PAGE, access }
}

fn grant(number: u32, rights: Rights, of: u64, source: Source, awaited: &[u8]) -> Message {
    let grant = Grant {
        transaction: Transaction(number),
        rights,
        version: version(of),
        source,
        awaited: set(awaited),
        calm: false,
    };
    Message::Grant { page: PAGE, grant }
}

/// The same, of a page that nobody waits for or had lately.
fn calm(promise: Message) -> Message {
    match promise {
        Message::Grant { page, grant } => Message::Grant {
            page,
            grant: Grant {
                calm: true,
                ..grant
            },
        },
        other => other,
    }
}

fn fetch(number: u32, of: u64, requester: u8, access: Access) -> Message {
    Message::Fetch {
        page: PAGE,
        transaction: Transaction(number),
        version: version(of),
        requester: node(requester),
        access,
    }
}

fn invalidate(number: u32, of: u64, requester: u8) -> Message {
    Message::Invalidate {
        page: PAGE,
        transaction: Transaction(number),
        version: version(of),
        requester: node(requester),
    }
}

fn acknowledge(number: u32) -> Message {
    Message::Acknowledge {
        page: PAGE,
        transaction: Transaction(number),
    }
}

fn data(number: u32, of: u64) -> Message {
    Message::Data {
        page: PAGE,
        transaction: Transaction(number),
        version: version(of),
    }
}

fn done(number: u32) -> Message {
    Message::Done {
        page: PAGE,
        transaction: Transaction(number),
    }
}

fn release(number: u32, of: u64, take: bool) -> Message {
    Message::Release {
        page: PAGE,
        transaction: Transaction(number),
        version: version(of),
        take,
    }
}

fn returned(number: u32, of: u64) -> Message {
    Message::Returned {
        page: PAGE,
        transaction: Transaction(number),
        version: version(of),
    }
}

const fn map(rights: Rights) -> Command<Message> {
    Command::Map { page: PAGE, rights }
}

const fn map_zero(rights: Rights) -> Command<Message> {
    Command::MapZero { page: PAGE, rights }
}

const fn unmap(frame: FrameFate) -> Command<Message> {
    Command::Unmap { page: PAGE, frame }
}

const STORE: Command<Message> = Command::Store { page: PAGE };
const PROTECT: Command<Message> = Command::Protect { page: PAGE };
const UNPROTECT: Command<Message> = Command::Unprotect { page: PAGE };
const LINGER: Command<Message> = Command::Linger { page: PAGE };
const WAKE: Command<Message> = Command::Wake { page: PAGE };
