//! What has to come before what.

/// Why an edge is there; as [`Reason`](super::Reason), with an event's place for a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Program,
    Seen,
    Overwrote,
    Line,
    Outlived(u32),
}

/// The event at `from` has to come before that at `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edge {
    pub from: u32,
    pub to: u32,
    pub why: Why,
}

/// Edges, sorted by where they come from.
#[derive(Debug)]
pub(super) struct Graph {
    /// Where each node's edges start, and one more.
    starts: Vec<u32>,
    edges: Vec<Edge>,
}

impl Graph {
    pub(super) fn new(nodes: usize, edges: &[Edge]) -> Self {
        let mut starts = vec![0_u32; nodes + 2];
        for edge in edges {
            starts[edge.from as usize + 2] += 1;
        }
        for node in 2..starts.len() {
            starts[node] += starts[node - 1];
        }
        let mut sorted = edges.to_vec();
        for edge in edges {
            let place = &mut starts[edge.from as usize + 1];
            sorted[*place as usize] = *edge;
            *place += 1;
        }
        starts.pop();
        Self {
            starts,
            edges: sorted,
        }
    }

    pub(super) fn nodes(&self) -> usize {
        self.starts.len() - 1
    }

    /// The edges that leave a node.
    pub(super) fn from(&self, node: u32) -> &[Edge] {
        let node = node as usize;
        &self.edges[self.starts[node] as usize..self.starts[node + 1] as usize]
    }

    pub(super) fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// The nodes in an order that all edges agree with. With a cycle, those that come before all
    /// cycles only.
    pub(super) fn order(&self) -> Vec<u32> {
        let mut before = vec![0_u32; self.nodes()];
        for edge in &self.edges {
            before[edge.to as usize] += 1;
        }
        let free = (0_u32..).zip(&before).filter(|(_, before)| **before == 0);
        let mut order: Vec<u32> = free.map(|(node, _)| node).collect();
        let mut done = 0;
        while let Some(&node) = order.get(done) {
            done += 1;
            for edge in self.from(node) {
                let left = &mut before[edge.to as usize];
                *left -= 1;
                if *left == 0 {
                    order.push(edge.to);
                }
            }
        }
        order
    }
}
