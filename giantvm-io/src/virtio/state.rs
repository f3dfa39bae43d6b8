//! What every transport keeps of a device: a state machine without I/O.

use virtio_bindings::virtio_config::{
    VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_DRIVER_OK,
    VIRTIO_CONFIG_S_FAILED, VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_CONFIG_S_NEEDS_RESET,
    VIRTIO_F_VERSION_1,
};
use virtio_bindings::virtio_ring::{VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC};
use virtio_queue::{Error, Queue, QueueState};

/// Set by the driver: it has seen the device.
pub(super) const ACKNOWLEDGE: u32 = VIRTIO_CONFIG_S_ACKNOWLEDGE;
/// Set by the driver: it knows what to do with it.
pub(super) const DRIVER: u32 = VIRTIO_CONFIG_S_DRIVER;
/// Set by the driver: it begins.
pub(super) const DRIVER_OK: u32 = VIRTIO_CONFIG_S_DRIVER_OK;
/// Set by the driver, and kept where the device agrees: these features it is.
pub(super) const FEATURES_OK: u32 = VIRTIO_CONFIG_S_FEATURES_OK;
/// Set by the device: it has stopped.
pub(super) const NEEDS_RESET: u32 = VIRTIO_CONFIG_S_NEEDS_RESET;
/// Set by the driver: it has given up.
pub(super) const FAILED: u32 = VIRTIO_CONFIG_S_FAILED;

const VERSION_1: u64 = 1 << VIRTIO_F_VERSION_1;
const EVENT_IDX: u64 = 1 << VIRTIO_RING_F_EVENT_IDX;
const INDIRECT: u64 = 1 << VIRTIO_RING_F_INDIRECT_DESC;

/// One address of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Descriptors,
    Driver,
    Device,
}

/// A queue as the driver sets it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setup {
    pub(super) largest: u16,
    pub(super) size: u16,
    pub(super) ready: bool,
    descriptors: u64,
    driver: u64,
    device: u64,
}

impl Setup {
    const fn new(largest: u16) -> Self {
        Self {
            largest,
            size: largest,
            ready: false,
            descriptors: 0,
            driver: 0,
            device: 0,
        }
    }

    const fn part_mut(&mut self, part: Part) -> &mut u64 {
        match part {
            Part::Descriptors => &mut self.descriptors,
            Part::Driver => &mut self.driver,
            Part::Device => &mut self.device,
        }
    }

    /// The queue, where its size and the alignment of its parts are right. Where its parts are is
    /// not looked at.
    fn queue(&self, features: u64) -> Result<Queue, Error> {
        Queue::try_from(QueueState {
            max_size: self.largest,
            next_avail: 0,
            next_used: 0,
            event_idx_enabled: features & EVENT_IDX != 0,
            size: self.size,
            ready: self.ready,
            desc_table: self.descriptors,
            avail_ring: self.driver,
            used_ring: self.device,
        })
    }
}

/// What the transport has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Nothing,
    /// To stop the device, and make it forget.
    Reset,
    /// To stop the device until it is reset.
    Halt,
    /// To start it with these features and queues, `None` for those that the driver leaves out.
    Start(u64, Vec<Option<Queue>>),
}

/// Features, status, queues and configuration of a device.
#[derive(Debug)]
pub(super) struct State {
    kind: u32,
    offered: u64,
    accepted: u64,
    status: u32,
    queues: Vec<Setup>,
    config: Vec<u8>,
    generation: u8,
}

impl State {
    pub(super) fn new(kind: u32, features: u64, queues: &[u16], config: Vec<u8>) -> Self {
        Self {
            kind,
            offered: features | VERSION_1 | EVENT_IDX | INDIRECT,
            accepted: 0,
            status: 0,
            queues: queues.iter().map(|&largest| Setup::new(largest)).collect(),
            config,
            generation: 0,
        }
    }

    pub(super) const fn kind(&self) -> u32 {
        self.kind
    }

    /// Half of the features offered.
    pub(super) const fn offered(&self, select: u32) -> u32 {
        half(self.offered, select)
    }

    /// The driver accepts half of the features; of no use once it has said that it is done.
    pub(super) fn accept(&mut self, select: u32, value: u32) {
        if self.status & FEATURES_OK == 0 && select < 2 {
            set_half(&mut self.accepted, select == 1, value);
        }
    }

    pub(super) const fn status(&self) -> u32 {
        self.status
    }

    /// Whether the device is at work.
    pub(super) const fn is_live(&self) -> bool {
        self.status & (DRIVER_OK | NEEDS_RESET | FAILED) == DRIVER_OK
    }

    /// The driver writes the status.
    pub(super) fn set_status(&mut self, value: u32) -> Change {
        if value == 0 {
            self.reset();
            return Change::Reset;
        }
        let mut new =
            value & !self.status & (ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK | FAILED);
        let (seen, was_live) = (ACKNOWLEDGE | DRIVER, self.is_live());
        if new & FEATURES_OK != 0 && !(self.is_seen(new) && self.is_agreed()) {
            new &= !FEATURES_OK;
        }
        // Nothing but a reset helps a device that has stopped.
        let stopped = self.status & (NEEDS_RESET | FAILED) != 0;
        let ready = (self.status | new) & (FEATURES_OK | seen) == FEATURES_OK | seen;
        if new & DRIVER_OK != 0 && (stopped || !ready) {
            new &= !DRIVER_OK;
        }
        self.status |= new;
        match (was_live, self.is_live()) {
            (false, true) => self.start(),
            (true, false) => Change::Halt,
            _ => Change::Nothing,
        }
    }

    const fn is_seen(&self, new: u32) -> bool {
        (self.status | new) & (ACKNOWLEDGE | DRIVER) == ACKNOWLEDGE | DRIVER
    }

    const fn is_agreed(&self) -> bool {
        self.accepted & !self.offered == 0 && self.accepted & VERSION_1 != 0
    }

    fn start(&mut self) -> Change {
        let queue = |setup: &Setup| match setup.ready {
            true => setup.queue(self.accepted).map(Some),
            false => Ok(None),
        };
        match self.queues.iter().map(queue).collect() {
            Ok(queues) => Change::Start(self.accepted, queues),
            Err(_) => {
                self.stop();
                Change::Halt
            }
        }
    }

    /// The device stops, for it cannot go on. Whether it was at work.
    pub(super) const fn stop(&mut self) -> bool {
        let was_live = self.is_live();
        self.status |= NEEDS_RESET;
        was_live
    }

    pub(super) fn reset(&mut self) {
        self.accepted = 0;
        self.status = 0;
        for setup in &mut self.queues {
            *setup = Setup::new(setup.largest);
        }
    }

    pub(super) fn queue(&self, index: u32) -> Option<&Setup> {
        self.queues.get(usize::try_from(index).ok()?)
    }

    /// How many queues there are.
    pub(super) const fn queues(&self) -> usize {
        self.queues.len()
    }

    /// A queue that may be set up: it is not in use, and neither is the device.
    fn idle(&mut self, index: u32) -> Option<&mut Setup> {
        let began = self.status & (DRIVER_OK | NEEDS_RESET | FAILED) != 0;
        let setup = self.queues.get_mut(usize::try_from(index).ok()?)?;
        (!began && !setup.ready).then_some(setup)
    }

    pub(super) fn set_size(&mut self, index: u32, size: u32) {
        if let Some(setup) = self.idle(index) {
            // Too large is as wrong as zero, and found when the queue is to be ready.
            setup.size = u16::try_from(size).unwrap_or(0);
        }
    }

    pub(super) fn set_part(&mut self, index: u32, part: Part, high: bool, value: u32) {
        if let Some(setup) = self.idle(index) {
            set_half(setup.part_mut(part), high, value);
        }
    }

    /// The driver wants a queue to be ready, or no more. `fits` says whether its parts are in memory;
    /// a queue that is not right stops the device, as a driver that is not told would wait for ever.
    pub(super) fn set_ready(
        &mut self,
        index: u32,
        ready: bool,
        fits: impl FnOnce(&Queue) -> bool,
    ) -> Change {
        let (was_live, accepted) = (self.is_live(), self.accepted);
        if !ready {
            // The driver takes memory back that the device uses.
            if was_live && self.queue(index).is_some_and(|setup| setup.ready) {
                self.stop();
                return Change::Halt;
            }
            let position = usize::try_from(index).ok();
            if let Some(setup) = position.and_then(|position| self.queues.get_mut(position)) {
                setup.ready = false;
            }
            return Change::Nothing;
        }
        let Some(setup) = self.idle(index) else {
            return Change::Nothing;
        };
        setup.ready = true;
        let sound = setup.queue(accepted).is_ok_and(|queue| fits(&queue));
        if !sound {
            setup.ready = false;
            self.stop();
        }
        Change::Nothing
    }

    /// Reads the configuration; what is not there is zero.
    pub(super) fn config(&self, offset: u64, bytes: usize) -> u64 {
        let byte = |at: usize| {
            let at = usize::try_from(offset).ok()?.checked_add(at)?;
            self.config.get(at).copied()
        };
        (0..bytes)
            .rev()
            .fold(0, |value, at| value << 8 | u64::from(byte(at).unwrap_or(0)))
    }

    /// Counts the configurations there have been.
    pub(super) const fn generation(&self) -> u8 {
        self.generation
    }

    /// The device has another configuration now.
    pub(super) fn set_config(&mut self, config: Vec<u8>) {
        self.config = config;
        self.generation = self.generation.wrapping_add(1);
    }
}

const fn half(value: u64, select: u32) -> u32 {
    let shifted = match select {
        0 => value,
        1 => value >> 32,
        _ => 0,
    };
    (shifted & 0xffff_ffff) as u32
}

fn set_half(value: &mut u64, high: bool, half: u32) {
    let shift = if high { 32 } else { 0 };
    *value = *value & !(0xffff_ffff << shift) | u64::from(half) << shift;
}
