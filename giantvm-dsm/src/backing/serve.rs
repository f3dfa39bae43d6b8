//! What both backings do alike: operations on one page, to their end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread;

use giantvm_core::PageIndex;
use rustix::io::Errno;

use super::state::{Shown, States};
use super::{BackingError, Fault, Mapping};
use crate::protocol::{Access, Rights};
use crate::uffd::{Event, EventBuf, FaultKind, Features, Outcome, Protect, Range, Sweeper, Wake};

/// How often an operation is tried anew without progress while the address space is changing.
const MAX_RETRIES: u32 = 1000;

/// Most batches of events that one call takes.
const MAX_BATCHES: usize = 4;

/// The serving end of a mapping. Dropping it revokes the mapping.
#[derive(Debug)]
pub(super) struct Server {
    mapping: Arc<Mapping>,
    events: EventBuf,
    host_page: usize,
    sweeper: Sweeper,
    /// Kept between calls so that none allocates.
    ranges: Vec<Range>,
}

impl Server {
    pub(super) fn new(mapping: Arc<Mapping>) -> Self {
        Self {
            mapping,
            events: EventBuf::new(),
            host_page: rustix::param::page_size(),
            sweeper: Sweeper::new(),
            ranges: Vec::new(),
        }
    }

    pub(super) fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    pub(super) fn share(&self) -> Arc<Mapping> {
        Arc::clone(&self.mapping)
    }

    pub(super) fn ready(&self) -> BorrowedFd<'_> {
        self.mapping.uffd().as_fd()
    }

    /// Runs `install` over `range` until every host page of it is there, with `rights`. Returns
    /// whether that took one call, so that all who wait were woken if `install` wakes.
    ///
    /// A host page that is there already gets its rights set: after the kernel dropped some of a
    /// page's mapping on its own account, what is left may have others.
    pub(super) fn install(
        &self,
        page: Range,
        rights: Rights,
        mut install: impl FnMut(Range, Protect) -> io::Result<Outcome>,
    ) -> io::Result<bool> {
        let protect = protection(rights);
        let mut done = 0;
        let mut retries = 0;
        while done < page.len {
            match install(page.skip(done), protect)? {
                Outcome::Done if done == 0 => return Ok(true),
                Outcome::Done => done = page.len,
                Outcome::AlreadyPresent { at } => {
                    let present = page.skip(done + at).take(self.host_page);
                    self.set_protection(present, protect, Wake::No)?;
                    done += at + self.host_page;
                }
                Outcome::Retry { at } if at > 0 => done += at,
                Outcome::Retry { .. } => backoff(&mut retries)?,
                Outcome::Gone => return Err(Errno::SRCH.into()),
            }
        }
        Ok(false)
    }

    /// Changes what a mapped page may be used for.
    pub(super) fn change_rights(
        &self,
        states: &mut States,
        operation: &'static str,
        page: PageIndex,
        rights: Rights,
        wake: Wake,
    ) -> Result<(), BackingError> {
        let index = states.mapped(operation, page)?;
        let range = self.mapping.page(index);
        let changed = self.set_protection(range, protection(rights), wake);
        changed.map_err(os(operation, page))?;
        states.show(index, Shown::As(rights));
        Ok(())
    }

    /// Takes the right to write from mapped pages: in one call from those that follow one another.
    pub(super) fn protect_all(
        &self,
        states: &mut States,
        pages: &[PageIndex],
    ) -> Result<(), BackingError> {
        for run in pages.chunk_by(|one, next| one.0.checked_add(1) == Some(next.0)) {
            let Some(&first) = run.first() else {
                continue;
            };
            for &page in run {
                states.mapped("protect", page)?;
            }
            let index = states.index("protect", first)?;
            let range = self.mapping.run(index, run.len());
            let changed = self.set_protection(range, protection(Rights::Read), Wake::No);
            changed.map_err(os("protect", first))?;
            (index..index + run.len())
                .for_each(|index| states.show(index, Shown::As(Rights::Read)));
        }
        Ok(())
    }

    fn set_protection(&self, range: Range, protect: Protect, wake: Wake) -> io::Result<()> {
        let mut retries = 0;
        loop {
            match self.mapping.uffd().write_protect(range, protect, wake)? {
                Outcome::Done | Outcome::AlreadyPresent { .. } => return Ok(()),
                Outcome::Retry { .. } => backoff(&mut retries)?,
                Outcome::Gone => return Err(Errno::SRCH.into()),
            }
        }
    }

    /// Takes page `index` from all threads and vCPUs.
    pub(super) fn zap(&self, index: usize) -> io::Result<()> {
        self.mapping.area().zap(self.mapping.page(index))
    }

    /// Takes runs of pages from all threads and vCPUs, in one go if the system can.
    pub(super) fn zap_all(
        &mut self,
        runs: impl Iterator<Item = std::ops::Range<usize>>,
    ) -> io::Result<()> {
        self.ranges.clear();
        self.ranges
            .extend(runs.map(|run| self.mapping.run(run.start, run.len())));
        self.sweeper.zap(self.mapping.area(), &self.ranges)
    }

    pub(super) fn wake(&self, range: Range) -> io::Result<()> {
        self.mapping.uffd().wake(range)
    }

    /// Makes page `index` fail loudly, and wakes whoever waits for it.
    pub(super) fn poison(&self, index: usize) -> io::Result<()> {
        let page = self.mapping.page(index);
        self.zap(index)?;
        if self.mapping.uffd().features().contains(Features::POISON) {
            // What is left may be marks of write protection, which count as pages.
            self.set_protection(page, Protect::None, Wake::No)?;
            self.poison_zapped(page)?;
        } else {
            self.mapping.area().forbid(page)?;
        }
        self.mapping.uffd().wake(page)
    }

    fn poison_zapped(&self, page: Range) -> io::Result<()> {
        let mut done = 0;
        let mut retries = 0;
        while done < page.len {
            match self.mapping.uffd().poison(page.skip(done), Wake::Yes)? {
                Outcome::Done => done = page.len,
                Outcome::Retry { at } if at > 0 => done += at,
                Outcome::Retry { .. } => backoff(&mut retries)?,
                Outcome::AlreadyPresent { .. } => return Err(Errno::EXIST.into()),
                Outcome::Gone => return Err(Errno::SRCH.into()),
            }
        }
        Ok(())
    }

    /// Appends the faults that wait, a bounded number.
    pub(super) fn take_faults(&mut self, faults: &mut Vec<Fault>) -> Result<(), BackingError> {
        for _ in 0..MAX_BATCHES {
            let events = self.mapping.uffd().read_events(&mut self.events);
            let mut events = events.map_err(os("reading the faults", PageIndex(0)))?;
            let mut taken = 0;
            for event in &mut events {
                taken += 1;
                if let Some(fault) = fault(&self.mapping, event) {
                    faults.push(fault);
                }
            }
            if taken < EventBuf::CAPACITY {
                break;
            }
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.mapping.revoke() {
            tracing::error!(%error, "the shared memory could not be revoked");
        }
    }
}

fn fault(mapping: &Mapping, event: Event) -> Option<Fault> {
    // The process asked for no other event, so there is none.
    let Event::Fault {
        address,
        kind,
        write,
        thread,
    } = event
    else {
        return None;
    };
    let access = match (kind, write) {
        (FaultKind::WriteProtect, _) | (_, true) => Access::Write,
        (FaultKind::Missing | FaultKind::Minor, false) => Access::Read,
    };
    let page = mapping.page_at(usize::try_from(address).ok()?)?;
    Some(Fault {
        page,
        access,
        thread,
    })
}

const fn protection(rights: Rights) -> Protect {
    match rights {
        Rights::Read => Protect::Write,
        Rights::Write => Protect::None,
    }
}

fn backoff(retries: &mut u32) -> io::Result<()> {
    *retries += 1;
    if *retries > MAX_RETRIES {
        return Err(Errno::AGAIN.into());
    }
    thread::yield_now();
    Ok(())
}

/// Says which operation on which page the system refused.
pub(super) fn os(
    operation: &'static str,
    page: PageIndex,
) -> impl FnOnce(io::Error) -> BackingError {
    move |source| BackingError::Os {
        operation,
        page,
        source,
    }
}
