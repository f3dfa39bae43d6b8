//! One copy: every page is at one node at a time, for reading and writing alike.
//!
//! ```text
//! requester            home              holder
//!     | --- Want -------> |                 |
//!     |                   | --- Give -----> | Unmap
//!     | <------------------------- Here --- |
//!     | Map, Wake         |                 |
//!     | --- Done -------> | the next one    |
//! ```
//! A page rests before it goes on, so that the thread it came for gets to use it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use giantvm_core::wire::{Body, DecodeError, Frame, read_body, read_node};
use giantvm_core::{NodeId, PageIndex};
use giantvm_dsm::protocol::*;
use giantvm_dsm::testing::Inspect;

/// How long a page rests, in nanoseconds.
const REST: u64 = 50_000;

/// What the nodes say to one another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Message {
    Want(PageIndex),
    /// Home to holder: give the page to this node.
    Give(PageIndex, NodeId),
    /// Holder to requester, with the page; without it if it was never touched.
    Here(PageIndex, Attach),
    Done(PageIndex),
}

impl Message {
    /// Its number on the wire, its name, and what comes with it.
    fn kind(&self) -> (u8, &'static str, Attach) {
        match self {
            Self::Want(_) => (1, "Want", Attach::Nothing),
            Self::Give(..) => (2, "Give", Attach::Nothing),
            Self::Here(_, attach) => (3, "Here", *attach),
            Self::Done(_) => (4, "Done", Attach::Nothing),
        }
    }
}

impl PageMessage for Message {
    fn page(&self) -> PageIndex {
        match *self {
            Self::Want(page) | Self::Give(page, _) | Self::Here(page, _) | Self::Done(page) => page,
        }
    }

    fn encode(&self) -> (u8, Body) {
        let mut bytes = [u8::from(self.kind().2 == Attach::Page); 9];
        if let Self::Give(_, to) = self {
            bytes[8] = to.get();
        }
        bytes[..8].copy_from_slice(&self.page().0.to_le_bytes());
        (self.kind().0, Body::of(&bytes))
    }

    fn decode(frame: &Frame) -> Result<Self, DecodeError> {
        let bytes: [u8; 9] = read_body(frame)?;
        let page = PageIndex(u64::from_le_bytes(std::array::from_fn(|at| bytes[at])));
        match (frame.kind, bytes[8]) {
            (1, 0) => Ok(Self::Want(page)),
            (2, to) => Ok(Self::Give(page, read_node("to", to)?)),
            (3, 0) => Ok(Self::Here(page, Attach::Nothing)),
            (3, 1) => Ok(Self::Here(page, Attach::Page)),
            (4, 0) => Ok(Self::Done(page)),
            #[rustfmt::skip]
            (kind, _) => Err(DecodeError::UnknownKind { service: frame.service, kind }),
        }
    }
}

/// Where a page is, as its home knows, and who waits for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Entry {
    /// `None` as long as no one touched it.
    holder: Option<NodeId>,
    serving: Option<NodeId>,
    queue: VecDeque<NodeId>,
}

type Out = Vec<Command<Message>>;

/// One node. With `BUG` it goes on reading a page that it gave away.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct OneCopy<const BUG: bool> {
    setup: Setup,
    rights: BTreeMap<PageIndex, Rights>,
    waiting: BTreeSet<PageIndex>,
    entries: BTreeMap<PageIndex, Entry>,
    resting: BTreeSet<(Tick, PageIndex)>,
    own: VecDeque<Message>,
}

impl<const BUG: bool> OneCopy<BUG> {
    fn send(&mut self, to: NodeId, message: Message, out: &mut Out) {
        let attach = message.kind().2;
        if to == self.setup.local {
            self.own.push_back(message);
        } else {
            #[rustfmt::skip]
            out.push(Command::Send { to, message, attach });
        }
    }

    #[rustfmt::skip]
    fn home(&self, page: PageIndex) -> NodeId { self.setup.homes.home(page).unwrap_or(NodeId::ZERO) }

    /// Serves the next request for a page homed here.
    fn serve(&mut self, page: PageIndex, out: &mut Out) {
        let (local, held) = (self.setup.local, self.rights(page).is_some());
        let entry = self.entries.entry(page).or_default();
        entry.serving = entry.queue.pop_front();
        match (entry.serving, entry.holder) {
            (Some(to), None) => self.send(to, Message::Here(page, Attach::Nothing), out),
            (Some(to), Some(at)) if at != local => self.send(at, Message::Give(page, to), out),
            (Some(to), Some(at)) if at != to && held => self.give(page, to, out),
            _ => {} // No one waits, or a peer has lied.
        }
    }

    fn give(&mut self, page: PageIndex, to: NodeId, out: &mut Out) {
        if BUG {
            self.rights.insert(page, Rights::Read);
            out.push(Command::Protect { page });
        } else {
            self.rights.remove(&page);
            #[rustfmt::skip]
            out.push(Command::Unmap { page, frame: FrameFate::Keep });
        }
        self.send(to, Message::Here(page, Attach::Page), out);
    }

    /// Whether a peer's message makes sense now: nothing is changed before this says so.
    fn makes_sense(&self, from: NodeId, message: &Message) -> bool {
        let (local, page) = (self.setup.local, message.page());
        let homed_here = self.setup.homes.home(page) == Some(local);
        let entry = self.entries.get(&page).cloned().unwrap_or_default();
        match message {
            Message::Want(_) => {
                // Who is to lose the page may have lost it, and ask for it again.
                let has_it = entry.holder == Some(from) && entry.serving.is_none();
                homed_here && !has_it && !entry.queue.contains(&from)
            }
            Message::Give(_, to) => {
                let known = *to != local && self.setup.nodes.contains(*to);
                self.home(page) == from && known && self.rights.contains_key(&page)
            }
            Message::Here(..) => self.waiting.contains(&page),
            Message::Done(_) => homed_here && entry.serving == Some(from),
        }
    }

    fn receive(&mut self, now: Tick, from: NodeId, message: &Message, out: &mut Out) {
        let (page, rights) = (message.page(), Rights::Write);
        match *message {
            Message::Want(_) => {
                let entry = self.entries.entry(page).or_default();
                entry.queue.push_back(from);
                if entry.serving.is_none() {
                    self.serve(page, out);
                }
            }
            Message::Give(_, to) => self.give(page, to, out),
            Message::Here(_, attach) => {
                match attach {
                    Attach::Nothing => out.push(Command::MapZero { page, rights }),
                    Attach::Page => {
                        out.extend([Command::Store { page }, Command::Map { page, rights }]);
                    }
                }
                self.waiting.remove(&page);
                self.rights.insert(page, rights);
                self.send(self.home(page), Message::Done(page), out);
                out.push(Command::Wake { page });
            }
            Message::Done(_) => {
                self.entries.entry(page).or_default().holder = Some(from);
                let until = Tick(now.0.saturating_add(REST));
                self.resting.insert((until, page));
            }
        }
    }
}

#[rustfmt::skip]
impl<const BUG: bool> CoherenceProtocol for OneCopy<BUG> {
    type Message = Message;
    const NAME: &'static str = "one-copy";

    fn new(setup: Setup) -> Self {
        let (rights, entries, own) = (BTreeMap::new(), BTreeMap::new(), VecDeque::new());
        let (waiting, resting) = (BTreeSet::new(), BTreeSet::new());
        Self { setup, rights, waiting, entries, resting, own }
    }

    fn handle(&mut self, now: Tick, input: Input<Message>, out: &mut Out) -> Result<(), Violation> {
        match input {
            Input::Fault { page, access } => match self.rights.get(&page) {
                Some(&rights) if rights.allow(access) => {
                    out.extend([Command::Map { page, rights }, Command::Wake { page }]);
                }
                _ if self.waiting.insert(page) => self.send(self.home(page), Message::Want(page), out),
                _ => {}
            },
            Input::Timeout => {
                while self.next_timeout().is_some_and(|due| due <= now) {
                    let rested = self.resting.pop_first();
                    rested.iter().for_each(|&(_, page)| self.serve(page, out));
                }
            }
            Input::Message { from, message, payload } => {
                let (page, (_, name, attach)) = (message.page(), message.kind());
                let known = from != self.setup.local && self.setup.nodes.contains(from);
                let fits = known && page.0 < self.setup.pages && (payload == Contents::Page) == (attach == Attach::Page);
                if !fits || !self.makes_sense(from, &message) {
                    return Err(Violation::Unexpected { page, message: name, state: "this" });
                }
                self.receive(now, from, &message, out);
            }
            // A lost node's pages are asked for in vain; there is nowhere to evict a page to.
            Input::Evict { .. } | Input::Lost { .. } | Input::Heard { .. } | Input::Depart(_) => {}
        }
        while let Some(message) = self.own.pop_front() {
            self.receive(now, self.setup.local, &message, out);
        }
        Ok(())
    }

    fn next_timeout(&self) -> Option<Tick> { self.resting.first().map(|&(due, _)| due) }

    fn rights(&self, page: PageIndex) -> Option<Rights> { self.rights.get(&page).copied() }

    fn in_flight(&self) -> usize {
        let serving = |entry: &&Entry| entry.serving.is_some();
        self.waiting.len() + self.entries.values().filter(serving).count()
    }
}

impl<const BUG: bool> Inspect for OneCopy<BUG> {
    fn name(message: &Message) -> &'static str {
        message.kind().1
    }
}
