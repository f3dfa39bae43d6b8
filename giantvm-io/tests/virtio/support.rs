//! A driver, and what it runs on.

use std::sync::Arc;

use giantvm_core::{NodeId, VcpuId};
use giantvm_io::virtio::{Trigger, VirtioDevice, VirtioMmio};
use giantvm_io::{AccessSize, Device, Origin};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use crate::driver::{DriverQueue, Line, halves};

pub(crate) const MEMORY: usize = 16 << 20;
/// Where buffers of tests are; rings are below.
pub(crate) const BUFFERS: u64 = 1 << 20;

pub(crate) const VERSION_1: u64 = 1 << 32;
pub(crate) const EVENT_IDX: u64 = 1 << 29;

pub(crate) const STATUS: u64 = 0x70;
pub(crate) const DRIVER_OK: u32 = 1 | 2 | 8 | 4;
pub(crate) const NEEDS_RESET: u32 = 64;

pub(crate) type Memory = GuestMemoryMmap<()>;

pub(crate) fn memory() -> Memory {
    GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY)]).unwrap()
}

/// A device and its driver.
pub(crate) struct Rig {
    pub(crate) memory: Memory,
    pub(crate) line: Arc<Line>,
    pub(crate) device: VirtioMmio<Memory>,
    pub(crate) queues: Vec<DriverQueue>,
}

pub(crate) const ORIGIN: Origin = Origin {
    node: NodeId::ZERO,
    vcpu: VcpuId::BOOT,
};

impl Rig {
    /// A device that no driver has touched.
    pub(crate) fn cold(device: impl VirtioDevice, trigger: Trigger) -> Self {
        let (memory, line) = (memory(), Arc::new(Line::default()));
        let device = VirtioMmio::start(device, memory.clone(), line.clone(), trigger).unwrap();
        Self {
            memory,
            line,
            device,
            queues: Vec::new(),
        }
    }

    /// A device whose driver has begun.
    pub(crate) fn new(device: impl VirtioDevice) -> Self {
        let mut rig = Self::cold(device, Trigger::Level);
        rig.begin(VERSION_1);
        rig
    }

    pub(crate) fn read(&mut self, offset: u64) -> u32 {
        let value = self.device.read(ORIGIN, offset, AccessSize::Dword).unwrap();
        u32::try_from(value).unwrap()
    }

    pub(crate) fn write(&mut self, offset: u64, value: u32) {
        let size = AccessSize::Dword;
        self.device
            .write(ORIGIN, offset, size, value.into())
            .unwrap();
    }

    /// Starts the device as a driver does, with all queues as long as can be.
    pub(crate) fn begin(&mut self, features: u64) {
        self.negotiate(features);
        self.queues.clear();
        for index in 0.. {
            self.write(0x30, index);
            let size = self.read(0x34);
            if size == 0 {
                break;
            }
            let base = 0x1_0000 * u64::from(index + 1);
            let queue = DriverQueue::new(base, size.try_into().unwrap());
            for offset in [0x4000, 0x4002, 0x8000, 0x8002] {
                self.memory
                    .write_obj(0_u16, GuestAddress(base + offset))
                    .unwrap();
            }
            self.set_up(&queue, size);
            self.queues.push(queue);
        }
        self.write(STATUS, DRIVER_OK);
        assert_eq!(self.read(STATUS), DRIVER_OK);
    }

    pub(crate) fn negotiate(&mut self, features: u64) {
        self.write(STATUS, 0);
        assert_eq!(self.read(STATUS), 0);
        self.write(STATUS, 1);
        self.write(STATUS, 1 | 2);
        for select in 0..2 {
            self.write(0x24, select);
            self.write(0x20, halves(features)[select as usize]);
        }
        self.write(STATUS, 1 | 2 | 8);
    }

    /// Sets the selected queue up.
    pub(crate) fn set_up(&mut self, queue: &DriverQueue, size: u32) {
        self.write(0x38, size);
        for (register, address) in queue.parts() {
            let [low, high] = halves(address);
            self.write(register, low);
            self.write(register + 4, high);
        }
        self.write(0x44, 1);
    }

    pub(crate) fn ring(&mut self, queue: u32) {
        self.write(0x50, queue);
    }

    /// Takes an interrupt as Linux does: looks why it came, and acknowledges that.
    pub(crate) fn interrupt(&mut self, rises: u64) -> u32 {
        self.line.wait(rises);
        let why = self.read(0x60);
        self.write(0x64, why);
        why
    }

    /// Makes a chain available, rings, and waits until the device has given one back.
    pub(crate) fn request(&mut self, queue: usize, chain: &[(u64, u32, bool)]) -> u32 {
        let before = self.line.rises();
        let memory = self.memory.clone();
        let head = self.queues[queue].add(&memory, chain);
        self.queues[queue].want(&memory);
        self.ring(queue.try_into().unwrap());
        let why = self.interrupt(before + 1);
        assert_eq!(why, 1, "status {:#x}", self.read(STATUS));
        let (used, written) = self.queues[queue].used(&memory).expect("a chain came back");
        assert_eq!(used, u32::from(head));
        written
    }
}
