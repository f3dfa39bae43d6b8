//! How a home serves a request: the directory's transition table as one pure function.

use giantvm_core::{NodeId, NodeSet};

use super::message::Source;
use super::table::Sharing;
use crate::mutants::mutant;
use crate::protocol::{Access, Rights};

/// What serving one request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// What the requester gets.
    pub rights: Rights,
    /// Where its data comes from; never [`Source::Attached`], which is the home's own affair.
    pub source: Source,
    /// The nodes whose copies go, apart from the one that sends the data.
    pub invalidate: NodeSet,
    /// Who holds the page when all is done.
    pub after: Sharing,
}

/// The plan for a request of `requester`; `None` if it holds those rights already, so that no
/// correct node asks.
pub(super) fn plan(now: Sharing, requester: NodeId, access: Access) -> Option<Plan> {
    let exclusive = |source, invalidate| Plan {
        rights: Rights::Write,
        source,
        invalidate,
        after: Sharing::Exclusive { owner: requester },
    };
    match (now, access) {
        // Exclusive even for a read: the page is shared with no one, and the write that often
        // follows is then free.
        (Sharing::Untouched, _) => Some(exclusive(Source::Zero, NodeSet::EMPTY)),
        (Sharing::Exclusive { owner }, _) if mutant!(GrantsZeroesTwice) && owner != requester => {
            Some(exclusive(Source::Zero, NodeSet::EMPTY))
        }
        (Sharing::Shared { sharers, .. }, Access::Read) if sharers.contains(requester) => None,
        (Sharing::Exclusive { owner }, _) if owner == requester => None,
        (Sharing::Shared { owner, .. } | Sharing::Exclusive { owner }, Access::Read) => {
            Some(Plan {
                rights: Rights::Read,
                source: Source::Node(owner),
                invalidate: NodeSet::EMPTY,
                after: Sharing::Shared {
                    owner,
                    sharers: if mutant!(ForgetsAReader) {
                        now.holders()
                    } else {
                        now.holders().with(requester)
                    },
                },
            })
        }
        (Sharing::Shared { sharers, .. }, Access::Write) if sharers.contains(requester) => {
            Some(exclusive(Source::Held, sharers.without(requester)))
        }
        (Sharing::Shared { owner, .. } | Sharing::Exclusive { owner }, Access::Write) => {
            let others = now.holders().without(owner);
            Some(exclusive(Source::Node(owner), others))
        }
    }
}

/// What taking a page from a node that does not want it any more takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leave {
    /// Whether the home takes the page over, with its bytes.
    pub take: bool,
    /// Who holds the page when all is done.
    pub after: Sharing,
}

/// How `leaver` gives up its copy to `home`; `None` if it has none, or has the only one and is the
/// home itself, which has nowhere to put it.
pub(super) fn leave(now: Sharing, leaver: NodeId, home: NodeId) -> Option<Leave> {
    match now {
        Sharing::Shared { owner, sharers } if sharers.contains(leaver) => {
            let sharers = sharers.without(leaver);
            let heir = if sharers.contains(home) {
                Some(home)
            } else {
                sharers.iter().next()
            };
            let Some(heir) = heir else {
                return leave(Sharing::Exclusive { owner: leaver }, leaver, home);
            };
            let leaves = owner == leaver && !mutant!(KeepsTheLeaverAsOwner);
            let owner = if leaves { heir } else { owner };
            let after = Sharing::Shared { owner, sharers };
            Some(Leave { take: false, after })
        }
        Sharing::Exclusive { owner } if owner == leaver && leaver != home => Some(Leave {
            take: true,
            after: Sharing::Exclusive { owner: home },
        }),
        Sharing::Untouched | Sharing::Shared { .. } | Sharing::Exclusive { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u8) -> NodeId {
        NodeId::new(number).unwrap()
    }

    fn shared(owner: u8, sharers: &[u8]) -> Sharing {
        Sharing::Shared {
            owner: node(owner),
            sharers: sharers.iter().map(|&n| node(n)).collect(),
        }
    }

    fn row(now: Sharing, requester: u8, access: Access) -> Option<(Rights, Source, NodeSet)> {
        plan(now, node(requester), access).map(|plan| (plan.rights, plan.source, plan.invalidate))
    }

    #[test]
    fn every_row_of_the_table() {
        use Access::{Read, Write};
        let (none, exclusive) = (NodeSet::EMPTY, Sharing::Exclusive { owner: node(1) });
        let three = shared(1, &[1, 2, 3]);
        let from_one = Source::Node(node(1));
        for access in [Read, Write] {
            let zero = Some((Rights::Write, Source::Zero, none));
            assert_eq!(row(Sharing::Untouched, 4, access), zero);
            assert_eq!(row(exclusive, 1, access), None);
        }
        assert_eq!(
            row(exclusive, 4, Read),
            Some((Rights::Read, from_one, none))
        );
        assert_eq!(
            row(exclusive, 4, Write),
            Some((Rights::Write, from_one, none))
        );
        assert_eq!(row(three, 2, Read), None);
        assert_eq!(row(three, 4, Read), Some((Rights::Read, from_one, none)));
        let without = |nodes: &[u8]| nodes.iter().map(|&n| node(n)).collect::<NodeSet>();
        let upgrade = Some((Rights::Write, Source::Held, without(&[1, 3])));
        assert_eq!(row(three, 2, Write), upgrade);
        let take = Some((Rights::Write, from_one, without(&[2, 3])));
        assert_eq!(row(three, 4, Write), take);
    }

    #[test]
    fn a_copy_that_is_given_up_leaves_an_owner_behind() {
        let leaving = |now, leaver| {
            let plan = leave(now, node(leaver), node(0));
            plan.map(|plan| (plan.take, plan.after))
        };
        let left = |owner, sharers: &[u8]| Some((false, shared(owner, sharers)));
        assert_eq!(leaving(Sharing::Untouched, 1), None);
        assert_eq!(leaving(shared(1, &[1, 2, 3]), 2), left(1, &[1, 3]));
        assert_eq!(leaving(shared(1, &[1, 2, 3]), 1), left(2, &[2, 3]));
        assert_eq!(leaving(shared(1, &[0, 1, 2]), 1), left(0, &[0, 2]));
        assert_eq!(leaving(shared(0, &[0, 2]), 0), left(2, &[2]));
        assert_eq!(leaving(shared(1, &[1, 2]), 3), None);
        let owned = |owner| Sharing::Exclusive { owner: node(owner) };
        assert_eq!(leaving(owned(1), 1), Some((true, owned(0))));
        assert_eq!(leaving(shared(1, &[1]), 1), Some((true, owned(0))));
        assert_eq!(leaving(owned(0), 0), None);
        assert_eq!(leaving(owned(1), 2), None);
    }

    #[test]
    fn a_read_leaves_the_owner_and_a_write_moves_it() {
        let exclusive = Sharing::Exclusive { owner: node(1) };
        let after = |now, requester, access| plan(now, node(requester), access).unwrap().after;
        assert_eq!(after(exclusive, 2, Access::Read), shared(1, &[1, 2]));
        assert_eq!(
            after(shared(1, &[1, 2]), 0, Access::Read),
            shared(1, &[0, 1, 2])
        );
        let moved = Sharing::Exclusive { owner: node(2) };
        assert_eq!(after(shared(1, &[1, 2]), 2, Access::Write), moved);
    }
}
