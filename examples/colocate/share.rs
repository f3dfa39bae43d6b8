//! What each vCPU gets of its host: the same for all, and to those that are held up elsewhere no more
//! than they can use.
//!
//! The vCPUs of a *gang* work in step, so each works as fast as the slowest of them. So what a gang
//! leaves on one host, as it is held up on another, is there for others: shares are max-min fair over
//! all hosts, by filling the tightest host first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use giantvm_sched::reallocate::{Fleet, HostId, VmId};

/// A host that is being filled.
#[derive(Debug, Clone, Copy, Default)]
struct Filling {
    free: f64,
    /// vCPUs without a share yet.
    open: f64,
}

impl Filling {
    /// What each vCPU without a share would get.
    fn level(self) -> f64 {
        if self.open > 0.0 {
            (self.free / self.open).clamp(0.0, 1.0)
        } else {
            1.0
        }
    }
}

/// Shares of processors, from 0 to 1.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    hosts: Vec<Filling>,
    /// Of each gang; for others it is the hosts' that counts.
    gangs: Vec<Option<f64>>,
}

impl Shares {
    /// Divides hosts' capacities. `is_gang` says which machines work in step.
    pub(crate) fn divide(&mut self, fleet: &Fleet, is_gang: &[bool]) {
        let filling = |host: HostId| Filling {
            free: fleet.capacity(host) as f64 / 1e3,
            open: fleet.load(host) as f64 / 1e3,
        };
        self.hosts.clear();
        self.hosts.extend(fleet.hosts().map(filling));
        self.gangs.clear();
        self.gangs.resize(is_gang.len(), None);
        // Levels are not negative, and then their bits are in order.
        let key = |level: f64, host: HostId| Reverse((level.to_bits(), host));
        let tight = fleet
            .hosts()
            .zip(&self.hosts)
            .filter(|(_, of)| of.level() < 1.0);
        let mut queue: BinaryHeap<_> = tight.map(|(host, of)| key(of.level(), host)).collect();
        while let Some(Reverse((bits, host))) = queue.pop() {
            let level = self.hosts[host.index()].level();
            // Levels only rise, as what is fixed elsewhere gets less than its part here.
            if level.to_bits() > bits {
                if level < 1.0 {
                    queue.push(key(level, host));
                }
                continue;
            }
            for (vm, _) in fleet.on(host) {
                if is_gang[vm.index()] && self.gangs[vm.index()].is_none() {
                    self.gangs[vm.index()] = Some(level);
                    self.fix(fleet, vm, level, host);
                }
            }
        }
    }

    /// A gang's vCPUs get so much on all hosts; on this one that is its level.
    fn fix(&mut self, fleet: &Fleet, vm: VmId, level: f64, at: HostId) {
        for (host, count) in fleet.spread(vm).filter(|&(host, _)| host != at) {
            let of = &mut self.hosts[host.index()];
            of.open -= f64::from(count);
            of.free -= f64::from(count) * level;
        }
    }

    /// What each vCPU of a machine gets on a host.
    pub(crate) fn of(&self, vm: VmId, host: HostId, is_gang: bool) -> f64 {
        if is_gang {
            self.gangs[vm.index()].unwrap_or(1.0)
        } else {
            self.hosts[host.index()].level()
        }
    }
}

#[cfg(test)]
mod tests {
    use giantvm_sched::reallocate::Footprint;
    use proptest::prelude::*;

    use super::*;

    fn fleet(capacities: &[u32], vms: &[Vec<u32>]) -> Fleet {
        let mut fleet = Fleet::new(capacities.len()).unwrap();
        for (host, &capacity) in fleet.hosts().zip(capacities) {
            fleet.set_capacity(host, capacity).unwrap();
        }
        for seats in vms {
            let seats: Vec<_> = seats.iter().copied().map(HostId).collect();
            fleet.add(&seats, Footprint::default()).unwrap();
        }
        fleet
    }

    fn shares(fleet: &Fleet, is_gang: &[bool]) -> Shares {
        let mut shares = Shares::default();
        shares.divide(fleet, is_gang);
        shares
    }

    #[test]
    fn a_gang_is_as_fast_as_its_slowest_vcpu_and_leaves_the_rest_to_others() {
        // The gang has half a processor on host 0; the other machine gets the rest of host 1.
        let fleet = fleet(&[1000, 1500], &[vec![0, 0, 1], vec![1]]);
        let shares = shares(&fleet, &[true, false]);
        assert_eq!(shares.of(VmId(0), HostId(1), true), 0.5);
        assert_eq!(shares.of(VmId(1), HostId(1), false), 1.0);
    }

    #[test]
    fn vcpus_that_do_not_wait_for_one_another_get_what_their_host_has() {
        let fleet = fleet(&[1000, 1500], &[vec![0, 0, 1], vec![1]]);
        let shares = shares(&fleet, &[false, false]);
        assert_eq!(shares.of(VmId(0), HostId(0), false), 0.5);
        assert_eq!(shares.of(VmId(0), HostId(1), false), 0.75);
    }

    proptest! {
        #[test]
        fn no_host_gives_more_than_it_has_and_none_leaves_what_could_be_used(
            capacities in prop::collection::vec(0..9000_u32, 5),
            vms in prop::collection::vec((prop::collection::vec(0..5_u32, 1..9), any::<bool>()), 1..9),
        ) {
            let (vms, is_gang): (Vec<_>, Vec<_>) = vms.into_iter().unzip();
            let fleet = fleet(&capacities, &vms);
            let shares = shares(&fleet, &is_gang);
            let gets = |vm: VmId, host| shares.of(vm, host, is_gang[vm.index()]);
            let used = |host| fleet.on(host).map(|(vm, n)| f64::from(n) * gets(vm, host)).sum::<f64>();
            for host in fleet.hosts() {
                let capacity = fleet.capacity(host) as f64 / 1e3;
                prop_assert!(used(host) <= capacity + 1e-6, "{} of {}", used(host), capacity);
            }
            // Whoever has less than a processor has it because some host of its is full.
            for vm in fleet.vms() {
                let mut hosts = fleet.spread(vm).map(|(host, _)| host);
                let short = |host: HostId| gets(vm, host) < 1.0 - 1e-6;
                let full = |host: HostId| used(host) >= fleet.capacity(host) as f64 / 1e3 - 1e-6;
                if is_gang[vm.index()] {
                    let all: Vec<_> = hosts.collect();
                    prop_assert!(!short(all[0]) || all.into_iter().any(full));
                } else {
                    prop_assert!(hosts.all(|host| !short(host) || full(host)));
                }
            }
        }
    }
}
