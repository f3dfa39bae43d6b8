//! Moves that are being decided on.

use giantvm_core::VcpuId;

use super::cost;
use super::fleet::Fleet;
use super::ids::{HostId, VmId};
use super::mover::Unit;
use super::params::Parameters;
use super::past::Past;
use super::plan::{Cost, Move, What};
use super::rooms::Rooms;
use crate::schedule::Nanos;

/// A thousandth of a processor, in ns a second.
const MILLICPU: u64 = 1_000_000;

/// What could go.
#[derive(Debug)]
struct Choice {
    step: Move,
    vcpus: Vec<usize>,
    /// What is gained within the horizon beyond what is asked for, in ns.
    net: i128,
}

/// What was decided so far, and what would be where.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    now: Nanos,
    unit: Unit,
    params: &'a Parameters,
    past: &'a mut Past,
    then: Fleet,
    rooms: Rooms,
    moves: Vec<Move>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(
        now: Nanos,
        unit: Unit,
        params: &'a Parameters,
        past: &'a mut Past,
        then: Fleet,
    ) -> Self {
        Self {
            now,
            unit,
            params,
            past,
            rooms: Rooms::of(&then, params.reserve),
            then,
            moves: Vec::new(),
        }
    }

    pub(super) fn moves(self) -> Vec<Move> {
        self.moves
    }

    /// Moves away from a host until it has its reserve again, or nothing pays.
    pub(super) fn relieve(&mut self, host: HostId) {
        while self.lack(host) > 0 {
            let vms: Vec<_> = self.then.on(host).map(|(vm, _)| vm).collect();
            let choices = vms.into_iter().filter_map(|vm| self.best_of(vm, host));
            // Of equals the last, as `max_by_key` has it.
            let Some(best) = choices.max_by_key(|choice| choice.net) else {
                return;
            };
            if !self.take(best) {
                return;
            }
        }
    }

    /// Brings vCPUs of one machine together where there is room by now.
    pub(super) fn gather(&mut self) {
        for vm in self.then.vms() {
            let mut spread: Vec<_> = self
                .then
                .spread(vm)
                .map(|(host, count)| (count, host))
                .collect();
            if spread.len() < 2 || self.then.wants(vm) == 0 {
                continue;
            }
            spread.sort_unstable();
            let (_, from) = spread[0];
            let hosts = spread[1..].iter().rev().map(|&(_, host)| host);
            let Some(vcpu) = self.movable(vm, from).next() else {
                continue;
            };
            let choices = hosts.filter_map(|to| self.weigh(vm, vec![vcpu], from, to));
            if let Some(best) = choices.max_by_key(|choice| choice.net)
                && !self.take(best)
            {
                return;
            }
        }
    }

    /// What of a machine is best moved from a host, and where.
    fn best_of(&self, vm: VmId, from: HostId) -> Option<Choice> {
        let mut vcpus: Vec<_> = self.movable(vm, from).collect();
        match self.unit {
            Unit::Vcpu => vcpus.truncate(1),
            // All of it or nothing.
            Unit::Slice => {
                let here = self.then.seats(vm).iter().filter(|seat| **seat == from);
                vcpus = if vcpus.len() == here.count() {
                    vcpus
                } else {
                    Vec::new()
                };
            }
        }
        if vcpus.is_empty() {
            return None;
        }
        // Where the machine is already, or where there is most room.
        let hosts = self
            .then
            .spread(vm)
            .map(|(host, _)| host)
            .chain(self.rooms.roomiest());
        let choices = hosts.filter_map(|to| self.weigh(vm, vcpus.clone(), from, to));
        choices.max_by_key(|choice| choice.net)
    }

    /// The vCPUs of a machine that are on a host and need not stay.
    fn movable(&self, vm: VmId, from: HostId) -> impl Iterator<Item = usize> + '_ {
        let residency = self.residency();
        let seats = self.then.seats(vm).iter().enumerate();
        let here = seats
            .filter(move |(_, seat)| **seat == from)
            .map(|(vcpu, _)| vcpu);
        here.filter(move |&vcpu| !self.past.stays(self.now, vm, vcpu, residency))
    }

    /// Whether that pays, and how much; `None` if it does not.
    fn weigh(&self, vm: VmId, vcpus: Vec<usize>, from: HostId, to: HostId) -> Option<Choice> {
        let count = u32::try_from(vcpus.len()).ok()?;
        let wants = u64::from(self.then.wants(vm)) * u64::from(count);
        if from == to || wants == 0 {
            return None;
        }
        let cost = self.cost(vm, &vcpus, to);
        let lost = self.lost(vm, count, cost);
        let queue = self.past.queue(self.now, [from, to]);
        if queue > self.params.period {
            return None;
        }
        let (regained, crowding) = self.regained(wants, from, to)?;
        let (before, after) = self.stalls(vm, count, from, to);
        let gain = (regained + before).checked_sub(crowding + after)?;
        let left = self.params.horizon.since(queue.plus(cost.took));
        let gained = i128::from(gain) * i128::from(left.0) / 1_000_000_000;
        let asked = i128::from(lost) * i128::from(self.params.factor.max(1));
        let net = gained - asked;
        if gain < self.params.least_gain.max(1) || net <= 0 {
            return None;
        }
        let what = match self.unit {
            Unit::Vcpu => What::Vcpu(VcpuId::new(u8::try_from(*vcpus.first()?).ok()?).ok()?),
            Unit::Slice => What::Slice,
        };
        let cost = Cost {
            took: cost.took.plus(queue),
            lost: Nanos(lost),
            ..cost
        };
        let step = Move {
            vm,
            what,
            from,
            to,
            gain,
            cost,
        };
        Some(Choice { step, vcpus, net })
    }

    /// What a host gets back that is left by who wants so much, and what the other then lacks for who
    /// is there, both in ns a second. `None` if the two lack no less together than before.
    ///
    /// Where there is room, the one gets its reserve back, too. Where there is not, a vCPU goes if more
    /// is done in all: of two crowded hosts the one may do more than the other then lacks. A slice does
    /// not, as who is crowded there would soon be on the way again, with all of its memory; where that
    /// was tried, machines were at speed less often than without any moves (`examples/colocate`).
    fn regained(&self, wants: u64, from: HostId, to: HostId) -> Option<(u64, u64)> {
        let held_up = |lack: u64, host| (lack * MILLICPU).saturating_mul(self.held_up(host));
        if self.rooms.room(&self.then, to) >= wants {
            return Some((held_up(self.lack(from).min(wants), from), 0));
        }
        if self.unit == Unit::Slice {
            return None;
        }
        let over = |host: HostId, more: u64| {
            (self.then.load(host) + more).saturating_sub(self.then.capacity(host))
        };
        let (less, more) = (over(from, 0).min(wants), over(to, wants) - over(to, 0));
        (less > more).then(|| (held_up(less, from), held_up(more, to)))
    }

    fn cost(&self, vm: VmId, vcpus: &[usize], to: HostId) -> Cost {
        let footprint = self.then.footprint(vm);
        match (self.unit, vcpus) {
            (Unit::Vcpu, &[vcpu]) => {
                let standby = self.params.standby;
                let comes_back = self.past.comes_back(self.now, vm, vcpu, to, standby);
                cost::follow(self.params, &footprint, comes_back)
            }
            (Unit::Vcpu | Unit::Slice, _) => {
                let count = u32::try_from(vcpus.len()).unwrap_or(u32::MAX);
                cost::migrate(self.params, &footprint, count)
            }
        }
    }

    /// Time that the machine loses to being apart, before and after so many of its vCPUs went.
    fn stalls(&self, vm: VmId, count: u32, from: HostId, to: HostId) -> (u64, u64) {
        let footprint = self.then.footprint(vm);
        let scaled = |stall: u64| stall * u64::from(self.then.wants(vm)) / 1000;
        let before = footprint.stall(self.then.spread(vm).map(|(_, count)| count));
        let is_new = self.then.spread(vm).all(|(host, _)| host != to);
        let moved = self.then.spread(vm).map(|(host, on)| match host {
            host if host == from => on - count,
            host if host == to => on + count,
            _ => on,
        });
        let after = footprint.stall(moved.chain(is_new.then_some(count)));
        (scaled(before), scaled(after))
    }

    /// What a host has too little for all that is there and its reserve.
    fn lack(&self, host: HostId) -> u64 {
        self.then
            .load(host)
            .saturating_sub(self.rooms.fill(&self.then, host))
    }

    /// How many vCPUs wait, on average, while one on this host does. Never none.
    fn held_up(&self, host: HostId) -> u64 {
        let (here, wait) = self
            .then
            .on(host)
            .fold((0, 0), |(here, wait), (vm, count)| {
                let count = u64::from(count);
                let waits = match self.then.footprint(vm).in_step {
                    true => self.then.seats(vm).len() as u64,
                    false => count,
                };
                (here + count, wait + waits)
            });
        (wait / here.max(1)).max(1)
    }

    /// The time that is lost in all: a machine in step waits as a whole, though only once for all of
    /// it that moves at the same time.
    fn lost(&self, vm: VmId, count: u32, cost: Cost) -> u64 {
        let waits = self.moves.iter().any(|step| step.vm == vm);
        if !self.then.footprint(vm).in_step || waits {
            return cost.lost.0;
        }
        let others = (self.then.seats(vm).len() as u64).saturating_sub(count.into());
        let lost = cost.waits.0.saturating_mul(others);
        cost.lost.0.saturating_add(lost)
    }

    /// No decision moves anything twice.
    fn residency(&self) -> Nanos {
        self.params.residency.max(self.params.period).max(Nanos(1))
    }

    /// Decides for a choice; false if there were enough moves.
    fn take(&mut self, choice: Choice) -> bool {
        if self.moves.len() >= self.params.steps {
            return false;
        }
        let Choice { step, vcpus, .. } = choice;
        let mut is_there = false;
        self.rooms
            .during(&mut self.then, [step.from, step.to], |then| {
                is_there = then.carry_out(&step).is_ok();
            });
        if is_there {
            let residency = self.residency();
            self.past
                .note(self.now, step, &vcpus, self.params.link, residency);
            self.moves.push(step);
        }
        is_there
    }
}
