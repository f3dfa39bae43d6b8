//! Which pages went from one node to another a moment ago.
//!
//! Whoever gets such a page is to say at once that it has it, as others will want it. Of other pages that
//! may wait ([`Command::Linger`](crate::protocol::Command::Linger)), and if someone asks meanwhile the home
//! says [`Hurry`](super::Message::Hurry): a message more, which pages that go to and fro are spared.

use giantvm_core::{NodeId, PageIndex};

use super::home::{Active, Serving};
use super::message::Message;
use super::{Directory, Out};
use crate::mutants::mutant;
use crate::protocol::{Attach, Phase, Tick};

/// How long a page counts as wanted by who had it, in nanoseconds: some times what it takes to go to and
/// fro over a network.
const WANTED: u64 = 1_000_000;
/// Most places of the table: a power of two.
const PLACES: u64 = 512;

/// A page, who was served last and when, and when another node was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    page: PageIndex,
    node: NodeId,
    at: Tick,
    other: Option<Tick>,
}

/// Who was served lately. Pages may share a place, and the last one has it: the other is taken for one
/// that nobody wants, which costs a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Calm(Vec<Option<Place>>);

impl Calm {
    pub(super) fn new(pages: u64) -> Self {
        let places = pages.clamp(1, PLACES).next_power_of_two();
        Self(vec![None; usize::try_from(places).unwrap_or(1)])
    }

    /// Notes that `node` is served at `now`. Whether no other was lately.
    pub(super) fn serves(&mut self, page: PageIndex, node: NodeId, now: Tick) -> bool {
        let at = usize::try_from(page.0).unwrap_or(0) & (self.0.len() - 1);
        let Some(place) = self.0.get_mut(at) else {
            return true;
        };
        let other = match *place {
            Some(last) if last.page != page => None,
            Some(last) if last.node != node => Some(last.at),
            Some(last) => last.other,
            None => None,
        };
        let other = other.filter(|then| now.0.saturating_sub(then.0) < WANTED);
        *place = Some(Place {
            page,
            node,
            at: now,
            other,
        });
        other.is_none()
    }
}

impl Directory {
    /// Whether `node`, which is being served and before no other, need not say at once that it is done. Nodes
    /// that leave wait for all that is not done.
    pub(super) fn is_calm(&mut self, page: PageIndex, node: NodeId) -> bool {
        let lately = !self.calm.serves(page, node, self.now);
        let leaves = self.exit.phase != Phase::Here
            || self.births.leaving().is_some()
            || !self.notices.is_empty()
            || self.pressed.contains(&page);
        !lately && !leaves && node != self.local
    }

    /// Asks the node that is being served to say at once that it is done, if it was told that it need not.
    pub(super) fn hurry_page(&mut self, page: PageIndex, out: &mut Out) {
        if let Some(active) = self.active.get_mut(&page)
            && std::mem::take(&mut active.calm)
            && let Serving::Access(node) = active.serving
            && !mutant!(HurriesNoOne)
        {
            self.send(node, Message::Hurry { page }, Attach::Nothing, out);
        }
    }

    /// Asks all of them.
    pub(super) fn hurry_all(&mut self, out: &mut Out) {
        let calm = |(&page, active): (&PageIndex, &Active)| active.calm.then_some(page);
        let calm: Vec<_> = self.active.iter().filter_map(calm).collect();
        calm.into_iter().for_each(|page| self.hurry_page(page, out));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: PageIndex = PageIndex(3);
    const OTHER: PageIndex = PageIndex(3 + PLACES);

    #[test]
    fn a_page_is_calm_unless_another_node_had_it_a_moment_ago() {
        let mut calm = Calm::new(10_000);
        let [a, b] = [0, 1].map(|node| NodeId::new(node).unwrap());
        assert!(calm.serves(PAGE, a, Tick(0)));
        assert!(calm.serves(PAGE, a, Tick(1)), "the same node");
        assert!(!calm.serves(PAGE, b, Tick(WANTED)));
        assert!(!calm.serves(PAGE, b, Tick(WANTED)), "again");
        assert!(calm.serves(PAGE, a, Tick(2 * WANTED)), "long after");
        assert!(calm.serves(OTHER, b, Tick(2 * WANTED)), "another page");
        assert!(
            calm.serves(PAGE, b, Tick(2 * WANTED)),
            "and forgotten by it"
        );
    }

    #[test]
    fn few_pages_take_few_places() {
        assert_eq!(Calm::new(0).0.len(), 1);
        assert_eq!(Calm::new(3).0.len(), 4);
        assert_eq!(Calm::new(1 << 40).0.len(), 512);
    }
}
