//! The sending half of one connection: a vectored send at once, or a bounded queue.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use bytes::Bytes;
use giantvm_core::wire::{Frame, HEADER, MAX_BODY};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};

use crate::admission::{QUEUE_LIMIT, charge};

/// Frames that one system call sends when the queue is flushed.
const GATHER: usize = 16;

/// A frame on its way out, perhaps sent in part.
#[derive(Debug)]
struct Outgoing {
    head: [u8; HEADER + MAX_BODY],
    head_len: usize,
    payload: Bytes,
    sent: usize,
    charge: usize,
}

impl Outgoing {
    fn new(frame: &Frame) -> Self {
        let mut head = [0; HEADER + MAX_BODY];
        let mut room = &mut head[..];
        frame.encode_head(&mut room);
        let head_len = HEADER + MAX_BODY - room.len();
        Self {
            head,
            head_len,
            payload: frame.payload.clone(),
            sent: 0,
            charge: charge(frame),
        }
    }

    fn left(&self) -> usize {
        self.head_len + self.payload.len() - self.sent
    }

    /// The bytes that are not sent yet.
    fn slices(&self) -> [IoSlice<'_>; 2] {
        let in_head = self.sent.min(self.head_len);
        let in_payload = self.sent - in_head;
        [
            IoSlice::new(&self.head[in_head..self.head_len]),
            IoSlice::new(&self.payload[in_payload..]),
        ]
    }
}

/// What a connection could not take yet.
#[derive(Debug, Default)]
pub(super) struct Output {
    queue: VecDeque<Outgoing>,
    charged: usize,
    /// The first error of a send; nothing is sent after it.
    failed: Option<Errno>,
}

/// What became of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The kernel has all of it.
    Now,
    /// It waits; `first` if nothing waited before.
    Queued {
        /// Whether the queue was empty.
        first: bool,
    },
    /// [`QUEUE_LIMIT`] is reached; the frame was not taken.
    Full,
    /// The connection does not work any more; the frame was not taken.
    Failed,
}

impl Output {
    /// Sends `frame`, or queues what `socket` does not take.
    pub(super) fn send(&mut self, socket: BorrowedFd<'_>, frame: &Frame) -> Sent {
        if self.failed.is_some() {
            return Sent::Failed;
        }
        let mut outgoing = Outgoing::new(frame);
        let first = self.queue.is_empty();
        if !first && self.charged + outgoing.charge > QUEUE_LIMIT {
            return Sent::Full;
        }
        if first {
            match transmit(socket, &outgoing.slices()) {
                Ok(count) => outgoing.sent = count,
                Err(error) => {
                    self.failed = Some(error);
                    return Sent::Failed;
                }
            }
            if outgoing.left() == 0 {
                return Sent::Now;
            }
        }
        self.charged += outgoing.charge;
        self.queue.push_back(outgoing);
        Sent::Queued { first }
    }

    /// Sends from the queue what `socket` takes; `true` once nothing waits any more.
    pub(super) fn flush(&mut self, socket: BorrowedFd<'_>) -> bool {
        while self.failed.is_none() && !self.queue.is_empty() {
            let slices: Vec<_> = self
                .queue
                .iter()
                .take(GATHER)
                .flat_map(Outgoing::slices)
                .collect();
            match transmit(socket, &slices) {
                Ok(0) => return false,
                Ok(count) => self.advance(count),
                Err(error) => self.failed = Some(error),
            }
        }
        true
    }

    /// The error that ended sending, if one did.
    pub(super) fn failed(&self) -> Option<Errno> {
        self.failed
    }

    /// Forgets what waits, for good.
    pub(super) fn abandon(&mut self) {
        self.failed.get_or_insert(Errno::PIPE);
        self.queue = VecDeque::new();
        self.charged = 0;
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(front) = self.queue.front_mut() {
            let left = front.left();
            if count < left {
                front.sent += count;
                return;
            }
            count -= left;
            self.charged -= front.charge;
            self.queue.pop_front();
        }
    }
}

/// Sends what fits without waiting; 0 if nothing does.
fn transmit(socket: BorrowedFd<'_>, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    loop {
        match sendmsg(socket, slices, &mut SendAncillaryBuffer::default(), flags) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN | Errno::NOBUFS) => return Ok(0),
            sent => return sent,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use bytes::BytesMut;
    use giantvm_core::wire::{Limits, Service};
    use giantvm_core::{Epoch, NodeId};

    use super::*;

    fn page(kind: u8) -> Frame {
        let mut frame =
            Frame::control(Service::Dsm, kind, NodeId::ZERO, Epoch::FIRST, &[1, 2]).unwrap();
        frame.payload = vec![kind; 60_000].into();
        frame
    }

    #[test]
    fn what_the_socket_does_not_take_is_queued_and_arrives_whole_and_in_order() {
        let (here, mut there) = UnixStream::pair().unwrap();
        let mut output = Output::default();
        let outcomes: Vec<_> = (0..40)
            .map(|kind| output.send(here.as_fd(), &page(kind)))
            .collect();
        assert_eq!(outcomes[0], Sent::Now);
        let first = Sent::Queued { first: true };
        assert_eq!(outcomes.iter().filter(|sent| **sent == first).count(), 1);

        let (mut stream, mut kinds) = (BytesMut::new(), Vec::new());
        let mut chunk = vec![0; 10_001];
        while kinds.len() < 40 {
            let count = there.read(&mut chunk).unwrap();
            stream.extend_from_slice(&chunk[..count]);
            output.flush(here.as_fd());
            let limits = Limits {
                max_payload: 60_000,
            };
            while let Some(frame) = Frame::decode(&mut stream, limits).unwrap() {
                kinds.push(frame.kind);
            }
        }
        assert_eq!(kinds, (0..40).collect::<Vec<u8>>());
        assert!(output.queue.is_empty() && output.charged == 0);
    }

    #[test]
    fn the_queue_ends_at_its_limit() {
        let (here, _there) = UnixStream::pair().unwrap();
        let mut output = Output::default();
        let full = (0..2000).position(|_| output.send(here.as_fd(), &page(0)) == Sent::Full);
        assert!(full.is_some());
        assert!(output.charged <= QUEUE_LIMIT);
    }

    #[test]
    fn nothing_is_sent_after_an_error() {
        let (here, there) = UnixStream::pair().unwrap();
        drop(there);
        let mut output = Output::default();
        assert_eq!(output.send(here.as_fd(), &page(0)), Sent::Failed);
        assert_eq!(output.failed(), Some(Errno::PIPE));
        assert_eq!(output.send(here.as_fd(), &page(0)), Sent::Failed);
    }
}
