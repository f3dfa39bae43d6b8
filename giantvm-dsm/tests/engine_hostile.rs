//! A peer that speaks nonsense loses its link, with a reason, and nothing else happens.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use bytes::Bytes;
use giantvm_core::testing::skip;
use giantvm_core::wire::{Body, Class, Frame, Limits, Service};
use giantvm_core::{Epoch, NodeId, PageIndex, PageSize, Stamp};
use giantvm_dsm::backing::BackingError;
use giantvm_dsm::engine::{Dsm, Handlers, Watcher};
use giantvm_dsm::protocol::directory::Message;
use giantvm_dsm::protocol::{Access, Directory, HomeMap, PageMessage};
use giantvm_dsm::sync::Lock;
use giantvm_dsm::uffd::Support;
use giantvm_dsm::view::Region;
use giantvm_transport::{Event, Loss, Transport, inproc};

const PAGES: u64 = 8;
const PATIENCE: Duration = Duration::from_secs(10);

struct Told(Sender<(NodeId, Loss)>);

impl Watcher for Told {
    fn lost(&self, node: NodeId, loss: &Loss) {
        self.0.send((node, loss.clone())).ok();
    }

    fn failed(&self, error: &BackingError) {
        panic!("the backing failed: {error}");
    }
}

/// A message as the first of its stream.
fn sealed(message: &Message) -> (u8, Body) {
    let (kind, body) = message.encode();
    (kind, body.with(&[0; 5]).unwrap())
}

fn request_body(number: u8) -> Body {
    let access = Access::Read;
    let page = PageIndex(1);
    let (_, body) = Message::Request { page, access }.encode();
    body.with(&[0, number, 0, 0, 0]).unwrap()
}

/// What node 1 has to say first: the terms that node 0 said to it.
fn agreement(peer: &dyn Transport) -> Frame {
    let mut said = None;
    peer.poll(&mut |event| match event {
        Event::Frame { frame, .. } => said = said.take().or(Some(frame)),
        Event::Lost { loss, .. } => panic!("{loss}"),
    });
    let from = peer.local();
    Frame {
        from,
        ..said.expect("a node says its terms before anything else")
    }
}

/// Sends one frame from node 1 to node 0, after its terms, and returns why node 0 ends the link.
fn refused(change: impl FnOnce(&mut Frame)) -> String {
    let limits = Limits::for_pages(PageSize::K4);
    let mut transports = inproc::cluster(2, Epoch::FIRST, limits).unwrap();
    let peer = transports.pop().unwrap();
    let (sender, told) = channel();
    let homes = HomeMap::even(PAGES, NodeId::first(2));
    let dsm = Dsm::start::<Directory>(
        transports.pop().unwrap(),
        Epoch::FIRST,
        PageSize::K4,
        homes,
        Handlers::default().watch(Arc::new(Told(sender))),
    )
    .unwrap();
    let own = Region::<Lock<u64>>::new(dsm.mapping(), PageIndex(0)).unwrap();
    *own.lock() = 7;

    let request = Message::Request {
        page: PageIndex(1),
        access: Access::Read,
    };
    let (kind, body) = sealed(&request);
    let mut frame = Frame {
        service: Service::Dsm,
        kind,
        from: peer.local(),
        epoch: Epoch::FIRST,
        stamp: Stamp::ZERO,
        body,
        payload: Bytes::new(),
    };
    change(&mut frame);
    peer.send(NodeId::ZERO, Class::Control, agreement(&*peer))
        .unwrap();
    peer.send(NodeId::ZERO, Class::Control, frame).unwrap();
    let (node, loss) = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(node, peer.local());
    assert_eq!(*own.lock(), 7, "what this node has, it keeps");
    drop(own);
    loss.to_string()
}

#[test]
fn each_kind_of_nonsense_has_its_reason() {
    if !Support::probe().missing() {
        return skip(
            "each_kind_of_nonsense_has_its_reason",
            "userfaultfd is not usable",
        );
    }
    let outside = Message::Request {
        page: PageIndex(99),
        access: Access::Write,
    };
    let elsewhere = Message::Request {
        page: PageIndex(7),
        access: Access::Write,
    };
    let page = |message: Message| move |frame: &mut Frame| frame.body = sealed(&message).1;
    assert!(refused(page(outside)).contains("outside the shared memory of 8 pages"));
    assert!(refused(page(elsewhere)).contains("does not concern this node"));
    assert!(refused(|f| f.kind = 200).contains("unknown message kind 200"));
    assert!(refused(|f| f.body = Body::EMPTY).contains("bytes, not 0"));
    let later = |f: &mut Frame| f.body = request_body(5);
    assert!(refused(later).contains("message 0 is missing"));
    assert!(refused(|f| f.epoch = Epoch(9)).contains("epoch 9"));
    let of_any_service = |service| {
        move |frame: &mut Frame| {
            frame.service = service;
            frame.kind = u8::MAX;
            frame.epoch = Epoch(9);
        }
    };
    for service in [Service::Dsm, Service::Io, Service::Machine] {
        assert!(refused(of_any_service(service)).contains("epoch 9"));
    }
    assert!(refused(|f| f.payload = Bytes::from_static(&[1])).contains("payload"));
    assert!(refused(|f| f.service = Service::Io).contains("no handler"));
}
