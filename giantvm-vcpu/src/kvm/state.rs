//! Reading and writing a vCPU's whole state.

use kvm_bindings::{Msrs, kvm_msr_entry, kvm_vcpu_events};
use kvm_ioctls::VcpuFd;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{errno, ioctl};
use crate::error::VcpuError;
use crate::state::{ArchState, Section};

/// Most model-specific registers a state may have: KVM's own limit for one call is 256, and it
/// saves fewer than 512.
const MAX_MSRS: usize = 1024;
/// The time-stamp counter.
const COUNTER: u32 = 0x10;
/// When the local APIC's timer interrupts, in ticks of the counter; zero if it has or is off.
const DEADLINE: u32 = 0x6e0;

/// Everything KVM says about the vCPU, with those of the listed model-specific registers that it
/// has.
pub(super) fn save(vcpu: &VcpuFd, msrs: &[u32]) -> Result<ArchState, VcpuError> {
    let failed = || errno("reading a vCPU's state");
    let mut state = ArchState::new();
    let mut put = |section, bytes: &[u8]| state.set_section(section, bytes.to_vec());
    // First, because it makes the kernel apply a pending INIT or SIPI to all the rest.
    put(
        Section::RunState,
        vcpu.get_mp_state().map_err(failed())?.as_bytes(),
    );
    put(
        Section::General,
        vcpu.get_regs().map_err(failed())?.as_bytes(),
    );
    put(
        Section::Special,
        vcpu.get_sregs().map_err(failed())?.as_bytes(),
    );
    put(
        Section::Extended,
        vcpu.get_xsave().map_err(failed())?.as_bytes(),
    );
    put(
        Section::ExtendedControl,
        vcpu.get_xcrs().map_err(failed())?.as_bytes(),
    );
    put(
        Section::Debug,
        vcpu.get_debug_regs().map_err(failed())?.as_bytes(),
    );
    put(
        Section::LocalApic,
        vcpu.get_lapic().map_err(failed())?.as_bytes(),
    );
    put(
        Section::Events,
        vcpu.get_vcpu_events().map_err(failed())?.as_bytes(),
    );
    put(Section::Msrs, read_msrs(vcpu, msrs)?.as_bytes());
    Ok(state)
}

/// The same, but with the time-stamp counter told apart: where the vCPU goes, it is the node's.
pub(super) fn save_for_a_move(vcpu: &VcpuFd, msrs: &[u32]) -> Result<ArchState, VcpuError> {
    let others: Vec<_> = msrs.iter().copied().filter(|&msr| msr != COUNTER).collect();
    let mut state = save(vcpu, &others)?;
    // One that is not there is zero, and ahead of no other.
    let counter = read_msrs(vcpu, &[COUNTER])?
        .first()
        .map_or(0, |entry| entry.data);
    state.set_section(Section::Counter, counter.to_le_bytes().to_vec());
    // What it says of an exception that is over would be taken for a hidden one there.
    if let Some(mut events) = part::<kvm_vcpu_events>(&state, Section::Events)?
        && events.exception.injected == 0
        && events.exception.pending == 0
    {
        events.exception.nr = 0;
        state.set_section(Section::Events, events.as_bytes().to_vec());
    }
    Ok(state)
}

/// Whether a vCPU that was stopped anywhere may be about to take a software exception, which KVM does not
/// tell: those who load the state are to have the guest make it again. But the guest does not if its
/// instruction pointer is past the instruction already, as it is on a KVM that emulates these. The number
/// of the last exception is told in any case; so there may be one whenever the last was one.
pub(super) fn may_hide_an_exception(vcpu: &VcpuFd) -> Result<bool, VcpuError> {
    const BREAKPOINT: u8 = 3;
    const OVERFLOW: u8 = 4;
    let events = vcpu.get_vcpu_events();
    let events = events.map_err(errno("reading what is pending"))?;
    Ok(matches!(events.exception.nr, BREAKPOINT | OVERFLOW))
}

/// Reads a timer's deadline again: the one register that the kernel changes while a vCPU does nothing.
pub(super) fn reread_deadline(vcpu: &VcpuFd, state: &mut ArchState) -> Result<(), VcpuError> {
    const ENTRY: usize = size_of::<kvm_msr_entry>();
    let deadline = read_msrs(vcpu, &[DEADLINE])?;
    let (Some(deadline), Some(msrs)) = (deadline.first(), state.section(Section::Msrs)) else {
        return Ok(());
    };
    let mut msrs = msrs.to_vec();
    for entry in msrs.chunks_exact_mut(ENTRY) {
        if kvm_msr_entry::read_from_bytes(entry).is_ok_and(|entry| entry.index == DEADLINE) {
            entry.copy_from_slice(deadline.as_bytes());
        }
    }
    state.set_section(Section::Msrs, msrs);
    Ok(())
}

/// Loads the sections that are there. The order matters: special registers say whether there is
/// an APIC to load, and the APIC says whether its deadline register counts.
pub(super) fn load(vcpu: &VcpuFd, state: &ArchState) -> Result<(), VcpuError> {
    let failed = |section: Section| {
        move |error: kvm_ioctls::Error| VcpuError::BadState(format!("{section:?}: {error}"))
    };
    if let Some(special) = part(state, Section::Special)? {
        vcpu.set_sregs(&special).map_err(failed(Section::Special))?;
    }
    if let Some(general) = part(state, Section::General)? {
        vcpu.set_regs(&general).map_err(failed(Section::General))?;
    }
    if let Some(control) = part(state, Section::ExtendedControl)? {
        vcpu.set_xcrs(&control)
            .map_err(failed(Section::ExtendedControl))?;
    }
    if let Some(extended) = part(state, Section::Extended)? {
        ioctl::set_xsave(vcpu, &extended)?;
    }
    if let Some(debug) = part(state, Section::Debug)? {
        vcpu.set_debug_regs(&debug)
            .map_err(failed(Section::Debug))?;
    }
    if let Some(apic) = part(state, Section::LocalApic)? {
        vcpu.set_lapic(&apic).map_err(failed(Section::LocalApic))?;
    }
    if let Some(bytes) = state.section(Section::Msrs) {
        write_msrs(vcpu, bytes)?;
    }
    if let Some(events) = part(state, Section::Events)? {
        vcpu.set_vcpu_events(&events)
            .map_err(failed(Section::Events))?;
    }
    if let Some(run_state) = part(state, Section::RunState)? {
        vcpu.set_mp_state(run_state)
            .map_err(failed(Section::RunState))?;
    }
    Ok(())
}

fn part<T: FromBytes>(state: &ArchState, section: Section) -> Result<Option<T>, VcpuError> {
    let Some(bytes) = state.section(section) else {
        return Ok(None);
    };
    let bad = || {
        let (got, expected) = (bytes.len(), size_of::<T>());
        VcpuError::BadState(format!("{section:?} has {expected} bytes, not {got}"))
    };
    T::read_from_bytes(bytes).map(Some).map_err(|_| bad())
}

/// Reads registers one after the other: a list that names one the vCPU does not have ends there.
fn read_msrs(vcpu: &VcpuFd, indices: &[u32]) -> Result<Vec<kvm_msr_entry>, VcpuError> {
    let mut read = Vec::with_capacity(indices.len());
    for &index in indices {
        let entry = kvm_msr_entry {
            index,
            ..kvm_msr_entry::default()
        };
        let mut one = list(&[entry])?;
        if vcpu.get_msrs(&mut one).map_err(errno("reading an MSR"))? == 1 {
            read.extend_from_slice(one.as_slice());
        }
    }
    Ok(read)
}

fn write_msrs(vcpu: &VcpuFd, bytes: &[u8]) -> Result<(), VcpuError> {
    const ENTRY: usize = size_of::<kvm_msr_entry>();
    if bytes.len() > MAX_MSRS * ENTRY || !bytes.len().is_multiple_of(ENTRY) {
        let got = bytes.len();
        return Err(VcpuError::BadState(format!(
            "Msrs: {got} bytes are no list of entries"
        )));
    }
    for entry in bytes.chunks_exact(ENTRY) {
        let entry = kvm_msr_entry::read_from_bytes(entry)
            .map_err(|_| VcpuError::BadState("Msrs: a short entry".into()))?;
        let one = list(&[entry])?;
        if vcpu.set_msrs(&one).map_err(errno("writing an MSR"))? != 1 {
            let kvm_msr_entry { index, data, .. } = entry;
            return Err(VcpuError::BadState(format!(
                "MSR {index:#x} cannot be {data:#x}"
            )));
        }
    }
    Ok(())
}

fn list(entries: &[kvm_msr_entry]) -> Result<Msrs, VcpuError> {
    Msrs::from_entries(entries).map_err(|_| VcpuError::HostLacks("memory for a list of MSRs"))
}

const _: fn() = || {
    fn plain<T: FromBytes + IntoBytes + Immutable>() {}
    plain::<kvm_msr_entry>();
};
