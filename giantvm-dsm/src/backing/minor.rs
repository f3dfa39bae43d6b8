#![expect(
    unsafe_code,
    reason = "reads and writes frames through a second mapping"
)]
//! Pages received in place: a memory file that is mapped twice.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use giantvm_core::{PageIndex, PageRange, PageSize};
use rustix::fs::{FallocateFlags, MemfdFlags};

use super::between;
use super::serve::{Server, os};
use super::state::{Shown, States, misuse};
use super::{Backing, BackingError, Fault, Mapping, OpenError};
use crate::protocol::{FrameFate, Rights};
use crate::uffd::{Area, Features, Mode, Support, Uffd, Wake};

/// A backing whose frames are a memory file.
///
/// Local threads see it through the [`Mapping`], where every page table entry is the protocol's to
/// give and take. The backing itself sees it through a second mapping, the *alias*, which is not
/// registered: data is received straight into its frame, then mapped without a copy, and an
/// unmapped page's bytes stay where they are.
///
/// A write through the alias raises no fault and is not stopped by write protection. So only
/// [`store`](Backing::store) and [`map_zero`](Backing::map_zero) write there, and only to pages
/// that are not mapped.
///
/// A page's frame stays allocated once it was used, until it is [released](Backing::release): so a
/// page that comes back needs no new one. Without that this node's memory grows towards the size of
/// the shared memory as it touches more of it.
#[derive(Debug)]
pub struct MinorBacking {
    server: Server,
    file: OwnedFd,
    alias: Area,
    states: States,
}

impl MinorBacking {
    pub(super) fn open(
        pages: usize,
        page_size: PageSize,
        len: usize,
        at: Option<NonZeroUsize>,
    ) -> Result<Self, OpenError> {
        let uffd = Uffd::create(Support::MINOR, Features::POISON | Features::THREAD_ID)?;
        let os = |source| OpenError::Os { len, source };
        let flags = MemfdFlags::CLOEXEC;
        let file = rustix::fs::memfd_create("giantvm", flags).map_err(|e| os(e.into()))?;
        rustix::fs::ftruncate(&file, len as u64).map_err(|e| os(e.into()))?;
        let alias = Area::shared(file.as_fd(), len, None).map_err(os)?;
        let area = Area::shared(file.as_fd(), len, at).map_err(os)?;
        let mode = Mode {
            missing: true,
            minor: true,
            write_protect: true,
        };
        let mapping = Mapping::new(area, uffd, mode, page_size).map_err(os)?;
        Ok(Self {
            server: Server::new(Arc::new(mapping)),
            file,
            alias,
            states: States::new(pages),
        })
    }

    pub(super) fn mapping(&self) -> Arc<Mapping> {
        self.server.share()
    }

    fn offset(&self, index: usize) -> usize {
        index * self.page_size().bytes()
    }

    /// Maps the frames of `count` pages, which must exist.
    fn install(
        &mut self,
        index: usize,
        count: usize,
        rights: Rights,
        wake: Wake,
    ) -> std::io::Result<()> {
        let (uffd, range) = (
            self.server.mapping().uffd(),
            self.server.mapping().run(index, count),
        );
        let at_once = self.server.install(range, rights, |range, protect| {
            uffd.continue_(range, protect, wake)
        })?;
        if wake == Wake::Yes && !at_once {
            self.server.wake(range)?;
        }
        for index in index..index + count {
            self.states.show(index, Shown::As(rights));
        }
        Ok(())
    }

    /// Maps again what is to be mapped of a run that was taken.
    fn give_back(&mut self, run: Range<usize>) -> std::io::Result<()> {
        let mut at = run.start;
        while at < run.end {
            let shown = self.states.shown(at);
            let alike = (at..run.end).take_while(|&index| self.states.shown(index) == shown);
            let count = alike.count();
            if let Shown::As(rights) = shown {
                self.install(at, count, rights, Wake::Yes)?;
            }
            at += count;
        }
        Ok(())
    }

    /// Sees to it that the page has a frame, and may be mapped.
    fn prepare(&mut self, page: PageIndex) -> Result<usize, BackingError> {
        let index = self.states.index("map", page)?;
        match self.states.shown(index) {
            Shown::Poisoned => return Err(misuse("map", page, "the page is lost")),
            Shown::Not if !self.states.used(index) => {
                self.touch(index);
                self.states.set_used(index);
            }
            Shown::Not | Shown::As(_) => {}
        }
        Ok(index)
    }

    /// Notes that the page is mapped no longer.
    fn hide(&mut self, page: PageIndex) -> Result<usize, BackingError> {
        let index = self.states.index("unmap", page)?;
        if self.states.shown(index) == Shown::Poisoned {
            return Err(misuse("unmap", page, "the page is lost"));
        }
        self.states.show(index, Shown::Not);
        Ok(index)
    }

    /// Writes `bytes(pointer)` to an unmapped page's frame.
    ///
    /// Sees to it that the page is unmapped, so that nobody else can reach the frame.
    fn fill(
        &mut self,
        operation: &'static str,
        page: PageIndex,
        write: impl FnOnce(*mut u8, usize),
    ) -> Result<usize, BackingError> {
        let index = self.states.unmapped(operation, page)?;
        write(
            self.alias.at(self.offset(index)).as_ptr(),
            self.page_size().bytes(),
        );
        self.states.set_used(index);
        Ok(index)
    }

    /// Gives the frames of `count` pages back to the system, the bytes with them.
    fn punch(&self, index: usize, count: usize) -> std::io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let (start, len) = (self.offset(index) as u64, self.offset(count) as u64);
        rustix::fs::fallocate(&self.file, flags, start, len).map_err(Into::into)
    }

    /// Gives an untouched page a frame of zeroes, one byte a host page.
    fn touch(&self, index: usize) {
        let start = self.offset(index);
        let end = start + self.page_size().bytes();
        for offset in (start..end).step_by(rustix::param::page_size()) {
            // SAFETY: `at` checked the offset. The page is not mapped and its frame untouched, so
            // this byte is zero already and no one else can reach it.
            unsafe { self.alias.at(offset).as_ptr().write_volatile(0) };
        }
    }
}

impl Backing for MinorBacking {
    fn page_size(&self) -> PageSize {
        self.server.mapping().page_size()
    }

    fn pages(&self) -> u64 {
        self.states.pages() as u64
    }

    fn store(&mut self, page: PageIndex, data: &[u8]) -> Result<(), BackingError> {
        if data.len() != self.page_size().bytes() {
            return Err(misuse("store", page, "the data is not one page long"));
        }
        self.fill("store", page, |frame, _| {
            // SAFETY: the frame is one page long, as is `data`; it is not mapped, so no one else
            // can reach it; `data` is not in it, as `frame` borrows this object.
            unsafe { frame.copy_from_nonoverlapping(data.as_ptr(), data.len()) };
        })?;
        Ok(())
    }

    fn map(&mut self, page: PageIndex, rights: Rights) -> Result<(), BackingError> {
        let index = self.prepare(page)?;
        self.install(index, 1, rights, Wake::No)
            .map_err(os("map", page))
    }

    fn map_zero(&mut self, page: PageIndex, rights: Rights) -> Result<(), BackingError> {
        let used = self.states.used(self.states.index("map_zero", page)?);
        let index = self.fill("map_zero", page, |frame, len| {
            if used {
                // SAFETY: the frame is `len` bytes long and not mapped, so no one else can reach
                // it.
                unsafe { frame.write_bytes(0, len) };
            }
        })?;
        if !used {
            self.touch(index);
        }
        self.install(index, 1, rights, Wake::No)
            .map_err(os("map_zero", page))
    }

    fn protect(&mut self, page: PageIndex) -> Result<(), BackingError> {
        self.server
            .change_rights(&mut self.states, "protect", page, Rights::Read, Wake::No)
    }

    fn unprotect(&mut self, page: PageIndex) -> Result<(), BackingError> {
        self.server
            .change_rights(&mut self.states, "unprotect", page, Rights::Write, Wake::No)
    }

    fn unmap(&mut self, page: PageIndex, _: FrameFate) -> Result<(), BackingError> {
        let index = self.hide(page)?;
        self.server.zap(index).map_err(os("unmap", page))
    }

    fn wake(&mut self, page: PageIndex) -> Result<(), BackingError> {
        let index = self.states.index("wake", page)?;
        let range = self.server.mapping().page(index);
        self.server.wake(range).map_err(os("wake", page))
    }

    fn poison(&mut self, page: PageIndex) -> Result<(), BackingError> {
        let index = self.states.index("poison", page)?;
        self.server.poison(index).map_err(os("poison", page))?;
        self.states.show(index, Shown::Poisoned);
        Ok(())
    }

    fn frame(&mut self, page: PageIndex) -> Result<&[u8], BackingError> {
        let index = self.states.index("frame", page)?;
        match self.states.shown(index) {
            Shown::Not | Shown::As(Rights::Read) => {}
            Shown::As(Rights::Write) => return Err(misuse("frame", page, "it can be written")),
            Shown::Poisoned => return Err(misuse("frame", page, "the page is lost")),
        }
        let frame = self.alias.at(self.offset(index));
        // SAFETY: the frame is one page of the alias. No one can write to it while the slice
        // lives: local threads have no right to, and this object, which alone could give it or
        // write through the alias, is borrowed.
        Ok(unsafe { slice::from_raw_parts(frame.as_ptr(), self.page_size().bytes()) })
    }

    fn glimpse(&mut self, page: PageIndex, bytes: &mut [u8]) -> bool {
        let Ok(index) = self.states.index("glimpse", page) else {
            return false;
        };
        let size = self.page_size().bytes();
        if bytes.len() != size || !self.states.used(index) {
            return false;
        }
        let frame = self.alias.at(self.offset(index)).cast::<AtomicU64>();
        for (at, word) in bytes.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            // SAFETY: the frame is one page of the alias, which is mapped for as long as this object
            // lives, aligned, and `bytes` is as long. Local threads may write to it meanwhile, through
            // the other mapping: an atomic load of each word is what that allows.
            *word = unsafe { frame.add(at).as_ref() }
                .load(Ordering::Relaxed)
                .to_ne_bytes();
        }
        true
    }

    fn take_faults(&mut self, faults: &mut Vec<Fault>) -> Result<(), BackingError> {
        self.server.take_faults(faults)
    }

    fn ready(&self) -> BorrowedFd<'_> {
        self.server.ready()
    }

    fn map_and_wake(&mut self, pages: PageRange, rights: Rights) -> Result<(), BackingError> {
        let (first, mut count) = (self.states.index("map", pages.start)?, 0);
        for page in pages.iter() {
            self.prepare(page)?;
            count += 1;
        }
        self.install(first, count, rights, Wake::Yes)
            .map_err(os("map", pages.start))
    }

    fn unprotect_and_wake(&mut self, page: PageIndex) -> Result<(), BackingError> {
        let (write, wake) = (Rights::Write, Wake::Yes);
        self.server
            .change_rights(&mut self.states, "unprotect", page, write, wake)
    }

    fn protect_all(&mut self, pages: &[PageIndex]) -> Result<(), BackingError> {
        self.server.protect_all(&mut self.states, pages)
    }

    fn unmap_all(&mut self, pages: &[PageIndex], _: FrameFate) -> Result<(), BackingError> {
        let Some(&first) = pages.first() else {
            return Ok(());
        };
        if let &[page] = pages {
            let index = self.hide(page)?;
            return self.server.zap(index).map_err(os("unmap", page));
        }
        let mut taken = Vec::with_capacity(pages.len());
        for &page in pages {
            taken.push(self.hide(page)?);
        }
        taken.sort_unstable();
        let runs = between::runs(&taken, self.page_size().bytes(), |index| {
            match self.states.shown(index) {
                Shown::Not => Some(false),
                Shown::As(_) => Some(true),
                Shown::Poisoned => None,
            }
        });
        let zapped = self.server.zap_all(runs.iter().cloned());
        zapped.map_err(os("unmap", first))?;
        let given = runs.into_iter().try_for_each(|run| self.give_back(run));
        given.map_err(os("map", first))
    }

    /// The system may take a mapping of a file by itself at any time, so nothing is to be noted.
    fn suspend(&mut self, pages: &[PageIndex]) -> Result<(), BackingError> {
        let Some(&first) = pages.first() else {
            return Ok(());
        };
        let mapped = |&page| self.states.mapped("suspend", page);
        let indices = pages.iter().map(mapped).collect::<Result<Vec<_>, _>>()?;
        let zapped = self
            .server
            .zap_all(indices.into_iter().map(|index| index..index + 1));
        zapped.map_err(os("suspend", first))
    }

    fn release(&mut self, pages: &[PageIndex]) -> Result<(), BackingError> {
        let mut pages = pages.iter().copied().peekable();
        while let Some(first) = pages.next() {
            let index = self.states.unmapped("release", first)?;
            let mut count = 1;
            self.states.set_untouched(index);
            // One call for pages that follow one another.
            while let Some(next) = pages.next_if(|page| page.0 == first.0 + count as u64) {
                let index = self.states.unmapped("release", next)?;
                self.states.set_untouched(index);
                count += 1;
            }
            self.punch(index, count).map_err(os("release", first))?;
        }
        Ok(())
    }
}
