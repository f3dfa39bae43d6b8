//! Protocols against a model of memory: a plain table of words, whatever is done in between.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use giantvm_core::{NodeId, PageIndex};
use giantvm_dsm::protocol::{Access, Directory, Ivy, Lease, Tick};
use giantvm_dsm::testing::{Afterwards, Chaos, Cluster, Config, Inspect, Op, Report};
use proptest::prelude::*;
use proptest::test_runner::Config as Cases;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

const NODES: usize = 4;
const PAGES: u64 = 2;
const THREADS: usize = 2;

/// What may be done between two quiet times.
#[derive(Debug, Clone)]
enum Transition {
    /// One thread accesses a word, and no one else does anything.
    Alone(Op),
    /// Threads access words at once, and something may disturb the cluster while they do.
    AtOnce(Option<Chaos>, Vec<Op>),
}

impl Transition {
    fn ops(&self) -> &[Op] {
        match self {
            Self::Alone(op) => std::slice::from_ref(op),
            Self::AtOnce(_, ops) => ops,
        }
    }
}

type Word = (PageIndex, usize);

/// Memory as a plain table. The kit numbers the values written, so that the table knows them.
#[derive(Debug, Clone, Default)]
struct Model {
    writes: u64,
    /// What each word may hold: more than one value where writes at once came in any order.
    words: BTreeMap<Word, RangeInclusive<u64>>,
}

struct Memory;

fn node() -> impl Strategy<Value = NodeId> {
    (0..NODES).prop_map(|number| NodeId::try_from(number).unwrap())
}

fn op() -> impl Strategy<Value = Op> {
    (0..NODES, 0..THREADS, 0..PAGES, 0..4_usize, any::<bool>()).prop_map(
        |(node, thread, page, word, write)| Op {
            node,
            thread,
            page: PageIndex(page),
            word,
            access: if write { Access::Write } else { Access::Read },
        },
    )
}

fn chaos() -> impl Strategy<Value = Chaos> {
    let page = || (0..PAGES).prop_map(PageIndex);
    let time = || (0..200_000_u64).prop_map(Tick);
    prop_oneof![
        3 => (node(), page()).prop_map(|(node, page)| Chaos::Evict { node, page }),
        2 => (node(), page(), time()).prop_map(|(node, page, time)| Chaos::Pin { node, page, time }),
        1 => (node(), node()).prop_map(|(node, heir)| {
            let then = Afterwards::Return;
            Chaos::Leave { node, heir, then }
        }),
        1 => (node(), node()).prop_map(|(from, to)| Chaos::Signal { from, to }),
        1 => (node(), node()).prop_map(|(from, to)| Chaos::Reconnect { from, to }),
        1 => (prop::collection::vec(node(), 1..3), time()).prop_map(|(side, time)| Chaos::Partition {
            side: side.into_iter().collect(),
            time,
        }),
    ]
}

impl ReferenceStateMachine for Memory {
    type State = Model;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<Model> {
        Just(Model::default()).boxed()
    }

    fn transitions(_: &Model) -> BoxedStrategy<Transition> {
        let ops = prop::collection::vec(op(), 0..12);
        prop_oneof![
            op().prop_map(Transition::Alone),
            (prop::option::of(chaos()), ops)
                .prop_map(|(chaos, ops)| Transition::AtOnce(chaos, ops)),
        ]
        .boxed()
    }

    fn apply(mut state: Model, transition: &Transition) -> Model {
        let is_write = |op: &&Op| op.access == Access::Write;
        let written = transition.ops().iter().filter(is_write);
        let first = state.writes + 1;
        state.writes += written.clone().count() as u64;
        for op in written {
            state.words.insert((op.page, op.word), first..=state.writes);
        }
        state
    }
}

struct Simulated<P: Inspect> {
    cluster: Cluster<P>,
    accesses: u64,
    /// What words were seen to hold, which they do until they are written.
    seen: BTreeMap<Word, u64>,
}

impl<P: Inspect> Simulated<P> {
    fn run(&mut self, ops: &[Op]) -> Report {
        self.cluster.plan(ops.iter().copied());
        self.accesses += ops.len() as u64;
        let report = self.cluster.run().unwrap_or_else(|f| panic!("{f}"));
        assert_eq!(report.accesses, self.accesses, "every access is made");
        report
    }

    /// One access. The cluster was quiet, so no copy is old: leases of old ones have run out.
    fn alone(&mut self, op: Op, model: &Model) {
        let value = self.run(&[op]).last.unwrap();
        let word = (op.page, op.word);
        let may = model.words.get(&word).cloned().unwrap_or(0..=0);
        assert!(may.contains(&value), "{op} = {value}, not in {may:?}");
        if op.access == Access::Write {
            self.seen.remove(&word);
        }
        let before = *self.seen.entry(word).or_insert(value);
        assert_eq!(value, before, "{op}: no one has written since");
    }
}

impl<P: Inspect> StateMachineTest for Simulated<P> {
    type SystemUnderTest = Self;
    type Reference = Memory;

    fn init_test(_: &Model) -> Self {
        let config = Config {
            nodes: NODES,
            pages: PAGES,
            threads: THREADS,
            ..Config::default()
        };
        Self {
            cluster: Cluster::new(config),
            accesses: 0,
            seen: BTreeMap::new(),
        }
    }

    fn apply(mut state: Self, model: &Model, transition: Transition) -> Self {
        match transition {
            Transition::Alone(op) => state.alone(op, model),
            Transition::AtOnce(chaos, ops) => {
                if let Some(chaos) = chaos {
                    state.cluster.disturb(Tick(0), chaos);
                }
                for op in ops.iter().filter(|op| op.access == Access::Write) {
                    state.seen.remove(&(op.page, op.word));
                }
                let writes = state.run(&ops).writes;
                assert_eq!(writes, model.writes, "every write counts once");
            }
        }
        state
    }
}

macro_rules! protocols {
    ($($test:ident: $protocol:ty;)*) => {
        prop_state_machine! {
            #![proptest_config(Cases { cases: 64, failure_persistence: None, ..Cases::default() })]
            $(#[test]
            fn $test(sequential 1..48 => Simulated<$protocol>);)*
        }
    };
}

protocols! {
    the_directory_is_memory_whatever_happens: Directory;
    ivy_is_memory_whatever_happens: Ivy;
    leases_are_memory_whatever_happens: Lease;
}
