//! What a carrier and its host say: a report is the place of a read, and its answer the value.
//!
//! | bits of the offset into [`abi::MMIO_THREADS`](crate::abi::MMIO_THREADS) | meaning |
//! |---|---|
//! | 0 to 2 | zero: reads have 8 bytes |
//! | 3 to 5 | [`Kind`] of the report |
//! | 6 to 13 | threads, if it makes them; else zero |
//!
//! The value read is [`OVER`], or the number of the thread to run.

/// Bytes of the registers.
pub const BYTES: u64 = 1 << 14;
/// The value read when all threads are done, or the machine ends.
pub const OVER: u64 = u64::MAX;

/// What a carrier reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Kind {
    /// It is there, and has no thread.
    Idle = 0,
    /// It made threads, and is there without one.
    Spawn = 1,
    /// The slice of its thread may be over.
    Tick = 2,
    /// Its thread waits for all others.
    Meet = 3,
    /// Its thread is done.
    Exit = 4,
}

/// The offset that says so. `threads` counts for [`Kind::Spawn`] alone.
///
/// ```
/// use giantvm_guest::threads::word::{Kind, decode, encode};
///
/// assert_eq!(decode(encode(Kind::Spawn, 16)), Some((Kind::Spawn, 16)));
/// assert_eq!(decode(encode(Kind::Exit, 0) + 1), None);
/// ```
#[must_use]
pub const fn encode(kind: Kind, threads: u8) -> u64 {
    (kind as u64) << 3 | (threads as u64) << 6
}

/// What an offset says; `None` if a carrier says no such thing.
#[must_use]
pub fn decode(offset: u64) -> Option<(Kind, u8)> {
    let threads = u8::try_from(offset >> 6).ok()?;
    let kinds = [Kind::Idle, Kind::Spawn, Kind::Tick, Kind::Meet, Kind::Exit];
    let kind = kinds
        .into_iter()
        .find(|&kind| encode(kind, threads) == offset)?;
    (threads > 0 || kind != Kind::Spawn).then_some((kind, threads))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offset_says_one_thing_or_nothing() {
        for offset in 0..2 * BYTES {
            match decode(offset) {
                Some((kind, threads)) => assert_eq!(encode(kind, threads), offset),
                None => assert!(
                    offset % 8 != 0 || offset >> 3 & 7 >= 5 || offset >= BYTES || offset == 8
                ),
            }
        }
    }
}
