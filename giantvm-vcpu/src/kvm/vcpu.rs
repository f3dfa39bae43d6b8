//! A vCPU that runs guest code.

use std::sync::Arc;

use giantvm_core::{NodeId, VcpuId};
use kvm_bindings::{KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_UNINITIALIZED};

use super::access::Access;
use super::cpu::{Cpu, Outcome};
use super::kick::this_thread;
use super::machine::Machine;
use super::proxy::Proxy;
use super::{ioctl, moves, registers, state};
use crate::error::VcpuError;
use crate::exit::{Exit, Failure};
use crate::gate::Entry;
use crate::haste;
use crate::host::{NotLeft, Vcpu};
use crate::state::{ArchState, StartState};

/// A vCPU on KVM, as [`KvmHost`](super::KvmHost) gives it out.
#[derive(Debug)]
pub(super) struct KvmVcpu {
    id: VcpuId,
    /// Before `machine`, which owns the memory that the vCPU may touch: dropped first.
    cpu: Cpu,
    machine: Arc<Machine>,
    progress: Progress,
}

/// How far the access reported last is.
#[derive(Debug, Clone, Copy)]
enum Progress {
    /// No access is under way: the next thing is to run the guest.
    Guest,
    /// Elements from number `next` on are still to be reported.
    Report { access: Access, next: u32 },
    /// Element number `index` was reported and is to be answered.
    Answer { access: Access, index: u32 },
    /// All is reported and answered; the kernel completes the access on its next entry.
    Complete,
}

impl KvmVcpu {
    pub(super) fn new(id: VcpuId, cpu: Cpu, machine: Arc<Machine>) -> Self {
        let progress = Progress::Guest;
        Self {
            id,
            cpu,
            machine,
            progress,
        }
    }

    /// Reports an access; but one to memory means that KVM could not reach the memory, and must
    /// not be answered as if a device were there.
    fn reach(&mut self, access: Access) -> Exit {
        match access.address() {
            Some(address) if self.machine.slots.contain(address) => {
                Exit::Failed(Failure::Memory { address: address.0 })
            }
            _ => self.report(access, 0),
        }
    }

    /// Reports element number `next`.
    fn report(&mut self, access: Access, next: u32) -> Exit {
        if access.kind.is_read() {
            self.progress = Progress::Answer {
                access,
                index: next,
            };
            return access.exit(next, 0);
        }
        self.progress = after(access, next);
        access.exit(next, self.cpu.written(&access, next))
    }

    /// Runs the guest until something other than a kick or a pause ends it.
    fn enter(&mut self) -> Result<Exit, VcpuError> {
        let machine = Arc::clone(&self.machine);
        let gate = machine.gate(self.id);
        loop {
            // A kick or a pause may come first: then an access that is done is not complete yet.
            let mut entered = false;
            let outcome = self.cpu.as_current(|cpu| {
                if gate.enter(this_thread()) == Entry::Kicked {
                    return Ok(None);
                }
                let outcome = loop {
                    cpu.clear_kick();
                    if gate.interrupted() {
                        break Ok(Some(Outcome::Interrupted));
                    }
                    entered = true;
                    match cpu.enter() {
                        // A signal that was not a kick, or one that came late; or a vCPU that got
                        // an INIT and now waits for the SIPI.
                        Ok(Outcome::Interrupted | Outcome::Again) => {}
                        other => break other.map(Some),
                    }
                };
                if gate.leave() {
                    haste::calm();
                }
                outcome
            })?;
            if entered {
                self.progress = Progress::Guest;
            }
            match outcome {
                None => return Ok(Exit::Kicked),
                Some(Outcome::Interrupted | Outcome::Again) => {}
                Some(Outcome::Access(access)) => return Ok(self.reach(access)),
                Some(Outcome::Unreachable { host }) => {
                    let address = self.machine.slots.guest_address(host).0;
                    return Ok(Exit::Failed(Failure::Memory { address }));
                }
                Some(Outcome::EndOfInterrupt { vector }) => {
                    return Ok(Exit::EndOfInterrupt { vector });
                }
                Some(Outcome::Shutdown) => return Ok(Exit::Shutdown),
                Some(Outcome::Failed(failure)) => return Ok(Exit::Failed(failure)),
            }
        }
    }

    /// Refuses where the state might not say everything: anywhere but after an access.
    fn can_leave(&self) -> Result<(), VcpuError> {
        let stopped = matches!(self.progress, Progress::Guest);
        match stopped && state::may_hide_an_exception(self.cpu.fd())? {
            true => Err(VcpuError::Busy(self.id)),
            false => Ok(()),
        }
    }

    /// Refuses while an access is half-way, and completes one that is done.
    fn settle(&mut self) -> Result<(), VcpuError> {
        match self.progress {
            Progress::Guest => Ok(()),
            Progress::Complete => {
                self.cpu.settle()?;
                self.progress = Progress::Guest;
                Ok(())
            }
            Progress::Report { .. } | Progress::Answer { .. } => {
                Err(VcpuError::AccessPending(self.id))
            }
        }
    }
}

fn after(access: Access, reported: u32) -> Progress {
    match reported + 1 {
        next if next < access.count => Progress::Report { access, next },
        _ => Progress::Complete,
    }
}

impl Vcpu for KvmVcpu {
    fn id(&self) -> VcpuId {
        self.id
    }

    fn set_start(&mut self, start: &StartState) -> Result<(), VcpuError> {
        self.progress = Progress::Guest;
        let fd = self.cpu.fd();
        let run_state = match start {
            StartState::WaitForSipi => KVM_MP_STATE_UNINITIALIZED,
            &StartState::LongMode {
                rip,
                rsp,
                cr3,
                rdi,
                rsi,
            } => {
                registers::long_mode(fd, &registers::Tables::of_guest(cr3.0))?;
                registers::set_general(fd, |general| {
                    (general.rip, general.rsp) = (rip, rsp);
                    (general.rdi, general.rsi) = (rdi, rsi);
                })?;
                KVM_MP_STATE_RUNNABLE
            }
        };
        registers::set_run_state(fd, run_state)
    }

    fn run(&mut self) -> Result<Exit, VcpuError> {
        match self.progress {
            Progress::Guest | Progress::Complete => self.enter(),
            Progress::Report { access, next } => Ok(self.report(access, next)),
            Progress::Answer { .. } => Err(VcpuError::AccessPending(self.id)),
        }
    }

    fn finish_read(&mut self, value: u64) -> Result<(), VcpuError> {
        let Progress::Answer { access, index } = self.progress else {
            return Err(VcpuError::NoReadPending(self.id));
        };
        self.cpu.answer(&access, index, value);
        self.progress = after(access, index);
        Ok(())
    }

    fn state(&mut self) -> Result<ArchState, VcpuError> {
        self.settle()?;
        state::save(self.cpu.fd(), &self.machine.msrs)
    }

    fn set_state(&mut self, state: &ArchState) -> Result<(), VcpuError> {
        self.settle()?;
        state::load(self.cpu.fd(), state)
    }

    fn leave(mut self: Box<Self>, to: NodeId) -> Result<ArchState, NotLeft> {
        let left = self
            .can_leave()
            .and_then(|()| self.settle())
            .and_then(|()| moves::give_up(&self.machine, self.id, &mut self.cpu, to));
        let state = match left {
            Ok(state) => state,
            Err(error) => return Err(NotLeft { vcpu: self, error }),
        };
        let Self {
            id, cpu, machine, ..
        } = *self;
        if let Err(error) = machine.start_proxy(Proxy::parked(id, cpu, &machine)) {
            // The vCPU has gone, but this node's interrupts do not find it.
            machine.sink.failed(id, error);
        }
        Ok(state)
    }

    fn tsc_offset(&self) -> Result<i64, VcpuError> {
        ioctl::tsc_offset(self.cpu.fd())
    }

    fn set_tsc_offset(&mut self, offset: i64) -> Result<(), VcpuError> {
        ioctl::set_tsc_offset(self.cpu.fd(), offset)
    }
}
