//! What holds for a backing's memory as a whole.

use std::fs;
use std::ptr;

use giantvm_core::{PageIndex, PageSize};
use giantvm_dsm::backing::{Choice, OpenError, open};
use giantvm_dsm::protocol::{Access, FrameFate, Rights};
use rustix::mm::Advice;

use crate::support::{Served, advise, join};

const K4: PageSize = PageSize::K4;

/// The flags of this process's mappings of `pages` pages.
fn flags_of_mappings(pages: usize) -> Vec<String> {
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let mut size = None;
    let mut found = Vec::new();
    for line in smaps.lines() {
        // A mapping's size comes before its flags.
        if let Some(kilobytes) = line.strip_prefix("Size:") {
            size = kilobytes
                .trim()
                .strip_suffix(" kB")
                .and_then(|n| n.parse().ok());
        } else if let Some(flags) = line.strip_prefix("VmFlags:")
            && size == Some(pages * 4)
        {
            found.push(format!("{} ", flags.trim_end()));
        }
    }
    found
}

#[test]
fn no_mapping_may_use_huge_pages_or_be_inherited() {
    let test = "region::no_mapping_may_use_huge_pages_or_be_inherited";
    // Lengths that nothing else in this process has, to know the alias by, too.
    for (choice, pages, mappings) in [(Choice::Minor, 1234, 2), (Choice::Missing, 1237, 1)] {
        let Some(_node) = Served::open(test, choice, pages, K4) else {
            return;
        };
        let found = flags_of_mappings(usize::try_from(pages).unwrap());
        assert_eq!(found.len(), mappings, "{choice:?}");
        for flags in found {
            for flag in [" nh ", " dc "] {
                assert!(flags.contains(flag), "{choice:?}: no{flag}in{flags}");
            }
        }
    }
}

#[test]
fn a_sparse_region_takes_no_memory_in_proportion_to_its_size() {
    let test = "region::a_sparse_region_takes_no_memory_in_proportion_to_its_size";
    const GIB: u64 = 1 << 30;
    let resident = || {
        let statm = fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    };
    for choice in [Choice::Minor, Choice::Missing] {
        let before = resident();
        let pages = 64 * GIB / 4096;
        let Some(mut node) = Served::open(test, choice, pages, K4) else {
            return;
        };
        let last = PageIndex(pages - 1);
        node.backing.map_zero(last, Rights::Write).unwrap();
        let reader = node.reader(usize::try_from(last.0).unwrap());
        assert_eq!(join(reader), 0);
        // Other tests run in this process too: room for them, and a thousandth of the region.
        let grown = resident().saturating_sub(before);
        assert!(grown < GIB / 16, "{choice:?} took {grown} bytes");
    }
}

#[test]
fn a_mapping_that_the_kernel_dropped_comes_back_with_its_rights() {
    let test = "region::a_mapping_that_the_kernel_dropped_comes_back_with_its_rights";
    let Some(mut node) = Served::open(test, Choice::Minor, 2, K4) else {
        return;
    };
    // Takes the page table entry without the backing's knowledge, as reclaim does.
    let drop_entry = |node: &Served| advise(&node.mapping, Advice::LinuxDontNeed);
    node.give(0, 5, Rights::Read);
    drop_entry(&node);
    let reader = node.reader(0);
    node.expect(0, Access::Read);
    node.backing.map(PageIndex(0), Rights::Read).unwrap();
    node.backing.wake(PageIndex(0)).unwrap();
    assert_eq!(join(reader), 5);
    let writer = node.writer(0, 6);
    node.expect(0, Access::Write);

    drop_entry(&node);
    node.backing.unprotect(PageIndex(0)).unwrap();
    node.backing.wake(PageIndex(0)).unwrap();
    node.expect(0, Access::Write);
    node.backing.map(PageIndex(0), Rights::Write).unwrap();
    node.backing.wake(PageIndex(0)).unwrap();
    assert_eq!(join(writer), 5);

    drop_entry(&node);
    node.backing.protect(PageIndex(0)).unwrap();
    assert_eq!(node.frame(0), 6);
    let writer = node.writer(0, 7);
    node.expect(0, Access::Write);
    node.backing.map(PageIndex(0), Rights::Read).unwrap();
    node.backing.wake(PageIndex(0)).unwrap();
    node.expect(0, Access::Write);
    node.backing.unmap(PageIndex(0), FrameFate::Keep).unwrap();
    assert_eq!(node.frame(0), 6, "no store got in");
    node.backing.map(PageIndex(0), Rights::Write).unwrap();
    node.backing.wake(PageIndex(0)).unwrap();
    assert_eq!(join(writer), 6);
}

#[test]
fn sizes_that_cannot_be_mapped_are_refused() {
    for pages in [0, u64::MAX, u64::MAX / 4096, 1 << 51] {
        let refused = open(pages, K4, Choice::Missing);
        assert!(matches!(refused, Err(OpenError::Size { .. })), "{pages}");
    }
}

#[test]
fn addresses_are_told_to_the_page() {
    let test = "region::addresses_are_told_to_the_page";
    let Some(node) = Served::open(test, Choice::Auto, 2, K4) else {
        return;
    };
    let base = node.mapping.base().as_ptr().addr();
    assert_eq!(node.mapping.page_at(base + 4095), Some(PageIndex(0)));
    assert_eq!(node.mapping.page_at(base + 8191), Some(PageIndex(1)));
    assert_eq!(node.mapping.page_at(base + 8192), None);
    assert_eq!(node.mapping.page_at(base - 1), None);
    assert_eq!(node.mapping.page_at(ptr::null::<u8>().addr()), None);
}
