//! The output over real sockets.

use std::cell::{Cell, RefCell};
use std::io::{IoSlice, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use bytes::BytesMut;
use giantvm_core::wire::{Frame, Limits, Service};
use giantvm_core::{Epoch, NodeId};
use rustix::io::Errno;

use super::connection::transmit;
use super::output::{Line, Output, Sent};
use crate::QUEUE_LIMIT;

impl Line for UnixStream {
    fn transmit(&self, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
        transmit(self.as_fd(), slices)
    }

    fn watch(&self, _: bool) {}
}

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
        .map(|kind| output.send(&here, &page(kind), &[]))
        .collect();
    assert_eq!(outcomes[0], Sent::Now);
    let first = Sent::Queued { first: true };
    assert_eq!(outcomes.iter().filter(|sent| **sent == first).count(), 1);

    let (mut stream, mut kinds) = (BytesMut::new(), Vec::new());
    let mut chunk = vec![0; 10_001];
    while kinds.len() < 40 {
        let count = there.read(&mut chunk).unwrap();
        stream.extend_from_slice(&chunk[..count]);
        output.flush(&here).unwrap();
        let limits = Limits {
            max_payload: 60_000,
        };
        while let Some(frame) = Frame::decode(&mut stream, limits).unwrap() {
            kinds.push(frame.kind);
        }
    }
    assert_eq!(kinds, (0..40).collect::<Vec<u8>>());
    assert_eq!(output.flush(&here), Ok(true));
}

/// A line that notes how much it was asked to take at once, and takes `room` in all.
struct Counted {
    calls: RefCell<Vec<usize>>,
    room: Cell<usize>,
}

impl Line for Counted {
    fn transmit(&self, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let taken = offered.min(self.room.get());
        self.room.set(self.room.get() - taken);
        self.calls.borrow_mut().push(offered);
        Ok(taken)
    }

    fn watch(&self, _: bool) {}
}

fn counted(room: usize) -> Counted {
    let (calls, room) = (RefCell::default(), Cell::new(room));
    Counted { calls, room }
}

fn small(kind: u8) -> Frame {
    Frame::control(Service::Dsm, kind, NodeId::ZERO, Epoch::FIRST, &[1, 2]).unwrap()
}

#[test]
fn what_is_posted_goes_with_what_is_sent_or_pushed_next() {
    let (line, mut output) = (counted(usize::MAX), Output::default());
    let one = small(0).wire_len();
    for kind in 0..3 {
        assert_eq!(output.post(&line, &small(kind), &[]), Sent::Now);
    }
    assert!(line.calls.borrow().is_empty());
    assert_eq!(output.send(&line, &small(3), &[7; 100]), Sent::Now);
    assert_eq!(output.push(&line), Sent::Now);
    assert_eq!(output.post(&line, &small(4), &[]), Sent::Now);
    assert_eq!(output.push(&line), Sent::Now);
    assert_eq!(*line.calls.borrow(), [4 * one + 100, one]);
}

#[test]
fn no_more_than_a_run_of_pages_is_held_back() {
    let (line, mut output) = (counted(usize::MAX), Output::default());
    for kind in 0..100 {
        output.post(&line, &small(kind), &[1; 4096]);
    }
    let calls = line.calls.borrow();
    assert!((5..10).contains(&calls.len()) && calls.iter().all(|&bytes| bytes < 66 << 10));
}

#[test]
fn what_is_posted_before_or_behind_a_queue_keeps_its_order() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let mut output = Output::default();
    let (mut stream, mut kinds) = (BytesMut::new(), Vec::new());
    let mut chunk = vec![0; 10_001];
    for kind in 0..200 {
        match kind % 7 {
            0 => output.send(&here, &page(kind), &[]),
            3 => output.push(&here),
            _ => output.post(&here, &small(kind), &[kind; 4096]),
        };
    }
    output.push(&here);
    let expected: Vec<u8> = (0..200).filter(|kind| kind % 7 != 3).collect();
    while kinds.len() < expected.len() {
        let count = there.read(&mut chunk).unwrap();
        stream.extend_from_slice(&chunk[..count]);
        output.flush(&here).unwrap();
        let limits = Limits {
            max_payload: 60_000,
        };
        while let Some(frame) = Frame::decode(&mut stream, limits).unwrap() {
            assert!(frame.payload.iter().all(|&byte| byte == frame.kind));
            kinds.push(frame.kind);
        }
    }
    assert_eq!(kinds, expected);
}

#[test]
fn what_is_posted_when_the_line_is_lost_is_gone() {
    let (here, there) = UnixStream::pair().unwrap();
    drop(there);
    let mut output = Output::default();
    assert_eq!(output.post(&here, &small(0), &[]), Sent::Now);
    let failed = Sent::Failed(Errno::PIPE);
    assert_eq!(output.push(&here), failed);
    assert_eq!(output.post(&here, &small(1), &[]), failed);
    assert_eq!(output.push(&here), failed);
}

#[test]
fn the_queue_ends_at_its_limit() {
    let (here, _there) = UnixStream::pair().unwrap();
    let mut output = Output::default();
    let sent: Vec<_> = (0..2000)
        .map(|_| output.send(&here, &page(0), &[]))
        .collect();
    let queued = |sent: &&Sent| matches!(sent, Sent::Queued { .. });
    assert!(sent.contains(&Sent::Full));
    assert!(sent.iter().filter(queued).count() <= QUEUE_LIMIT / 60_000);
}

#[test]
fn nothing_is_sent_after_an_error() {
    let (here, there) = UnixStream::pair().unwrap();
    drop(there);
    let mut output = Output::default();
    let failed = Sent::Failed(Errno::PIPE);
    assert_eq!(output.send(&here, &page(0), &[]), failed);
    assert_eq!(output.send(&here, &page(0), &[]), failed);
    assert_eq!(output.flush(&here), Err(Errno::PIPE));
}
