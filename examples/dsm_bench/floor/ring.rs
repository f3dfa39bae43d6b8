//! Bare rings in memory that both processes map, two for each use, one each way.
//!
//! Each ring:
//!
//! | offset | what |
//! |---|---|
//! | 0 | how many slots were ever filled, a futex |
//! | 64 | how many were ever emptied, a futex |
//! | 128 | the slots |

use std::fs::File;
use std::hint::spin_loop;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::mm::{MapFlags, ProtFlags};
use rustix::thread::futex;
use vm_memory::{Bytes, FileOffset, MmapRegion, VolatileMemory};

use super::wire::{REQUEST, Wait, Wire};

const SLOT: usize = REQUEST + 4096;
const SLOTS: u32 = 64;
/// Whole pages, so that each pair can be mapped.
const RING: usize = (128 + SLOT * SLOTS as usize).next_multiple_of(4096);
/// How often to look before others who want the processor get it.
const LOOKS: u32 = 50_000;
/// How long the other end may be silent.
const PATIENCE: Duration = Duration::from_secs(30);
const MOMENT: futex::Timespec = futex::Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// What a pair of rings is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Use {
    /// Round trips and streams.
    Trips,
    /// Pages that a thread of node a walks over.
    Walk,
    /// What node a asks of b while both write.
    SwapByA,
    /// What node b asks of a.
    SwapByB,
}

const USES: usize = 4;

/// The memory of all rings.
#[derive(Debug)]
pub(crate) struct Memory(File);

impl Memory {
    pub(crate) fn new() -> io::Result<Self> {
        let file = File::from(memfd_create("dsm-bench-ring", MemfdFlags::CLOEXEC)?);
        file.set_len((USES * 2 * RING) as u64)?;
        Ok(Self(file))
    }

    /// Where another process of this user finds it while this one lives.
    pub(crate) fn path(&self) -> PathBuf {
        let (process, file) = (std::process::id(), self.0.as_raw_fd());
        format!("/proc/{process}/fd/{file}").into()
    }

    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::options().read(true).write(true).open(path);
        Ok(Self(file.context("cannot open the memory of node a")?))
    }

    /// The end that asks.
    pub(super) fn near(&self, purpose: Use) -> anyhow::Result<Rings> {
        self.rings(purpose, [0, RING])
    }

    /// The end that answers.
    pub(super) fn far(&self, purpose: Use) -> anyhow::Result<Rings> {
        self.rings(purpose, [RING, 0])
    }

    fn rings(&self, purpose: Use, [out, back]: [usize; 2]) -> anyhow::Result<Rings> {
        let file = FileOffset::new(self.0.try_clone()?, (purpose as usize * 2 * RING) as u64);
        let memory = MmapRegion::build(
            Some(file),
            2 * RING,
            (ProtFlags::READ | ProtFlags::WRITE).bits().cast_signed(),
            // All of it at once, so that no trip has to wait for a page.
            (MapFlags::SHARED | MapFlags::POPULATE).bits().cast_signed(),
        )?;
        Ok(Rings { memory, out, back })
    }
}

/// One end.
#[derive(Debug)]
pub(crate) struct Rings {
    memory: MmapRegion,
    /// Where the ring that this end fills is.
    out: usize,
    /// Where the ring that this end empties is.
    back: usize,
}

impl Rings {
    fn count(&self, at: usize) -> &AtomicU32 {
        self.memory.get_atomic_ref(at).expect("it is inside")
    }

    fn slot(ring: usize, count: u32) -> usize {
        ring + 128 + (count % SLOTS) as usize * SLOT
    }
}

impl Wire for Rings {
    fn send(&mut self, data: &[u8], wait: Wait) -> io::Result<()> {
        let [filled, emptied] = [self.out, self.out + 64].map(|at| self.count(at));
        for part in data.chunks(SLOT) {
            let at = filled.load(Ordering::Relaxed);
            wait_until_not(emptied, at.wrapping_sub(SLOTS), wait)?;
            let slices = self.memory.as_volatile_slice();
            let written = slices.write_slice(part, Self::slot(self.out, at));
            written.map_err(io::Error::other)?;
            pass(filled, at, wait)?;
        }
        Ok(())
    }

    fn receive(&mut self, data: &mut [u8], wait: Wait) -> io::Result<()> {
        let [filled, emptied] = [self.back, self.back + 64].map(|at| self.count(at));
        for part in data.chunks_mut(SLOT) {
            let at = emptied.load(Ordering::Relaxed);
            wait_until_not(filled, at, wait)?;
            let slices = self.memory.as_volatile_slice();
            let read = slices.read_slice(part, Self::slot(self.back, at));
            read.map_err(io::Error::other)?;
            pass(emptied, at, wait)?;
        }
        Ok(())
    }
}

/// Counts one slot more, and wakes the other end if it may sleep.
fn pass(count: &AtomicU32, before: u32, wait: Wait) -> io::Result<()> {
    count.store(before.wrapping_add(1), Ordering::Release);
    if wait == Wait::Blocking {
        futex::wake(count, futex::Flags::empty(), 1)?;
    }
    Ok(())
}

fn wait_until_not(count: &AtomicU32, value: u32, wait: Wait) -> io::Result<()> {
    let mut since = None;
    while count.load(Ordering::Acquire) == value {
        for _ in 0..LOOKS {
            if wait == Wait::Blocking || count.load(Ordering::Acquire) != value {
                break;
            }
            spin_loop();
        }
        match wait {
            Wait::Busy => yield_now(),
            // Whether it was woken, is told otherwise or late: it looks again.
            Wait::Blocking => drop(futex::wait(
                count,
                futex::Flags::empty(),
                value,
                Some(&MOMENT),
            )),
        }
        if since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            return Err(ErrorKind::TimedOut.into());
        }
    }
    Ok(())
}
