//! Advice from what vCPUs wait for.

use giantvm_core::VcpuId;

use super::{Advice, Deltas, Snapshot, Subject};
use crate::das::{Move, Parameters, Planner};
use crate::schedule::{Machine, Nanos, ThreadId};

/// Says of each vCPU whether what runs there would wait less on another node.
///
/// It is [`Planner`] with vCPUs as threads. What it plans no one has done when the next snapshot
/// comes: the guest moves its threads, if it likes, and then other vCPUs wait. So each vCPU goes back
/// to its node, and advice stands as long as its reason does.
///
/// ```
/// use giantvm_sched::channel::{Adviser, Snapshot};
/// use giantvm_sched::schedule::{Machine, Nanos};
///
/// let machine = Machine::new(&[2, 2])?;
/// let mut adviser = Adviser::new(machine.clone());
/// let mut snapshot = Snapshot::new(machine);
/// adviser.advise(Nanos(0), &mut snapshot);
/// assert!(snapshot.advice().is_empty(), "no one waits");
/// # Ok::<(), giantvm_sched::schedule::MachineError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Adviser {
    planner: Planner,
    deltas: Deltas,
    /// What was said last, until the next period.
    said: Vec<Advice>,
}

impl Adviser {
    /// One for this machine.
    #[must_use]
    pub fn new(machine: Machine) -> Self {
        let parameters = Parameters {
            // Nothing is moved, so nothing has to settle.
            residency: Nanos(0),
            ..Parameters::default()
        };
        let mut adviser = Self {
            planner: Planner::new(machine, parameters),
            deltas: Deltas::default(),
            said: Vec::new(),
        };
        adviser.seat(Nanos(0));
        adviser
    }

    /// Takes note of what is new in `snapshot`, and puts in what it makes of it. Steps of the same plan
    /// stand together: who follows one follows all of its gain.
    pub fn advise(&mut self, now: Nanos, snapshot: &mut Snapshot) {
        for faults in self.deltas.take(snapshot) {
            // Of a vCPU and a home that the snapshot's machine has.
            self.planner.observe(now, &faults).ok();
        }
        if self.planner.is_due(now) {
            self.said = self.plan(now);
            self.seat(now);
        }
        for advice in &self.said {
            snapshot.push_advice(advice.clone());
        }
    }

    fn plan(&mut self, now: Nanos) -> Vec<Advice> {
        let plan = self.planner.plan(now);
        let mut said = Vec::<Advice>::new();
        for step in &plan.steps {
            for of in &step.moves {
                let Move::Thread { thread, to, .. } = *of else {
                    continue;
                };
                let vcpu = u8::try_from(thread.0).ok();
                let Some(vcpu) = vcpu.and_then(|number| VcpuId::new(number).ok()) else {
                    continue;
                };
                let known = said
                    .iter()
                    .position(|advice| advice.node == to && advice.gain == step.gain);
                let at = known.unwrap_or_else(|| {
                    said.push(Advice::new(to, step.gain));
                    said.len() - 1
                });
                said[at].add(Subject::Vcpu(vcpu));
            }
        }
        said
    }

    /// Puts every vCPU where it is.
    fn seat(&mut self, now: Nanos) {
        let machine = self.planner.machine().clone();
        for vcpu in machine.vcpus() {
            if let Some(node) = machine.node_of(vcpu) {
                // The node is the machine's, and a machine has fewer vCPUs than a planner threads.
                self.planner.place(now, ThreadId::from(vcpu), node).ok();
                self.planner
                    .set_runnable(now, ThreadId::from(vcpu), true)
                    .ok();
            }
        }
    }
}
