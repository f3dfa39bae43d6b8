//! Whether saving bytes pays: pure.

use std::time::Duration;

/// Bytes a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(pub u64);

impl Rate {
    /// Between nodes of one host: what a page costs there is copying it.
    pub const HOST: Self = Self(5_000_000_000);
    /// Assumed of a network until it was measured: 10 Gb/s.
    pub const ASSUMED: Self = Self(1_250_000_000);

    /// How long so many bytes take.
    fn time_of(self, bytes: usize) -> Duration {
        let nanos = bytes as u128 * 1_000_000_000 / u128::from(self.0.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Whether `saved` bytes take longer at `rate` than the work that saves them.
///
/// ```
/// use std::time::Duration;
/// use giantvm_dsm::engine::parcel::{Rate, worth_it};
///
/// let work = Duration::from_micros(1);
/// assert!(worth_it(4000, Rate(1_000_000_000), work));
/// assert!(!worth_it(4000, Rate(5_000_000_000), work));
/// ```
#[must_use]
pub fn worth_it(saved: usize, rate: Rate, work: Duration) -> bool {
    rate.time_of(saved) > work
}

/// What a delta saves of a page, as a rule, and what it costs for each 4 KiB: the comparison, and on
/// both ends a copy and its digest.
pub(super) fn delta_pays(page: usize, rate: Rate) -> bool {
    const WORK: Duration = Duration::from_nanos(900);
    worth_it(page - page / 16, rate, work(WORK, page))
}

/// What compression saves of a page of code or text, and what both ends take for each 4 KiB.
pub(super) fn lz4_pays(page: usize, rate: Rate) -> bool {
    const WORK: Duration = Duration::from_nanos(9_000);
    worth_it(page / 3, rate, work(WORK, page))
}

fn work(for_4k: Duration, page: usize) -> Duration {
    for_4k * u32::try_from(page >> 12).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GBIT: u64 = 125_000_000;

    #[test]
    fn on_one_host_neither_pays_and_on_a_network_deltas_do() {
        for page in [4096, 2 << 20] {
            assert!(!delta_pays(page, Rate::HOST) && !lz4_pays(page, Rate::HOST));
            assert!(delta_pays(page, Rate::ASSUMED) && !lz4_pays(page, Rate::ASSUMED));
        }
    }

    #[test]
    fn compression_pays_on_a_gigabit_and_not_on_two_and_a_half() {
        assert!(lz4_pays(4096, Rate(GBIT)));
        assert!(!lz4_pays(4096, Rate(GBIT * 5 / 2)));
        assert!(delta_pays(4096, Rate(GBIT * 25)));
    }

    #[test]
    fn a_rate_of_nothing_is_no_division_by_it() {
        assert!(
            worth_it(1, Rate(0), Duration::from_secs(1)) || !worth_it(0, Rate(0), Duration::ZERO)
        );
    }
}
