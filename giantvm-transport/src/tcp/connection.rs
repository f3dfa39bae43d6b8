//! One connection to a peer: its socket, and what waits to be sent on it.

use std::io::{self, IoSlice};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use giantvm_core::NodeId;
use giantvm_core::wire::{Class, Frame};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};

use super::outlet::Outlet;
use super::output::{Line, Sent};
use super::poller::Poller;
use crate::Loss;

#[derive(Debug)]
pub(super) struct Connection {
    node: NodeId,
    class: Class,
    pub(super) socket: TcpStream,
    outlet: Outlet,
}

/// A socket, and the poller that tells when it takes more.
struct Watched<'a> {
    connection: &'a Connection,
    poller: &'a Poller,
}

impl Line for Watched<'_> {
    fn transmit(&self, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
        transmit(self.connection.socket.as_fd(), slices)
    }

    fn watch(&self, on: bool) {
        let Connection {
            node,
            class,
            socket,
            ..
        } = self.connection;
        self.poller.watch_write(socket.as_fd(), *node, *class, on);
    }
}

impl Connection {
    pub(super) fn new(node: NodeId, class: Class, socket: TcpStream) -> Self {
        Self {
            node,
            class,
            socket,
            outlet: Outlet::default(),
        }
    }

    /// Sets the socket up for `poller`, which watches it from now on.
    pub(super) fn start(&self, poller: &Poller) -> io::Result<()> {
        self.socket.set_nonblocking(true)?;
        self.socket.set_nodelay(true)?;
        poller.watch(self.socket.as_fd(), self.node, self.class)
    }

    /// Whether the peer was reached without a network.
    pub(super) fn is_on_this_host(&self) -> bool {
        let ends = (self.socket.local_addr(), self.socket.peer_addr());
        // A host's own address leads to itself, whichever it is.
        matches!(ends, (Ok(local), Ok(peer)) if local.ip() == peer.ip() || peer.ip().is_loopback())
    }

    pub(super) fn send(&self, poller: &Poller, frame: &Frame, page: &[u8]) -> Sent {
        self.outlet.send(&self.line(poller), frame, page)
    }

    pub(super) fn post(&self, poller: &Poller, frame: &Frame, page: &[u8]) -> Sent {
        self.outlet.post(&self.line(poller), frame, page)
    }

    /// Sends what was posted.
    pub(super) fn push(&self, poller: &Poller) -> Sent {
        self.outlet.push(&self.line(poller))
    }

    pub(super) fn flush(&self, poller: &Poller) -> Result<(), Errno> {
        self.outlet.flush(&self.line(poller))
    }

    /// Says to the peer that nothing comes after what can be sent now.
    pub(super) fn close(&self, poller: &Poller) {
        self.outlet.close(&self.line(poller));
        self.end(poller, Shutdown::Write);
    }

    /// Ends both directions at once.
    pub(super) fn cut(&self, poller: &Poller) {
        self.outlet.abandon();
        self.end(poller, Shutdown::Both);
    }

    fn end(&self, poller: &Poller, directions: Shutdown) {
        poller.forget(self.socket.as_fd());
        // Fails if the peer is gone, which is what this is for.
        self.socket.shutdown(directions).ok();
    }

    fn line<'a>(&'a self, poller: &'a Poller) -> Watched<'a> {
        Watched {
            connection: self,
            poller,
        }
    }
}

/// The loss that a failed send stands for, unless reading the socket will tell: a reset is found
/// by the reading side, after what the peer sent before it.
pub(super) fn unseen_by_reader(error: Errno) -> Option<Loss> {
    match error {
        Errno::PIPE | Errno::CONNRESET => None,
        Errno::PROTO => Some(Loss::Pipe),
        other => Some(Loss::Io(io::Error::from(other).to_string())),
    }
}

/// Sends what fits without waiting; 0 if nothing does.
pub(super) fn transmit(socket: BorrowedFd<'_>, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    loop {
        match sendmsg(socket, slices, &mut SendAncillaryBuffer::default(), flags) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN | Errno::NOBUFS) => return Ok(0),
            sent => return sent,
        }
    }
}
