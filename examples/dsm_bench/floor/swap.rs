//! What two nodes that write one page could make of it at best: a page of bare memory on each side,
//! a thread that writes it, one that answers faults and one that gives the page away.
//!
//! Where a node has one processor, who wants the page has to interrupt the thread that writes it
//! there; the sum of a bare fault and a bare round trip has no such step.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use giantvm_core::{GuestAddress, PageIndex, PageRange, PageSize};
use giantvm_dsm::backing::{self, Backing, Choice};
use giantvm_dsm::engine::Priority;
use giantvm_dsm::protocol::{FrameFate, Rights};
use giantvm_dsm::view::DsmMemory;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vm_memory::Bytes as _;

use super::ring::{Memory, Rings, Use};
use super::wire::{REQUEST, Wait, Wire};

const PAGE: PageIndex = PageIndex(0);
const REPLY: usize = REQUEST + PageSize::K4.bytes();
/// The first byte of a request.
const GIVE: u8 = 1;
/// No request comes after this.
const END: u8 = 2;
/// How often a thread looks whether it is done.
const PERIOD: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};
/// How long to wait for a thread that was let go on and has not written yet: long enough for it to
/// get the processor.
const MOMENT: Duration = Duration::from_micros(50);

/// One side.
#[derive(Debug)]
pub(super) struct Swap {
    ask: Rings,
    answer: Rings,
    /// The node's number, and its word of the page.
    number: usize,
}

impl Swap {
    /// Node a's side, which has the page first.
    pub(super) fn near(memory: &Memory) -> anyhow::Result<Self> {
        let [ask, answer] = [memory.near(Use::SwapByA)?, memory.far(Use::SwapByB)?];
        Ok(Self {
            ask,
            answer,
            number: 0,
        })
    }

    /// Node b's side.
    pub(super) fn far(memory: &Memory) -> anyhow::Result<Self> {
        let [ask, answer] = [memory.near(Use::SwapByB)?, memory.far(Use::SwapByA)?];
        Ok(Self {
            ask,
            answer,
            number: 1,
        })
    }

    /// Writes for `time`; how often the page came. Both sides have to do it at a time.
    pub(super) fn write(&mut self, time: Duration) -> anyhow::Result<u64> {
        let (backing, mapping) = backing::open(1, PageSize::K4, Choice::Auto)?;
        let memory = DsmMemory::new(&mapping, [(GuestAddress(0), PageRange::first(1))])?;
        let side = Side {
            backing: Mutex::new(backing),
            written: AtomicU64::new(1),
            written_before: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        };
        if self.number == 0 {
            side.backing().map_zero(PAGE, Rights::Write)?;
        }
        let word = GuestAddress(8 * self.number as u64);
        let Self { ask, answer, .. } = self;
        scope(|scope| {
            let fetching = scope.spawn(|| side.fetch(ask));
            let giving = scope.spawn(|| side.give(answer));
            let start = Instant::now();
            while start.elapsed() < time {
                memory.store(
                    side.written.load(Ordering::Relaxed),
                    word,
                    Ordering::Relaxed,
                )?;
                side.written.fetch_add(1, Ordering::Relaxed);
            }
            side.ended.store(true, Ordering::Relaxed);
            let came = fetching.join().expect("it does not panic")?;
            giving.join().expect("it does not panic")?;
            Ok(came)
        })
    }
}

struct Side {
    backing: Mutex<Box<dyn Backing>>,
    /// How often this side wrote the page, and how often when the page came last.
    written: AtomicU64,
    written_before: AtomicU64,
    ended: AtomicBool,
}

impl Side {
    fn backing(&self) -> MutexGuard<'_, Box<dyn Backing>> {
        self.backing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers faults, until the thread that writes has ended.
    fn fetch(&self, ask: &mut Rings) -> anyhow::Result<u64> {
        Priority::Raised.apply();
        let ready = self.backing().ready().try_clone_to_owned()?;
        let (mut faults, mut reply, mut came) = (Vec::new(), vec![0; REPLY], 0);
        while !self.ended.load(Ordering::Relaxed) {
            // If it is interrupted, the loop looks again.
            poll(&mut [PollFd::new(&ready, PollFlags::IN)], Some(&PERIOD)).ok();
            let mut backing = self.backing();
            backing.take_faults(&mut faults)?;
            if faults.drain(..).count() > 0 {
                ask.send(&request(GIVE), Wait::Blocking)?;
                // The thread that could use the processor waits for this page.
                ask.receive(&mut reply, Wait::Busy)?;
                backing.store(PAGE, &reply[REQUEST..])?;
                self.written_before
                    .store(self.written.load(Ordering::Relaxed), Ordering::Relaxed);
                backing.map_and_wake(PageRange::first(1), Rights::Write)?;
                came += 1;
            }
        }
        ask.send(&request(END), Wait::Blocking)?;
        Ok(came)
    }

    /// Gives the page away whenever the other side asks.
    fn give(&self, answer: &mut Rings) -> anyhow::Result<()> {
        Priority::Raised.apply();
        let (mut request, mut reply) = ([0; REQUEST], vec![0; REPLY]);
        loop {
            match answer.receive(&mut request, Wait::Blocking) {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => continue,
                received => received?,
            }
            if request[0] != GIVE {
                return Ok(());
            }
            let mut backing = self.backing();
            while self.is_unwritten() {
                drop(backing);
                sleep(MOMENT);
                backing = self.backing();
            }
            backing.unmap(PAGE, FrameFate::Keep)?;
            reply[REQUEST..].copy_from_slice(backing.frame(PAGE)?);
            answer.send(&reply, Wait::Busy)?;
        }
    }

    /// Whether the page came and was not written yet.
    fn is_unwritten(&self) -> bool {
        let written = self.written.load(Ordering::Relaxed);
        written == self.written_before.load(Ordering::Relaxed)
            && !self.ended.load(Ordering::Relaxed)
    }
}

fn request(kind: u8) -> [u8; REQUEST] {
    let mut request = [0; REQUEST];
    request[0] = kind;
    request
}
