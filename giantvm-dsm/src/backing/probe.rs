//! Opening a backing: which one, and whether the host can.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use giantvm_core::PageSize;

use super::{Backing, Mapping, MinorBacking, MissingBacking};
use crate::uffd::{CreateError, Support};

/// Which backing to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Choice {
    /// The best that works on this host.
    #[default]
    Auto,
    /// [`MinorBacking`]: pages received in place. Linux 6.4 or newer.
    Minor,
    /// [`MissingBacking`]: pages copied in. Linux 5.7 or newer.
    Missing,
}

/// A backing could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no userfaultfd, or not one that is good enough.
    #[error(transparent)]
    Userfaultfd(#[from] CreateError),
    /// The shared memory has no page, or more than this host can address.
    #[error(
        "{pages} pages of {page_size} cannot be mapped: choose from 1 page up to the address space"
    )]
    Size {
        /// Pages asked for.
        pages: u64,
        /// Of this size.
        page_size: PageSize,
    },
    /// Pages are smaller than the host's, or no multiple of them.
    #[error("pages of {page_size} do not fit this host's of {host} bytes: choose a multiple")]
    PageSize {
        /// Page size asked for.
        page_size: PageSize,
        /// The host's, in bytes.
        host: usize,
    },
    /// The system refused.
    #[error("cannot map {len} bytes of shared memory")]
    Os {
        /// Bytes.
        len: usize,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// Opens a backing of `pages` pages, all of them unmapped and zero, and the mapping through which
/// local threads reach them. Takes no memory in proportion to `pages`.
///
/// ```
/// use giantvm_core::PageSize;
/// use giantvm_dsm::backing::{Choice, open};
///
/// match open(1 << 20, PageSize::K4, Choice::Auto) {
///     Ok((backing, mapping)) => {
///         assert_eq!(backing.pages(), mapping.pages());
///         assert_eq!(mapping.len(), 4 << 30);
///     }
///     Err(error) => eprintln!("no shared memory on this host: {error}"),
/// }
/// ```
///
/// # Errors
/// [`OpenError`] says what the host lacks and how to mend it.
pub fn open(
    pages: u64,
    page_size: PageSize,
    choice: Choice,
) -> Result<(Box<dyn Backing>, Arc<Mapping>), OpenError> {
    open_at(pages, page_size, choice, None)
}

/// As [`open`], with page 0 at an address of this process that nothing else uses, a multiple of the
/// page size: for programs that have the same addresses in all processes.
///
/// # Errors
/// As of [`open`]; [`OpenError::Os`] if something is there.
pub fn open_at(
    pages: u64,
    page_size: PageSize,
    choice: Choice,
    at: Option<NonZeroUsize>,
) -> Result<(Box<dyn Backing>, Arc<Mapping>), OpenError> {
    let host = rustix::param::page_size();
    if !page_size.bytes().is_multiple_of(host) {
        return Err(OpenError::PageSize { page_size, host });
    }
    let count = usize::try_from(pages).ok().filter(|&count| count > 0);
    let len = count.and_then(|count| count.checked_mul(page_size.bytes()));
    let (Some(count), Some(len)) = (count, len.filter(|&len| isize::try_from(len).is_ok())) else {
        return Err(OpenError::Size { pages, page_size });
    };
    let minor = match choice {
        Choice::Auto => Support::probe().minor(),
        Choice::Minor => true,
        Choice::Missing => false,
    };
    if minor {
        let backing = MinorBacking::open(count, page_size, len, at)?;
        let mapping = backing.mapping();
        Ok((Box::new(backing), mapping))
    } else {
        let backing = MissingBacking::open(count, page_size, len, at)?;
        let mapping = backing.mapping();
        Ok((Box::new(backing), mapping))
    }
}
