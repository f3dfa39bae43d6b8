//! A disk.

mod disk;
mod request;

use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_RO,
    VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_SIZE_MAX, VIRTIO_BLK_F_WRITE_ZEROES,
};
use virtio_bindings::virtio_ids::VIRTIO_ID_BLOCK;
use vm_memory::GuestMemory;

pub use disk::{Disk, FileDisk, SECTOR};
use request::ID_BYTES;

use super::device::serve_each;
use super::{MAX_SEGMENTS, Malformed, Ring, Served, VirtioDevice};

/// Most buffers of a request, beside its header and its status.
const SEGMENTS: u32 = 126;
/// Most bytes of a buffer.
const SEGMENT_BYTES: u32 = 1 << 16;
/// Most bytes of a request: what the above come to.
const MAX_BYTES: u64 = SEGMENTS as u64 * SEGMENT_BYTES as u64;
/// Most ranges of a request to discard or zero.
const MAX_RANGES: u32 = 16;
/// Most sectors of a range: what can be written as zeroes in the time of a large request.
const MAX_RANGE_SECTORS: u32 = 1 << 15;
/// Chains in the queue.
const QUEUE: u16 = 128;

const _: () = assert!(SEGMENTS as usize + 2 <= QUEUE as usize && QUEUE as usize <= MAX_SEGMENTS);

/// A disk on virtio: reads, writes, flushes, discards, writes of zeroes, and a name.
///
/// What is done is done in the order of the queue, one request at a time, by copies of 64 KiB.
///
/// ```
/// use giantvm_io::virtio::VirtioDevice;
/// use giantvm_io::virtio::blk::{Block, FileDisk};
///
/// let file = tempfile::tempfile()?;
/// file.set_len(1 << 20)?;
/// let block = Block::new(FileDisk::new(file, true)?, "vda");
/// assert_eq!(block.config()[..8], 2048_u64.to_le_bytes(), "its sectors");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Block<D> {
    disk: D,
    id: [u8; ID_BYTES],
}

impl<D: Disk> Block<D> {
    /// A device for this disk, with a name of which 20 bytes are shown.
    pub fn new(disk: D, name: &str) -> Self {
        let mut id = [0; ID_BYTES];
        let shown = id.iter_mut().zip(name.bytes());
        shown.for_each(|(shown, byte)| *shown = byte);
        Self { disk, id }
    }
}

impl<D: Disk> VirtioDevice for Block<D> {
    fn name(&self) -> &str {
        "virtio-blk"
    }

    fn kind(&self) -> u32 {
        VIRTIO_ID_BLOCK
    }

    fn features(&self) -> u64 {
        let always = [
            VIRTIO_BLK_F_SIZE_MAX,
            VIRTIO_BLK_F_SEG_MAX,
            VIRTIO_BLK_F_BLK_SIZE,
            VIRTIO_BLK_F_FLUSH,
        ];
        let more = match self.disk.is_read_only() {
            true => &[VIRTIO_BLK_F_RO][..],
            false => &[VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_WRITE_ZEROES],
        };
        let all = always.iter().chain(more);
        all.fold(0, |features, bit| features | 1 << bit)
    }

    fn queues(&self) -> Vec<u16> {
        vec![QUEUE]
    }

    fn config(&self) -> Vec<u8> {
        let mut config = vec![0; 60];
        let mut put = |at: usize, value: &[u8]| config[at..at + value.len()].copy_from_slice(value);
        let sectors = self.disk.bytes() / SECTOR;
        put(0, &sectors.to_le_bytes());
        for (at, value) in [
            (8, SEGMENT_BYTES),
            (12, SEGMENTS),
            (20, disk::SECTOR_BYTES),
            // Discards: sectors, ranges, alignment.
            (36, MAX_RANGE_SECTORS),
            (40, MAX_RANGES),
            (44, 1),
            // Zeroes: sectors, ranges.
            (48, MAX_RANGE_SECTORS),
            (52, MAX_RANGES),
        ] {
            put(at, &value.to_le_bytes());
        }
        // Zeroes may free room.
        put(56, &[1]);
        config
    }

    fn serve<M: GuestMemory>(
        &mut self,
        _: usize,
        ring: &mut Ring,
        memory: &M,
    ) -> Result<Served, Malformed> {
        serve_each(ring, memory, |chain| {
            request::serve(chain, memory, &self.disk, &self.id)
        })
    }
}
