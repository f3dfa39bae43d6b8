//! What a vCPU starts from, and all of what it is at a moment.

use std::collections::BTreeMap;

use giantvm_core::GuestAddress;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How a vCPU starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartState {
    /// At once, in 64-bit mode at CPL 0, with flat segments, interrupts off and its local APIC in
    /// x2APIC mode. The guest has to load descriptor tables of its own before it uses any.
    LongMode {
        /// The first instruction.
        rip: u64,
        /// The stack pointer.
        rsp: u64,
        /// The page-table root.
        cr3: GuestAddress,
        /// First argument of the System V calling convention.
        rdi: u64,
        /// Second argument; where Linux expects its boot parameters.
        rsi: u64,
    },
    /// Not before an INIT and a SIPI came, in real mode at the SIPI's page, as processors do at
    /// power-on.
    WaitForSipi,
}

/// One part of a vCPU's architectural state.
///
/// But for the last two, each is held in the layout of the structure that the Linux KVM interface for x86-64
/// has for it, which is stable; named here beside each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// General registers, `kvm_regs`; see [`Registers`].
    General,
    /// Segments, tables, control registers, APIC base, `kvm_sregs`.
    Special,
    /// x87, SSE, AVX and AVX-512 registers, `kvm_xsave` (4096 bytes).
    Extended,
    /// XCR0, `kvm_xcrs`.
    ExtendedControl,
    /// DR0 to DR7, `kvm_debugregs`.
    Debug,
    /// The local APIC, `kvm_lapic_state`.
    LocalApic,
    /// Model-specific registers, any number of `kvm_msr_entry`.
    Msrs,
    /// Exceptions, interrupts and NMIs under way, `kvm_vcpu_events`.
    Events,
    /// Running, halted, waiting for INIT or SIPI: `kvm_mp_state`.
    RunState,
    /// The guest's time-stamp counter when a vCPU [left](crate::Vcpu::leave) its node, 8 bytes. It is told
    /// and never loaded: a counter belongs to a node, not to the vCPUs that are there.
    Counter,
    /// A thread vCPU's program, in a layout of this crate.
    Program,
}

/// A vCPU's whole architectural state.
///
/// [`Vcpu::set_state`](crate::Vcpu::set_state) loads the sections that are there and leaves the
/// others as they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ArchState {
    sections: BTreeMap<Section, Vec<u8>>,
}

impl ArchState {
    /// A state without any section.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes of a section.
    #[must_use]
    pub fn section(&self, section: Section) -> Option<&[u8]> {
        self.sections.get(&section).map(Vec::as_slice)
    }

    /// Sets the bytes of a section; whether they fit is found out when the state is loaded.
    pub fn set_section(&mut self, section: Section, bytes: Vec<u8>) {
        self.sections.insert(section, bytes);
    }

    /// All sections, in a fixed order.
    pub fn sections(&self) -> impl Iterator<Item = (Section, &[u8])> {
        self.sections
            .iter()
            .map(|(&section, bytes)| (section, bytes.as_slice()))
    }

    /// The general registers, if that section is there and has its length.
    #[must_use]
    pub fn registers(&self) -> Option<Registers> {
        Registers::read_from_bytes(self.section(Section::General)?).ok()
    }

    /// The guest's time-stamp counter when the vCPU left its node, in ticks, if it did.
    #[must_use]
    pub fn counter(&self) -> Option<u64> {
        let bytes = self.section(Section::Counter)?.try_into().ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    /// Sets the general registers.
    pub fn set_registers(&mut self, registers: &Registers) {
        self.set_section(Section::General, registers.as_bytes().to_vec());
    }
}

/// The general registers, in the layout of `kvm_regs`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[expect(
    missing_docs,
    reason = "the fields are the registers of the same names"
)]
pub struct Registers {
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rsp: u64,
    pub rbp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rip: u64,
    pub rflags: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_round_trip_and_a_short_section_gives_none() {
        let mut state = ArchState::new();
        let registers = Registers {
            rip: 0x1000,
            r15: 7,
            ..Registers::default()
        };
        state.set_registers(&registers);
        assert_eq!(state.registers(), Some(registers));
        state.set_section(Section::General, vec![0; 100]);
        assert_eq!(state.registers(), None);
    }
}
