//! How many accesses went which way.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Access, Origin};

/// Accesses of a node, by where they went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IoCounts {
    /// Of own vCPUs to own devices.
    pub local: u64,
    /// Of own vCPUs to devices on other nodes, which they wait for.
    pub forwarded: u64,
    /// Of own vCPUs to devices on other nodes, without waiting.
    pub posted: u64,
    /// Of other nodes' vCPUs to own devices, waited for or not.
    pub served: u64,
    /// Of own vCPUs to no device.
    pub unclaimed: u64,
    /// That failed, of all of these.
    pub failed: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) local: AtomicU64,
    pub(crate) forwarded: AtomicU64,
    pub(crate) posted: AtomicU64,
    pub(crate) served: AtomicU64,
    pub(crate) failed: AtomicU64,
    unclaimed: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) -> u64 {
    // Each counter stands alone: nothing is read from one about another.
    counter.fetch_add(1, Ordering::Relaxed) + 1
}

impl Counters {
    /// Counts an access that no device claims. A guest can make as many as it likes, so only the
    /// first, second, fourth, eighth, ... is reported: at most 64 lines.
    pub(crate) fn unclaimed(&self, origin: Origin, access: &Access) {
        let total = count(&self.unclaimed);
        if total.is_power_of_two() {
            let (node, vcpu) = (origin.node, origin.vcpu);
            tracing::warn!(%node, %vcpu, total, "no device claims the {access}");
        }
    }

    pub(crate) fn counts(&self) -> IoCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        IoCounts {
            local: read(&self.local),
            forwarded: read(&self.forwarded),
            posted: read(&self.posted),
            served: read(&self.served),
            unclaimed: read(&self.unclaimed),
            failed: read(&self.failed),
        }
    }
}
