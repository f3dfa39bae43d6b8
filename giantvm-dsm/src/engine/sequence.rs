//! Numbers on messages, so that each is handled once and none is missed.
//!
//! A transport promises that frames of one class from one node to another arrive once and in
//! order. A protocol's state rests on that promise, so it is checked: every message carries the
//! number of its place in its stream. One that comes again, as after a link that was made anew, is
//! dropped; one that comes too early means that another is lost, and ends the link.

use std::collections::BTreeMap;

use giantvm_core::NodeId;

use crate::mutants::mutant;
use crate::protocol::Contents;

/// Messages from one node to another keep their order within these.
type Stream = (NodeId, Contents);

/// What the number of an arriving message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It is the next one.
    Next,
    /// It was here before.
    Again,
    /// The one with this number is missing.
    Gap(u32),
}

/// The next numbers of all streams of a node, out and in: at most four a peer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Sequences {
    out: BTreeMap<Stream, u32>,
    expected: BTreeMap<Stream, u32>,
}

impl Sequences {
    /// The number of the next message to `to`.
    pub(crate) fn number(&mut self, to: NodeId, contents: Contents) -> u32 {
        let next = self.out.entry((to, contents)).or_default();
        let number = *next;
        if !mutant!(NumbersStandStill) {
            *next = next.wrapping_add(1);
        }
        number
    }

    /// Takes note of a message that arrived with `number`.
    pub(crate) fn arrived(&mut self, from: NodeId, contents: Contents, number: u32) -> Arrival {
        let expected = self.expected.entry((from, contents)).or_default();
        // Half of all numbers are behind the expected one, half before it: numbers wrap around.
        match number.wrapping_sub(*expected) {
            0 => {
                *expected = expected.wrapping_add(1);
                Arrival::Next
            }
            ahead if ahead < u32::MAX / 2 => Arrival::Gap(*expected),
            _ if mutant!(ReadsRepeatedMessages) => Arrival::Next,
            _ => Arrival::Again,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: Contents = Contents::Nothing;

    #[test]
    fn each_stream_counts_for_itself() {
        let (mut sequences, other) = (Sequences::default(), NodeId::new(1).unwrap());
        assert_eq!(sequences.number(NodeId::ZERO, BARE), 0);
        assert_eq!(sequences.number(NodeId::ZERO, BARE), 1);
        assert_eq!(sequences.number(NodeId::ZERO, Contents::Page), 0);
        assert_eq!(sequences.number(other, BARE), 0);
    }

    #[test]
    fn a_message_counts_once_and_a_missing_one_is_named() {
        let mut sequences = Sequences::default();
        let mut arrived = |number| sequences.arrived(NodeId::ZERO, BARE, number);
        assert_eq!(arrived(0), Arrival::Next);
        assert_eq!(arrived(0), Arrival::Again);
        assert_eq!(arrived(2), Arrival::Gap(1));
        assert_eq!(arrived(1), Arrival::Next);
        assert_eq!(arrived(2), Arrival::Next);
        assert_eq!(arrived(0), Arrival::Again);
    }

    #[test]
    fn numbers_wrap_around() {
        let mut sequences = Sequences::default();
        sequences.out.insert((NodeId::ZERO, BARE), u32::MAX);
        sequences.expected.insert((NodeId::ZERO, BARE), u32::MAX);
        for number in [u32::MAX, 0, 1] {
            assert_eq!(sequences.number(NodeId::ZERO, BARE), number);
            let arrival = sequences.arrived(NodeId::ZERO, BARE, number);
            assert_eq!(arrival, Arrival::Next);
        }
        let late = sequences.arrived(NodeId::ZERO, BARE, u32::MAX);
        assert_eq!(late, Arrival::Again);
    }
}
