//! What is the same for all placements.

use std::time::Duration;

use giantvm_sched::precopy::Terms;

use crate::link::Link;
use crate::load::Load;
use crate::protocol::ProtocolKind;
use crate::schedule::Tenants;
use crate::vm::Size;

/// What machines do on which hosts.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) load: Load,
    /// The memory of each machine.
    pub(crate) size: Size,
    /// Pages of each vCPU's part that are not zero before it begins.
    pub(crate) used: u64,
    /// What each vCPU wants, in hundredths of a processor.
    pub(crate) wants: u32,
    /// The processor time that a step takes, as it was measured before.
    pub(crate) cost: Duration,
    pub(crate) link: Link,
    pub(crate) protocol: ProtocolKind,
    pub(crate) terms: Terms,
    /// When hosts' tenants need much.
    pub(crate) tenants: Tenants,
    /// How long tenants stay as they are, on average, in seconds.
    pub(crate) wave: u32,
}

impl Plan {
    /// Steps a second that each vCPU wants of processors that are as fast as before.
    pub(crate) fn rate(&self) -> f64 {
        f64::from(self.wants) / 100.0 / self.cost.as_secs_f64()
    }
}
