//! A backing without an operating system: for tests of protocols, drivers and engines.
//!
//! [`SimBacking`] holds real bytes and refuses every command that does not fit the page's state, so
//! a protocol's mistake shows where it is made. [`SimMemory`] is what local threads access.

mod memory;
mod page;

use std::os::fd::{AsFd, BorrowedFd};

use giantvm_core::{PageIndex, PageSize};

use self::memory::Shared;
pub use self::memory::{Attempt, Poisoned, SimMemory};
use self::page::SimPage;
use super::primitives::Arc;
use super::{Backing, BackingError, Fault};
use crate::protocol::{FrameFate, Rights};

/// Most faults that one [`Backing::take_faults`] gives.
const FAULTS_AT_ONCE: usize = 64;

/// A simulated backing.
///
/// ```
/// use giantvm_core::{PageIndex, PageSize};
/// use giantvm_dsm::backing::Backing;
/// use giantvm_dsm::backing::sim::{Attempt, SimBacking};
/// use giantvm_dsm::protocol::Rights;
///
/// let mut backing = SimBacking::new(PageSize::K4, 4);
/// let (memory, page) = (backing.memory(), PageIndex(2));
/// assert_eq!(memory.try_store(page, 0, 7), Attempt::Faulted);
///
/// let mut faults = Vec::new();
/// backing.take_faults(&mut faults)?;
/// assert_eq!(faults[0].page, page);
/// backing.map_zero(page, Rights::Write)?;
/// backing.wake(page)?;
/// assert_eq!(memory.try_store(page, 0, 7), Attempt::Done(0));
/// # Ok::<(), giantvm_dsm::backing::BackingError>(())
/// ```
#[derive(Debug)]
pub struct SimBacking {
    size: PageSize,
    shared: Arc<Shared>,
    /// The bytes that [`Backing::frame`] lends out.
    lent: Vec<u8>,
}

impl SimBacking {
    /// A backing of `pages` pages, none of them mapped.
    #[must_use]
    pub fn new(size: PageSize, pages: usize) -> Self {
        Self {
            size,
            shared: Arc::new(Shared::new(size, pages)),
            lent: Vec::new(),
        }
    }

    /// The memory as local threads see it.
    #[must_use]
    pub fn memory(&self) -> SimMemory {
        SimMemory::new(Arc::clone(&self.shared))
    }

    fn change(
        &self,
        operation: &'static str,
        page: PageIndex,
        change: impl FnOnce(&mut SimPage) -> Result<(), &'static str>,
    ) -> Result<(), BackingError> {
        let mut inner = self.shared.lock();
        let place = usize::try_from(page.0).ok();
        let place = place.and_then(|at| inner.pages.get_mut(at));
        place
            .ok_or("there is no such page")
            .and_then(change)
            .map_err(|reason| BackingError::Misuse {
                operation,
                page,
                reason,
            })
    }
}

impl Backing for SimBacking {
    fn page_size(&self) -> PageSize {
        self.size
    }

    fn pages(&self) -> u64 {
        self.shared.lock().pages.len() as u64
    }

    fn store(&mut self, page: PageIndex, data: &[u8]) -> Result<(), BackingError> {
        self.change("store", page, |page| page.store(data))
    }

    fn map(&mut self, page: PageIndex, rights: Rights) -> Result<(), BackingError> {
        self.change("map", page, |page| page.map(rights))
    }

    fn map_zero(&mut self, page: PageIndex, rights: Rights) -> Result<(), BackingError> {
        self.change("map_zero", page, |page| page.map_zero(rights))
    }

    fn protect(&mut self, page: PageIndex) -> Result<(), BackingError> {
        self.change("protect", page, SimPage::protect)
    }

    fn unprotect(&mut self, page: PageIndex) -> Result<(), BackingError> {
        self.change("unprotect", page, SimPage::unprotect)
    }

    fn unmap(&mut self, page: PageIndex, frame: FrameFate) -> Result<(), BackingError> {
        self.change("unmap", page, |page| page.unmap(frame))
    }

    fn suspend(&mut self, pages: &[PageIndex]) -> Result<(), BackingError> {
        let suspend = |&page| self.change("suspend", page, SimPage::suspend);
        pages.iter().try_for_each(suspend)
    }

    fn release(&mut self, pages: &[PageIndex]) -> Result<(), BackingError> {
        let release = |&page| self.change("release", page, SimPage::release);
        pages.iter().try_for_each(release)
    }

    fn wake(&mut self, page: PageIndex) -> Result<(), BackingError> {
        self.change("wake", page, SimPage::wake)?;
        self.shared.woken.notify_all();
        Ok(())
    }

    fn poison(&mut self, page: PageIndex) -> Result<(), BackingError> {
        self.change("poison", page, SimPage::poison)?;
        self.shared.woken.notify_all();
        Ok(())
    }

    fn frame(&mut self, page: PageIndex) -> Result<&[u8], BackingError> {
        let mut lent = std::mem::take(&mut self.lent);
        self.change("frame", page, |page| page.lend(&mut lent))?;
        self.lent = lent;
        Ok(&self.lent)
    }

    fn take_faults(&mut self, faults: &mut Vec<Fault>) -> Result<(), BackingError> {
        self.shared.take_faults(FAULTS_AT_ONCE, faults);
        Ok(())
    }

    /// # Panics
    /// If the process may have no more descriptors.
    fn ready(&self) -> BorrowedFd<'_> {
        self.shared.ready().as_fd()
    }
}
