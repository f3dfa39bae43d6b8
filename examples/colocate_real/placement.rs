//! Who decides what runs where, and what it is told.

use giantvm_sched::reallocate::{
    Fleet, FleetError, Footprint, HostId, Mover, Parameters, Policy, Static, Unit,
};
use giantvm_sched::schedule::Nanos;
use serde::Serialize;

use crate::cgroup::HOSTS;
use crate::load::VCPUS;
use crate::schedule::SLOT;

/// Machines. The first begins on the first host, the second on the second.
pub(crate) const MACHINES: usize = 2;
/// How long waves of load last, on average, where the policies' parameters are from: half of their
/// horizon, in seconds.
const WAVE: u64 = 150;
/// Bytes a second that pre-copy sends over loopback with half of a processor at either end.
const LINK: u64 = 400_000_000;

/// The placements that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Placement {
    /// Everything stays where it was put.
    Static,
    /// Whole machines, by pre-copy.
    LiveMigration,
    /// vCPUs; pages follow.
    Reallocation,
}

impl Placement {
    pub(crate) const ALL: [Self; 3] = [Self::Static, Self::LiveMigration, Self::Reallocation];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::LiveMigration => "live migration",
            Self::Reallocation => "reallocation",
        }
    }

    /// The policy, as in the simulation. The parameters that were searched for there for slices leave
    /// nearly half a host free where one goes, which is more than there is on a host of one processor:
    /// both have those of vCPUs here.
    pub(crate) fn policy(self, wave: u32) -> Box<dyn Policy> {
        let mover = |unit| Box::new(Mover::new(unit, parameters(wave)));
        match self {
            Self::Static => Box::new(Static),
            Self::LiveMigration => mover(Unit::Slice),
            Self::Reallocation => mover(Unit::Vcpu),
        }
    }
}

/// For waves of so many seconds. What takes so long because waves do is as many times shorter.
fn parameters(wave: u32) -> Parameters {
    let faster = |of: Nanos| Nanos(of.0 / WAVE * u64::from(wave));
    let mut params = Parameters::default();
    params.horizon = faster(params.horizon);
    params.residency = faster(params.residency);
    params.standby = faster(params.standby);
    params.period = Nanos::from(SLOT);
    params.link = LINK;
    // A vCPU goes between two steps.
    params.pause = Nanos(1_000_000);
    params
}

/// Both machines where they begin. Each vCPU wants so many hundredths of a processor.
pub(crate) fn fleet(wants: u32, footprint: Footprint) -> Result<Fleet, FleetError> {
    let mut fleet = Fleet::new(HOSTS)?;
    for (host, _) in fleet.hosts().zip(0..MACHINES) {
        let vm = fleet.add(&[host; VCPUS], footprint)?;
        fleet.set_wants(vm, wants * 10)?;
    }
    Ok(fleet)
}

/// Tells what hosts have left, in hundredths of a processor.
pub(crate) fn tell(fleet: &mut Fleet, shares: [u32; HOSTS]) -> Result<(), FleetError> {
    let hosts: Vec<HostId> = fleet.hosts().collect();
    hosts
        .into_iter()
        .zip(shares)
        .try_for_each(|(host, share)| fleet.set_capacity(host, share * 10))
}

#[cfg(test)]
mod tests {
    use giantvm_sched::reallocate::{Move, VmId, What};

    use super::*;
    use crate::load::Load;

    fn decide(placement: Placement, wants: u32, shares: [u32; HOSTS]) -> Vec<Move> {
        let footprint = Load::ReadMostly.footprint(64 << 20, 500.0);
        let mut fleet = fleet(wants, footprint).unwrap();
        tell(&mut fleet, shares).unwrap();
        placement.policy(7).decide(Nanos(0), &fleet)
    }

    #[test]
    fn a_fleet_is_two_machines_on_a_host_each() {
        let fleet = fleet(20, Footprint::default()).unwrap();
        for (host, vm) in fleet.hosts().zip(fleet.vms()) {
            assert_eq!(fleet.seats(vm), [host; VCPUS]);
            assert_eq!(fleet.load(host), 400);
        }
    }

    #[test]
    fn who_is_crowded_leaves_by_the_placement_s_unit() {
        let shares = [100, 20];
        assert_eq!(decide(Placement::Static, 20, shares), []);
        let moves = decide(Placement::LiveMigration, 20, shares);
        assert_eq!(moves.len(), 1);
        assert_eq!((moves[0].vm, moves[0].what), (VmId(1), What::Slice));
        assert_eq!((moves[0].from, moves[0].to), (HostId(1), HostId(0)));
        let moves = decide(Placement::Reallocation, 20, shares);
        assert!(!moves.is_empty());
        assert!(moves.iter().all(|step| matches!(step.what, What::Vcpu(_))));
    }

    #[test]
    fn where_a_machine_does_not_fit_a_vcpu_may() {
        let shares = [70, 20];
        assert_eq!(decide(Placement::LiveMigration, 20, shares), []);
        assert_eq!(decide(Placement::Reallocation, 20, shares).len(), 1);
    }

    #[test]
    fn who_is_not_crowded_stays() {
        for placement in Placement::ALL {
            assert_eq!(decide(placement, 20, [40, 40]), []);
        }
    }
}
