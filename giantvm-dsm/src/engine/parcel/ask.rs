//! What a node that asks for a page says of itself, and what is known of others by that.

use giantvm_core::{NodeId, PageIndex};

use super::digest::Digest;

/// How the page may be packed that answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ask {
    /// The requester holds these bytes until the page has come: a delta may be against them.
    pub base: Option<Digest>,
    /// The requester found its link so slow that compression pays.
    pub squeeze: bool,
}

impl Ask {
    /// The page as it is.
    pub(super) const NOTHING: Self = Self {
        base: None,
        squeeze: false,
    };
}

/// Places in the table: a power of two, some times the requests that wait on a node.
const PLACES: usize = 1024;

/// What requesters said that wait for an answer: a table of fixed size in which requests share
/// places. One that is lost is answered with the page as it is.
#[derive(Debug, Default)]
pub(super) struct Asks(Vec<Option<((PageIndex, NodeId), Ask)>>);

impl Asks {
    /// Notes what `node` said when it asked for `page`, in place of what it said before.
    pub(super) fn note(&mut self, page: PageIndex, node: NodeId, ask: Ask) {
        if ask == Ask::NOTHING {
            self.take(page, node);
            return;
        }
        self.0.resize(PLACES, None);
        if let Some(place) = self.0.get_mut(place_of(page, node)) {
            *place = Some(((page, node), ask));
        }
    }

    /// What `node` said, which is forgotten: a page answers one request.
    pub(super) fn take(&mut self, page: PageIndex, node: NodeId) -> Ask {
        let place = self.0.get_mut(place_of(page, node));
        let said = place.and_then(|place| place.take_if(|(of, _)| *of == (page, node)));
        said.map_or(Ask::NOTHING, |(_, ask)| ask)
    }
}

/// Neighbouring pages, and the nodes that ask for one, have places of their own.
fn place_of(page: PageIndex, node: NodeId) -> usize {
    let spread = page.0.wrapping_add(u64::from(node.get()) * 67);
    usize::try_from(spread % PLACES as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: PageIndex = PageIndex(3);

    fn ask(byte: u8) -> Ask {
        Ask {
            base: Some(Digest::of(&[byte])),
            squeeze: false,
        }
    }

    #[test]
    fn what_was_said_counts_once_and_for_who_said_it() {
        let (mut asks, one) = (Asks::default(), NodeId::new(1).unwrap());
        asks.note(PAGE, one, ask(1));
        assert_eq!(asks.take(PAGE, NodeId::ZERO), Ask::NOTHING);
        assert_eq!(asks.take(PageIndex(4), one), Ask::NOTHING);
        assert_eq!(asks.take(PAGE, one), ask(1));
        assert_eq!(asks.take(PAGE, one), Ask::NOTHING);
    }

    #[test]
    fn a_request_that_names_nothing_takes_back_what_the_one_before_it_named() {
        let mut asks = Asks::default();
        asks.note(PAGE, NodeId::ZERO, ask(1));
        asks.note(PAGE, NodeId::ZERO, Ask::NOTHING);
        assert_eq!(asks.take(PAGE, NodeId::ZERO), Ask::NOTHING);
    }

    #[test]
    fn a_page_in_the_same_place_is_not_taken_for_another() {
        let mut asks = Asks::default();
        let other = PageIndex(PAGE.0 + PLACES as u64);
        asks.note(PAGE, NodeId::ZERO, ask(1));
        assert_eq!(asks.take(other, NodeId::ZERO), Ask::NOTHING);
        asks.note(other, NodeId::ZERO, ask(2));
        assert_eq!(asks.take(PAGE, NodeId::ZERO), Ask::NOTHING, "it is lost");
    }
}
