//! The registers that starting a vCPU and parking a proxy set.

use kvm_bindings::{Msrs, kvm_mp_state, kvm_msr_entry, kvm_regs, kvm_segment};
use kvm_ioctls::VcpuFd;

use super::errno;
use super::image::{CODE, DATA};
use crate::error::VcpuError;

/// RFLAGS: the bit that is always one.
const FLAGS: u64 = 1 << 1;
/// CR0: protection, paging, write protection, native FPU errors, and ET and MP, which are set on
/// every processor with an FPU.
const CR0: u64 = 1 | 1 << 1 | 1 << 4 | 1 << 5 | 1 << 16 | 1 << 31;
/// CR4: physical address extension, and SSE with its exceptions, which every 64-bit guest expects.
const CR4: u64 = 1 << 5 | 1 << 9 | 1 << 10;
/// EFER: long mode enabled and active.
const EFER: u64 = 1 << 8 | 1 << 10;
/// APIC base: enabled, in x2APIC mode.
const X2APIC_BASE: u64 = 0xfee0_0000 | 1 << 11 | 1 << 10;
/// APIC base: the boot processor's mark, which KVM sets by itself.
const BOOT_PROCESSOR: u64 = 1 << 8;

/// What long mode needs in memory.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) cr3: u64,
    /// Address and limit.
    pub(super) gdt: (u64, u16),
    /// Address and limit.
    pub(super) idt: (u64, u16),
}

impl Tables {
    /// Page tables only.
    pub(super) fn of_guest(cr3: u64) -> Self {
        let (gdt, idt) = ((0, 0), (0, 0));
        Self { cr3, gdt, idt }
    }
}

/// Puts a vCPU into 64-bit mode at CPL 0 with flat segments.
pub(super) fn long_mode(vcpu: &VcpuFd, tables: &Tables) -> Result<(), VcpuError> {
    let mut special = vcpu
        .get_sregs()
        .map_err(errno("reading special registers"))?;
    special.cs = segment(CODE, true);
    for data in [
        &mut special.ds,
        &mut special.es,
        &mut special.fs,
        &mut special.gs,
        &mut special.ss,
    ] {
        *data = segment(DATA, false);
    }
    (special.gdt.base, special.gdt.limit) = tables.gdt;
    (special.idt.base, special.idt.limit) = tables.idt;
    (special.cr0, special.cr3, special.cr4) = (CR0, tables.cr3, CR4);
    special.efer = EFER;
    special.apic_base = special.apic_base & BOOT_PROCESSOR | X2APIC_BASE;
    vcpu.set_sregs(&special)
        .map_err(errno("setting special registers"))
}

/// Puts a vCPU's local APIC into x2APIC mode, where it stays through any INIT.
pub(super) fn x2apic(vcpu: &VcpuFd) -> Result<(), VcpuError> {
    let mut special = vcpu
        .get_sregs()
        .map_err(errno("reading special registers"))?;
    special.apic_base = special.apic_base & BOOT_PROCESSOR | X2APIC_BASE;
    vcpu.set_sregs(&special)
        .map_err(errno("setting the APIC base"))
}

/// Lets all memory be cached, as firmware leaves it: a guest that finds the range registers off
/// does not use memory types at all.
pub(super) fn memory_types(vcpu: &VcpuFd) -> Result<(), VcpuError> {
    const DEFAULT_TYPE: u32 = 0x2ff;
    const ENABLED: u64 = 1 << 11;
    const WRITE_BACK: u64 = 6;
    let entry = kvm_msr_entry {
        index: DEFAULT_TYPE,
        data: ENABLED | WRITE_BACK,
        ..kvm_msr_entry::default()
    };
    let entries = Msrs::from_entries(&[entry])
        .map_err(|_| VcpuError::HostLacks("memory for a list of MSRs"))?;
    // A KVM without them has no types to set.
    vcpu.set_msrs(&entries)
        .map(drop)
        .map_err(errno("setting the default memory type"))
}

/// Sets the general registers: zero, but for what `change` sets.
pub(super) fn set_general(
    vcpu: &VcpuFd,
    change: impl FnOnce(&mut kvm_regs),
) -> Result<(), VcpuError> {
    let mut general = kvm_regs {
        rflags: FLAGS,
        ..kvm_regs::default()
    };
    change(&mut general);
    vcpu.set_regs(&general)
        .map_err(errno("setting general registers"))
}

/// What a vCPU waits for; takes a pending INIT or SIPI into account.
pub(super) fn run_state(vcpu: &VcpuFd) -> Result<u32, VcpuError> {
    let state = vcpu
        .get_mp_state()
        .map_err(errno("reading the run state"))?;
    Ok(state.mp_state)
}

pub(super) fn set_run_state(vcpu: &VcpuFd, mp_state: u32) -> Result<(), VcpuError> {
    vcpu.set_mp_state(kvm_mp_state { mp_state })
        .map_err(errno("setting the run state"))
}

/// The vector of the SIPI that started a vCPU, which has executed nothing yet.
pub(super) fn start_vector(vcpu: &VcpuFd) -> Result<u8, VcpuError> {
    let special = vcpu
        .get_sregs()
        .map_err(errno("reading special registers"))?;
    let [vector, ..] = (special.cs.base >> 12).to_le_bytes();
    Ok(vector)
}

/// A flat segment for 64-bit mode at CPL 0.
fn segment(selector: u16, code: bool) -> kvm_segment {
    kvm_segment {
        base: 0,
        limit: u32::MAX,
        selector,
        // Execute and read, or read and write; accessed.
        type_: if code { 0b1011 } else { 0b0011 },
        present: 1,
        dpl: 0,
        db: (!code).into(),
        s: 1,
        l: code.into(),
        g: 1,
        ..kvm_segment::default()
    }
}
