//! Cuts and restores what hosts have, tells the policy, and carries out what it decides.

use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use giantvm_sched::reallocate::{Fleet, HostId, Move, Policy, What};
use giantvm_sched::schedule::Nanos;

use crate::cgroup::{HOSTS, Hosts};
use crate::live;
use crate::load::VCPUS;
use crate::placement::{self, MACHINES, Placement};
use crate::plan::Plan;
use crate::run::{Machine, Slot};
use crate::schedule::{SLOT, Schedule};
use crate::seat::Seat;
use crate::vm::PAGE;

/// A machine that is on its way, until when it stands still.
type Flight<'s> = (Move, ScopedJoinHandle<'s, anyhow::Result<Duration>>);

pub(crate) struct Conductor<'e> {
    plan: &'e Plan,
    schedule: &'e Schedule,
    hosts: &'e Hosts,
    machines: &'e [Machine; MACHINES],
    policy: Box<dyn Policy>,
    fleet: Fleet,
    pub(crate) moves: u64,
    /// Processor time that quotas allowed so far, in seconds.
    pub(crate) allowed: f64,
    pub(crate) still: Duration,
    pub(crate) slots: Vec<Slot>,
}

impl<'e> Conductor<'e> {
    pub(crate) fn new(
        plan: &'e Plan,
        schedule: &'e Schedule,
        hosts: &'e Hosts,
        placement: Placement,
        machines: &'e [Machine; MACHINES],
    ) -> anyhow::Result<Self> {
        let footprint = plan.load.footprint(plan.used * PAGE, plan.rate());
        Ok(Self {
            plan,
            schedule,
            hosts,
            machines,
            policy: placement.policy(plan.wave),
            fleet: placement::fleet(plan.wants, footprint)?,
            moves: 0,
            allowed: 0.0,
            still: Duration::ZERO,
            slots: Vec::new(),
        })
    }

    /// Goes through the schedule. The policy knows what hosts had until now, and not what they will have.
    pub(crate) fn conduct<'s>(
        &mut self,
        scope: &'s Scope<'s, 'e>,
        start: Instant,
    ) -> anyhow::Result<()> {
        let mut flights = Vec::new();
        let mut before = self.sofar()?;
        for (slot, &shares) in (0_u32..).zip(self.schedule.slots()) {
            let landed =
                flights.extract_if(.., |(_, thread): &mut Flight<'_>| thread.is_finished());
            for flight in landed.collect::<Vec<_>>() {
                self.land(flight)?;
            }
            if slot > 0 {
                let now = Nanos::from(SLOT * slot);
                for step in self.policy.decide(now, &self.fleet) {
                    self.begin(step, scope, &mut flights)?;
                }
            }
            for (host, share) in self.hosts.hosts.iter().zip(shares) {
                host.set_share(share)?;
                self.allowed += f64::from(share) / 100.0 * SLOT.as_secs_f64();
            }
            placement::tell(&mut self.fleet, shares)?;
            std::thread::sleep((SLOT * (slot + 1)).saturating_sub(start.elapsed()));
            let (steps, used_s) = self.sofar()?;
            self.slots.push(Slot {
                steps: [0, 1].map(|machine| steps[machine] - before.0[machine]),
                on_first: self
                    .fleet
                    .on(HostId(0))
                    .map(|(_, count)| count as usize)
                    .sum(),
                used_s: [0, 1].map(|host| used_s[host] - before.1[host]),
            });
            before = (steps, used_s);
        }
        flights.into_iter().try_for_each(|flight| self.land(flight))
    }

    /// Steps that each machine did so far, and time that was used on each host.
    fn sofar(&self) -> anyhow::Result<([u64; MACHINES], [f64; HOSTS])> {
        let steps = self.machines.each_ref();
        let steps = steps.map(|machine| machine.seats.iter().map(Seat::steps).sum());
        let [first, second] = &self.hosts.hosts;
        let used = [first.used()?, second.used()?].map(|used| used.as_secs_f64());
        Ok((steps, used))
    }

    /// On which host each machine, or its first vCPU, is.
    pub(crate) fn hosts_of_machines(&self) -> impl Iterator<Item = usize> + '_ {
        let seats = self.fleet.vms().map(|vm| self.fleet.seats(vm).first());
        seats.map(|seat| seat.map_or(0, |host| host.index()))
    }

    fn begin<'s>(
        &mut self,
        step: Move,
        scope: &'s Scope<'s, 'e>,
        flights: &mut Vec<Flight<'s>>,
    ) -> anyhow::Result<()> {
        let machine = &self.machines[step.vm.index()];
        match step.what {
            What::Vcpu(vcpu) => {
                machine.seats[vcpu.index()].go(step.to.index());
                self.fleet.carry_out(&step)?;
            }
            What::Slice => {
                // One that takes longer than was thought arrives first.
                if flights.iter().any(|(flying, _)| flying.vm == step.vm) {
                    return Ok(());
                }
                let sides = machine
                    .memory
                    .sides()
                    .context("memory that cannot be sent")?;
                let way = [step.from.index(), step.to.index()];
                let (host, terms) = (&self.hosts.hosts[way[0]], self.plan.terms);
                let seats: &[_; VCPUS] = &machine.seats;
                let thread = scope.spawn(move || live::migrate(host, sides, seats, way, terms));
                flights.push((step, thread));
            }
        }
        self.moves += 1;
        Ok(())
    }

    fn land(&mut self, (step, thread): Flight<'_>) -> anyhow::Result<()> {
        self.still += thread
            .join()
            .map_err(|_| anyhow!("a migration panicked"))??;
        Ok(self.fleet.carry_out(&step)?)
    }
}
