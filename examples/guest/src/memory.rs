#![expect(
    unsafe_code,
    reason = "the one place that turns guest addresses into references"
)]
//! Guest memory as words that several vCPUs may read and write at once.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32, AtomicU64};

/// Guest memory from address 0, mapped somewhere in this address space.
///
/// Every access goes through an atomic word, so that sharing between vCPUs is never a data race
/// of the language; the plain loads and stores that relaxed atomics compile to cost nothing.
///
/// ```
/// use giantvm_guest::Memory;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// let backing: Vec<AtomicU64> = (0..1024).map(|_| AtomicU64::new(0)).collect();
/// let memory = Memory::of(&backing);
/// memory.word(4096).store(7, Ordering::Relaxed);
/// assert_eq!(backing[512].load(Ordering::Relaxed), 7);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Memory<'a> {
    base: usize,
    size: u64,
    lent: PhantomData<&'a [AtomicU64]>,
}

impl<'a> Memory<'a> {
    /// The memory that starts at `base`.
    ///
    /// # Safety
    /// For `'a`, each byte of `size` bytes from `base` that is accessed through the result must be
    /// mapped, readable and writable, `base` must be aligned to 8, and everyone else who accesses
    /// it meanwhile must do so atomically (as vCPUs and the kernel do).
    #[must_use]
    pub unsafe fn new(base: *mut u8, size: u64) -> Self {
        Self {
            base: base.expose_provenance(),
            size,
            lent: PhantomData,
        }
    }

    /// The memory made of these words.
    #[must_use]
    pub fn of(words: &'a [AtomicU64]) -> Self {
        let base = words.as_ptr().cast::<u8>().cast_mut();
        // SAFETY: the slice is borrowed for 'a, is aligned to 8, allows writes through shared
        // references, and whoever else holds it can only access it atomically.
        unsafe { Self::new(base, size_of_val(words) as u64) }
    }

    /// The memory that a thread was made in, whose stack is in it.
    #[must_use]
    pub(crate) fn inherited(base: usize, size: u64) -> Self {
        // SAFETY: both are those of the memory in which the thread's maker put its stack, and what runs on
        // that does not outlive it.
        unsafe { Self::new(core::ptr::with_exposed_provenance_mut(base), size) }
    }

    /// Its first bytes, all if there are no more.
    #[must_use]
    pub fn first(self, bytes: u64) -> Self {
        Self {
            size: self.size.min(bytes),
            ..self
        }
    }

    /// Where its first byte is.
    pub(crate) const fn base(self) -> usize {
        self.base
    }

    /// Bytes of this memory.
    #[must_use]
    pub const fn size(self) -> u64 {
        self.size
    }

    /// The 64-bit word at `address`.
    ///
    /// # Panics
    /// As [`Memory::words`].
    #[must_use]
    pub fn word(self, address: u64) -> &'a AtomicU64 {
        &self.words(address, 1)[0]
    }

    /// `count` 64-bit words from `address`.
    ///
    /// # Panics
    /// If they are not all inside the memory, or `address` is not a multiple of 8.
    #[must_use]
    pub fn words(self, address: u64, count: u64) -> &'a [AtomicU64] {
        let start = self.locate(address, count, 8);
        // SAFETY: `locate` checked bounds and alignment; the constructor's caller vouched for the
        // mapping and for atomic access by others during 'a.
        unsafe { core::slice::from_raw_parts(start.cast(), count as usize) }
    }

    /// `count` 32-bit words from `address`.
    ///
    /// # Panics
    /// If they are not all inside the memory, or `address` is not a multiple of 4.
    #[must_use]
    pub fn halves(self, address: u64, count: u64) -> &'a [AtomicU32] {
        let start = self.locate(address, count, 4);
        // SAFETY: as in `words`.
        unsafe { core::slice::from_raw_parts(start.cast(), count as usize) }
    }

    fn locate(self, address: u64, count: u64, width: u64) -> *const u8 {
        let end = count
            .checked_mul(width)
            .and_then(|bytes| bytes.checked_add(address));
        assert!(
            end.is_some_and(|end| end <= self.size),
            "guest address outside of memory"
        );
        assert!(address.is_multiple_of(width), "guest address not aligned");
        core::ptr::with_exposed_provenance(self.base + address as usize)
    }
}
