//! Nodes with less memory than there are pages, in the simulated cluster.

use giantvm_core::NodeId;
use giantvm_dsm::protocol::{CoherenceProtocol, Directory, Ivy, Lease};
use giantvm_dsm::testing::{Cluster, Config, Disturbances, Inspect, Report, Scenario};

const NODES: usize = 4;
/// Pages of memory that a node gives: eight for pages that it is home to.
const MEMORY: u64 = 24;
/// Pages that came last and wait for others to come, which never do.
const LAST: u64 = 4;

/// As many pages as the nodes have room for, so that all of them are full when every page is used.
fn full(seed: u64) -> Config {
    Config {
        nodes: NODES,
        pages: 8 * NODES as u64,
        memory: Some(MEMORY),
        seed,
        ..Config::default()
    }
}

/// Runs scenarios in which all nodes use all pages; what they came to together.
fn run<P: Inspect>(disturbances: Disturbances) -> Report {
    let mut sum = Report::default();
    for seed in 0..20 {
        let scenario = Scenario::random(full(seed), 150, disturbances);
        let report = scenario.check::<P>();
        let report = report.unwrap_or_else(|failure| panic!("{failure}"));
        if disturbances.kills == 0 {
            assert_eq!(report.accesses, NODES as u64 * 2 * 150, "seed {seed}");
        }
        sum.evictions += report.evictions;
        sum.second_chances += report.second_chances;
    }
    sum
}

fn laws_hold<P: Inspect>() {
    for disturbances in [
        Disturbances::default(),
        Disturbances::LIVELY,
        Disturbances::DEADLY,
    ] {
        let report = run::<P>(disturbances);
        let name = <P as CoherenceProtocol>::NAME;
        assert!(report.evictions > 0, "{name}: nothing left");
        assert!(report.second_chances > 0, "{name}: no one was spared");
    }
}

#[test]
fn nodes_that_are_all_full_neither_wait_for_one_another_nor_lose_a_byte() {
    laws_hold::<Directory>();
}

#[test]
fn nodes_that_are_all_full_keep_the_laws_under_ivy() {
    laws_hold::<Ivy>();
}

#[test]
fn nodes_that_are_all_full_keep_the_laws_under_leases() {
    laws_hold::<Lease>();
}

fn nodes_fit<P: Inspect>() {
    for seed in 0..20 {
        let mut cluster = Cluster::<P>::new(full(seed));
        cluster.plan_random(300);
        cluster.run().unwrap_or_else(|failure| panic!("{failure}"));
        for node in NodeId::first(NODES) {
            let resident = cluster.resident(node).unwrap();
            assert!(
                resident <= MEMORY + LAST,
                "seed {seed}: {resident} pages on {node}"
            );
        }
    }
}

#[test]
fn when_all_is_quiet_every_node_is_within_its_budget() {
    nodes_fit::<Directory>();
    nodes_fit::<Lease>();
}

#[test]
fn a_working_set_inside_the_budget_sends_the_same_messages_as_without_one() {
    for seed in 0..10 {
        let messages = |memory| {
            let config = Config {
                pages: 16,
                memory,
                ..full(seed)
            };
            let mut cluster = Cluster::<Directory>::new(config);
            cluster.plan_random(100);
            let report = cluster.run().unwrap_or_else(|failure| panic!("{failure}"));
            (report.messages, report.faults, report.evictions)
        };
        assert_eq!(messages(Some(40)), messages(None));
    }
}
