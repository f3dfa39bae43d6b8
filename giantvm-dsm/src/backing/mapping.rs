#![expect(unsafe_code, reason = "registers a mapping with userfaultfd")]
//! The mapping through which local threads and vCPUs reach the shared memory.

use std::any::TypeId;
use std::io;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use giantvm_core::{PageIndex, PageRange, PageSize};

use crate::uffd::{Area, Mode, Range, Uffd};

/// The addresses at which this process sees the shared memory.
///
/// A thread or vCPU that touches a page without the rights to it waits until the backing's driver
/// has fetched them. So the driver's own thread must never touch it.
///
/// # Lifetime
/// Whoever keeps a pointer into the mapping, KVM included, must keep the `Arc` it came from.
/// The mapping owns its userfaultfd together with the [`Backing`](super::Backing), and unmaps the
/// memory before it closes that: closing it first would show a page of zeroes to a thread that
/// waits, silently.
///
/// When the backing is dropped while the mapping lives on, the mapping is revoked: no one would
/// answer faults any more, nor take rights away that other nodes think are gone.
#[derive(Debug)]
pub struct Mapping {
    // Fields are dropped in order: the area is unmapped, then the descriptor closed.
    area: Area,
    uffd: Uffd,
    page_size: PageSize,
    claims: Mutex<Vec<(PageRange, TypeId)>>,
}

/// Pages were claimed for two kinds of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("pages {:#x} to {:#x} are in use as another type; give each typed region its own pages",
    pages.start.0, pages.end.0)]
pub struct ClaimError {
    /// The pages that are in use.
    pub pages: PageRange,
}

impl Mapping {
    pub(super) fn new(area: Area, uffd: Uffd, mode: Mode, page_size: PageSize) -> io::Result<Self> {
        // SAFETY: the area is this object's, which gives out raw pointers only and unmaps it
        // before it closes the descriptor.
        unsafe { uffd.register(area.range(), mode) }?;
        Ok(Self {
            area,
            uffd,
            page_size,
            claims: Mutex::default(),
        })
    }

    /// The address of page 0. Valid for [`len`](Self::len) bytes while the mapping lives.
    ///
    /// Other threads, vCPUs and nodes change the bytes at any time: use atomic or volatile
    /// accesses, never references to plain data.
    #[must_use]
    pub const fn base(&self) -> NonNull<u8> {
        self.area.base()
    }

    /// Bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a mapping is never empty")]
    pub const fn len(&self) -> usize {
        self.area.len()
    }

    /// The size of a page.
    #[must_use]
    pub const fn page_size(&self) -> PageSize {
        self.page_size
    }

    /// How many pages there are.
    #[must_use]
    pub const fn pages(&self) -> u64 {
        (self.area.len() / self.page_size.bytes()) as u64
    }

    /// The page that holds the byte at `address` of this process, if it is in the mapping.
    #[must_use]
    pub fn page_at(&self, address: usize) -> Option<PageIndex> {
        let offset = address.checked_sub(self.area.base().addr().get())?;
        let inside = offset < self.area.len();
        inside.then(|| PageIndex((offset / self.page_size.bytes()) as u64))
    }

    /// Ends all access for good, in one system call: from now on touching the mapping ends in
    /// `SIGSEGV`, and whoever waits for a page stops waiting so.
    ///
    /// A vCPU's access ends in an error of `KVM_RUN`, or, where KVM emulates the instruction, in
    /// an exit for memory-mapped I/O at an address that is RAM. That exit, which poisoned pages
    /// cause too, must stop the machine: answering it would show the guest a made-up value.
    ///
    /// For a node that has to stop now, before any of its threads could read a wrong byte. Stop
    /// the threads and vCPUs first where there is time: a signal ends the process.
    ///
    /// # Errors
    /// The system's.
    pub fn revoke(&self) -> io::Result<()> {
        self.area.forbid(self.area.range())?;
        self.uffd.wake(self.area.range())
    }

    /// Reserves `pages` for use as `kind` for as long as the mapping lives. The same pages may be
    /// claimed again for the same use.
    pub(crate) fn claim(&self, pages: PageRange, kind: TypeId) -> Result<(), ClaimError> {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let overlaps =
            |other: PageRange| other.start.0 < pages.end.0 && pages.start.0 < other.end.0;
        if claims.contains(&(pages, kind)) {
            return Ok(());
        }
        if let Some(&(pages, _)) = claims.iter().find(|(other, _)| overlaps(*other)) {
            return Err(ClaimError { pages });
        }
        claims.push((pages, kind));
        Ok(())
    }

    /// The first byte of `pages`, which must be in the mapping, and how many bytes they are.
    ///
    /// # Panics
    /// If there are no such pages.
    #[must_use]
    pub fn span(&self, pages: PageRange) -> (NonNull<u8>, usize) {
        let whole = PageRange::first(self.pages());
        assert!(!pages.is_empty() && pages.end <= whole.end, "no such pages");
        let bytes = |pages: u64| {
            let count = usize::try_from(pages).unwrap_or(usize::MAX);
            count.saturating_mul(self.page_size.bytes())
        };
        (self.area.at(bytes(pages.start.0)), bytes(pages.len()))
    }

    pub(super) const fn area(&self) -> &Area {
        &self.area
    }

    pub(super) const fn uffd(&self) -> &Uffd {
        &self.uffd
    }

    /// The addresses of page number `index`.
    pub(super) fn page(&self, index: usize) -> Range {
        self.run(index, 1)
    }

    /// The addresses of `count` pages from number `index` on.
    pub(super) fn run(&self, index: usize, count: usize) -> Range {
        let size = self.page_size.bytes();
        self.area.part(index * size, count * size)
    }
}
