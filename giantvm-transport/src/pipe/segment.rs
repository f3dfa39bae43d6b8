//! The memory that two nodes of one host share: six rings, three in each direction.
//!
//! ```text
//! 0      header: what this is, and how long the rings are
//! 128    of each ring: tail and wants_room, on lines of the producer's;
//!        head and wants_data, on lines of the consumer's
//! 4096   the rings' data
//! ```
//! Rings 0 to 2 carry what the maker of the segment sends, by class; rings 3 to 5 what it gets.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use giantvm_core::wire::{Class, HEADER, Limits, MAX_BODY};
use rustix::fs::{
    MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, ftruncate, memfd_create,
};
use vm_memory::{Bytes as _, VolatileMemory as _, WriteVolatile as _};
use vm_memory::{FileOffset, MmapRegion};

use super::ring::RingMemory;
use crate::sync::AtomicU32;

const CLASSES: usize = Class::ALL.len();
/// Rings of a segment.
const RINGS: usize = 2 * CLASSES;
/// "giantvm", and the number of this layout.
const MAGIC: u64 = u64::from_le_bytes(*b"giantvm\x01");
/// Where the rings' positions begin, and how far those of two rings are apart.
const POSITIONS: usize = 128;
const STRIDE: usize = 256;
/// Where the data begins.
const DATA: usize = 4096;
/// Nobody may change the length of the file, nor this rule.
const SEALS: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);
/// The least that a ring holds, by class: some tens of frames, and all pages that are under way when a
/// node reads ahead.
const LEAST: [u32; CLASSES] = [32 << 10, 512 << 10, 128 << 10];
/// The most that a ring can be asked to hold.
const MOST: u32 = 64 << 20;

/// Why a segment is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SegmentError {
    #[error("the system gives no shared memory: {0}")]
    System(#[from] io::Error),
    #[error("the shared memory cannot be mapped: {0}")]
    Map(String),
    #[error("the shared memory of the other node is not what was agreed on: {0}")]
    Unfit(&'static str),
}

/// A mapped segment.
#[derive(Debug)]
pub(crate) struct Segment {
    region: MmapRegion,
    /// Bytes of a ring, by class.
    sizes: [u32; CLASSES],
}

/// One ring of a segment.
#[derive(Debug, Clone)]
pub(crate) struct SegmentRing {
    segment: Arc<Segment>,
    number: usize,
}

/// Bytes of the rings of each class: at least two of the largest frames.
fn sizes(limits: Limits) -> [u32; CLASSES] {
    let head = u32::try_from(HEADER + MAX_BODY).unwrap_or(u32::MAX);
    let largest = limits.max_payload.saturating_add(head);
    let two = largest.saturating_mul(2).min(MOST).next_power_of_two();
    LEAST.map(|least| least.max(two))
}

fn total(sizes: [u32; CLASSES]) -> usize {
    DATA + 2 * sizes.iter().map(|&size| size as usize).sum::<usize>()
}

impl Segment {
    /// Makes a segment for frames within `limits`, and the file to hand to the other node.
    pub(crate) fn create(limits: Limits) -> Result<(Arc<Self>, OwnedFd), SegmentError> {
        let sizes = sizes(limits);
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = memfd_create("giantvm-pipes", flags).map_err(io::Error::from)?;
        ftruncate(&file, total(sizes) as u64).map_err(io::Error::from)?;
        fcntl_add_seals(&file, SEALS).map_err(io::Error::from)?;
        let segment = Self::map(file.try_clone()?, sizes)?;
        segment.write(0, MAGIC);
        for (at, size) in sizes.into_iter().enumerate() {
            segment.write(8 + 4 * at, size);
        }
        Ok((Arc::new(segment), file))
    }

    /// Takes over a segment that the other node made, if it is what it would make here.
    pub(crate) fn adopt(file: OwnedFd, limits: Limits) -> Result<Arc<Self>, SegmentError> {
        let sizes = sizes(limits);
        let seals = fcntl_get_seals(&file).map_err(|_| SegmentError::Unfit("no memory file"))?;
        if !seals.contains(SEALS) {
            return Err(SegmentError::Unfit("its length may change"));
        }
        let length = rustix::fs::fstat(&file).map_err(io::Error::from)?.st_size;
        if usize::try_from(length) != Ok(total(sizes)) {
            return Err(SegmentError::Unfit("its length is another"));
        }
        let segment = Self::map(file, sizes)?;
        if segment.read::<u64>(0) != MAGIC {
            return Err(SegmentError::Unfit("its layout is another"));
        }
        let same = |(at, size): (usize, u32)| segment.read::<u32>(8 + 4 * at) == size;
        if !sizes.into_iter().enumerate().all(same) {
            return Err(SegmentError::Unfit("its rings are of other lengths"));
        }
        Ok(Arc::new(segment))
    }

    fn map(file: OwnedFd, sizes: [u32; CLASSES]) -> Result<Self, SegmentError> {
        let file = FileOffset::new(File::from(file), 0);
        let region = MmapRegion::from_file(file, total(sizes));
        let region = region.map_err(|error| SegmentError::Map(error.to_string()))?;
        Ok(Self { region, sizes })
    }

    /// The rings of one direction, by class.
    pub(crate) fn rings(self: &Arc<Self>, first: bool) -> [SegmentRing; CLASSES] {
        Class::ALL.map(|class| SegmentRing {
            segment: Arc::clone(self),
            number: class.index() + if first { 0 } else { CLASSES },
        })
    }

    fn write<T: vm_memory::ByteValued>(&self, at: usize, value: T) {
        let written = self.region.as_volatile_slice().write_obj(value, at);
        debug_assert!(written.is_ok(), "the header is in the segment");
    }

    fn read<T: vm_memory::ByteValued>(&self, at: usize) -> T {
        let read = self.region.as_volatile_slice().read_obj(at);
        read.expect("the header is in the segment")
    }
}

impl SegmentRing {
    fn word(&self, offset: usize) -> &AtomicU32 {
        let at = POSITIONS + self.number * STRIDE + offset;
        let word = self.segment.region.get_atomic_ref(at);
        word.expect("all rings' positions are in the segment, and aligned")
    }

    /// Where the ring's data begins.
    fn start(&self) -> usize {
        let before = (0..self.number).map(|ring| self.segment.sizes[ring % CLASSES] as usize);
        DATA + before.sum::<usize>()
    }
}

impl RingMemory for SegmentRing {
    fn capacity(&self) -> u32 {
        self.segment.sizes[self.number % CLASSES]
    }

    fn tail(&self) -> &AtomicU32 {
        self.word(0)
    }

    fn wants_room(&self) -> &AtomicU32 {
        self.word(8)
    }

    fn head(&self) -> &AtomicU32 {
        self.word(128)
    }

    fn wants_data(&self) -> &AtomicU32 {
        self.word(136)
    }

    fn put(&self, at: u32, bytes: &[u8]) {
        let memory = self.segment.region.as_volatile_slice();
        let done = memory.write_slice(bytes, self.start() + at as usize);
        debug_assert!(done.is_ok(), "the data is in the segment");
    }

    fn get(&self, at: u32, count: u32, bytes: &mut Vec<u8>) {
        let memory = self.segment.region.as_volatile_slice();
        let data = memory.subslice(self.start() + at as usize, count as usize);
        let done = data.and_then(|data| bytes.write_volatile(&data));
        debug_assert!(done.is_ok(), "the data is in the segment");
    }
}

const _: () = assert!(POSITIONS + RINGS * STRIDE <= DATA);
