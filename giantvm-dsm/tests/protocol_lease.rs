//! The lease protocol in the simulated cluster and in every state of small worlds.

use giantvm_core::NodeId;
use giantvm_dsm::protocol::{Lease, Setup, Tick};
use giantvm_dsm::testing::model::{Budget, SmallWorld};
use giantvm_dsm::testing::{Cluster, Config, Disturbances, Scenario};

fn config(seed: u64) -> Config {
    Config {
        nodes: 1 + seed as usize % 16,
        pages: [1, 2, 4, 16, 64][seed as usize % 5],
        threads: 1 + seed as usize % 3,
        seed,
        ..Config::default()
    }
}

fn check(seed: u64, disturbances: Disturbances) {
    let scenario = Scenario::random(config(seed), 30, disturbances);
    let run = scenario.check::<Lease>();
    run.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn two_hundred_seeds_of_one_to_sixteen_nodes_keep_every_invariant() {
    for seed in 0..200 {
        let config = config(seed);
        let count = config.nodes * config.threads * 30;
        let mut cluster = Cluster::<Lease>::new(config);
        cluster.plan_random(30);
        let report = cluster.run().unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(report.accesses, count as u64);
    }
}

#[test]
fn disturbances_of_every_kind_lose_nothing_and_heal() {
    (0..200).for_each(|seed| check(seed, Disturbances::LIVELY));
}

#[test]
fn a_death_among_disturbances_shows_no_wrong_data() {
    (0..200).for_each(|seed| check(seed, Disturbances::DEADLY));
}

#[test]
fn contended_pages_keep_every_invariant_whatever_the_times() {
    for rest in [0, 1_000, 500_000] {
        for refresh in [None, Some(Tick(1_000)), Some(Tick(30_000))] {
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
fn equal_seeds_give_equal_runs() {
    let trace = |seed| {
        let config = Config {
            nodes: 5,
            pages: 2,
            seed,
            ..Config::default()
        };
        let mut cluster = Cluster::<Lease>::new(config);
        cluster.plan_random(20);
        cluster.run().unwrap();
        cluster.trace()
    };
    assert_eq!(trace(1), trace(1));
    assert_ne!(trace(1), trace(2));
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
        assert_eq!(states(&budgets, 1, false, lease(REST, None)), 0);
    }

    #[test]
    fn three_nodes_keep_every_law_in_every_state() {
        let budgets = [2, 2, 2].map(Budget::faults);
        assert_eq!(states(&budgets, 1, false, lease(REST, None)), 0);
    }

    #[test]
    fn two_pages_move_the_clocks_of_two_nodes() {
        let budgets = [2, 3].map(Budget::faults);
        assert_eq!(states(&budgets, 2, false, lease(REST, None)), 0);
    }

    #[test]
    fn copies_are_evicted_and_clocks_pushed_at_any_time() {
        let budget = Budget {
            evictions: 1,
            signals: 1,
            ..Budget::faults(3)
        };
        assert_eq!(states(&[budget; 2], 1, false, lease(REST, None)), 0);
    }

    #[test]
    fn leases_are_refreshed_at_any_time() {
        let budget = Budget {
            timeouts: Some(2),
            ..Budget::faults(2)
        };
        assert_eq!(states(&[budget; 2], 1, false, lease(REST, REFRESH)), 0);
    }

    #[test]
    fn leases_are_refreshed_until_they_idle() {
        let budgets = [1, 1].map(Budget::faults);
        assert_eq!(states(&budgets, 1, false, lease(REST, REFRESH)), 0);
    }

    #[test]
    fn refreshes_race_with_faults_of_three_nodes() {
        let budget = Budget {
            timeouts: Some(1),
            ..Budget::faults(1)
        };
        assert_eq!(states(&[budget; 3], 1, false, lease(REST, REFRESH)), 0);
    }

    #[test]
    fn a_pinned_page_stays_and_no_one_waits_for_ever() {
        let budget = Budget {
            pins: 1,
            evictions: 1,
            ..Budget::faults(2)
        };
        assert_eq!(states(&[budget; 2], 1, false, lease(REST, None)), 0);
    }

    #[test]
    fn three_nodes_show_no_wrong_data_wherever_one_dies() {
        let budgets = [1, 1, 2].map(Budget::faults);
        assert_eq!(states(&budgets, 1, true, lease(REST, None)), 0);
    }
}

#[test]
fn quick() {
    use giantvm_dsm::testing::conformance::Suite;
    let start = std::time::Instant::now();
    let r = Suite::full().check::<Lease>(&mut |s| eprintln!("left: {s} {:?}", start.elapsed()));
    if let Err(e) = r {
        eprintln!("left: {e}");
    }
}
