//! The kernel's behaviour that the backings rest on, each fact by a test of its own.
//!
//! Asynchronous page faults of KVM are the virtual CPU's affair and tested with it.

use std::thread;
use std::time::Duration;

use giantvm_dsm::uffd::{CreateError, Event, FaultKind, Features, Outcome, Protect, Support};
use giantvm_dsm::uffd::{Uffd, Wake};
use linux_raw_sys::general::UFFD_FEATURE_EVENT_REMOVE;
use rustix::mm::Advice;

use crate::raw::{self, MISSING, MISSING_MINOR, MISSING_WP, Memory, WP, page_of};
use crate::support::{SIGBUS, join, signal_of_child};

const SHARED: Features = Features::MISSING_SHMEM.union(Features::MINOR_SHMEM);

/// Long enough for a thread that is free to go to end, on most runs. Too short only ever hides a
/// failure.
fn a_while() {
    thread::sleep(Duration::from_millis(20));
}

#[test]
fn a_protected_copy_leaves_no_moment_to_write_unseen() {
    let test = "facts::a_protected_copy_leaves_no_moment_to_write_unseen";
    let Some(uffd) = raw::uffd(test, Features::WP) else {
        return;
    };
    const PAGES: usize = 200;
    let memory = Memory::private(PAGES);
    memory.register(&uffd, MISSING_WP);
    for page in 0..PAGES {
        let writer = memory.writer(page, 1);
        raw::expect(&uffd, memory.page(page), FaultKind::Missing, true);
        let data = page_of(7);
        let copied = uffd.copy(memory.page(page), &data, Protect::Write, Wake::Yes);
        assert_eq!(copied.unwrap(), Outcome::Done);
        raw::expect(&uffd, memory.page(page), FaultKind::WriteProtect, true);
        assert_eq!(memory.load(page), 7);
        let freed = uffd.write_protect(memory.page(page), Protect::None, Wake::Yes);
        assert_eq!(freed.unwrap(), Outcome::Done);
        assert_eq!(join(writer), 7);
    }
}

#[test]
fn dontneed_on_shared_memory_without_minor_faults_leaves_the_stale_page() {
    let test = "facts::dontneed_on_shared_memory_without_minor_faults_leaves_the_stale_page";
    let Some(uffd) = raw::uffd(test, SHARED) else {
        return;
    };
    let memory = Memory::shared(&raw::file(1), 1);
    memory.register(&uffd, MISSING);
    let data = page_of(5);
    let copied = uffd.copy(memory.page(0), &data, Protect::None, Wake::Yes);
    assert_eq!(copied.unwrap(), Outcome::Done);
    memory.advise(0, 1, Advice::LinuxDontNeed);
    assert_eq!(join(memory.reader(0)), 5, "no event, the old bytes");
    assert!(raw::quiet(&uffd));
    memory.advise(0, 1, Advice::LinuxRemove);
    let reader = memory.reader(0);
    raw::expect(&uffd, memory.page(0), FaultKind::Missing, false);
    let zeroes = uffd.zeropage(memory.page(0), Wake::Yes);
    assert_eq!(zeroes.unwrap(), Outcome::Done);
    assert_eq!(join(reader), 0);
}

#[test]
fn dontneed_on_shared_memory_with_minor_faults_makes_the_next_access_fault() {
    let test = "facts::dontneed_on_shared_memory_with_minor_faults_makes_the_next_access_fault";
    let Some(uffd) = raw::uffd(test, SHARED) else {
        return;
    };
    let memory = Memory::shared(&raw::file(1), 1);
    memory.register(&uffd, MISSING_MINOR);
    let data = page_of(5);
    let copied = uffd.copy(memory.page(0), &data, Protect::None, Wake::Yes);
    assert_eq!(copied.unwrap(), Outcome::Done);
    memory.advise(0, 1, Advice::LinuxDontNeed);
    let reader = memory.reader(0);
    raw::expect(&uffd, memory.page(0), FaultKind::Minor, false);
    let mapped = uffd.continue_(memory.page(0), Protect::None, Wake::Yes);
    assert_eq!(mapped.unwrap(), Outcome::Done);
    assert_eq!(join(reader), 5, "the bytes stayed in the file");
}

#[test]
fn dontneed_on_private_memory_makes_the_next_access_fault() {
    let test = "facts::dontneed_on_private_memory_makes_the_next_access_fault";
    let Some(uffd) = raw::uffd(test, Features::NONE) else {
        return;
    };
    let memory = Memory::private(1);
    memory.register(&uffd, MISSING);
    let data = page_of(5);
    let copied = uffd.copy(memory.page(0), &data, Protect::None, Wake::Yes);
    assert_eq!(copied.unwrap(), Outcome::Done);
    memory.advise(0, 1, Advice::LinuxDontNeed);
    let writer = memory.writer(0, 1);
    raw::expect(&uffd, memory.page(0), FaultKind::Missing, true);
    let zeroes = uffd.zeropage(memory.page(0), Wake::Yes);
    assert_eq!(zeroes.unwrap(), Outcome::Done);
    assert_eq!(join(writer), 0, "the bytes are gone");
}

#[test]
fn a_write_through_an_alias_raises_no_event_and_ignores_protection() {
    let test = "facts::a_write_through_an_alias_raises_no_event_and_ignores_protection";
    let features = SHARED | Features::WP_SHMEM | Features::WP;
    let Some(uffd) = raw::uffd(test, features) else {
        return;
    };
    let file = raw::file(1);
    let (memory, alias) = (Memory::shared(&file, 1), Memory::shared(&file, 1));
    memory.register(&uffd, MISSING_WP);
    assert_eq!(join(alias.writer(0, 1)), 0);
    assert_eq!(join(memory.reader(0)), 1, "no MISSING event");
    let protected = uffd.write_protect(memory.page(0), Protect::Write, Wake::No);
    assert_eq!(protected.unwrap(), Outcome::Done);
    assert_eq!(join(alias.writer(0, 2)), 1);
    assert_eq!(memory.load(0), 2, "protected, and yet it changed");
    assert!(raw::quiet(&uffd));
}

#[test]
fn closing_the_descriptor_ends_a_waiting_read_with_zeroes() {
    let test = "facts::closing_the_descriptor_ends_a_waiting_read_with_zeroes";
    let Some(uffd) = raw::uffd(test, Features::NONE) else {
        return;
    };
    let memory = Memory::private(1);
    memory.register(&uffd, MISSING);
    let reader = memory.reader(0);
    raw::expect(&uffd, memory.page(0), FaultKind::Missing, false);
    a_while();
    assert!(!reader.is_finished(), "unanswered, a fault waits");
    drop(uffd);
    assert_eq!(join(reader), 0);
}

#[test]
fn a_copy_onto_a_present_page_is_told_and_wakes_no_one() {
    let test = "facts::a_copy_onto_a_present_page_is_told_and_wakes_no_one";
    let Some(uffd) = raw::uffd(test, Features::NONE) else {
        return;
    };
    let memory = Memory::private(2);
    memory.register(&uffd, MISSING);
    let reader = memory.reader(1);
    raw::expect(&uffd, memory.page(1), FaultKind::Missing, false);
    let copy = |word, wake| uffd.copy(memory.page(1), &page_of(word), Protect::None, wake);
    assert_eq!(copy(1, Wake::No).unwrap(), Outcome::Done);
    let again = copy(2, Wake::Yes).unwrap();
    assert_eq!(again, Outcome::AlreadyPresent { at: 0 });
    a_while();
    assert!(!reader.is_finished(), "it has to be woken");
    uffd.wake(memory.page(1)).unwrap();
    assert_eq!(join(reader), 1);
}

#[test]
fn a_range_that_is_there_in_part_is_done_up_to_that_part() {
    let test = "facts::a_range_that_is_there_in_part_is_done_up_to_that_part";
    let Some(uffd) = raw::uffd(test, Features::NONE) else {
        return;
    };
    let memory = Memory::private(4);
    memory.register(&uffd, MISSING);
    let one = uffd.copy(memory.page(2), &page_of(1), Protect::None, Wake::No);
    assert_eq!(one.unwrap(), Outcome::Done);
    let data = [page_of(2), page_of(2), page_of(2), page_of(2)].concat();
    let copy = |first: usize| {
        let data = &data[first * raw::PAGE..];
        uffd.copy(
            memory.pages(first, 4 - first),
            data,
            Protect::None,
            Wake::No,
        )
    };
    assert_eq!(copy(0).unwrap(), Outcome::Retry { at: 2 * raw::PAGE });
    assert_eq!(copy(2).unwrap(), Outcome::AlreadyPresent { at: 0 });
    assert_eq!(copy(3).unwrap(), Outcome::Done);
}

#[test]
fn an_access_to_a_poisoned_page_ends_in_sigbus() {
    let test = "facts::an_access_to_a_poisoned_page_ends_in_sigbus";
    if raw::uffd(test, Features::POISON).is_none() {
        return;
    }
    let signal = signal_of_child(test, "", || {
        let uffd = Uffd::create(Features::POISON, Features::NONE).unwrap();
        let memory = Memory::private(1);
        memory.register(&uffd, MISSING);
        let poisoned = uffd.poison(memory.page(0), Wake::Yes);
        assert_eq!(poisoned.unwrap(), Outcome::Done);
        memory.load(0);
    });
    assert_eq!(signal, Some(SIGBUS));
}

#[test]
fn protecting_an_untouched_private_page_does_nothing_unless_asked_for() {
    let test = "facts::protecting_an_untouched_private_page_does_nothing_unless_asked_for";
    let protect_and_write = |uffd: &Uffd| {
        let memory = Memory::private(1);
        memory.register(uffd, WP);
        let protected = uffd.write_protect(memory.page(0), Protect::Write, Wake::No);
        assert_eq!(protected.unwrap(), Outcome::Done);
        (memory.page(0), memory.writer(0, 1))
    };
    let Some(uffd) = raw::uffd(test, Features::WP) else {
        return;
    };
    assert_eq!(join(protect_and_write(&uffd).1), 0);
    assert!(raw::quiet(&uffd), "skipped in silence");

    let Some(uffd) = raw::uffd(test, Features::WP | Features::WP_UNPOPULATED) else {
        return;
    };
    let (page, writer) = protect_and_write(&uffd);
    raw::expect(&uffd, page, FaultKind::WriteProtect, true);
    let freed = uffd.write_protect(page, Protect::None, Wake::Yes);
    assert_eq!(freed.unwrap(), Outcome::Done);
    join(writer);
}

#[test]
fn features_the_kernel_lacks_are_named_and_the_others_enabled() {
    let test = "facts::features_the_kernel_lacks_are_named_and_the_others_enabled";
    let Some(uffd) = raw::uffd(test, Features::WP) else {
        return;
    };
    assert!(uffd.features().contains(Features::WP));
    let unknown = Features::from_bits(1 << 63);
    match Uffd::create(Features::WP | unknown, Features::NONE) {
        Err(CreateError::Lacks(lacks)) => assert_eq!(lacks, unknown),
        other => panic!("{other:?}"),
    }
    let optional = Uffd::create(Features::WP, unknown).unwrap();
    assert!(!optional.features().contains(unknown));
}

#[test]
fn a_copy_while_the_address_space_changes_is_to_be_tried_again() {
    let test = "facts::a_copy_while_the_address_space_changes_is_to_be_tried_again";
    let removal = Features::from_bits(u64::from(UFFD_FEATURE_EVENT_REMOVE));
    let Some(uffd) = raw::uffd(test, removal) else {
        return;
    };
    let memory = Memory::private(2);
    memory.register(&uffd, MISSING);
    let copy = || uffd.copy(memory.page(0), &page_of(3), Protect::None, Wake::Yes);
    // It waits for its event to be read, and the address space counts as changing until then.
    let remover = thread::spawn(move || memory.advise(1, 1, Advice::LinuxDontNeed));
    raw::wait_ready(&uffd);
    assert_eq!(copy().unwrap(), Outcome::Retry { at: 0 });
    assert!(matches!(raw::event(&uffd), Event::Other(_)));
    join(remover);
    assert_eq!(copy().unwrap(), Outcome::Done);
}

#[test]
fn this_host_is_described_by_what_works_on_it() {
    let support = Support::probe();
    let checks = support.checks();
    assert_eq!(checks.len(), 4);
    assert!(checks.iter().all(|check| !check.detail.is_empty()));
    assert_eq!(checks[0].ok, support.features().is_ok());
    assert_eq!(checks[1].ok, support.missing());
    assert_eq!(checks[2].ok, support.minor());
}
