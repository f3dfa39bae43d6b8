//! What each node has of the IOAPIC.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use giantvm_core::{AccessSize, Msi, NodeId, NodeSet};

use super::{Effect, IoApic, LineMessage, PINS, Pin};
use crate::{Device, DeviceError, InterruptLine, Origin};

/// Where a node's interrupt lines lead. Called with the IOAPIC's lock held: must neither block nor
/// call back. See [the module](super) for the order that is to be kept.
pub trait LinesOutput: Send + Sync {
    /// Delivers an interrupt to its vCPUs, wherever they are.
    fn deliver(&self, msi: Msi);

    /// Tells this node's hypervisor the line's level-triggered message, or that there is none.
    fn route(&self, pin: Pin, msi: Option<Msi>);

    /// Sends a message to another node.
    fn send(&self, to: NodeId, message: LineMessage);
}

/// A peer sent what no sound node sends. The link to it should end; nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineViolation {
    /// The line belongs to a device of another node, or to none.
    #[error("node {from} moved interrupt line {pin}, which is not its")]
    Foreign {
        /// The sender.
        from: NodeId,
        /// The line.
        pin: Pin,
    },
    /// The IOAPIC is not on this node.
    #[error("node {from} takes this node for that of the IOAPIC, which is node {home}")]
    NotHere {
        /// The sender.
        from: NodeId,
        /// The IOAPIC's node.
        home: NodeId,
    },
    /// A route from a node that does not have the IOAPIC.
    #[error("node {from} sent a route of the IOAPIC, which is on node {home}")]
    NoRoutes {
        /// The sender.
        from: NodeId,
        /// The IOAPIC's node.
        home: NodeId,
    },
}

/// The machine's interrupt lines, as one node sees them. All nodes build theirs alike but for their
/// own number.
pub struct Lines {
    local: NodeId,
    home: NodeId,
    peers: NodeSet,
    /// The node of the device that has the line.
    owners: [Option<NodeId>; PINS],
    /// On its node alone.
    ioapic: Option<Mutex<IoApic>>,
    output: Box<dyn LinesOutput>,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Lines");
        debug
            .field("local", &self.local)
            .field("ioapic", &self.ioapic);
        debug.finish_non_exhaustive()
    }
}

impl Lines {
    /// The lines of a machine of `nodes` that leads them to `ioapic` on node `home`, as node `local`
    /// sees them. `owners` has the node of each line's device.
    #[must_use]
    pub fn new(
        local: NodeId,
        home: NodeId,
        nodes: NodeSet,
        owners: &[(Pin, NodeId)],
        ioapic: IoApic,
        output: impl LinesOutput + 'static,
    ) -> Arc<Self> {
        let mut table = [None; PINS];
        for &(pin, node) in owners {
            table[pin.index()] = Some(node);
        }
        Arc::new(Self {
            local,
            home,
            peers: nodes.without(local),
            owners: table,
            ioapic: (local == home).then(|| Mutex::new(ioapic)),
            output: Box::new(output),
        })
    }

    /// The end of a line for the device of this node that has it; `None` for another's.
    #[must_use]
    pub fn line(self: &Arc<Self>, pin: Pin) -> Option<Arc<dyn InterruptLine>> {
        let own = self.owners[pin.index()] == Some(self.local);
        own.then(|| {
            Arc::new(LineEnd {
                lines: Arc::clone(self),
                pin,
                asserted: Mutex::new(false),
            }) as Arc<dyn InterruptLine>
        })
    }

    /// The IOAPIC's registers, for the bus of its node; `None` on the others.
    #[must_use]
    pub fn device(self: &Arc<Self>) -> Option<IoApicDevice> {
        let lines = Arc::clone(self);
        self.ioapic.is_some().then_some(IoApicDevice { lines })
    }

    /// A vCPU of this node ended a level-triggered interrupt.
    pub fn end_of_interrupt(&self, vector: u8) {
        self.bring(LineMessage::End { vector });
    }

    /// Takes a message of another node.
    ///
    /// # Errors
    /// [`LineViolation`] for what no sound node sends.
    pub fn receive(&self, from: NodeId, message: LineMessage) -> Result<(), LineViolation> {
        let home = self.home;
        match message {
            LineMessage::Route { pin, msi } => {
                if from != home || self.local == home {
                    return Err(LineViolation::NoRoutes { from, home });
                }
                self.output.route(pin, msi);
                return Ok(());
            }
            LineMessage::Level { pin, .. } | LineMessage::Pulse(pin) => {
                if self.owners[pin.index()] != Some(from) {
                    return Err(LineViolation::Foreign { from, pin });
                }
            }
            LineMessage::End { .. } => {}
        }
        if self.local != home {
            return Err(LineViolation::NotHere { from, home });
        }
        self.bring(message);
        Ok(())
    }

    /// Brings what is for the IOAPIC to it.
    fn bring(&self, message: LineMessage) {
        let Some(mut ioapic) = self.ioapic() else {
            self.output.send(self.home, message);
            return;
        };
        let effects = match message {
            LineMessage::Level { pin, asserted } => ioapic.set_line(pin, asserted),
            LineMessage::Pulse(pin) => ioapic.pulse(pin),
            LineMessage::End { vector } => ioapic.end_of_interrupt(vector),
            LineMessage::Route { .. } => Vec::new(),
        };
        self.carry_out(&effects);
    }

    /// Under the IOAPIC's lock, so that all nodes hear things in the order they were decided.
    fn carry_out(&self, effects: &[Effect]) {
        for &effect in effects {
            match effect {
                Effect::Deliver(msi) => self.output.deliver(msi),
                Effect::Route(pin, msi) => {
                    self.output.route(pin, msi);
                    for peer in self.peers {
                        self.output.send(peer, LineMessage::Route { pin, msi });
                    }
                }
            }
        }
    }

    fn ioapic(&self) -> Option<MutexGuard<'_, IoApic>> {
        // No code of the IOAPIC panics half way, so what a poisoned lock guards is sound.
        let ioapic = self.ioapic.as_ref()?;
        Some(ioapic.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A device's end of its line.
#[derive(Debug)]
struct LineEnd {
    lines: Arc<Lines>,
    pin: Pin,
    /// Held while a change is sent, so that changes are sent in the order they were made.
    asserted: Mutex<bool>,
}

impl InterruptLine for LineEnd {
    fn set(&self, asserted: bool) {
        let mut now = self.asserted.lock().unwrap_or_else(PoisonError::into_inner);
        if *now != asserted {
            *now = asserted;
            let pin = self.pin;
            self.lines.bring(LineMessage::Level { pin, asserted });
        }
    }

    fn pulse(&self) {
        let now = self.asserted.lock().unwrap_or_else(PoisonError::into_inner);
        if !*now {
            self.lines.bring(LineMessage::Pulse(self.pin));
        }
    }
}

/// The IOAPIC's registers as a device, [`ioapic::BYTES`](super::BYTES) from its offset 0.
#[derive(Debug)]
pub struct IoApicDevice {
    lines: Arc<Lines>,
}

impl Device for IoApicDevice {
    fn name(&self) -> &str {
        "ioapic"
    }

    fn read(&mut self, _: Origin, offset: u64, size: AccessSize) -> Result<u64, DeviceError> {
        let ioapic = self.lines.ioapic().ok_or(DeviceError::Backend)?;
        Ok(size.truncate(ioapic.read(offset).into()))
    }

    fn write(
        &mut self,
        _: Origin,
        offset: u64,
        _: AccessSize,
        value: u64,
    ) -> Result<(), DeviceError> {
        let [a, b, c, d, ..] = value.to_le_bytes();
        let mut ioapic = self.lines.ioapic().ok_or(DeviceError::Backend)?;
        let effects = ioapic.write(offset, u32::from_le_bytes([a, b, c, d]));
        self.lines.carry_out(&effects);
        Ok(())
    }

    fn reset(&mut self) {
        if let Some(mut ioapic) = self.lines.ioapic() {
            let effects = ioapic.reset();
            self.lines.carry_out(&effects);
        }
    }
}
