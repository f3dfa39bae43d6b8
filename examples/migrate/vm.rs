//! The memory of the virtual machine that moves, as words.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::ValueEnum;
use giantvm_core::{PageIndex, PageSize};
use giantvm_dsm::backing::Mapping;
use giantvm_dsm::view::{Region, RegionError};
use serde::Serialize;

/// Words of a page.
pub(crate) const WORDS: usize = 512;
/// Bytes of a page.
pub(crate) const PAGE: u64 = PageSize::K4.bytes() as u64;
/// Words of a MiB.
const MIB: usize = (1 << 20) / 8;

/// How much memory the machine has. The sizes are those that it can be seen as words in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
pub(crate) enum Size {
    #[value(name = "64M")]
    M64,
    #[value(name = "128M")]
    M128,
    #[value(name = "256M")]
    M256,
    #[value(name = "512M")]
    M512,
    #[value(name = "1G")]
    G1,
}

impl Size {
    pub(crate) const fn bytes(self) -> u64 {
        match self {
            Self::M64 => 64 << 20,
            Self::M128 => 128 << 20,
            Self::M256 => 256 << 20,
            Self::M512 => 512 << 20,
            Self::G1 => 1 << 30,
        }
    }

    pub(crate) const fn pages(self) -> u64 {
        self.bytes() / PAGE
    }
}

/// Words that several threads, and nodes, may read and write at once.
pub(crate) trait Words: Send + Sync {
    fn words(&self) -> &[AtomicU64];
}

impl<const N: usize> Words for Region<[AtomicU64; N]> {
    fn words(&self) -> &[AtomicU64] {
        &self[..]
    }
}

/// All memory of a mapping.
pub(crate) fn view(mapping: &Arc<Mapping>, size: Size) -> Result<Box<dyn Words>, RegionError> {
    fn of<const N: usize>(mapping: &Arc<Mapping>) -> Result<Box<dyn Words>, RegionError> {
        Ok(Box::new(Region::<[AtomicU64; N]>::new(
            mapping,
            PageIndex(0),
        )?))
    }
    match size {
        Size::M64 => of::<{ 64 * MIB }>(mapping),
        Size::M128 => of::<{ 128 * MIB }>(mapping),
        Size::M256 => of::<{ 256 * MIB }>(mapping),
        Size::M512 => of::<{ 512 * MIB }>(mapping),
        Size::G1 => of::<{ 1024 * MIB }>(mapping),
    }
}

/// Memory of this process alone.
pub(crate) fn plain(size: Size) -> Vec<AtomicU64> {
    let words = 0..size.pages() * WORDS as u64;
    words.map(|_| AtomicU64::new(0)).collect()
}

/// Fills the first `pages` with what no one can guess: what else is in a machine's memory.
pub(crate) fn fill(words: &[AtomicU64], pages: u64) {
    for (page, words) in (0..pages).zip(words.chunks(WORDS)) {
        for (at, word) in words.iter().enumerate() {
            word.store(noise(page * WORDS as u64 + at as u64), Ordering::Relaxed);
        }
    }
}

/// The first page that differs, if one does.
pub(crate) fn differs(ours: &[AtomicU64], theirs: &[AtomicU64]) -> Option<usize> {
    let pages = ours.chunks(WORDS).zip(theirs.chunks(WORDS));
    let same =
        |a: &AtomicU64, b: &AtomicU64| a.load(Ordering::Relaxed) == b.load(Ordering::Relaxed);
    pages.enumerate().find_map(|(page, (ours, theirs))| {
        let all = ours.iter().zip(theirs).all(|(a, b)| same(a, b));
        (!all).then_some(page)
    })
}

/// A number that looks like no other.
pub(crate) const fn noise(of: u64) -> u64 {
    let mut z = of.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
