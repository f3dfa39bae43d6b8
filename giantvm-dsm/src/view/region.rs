#![expect(unsafe_code, reason = "hands a mapping of ours to vm-memory")]
//! A run of pages at a guest address.

use std::any::TypeId;
use std::io;
use std::sync::Arc;

use giantvm_core::{GuestAddress, PageRange};
use rustix::mm::{MapFlags, ProtFlags};
use vm_memory::bitmap::BS;
use vm_memory::{
    GuestMemoryRegion, GuestMemoryRegionBytes, GuestMemoryResult, GuestRegionMmap, GuestUsize,
    MemoryRegionAddress, MmapRegion, VolatileSlice,
};

use super::ViewError;
use crate::backing::Mapping;

/// A run of the shared memory's pages, shown at a guest address.
///
/// Keeps the mapping alive.
#[derive(Debug)]
pub struct DsmRegion {
    inner: GuestRegionMmap,
    pages: PageRange,
    mapping: Arc<Mapping>,
}

impl DsmRegion {
    pub(super) fn new(
        mapping: &Arc<Mapping>,
        address: GuestAddress,
        pages: PageRange,
    ) -> Result<Self, ViewError> {
        let page_size = mapping.page_size();
        if pages.is_empty() || pages.end.0 > mapping.pages() {
            let have = mapping.pages();
            return Err(ViewError::NoSuchPages { pages, have });
        }
        let misplaced = ViewError::Address { address, page_size };
        if page_size.align_down(address) != address {
            return Err(misplaced);
        }
        let (start, len) = mapping.span(pages);
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::SHARED | MapFlags::NORESERVE;
        // SAFETY: the bytes are a part of the mapping, as the pages were just found to be, and
        // this object keeps it.
        let region = unsafe {
            let (protection, flags) = (protection.bits(), flags.bits());
            MmapRegion::build_raw(start.as_ptr(), len, protection as i32, flags as i32)
        };
        let region = region.map_err(|error| ViewError::Host(io::Error::other(error)))?;
        let inner = GuestRegionMmap::new(region, address).ok_or(misplaced)?;
        mapping.claim(pages, TypeId::of::<Self>())?;
        Ok(Self {
            inner,
            pages,
            mapping: Arc::clone(mapping),
        })
    }

    /// The pages of the shared memory that are shown here.
    #[must_use]
    pub const fn pages(&self) -> PageRange {
        self.pages
    }

    /// The mapping they are in.
    #[must_use]
    pub const fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }
}

// The inner region does not know that the mapping is shared, so it is not given out.
impl GuestMemoryRegion for DsmRegion {
    type B = ();

    fn len(&self) -> GuestUsize {
        self.inner.len()
    }

    fn start_addr(&self) -> GuestAddress {
        self.inner.start_addr()
    }

    fn bitmap(&self) {}

    fn get_host_address(&self, address: MemoryRegionAddress) -> GuestMemoryResult<*mut u8> {
        self.inner.get_host_address(address)
    }

    fn get_slice(
        &self,
        offset: MemoryRegionAddress,
        count: usize,
    ) -> GuestMemoryResult<VolatileSlice<'_, BS<'_, ()>>> {
        self.inner.get_slice(offset, count)
    }
}

impl GuestMemoryRegionBytes for DsmRegion {}
