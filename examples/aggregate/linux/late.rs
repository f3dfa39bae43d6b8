//! Guest memory for devices that are there before it.

use std::sync::{Arc, OnceLock};

use giantvm_core::GuestAddress;
use giantvm_dsm::view::{DsmMemory, DsmRegion};
use vm_memory::GuestMemoryBackend;

/// The guest's memory, none of it until it is set. It comes before the first vCPU, and with that
/// before anyone could tell a device of any.
#[derive(Debug, Clone, Default)]
pub(crate) struct LateMemory(Arc<OnceLock<DsmMemory>>);

impl LateMemory {
    pub(crate) fn set(&self, memory: DsmMemory) {
        self.0.set(memory).ok();
    }
}

impl GuestMemoryBackend for LateMemory {
    type R = DsmRegion;

    fn num_regions(&self) -> usize {
        self.0.get().map_or(0, DsmMemory::num_regions)
    }

    fn find_region(&self, address: GuestAddress) -> Option<&DsmRegion> {
        self.0.get()?.find_region(address)
    }

    fn iter(&self) -> impl Iterator<Item = &DsmRegion> {
        self.0.get().into_iter().flat_map(DsmMemory::iter)
    }
}
