//! How this host's processors walk a guest's page tables.

use std::fs;

/// How a guest's page tables are walked, as the switches of the kernel's modules say.
///
/// A walk that counts as a write needs the right to write a page of each level at a time. Over memory that
/// nodes share page by page, those that use the same page tables then take their pages from one another.
///
/// ```
/// use giantvm_vcpu::kvm::PageTableWalks;
///
/// let walks = PageTableWalks::of_host();
/// println!("{walks:?}: writes: {}", walks.count_as_writes());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PageTableWalks {
    /// By AMD's nested paging: as writes.
    Nested,
    /// By Intel's EPT with accessed and dirty flags: as writes.
    AccessedDirty,
    /// By Intel's EPT without: as reads.
    Plain,
    /// By KVM, which keeps shadows of them. It does not see what another node changes.
    Shadow,
    /// By neither processor's module: by whatever KVM this is.
    Unknown,
}

impl PageTableWalks {
    /// Of this host.
    #[must_use]
    pub fn of_host() -> Self {
        Self::by(|path| {
            let text = fs::read_to_string(format!("/sys/module/{path}")).ok()?;
            Some(matches!(text.trim(), "Y" | "1"))
        })
    }

    /// `switch` is that of a module; `None` if it is not loaded or has none.
    fn by(switch: impl Fn(&str) -> Option<bool>) -> Self {
        let nested = switch("kvm_amd/parameters/npt");
        let ept = switch("kvm_intel/parameters/ept");
        match (nested, ept, switch("kvm_intel/parameters/eptad")) {
            (Some(true), ..) => Self::Nested,
            (Some(false), ..) | (_, Some(false), _) => Self::Shadow,
            (_, Some(true), Some(true)) => Self::AccessedDirty,
            (None, None, None) => Self::Unknown,
            _ => Self::Plain,
        }
    }

    /// Whether each counts as a write.
    #[must_use]
    pub const fn count_as_writes(self) -> bool {
        matches!(self, Self::Nested | Self::AccessedDirty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_of_the_switches_is_told_apart() {
        let of = |switches: &[(&str, bool)]| {
            PageTableWalks::by(|path| {
                let found = switches.iter().find(|(end, _)| path.ends_with(end));
                found.map(|&(_, on)| on)
            })
        };
        assert_eq!(of(&[("npt", true)]), PageTableWalks::Nested);
        assert_eq!(of(&[("npt", false)]), PageTableWalks::Shadow);
        assert_eq!(
            of(&[("/ept", false), ("eptad", false)]),
            PageTableWalks::Shadow
        );
        assert_eq!(
            of(&[("/ept", true), ("eptad", true)]),
            PageTableWalks::AccessedDirty
        );
        assert_eq!(
            of(&[("/ept", true), ("eptad", false)]),
            PageTableWalks::Plain
        );
        assert_eq!(of(&[]), PageTableWalks::Unknown);
        assert!(of(&[("npt", true)]).count_as_writes());
        assert!(!of(&[("npt", false)]).count_as_writes());
    }
}
