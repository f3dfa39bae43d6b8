//! Links that do not say that they cross no network.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use giantvm_core::wire::{Class, Frame};
use giantvm_core::{NodeId, NodeSet};
use giantvm_transport::inproc::InprocTransport;
use giantvm_transport::{Event, LogicalClock, Loss, SendError, Traffic, Transport};

/// An end whose peers seem to be on other hosts.
#[derive(Debug)]
pub(crate) struct Far(pub(crate) Arc<InprocTransport>);

impl Transport for Far {
    fn local(&self) -> NodeId {
        self.0.local()
    }

    fn peers(&self) -> NodeSet {
        self.0.peers()
    }

    fn clock(&self) -> &LogicalClock {
        self.0.clock()
    }

    fn send(&self, to: NodeId, class: Class, frame: Frame) -> Result<(), SendError> {
        self.0.send(to, class, frame)
    }

    fn poll(&self, sink: &mut dyn FnMut(Event)) -> usize {
        self.0.poll(sink)
    }

    fn ready(&self) -> BorrowedFd<'_> {
        self.0.ready()
    }

    fn traffic(&self) -> Traffic {
        self.0.traffic()
    }

    fn sever(&self, node: NodeId, loss: Loss) {
        self.0.sever(node, loss);
    }

    fn close(&self) {
        self.0.close();
    }
}
