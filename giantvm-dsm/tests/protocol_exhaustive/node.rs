//! One node of the world: the real protocol, and what its kernel has of the page.

use giantvm_dsm::protocol::directory::Message;
use giantvm_dsm::protocol::{Access, Command, Directory, FrameFate, Rights};

/// A page's bytes. Which ones they are makes no difference, only whether they are the last ones
/// written; so stores without number make no new states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Bytes {
    Latest,
    Old,
}

/// What a node's kernel has of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Frame {
    Empty,
    /// To be sent once.
    Kept(Bytes),
    /// To be mapped.
    Stored(Bytes),
    Mapped(Rights, Bytes),
}

#[derive(Debug, Clone, Hash)]
pub(crate) struct Node {
    pub(crate) protocol: Directory,
    pub(crate) frame: Frame,
    /// Threads that wait: at most one to read and one to write.
    pub(crate) waiting: Vec<Access>,
    /// Faults that may still happen.
    pub(crate) faults: u8,
    pub(crate) dead: bool,
}

impl Node {
    pub(crate) const fn rights(&self) -> Option<Rights> {
        match self.frame {
            Frame::Mapped(rights, _) => Some(rights),
            Frame::Empty | Frame::Kept(_) | Frame::Stored(_) => None,
        }
    }

    pub(crate) fn may_fault(&self, access: Access) -> bool {
        let allowed = self.rights().is_some_and(|rights| rights.allow(access));
        self.faults > 0 && !allowed && !self.waiting.contains(&access)
    }

    /// The frame after a command; `None` if the command does not fit it.
    pub(crate) fn carry_out(
        &self,
        command: &Command<Message>,
        payload: Option<Bytes>,
        zeroes: Bytes,
    ) -> Option<Frame> {
        match (command, self.frame) {
            (Command::Wake { .. }, frame) => Some(frame),
            (Command::Store { .. }, Frame::Empty | Frame::Kept(_) | Frame::Stored(_)) => {
                payload.map(Frame::Stored)
            }
            (&Command::Map { rights, .. }, Frame::Stored(bytes)) => {
                Some(Frame::Mapped(rights, bytes))
            }
            (&Command::Map { rights, .. }, Frame::Mapped(now, _)) if rights == now => {
                Some(self.frame)
            }
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
            _ => None,
        }
    }

    /// The bytes that go with a message. Kept ones go once.
    pub(crate) fn lend(&mut self) -> Result<Bytes, String> {
        match self.frame {
            Frame::Mapped(Rights::Read, bytes) => Ok(bytes),
            Frame::Kept(bytes) => {
                self.frame = Frame::Empty;
                Ok(bytes)
            }
            frame => Err(format!("a page is sent from {frame:?}")),
        }
    }
}
