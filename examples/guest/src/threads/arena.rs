//! Where threads live: a stack each, at the end of the memory.

use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::switch::{self, Frame};
use crate::memory::Memory;

/// Bytes of a thread's arena: its stack, and above that what it and its carrier share. Whole pages, as
/// pages go where the thread goes.
pub const ARENA: u64 = 0x1_0000;
/// Bytes of what a thread and its carrier share.
const SHARED: u64 = 128;

/// Where the memory of programs ends on a machine with so many bytes and threads: arenas lie behind it.
#[must_use]
pub const fn programs_end(memory: u64, threads: u32) -> u64 {
    memory.saturating_sub(threads as u64 * ARENA)
}

/// The words that a thread and its carrier share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arena<'m> {
    /// The stack pointer of a thread that is not running.
    pub(super) stack: &'m AtomicU64,
    /// What it asks for, and with what.
    pub(super) ask: &'m AtomicU64,
    pub(super) arguments: [&'m AtomicU64; 2],
    /// The answer.
    pub(super) answer: &'m AtomicU64,
}

impl<'m> Arena<'m> {
    /// The arena of a thread among so many.
    pub(super) fn of(memory: Memory<'m>, thread: u32, threads: u32) -> Self {
        let end = programs_end(memory.size(), threads) + u64::from(thread + 1) * ARENA;
        let word = |at: u64| memory.word(end - SHARED + 8 * at);
        Self {
            stack: word(0),
            ask: word(1),
            arguments: [word(2), word(3)],
            answer: word(4),
        }
    }

    /// Makes a thread that starts at `entry` when it is loaded for the first time.
    pub(super) fn make(memory: Memory<'m>, thread: u32, threads: u32, entry: switch::Entry) {
        let end = programs_end(memory.size(), threads) + u64::from(thread + 1) * ARENA;
        let frame = Frame::new(entry, memory, thread, threads);
        let start = end - SHARED - frame.0.len() as u64 * 8;
        let words = memory.words(start, frame.0.len() as u64);
        for (word, value) in words.iter().zip(frame.0) {
            word.store(value, SeqCst);
        }
        let stack = words.as_ptr() as u64;
        Self::of(memory, thread, threads).stack.store(stack, SeqCst);
    }
}
