//! What a node keeps for every page: 18 bytes, whether it is the page's home or not.
//!
//! The table starts as zeroes, which means "never touched", so the operating system commits its
//! memory only where pages are in use.

use giantvm_core::{NodeId, PageIndex, Stamp};

use crate::protocol::Rights;

/// Bytes that a page costs a node, its home included; a page that is leased costs its holder
/// three entries of ordered maps besides, while the lease lasts.
pub const BYTES_PER_PAGE: usize = size_of::<Packed>();

const _: () = assert!(BYTES_PER_PAGE <= 18, "a page costs more than the books say");

/// Two stamps, the state with the doublings, and the holder.
type Packed = [u8; 18];

/// What a node has of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum State {
    /// Nothing.
    #[default]
    Invalid,
    /// Bytes, not mapped: they may be mapped again once the home says that they are current.
    Retained,
    /// A copy for reading, until its lease ends.
    Leased,
    /// The copy that a home gives to others, mapped for reading; lasts until the page is given
    /// away.
    Source,
    /// The page itself, mapped for writing.
    Owned,
}

/// Who has a page, as its home knows. On other nodes: untouched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Holder {
    /// No node ever touched the page: it is zero everywhere.
    #[default]
    Untouched,
    /// No one: the home has its bytes, others perhaps leases of them.
    Shared,
    /// This node, perhaps the home itself.
    Owner(NodeId),
}

impl Holder {
    /// The state's name, as it stands in errors.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Untouched => "Untouched",
            Self::Shared => "Shared",
            Self::Owner(_) => "Owned",
        }
    }
}

/// A node's books of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Page {
    pub state: State,
    /// The version of the bytes here; on the home always the latest that came back to it. Zero
    /// for none.
    pub written: Stamp,
    /// On the home, the last time up to which anyone may read what the page held when it was last
    /// given away or is shared. On an owner, the same as it was when it got the page.
    pub end: Stamp,
    /// On the home, who has the page.
    pub holder: Holder,
    /// On the home, how often its leases have doubled since the last write.
    pub doublings: u8,
}

impl Page {
    /// What local threads may do.
    pub(super) const fn rights(self) -> Option<Rights> {
        match self.state {
            State::Invalid | State::Retained => None,
            State::Leased | State::Source => Some(Rights::Read),
            State::Owned => Some(Rights::Write),
        }
    }

    /// The version whose bytes could be leased again; zero for none.
    pub(super) const fn held(self) -> Stamp {
        match self.state {
            State::Retained | State::Leased => self.written,
            State::Invalid | State::Source | State::Owned => Stamp::ZERO,
        }
    }

    fn pack(self) -> Packed {
        let state = match self.state {
            State::Invalid => 0,
            State::Retained => 1,
            State::Leased => 2,
            State::Source => 3,
            State::Owned => 4,
        };
        let mut packed = [0; 18];
        packed[..8].copy_from_slice(&self.written.0.to_le_bytes());
        packed[8..16].copy_from_slice(&self.end.0.to_le_bytes());
        packed[16] = state | self.doublings << 3;
        packed[17] = match self.holder {
            Holder::Untouched => 0,
            Holder::Shared => 1,
            Holder::Owner(node) => 2 + node.get(),
        };
        packed
    }

    fn unpack(packed: Packed) -> Self {
        let stamp = |bytes: &[u8]| {
            let bytes = bytes.first_chunk().copied().unwrap_or_default();
            Stamp(u64::from_le_bytes(bytes))
        };
        Self {
            state: match packed[16] & 0b111 {
                1 => State::Retained,
                2 => State::Leased,
                3 => State::Source,
                4 => State::Owned,
                _ => State::Invalid,
            },
            written: stamp(&packed[..8]),
            end: stamp(&packed[8..16]),
            holder: match packed[17] {
                0 => Holder::Untouched,
                1 => Holder::Shared,
                node => Holder::Owner(NodeId::new(node - 2).unwrap_or(NodeId::ZERO)),
            },
            doublings: packed[16] >> 3,
        }
    }
}

/// A node's books of all pages.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Table(Vec<Packed>);

impl Table {
    /// On a machine that cannot address the table, allocating it fails.
    pub(super) fn new(pages: u64) -> Self {
        let pages = usize::try_from(pages).unwrap_or(usize::MAX);
        Self(vec![[0; 18]; pages])
    }

    /// How many pages there are.
    pub(super) fn pages(&self) -> u64 {
        self.0.len() as u64
    }

    /// The books of a page; of a page that does not exist: untouched.
    pub(super) fn get(&self, page: PageIndex) -> Page {
        let packed = usize::try_from(page.0).ok().and_then(|at| self.0.get(at));
        packed.map_or_else(Page::default, |packed| Page::unpack(*packed))
    }

    pub(super) fn set(&mut self, page: PageIndex, books: Page) {
        let place = usize::try_from(page.0).ok();
        if let Some(place) = place.and_then(|at| self.0.get_mut(at)) {
            *place = books.pack();
        }
    }

    pub(super) fn set_state(&mut self, page: PageIndex, state: State) {
        let books = self.get(page);
        self.set(page, Page { state, ..books });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state() -> impl Strategy<Value = State> {
        prop::sample::select(vec![
            State::Invalid,
            State::Retained,
            State::Leased,
            State::Source,
            State::Owned,
        ])
    }

    fn holder() -> impl Strategy<Value = Holder> {
        prop_oneof![
            Just(Holder::Untouched),
            Just(Holder::Shared),
            (0..64_u8).prop_map(|node| Holder::Owner(NodeId::new(node).unwrap())),
        ]
    }

    proptest! {
        #[test]
        fn what_is_packed_unpacks_the_same(
            state in state(),
            written in any::<u64>(),
            end in any::<u64>(),
            holder in holder(),
            doublings in 0..32_u8,
        ) {
            let (written, end) = (Stamp(written), Stamp(end));
            let page = Page { state, written, end, holder, doublings };
            prop_assert_eq!(Page::unpack(page.pack()), page);
        }
    }

    #[test]
    fn zeroed_memory_means_never_touched() {
        assert_eq!(Page::unpack([0; 18]), Page::default());
        let mut table = Table::new(2);
        table.set_state(PageIndex(2), State::Owned);
        assert_eq!(table.get(PageIndex(2)), Page::default());
        assert_eq!(table.pages(), 2);
    }
}
