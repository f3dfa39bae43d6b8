//! Views of a region whose pages have to be fetched: the bytes a guest sees, and a Rust value.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use giantvm_core::{GuestAddress, PageIndex, PageRange, PageSize};
use giantvm_dsm::backing::Choice;
use giantvm_dsm::protocol::Rights;
use giantvm_dsm::sync::{Barrier, Lock, OwnPages};
use giantvm_dsm::view::{DsmMemory, Region, RegionError, ViewError};
use vm_memory::{Bytes, GuestMemory, GuestMemoryBackend, Permissions};
use zerocopy::FromBytes;

use crate::support::Served;

const K4: PageSize = PageSize::K4;

fn pages(start: u64, end: u64) -> PageRange {
    PageRange {
        start: PageIndex(start),
        end: PageIndex(end),
    }
}

/// Runs `body` on another thread while this one answers every fault with a zero page.
fn with_faults_served<R: Send>(node: &mut Served, body: impl FnOnce() -> R + Send) -> R {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let done = &done;
        let body = scope.spawn(move || {
            // Set on a panic too, lest the server go on for ever.
            struct Finish<'a>(&'a AtomicBool);
            impl Drop for Finish<'_> {
                fn drop(&mut self) {
                    self.0.store(true, Ordering::Release);
                }
            }
            let _finish = Finish(done);
            body()
        });
        let mut faults = Vec::new();
        while !done.load(Ordering::Acquire) {
            node.backing.take_faults(&mut faults).unwrap();
            for fault in faults.drain(..) {
                node.backing.map(fault.page, Rights::Write).unwrap();
                node.backing.wake(fault.page).unwrap();
            }
            thread::yield_now();
        }
        body.join().unwrap()
    })
}

#[test]
fn guest_memory_fetches_what_is_touched_on_both_sides_of_a_hole() {
    let test = "view::guest_memory_fetches_what_is_touched_on_both_sides_of_a_hole";
    let Some(mut node) = Served::open(test, Choice::Auto, 8, K4) else {
        return;
    };
    let high = GuestAddress(1 << 32);
    let regions = [(GuestAddress(0), pages(0, 3)), (high, pages(3, 8))];
    let memory = DsmMemory::new(&node.mapping, regions).unwrap();
    let read = with_faults_served(&mut node, || {
        // As a device would, across a page's end.
        memory
            .write_obj(0x1122_3344_5566_7788_u64, GuestAddress(0xffc))
            .unwrap();
        memory
            .write_slice(b"high", GuestAddress(high.0 + 0x2000))
            .unwrap();
        memory.read_obj::<u32>(GuestAddress(0x1000)).unwrap()
    });
    assert_eq!(read, 0x1122_3344);
    node.backing.protect(PageIndex(5)).unwrap();
    assert_eq!(&node.backing.frame(PageIndex(5)).unwrap()[..4], b"high");
    assert_eq!(memory.num_regions(), 2);
    assert!(!GuestMemory::check_range(
        &memory,
        GuestAddress(0x2fff),
        2,
        Permissions::Read
    ));
}

#[test]
fn guest_regions_that_do_not_fit_are_refused() {
    let test = "view::guest_regions_that_do_not_fit_are_refused";
    let Some(node) = Served::open(test, Choice::Auto, 8, K4) else {
        return;
    };
    let new = |regions: &[_]| DsmMemory::new(&node.mapping, regions.iter().copied());
    let zero = GuestAddress(0);
    let outside = new(&[(zero, pages(4, 9))]);
    assert!(matches!(outside, Err(ViewError::NoSuchPages { .. })));
    let empty = new(&[(zero, pages(4, 4))]);
    assert!(matches!(empty, Err(ViewError::NoSuchPages { .. })));
    let odd = new(&[(GuestAddress(0x800), pages(0, 1))]);
    assert!(matches!(odd, Err(ViewError::Address { .. })));
    let end = GuestAddress(!0xfff);
    let past = new(&[(end, pages(0, 2))]);
    assert!(matches!(past, Err(ViewError::Address { .. })));
    assert!(matches!(new(&[]), Err(ViewError::Layout(_))));
    let overlap = new(&[(zero, pages(0, 2)), (GuestAddress(0x1000), pages(2, 4))]);
    assert!(matches!(overlap, Err(ViewError::Layout(_))));
}

#[test]
fn the_mapping_lives_as_long_as_any_view_of_it() {
    let test = "view::the_mapping_lives_as_long_as_any_view_of_it";
    let Some(node) = Served::open(test, Choice::Auto, 8, K4) else {
        return;
    };
    let alive = Arc::downgrade(&node.mapping);
    let memory = DsmMemory::new(&node.mapping, [(GuestAddress(0), pages(0, 4))]).unwrap();
    let region = Region::<AtomicU64>::new(&node.mapping, PageIndex(4)).unwrap();
    drop(node);
    drop(memory);
    assert!(alive.upgrade().is_some());
    drop(region);
    assert!(alive.upgrade().is_none());
}

#[derive(FromBytes)]
#[repr(C)]
struct Shared {
    sum: OwnPages<Lock<u64>>,
    meet: OwnPages<Barrier>,
    hits: AtomicU64,
}

#[test]
fn threads_share_a_value_with_a_lock_and_a_barrier_from_zeroed_pages() {
    let test = "view::threads_share_a_value_with_a_lock_and_a_barrier_from_zeroed_pages";
    let Some(mut node) = Served::open(test, Choice::Auto, 8, K4) else {
        return;
    };
    let shared = Region::<Shared>::new(&node.mapping, PageIndex(1)).unwrap();
    assert_eq!(shared.pages(), pages(1, 4));
    with_faults_served(&mut node, || {
        thread::scope(|scope| {
            for _ in 0..3 {
                let shared = shared.clone();
                scope.spawn(move || {
                    for _ in 0..100 {
                        *shared.sum.lock() += 1;
                        shared.hits.fetch_add(1, Ordering::Relaxed);
                    }
                    shared.meet.wait(3);
                    assert_eq!(*shared.sum.lock(), 300);
                    assert_eq!(shared.hits.load(Ordering::Relaxed), 300);
                });
            }
        });
    });
}

#[test]
fn the_same_pages_are_had_as_one_type_only() {
    let test = "view::the_same_pages_are_had_as_one_type_only";
    let Some(node) = Served::open(test, Choice::Auto, 4, K4) else {
        return;
    };
    let at = PageIndex;
    assert!(Region::<AtomicU64>::new(&node.mapping, at(0)).is_ok());
    assert!(Region::<AtomicU64>::new(&node.mapping, at(0)).is_ok());
    let other = Region::<Lock<u64>>::new(&node.mapping, at(0));
    assert!(matches!(other, Err(RegionError::Claimed(_))));
    let bytes = DsmMemory::new(&node.mapping, [(GuestAddress(0), pages(0, 2))]);
    assert!(matches!(bytes, Err(ViewError::Claimed(_))));
    let outside = Region::<[AtomicU64; 513]>::new(&node.mapping, at(3));
    assert!(matches!(outside, Err(RegionError::TooSmall { .. })));
    let nowhere = Region::<AtomicU64>::new(&node.mapping, at(u64::MAX));
    assert!(matches!(nowhere, Err(RegionError::TooSmall { .. })));
}
