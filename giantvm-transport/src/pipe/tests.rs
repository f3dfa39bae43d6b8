//! The pipe over real shared memory, with peers that lie.

use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread;

use giantvm_core::NodeId;
use giantvm_core::wire::Limits;
use proptest::prelude::*;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};

use super::exchange;
use super::ring::{Consumer, Nonsense, Producer, RingMemory as _};
use super::segment::{Segment, SegmentError, SegmentRing};
use crate::sync::Ordering;

const LIMITS: Limits = Limits { max_payload: 4096 };

fn ring() -> (SegmentRing, Producer<SegmentRing>, Consumer<SegmentRing>) {
    let (segment, _) = Segment::create(LIMITS).unwrap();
    let [ring, ..] = segment.rings(true);
    (
        ring.clone(),
        Producer::new(ring.clone()),
        Consumer::new(ring),
    )
}

fn read(consumer: &mut Consumer<SegmentRing>) -> Vec<u8> {
    let (count, mut bytes) = (consumer.available().unwrap(), Vec::new());
    consumer.read(count, &mut bytes);
    bytes
}

fn write(producer: &mut Producer<SegmentRing>, bytes: &[u8]) -> usize {
    producer.write(&[IoSlice::new(bytes)]).unwrap()
}

#[test]
fn a_full_ring_takes_what_fits_and_goes_on_when_there_is_room() {
    let (ring, mut producer, mut consumer) = ring();
    let capacity = ring.capacity() as usize;
    let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(capacity + 100).collect();
    assert_eq!(write(&mut producer, &bytes), capacity);
    assert_eq!(write(&mut producer, &bytes), 0);
    assert_eq!(producer.want_room(true), Ok(false));
    let mut first = Vec::new();
    consumer.read(100, &mut first);
    assert!(consumer.wakes_writer() && !consumer.wakes_writer());
    assert_eq!(producer.want_room(true), Ok(true));
    assert_eq!(write(&mut producer, &bytes[capacity..]), 100);
    assert_eq!([&first[..], &read(&mut consumer)].concat(), bytes);
}

#[test]
fn positions_that_make_no_sense_are_found_by_either_side() {
    let (ring, mut producer, consumer) = ring();
    for lie in [ring.capacity() + 1, u32::MAX / 2, u32::MAX] {
        ring.tail().store(lie, Ordering::Relaxed);
        assert_eq!(consumer.available(), Err(Nonsense));
        assert_eq!(consumer.want_data(), Err(Nonsense));
        ring.head().store(lie.wrapping_neg(), Ordering::Relaxed);
    }
    ring.head().store(1, Ordering::Relaxed);
    assert_eq!(producer.write(&[IoSlice::new(&[1])]), Err(Nonsense));
}

#[test]
fn each_direction_and_class_has_a_ring_of_its_own() {
    let (segment, file) = Segment::create(LIMITS).unwrap();
    let other = Segment::adopt(file, LIMITS).unwrap();
    for (number, ring) in segment
        .rings(true)
        .into_iter()
        .chain(segment.rings(false))
        .enumerate()
    {
        write(&mut Producer::new(ring), &[u8::try_from(number).unwrap()]);
    }
    let there = other.rings(true).into_iter().chain(other.rings(false));
    let read: Vec<_> = there.map(|ring| read(&mut Consumer::new(ring))).collect();
    assert_eq!(read, [[0], [1], [2], [3], [4], [5]]);
}

/// A memory file of `len` bytes of zeroes.
fn file(len: u64, seals: SealFlags) -> OwnedFd {
    let file = memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap();
    ftruncate(&file, len).unwrap();
    fcntl_add_seals(&file, seals).unwrap();
    file
}

#[test]
fn only_a_sealed_segment_of_the_right_form_is_adopted() {
    let refused = |file| match Segment::adopt(file, LIMITS) {
        Err(SegmentError::Unfit(why)) => why,
        other => panic!("{other:?}"),
    };
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    let (_, good) = Segment::create(LIMITS).unwrap();
    let len = u64::try_from(rustix::fs::fstat(&good).unwrap().st_size).unwrap();
    assert_eq!(refused(file(len, SealFlags::GROW)), "its length may change");
    assert_eq!(refused(file(len - 1, seals)), "its length is another");
    assert_eq!(refused(file(len, seals)), "its layout is another");
    let (pipe, _) = rustix::pipe::pipe().unwrap();
    assert_eq!(refused(pipe), "no memory file");
    let larger = Limits {
        max_payload: 1 << 20,
    };
    let (_, other) = Segment::create(larger).unwrap();
    assert_eq!(refused(other), "its length is another");
}

#[test]
fn both_sides_of_an_exchange_hold_the_same_pipes() {
    let (giver, taker) = (rand_number(1), rand_number(2));
    let listener = exchange::listen(giver).unwrap();
    let give = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        exchange::give(stream, giver, LIMITS).unwrap()
    });
    let node = NodeId::new(3).unwrap();
    let mut taken = exchange::take(node, (taker, giver), LIMITS).unwrap();
    let (who, instance, mut given) = give.join().unwrap();
    assert_eq!((who, instance), (node, taker));
    write(&mut given.output[1], b"there");
    write(&mut taken.output[1], b"back");
    assert_eq!(read(&mut taken.input[1]), b"there");
    assert_eq!(read(&mut given.input[1]), b"back");
}

#[test]
fn a_stranger_gets_no_pipes() {
    for hello in [&[0; 17][..], &[200; 17], &[0; 3], &[]] {
        let (mut here, there) = UnixStream::pair().unwrap();
        let give = thread::spawn(move || exchange::give(there, 77, LIMITS).map(|_| ()));
        std::io::Write::write_all(&mut here, hello).unwrap();
        drop(here);
        assert!(give.join().unwrap().is_err(), "{hello:?}");
    }
}

/// A number that no other test process listens at.
fn rand_number(salt: u64) -> u64 {
    u64::from(std::process::id()) << 8 | salt
}

proptest! {
    #[test]
    fn frames_of_any_length_come_through_in_order(
        lengths in prop::collection::vec(0..70_000_usize, 1..20),
    ) {
        let (_, mut producer, mut consumer) = ring();
        let numbers = (0..=u8::MAX).cycle();
        let frames = lengths.iter().map(|&len| numbers.clone().skip(len % 256).take(len));
        let sent: Vec<u8> = frames.flatten().collect();
        let (mut at, mut got) = (0, Vec::new());
        while got.len() < sent.len() {
            at += write(&mut producer, &sent[at..]);
            got.extend(read(&mut consumer));
        }
        prop_assert_eq!(got, sent);
    }

    #[test]
    fn no_positions_make_an_end_read_or_write_outside(
        head in any::<u32>(),
        tail in any::<u32>(),
        rounds in 1..4,
    ) {
        let (ring, mut producer, mut consumer) = ring();
        for _ in 0..rounds {
            ring.head().store(head, Ordering::Relaxed);
            producer.write(&[IoSlice::new(&[1; 5000])]).ok();
            ring.tail().store(tail, Ordering::Relaxed);
            if let Ok(count) = consumer.available() {
                prop_assert!(count <= ring.capacity() as usize);
                consumer.read(count, &mut Vec::new());
            }
        }
    }
}
