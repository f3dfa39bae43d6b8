//! Bytes as what happens to one node: local faults, time-outs, and messages of one peer whose
//! fields are near enough to real ones to be believed at times.

use giantvm_core::{NodeId, NodeSet, PageIndex, Version};
use giantvm_dsm::protocol::directory::{Grant, Message, Source, Transaction};
use giantvm_dsm::protocol::{
    Access, CoherenceProtocol, Contents, Directory, HomeMap, Input, Rights, Setup, Tick,
};

const NODES: usize = 4;
const PAGES: u64 = 8;
/// Most inputs of one run.
const INPUTS: usize = 400;

/// Feeds a node what `bytes` say. Returns how many messages it believed.
///
/// # Panics
/// If it breaks a law that holds whatever a peer sends: what it refuses changes nothing, and what
/// it remembers is bounded.
pub(crate) fn feed(bytes: &[u8]) -> usize {
    let nodes = NodeSet::first(NODES);
    let mut directory = Directory::new(Setup {
        local: NodeId::ZERO,
        nodes,
        pages: PAGES,
        homes: HomeMap::even(PAGES, nodes),
    });
    let mut believed = 0;
    let mut bytes = Reader(bytes);
    for now in 0..INPUTS as u64 {
        let Some(input) = bytes.input() else { break };
        let is_message = matches!(input, Input::Message { .. });
        let (before, mut commands) = (directory.clone(), Vec::new());
        match directory.handle(Tick(now), input, &mut commands) {
            Ok(()) => believed += usize::from(is_message),
            Err(_) => assert!(directory == before && commands.is_empty()),
        }
        // One request a page, and one transaction a page that is homed here.
        assert!(directory.in_flight() as u64 <= PAGES + PAGES / NODES as u64);
    }
    believed
}

/// Reads fields off bytes; what is missing at the end is zero.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// A page, or the one after the last.
    fn page(&mut self) -> PageIndex {
        PageIndex(u64::from(self.byte()) % (PAGES + 1))
    }

    fn node(&mut self) -> NodeId {
        // One more than there are, so that strangers are named too.
        NodeId::try_from(usize::from(self.byte()) % (NODES + 1)).expect("a small number")
    }

    fn version(&mut self) -> Version {
        Version::new(self.byte().into()).expect("a small number")
    }

    fn transaction(&mut self) -> Transaction {
        Transaction(self.byte().into())
    }

    fn access(&mut self) -> Access {
        match self.byte() & 1 {
            0 => Access::Read,
            _ => Access::Write,
        }
    }

    fn grant(&mut self) -> Grant {
        Grant {
            transaction: self.transaction(),
            rights: match self.byte() & 1 {
                0 => Rights::Read,
                _ => Rights::Write,
            },
            version: self.version(),
            source: match self.byte() & 3 {
                0 => Source::Zero,
                1 => Source::Held,
                2 => Source::Attached,
                _ => Source::Node(self.node()),
            },
            awaited: NodeSet::from_bits(self.byte().into()),
        }
    }

    /// The next input; `None` at the end.
    fn input(&mut self) -> Option<Input<Message>> {
        if self.0.is_empty() {
            return None;
        }
        let first = self.byte();
        let page = self.page();
        let message = match first % 10 {
            0 => {
                let access = self.access();
                return Some(Input::Fault { page, access });
            }
            1 => return Some(Input::Timeout),
            2 | 3 => Message::Request {
                page,
                access: self.access(),
            },
            4 => Message::Grant {
                page,
                grant: self.grant(),
            },
            5 => Message::Fetch {
                page,
                transaction: self.transaction(),
                version: self.version(),
                requester: self.node(),
                access: self.access(),
            },
            6 => Message::Invalidate {
                page,
                transaction: self.transaction(),
                version: self.version(),
                requester: self.node(),
            },
            7 => Message::Acknowledge {
                page,
                transaction: self.transaction(),
            },
            8 => Message::Data {
                page,
                transaction: self.transaction(),
                version: self.version(),
            },
            _ => Message::Done {
                page,
                transaction: self.transaction(),
            },
        };
        // A set top bit takes the payload away, or adds one.
        let payload = match (message.contents(), first & 0x80 == 0) {
            (contents, true) => contents,
            (Contents::Page, false) => Contents::Nothing,
            (Contents::Nothing, false) => Contents::Page,
        };
        Some(Input::Message {
            from: NodeId::try_from(1).expect("a small number"),
            message,
            payload,
        })
    }
}
