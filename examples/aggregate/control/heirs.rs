//! Which node takes over the memory of one that leaves.

use std::sync::{MutexGuard, PoisonError};

use giantvm_core::{NodeId, PageSize};
use giantvm_dsm::protocol::{NoHeir, Room, Succession};
use giantvm_sched::Size;

use super::orders::Orders;

impl Orders {
    /// The node that takes over the memory of `from`: the one that was named, or that with the most room.
    pub(super) fn heir(&self, from: NodeId, named: Option<NodeId>) -> Result<NodeId, String> {
        let succession = self.succession();
        let heir = match named {
            Some(named) => succession.check(from, named).map(|()| named),
            None => succession.heir(from),
        };
        let size = self.spec.page_size();
        heir.map_err(|error| told(&error, self.name(from), size, |node| self.name(node)))
    }

    pub(super) fn succession(&self) -> MutexGuard<'_, Succession> {
        let succession = self.succession.lock();
        succession.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a node cannot leave, in the words of who gave the nodes their memory.
fn told<'a>(
    error: &NoHeir,
    leaver: &str,
    size: PageSize,
    name: impl Fn(NodeId) -> &'a str,
) -> String {
    let bytes = |pages: u64| Size(pages.saturating_mul(size.bytes() as u64));
    match error {
        NoHeir::Full { needed, rooms } => {
            let room = |&(node, room): &(NodeId, Room)| match room {
                Room::Pages(pages) => format!("node {} has {}", name(node), bytes(pages)),
                Room::Unlimited => format!("node {} has no limit", name(node)),
            };
            let rooms = match &rooms[..] {
                [] => String::from("there is no other"),
                rooms => rooms.iter().map(room).collect::<Vec<_>>().join(", "),
            };
            format!(
                "node {leaver} keeps its vCPUs and its memory: it is home to {}, for which one other node \
                 needs room beside its own pages and an eighth for copies, and {rooms}",
                bytes(*needed)
            )
        }
        NoHeir::Unfit(node) => format!(
            "node {} cannot take over the memory of node {leaver}: it has to be another, and never left",
            name(*node)
        ),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_what_is_needed_and_the_room_of_each_node() {
        let node = |number| NodeId::new(number).unwrap();
        let name = |node: NodeId| ["a", "b", "c"][node.index()];
        let why = |error| told(&error, "c", PageSize::K4, name);
        let rooms = vec![(node(0), Room::Pages(256)), (node(1), Room::Pages(3))];
        let full = why(NoHeir::Full { needed: 512, rooms });
        assert!(full.starts_with("node c keeps"), "{full}");
        assert!(full.contains("home to 2M"), "{full}");
        assert!(full.ends_with("node a has 1M, node b has 12K"), "{full}");
        let rooms = Vec::new();
        let alone = why(NoHeir::Full { needed: 1, rooms });
        assert!(alone.ends_with("there is no other"), "{alone}");
        let unfit = why(NoHeir::Unfit(node(1)));
        assert!(unfit.starts_with("node b cannot"), "{unfit}");
    }
}
