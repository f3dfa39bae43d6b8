//! Ivy nodes without threads or links: the test carries the messages.

use std::collections::VecDeque;

use giantvm_core::{NodeId, NodeSet, PageIndex, Version};
use giantvm_dsm::protocol::ivy::{Message, Request, Source, Token, Want};
use giantvm_dsm::protocol::{
    Access, Attach, CoherenceProtocol, Command, Contents, HomeMap, Input, Ivy, Setup, Tick,
};

pub(crate) const PAGE: PageIndex = PageIndex(0);

pub(crate) fn node(number: usize) -> NodeId {
    NodeId::try_from(number).unwrap()
}

pub(crate) fn set(nodes: impl IntoIterator<Item = usize>) -> NodeSet {
    nodes.into_iter().map(node).collect()
}

pub(crate) fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}

/// A message under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) message: Message,
    pub(crate) with_page: bool,
}

pub(crate) struct Nodes {
    pub(crate) nodes: Vec<Ivy>,
    pub(crate) now: Tick,
    under_way: VecDeque<Letter>,
}

impl Nodes {
    /// Nodes that share so many pages, all of which begin at node 0.
    pub(crate) fn new(count: usize, pages: u64) -> Self {
        let start = |local| {
            let setup = Setup {
                local,
                nodes: NodeSet::first(count),
                pages,
                homes: HomeMap::even(pages, [NodeId::ZERO]),
            };
            Ivy::new(setup)
        };
        Self {
            nodes: NodeId::first(count).map(start).collect(),
            now: Tick(0),
            under_way: VecDeque::new(),
        }
    }

    /// Feeds one input, sends what it makes the node send, and returns its commands.
    pub(crate) fn feed(&mut self, at: usize, input: Input<Message>) -> Vec<Command<Message>> {
        let mut commands = Vec::new();
        let handled = self.nodes[at].handle(self.now, input, &mut commands);
        handled.unwrap_or_else(|violation| panic!("node {at}: {violation}"));
        for command in &commands {
            if let Command::Send {
                to,
                message,
                attach,
            } = command
            {
                self.under_way.push_back(Letter {
                    from: at,
                    to: to.index(),
                    message: *message,
                    with_page: *attach == Attach::Page,
                });
            }
        }
        commands
    }

    pub(crate) fn fault(&mut self, at: usize, page: PageIndex, access: Access) {
        self.feed(at, Input::Fault { page, access });
    }

    pub(crate) fn tell(
        &mut self,
        from: usize,
        to: usize,
        message: Message,
    ) -> Vec<Command<Message>> {
        let input = Input::Message {
            from: node(from),
            message,
            payload: message.contents(),
        };
        self.feed(to, input)
    }

    /// Delivers the oldest message.
    pub(crate) fn deliver(&mut self) -> Option<Letter> {
        let letter = self.under_way.pop_front()?;
        let payload = if letter.with_page {
            Contents::Page
        } else {
            Contents::Nothing
        };
        let input = Input::Message {
            from: node(letter.from),
            message: letter.message,
            payload,
        };
        self.feed(letter.to, input);
        Some(letter)
    }

    /// Takes a message that is under way off the network.
    pub(crate) fn intercept(&mut self) -> Option<Letter> {
        self.under_way.pop_back()
    }

    /// Delivers everything, and all that follows. Returns it.
    pub(crate) fn settle(&mut self) -> Vec<Letter> {
        std::iter::from_fn(|| self.deliver()).collect()
    }

    /// Lets so much time pass that every page has rested.
    pub(crate) fn rest(&mut self) {
        self.now = Tick(self.now.0 + Ivy::REST.0);
    }

    /// An access and all that follows, when every page has rested. Returns the messages.
    pub(crate) fn access(&mut self, at: usize, access: Access) -> Vec<Letter> {
        self.rest();
        self.fault(at, PAGE, access);
        self.settle()
    }
}

pub(crate) fn request(requester: usize, want: Want) -> Message {
    Message::Request {
        page: PAGE,
        request: Request {
            requester: node(requester),
            want,
        },
    }
}

pub(crate) fn token(version: Version, source: Source, sharers: NodeSet) -> Message {
    Message::Token {
        page: PAGE,
        token: Token {
            version,
            sharers,
            source,
        },
    }
}

/// The tokens among messages.
pub(crate) fn tokens(letters: &[Letter]) -> Vec<Token> {
    let token = |letter: &Letter| match letter.message {
        Message::Token { token, .. } => Some(token),
        _ => None,
    };
    letters.iter().filter_map(token).collect()
}
