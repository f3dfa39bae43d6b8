//! Who is made to answer for whose stall.

use giantvm_core::NodeId;
use proptest::prelude::*;

use super::*;
use crate::schedule::{Faults, Nanos};

const PAGES: u64 = 16;

fn faults(thread: u32, reads: u32, writes: u32, stall: u64) -> Faults {
    Faults {
        thread: ThreadId(thread),
        group: PageGroup(7),
        reads,
        writes,
        stall: Nanos(stall),
        home: NodeId::new(1).unwrap(),
    }
}

/// The graph after the same faults in every one of many periods of 100 ms.
fn graph(all: &[Faults]) -> Graph {
    let decay = Decay::new(4);
    let mut evidence = Evidence::new(decay, 1);
    for step in 0..100 {
        evidence.fade(step, |_| false);
        for faults in all {
            evidence.count(step, faults);
        }
    }
    let mut threads: Vec<_> = all.iter().map(|faults| faults.thread).collect();
    threads.dedup();
    Graph::new(&evidence, &threads, decay, 10, PAGES)
}

/// A graph of these edges, and of pulls as (thread, home's node, weight), each to a home of its own.
pub(in crate::das) fn made_of(
    threads: usize,
    warm: u64,
    edges: &[(usize, usize, i64)],
    pulls: &[(usize, usize, i64)],
) -> Graph {
    let mut graph = Graph {
        edges: vec![Vec::new(); threads],
        pulls: vec![Vec::new(); threads],
        homes: Vec::new(),
        warm: vec![warm; threads],
    };
    for &(a, b, weight) in edges.iter().filter(|(a, b, _)| a != b) {
        graph.edges[a].push((b, weight));
        graph.edges[b].push((a, weight));
    }
    for (index, &(thread, node, weight)) in pulls.iter().enumerate() {
        graph.pulls[thread].push((index, weight));
        graph.homes.push(Home {
            group: PageGroup(index as u64),
            node,
            pages: 16,
            movable: true,
            users: vec![(thread, weight)],
        });
    }
    graph
}

fn near(weight: i64, expected: i64) -> bool {
    (weight - expected).abs() <= expected / 100 + 100
}

#[test]
fn two_writers_answer_for_each_other() {
    let graph = graph(&[faults(0, 0, 10, 1_000_000), faults(1, 0, 10, 3_000_000)]);
    let [(1, weight)] = graph.edges[0][..] else {
        panic!("{:?}", graph.edges);
    };
    assert!(
        near(weight, 40_000_000),
        "{weight}: ten times 4 ms a second"
    );
    assert_eq!(graph.edges[1], [(0, weight)]);
    assert!(graph.homes.is_empty(), "nothing is left for the home");
}

#[test]
fn readers_wait_for_the_writer_and_not_for_one_another() {
    let graph = graph(&[
        faults(0, 10, 0, 1_000_000),
        faults(1, 10, 0, 1_000_000),
        faults(2, 0, 10, 2_000_000),
    ]);
    let ends = |thread: usize| -> Vec<_> { graph.edges[thread].iter().map(|e| e.0).collect() };
    assert_eq!(ends(0), [2]);
    assert_eq!(ends(1), [2]);
    assert_eq!(ends(2), [0, 1]);
    // 10 ms of its own, and half of the 20 ms that the writer waits for both.
    assert!(near(graph.edges[0][0].1, 20_000_000), "{graph:?}");
}

#[test]
fn what_no_other_user_explains_is_put_down_to_the_home() {
    let alone = graph(&[faults(0, 5, 5, 1_000_000)]);
    assert_eq!(alone.edges[0], []);
    let home = &alone.homes[0];
    assert_eq!(
        (home.group, home.node, home.pages),
        (PageGroup(7), 1, PAGES)
    );
    assert!(
        home.movable && near(home.users[0].1, 10_000_000),
        "{home:?}"
    );
    let readers = graph(&[faults(0, 5, 0, 1_000_000), faults(1, 5, 0, 1_000_000)]);
    assert_eq!(readers.edges, [[], []], "who only reads takes no page away");
    assert_eq!(readers.homes[0].users.len(), 2);
}

#[test]
fn only_the_hottest_users_are_paired() {
    let all: Vec<_> = (0..100)
        .map(|of| faults(of, 0, 10, 1_000_000 + u64::from(of)))
        .collect();
    let graph = graph(&all);
    let paired = graph.edges.iter().filter(|edges| !edges.is_empty()).count();
    assert_eq!(paired, MAX_SHARERS);
    assert!(
        graph.edges[..84].iter().all(Vec::is_empty),
        "the coldest are left out"
    );
}

proptest! {
    #[test]
    fn edges_have_two_ends_and_weights_are_bounded(
        all in prop::collection::vec((0..20_u32, any::<u32>(), any::<u32>(), any::<u64>()), 1..60),
    ) {
        let mut all: Vec<_> = all.into_iter().map(|(t, r, w, s)| faults(t, r, w, s)).collect();
        all.sort_by_key(|faults| faults.thread);
        let graph = graph(&all);
        for (a, edges) in graph.edges.iter().enumerate() {
            prop_assert!(edges.is_sorted_by_key(|edge| edge.0));
            for &(b, weight) in edges {
                prop_assert!(a != b && (0..=HEAVIEST).contains(&weight));
                prop_assert!(graph.edges[b].contains(&(a, weight)));
            }
        }
    }
}
