//! A node of the small world: the real protocol and, for each page, what its kernel has of it.

use giantvm_core::{NodeId, NodeSet, PageIndex};

use super::Budget;
use super::bytes::{Bytes, Writes};
use crate::engine::pins::Pins;
use crate::protocol::{Access, CoherenceProtocol, Command, FrameFate, Phase, Rights};

/// What a node's kernel has of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Frame {
    Empty,
    /// To be sent once.
    Kept(Bytes),
    /// To be mapped.
    Stored(Bytes),
    Mapped(Rights, Bytes),
}

impl Frame {
    pub(super) const fn rights(self) -> Option<Rights> {
        match self {
            Self::Mapped(rights, _) => Some(rights),
            Self::Empty | Self::Kept(_) | Self::Stored(_) => None,
        }
    }

    pub(super) const fn bytes_mut(&mut self) -> Option<&mut Bytes> {
        match self {
            Self::Empty => None,
            Self::Kept(bytes) | Self::Stored(bytes) | Self::Mapped(_, bytes) => Some(bytes),
        }
    }
}

/// A message under way or waiting: who sent it, and the page that goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Letter<M> {
    pub from: NodeId,
    pub message: M,
    pub bytes: Option<Bytes>,
    /// Whether it waits for another one to go with, as nobody is known to wait for it.
    pub lingers: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Node<P: CoherenceProtocol> {
    pub protocol: P,
    pub frames: Vec<Frame>,
    /// Threads that wait for each page: at most one to read and one to write.
    pub waiting: Vec<Vec<Access>>,
    pub pins: Pins<Letter<P::Message>>,
    /// What may still happen to it.
    pub budget: Budget,
    pub dead: bool,
    /// Whether it had left before it died.
    pub left: bool,
    /// Whose deaths it has learned of.
    pub lost: NodeSet,
}

impl<P: CoherenceProtocol> Node<P> {
    pub(super) fn new(protocol: P, pages: usize, budget: Budget) -> Self {
        Self {
            protocol,
            frames: vec![Frame::Empty; pages],
            waiting: vec![Vec::new(); pages],
            pins: Pins::new(),
            budget,
            dead: false,
            left: false,
            lost: NodeSet::EMPTY,
        }
    }

    pub(super) fn rights(&self, page: PageIndex) -> Option<Rights> {
        self.frames[index(page)].rights()
    }

    pub(super) fn may_fault(&self, page: PageIndex, access: Access) -> bool {
        let allowed = self.rights(page).is_some_and(|rights| rights.allow(access));
        let waits = self.waiting[index(page)].contains(&access);
        // Its threads have gone.
        let closed = self.protocol.departure().phase >= Phase::Closing;
        self.budget.faults > 0 && !allowed && !waits && !closed
    }

    /// Does to a page's frame what a command orders.
    ///
    /// # Errors
    /// The frame before, if the command does not fit it.
    pub(super) fn carry_out<M>(
        &mut self,
        command: &Command<M>,
        payload: Option<Bytes>,
        writes: &[Writes],
    ) -> Result<(), Frame> {
        let Some(page) = command.changes() else {
            return Ok(());
        };
        let zeroes = writes[index(page)].zeroes();
        let frame = &mut self.frames[index(page)];
        let after = match (command, *frame) {
            (Command::Store { .. }, Frame::Empty | Frame::Kept(_) | Frame::Stored(_)) => {
                payload.map(Frame::Stored)
            }
            (&Command::Map { rights, .. }, Frame::Stored(bytes)) => {
                Some(Frame::Mapped(rights, bytes))
            }
            (&Command::Map { rights, .. }, Frame::Mapped(now, _)) if rights == now => Some(*frame),
            (&Command::MapZero { rights, .. }, Frame::Empty) => Some(Frame::Mapped(rights, zeroes)),
            (Command::Protect { .. }, Frame::Mapped(Rights::Write, bytes)) => {
                Some(Frame::Mapped(Rights::Read, bytes))
            }
            (Command::Unprotect { .. }, Frame::Mapped(Rights::Read, bytes)) => {
                Some(Frame::Mapped(Rights::Write, bytes))
            }
            (Command::Unmap { frame, .. }, Frame::Mapped(_, bytes)) => Some(match frame {
                FrameFate::Keep => Frame::Kept(bytes),
                FrameFate::Retain => Frame::Stored(bytes),
                FrameFate::Drop => Frame::Empty,
            }),
            (
                Command::Unmap {
                    frame: FrameFate::Drop,
                    ..
                },
                Frame::Stored(_),
            ) => Some(Frame::Empty),
            _ => None,
        };
        *frame = after.ok_or(*frame)?;
        Ok(())
    }

    /// The bytes that go with a message. Kept ones go once.
    pub(super) fn lend(&mut self, page: PageIndex) -> Result<Bytes, Frame> {
        let frame = &mut self.frames[index(page)];
        match *frame {
            Frame::Mapped(Rights::Read, bytes) => Ok(bytes),
            Frame::Kept(bytes) => {
                *frame = Frame::Empty;
                Ok(bytes)
            }
            frame => Err(frame),
        }
    }
}

pub(super) fn index(page: PageIndex) -> usize {
    usize::try_from(page.0).expect("a page of a small world")
}
