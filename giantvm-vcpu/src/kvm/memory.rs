//! Memory that KVM maps into the guest.
#![expect(
    unsafe_code,
    reason = "KVM is given addresses that it will read and write by itself"
)]

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Mutex;

use giantvm_core::GuestAddress;
use kvm_bindings::{KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;

use super::host::KvmHost;
use crate::error::VcpuError;

/// The base page of x86-64, which is what KVM aligns memory slots to.
pub(super) const PAGE: usize = 4096;

/// One page of memory, aligned as one.
#[repr(C, align(4096))]
pub(super) struct Page(pub(super) [u8; PAGE]);

/// Pages that belong to a host and not to the distributed memory. Once they exist only the guest
/// touches them.
#[derive(Debug)]
pub(super) struct PrivatePages {
    pages: NonNull<[Page]>,
}

// SAFETY: the pages are only passed to KVM by address and freed when no vCPU is left; neither
// depends on the thread.
unsafe impl Send for PrivatePages {}
// SAFETY: nothing is read or written through a shared reference.
unsafe impl Sync for PrivatePages {}

impl PrivatePages {
    pub(super) fn new(pages: Box<[Page]>) -> Self {
        let pages = NonNull::from(Box::leak(pages));
        Self { pages }
    }

    fn len(&self) -> usize {
        self.pages.len()
    }
}

impl Drop for PrivatePages {
    fn drop(&mut self) {
        // SAFETY: the box was leaked in `new` and is freed nowhere else. The owner drops the VM
        // and all vCPUs first, so the guest is no more.
        drop(unsafe { Box::from_raw(self.pages.as_ptr()) });
    }
}

/// The memory slots of a VM, in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Slots {
    regions: Mutex<Vec<Region>>,
}

#[derive(Debug)]
struct Region {
    guest: Range<u64>,
    /// Where in this process its first byte is.
    host: usize,
}

impl Slots {
    /// Whether there is memory at `address`, be it reachable or not.
    pub(super) fn contain(&self, address: GuestAddress) -> bool {
        let regions = self.regions.lock().expect("no panic under this lock");
        regions
            .iter()
            .any(|region| region.guest.contains(&address.0))
    }

    /// The guest's address of the memory at `host` in this process; all ones if it has none.
    pub(super) fn guest_address(&self, host: usize) -> GuestAddress {
        let regions = self.regions.lock().expect("no panic under this lock");
        let found = regions.iter().find_map(|region| {
            let offset = host.checked_sub(region.host)? as u64;
            let address = region.guest.start.checked_add(offset)?;
            region.guest.contains(&address).then_some(address)
        });
        GuestAddress(found.unwrap_or(u64::MAX))
    }

    /// Maps the host's memory at `host` to `guest`.
    ///
    /// # Safety
    /// Of all `len` bytes from `host`: they stay mapped until the VM and its vCPUs are gone, and
    /// the guest may read and write them at any time without a data race of this program.
    pub(super) unsafe fn map(
        &self,
        vm: &VmFd,
        guest: GuestAddress,
        host: NonNull<u8>,
        len: usize,
        flags: u32,
    ) -> Result<(), VcpuError> {
        let bad = |reason| VcpuError::BadMemory {
            address: guest.0,
            len: len as u64,
            reason,
        };
        let all = guest.0 | host.as_ptr().addr() as u64 | len as u64;
        if !all.is_multiple_of(PAGE as u64) {
            return Err(bad(
                "addresses and length must be whole pages of 4096 bytes",
            ));
        }
        if len == 0 || guest.0.checked_add(len as u64).is_none() {
            return Err(bad("it is empty or leaves the address space"));
        }
        let mut regions = self.regions.lock().expect("no panic under this lock");
        let slot = u32::try_from(regions.len()).map_err(|_| bad("there are too many regions"))?;
        let region = kvm_userspace_memory_region {
            slot,
            flags,
            guest_phys_addr: guest.0,
            memory_size: len as u64,
            userspace_addr: host.as_ptr().expose_provenance() as u64,
        };
        // SAFETY: the caller promises that the memory outlives the VM and is the guest's to use;
        // slot numbers are never used twice, so nothing gets replaced.
        unsafe { vm.set_user_memory_region(region) }.map_err(|error| match error.errno() {
            libc::EEXIST => bad("it overlaps memory that is mapped already"),
            libc::EINVAL => bad("KVM does not accept it: too long, or too many regions"),
            errno => super::os("mapping guest memory", errno),
        })?;
        let (guest, host) = (guest.0..guest.0 + len as u64, host.as_ptr().addr());
        regions.push(Region { guest, host });
        Ok(())
    }

    /// Maps private pages, some of them for reading only.
    pub(super) fn map_private(
        &self,
        vm: &VmFd,
        at: GuestAddress,
        pages: &PrivatePages,
        read_only: Range<usize>,
    ) -> Result<(), VcpuError> {
        let start = pages.pages.cast::<u8>();
        for (first, end, flags) in [
            (0, read_only.start, 0),
            (read_only.start, read_only.end, KVM_MEM_READONLY),
            (read_only.end, pages.len(), 0),
        ] {
            let offset = first * PAGE;
            let guest = GuestAddress(at.0 + offset as u64);
            // SAFETY: the offset is within the pages, which live as long as `PrivatePages`, whose
            // owner keeps it longer than the VM; this program never accesses them again.
            unsafe {
                let host = start.add(offset);
                self.map(vm, guest, host, (end - first) * PAGE, flags)?;
            }
        }
        Ok(())
    }
}

impl KvmHost {
    /// Maps `len` bytes of this process' memory at `host` into the guest at `guest`.
    ///
    /// Every node has to map the machine's whole memory alike. Addresses and length are multiples
    /// of 4096 bytes. Three pages at 0xfffbd000 and the page at 0xfee00000 are KVM's own; the
    /// proxies use less than 2 MiB at the end of the processor's address space (at most 64 TiB).
    ///
    /// # Errors
    /// [`VcpuError::BadMemory`] says what is wrong with the region; or [`VcpuError::Os`].
    ///
    /// # Safety
    /// The memory stays mapped until this host and every vCPU taken from it are dropped, and
    /// nothing in this process relies on it not being read and written by the guest at any time.
    pub unsafe fn map_memory(
        &self,
        guest: GuestAddress,
        host: NonNull<u8>,
        len: usize,
    ) -> Result<(), VcpuError> {
        let machine = self.machine();
        // SAFETY: the caller promises the same.
        unsafe { machine.slots.map(&machine.vm, guest, host, len, 0) }
    }
}
