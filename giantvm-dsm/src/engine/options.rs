//! What a node can be told about how it serves.

use std::num::NonZeroUsize;

use giantvm_core::PageSize;

use super::parcel::Parcels;
use super::priority::Priority;
use super::spin::Waiting;
use crate::backing::Choice;

/// How a node serves its memory. Every node may have its own; the defaults are good.
///
/// ```
/// use giantvm_dsm::engine::{DsmOptions, Waiting};
///
/// let mut options = DsmOptions::default();
/// options.waiting = Waiting::Latency;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DsmOptions {
    /// How the kernel is told who may reach which page.
    pub backing: Choice,
    /// Where in this process the [mapping](super::Dsm::mapping) is to start, as
    /// [`open_at`](crate::backing::open_at) says; `None` for wherever there is room.
    pub address: Option<NonZeroUsize>,
    /// How the pump waits.
    pub waiting: Waiting,
    /// Whether the pump may run before other threads.
    pub priority: Priority,
    /// Whether a load of a page that this node reads and then writes, turn by turn with others, is
    /// taken for a store: one transaction a turn in place of two.
    pub migratory: bool,
    /// Whether a page that others want stays for a moment with the thread that it came for, until that
    /// has used it. Without it, a page may come and go and no one gets on.
    pub hold: bool,
    /// Whether pages that one access needs together stay together, by turns with other nodes: for memory
    /// whose page tables are walked by processors that write to them (AMD's nested paging, Intel's with
    /// accessed flags). Costs microseconds of a contended page elsewhere.
    pub gather: bool,
    /// Most pages that are asked for ahead of a thread that walks through memory; 0 to ask for none, nor
    /// for the rest of 64 pages of which a thread wanted several.
    pub read_ahead: u32,
    /// Whether it is noted which pages are asked for and taken most, and who waits for them, for
    /// [`Dsm::heat`](super::Dsm::heat) and [`Dsm::stalls`](super::Dsm::stalls): 250 KiB, and some
    /// ten nanoseconds of a fault.
    pub heat: bool,
    /// How the pages that this node sends are packed, and what it keeps for that.
    pub parcels: Parcels,
    /// How much memory this node gives to pages of the shared memory; `None` for as much as they
    /// take. Give homes by [`HomeMap::weighted`](crate::protocol::HomeMap::weighted) then.
    pub memory: Option<MemoryBudget>,
}

/// Bytes of memory for pages of the shared memory, of which only whole pages count.
///
/// A node that has more pages than that gives up copies that it did not use lately, clean ones
/// first. It is the aim, not a wall: faults do not wait for room, so a node is above it by what is
/// under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemoryBudget(pub u64);

impl MemoryBudget {
    /// How many whole pages it is.
    #[must_use]
    pub const fn pages(self, size: PageSize) -> u64 {
        self.0 / size.bytes() as u64
    }
}

/// 1 MiB of 4 KiB pages: some times what is under way on a fast link.
const READ_AHEAD: u32 = 256;

impl Default for DsmOptions {
    fn default() -> Self {
        Self {
            backing: Choice::default(),
            address: None,
            waiting: Waiting::default(),
            priority: Priority::default(),
            migratory: true,
            hold: true,
            gather: false,
            read_ahead: READ_AHEAD,
            heat: true,
            parcels: Parcels::default(),
            memory: None,
        }
    }
}
