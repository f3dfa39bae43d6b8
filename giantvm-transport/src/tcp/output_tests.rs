//! The output over real sockets.

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
