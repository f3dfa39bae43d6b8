//! Sets of userfaultfd features.

use std::fmt;
use std::ops::BitOr;

use linux_raw_sys::general as k;

/// A set of userfaultfd features, as the kernel numbers them.
///
/// ```
/// use giantvm_dsm::uffd::Features;
///
/// let wanted = Features::POISON | Features::MINOR_SHMEM;
/// assert_eq!(wanted.minus(Features::POISON), Features::MINOR_SHMEM);
/// assert_eq!(wanted.to_string(), "MINOR_SHMEM, POISON");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Features(u64);

impl Features {
    /// No feature.
    pub const NONE: Self = Self(0);
    /// Write-protect faults on anonymous memory (Linux 5.7).
    pub const WP: Self = Self(k::UFFD_FEATURE_PAGEFAULT_FLAG_WP as u64);
    /// Missing faults on shared memory (4.11).
    pub const MISSING_SHMEM: Self = Self(k::UFFD_FEATURE_MISSING_SHMEM as u64);
    /// Minor faults on shared memory (5.14).
    pub const MINOR_SHMEM: Self = Self(k::UFFD_FEATURE_MINOR_SHMEM as u64);
    /// Write-protect faults on shared memory (5.19).
    pub const WP_SHMEM: Self = Self(k::UFFD_FEATURE_WP_HUGETLBFS_SHMEM as u64);
    /// Write protection of anonymous pages that were never touched (6.4).
    pub const WP_UNPOPULATED: Self = Self(k::UFFD_FEATURE_WP_UNPOPULATED as u64);
    /// Poisoned pages (6.6).
    pub const POISON: Self = Self(k::UFFD_FEATURE_POISON as u64);

    /// The number of the thread that faulted (4.14).
    pub const THREAD_ID: Self = Self(k::UFFD_FEATURE_THREAD_ID as u64);

    const NAMES: [(Self, &'static str); 7] = [
        (Self::WP, "PAGEFAULT_FLAG_WP"),
        (Self::MISSING_SHMEM, "MISSING_SHMEM"),
        (Self::MINOR_SHMEM, "MINOR_SHMEM"),
        (Self::WP_SHMEM, "WP_HUGETLBFS_SHMEM"),
        (Self::WP_UNPOPULATED, "WP_UNPOPULATED"),
        (Self::POISON, "POISON"),
        (Self::THREAD_ID, "THREAD_ID"),
    ];

    /// The set of the kernel's bit mask.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The set as the kernel's bit mask.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether all of `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// What is in this set and not in `other`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What is in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOr for Features {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl fmt::Display for Features {
    /// The names of the features this crate knows, and the rest as a number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = *self;
        let mut separator = "";
        for (feature, name) in Self::NAMES {
            if self.contains(feature) {
                rest = rest.minus(feature);
                write!(f, "{separator}{name}")?;
                separator = ", ";
            }
        }
        match rest {
            Self::NONE if separator.is_empty() => f.write_str("none"),
            Self::NONE => Ok(()),
            rest => write!(f, "{separator}{:#x}", rest.0),
        }
    }
}
