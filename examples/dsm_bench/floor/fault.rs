//! A bare userfaultfd fault, served by another thread of this process that blocks for it.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use giantvm_core::{GuestAddress, PageRange, PageSize};
use giantvm_dsm::backing::{self, Backing, BackingError, Choice};
use giantvm_dsm::protocol::{FrameFate, Rights};
use giantvm_dsm::view::DsmMemory;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vm_memory::Bytes as _;

use crate::sample::Times;

/// How often the serving thread looks whether it is done.
const PERIOD: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// What kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A load from a page that is not there; the answer puts one there.
    Missing,
    /// A store to a page that is not there.
    Absent,
    /// A store to a page that may only be read; the answer lets it be written.
    Protected,
}

/// Times `count` faults as the faulting thread sees them.
pub(crate) fn times(count: u64, fault: Fault) -> anyhow::Result<Times> {
    let pages = PageRange::first(count);
    let (mut backing, mapping) = backing::open(count, PageSize::K4, Choice::Auto)?;
    let memory = DsmMemory::new(&mapping, [(GuestAddress(0), pages)])?;
    if fault == Fault::Protected {
        for page in pages.iter() {
            backing.map_zero(page, Rights::Read)?;
        }
    }
    let done = AtomicBool::new(false);
    let (touched, served) = std::thread::scope(|scope| {
        let server = scope.spawn(|| serve(backing, fault, &done));
        let touched = touch_all(&memory, pages, fault);
        done.store(true, Ordering::Relaxed);
        (touched, server.join().expect("it does not panic"))
    });
    served?;
    touched
}

/// Times taking `count` pages that may be read, which the other node does before it lets one be
/// written. No floor has it.
pub(crate) fn unmaps(count: u64) -> anyhow::Result<Times> {
    let pages = PageRange::first(count);
    let (mut backing, _mapping) = backing::open(count, PageSize::K4, Choice::Auto)?;
    let mut times = Times::default();
    for page in pages.iter() {
        backing.map_zero(page, Rights::Read)?;
    }
    for page in pages.iter() {
        times.time(|| backing.unmap(page, FrameFate::Keep))?;
    }
    Ok(times)
}

fn touch_all(memory: &DsmMemory, pages: PageRange, fault: Fault) -> anyhow::Result<Times> {
    let mut times = Times::default();
    for page in pages.iter() {
        let address = PageSize::K4.address_of(page).context("a small address")?;
        match fault {
            Fault::Missing => {
                times.time(|| memory.load::<u64>(address, Ordering::Relaxed))?;
            }
            Fault::Absent | Fault::Protected => {
                times.time(|| memory.store(1_u64, address, Ordering::Relaxed))?;
            }
        }
    }
    Ok(times)
}

/// If this fails, the backing goes, and the faulting thread is ended by a signal.
fn serve(
    mut backing: Box<dyn Backing>,
    fault: Fault,
    done: &AtomicBool,
) -> Result<(), BackingError> {
    let data = vec![0x5a; PageSize::K4.bytes()];
    let mut faults = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let ready = backing.ready();
        let mut ready = [PollFd::new(&ready, PollFlags::IN)];
        // If it is interrupted, the loop looks again.
        poll(&mut ready, Some(&PERIOD)).ok();
        backing.take_faults(&mut faults)?;
        for page in faults.drain(..).map(|fault| fault.page) {
            match fault {
                Fault::Missing => {
                    backing.store(page, &data)?;
                    backing.map(page, Rights::Read)?;
                }
                Fault::Absent => {
                    backing.store(page, &data)?;
                    backing.map(page, Rights::Write)?;
                }
                Fault::Protected => backing.unprotect(page)?,
            }
            backing.wake(page)?;
        }
    }
    Ok(())
}
