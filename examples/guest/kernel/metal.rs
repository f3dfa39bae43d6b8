#![expect(
    unsafe_code,
    reason = "a processor is driven by instructions that have no safe name"
)]
//! A vCPU as the programs see it, on bare metal at CPL3. What needs CPL0 goes through the gate
//! of `interrupts.s`.

use core::arch::{asm, x86_64::_rdtsc};
use core::sync::atomic::Ordering::SeqCst;

use crate::abi;
use crate::machine::{Destination, Machine, Vector};
use crate::memory::Memory;

// What the gate does, by ECX; x2APIC registers stand for themselves.
const GATE_OUT8: u32 = 0;
const GATE_OUT32: u32 = 1;
const GATE_IN32: u32 = 2;
const GATE_HALT: u32 = 3;

const X2APIC_ICR: u32 = 0x830;
const X2APIC_SELF_IPI: u32 = 0x83f;
const X2APIC_TIMER_COUNT: u32 = 0x838;
const X2APIC_TIMER_DIVIDE: u32 = 0x83e;

const ICR_NMI: u64 = 0x400;
const ICR_INIT: u64 = 0x500;
const ICR_STARTUP: u64 = 0x600;
const ICR_LOGICAL: u64 = 1 << 11;
const ICR_ASSERT: u64 = 1 << 14;
const ICR_ALL_WITH_SELF: u64 = 2 << 18;
const ICR_ALL_BUT_SELF: u64 = 3 << 18;

/// The vCPU that runs this code.
pub struct Metal {
    vcpu: u32,
    memory: u64,
}

impl Metal {
    /// The running vCPU `vcpu` of a machine with `memory` bytes.
    pub fn new(vcpu: u32, memory: u64) -> Self {
        Self { vcpu, memory }
    }

    /// Resets a vCPU; it then waits for [`Metal::startup`].
    pub fn init(&self, vcpu: u32) {
        write_apic(X2APIC_ICR, u64::from(vcpu) << 32 | ICR_ASSERT | ICR_INIT);
    }

    /// Starts a vCPU that waits after a reset, in the trampoline.
    pub fn startup(&self, vcpu: u32) {
        let page = abi::TRAMPOLINE >> 12;
        write_apic(
            X2APIC_ICR,
            u64::from(vcpu) << 32 | ICR_ASSERT | ICR_STARTUP | page,
        );
    }

    /// Ends this vCPU: it sleeps through everything that still comes.
    pub fn stop(&self) -> ! {
        loop {
            self.halt_while(Vector::Wake, self.received(Vector::Wake));
        }
    }

    fn counter(&self, vector: Vector) -> u64 {
        abi::vcpu_area(self.vcpu) + abi::AREA_COUNTERS + 8 * u64::from(vector.number())
    }
}

fn write_apic(register: u32, value: u64) {
    // SAFETY: the gate writes a register of this vCPU's interrupt controller and keeps all others.
    unsafe {
        asm!("int3", in("ecx") register, in("eax") value as u32,
             in("edx") (value >> 32) as u32);
    }
}

impl Machine for Metal {
    fn vcpu(&self) -> u32 {
        self.vcpu
    }

    fn memory(&self) -> Memory<'_> {
        // SAFETY: the page tables map all memory to itself, writable at CPL3; vCPUs share it
        // through atomics alone. Programs stay off the image, which `Memory` cannot know.
        unsafe { Memory::new(core::ptr::with_exposed_provenance_mut(0), self.memory) }
    }

    fn port_out8(&self, port: u16, value: u8) {
        // SAFETY: the gate keeps all registers; a port write does not touch memory.
        unsafe { asm!("int3", in("ecx") GATE_OUT8, in("dx") port, in("al") value) };
    }

    fn port_out32(&self, port: u16, value: u32) {
        // SAFETY: as above.
        unsafe { asm!("int3", in("ecx") GATE_OUT32, in("dx") port, in("eax") value) };
    }

    fn port_in32(&self, port: u16) -> u32 {
        let value;
        // SAFETY: as above.
        unsafe { asm!("int3", in("ecx") GATE_IN32, in("dx") port, lateout("eax") value) };
        value
    }

    fn mmio_write(&self, address: u64, value: u64) {
        // SAFETY: devices are mapped at the addresses of the abi; a plain `mov` is what every
        // emulator of memory-mapped I/O knows.
        unsafe { asm!("mov [{}], {}", in(reg) address, in(reg) value, options(nostack)) };
    }

    fn mmio_read(&self, address: u64) -> u64 {
        let value;
        // SAFETY: as above.
        unsafe { asm!("mov {}, [{}]", out(reg) value, in(reg) address, options(nostack)) };
        value
    }

    fn cycles(&self) -> u64 {
        // SAFETY: every x86-64 has the counter, and CR4 leaves it open to CPL3. The fence keeps
        // the reading after all loads before it.
        unsafe {
            core::arch::x86_64::_mm_lfence();
            _rdtsc()
        }
    }

    fn ipi(&self, to: Destination, vector: Vector) {
        let vector = u64::from(vector.number());
        let command = match to {
            Destination::Physical(vcpu) => u64::from(vcpu) << 32 | ICR_ASSERT,
            Destination::Logical(vcpu) => {
                let logical = u64::from(vcpu >> 4) << 16 | 1 << (vcpu & 15);
                logical << 32 | ICR_LOGICAL | ICR_ASSERT
            }
            Destination::AllButSelf => ICR_ALL_BUT_SELF | ICR_ASSERT,
            Destination::AllWithSelf => ICR_ALL_WITH_SELF | ICR_ASSERT,
            Destination::Own => return write_apic(X2APIC_SELF_IPI, vector),
        };
        write_apic(X2APIC_ICR, command | vector);
    }

    fn nmi(&self, to: u32) {
        write_apic(X2APIC_ICR, u64::from(to) << 32 | ICR_ASSERT | ICR_NMI);
    }

    fn received(&self, vector: Vector) -> u64 {
        self.memory().word(self.counter(vector)).load(SeqCst)
    }

    fn relax(&self) {
        self.port_out8(abi::PORT_RELAX, 0);
    }

    fn arm_timer(&self, nanos: u64) {
        // KVM's timer counts at 1 GHz; divided by 128 its 32 bits last for nine minutes.
        write_apic(X2APIC_TIMER_DIVIDE, 0b1010);
        write_apic(
            X2APIC_TIMER_COUNT,
            u64::from(u32::try_from(nanos / 128).unwrap_or(u32::MAX)),
        );
    }

    fn halt_while(&self, vector: Vector, seen: u64) {
        // SAFETY: the gate reads the counter, sleeps until an interrupt, and keeps all registers.
        unsafe {
            asm!("int3", in("ecx") GATE_HALT, in("rdi") self.counter(vector), in("rsi") seen);
        }
    }
}
