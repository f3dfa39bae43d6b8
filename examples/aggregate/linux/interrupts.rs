//! Where the lines of devices lead: to vCPUs, and to the I/O APIC's node.

use std::sync::{Arc, OnceLock};

use giantvm_core::{Msi, NodeId};
use giantvm_io::IoMessage;
use giantvm_io::ioapic::{LineMessage, LinesOutput, Pin};
use giantvm_vcpu::VcpuHost;

use crate::wiring::Outlet;

/// One node's vCPUs, and the way to the other nodes.
#[derive(Debug)]
pub(crate) struct LineOutput {
    pub(crate) outlet: Outlet,
    /// There before any vCPU runs, which alone can have an interrupt sent.
    pub(crate) host: Arc<OnceLock<Arc<dyn VcpuHost>>>,
}

impl LinesOutput for LineOutput {
    fn deliver(&self, msi: Msi) {
        if let Some(host) = self.host.get()
            && let Err(error) = host.signal_msi(msi)
        {
            // A guest can send interrupts to no one.
            tracing::debug!(%error, "a device's interrupt was not delivered");
        }
    }

    fn route(&self, pin: Pin, msi: Option<Msi>) {
        if let Some(host) = self.host.get()
            && let Err(error) = host.set_pin(pin.get().into(), msi)
        {
            tracing::error!(%error, %pin, "KVM was not told of a pin of the I/O APIC");
        }
    }

    fn send(&self, to: NodeId, message: LineMessage) {
        if let Err(error) = self.outlet.io(to, &IoMessage::Line(message)) {
            // The loss is an event of its own.
            tracing::debug!(%error, %to, "a message about interrupt lines was not sent");
        }
    }
}
