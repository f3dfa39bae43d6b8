//! How a host's processor finds its guest's memory.

use clap::ValueEnum;

/// How a host's processor finds its guest's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Paging {
    /// AMD's nested page tables: a walk of the guest's page tables counts as a write to them.
    Nested,
    /// Its kernel keeps shadow page tables.
    Shadow,
    /// Intel's extended page tables, without accessed and dirty bits: a walk reads.
    Extended,
}

impl Paging {
    /// What the host's first program knows it by.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nested => "nested",
            Self::Shadow => "shadow",
            Self::Extended => "extended",
        }
    }
}
