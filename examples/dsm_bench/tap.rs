//! A transport that tells of each coherence message that crosses it.

use std::fmt::Debug;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use giantvm_core::wire::{Class, Frame, Service};
use giantvm_core::{NodeId, NodeSet};
use giantvm_transport::{Event, LogicalClock, Loss, SendError, Traffic, Transport};

/// Who is told. Called by the threads that use the transport, so it must be quick.
pub(crate) trait Tap: Debug + Send + Sync {
    /// A message is about to be sent.
    fn sends(&self) {}

    /// It was.
    fn sent(&self) {}

    /// A message came.
    fn came(&self, frame: &Frame, clock: &LogicalClock);
}

/// The tapped transport.
#[derive(Debug)]
pub(crate) struct Tapped<T> {
    inner: Arc<dyn Transport>,
    pub(crate) tap: T,
}

impl<T: Tap> Tapped<T> {
    pub(crate) fn new(inner: Arc<dyn Transport>, tap: T) -> Self {
        Self { inner, tap }
    }

    fn telling<R>(&self, service: Service, send: impl FnOnce() -> R) -> R {
        if service != Service::Dsm {
            return send();
        }
        self.tap.sends();
        let sent = send();
        self.tap.sent();
        sent
    }

    fn hear(&self, event: &Event) {
        if let Event::Frame { frame, .. } = event
            && frame.service == Service::Dsm
        {
            self.tap.came(frame, self.clock());
        }
    }
}

impl<T: Tap> Transport for Tapped<T> {
    fn local(&self) -> NodeId {
        self.inner.local()
    }

    fn peers(&self) -> NodeSet {
        self.inner.peers()
    }

    fn near(&self) -> NodeSet {
        self.inner.near()
    }

    fn adjacent(&self) -> NodeSet {
        self.inner.adjacent()
    }

    fn clock(&self) -> &LogicalClock {
        self.inner.clock()
    }

    fn send(&self, to: NodeId, class: Class, frame: Frame) -> Result<(), SendError> {
        self.telling(frame.service, || self.inner.send(to, class, frame))
    }

    fn send_page(
        &self,
        to: NodeId,
        class: Class,
        frame: Frame,
        page: &[u8],
    ) -> Result<(), SendError> {
        self.telling(frame.service, || {
            self.inner.send_page(to, class, frame, page)
        })
    }

    fn post(&self, to: NodeId, class: Class, frame: Frame, page: &[u8]) -> Result<(), SendError> {
        self.telling(frame.service, || self.inner.post(to, class, frame, page))
    }

    fn flush(&self) {
        self.inner.flush();
    }

    fn glance(&self, sink: &mut dyn FnMut(Event)) -> usize {
        self.inner.glance(&mut |event| {
            self.hear(&event);
            sink(event);
        })
    }

    fn poll(&self, sink: &mut dyn FnMut(Event)) -> usize {
        self.inner.poll(&mut |event| {
            self.hear(&event);
            sink(event);
        })
    }

    fn ready(&self) -> BorrowedFd<'_> {
        self.inner.ready()
    }

    fn traffic(&self) -> Traffic {
        self.inner.traffic()
    }

    fn sever(&self, node: NodeId, loss: Loss) {
        self.inner.sever(node, loss);
    }

    fn close(&self) {
        self.inner.close();
    }
}
