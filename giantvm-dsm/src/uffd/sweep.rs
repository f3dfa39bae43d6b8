#![expect(unsafe_code, reason = "a system call that rustix does not have")]
//! Taking many scattered mappings away at once.

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::process::{PidfdFlags, getpid, pidfd_open};

use super::{Area, Range};

/// Most ranges in one call: half of what the system takes in one array.
const MAX_RANGES: usize = 512;

/// Removes the page table entries of scattered ranges with one flush of the processors' translation
/// buffers, where there would be one for each range: a flush interrupts every processor that runs a
/// thread or vCPU of this process, and waits for it.
///
/// Needs `process_madvise` of Linux 6.13; on an older kernel it goes one by one.
#[derive(Debug)]
pub(crate) struct Sweeper {
    /// This process; `None` where the system cannot do it.
    this: Option<OwnedFd>,
    vector: Vec<libc::iovec>,
}

// SAFETY: the vector is scratch space: its pointers are only used by the system call that it was
// filled for.
unsafe impl Send for Sweeper {}

impl Sweeper {
    pub(crate) fn new() -> Self {
        Self {
            this: pidfd_open(getpid(), PidfdFlags::empty()).ok(),
            vector: Vec::new(),
        }
    }

    /// [`Area::zap`] of each of `ranges`.
    pub(crate) fn zap(&mut self, area: &Area, ranges: &[Range]) -> io::Result<()> {
        if let [range] = ranges {
            return area.zap(*range);
        }
        for ranges in ranges.chunks(MAX_RANGES) {
            let whole = ranges.iter().map(|range| range.len).sum::<usize>();
            let done = self.at_once(area, ranges)?;
            if done == whole {
                continue;
            }
            // Zapping again what is zapped changes nothing.
            for &range in ranges {
                area.zap(range)?;
            }
        }
        Ok(())
    }

    /// How many bytes were zapped: all, or fewer if the system cannot.
    fn at_once(&mut self, area: &Area, ranges: &[Range]) -> io::Result<usize> {
        let Some(this) = &self.this else {
            return Ok(0);
        };
        self.vector.clear();
        for &range in ranges {
            let iov_base: *mut c_void = area.pointer(range)?;
            let iov_len = range.len;
            self.vector.push(libc::iovec { iov_base, iov_len });
        }
        // SAFETY: the system reads the vector, which lives through the call. Every range in it was
        // checked to be the area's, where the advice is sound as `Area::zap` explains.
        let done = unsafe {
            libc::syscall(
                libc::SYS_process_madvise,
                this.as_raw_fd(),
                self.vector.as_ptr(),
                self.vector.len(),
                libc::MADV_DONTNEED,
                0_u32,
            )
        };
        match usize::try_from(done) {
            Ok(done) => Ok(done),
            Err(_) => {
                let error = io::Error::last_os_error();
                tracing::debug!(%error, "mappings are taken away one by one");
                self.this = None;
                Ok(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    const PAGE: usize = 4096;

    /// Four pages of ones, of which the second and the fourth are zapped.
    fn zapped(sweeper: &mut Sweeper) -> Vec<u8> {
        let area = Area::anonymous(4 * PAGE, None).unwrap();
        let at = |page: usize| area.at(page * PAGE).as_ptr();
        for page in 0..4 {
            // SAFETY: the byte is in the area, which is this function's alone.
            unsafe { ptr::write_volatile(at(page), 1) };
        }
        let ranges = [1, 3].map(|page| area.part(page * PAGE, PAGE));
        sweeper.zap(&area, &ranges).unwrap();
        // SAFETY: as above.
        (0..4)
            .map(|page| unsafe { ptr::read_volatile(at(page)) })
            .collect()
    }

    #[test]
    fn scattered_pages_go_together_and_the_others_stay() {
        assert_eq!(zapped(&mut Sweeper::new()), [1, 0, 1, 0]);
    }

    #[test]
    fn an_older_kernel_does_it_one_by_one() {
        let mut sweeper = Sweeper {
            this: None,
            vector: Vec::new(),
        };
        assert_eq!(zapped(&mut sweeper), [1, 0, 1, 0]);
    }

    #[test]
    fn ranges_outside_are_refused_before_anything_goes() {
        let area = Area::anonymous(2 * PAGE, None).unwrap();
        let mut ranges = [area.part(0, PAGE); 2];
        ranges[1].start += area.len();
        assert!(Sweeper::new().zap(&area, &ranges).is_err());
    }
}
