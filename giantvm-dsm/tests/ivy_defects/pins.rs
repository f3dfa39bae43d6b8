//! Pages that a device works on.

use giantvm_core::{NodeId, PageIndex};
use giantvm_dsm::protocol::{Access, Ivy, Tick};
use giantvm_dsm::testing::model::{Budget, SmallWorld};
use giantvm_dsm::testing::{Chaos, Cluster, Config, Op};

/// When everything is done if node 0 writes a page, a device of it works on that until `until`,
/// and node 1 reads it after some accesses to a page of its own.
fn end(until: Option<Tick>) -> Tick {
    let config = Config {
        pages: 2,
        threads: 1,
        ..Config::default()
    };
    let mut cluster = Cluster::<Ivy>::new(config);
    let op = |node: usize, page, access| Op {
        node,
        thread: 0,
        page: PageIndex(page),
        word: 0,
        access,
    };
    cluster.plan([op(0, 0, Access::Write)]);
    cluster.plan((0..200).map(|_| op(1, 1, Access::Write)));
    cluster.plan([op(1, 0, Access::Read)]);
    if let Some(until) = until {
        let from = Tick(200_000);
        let pin = Chaos::Pin {
            node: NodeId::ZERO,
            page: PageIndex(0),
            time: Tick(until.0 - from.0),
        };
        cluster.disturb(from, pin);
    }
    let report = cluster.run().unwrap_or_else(|failure| panic!("{failure}"));
    report.end
}

#[test]
fn defect_2_a_remote_read_waits_for_the_end_of_a_write_pin() {
    let until = Tick(90_000_000);
    assert!(end(None) < until);
    assert!(end(Some(until)) > until);
}

#[test]
fn defect_3_no_order_of_pins_and_invalidations_takes_a_pinned_page() {
    let pinning = Budget {
        pins: 1,
        ..Budget::faults(2)
    };
    let world = SmallWorld {
        budgets: vec![pinning, pinning, Budget::faults(1)],
        pages: 1,
        mortal: false,
    };
    let explored = world.explore::<Ivy>();
    let explored = explored.unwrap_or_else(|found| panic!("{found}"));
    assert!(explored.states > 10_000, "{explored:?}");
}
