#![expect(
    unsafe_code,
    reason = "the time-stamp counter is read by an instruction"
)]
//! This host's time-stamp counter.

use std::time::{Duration, Instant};

/// How long its frequency is measured.
const MEASURE: Duration = Duration::from_millis(20);

/// The counter now.
pub(crate) fn read() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and Linux leaves it to user space.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Cycles in a millisecond, measured against the clock.
pub(crate) fn cycles_per_ms() -> u64 {
    let (start, first) = (Instant::now(), read());
    std::thread::sleep(MEASURE);
    let (elapsed, passed) = (start.elapsed(), read().wrapping_sub(first));
    let per_ms = u128::from(passed) * 1_000_000 / elapsed.as_nanos().max(1);
    u64::try_from(per_ms).unwrap_or(u64::MAX).max(1)
}
