//! One policy on one day.

use giantvm_sched::reallocate::{Mover, Parameters, Policy, Static, Unit};
use giantvm_sched::schedule::Nanos;
use serde::Serialize;

use crate::outcome::Outcome;
use crate::population::{Population, Work};
use crate::tenants::Tenants;
use crate::world::{World, leaves};

/// How often hosts look at their tenants, policies decide, and the trace was taken, in seconds.
pub(crate) const STEP: u64 = 10;
/// The steps of a day.
pub(crate) const STEPS: u64 = 24 * 3600 / STEP;

/// What is the same for all policies.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Setting {
    pub(crate) hosts: usize,
    pub(crate) days: u8,
    pub(crate) seed: u64,
    pub(crate) work: Work,
    /// How much hosts differ, as a part of what the trace's do.
    pub(crate) apart: f64,
}

/// The policies that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Static,
    LiveMigration,
    Reallocation,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Static, Self::LiveMigration, Self::Reallocation];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::LiveMigration => "live migration",
            Self::Reallocation => "reallocation",
        }
    }

    pub(crate) fn policy(self) -> Box<dyn Policy> {
        let mover = |unit| Box::new(Mover::new(unit, Parameters::of(unit)));
        match self {
            Self::Static => Box::new(Static),
            Self::LiveMigration => mover(Unit::Slice),
            Self::Reallocation => mover(Unit::Vcpu),
        }
    }
}

/// Lives a day with `sold` vCPUs for each processor that is left on average. The same seed is the same
/// day, for every policy.
pub(crate) fn day(setting: &Setting, sold: f64, kind: Kind, seed: u64) -> anyhow::Result<Outcome> {
    let tenants = Tenants::new(setting.hosts, STEP as f64, setting.apart, seed);
    let left: Vec<_> = tenants.means().map(leaves).collect();
    let population = Population::new(&left, sold, setting.work, seed)?;
    let mut policy = kind.policy();
    let mut world = World::new(tenants, population, Nanos(STEP * 1_000_000_000));
    for _ in 0..STEPS {
        world.step(policy.as_mut())?;
    }
    Ok(world.outcome())
}

/// Lives all days of a setting, and adds them up. `tick` is called after each.
pub(crate) fn days(
    setting: &Setting,
    sold: f64,
    kind: Kind,
    tick: &dyn Fn(),
) -> anyhow::Result<Outcome> {
    let mut all = Outcome::default();
    for number in 0..u64::from(setting.days) {
        all.add(day(setting, sold, kind, setting.seed.wrapping_add(number))?);
        tick();
    }
    Ok(all)
}
