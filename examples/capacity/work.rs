//! What the threads of all nodes do: one word a node on every page.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::ensure;
use giantvm_core::{PageIndex, PageSize};
use giantvm_dsm::backing::Mapping;
use giantvm_dsm::sync::{Barrier, OwnPages};
use giantvm_dsm::view::{Region, RegionError};
use zerocopy::FromBytes;

/// Most nodes: each has a word on every page.
const WORDS: usize = 8;
/// Pages of one typed region.
const CHUNK: usize = 64;

/// Where nodes meet, on the first page.
#[derive(Debug, FromBytes)]
#[repr(C)]
pub(crate) struct Meeting(OwnPages<Barrier>);

/// Pages of words.
#[derive(Debug, FromBytes)]
#[repr(C)]
struct Chunk([OwnPages<[AtomicU64; WORDS]>; CHUNK]);

/// A part of the work, of which each is done by all nodes at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Adds to every page, one after the other.
    WriteInOrder,
    /// Reads every page, one after the other.
    ReadInOrder,
    /// Adds to every page, here and there.
    WriteAnywhere,
    /// Reads every page, here and there.
    ReadAnywhere,
}

impl Phase {
    pub(crate) const ALL: [Self; 4] = [
        Self::WriteInOrder,
        Self::ReadInOrder,
        Self::WriteAnywhere,
        Self::ReadAnywhere,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::WriteInOrder => "write, in order",
            Self::ReadInOrder => "read, in order",
            Self::WriteAnywhere => "write, at random",
            Self::ReadAnywhere => "read, at random",
        }
    }
}

/// A node's view of the working set.
pub(crate) struct Work {
    node: usize,
    nodes: u8,
    meeting: Region<Meeting>,
    chunks: Vec<Region<Chunk>>,
}

impl Work {
    /// As many pages as the words of about `bytes` take, and one to meet on.
    pub(crate) fn pages(bytes: u64) -> u64 {
        let chunk = (CHUNK * PageSize::K4.bytes()) as u64;
        1 + bytes / chunk * CHUNK as u64
    }

    pub(crate) fn new(mapping: &Arc<Mapping>, node: usize, nodes: u8) -> Result<Self, RegionError> {
        let starts = (1..mapping.pages()).step_by(CHUNK);
        let chunks = starts.map(|start| Region::new(mapping, PageIndex(start)));
        Ok(Self {
            node,
            nodes,
            meeting: Region::new(mapping, PageIndex(0))?,
            chunks: chunks.collect::<Result<_, _>>()?,
        })
    }

    /// Waits until all nodes are here.
    pub(crate) fn meet(&self) {
        self.meeting.0.wait(self.nodes.into());
    }

    fn len(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    fn words(&self, page: usize) -> &[AtomicU64; WORDS] {
        &self.chunks[page / CHUNK].0[page % CHUNK].0
    }

    /// Does this node's share of a phase.
    pub(crate) fn run(&self, phase: Phase) {
        let len = self.len();
        let start = len * self.node / usize::from(self.nodes);
        let in_order = (0..len).map(|step| (start + step) % len);
        let anywhere = scattered(len, self.node);
        let add = |page: usize| {
            self.words(page)[self.node].fetch_add(1, Ordering::Relaxed);
        };
        let read = |page: usize| {
            let other = (self.node + 1) % usize::from(self.nodes);
            std::hint::black_box(self.words(page)[other].load(Ordering::Relaxed));
        };
        match phase {
            Phase::WriteInOrder => in_order.for_each(add),
            Phase::ReadInOrder => in_order.for_each(read),
            Phase::WriteAnywhere => anywhere.for_each(add),
            Phase::ReadAnywhere => anywhere.for_each(read),
        }
    }

    /// Checks all words after every node did all phases `times` times.
    pub(crate) fn check(&self, times: u64) -> anyhow::Result<()> {
        let expected = 2 * times;
        for page in 0..self.len() {
            for (node, word) in self.words(page).iter().take(self.nodes.into()).enumerate() {
                let value = word.load(Ordering::Relaxed);
                ensure!(
                    value == expected,
                    "node {node} wrote {expected} to page {page}, and node {} reads {value}",
                    self.node
                );
            }
        }
        Ok(())
    }
}

/// All numbers below `len`, in an order without a pattern that depends on `salt`.
fn scattered(len: usize, salt: usize) -> impl Iterator<Item = usize> {
    let mut pages: Vec<_> = (0..len).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(salt as u64 + 1);
    for at in (1..len).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let other = usize::try_from(state % (at as u64 + 1)).unwrap_or(at);
        pages.swap(at, other);
    }
    pages.into_iter()
}
