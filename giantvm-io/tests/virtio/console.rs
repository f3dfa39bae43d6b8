//! A console, and randomness.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;

use giantvm_io::virtio::console::Console;
use giantvm_io::virtio::rng::Entropy;
use vm_memory::{Bytes, GuestAddress};

use crate::support::{BUFFERS, Rig};

#[test]
fn what_the_guest_writes_comes_out_in_order() {
    let (out, came) = channel();
    let mut rig = Rig::new(Console::new(move |bytes| out.send(bytes.to_vec()).unwrap()));
    let text: Vec<u8> = (0..=u8::MAX).cycle().take(10_000).collect();
    rig.memory
        .write_slice(&text, GuestAddress(BUFFERS))
        .unwrap();
    let chain = [(BUFFERS, 3, false), (BUFFERS + 3, 9_997, false)];
    assert_eq!(rig.request(1, &chain), 0);
    let got: Vec<u8> = came.try_iter().flatten().collect();
    assert_eq!(got, text);
}

#[test]
fn input_fills_the_guests_buffers_as_they_come() {
    let (mut person, input) = UnixStream::pair().unwrap();
    let console = Console::new(|_| ()).with_input(OwnedFd::from(input));
    let mut rig = Rig::new(console);
    let memory = rig.memory.clone();
    // Before there is any buffer.
    person.write_all(b"hello").unwrap();
    assert_eq!(rig.request(0, &[(BUFFERS, 2, true)]), 2);
    assert_eq!(rig.request(0, &[(BUFFERS + 2, 64, true)]), 3);
    let mut text = [0; 5];
    memory.read_slice(&mut text, GuestAddress(BUFFERS)).unwrap();
    assert_eq!(&text, b"hello");
    // After the buffer.
    let before = rig.line.rises();
    rig.queues[0].add(&memory, &[(BUFFERS, 64, true)]);
    rig.ring(0);
    person.write_all(b"x").unwrap();
    assert_eq!(rig.interrupt(before + 1), 1);
    assert_eq!(
        rig.queues[0].used(&memory).map(|(_, written)| written),
        Some(1)
    );
    // Its end is no news.
    drop(person);
    rig.queues[0].add(&memory, &[(BUFFERS, 64, true)]);
    rig.ring(0);
    rig.request(1, &[(BUFFERS, 1, false)]);
    assert_eq!(rig.queues[0].used(&memory), None);
}

#[test]
fn entropy_fills_its_buffers_and_no_more() {
    let mut rig = Rig::new(Entropy);
    let memory = rig.memory.clone();
    let written = rig.request(0, &[(BUFFERS, 64, true), (BUFFERS + 0x100, 64, true)]);
    assert_eq!(written, 128);
    let mut bytes = [0; 0x200];
    memory
        .read_slice(&mut bytes, GuestAddress(BUFFERS))
        .unwrap();
    let zeroes =
        |range: std::ops::Range<usize>| bytes[range].iter().filter(|&&byte| byte == 0).count();
    assert!(zeroes(0..64) < 16 && zeroes(0x100..0x140) < 16);
    assert_eq!((zeroes(64..0x100), zeroes(0x140..0x200)), (192, 192));
    assert_eq!(rig.request(0, &[(BUFFERS, 1 << 20, true)]), 4096);
}
