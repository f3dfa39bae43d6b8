//! The guest's programs on host threads that stand for vCPUs, for hosts without KVM.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use giantvm_core::{GuestAddress, VcpuId};
use giantvm_guest::programs::{Context, run};
use giantvm_guest::{Destination, Machine, Memory, Vector, abi};
use giantvm_vcpu::clock::GuestClock;
use giantvm_vcpu::thread::{Start, ThreadCpu, ThreadHost};
use giantvm_vcpu::{AccessSize, Interrupt, InterruptSink, Layout, VcpuHost};

use crate::scheduling::Desk;

/// Where application processors start, as in the guest on KVM. Threads only need to be started.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the trampoline is below 1 MiB"
)]
const SIPI_VECTOR: u8 = (abi::TRAMPOLINE / abi::PAGE) as u8;
/// "Cycles" of a thread vCPU in a millisecond: its counter is guest time in nanoseconds.
pub(crate) const CYCLES_PER_MS: u64 = 1_000_000;

/// A host whose vCPUs run the guest's programs over `memory`.
pub(crate) fn host(
    layout: Layout,
    sink: Arc<dyn InterruptSink>,
    clock: Arc<GuestClock>,
    memory: Memory<'static>,
    desk: Option<Arc<Desk>>,
) -> Arc<dyn VcpuHost> {
    let program = move |cpu: &ThreadCpu| {
        let machine = ThreadMachine::new(cpu, memory, desk.as_deref());
        if matches!(cpu.start(), Start::Entry { .. }) {
            cpu.send_to_others(Interrupt::Init);
            cpu.send_to_others(Interrupt::Sipi {
                vector: SIPI_VECTOR,
            });
        }
        match Context::new(&machine) {
            Ok(context) => run(&context),
            Err(_) => machine.port_out32(abi::PORT_POWER, abi::status::BAD_TABLE),
        }
    };
    Arc::new(ThreadHost::new(layout, sink, clock, Arc::new(program)))
}

/// A thread vCPU as the programs see it.
struct ThreadMachine<'c> {
    cpu: &'c ThreadCpu,
    memory: Memory<'static>,
    /// Which thread to run is asked for directly: there is no guest to leave.
    desk: Option<&'c Desk>,
    /// Interrupts handled so far, by vector.
    received: RefCell<[u64; 256]>,
    /// When the local timer is due, in guest time.
    timer: Cell<Option<u64>>,
}

impl<'c> ThreadMachine<'c> {
    fn new(cpu: &'c ThreadCpu, memory: Memory<'static>, desk: Option<&'c Desk>) -> Self {
        Self {
            cpu,
            memory,
            desk,
            received: RefCell::new([0; 256]),
            timer: Cell::new(None),
        }
    }

    /// Handles what is pending, as the interrupt handlers of the guest on KVM do.
    fn handle_interrupts(&self) {
        let mut received = self.received.borrow_mut();
        while let Some(interrupt) = self.cpu.poll_interrupt() {
            match interrupt {
                Interrupt::Fixed { vector } => received[usize::from(vector)] += 1,
                Interrupt::Nmi => received[usize::from(Vector::Nmi.number())] += 1,
                // These end the program or start it; they are never pending.
                Interrupt::Init | Interrupt::Sipi { .. } => {}
            }
        }
        if self.timer.get().is_some_and(|due| due <= self.cycles()) {
            self.timer.set(None);
            received[usize::from(Vector::Timer.number())] += 1;
        }
    }

    fn send(&self, to: u32, interrupt: Interrupt) {
        // The programs name vCPUs of the machine only.
        if let Ok(target) = VcpuId::try_from(to as usize) {
            self.cpu.send(target, interrupt);
        }
    }
}

impl Machine for ThreadMachine<'_> {
    fn vcpu(&self) -> u32 {
        self.cpu.id().get().into()
    }

    fn memory(&self) -> Memory<'_> {
        self.memory
    }

    fn port_out8(&self, port: u16, value: u8) {
        self.cpu.port_write(port, AccessSize::Byte, value.into());
    }

    fn port_out32(&self, port: u16, value: u32) {
        self.cpu.port_write(port, AccessSize::Dword, value);
    }

    fn port_in32(&self, port: u16) -> u32 {
        u32::try_from(self.cpu.port_read(port, AccessSize::Dword)).unwrap_or(u32::MAX)
    }

    fn mmio_write(&self, address: u64, value: u64) {
        self.cpu
            .memory_write(GuestAddress(address), AccessSize::Qword, value);
    }

    fn mmio_read(&self, address: u64) -> u64 {
        if let Some((desk, offset)) = self.desk.zip(Desk::offset(address)) {
            return desk.report(self.cpu.id(), offset);
        }
        self.cpu
            .memory_read(GuestAddress(address), AccessSize::Qword)
    }

    fn cycles(&self) -> u64 {
        self.cpu.now().0
    }

    fn ipi(&self, to: Destination, vector: Vector) {
        let vector = vector.number();
        let fixed = Interrupt::Fixed { vector };
        match to {
            Destination::Physical(vcpu) | Destination::Logical(vcpu) => self.send(vcpu, fixed),
            Destination::Own => self.send(self.vcpu(), fixed),
            Destination::AllButSelf => self.cpu.send_to_others(fixed),
            Destination::AllWithSelf => {
                self.cpu.send_to_others(fixed);
                self.send(self.vcpu(), fixed);
            }
        }
    }

    fn nmi(&self, to: u32) {
        self.send(to, Interrupt::Nmi);
    }

    fn received(&self, vector: Vector) -> u64 {
        self.handle_interrupts();
        self.received.borrow()[usize::from(vector.number())]
    }

    fn relax(&self) {
        self.port_out8(abi::PORT_RELAX, 0);
    }

    fn arm_timer(&self, nanos: u64) {
        self.timer.set((nanos > 0).then(|| self.cycles() + nanos));
    }

    fn halt_while(&self, vector: Vector, seen: u64) {
        let before: u64 = self.received.borrow().iter().sum();
        while self.received(vector) == seen && self.received.borrow().iter().sum::<u64>() == before
        {
            self.relax();
        }
    }
}
