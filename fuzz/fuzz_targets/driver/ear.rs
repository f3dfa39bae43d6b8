//! What a driver says: every frame has to be one that a sound node sends.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use giantvm_core::wire::{Class, Frame};
use giantvm_core::{NodeId, NodeSet};
use giantvm_dsm::protocol::PageMessage;
use giantvm_transport::{Event, LogicalClock, Loss, SendError, Traffic, Transport};

use super::letter;

/// A transport that leads nowhere.
#[derive(Debug)]
pub(crate) struct Ear {
    peers: NodeSet,
    clock: LogicalClock,
    /// Whether a frame that carries a message of the protocol has a page, and its number.
    number: fn(&Frame) -> Option<(bool, u32)>,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    sent: usize,
    lost: NodeSet,
    /// The next number of each stream.
    next: BTreeMap<(NodeId, bool), u32>,
}

impl Ear {
    pub(crate) fn new<M: PageMessage>(peers: NodeSet) -> Self {
        Self {
            peers,
            clock: LogicalClock::default(),
            number: |frame| letter::open::<M>(frame).map(|(_, page, number)| (page, number)),
            heard: Mutex::default(),
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many frames were sent.
    pub(crate) fn sent(&self) -> usize {
        self.heard().sent
    }

    /// Ends the link to a peer.
    pub(crate) fn lose(&self, peer: NodeId) {
        let mut heard = self.heard();
        heard.lost = heard.lost.with(peer);
    }
}

impl Transport for Ear {
    fn local(&self) -> NodeId {
        NodeId::ZERO
    }

    fn peers(&self) -> NodeSet {
        self.peers
    }

    fn clock(&self) -> &LogicalClock {
        &self.clock
    }

    fn send(&self, to: NodeId, class: Class, frame: Frame) -> Result<(), SendError> {
        assert!(self.peers.contains(to), "{frame:?} to node {to}");
        let mut heard = self.heard();
        let letters = match letter::untie(&frame) {
            Some(letters) => {
                assert!((2..=letter::MOST).contains(&letters.len()), "{frame:?}");
                letters
            }
            None => vec![frame],
        };
        for frame in letters {
            let told = (self.number)(&frame);
            let (page, number) = told.unwrap_or_else(|| panic!("{frame:?} is no message"));
            assert_eq!(class, if page { Class::Demand } else { Class::Control });
            heard.sent += 1;
            let next = heard.next.entry((to, page)).or_default();
            assert_eq!(number, *next, "{frame:?}");
            *next += 1;
        }
        if heard.lost.contains(to) {
            return Err(SendError::Lost(to));
        }
        Ok(())
    }

    fn poll(&self, _: &mut dyn FnMut(Event)) -> usize {
        0
    }

    fn ready(&self) -> BorrowedFd<'_> {
        unreachable!("a driver does not wait")
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    fn sever(&self, node: NodeId, loss: Loss) {
        panic!("what is said to node {node} cannot be sent: {loss}");
    }

    fn close(&self) {}
}
