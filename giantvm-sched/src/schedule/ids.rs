//! What is scheduled, what it waits for, and when.

use std::fmt;
use std::time::Duration;

use giantvm_core::{PageIndex, VcpuId};

/// What is placed on nodes: a thread, or a vCPU where the host places those.
///
/// The number is its owner's; the scheduler only compares it.
///
/// ```
/// use giantvm_core::VcpuId;
/// use giantvm_sched::schedule::ThreadId;
///
/// assert_eq!(ThreadId::from(VcpuId::new(3)?), ThreadId(3));
/// # Ok::<(), giantvm_core::IdError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThreadId(pub u32);

impl From<VcpuId> for ThreadId {
    fn from(vcpu: VcpuId) -> Self {
        Self(vcpu.get().into())
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Nanoseconds: a point of time since whatever the caller counts from, or a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(pub u64);

impl Nanos {
    /// How long ago `earlier` was; nothing if it is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }

    /// This much later, at most at the end of time.
    #[must_use]
    pub const fn plus(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl From<Duration> for Nanos {
    fn from(span: Duration) -> Self {
        Self(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many pages make a [`PageGroup`]: a power of two up to 512.
///
/// A group is what faults are counted by. Small ones tell apart what lies close together, and take
/// more room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupSize {
    shift: u32,
}

impl GroupSize {
    /// 16 pages, 64 KiB of 4 KiB pages: what a worker of a small array program has for itself.
    pub const DEFAULT: Self = Self { shift: 4 };

    /// Groups of so many pages; `None` unless that is a power of two from 1 to 512.
    #[must_use]
    pub const fn new(pages: u64) -> Option<Self> {
        if pages.is_power_of_two() && pages <= 512 {
            Some(Self {
                shift: pages.trailing_zeros(),
            })
        } else {
            None
        }
    }

    /// The pages of a group.
    #[must_use]
    pub const fn pages(self) -> u64 {
        1 << self.shift
    }
}

impl Default for GroupSize {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Neighbouring pages that are counted and moved as one.
///
/// ```
/// use giantvm_core::PageIndex;
/// use giantvm_sched::schedule::{GroupSize, PageGroup};
///
/// assert_eq!(PageGroup::of(PageIndex(35), GroupSize::DEFAULT), PageGroup(2));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageGroup(pub u64);

impl PageGroup {
    /// The group that a page is in.
    #[must_use]
    pub const fn of(page: PageIndex, size: GroupSize) -> Self {
        Self(page.0 >> size.shift)
    }
}

impl fmt::Display for PageGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_a_power_of_two_of_pages() {
        assert_eq!(GroupSize::new(16), Some(GroupSize::DEFAULT));
        assert_eq!(GroupSize::new(512).map(GroupSize::pages), Some(512));
        for bad in [0, 3, 1024, u64::MAX] {
            assert_eq!(GroupSize::new(bad), None);
        }
    }

    #[test]
    fn time_neither_wraps_nor_runs_backwards() {
        assert_eq!(Nanos(3).since(Nanos(5)), Nanos(0));
        assert_eq!(Nanos(u64::MAX).plus(Nanos(1)), Nanos(u64::MAX));
    }
}
