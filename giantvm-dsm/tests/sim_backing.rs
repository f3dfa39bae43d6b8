//! The simulated backing: which commands it refuses, and what its threads see.

use std::time::Duration;

use giantvm_core::{PageIndex, PageSize};
use giantvm_dsm::backing::sim::{Attempt, Poisoned, SimBacking};
use giantvm_dsm::backing::{Backing as _, BackingError, Fault};
use giantvm_dsm::protocol::{Access, FrameFate, Rights};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

const PAGE: PageIndex = PageIndex(1);

fn backing() -> SimBacking {
    SimBacking::new(PageSize::K4, 2)
}

fn reason(result: Result<(), BackingError>) -> &'static str {
    match result.unwrap_err() {
        BackingError::Misuse { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn commands_that_do_not_fit_an_unmapped_page_are_misuse() {
    let mut sim = backing();
    assert_eq!(
        reason(sim.map(PAGE, Rights::Read)),
        "the frame holds no bytes"
    );
    assert_eq!(
        reason(sim.protect(PAGE)),
        "the page is not mapped for writing"
    );
    assert_eq!(
        reason(sim.unprotect(PAGE)),
        "the page is not mapped for reading"
    );
    assert_eq!(
        reason(sim.unmap(PAGE, FrameFate::Drop)),
        "the page is not mapped"
    );
    assert_eq!(
        reason(sim.frame(PAGE).map(|_| ())),
        "the frame was not kept"
    );
    assert_eq!(
        reason(sim.store(PAGE, &[0; 7])),
        "the data is not one page long"
    );
    assert_eq!(reason(sim.wake(PageIndex(2))), "there is no such page");
}

#[test]
fn commands_that_do_not_fit_a_mapped_page_are_misuse() {
    let mut sim = backing();
    sim.map_zero(PAGE, Rights::Write).unwrap();
    assert_eq!(
        reason(sim.map_zero(PAGE, Rights::Write)),
        "the page is mapped"
    );
    assert_eq!(reason(sim.store(PAGE, &[0; 4096])), "the page is mapped");
    assert_eq!(
        reason(sim.map(PAGE, Rights::Read)),
        "the page is mapped with other rights"
    );
    assert_eq!(
        reason(sim.frame(PAGE).map(|_| ())),
        "the page can still be written"
    );
    sim.map(PAGE, Rights::Write).unwrap();
}

#[test]
fn kept_bytes_are_sent_once_and_never_mapped() {
    let mut sim = backing();
    sim.map_zero(PAGE, Rights::Write).unwrap();
    assert_eq!(sim.memory().try_store(PAGE, 1, 0x0102), Attempt::Done(0));
    sim.unmap(PAGE, FrameFate::Keep).unwrap();
    assert_eq!(
        reason(sim.map(PAGE, Rights::Read)),
        "the frame holds old bytes"
    );
    assert_eq!(sim.frame(PAGE).unwrap()[8..10], [2, 1]);
    assert_eq!(
        reason(sim.frame(PAGE).map(|_| ())),
        "the frame was not kept"
    );
}

#[test]
fn a_protected_page_is_read_but_faults_on_a_write() {
    let mut sim = backing();
    let memory = sim.memory();
    sim.store(PAGE, &[1; 4096]).unwrap();
    sim.map(PAGE, Rights::Write).unwrap();
    sim.protect(PAGE).unwrap();
    assert_eq!(
        memory.try_load(PAGE, 511),
        Attempt::Done(0x0101_0101_0101_0101)
    );
    assert_eq!(memory.try_store(PAGE, 0, 1), Attempt::Faulted);
    let mut faults = Vec::new();
    sim.take_faults(&mut faults).unwrap();
    let (page, access) = (PAGE, Access::Write);
    let thread = 0;
    assert_eq!(
        faults,
        [Fault {
            page,
            access,
            thread
        }]
    );
}

#[test]
fn a_thread_waits_for_the_wake_and_sees_the_page() {
    let mut sim = backing();
    let memory = sim.memory();
    let thread = std::thread::spawn(move || memory.fetch_add(PAGE, 0, 5));
    let mut faults = Vec::new();
    while faults.is_empty() {
        let mut ready = [PollFd::from_borrowed_fd(sim.ready(), PollFlags::IN)];
        poll(&mut ready, None).unwrap();
        sim.take_faults(&mut faults).unwrap();
    }
    let mut ready = [PollFd::from_borrowed_fd(sim.ready(), PollFlags::IN)];
    assert_eq!(poll(&mut ready, Some(&Timespec::default())), Ok(0));
    sim.map_zero(PAGE, Rights::Write).unwrap();
    std::thread::sleep(Duration::from_millis(1));
    assert!(!thread.is_finished(), "mapping alone wakes no one");
    sim.wake(PAGE).unwrap();
    assert_eq!(thread.join().unwrap(), Ok(0));
    assert_eq!(sim.memory().try_load(PAGE, 0), Attempt::Done(5));
}

#[test]
fn a_poisoned_page_fails_every_access() {
    let mut sim = backing();
    sim.map_zero(PAGE, Rights::Write).unwrap();
    sim.poison(PAGE).unwrap();
    assert_eq!(sim.memory().try_load(PAGE, 0), Attempt::Poisoned);
    assert_eq!(sim.memory().store(PAGE, 0, 1), Err(Poisoned(PAGE)));
    assert_eq!(
        reason(sim.map_zero(PAGE, Rights::Read)),
        "the page is poisoned"
    );
}

#[test]
fn a_suspended_page_faults_until_it_is_mapped_again() {
    let mut sim = backing();
    let memory = sim.memory();
    sim.map_zero(PAGE, Rights::Write).unwrap();
    assert_eq!(memory.try_store(PAGE, 0, 7), Attempt::Done(0));
    sim.suspend(&[PAGE]).unwrap();
    assert_eq!(memory.try_load(PAGE, 0), Attempt::Faulted);
    sim.protect(PAGE).unwrap();
    assert_eq!(memory.try_load(PAGE, 0), Attempt::Faulted);
    sim.map(PAGE, Rights::Read).unwrap();
    assert_eq!(memory.try_load(PAGE, 0), Attempt::Done(7));
}

#[test]
fn only_what_no_one_needs_can_be_released() {
    let mut sim = backing();
    sim.store(PAGE, &[1; 4096]).unwrap();
    assert_eq!(reason(sim.release(&[PAGE])), "its bytes may be needed");
    sim.map(PAGE, Rights::Read).unwrap();
    assert_eq!(reason(sim.release(&[PAGE])), "the page is mapped");
    sim.unmap(PAGE, FrameFate::Retain).unwrap();
    assert_eq!(reason(sim.release(&[PAGE])), "its bytes may be needed");
    sim.unmap(PAGE, FrameFate::Drop).unwrap();
    sim.release(&[PAGE]).unwrap();
    assert_eq!(
        reason(sim.map(PAGE, Rights::Read)),
        "the frame holds no bytes"
    );
}
