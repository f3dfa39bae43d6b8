//! Moments in which nothing of this node interrupts anything.
//!
//! KVM reads a whole local APIC and writes a whole one. What another vCPU or a device sends between a
//! vCPU's reading and its proxy's writing, or between a proxy's and its vCPU's, would be overwritten. So
//! while a vCPU comes or goes, all other vCPUs of the node stay outside of the guest, and devices wait.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use giantvm_core::VcpuId;

use super::kick;
use super::machine::Machine;
use crate::error::VcpuError;

/// How long vCPUs may take to come out. One that KVM fetches a page for may take longer: then there is no
/// such moment, and all go on. A remote fault takes a tenth of a millisecond to some.
const LIMIT: Duration = Duration::from_millis(100);

impl Machine {
    /// Does `body` while no vCPU of this node but `id`, which its caller holds, is in the guest, and no
    /// device sends an interrupt.
    pub(super) fn quietly<R>(
        &self,
        id: VcpuId,
        body: impl FnOnce() -> Result<R, VcpuError>,
    ) -> Result<R, VcpuError> {
        // A sender that panicked left nothing behind.
        let _senders = self.senders.write().unwrap_or_else(PoisonError::into_inner);
        let (layout, deadline) = (self.places.now(), Instant::now() + LIMIT);
        let others: Vec<_> = layout.local().filter(|&other| other != id).collect();
        for &other in &others {
            self.gate(other).hold(kick::signal_in_haste);
        }
        let running: Vec<_> = others
            .iter()
            .copied()
            .filter(|&other| !self.gate(other).wait_empty(deadline))
            .collect();
        let result = match running.is_empty() {
            true => body(),
            false => Err(VcpuError::PauseTimeout {
                running,
                limit: LIMIT,
            }),
        };
        for other in others {
            self.gate(other).release();
        }
        result
    }
}
