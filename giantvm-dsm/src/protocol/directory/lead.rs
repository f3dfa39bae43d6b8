//! How long a page's writer has been the only one, in six bits of its entry.

use std::num::NonZeroU8;

/// The longest lead that is told from longer ones.
pub(super) const LONGEST: u8 = 63;

/// How often in a row the node that owns a page was allowed to write it, while others read it at most.
///
/// Nodes that write by turns never get ahead, so that their page's home does not move to and fro.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Lead(u8);

impl Lead {
    /// After one more node was allowed to write, which was the owner `again`, or was not. A lead is no
    /// longer than `most`: what a page was used for long ago does not count.
    #[must_use]
    pub(super) fn after(self, again: bool, most: NonZeroU8) -> Self {
        let before = if again { self.0 } else { 0 };
        Self(before.saturating_add(1).min(most.get()).min(LONGEST))
    }

    /// Whether it is so long.
    #[must_use]
    pub(super) fn is(self, long: NonZeroU8) -> bool {
        self.0 >= long.get().min(LONGEST)
    }

    /// In 6 bits.
    #[must_use]
    pub(super) const fn pack(self) -> u8 {
        self.0
    }

    #[must_use]
    pub(super) const fn unpack(packed: u8) -> Self {
        Self(packed & LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: NonZeroU8 = NonZeroU8::new(4).unwrap();

    /// Whether the last of `writers` is ahead.
    fn leads(writers: &[u8]) -> bool {
        let (mut lead, mut owner) = (Lead::default(), None);
        for &writer in writers {
            lead = lead.after(owner == Some(writer), LONG);
            owner = Some(writer);
        }
        lead.is(LONG)
    }

    #[test]
    fn who_writes_alone_gets_ahead() {
        assert!(!leads(&[2, 2, 2]));
        assert!(leads(&[2, 2, 2, 2]));
        assert!(leads(&[1, 2, 2, 2, 2]));
    }

    #[test]
    fn nodes_that_write_by_turns_never_get_ahead() {
        for rounds in 1..20 {
            assert!(!leads(&[1, 2].repeat(rounds)));
            assert!(!leads(&[1, 1, 1, 2].repeat(rounds)));
        }
    }

    #[test]
    fn a_lead_that_no_six_bits_hold_is_as_long_as_they_can_say() {
        let mut lead = Lead::default();
        for _ in 0..1000 {
            lead = lead.after(true, NonZeroU8::MAX);
            assert_eq!(Lead::unpack(lead.pack()), lead);
        }
        assert!(lead.is(NonZeroU8::MAX));
    }
}
