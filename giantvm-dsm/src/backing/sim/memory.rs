//! The simulated memory as local threads see it.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{OnceLock, PoisonError};

use giantvm_core::{PageIndex, PageSize};
use rustix::event::{EventfdFlags, eventfd};

use super::page::SimPage;
use crate::backing::Fault;
use crate::backing::primitives::{Arc, Condvar, Mutex, MutexGuard};
use crate::protocol::{Access, Rights};

/// An access to a page whose contents are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("page {0} is poisoned: its contents are lost")]
pub struct Poisoned(pub PageIndex);

/// What came of an access that does not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// It was done; this is the value that was there before.
    Done(u64),
    /// The rights are not there: a [`Fault`] is queued for the driver.
    Faulted,
    /// The page's contents are lost.
    Poisoned,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub pages: Vec<SimPage>,
    faults: VecDeque<Fault>,
}

/// What the backing and its threads share.
#[derive(Debug)]
pub(super) struct Shared {
    inner: Mutex<Inner>,
    pub woken: Condvar,
    /// Made when someone first asks for it, as simulations do without. Only used under the lock.
    ready: OnceLock<OwnedFd>,
}

impl Shared {
    pub(super) fn new(size: PageSize, pages: usize) -> Self {
        let inner = Inner {
            pages: (0..pages).map(|_| SimPage::new(size)).collect(),
            faults: VecDeque::new(),
        };
        Self {
            inner: Mutex::new(inner),
            woken: Condvar::new(),
            ready: OnceLock::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take_faults(&self, limit: usize, faults: &mut Vec<Fault>) {
        let mut inner = self.lock();
        let count = inner.faults.len().min(limit);
        faults.extend(inner.faults.drain(..count));
        if inner.faults.is_empty()
            && let Some(ready) = self.ready.get()
        {
            // Not readable is what it should become, so "would block" is no error.
            rustix::io::read(ready, &mut [0; 8]).ok();
        }
    }

    pub(super) fn ready(&self) -> &OwnedFd {
        let inner = self.lock();
        self.ready.get_or_init(|| {
            let waiting = u32::from(!inner.faults.is_empty());
            eventfd(waiting, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)
                .expect("an event descriptor")
        })
    }
}

/// The memory of a [`SimBacking`](super::SimBacking) as local threads see it: 64-bit words,
/// numbered within their page.
#[derive(Debug, Clone)]
pub struct SimMemory(Arc<Shared>);

impl SimMemory {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Reads a word, or queues a fault.
    ///
    /// # Panics
    /// If there is no such page or word, as everywhere here.
    pub fn try_load(&self, page: PageIndex, word: usize) -> Attempt {
        self.attempt(&mut self.0.lock(), page, word, Access::Read, |value| value)
    }

    /// Writes a word, or queues a fault.
    pub fn try_store(&self, page: PageIndex, word: usize, value: u64) -> Attempt {
        self.attempt(&mut self.0.lock(), page, word, Access::Write, |_| value)
    }

    /// Reads a word; waits until the page is there.
    ///
    /// # Errors
    /// [`Poisoned`] if the page's contents are lost.
    pub fn load(&self, page: PageIndex, word: usize) -> Result<u64, Poisoned> {
        self.wait(page, word, Access::Read, |value| value)
    }

    /// Writes a word; waits until the page may be written.
    ///
    /// # Errors
    /// [`Poisoned`] if the page's contents are lost.
    pub fn store(&self, page: PageIndex, word: usize, value: u64) -> Result<(), Poisoned> {
        self.wait(page, word, Access::Write, |_| value).map(|_| ())
    }

    /// Adds to a word, in one step, and returns what it was.
    ///
    /// # Errors
    /// [`Poisoned`] if the page's contents are lost.
    pub fn fetch_add(&self, page: PageIndex, word: usize, add: u64) -> Result<u64, Poisoned> {
        self.wait(page, word, Access::Write, |value| value.wrapping_add(add))
    }

    /// Shows a page's rights and bytes, without a fault. The bytes of a page that has no frame
    /// are an empty slice.
    pub fn inspect<T>(&self, page: PageIndex, look: impl FnOnce(Option<Rights>, &[u8]) -> T) -> T {
        let inner = self.0.lock();
        let page = &inner.pages[index(page)];
        look(page.rights(), page.bytes())
    }

    /// How often the threads that wait for a page were woken: a thread whose access [faulted](Attempt)
    /// sleeps until this changes.
    #[must_use]
    pub fn wakes(&self, page: PageIndex) -> u64 {
        self.0.lock().pages[index(page)].wakes
    }

    fn wait(
        &self,
        page: PageIndex,
        word: usize,
        access: Access,
        change: impl Fn(u64) -> u64,
    ) -> Result<u64, Poisoned> {
        let mut inner = self.0.lock();
        loop {
            match self.attempt(&mut inner, page, word, access, &change) {
                Attempt::Done(value) => return Ok(value),
                Attempt::Poisoned => return Err(Poisoned(page)),
                Attempt::Faulted => {
                    let seen = inner.pages[index(page)].wakes;
                    let asleep = |inner: &mut Inner| inner.pages[index(page)].wakes == seen;
                    let waited = self.0.woken.wait_while(inner, asleep);
                    inner = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn attempt(
        &self,
        inner: &mut Inner,
        page: PageIndex,
        word: usize,
        access: Access,
        change: impl FnOnce(u64) -> u64,
    ) -> Attempt {
        match inner.pages[index(page)].access(access) {
            Err(_) => return Attempt::Poisoned,
            Ok(Some(bytes)) => {
                let place = bytes[word * 8..].first_chunk_mut().expect("a whole word");
                let before = u64::from_le_bytes(*place);
                *place = change(before).to_le_bytes();
                return Attempt::Done(before);
            }
            Ok(None) => {}
        }
        let thread = 0;
        inner.faults.push_back(Fault {
            page,
            access,
            thread,
        });
        if let Some(ready) = self.0.ready.get() {
            // A counter that is full is readable, which is all it has to be.
            rustix::io::write(ready, &1_u64.to_ne_bytes()).ok();
        }
        Attempt::Faulted
    }
}

fn index(page: PageIndex) -> usize {
    usize::try_from(page.0).expect("a page of the memory")
}
