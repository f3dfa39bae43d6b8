//! What simulated threads do: the patterns of access that tell protocols apart.

use giantvm_core::PageIndex;
use giantvm_dsm::protocol::Access::{self, Read, Write};
use giantvm_dsm::testing::{Config, Disturbances, Op, Scenario};

/// A pattern of access.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// What it is like.
    pub(crate) about: &'static str,
    pub(crate) scenario: Scenario,
}

impl Workload {
    /// Accesses that its threads are to make.
    pub(crate) fn planned(&self) -> u64 {
        self.scenario.ops.len() as u64
    }
}

/// All of them. Equal seeds give equal ones.
pub(crate) fn all(seed: u64) -> Vec<Workload> {
    let about = |name, about, scenario| Workload {
        name,
        about,
        scenario,
    };
    vec![
        about(
            "read-mostly",
            "node 0 writes four pages now and then, five nodes read them all the time",
            read_mostly(seed),
        ),
        about(
            "migratory",
            "each of four nodes reads and writes a page four times, then goes on to the next",
            migratory(seed),
        ),
        about(
            "ping-pong",
            "two nodes write one page that a third is home to",
            ping_pong(seed),
        ),
        about(
            "private",
            "each of four nodes uses pages of its own that its neighbour is home to",
            private(seed),
        ),
        about(
            "false sharing",
            "each of four nodes reads and writes its own word of one page",
            false_sharing(seed),
        ),
        about(
            "random",
            "two threads on each of eight nodes use 16 pages at random, one time in three to write",
            random(seed),
        ),
        about(
            "flag",
            "five nodes look at a flag again and again, node 0 sets it every now and then",
            flag(seed),
        ),
    ]
}

/// A scenario of one thread a node, without disturbances.
fn scenario(nodes: usize, pages: u64, seed: u64, ops: Vec<Op>) -> Scenario {
    let config = Config {
        nodes,
        pages,
        threads: 1,
        seed,
        ..Config::default()
    };
    Scenario {
        config,
        ops,
        chaos: Vec::new(),
    }
}

/// One access of a node's only thread.
const fn op(node: usize, access: Access, page: u64, word: usize) -> Op {
    Op {
        node,
        thread: 0,
        page: PageIndex(page),
        word,
        access,
    }
}

fn read_mostly(seed: u64) -> Scenario {
    // Pages 4 to 23 are there so that nodes 0 to 5 are home to four each.
    let (nodes, pages) = (6, 24);
    let shared = 8..12;
    let mut ops = Vec::new();
    for _ in 0..5 {
        ops.extend(shared.clone().map(|page| op(0, Write, page, 0)));
        // The writer's own work between the writes.
        ops.extend((0..60).map(|_| op(0, Read, 0, 0)));
    }
    for reader in 1..nodes {
        ops.extend((0..75).flat_map(|_| shared.clone().map(move |page| op(reader, Read, page, 0))));
    }
    scenario(nodes, pages, seed, ops)
}

fn migratory(seed: u64) -> Scenario {
    let (nodes, pages) = (4, 8);
    let mut ops = Vec::new();
    for node in 0..nodes {
        // Everyone starts elsewhere, so that pages go round and are rarely fought for.
        for visit in 0..5 * pages {
            let page = (visit + 2 * node as u64) % pages;
            ops.extend((0..4).flat_map(|_| [Read, Write].map(|access| op(node, access, page, 0))));
        }
    }
    scenario(nodes, pages, seed, ops)
}

fn ping_pong(seed: u64) -> Scenario {
    let ops = [0, 1].into_iter();
    let ops = ops.flat_map(|node| (0..300).map(move |_| op(node, Write, 2, 0)));
    scenario(3, 3, seed, ops.collect())
}

fn private(seed: u64) -> Scenario {
    let (nodes, each) = (4, 8);
    let mut ops = Vec::new();
    for node in 0..nodes {
        let first = ((node + 1) % nodes) as u64 * each;
        for _ in 0..10 {
            let pages = first..first + each;
            ops.extend(
                pages.flat_map(|page| [Write, Read].map(|access| op(node, access, page, 0))),
            );
        }
    }
    scenario(nodes, nodes as u64 * each, seed, ops)
}

fn false_sharing(seed: u64) -> Scenario {
    let nodes = 4;
    let turns =
        |node| (0..100).flat_map(move |_| [Read, Write].map(|access| op(node, access, 0, node)));
    scenario(nodes, 1, seed, (0..nodes).flat_map(turns).collect())
}

fn random(seed: u64) -> Scenario {
    let config = Config {
        nodes: 8,
        pages: 16,
        threads: 2,
        seed,
        ..Config::default()
    };
    Scenario {
        chaos: Vec::new(),
        ..Scenario::random(config, 100, Disturbances::default())
    }
}

fn flag(seed: u64) -> Scenario {
    let nodes = 6;
    let mut ops = Vec::new();
    for _ in 0..4 {
        ops.push(op(0, Write, 3, 0));
        ops.extend((0..200).map(|_| op(0, Write, 0, 0)));
    }
    for reader in 1..nodes {
        ops.extend((0..800).map(|_| op(reader, Read, 3, 0)));
    }
    scenario(nodes, nodes as u64, seed, ops)
}
