//! The stand-in for a vCPU that another node runs.
//!
//! The local kernel delivers interrupts to it as to any vCPU; its thread hands them to the
//! [`InterruptSink`](crate::InterruptSink).
//!
//! A proxy is parked *waiting for INIT with interrupts on*. In that state `KVM_RUN` sleeps, never
//! executes an instruction, and comes back with `EAGAIN` for an INIT, an NMI or an interrupt alike:
//!
//! * a fixed interrupt or NMI: the proxy is made runnable and takes all that are pending in its
//!   private pages (see [`image`](super::image)), then it is parked again, and only then are they
//!   forwarded: an INIT that is a consequence of an interrupt's arrival finds the proxy parked;
//! * an INIT: the proxy is parked again, and the INIT forwarded;
//! * a SIPI: is dropped by the kernel, but wakes the proxy, which then finds nothing in its pages. Told that
//!   it was waiting for that SIPI, the kernel applies it after all, for it keeps the vector, which the code
//!   segment then says. So a SIPI is forwarded also by a node where no INIT was sent: a vCPU may move
//!   between the two that it sends, or gets. A vCPU that runs already ignores it.
//!
//! One order of events is not handled: an INIT that follows an interrupt to the same vCPU within the
//! microseconds in which the proxy is runnable, without waiting for its effect. The kernel itself
//! then takes the INIT and the SIPI, and the proxy leaves its pages; that is noticed by the next
//! exit and reported as [`VcpuError::ProxyAstray`].

use std::sync::Arc;

use giantvm_core::VcpuId;
use kvm_bindings::{
    KVM_EXIT_IO, KVM_EXIT_SHUTDOWN, KVM_MP_STATE_INIT_RECEIVED, KVM_MP_STATE_RUNNABLE,
    KVM_MP_STATE_SIPI_RECEIVED, KVM_MP_STATE_UNINITIALIZED, KVM_VCPUEVENT_VALID_NMI_PENDING,
    kvm_lapic_state, kvm_vcpu_events, kvm_vcpu_events__bindgen_ty_1,
};
use kvm_ioctls::VcpuFd;

use super::cpu::{Cpu, Outcome};
use super::errno;
use super::image::{DRAINED_PORT, NMI_PORT, VECTOR_PORT};
use super::kick::this_thread;
use super::machine::Machine;
use super::registers::{self, Tables, run_state, set_run_state};
use crate::error::VcpuError;
use crate::exit::Failure;
use crate::gate::Entry;
use crate::haste;
use crate::interrupt::Interrupt;
use crate::pending::Pending;

/// The APIC's spurious-interrupt register, bit 8 of which enables the APIC.
const SPURIOUS: usize = 0xf0;
const SPURIOUS_ENABLED: u32 = 1 << 8 | 0xff;

/// Interrupts that a runnable proxy takes before it forwards them, parked or not: a sender that
/// never stops must not keep them from arriving.
const MOST_TAKEN: u32 = 64;

/// What a proxy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It waits for INIT with interrupts on.
    Parked,
    /// It takes interrupts in its pages.
    Taking,
}

/// The vCPU and what its thread needs.
#[derive(Debug)]
pub(super) struct Proxy {
    id: VcpuId,
    cpu: Cpu,
    machine: Arc<Machine>,
    stage: Stage,
    /// Taken and not yet forwarded. Two of one vector count as one, as they would in the APIC of a
    /// vCPU that took neither yet.
    taken: Pending,
    count: u32,
    /// Whether there was anything to take since it was woken.
    found: bool,
}

/// Makes a proxy of a vCPU that no thread runs; from then on the kernel keeps what is sent to it.
pub(super) fn park(id: VcpuId, cpu: &Cpu, machine: &Machine) -> Result<(), VcpuError> {
    let fd = cpu.fd();
    // Not runnable before it is set up.
    set_run_state(fd, KVM_MP_STATE_UNINITIALIZED)?;
    enter_pages(id, fd, machine, true)?;
    let mut apic = fd.get_lapic().map_err(errno("reading the local APIC"))?;
    set_register(&mut apic, SPURIOUS, SPURIOUS_ENABLED);
    fd.set_lapic(&apic).map_err(errno("setting the local APIC"))
}

/// Has a vCPU enter its proxy's pages with interrupts off, and come back at once. What is pending in its
/// local APIC stays there.
pub(super) fn visit(id: VcpuId, cpu: &mut Cpu, machine: &Machine) -> Result<(), VcpuError> {
    const INVALID_OPCODE: u8 = 6;
    set_run_state(cpu.fd(), KVM_MP_STATE_RUNNABLE)?;
    enter_pages(id, cpu.fd(), machine, false)?;
    // An exception also ends a halt that KVM left to the processor, where nothing else would now.
    let events = kvm_vcpu_events {
        exception: kvm_vcpu_events__bindgen_ty_1 {
            injected: 1,
            nr: INVALID_OPCODE,
            ..Default::default()
        },
        // An NMI that is pending is none for these pages.
        flags: KVM_VCPUEVENT_VALID_NMI_PENDING,
        ..Default::default()
    };
    let set = cpu.fd().set_vcpu_events(&events);
    set.map_err(errno("setting what is pending"))?;
    loop {
        cpu.clear_kick();
        match cpu.enter()? {
            Outcome::Interrupted => {}
            Outcome::Access(access)
                if matches!(access.written_port(), Some(VECTOR_PORT | DRAINED_PORT)) =>
            {
                return cpu.settle();
            }
            outcome => {
                tracing::error!(?outcome, vcpu = %id, "a vCPU did not come back from its pages");
                let failure = Failure::UnexpectedExit(KVM_EXIT_SHUTDOWN);
                return Err(VcpuError::ProxyAstray { id, failure });
            }
        }
    }
}

/// Sets a vCPU's registers to the start of its proxy's pages.
fn enter_pages(
    id: VcpuId,
    vcpu: &VcpuFd,
    machine: &Machine,
    interrupts: bool,
) -> Result<(), VcpuError> {
    let image = machine.image;
    let tables = Tables {
        cr3: image.page_tables(),
        gdt: image.gdt(),
        idt: image.idt(),
    };
    registers::long_mode(vcpu, &tables)?;
    registers::set_general(vcpu, |general| {
        const INTERRUPTS_ON: u64 = 1 << 9;
        general.rip = image.main_loop();
        general.rsp = image.stack(id.index());
        if interrupts {
            general.rflags |= INTERRUPTS_ON;
        }
    })
}

impl Proxy {
    /// The proxy that a vCPU is since it was parked.
    pub(super) fn parked(id: VcpuId, cpu: Cpu, machine: &Arc<Machine>) -> Self {
        Self {
            id,
            cpu,
            machine: Arc::clone(machine),
            stage: Stage::Parked,
            taken: Pending::default(),
            count: 0,
            found: false,
        }
    }

    pub(super) fn id(&self) -> VcpuId {
        self.id
    }

    /// Forwards interrupts until the host is dropped, or the vCPU is recalled: then all that it took is
    /// forwarded.
    pub(super) fn serve(mut self) -> Option<Cpu> {
        while !self.machine.stopping() {
            // What a vCPU in the middle of its pages has taken is not known yet.
            if self.stage == Stage::Parked && self.machine.proxies.recalled(self.id) {
                return Some(self.cpu);
            }
            if let Err(error) = self.step() {
                self.machine.sink.failed(self.id, error);
                return None;
            }
        }
        None
    }

    fn step(&mut self) -> Result<(), VcpuError> {
        match self.enter()? {
            Outcome::Interrupted => Ok(()),
            Outcome::Again => self.woken(),
            Outcome::Access(access) => {
                let [vector, ..] = self.cpu.written(&access, 0).to_le_bytes();
                match access.written_port() {
                    Some(VECTOR_PORT) => self.taken.fixed(vector),
                    Some(NMI_PORT) => self.taken.nmi(),
                    Some(DRAINED_PORT) => return self.drained(),
                    _ => return Err(self.astray(Failure::UnexpectedExit(KVM_EXIT_IO))),
                }
                self.found = true;
                self.count += 1;
                if self.count >= MOST_TAKEN {
                    self.forward_taken();
                }
                Ok(())
            }
            // Of the stand-in's own taking: the vCPU on the other node ends the interrupt itself.
            Outcome::EndOfInterrupt { .. } => Ok(()),
            // Its pages are never poisoned, so it is not in them.
            Outcome::Unreachable { .. } => Err(self.astray(Failure::Memory { address: u64::MAX })),
            Outcome::Shutdown => Err(self.astray(Failure::UnexpectedExit(KVM_EXIT_SHUTDOWN))),
            Outcome::Failed(failure) => Err(self.astray(failure)),
        }
    }

    fn enter(&mut self) -> Result<Outcome, VcpuError> {
        let gate = self.machine.gate(self.id);
        self.cpu.as_current(|cpu| {
            if gate.enter(this_thread()) == Entry::Kicked {
                return Ok(Outcome::Interrupted);
            }
            cpu.clear_kick();
            let outcome = match gate.interrupted() {
                true => Ok(Outcome::Interrupted),
                false => cpu.enter(),
            };
            if gate.leave() {
                haste::calm();
            }
            outcome
        })
    }

    /// Finds out what woke a parked proxy.
    fn woken(&mut self) -> Result<(), VcpuError> {
        match run_state(self.cpu.fd())? {
            KVM_MP_STATE_UNINITIALIZED => {
                (self.stage, self.found) = (Stage::Taking, false);
                set_run_state(self.cpu.fd(), KVM_MP_STATE_RUNNABLE)
            }
            run_state => {
                let vector = match run_state {
                    KVM_MP_STATE_INIT_RECEIVED => None,
                    // The boot processor, which needs no SIPI.
                    _ if self.id == VcpuId::BOOT => None,
                    // INIT and SIPI both came before this thread woke.
                    _ => Some(registers::start_vector(self.cpu.fd())?),
                };
                // Parked first: whoever learns that the vCPU runs may interrupt it at once.
                park(self.id, &self.cpu, &self.machine)?;
                self.forward(Interrupt::Init);
                if let Some(vector) = vector {
                    self.forward(Interrupt::Sipi { vector });
                }
                Ok(())
            }
        }
    }

    /// Parks after all is taken, and forwards it.
    fn drained(&mut self) -> Result<(), VcpuError> {
        let vcpu = self.cpu.fd();
        let mut sipi = None;
        if !self.found {
            set_run_state(vcpu, KVM_MP_STATE_SIPI_RECEIVED)?;
            sipi = match run_state(vcpu)? {
                KVM_MP_STATE_RUNNABLE => Some(registers::start_vector(vcpu)?),
                _ => None,
            };
        }
        set_run_state(vcpu, KVM_MP_STATE_UNINITIALIZED)?;
        if !self.found {
            // Its local APIC stays as it is: it may have taken something meanwhile.
            enter_pages(self.id, vcpu, &self.machine, true)?;
        }
        self.stage = Stage::Parked;
        self.forward_taken();
        // Code to start at is nowhere in the first page: then none ever came.
        if let Some(vector) = sipi.filter(|&vector| vector != 0) {
            self.forward(Interrupt::Sipi { vector });
        }
        Ok(())
    }

    fn forward_taken(&mut self) {
        self.count = 0;
        while let Some(interrupt) = self.taken.take() {
            self.forward(interrupt);
        }
    }

    fn forward(&self, interrupt: Interrupt) {
        self.machine.sink.forward(self.id, interrupt);
    }

    fn astray(&self, failure: Failure) -> VcpuError {
        VcpuError::ProxyAstray {
            id: self.id,
            failure,
        }
    }
}

fn set_register(apic: &mut kvm_lapic_state, at: usize, value: u32) {
    for (byte, new) in apic.regs[at..].iter_mut().zip(value.to_le_bytes()) {
        *byte = new.cast_signed();
    }
}
