//! Protocols against a model of memory: a plain table of words, whatever is done in between.

use std::collections::BTreeMap;

use giantvm_core::{NodeId, PageIndex};
use giantvm_dsm::protocol::{Access, Directory, Ivy, Lease, Tick};
use giantvm_dsm::testing::{Chaos, Cluster, Config, Inspect, Op};
use proptest::prelude::*;
use proptest::test_runner::Config as Cases;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

const NODES: usize = 4;
const PAGES: u64 = 2;
const THREADS: usize = 2;

/// What may be done between two quiet times.
#[derive(Debug, Clone)]
enum Transition {
    /// Threads access words at once.
    Access(Vec<Op>),
    /// Something disturbs the cluster while they do.
    Disturb(Chaos, Vec<Op>),
}

/// How often each word was written: in whatever order that happens at once, this is certain.
type Model = BTreeMap<(PageIndex, usize), u64>;

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
        (node(), page()).prop_map(|(node, page)| Chaos::Evict { node, page }),
        (node(), page(), time()).prop_map(|(node, page, time)| Chaos::Pin { node, page, time }),
        (node(), node()).prop_map(|(from, to)| Chaos::Signal { from, to }),
        (node(), node()).prop_map(|(from, to)| Chaos::Reconnect { from, to }),
        (prop::collection::vec(node(), 1..3), time()).prop_map(|(side, time)| Chaos::Partition {
            side: side.into_iter().collect(),
            time,
        }),
    ]
}

impl ReferenceStateMachine for Memory {
    type State = Model;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<Model> {
        Just(Model::new()).boxed()
    }

    fn transitions(_: &Model) -> BoxedStrategy<Transition> {
        let ops = || prop::collection::vec(op(), 1..12);
        prop_oneof![
            ops().prop_map(Transition::Access),
            (chaos(), ops()).prop_map(|(chaos, ops)| Transition::Disturb(chaos, ops)),
        ]
        .boxed()
    }

    fn apply(mut state: Model, transition: &Transition) -> Model {
        let (Transition::Access(ops) | Transition::Disturb(_, ops)) = transition;
        for op in ops.iter().filter(|op| op.access == Access::Write) {
            *state.entry((op.page, op.word)).or_default() += 1;
        }
        state
    }
}

struct Simulated<P: Inspect> {
    cluster: Cluster<P>,
    accesses: u64,
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
        }
    }

    fn apply(mut state: Self, model: &Model, transition: Transition) -> Self {
        let (Transition::Access(ops) | Transition::Disturb(_, ops)) = &transition;
        if let Transition::Disturb(chaos, _) = &transition {
            state.cluster.disturb(Tick(0), *chaos);
        }
        state.accesses += ops.len() as u64;
        state.cluster.plan(ops.iter().copied());
        let report = state.cluster.run().unwrap_or_else(|f| panic!("{f}"));
        assert_eq!(report.accesses, state.accesses, "every access is made");
        let writes: u64 = model.values().sum();
        assert_eq!(report.writes, writes, "every write counts once");
        state
    }
}

macro_rules! protocols {
    ($($test:ident: $protocol:ty;)*) => {
        prop_state_machine! {
            #![proptest_config(Cases { cases: 64, failure_persistence: None, ..Cases::default() })]
            $(#[test]
            fn $test(sequential 1..16 => Simulated<$protocol>);)*
        }
    };
}

protocols! {
    the_directory_is_memory_whatever_happens: Directory;
    ivy_is_memory_whatever_happens: Ivy;
    leases_are_memory_whatever_happens: Lease;
}
