//! A day in a fleet, step by step.

use giantvm_sched::reallocate::{Fleet, FleetError, Move, Policy, VmId, What};
use giantvm_sched::schedule::Nanos;

use crate::outcome::{Moment, Outcome};
use crate::population::Population;
use crate::published::CORES;
use crate::share::Shares;
use crate::tenants::Tenants;

/// Processors that are left free for the tenant above what it used a moment ago: four times the
/// deviation of what it then needs more or less.
const HEADROOM: f64 = 16.0;

/// A machine's step is good if it gets so much done of what it could.
const GOOD: f64 = 0.9;

/// What a host leaves for machines if its tenant uses so many processors.
pub(crate) fn leaves(load: f64) -> f64 {
    (f64::from(CORES) - load - HEADROOM).max(0.0)
}

/// Hosts, tenants and machines at one moment.
#[derive(Debug)]
pub(crate) struct World {
    fleet: Fleet,
    is_gang: Vec<bool>,
    tenants: Tenants,
    /// What tenants use, and what they used a moment ago.
    loads: Vec<f64>,
    before: Vec<f64>,
    /// What tenants could not do yet, in processor seconds.
    backlogs: Vec<f64>,
    /// What machines wait for, in seconds of their time.
    debts: Vec<f64>,
    /// Slices on their way, until when.
    flights: Vec<(Nanos, Move)>,
    shares: Shares,
    used: Vec<f64>,
    now: Nanos,
    step: Nanos,
    outcome: Outcome,
}

impl World {
    pub(crate) fn new(mut tenants: Tenants, population: Population, step: Nanos) -> Self {
        let hosts = population.fleet.hosts().count();
        let mut loads = Vec::new();
        tenants.next(&mut loads);
        Self {
            debts: vec![0.0; population.is_gang.len()],
            fleet: population.fleet,
            is_gang: population.is_gang,
            tenants,
            before: loads.clone(),
            loads,
            backlogs: vec![0.0; hosts],
            flights: Vec::new(),
            shares: Shares::default(),
            used: vec![0.0; hosts],
            now: Nanos(0),
            step,
            outcome: Outcome {
                hosts,
                ..Outcome::default()
            },
        }
    }

    /// What came of it.
    pub(crate) fn outcome(self) -> Outcome {
        self.outcome
    }

    /// One step: what machines may use is set by what tenants just used, the policy decides, all work.
    pub(crate) fn step(&mut self, policy: &mut dyn Policy) -> Result<(), FleetError> {
        self.land()?;
        self.set_capacities()?;
        let mut waits = vec![0.0_f64; self.debts.len()];
        for step in policy.decide(self.now, &self.fleet) {
            self.outcome.moves += 1;
            self.outcome.bytes += step.cost.bytes;
            match step.what {
                What::Vcpu(_) => {
                    self.fleet.carry_out(&step)?;
                    let wait = step.cost.waits.0 as f64 / 1e9;
                    let of = &mut waits[step.vm.index()];
                    // Those of a gang wait at the same time.
                    let is_gang = self.is_gang[step.vm.index()];
                    *of = if is_gang { of.max(wait) } else { *of + wait };
                }
                What::Slice => self.flights.push((self.now.plus(step.cost.took), step)),
            }
        }
        for (vm, wait) in self.fleet.vms().zip(waits) {
            let all = self.fleet.seats(vm).len() as f64;
            self.debts[vm.index()] += if self.is_gang[vm.index()] {
                wait * all
            } else {
                wait
            };
        }
        let useful = self.work();
        self.serve(useful);
        std::mem::swap(&mut self.before, &mut self.loads);
        self.tenants.next(&mut self.loads);
        self.now = self.now.plus(self.step);
        Ok(())
    }

    /// Slices whose time has come are there, as far as steps can tell.
    fn land(&mut self) -> Result<(), FleetError> {
        let soon = self.now.plus(Nanos(self.step.0 / 2));
        let (landed, flying) = self.flights.iter().partition(|(until, _)| *until <= soon);
        self.flights = flying;
        for (_, step) in landed {
            let count = self
                .fleet
                .seats(step.vm)
                .iter()
                .filter(|seat| **seat == step.from)
                .count();
            self.fleet.carry_out(&step)?;
            let all = self.fleet.seats(step.vm).len();
            let wait = step.cost.waits.0 as f64 / 1e9;
            let stand = if self.is_gang[step.vm.index()] {
                all
            } else {
                count
            };
            self.debts[step.vm.index()] += wait * stand as f64;
        }
        Ok(())
    }

    fn set_capacities(&mut self) -> Result<(), FleetError> {
        // Whoever sends or receives a slice uses a processor for that.
        let mut busy = vec![0.0; self.before.len()];
        for (_, step) in &self.flights {
            busy[step.from.index()] += 1.0;
            busy[step.to.index()] += 1.0;
        }
        for host in self.fleet.hosts() {
            let left = (leaves(self.before[host.index()]) - busy[host.index()]).max(0.0);
            self.fleet.set_capacity(host, (left * 1e3) as u32)?;
        }
        Ok(())
    }

    /// All machines work for a step; how much, in processor seconds.
    fn work(&mut self) -> f64 {
        let before = self.outcome.useful;
        self.shares.divide(&self.fleet, &self.is_gang);
        let seconds = self.step.0 as f64 / 1e9;
        self.used.fill(0.0);
        let mut wanted = 0.0;
        for vm in self.fleet.vms() {
            let is_gang = self.is_gang[vm.index()];
            let granted = self.grant(vm, is_gang) * seconds;
            let all = self.fleet.seats(vm).len() as f64;
            let spread = self.fleet.spread(vm).map(|(_, count)| count);
            let apart = self.fleet.footprint(vm).stall(spread) as f64 / 1e9 / all;
            let stalled = granted * apart.min(1.0);
            let debt = &mut self.debts[vm.index()];
            let waited = debt.min(granted - stalled);
            *debt -= waited;
            self.outcome.machine_steps += 1;
            let done = granted - stalled - waited;
            self.outcome.good_steps += u64::from(done >= GOOD * all * seconds);
            self.outcome.wanted += all * seconds;
            wanted += all;
            self.outcome.granted += granted;
            self.outcome.stalled += stalled;
            self.outcome.waited += waited;
            self.outcome.useful += granted - stalled - waited;
        }
        let capacity: u64 = self
            .fleet
            .hosts()
            .map(|host| self.fleet.capacity(host))
            .sum();
        self.outcome.pooled += wanted.min(capacity as f64 / 1e3) * seconds;
        self.outcome.useful - before
    }

    /// Takes a machine's shares of its hosts, and says how many processors that is.
    fn grant(&mut self, vm: VmId, is_gang: bool) -> f64 {
        let mut granted = 0.0;
        for (host, count) in self.fleet.spread(vm) {
            let gets = self.shares.of(vm, host, is_gang) * f64::from(count);
            self.used[host.index()] += gets;
            granted += gets;
        }
        granted
    }

    /// Tenants have what machines do not use.
    fn serve(&mut self, useful: f64) {
        let seconds = self.step.0 as f64 / 1e9;
        for (host, &load) in self.loads.iter().enumerate() {
            let servers = f64::from(CORES) - self.used[host];
            let before = self.backlogs[host];
            let wants = before + load * seconds;
            let served = wants.min(servers.floor().max(1.0) * seconds);
            self.backlogs[host] = wants - served;
            let backlog = f64::midpoint(before, self.backlogs[host]);
            self.outcome.latencies.add(load, servers, backlog);
            self.outcome.tenants += served;
        }
        let all = f64::from(CORES) * self.loads.len() as f64;
        self.outcome.series.push(Moment {
            tenants: self.loads.iter().sum::<f64>() / all,
            machines: useful / seconds / all,
            one: self.loads[0] / f64::from(CORES),
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::population::Work;
    use crate::run::{Kind, STEP};

    const HOSTS: usize = 12;

    fn world(seed: u64, sold: f64, work: Work) -> World {
        let tenants = Tenants::new(HOSTS, STEP as f64, 1.5, seed);
        let left: Vec<_> = tenants.means().map(leaves).collect();
        let population = Population::new(&left, sold, work, seed).unwrap();
        World::new(tenants, population, Nanos(STEP * 1_000_000_000))
    }

    fn any_kind() -> impl Strategy<Value = Kind> {
        (0..3_usize).prop_map(|at| Kind::ALL[at])
    }

    fn any_work() -> impl Strategy<Value = Work> {
        prop_oneof![
            Just(Work::InStep),
            Just(Work::Mixed),
            Just(Work::Independent)
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn no_host_gives_more_than_it_has_and_no_work_and_no_vcpu_is_lost(
            seed in any::<u64>(), sold in 0.2..1.5_f64, kind in any_kind(), work in any_work(),
        ) {
            let mut world = world(seed, sold, work);
            let mut policy = kind.policy();
            let vcpus: Vec<_> = world.fleet.vms().map(|vm| world.fleet.seats(vm).len()).collect();
            let mut needed = 0.0;
            for _ in 0..150 {
                needed += world.loads.iter().sum::<f64>() * STEP as f64;
                world.step(policy.as_mut()).unwrap();
                for host in world.fleet.hosts() {
                    let (used, has) = (world.used[host.index()], world.fleet.capacity(host));
                    prop_assert!(used <= has as f64 / 1e3 + 1e-6, "{} of {}", used, has);
                }
                for (vm, &count) in world.fleet.vms().zip(&vcpus) {
                    let there: u32 = world.fleet.spread(vm).map(|(_, count)| count).sum();
                    prop_assert_eq!(there as usize, count);
                }
                let of = &world.outcome;
                let parts = of.useful + of.stalled + of.waited;
                prop_assert!((parts - of.granted).abs() < 1e-3, "{} of {}", parts, of.granted);
                prop_assert!(of.granted <= of.wanted + 1e-3 && of.useful <= of.pooled + 1e-3);
                // What tenants need is done, or waits.
                let served = of.tenants + world.backlogs.iter().sum::<f64>();
                prop_assert!((served - needed).abs() < 1e-3, "{} of {}", served, needed);
            }
        }

        #[test]
        fn the_same_seed_is_the_same_day(seed in any::<u64>(), kind in any_kind()) {
            let run = || {
                let mut world = world(seed, 0.8, Work::Mixed);
                let mut policy = kind.policy();
                for _ in 0..60 {
                    world.step(policy.as_mut()).unwrap();
                }
                let of = world.outcome();
                (of.useful, of.tenants, of.moves, of.bytes, of.good_steps, of.latencies)
            };
            prop_assert_eq!(run(), run());
        }

        #[test]
        fn services_need_the_same_whatever_the_policy(seed in any::<u64>()) {
            let needs = Kind::ALL.map(|kind| {
                let mut world = world(seed, 0.8, Work::Mixed);
                let mut policy = kind.policy();
                for _ in 0..60 {
                    world.step(policy.as_mut()).unwrap();
                }
                let of = world.outcome();
                of.series.iter().map(|moment| moment.tenants).collect::<Vec<_>>()
            });
            prop_assert!(needs.windows(2).all(|pair| pair[0] == pair[1]));
        }
    }

    #[test]
    fn slices_arrive_after_what_they_take_and_not_before() {
        let mut world = world(3, 0.5, Work::Independent);
        let mut policy = Kind::LiveMigration.policy();
        let (mut flew, mut landed) = (0, 0);
        for _ in 0..2000 {
            let before = world.flights.len();
            world.step(policy.as_mut()).unwrap();
            landed += before.saturating_sub(world.flights.len());
            flew += world.flights.len();
            for (until, step) in &world.flights {
                let there = world
                    .fleet
                    .spread(step.vm)
                    .any(|(host, _)| host == step.from);
                assert!(there, "it runs here until it is there");
                // Decided on a step ago, or still under way.
                let step = Nanos(STEP * 1_000_000_000);
                assert!(until.0 + step.0 > world.now.0, "{until} at {}", world.now);
            }
        }
        assert!(flew > 0 && landed > 0, "nothing was migrated");
        assert!(world.outcome.waited > 0.0);
    }
}
