//! How fast a node's counters grow.

use serde::Serialize;

use crate::counts::Counts;

/// Events a second between two moments, and what cannot be told as such.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Rates {
    pub(crate) read_faults_per_second: f64,
    pub(crate) write_faults_per_second: f64,
    pub(crate) upgrades_per_second: f64,
    pub(crate) local_faults_per_second: f64,
    /// Of all faults since the start that needed another node.
    pub(crate) fault_p50_us: Option<f64>,
    pub(crate) fault_p99_us: Option<f64>,
    pub(crate) pages_in_per_second: f64,
    pub(crate) pages_out_per_second: f64,
    pub(crate) bytes_in_per_second: f64,
    pub(crate) bytes_out_per_second: f64,
    /// Messages to other nodes, of every kind.
    pub(crate) messages_out_per_second: f64,
    /// Of one processor, by the node's process.
    pub(crate) cpu_percent: f64,
    pub(crate) guesses_per_second: f64,
    pub(crate) read_ahead_per_second: f64,
    pub(crate) read_ahead_used_per_second: f64,
    /// Pages that threads waited for when the node was asked.
    pub(crate) in_flight: usize,
}

impl Rates {
    /// What happened in the `seconds` between `before` and `after`.
    pub(crate) fn between(before: &Counts, after: &Counts, seconds: f64) -> Self {
        let rate = |count: fn(&Counts) -> u64| {
            // A peer's counters are its own word, and may go back.
            let more = count(after).saturating_sub(count(before));
            if seconds > 0.0 {
                more as f64 / seconds
            } else {
                0.0
            }
        };
        Self {
            read_faults_per_second: rate(|counts| counts.faults_read),
            write_faults_per_second: rate(|counts| counts.faults_write),
            upgrades_per_second: rate(|counts| counts.faults_upgrade),
            local_faults_per_second: rate(|counts| counts.faults_local),
            fault_p50_us: after.fault_p50_us,
            fault_p99_us: after.fault_p99_us,
            pages_in_per_second: rate(|counts| counts.pages_received),
            pages_out_per_second: rate(|counts| counts.pages_sent),
            bytes_in_per_second: rate(|counts| counts.bytes_received),
            bytes_out_per_second: rate(|counts| counts.bytes_sent),
            messages_out_per_second: rate(|counts| counts.frames_sent),
            cpu_percent: if seconds > 0.0 {
                100.0 * (after.cpu_seconds - before.cpu_seconds).max(0.0) / seconds
            } else {
                0.0
            },
            guesses_per_second: rate(|counts| counts.guesses),
            read_ahead_per_second: rate(|counts| counts.read_ahead),
            read_ahead_used_per_second: rate(|counts| counts.read_ahead_used),
            in_flight: after.waiting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(reads: u64, bytes: u64) -> Counts {
        Counts {
            faults_read: reads,
            bytes_sent: bytes,
            waiting: 3,
            ..Counts::default()
        }
    }

    #[test]
    fn a_rate_is_the_difference_over_the_time() {
        let rates = Rates::between(&counts(10, 1000), &counts(20, 5000), 2.0);
        assert_eq!(
            (rates.read_faults_per_second, rates.bytes_out_per_second),
            (5.0, 2000.0)
        );
        assert_eq!((rates.in_flight, rates.write_faults_per_second), (3, 0.0));
    }

    #[test]
    fn counters_that_go_back_and_no_time_at_all_give_no_rate() {
        let back = Rates::between(&counts(20, 0), &counts(10, 0), 1.0);
        assert_eq!(back.read_faults_per_second, 0.0);
        let at_once = Rates::between(&counts(0, 0), &counts(10, 0), 0.0);
        assert_eq!(at_once.read_faults_per_second, 0.0);
    }
}
