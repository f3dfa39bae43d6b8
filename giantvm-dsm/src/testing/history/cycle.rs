//! The shortest cycle of a graph that has one.

use super::graph::{Edge, Graph};

/// Most edges that are looked at.
const BUDGET: usize = 20_000_000;

/// A shortest cycle through one of the nodes that the budget allows to start from, edge by edge.
pub(super) fn shortest(graph: &Graph) -> Vec<Edge> {
    let core = core(graph);
    let mut search = Search {
        graph,
        core: &core,
        reached: vec![None; graph.nodes()],
        left: BUDGET,
    };
    let mut best: Option<Vec<Edge>> = None;
    for node in (0..).take(graph.nodes()) {
        if !core[node as usize] {
            continue;
        }
        let longest = best.as_ref().map_or(usize::MAX, |best| best.len() - 1);
        best = search.through(node, longest).or(best);
        if best.is_some() && (search.left == 0 || longest < 2) {
            break;
        }
    }
    best.expect("the graph has a cycle")
}

/// The nodes that are on a cycle or between two.
fn core(graph: &Graph) -> Vec<bool> {
    let mut core = vec![true; graph.nodes()];
    for node in graph.order() {
        core[node as usize] = false;
    }
    let turn = |edge: &Edge| Edge {
        from: edge.to,
        to: edge.from,
        ..*edge
    };
    let turned: Vec<_> = graph.edges().iter().map(turn).collect();
    for node in Graph::new(graph.nodes(), &turned).order() {
        core[node as usize] = false;
    }
    core
}

struct Search<'a> {
    graph: &'a Graph,
    core: &'a [bool],
    /// By node: the edge by which this search came there. All `None` between searches.
    reached: Vec<Option<Edge>>,
    left: usize,
}

impl Search<'_> {
    /// A shortest cycle through `start` of at most `longest` edges. The first search of all is
    /// never cut short by the budget.
    fn through(&mut self, start: u32, longest: usize) -> Option<Vec<Edge>> {
        let bounded = longest < usize::MAX;
        let mut seen = vec![];
        let mut ring = vec![start];
        let mut found = false;
        'rings: for _ in 0..longest {
            let mut next = vec![];
            for edge in ring.iter().flat_map(|node| self.graph.from(*node)) {
                if bounded && self.left == 0 {
                    break 'rings;
                }
                self.left = self.left.saturating_sub(1);
                let came = &mut self.reached[edge.to as usize];
                if !self.core[edge.to as usize] || came.is_some() {
                    continue;
                }
                *came = Some(*edge);
                seen.push(edge.to);
                next.push(edge.to);
                if edge.to == start {
                    found = true;
                    break 'rings;
                }
            }
            if next.is_empty() {
                break;
            }
            ring = next;
        }
        let cycle = found.then(|| self.walk_back(start));
        for node in seen {
            self.reached[node as usize] = None;
        }
        cycle
    }

    fn walk_back(&self, start: u32) -> Vec<Edge> {
        let came = |node: u32| self.reached[node as usize].expect("a node of the way back");
        let mut cycle = vec![came(start)];
        while let Some(&first) = cycle.last()
            && first.from != start
        {
            cycle.push(came(first.from));
        }
        cycle.reverse();
        cycle
    }
}
