//! What is weighed is what happens.

use proptest::prelude::*;

use super::*;
use crate::das::graph::tests::made_of;
use crate::schedule::Nanos;

/// A processor's time, in ns a second.
const CPU: i64 = 1_000_000_000;

fn terrain(vcpus: &[usize]) -> Terrain {
    let mut machine = Machine::new(vcpus).unwrap();
    let nodes: Vec<_> = machine.nodes().collect();
    if let [a, b, .., c] = nodes[..] {
        machine.set_link(a, b, Nanos(10_000));
        machine.set_link(a, c, Nanos(50_000));
    }
    let capacities: Vec<_> = vcpus.iter().map(|&of| Capacity::of_vcpus(of)).collect();
    Terrain::new(&machine, &capacities, 50_000)
}

proptest! {
    #[test]
    fn a_gain_is_the_difference_of_what_is_lost(
        edges in prop::collection::vec((0..8_usize, 0..8_usize, 0..CPU), 0..20),
        pulls in prop::collection::vec((0..8_usize, 0..3_usize, 0..CPU), 0..8),
        placed in prop::collection::vec(0..3_usize, 8),
        demands in prop::collection::vec((0..1001_i64).prop_map(|milli| milli * 1_000_000), 8),
        shifts in prop::collection::btree_map(0..8_usize, 0..3_usize, 1..8),
        home in 0..8_usize, to in 0..3_usize,
    ) {
        let (terrain, graph) = (terrain(&[2, 1, 1]), made_of(8, 10, &edges, &pulls));
        let mut assignment = Assignment::new(&terrain, &graph, &demands, placed);
        let shifts: Vec<_> = shifts.into_iter().collect();
        let before = assignment.total();
        let weighed = assignment.weigh(&shifts).unwrap();
        prop_assert!(weighed.before >= 0 && weighed.after >= 0);
        assignment.apply(&shifts);
        prop_assert_eq!(before - assignment.total(), weighed.gain());
        if let Some(weighed) = (home < pulls.len()).then(|| assignment.weigh_home(home, to)).flatten() {
            let before = assignment.total();
            assignment.apply_home(home, to);
            prop_assert_eq!(before - assignment.total(), weighed.gain());
        }
    }
}

#[test]
fn threads_too_many_wait_and_more_so_where_many_do() {
    let terrain = terrain(&[2, 2]);
    let lost = |load| terrain.overload(0, load * CPU);
    assert_eq!([lost(1), lost(2)], [0, 0]);
    assert_eq!(lost(3), CPU + CPU / 8);
    assert!(lost(6) > 2 * lost(4), "it is fairer to share what is lost");
}

#[test]
fn far_nodes_lose_more_than_near_ones() {
    let (terrain, graph) = (terrain(&[2, 2, 2]), made_of(2, 10, &[(0, 1, 1000)], &[]));
    let demands = [0, 0];
    let near = Assignment::new(&terrain, &graph, &demands, vec![0, 1]).total();
    let far = Assignment::new(&terrain, &graph, &demands, vec![0, 2]).total();
    assert!(near < 1000 && far > 4 * near, "{near} {far}");
}

#[test]
fn a_full_node_takes_no_one_but_for_someone() {
    let mut terrain = terrain(&[2, 2]);
    terrain.capacities[1].threads = 1;
    terrain.capacities[1].groups = 0;
    let (graph, demands) = (made_of(3, 10, &[], &[(0, 0, 5)]), [0; 3]);
    let assignment = Assignment::new(&terrain, &graph, &demands, vec![0, 0, 1]);
    assert_eq!(assignment.weigh(&[(0, 1)]), None);
    assert!(assignment.weigh(&[(0, 1), (2, 0)]).is_some());
    assert_eq!(assignment.weigh_home(0, 1), None);
}

#[test]
fn a_move_costs_what_a_thread_has_fetched() {
    let (terrain, graph) = (terrain(&[2, 2]), made_of(1, 10, &[], &[]));
    let assignment = Assignment::new(&terrain, &graph, &[0], vec![0]);
    assert_eq!(
        assignment.weigh(&[(0, 1)]).unwrap().cost,
        50_000 + 10 * 20_000
    );
}
