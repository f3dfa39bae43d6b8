//! A ring between two processes: no byte is lost or seen early, and no wake-up.

use std::io::IoSlice;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use loom::thread;

use crate::sync::Bell;

#[path = "../../src/pipe/ring.rs"]
mod ring;

use ring::{Consumer, Producer, RingMemory};

const CAPACITY: u32 = 2;

#[derive(Debug, Default)]
struct Shared {
    head: AtomicU32,
    tail: AtomicU32,
    wants_data: AtomicU32,
    wants_room: AtomicU32,
    data: [AtomicU8; CAPACITY as usize],
}

impl RingMemory for Arc<Shared> {
    fn capacity(&self) -> u32 {
        CAPACITY
    }

    fn head(&self) -> &AtomicU32 {
        &self.head
    }

    fn tail(&self) -> &AtomicU32 {
        &self.tail
    }

    fn wants_data(&self) -> &AtomicU32 {
        &self.wants_data
    }

    fn wants_room(&self) -> &AtomicU32 {
        &self.wants_room
    }

    fn put(&self, at: u32, bytes: &[u8]) {
        for (cell, byte) in self.data[at as usize..].iter().zip(bytes) {
            cell.store(*byte, Ordering::Relaxed);
        }
    }

    fn get(&self, at: u32, count: u32, bytes: &mut Vec<u8>) {
        let cells = self.data[at as usize..].iter().take(count as usize);
        bytes.extend(cells.map(|cell| cell.load(Ordering::Relaxed)));
    }
}

fn ring() -> (Producer<Arc<Shared>>, Consumer<Arc<Shared>>) {
    let shared = Arc::new(Shared::default());
    (Producer::new(Arc::clone(&shared)), Consumer::new(shared))
}

/// All that is there.
fn drain(consumer: &mut Consumer<Arc<Shared>>, got: &mut Vec<u8>) -> bool {
    let count = consumer.available().unwrap();
    consumer.read(count, got);
    count > 0
}

#[test]
fn a_reader_that_sleeps_is_woken_by_what_is_written() {
    loom::model(|| {
        let (mut producer, mut consumer) = ring();
        let bell = Arc::new(Bell::new().unwrap());
        let writer = {
            let bell = Arc::clone(&bell);
            thread::spawn(move || {
                assert_eq!(producer.write(&[IoSlice::new(&[7])]), Ok(1));
                if producer.wakes_reader() {
                    bell.ring();
                }
            })
        };
        let mut got = Vec::new();
        while got.is_empty() {
            bell.silence();
            if !drain(&mut consumer, &mut got) && !consumer.want_data().unwrap() {
                bell.wait();
            }
        }
        assert_eq!(got, [7]);
        writer.join().unwrap();
    });
}

#[test]
fn who_asks_to_be_woken_no_longer_learns_of_every_ring() {
    loom::model(|| {
        let (mut producer, consumer) = ring();
        let writer = thread::spawn(move || {
            assert_eq!(producer.write(&[IoSlice::new(&[7])]), Ok(1));
            producer.wakes_reader()
        });
        consumer.want_data().unwrap();
        let told = consumer.want_none();
        assert_eq!(told, writer.join().unwrap(), "a ring is told, and only one");
    });
}

#[test]
fn a_writer_that_waits_for_room_is_woken_by_what_is_read() {
    loom::model(|| {
        let (mut producer, mut consumer) = ring();
        let bell = Arc::new(Bell::new().unwrap());
        assert_eq!(
            producer.write(&[IoSlice::new(&[1, 2])]),
            Ok(CAPACITY as usize)
        );
        let reader = {
            let bell = Arc::clone(&bell);
            thread::spawn(move || {
                let mut one = Vec::new();
                consumer.read(1, &mut one);
                if consumer.wakes_writer() {
                    bell.ring();
                }
                (consumer, one)
            })
        };
        while producer.write(&[IoSlice::new(&[3])]).unwrap() == 0 {
            bell.silence();
            if !producer.want_room(true).unwrap() {
                bell.wait();
            }
        }
        let (mut consumer, mut got) = reader.join().unwrap();
        drain(&mut consumer, &mut got);
        assert_eq!(got, [1, 2, 3]);
    });
}

#[test]
fn bytes_arrive_whole_and_in_order_around_the_end_of_the_ring() {
    loom::model(|| {
        let (mut producer, mut consumer) = ring();
        // So that what follows wraps.
        assert_eq!(producer.write(&[IoSlice::new(&[0])]), Ok(1));
        consumer.read(1, &mut Vec::new());
        let writer = thread::spawn(move || {
            let written = producer.write(&[IoSlice::new(&[1]), IoSlice::new(&[2])]);
            assert_eq!(written, Ok(2));
        });
        let mut got = Vec::new();
        drain(&mut consumer, &mut got);
        assert!(got.is_empty() || got == [1, 2], "two bytes come at once");
        writer.join().unwrap();
        drain(&mut consumer, &mut got);
        assert_eq!(got, [1, 2]);
    });
}
