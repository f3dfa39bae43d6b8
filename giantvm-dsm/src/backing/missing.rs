#![expect(unsafe_code, reason = "reads pages that are mapped for reading")]
//! Pages copied in: private memory, for kernels that cannot map pages in place.

use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::slice;
use std::sync::Arc;

use giantvm_core::{PageIndex, PageSize};

use super::serve::{Server, os};
use super::side::SideBuffers;
use super::state::{Shown, States, misuse};
use super::{Backing, BackingError, Fault, Mapping, OpenError};
use crate::protocol::{FrameFate, Rights};
use crate::uffd::{Area, Features, Mode, Support, Uffd, Wake};

/// A backing whose frames are the mapped pages themselves.
///
/// A page that is not mapped has no frame. What arrives for it waits in a side buffer until it is
/// mapped, and what was unmapped with [`FrameFate::Keep`] waits in one to be sent: of those, only
/// the last few are kept.
///
/// Private memory, because there taking the page table entry away is enough to have the next
/// access fault, and because the kernel never drops a private page's mapping on its own account
/// without its contents and its write protection.
#[derive(Debug)]
pub struct MissingBacking {
    server: Server,
    side: SideBuffers,
    states: States,
    zeroes: Box<[u8]>,
}

impl MissingBacking {
    pub(super) fn open(
        pages: usize,
        page_size: PageSize,
        len: usize,
        at: Option<NonZeroUsize>,
    ) -> Result<Self, OpenError> {
        let uffd = Uffd::create(Support::MISSING, Features::POISON | Features::THREAD_ID)?;
        let os = |source| OpenError::Os { len, source };
        let area = Area::anonymous(len, at).map_err(os)?;
        let mode = Mode {
            missing: true,
            minor: false,
            write_protect: true,
        };
        let mapping = Mapping::new(area, uffd, mode, page_size).map_err(os)?;
        Ok(Self {
            server: Server::new(Arc::new(mapping)),
            side: SideBuffers::default(),
            states: States::new(pages),
            zeroes: vec![0; page_size.bytes()].into(),
        })
    }

    pub(super) fn mapping(&self) -> Arc<Mapping> {
        self.server.share()
    }

    /// The bytes of a page that is mapped for reading.
    ///
    /// # Safety
    /// The page must be mapped for reading while the slice lives.
    unsafe fn mapped(&self, index: usize) -> &[u8] {
        let size = self.page_size().bytes();
        let page = self.server.mapping().area().at(index * size);
        // SAFETY: the page is inside the area and present, so reading it raises no fault that
        // this thread would have to serve; the caller vouches that no one can write to it.
        unsafe { slice::from_raw_parts(page.as_ptr(), size) }
    }

    /// Sees to the bytes of a page that is about to be unmapped. `None` if it need not be.
    fn lay_by(&mut self, page: PageIndex, frame: FrameFate) -> Result<Option<usize>, BackingError> {
        let index = self.states.index("unmap", page)?;
        match (self.states.shown(index), frame) {
            (Shown::Poisoned, _) => return Err(misuse("unmap", page, "the page is lost")),
            (Shown::Not, FrameFate::Keep | FrameFate::Retain) => return Ok(None),
            (Shown::As(_), FrameFate::Keep | FrameFate::Retain) => {
                // First no more writes, then the copy: it has to be the last value.
                self.protect(page)?;
                // SAFETY: the page is mapped, since now for reading only, and is not unmapped
                // before the next statement.
                let data = Box::<[u8]>::from(unsafe { self.mapped(index) });
                match frame {
                    FrameFate::Retain => self.side.retain(index, data),
                    FrameFate::Keep | FrameFate::Drop => self.side.keep(index, &data),
                }
            }
            (Shown::Not | Shown::As(_), FrameFate::Drop) => self.side.forget(index),
        }
        Ok(Some(index))
    }

    /// Maps an unmapped page with the bytes that wait for it, or else with zeroes.
    fn install(
        &mut self,
        operation: &'static str,
        page: PageIndex,
        index: usize,
        rights: Rights,
    ) -> Result<(), BackingError> {
        let data = self.side.get(index).unwrap_or(&self.zeroes);
        let uffd = self.server.mapping().uffd();
        let range = self.server.mapping().page(index);
        let copied = self.server.install(range, rights, |range, protect| {
            // What is left to install is the tail of the page.
            let tail = &data[data.len() - range.len..];
            uffd.copy(range, tail, protect, Wake::No)
        });
        copied.map_err(os(operation, page))?;
        self.side.forget(index);
        self.states.set_used(index);
        self.states.show(index, Shown::As(rights));
        Ok(())
    }
}

impl Backing for MissingBacking {
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
        let index = self.states.unmapped("store", page)?;
        if !self.side.store(index, data) {
            return Err(misuse("store", page, "too many pages wait to be mapped"));
        }
        self.states.set_used(index);
        Ok(())
    }

    fn map(&mut self, page: PageIndex, rights: Rights) -> Result<(), BackingError> {
        let index = self.states.index("map", page)?;
        if matches!(self.states.shown(index), Shown::As(_)) {
            // It is there, with its bytes. Copying would put zeroes where it was not.
            return self
                .server
                .change_rights(&mut self.states, "map", page, rights, Wake::No);
        }
        let index = self.states.unmapped("map", page)?;
        if self.states.used(index) && self.side.get(index).is_none() {
            return Err(misuse("map", page, "the page's bytes were dropped"));
        }
        self.install("map", page, index, rights)
    }

    fn map_zero(&mut self, page: PageIndex, rights: Rights) -> Result<(), BackingError> {
        let index = self.states.unmapped("map_zero", page)?;
        self.side.forget(index);
        self.install("map_zero", page, index, rights)
    }

    fn protect(&mut self, page: PageIndex) -> Result<(), BackingError> {
        self.server
            .change_rights(&mut self.states, "protect", page, Rights::Read, Wake::No)
    }

    fn unprotect(&mut self, page: PageIndex) -> Result<(), BackingError> {
        self.server
            .change_rights(&mut self.states, "unprotect", page, Rights::Write, Wake::No)
    }

    fn unmap(&mut self, page: PageIndex, frame: FrameFate) -> Result<(), BackingError> {
        let Some(index) = self.lay_by(page, frame)? else {
            return Ok(());
        };
        self.server.zap(index).map_err(os("unmap", page))?;
        self.states.show(index, Shown::Not);
        Ok(())
    }

    fn wake(&mut self, page: PageIndex) -> Result<(), BackingError> {
        let index = self.states.index("wake", page)?;
        let range = self.server.mapping().page(index);
        self.server.wake(range).map_err(os("wake", page))
    }

    fn poison(&mut self, page: PageIndex) -> Result<(), BackingError> {
        let index = self.states.index("poison", page)?;
        self.server.poison(index).map_err(os("poison", page))?;
        self.side.forget(index);
        self.states.show(index, Shown::Poisoned);
        Ok(())
    }

    fn frame(&mut self, page: PageIndex) -> Result<&[u8], BackingError> {
        let index = self.states.index("frame", page)?;
        match self.states.shown(index) {
            // SAFETY: the page is mapped for reading, and this object, which alone could change
            // that, is borrowed while the slice lives.
            Shown::As(Rights::Read) => Ok(unsafe { self.mapped(index) }),
            Shown::As(Rights::Write) => Err(misuse("frame", page, "it can be written")),
            Shown::Poisoned => Err(misuse("frame", page, "the page is lost")),
            Shown::Not if !self.states.used(index) => Ok(&self.zeroes),
            Shown::Not => self
                .side
                .get(index)
                .ok_or_else(|| misuse("frame", page, "the page's bytes were dropped")),
        }
    }

    fn take_faults(&mut self, faults: &mut Vec<Fault>) -> Result<(), BackingError> {
        self.server.take_faults(faults)
    }

    fn ready(&self) -> BorrowedFd<'_> {
        self.server.ready()
    }

    fn protect_all(&mut self, pages: &[PageIndex]) -> Result<(), BackingError> {
        self.server.protect_all(&mut self.states, pages)
    }

    fn unmap_all(&mut self, pages: &[PageIndex], frame: FrameFate) -> Result<(), BackingError> {
        let Some(&first) = pages.first() else {
            return Ok(());
        };
        let mut indices = Vec::with_capacity(pages.len());
        for &page in pages {
            indices.extend(self.lay_by(page, frame)?);
        }
        let zapped = self
            .server
            .zap_all(indices.iter().map(|&index| index..index + 1));
        zapped.map_err(os("unmap", first))?;
        for index in indices {
            self.states.show(index, Shown::Not);
        }
        Ok(())
    }
}
