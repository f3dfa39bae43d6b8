//! Nodes that leave a cluster whose memory is limited, in simulation: their heirs keep to their budgets.

use giantvm_core::{NodeId, PageIndex};
use giantvm_dsm::protocol::{CoherenceProtocol as _, Directory, HomeMap, Phase, Succession, Tick};
use giantvm_dsm::testing::{
    Afterwards, Chaos, Cluster, Config, Disturbances, Inspect, Roaming, Scenario,
};

const NODES: usize = 8;
/// Pages of memory that a node gives: twice as many for pages that it is home to as it is at first.
const MEMORY: u64 = 40;
const HOMED: u64 = 12;
const PAGES: u64 = HOMED * NODES as u64;
/// Pages that came last and wait for others to come, which never do.
const LAST: u64 = 4;
/// What each thread does.
const ACCESSES: usize = 200;
const SEEDS: u64 = 8;

fn node(number: usize) -> NodeId {
    NodeId::try_from(number).unwrap()
}

fn config(seed: u64) -> Config {
    Config {
        nodes: NODES,
        pages: PAGES,
        memory: Some(MEMORY),
        seed,
        ..Config::default()
    }
}

/// What the plan of a person says of the cluster before any node leaves.
fn succession() -> Succession {
    let budgets = NodeId::first(NODES).map(|node| (node, MEMORY));
    let homes = HomeMap::weighted(PAGES, budgets.clone()).unwrap();
    Succession::new(&homes, budgets.map(|(node, budget)| (node, Some(budget))))
}

/// Three nodes leave one after the other while all are full, each for the heir that it should have.
fn leave_one_after_the_other<P: Inspect>(seed: u64) -> u64 {
    let mut cluster = Cluster::<P>::new(config(seed));
    cluster.plan_random(ACCESSES);
    let mut succession = succession();
    for (leaver, at) in [(7, 200), (3, 3_000), (5, 6_000)] {
        let (leaver, heir) = (node(leaver), succession.heir(node(leaver)).unwrap());
        succession.inherit(leaver, heir);
        let then = Afterwards::Stop;
        let leave = Chaos::Leave {
            node: leaver,
            heir,
            then,
        };
        cluster.disturb(Tick(at * 1_000), leave);
    }
    let report = cluster.run().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(
        report.accesses,
        (NODES * 2 * ACCESSES) as u64,
        "seed {seed}"
    );
    let gone = |node: &NodeId| cluster.protocol(*node).departure().phase == Phase::Left;
    for node in NodeId::first(NODES).filter(|node| !gone(node)) {
        let resident = cluster.resident(node).unwrap();
        assert!(
            resident <= MEMORY + LAST,
            "seed {seed}: {resident} pages on {node}"
        );
        let unanswered = cluster.unanswered(node);
        assert_eq!(unanswered, Some(0), "seed {seed}: wishes of {node}");
    }
    report.departures
}

#[test]
fn heirs_that_have_room_are_within_their_budgets_when_all_is_quiet() {
    let mut departures = 0;
    for seed in 0..SEEDS {
        departures += leave_one_after_the_other::<Directory>(seed);
        departures += leave_one_after_the_other::<Roaming<2>>(seed);
    }
    assert!(departures >= 4 * SEEDS, "{departures}");
}

#[test]
fn an_heir_without_room_loses_nothing_and_keeps_no_one_waiting() {
    for seed in 0..SEEDS {
        // All that all others are home to comes to one, which has room for two of them.
        let mut scenario = Scenario::random(config(seed), 150, Disturbances::LIVELY);
        for leaver in 1..NODES {
            let then = if leaver % 2 == 0 {
                Afterwards::Stop
            } else {
                Afterwards::Return
            };
            let leave = Chaos::Leave {
                node: node(leaver),
                heir: NodeId::ZERO,
                then,
            };
            let at = Tick(1_500_000 * leaver as u64);
            scenario.chaos.push((at, leave));
        }
        let report = scenario.check::<Directory>();
        let report = report.unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(report.accesses, NODES as u64 * 2 * 150, "seed {seed}");
        let early = scenario.check::<Roaming<1>>();
        early.unwrap_or_else(|failure| panic!("{failure}"));
    }
}

#[test]
fn pages_that_were_inherited_come_home_to_the_heir_when_no_one_has_room() {
    let mut cluster = Cluster::<Directory>::new(config(1));
    let (leaver, heir) = (node(7), node(2));
    let then = Afterwards::Stop;
    let leave = Chaos::Leave {
        node: leaver,
        heir,
        then,
    };
    cluster.disturb(Tick(0), leave);
    cluster.plan_random(ACCESSES);
    cluster.run().unwrap_or_else(|failure| panic!("{failure}"));
    let inherited = PageIndex(PAGES - HOMED);
    for at in NodeId::first(NODES) {
        let runs = cluster.protocol(at).comes_home();
        let comes = runs.iter().any(|run| run.contains(inherited));
        assert_eq!(comes, at == heir, "node {at}");
    }
    assert_eq!(cluster.protocol(node(0)).handovers(), 1);
}
