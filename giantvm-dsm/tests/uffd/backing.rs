//! One suite of behaviour that both userfaultfd backings pass, with threads that really fault.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use giantvm_core::{PageIndex, PageSize};
use giantvm_dsm::backing::{BackingError, Choice};
use giantvm_dsm::protocol::{Access, FrameFate, Rights};

use crate::support::{SIGBUS, SIGSEGV, Served, join, signal_of_child, word};

macro_rules! suite {
    ($($test:ident)*) => {
        mod minor {
            $(#[test] fn $test() {
                super::$test(concat!("backing::minor::", stringify!($test)), super::Choice::Minor);
            })*
        }
        mod missing {
            $(#[test] fn $test() {
                super::$test(concat!("backing::missing::", stringify!($test)), super::Choice::Missing);
            })*
        }
    };
}

suite! {
    a_read_waits_for_the_page_and_sees_its_bytes
    a_write_waits_for_the_page_and_its_value_is_in_the_frame
    a_page_mapped_as_zeroes_hides_what_its_frame_held
    a_write_to_a_readable_page_waits_for_the_upgrade
    a_downgrade_stops_the_writer_and_not_the_reader
    an_unmapped_page_faults_again_and_gets_the_new_bytes
    the_bytes_of_an_unmapped_page_can_be_sent
    pages_taken_together_go_and_the_others_stay
    the_bytes_of_pages_taken_together_can_be_sent
    pages_protected_together_can_be_read_and_those_beside_them_written
    no_increment_is_lost_on_a_page_between_those_that_are_taken
    mapping_a_mapped_page_sets_the_rights_asked_for
    nobody_is_woken_before_wake
    a_page_of_several_host_pages_comes_as_one
    commands_that_do_not_fit_the_state_are_refused
    an_access_to_a_poisoned_page_ends_in_sigbus
    a_waiting_thread_sees_a_poisoning
    when_the_backing_goes_no_access_ends_well
    no_increment_is_lost_while_pages_come_and_go
}

const K4: PageSize = PageSize::K4;

fn a_read_waits_for_the_page_and_sees_its_bytes(test: &str, choice: Choice) {
    let Some(mut node) = Served::open(test, choice, 8, K4) else {
        return;
    };
    let reader = node.reader(3);
    node.expect(3, Access::Read);
    node.give(3, 0x1234, Rights::Read);
    assert_eq!(join(reader), 0x1234);
    assert_eq!(node.frame(3), 0x1234);
}

fn a_write_waits_for_the_page_and_its_value_is_in_the_frame(test: &str, choice: Choice) {
    let Some(mut node) = Served::open(test, choice, 8, K4) else {
        return;
    };
    let writer = node.writer(7, 5);
    node.expect(7, Access::Write);
    node.backing.map_zero(PageIndex(7), Rights::Write).unwrap();
    node.backing.wake(PageIndex(7)).unwrap();
    assert_eq!(join(writer), 0);
    node.backing.protect(PageIndex(7)).unwrap();
    assert_eq!(node.frame(7), 5);
}

fn a_page_mapped_as_zeroes_hides_what_its_frame_held(test: &str, choice: Choice) {
    let Some(mut node) = Served::open(test, choice, 1, K4) else {
        return;
    };
    node.give(0, 77, Rights::Write);
    node.backing.unmap(PageIndex(0), FrameFate::Drop).unwrap();
    node.backing.map_zero(PageIndex(0), Rights::Read).unwrap();
    assert_eq!(join(node.reader(0)), 0);
    assert_eq!(node.frame(0), 0);
    let writer = node.writer(0, 1);
    node.expect(0, Access::Write);
    node.backing.unprotect(PageIndex(0)).unwrap();
    node.backing.wake(PageIndex(0)).unwrap();
    assert_eq!(join(writer), 0);
}

fn a_write_to_a_readable_page_waits_for_the_upgrade(test: &str, choice: Choice) {
    let Some(mut node) = Served::open(test, choice, 4, K4) else {
        return;
    };
    node.give(1, 10, Rights::Read);
    let writer = node.writer(1, 11);
    node.expect(1, Access::Write);
    assert_eq!(node.frame(1), 10, "the store has to wait");
    node.backing.unprotect(PageIndex(1)).unwrap();
    node.backing.wake(PageIndex(1)).unwrap();
    assert_eq!(join(writer), 10);
    assert_eq!(join(node.reader(1)), 11);
}

/// Takes the mapping of page 1 away as the system may.
fn suspend(node: &mut Served) {
    node.backing.suspend(&[PageIndex(1)]).unwrap();
}

#[test]
fn a_suspended_page_faults_and_every_command_does_what_it_does_with_a_mapped_one() {
    let test = "a_suspended_page_faults_and_every_command_does_what_it_does_with_a_mapped_one";
    let Some(mut node) = Served::open(test, Choice::Minor, 4, K4) else {
        return;
    };
    let page = PageIndex(1);
    node.give(1, 10, Rights::Write);
    suspend(&mut node);
    let writer = node.writer(1, 11);
    node.expect(1, Access::Write);
    node.backing.map(page, Rights::Write).unwrap();
    node.backing.wake(page).unwrap();
    assert_eq!(join(writer), 10);
    suspend(&mut node);
    node.backing.protect(page).unwrap();
    assert_eq!(node.frame(1), 11);
    let reader = node.reader(1);
    node.expect(1, Access::Read);
    node.backing.map(page, Rights::Read).unwrap();
    node.backing.wake(page).unwrap();
    assert_eq!(join(reader), 11);
    let writer = node.writer(1, 12);
    node.expect(1, Access::Write);
    suspend(&mut node);
    node.backing.unprotect(page).unwrap();
    node.backing.wake(page).unwrap();
    // It may write now, but the page is not there.
    node.expect(1, Access::Write);
    node.backing.map(page, Rights::Write).unwrap();
    node.backing.wake(page).unwrap();
    assert_eq!(join(writer), 11);
    suspend(&mut node);
    node.backing.unmap(page, FrameFate::Keep).unwrap();
    assert_eq!(node.frame(1), 12);
}

#[test]
fn a_released_page_takes_no_memory_and_can_be_used_again() {
    let test = "a_released_page_takes_no_memory_and_can_be_used_again";
    let Some(mut node) = Served::open(test, Choice::Minor, 4, K4) else {
        return;
    };
    let pages = [1, 2].map(PageIndex);
    node.give(1, 10, Rights::Write);
    node.give(2, 20, Rights::Write);
    let refused = node.backing.release(&pages);
    assert!(refused.is_err(), "they are mapped");
    for page in pages {
        node.backing.unmap(page, FrameFate::Drop).unwrap();
    }
    node.backing.release(&pages).unwrap();
    assert_eq!(node.frame(1), 0, "the bytes are gone");
    node.backing.map_zero(pages[0], Rights::Read).unwrap();
    assert_eq!(join(node.reader(1)), 0);
    node.give(2, 21, Rights::Read);
    assert_eq!(join(node.reader(2)), 21);
}

fn a_downgrade_stops_the_writer_and_not_the_reader(test: &str, choice: Choice) {
    let Some(mut node) = Served::open(test, choice, 4, K4) else {
        return;
    };
    node.give(2, 1, Rights::Write);
    assert_eq!(join(node.writer(2, 2)), 1);
    node.backing.protect(PageIndex(2)).unwrap();
    let writer = node.writer(2, 3);
    node.expect(2, Access::Write);
    assert_eq!(join(node.reader(2)), 2);
    assert_eq!(node.frame(2), 2);
    node.backing.unprotect(PageIndex(2)).unwrap();
    node.backing.wake(PageIndex(2)).unwrap();
    assert_eq!(join(writer), 2);
}

fn an_unmapped_page_faults_again_and_gets_the_new_bytes(test: &str, choice: Choice) {
    let Some(mut node) = Served::open(test, choice, 4, K4) else {
        return;
    };
    for (old_rights, word) in [(Rights::Read, 1), (Rights::Write, 2), (Rights::Read, 3)] {
        node.give(0, word, old_rights);
        assert_eq!(join(node.reader(0)), word);
        node.backing.unmap(PageIndex(0), FrameFate::Drop).unwrap();
        let reader = node.reader(0);
        node.expect(0, Access::Read);
        node.give(0, word + 100, Rights::Read);
        assert_eq!(join(reader), word + 100);
        node.backing.unmap(PageIndex(0), FrameFate::Drop).unwrap();
    }
}

fn the_bytes_of_an_unmapped_page_can_be_sent(test: &str, choice: Choice) {
    let Some(mut node) = Served::open(test, choice, 4, K4) else {
        return;
    };
    assert_eq!(node.frame(1), 0, "an untouched page is zero");
    node.give(1, 6, Rights::Write);
    assert_eq!(join(node.writer(1, 7)), 6);
    node.backing.unmap(PageIndex(1), FrameFate::Keep).unwrap();
    assert_eq!(node.frame(1), 7);
}

fn pages_protected_together_can_be_read_and_those_beside_them_written(test: &str, choice: Choice) {
    let Some(mut node) = Served::open(test, choice, 12, K4) else {
        return;
    };
    (0..12).for_each(|page| node.give(page, page + 100, Rights::Write));
    let protected = [2, 3, 4, 9, 7];
    node.backing.protect_all(&protected.map(PageIndex)).unwrap();
    node.backing.protect_all(&[]).unwrap();
    for page in 0..12 {
        let at = usize::try_from(page).unwrap();
        assert_eq!(join(node.reader(at)), page + 100);
        let writer = node.writer(at, 1);
        if protected.contains(&page) {
            node.expect(page, Access::Write);
            assert_eq!(node.frame(page), page + 100);
            node.backing.unprotect_and_wake(PageIndex(page)).unwrap();
        }
        assert_eq!(join(writer), page + 100);
    }
    let outside = [10, 11, 12].map(PageIndex);
    assert!(node.backing.protect_all(&outside).is_err());
}

fn pages_taken_together_go_and_the_others_stay(test: &str, choice: Choice) {
    let Some(mut node) = Served::open(test, choice, 16, K4) else {
        return;
    };
    let taken = [2, 4, 5, 6, 9];
    for page in 0..12 {
        let rights = match page % 2 {
            0 => Rights::Write,
            _ => Rights::Read,
        };
        node.give(page, page + 100, rights);
    }
    // A page that is not mapped may be among them.
    let all = [9, 2, 4, 5, 6, 14].map(PageIndex);
    node.backing.unmap_all(&all, FrameFate::Drop).unwrap();
    node.backing.unmap_all(&[], FrameFate::Drop).unwrap();
    for page in (0..12).filter(|page| !taken.contains(page)) {
        let reader = node.reader(usize::try_from(page).unwrap());
        assert_eq!(join(reader), page + 100, "page {page} stays");
    }
    assert_eq!(join(node.writer(8, 1)), 108, "with its rights");
    let writer = node.writer(7, 1);
    node.expect(7, Access::Write);
    node.backing.unprotect_and_wake(PageIndex(7)).unwrap();
    assert_eq!(join(writer), 107);
    for page in taken {
        let reader = node.reader(usize::try_from(page).unwrap());
        node.expect(page, Access::Read);
        node.give(page, page + 200, Rights::Read);
        assert_eq!(join(reader), page + 200);
    }
}

fn no_increment_is_lost_on_a_page_between_those_that_are_taken(test: &str, choice: Choice) {
    const ROUNDS: u64 = 500;
    let Some(mut node) = Served::open(test, choice, 4, K4) else {
        return;
    };
    node.give(1, 0, Rights::Write);
    let (mapping, done) = (node.mapping.clone(), Arc::new(AtomicBool::new(false)));
    let counter = thread::spawn({
        let (done, offset) = (done.clone(), node.size());
        move || {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) {
                word(&mapping, offset).fetch_add(1, Ordering::Relaxed);
                count += 1;
            }
            count
        }
    });
    let serve = |node: &mut Served| {
        // Without waiting: there need not be any.
        let mut faults = Vec::new();
        node.backing.take_faults(&mut faults).unwrap();
        for fault in faults {
            // It is mapped: only an access while its neighbours went could tell.
            assert_eq!(fault.page, PageIndex(1));
            node.backing.map(fault.page, Rights::Write).unwrap();
            node.backing.wake(fault.page).unwrap();
        }
    };
    for round in 0..ROUNDS {
        for page in [0, 2] {
            node.give(page, round, Rights::Write);
        }
        let taken = [0, 2].map(PageIndex);
        node.backing.unmap_all(&taken, FrameFate::Drop).unwrap();
        serve(&mut node);
    }
    done.store(true, Ordering::Relaxed);
    while !counter.is_finished() {
        serve(&mut node);
    }
    let count = join(counter);
    node.backing.protect(PageIndex(1)).unwrap();
    assert_eq!(node.frame(1), count);
}

fn the_bytes_of_pages_taken_together_can_be_sent(test: &str, choice: Choice) {
    let Some(mut node) = Served::open(test, choice, 16, K4) else {
        return;
    };
    let taken = [1, 3, 8];
    for page in taken {
        node.give(page, 0, Rights::Write);
        let at = usize::try_from(page).unwrap();
        join(node.writer(at, page + 7));
    }
    let pages = taken.map(PageIndex);
    node.backing.unmap_all(&pages, FrameFate::Keep).unwrap();
    for page in taken {
        assert_eq!(node.frame(page), page + 7);
    }
}

fn mapping_a_mapped_page_sets_the_rights_asked_for(test: &str, choice: Choice) {
    let Some(mut node) = Served::open(test, choice, 4, K4) else {
        return;
    };
    node.give(0, 1, Rights::Read);
    node.backing.map(PageIndex(0), Rights::Write).unwrap();
    assert_eq!(join(node.writer(0, 2)), 1);
    node.backing.map(PageIndex(0), Rights::Read).unwrap();
    let writer = node.writer(0, 3);
    node.expect(0, Access::Write);
    assert_eq!(node.frame(0), 2);
    node.backing.map(PageIndex(0), Rights::Write).unwrap();
    node.backing.wake(PageIndex(0)).unwrap();
    assert_eq!(join(writer), 2);
}

fn nobody_is_woken_before_wake(test: &str, choice: Choice) {
    let Some(mut node) = Served::open(test, choice, 2, K4) else {
        return;
    };
    let reader = node.reader(0);
    node.expect(0, Access::Read);
    node.backing.map_zero(PageIndex(0), Rights::Read).unwrap();
    let writer = node.writer(0, 1);
    node.expect(0, Access::Write);
    node.backing.unprotect(PageIndex(0)).unwrap();
    // Long enough for a woken thread to end on most runs; too short only ever hides a failure.
    thread::sleep(Duration::from_millis(20));
    assert!(!reader.is_finished() && !writer.is_finished());
    node.backing.wake(PageIndex(0)).unwrap();
    join(reader);
    join(writer);
}

fn a_page_of_several_host_pages_comes_as_one(test: &str, choice: Choice) {
    let size = PageSize::new(64 << 10).unwrap();
    let Some(mut node) = Served::open(test, choice, 3, size) else {
        return;
    };
    let last = 2 * size.bytes() - 8;
    let mapping = node.mapping.clone();
    let reader = thread::spawn(move || word(&mapping, last).load(Ordering::Relaxed));
    node.expect(1, Access::Read);
    node.give(1, 42, Rights::Read);
    assert_eq!(join(reader), 42);
    assert_eq!(
        word(&node.mapping, size.bytes()).load(Ordering::Relaxed),
        42
    );
    let writer = node.writer(1, 43);
    node.expect(1, Access::Write);
    node.backing.unmap(PageIndex(1), FrameFate::Keep).unwrap();
    node.backing.wake(PageIndex(1)).unwrap();
    node.expect(1, Access::Write);
    node.give(1, 44, Rights::Write);
    assert_eq!(join(writer), 44);
}

fn commands_that_do_not_fit_the_state_are_refused(test: &str, choice: Choice) {
    let Some(mut node) = Served::open(test, choice, 2, K4) else {
        return;
    };
    let (page, outside) = (PageIndex(0), PageIndex(2));
    let refused = |result: Result<(), BackingError>| {
        assert!(
            matches!(result, Err(BackingError::Misuse { .. })),
            "{result:?}"
        );
    };
    let zeroes = vec![0; K4.bytes()];
    refused(node.backing.map(outside, Rights::Read));
    refused(node.backing.store(outside, &zeroes));
    refused(node.backing.store(page, &zeroes[1..]));
    refused(node.backing.protect(page));
    refused(node.backing.unprotect(page));
    node.backing.map_zero(page, Rights::Write).unwrap();
    refused(node.backing.store(page, &zeroes));
    refused(node.backing.map_zero(page, Rights::Write));
    refused(node.backing.frame(page).map(|_| ()));
    node.backing.poison(page).unwrap();
    refused(node.backing.map(page, Rights::Read));
    refused(node.backing.unmap(page, FrameFate::Drop));
    refused(node.backing.frame(page).map(|_| ()));
    node.backing.poison(page).unwrap();
}

fn an_access_to_a_poisoned_page_ends_in_sigbus(test: &str, choice: Choice) {
    if Served::open(test, choice, 2, K4).is_none() {
        return;
    }
    let variants = [
        ("unmapped", None),
        ("readable", Some(Rights::Read)),
        ("writable", Some(Rights::Write)),
    ];
    let signals = variants.map(|(variant, rights)| {
        signal_of_child(test, variant, || {
            let mut node = Served::open(test, choice, 2, K4).unwrap();
            if let Some(rights) = rights {
                node.give(0, 1, rights);
            }
            node.backing.poison(PageIndex(0)).unwrap();
            word(&node.mapping, 0).load(Ordering::Relaxed);
        })
    });
    assert_eq!(signals, [Some(SIGBUS); 3]);
}

fn a_waiting_thread_sees_a_poisoning(test: &str, choice: Choice) {
    if Served::open(test, choice, 2, K4).is_none() {
        return;
    }
    let signal = signal_of_child(test, "", || {
        let mut node = Served::open(test, choice, 2, K4).unwrap();
        let reader = node.reader(1);
        node.expect(1, Access::Read);
        node.backing.poison(PageIndex(1)).unwrap();
        join(reader);
    });
    assert_eq!(signal, Some(SIGBUS));
}

fn when_the_backing_goes_no_access_ends_well(test: &str, choice: Choice) {
    if Served::open(test, choice, 2, K4).is_none() {
        return;
    }
    let signal = signal_of_child(test, "", || {
        let mut node = Served::open(test, choice, 2, K4).unwrap();
        let reader = node.reader(1);
        node.expect(1, Access::Read);
        drop(node.backing);
        let read = join(reader);
        eprintln!("read {read} from memory that no one serves");
    });
    assert_eq!(signal, Some(SIGSEGV));
}

fn no_increment_is_lost_while_pages_come_and_go(test: &str, choice: Choice) {
    const PAGES: usize = 8;
    const THREADS: usize = 4;
    const ROUNDS: usize = 2000;
    let Some(mut node) = Served::open(test, choice, PAGES as u64, K4) else {
        return;
    };
    let mut remote = vec![vec![0_u8; K4.bytes()]; PAGES];
    let mut held = [None; PAGES];
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let mapping = node.mapping.clone();
            thread::spawn(move || {
                for round in 0..ROUNDS {
                    let offset = (round * 5 + thread) % PAGES * K4.bytes();
                    word(&mapping, offset).load(Ordering::Relaxed);
                    word(&mapping, offset + 8 * thread).fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let done = Arc::new(AtomicBool::new(false));
    let joiner = thread::spawn({
        let done = done.clone();
        move || {
            let ends: Vec<_> = threads.into_iter().map(thread::JoinHandle::join).collect();
            done.store(true, Ordering::Release);
            ends.into_iter().for_each(|end| end.unwrap());
        }
    });
    // Plays the protocol: grants what is asked for and takes one other page away each time.
    let mut faults = Vec::new();
    let mut next = 0;
    while !done.load(Ordering::Acquire) {
        node.backing.take_faults(&mut faults).unwrap();
        for fault in faults.drain(..) {
            let index = usize::try_from(fault.page.0).unwrap();
            match (held[index], fault.access) {
                (None, access) => {
                    let rights = match access {
                        Access::Read => Rights::Read,
                        Access::Write => Rights::Write,
                    };
                    node.backing.store(fault.page, &remote[index]).unwrap();
                    node.backing.map(fault.page, rights).unwrap();
                    held[index] = Some(rights);
                }
                (Some(Rights::Read), Access::Write) => {
                    node.backing.unprotect(fault.page).unwrap();
                    held[index] = Some(Rights::Write);
                }
                (Some(rights), _) => node.backing.map(fault.page, rights).unwrap(),
            }
            node.backing.wake(fault.page).unwrap();
        }
        next = (next + 1) % PAGES;
        let page = PageIndex(next as u64);
        match held[next] {
            Some(Rights::Write) if next.is_multiple_of(2) => {
                node.backing.protect(page).unwrap();
                held[next] = Some(Rights::Read);
            }
            Some(_) => {
                node.backing.unmap(page, FrameFate::Keep).unwrap();
                remote[next].copy_from_slice(node.backing.frame(page).unwrap());
                held[next] = None;
            }
            None => {}
        }
    }
    join(joiner);
    let mut total = 0;
    for index in 0..PAGES {
        let page = PageIndex(index as u64);
        if held[index].is_some() {
            node.backing.unmap(page, FrameFate::Keep).unwrap();
            remote[index].copy_from_slice(node.backing.frame(page).unwrap());
        }
        let (words, _) = remote[index].as_chunks::<8>();
        total += words.iter().copied().map(u64::from_ne_bytes).sum::<u64>();
    }
    assert_eq!(total, (THREADS * ROUNDS) as u64);
}
