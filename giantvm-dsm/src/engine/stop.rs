//! How a handle tells its pump to stop.

use super::primitives::{AtomicBool, Bell, Ordering};

/// A flag that the pump looks at in every turn, and a bell that ends its wait.
#[derive(Debug)]
pub(super) struct StopSwitch {
    stop: AtomicBool,
    bell: Bell,
}

impl StopSwitch {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            stop: AtomicBool::new(false),
            bell: Bell::new()?,
        })
    }

    pub(super) fn set(&self) {
        // In this order, a pump that the bell woke finds the flag.
        self.stop.store(true, Ordering::Release);
        self.bell.ring();
    }

    pub(super) fn is_set(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Rung for good once the switch is set.
    pub(super) fn bell(&self) -> &Bell {
        &self.bell
    }
}
