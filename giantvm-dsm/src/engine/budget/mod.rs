//! Which pages a node keeps when its memory has a limit.
//!
//! # Why every node has room
//! A node is home to no more pages than its budget has room for without the
//! [`reserve`](crate::protocol::reserve). Whatever else it has is a copy of a page that another node
//! is home to, or the only copy of one; it goes when the [protocol](crate::protocol::Input::Evict)
//! is asked, in the worst case home. A home takes its pages back at once, whether it has room or
//! not, and then gives up copies of others' pages in its turn. No one waits for room, so nodes that
//! are all full do not wait for one another; and that ends, as what a node cannot give up fits.
//!
//! When a node leaves, its heir is home to its pages, too, and needs room for them: see
//! [`Succession`](crate::protocol::Succession). An heir without it cannot give them up either, as
//! there is nowhere they could go, and stays above its budget.
//!
//! # What counts
//! Pages with a frame here: what the commands to the memory say. A page that was taken away leaves a
//! *spare* frame behind, in which it can come back without a new one, so a node that has room does
//! nothing. Spare frames are the first to go. Bytes *retained* from leases are the next.
//!
//! # Which copies leave
//! A page table entry that userfaultfd manages has no accessed bit that anyone could read without
//! stopping the threads. So a copy is put on *probation*: its mapping is
//! [suspended](crate::backing::Backing::suspend), with the bytes where they are, which is what the
//! system may do to a mapping of a file by itself. An access is then a fault that the protocol
//! answers by itself, and spares the page. A *hand* goes over the pages in the order of their
//! addresses and sends them to the queue of those on probation, until that is full, and again when
//! half of them are gone: so it goes around once for many that leave, however sparse the pages are. The
//! queue gives up who is first, but no one before some other pages have come: threads have time to use
//! what is on probation. A copy that others may have leaves at its first turn, one that no one
//! else has at its second: clean copies go first, and used ones not at all.
//!
//! On a backing that cannot suspend, probation is time in the queue, and no one is spared.
//!
//! # What it costs
//! Below the low mark, a few instructions for a page that comes. Above it, a page that comes pays
//! for at most [`CREDIT`] others to be put on probation, so pages that cannot leave, as those that a
//! node owns under Ivy, do not keep it busy. A byte a page, and the queue: at most a 32nd of the
//! budget's pages, sixteen bytes each.
//!
//! # What it does not promise
//! A fault never waits for room. While wishes are under way, at most [`MOST_LEAVING`] of them, each
//! thread may bring in a page with each fault, and peers send home what they have no room for, at most
//! [`MOST_LEAVING`] pages each. All of that may be above the budget for as long as it takes: pages above
//! it leave without patience. As a probation is measured by pages that come, those between the low mark
//! and the budget stay when none comes any more.
//!
//! This is a value: what is to be done is a [`Plan`], for its driver to carry out.

mod homes;
mod limits;
mod plan;
mod state;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use giantvm_core::{PageIndex, PageRange};

pub(crate) use plan::Plan;
pub(crate) use state::BYTES_PER_PAGE;

use limits::Limits;
use state::{Frame, Mark, States};

use super::stats::MemoryStats;
use crate::mutants::mutant;
use crate::protocol::{Command, FrameFate, Rights};

/// Most wishes to be rid of a page that are under way at a time.
pub(crate) const MOST_LEAVING: usize = 64;

/// Pages that may be put on probation for one that came.
const CREDIT: usize = 4;

/// As many as pages can be above the budget, and more: they have to be able to leave though none comes.
const MOST_CREDIT: usize = 4 * MOST_LEAVING;

/// A probation.
#[derive(Debug, Clone, Copy)]
struct Trial {
    page: PageIndex,
    /// When it began.
    since: u64,
}

/// A node's pages as far as its memory is concerned.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    states: States,
    /// The pages that come home to this node, ascending.
    own: Vec<PageRange>,
    /// How many nodes have handed their homes over, as far as `own` says.
    handovers: usize,
    /// Pages on probation, and such that were: first come, first served.
    queue: VecDeque<Trial>,
    /// Pages that came so far: the time by which a probation is measured.
    came: u64,
    /// Where the hand is.
    hand: u64,
    /// How far it went without finding anything.
    barren: u64,
    /// How many pages have to have come before it moves again.
    rests_until: u64,
    /// Whether the queue is being filled.
    filling: bool,
    /// Pages that left, and whose frames may go.
    gone: Vec<PageIndex>,
    credit: usize,
    /// Whether pages are to leave, down to the low mark.
    short: bool,
    spare: u64,
    leaving: usize,
    stats: MemoryStats,
}

impl Budget {
    /// A budget of `budget` pages for a node that is home to the pages `own`, ascending, among
    /// `pages` in all.
    pub(crate) fn new(pages: u64, own: Vec<PageRange>, budget: u64) -> Self {
        let limits = Limits::of(budget);
        Self {
            limits,
            states: States::new(pages),
            own,
            handovers: 0,
            queue: VecDeque::with_capacity(limits.trial),
            came: 0,
            hand: 0,
            barren: 0,
            rests_until: 0,
            filling: true,
            gone: Vec::with_capacity(MOST_LEAVING),
            credit: limits.trial,
            short: false,
            spare: 0,
            leaving: 0,
            stats: MemoryStats::default(),
        }
    }

    /// What was counted so far.
    pub(crate) const fn stats(&self) -> MemoryStats {
        self.stats
    }

    /// How many wishes to be rid of a page are under way.
    #[cfg(feature = "testing")]
    pub(crate) const fn unanswered(&self) -> usize {
        self.leaving
    }

    /// Whether `page` could come, besides `coming` others, before any copy has to leave.
    pub(crate) fn has_room(&self, page: PageIndex, coming: usize) -> bool {
        let used = self.stats.resident - self.spare;
        let room = used.saturating_add(coming as u64) < self.limits.high;
        room || self.states.frame(page) != Frame::None
    }

    /// Takes note of a command to the memory.
    pub(crate) fn note<M>(&mut self, command: &Command<M>) {
        match *command {
            Command::Send { .. } | Command::Linger { .. } | Command::Wake { .. } => {}
            // A page that is lost has no bytes, but a frame that may be marked as lost.
            Command::Store { page } if mutant!(CountsHeldAsSpare) => self.put(page, Frame::Spare),
            Command::Store { page } | Command::Poison { page } => self.put(page, Frame::Held),
            Command::Map { page, rights } | Command::MapZero { page, rights } => {
                self.put(page, mapped(rights));
                self.spare_if_used(page);
            }
            Command::Protect { page } => {
                self.put(page, Frame::Shared);
                // Under leases that ends the wish.
                self.stays(page);
            }
            Command::Unprotect { page } => {
                self.put(page, Frame::Owned);
                self.spare_if_used(page);
            }
            Command::Unmap { page, frame } => self.unmapped(page, frame),
        }
    }

    /// Takes note of what came of the wish to be rid of a page: whether the protocol said so to
    /// anyone. If it did not, and the page is still here, the page stays for now.
    pub(crate) fn wished(&mut self, page: PageIndex, told: bool) {
        if !told {
            self.stays(page);
        }
    }

    /// Ends a page's probation because it is wanted. Whether its mapping may be suspended.
    pub(crate) fn end_trial(&mut self, page: PageIndex) -> bool {
        self.states.unmark(page, Mark::Again);
        self.states.unmark(page, Mark::Trial)
    }

    /// The pages whose mapping may be suspended.
    pub(crate) fn on_trial(&self) -> impl Iterator<Item = PageIndex> {
        let pages = self.queue.iter().map(|trial| trial.page);
        pages.filter(|&page| self.states.has(page, Mark::Trial))
    }

    fn unmapped(&mut self, page: PageIndex, fate: FrameFate) {
        if self.states.frame(page) == Frame::None {
            return;
        }
        self.end_trial(page);
        let asked = self.stays(page);
        let (frame, gone) = match fate {
            FrameFate::Keep => (Frame::Spare, Some(&mut self.stats.evictions_dirty)),
            FrameFate::Drop => (Frame::Spare, Some(&mut self.stats.evictions_clean)),
            FrameFate::Retain if mutant!(LeaseCountsRetainedAsSpare) => (Frame::Spare, None),
            FrameFate::Retain => (Frame::Retained, None),
        };
        if let Some(count) = gone.filter(|_| asked) {
            *count += 1;
        }
        self.put(page, frame);
        // Nor has the hand to look for it then. A few that found no place are found by the hand.
        if asked && frame == Frame::Spare && self.gone.len() < MOST_LEAVING {
            self.gone.push(page);
        }
    }

    /// A page is here to be used.
    fn spare_if_used(&mut self, page: PageIndex) {
        if self.end_trial(page) {
            self.stats.second_chances += 1;
        }
    }

    /// No wish to be rid of the page is under way any more. Whether one was.
    fn stays(&mut self, page: PageIndex) -> bool {
        let asked = self.states.unmark(page, Mark::Leaving);
        if !mutant!(ForgetsThatAWishEnded) {
            self.leaving -= usize::from(asked);
        }
        asked
    }

    fn put(&mut self, page: PageIndex, frame: Frame) {
        let before = self.states.frame(page);
        if before == frame {
            return;
        }
        match before {
            Frame::None => {
                self.came += 1;
                self.stats.resident += 1;
                self.stats.most_resident = self.stats.most_resident.max(self.stats.resident);
                let most = (CREDIT * self.limits.trial).max(MOST_CREDIT);
                self.credit = (self.credit + CREDIT).min(most);
            }
            Frame::Spare => self.spare -= 1,
            Frame::Held | Frame::Retained | Frame::Shared | Frame::Owned => {}
        }
        match frame {
            Frame::None => self.stats.resident -= 1,
            Frame::Spare => self.spare += 1,
            Frame::Held | Frame::Retained | Frame::Shared | Frame::Owned => {}
        }
        self.states.set_frame(page, frame);
        self.short = match self.stats.resident {
            resident if resident > self.limits.high => true,
            resident => self.short && resident > self.limits.low,
        };
    }
}

const fn mapped(rights: Rights) -> Frame {
    match rights {
        Rights::Read => Frame::Shared,
        Rights::Write => Frame::Owned,
    }
}
