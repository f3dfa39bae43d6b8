//! What a walk over another node's memory could be at best: a node that takes its pages back in
//! runs and puts them into a ring, and one that copies them into frames and maps them in runs for a
//! thread that walks on.
//!
//! Nobody asks for anything, no page has a state, and every page is sent as it is. A bare stream has
//! neither the pages that are mapped nor those that are taken, which a walk cannot do without.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::thread::scope;
use std::time::Instant;

use anyhow::Context;
use giantvm_core::{GuestAddress, PageIndex, PageRange, PageSize};
use giantvm_dsm::backing::{self, Backing, Choice, Mapping};
use giantvm_dsm::engine::Priority;
use giantvm_dsm::protocol::{FrameFate, Rights};
use giantvm_dsm::view::DsmMemory;

use super::ring::{Memory, Rings, Use};
use super::wire::{Wait, Wire};
use crate::workload::{Touch, Walk, touch_each};

/// Pages that are taken, and mapped, at once: as many as nodes do.
const RUN: u8 = 32;

/// What one end does it with; kept, as new memory takes long to come from the system.
#[derive(Debug)]
pub(super) struct Walked {
    ring: Rings,
    memory: Option<(Box<dyn Backing>, Arc<Mapping>)>,
}

impl Walked {
    /// Where the thread walks.
    pub(super) fn near(memory: &Memory) -> anyhow::Result<Self> {
        memory.near(Use::Walk).map(Self::over)
    }

    /// Whose memory it is at first.
    pub(super) fn far(memory: &Memory) -> anyhow::Result<Self> {
        memory.far(Use::Walk).map(Self::over)
    }

    const fn over(ring: Rings) -> Self {
        Self { ring, memory: None }
    }

    fn pages(
        &mut self,
        count: u64,
    ) -> anyhow::Result<(&mut Rings, &mut dyn Backing, &Arc<Mapping>)> {
        if self
            .memory
            .as_ref()
            .is_none_or(|(held, _)| held.pages() != count)
        {
            self.memory = Some(backing::open(count, PageSize::K4, Choice::Auto)?);
        }
        let (backing, mapping) = self.memory.as_mut().context("it was just made")?;
        Ok((&mut self.ring, &mut **backing, mapping))
    }

    /// Holds all pages, says so with `ready`, and gives them away in order.
    pub(super) fn give(
        &mut self,
        count: u64,
        touch: Touch,
        wait: Wait,
        ready: impl FnOnce() -> io::Result<()>,
    ) -> anyhow::Result<()> {
        let (ring, backing, _) = self.pages(count)?;
        for run in runs(count) {
            backing.unmap_all(&numbers(&run), FrameFate::Keep)?;
            backing.map_and_wake(range(&run), Rights::Write)?;
        }
        ready()?;
        for run in runs(count) {
            let pages = numbers(&run);
            match touch {
                Touch::Load => backing.protect_all(&pages)?,
                Touch::Store => backing.unmap_all(&pages, FrameFate::Keep)?,
            }
            for page in pages {
                ring.send(backing.frame(page)?, wait)?;
            }
        }
        Ok(())
    }

    /// Takes all pages while a thread walks over them; seconds.
    pub(super) fn take(&mut self, count: u64, touch: Touch, wait: Wait) -> anyhow::Result<f64> {
        let (ring, backing, mapping) = self.pages(count)?;
        let pages = PageRange::first(count);
        let memory = DsmMemory::new(mapping, [(GuestAddress(0), pages)])?;
        let addresses = Walk::in_order(count).addresses();
        let start = Instant::now();
        let seconds = scope(|scope| -> anyhow::Result<f64> {
            let taking = scope.spawn(|| fill(ring, backing, count, touch, wait));
            touch_each(&memory, &addresses, touch)?;
            taking.join().expect("it does not panic")?;
            Ok(start.elapsed().as_secs_f64())
        })?;
        let all: Vec<_> = pages.iter().collect();
        backing.unmap_all(&all, FrameFate::Keep)?;
        Ok(seconds)
    }
}

/// Copies what comes into frames, and maps them.
fn fill(
    ring: &mut Rings,
    backing: &mut dyn Backing,
    count: u64,
    touch: Touch,
    wait: Wait,
) -> anyhow::Result<()> {
    Priority::Raised.apply();
    let rights = match touch {
        Touch::Load => Rights::Read,
        Touch::Store => Rights::Write,
    };
    let mut data = vec![0; PageSize::K4.bytes()];
    for run in runs(count) {
        for page in run.clone().map(PageIndex) {
            ring.receive(&mut data, wait)?;
            backing.store(page, &data)?;
        }
        backing.map_and_wake(range(&run), rights)?;
    }
    Ok(())
}

fn numbers(run: &Range<u64>) -> Vec<PageIndex> {
    run.clone().map(PageIndex).collect()
}

fn runs(count: u64) -> impl Iterator<Item = Range<u64>> {
    (0..count)
        .step_by(RUN.into())
        .map(move |first| first..(first + u64::from(RUN)).min(count))
}

const fn range(run: &Range<u64>) -> PageRange {
    PageRange {
        start: PageIndex(run.start),
        end: PageIndex(run.end),
    }
}
