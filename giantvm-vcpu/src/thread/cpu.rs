//! What a program sees of its vCPU.

use std::panic::resume_unwind;
use std::sync::Arc;

use giantvm_core::{AccessSize, GuestAddress, VcpuId};

use super::cell::{Abandoned, Life};
use super::host::Shared;
use crate::clock::Nanos;
use crate::exit::Exit;
use crate::interrupt::Interrupt;

/// How a program was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// By [`StartState::LongMode`](crate::StartState::LongMode): the same values, for the program
    /// to make of them what it likes.
    Entry {
        /// The first instruction.
        rip: u64,
        /// The stack pointer.
        rsp: u64,
        /// The first argument.
        rdi: u64,
        /// The second argument.
        rsi: u64,
    },
    /// By a SIPI of this vector.
    Sipi(u8),
    /// By an INIT to the boot vCPU, which needs no SIPI.
    Reset,
    /// Again, after its vCPU moved, with what it [saved](ThreadCpu::may_move) for that.
    Moved(Vec<u8>),
}

/// A thread vCPU as its program sees it.
///
/// Each method waits while the vCPU is paused or nobody [runs](crate::Vcpu::run) it. If the vCPU
/// was reset meanwhile, the method does not return: the thread unwinds, without a panic's message.
#[derive(Debug)]
pub struct ThreadCpu {
    pub(super) id: VcpuId,
    pub(super) life: Life,
    pub(super) start: Start,
    pub(super) shared: Arc<Shared>,
}

impl ThreadCpu {
    /// Which vCPU of the machine this is.
    #[must_use]
    pub fn id(&self) -> VcpuId {
        self.id
    }

    /// How it was started.
    #[must_use]
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// Guest time.
    #[must_use]
    pub fn now(&self) -> Nanos {
        self.shared.clock.now()
    }

    /// Reads a port.
    pub fn port_read(&self, port: u16, size: AccessSize) -> u64 {
        size.truncate(self.access(Exit::PortRead { port, size }))
    }

    /// Writes a port.
    pub fn port_write(&self, port: u16, size: AccessSize, value: u32) {
        self.access(Exit::PortWrite { port, size, value });
    }

    /// Reads device memory.
    pub fn memory_read(&self, address: GuestAddress, size: AccessSize) -> u64 {
        size.truncate(self.access(Exit::MemoryRead { address, size }))
    }

    /// Writes device memory.
    pub fn memory_write(&self, address: GuestAddress, size: AccessSize, value: u64) {
        self.access(Exit::MemoryWrite {
            address,
            size,
            value,
        });
    }

    /// Makes the machine reset or stop, as a triple fault does. Does not return.
    pub fn shut_down(&self) -> ! {
        self.shared.cell(self.id).end(self.life, Exit::Shutdown);
        unwind(Abandoned)
    }

    /// Interrupts a vCPU of any node; one that the machine does not have is ignored, as by an APIC.
    pub fn send(&self, target: VcpuId, interrupt: Interrupt) {
        self.checkpoint();
        if self.shared.places.now().node_of(target).is_some() {
            self.shared.inject(target, interrupt);
        }
    }

    /// Interrupts all vCPUs of the machine but this.
    pub fn send_to_others(&self, interrupt: Interrupt) {
        let all = self.shared.places.now().all();
        for target in all.filter(|&target| target != self.id) {
            self.send(target, interrupt);
        }
    }

    /// Takes the most urgent pending interrupt: an NMI, else the highest vector.
    #[must_use]
    pub fn poll_interrupt(&self) -> Option<Interrupt> {
        let polled = self.shared.cell(self.id).poll(self.life);
        polled.unwrap_or_else(|abandoned| unwind(abandoned))
    }

    /// Waits for an interrupt and takes it.
    #[must_use]
    pub fn wait_interrupt(&self) -> Interrupt {
        let taken = self.shared.cell(self.id).wait(self.life);
        taken.unwrap_or_else(|abandoned| unwind(abandoned))
    }

    /// Lets pauses and resets take effect: for programs that compute for long.
    pub fn checkpoint(&self) {
        let begun = self.shared.cell(self.id).begin(self.life);
        begun.unwrap_or_else(|abandoned| unwind(abandoned));
    }

    /// Says that the program can be moved here. If its vCPU is to [leave](crate::Vcpu::leave), this does not
    /// return: the thread unwinds, and the program starts anew where the vCPU runs next, with
    /// [`Start::Moved`] and the bytes that `save` gives. More than
    /// [`MAX_STATE`](crate::migration::MAX_STATE) bytes, all told, stay where they are.
    ///
    /// ```
    /// use giantvm_vcpu::thread::{Start, ThreadCpu};
    ///
    /// fn count(cpu: &ThreadCpu) {
    ///     let mut counted: u64 = match cpu.start() {
    ///         Start::Moved(saved) => saved.as_slice().try_into().map_or(0, u64::from_le_bytes),
    ///         _ => 0,
    ///     };
    ///     while counted < 1000 {
    ///         counted += 1;
    ///         cpu.may_move(|| counted.to_le_bytes().to_vec());
    ///     }
    /// }
    /// ```
    pub fn may_move(&self, save: impl FnOnce() -> Vec<u8>) {
        let leaves = self.shared.cell(self.id).leaves(self.life);
        if leaves.unwrap_or_else(|abandoned| unwind(abandoned)) {
            self.end_to_move(save);
        }
    }

    /// Waits for an interrupt and takes it; meanwhile the program can be moved as by
    /// [`may_move`](Self::may_move).
    #[must_use]
    pub fn wait_interrupt_or_move(&self, save: impl FnOnce() -> Vec<u8>) -> Interrupt {
        let taken = self.shared.cell(self.id).wait_or_leave(self.life);
        match taken.unwrap_or_else(|abandoned| unwind(abandoned)) {
            Some(interrupt) => interrupt,
            None => self.end_to_move(save),
        }
    }

    fn end_to_move(&self, save: impl FnOnce() -> Vec<u8>) -> ! {
        let start = Start::Moved(save());
        unwind(self.shared.cell(self.id).end_to_move(self.life, start))
    }

    fn access(&self, exit: Exit) -> u64 {
        let done = self.shared.cell(self.id).access(self.life, exit);
        done.unwrap_or_else(|abandoned| unwind(abandoned))
    }
}

fn unwind(abandoned: Abandoned) -> ! {
    resume_unwind(Box::new(abandoned))
}
