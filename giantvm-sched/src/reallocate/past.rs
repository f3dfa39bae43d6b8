//! What a mover remembers of each vCPU and each link.

use super::ids::{HostId, VmId};
use super::plan::{Cost, Move, What};
use crate::residency::Residency;
use crate::schedule::Nanos;

/// A vCPU's last move.
#[derive(Debug, Clone, Copy)]
struct Last {
    stay: Residency,
    /// Where it was before, and until when.
    left: Option<(HostId, Nanos)>,
}

/// What was moved when, and what is on its way.
#[derive(Debug, Clone, Default)]
pub(super) struct Past {
    vcpus: Vec<Vec<Last>>,
    /// Until when the link of each host is in use.
    links: Vec<Nanos>,
    /// What is on its way until when.
    flights: Vec<(Nanos, Move)>,
}

impl Past {
    /// What is still on its way, as time goes on.
    pub(super) fn flights(&mut self, now: Nanos) -> &[(Nanos, Move)] {
        self.flights.retain(|&(until, _)| until > now);
        &self.flights
    }

    /// Whether a vCPU has to stay where it is.
    pub(super) fn stays(&self, now: Nanos, vm: VmId, vcpu: usize, residency: Nanos) -> bool {
        let last = self.last(vm, vcpu);
        last.is_some_and(|last| last.stay.lasts(now, residency))
    }

    /// Whether a vCPU would come back to a host that still has its pages.
    pub(super) fn comes_back(
        &self,
        now: Nanos,
        vm: VmId,
        vcpu: usize,
        to: HostId,
        standby: Nanos,
    ) -> bool {
        let left = self.last(vm, vcpu).and_then(|last| last.left);
        left.is_some_and(|(host, at)| host == to && now.since(at) <= standby)
    }

    /// How long the links of these hosts are still in use.
    pub(super) fn queue(&self, now: Nanos, hosts: [HostId; 2]) -> Nanos {
        let until = hosts.map(|host| self.links.get(host.index()).copied().unwrap_or_default());
        until.into_iter().max().unwrap_or_default().since(now)
    }

    /// Notes a move that begins now, of these vCPUs.
    pub(super) fn note(
        &mut self,
        now: Nanos,
        step: Move,
        vcpus: &[usize],
        link: u64,
        residency: Nanos,
    ) {
        let Cost { took, bytes, .. } = step.cost;
        let takes = u128::from(bytes) * 1_000_000_000 / u128::from(link.max(1));
        let takes = Nanos(u64::try_from(takes).unwrap_or(u64::MAX));
        let begins = now.plus(self.queue(now, [step.from, step.to]));
        for host in [step.from, step.to] {
            if self.links.len() <= host.index() {
                self.links.resize(host.index() + 1, Nanos(0));
            }
            self.links[host.index()] = begins.plus(takes);
        }
        for &vcpu in vcpus {
            let last = self.last_mut(step.vm, vcpu);
            last.stay.begin(now, residency);
            last.left = Some((step.from, now));
        }
        // A vCPU runs there when the next decision is made; a slice may take longer.
        if matches!(step.what, What::Slice) {
            self.flights.push((now.plus(took), step));
        }
    }

    fn last(&self, vm: VmId, vcpu: usize) -> Option<&Last> {
        self.vcpus.get(vm.index())?.get(vcpu)
    }

    fn last_mut(&mut self, vm: VmId, vcpu: usize) -> &mut Last {
        if self.vcpus.len() <= vm.index() {
            self.vcpus.resize_with(vm.index() + 1, Vec::new);
        }
        let of = &mut self.vcpus[vm.index()];
        if of.len() <= vcpu {
            let never = Last {
                stay: Residency::NEW,
                left: None,
            };
            of.resize(vcpu + 1, never);
        }
        &mut of[vcpu]
    }
}
