//! Bytes as what happens to a driver over simulated memory: frames of its peers, and what its own
//! threads do meanwhile. The first byte chooses the protocol.

mod ear;
mod letter;
mod local;

use std::collections::BTreeMap;
use std::sync::Arc;

use giantvm_core::wire::Frame;
use giantvm_core::{Epoch, NodeId, NodeSet, PageIndex, PageSize};
use giantvm_dsm::backing::sim::{SimBacking, SimMemory};
use giantvm_dsm::engine::parcel::Parcels;
use giantvm_dsm::engine::{Driver, Refused};
use giantvm_dsm::protocol::{CoherenceProtocol, Directory, HomeMap, Ivy, Lease, Rights, Setup};

use ear::Ear;
use letter::{Fate, Letters, Reader};

const NODES: usize = 4;
const PAGES: u8 = 8;
/// Most inputs of one run.
const INPUTS: usize = 400;

/// Returns how many messages were believed, or wait for a pin to go.
///
/// # Panics
/// If the driver breaks a law that holds whatever its peers send.
pub(crate) fn feed(bytes: &[u8]) -> usize {
    let Some((first, bytes)) = bytes.split_first() else {
        return 0;
    };
    match first % 3 {
        0 => Node::<Directory>::new().run(bytes),
        1 => Node::<Ivy>::new().run(bytes),
        _ => Node::<Lease>::new().run(bytes),
    }
}

struct Node<P: CoherenceProtocol> {
    driver: Driver<P>,
    memory: SimMemory,
    ear: Arc<Ear>,
    letters: Letters,
    /// What is pinned, how often, and the first word of it.
    pins: BTreeMap<PageIndex, (usize, u64)>,
    lost: NodeSet,
    stores: u64,
    waits: usize,
}

impl<P: CoherenceProtocol> Node<P> {
    fn new() -> Self {
        let (nodes, pages) = (NodeSet::first(NODES), u64::from(PAGES));
        let protocol = P::new(Setup {
            local: NodeId::ZERO,
            nodes,
            pages,
            homes: HomeMap::even(pages, nodes),
        });
        let backing = SimBacking::new(PageSize::K4, PAGES.into());
        let memory = backing.memory();
        let ear = Arc::new(Ear::new::<P::Message>(nodes.without(NodeId::ZERO)));
        let driver = Driver::new(protocol, Box::new(backing), ear.clone(), Epoch::FIRST);
        // Fewer copies than pages.
        let mut parcels = Parcels::ALWAYS;
        parcels.standby = PageSize::K4.bytes() * 4;
        Self {
            driver: driver.packing(parcels).lingering(true),
            memory,
            ear,
            letters: Letters::default(),
            pins: BTreeMap::new(),
            lost: NodeSet::EMPTY,
            stores: 0,
            waits: 0,
        }
    }

    fn run(mut self, bytes: &[u8]) -> usize {
        let (mut believed, mut bytes) = (0, Reader(bytes));
        for _ in 0..INPUTS {
            let Some(first) = bytes.next() else { break };
            let page = PageIndex(u64::from(first / 16 % PAGES));
            match first % 16 {
                0 => self.access(page, false),
                1 => self.access(page, true),
                2 => self.driver.evict(page).expect("an order that fits"),
                3 => self.pin(page),
                4 => self.unpin(page),
                5 => self.hear(bytes.byte()),
                6 => self.tick(),
                15 => believed += self.sheaf(&mut bytes),
                7 if first >= 0xf0 => self.lose(letter::peer(bytes.byte())),
                _ => believed += usize::from(self.frame(&mut bytes)),
            }
            self.check_pins();
        }
        while let Some((&page, _)) = self.pins.first_key_value() {
            self.unpin(page);
        }
        believed
    }

    /// A peer is gone: nothing more is heard of it.
    fn lose(&mut self, peer: NodeId) {
        if !self.lost.contains(peer) {
            self.lost = self.lost.with(peer);
            self.ear.lose(peer);
            self.driver.lost(peer).expect("a loss that fits");
        }
    }

    /// The next frame of a peer. Returns whether it was believed.
    fn frame(&mut self, bytes: &mut Reader<'_>) -> bool {
        let letter = letter::read(bytes, &self.letters);
        if self.lost.contains(letter.frame.from) {
            return false;
        }
        if letter.frame.epoch != Epoch::FIRST {
            assert!(self.driver.admit(&letter.frame).is_err());
            return false;
        }
        let (fate, before) = (
            self.letters.arrives::<P::Message>(&letter.frame),
            self.all(),
        );
        let told = self.driver.frame(&letter.frame);
        let told = told.unwrap_or_else(|error| panic!("{:?}: {error}", letter.frame));
        let unchanged = told.is_err() || fate == Fate::Again;
        assert!(
            !unchanged || before == self.all(),
            "changed by what is refused"
        );
        match (fate, &told) {
            (Fate::Next, Ok(())) => return true,
            (Fate::Next, Err(Refused::Violation(_) | Refused::Crowd(_) | Refused::Parcel(_))) => {}
            (Fate::Again, Ok(())) | (Fate::NoMessage, Err(Refused::Decode(_))) => {}
            (Fate::Gap(expected), Err(Refused::Missing(missing))) if expected == *missing => {}
            _ => panic!("{:?} is {fate:?}, not {told:?}", letter.frame),
        }
        if told.is_err() && letter.severs {
            self.lose(letter.frame.from);
        }
        false
    }

    /// The next letters of a peer in one frame. Returns how many were believed.
    fn sheaf(&mut self, bytes: &mut Reader<'_>) -> usize {
        let (count, cut) = (bytes.byte() % 36, bytes.byte().saturating_sub(0xf0));
        let (mut frames, mut letters) = (Vec::<Frame>::new(), self.letters.clone());
        for _ in 0..count {
            let frame = letter::read(bytes, &letters).frame;
            let other = frames.first().is_some_and(|first| first.from != frame.from);
            if !other && frame.payload.is_empty() && frame.epoch == Epoch::FIRST {
                letters.arrives::<P::Message>(&frame);
                frames.push(frame);
            }
        }
        let sheaf = letter::bind(&frames, cut.into());
        let Some(sheaf) = sheaf.filter(|sheaf| !self.lost.contains(sheaf.from)) else {
            return 0;
        };
        let before = self.all();
        let told = self.driver.frame(&sheaf);
        let told = told.unwrap_or_else(|error| panic!("{sheaf:?}: {error}"));
        let there = letter::untie(&sheaf).unwrap_or_default();
        if !(2..=letter::MOST).contains(&there.len()) {
            assert!(
                matches!(told, Err(Refused::Decode(_))),
                "{sheaf:?}: {told:?}"
            );
            assert!(before == self.all(), "changed by what is refused");
            return 0;
        }
        let mut letters = self.letters.clone();
        let fates = there
            .iter()
            .map(|letter| letters.arrives::<P::Message>(letter));
        let sound = fates.filter(|fate| matches!(fate, Fate::Next | Fate::Again));
        let sound = sound.count() == there.len();
        if told.is_ok() {
            assert!(sound, "{sheaf:?}");
            self.letters = letters;
            return there.len();
        }
        // No one says which of them is refused, so no one knows what comes next.
        self.lose(sheaf.from);
        0
    }

    fn check_pins(&self) {
        for (&page, &(_, word)) in &self.pins {
            assert_eq!(self.look(page), (Some(Rights::Write), word), "page {page}");
        }
    }

    fn look(&self, page: PageIndex) -> (Option<Rights>, u64) {
        self.memory.inspect(page, |rights, bytes| {
            let word = bytes.first_chunk().copied().unwrap_or_default();
            (rights, u64::from_le_bytes(word))
        })
    }

    /// All that a peer could change, seen from outside.
    fn all(&self) -> (usize, Vec<(Option<Rights>, u64)>) {
        let pages = (0..u64::from(PAGES)).map(PageIndex);
        (self.ear.sent(), pages.map(|page| self.look(page)).collect())
    }
}
