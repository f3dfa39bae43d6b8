//! What migration sends: pages, runs of zeroes, and how far it has come.

use giantvm_core::wire::{DecodeError, EncodeError, Frame, Service, read_body};
use giantvm_core::{Epoch, NodeId};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// One page; its bytes are the payload.
const PAGE: u8 = 1;
/// A run of pages full of zeroes.
const ZEROES: u8 = 2;
/// Asks to be told when all that came before is in its place.
const MARK: u8 = 3;
/// It is.
const DONE: u8 = 4;
/// So many more pages are in their places.
const CREDIT: u8 = 5;

/// Two numbers.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Pair([u64; 2]);

/// A message of migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message {
    Page(u64),
    Zeroes { start: u64, count: u64 },
    Mark,
    Done,
    Credit(u64),
}

/// What came was no message of migration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unknown {
    #[error("a frame of service {0:?}, kind {1}")]
    Kind(Service, u8),
    #[error("a frame that cannot be read: {0}")]
    Body(#[from] DecodeError),
}

impl Message {
    pub(crate) fn frame(self, from: NodeId) -> Result<Frame, EncodeError> {
        let (kind, pair) = match self {
            Self::Page(page) => (PAGE, [page, 0]),
            Self::Zeroes { start, count } => (ZEROES, [start, count]),
            Self::Mark => (MARK, [0, 0]),
            Self::Done => (DONE, [0, 0]),
            Self::Credit(pages) => (CREDIT, [pages, 0]),
        };
        let body = Pair(pair);
        Frame::control(Service::Machine, kind, from, Epoch::FIRST, body.as_bytes())
    }

    pub(crate) fn of(frame: &Frame) -> Result<Self, Unknown> {
        let kind = (frame.service, frame.kind);
        let (Service::Machine, PAGE..=CREDIT) = kind else {
            return Err(Unknown::Kind(kind.0, kind.1));
        };
        let Pair([first, second]) = read_body(frame)?;
        Ok(match frame.kind {
            PAGE => Self::Page(first),
            ZEROES => Self::Zeroes {
                start: first,
                count: second,
            },
            MARK => Self::Mark,
            DONE => Self::Done,
            _ => Self::Credit(first),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_arrives_as_it_was_sent() {
        for message in [
            Message::Page(u64::MAX),
            Message::Zeroes { start: 3, count: 4 },
            Message::Mark,
            Message::Done,
            Message::Credit(7),
        ] {
            let frame = message.frame(NodeId::ZERO).unwrap();
            assert_eq!(Message::of(&frame), Ok(message));
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let frame = |service, kind, body: &[u8]| {
            Frame::control(service, kind, NodeId::ZERO, Epoch::FIRST, body).unwrap()
        };
        for kind in [0, 6, 255] {
            let found = Message::of(&frame(Service::Machine, kind, &[0; 16]));
            assert_eq!(found, Err(Unknown::Kind(Service::Machine, kind)));
        }
        assert!(Message::of(&frame(Service::Dsm, PAGE, &[0; 16])).is_err());
        assert!(Message::of(&frame(Service::Machine, PAGE, &[0; 15])).is_err());
    }
}
