//! Threads of the guest, and which vCPU runs which of them: decided on the first node.
//!
//! A vCPU that carries threads says what its thread came to by a read of a register
//! (`giantvm_guest::threads`). That read ends at the [`Desk`] of its node, which sends the word to the
//! first node and lets the vCPU wait, without a processor, until it is told what to run. On the first
//! node the [`Conductor`] has the one scheduler of the machine, so it hears everything in one order.
//!
//! Desks know who runs on their vCPUs, and their pumps tell them who waited for which page and how
//! long: the [`Tally`](tally::Tally) of that goes to the conductor before the next word of a vCPU.
//!
//! ```text
//!   vCPU ── report ──▶ desk ── frame ──▶ conductor ── event ──▶ scheduler
//!   vCPU ◀── thread ── desk ◀── frame ── conductor ◀─ decision ────┘
//! ```
//!
//! Where it decides is all that `fair` and `das` share or differ in: nothing else knows which of them
//! it is.

mod conductor;
mod desk;
mod letter;
mod links;
mod summary;
mod tally;

use clap::ValueEnum;
use giantvm_core::NodeId;
use giantvm_sched::das::{Das, Parameters};
use giantvm_sched::fair::Fair;
use giantvm_sched::schedule::{Machine, Scheduler};

pub(crate) use conductor::Conductor;
pub(crate) use desk::Desk;
pub(crate) use letter::{FAULTS, GO, Letter, REPORT};
pub(crate) use summary::Summary;

/// Who decides which vCPU runs which thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchedulerKind {
    /// By load alone: a model of Linux' default.
    Fair,
    /// By what threads wait for: they go where their pages are.
    Das,
}

impl SchedulerKind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fair => "fair",
            Self::Das => "das",
        }
    }

    fn start(self, machine: &Machine) -> Box<dyn Scheduler + Send> {
        match self {
            Self::Fair => Box::new(Fair::new(machine.clone())),
            Self::Das => {
                let mut parameters = Parameters::default();
                // Where the conductor is.
                parameters.near = Some(NodeId::ZERO);
                Box::new(Das::new(machine.clone(), parameters))
            }
        }
    }
}
