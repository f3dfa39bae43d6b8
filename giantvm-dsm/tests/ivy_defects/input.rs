//! What comes from a peer that is wrong, or gone.

use bytes::Bytes;
use giantvm_core::wire::{Body, DecodeError, Frame, Limits, Service};
use giantvm_core::{Epoch, NodeId, NodeSet, PageIndex, PageSize, Stamp};
use giantvm_dsm::backing::Fault;
use giantvm_dsm::backing::sim::{Attempt, SimBacking, SimMemory};
use giantvm_dsm::engine::{Driver, Refused};
use giantvm_dsm::protocol::ivy::{Source, Want};
use giantvm_dsm::protocol::{
    Access, CoherenceProtocol, HomeMap, Ivy, PageMessage, Setup, Violation, ivy,
};
use giantvm_dsm::testing::Adversary;
use giantvm_transport::inproc;

use super::support::{PAGE, node, request, set, token, version};

const PAGES: u64 = 4;

/// Node 0 of two, with simulated memory; page 0 is its own and written.
fn driver() -> (Driver<Ivy>, SimMemory) {
    let limits = Limits::for_pages(PageSize::K4);
    let mut transports = inproc::cluster(2, Epoch::FIRST, limits).unwrap();
    let nodes = NodeSet::first(2);
    let setup = Setup {
        local: NodeId::ZERO,
        nodes,
        pages: PAGES,
        homes: HomeMap::even(PAGES, nodes),
    };
    let backing = SimBacking::new(PageSize::K4, 4);
    let memory = backing.memory();
    let transport = transports.swap_remove(0);
    let mut driver = Driver::new(Ivy::new(setup), Box::new(backing), transport, Epoch::FIRST);
    let access = Access::Write;
    driver
        .fault(Fault {
            page: PAGE,
            access,
            thread: 0,
        })
        .unwrap();
    assert_eq!(memory.try_store(PAGE, 0, 7), Attempt::Done(0));
    (driver, memory)
}

/// A frame of node 1: the first of its stream.
fn frame(message: &ivy::Message, payload: usize) -> Frame {
    let (kind, body) = message.encode();
    Frame {
        service: Service::Dsm,
        kind,
        from: node(1),
        epoch: Epoch::FIRST,
        stamp: Stamp::ZERO,
        body: body.with(&[u8::from(payload > 0), 0, 0, 0, 0]).unwrap(),
        payload: Bytes::from(vec![0xee; payload]),
    }
}

#[test]
fn defect_10_what_is_not_a_page_long_is_refused_and_stored_nowhere() {
    let given = token(version(1), Source::Attached, set([1]));
    for got in [1, 4095, 4097, 65_536] {
        let (mut driver, memory) = driver();
        let refused = driver.frame(&frame(&given, got)).unwrap();
        let Err(Refused::Decode(DecodeError::PayloadLength { expected, .. })) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(expected, 4096);
        assert_eq!(memory.try_load(PAGE, 0), Attempt::Done(7));
    }
}

#[test]
fn defect_10_a_lost_peer_halts_the_protocol_and_leaves_the_memory_as_it_is() {
    let (mut driver, memory) = driver();
    driver.lost(node(1)).unwrap();
    // What it sent before is no longer believed, and what it would have to give never comes.
    let given = token(version(1), Source::Attached, set([1]));
    assert_eq!(driver.frame(&frame(&given, 4096)).unwrap(), Ok(()));
    let page = PageIndex(PAGES - 1);
    let access = Access::Read;
    driver
        .fault(Fault {
            page,
            access,
            thread: 0,
        })
        .unwrap();
    assert_eq!(memory.try_load(page, 0), Attempt::Faulted);
    assert_eq!(memory.try_load(PAGE, 0), Attempt::Done(7));
}

#[test]
fn defect_11_every_kind_of_garbage_is_an_error_by_name() {
    let asked = request(1, Want::Read);
    let refused = |change: &dyn Fn(&mut Frame)| {
        let (mut driver, memory) = driver();
        let mut frame = frame(&asked, 0);
        change(&mut frame);
        let refused = driver.frame(&frame).unwrap();
        assert_eq!(memory.try_load(PAGE, 0), Attempt::Done(7));
        refused.unwrap_err()
    };
    let bad = |at: usize, value: u8| {
        move |frame: &mut Frame| {
            let mut bytes = frame.body.as_slice().to_vec();
            bytes[at] = value;
            frame.body = Body::new(&bytes).unwrap();
        }
    };
    let decode = |refused| match refused {
        Refused::Decode(DecodeError::BadField { field, .. }) => field,
        other => panic!("{other}"),
    };
    assert_eq!(decode(refused(&bad(16, 200))), "requester");
    assert_eq!(decode(refused(&bad(17, 9))), "want");
    assert_eq!(decode(refused(&bad(8, 1))), "version");
    let kind = refused(&|frame| frame.kind = 77);
    assert!(matches!(
        kind,
        Refused::Decode(DecodeError::UnknownKind { kind: 77, .. })
    ));
    let short = refused(&|frame| frame.body = Body::EMPTY);
    assert!(matches!(
        short,
        Refused::Decode(DecodeError::BodyLength { .. })
    ));
    let outside = refused(&bad(0, 200));
    assert!(matches!(
        outside,
        Refused::Violation(Violation::NoSuchPage { .. })
    ));
    let stranger = refused(&bad(16, 9));
    assert!(matches!(
        stranger,
        Refused::Violation(Violation::Unexpected { .. })
    ));
    let invented = token(version(1), Source::Held, set([]));
    let (mut driver, _) = driver();
    let refused = driver.frame(&frame(&invented, 0)).unwrap();
    let Err(Refused::Violation(Violation::Unexpected { state, .. })) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(state, "Owner, writes");
}

#[test]
fn defect_11_a_refusal_changes_nothing_and_the_next_message_is_handled() {
    let adversary = Adversary::learn::<Ivy>().unwrap_or_else(|failure| panic!("{failure}"));
    let mut believed = 0;
    for seed in 0..300_u32 {
        let bytes: Vec<u8> = (0..1_500_u32)
            .map(|at| {
                at.wrapping_mul(2_654_435_761)
                    .wrapping_add(seed * 97)
                    .to_le_bytes()[2]
            })
            .collect();
        believed += adversary.assault::<Ivy>(&bytes).unwrap();
    }
    assert!(believed > 0, "some lies are not to be told from truth");
    let (mut driver, _) = driver();
    let page = PageIndex(99);
    let outside = ivy::Message::Invalidate {
        page,
        version: version(1),
    };
    driver.frame(&frame(&outside, 0)).unwrap().unwrap_err();
    let mut next = frame(&request(1, Want::Read), 0);
    let (_, body) = request(1, Want::Read).encode();
    next.body = body.with(&[0, 1, 0, 0, 0]).unwrap();
    assert_eq!(driver.frame(&next).unwrap(), Ok(()));
}
