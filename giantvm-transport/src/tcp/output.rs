//! The sending half of one connection: a vectored send at once, one for many frames that were posted,
//! or a bounded queue.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;
use giantvm_core::wire::{Frame, HEADER, MAX_BODY};
use rustix::io::Errno;

use crate::admission::{QUEUE_LIMIT, charge};

/// Bytes of posted frames that are held back at most, but for the last frame: a run of pages, and few
/// enough that a processor's cache still has them when they are sent.
const STAGED: usize = 60 << 10;
/// Frames that one system call sends when the queue is flushed.
const GATHER: usize = 16;

/// Where the bytes of a connection go.
pub(super) trait Line {
    /// Sends what fits without waiting; 0 if nothing does.
    fn transmit(&self, slices: &[IoSlice<'_>]) -> Result<usize, Errno>;

    /// Asks to be told, or not to be told any more, when there is room.
    fn watch(&self, on: bool);
}

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
    /// A frame whose payload is still the caller's, of `len` bytes.
    fn new(frame: &Frame, len: usize) -> Self {
        let mut head = [0; HEADER + MAX_BODY];
        let mut room = &mut head[..];
        frame.encode_head_of(len, &mut room);
        let head_len = HEADER + MAX_BODY - room.len();
        Self {
            head,
            head_len,
            payload: frame.payload.clone(),
            sent: 0,
            charge: charge(frame) - frame.payload.len() + len,
        }
    }

    /// The last bytes of a run of frames.
    fn rest(bytes: &[u8]) -> Self {
        Self {
            head: [0; HEADER + MAX_BODY],
            head_len: 0,
            payload: Bytes::copy_from_slice(bytes),
            sent: 0,
            charge: size_of::<Frame>() + bytes.len(),
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
    /// Frames that were posted. Empty, or the queue is.
    staged: Vec<u8>,
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
    Failed(Errno),
}

impl Output {
    /// Sends `frame`, or queues what `line` does not take. The payload is `page`, or the frame's own
    /// if that is empty.
    pub(super) fn send(&mut self, line: &impl Line, frame: &Frame, page: &[u8]) -> Sent {
        if let Some(error) = self.failed {
            return Sent::Failed(error);
        }
        let payload = if page.is_empty() {
            &frame.payload
        } else {
            page
        };
        let mut outgoing = Outgoing::new(frame, payload.len());
        let first = self.queue.is_empty();
        if !first && self.charged + outgoing.charge > QUEUE_LIMIT {
            return Sent::Full;
        }
        if !self.staged.is_empty() {
            self.stage(&outgoing, payload);
            return self.push(line);
        }
        if first {
            let head = IoSlice::new(&outgoing.head[..outgoing.head_len]);
            match line.transmit(&[head, IoSlice::new(payload)]) {
                Ok(count) if count == outgoing.head_len + payload.len() => return Sent::Now,
                Ok(count) => outgoing.sent = count,
                Err(error) => {
                    self.failed = Some(error);
                    return Sent::Failed(error);
                }
            }
        }
        if !page.is_empty() {
            outgoing.payload = Bytes::copy_from_slice(page);
        }
        self.charged += outgoing.charge;
        self.queue.push_back(outgoing);
        Sent::Queued { first }
    }

    /// Takes `frame` as [`send`](Self::send) does, and may keep it until the next [`push`](Self::push).
    pub(super) fn post(&mut self, line: &impl Line, frame: &Frame, page: &[u8]) -> Sent {
        if self.failed.is_some() || !self.queue.is_empty() {
            return self.send(line, frame, page);
        }
        let payload = if page.is_empty() {
            &frame.payload
        } else {
            page
        };
        self.stage(&Outgoing::new(frame, payload.len()), payload);
        if self.staged.len() < STAGED {
            return Sent::Now;
        }
        self.push(line)
    }

    fn stage(&mut self, outgoing: &Outgoing, payload: &[u8]) {
        self.staged
            .extend_from_slice(&outgoing.head[..outgoing.head_len]);
        self.staged.extend_from_slice(payload);
    }

    /// Sends what was posted.
    pub(super) fn push(&mut self, line: &impl Line) -> Sent {
        if self.staged.is_empty() {
            return self.failed.map_or(Sent::Now, Sent::Failed);
        }
        let sent = match line.transmit(&[IoSlice::new(&self.staged)]) {
            Ok(count) if count == self.staged.len() => Sent::Now,
            Ok(count) => {
                let rest = Outgoing::rest(&self.staged[count..]);
                self.charged += rest.charge;
                self.queue.push_back(rest);
                Sent::Queued { first: true }
            }
            Err(error) => {
                self.failed = Some(error);
                Sent::Failed(error)
            }
        };
        self.staged.clear();
        sent
    }

    /// Sends from the queue what `line` takes; `true` once nothing waits any more.
    ///
    /// # Errors
    /// The error that ended sending.
    pub(super) fn flush(&mut self, line: &impl Line) -> Result<bool, Errno> {
        while self.failed.is_none() && !self.queue.is_empty() {
            let slices: Vec<_> = self
                .queue
                .iter()
                .take(GATHER)
                .flat_map(Outgoing::slices)
                .collect();
            match line.transmit(&slices) {
                Ok(0) => return Ok(false),
                Ok(count) => self.advance(count),
                Err(error) => self.failed = Some(error),
            }
        }
        self.failed.map_or(Ok(true), Err)
    }

    /// Forgets what waits, for good.
    pub(super) fn abandon(&mut self) {
        self.failed.get_or_insert(Errno::PIPE);
        self.queue = VecDeque::new();
        self.staged = Vec::new();
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
