//! A backing that notes what it does when.

use std::os::fd::BorrowedFd;

use giantvm_core::{PageIndex, PageRange, PageSize};
use giantvm_dsm::backing::{Backing, BackingError, Fault};
use giantvm_dsm::protocol::{FrameFate, Rights};

use super::notes::{Notes, now};
use super::path::What;

/// The watched backing.
#[derive(Debug)]
pub(super) struct NotedMemory {
    pub(super) inner: Box<dyn Backing>,
    pub(super) notes: Notes,
}

impl NotedMemory {
    fn noting(
        &mut self,
        [before, after]: [What; 2],
        work: impl FnOnce(&mut dyn Backing) -> Result<(), BackingError>,
    ) -> Result<(), BackingError> {
        self.notes.add(before);
        let done = work(&mut *self.inner);
        self.notes.add(after);
        done
    }
}

const MAPS: [What; 2] = [What::Map, What::Mapped];
const STORES: [What; 2] = [What::Store, What::Stored];

impl Backing for NotedMemory {
    fn page_size(&self) -> PageSize {
        self.inner.page_size()
    }

    fn pages(&self) -> u64 {
        self.inner.pages()
    }

    fn store(&mut self, page: PageIndex, data: &[u8]) -> Result<(), BackingError> {
        self.noting(STORES, |inner| inner.store(page, data))
    }

    fn map(&mut self, page: PageIndex, rights: Rights) -> Result<(), BackingError> {
        self.noting(MAPS, |inner| inner.map(page, rights))
    }

    fn map_zero(&mut self, page: PageIndex, rights: Rights) -> Result<(), BackingError> {
        self.inner.map_zero(page, rights)
    }

    fn protect(&mut self, page: PageIndex) -> Result<(), BackingError> {
        self.inner.protect(page)
    }

    fn unprotect(&mut self, page: PageIndex) -> Result<(), BackingError> {
        self.inner.unprotect(page)
    }

    fn unmap(&mut self, page: PageIndex, frame: FrameFate) -> Result<(), BackingError> {
        let unmaps = [What::Unmap(1), What::Unmapped];
        self.noting(unmaps, |inner| inner.unmap(page, frame))
    }

    fn wake(&mut self, page: PageIndex) -> Result<(), BackingError> {
        self.inner.wake(page)
    }

    fn poison(&mut self, page: PageIndex) -> Result<(), BackingError> {
        self.inner.poison(page)
    }

    fn frame(&mut self, page: PageIndex) -> Result<&[u8], BackingError> {
        self.inner.frame(page)
    }

    fn take_faults(&mut self, faults: &mut Vec<Fault>) -> Result<(), BackingError> {
        let (began, before) = (now(), faults.len());
        self.inner.take_faults(faults)?;
        if faults.len() > before {
            self.notes.faults(began);
        }
        Ok(())
    }

    fn ready(&self) -> BorrowedFd<'_> {
        self.inner.ready()
    }

    fn map_and_wake(&mut self, pages: PageRange, rights: Rights) -> Result<(), BackingError> {
        self.noting(MAPS, |inner| inner.map_and_wake(pages, rights))
    }

    fn unprotect_and_wake(&mut self, page: PageIndex) -> Result<(), BackingError> {
        self.noting(MAPS, |inner| inner.unprotect_and_wake(page))
    }

    fn protect_all(&mut self, pages: &[PageIndex]) -> Result<(), BackingError> {
        self.inner.protect_all(pages)
    }

    fn unmap_all(&mut self, pages: &[PageIndex], frame: FrameFate) -> Result<(), BackingError> {
        let count = u32::try_from(pages.len()).unwrap_or(u32::MAX);
        let unmaps = [What::Unmap(count), What::Unmapped];
        self.noting(unmaps, |inner| inner.unmap_all(pages, frame))
    }
}
