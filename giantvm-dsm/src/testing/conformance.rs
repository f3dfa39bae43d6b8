//! Everything that a protocol is held to, in one call.
//!
//! ```
//! use giantvm_dsm::protocol::Directory;
//! use giantvm_dsm::testing::conformance::Suite;
//!
//! let verdict = Suite::quick().check::<Directory>(&mut |_| ())?;
//! assert!(verdict.steps.len() >= 6);
//! # Ok::<(), giantvm_dsm::testing::conformance::Fault>(())
//! ```

use std::fmt;
use std::ops::Range;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::adversary::Adversary;
use super::chaos::Disturbances;
use super::cluster::{Cluster, Report};
use super::config::Config;
use super::failure::Failure;
use super::model::{Budget, Checkable, Counterexample, SmallWorld};
use super::scenario::Scenario;

/// How much is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// The seeds of the random scenarios; each is run calm, disturbed, and with a death.
    pub seeds: Range<u64>,
    /// Random accesses of each thread in a scenario.
    pub accesses: usize,
    /// Seeds of a hostile node's lies.
    pub lies: Range<u64>,
    /// The worlds that are searched, and what each is for.
    pub worlds: Vec<(&'static str, SmallWorld)>,
}

/// One step of a suite that was passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was checked.
    pub name: &'static str,
    /// How much of it, in words.
    pub extent: String,
}

/// What a suite found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// A law that a protocol breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// In a simulated run.
    #[error("{step}\n{failure}")]
    Simulation {
        /// The step of the suite.
        step: &'static str,
        /// What is wrong, and the trace that shows it.
        failure: Box<Failure>,
    },
    /// In a state of a small world.
    #[error("{step}\n{counterexample}")]
    Search {
        /// The step of the suite.
        step: &'static str,
        /// The shortest way to it.
        counterexample: Counterexample,
    },
    /// Two runs of one seed differ.
    #[error("determinism: two runs of seed {seed} differ at line {line}:\n  {first}\n  {second}")]
    Replay {
        /// The seed.
        seed: u64,
        /// The line of the trace.
        line: usize,
        /// The line in the first run.
        first: String,
        /// The line in the second.
        second: String,
    },
    /// A hostile peer has an effect that it must not have.
    #[error("hostile peer, seed {seed}: {what}")]
    Adversary {
        /// The seed of its lies.
        seed: u64,
        /// The law that it breaks.
        what: String,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<28} {}", self.name, self.extent)
    }
}

impl Suite {
    /// What takes seconds.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            seeds: 0..20,
            accesses: 20,
            lies: 0..50,
            worlds: vec![
                ("two nodes", world([Budget::faults(2); 2], 1)),
                ("three nodes", world([Budget::faults(1); 3], 1)),
            ],
        }
    }

    /// What a protocol should pass before anyone relies on it.
    #[must_use]
    pub fn full() -> Self {
        let evicting = Budget {
            evictions: 1,
            timeouts: Some(3),
            ..Budget::faults(2)
        };
        let pinning = Budget {
            pins: 1,
            timeouts: Some(3),
            ..Budget::faults(2)
        };
        let hearing = Budget {
            signals: 1,
            timeouts: Some(2),
            ..Budget::faults(2)
        };
        let short = Budget {
            timeouts: Some(2),
            ..Budget::faults(1)
        };
        let mortal = SmallWorld {
            mortal: true,
            ..world([evicting; 2], 1)
        };
        Self {
            seeds: 0..200,
            accesses: 30,
            lies: 0..500,
            worlds: vec![
                ("two nodes, evictions", world([evicting; 2], 1)),
                ("two nodes, pins", world([pinning; 2], 1)),
                ("two nodes, signals", world([hearing; 2], 1)),
                ("two nodes, two pages", world([short; 2], 2)),
                ("three nodes", world([short; 3], 1)),
                ("two nodes, a death", mortal),
            ],
        }
    }

    /// Holds a protocol to everything; tells `progress` of each step that it passes.
    ///
    /// # Errors
    /// [`Fault`]: the first law that was found broken, with what shows it.
    pub fn check<P: Checkable>(&self, progress: &mut dyn FnMut(&Step)) -> Result<Verdict, Fault> {
        let mut verdict = Verdict::default();
        let mut passed = |name, extent| {
            let step = Step { name, extent };
            progress(&step);
            verdict.steps.push(step);
        };
        let calm = Disturbances::default();
        passed(
            "random, undisturbed",
            self.simulate::<P>("random, undisturbed", calm)?,
        );
        passed("same seed, same trace", self.replay::<P>()?);
        let lively = Disturbances::LIVELY;
        passed(
            "random, disturbed",
            self.simulate::<P>("random, disturbed", lively)?,
        );
        let deadly = Disturbances::DEADLY;
        passed(
            "random, with a death",
            self.simulate::<P>("random, with a death", deadly)?,
        );
        for (name, world) in &self.worlds {
            let explored = world
                .explore::<P>()
                .map_err(|counterexample| Fault::Search {
                    step: name,
                    counterexample,
                })?;
            passed(name, format!("every one of {} states", explored.states));
        }
        passed("hostile peer", self.lie::<P>()?);
        Ok(verdict)
    }

    /// The cluster of a seed: all sizes from one node with one page to sixteen with sixty-four.
    #[must_use]
    pub fn config(seed: u64) -> Config {
        let mut rng = SmallRng::seed_from_u64(seed);
        Config {
            nodes: rng.random_range(1..=16),
            pages: [1, 2, 4, 16, 64][rng.random_range(0..5)],
            threads: rng.random_range(1..=3),
            seed,
            ..Config::default()
        }
    }

    fn replay<P: Checkable>(&self) -> Result<String, Fault> {
        let trace = |seed| {
            let mut cluster = Cluster::<P>::new(Self::config(seed));
            cluster.plan_random(self.accesses);
            cluster.run().map_err(simulation("same seed, same trace"))?;
            Ok(cluster.trace())
        };
        let mut lines = 0;
        for seed in self.seeds.clone().take(4) {
            let (first, second) = (trace(seed)?, trace(seed)?);
            lines += first.len();
            let differs = |line: &usize| first.get(*line) != second.get(*line);
            if let Some(line) = (0..first.len().max(second.len())).find(differs) {
                let at = |trace: &[String]| trace.get(line).cloned().unwrap_or_default();
                return Err(Fault::Replay {
                    seed,
                    line,
                    first: at(&first),
                    second: at(&second),
                });
            }
        }
        Ok(format!("{lines} lines, byte for byte"))
    }

    fn simulate<P: Checkable>(
        &self,
        step: &'static str,
        disturbances: Disturbances,
    ) -> Result<String, Fault> {
        let (mut steps, mut accesses) = (0, 0);
        for seed in self.seeds.clone() {
            let report = check_seed::<P>(seed, self.accesses, disturbances);
            let report = report.map_err(simulation(step))?;
            steps += report.steps;
            accesses += report.accesses;
        }
        let count = self.seeds.end - self.seeds.start;
        Ok(format!("{count} seeds, {accesses} accesses, {steps} steps"))
    }

    fn lie<P: Checkable>(&self) -> Result<String, Fault> {
        let step = "hostile peer";
        let adversary = Adversary::learn::<P>().map_err(simulation(step))?;
        let mut believed = 0;
        for seed in self.lies.clone() {
            let mut rng = SmallRng::seed_from_u64(seed);
            let bytes: Vec<u8> = (0..2_000).map(|_| rng.random()).collect();
            let assault = adversary.assault::<P>(&bytes);
            believed += assault.map_err(|what| Fault::Adversary { seed, what })?;
            let siege = adversary.besiege::<P>(seed, &bytes);
            siege.map_err(simulation(step))?;
        }
        let count = self.lies.end - self.lies.start;
        Ok(format!(
            "{count} seeds, {believed} lies not to be told from truth"
        ))
    }
}

/// One random scenario: the cluster of [`Suite::config`], so many accesses of each thread.
///
/// # Errors
/// [`Failure`] of the smallest scenario that was found.
pub fn check_seed<P: Checkable>(
    seed: u64,
    accesses: usize,
    disturbances: Disturbances,
) -> Result<Report, Failure> {
    Scenario::random(Suite::config(seed), accesses, disturbances).check::<P>()
}

fn simulation(step: &'static str) -> impl FnOnce(Failure) -> Fault {
    move |failure| Fault::Simulation {
        step,
        failure: Box::new(failure),
    }
}

fn world<const N: usize>(budgets: [Budget; N], pages: u64) -> SmallWorld {
    SmallWorld {
        budgets: budgets.to_vec(),
        pages,
        mortal: false,
    }
}
