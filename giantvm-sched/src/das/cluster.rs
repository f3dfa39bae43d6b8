//! Threads that belong together: greedy agglomeration along the heaviest edges.
//!
//! One thread alone may have nothing to gain from leaving its node while all of a group have. So
//! groups are found and weighed as one. The heaviest edge is taken first, as Kruskal's algorithm
//! does, and two groups become one unless that would not fit any node: `O(E log E)` for `E` edges.

use super::graph::Graph;

/// Groups of two threads at least and `most` at most, each in ascending order, by their heaviest
/// edges.
pub(super) fn clusters(graph: &Graph, most: usize) -> Vec<Vec<usize>> {
    let threads = graph.edges.iter().enumerate();
    let ends = threads.flat_map(|(a, edges)| edges.iter().map(move |&(b, w)| (w, a, b)));
    let mut edges: Vec<_> = ends.filter(|&(weight, a, b)| a < b && weight > 0).collect();
    edges.sort_unstable_by_key(|&(weight, a, b)| (std::cmp::Reverse(weight), a, b));
    let mut leader: Vec<usize> = (0..graph.edges.len()).collect();
    let mut members: Vec<Vec<usize>> = leader.iter().map(|&thread| vec![thread]).collect();
    for (_, a, b) in edges {
        let (a, b) = (leader[a].min(leader[b]), leader[a].max(leader[b]));
        if a != b && members[a].len() + members[b].len() <= most {
            let joined = std::mem::take(&mut members[b]);
            for &thread in &joined {
                leader[thread] = a;
            }
            members[a].extend(joined);
        }
    }
    members.retain(|members| members.len() > 1);
    for members in &mut members {
        members.sort_unstable();
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(threads: usize, edges: &[(usize, usize, i64)]) -> Graph {
        let mut graph = Graph {
            edges: vec![Vec::new(); threads],
            ..Graph::default()
        };
        for &(a, b, weight) in edges {
            graph.edges[a].push((b, weight));
            graph.edges[b].push((a, weight));
        }
        graph
    }

    #[test]
    fn heavy_edges_bind_and_light_ones_do_not_where_there_is_no_room() {
        let edges = [(0, 2, 90), (1, 3, 80), (0, 1, 5), (2, 3, 5), (4, 0, 1)];
        let graph = graph(6, &edges);
        assert_eq!(clusters(&graph, 2), [[0, 2], [1, 3]]);
        assert_eq!(clusters(&graph, 4), [[0, 1, 2, 3]]);
        assert_eq!(clusters(&graph, 5), [[0, 1, 2, 3, 4]]);
        assert_eq!(clusters(&graph, 1), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn a_chain_breaks_where_it_is_weakest() {
        let chain = graph(4, &[(0, 1, 9), (1, 2, 3), (2, 3, 9)]);
        assert_eq!(clusters(&chain, 3), [[0, 1], [2, 3]]);
    }
}
