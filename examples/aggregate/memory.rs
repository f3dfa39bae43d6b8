//! How much memory each node gives, and which pages it is home to because of that.

use anyhow::{anyhow, ensure};
use giantvm_core::NodeId;
use giantvm_dsm::engine::MemoryBudget;
use giantvm_dsm::protocol::{CapacityError, HomeMap, Succession};
use giantvm_sched::{ClusterSpec, Placement, Size};

/// The nodes' memory.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    /// Which node is home to which page.
    pub(crate) homes: HomeMap,
    /// What each node gives, in order; empty for as much as the guest's memory takes.
    budgets: Vec<Size>,
}

impl Memory {
    /// Plans with what `--node-memory` says: nothing, one size for every node, or one each.
    pub(crate) fn plan(
        sizes: &[Size],
        spec: &ClusterSpec,
        placement: &Placement,
    ) -> anyhow::Result<Self> {
        let count = spec.nodes().len();
        let budgets = match *sizes {
            [] => {
                let homes = HomeMap::new(placement.page_runs())?;
                let budgets = Vec::new();
                return Ok(Self { homes, budgets });
            }
            [each] => vec![each; count],
            _ => sizes.to_vec(),
        };
        ensure!(
            budgets.len() == count,
            "--node-memory names {} sizes for {count} nodes: name one for all, or one each",
            budgets.len()
        );
        let size = spec.page_size();
        let pages = size.pages_for(spec.memory());
        let given = budgets.iter().map(|&budget| in_bytes(budget).pages(size));
        let homes = HomeMap::weighted(pages, NodeId::first(count).zip(given));
        let told = |error: CapacityError| {
            let bytes = |pages: u64| Size(pages.saturating_mul(size.bytes() as u64));
            anyhow!(
                "the guest has {}, but the nodes give {}, of which only {} can hold guest memory: an \
                 eighth of each is for copies. Raise --node-memory, lower --memory, or add nodes.",
                Size(spec.memory()),
                bytes(error.given),
                bytes(error.room),
            )
        };
        let homes = homes.map_err(told)?;
        Ok(Self { homes, budgets })
    }

    /// What a node gives, if it has a limit.
    pub(crate) fn of(&self, node: NodeId) -> Option<MemoryBudget> {
        self.budgets.get(node.index()).copied().map(in_bytes)
    }

    /// Who is home to how much at first, and could be to more.
    pub(crate) fn succession(&self, spec: &ClusterSpec) -> Succession {
        let size = spec.page_size();
        let budget = |node| self.of(node).map(|budget| budget.pages(size));
        let nodes = NodeId::first(spec.nodes().len());
        Succession::new(&self.homes, nodes.map(|node| (node, budget(node))))
    }

    /// What all nodes have to agree on.
    pub(crate) fn settings(&self) -> String {
        let sizes = self.budgets.iter().map(Size::to_string);
        sizes.collect::<Vec<_>>().join(",")
    }
}

const fn in_bytes(size: Size) -> MemoryBudget {
    MemoryBudget(size.bytes())
}
