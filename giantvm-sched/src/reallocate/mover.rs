//! The policy that moves: vCPUs with the pages that they use, or whole slices with their memory.

use std::cmp::Reverse;

use super::draft::Draft;
use super::fleet::Fleet;
use super::ids::HostId;
use super::params::Parameters;
use super::past::Past;
use super::plan::Move;
use super::policy::Policy;
use crate::schedule::Nanos;

/// What goes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A vCPU. Its pages follow as it uses them.
    Vcpu,
    /// All that a machine has on a host, by pre-copy.
    Slice,
}

/// Moves from hosts that are crowded to those that have room, as far as that pays. A vCPU also goes where
/// there is none if more is done in all.
///
/// ```
/// use giantvm_sched::reallocate::{Fleet, Footprint, HostId, Mover, Parameters, Policy, Unit};
/// use giantvm_sched::schedule::Nanos;
///
/// let mut fleet = Fleet::new(2)?;
/// fleet.set_capacity(HostId(0), 2000)?;
/// fleet.set_capacity(HostId(1), 4000)?;
/// fleet.add(&[HostId(0); 3], Footprint::default())?;
/// let mut mover = Mover::new(Unit::Vcpu, Parameters::default());
/// let moves = mover.decide(Nanos(0), &fleet);
/// // One of three vCPUs is too many on the first host. The other has room for all of them, so the rest
/// // follows: a machine in one place waits for no other host's pages.
/// assert_eq!(moves.len(), 3);
/// assert!(moves.iter().all(|step| (step.from, step.to) == (HostId(0), HostId(1))));
/// # Ok::<(), giantvm_sched::reallocate::FleetError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Mover {
    unit: Unit,
    params: Parameters,
    past: Past,
    /// How often in a row each host was found crowded.
    crowded: Vec<u32>,
}

impl Mover {
    /// A mover that has seen nothing yet.
    #[must_use]
    pub fn new(unit: Unit, params: Parameters) -> Self {
        Self {
            unit,
            params,
            past: Past::default(),
            crowded: Vec::new(),
        }
    }

    /// Hosts that have been crowded for long enough, the worst first.
    fn crowded(&mut self, fleet: &Fleet) -> Vec<HostId> {
        self.crowded.resize(fleet.hosts().count(), 0);
        let mut hosts = Vec::new();
        for (host, times) in fleet.hosts().zip(&mut self.crowded) {
            let over = fleet.load(host).saturating_sub(fleet.capacity(host));
            *times = if over > 0 { times.saturating_add(1) } else { 0 };
            if over > 0 && *times >= self.params.patience {
                hosts.push((Reverse(over), host));
            }
        }
        hosts.sort_unstable();
        hosts.into_iter().map(|(_, host)| host).collect()
    }
}

impl Policy for Mover {
    fn name(&self) -> &'static str {
        match self.unit {
            Unit::Vcpu => "reallocation",
            Unit::Slice => "live migration",
        }
    }

    fn decide(&mut self, now: Nanos, fleet: &Fleet) -> Vec<Move> {
        // What is on its way counts as if it were there.
        let mut then = fleet.clone();
        for (_, step) in self.past.flights(now) {
            // One that arrived a little early is there already.
            then.carry_out(step).ok();
        }
        let crowded = self.crowded(&then);
        let mut draft = Draft::new(now, self.unit, &self.params, &mut self.past, then);
        for host in crowded {
            draft.relieve(host);
        }
        if self.unit == Unit::Vcpu {
            draft.gather();
        }
        draft.moves()
    }
}
