//! What came of one or more days.

use crate::published::CORES;
use crate::queue::Latencies;
use crate::run::STEP;

/// The cluster at one moment, as shares of all its processors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// What tenants need.
    pub(crate) tenants: f64,
    /// What machines get done.
    pub(crate) machines: f64,
    /// What the first host's tenant needs.
    pub(crate) one: f64,
}

/// Sums over all hosts and steps; times are in processor seconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// What tenants did.
    pub(crate) tenants: f64,
    /// What machines could have used.
    pub(crate) wanted: f64,
    /// What machines got of processors; what follows adds up to it.
    pub(crate) granted: f64,
    /// Of it, what they got done.
    pub(crate) useful: f64,
    /// What they lost by being apart.
    pub(crate) stalled: f64,
    /// What they lost by moving.
    pub(crate) waited: f64,
    /// What machines could have done if all hosts were one: what no policy can beat.
    pub(crate) pooled: f64,
    /// Steps of machines, and those in which they were at speed.
    pub(crate) machine_steps: u64,
    pub(crate) good_steps: u64,
    pub(crate) moves: u64,
    pub(crate) bytes: u64,
    pub(crate) latencies: Latencies,
    pub(crate) series: Vec<Moment>,
    pub(crate) hosts: usize,
}

impl Outcome {
    /// Adds another day.
    pub(crate) fn add(&mut self, day: Self) {
        self.tenants += day.tenants;
        self.wanted += day.wanted;
        self.granted += day.granted;
        self.useful += day.useful;
        self.stalled += day.stalled;
        self.waited += day.waited;
        self.pooled += day.pooled;
        self.machine_steps += day.machine_steps;
        self.good_steps += day.good_steps;
        self.moves += day.moves;
        self.bytes += day.bytes;
        self.latencies.merge(&day.latencies);
        self.series.extend(day.series);
        self.hosts = day.hosts;
    }

    /// Work that was done, of tenants and of machines, as a share of what all processors could.
    pub(crate) fn utilisation(&self) -> f64 {
        (self.tenants + self.useful) / self.everything()
    }

    /// The same if all hosts were one.
    pub(crate) fn utilisation_pooled(&self) -> f64 {
        (self.tenants + self.pooled) / self.everything()
    }

    /// The share of the time that machines were at speed.
    pub(crate) fn at_speed(&self) -> f64 {
        self.good_steps as f64 / (self.machine_steps.max(1)) as f64
    }

    fn everything(&self) -> f64 {
        let seconds = self.series.len() as f64 * STEP as f64;
        f64::from(CORES) * self.hosts as f64 * seconds
    }
}
