//! A mapping that is unmapped when dropped.

use std::ffi::c_void;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};

use super::Range;

/// A mapping of this process that is readable and writable, never backed by huge pages, and absent
/// from forked children. It is reserved only: it takes memory as it is touched.
#[derive(Debug)]
pub(crate) struct Area {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: an area is a run of addresses; it gives no access to its bytes but through raw pointers,
// whose users answer for what they do from which thread.
unsafe impl Send for Area {}
// SAFETY: as above; no method changes the area's fields.
unsafe impl Sync for Area {}

impl Area {
    /// `len` bytes of private memory that no one else can see.
    ///
    /// They start `at` an address, if one is given that is free.
    pub(crate) fn anonymous(len: usize, at: Option<NonZeroUsize>) -> io::Result<Self> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | fixed(at);
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: without FIXED the kernel picks addresses that nothing else uses; with NOREPLACE it
        // refuses those that something does.
        let base = unsafe { rustix::mm::mmap_anonymous(start(at), len, protection, flags) }?;
        Self::adopt(base, len)
    }

    /// The first `len` bytes of `file`, shared with its other mappings.
    ///
    /// They start `at` an address, if one is given that is free.
    pub(crate) fn shared(
        file: BorrowedFd<'_>,
        len: usize,
        at: Option<NonZeroUsize>,
    ) -> io::Result<Self> {
        let flags = MapFlags::SHARED | MapFlags::NORESERVE | fixed(at);
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: as above.
        let base = unsafe { rustix::mm::mmap(start(at), len, protection, flags, file, 0) }?;
        Self::adopt(base, len)
    }

    fn adopt(base: *mut c_void, len: usize) -> io::Result<Self> {
        let base = NonNull::new(base.cast()).ok_or(Errno::NOMEM)?;
        let area = Self { base, len };
        // With a huge page KVM would map 2 MiB where one page was fetched, and the guest would
        // read zeroes beside it.
        match area.advise(area.range(), Advice::LinuxNoHugepage) {
            Err(error) if kernel_has_huge_pages() => return Err(error),
            Ok(()) | Err(_) => {}
        }
        // A child would keep the mapping but not its registration, and so read whatever is there.
        area.advise(area.range(), Advice::LinuxDontFork)?;
        Ok(area)
    }

    pub(crate) const fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// All of it.
    pub(crate) fn range(&self) -> Range {
        Range {
            start: self.base.addr().get(),
            len: self.len,
        }
    }

    /// The `len` bytes at `offset` as addresses; stops at the area's end.
    pub(crate) fn part(&self, offset: usize, len: usize) -> Range {
        self.range().skip(offset.min(self.len)).take(len)
    }

    /// A pointer to the byte at `offset`.
    ///
    /// # Panics
    /// If `offset` is outside.
    pub(crate) fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset < self.len, "offset {offset:#x} is outside the area");
        // SAFETY: the offset was just checked, and the area is one allocation below `isize::MAX`.
        unsafe { self.base.add(offset) }
    }

    /// Removes the page table entries of `range`. When this returns no thread and no vCPU reaches
    /// the pages without a new fault. Private bytes are gone; shared ones stay in their file.
    pub(crate) fn zap(&self, range: Range) -> io::Result<()> {
        self.advise(range, Advice::LinuxDontNeed)
    }

    /// Makes every access to `range` end in `SIGSEGV`, or in KVM in an error.
    pub(crate) fn forbid(&self, range: Range) -> io::Result<()> {
        let address = self.pointer(range)?;
        // SAFETY: `pointer` checked that the range is this area's. No reference points into it:
        // it is only given out as raw pointers.
        unsafe { rustix::mm::mprotect(address, range.len, MprotectFlags::empty()) }?;
        Ok(())
    }

    fn advise(&self, range: Range, advice: Advice) -> io::Result<()> {
        let address = self.pointer(range)?;
        // SAFETY: `pointer` checked that the range is this area's. The advice used here changes
        // contents at most, and no reference points into the area.
        unsafe { rustix::mm::madvise(address, range.len, advice) }?;
        Ok(())
    }

    /// The address of `range`, which must be this area's.
    pub(super) fn pointer(&self, range: Range) -> io::Result<*mut c_void> {
        let offset = range.start.checked_sub(self.base.addr().get());
        let inside = offset.filter(|o| o.checked_add(range.len).is_some_and(|e| e <= self.len));
        let offset = inside.ok_or(Errno::INVAL)?;
        Ok(self.base.as_ptr().wrapping_add(offset).cast())
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: the area is this object's alone and no reference points into it. Who holds a raw
        // pointer was told not to outlive it.
        let result = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.len) };
        debug_assert!(result.is_ok(), "munmap of an owned mapping: {result:?}");
    }
}

fn fixed(at: Option<NonZeroUsize>) -> MapFlags {
    at.map_or(MapFlags::empty(), |_| MapFlags::FIXED_NOREPLACE)
}

fn start(at: Option<NonZeroUsize>) -> *mut c_void {
    at.map_or(ptr::null_mut(), |at| ptr::without_provenance_mut(at.get()))
}

fn kernel_has_huge_pages() -> bool {
    fs::exists("/sys/kernel/mm/transparent_hugepage").unwrap_or(true)
}
