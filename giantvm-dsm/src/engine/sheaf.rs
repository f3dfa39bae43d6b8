//! Letters without a payload that go to one node together, in one frame.
//!
//! A frame costs both ends some hundred nanoseconds, as much as what a request says. When pages are
//! asked for ahead of a thread, many requests go to one node at once, and later as many letters that say
//! that the pages are there. They are bound to a sheaf: a frame of a kind of its own, without a body, whose
//! payload has one letter after the other.
//!
//! ```text
//! kind   body length   body (with the letter's tag and number)      the next letter
//! u8     u8            0 to 40 bytes                                 ...
//! ```
//! A letter that goes alone is no sheaf. What a sheaf says is what its letters say one after the other,
//! so no protocol knows of it, and each keeps its number.

use bytes::Bytes;
use giantvm_core::wire::{Body, DecodeError, Frame, MAX_BODY};

use crate::mutants::mutant;
use crate::protocol::Tick;

/// The frame kind of a sheaf: the last but one, which no protocol uses.
pub(crate) const KIND: u8 = u8::MAX - 1;
/// Most letters of a sheaf. So the one that is handled last waits for few.
pub(crate) const MOST: usize = 32;
/// Bytes before a letter's body.
const HEAD: usize = 2;

/// Letters that are collected.
#[derive(Debug, Default)]
pub(super) struct Sheaf {
    first: Option<(u8, Body)>,
    count: usize,
    bytes: Vec<u8>,
    /// Until when all letters may wait for others; `None` if one may not.
    until: Option<Tick>,
}

impl Sheaf {
    /// Adds a letter, of which there must not be [`MOST`] already; `until` when it may wait, if it may.
    pub(super) fn add(&mut self, kind: u8, body: Body, until: Option<Tick>) {
        self.until = match self.until {
            _ if self.is_empty() => until,
            Some(first) => until.map(|until| until.min(first)),
            None => None,
        };
        let bytes = body.as_slice();
        let len = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
        if mutant!(SheafIsBackwards) {
            let letter = [kind, len].into_iter().chain(bytes.iter().copied());
            self.bytes.splice(..0, letter);
        } else {
            self.bytes.extend_from_slice(&[kind, len]);
            self.bytes.extend_from_slice(bytes);
        }
        self.first.get_or_insert((kind, body));
        self.count += 1;
    }

    /// Whether there is no letter.
    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether no more letters fit.
    pub(super) const fn is_full(&self) -> bool {
        self.count >= MOST
    }

    /// Lets no letter wait any longer.
    pub(super) const fn hurry(&mut self) {
        self.until = None;
    }

    /// Until when the letters may wait, if there are any and all of them may.
    pub(super) fn lingers(&self) -> Option<Tick> {
        self.until.filter(|_| !self.is_empty())
    }

    /// Takes the letters out: kind, body and payload of the frame that carries them.
    pub(super) fn bind(&mut self, payload: &mut Vec<u8>) -> Option<(u8, Body)> {
        let first = self.first.take()?;
        payload.clear();
        let alone = std::mem::take(&mut self.count) == 1;
        std::mem::swap(payload, &mut self.bytes);
        self.bytes.clear();
        if alone {
            payload.clear();
            return Some(first);
        }
        Some((KIND, Body::EMPTY))
    }
}

/// The letters of a sheaf, each as the frame that it would have gone in alone.
///
/// Total: all of the sheaf is looked at before there is a first letter.
///
/// # Errors
/// [`DecodeError`] if the frame is no sheaf of at most [`MOST`] letters.
pub(crate) fn untie(sheaf: &Frame) -> Result<impl Iterator<Item = Frame>, DecodeError> {
    let got = sheaf.body.as_slice().len();
    if got != 0 {
        return Err(DecodeError::BodyLength {
            service: sheaf.service,
            kind: sheaf.kind,
            expected: 0,
            got,
        });
    }
    let (mut rest, mut count) = (&sheaf.payload[..], 0_usize);
    while !rest.is_empty() {
        let (_, _, left) = split(rest).ok_or_else(|| bad("letters", rest.len()))?;
        (rest, count) = (left, count + 1);
        if count > MOST {
            return Err(bad("letters", count));
        }
    }
    if count < 2 {
        return Err(bad("letters", count));
    }
    let (mut rest, head) = (
        &sheaf.payload[..],
        Frame {
            payload: Bytes::new(),
            ..*sheaf
        },
    );
    Ok(std::iter::from_fn(move || {
        let (kind, body, left) = split(rest)?;
        rest = left;
        if mutant!(SheafLosesALetter) && rest.is_empty() {
            return None;
        }
        Some(Frame {
            kind,
            body,
            ..head.clone()
        })
    }))
}

/// The first letter, and the rest.
fn split(bytes: &[u8]) -> Option<(u8, Body, &[u8])> {
    let (&[kind, len], rest) = bytes.split_first_chunk::<HEAD>()?;
    let (body, rest) = rest.split_at_checked(len.into())?;
    Some((kind, Body::new(body).ok()?, rest))
}

const fn bad(field: &'static str, value: usize) -> DecodeError {
    DecodeError::BadField {
        field,
        value: value as u64,
    }
}

const _: () = assert!(MAX_BODY <= u8::MAX as usize);

#[cfg(test)]
mod tests {
    use giantvm_core::wire::Service;
    use giantvm_core::{Epoch, NodeId, Stamp};
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, body: Body, payload: Vec<u8>) -> Frame {
        Frame {
            service: Service::Dsm,
            kind,
            from: NodeId::new(3).unwrap(),
            epoch: Epoch(7),
            stamp: Stamp(9),
            body,
            payload: payload.into(),
        }
    }

    prop_compose! {
        fn letters()(
            letters in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..=MAX_BODY)), 1..=MOST)
        ) -> Vec<(u8, Body)> {
            letters.into_iter().map(|(kind, body)| (kind, Body::new(&body).unwrap())).collect()
        }
    }

    fn bind(sheaf: &mut Sheaf, letters: &[(u8, Body)]) -> Frame {
        for &(kind, body) in letters {
            assert!(!sheaf.is_full());
            sheaf.add(kind, body, None);
        }
        let mut payload = vec![1; 3];
        let (kind, body) = sheaf.bind(&mut payload).unwrap();
        assert_eq!(sheaf.bind(&mut Vec::new()), None);
        frame(kind, body, payload)
    }

    proptest! {
        #[test]
        fn letters_come_out_as_they_went_in(one in letters(), other in letters()) {
            let mut sheaf = Sheaf::default();
            for letters in [one, other] {
                let bound = bind(&mut sheaf, &letters);
                let alone = |&(kind, body): &(u8, Body)| frame(kind, body, Vec::new());
                if let [letter] = &letters[..] {
                    prop_assert_eq!(bound, alone(letter));
                    continue;
                }
                prop_assert_eq!(bound.kind, KIND);
                let untied: Vec<_> = untie(&bound).unwrap().collect();
                let expected: Vec<_> = letters.iter().map(alone).collect();
                prop_assert_eq!(untied, expected);
            }
        }

        #[test]
        fn any_bytes_are_some_letters_or_none(payload in prop::collection::vec(any::<u8>(), 0..2000)) {
            if let Ok(letters) = untie(&frame(KIND, Body::EMPTY, payload.clone())) {
                let letters: Vec<_> = letters.collect();
                prop_assert!((2..=MOST).contains(&letters.len()));
                let bytes = |letter: &Frame| HEAD + letter.body.as_slice().len();
                prop_assert_eq!(letters.iter().map(bytes).sum::<usize>(), payload.len());
            }
        }
    }

    #[test]
    fn a_sheaf_of_none_one_or_too_many_is_refused_and_so_are_pieces_and_bodies() {
        let refused = |body, payload| untie(&frame(KIND, body, payload)).map(|_| ()).unwrap_err();
        let letters = |count| [7, 1, 0].repeat(count);
        for count in [0, 1, MOST + 1] {
            assert_eq!(refused(Body::EMPTY, letters(count)), bad("letters", count));
        }
        let mut cut = letters(3);
        cut.pop();
        assert_eq!(refused(Body::EMPTY, cut), bad("letters", 2));
        let long = [&[7, 41][..], &[0; 41], &letters(2)].concat();
        assert_eq!(refused(Body::EMPTY, long), bad("letters", 43 + 6));
        assert!(matches!(
            refused(Body::new(&[1]).unwrap(), letters(2)),
            DecodeError::BodyLength { got: 1, .. }
        ));
    }
}
