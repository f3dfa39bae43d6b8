//! A whole run as a value: what the cluster looks like, what its threads do, what disturbs it.

use std::fmt;

use giantvm_core::NodeId;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::chaos::{Chaos, Disturbances};
use super::cluster::{Cluster, Report};
use super::config::{Config, Op};
use super::failure::Failure;
use super::inspect::Inspect;
use super::shrink::shrink;
use crate::protocol::{Setup, Tick};

/// A run that can be repeated, shrunk and shown.
///
/// ```
/// use giantvm_dsm::protocol::Directory;
/// use giantvm_dsm::testing::{Config, Disturbances, Scenario};
///
/// let config = Config { nodes: 3, pages: 2, seed: 42, ..Config::default() };
/// let scenario = Scenario::random(config, 20, Disturbances::LIVELY);
/// let report = scenario.check::<Directory>()?;
/// assert_eq!(report.accesses, 3 * 2 * 20);
/// # Ok::<(), giantvm_dsm::testing::Failure>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// The cluster.
    pub config: Config,
    /// What its threads do.
    pub ops: Vec<Op>,
    /// What disturbs it, and when.
    pub chaos: Vec<(Tick, Chaos)>,
}

impl Config {
    /// `count` random accesses for every thread of every node that runs the protocol.
    pub(super) fn random_ops(&self, rng: &mut SmallRng, count: usize) -> Vec<Op> {
        let mut ops = Vec::new();
        let honest = |node: &usize| NodeId::try_from(*node).ok() != self.hostile;
        for node in (0..self.nodes).filter(honest) {
            for thread in 0..self.threads {
                ops.extend((0..count).map(|_| Op::random(rng, node, thread, self.pages)));
            }
        }
        ops
    }
}

impl Scenario {
    /// `accesses` random ones for each thread, and disturbances while about half of them are done.
    /// Equal arguments give equal scenarios.
    #[must_use]
    pub fn random(config: Config, accesses: usize, disturbances: Disturbances) -> Self {
        let mut rng = SmallRng::seed_from_u64(config.seed);
        let ops = config.random_ops(&mut rng, accesses);
        // An access takes a fault's few messages, and others are in the queue before it.
        let until = Tick(config.delay.0 * accesses as u64 * 4);
        let chaos = disturbances.random(&mut rng, &config, until);
        Self { config, ops, chaos }
    }

    /// Runs it once.
    ///
    /// # Errors
    /// [`Failure`] if a law is broken.
    pub fn run<P: Inspect>(&self, make: &dyn Fn(Setup) -> P) -> Result<Report, Failure> {
        let mut cluster = Cluster::with(self.config.clone(), make);
        cluster.plan(self.ops.iter().copied());
        for &(at, chaos) in &self.chaos {
            cluster.disturb(at, chaos);
        }
        let report = cluster.run()?;
        self.check_healed(&report, cluster)?;
        Ok(report)
    }

    /// Runs it; if it fails, looks for the smallest part of it that fails the same way, and says so.
    ///
    /// # Errors
    /// [`Failure`] of the smallest scenario that was found.
    pub fn check<P: Inspect>(&self) -> Result<Report, Failure> {
        self.check_with(&P::new)
    }

    /// The same with nodes made by `make`.
    ///
    /// # Errors
    /// [`Failure`] of the smallest scenario that was found.
    pub fn check_with<P: Inspect>(&self, make: &dyn Fn(Setup) -> P) -> Result<Report, Failure> {
        self.run(make)
            .map_err(|failure| shrink(self, failure, make))
    }

    /// After the last disturbance everything has to be done within a time that follows from how
    /// much there was to do.
    fn check_healed<P: Inspect>(
        &self,
        report: &Report,
        cluster: Cluster<P>,
    ) -> Result<(), Failure> {
        let quiet_from = self.chaos.iter().map(|(at, chaos)| match chaos {
            Chaos::Pin { time, .. } | Chaos::Partition { time, .. } => at.0 + time.0,
            _ => at.0,
        });
        let Config { nodes, delay, .. } = self.config;
        // The slowest message, and a rest of a contended page or a refresh of a lease.
        let slowest = delay.0 * 10 * 4 + 1_000_000;
        let bound = 8 * slowest * (self.ops.len() as u64 + 1) * nodes as u64;
        let limit = quiet_from.max().unwrap_or(0) + bound;
        if report.end.0 <= limit {
            return Ok(());
        }
        Err(Failure {
            seed: self.config.seed,
            step: report.steps,
            what: format!(
                "healing: done after {} ns, not within {limit}",
                report.end.0
            ),
            page: None,
            trace: cluster.trace(),
            scenario: None,
        })
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config {
            nodes,
            pages,
            threads,
            seed,
            ..
        } = self.config;
        writeln!(
            f,
            "{nodes} nodes, {pages} pages, {threads} threads a node, seed {seed}:"
        )?;
        for op in &self.ops {
            writeln!(f, "  {op}")?;
        }
        for (at, chaos) in &self.chaos {
            writeln!(f, "  {:>10} ns  {chaos}", at.0)?;
        }
        Ok(())
    }
}
