//! How long requests of a tenant take on what processors it has: a queue of the kind M/M/c.
//!
//! Requests come at random and are served by `c` processors, in order, with exponential service times.
//! With `a` processors' worth of them, one finds all processors busy with Erlang's probability `C(c, a)`,
//! and then waits as long as `c - a` of them take for one. If more come than can be served, what is left
//! over waits for the next moment.

use crate::published::CORES;

/// The mean service time, in milliseconds.
pub(crate) const SERVICE_MS: f64 = 5.0;
/// Loads are told apart by so many steps from none to all processors.
const STEPS: usize = 256;
/// The highest load of a queue that settles; above it the backlog is what counts.
const SETTLES: f64 = 1.0 - 1.0 / STEPS as f64;
/// Waits are told apart by so many steps, each a twelfth longer than the one before.
const WAITS: usize = 128;

/// All requests by what they met.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Latencies {
    /// Requests by processors and load.
    settled: Vec<f64>,
    /// Requests that came to a backlog, by processors and how long they waited for it.
    late: Vec<f64>,
    all: f64,
}

impl Default for Latencies {
    fn default() -> Self {
        let cores = CORES as usize + 1;
        Self {
            settled: vec![0.0; cores * (STEPS + 1)],
            late: vec![0.0; cores * WAITS],
            all: 0.0,
        }
    }
}

impl Latencies {
    /// Requests of `load` processors' worth came to `servers` processors, for a moment, with a backlog
    /// of so many processor seconds before them on average.
    pub(crate) fn add(&mut self, load: f64, servers: f64, backlog: f64) {
        let cores = (servers.floor().clamp(1.0, f64::from(CORES))) as usize;
        self.all += load;
        let part = load / cores as f64;
        if part < SETTLES && backlog == 0.0 {
            self.settled[cores * (STEPS + 1) + (part * STEPS as f64).round() as usize] += load;
        } else {
            let wait = backlog / cores as f64 * 1e3;
            self.late[cores * WAITS + wait_step(wait)] += load;
        }
    }

    /// Adds others.
    pub(crate) fn merge(&mut self, other: &Self) {
        let pairs = self.settled.iter_mut().zip(&other.settled);
        let late = self.late.iter_mut().zip(&other.late);
        pairs.chain(late).for_each(|(into, from)| *into += from);
        self.all += other.all;
    }

    /// The share of requests that find all processors busy.
    pub(crate) fn waiting(&self) -> f64 {
        let settled = self
            .settled
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0.0);
        let waiting = settled.map(|(at, count)| {
            let (cores, step) = (at / (STEPS + 1), at % (STEPS + 1));
            count * busy(cores, step as f64 / STEPS as f64 * cores as f64)
        });
        waiting.sum::<f64>() / self.all.max(f64::MIN_POSITIVE) + self.late()
    }

    /// The share of requests that came to a backlog.
    pub(crate) fn late(&self) -> f64 {
        self.late.iter().sum::<f64>() / self.all.max(f64::MIN_POSITIVE)
    }

    /// The time in milliseconds that so many of all requests, a share, take at most.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let (mut low, mut high) = (0.0, 1e7);
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if self.beyond(middle) > 1.0 - share {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }

    /// The share of requests that take longer than this, in milliseconds.
    fn beyond(&self, ms: f64) -> f64 {
        let settled = self
            .settled
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0.0);
        let settled = settled.map(|(at, count)| {
            let (cores, step) = (at / (STEPS + 1), at % (STEPS + 1));
            count * tail(cores, step as f64 / STEPS as f64, ms)
        });
        let late = self
            .late
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0.0);
        let late = late.map(|(at, count)| {
            let (cores, step) = (at / WAITS, at % WAITS);
            count * tail(cores, SETTLES, ms - wait_of(step))
        });
        (settled.sum::<f64>() + late.sum::<f64>()) / self.all.max(f64::MIN_POSITIVE)
    }
}

fn wait_step(ms: f64) -> usize {
    let steps = ((ms + 1.0).ln() / (13.0_f64 / 12.0).ln()).round();
    (steps.max(0.0) as usize).min(WAITS - 1)
}

fn wait_of(step: usize) -> f64 {
    (13.0_f64 / 12.0).powf(step as f64) - 1.0
}

/// The probability that all processors are busy, by Erlang's second formula.
fn busy(cores: usize, load: f64) -> f64 {
    let mut blocked = 1.0;
    for servers in 1..=cores {
        blocked = load * blocked / (servers as f64 + load * blocked);
    }
    let part = load / cores as f64;
    blocked / (1.0 - part * (1.0 - blocked))
}

/// The probability that a request takes longer than this.
fn tail(cores: usize, part: f64, ms: f64) -> f64 {
    if ms <= 0.0 {
        return 1.0;
    }
    let load = part.min(SETTLES) * cores as f64;
    let (free, times) = (cores as f64 - load, ms / SERVICE_MS);
    // The sum of waiting and service: both fade, and nothing here grows beyond all bounds.
    let served = (-times).exp();
    let both = if (free - 1.0).abs() < 1e-6 {
        served * times
    } else {
        (served - (-times * free).exp()) / (free - 1.0)
    };
    (served + busy(cores, load) * both).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erlangs_formula_has_its_published_values() {
        // One server: the load. Two servers with one erlang: a third. Tables: C(10, 8) = 0.4092.
        assert!((busy(1, 0.3) - 0.3).abs() < 1e-12);
        assert!((busy(2, 1.0) - 1.0 / 3.0).abs() < 1e-12);
        assert!((busy(10, 8.0) - 0.4092).abs() < 1e-4);
    }

    #[test]
    fn one_server_answers_as_the_formula_of_mm1_says() {
        // P(T > t) = exp(-(1 - a) t), in service times.
        for (part, times) in [(0.5, 3.0), (0.25, 1.0), (0.75, 10.0)] {
            let expected: f64 = f64::exp(-(1.0 - part) * times);
            let found = tail(1, part, times * SERVICE_MS);
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
    }

    #[test]
    fn without_waiting_the_tail_is_the_services() {
        let mut latencies = Latencies::default();
        latencies.add(1.0, 96.0, 0.0);
        let p99 = latencies.percentile(0.99);
        assert!((p99 - SERVICE_MS * 100.0_f64.ln()).abs() < 0.1, "{p99}");
    }

    #[test]
    fn a_backlog_makes_requests_late_by_what_it_takes() {
        let mut latencies = Latencies::default();
        latencies.add(20.0, 10.0, 100.0);
        assert!((latencies.late() - 1.0).abs() < 1e-9);
        // 100 processor seconds on 10 processors, give or take a step.
        let p50 = latencies.percentile(0.5);
        assert!((9_000.0..=11_500.0).contains(&p50), "{p50}");
    }

    #[test]
    fn fewer_processors_are_never_faster() {
        let p99 = |servers: f64| {
            let mut latencies = Latencies::default();
            latencies.add(20.0, servers, 0.0);
            latencies.percentile(0.99)
        };
        let times: Vec<_> = (21..96).map(|servers| p99(f64::from(servers))).collect();
        assert!(
            times.windows(2).all(|pair| pair[0] >= pair[1] - 1e-6),
            "{times:?}"
        );
    }
}
