//! One peer sends what it likes: no panic, nothing changed by what is refused, and no incoherence
//! of pages that the peer is neither home to nor requester of.

use std::collections::BTreeSet;
use std::num::NonZeroU8;

use giantvm_core::{NodeId, NodeSet, PageIndex, Version};
use giantvm_dsm::protocol::directory::{Grant, Message, Source, Transaction};
use giantvm_dsm::protocol::{
    Access, CoherenceProtocol, Contents, Departing, Directory, HomeMap, Input, PageMessage, Rights,
    Setup, Tick,
};
use giantvm_dsm::testing::{Cluster, Config};
use proptest::prelude::*;

const NODES: usize = 4;
const PAGES: u64 = 8;
/// The last node: home to the last two pages.
const HOSTILE: usize = NODES - 1;

fn node(number: usize) -> NodeId {
    NodeId::try_from(number).unwrap()
}

fn access() -> impl Strategy<Value = Access> + Clone {
    prop::sample::select(vec![Access::Read, Access::Write])
}

fn page() -> impl Strategy<Value = PageIndex> {
    (0..=PAGES).prop_map(PageIndex)
}

fn nodes() -> impl Strategy<Value = NodeId> {
    (0..=NODES).prop_map(node)
}

fn version() -> impl Strategy<Value = Version> {
    (0..3_u64).prop_map(|number| Version::new(number).unwrap())
}

fn transaction() -> impl Strategy<Value = Transaction> {
    (0..4_u32).prop_map(Transaction)
}

/// Messages whose fields are near enough to real ones to be believed at times.
fn message() -> impl Strategy<Value = Message> {
    let source = prop_oneof![
        Just(Source::Zero),
        Just(Source::Held),
        Just(Source::Attached),
        nodes().prop_map(Source::Node),
    ];
    let rights = prop::sample::select(vec![Rights::Read, Rights::Write]);
    let grant = (
        transaction(),
        rights,
        version(),
        source,
        0..32_u64,
        any::<bool>(),
    )
        .prop_map(
            |(transaction, rights, version, source, awaited, calm)| Grant {
                transaction,
                rights,
                version,
                source,
                awaited: NodeSet::from_bits(awaited),
                calm,
            },
        );
    prop_oneof![
        (page(), access()).prop_map(|(page, access)| Message::Request { page, access }),
        (page(), grant).prop_map(|(page, grant)| Message::Grant { page, grant }),
        (page(), transaction(), version(), nodes(), access()).prop_map(
            |(page, transaction, version, requester, access)| Message::Fetch {
                page,
                transaction,
                version,
                requester,
                access,
            }
        ),
        (page(), transaction(), version(), nodes()).prop_map(
            |(page, transaction, version, requester)| Message::Invalidate {
                page,
                transaction,
                version,
                requester,
            }
        ),
        (page(), transaction())
            .prop_map(|(page, transaction)| Message::Acknowledge { page, transaction }),
        (page(), transaction(), version()).prop_map(|(page, transaction, version)| {
            Message::Data {
                page,
                transaction,
                version,
            }
        }),
        (page(), transaction()).prop_map(|(page, transaction)| Message::Done { page, transaction }),
        of_a_move(),
    ]
}

fn of_a_move() -> impl Strategy<Value = Message> {
    let rights = prop::sample::select(vec![Rights::Read, Rights::Write]);
    prop_oneof![
        (page(), transaction(), version()).prop_map(|(page, transaction, version)| {
            Message::Move {
                page,
                transaction,
                version,
            }
        }),
        (page(), nodes()).prop_map(|(page, to)| Message::Redirect { page, to }),
        page().prop_map(|page| Message::Yield { page }),
        page().prop_map(|page| Message::Recall { page }),
        page().prop_map(|page| Message::Hurry { page }),
        page().prop_map(|page| Message::Reclaim { page }),
        nodes().prop_map(|heir| Message::Heir { heir }),
        prop::sample::select(vec![Message::Leave, Message::Agree, Message::Back]),
        (page(), transaction(), version(), nodes(), rights).prop_map(
            |(page, transaction, version, owner, rights)| Message::Pass {
                page,
                transaction,
                version,
                owner,
                rights,
            }
        ),
    ]
}

fn contents() -> impl Strategy<Value = Option<Contents>> {
    let wrong = prop::sample::select(vec![Contents::Nothing, Contents::Page]);
    prop_oneof![9 => Just(None), 1 => wrong.prop_map(Some)]
}

fn departing() -> impl Strategy<Value = Departing> {
    prop_oneof![
        1 => (0..=NODES).prop_map(|heir| Departing::Begin { heir: node(heir) }),
        4 => (0..4_u32).prop_map(|pages| Departing::Continue { pages }),
        1 => Just(Departing::Return),
    ]
}

/// What may reach one node: anything from anyone, faults and time-outs in between.
fn input() -> impl Strategy<Value = Input<Message>> {
    prop_oneof![
        1 => (0..PAGES, access()).prop_map(|(page, access)| {
            let page = PageIndex(page);
            Input::Fault { page, access }
        }),
        1 => Just(Input::Timeout),
        1 => departing().prop_map(Input::Depart),
        4 => (0..=NODES, message(), contents()).prop_map(|(from, message, contents)| {
            let payload = contents.unwrap_or_else(|| message.contents());
            Input::Message { from: node(from), message, payload }
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_input_is_handled_or_refused_without_a_trace(
        inputs in prop::collection::vec(input(), 1..60),
        rest in 0..2_u64,
        moves in 0..3_u8,
    ) {
        let nodes = NodeSet::first(NODES);
        let homes = HomeMap::even(PAGES, nodes);
        let setup = Setup { local: node(0), nodes, pages: PAGES, homes };
        let mut directory = Directory::with_moves(setup, Tick(rest), NonZeroU8::new(moves));
        for (now, input) in (0..).zip(inputs) {
            let (before, mut commands) = (directory.clone(), Vec::new());
            if directory.handle(Tick(now), input, &mut commands).is_err() {
                prop_assert_eq!(&directory, &before);
                prop_assert!(commands.is_empty());
            }
            // At most one request a page, and one transaction a page whose home may be here.
            let homed = if moves == 0 { PAGES / NODES as u64 } else { PAGES };
            prop_assert!(directory.in_flight() as u64 <= PAGES + homed);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn correct_nodes_stay_coherent_next_to_a_hostile_one(
        messages in prop::collection::vec(
            (0..300_000_u64, 0..HOSTILE, message(), contents()), 1..300),
        may_request in any::<bool>(),
        sever in any::<bool>(),
        moves in 0..3_u8,
        seed in any::<u64>(),
    ) {
        let config = Config {
            nodes: NODES,
            pages: PAGES,
            seed,
            hostile: Some(node(HOSTILE)),
            sever,
            ..Config::default()
        };
        let make = |setup| Directory::with_moves(setup, Directory::REST, NonZeroU8::new(moves));
        let mut cluster = Cluster::with(config, &make);
        cluster.plan_random(20);
        // The hostile node is believed about pages it is home to, and about what it requests.
        let mut believed: BTreeSet<_> = (PAGES - 2..PAGES).map(PageIndex).collect();
        for (at, to, message, contents) in messages {
            if let Message::Request { page, .. } = message {
                if !may_request {
                    continue;
                }
                believed.insert(page);
            }
            let contents = contents.unwrap_or_else(|| message.contents());
            cluster.inject(Tick(at), node(to), message, contents);
        }
        believed.into_iter().for_each(|page| cluster.distrust(page));
        let run = cluster.run();
        prop_assert!(run.is_ok(), "{}", run.unwrap_err());
    }
}

#[test]
fn a_refused_message_costs_the_sender_its_link() {
    let config = Config {
        nodes: NODES,
        pages: PAGES,
        hostile: Some(node(HOSTILE)),
        ..Config::default()
    };
    let mut cluster = Cluster::<Directory>::new(config);
    let done = Message::Done {
        page: PageIndex(0),
        transaction: Transaction(1),
    };
    cluster.inject(Tick(10), node(0), done, done.contents());
    cluster.inject(Tick(20), node(0), done, done.contents());
    let report = cluster.run().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(report.violations.len(), 1);
    assert_eq!(report.violations[0].0, node(0));
    assert!(cluster.protocol(node(0)).is_halted());
    assert!(!cluster.protocol(node(1)).is_halted());
    assert_eq!(done.page(), PageIndex(0));
}
