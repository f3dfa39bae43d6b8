//! The interrupt of a device with registers in memory: a line, and why it is asserted.

use std::sync::Arc;

use crate::InterruptLine;
use crate::virtio::shared::{Interrupts, Signal};

/// How the interrupt controller takes a device's line, as the guest is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// Each rise is an interrupt. Nothing has to be told to the device's node at the end of one.
    Edge,
    /// The line is an interrupt as long as it is asserted.
    Level,
}

/// The interrupt status register and the line.
#[derive(Debug)]
pub(super) struct LineInterrupts {
    status: u32,
    line: Arc<dyn InterruptLine>,
    trigger: Trigger,
}

/// A queue has used chains.
const USED: u32 = 1;
/// The configuration or the status changed.
const CONFIG: u32 = 2;

impl LineInterrupts {
    pub(super) fn new(line: Arc<dyn InterruptLine>, trigger: Trigger) -> Self {
        Self {
            status: 0,
            line,
            trigger,
        }
    }

    pub(super) const fn status(&self) -> u32 {
        self.status
    }

    /// The driver has seen these causes.
    pub(super) fn acknowledge(&mut self, seen: u32) {
        let before = self.status;
        self.status &= !seen;
        match (self.trigger, self.status) {
            (Trigger::Level, 0) if before != 0 => self.line.set(false),
            // What came after the driver looked made no edge.
            (Trigger::Edge, 1..) if self.status != before => self.line.pulse(),
            _ => {}
        }
    }
}

impl Interrupts for LineInterrupts {
    fn signal(&mut self, signal: Signal) {
        let cause = match signal {
            Signal::Used(_) => USED,
            Signal::Config => CONFIG,
        };
        let before = self.status;
        self.status |= cause;
        // A driver acknowledges before it looks at what is there. So what comes before it has is
        // seen by the interrupt that is under way.
        match self.trigger {
            _ if before != 0 => {}
            Trigger::Level => self.line.set(true),
            Trigger::Edge => self.line.pulse(),
        }
    }

    fn reset(&mut self) {
        self.status = 0;
        if self.trigger == Trigger::Level {
            self.line.set(false);
        }
    }
}
