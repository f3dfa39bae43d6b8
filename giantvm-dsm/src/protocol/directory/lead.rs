//! Who writes a page most, in two bytes of its entry.

use std::num::NonZeroU8;

use giantvm_core::NodeId;

/// By how many writes one node is ahead of all others together.
///
/// Nodes that write by turns never get ahead, so that their page's home does not move to and fro.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lead {
    node: NodeId,
    by: u8,
}

impl Default for Lead {
    fn default() -> Self {
        Self {
            node: NodeId::ZERO,
            by: 0,
        }
    }
}

impl Lead {
    /// After one more node was allowed to write. No one gets further ahead than `most`: what a page
    /// was used for long ago does not count.
    #[must_use]
    pub(super) fn after(self, writer: NodeId, most: NonZeroU8) -> Self {
        let Self { node, by } = self;
        if by == 0 {
            Self {
                node: writer,
                by: 1,
            }
        } else if node == writer {
            let by = by.saturating_add(1).min(most.get());
            Self { node, by }
        } else {
            let by = by - 1;
            Self { node, by }
        }
    }

    /// Whether this node is ahead by so many writes.
    #[must_use]
    pub(super) fn is_of(self, node: NodeId, by: NonZeroU8) -> bool {
        self.node == node && self.by >= by.get()
    }

    /// In 14 bits.
    #[must_use]
    pub(super) fn pack(self) -> u16 {
        u16::from(self.node.get()) << 8 | u16::from(self.by)
    }

    #[must_use]
    pub(super) fn unpack(packed: u16) -> Self {
        let [by, node] = packed.to_le_bytes();
        Self {
            node: NodeId::new(node & 0x3f).unwrap_or(NodeId::ZERO),
            by,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(writers: &[u8]) -> Lead {
        let writers = writers.iter().map(|&n| NodeId::new(n).unwrap());
        let most = NonZeroU8::new(4).unwrap();
        writers.fold(Lead::default(), |lead, writer| lead.after(writer, most))
    }

    fn leads(writers: &[u8], node: u8, by: u8) -> bool {
        let by = NonZeroU8::new(by).unwrap();
        after(writers).is_of(NodeId::new(node).unwrap(), by)
    }

    #[test]
    fn who_writes_alone_gets_ahead() {
        assert!(!leads(&[2, 2, 2], 2, 4));
        assert!(leads(&[2, 2, 2, 2], 2, 4));
        assert!(!leads(&[2, 2, 2, 2], 1, 1));
    }

    #[test]
    fn nodes_that_write_by_turns_never_get_ahead() {
        for rounds in 1..20 {
            let turns = [1, 2].repeat(rounds);
            assert!(!leads(&turns, 1, 2) && !leads(&turns, 2, 2));
        }
        assert!(leads(&[1, 2, 1, 1, 2, 1, 1], 1, 3));
    }

    #[test]
    fn a_lead_is_bounded_so_that_a_new_writer_soon_has_it() {
        let mut writers = vec![1; 100];
        writers.extend([2; 8]);
        assert!(leads(&writers, 2, 4));
    }
}
