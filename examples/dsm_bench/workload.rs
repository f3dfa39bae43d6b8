//! What is measured. Both nodes run the same script: a measures, b makes pages remote.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Instant;

use giantvm_core::{GuestAddress, PageSize};
use giantvm_dsm::sync::Barrier;
use giantvm_dsm::view::DsmMemory;
use vm_memory::Bytes as _;

use crate::sample::Times;

/// Which of the two nodes this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Measures.
    A,
    /// Home of the data, and its owner before each measurement.
    B,
}

/// A node's view of the script.
#[derive(Debug)]
pub(crate) struct Script<'a> {
    pub(crate) role: Role,
    /// The data, from address 0.
    pub(crate) memory: &'a DsmMemory,
    pub(crate) barrier: &'a Barrier,
}

/// What one round of the script took on node a; nothing sensible on node b.
#[derive(Debug, Default)]
pub(crate) struct Round {
    pub(crate) read: Times,
    pub(crate) write: Times,
    pub(crate) upgrade: Times,
    /// Round trips a second.
    pub(crate) ping_pong: f64,
    /// Mebibytes a second.
    pub(crate) read_scan: f64,
    /// Mebibytes a second.
    pub(crate) write_scan: f64,
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            read,
            write,
            upgrade,
            ..
        } = self;
        let (read, write, upgrade) = (read.median(), write.median(), upgrade.median());
        write!(
            f,
            "read {read:.0} us, write {write:.0} us, upgrade {upgrade:.0} us, \
             ping-pong {:.0}/s, scan {:.0} and {:.0} MiB/s",
            self.ping_pong, self.read_scan, self.write_scan
        )
    }
}

/// What a scan does to each page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Touch {
    Load,
    Store,
}

const FIRST: GuestAddress = GuestAddress(0);
const NODES: u32 = 2;

impl Script<'_> {
    /// Everything once: `pages` faults of each kind and round trips, and scans of `scan` pages.
    pub(crate) fn round(&self, pages: u64, scan: u64) -> anyhow::Result<Round> {
        let mut round = Round::default();
        self.take_back(pages)?;
        round.read = self.touch(Role::A, pages, Touch::Load)?;
        round.upgrade = self.touch(Role::A, pages, Touch::Store)?;
        self.take_back(pages)?;
        round.write = self.touch(Role::A, pages, Touch::Store)?;
        round.ping_pong = self.ping_pong(pages)?;
        round.read_scan = self.scan(scan, Touch::Load)?;
        round.write_scan = self.scan(scan, Touch::Store)?;
        Ok(round)
    }

    /// Makes b the owner and the only holder.
    fn take_back(&self, pages: u64) -> anyhow::Result<()> {
        self.touch(Role::B, pages, Touch::Store).map(|_| ())
    }

    /// One side touches pages in order while the other waits.
    fn touch(&self, role: Role, pages: u64, touch: Touch) -> anyhow::Result<Times> {
        let mut times = Times::default();
        self.barrier.wait(NODES);
        if self.role == role {
            for page in 0..pages {
                let address = GuestAddress(page * PageSize::K4.bytes() as u64);
                match touch {
                    Touch::Load => times
                        .time(|| self.memory.load::<u64>(address, Ordering::Relaxed))
                        .map(|_| ()),
                    Touch::Store => {
                        times.time(|| self.memory.store(page, address, Ordering::Relaxed))
                    }
                }?;
            }
        }
        self.barrier.wait(NODES);
        Ok(times)
    }

    /// Round trips a second of one page between two nodes that write it in turn.
    fn ping_pong(&self, round_trips: u64) -> anyhow::Result<f64> {
        if self.role == Role::A {
            self.memory.store(0_u64, FIRST, Ordering::Release)?;
        }
        self.barrier.wait(NODES);
        let start = Instant::now();
        for turn in 0..round_trips {
            let expected = 2 * turn + u64::from(self.role == Role::B);
            while self.memory.load::<u64>(FIRST, Ordering::Acquire)? != expected {
                std::thread::yield_now();
            }
            self.memory.store(expected + 1, FIRST, Ordering::Release)?;
        }
        let took = start.elapsed();
        self.barrier.wait(NODES);
        Ok(round_trips as f64 / took.as_secs_f64())
    }

    /// Mebibytes a second of touching pages in order that the other node wrote before.
    fn scan(&self, pages: u64, touch: Touch) -> anyhow::Result<f64> {
        self.take_back(pages)?;
        let times = self.touch(Role::A, pages, touch)?;
        let bytes = pages * PageSize::K4.bytes() as u64;
        Ok(bytes as f64 / f64::from(1 << 20) / times.total())
    }
}
