//! The registers, by their offsets: section 4.2.2 of the standard.

use virtio_queue::Queue;

use super::interrupts::LineInterrupts;
use crate::virtio::state::{Change, Part, Setup, State};

/// "virt".
const MAGIC: u32 = 0x7472_6976;
const VERSION: u32 = 2;
/// "giVM": who made the device.
const VENDOR: u32 = 0x4d56_6967;

const DEVICE_FEATURES: u64 = 0x10;
const DEVICE_FEATURES_SELECT: u64 = 0x14;
const DRIVER_FEATURES: u64 = 0x20;
const DRIVER_FEATURES_SELECT: u64 = 0x24;
const QUEUE_SELECT: u64 = 0x30;
const QUEUE_SIZE_MAX: u64 = 0x34;
const QUEUE_SIZE: u64 = 0x38;
const QUEUE_READY: u64 = 0x44;
/// The doorbell.
pub(super) const QUEUE_NOTIFY: u64 = 0x50;
const INTERRUPT_STATUS: u64 = 0x60;
const INTERRUPT_ACKNOWLEDGE: u64 = 0x64;
const STATUS: u64 = 0x70;
const QUEUE_DESCRIPTORS: u64 = 0x80;
const QUEUE_DRIVER: u64 = 0x90;
const QUEUE_DEVICE: u64 = 0xa0;
const SHARED_MEMORY: std::ops::RangeInclusive<u64> = 0xb0..=0xbc;
const CONFIG_GENERATION: u64 = 0xfc;
/// The configuration, up to the end.
pub(super) const CONFIG: u64 = 0x100;

/// What a driver has selected.
#[derive(Debug, Default)]
pub(super) struct Selected {
    device_features: u32,
    driver_features: u32,
    queue: u32,
}

impl Selected {
    /// The value of a register; zero where there is none to read.
    pub(super) fn read(&self, offset: u64, state: &State, interrupts: &LineInterrupts) -> u32 {
        let queue = state.queue(self.queue);
        let setup = |field: fn(&Setup) -> u32| queue.map_or(0, field);
        match offset {
            0x0 => MAGIC,
            0x4 => VERSION,
            0x8 => state.kind(),
            0xc => VENDOR,
            DEVICE_FEATURES => state.offered(self.device_features),
            QUEUE_SIZE_MAX => setup(|setup| setup.largest.into()),
            QUEUE_READY => setup(|setup| setup.ready.into()),
            INTERRUPT_STATUS => interrupts.status(),
            STATUS => state.status(),
            // There is no shared memory, of any number: its length is -1.
            _ if SHARED_MEMORY.contains(&offset) => u32::MAX,
            CONFIG_GENERATION => state.generation().into(),
            _ => 0,
        }
    }

    /// Writes a register other than the doorbell. `fits` says whether a queue is in memory.
    pub(super) fn write(
        &mut self,
        offset: u64,
        value: u32,
        state: &mut State,
        interrupts: &mut LineInterrupts,
        fits: impl FnOnce(&Queue) -> bool,
    ) -> Change {
        let queue = self.queue;
        match offset {
            DEVICE_FEATURES_SELECT => self.device_features = value,
            DRIVER_FEATURES_SELECT => self.driver_features = value,
            DRIVER_FEATURES => state.accept(self.driver_features, value),
            QUEUE_SELECT => self.queue = value,
            QUEUE_SIZE => state.set_size(queue, value),
            QUEUE_READY => return state.set_ready(queue, value & 1 != 0, fits),
            INTERRUPT_ACKNOWLEDGE => interrupts.acknowledge(value),
            STATUS => return state.set_status(value),
            _ => {
                if let Some((part, high)) = part(offset) {
                    state.set_part(queue, part, high, value);
                }
            }
        }
        Change::Nothing
    }
}

/// The part of a queue whose address a register has half of, and whether it is the high one.
const fn part(offset: u64) -> Option<(Part, bool)> {
    let high = offset & 4 != 0;
    match offset & !4 {
        QUEUE_DESCRIPTORS => Some((Part::Descriptors, high)),
        QUEUE_DRIVER => Some((Part::Driver, high)),
        QUEUE_DEVICE => Some((Part::Device, high)),
        _ => None,
    }
}
