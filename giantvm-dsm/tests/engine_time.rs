//! What travels beside the shared memory: who acts on a frame lives no earlier than its sender.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use giantvm_core::testing::skip;
use giantvm_core::wire::{Class, Frame, Limits, Service};
use giantvm_core::{Epoch, NodeId, PageSize, Stamp};
use giantvm_dsm::backing::BackingError;
use giantvm_dsm::engine::{Dsm, FrameHandler, Handlers, Refusal, Watcher};
use giantvm_dsm::protocol::{Directory, HomeMap};
use giantvm_dsm::uffd::Support;
use giantvm_transport::{Loss, Transport, inproc};

const PATIENCE: Duration = Duration::from_secs(10);

/// Reports a node's time whenever the node acts on something.
struct Reporter {
    transport: Arc<dyn Transport>,
    times: Sender<Stamp>,
}

impl Reporter {
    fn report(&self) {
        self.times.send(self.transport.clock().now()).ok();
    }
}

impl FrameHandler for Reporter {
    fn frame(&self, _: &Frame) -> Result<(), Refusal> {
        self.report();
        Ok(())
    }
}

impl Watcher for Reporter {
    fn lost(&self, _: NodeId, _: &Loss) {
        self.report();
    }

    fn failed(&self, error: &BackingError) {
        panic!("the backing failed: {error}");
    }
}

#[test]
fn a_handler_acts_at_the_time_it_hears_of_and_a_stranger_changes_no_time() {
    if !Support::probe().missing() {
        return skip(
            "a_handler_acts_at_the_time_it_hears_of_and_a_stranger_changes_no_time",
            "userfaultfd is not usable",
        );
    }
    let limits = Limits::for_pages(PageSize::K4);
    let mut transports = inproc::cluster(2, Epoch::FIRST, limits).unwrap();
    let (peer, local) = (transports.remove(1), transports.remove(0));
    let (times, told) = channel();
    let transport: Arc<dyn Transport> = local.clone();
    let reporter = Arc::new(Reporter { transport, times });
    let _dsm = Dsm::start::<Directory>(
        local.clone(),
        Epoch::FIRST,
        PageSize::K4,
        HomeMap::even(2, NodeId::first(2)),
        [Service::Vcpu, Service::Io, Service::Machine]
            .into_iter()
            .fold(Handlers::default(), |handlers, service| {
                handlers.on(service, reporter.clone())
            })
            .watch(reporter.clone()),
    )
    .unwrap();
    let send = |service, epoch| {
        let frame = Frame::control(service, 1, peer.local(), epoch, &[]).unwrap();
        peer.send(NodeId::ZERO, Class::Control, frame).unwrap();
        told.recv_timeout(PATIENCE).unwrap()
    };
    for (time, service) in [
        (9, Service::Vcpu),
        (11, Service::Io),
        (12, Service::Machine),
    ] {
        peer.clock().advance(Stamp(time));
        assert_eq!(send(service, Epoch::FIRST), Stamp(time), "{service:?}");
    }
    peer.clock().advance(Stamp(40));
    assert_eq!(send(Service::Vcpu, Epoch(9)), Stamp(12), "another epoch");
}
