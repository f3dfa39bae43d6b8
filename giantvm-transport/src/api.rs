//! The trait that every transport implements, and the values that cross it.

use std::fmt::Debug;
use std::os::fd::BorrowedFd;

use bytes::Bytes;
use giantvm_core::wire::{Class, DecodeError, Frame};
use giantvm_core::{NodeId, NodeSet};

use crate::LogicalClock;

/// Links from this node to every other node of one cluster.
///
/// Sending is open to every thread and never waits for the peer. Receiving is for one thread at a
/// time, the node's *pump*: it waits until [`ready`](Self::ready) is readable and then calls
/// [`poll`](Self::poll). A transport has no threads of its own; keepalive and the flushing of
/// queued output happen inside `poll`, so a node that stops polling is found dead by its peers.
///
/// # Guarantees
/// * Frames of one [`Class`] from one node to another arrive once and in order, until the link is
///   lost. Between classes there is no order.
/// * A frame never waits behind a frame of a less urgent class.
/// * [`Event::Lost`] is delivered exactly once for a peer, and no frame of it afterwards.
///
/// # Logical time
/// Frames travel beside the shared memory, and what they cause must not be ahead of what the memory
/// shows. So each of them carries the time of its sender's [`clock`](Self::clock), as
/// [`Frame::stamp`]; what the caller put there does not count.
/// * *Sending.* The stamp is read while [`send`](Self::send) runs, in the thread that sends. Whoever
///   lets a store to shared memory happen advances the clock to the store's time first. Then the
///   frames that a thread sends after a store, its own or one that it has seen, have stamps no older
///   than the store; and so the stamps of one thread's frames never go back.
/// * *Receiving.* A transport does not advance the clock for what it delivers: only the node knows
///   what must be done in the memory first. Whoever drives the node must take a frame's stamp into
///   account, and advance the clock to it, before it lets anyone act on the frame.
///
/// The transport's own frames, of [`Service::Link`](giantvm_core::wire::Service::Link), cause nothing
/// beyond it: their stamps mean nothing.
pub trait Transport: Send + Sync + Debug {
    /// This node.
    fn local(&self) -> NodeId;

    /// All other nodes of the cluster, lost ones included.
    fn peers(&self) -> NodeSet;

    /// The peers on this host, so that what is sent to them crosses no network. A transport that does
    /// not know says none; what it says does not change.
    fn near(&self) -> NodeSet {
        NodeSet::EMPTY
    }

    /// The peers that this node shares memory with, so that a frame to them costs no system call, or hardly
    /// ever: there is nothing to gain by sending fewer. A transport that does not know says none; what it
    /// says does not change.
    fn adjacent(&self) -> NodeSet {
        NodeSet::EMPTY
    }

    /// This node's logical time, which every frame that is sent carries.
    fn clock(&self) -> &LogicalClock;

    /// Hands `frame` over for `to`. Does not block; output that the link cannot take at once is
    /// queued up to a stated limit.
    ///
    /// # Errors
    /// [`SendError`]; the frame was then not sent, not even in part.
    fn send(&self, to: NodeId, class: Class, frame: Frame) -> Result<(), SendError>;

    /// As [`send`](Self::send) of `frame`, whose payload is empty, with `page` for its payload. For a
    /// page that is still in its place: a transport copies it at most to where it goes.
    ///
    /// # Errors
    /// [`SendError`]; the frame was then not sent, not even in part.
    fn send_page(
        &self,
        to: NodeId,
        class: Class,
        frame: Frame,
        page: &[u8],
    ) -> Result<(), SendError> {
        let payload = Bytes::copy_from_slice(page);
        self.send(to, class, Frame { payload, ..frame })
    }

    /// As [`send`](Self::send), or with a page that is not empty as [`send_page`](Self::send_page), for a
    /// caller that has more to send: it may be held back until the [`flush`](Self::flush) that has to
    /// follow, so that what goes the same way goes together. What is sent after it does not overtake it.
    ///
    /// # Errors
    /// As of [`send`](Self::send).
    fn post(&self, to: NodeId, class: Class, frame: Frame, page: &[u8]) -> Result<(), SendError> {
        if page.is_empty() {
            self.send(to, class, frame)
        } else {
            self.send_page(to, class, frame, page)
        }
    }

    /// Sends what was [posted](Self::post).
    fn flush(&self) {}

    /// As [`poll`](Self::poll), for a caller that comes again at once: leaves out, most of the time,
    /// what costs a system call. Before it waits for [`ready`](Self::ready) the caller polls.
    fn glance(&self, sink: &mut dyn FnMut(Event)) -> usize {
        self.poll(sink)
    }

    /// Does all work that can be done without waiting and gives every event to `sink`, frames of
    /// more urgent classes first. Returns how many events there were. One call delivers a bounded
    /// number of events; call again while it returns more than zero, or wait for `ready`.
    fn poll(&self, sink: &mut dyn FnMut(Event)) -> usize;

    /// A descriptor that is readable (level-triggered) while [`poll`](Self::poll) has work to do.
    fn ready(&self) -> BorrowedFd<'_>;

    /// What has been sent and received so far, over all peers.
    fn traffic(&self) -> Traffic;

    /// Ends the link to `node` because of what it sent. [`Event::Lost`] with `loss` follows from
    /// [`poll`](Self::poll), unless the link was lost already.
    fn sever(&self, node: NodeId, loss: Loss);

    /// Ends all links after flushing, as far as that goes without waiting, what is queued. Peers
    /// see [`Loss::Closed`].
    fn close(&self);
}

/// Something that happened on a link.
#[derive(Debug)]
pub enum Event {
    /// A frame arrived; its `from` is the peer's.
    Frame {
        /// The class it was sent in.
        class: Class,
        /// The frame.
        frame: Frame,
    },
    /// A peer is gone for good.
    Lost {
        /// The peer.
        node: NodeId,
        /// Why.
        loss: Loss,
    },
}

/// Why a link ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Loss {
    /// The peer closed the link, or its process ended.
    #[error("the peer closed the connection")]
    Closed,
    /// Nothing was heard from the peer for the keepalive time, so many milliseconds in which this node ran.
    #[error("nothing heard from the peer for {0} ms")]
    Silent(u64),
    /// The peer sent bytes that are no frame.
    #[error("the peer broke the protocol: {0}")]
    Protocol(#[from] DecodeError),
    /// The peer sent a frame in another node's name.
    #[error("the peer sent a frame in the name of node {0}")]
    Impostor(NodeId),
    /// What the peer sent was refused by the service it was for.
    #[error("the peer was cut off: {0}")]
    Refused(String),
    /// The peer wrote nonsense into the memory that is shared with it.
    #[error("the peer broke the pipe that it shares with this node")]
    Pipe,
    /// The operating system reported an error.
    #[error("connection failed: {0}")]
    Io(String),
}

/// Why a frame was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The node is not a peer.
    #[error("node {0} is not a peer of this node")]
    NoPeer(NodeId),
    /// The link to the node is lost.
    #[error("the link to node {0} is lost")]
    Lost(NodeId),
    /// The peer does not take frames fast enough: the queue's limit is reached.
    #[error("the queue to node {node} is full at {limit} bytes")]
    Full {
        /// The peer.
        node: NodeId,
        /// The queue's limit in bytes.
        limit: usize,
    },
    /// The payload is over the limit that the cluster agreed on.
    #[error("payload of {got} bytes is over the cluster's limit of {limit}")]
    TooLong {
        /// Bytes of the payload.
        got: usize,
        /// Bytes allowed.
        limit: usize,
    },
}

/// Frames and bytes that crossed the links of a node, keepalive included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Frames sent.
    pub frames_sent: u64,
    /// Bytes sent, headers included.
    pub bytes_sent: u64,
    /// Frames received.
    pub frames_received: u64,
    /// Bytes received, headers included.
    pub bytes_received: u64,
}
