//! A ring of bytes with one producer and one consumer, and wake-ups that are never lost.
//!
//! # State
//! Shared: `tail`, how many bytes were ever written; `head`, how many were ever read; both wrap. The
//! bytes from `head` to `tail` are in the ring. `wants_data`: the consumer sleeps until there is
//! something to read. `wants_room`: the producer has more than fits, and sleeps until there is room.
//!
//! # Invariants
//! 1. `tail - head <= capacity`, at all times, in each side's eyes: each moves its own position only,
//!    after it has moved the bytes. A side that sees it broken has a peer that breaks it.
//! 2. *No lost wake-up.* Who sleeps sets its flag, and then looks once more; who moves a position
//!    does so first, and then looks at the flag. A full fence stands between the two on both sides,
//!    so at least one of them sees what the other did. Who takes a flag away rings the bell.

use std::io::IoSlice;

use crate::sync::{AtomicU32, Ordering, fence};

/// Where a ring is kept.
pub(crate) trait RingMemory {
    /// Bytes of the data: a power of two.
    fn capacity(&self) -> u32;
    /// How many bytes were ever read.
    fn head(&self) -> &AtomicU32;
    /// How many bytes were ever written.
    fn tail(&self) -> &AtomicU32;
    /// Whether the consumer sleeps.
    fn wants_data(&self) -> &AtomicU32;
    /// Whether the producer waits for room.
    fn wants_room(&self) -> &AtomicU32;
    /// Copies `bytes` to offset `at` of the data; they fit.
    fn put(&self, at: u32, bytes: &[u8]);
    /// Appends `count` bytes from offset `at` of the data to `bytes`; so many are there.
    fn get(&self, at: u32, count: u32, bytes: &mut Vec<u8>);
}

/// The other side broke the ring's first invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nonsense;

/// The writing end.
#[derive(Debug)]
pub(crate) struct Producer<M> {
    memory: M,
    tail: u32,
}

/// The reading end.
#[derive(Debug)]
pub(crate) struct Consumer<M> {
    memory: M,
    head: u32,
}

impl<M: RingMemory> Producer<M> {
    /// The writing end of a ring that nothing was written to.
    pub(crate) const fn new(memory: M) -> Self {
        Self { memory, tail: 0 }
    }

    /// Writes what fits of `slices`; 0 if nothing does.
    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, Nonsense> {
        let mut room = self.room()?;
        let mut written = 0;
        for slice in slices {
            let part = &slice[..slice.len().min(room as usize)];
            self.put(part);
            room -= length(part);
            written += part.len();
        }
        if written > 0 {
            self.memory.tail().store(self.tail, Ordering::Release);
        }
        Ok(written)
    }

    /// Whether the consumer slept when something was written: its bell has to ring.
    pub(crate) fn wakes_reader(&self) -> bool {
        takes(self.memory.wants_data())
    }

    /// Asks to be woken when there is room, or not any more. `true` if there is some now.
    pub(crate) fn want_room(&self, on: bool) -> Result<bool, Nonsense> {
        self.memory.wants_room().store(on.into(), Ordering::Relaxed);
        fence(Ordering::SeqCst);
        Ok(self.room()? > 0)
    }

    fn room(&self) -> Result<u32, Nonsense> {
        let used = self
            .tail
            .wrapping_sub(self.memory.head().load(Ordering::Acquire));
        self.memory.capacity().checked_sub(used).ok_or(Nonsense)
    }

    fn put(&mut self, bytes: &[u8]) {
        let capacity = self.memory.capacity();
        let at = self.tail & (capacity - 1);
        let (first, rest) = bytes.split_at(bytes.len().min((capacity - at) as usize));
        self.memory.put(at, first);
        if !rest.is_empty() {
            self.memory.put(0, rest);
        }
        self.tail = self.tail.wrapping_add(length(bytes));
    }
}

impl<M: RingMemory> Consumer<M> {
    /// The reading end of a ring that nothing was read from.
    pub(crate) const fn new(memory: M) -> Self {
        Self { memory, head: 0 }
    }

    /// How many bytes can be read.
    pub(crate) fn available(&self) -> Result<usize, Nonsense> {
        let there = self
            .memory
            .tail()
            .load(Ordering::Acquire)
            .wrapping_sub(self.head);
        if there > self.memory.capacity() {
            return Err(Nonsense);
        }
        Ok(there as usize)
    }

    /// Appends `count` bytes to `bytes`; so many must be [available](Self::available).
    pub(crate) fn read(&mut self, count: usize, bytes: &mut Vec<u8>) {
        let (capacity, count) = (
            self.memory.capacity(),
            u32::try_from(count).unwrap_or(u32::MAX),
        );
        let at = self.head & (capacity - 1);
        let first = count.min(capacity - at);
        self.memory.get(at, first, bytes);
        if count > first {
            self.memory.get(0, count - first, bytes);
        }
        self.head = self.head.wrapping_add(count);
        self.memory.head().store(self.head, Ordering::Release);
    }

    /// Whether the producer waited for room when something was read: its bell has to ring.
    pub(crate) fn wakes_writer(&self) -> bool {
        takes(self.memory.wants_room())
    }

    /// Asks to be woken when there is something to read. `true` if there is something now.
    pub(crate) fn want_data(&self) -> Result<bool, Nonsense> {
        self.memory.wants_data().store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        Ok(self.available()? > 0)
    }

    /// Asks for that no longer. `true` if the bell rang meanwhile, or is about to.
    pub(crate) fn want_none(&self) -> bool {
        self.memory.wants_data().swap(0, Ordering::Relaxed) == 0
    }
}

/// Takes a flag away after a position was moved; `true` if it was set.
fn takes(flag: &AtomicU32) -> bool {
    fence(Ordering::SeqCst);
    flag.load(Ordering::Relaxed) != 0 && flag.swap(0, Ordering::Relaxed) != 0
}

/// The length of what fits into a ring.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
