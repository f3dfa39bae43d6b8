//! The classes of the NAS benchmarks by their letters.

use super::Program;

impl Program {
    /// The letters of its classes, smallest first, each with the parameter that stands for it.
    ///
    /// Programs that are no NAS benchmarks have none.
    #[must_use]
    pub const fn classes(self) -> &'static [(&'static str, u64)] {
        match self {
            Self::Ep => &[("S", 24), ("W", 25), ("A", 28)],
            Self::Is => &[("S", 16), ("W", 20), ("A", 23)],
            Self::Cg => &[("S", 1_400), ("W", 7_000), ("A", 14_000)],
            Self::Mg => &[("S", 5), ("W", 7), ("A", 8)],
            Self::Ft => &[("S", 18), ("W", 19), ("A", 23)],
            Self::Ticket
            | Self::Atomic
            | Self::Sum
            | Self::Ipi
            | Self::Io
            | Self::Clock
            | Self::Idle
            | Self::Litmus => &[],
        }
    }
}
