//! What waits in a driver that is fed by hand: for a pin, whatever a hostile peer says meanwhile, and
//! for the end of what came together.

use std::sync::Arc;

use bytes::Bytes;
use giantvm_core::wire::{Frame, Limits, Service};
use giantvm_core::{Epoch, MAX_NODES, NodeId, NodeSet, PageIndex, PageSize, Stamp};
use giantvm_dsm::backing::Fault;
use giantvm_dsm::backing::sim::SimBacking;
use giantvm_dsm::engine::{Driver, Refused};
use giantvm_dsm::protocol::directory::{Message, Transaction};
use giantvm_dsm::protocol::{Access, Directory, HomeMap, PageMessage, Setup, Tick};
use giantvm_transport::inproc::{self, InprocTransport};
use giantvm_transport::{Event, Transport};

const NODES: usize = 3;
const PAGE: PageIndex = PageIndex(0);

/// The driver of node 0, which has pinned its own page, and the ends of its peers.
fn pinned() -> (Driver<Directory>, Vec<Arc<InprocTransport>>) {
    let limits = Limits::for_pages(PageSize::K4);
    let mut ends = inproc::cluster(NODES, Epoch::FIRST, limits).unwrap();
    let (nodes, pages) = (NodeSet::first(NODES), NODES as u64);
    let setup = Setup {
        local: NodeId::ZERO,
        nodes,
        pages,
        homes: HomeMap::even(pages, nodes),
    };
    let protocol = Directory::with_rest(setup, Tick(0));
    let backing = Box::new(SimBacking::new(PageSize::K4, NODES));
    let mut driver = Driver::new(protocol, backing, ends.remove(0), Epoch::FIRST);
    let (page, access) = (PAGE, Access::Write);
    driver
        .fault(Fault {
            page,
            access,
            thread: 0,
        })
        .unwrap();
    assert!(driver.pin(PAGE).unwrap());
    (driver, ends)
}

fn frame(from: usize, number: u32, message: &Message) -> Frame {
    let (kind, body) = message.encode();
    let body = body.with(&[0]).unwrap();
    Frame {
        service: Service::Dsm,
        kind,
        from: NodeId::try_from(from).unwrap(),
        epoch: Epoch::FIRST,
        stamp: Stamp::ZERO,
        body: body.with(&number.to_le_bytes()).unwrap(),
        payload: Bytes::new(),
    }
}

const ASKS: Message = Message::Request {
    page: PAGE,
    access: Access::Read,
};
const LIES: Message = Message::Done {
    page: PAGE,
    transaction: Transaction(99),
};

fn frames(end: &InprocTransport) -> usize {
    let mut count = 0;
    end.poll(&mut |event| count += usize::from(matches!(event, Event::Frame { .. })));
    count
}

#[test]
fn a_lie_that_waits_for_a_pin_does_not_swallow_what_others_asked_for() {
    let (mut driver, ends) = pinned();
    for (from, number, message) in [(2, 0, LIES), (1, 0, ASKS), (2, 1, LIES)] {
        let told = driver.frame(&frame(from, number, &message)).unwrap();
        assert_eq!(told, Ok(()), "nobody looks at it before the pin goes");
    }
    assert_eq!(frames(&ends[0]), 0);
    let refusals = driver.unpin(PAGE).unwrap();
    let [(liar, Refused::Violation(_))] = refusals[..] else {
        panic!("{refusals:?}");
    };
    assert_eq!(liar.index(), 2, "once, whatever else it said");
    assert_eq!(frames(&ends[0]), 1, "node 1 has its answer");
}

#[test]
fn one_peer_cannot_let_more_wait_than_a_correct_one_has_to_say() {
    let (mut driver, ends) = pinned();
    let most = 2 * u32::try_from(MAX_NODES).unwrap();
    for number in 0..most {
        assert_eq!(driver.frame(&frame(2, number, &LIES)).unwrap(), Ok(()));
    }
    let told = driver.frame(&frame(2, most, &LIES)).unwrap();
    assert_eq!(told, Err(Refused::Crowd(PAGE)));
    assert_eq!(driver.frame(&frame(1, 0, &ASKS)).unwrap(), Ok(()));
    driver.lost(NodeId::try_from(2).unwrap()).unwrap();
    assert!(driver.unpin(PAGE).unwrap().is_empty(), "it is forgotten");
    assert_eq!(frames(&ends[0]), 0, "a node that lost a peer serves no one");
}

#[test]
fn what_came_together_is_done_before_anyone_acts_on_a_frame_of_another_service() {
    let (mut driver, ends) = pinned();
    assert!(driver.unpin(PAGE).unwrap().is_empty());
    let access = Access::Write;
    let wants = Message::Request { page: PAGE, access };
    assert_eq!(driver.take(&frame(1, 0, &wants)).unwrap(), Ok(()));
    assert_eq!(frames(&ends[0]), 0, "the page is not taken away yet");
    assert_eq!(driver.heard(Stamp::ZERO).unwrap(), Ok(()));
    assert_eq!(frames(&ends[0]), 1);
}

#[test]
fn a_page_counts_as_taken_away_once_it_is_and_not_while_it_waits_for_that() {
    let (mut driver, _ends) = pinned();
    assert!(driver.unpin(PAGE).unwrap().is_empty());
    let access = Access::Write;
    let wants = Message::Request { page: PAGE, access };
    let invalidations = |driver: &Driver<Directory>| {
        let stats = driver.stats();
        stats.lock().unwrap().invalidations
    };
    assert_eq!(driver.take(&frame(1, 0, &wants)).unwrap(), Ok(()));
    assert_eq!(invalidations(&driver), 0);
    driver.flush().unwrap();
    assert_eq!(invalidations(&driver), 1);
}
