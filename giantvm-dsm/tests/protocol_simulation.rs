//! The directory protocol in the simulated cluster: many seeds, nodes and orders of events.

use giantvm_core::{NodeId, PageIndex};
use giantvm_dsm::protocol::{Access, Directory, Tick};
use giantvm_dsm::testing::{
    Cluster, Config, Disturbances, Failure, Inspect, Op, Report, Roaming, Scenario,
};
use proptest::prelude::*;

fn run(config: Config, ops: usize) -> Result<Report, Failure> {
    let mut cluster = Cluster::<Directory>::new(config);
    cluster.plan_random(ops);
    cluster.run()
}

#[test]
fn two_hundred_seeds_of_one_to_sixteen_nodes_keep_every_invariant() {
    for seed in 0..240_u32 {
        let nodes = 1 + seed as usize % 16;
        let config = Config {
            nodes,
            pages: u64::from(1 + seed / 16 % 4),
            threads: 1 + seed as usize % 3,
            seed: seed.into(),
            ..Config::default()
        };
        let threads = config.threads;
        let report = run(config, 10).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(report.accesses, (nodes * threads * 10) as u64);
    }
}

#[test]
fn contended_pages_keep_every_invariant_whatever_the_rest() {
    for rest in [0, 1_000, 500_000] {
        for seed in 0..8 {
            let config = Config {
                nodes: 8,
                seed,
                ..Config::default()
            };
            let make = |setup| Directory::with_rest(setup, Tick(rest));
            let mut cluster = Cluster::with(config, &make);
            cluster.plan_random(20);
            let report = cluster.run().unwrap_or_else(|failure| panic!("{failure}"));
            assert_eq!(report.accesses, 8 * 2 * 20);
        }
    }
}

#[test]
fn seeds_of_one_to_sixteen_nodes_keep_every_invariant_while_homes_move() {
    for seed in 0..160_u32 {
        let config = Config {
            nodes: 1 + seed as usize % 16,
            pages: u64::from(1 + seed / 16 % 4),
            threads: 1 + seed as usize % 3,
            seed: seed.into(),
            ..Config::default()
        };
        for disturbances in [Disturbances::LIVELY, Disturbances::DEADLY] {
            let scenario = Scenario::random(config.clone(), 20, disturbances);
            let early = scenario.check::<Roaming<1>>();
            early.unwrap_or_else(|failure| panic!("{failure}"));
            let later = scenario.check::<Roaming<2>>();
            later.unwrap_or_else(|failure| panic!("{failure}"));
        }
    }
}

/// Node 2 writes a page and node 1 reads it, by turns, so often; node 0 is its home at first.
fn one_writes_and_one_reads<P: Inspect>(rounds: usize) -> Report {
    let config = Config {
        nodes: 3,
        threads: 1,
        ..Config::default()
    };
    let mut cluster = Cluster::<P>::new(config);
    let mut total = Report::default();
    for _ in 0..rounds {
        for (node, access) in [(2, Access::Write), (1, Access::Read)] {
            let (thread, page, word) = (0, PageIndex(0), 0);
            cluster.plan([Op {
                node,
                thread,
                page,
                word,
                access,
            }]);
            total = cluster.run().unwrap_or_else(|failure| panic!("{failure}"));
        }
    }
    total
}

#[test]
fn a_page_that_one_node_writes_costs_half_the_messages_once_its_home_is_there() {
    let fixed = one_writes_and_one_reads::<Roaming<0>>(100);
    let moving = one_writes_and_one_reads::<Directory>(100);
    assert_eq!((fixed.faults, moving.faults), (200, 200));
    // A round takes Request, Invalidate, Grant, Acknowledge, Done, and Request, Fetch, Grant, Data,
    // Done; the first access, Request, Grant, Done.
    assert_eq!(fixed.messages, 3 + 5 + 99 * 10);
    // The eighth write moves the home, with Move and Done, and the read after it is sent on, with
    // Request and Redirect. Then: Invalidate, Acknowledge, and Request, Grant, Done.
    assert_eq!(Directory::MOVE_AFTER.get(), 8);
    assert_eq!(moving.messages, 3 + 5 + 6 * 10 + 5 + (2 + 5) + 92 * 5);
    assert!(moving.hops * 10 < fixed.hops * 9);
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
        let mut cluster = Cluster::<Directory>::new(config);
        cluster.plan_random(20);
        cluster.run().unwrap();
        cluster.trace()
    };
    assert_eq!(trace(1), trace(1));
    assert_ne!(trace(1), trace(2));
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
        let mut cluster = Cluster::<Directory>::new(config);
        cluster.plan_random(30);
        cluster.kill(last, Tick(100_000 + 10_000 * u64::from(seed)));
        cluster.run().unwrap_or_else(|failure| panic!("{failure}"));
        let mut others = NodeId::first(nodes - 1);
        assert!(others.all(|node| cluster.protocol(node).is_halted()));
    }
}

prop_compose! {
    fn op(nodes: usize)(
        node in 0..nodes,
        thread in 0..2_usize,
        page in 0..3_u64,
        word in 0..4_usize,
        write in any::<bool>(),
    ) -> Op {
        let access = if write { Access::Write } else { Access::Read };
        Op { node, thread, page: PageIndex(page), word, access }
    }
}

fn plans() -> impl Strategy<Value = (usize, Vec<Op>)> {
    (2..=8_usize).prop_flat_map(|nodes| (Just(nodes), prop::collection::vec(op(nodes), 1..80)))
}

proptest! {
    #[test]
    fn any_plan_of_accesses_completes((nodes, ops) in plans(), seed in any::<u64>()) {
        let config = Config { nodes, pages: 3, seed, ..Config::default() };
        let mut cluster = Cluster::<Directory>::new(config);
        let count = ops.len() as u64;
        cluster.plan(ops);
        let report = cluster.run();
        prop_assert_eq!(report.map(|report| report.accesses).map_err(|f| f.to_string()), Ok(count));
    }
}

fn check(seed: u32, disturbances: Disturbances) {
    let config = Config {
        nodes: 1 + seed as usize % 16,
        pages: [1, 2, 4, 16, 64][seed as usize % 5],
        threads: 1 + seed as usize % 3,
        seed: seed.into(),
        ..Config::default()
    };
    let scenario = Scenario::random(config, 30, disturbances);
    scenario
        .check::<Directory>()
        .unwrap_or_else(|failure| panic!("{failure}"));
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
fn nodes_leave_among_disturbances_and_are_stopped_or_come_back() {
    let (mut departures, mut accesses) = (0, 0);
    for seed in 0..240_u32 {
        let config = Config {
            nodes: 2 + seed as usize % 15,
            pages: [1, 2, 4, 16, 64][seed as usize % 5],
            threads: 1 + seed as usize % 3,
            seed: seed.into(),
            ..Config::default()
        };
        let threads = config.nodes * config.threads;
        let scenario = Scenario::random(config, 40, Disturbances::LEAVING);
        let runs = [
            scenario.check::<Roaming<1>>(),
            scenario.check::<Roaming<2>>(),
            scenario.check::<Directory>(),
        ];
        for report in runs {
            let report = report.unwrap_or_else(|failure| panic!("{failure}"));
            departures += report.departures;
            accesses += report.accesses;
            assert_eq!(report.accesses, threads as u64 * 40);
        }
    }
    assert!(departures > 500, "{departures} of {accesses} accesses");
}
