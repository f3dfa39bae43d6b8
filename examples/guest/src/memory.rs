#![expect(
    unsafe_code,
    reason = "the one place that turns guest addresses into references"
)]
//! Guest memory as words that several vCPUs may read and write at once.

use core::marker::PhantomData;
use core::sync::atomic::Ordering::{Acquire, Relaxed};
use core::sync::atomic::{AtomicU32, AtomicU64, fence};

/// Guest memory from address 0, mapped somewhere in this address space.
///
/// Every access goes through an atomic word, so that sharing between vCPUs is never a data race
/// of the language; the plain loads and stores that relaxed atomics compile to cost nothing.
///
/// Words that this vCPU only looks at are for [`Memory::peek`] and its like: those loads may go
/// through a second mapping that cannot be written. Over memory that nodes share, a load from a
/// writable mapping can count as a store and take the page from all other nodes; a peek takes a
/// copy.
///
/// ```
/// use giantvm_guest::Memory;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// let backing: Vec<AtomicU64> = (0..1024).map(|_| AtomicU64::new(0)).collect();
/// let memory = Memory::of(&backing);
/// memory.word(4096).store(7, Ordering::Relaxed);
/// assert_eq!(backing[512].load(Ordering::Relaxed), 7);
/// assert_eq!(memory.peek(4096).load(), 7);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Memory<'a> {
    base: usize,
    alias: usize,
    size: u64,
    lent: PhantomData<&'a [AtomicU64]>,
}

/// A word of memory that is looked at and not written to.
///
/// ```
/// use giantvm_guest::Memory;
/// use std::sync::atomic::AtomicU64;
///
/// let backing: Vec<AtomicU64> = (0..8).map(AtomicU64::new).collect();
/// let words = Memory::of(&backing).peek_words(0, 8);
/// assert_eq!(words.iter().map(|word| word.load()).sum::<u64>(), 28);
/// ```
#[derive(Debug)]
#[repr(transparent)]
pub struct Peek<T>(T);

impl Peek<AtomicU64> {
    /// What the word holds. Whatever its writer wrote before it can be seen after this.
    #[must_use]
    pub fn load(&self) -> u64 {
        // The language promises of small relaxed loads alone that they do not write.
        let value = self.0.load(Relaxed);
        fence(Acquire);
        value
    }
}

impl Peek<AtomicU32> {
    /// What the word holds. Whatever its writer wrote before it can be seen after this.
    #[must_use]
    pub fn load(&self) -> u32 {
        let value = self.0.load(Relaxed);
        fence(Acquire);
        value
    }
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
        let base = base.expose_provenance();
        Self {
            base,
            alias: base,
            size,
            lent: PhantomData,
        }
    }

    /// The same memory, with peeks that go through another mapping of it, at `alias`.
    ///
    /// # Safety
    /// For `'a`, each byte that is peeked at must be mapped and readable at `alias` plus its
    /// address, as the very memory that lies at the base plus its address, cached alike. `alias`
    /// must be aligned to 8.
    #[must_use]
    pub unsafe fn with_reading_alias(self, alias: *const u8) -> Self {
        let alias = alias.expose_provenance();
        Self { alias, ..self }
    }

    /// The memory made of these words.
    #[must_use]
    pub fn of(words: &'a [AtomicU64]) -> Self {
        let base = words.as_ptr().cast::<u8>().cast_mut();
        // SAFETY: the slice is borrowed for 'a, is aligned to 8, allows writes through shared
        // references, and whoever else holds it can only access it atomically.
        unsafe { Self::new(base, size_of_val(words) as u64) }
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
        let start = self.locate(self.base, address, count, 8);
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
        let start = self.locate(self.base, address, count, 4);
        // SAFETY: as in `words`.
        unsafe { core::slice::from_raw_parts(start.cast(), count as usize) }
    }

    /// The 64-bit word at `address`, to look at.
    ///
    /// It is for what other vCPUs write. To the compiler this is other memory than
    /// [`Memory::word`]'s, so a vCPU that wrote the word itself sees that for certain only after
    /// an operation that orders all others, as every barrier has.
    ///
    /// # Panics
    /// As [`Memory::words`].
    #[must_use]
    pub fn peek(self, address: u64) -> &'a Peek<AtomicU64> {
        &self.peek_words(address, 1)[0]
    }

    /// `count` 64-bit words from `address`, to look at as by [`Memory::peek`].
    ///
    /// # Panics
    /// As [`Memory::words`].
    #[must_use]
    pub fn peek_words(self, address: u64, count: u64) -> &'a [Peek<AtomicU64>] {
        let start = self.locate(self.alias, address, count, 8);
        // SAFETY: `locate` checked bounds and alignment; the constructors' callers vouched for
        // both mappings and for atomic access by others during 'a. `Peek` is transparent, and
        // does no more than relaxed loads, which memory that cannot be written allows.
        unsafe { core::slice::from_raw_parts(start.cast(), count as usize) }
    }

    /// `count` 32-bit words from `address`, to look at as by [`Memory::peek`].
    ///
    /// # Panics
    /// As [`Memory::halves`].
    #[must_use]
    pub fn peek_halves(self, address: u64, count: u64) -> &'a [Peek<AtomicU32>] {
        let start = self.locate(self.alias, address, count, 4);
        // SAFETY: as in `peek_words`.
        unsafe { core::slice::from_raw_parts(start.cast(), count as usize) }
    }

    fn locate(self, mapping: usize, address: u64, count: u64, width: u64) -> *const u8 {
        let end = count
            .checked_mul(width)
            .and_then(|bytes| bytes.checked_add(address));
        assert!(
            end.is_some_and(|end| end <= self.size),
            "guest address outside of memory"
        );
        assert!(address.is_multiple_of(width), "guest address not aligned");
        core::ptr::with_exposed_provenance(mapping + address as usize)
    }
}
