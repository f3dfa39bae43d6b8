//! What the figures have to reach beside their floors.

use serde::Serialize;

use crate::pair::Pump;

/// A tail that counts as one of milliseconds, in microseconds.
const LONG_TAIL: f64 = 1000.0;
/// Of handovers of two writers to those of the floor.
pub(crate) const TWO_WRITERS: f64 = 0.75;
/// Of handovers of more writers to those of two.
pub(crate) const MORE_WRITERS: f64 = 0.5;
/// What the slowest of more writers gets of an even share.
pub(crate) const SLOWEST: f64 = 0.25;
/// Of a sequential read to a stream.
pub(crate) const READ_SCAN: f64 = 0.6;
/// Of a sequential write to a stream.
pub(crate) const WRITE_SCAN: f64 = 0.4;

/// Whether a figure reaches its bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Met,
    Missed,
    /// It has no bar.
    None,
}

impl Verdict {
    pub(crate) const fn of(met: bool) -> Self {
        if met { Self::Met } else { Self::Missed }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "MISSED",
            Self::None => "",
        }
    }
}

/// What the median of a fault may be of its floor; none where only the tail counts.
const fn fault_bar(pump: Pump, loaded: bool) -> Option<f64> {
    match (pump, loaded) {
        (Pump::Latency, _) => Some(1.3),
        (Pump::Adaptive, false) => Some(1.5),
        (Pump::Adaptive, true) | (Pump::Blocking, _) => None,
    }
}

/// Of a kind of fault: `ratio` of medians, and what 99 of 100 take.
pub(crate) fn fault(pump: Pump, loaded: bool, ratio: f64, p99: f64, floor_p99: f64) -> Verdict {
    let short_tail = p99 < LONG_TAIL.max(floor_p99 * 1.5);
    match fault_bar(pump, loaded) {
        Some(bar) => Verdict::of(ratio <= bar && short_tail),
        None if pump == Pump::Blocking => Verdict::None,
        None => Verdict::of(short_tail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_meets_its_bar_by_median_and_tail() {
        let idle = |ratio, p99| fault(Pump::Adaptive, false, ratio, p99, 50.0);
        assert_eq!(idle(1.5, 900.0), Verdict::Met);
        assert_eq!(idle(1.51, 900.0), Verdict::Missed);
        assert_eq!(idle(1.0, 1001.0), Verdict::Missed);
        let loaded = |p99, floor| fault(Pump::Adaptive, true, 9.0, p99, floor);
        assert_eq!(loaded(4000.0, 3000.0), Verdict::Met);
        assert_eq!(loaded(4000.0, 30.0), Verdict::Missed);
        let latency = fault(Pump::Latency, true, 1.4, 10.0, 10.0);
        assert_eq!(latency, Verdict::Missed);
    }
}
