//! Frames in and out.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;

use giantvm_core::testing::skip;
use giantvm_io::virtio::net::{Net, NetPort, Tap};
use giantvm_io::virtio::{Ring, Served, VirtioDevice};
use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress};

use crate::support::{BUFFERS, Rig, memory};

const MAC: &str = "52:54:00:12:34:56";
const RECEIVE: usize = 0;
const SEND: usize = 1;

fn card() -> (UnixDatagram, Rig) {
    let (network, port) = UnixDatagram::pair().unwrap();
    let rig = Rig::new(Net::new(port, MAC.parse().unwrap()).unwrap());
    network.set_nonblocking(true).unwrap();
    (network, rig)
}

#[test]
fn the_address_is_in_the_configuration() {
    let (_, mut rig) = card();
    assert_eq!(rig.read(0x100).to_le_bytes(), [0x52, 0x54, 0x00, 0x12]);
}

#[test]
fn frames_go_out_without_their_header() {
    let (network, mut rig) = card();
    let memory = rig.memory.clone();
    memory
        .write_slice(&[0xee; 12], GuestAddress(BUFFERS))
        .unwrap();
    memory
        .write_slice(b"a frame in two pieces", GuestAddress(BUFFERS + 12))
        .unwrap();
    let chain = [(BUFFERS, 20, false), (BUFFERS + 20, 13, false)];
    assert_eq!(rig.request(SEND, &chain), 0);
    let mut frame = [0; 100];
    assert_eq!(network.recv(&mut frame).unwrap(), 21);
    assert_eq!(&frame[..21], b"a frame in two pieces");
}

#[test]
fn frames_come_in_behind_a_header_one_to_a_chain() {
    let (network, mut rig) = card();
    let memory = rig.memory.clone();
    network.send(b"first").unwrap();
    network.send(b"second").unwrap();
    let into = |rig: &mut Rig, at| rig.request(RECEIVE, &[(at, 12, true), (at + 12, 1514, true)]);
    assert_eq!(into(&mut rig, BUFFERS), 17);
    assert_eq!(into(&mut rig, BUFFERS + 0x1000), 18);
    let mut got = [0; 18];
    memory
        .read_slice(&mut got, GuestAddress(BUFFERS + 0x1000))
        .unwrap();
    assert_eq!(&got, b"\0\0\0\0\0\0\0\0\0\0\x01\0second");
    // With buffers there before, a frame is enough.
    let before = rig.line.rises();
    rig.queues[RECEIVE].add(&memory, &[(BUFFERS, 1526, true)]);
    rig.ring(0);
    network.send(b"third").unwrap();
    assert_eq!(rig.interrupt(before + 1), 1);
}

#[test]
fn what_does_not_fit_is_lost_and_the_card_works_on() {
    let (network, mut rig) = card();
    network.send(&[1; 100]).unwrap();
    assert_eq!(rig.request(RECEIVE, &[(BUFFERS, 64, true)]), 0);
    network.send(&[2; 40]).unwrap();
    assert_eq!(rig.request(RECEIVE, &[(BUFFERS, 64, true)]), 52);
    assert_eq!(rig.request(SEND, &[(BUFFERS, 1 << 20, false)]), 0);
    // The network takes only so many at a time.
    for _ in 0..1000 {
        assert_eq!(rig.request(SEND, &[(BUFFERS, 1000, false)]), 0);
    }
    let mut frame = [0; 1000];
    let came = std::iter::from_fn(|| network.recv(&mut frame).ok()).collect::<Vec<_>>();
    assert!(!came.is_empty() && came.iter().all(|&bytes| bytes == 988));
    drop(network);
    assert_eq!(rig.request(SEND, &[(BUFFERS, 100, false)]), 0);
}

#[test]
fn a_frame_without_a_header_is_malformed() {
    let (_, mut rig) = card();
    let memory = rig.memory.clone();
    rig.queues[SEND].add(&memory, &[(BUFFERS, 11, false)]);
    rig.ring(1);
    assert_eq!(rig.interrupt(1), 2);
}

/// A port whose other end is gone: it is always ready, and gives nothing.
#[derive(Debug)]
struct Gone(std::fs::File);

impl AsFd for Gone {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl NetPort for Gone {
    fn unblock(&self) -> io::Result<()> {
        Ok(())
    }

    fn receive(&self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn send(&self, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

#[test]
fn a_network_that_is_gone_is_waited_for_no_more() {
    let port = Gone(tempfile::tempfile().unwrap());
    let mut net = Net::new(port, MAC.parse().unwrap()).unwrap();
    let memory = memory();
    let mut queue = Queue::new(16).unwrap();
    queue.set_desc_table_address(Some(0x1000), None);
    queue.set_avail_ring_address(Some(0x2000), None);
    queue.set_used_ring_address(Some(0x3000), None);
    queue.set_ready(true);
    let mut ring = Ring::new(queue);
    let looks = (0..1000).take_while(|_| {
        net.input().is_some() && net.serve(RECEIVE, &mut ring, &memory).unwrap() == Served::Hungry
    });
    assert!((1..100).contains(&looks.count()));
    assert!(net.input().is_none());
}

#[test]
fn a_tap_takes_frames() {
    let tap = match Tap::open("gvmtest0") {
        Ok(tap) => tap,
        Err(error) => return skip("a_tap_takes_frames", &format!("no tap: {error}")),
    };
    tap.unblock().unwrap();
    let mut frame = [0; 2000];
    let none = NetPort::receive(&tap, &mut frame).unwrap_err();
    assert_eq!(none.kind(), io::ErrorKind::WouldBlock);
    // An interface that is down takes nothing, and says so.
    let error = NetPort::send(&tap, &[0; 60]).unwrap_err();
    assert!(error.raw_os_error().is_some());
}
