//! A port with a name.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use giantvm_io::virtio::Trigger;
use giantvm_io::virtio::port::Port;
use vm_memory::{Bytes, GuestAddress};

use crate::support::{BUFFERS, EVENT_IDX, Rig, VERSION_1};

/// Where the driver's messages are, and where its buffers for the device's, this far apart.
const SAYS: u64 = BUFFERS;
const HEARS: u64 = BUFFERS + 0x1000;
const APART: u64 = 0x100;
/// The driver knows of ports.
const MULTIPORT: u64 = 1 << 1;

fn message(event: u16) -> [u8; 8] {
    let [event, event2] = event.to_le_bytes();
    [0, 0, 0, 0, event, event2, 1, 0]
}

/// Waits until the device has given a chain of this queue back. Returns how much is written. By
/// looking, as interrupts of several queues come as one.
fn used(rig: &mut Rig, queue: usize) -> u32 {
    let (memory, patience) = (rig.memory.clone(), Instant::now() + Duration::from_secs(60));
    loop {
        if let Some((_, written)) = rig.queues[queue].used(&memory) {
            return written;
        }
        assert!(Instant::now() < patience, "queue {queue} is not served");
        std::thread::yield_now();
    }
}

fn request(rig: &mut Rig, queue: u32, chain: &[(u64, u32, bool)]) -> u32 {
    let memory = rig.memory.clone();
    rig.queues[queue as usize].add(&memory, chain);
    rig.ring(queue);
    used(rig, queue as usize)
}

/// The driver says something, which the device takes.
fn say(rig: &mut Rig, event: u16) {
    rig.memory
        .write_slice(&message(event), GuestAddress(SAYS))
        .unwrap();
    assert_eq!(request(rig, 3, &[(SAYS, 8, false)]), 0);
}

/// The next message of the device; the driver has `given` it so many buffers before.
fn hear(rig: &mut Rig, given: &mut u64) -> Vec<u8> {
    let memory = rig.memory.clone();
    let buffer = HEARS + *given * APART;
    *given += 1;
    let written = used(rig, 2);
    let mut bytes = vec![0; written as usize];
    memory.read_slice(&mut bytes, GuestAddress(buffer)).unwrap();
    bytes
}

fn give_buffers(rig: &mut Rig) {
    let memory = rig.memory.clone();
    for number in 0..8 {
        rig.queues[2].add(&memory, &[(HEARS + number * APART, 0x100, true)]);
    }
    rig.ring(2);
}

#[test]
fn a_driver_finds_the_port_by_its_name_and_talks_through_it() {
    let (mut host, input) = UnixStream::pair().unwrap();
    let (out, came) = channel();
    let port = Port::new("giantvm.test", move |bytes| {
        out.send(bytes.to_vec()).unwrap();
    });
    let mut rig = Rig::new(port.with_input(OwnedFd::from(input)));
    let (memory, mut given) = (rig.memory.clone(), 0);
    give_buffers(&mut rig);
    say(&mut rig, 0);
    assert_eq!(hear(&mut rig, &mut given), message(1), "there is a port");
    say(&mut rig, 3);
    let name = [&message(7)[..], b"giantvm.test"].concat();
    assert_eq!(hear(&mut rig, &mut given), name);
    assert_eq!(hear(&mut rig, &mut given), message(6), "someone listens");
    // To the host, and from it.
    memory.write_slice(b"ask", GuestAddress(SAYS)).unwrap();
    assert_eq!(request(&mut rig, 1, &[(SAYS, 3, false)]), 0);
    assert_eq!(came.recv().unwrap(), b"ask");
    host.write_all(b"answer").unwrap();
    assert_eq!(request(&mut rig, 0, &[(SAYS, 64, true)]), 6);
    let mut answer = [0; 6];
    memory.read_slice(&mut answer, GuestAddress(SAYS)).unwrap();
    assert_eq!(&answer, b"answer");
}

#[test]
fn what_the_device_says_waits_until_the_driver_has_room() {
    let mut rig = Rig::new(Port::new("late", |_| ()));
    let mut given = 0;
    say(&mut rig, 0);
    say(&mut rig, 3);
    give_buffers(&mut rig);
    let said: Vec<_> = (0..3).map(|_| hear(&mut rig, &mut given)[4]).collect();
    assert_eq!(said, [1, 7, 6]);
}

#[test]
fn what_is_no_message_stops_nothing() {
    let mut rig = Rig::new(Port::new("odd", |_| ()));
    let mut given = 0;
    give_buffers(&mut rig);
    for length in [1, 7, 4096] {
        assert_eq!(request(&mut rig, 3, &[(SAYS + 0x8000, length, false)]), 0);
    }
    say(&mut rig, 0);
    // Nine bytes of zeroes and more are a message, that the driver is not ready.
    assert_eq!(hear(&mut rig, &mut given), message(1));
}

#[test]
fn input_that_comes_later_fills_buffers_that_wait_for_it() {
    let (mut host, input) = UnixStream::pair().unwrap();
    let port = Port::new("later", |_| ()).with_input(OwnedFd::from(input));
    let mut rig = Rig::cold(port, Trigger::Edge);
    rig.begin(VERSION_1 | EVENT_IDX | MULTIPORT);
    let (memory, mut given) = (rig.memory.clone(), 0);
    give_buffers(&mut rig);
    say(&mut rig, 0);
    hear(&mut rig, &mut given);
    for number in 0..4 {
        rig.queues[0].add(&memory, &[(SAYS + 0x4000 + number * APART, 0x100, true)]);
        rig.ring(0);
    }
    say(&mut rig, 3);
    hear(&mut rig, &mut given);
    hear(&mut rig, &mut given);
    memory.write_slice(b"ask", GuestAddress(SAYS)).unwrap();
    for answer in [b"an answer", b"and again"] {
        request(&mut rig, 1, &[(SAYS, 3, false)]);
        host.write_all(answer).unwrap();
        assert_eq!(used(&mut rig, 0), 9);
    }
}
