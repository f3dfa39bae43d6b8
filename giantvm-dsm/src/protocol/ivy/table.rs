//! What a node keeps for every page: 17 bytes.
//!
//! The table starts as zeroes, which means "never touched", so the operating system commits its
//! memory only where pages are in use.

use giantvm_core::{NodeId, NodeSet, PageIndex, Version};

use crate::protocol::{HomeMap, Rights};

/// Bytes of metadata that a page costs a node.
pub const BYTES_PER_PAGE: usize = size_of::<Packed>();

/// Eight bytes of version and flags, eight of sharers, one of father.
type Packed = [u8; 17];

const _: () = assert!(BYTES_PER_PAGE <= 23);

/// This node's part in a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// What local threads may do with the local copy; `None` if there is no copy.
    pub rights: Option<Rights>,
    /// The version of the copy, or of the last one there was.
    pub version: Version,
    /// Whether this node owns the page.
    pub token: bool,
    /// The other nodes that may hold copies; empty without the token.
    pub sharers: NodeSet,
    /// The probable owner: where requests go. This node itself if requests are to end here.
    pub father: NodeId,
}

impl Part {
    /// Whether no node ever touched the page, as far as this node knows.
    pub(super) fn is_untouched(self) -> bool {
        self.version == Version::ZERO
    }

    const fn start(local: NodeId, home: NodeId) -> Self {
        Self {
            rights: None,
            version: Version::ZERO,
            token: local.get() == home.get(),
            sharers: NodeSet::EMPTY,
            father: home,
        }
    }

    fn pack(self) -> Packed {
        let rights = match self.rights {
            None => 0,
            Some(Rights::Read) => 1,
            Some(Rights::Write) => 2,
        };
        let flags = rights | u64::from(self.token) << 2 | KNOWN;
        let mut packed = [0; 17];
        packed[..8].copy_from_slice(&(self.version.get() << 8 | flags).to_le_bytes());
        packed[8..16].copy_from_slice(&self.sharers.bits().to_le_bytes());
        packed[16] = self.father.get();
        packed
    }

    /// `None` if the part is still that of the start.
    fn unpack(packed: Packed) -> Option<Self> {
        let ([word, sharers], [father]) = packed.as_chunks() else {
            return None;
        };
        let word = u64::from_le_bytes(*word);
        (word & KNOWN != 0).then(|| Self {
            rights: match word & 3 {
                1 => Some(Rights::Read),
                2 => Some(Rights::Write),
                _ => None,
            },
            version: Version::new(word >> 8).unwrap_or(Version::MAX),
            token: word & 4 != 0,
            sharers: NodeSet::from_bits(u64::from_le_bytes(*sharers)),
            father: NodeId::new(*father).unwrap_or(NodeId::ZERO),
        })
    }
}

/// The flag of parts that have changed since the start.
const KNOWN: u64 = 1 << 3;

/// This node's parts in all pages.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Table {
    local: NodeId,
    /// Who owns the pages at the start.
    homes: HomeMap,
    parts: Vec<Packed>,
}

impl Table {
    pub(super) fn new(local: NodeId, homes: HomeMap, pages: u64) -> Self {
        // On a machine that cannot address the table, allocating it fails next.
        let length = usize::try_from(pages.min(homes.pages())).unwrap_or(usize::MAX);
        Self {
            local,
            homes,
            parts: vec![[0; 17]; length],
        }
    }

    /// How many pages there are.
    pub(super) fn pages(&self) -> u64 {
        self.parts.len() as u64
    }

    /// The part in a page; in one that does not exist: none.
    pub(super) fn get(&self, page: PageIndex) -> Part {
        let packed = usize::try_from(page.0).ok();
        let packed = packed.and_then(|at| self.parts.get(at).copied());
        let start = || {
            let home = self.homes.home(page);
            let nobody = Part::start(self.local, self.local);
            home.map_or(
                Part {
                    token: false,
                    ..nobody
                },
                |home| Part::start(self.local, home),
            )
        };
        packed.and_then(Part::unpack).unwrap_or_else(start)
    }

    pub(super) fn set(&mut self, page: PageIndex, part: Part) {
        let packed = usize::try_from(page.0).ok();
        if let Some(packed) = packed.and_then(|at| self.parts.get_mut(at)) {
            *packed = part.pack();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(number: u8) -> NodeId {
        NodeId::new(number).unwrap()
    }

    prop_compose! {
        fn parts()(
            rights in prop::sample::select(vec![None, Some(Rights::Read), Some(Rights::Write)]),
            version in 0..=Version::MAX.get(),
            token in any::<bool>(),
            sharers in any::<u64>(),
            father in 0..64_u8,
        ) -> Part {
            Part {
                rights,
                version: Version::new(version).unwrap(),
                token,
                sharers: NodeSet::from_bits(sharers),
                father: node(father),
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_unpacks_the_same(part in parts()) {
            prop_assert_eq!(Part::unpack(part.pack()), Some(part));
        }
    }

    #[test]
    fn zeroed_memory_means_untouched_and_owned_by_the_home() {
        let homes = HomeMap::even(4, NodeId::first(2));
        let table = Table::new(node(1), homes, 4);
        assert_eq!(table.parts, [[0; 17]; 4]);
        for (page, home) in [(1, 0), (2, 1)] {
            let part = table.get(PageIndex(page));
            assert_eq!((part.token, part.father), (home == 1, node(home)));
            assert!(part.is_untouched() && part.rights.is_none() && part.sharers.is_empty());
        }
        let outside = table.get(PageIndex(4));
        assert!(!outside.token && outside.rights.is_none());
        assert_eq!(BYTES_PER_PAGE, 17);
    }
}
