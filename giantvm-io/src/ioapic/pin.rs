//! Numbers of pins.

use std::fmt;

use super::PINS;

/// A pin of the IOAPIC, and so an interrupt line. As the IOAPIC is the only one, it is a global system
/// interrupt of ACPI, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pin(u8);

/// A number that no pin has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the IOAPIC has no pin {0}: use 0 to {last}", last = PINS - 1)]
pub struct NoPin(pub u8);

impl Pin {
    /// The pin with this number.
    ///
    /// # Errors
    /// [`NoPin`] from [`PINS`] on.
    pub const fn new(number: u8) -> Result<Self, NoPin> {
        if (number as usize) < PINS {
            Ok(Self(number))
        } else {
            Err(NoPin(number))
        }
    }

    /// All pins.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..PINS).map(Self::at)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }

    /// The pin at a place of the table.
    pub(super) const fn at(index: usize) -> Self {
        assert!(index < PINS, "a place of the table");
        let [number, ..] = index.to_le_bytes();
        Self(number)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
