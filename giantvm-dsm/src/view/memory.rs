//! The shared memory as guest memory.

use std::io;
use std::sync::Arc;

use giantvm_core::{GuestAddress, PageRange, PageSize};
use vm_memory::{GuestMemoryBackend, GuestRegionCollection, GuestRegionCollectionError};

use super::DsmRegion;
use crate::backing::{ClaimError, Mapping};

/// The shared memory as the physical memory of a guest.
///
/// Implements [`vm_memory::GuestMemory`], so device models, virtio queues and kernel loaders that
/// are written for that work unchanged: whatever they touch is fetched first. The same pages must
/// be at the same guest addresses on all nodes.
///
/// ```
/// use giantvm_core::{GuestAddress, PageRange, PageSize};
/// use giantvm_dsm::backing::{Choice, open};
/// use giantvm_dsm::view::DsmMemory;
/// use vm_memory::GuestMemoryBackend;
///
/// # let Ok((_backing, mapping)) = open(16, PageSize::K4, Choice::Auto) else { return Ok(()) };
/// let memory = DsmMemory::new(&mapping, [(GuestAddress(0), PageRange::first(16))])?;
/// assert_eq!(memory.last_addr(), GuestAddress(0xffff));
/// # Ok::<(), giantvm_dsm::view::ViewError>(())
/// ```
#[derive(Debug, Clone)]
pub struct DsmMemory(GuestRegionCollection<DsmRegion>);

/// Pages cannot be shown at guest addresses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// A region has no page, or pages that are not in the shared memory.
    #[error("pages {:#x} to {:#x} are no part of the shared memory of {have} pages",
        pages.start.0, pages.end.0)]
    NoSuchPages {
        /// The region's pages.
        pages: PageRange,
        /// Pages there are.
        have: u64,
    },
    /// A region does not start on a page or reaches past the end of the address space.
    #[error("guest address {:#x} does not fit its pages of {page_size}", address.0)]
    Address {
        /// The region's first address.
        address: GuestAddress,
        /// The size of a page.
        page_size: PageSize,
    },
    /// Pages are in use as typed regions.
    #[error(transparent)]
    Claimed(#[from] ClaimError),
    /// Regions overlap, are not in ascending order, or there are none.
    #[error(transparent)]
    Layout(#[from] GuestRegionCollectionError),
    /// The system refused the mapping.
    #[error("the mapping does not fit this host")]
    Host(#[source] io::Error),
}

impl DsmMemory {
    /// Shows runs of pages at guest addresses, in ascending order of address.
    ///
    /// # Errors
    /// [`ViewError`] says which region does not fit.
    pub fn new(
        mapping: &Arc<Mapping>,
        regions: impl IntoIterator<Item = (GuestAddress, PageRange)>,
    ) -> Result<Self, ViewError> {
        let regions = regions
            .into_iter()
            .map(|(address, pages)| DsmRegion::new(mapping, address, pages));
        let regions = regions.collect::<Result<Vec<_>, _>>()?;
        Ok(Self(GuestRegionCollection::from_regions(regions)?))
    }
}

impl GuestMemoryBackend for DsmMemory {
    type R = DsmRegion;

    fn num_regions(&self) -> usize {
        self.0.num_regions()
    }

    fn find_region(&self, address: GuestAddress) -> Option<&DsmRegion> {
        self.0.find_region(address)
    }

    fn iter(&self) -> impl Iterator<Item = &DsmRegion> {
        self.0.iter()
    }
}
