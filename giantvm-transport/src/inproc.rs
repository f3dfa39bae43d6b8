//! Nodes of one process, joined by queues.
//!
//! Nothing is encoded: a payload is handed over without a copy. There is no keepalive, since a
//! node of the same process cannot be cut off; a node that is dropped counts as closed.
//!
//! ```
//! use giantvm_core::wire::{Class, Frame, Limits, Service};
//! use giantvm_core::{Epoch, NodeId, PageSize};
//! use giantvm_transport::{Event, Transport, inproc};
//!
//! let nodes = inproc::cluster(2, Epoch::FIRST, Limits::for_pages(PageSize::K4))?;
//! let frame = Frame::control(Service::Dsm, 7, NodeId::ZERO, Epoch::FIRST, b"hi")?;
//! nodes[0].send(NodeId::new(1)?, Class::Control, frame.clone())?;
//! nodes[1].poll(&mut |event| match event {
//!     Event::Frame { frame: got, .. } => assert_eq!(got, frame),
//!     Event::Lost { node, loss } => panic!("node {node}: {loss}"),
//! });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod mailbox;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use giantvm_core::wire::{Class, Frame, Limits};
use giantvm_core::{Epoch, NodeId, NodeSet};

use self::mailbox::Mailbox;
use crate::traffic::Counters;
use crate::{Event, LogicalClock, Loss, SendError, Traffic, Transport, admission};

/// Most events that one call of [`poll`](Transport::poll) delivers.
const POLL_EVENTS: usize = 64;

/// One node of a cluster that lives in this process; made by [`cluster`].
#[derive(Debug)]
pub struct InprocTransport {
    local: NodeId,
    epoch: Epoch,
    limits: Limits,
    peers: NodeSet,
    mailboxes: Arc<[Mailbox]>,
    counters: Counters,
    clock: LogicalClock,
}

/// Makes a cluster of `nodes` nodes (at most [`MAX_NODES`](giantvm_core::MAX_NODES)), every one
/// linked to every other.
///
/// # Errors
/// The operating system has no event descriptor left.
pub fn cluster(
    nodes: usize,
    epoch: Epoch,
    limits: Limits,
) -> io::Result<Vec<Arc<InprocTransport>>> {
    let all = NodeSet::first(nodes);
    let mailboxes = all
        .iter()
        .map(|node| Mailbox::new(all.without(node)))
        .collect::<io::Result<Arc<[Mailbox]>>>()?;
    let make = |local| {
        Arc::new(InprocTransport {
            local,
            epoch,
            limits,
            peers: all.without(local),
            mailboxes: Arc::clone(&mailboxes),
            counters: Counters::default(),
            clock: LogicalClock::default(),
        })
    };
    Ok(all.iter().map(make).collect())
}

impl InprocTransport {
    /// The membership epoch that the cluster started in.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn mine(&self) -> &Mailbox {
        &self.mailboxes[self.local.index()]
    }
}

impl Transport for InprocTransport {
    fn local(&self) -> NodeId {
        self.local
    }

    fn peers(&self) -> NodeSet {
        self.peers
    }

    fn near(&self) -> NodeSet {
        self.peers
    }

    fn adjacent(&self) -> NodeSet {
        self.peers
    }

    fn clock(&self) -> &LogicalClock {
        &self.clock
    }

    fn send(&self, to: NodeId, class: Class, frame: Frame) -> Result<(), SendError> {
        let is_linked = |to| self.mine().is_linked(to);
        let (payload, peers, limits) = (frame.payload.len(), self.peers, self.limits);
        let frame = admission::take(frame, payload, to, peers, limits, &self.clock, is_linked)?;
        let theirs = &self.mailboxes[to.index()];
        match admission::admit(&frame, self.local) {
            Ok(admission::Admission::Deliver) => theirs.post(self.local, to, class, &frame)?,
            Ok(admission::Admission::Heartbeat) => {}
            // As over a wire: the receiver ends the link, and the sender finds it ended.
            Err(loss) => {
                theirs.lose(self.local, loss);
                self.mine().lose(to, Loss::Closed);
            }
        }
        self.counters.sent(&frame, 0);
        Ok(())
    }

    fn poll(&self, sink: &mut dyn FnMut(Event)) -> usize {
        // One event at a time, so that an urgent frame that arrives meanwhile still comes first.
        for delivered in 0..POLL_EVENTS {
            let Some(event) = self.mine().take() else {
                return delivered;
            };
            if let Event::Frame { frame, .. } = &event {
                self.counters.received(frame);
            }
            sink(event);
        }
        POLL_EVENTS
    }

    fn ready(&self) -> BorrowedFd<'_> {
        self.mine().bell().as_fd()
    }

    fn traffic(&self) -> Traffic {
        self.counters.read()
    }

    fn sever(&self, node: NodeId, loss: Loss) {
        if self.peers.contains(node) {
            self.mine().sever(node, loss);
            self.mailboxes[node.index()].lose(self.local, Loss::Closed);
        }
    }

    fn close(&self) {
        self.mine().shut();
        for peer in self.peers {
            self.mailboxes[peer.index()].lose(self.local, Loss::Closed);
        }
    }
}

impl Drop for InprocTransport {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use giantvm_core::PageSize;
    use giantvm_core::wire::Service;

    use super::*;

    #[test]
    fn what_a_severed_peer_sent_before_it_closed_is_not_delivered() {
        let limits = Limits::for_pages(PageSize::K4);
        let nodes = cluster(2, Epoch::FIRST, limits).unwrap();
        let bad = Frame::control(Service::Dsm, 1, nodes[0].local(), Epoch::FIRST, &[]).unwrap();
        nodes[0]
            .send(nodes[1].local(), Class::Control, bad)
            .unwrap();
        nodes[0].close();
        nodes[1].sever(nodes[0].local(), Loss::Refused(String::new()));
        let mut events = Vec::new();
        nodes[1].poll(&mut |event| events.push(event));
        assert!(matches!(events[..], [Event::Lost { .. }]), "{events:?}");
    }
}
