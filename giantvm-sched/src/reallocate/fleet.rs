//! Hosts, the virtual machines that are spread over them, and how much room there is.

use std::collections::BTreeMap;

use giantvm_core::{MAX_VCPUS, VcpuId};

use super::footprint::Footprint;
use super::ids::{HostId, VmId};
use super::plan::{Move, What};

/// Hosts of a fleet at most.
pub const MAX_HOSTS: usize = 4096;
/// Virtual machines of a fleet at most.
pub const MAX_VMS: usize = 1 << 16;
/// The most that one vCPU can use, in thousandths of a processor.
pub const WHOLE: u32 = 1000;

/// What a fleet cannot have or do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// Too many hosts.
    #[error("{0} hosts: a fleet has at most {MAX_HOSTS}")]
    Hosts(usize),
    /// Too many machines.
    #[error("a fleet has at most {MAX_VMS} machines")]
    Vms,
    /// A machine without vCPUs, or with too many.
    #[error("{0} vCPUs: a machine has 1 to {MAX_VCPUS}")]
    Vcpus(usize),
    /// There is no such host.
    #[error("there is no host {0}")]
    NoHost(HostId),
    /// There is no such machine.
    #[error("there is no machine {0}")]
    NoVm(VmId),
    /// A machine has no such vCPU.
    #[error("{0} has no vCPU {1}")]
    NoVcpu(VmId, VcpuId),
    /// What is to be moved is not where it is to be moved from.
    #[error("nothing of {0} that is to be moved is on {1}")]
    NotThere(VmId, HostId),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Host {
    capacity: u32,
    /// What its vCPUs would use.
    load: u64,
    /// How many vCPUs of which machine are here.
    vcpus: BTreeMap<VmId, u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Vm {
    seats: Vec<HostId>,
    wants: u32,
    footprint: Footprint,
    /// How many vCPUs are where.
    spread: BTreeMap<HostId, u32>,
}

/// What is where, and what it would use.
///
/// A machine's vCPUs may be on several hosts. A host's capacity is what another tenant leaves for
/// them, and changes with it.
///
/// ```
/// use giantvm_sched::reallocate::{Fleet, Footprint, HostId};
///
/// let mut fleet = Fleet::new(2)?;
/// fleet.set_capacity(HostId(0), 4000)?;
/// let vm = fleet.add(&[HostId(0), HostId(0), HostId(1)], Footprint::default())?;
/// assert_eq!(fleet.load(HostId(0)), 2000);
/// assert_eq!(fleet.spread(vm).collect::<Vec<_>>(), [(HostId(0), 2), (HostId(1), 1)]);
/// # Ok::<(), giantvm_sched::reallocate::FleetError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    hosts: Vec<Host>,
    vms: Vec<Vm>,
}

impl Fleet {
    /// So many hosts without capacity and without machines.
    ///
    /// # Errors
    /// [`FleetError::Hosts`] if there are too many.
    pub fn new(hosts: usize) -> Result<Self, FleetError> {
        if hosts > MAX_HOSTS {
            return Err(FleetError::Hosts(hosts));
        }
        Ok(Self {
            hosts: vec![Host::default(); hosts],
            vms: Vec::new(),
        })
    }

    /// A machine whose vCPUs are on these hosts, and would use a processor each.
    ///
    /// # Errors
    /// [`FleetError`] if there are too many machines or vCPUs, or no such host.
    pub fn add(&mut self, seats: &[HostId], footprint: Footprint) -> Result<VmId, FleetError> {
        if seats.is_empty() || seats.len() > MAX_VCPUS {
            return Err(FleetError::Vcpus(seats.len()));
        }
        for &host in seats {
            self.host(host)?;
        }
        let id = u32::try_from(self.vms.len()).map_err(|_| FleetError::Vms)?;
        if self.vms.len() >= MAX_VMS {
            return Err(FleetError::Vms);
        }
        let id = VmId(id);
        let mut spread = BTreeMap::new();
        for &seat in seats {
            *spread.entry(seat).or_default() += 1;
            let host = &mut self.hosts[seat.index()];
            host.load += u64::from(WHOLE);
            *host.vcpus.entry(id).or_default() += 1;
        }
        self.vms.push(Vm {
            seats: seats.to_vec(),
            wants: WHOLE,
            footprint,
            spread,
        });
        Ok(id)
    }

    /// Says what a host has for vCPUs from now on, in thousandths of a processor.
    ///
    /// # Errors
    /// [`FleetError::NoHost`].
    pub fn set_capacity(&mut self, host: HostId, millicpus: u32) -> Result<(), FleetError> {
        self.host(host)?;
        self.hosts[host.index()].capacity = millicpus;
        Ok(())
    }

    /// Says what each vCPU of a machine would use if nothing held it up, in thousandths of a
    /// processor, at most [`WHOLE`].
    ///
    /// # Errors
    /// [`FleetError::NoVm`].
    pub fn set_wants(&mut self, vm: VmId, millicpus: u32) -> Result<(), FleetError> {
        let of = self.vms.get_mut(vm.index()).ok_or(FleetError::NoVm(vm))?;
        let before = std::mem::replace(&mut of.wants, millicpus.min(WHOLE));
        for (host, &count) in &of.spread {
            let load = &mut self.hosts[host.index()].load;
            *load -= u64::from(before) * u64::from(count);
            *load += u64::from(of.wants) * u64::from(count);
        }
        Ok(())
    }

    /// Does what a policy decided.
    ///
    /// # Errors
    /// [`FleetError`] if the move does not fit what is there; then nothing changes.
    pub fn carry_out(&mut self, step: &Move) -> Result<(), FleetError> {
        let (vm, from, to) = (step.vm, step.from, step.to);
        self.host(to)?;
        let of = self.vms.get_mut(vm.index()).ok_or(FleetError::NoVm(vm))?;
        let mut moved = 0;
        match step.what {
            What::Vcpu(vcpu) => {
                let seat = of.seats.get_mut(vcpu.index());
                let seat = seat.ok_or(FleetError::NoVcpu(vm, vcpu))?;
                if *seat != from {
                    return Err(FleetError::NotThere(vm, from));
                }
                *seat = to;
                moved += 1;
            }
            What::Slice => {
                for seat in of.seats.iter_mut().filter(|seat| **seat == from) {
                    *seat = to;
                    moved += 1;
                }
            }
        }
        if moved == 0 {
            return Err(FleetError::NotThere(vm, from));
        }
        let load = u64::from(of.wants) * u64::from(moved);
        take(&mut of.spread, from, moved);
        *of.spread.entry(to).or_default() += moved;
        let host = &mut self.hosts[from.index()];
        host.load -= load;
        take(&mut host.vcpus, vm, moved);
        let host = &mut self.hosts[to.index()];
        host.load += load;
        *host.vcpus.entry(vm).or_default() += moved;
        Ok(())
    }

    /// All hosts.
    pub fn hosts(&self) -> impl Iterator<Item = HostId> + use<> {
        (0..).map(HostId).take(self.hosts.len())
    }

    /// All machines.
    pub fn vms(&self) -> impl Iterator<Item = VmId> + use<> {
        (0..).map(VmId).take(self.vms.len())
    }

    /// What a host has for vCPUs, in thousandths of a processor.
    #[must_use]
    pub fn capacity(&self, host: HostId) -> u64 {
        self.hosts
            .get(host.index())
            .map_or(0, |of| of.capacity.into())
    }

    /// What the vCPUs on a host would use.
    #[must_use]
    pub fn load(&self, host: HostId) -> u64 {
        self.hosts.get(host.index()).map_or(0, |of| of.load)
    }

    /// The machines that have vCPUs on a host, and how many.
    pub fn on(&self, host: HostId) -> impl Iterator<Item = (VmId, u32)> + '_ {
        let host = self.hosts.get(host.index());
        host.into_iter()
            .flat_map(|of| of.vcpus.iter().map(|(&vm, &count)| (vm, count)))
    }

    /// Where each vCPU of a machine is.
    #[must_use]
    pub fn seats(&self, vm: VmId) -> &[HostId] {
        self.vms.get(vm.index()).map_or(&[], |of| &of.seats)
    }

    /// How many vCPUs of a machine are on which host.
    pub fn spread(&self, vm: VmId) -> impl Iterator<Item = (HostId, u32)> + '_ {
        let vm = self.vms.get(vm.index());
        vm.into_iter()
            .flat_map(|of| of.spread.iter().map(|(&host, &count)| (host, count)))
    }

    /// What each vCPU of a machine would use.
    #[must_use]
    pub fn wants(&self, vm: VmId) -> u32 {
        self.vms.get(vm.index()).map_or(0, |of| of.wants)
    }

    /// What moving parts of a machine takes along.
    #[must_use]
    pub fn footprint(&self, vm: VmId) -> Footprint {
        self.vms
            .get(vm.index())
            .map_or_else(Footprint::default, |of| of.footprint)
    }

    fn host(&self, host: HostId) -> Result<&Host, FleetError> {
        self.hosts.get(host.index()).ok_or(FleetError::NoHost(host))
    }
}

/// Takes so many away, and what has none out of the table.
fn take<K: Ord + Copy>(counts: &mut BTreeMap<K, u32>, key: K, count: u32) {
    if let Some(left) = counts.get_mut(&key) {
        *left -= count;
        if *left == 0 {
            counts.remove(&key);
        }
    }
}
