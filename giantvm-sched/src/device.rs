//! The devices a machine can have.

use std::fmt;

/// A device of the machine, which has one of each kind that its guest can use, on a node of its own
/// choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceKind {
    /// The serial console.
    Serial,
    /// Power off, reset and exit.
    Power,
    /// Registers for testing, which count their accesses.
    Scratch,
    /// A clock that every vCPU can read.
    Clock,
    /// Random numbers, from the node's host.
    Rng,
}

impl DeviceKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Serial,
        Self::Power,
        Self::Scratch,
        Self::Clock,
        Self::Rng,
    ];

    /// The kind of a name in a cluster file.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind's name in a cluster file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Serial => "serial",
            Self::Power => "power",
            Self::Scratch => "scratch",
            Self::Clock => "clock",
            Self::Rng => "rng",
        }
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
