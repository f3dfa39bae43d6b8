//! Nodes that would share memory on different terms do not share any.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bytes::Bytes;
use giantvm_core::testing::skip;
use giantvm_core::wire::{Body, Class, Frame, Limits, Service};
use giantvm_core::{Epoch, NodeId, PageIndex, PageSize, Stamp};
use giantvm_dsm::backing::BackingError;
use giantvm_dsm::engine::{Dsm, Handlers, Watcher};
use giantvm_dsm::protocol::{CoherenceProtocol, Directory, HomeMap, Ivy};
use giantvm_dsm::sync::Lock;
use giantvm_dsm::uffd::Support;
use giantvm_dsm::view::Region;
use giantvm_transport::inproc::{self, InprocTransport};
use giantvm_transport::{Loss, Transport as _};

const PATIENCE: Duration = Duration::from_secs(10);

struct Told(Sender<Loss>);

impl Watcher for Told {
    fn lost(&self, _: NodeId, loss: &Loss) {
        self.0.send(loss.clone()).ok();
    }

    fn failed(&self, error: &BackingError) {
        panic!("the backing failed: {error}");
    }
}

fn start<P: CoherenceProtocol>(
    transport: Arc<InprocTransport>,
    homes: HomeMap,
) -> (Dsm, Receiver<Loss>) {
    let (sender, told) = channel();
    let handlers = Handlers::default().watch(Arc::new(Told(sender)));
    let dsm = Dsm::start::<P>(transport, Epoch::FIRST, PageSize::K4, homes, handlers);
    (dsm.unwrap(), told)
}

fn ends() -> [Arc<InprocTransport>; 2] {
    let limits = Limits::for_pages(PageSize::K4);
    let ends = inproc::cluster(2, Epoch::FIRST, limits).unwrap();
    ends.try_into().unwrap()
}

/// What node 0, under the directory with `homes`, says of node 1, under `P` with `others`.
fn said_of<P: CoherenceProtocol>(homes: HomeMap, others: HomeMap) -> String {
    let [zero, one] = ends();
    // Node 0 first: it has to find the other's terms in its own time.
    let (_zero, told) = start::<Directory>(zero, homes);
    let (_one, _) = start::<P>(one, others);
    told.recv_timeout(PATIENCE).unwrap().to_string()
}

#[test]
fn nodes_of_different_terms_lose_one_another_at_once_and_are_told_why() {
    let test = "nodes_of_different_terms_lose_one_another_at_once_and_are_told_why";
    if !Support::probe().missing() {
        return skip(test, "userfaultfd is not usable");
    }
    let homes = |pages| HomeMap::even(pages, NodeId::first(2));
    let staying = said_of::<Directory>(homes(8), homes(8).staying());
    assert!(
        staying.contains("move here and stay on the peer"),
        "{staying}"
    );
    let pages = said_of::<Directory>(homes(8), homes(9));
    assert!(pages.contains("8 pages here and 9"), "{pages}");
    let alone = HomeMap::even(8, [NodeId::ZERO]);
    let elsewhere = said_of::<Directory>(homes(8), alone);
    assert!(elsewhere.contains("other homes"), "{elsewhere}");
    let protocol = said_of::<Ivy>(homes(8), homes(8));
    assert!(protocol.contains("different protocols"), "{protocol}");
}

#[test]
fn nodes_of_the_same_terms_share_memory() {
    if !Support::probe().missing() {
        return skip(
            "nodes_of_the_same_terms_share_memory",
            "userfaultfd is not usable",
        );
    }
    let nodes =
        ends().map(|end| start::<Directory>(end, HomeMap::even(8, [NodeId::ZERO]).staying()));
    for (turn, (dsm, told)) in nodes.iter().cycle().take(6).enumerate() {
        let counter = Region::<Lock<usize>>::new(dsm.mapping(), PageIndex(3)).unwrap();
        let mut counter = counter.lock();
        assert_eq!(*counter, turn);
        *counter += 1;
        assert!(told.try_recv().is_err());
    }
}

#[test]
fn a_node_that_asks_and_never_said_its_terms_is_lost() {
    let test = "a_node_that_asks_and_never_said_its_terms_is_lost";
    if !Support::probe().missing() {
        return skip(test, "userfaultfd is not usable");
    }
    let [zero, one] = ends();
    let homes = HomeMap::even(8, [NodeId::ZERO]);
    let (_zero, told) = start::<Directory>(zero, homes);
    // As a node would of another version, or another program.
    let frame = Frame {
        service: Service::Dsm,
        kind: 0,
        from: one.local(),
        epoch: Epoch::FIRST,
        stamp: Stamp::ZERO,
        body: Body::EMPTY,
        payload: Bytes::new(),
    };
    one.send(NodeId::ZERO, Class::Control, frame).unwrap();
    let loss = told.recv_timeout(PATIENCE).unwrap().to_string();
    assert!(loss.contains("did not say on what terms"), "{loss}");
}
