//! A virtio device with its registers in memory: section 4.2 of the standard, version 2.
//!
//! What one request costs where the device is on another node than the vCPU, in messages between
//! nodes beside those for memory, if the IOAPIC is on the vCPU's node:
//!
//! | | messages | that the vCPU waits for |
//! |---|---|---|
//! | doorbell | 1, [posted](crate::Window::posted) | |
//! | interrupt, edge-triggered | 1 | |
//! | the driver reads why it came | 2 | 1 round trip |
//! | the driver acknowledges that | 2 | 1 round trip |
//! | level-triggered besides: the line goes down, the EOI | 2 at most | |
//!
//! The acknowledgement must not be posted too: a cause that comes while it is on its way would be
//! wiped out by it, and the driver has looked already. Registers on PCI with MSI-X would save both
//! round trips, as a message names its cause and goes straight from the device's node to the vCPU's:
//! 2 messages instead of 6, and nothing to wait for. With event indices a driver is interrupted once
//! for many requests, which divides all of this.

mod interrupts;
mod registers;

use std::fmt;
use std::io;
use std::sync::Arc;

use giantvm_core::AccessSize;
use virtio_queue::QueueT;
use vm_memory::GuestMemory;

use interrupts::LineInterrupts;
pub use interrupts::Trigger;
use registers::{CONFIG, QUEUE_NOTIFY, Selected};

use super::shared::Shared;
use super::state::State;
use super::worker::Worker;
use super::{ConfigHandle, VirtioDevice};
use crate::{Device, DeviceError, InterruptLine, Origin, Window};

/// The registers of a virtio device, for a [`Bus`](crate::Bus).
///
/// The device itself is at work on a thread of its own, which ends when this is dropped. An access
/// that means nothing reads zero and writes nothing.
pub struct VirtioMmio<M> {
    name: String,
    memory: M,
    selected: Selected,
    shared: Arc<Shared<LineInterrupts>>,
}

impl<M: GuestMemory + Clone + Send + 'static> VirtioMmio<M> {
    /// Bytes of the registers.
    pub const BYTES: u64 = 0x200;

    /// A device with queues in `memory` and this interrupt.
    ///
    /// # Errors
    /// What the system says if it gives no thread or file descriptor.
    pub fn start(
        device: impl VirtioDevice,
        memory: M,
        line: Arc<dyn InterruptLine>,
        trigger: Trigger,
    ) -> io::Result<Self> {
        let name = device.name().to_owned();
        let state = State::new(
            device.kind(),
            device.features(),
            &device.queues(),
            device.config(),
        );
        let interrupts = LineInterrupts::new(line, trigger);
        let shared = Arc::new(Shared::new(state, interrupts)?);
        Worker::spawn(device, memory.clone(), Arc::clone(&shared))?;
        Ok(Self {
            name,
            memory,
            selected: Selected::default(),
            shared,
        })
    }

    /// Changes what the driver reads in the configuration.
    #[must_use]
    pub fn config_handle(&self) -> ConfigHandle {
        ConfigHandle::new(Arc::clone(&self.shared))
    }
}

impl<M> VirtioMmio<M> {
    /// The windows to map the registers by, at `base`: writes to the doorbell are posted.
    #[must_use]
    pub const fn windows(base: u64) -> [Window; 3] {
        let bell = QUEUE_NOTIFY;
        let after = bell + 4;
        [
            Window::memory(base, bell),
            Window::memory(base + bell, 4).showing(bell).posted(),
            Window::memory(base + after, 0x200 - after).showing(after),
        ]
    }
}

impl<M: GuestMemory + Clone + Send + 'static> Device for VirtioMmio<M> {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&mut self, _: Origin, offset: u64, size: AccessSize) -> Result<u64, DeviceError> {
        let inner = self.shared.lock();
        Ok(match offset.checked_sub(CONFIG) {
            Some(offset) => inner.state.config(offset, size.bytes()),
            None if size == AccessSize::Dword => {
                let read = self.selected.read(offset, &inner.state, &inner.interrupts);
                read.into()
            }
            None => 0,
        })
    }

    fn write(
        &mut self,
        _: Origin,
        offset: u64,
        size: AccessSize,
        value: u64,
    ) -> Result<(), DeviceError> {
        let (AccessSize::Dword, Ok(value)) = (size, u32::try_from(value)) else {
            return Ok(());
        };
        if offset == QUEUE_NOTIFY {
            self.shared.ring(value);
            return Ok(());
        }
        let mut guard = self.shared.lock();
        let inner = &mut *guard;
        let (state, interrupts) = (&mut inner.state, &mut inner.interrupts);
        let memory = &self.memory;
        let change = self
            .selected
            .write(offset, value, state, interrupts, |queue| {
                // Looks at addresses, and touches none.
                queue.is_valid(memory)
            });
        self.shared.change(guard, change);
        Ok(())
    }

    fn reset(&mut self) {
        self.selected = Selected::default();
        self.shared.reset();
    }
}

impl<M> Drop for VirtioMmio<M> {
    /// Does not wait for the thread, which may be in memory that is lost.
    fn drop(&mut self) {
        self.shared.quit();
    }
}

impl<M> fmt::Debug for VirtioMmio<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("VirtioMmio");
        debug.field("name", &self.name);
        debug.finish_non_exhaustive()
    }
}
