//! Who takes threads from whom, how many, and when.

use giantvm_core::{NodeId, VcpuId};

use crate::schedule::{Machine, Nanos, RunQueues};

/// Threads that one balance takes at most (`sched_nr_migrate`).
const MOST: usize = 32;
/// How much rarer a busy vCPU balances.
const BUSY: u64 = 16;
/// What a new-idle balance is taken to cost; Linux measures it.
const NEW_IDLE_COST: u64 = 50_000;

/// The domains that a vCPU balances in, the nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Domain {
    /// The vCPUs of its node, each a group.
    Node,
    /// All nodes, each a group.
    Machine,
}

impl Domain {
    pub(super) const ALL: [Self; 2] = [Self::Node, Self::Machine];

    /// How loaded another group may be, in percent of the own load.
    const fn tolerated(self) -> usize {
        match self {
            Self::Node => 117,
            Self::Machine => 125,
        }
    }

    /// How many threads more are no imbalance, where both have vCPUs to spare.
    const fn allowed(self) -> usize {
        match self {
            Self::Node => 0,
            Self::Machine => 1,
        }
    }

    /// The time between balances.
    pub(super) fn interval(self, machine: &Machine, node: NodeId, is_busy: bool) -> Nanos {
        let weight = match self {
            Self::Node => machine.vcpus_of(node).count(),
            Self::Machine => machine.vcpu_count(),
        };
        Nanos(weight as u64 * 1_000_000 * if is_busy { BUSY } else { 1 })
    }

    /// Whether this vCPU balances for its group: an idle one, or else the first.
    pub(super) fn is_balanced_by(
        self,
        machine: &Machine,
        queues: &RunQueues,
        vcpu: VcpuId,
    ) -> bool {
        let Some(node) = machine.node_of(vcpu) else {
            return false;
        };
        match self {
            Self::Node => true,
            Self::Machine => {
                let idle = machine.vcpus_of(node).find(|&vcpu| queues.load(vcpu) == 0);
                idle.or_else(|| machine.vcpus_of(node).next()) == Some(vcpu)
            }
        }
    }

    /// The queue to take threads from, and how many; `None` if there is balance.
    pub(super) fn busiest(
        self,
        machine: &Machine,
        queues: &RunQueues,
        vcpu: VcpuId,
    ) -> Option<(VcpuId, usize)> {
        let own = machine.node_of(vcpu)?;
        let groups: Vec<Vec<VcpuId>> = match self {
            Self::Node => machine.vcpus_of(own).map(|of| vec![of]).collect(),
            Self::Machine => machine
                .nodes()
                .map(|of| machine.vcpus_of(of).collect())
                .collect(),
        };
        let load = |group: &[VcpuId]| group.iter().map(|&of| queues.load(of)).sum::<usize>();
        let (local, others): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| group.contains(&vcpu));
        let local = local.first()?;
        let with_vcpus = others.iter().filter(|group| !group.is_empty());
        // The first of equals, as elsewhere.
        let per_vcpu = |group: &[VcpuId]| load(group) * 1000 / group.len();
        let busiest = with_vcpus.rev().max_by_key(|group| per_vcpu(group))?;
        if per_vcpu(busiest) * 100 <= per_vcpu(local) * self.tolerated() {
            return None;
        }
        // What evens out both groups if each is as large as it is.
        let (here, there) = (local.len(), busiest.len());
        let excess = (load(busiest) * here).checked_sub(load(local) * there)?;
        let amount = (excess / (here + there)).min(MOST);
        if excess / here.max(there) <= self.allowed() && load(busiest) <= there || amount == 0 {
            return None;
        }
        Some((longest(queues, busiest.iter().copied())?, amount))
    }
}

/// The vCPU with the longest queue, the first of equals; `None` if nothing waits.
fn longest(queues: &RunQueues, vcpus: impl Iterator<Item = VcpuId>) -> Option<VcpuId> {
    let waiting = vcpus.map(|vcpu| (queues.ready(vcpu).count(), std::cmp::Reverse(vcpu)));
    let (count, vcpu) = waiting.max()?;
    (count > 0).then_some(vcpu.0)
}

/// The queue that a vCPU takes a thread from whose own has become empty.
pub(super) fn for_new_idle(
    machine: &Machine,
    queues: &RunQueues,
    vcpu: VcpuId,
    domain: Domain,
) -> Option<VcpuId> {
    match domain {
        Domain::Node => longest(queues, machine.vcpus_of(machine.node_of(vcpu)?)),
        Domain::Machine => longest(queues, machine.vcpus()),
    }
}

/// How long a vCPU is idle when it is, on average of late.
#[derive(Debug, Clone, Copy)]
pub(super) struct IdleTime {
    average: u64,
    since: Option<Nanos>,
}

impl IdleTime {
    pub(super) const NEW: Self = Self {
        average: 1_000_000,
        since: None,
    };

    pub(super) fn begins(&mut self, now: Nanos) {
        self.since.get_or_insert(now);
    }

    pub(super) fn ends(&mut self, now: Nanos) {
        if let Some(since) = self.since.take() {
            // At most twice the cost of a migration counts, and an eighth of what is new.
            let idle = now.since(since).0.min(1_000_000);
            self.average = self.average - self.average / 8 + idle / 8;
        }
    }

    /// Whether looking for work takes less time than it is idle.
    pub(super) const fn is_worth_a_search(&self) -> bool {
        self.average >= NEW_IDLE_COST
    }
}
