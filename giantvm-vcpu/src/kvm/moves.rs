//! vCPUs that leave this node and that come to it: what turns them into proxies and back.

use std::sync::Arc;

use giantvm_core::{NodeId, VcpuId};
use kvm_bindings::{KVM_MP_STATE_INIT_RECEIVED, KVM_MP_STATE_UNINITIALIZED};
use kvm_ioctls::VcpuFd;
use zerocopy::IntoBytes;

use super::cpu::Cpu;
use super::machine::Machine;
use super::proxy::{self, Proxy, park};
use super::registers::run_state;
use super::vcpu::KvmVcpu;
use super::{errno, ioctl, registers, state, timer};
use crate::error::VcpuError;
use crate::interrupt::Interrupt;
use crate::state::{ArchState, Section};

/// How often a periodic timer is looked at that begins anew each time.
const MOST_LOOKS: u32 = 5;

/// Takes a vCPU's state and makes a proxy of it, which its caller has to start.
pub(super) fn give_up(
    machine: &Machine,
    id: VcpuId,
    cpu: &mut Cpu,
    to: NodeId,
) -> Result<ArchState, VcpuError> {
    machine.quietly(id, || {
        let mut state = state::save_for_a_move(cpu.fd(), &machine.msrs)?;
        let proxied = settle_timer(machine, id, cpu, &mut state)
            .and_then(|()| make_a_proxy(machine, id, cpu));
        if let Err(error) = proxied {
            // As it was.
            state::load(cpu.fd(), &state)?;
            return Err(error);
        }
        machine.places.set(id, to);
        Ok(state)
    })
}

/// Corrects what the state says of the local APIC's timer. The vCPU is then in its proxy's pages.
fn settle_timer(
    machine: &Machine,
    id: VcpuId,
    cpu: &mut Cpu,
    state: &mut ArchState,
) -> Result<(), VcpuError> {
    let read = |cpu: &Cpu| {
        let apic = cpu.fd().get_lapic();
        apic.map_err(errno("reading the local APIC"))
    };
    for _ in 0..MOST_LOOKS {
        let before = read(cpu)?;
        proxy::visit(id, cpu, machine)?;
        if let Some(apic) = timer::settled(&before, read(cpu)?) {
            state.set_section(Section::LocalApic, apic.as_bytes().to_vec());
            break;
        }
    }
    state::reread_deadline(cpu.fd(), state)
}

/// Makes a vCPU what it was before it ran anything, and then a proxy.
fn make_a_proxy(machine: &Machine, id: VcpuId, cpu: &Cpu) -> Result<(), VcpuError> {
    state::load(cpu.fd(), &machine.fresh[id.index()])?;
    park(id, cpu, machine)
}

/// Puts a vCPU in place of its proxy.
pub(super) fn take_over(
    machine: &Arc<Machine>,
    id: VcpuId,
    state: &ArchState,
    tsc_offset: i64,
) -> Result<KvmVcpu, VcpuError> {
    machine.places.now().require_remote(id)?;
    let cpu = machine.recall_proxy(id)?;
    let mut waiting = Vec::new();
    let loaded = machine.quietly(id, || {
        waiting = arrived(id, cpu.fd())?;
        let loaded = load(cpu.fd(), state, tsc_offset);
        match loaded {
            Ok(()) => machine.places.set(id, machine.places.now().node()),
            Err(_) => make_a_proxy(machine, id, &cpu)?,
        }
        loaded
    });
    if let Err(error) = loaded {
        machine.start_proxy(Proxy::parked(id, cpu, machine))?;
        for interrupt in waiting {
            machine.sink.forward(id, interrupt);
        }
        return Err(error);
    }
    for interrupt in waiting {
        machine.inject(id, interrupt)?;
    }
    Ok(KvmVcpu::new(id, cpu, Arc::clone(machine)))
}

fn load(vcpu: &VcpuFd, state: &ArchState, tsc_offset: i64) -> Result<(), VcpuError> {
    // Before a timer that is set to a value of the counter.
    match ioctl::set_tsc_offset(vcpu, tsc_offset) {
        // The guest reads this host's counter as it is.
        Ok(()) | Err(VcpuError::Unsupported { .. }) => {}
        Err(error) => return Err(error),
    }
    state::load(vcpu, state)
}

/// What came for a proxy that no thread serves any more, in the order in which it is to be sent again.
///
/// But for a SIPI alone, which leaves no trace: the next does.
fn arrived(id: VcpuId, vcpu: &VcpuFd) -> Result<Vec<Interrupt>, VcpuError> {
    let mut interrupts = match run_state(vcpu)? {
        KVM_MP_STATE_UNINITIALIZED => Vec::new(),
        KVM_MP_STATE_INIT_RECEIVED => vec![Interrupt::Init],
        // The boot processor, which needs no SIPI.
        _ if id == VcpuId::BOOT => vec![Interrupt::Init],
        _ => {
            let vector = registers::start_vector(vcpu)?;
            vec![Interrupt::Init, Interrupt::Sipi { vector }]
        }
    };
    let events = vcpu
        .get_vcpu_events()
        .map_err(errno("reading what is pending"))?;
    if events.nmi.pending != 0 {
        interrupts.push(Interrupt::Nmi);
    }
    let apic = vcpu.get_lapic().map_err(errno("reading the local APIC"))?;
    let requested = (0..=u8::MAX).filter(|&vector| timer::requested(&apic, vector));
    interrupts.extend(requested.map(|vector| Interrupt::Fixed { vector }));
    Ok(interrupts)
}
