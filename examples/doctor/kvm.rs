//! KVM, and how the processor walks guest page tables.

use giantvm_vcpu::kvm::{PageTableWalks, Support};

use crate::finding::{Finding, Verdict};

const WALKS: &str = "page-table walks by the processor";

pub(crate) fn checks() -> Vec<Finding> {
    let probed = Support::probe().checks().into_iter().map(|check| {
        let verdict = match (check.ok, check.needed) {
            (true, _) => Verdict::Good,
            (false, true) => Verdict::Bad,
            (false, false) => Verdict::Poor,
        };
        Finding::new(verdict, check.what, check.detail)
    });
    probed
        .chain([page_table_walks(PageTableWalks::of_host())])
        .collect()
}

/// A walk that counts as a write makes every node that uses a page table want it exclusively.
fn page_table_walks(walks: PageTableWalks) -> Finding {
    match walks {
        PageTableWalks::Nested => Finding::new(
            Verdict::Poor,
            WALKS,
            "AMD nested paging counts each walk as a write to the page table, so nodes take turns at \
             pages with page tables. Only for guests that never change theirs, like the one that \
             ships, but not Linux: `modprobe -r kvm_amd && modprobe kvm_amd npt=0`",
        ),
        PageTableWalks::Shadow => Finding::new(
            Verdict::Poor,
            WALKS,
            "with shadow paging KVM does not see what other nodes change in a guest's page tables: a \
             Linux guest over several nodes goes wrong. Load kvm_amd with npt=1, or kvm_intel with \
             ept=1 eptad=0",
        ),
        PageTableWalks::AccessedDirty => Finding::new(
            Verdict::Poor,
            WALKS,
            "Intel EPT with accessed and dirty flags counts each walk as a write to the page \
             table, so pages with page tables travel between nodes: \
             `modprobe -r kvm_intel && modprobe kvm_intel eptad=0`",
        ),
        PageTableWalks::Unknown => Finding::new(
            Verdict::Good,
            WALKS,
            "neither kvm_intel nor kvm_amd is loaded: whatever KVM this is, it does not use the \
             processor's nested paging",
        ),
        _ => Finding::new(Verdict::Good, WALKS, "they do not count as writes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_that_count_as_writes_or_that_kvm_makes_itself_are_poor() {
        for (walks, verdict) in [
            (PageTableWalks::Nested, Verdict::Poor),
            (PageTableWalks::AccessedDirty, Verdict::Poor),
            (PageTableWalks::Shadow, Verdict::Poor),
            (PageTableWalks::Plain, Verdict::Good),
            (PageTableWalks::Unknown, Verdict::Good),
        ] {
            assert_eq!(page_table_walks(walks).verdict, verdict, "{walks:?}");
        }
    }

    #[test]
    fn the_first_check_says_whether_there_is_a_kvm() {
        let checks = checks();
        assert_eq!(checks[0].what, "KVM");
        assert_eq!(checks.last().map(|last| &*last.what), Some(WALKS));
    }
}
