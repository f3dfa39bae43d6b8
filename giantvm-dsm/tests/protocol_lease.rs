//! The lease protocol under contention and deaths, and in every state of small worlds. What all
//! protocols have in common is in `conformance.rs`.

use giantvm_core::NodeId;
use giantvm_dsm::protocol::{Lease, Setup, Tick};
use giantvm_dsm::testing::model::{Budget, SmallWorld};
use giantvm_dsm::testing::{Cluster, Config};

#[test]
fn contended_pages_keep_every_invariant_whatever_the_times() {
    for rest in [0, 1_000, 500_000] {
        for refresh in [1_000, 30_000, 500_000].map(|time| Some(Tick(time))) {
            for seed in 0..8 {
                let config = Config {
                    nodes: 8,
                    pages: 2,
                    seed,
                    ..Config::default()
                };
                let make = |setup| Lease::with_times(setup, Tick(rest), refresh);
                let mut cluster = Cluster::with(config, &make);
                cluster.plan_random(30);
                let report = cluster.run().unwrap_or_else(|failure| panic!("{failure}"));
                assert_eq!(report.accesses, 8 * 2 * 30);
            }
        }
    }
}

#[test]
fn a_node_that_dies_halts_all_others_and_no_one_shows_wrong_data() {
    for seed in 0..50_u32 {
        let nodes = 2 + seed as usize % 7;
        let config = Config {
            nodes,
            pages: 3,
            seed: seed.into(),
            ..Config::default()
        };
        let last = NodeId::try_from(nodes - 1).unwrap();
        let mut cluster = Cluster::<Lease>::new(config);
        cluster.plan_random(30);
        cluster.kill(last, Tick(100_000 + 10_000 * u64::from(seed)));
        cluster.run().unwrap_or_else(|failure| panic!("{failure}"));
        let mut others = NodeId::first(nodes - 1);
        assert!(others.all(|node| cluster.protocol(node).is_halted()));
    }
}

/// Every state of small worlds. The numbers of states are pinned, so that a world that shrinks by
/// mistake is noticed.
mod exhaustive {
    use super::*;

    /// Any times will do: a state knows only whether something is due, not for how long.
    const REST: Tick = Tick(1);
    const REFRESH: Option<Tick> = Some(Tick(2));

    fn states(
        budgets: &[Budget],
        pages: u64,
        mortal: bool,
        make: impl Fn(Setup) -> Lease,
    ) -> usize {
        let world = SmallWorld {
            budgets: budgets.to_vec(),
            pages,
            mortal,
        };
        let explored = world.explore_with(&make);
        explored.unwrap_or_else(|found| panic!("{found}")).states
    }

    fn lease(rest: Tick, refresh: Option<Tick>) -> impl Fn(Setup) -> Lease {
        move |setup| Lease::with_times(setup, rest, refresh)
    }

    #[test]
    fn two_nodes_keep_every_law_in_every_state() {
        let budgets = [6, 6].map(Budget::faults);
        assert_eq!(states(&budgets, 1, false, lease(REST, None)), 228_675);
    }

    #[test]
    fn three_nodes_keep_every_law_in_every_state() {
        let budgets = [2, 2, 2].map(Budget::faults);
        assert_eq!(states(&budgets, 1, false, lease(REST, None)), 146_611);
    }

    #[test]
    fn two_pages_move_the_clocks_of_two_nodes() {
        let budgets = [2, 3].map(Budget::faults);
        assert_eq!(states(&budgets, 2, false, lease(REST, None)), 51_471);
    }

    #[test]
    fn copies_are_evicted_and_clocks_pushed_at_any_time() {
        let budget = Budget {
            evictions: 1,
            signals: 1,
            ..Budget::faults(3)
        };
        assert_eq!(states(&[budget; 2], 1, false, lease(REST, None)), 271_331);
    }

    #[test]
    fn leases_are_refreshed_at_any_time() {
        let budget = Budget {
            timeouts: Some(2),
            ..Budget::faults(2)
        };
        assert_eq!(states(&[budget; 2], 1, false, lease(REST, REFRESH)), 1_577);
    }

    #[test]
    fn leases_are_refreshed_until_they_idle() {
        let budgets = [1, 1].map(Budget::faults);
        assert_eq!(states(&budgets, 1, false, lease(REST, REFRESH)), 153);
    }

    #[test]
    fn refreshes_race_with_faults_of_three_nodes() {
        let budget = Budget {
            timeouts: Some(1),
            ..Budget::faults(1)
        };
        assert_eq!(states(&[budget; 3], 1, false, lease(REST, REFRESH)), 1_261);
    }

    #[test]
    fn a_pinned_page_stays_and_no_one_waits_for_ever() {
        let budget = Budget {
            pins: 1,
            evictions: 1,
            ..Budget::faults(2)
        };
        assert_eq!(states(&[budget; 2], 1, false, lease(REST, None)), 23_869);
    }

    #[test]
    fn three_nodes_show_no_wrong_data_wherever_one_dies() {
        let budgets = [1, 1, 2].map(Budget::faults);
        assert_eq!(states(&budgets, 1, true, lease(REST, None)), 67_564);
    }
}
