//! What all nodes must have said the same of the memory that they share.
//!
//! A node that takes another for a page's home, or thinks that it stays where it moves, would answer
//! what nobody asked, late and in words that name no cause. So the first that a node says to each peer
//! is on what terms it shares memory, and who hears of others than its own ends the link. Nothing
//! waits for it: it is first in the class in which everything is asked for, and who asks without having
//! said its terms is refused, too.

use giantvm_core::PageSize;
use giantvm_core::wire::{Body, DecodeError, Frame, MAX_BODY};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::protocol::{CoherenceProtocol, HomeMap};

/// The frame kind of terms: the last but two, which no protocol uses.
pub(super) const KIND: u8 = u8::MAX - 2;
/// Bytes of the body: a hash of the protocol's name, the page size, the number of pages, whether
/// homes move, and a digest of the homes.
const BYTES: usize = 8 + 4 + 8 + 1 + 16;

/// The terms on which a node shares memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    protocol: u64,
    page_bytes: u32,
    pages: u64,
    moving: bool,
    homes: u128,
}

/// On which terms a peer shares its memory otherwise: the first that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TermsDiffer {
    /// Another coherence protocol.
    #[error("the nodes share memory under different protocols: give all of them the same")]
    Protocol,
    /// Pages of another size.
    #[error("pages have {here} bytes here and {there} on the peer")]
    PageSize {
        /// Bytes of a page here.
        here: u32,
        /// Bytes of a page on the peer.
        there: u32,
    },
    /// More or fewer pages.
    #[error("the shared memory has {here} pages here and {there} on the peer")]
    Pages {
        /// Pages here.
        here: u64,
        /// Pages on the peer.
        there: u64,
    },
    /// Homes that move on one node and stay on the other.
    #[error(
        "homes of pages {} here and {} on the peer: `HomeMap::staying` is for all nodes or none",
        does(*here),
        does(!*here)
    )]
    Moving {
        /// Whether they move here.
        here: bool,
    },
    /// Other homes.
    #[error("pages have other homes on the peer than here: give all nodes the same `HomeMap`")]
    Homes,
}

const fn does(moving: bool) -> &'static str {
    if moving { "move" } else { "stay" }
}

impl Terms {
    /// Those of a node with these arguments.
    pub(super) fn new<P: CoherenceProtocol>(size: PageSize, homes: &HomeMap) -> Self {
        let mut runs = Vec::new();
        for (run, home) in homes.runs() {
            runs.extend_from_slice(&run.end.0.to_le_bytes());
            runs.push(home.get());
        }
        Self {
            protocol: xxh3_64(P::NAME.as_bytes()),
            // The largest page has some megabytes.
            page_bytes: u32::try_from(size.bytes()).unwrap_or(u32::MAX),
            pages: homes.pages(),
            moving: homes.is_moving(),
            homes: xxh3_128(&runs),
        }
    }

    /// The body of the frame that says them.
    pub(super) fn body(&self) -> Body {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend_from_slice(&self.protocol.to_le_bytes());
        bytes.extend_from_slice(&self.page_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.pages.to_le_bytes());
        bytes.push(self.moving.into());
        bytes.extend_from_slice(&self.homes.to_le_bytes());
        // It fits: see below.
        Body::new(&bytes).unwrap_or(Body::EMPTY)
    }

    /// The terms in a frame of [`KIND`]. Total.
    ///
    /// # Errors
    /// [`DecodeError`] if there are none.
    pub(super) fn read(frame: &Frame) -> Result<Self, DecodeError> {
        let got = frame.body.as_slice().len() + frame.payload.len();
        let (service, kind) = (frame.service, frame.kind);
        let other = DecodeError::BodyLength {
            service,
            kind,
            expected: BYTES,
            got,
        };
        if got != BYTES {
            return Err(other);
        }
        let read = || {
            let (protocol, rest) = frame.body.as_slice().split_first_chunk()?;
            let (page_bytes, rest) = rest.split_first_chunk()?;
            let (pages, rest) = rest.split_first_chunk()?;
            let (&moving, rest) = rest.split_first()?;
            let (homes, _) = rest.split_first_chunk()?;
            let terms = Self {
                protocol: u64::from_le_bytes(*protocol),
                page_bytes: u32::from_le_bytes(*page_bytes),
                pages: u64::from_le_bytes(*pages),
                moving: moving == 1,
                homes: u128::from_le_bytes(*homes),
            };
            Some((terms, moving))
        };
        match read() {
            Some((terms, 0 | 1)) => Ok(terms),
            Some((_, moving)) => Err(DecodeError::BadField {
                field: "moving",
                value: moving.into(),
            }),
            None => Err(other),
        }
    }

    /// Whether a peer's are the same.
    ///
    /// # Errors
    /// [`TermsDiffer`] names what is not.
    pub(super) fn compare(&self, there: &Self) -> Result<(), TermsDiffer> {
        if self.protocol != there.protocol {
            return Err(TermsDiffer::Protocol);
        }
        if self.page_bytes != there.page_bytes {
            let (here, there) = (self.page_bytes, there.page_bytes);
            return Err(TermsDiffer::PageSize { here, there });
        }
        if self.pages != there.pages {
            let (here, there) = (self.pages, there.pages);
            return Err(TermsDiffer::Pages { here, there });
        }
        if self.moving != there.moving {
            return Err(TermsDiffer::Moving { here: self.moving });
        }
        if self.homes != there.homes {
            return Err(TermsDiffer::Homes);
        }
        Ok(())
    }
}

const _: () = assert!(BYTES <= MAX_BODY);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use giantvm_core::wire::Service;
    use giantvm_core::{Epoch, NodeId, Stamp};
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::{Directory, Lease};

    fn frame(body: Body) -> Frame {
        Frame {
            service: Service::Dsm,
            kind: KIND,
            from: NodeId::ZERO,
            epoch: Epoch::FIRST,
            stamp: Stamp::ZERO,
            body,
            payload: Bytes::new(),
        }
    }

    #[test]
    fn what_differs_is_named() {
        let terms = |homes: &HomeMap| Terms::new::<Directory>(PageSize::K4, homes);
        let homes = HomeMap::even(8, NodeId::first(2));
        let here = terms(&homes);
        let against = |there: Terms| here.compare(&there);
        assert_eq!(against(terms(&homes)), Ok(()));
        let staying = terms(&homes.clone().staying());
        assert_eq!(against(staying), Err(TermsDiffer::Moving { here: true }));
        let pages = terms(&HomeMap::even(9, NodeId::first(2)));
        let (more, fewer) = (against(pages), pages.compare(&here));
        assert_eq!(more, Err(TermsDiffer::Pages { here: 8, there: 9 }));
        assert_eq!(fewer, Err(TermsDiffer::Pages { here: 9, there: 8 }));
        let others = terms(&HomeMap::even(8, NodeId::first(3)));
        assert_eq!(against(others), Err(TermsDiffer::Homes));
        let lease = Terms::new::<Lease>(PageSize::K4, &homes);
        assert_eq!(against(lease), Err(TermsDiffer::Protocol));
        let mut large = here;
        large.page_bytes *= 2;
        assert!(matches!(
            against(large),
            Err(TermsDiffer::PageSize {
                here: 4096,
                there: 8192
            })
        ));
        let said = against(staying).unwrap_err().to_string();
        assert!(said.starts_with("homes of pages move here and stay on the peer"));
    }

    proptest! {
        #[test]
        fn terms_are_read_as_they_were_said(
            (protocol, page_bytes, pages, moving, homes) in any::<(u64, u32, u64, bool, u128)>()
        ) {
            let terms = Terms { protocol, page_bytes, pages, moving, homes };
            prop_assert_eq!(Terms::read(&frame(terms.body())), Ok(terms));
        }

        #[test]
        fn any_body_is_terms_in_their_one_form_or_refused(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..=MAX_BODY),
                prop::collection::vec(0..3_u8, BYTES),
            ]
        ) {
            let body = Body::new(&bytes).unwrap();
            if let Ok(terms) = Terms::read(&frame(body)) {
                prop_assert_eq!(terms.body(), body);
            }
        }
    }
}
