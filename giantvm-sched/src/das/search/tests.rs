//! Which step is found, and that steps end.

use proptest::prelude::*;

use super::*;
use crate::das::cost::Terrain;
use crate::das::graph::tests::made_of;
use crate::schedule::{Capacity, Machine};

const CPU: i64 = 1_000_000_000;

/// A case: vCPUs of each node, where threads are, edges, and pulls as (thread, home's node, weight).
struct Case<'a> {
    vcpus: &'a [usize],
    placed: &'a [usize],
    edges: &'a [(usize, usize, i64)],
    pulls: &'a [(usize, usize, i64)],
    warm: u64,
}

impl Case<'_> {
    /// All steps that are taken, and what is lost before and after each.
    fn steps(&self, params: &Parameters) -> (Vec<Best>, Vec<i64>) {
        let threads = self.placed.len();
        let graph = made_of(threads, self.warm, self.edges, self.pulls);
        let machine = Machine::new(self.vcpus).unwrap();
        let capacities: Vec<_> = self
            .vcpus
            .iter()
            .map(|&of| Capacity::of_vcpus(of))
            .collect();
        let terrain = Terrain::new(&machine, &capacities, 50_000);
        let demands = vec![CPU; threads];
        let assignment = Assignment::new(&terrain, &graph, &demands, self.placed.to_vec());
        let mut lost = vec![assignment.total()];
        let mut search = Search::new(params, &graph, assignment, vec![false; threads], 4);
        let mut steps = Vec::new();
        while let Some(best) = search.step() {
            steps.push(best);
            lost.push(search.assignment().total());
            assert!(
                steps.len() <= 2 * threads + self.pulls.len(),
                "it does not end"
            );
        }
        (steps, lost)
    }

    fn first(&self) -> Option<(Action, Why)> {
        let steps = self.steps(&Parameters::default()).0;
        steps.into_iter().next().map(|best| (best.action, best.why))
    }
}

const BARE: Case<'_> = Case {
    vcpus: &[2, 2],
    placed: &[],
    edges: &[],
    pulls: &[],
    warm: 0,
};

#[test]
fn nothing_to_gain_means_no_step() {
    let placed = &[0, 0, 1, 1];
    assert_eq!(Case { placed, ..BARE }.first(), None);
    let edges = &[(0, 1, CPU)];
    assert_eq!(
        Case {
            placed,
            edges,
            ..BARE
        }
        .first(),
        None,
        "they are together"
    );
}

#[test]
fn too_many_on_a_node_spread() {
    let found = Case {
        placed: &[0, 0, 0],
        ..BARE
    }
    .first();
    assert_eq!(found, Some((Action::Threads(vec![(0, 1)]), Why::Balance)));
}

#[test]
fn sharers_come_together_by_changing_places_where_it_is_full() {
    let edges = &[(0, 2, CPU / 10), (1, 3, CPU / 10)];
    let found = Case {
        placed: &[0, 0, 1, 1],
        edges,
        ..BARE
    }
    .first();
    assert_eq!(
        found,
        Some((Action::Threads(vec![(0, 1), (3, 0)]), Why::Sharing))
    );
}

#[test]
fn a_group_leaves_as_one_where_no_member_would_alone() {
    let pairs = |first: usize| {
        (first..first + 4).flat_map(move |a| (a + 1..first + 4).map(move |b| (a, b)))
    };
    let edges: Vec<_> = pairs(0).chain(pairs(4)).map(|(a, b)| (a, b, CPU)).collect();
    let found = Case {
        vcpus: &[4, 4],
        placed: &[0; 8],
        edges: &edges,
        ..BARE
    }
    .first();
    let all = (0..4).map(|thread| (thread, 1)).collect();
    assert_eq!(found, Some((Action::Threads(all), Why::Balance)));
}

#[test]
fn large_groups_change_places_where_one_swap_gains_too_little() {
    // Two teams of four, half of each on each node: one swap saves a quarter of what its threads
    // wait for, and a margin of 60 % asks for more.
    let team = |odd: usize| (0..8).filter(move |of| of % 2 == odd);
    let pairs =
        |odd| team(odd).flat_map(move |a| team(odd).filter(move |&b| a < b).map(move |b| (a, b)));
    let edges: Vec<_> = pairs(0)
        .chain(pairs(1))
        .map(|(a, b)| (a, b, CPU / 10))
        .collect();
    let placed = &[0, 0, 0, 0, 1, 1, 1, 1];
    let params = Parameters {
        margin: 45,
        ..Parameters::default()
    };
    let case = Case {
        vcpus: &[4, 4],
        placed,
        edges: &edges,
        ..BARE
    };
    let (steps, lost) = case.steps(&params);
    assert_eq!(lost.last(), Some(&0));
    let Action::Threads(shifts) = &steps[0].action else {
        panic!("{steps:?}");
    };
    assert_eq!(shifts.len(), 4);
}

#[test]
fn a_thread_goes_to_its_pages_if_that_is_better_than_their_coming() {
    // Many groups on one node: one move of the thread does for all.
    let pulls: Vec<_> = (0..20).map(|_| (0, 1, CPU / 40)).collect();
    let many = Case {
        placed: &[0],
        pulls: &pulls,
        ..BARE
    };
    assert_eq!(
        many.first(),
        Some((Action::Threads(vec![(0, 1)]), Why::ToPages))
    );
    // One group, and no room where it is.
    let rest = Case {
        placed: &[0, 0, 1, 1],
        edges: &[(0, 1, CPU / 2)],
        pulls: &[(0, 1, CPU / 40)],
        ..BARE
    };
    assert_eq!(rest.first(), Some((Action::Home(0, 0), Why::ToThreads)));
}

#[test]
fn a_gain_that_does_not_pay_for_the_move_is_left() {
    let edges = &[(0, 1, CPU / 100)];
    let cheap = Case {
        placed: &[0, 1],
        edges,
        ..BARE
    };
    assert!(cheap.first().is_some());
    // 10 ms a second within a second, against 1000 pages of 20 us.
    let dear = Case {
        placed: &[0, 1],
        edges,
        warm: 1000,
        ..BARE
    };
    assert_eq!(dear.first(), None);
}

#[test]
fn a_thread_between_two_places_stays() {
    let edges = &[(0, 1, CPU / 10), (0, 2, CPU / 9)];
    let found = Case {
        vcpus: &[3, 1],
        placed: &[0, 0, 1],
        edges,
        ..BARE
    }
    .first();
    assert_eq!(found, Some((Action::Threads(vec![(2, 0)]), Why::Sharing)));
    let split = Case {
        vcpus: &[2, 2],
        placed: &[0, 0, 1, 1],
        edges: &[(0, 1, CPU / 10), (0, 2, CPU / 9)],
        ..BARE
    };
    assert_eq!(split.first(), None, "a tenth more is no reason");
}

proptest! {
    #[test]
    fn every_step_lessens_what_is_lost_by_what_it_says(
        edges in prop::collection::vec((0..10_usize, 0..10_usize, 0..CPU), 0..40),
        pulls in prop::collection::vec((0..10_usize, 0..3_usize, 0..CPU), 0..10),
        placed in prop::collection::vec(0..3_usize, 10),
        warm in 0..64_u64,
    ) {
        let params = Parameters::default();
        let case = Case { vcpus: &[4, 2, 2], placed: &placed, edges: &edges, pulls: &pulls, warm };
        let (steps, lost) = case.steps(&params);
        for (best, lost) in steps.iter().zip(lost.windows(2)) {
            prop_assert_eq!(lost[0] - lost[1], best.weighed.gain());
            prop_assert!(best.weighed.gain() >= params.least_gain.cast_signed());
        }
    }
}
