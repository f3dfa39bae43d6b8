//! Changes of a device's configuration while it is at work.

use std::fmt;
use std::sync::Arc;

use super::shared::{Interrupts, Shared, Signal};

/// Changes what a driver reads in a device's configuration: a disk that grew, a link that went down.
#[derive(Clone)]
pub struct ConfigHandle(Arc<dyn Configure>);

trait Configure: Send + Sync {
    fn set(&self, config: Vec<u8>);
}

impl<I: Interrupts> Configure for Shared<I> {
    fn set(&self, config: Vec<u8>) {
        self.lock().state.set_config(config);
        self.signal(Signal::Config);
    }
}

impl ConfigHandle {
    pub(super) fn new<I: Interrupts>(shared: Arc<Shared<I>>) -> Self {
        Self(shared)
    }

    /// Shows another configuration and tells the driver.
    pub fn set(&self, config: Vec<u8>) {
        self.0.set(config);
    }
}

impl fmt::Debug for ConfigHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigHandle").finish_non_exhaustive()
    }
}
