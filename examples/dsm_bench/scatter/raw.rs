#![expect(unsafe_code, reason = "system calls on the mapping's own addresses")]
//! Taking pages away without a backing, as fast as the system can.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use giantvm_core::PageIndex;
use giantvm_dsm::backing::Mapping;
use rustix::process::{PidfdFlags, getpid, pidfd_open};

/// This process, as the system names it to itself.
pub(super) fn this() -> io::Result<OwnedFd> {
    Ok(pidfd_open(getpid(), PidfdFlags::empty())?)
}

/// The addresses of pages, which must be in the mapping.
pub(super) fn vector(mapping: &Mapping, pages: &[PageIndex]) -> Vec<libc::iovec> {
    let iov_len = mapping.page_size().bytes();
    let address = |page: &PageIndex| {
        assert!(
            page.0 < mapping.pages(),
            "page {page} is not in the mapping"
        );
        let offset = usize::try_from(page.0).unwrap_or(0) * iov_len;
        let iov_base = mapping.base().as_ptr().wrapping_add(offset).cast();
        libc::iovec { iov_base, iov_len }
    };
    pages.iter().map(address).collect()
}

/// One call for all.
pub(super) fn at_once(this: &OwnedFd, vector: &[libc::iovec]) -> io::Result<()> {
    // SAFETY: the system reads the vector, which lives through the call, and takes pages of a mapping
    // that no reference points into: `vector` made all of it.
    let done = unsafe {
        libc::syscall(
            libc::SYS_process_madvise,
            this.as_raw_fd(),
            vector.as_ptr(),
            vector.len(),
            libc::MADV_DONTNEED,
            0_u32,
        )
    };
    let whole = vector.iter().map(|part| part.iov_len).sum::<usize>();
    match usize::try_from(done) {
        Ok(done) if done == whole => Ok(()),
        Ok(_) => Err(io::ErrorKind::Interrupted.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// One call for each.
pub(super) fn one_by_one(vector: &[libc::iovec]) -> io::Result<()> {
    vector.iter().try_for_each(|part| {
        // SAFETY: as above.
        let done = unsafe { libc::madvise(part.iov_base, part.iov_len, libc::MADV_DONTNEED) };
        if done == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    })
}
