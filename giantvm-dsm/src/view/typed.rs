#![expect(unsafe_code, reason = "refers to shared memory as a value")]
//! The shared memory as a value of a Rust type.

use std::any::{TypeId, type_name};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

use giantvm_core::{PageIndex, PageRange};
use zerocopy::FromBytes;

use crate::backing::{ClaimError, Mapping};

/// A `T` that all nodes share, at the start of a page.
///
/// It starts as all zeroes. What can change in it are atomics, [`Lock`](crate::sync::Lock)s and
/// [`Barrier`](crate::sync::Barrier)s; memory is sequentially consistent across nodes, as it is
/// across threads. `T` has to be `#[repr(C)]` and the same on all nodes: the nodes of a cluster
/// run the same program and trust each other's stores, as threads of a process do.
///
/// Things that different nodes use at the same time belong on pages of their own
/// ([`OwnPages`](crate::sync::OwnPages)): a page moves between nodes as a whole.
///
/// ```
/// use std::sync::atomic::AtomicU64;
///
/// use giantvm_core::{PageIndex, PageSize};
/// use giantvm_dsm::backing::{Choice, open};
/// use giantvm_dsm::sync::{Barrier, Lock, OwnPages};
/// use giantvm_dsm::view::Region;
/// use zerocopy::FromBytes;
///
/// #[derive(FromBytes)]
/// #[repr(C)]
/// struct Shared {
///     sum: OwnPages<Lock<u64>>,
///     done: OwnPages<Barrier>,
///     hits: [AtomicU64; 8],
/// }
///
/// # let Ok((_backing, mapping)) = open(16, PageSize::K4, Choice::Auto) else { return Ok(()) };
/// let shared = Region::<Shared>::new(&mapping, PageIndex(0))?;
/// # Ok::<(), giantvm_dsm::view::RegionError>(())
/// ```
pub struct Region<T> {
    value: NonNull<T>,
    pages: PageRange,
    mapping: Arc<Mapping>,
    shares: PhantomData<T>,
}

/// A typed region does not fit the shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegionError {
    /// The value reaches past the end.
    #[error("{name} of {size} bytes at page {page} does not fit the shared memory of {have} pages")]
    TooSmall {
        /// The type.
        name: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The first page.
        page: PageIndex,
        /// Pages there are.
        have: u64,
    },
    /// The type has to be aligned to more than a page.
    #[error("{name} has to be aligned to {align} bytes: page {page} is not")]
    Alignment {
        /// The type.
        name: &'static str,
        /// Its alignment in bytes.
        align: usize,
        /// The first page.
        page: PageIndex,
    },
    /// The pages are in use as another type.
    #[error(transparent)]
    Claimed(#[from] ClaimError),
}

// SAFETY: a region gives out `&T` only, and `T: Sync`, which `new` asks for.
unsafe impl<T: Sync> Send for Region<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Region<T> {}

impl<T: FromBytes + Sync + 'static> Region<T> {
    /// The `T` that starts at `page`. Touches nothing yet.
    ///
    /// Within a process the same pages can be had as one type only, but any number of times.
    ///
    /// # Errors
    /// [`RegionError`] if it does not fit there.
    pub fn new(mapping: &Arc<Mapping>, page: PageIndex) -> Result<Self, RegionError> {
        let (name, size, align) = (type_name::<T>(), size_of::<T>(), align_of::<T>());
        let count = mapping.page_size().pages_for(size as u64).max(1);
        let end = page.0.checked_add(count);
        let Some(end) = end.filter(|&end| end <= mapping.pages()) else {
            let have = mapping.pages();
            return Err(RegionError::TooSmall {
                name,
                size,
                page,
                have,
            });
        };
        let pages = PageRange {
            start: page,
            end: PageIndex(end),
        };
        let value = mapping.span(pages).0.cast::<T>();
        if !value.is_aligned() {
            return Err(RegionError::Alignment { name, align, page });
        }
        mapping.claim(pages, TypeId::of::<T>())?;
        Ok(Self {
            value,
            pages,
            mapping: Arc::clone(mapping),
            shares: PhantomData,
        })
    }
}

impl<T> Region<T> {
    /// The pages the value lies on.
    #[must_use]
    pub const fn pages(&self) -> PageRange {
        self.pages
    }
}

impl<T> Deref for Region<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the value is aligned and inside the mapping, which this object keeps; any bytes
        // make a `T`. Within this process the pages are claimed for `T`, and views as guest memory
        // claim pages too, so that all accesses are those that `T: Sync` allows. Other nodes have
        // the same `T` there, as the type's documentation demands, and the coherence protocol
        // makes their stores indistinguishable from those of local threads.
        unsafe { self.value.as_ref() }
    }
}

impl<T> Clone for Region<T> {
    fn clone(&self) -> Self {
        Self {
            mapping: Arc::clone(&self.mapping),
            ..*self
        }
    }
}

impl<T> fmt::Debug for Region<T> {
    /// Where it is; not the value, which would have to be fetched.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region")
            .field("type", &type_name::<T>())
            .field("pages", &self.pages)
            .finish_non_exhaustive()
    }
}
