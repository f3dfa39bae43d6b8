//! The Ivy protocol under contention and deaths, and in every state of small worlds. What all
//! protocols have in common is in `conformance.rs`.
//!
//! The numbers of states are pinned, so that a world that shrinks by mistake is noticed: after a
//! change of the protocol, look whether the new number makes sense.

use giantvm_core::NodeId;
use giantvm_dsm::protocol::{Ivy, Tick};
use giantvm_dsm::testing::model::{Budget, SmallWorld};
use giantvm_dsm::testing::{Cluster, Config};

mod simulated {
    use super::*;

    #[test]
    fn contended_pages_keep_every_invariant_whatever_the_rest() {
        for rest in [0, 1_000, 500_000] {
            for seed in 0..8 {
                let config = Config {
                    nodes: 8,
                    seed,
                    ..Config::default()
                };
                let mut cluster = Cluster::with(config, &|s| Ivy::with_rest(s, Tick(rest)));
                cluster.plan_random(20);
                let report = cluster.run().unwrap_or_else(|failure| panic!("{failure}"));
                assert_eq!(report.accesses, 8 * 2 * 20);
            }
        }
    }

    #[test]
    fn a_node_that_dies_takes_no_one_elses_correctness_with_it() {
        for seed in 0..100_u32 {
            let config = Config {
                nodes: 2 + seed as usize % 7,
                pages: 3,
                seed: seed.into(),
                ..Config::default()
            };
            let (last, nodes) = (NodeId::try_from(config.nodes - 1).unwrap(), config.nodes);
            let mut cluster = Cluster::<Ivy>::new(config);
            cluster.plan_random(30);
            cluster.kill(last, Tick(100_000 + 10_000 * u64::from(seed)));
            cluster.run().unwrap_or_else(|failure| panic!("{failure}"));
            let mut others = NodeId::first(nodes - 1);
            assert!(others.all(|node| cluster.protocol(node).is_halted()));
        }
    }
}

/// Explores a world, and gives the number of its states.
fn states(budgets: &[Budget], pages: u64, mortal: bool, rest: Tick) -> usize {
    let world = SmallWorld {
        budgets: budgets.to_vec(),
        pages,
        mortal,
    };
    let explored = world.explore_with(&|setup| Ivy::with_rest(setup, rest));
    explored.unwrap_or_else(|found| panic!("{found}")).states
}

mod exhaustive {
    use super::*;

    /// Any time will do: a state knows only whether a page rests, not for how long.
    const REST: Tick = Tick(1);
    const NO_REST: Tick = Tick(0);

    fn faults<const N: usize>(faults: [u8; N]) -> [Budget; N] {
        faults.map(Budget::faults)
    }

    #[test]
    fn two_nodes_keep_every_law_in_every_state() {
        assert_eq!(states(&faults([8, 8]), 1, false, REST), 33_121);
    }

    #[test]
    fn two_nodes_keep_every_law_when_no_page_rests() {
        assert_eq!(states(&faults([8, 8]), 1, false, NO_REST), 33_089);
    }

    #[test]
    fn three_nodes_keep_every_law_in_every_state() {
        assert_eq!(states(&faults([2, 3, 3]), 1, false, REST), 416_117);
    }

    #[test]
    fn three_nodes_keep_every_law_when_no_page_rests() {
        assert_eq!(states(&faults([2, 3, 2]), 1, false, NO_REST), 146_603);
    }

    #[test]
    fn four_nodes_keep_every_law_in_every_state() {
        assert_eq!(states(&faults([1, 1, 1, 2]), 1, false, NO_REST), 51_031);
    }

    #[test]
    fn copies_are_evicted_at_any_time_on_three_nodes() {
        let budget = Budget {
            evictions: 1,
            ..Budget::faults(2)
        };
        assert_eq!(states(&[budget; 3], 1, false, REST), 564_909);
    }

    #[test]
    fn a_pinned_page_stays_and_no_one_waits_for_ever() {
        let budget = Budget {
            pins: 1,
            evictions: 1,
            ..Budget::faults(3)
        };
        assert_eq!(states(&[budget; 2], 1, false, REST), 35_893);
    }

    #[test]
    fn three_nodes_show_no_wrong_data_wherever_one_dies_or_evicts() {
        let budget = Budget {
            evictions: 1,
            ..Budget::faults(1)
        };
        let two = Budget::faults(2);
        assert_eq!(states(&[budget, budget, two], 1, true, NO_REST), 96_355);
    }

    #[test]
    fn five_nodes_keep_every_law_in_every_state() {
        assert_eq!(states(&faults([1; 5]), 1, false, NO_REST), 256_923);
    }

    #[test]
    fn two_nodes_with_two_pages_keep_every_law() {
        assert_eq!(states(&faults([3; 2]), 2, false, NO_REST), 70_237);
    }
}
