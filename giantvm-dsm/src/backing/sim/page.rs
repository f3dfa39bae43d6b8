//! One simulated page: which command fits which state.

use giantvm_core::PageSize;

use crate::protocol::{Access, FrameFate, Rights};

/// What dropped bytes are overwritten with, so that whoever uses them is noticed.
const DROPPED: u8 = 0xdb;

/// What the frame of an unmapped page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    /// Nothing of use.
    Dropped,
    /// Bytes to be sent once, and never to be mapped: other nodes may write the page.
    Kept,
    /// Bytes that came, or stayed, and may be mapped.
    Stored,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unmapped(Frame),
    Mapped(Rights),
    /// Mapped as far as commands go, but an access faults.
    Suspended(Rights),
    Poisoned,
}

/// A local access to a poisoned page.
pub(super) struct Bad;

/// A page. The error of every change is the reason why it does not fit the state.
#[derive(Debug)]
pub(super) struct SimPage {
    size: PageSize,
    state: State,
    bytes: Vec<u8>,
    /// How often the page's waiters were woken.
    pub wakes: u64,
}

impl SimPage {
    pub(super) const fn new(size: PageSize) -> Self {
        Self {
            size,
            state: State::Unmapped(Frame::Dropped),
            bytes: Vec::new(),
            wakes: 0,
        }
    }

    /// What local threads may do, after a fault if the page is suspended.
    pub(super) const fn rights(&self) -> Option<Rights> {
        match self.state {
            State::Mapped(rights) | State::Suspended(rights) => Some(rights),
            State::Unmapped(_) | State::Poisoned => None,
        }
    }

    /// The bytes as local threads see them; empty if the page has no frame.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, if a local thread may access them so.
    pub(super) fn access(&mut self, access: Access) -> Result<Option<&mut [u8]>, Bad> {
        match self.state {
            State::Poisoned => Err(Bad),
            State::Mapped(rights) if rights.allow(access) => Ok(Some(&mut self.bytes)),
            State::Mapped(_) | State::Suspended(_) | State::Unmapped(_) => Ok(None),
        }
    }

    pub(super) fn store(&mut self, data: &[u8]) -> Result<(), &'static str> {
        if data.len() != self.size.bytes() {
            return Err("the data is not one page long");
        }
        match self.state {
            State::Unmapped(_) => {
                self.bytes.clear();
                self.bytes.extend_from_slice(data);
                self.state = State::Unmapped(Frame::Stored);
                Ok(())
            }
            State::Mapped(_) | State::Suspended(_) => Err("the page is mapped"),
            State::Poisoned => Err("the page is poisoned"),
        }
    }

    pub(super) fn map(&mut self, rights: Rights) -> Result<(), &'static str> {
        match self.state {
            State::Unmapped(Frame::Stored) => {
                self.state = State::Mapped(rights);
                Ok(())
            }
            State::Mapped(now) | State::Suspended(now) if now == rights => {
                self.state = State::Mapped(rights);
                Ok(())
            }
            State::Mapped(_) | State::Suspended(_) => Err("the page is mapped with other rights"),
            State::Unmapped(Frame::Dropped) => Err("the frame holds no bytes"),
            State::Unmapped(Frame::Kept) => Err("the frame holds old bytes"),
            State::Poisoned => Err("the page is poisoned"),
        }
    }

    pub(super) fn map_zero(&mut self, rights: Rights) -> Result<(), &'static str> {
        match self.state {
            State::Unmapped(_) => {
                self.bytes.clear();
                self.bytes.resize(self.size.bytes(), 0);
                self.state = State::Mapped(rights);
                Ok(())
            }
            State::Mapped(_) | State::Suspended(_) => Err("the page is mapped"),
            State::Poisoned => Err("the page is poisoned"),
        }
    }

    pub(super) fn protect(&mut self) -> Result<(), &'static str> {
        self.change_rights(Rights::Write, Rights::Read)
    }

    pub(super) fn unprotect(&mut self) -> Result<(), &'static str> {
        self.change_rights(Rights::Read, Rights::Write)
    }

    fn change_rights(&mut self, from: Rights, to: Rights) -> Result<(), &'static str> {
        self.state = match self.state {
            State::Mapped(now) if now == from => State::Mapped(to),
            State::Suspended(now) if now == from => State::Suspended(to),
            _ => {
                return Err(match from {
                    Rights::Read => "the page is not mapped for reading",
                    Rights::Write => "the page is not mapped for writing",
                });
            }
        };
        Ok(())
    }

    pub(super) fn unmap(&mut self, frame: FrameFate) -> Result<(), &'static str> {
        match (self.state, frame) {
            (State::Mapped(_) | State::Suspended(_), _)
            | (State::Unmapped(Frame::Stored), FrameFate::Drop) => {}
            _ => return Err("the page is not mapped"),
        }
        self.state = State::Unmapped(match frame {
            FrameFate::Keep => Frame::Kept,
            FrameFate::Drop => {
                self.bytes.fill(DROPPED);
                Frame::Dropped
            }
            FrameFate::Retain => Frame::Stored,
        });
        Ok(())
    }

    pub(super) fn suspend(&mut self) -> Result<(), &'static str> {
        match self.state {
            State::Mapped(rights) | State::Suspended(rights) => {
                self.state = State::Suspended(rights);
                Ok(())
            }
            State::Unmapped(_) | State::Poisoned => Err("the page is not mapped"),
        }
    }

    /// Drops the memory, of bytes that no one needs.
    pub(super) fn release(&mut self) -> Result<(), &'static str> {
        match self.state {
            State::Unmapped(Frame::Dropped | Frame::Kept) => {
                self.bytes.clear();
                self.state = State::Unmapped(Frame::Dropped);
                Ok(())
            }
            State::Unmapped(Frame::Stored) => Err("its bytes may be needed"),
            State::Mapped(_) | State::Suspended(_) => Err("the page is mapped"),
            State::Poisoned => Err("the page is poisoned"),
        }
    }

    pub(super) fn wake(&mut self) -> Result<(), &'static str> {
        self.wakes += 1;
        Ok(())
    }

    pub(super) fn poison(&mut self) -> Result<(), &'static str> {
        self.state = State::Poisoned;
        self.wake()
    }

    /// Copies the bytes that may be sent into `lent`. Kept bytes go once.
    pub(super) fn lend(&mut self, lent: &mut Vec<u8>) -> Result<(), &'static str> {
        match self.state {
            State::Mapped(Rights::Read) | State::Suspended(Rights::Read) => {}
            State::Unmapped(Frame::Kept) => self.state = State::Unmapped(Frame::Dropped),
            State::Mapped(_) | State::Suspended(_) => return Err("the page can still be written"),
            State::Unmapped(_) => return Err("the frame was not kept"),
            State::Poisoned => return Err("the page is poisoned"),
        }
        lent.clear();
        lent.extend_from_slice(&self.bytes);
        Ok(())
    }
}
