//! What a node keeps for every page: one word, and for the pages it is home to a 14-byte entry.
//! Where homes move there is room for an entry of every page.
//!
//! Both tables start as zeroes, which means "never touched", so the operating system commits their
//! memory only where pages are in use.

use giantvm_core::{NodeId, NodeSet, PageIndex, PageRange, Version};

use super::lead::Lead;
use super::message::Transaction;
use crate::protocol::{HomeMap, Rights};

/// Bytes of metadata that a page costs a node at most: its word, and its entry on its home.
pub const BYTES_PER_PAGE: usize = size_of::<PackedCopy>() + size_of::<PackedEntry>();

type PackedCopy = u64;
/// Eight bytes of sharers, six of everything else: with a byte of the backing and one of a budget a
/// page costs 24.
type PackedEntry = [u8; 14];

/// This node's copy of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Copied {
    /// What local threads may do with it; `None` if there is no copy.
    pub rights: Option<Rights>,
    /// The version of the copy; on the home always the page's current version, copy or not.
    pub version: Version,
}

impl Copied {
    const fn pack(self) -> PackedCopy {
        let state = match self.rights {
            None => 0,
            Some(Rights::Read) => 1,
            Some(Rights::Write) => 2,
        };
        self.version.get() << 8 | state
    }

    /// The bits of the word that say where the home is, not what the copy is.
    const HOME: PackedCopy = 0b1111_1100;

    fn unpack(word: PackedCopy) -> Self {
        Self {
            rights: match word & 0b11 {
                1 => Some(Rights::Read),
                2 => Some(Rights::Write),
                _ => None,
            },
            version: Version::new(word >> 8).unwrap_or(Version::MAX),
        }
    }
}

/// This node's copies of all pages.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Copies(Vec<PackedCopy>);

impl Copies {
    pub(super) fn new(pages: u64) -> Self {
        Self(vec![0; length(pages)])
    }

    /// How many pages there are.
    pub(super) fn pages(&self) -> u64 {
        self.0.len() as u64
    }

    /// The copy of a page; of a page that does not exist: none.
    pub(super) fn get(&self, page: PageIndex) -> Copied {
        let word = usize::try_from(page.0).ok().and_then(|at| self.0.get(at));
        Copied::unpack(word.copied().unwrap_or(0))
    }

    pub(super) fn set(&mut self, page: PageIndex, copy: Copied) {
        let word = usize::try_from(page.0).ok();
        if let Some(word) = word.and_then(|at| self.0.get_mut(at)) {
            *word = *word & Copied::HOME | copy.pack();
        }
    }

    /// The home of a page as far as this node was told, given its birth home. What is kept is in
    /// which bits the two differ, so that zeroed memory means that the home has not moved.
    pub(super) fn home(&self, page: PageIndex, birth: NodeId) -> NodeId {
        let word = usize::try_from(page.0).ok().and_then(|at| self.0.get(at));
        let differs = (word.copied().unwrap_or(0) & Copied::HOME) >> 2;
        let home = u64::from(birth.get()) ^ differs;
        u8::try_from(home)
            .ok()
            .and_then(|home| NodeId::new(home).ok())
            .unwrap_or(birth)
    }

    pub(super) fn set_home(&mut self, page: PageIndex, birth: NodeId, home: NodeId) {
        let word = usize::try_from(page.0).ok();
        if let Some(word) = word.and_then(|at| self.0.get_mut(at)) {
            *word = *word & !Copied::HOME | u64::from(birth.get() ^ home.get()) << 2;
        }
    }
}

/// Who holds a page, as its home knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// No node ever touched the page: it is zero everywhere.
    #[default]
    Untouched,
    /// The sharers hold copies for reading.
    Shared {
        /// The sharer that sends data to whoever asks.
        owner: NodeId,
        /// All holders, the owner included.
        sharers: NodeSet,
    },
    /// One node may write and no other holds a copy.
    Exclusive {
        /// That node.
        owner: NodeId,
    },
}

impl Sharing {
    /// All nodes that hold a copy.
    #[must_use]
    pub const fn holders(self) -> NodeSet {
        match self {
            Self::Untouched => NodeSet::EMPTY,
            Self::Shared { sharers, .. } => sharers,
            Self::Exclusive { owner } => NodeSet::only(owner),
        }
    }

    /// The node that sends the data.
    #[must_use]
    pub const fn owner(self) -> Option<NodeId> {
        match self {
            Self::Untouched => None,
            Self::Shared { owner, .. } | Self::Exclusive { owner } => Some(owner),
        }
    }

    /// The state's name, as it stands in errors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Untouched => "Untouched",
            Self::Shared { .. } => "Shared",
            Self::Exclusive { .. } => "Exclusive",
        }
    }
}

/// The directory entry of a page on its home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Entry {
    /// Who holds the page; while a transaction runs: who will when it is done.
    pub sharing: Sharing,
    /// The latest transaction.
    pub transaction: Transaction,
    /// Whether that transaction still runs or rests.
    pub busy: bool,
    /// Who writes the page most.
    pub lead: Lead,
    /// Whether this node was the home and is not now.
    pub left: bool,
}

impl Entry {
    fn pack(self) -> PackedEntry {
        let (state, owner) = match self.sharing {
            Sharing::Untouched => (0, NodeId::ZERO),
            Sharing::Shared { owner, .. } => (1, owner),
            Sharing::Exclusive { owner } => (2, owner),
        };
        let low = u64::from(self.transaction.0);
        let high = state << 32
            | u64::from(owner.get()) << 34
            | u64::from(self.busy) << 40
            | u64::from(self.left) << 41
            | u64::from(self.lead.pack()) << 42;
        let mut packed = [0; 14];
        let (sharers, rest) = packed.split_at_mut(8);
        sharers.copy_from_slice(&self.sharing.holders().bits().to_le_bytes());
        rest.copy_from_slice(&(low | high).to_le_bytes()[..6]);
        packed
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the fields are of 32 bits, 6 and 6"
    )]
    fn unpack(packed: PackedEntry) -> Self {
        let number = |bytes: &[u8]| {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(padded)
        };
        let (sharers, word) = (number(&packed[..8]), number(&packed[8..]));
        let owner = NodeId::new((word >> 34) as u8 & 0x3f).unwrap_or(NodeId::ZERO);
        let sharing = match word >> 32 & 0b11 {
            1 => Sharing::Shared {
                owner,
                sharers: NodeSet::from_bits(sharers),
            },
            2 => Sharing::Exclusive { owner },
            _ => Sharing::Untouched,
        };
        Self {
            sharing,
            transaction: Transaction(word as u32),
            busy: word >> 40 & 1 == 1,
            left: word >> 41 & 1 == 1,
            lead: Lead::unpack((word >> 42) as u8),
        }
    }
}

/// The place of an entry in [`Entries`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(usize);

/// The directory entries of the pages that this node is home to, or may become.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Entries {
    /// The runs with entries, ascending, each with the place of its first entry.
    runs: Vec<(PageRange, usize)>,
    entries: Vec<PackedEntry>,
}

impl Entries {
    /// Entries for the pages that the map gives to this node.
    pub(super) fn of_homed(local: NodeId, homes: &HomeMap) -> Self {
        let (mut runs, mut count) = (Vec::new(), 0);
        for run in homes.of(local) {
            runs.push((run, count));
            count += length(run.len());
        }
        Self {
            runs,
            entries: vec![[0; 14]; count],
        }
    }

    /// Entries for all pages.
    pub(super) fn of_all(pages: u64) -> Self {
        let all = PageRange {
            start: PageIndex(0),
            end: PageIndex(pages),
        };
        Self {
            runs: vec![(all, 0)],
            entries: vec![[0; 14]; length(pages)],
        }
    }

    /// Where the entry of `page` is; `None` if there is none.
    pub(super) fn slot(&self, page: PageIndex) -> Option<Slot> {
        let at = self.runs.partition_point(|(run, _)| run.end.0 <= page.0);
        let &(run, first) = self.runs.get(at)?;
        let offset = page.0.checked_sub(run.start.0)?;
        usize::try_from(offset).ok().map(|at| Slot(first + at))
    }

    pub(super) fn get(&self, Slot(at): Slot) -> Entry {
        Entry::unpack(self.entries.get(at).copied().unwrap_or_default())
    }

    pub(super) fn set(&mut self, Slot(at): Slot, entry: Entry) {
        if let Some(place) = self.entries.get_mut(at) {
            *place = entry.pack();
        }
    }
}

/// A table's length. On a machine that cannot address the table, allocating it fails next.
fn length(pages: u64) -> usize {
    usize::try_from(pages).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU8;

    use proptest::prelude::*;

    use super::*;

    fn rights() -> impl Strategy<Value = Option<Rights>> {
        prop::sample::select(vec![None, Some(Rights::Read), Some(Rights::Write)])
    }

    fn sharing() -> impl Strategy<Value = Sharing> {
        let node = || (0..64_u8).prop_map(|n| NodeId::new(n).unwrap());
        prop_oneof![
            Just(Sharing::Untouched),
            node().prop_map(|owner| Sharing::Exclusive { owner }),
            (node(), any::<u64>()).prop_map(|(owner, bits)| Sharing::Shared {
                owner,
                sharers: NodeSet::from_bits(bits),
            }),
        ]
    }

    fn lead() -> impl Strategy<Value = Lead> {
        (0..100_u8).prop_map(|writes| {
            (0..writes).fold(Lead::default(), |lead, _| lead.after(true, NonZeroU8::MAX))
        })
    }

    proptest! {
        #[test]
        fn what_is_packed_unpacks_the_same(
            rights in rights(),
            version in 0..=Version::MAX.get(),
            sharing in sharing(),
            transaction in any::<u32>(),
            busy in any::<bool>(),
            left in any::<bool>(),
            lead in lead(),
            [birth, home] in [0..64_u8, 0..64_u8],
        ) {
            let copy = Copied { rights, version: Version::new(version).unwrap() };
            prop_assert_eq!(Copied::unpack(copy.pack()), copy);
            let entry = Entry { sharing, transaction: Transaction(transaction), busy, lead, left };
            prop_assert_eq!(Entry::unpack(entry.pack()), entry);
            let [birth, home] = [birth, home].map(|n| NodeId::new(n).unwrap());
            let (mut copies, page) = (Copies::new(1), PageIndex(0));
            prop_assert_eq!(copies.home(page, birth), birth);
            copies.set_home(page, birth, home);
            copies.set(page, copy);
            prop_assert_eq!((copies.home(page, birth), copies.get(page)), (home, copy));
            copies.set_home(page, birth, birth);
            prop_assert_eq!((copies.home(page, birth), copies.get(page)), (birth, copy));
        }
    }

    #[test]
    fn zeroed_memory_means_never_touched() {
        assert_eq!(Entry::unpack([0; 14]), Entry::default());
        assert_eq!(Copied::unpack(0).rights, None);
        assert_eq!(BYTES_PER_PAGE, 22);
    }

    #[test]
    fn entries_exist_for_the_pages_homed_here_only() {
        let node = |n| NodeId::new(n).unwrap();
        let homes = HomeMap::even(12, [node(1), node(0), node(2), node(0)]);
        let entries = Entries::of_homed(node(0), &homes);
        let slots: Vec<_> = (0..13)
            .filter_map(|page| entries.slot(PageIndex(page)).map(|slot| (page, slot.0)))
            .collect();
        assert_eq!(slots, [(3, 0), (4, 1), (5, 2), (9, 3), (10, 4), (11, 5)]);
        assert_eq!(entries.entries.len(), 6);
    }
}
